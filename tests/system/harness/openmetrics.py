"""A strict reader of OpenMetrics text (the 1.0.0 specification's ABNF and rules, as far as
counters, gauges and histograms go): whatever it doesn't know is an error."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|\+Inf|-Inf|NaN")
SUFFIXES = {"counter": ("_total", "_created"), "gauge": ("",),
            "histogram": ("_bucket", "_count", "_sum", "_created")}


class Family:
    def __init__(self, name):
        self.name, self.type, self.help, self.unit = name, None, None, None
        self.samples = {}       # (name, labels as a tuple of pairs) -> value as text


def labels_of(text):
    if text is None:
        return ()
    found, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"label: {text[at:]!r}"
        found.append((match[1], re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])))
        at = match.end()
        if at < len(text):
            assert text[at] == ",", f"after a label: {text[at:]!r}"
            at += 1
            assert at < len(text), "a comma at the end"
    assert len({k for k, _ in found}) == len(found), f"label twice: {text!r}"
    return tuple(found)


def comment(families, line):
    match = re.fullmatch(rf"# (TYPE|HELP|UNIT) ({NAME}) (.*)", line)
    assert match, f"comment: {line!r}"
    what, name, value = match.groups()
    if not families or families[-1].name != name:
        assert all(f.name != name for f in families), f"{name} comes twice"
        families.append(Family(name))
    family = families[-1]
    assert not family.samples, f"{line!r} after samples"
    attribute = what.lower()
    assert getattr(family, attribute) is None, f"{line!r} twice"
    if what == "TYPE":
        assert value in SUFFIXES, f"type {value}"
        assert value != "counter" or not name.endswith("_total")
    if what == "UNIT":
        assert name.endswith("_" + value), f"unit {value} of {name}"
    if what == "HELP":
        assert re.fullmatch(r'([^\\\n"]|\\[\\n"])+', value), f"help {value!r}"
    setattr(family, attribute, value)


def sample(families, line):
    match = SAMPLE.fullmatch(line)
    assert match, f"sample: {line!r}"
    name, labels, number = match[1], labels_of(match[2]), match[3]
    assert NUMBER.fullmatch(number), f"number: {line!r}"
    assert families, "a sample before any metadata"
    family = families[-1]
    assert name in [family.name + s for s in SUFFIXES[family.type]], \
        f"{name} in {family.type} {family.name}"
    key = (name, labels)
    assert key not in family.samples, f"{line!r} twice"
    if family.type != "gauge":
        assert float(number) >= 0, line
    family.samples[key] = number


def check_histogram(family):
    series = {}
    for (name, labels), number in family.samples.items():
        rest = tuple(p for p in labels if p[0] != "le")
        one = series.setdefault(rest, {"buckets": []})
        if name.endswith("_bucket"):
            le = dict(labels)["le"]
            # Canonical: "1.0", never "1"; "+Inf" the last.
            assert le == "+Inf" or le == repr(float(le)), le
            one["buckets"].append((float(le), int(number)))
        else:
            assert rest == labels
            one[name.rsplit("_", 1)[1]] = number
    for one in series.values():
        bounds = [b for b, _ in one["buckets"]]
        counts = [c for _, c in one["buckets"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), bounds
        assert counts == sorted(counts), counts
        assert int(one["count"]) == counts[-1] and float(one["sum"]) >= 0


def parse(text):
    """{family name: Family}; AssertionError where the text isn't right."""
    assert text.endswith("# EOF\n"), "no # EOF at the end"
    lines = text.split("\n")[:-2]
    families = []
    for line in lines:
        assert line and line != "# EOF", f"line {line!r}"
        (comment if line.startswith("#") else sample)(families, line)
    for family in families:
        assert family.type and family.help, f"{family.name} lacks TYPE or HELP"
        assert family.samples or family.type, family.name
        # One metric's samples together, not mixed with another's.
        seen, last = set(), None
        for _, labels in family.samples:
            rest = tuple(p for p in labels if p[0] != "le")
            if rest != last:
                assert rest not in seen, f"{family.name}: {rest} in two places"
                seen.add(rest)
                last = rest
        if family.type == "histogram":
            check_histogram(family)
    return {f.name: f for f in families}
