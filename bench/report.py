"""From samples to a summary, from a summary to a table."""
from competitors import BARE, BERTH, EXEC, RUN

RAW = "engine alone"
MS, US, MBS, MB = (1e3, "ms"), (1e6, "us"), (1e-6, "MB/s"), (1e-6, "MB")
# metric -> unit, percentile
METRICS = {
    "first byte": (MS, 50), "first byte p95": (MS, 95), "end": (MS, 50), "end p95": (MS, 95),
    "end after command": (MS, 50), "download": (MBS, 50), "upload": (MBS, 50),
    "key echo": (US, 50), "key echo p99": (US, 99), "PSS own": (MB, 50), "PSS shim": (MB, 50),
}


def percentile(values, percent):
    values = sorted(values)
    place = (len(values) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def summarize(samples):
    """{metric: {name: value}}, in seconds, bytes and bytes a second."""
    summary = {}
    for metric, (_, percent) in METRICS.items():
        taken = samples.get(metric.rsplit(" p", 1)[0], {})
        row = {name: percentile(values, percent) for name, values in taken.items() if values}
        if row:
            summary[metric] = row
    raw = samples.get("create and start", {}).get(RAW)
    if raw:
        summary["create and start"] = {RAW: percentile(raw, 50)}
    return summary


def targets(summary):
    """What berth's attach channel has set itself: what, bound, seen, met."""
    def get(metric, name):
        return summary.get(metric, {}).get(name)

    def row(what, unit, bound, seen, less=True):
        met = None if bound is None or seen is None else seen <= bound if less else seen >= bound
        factor, unit = unit
        return {"target": what, "unit": unit, "met": met, "at": "most" if less else "least",
                "bound": None if bound is None else bound * factor,
                "seen": None if seen is None else seen * factor}

    bare, raw = get("first byte", BARE), get("create and start", RAW)
    down, up = get("download", EXEC), get("upload", EXEC)
    return [
        row("first byte: bare sshd + the engine's create and start + 20 ms", MS,
            bare + raw + 0.020 if bare and raw else None, get("first byte", BERTH)),
        row("end after the command's end", MS, 0.060, get("end after command", BERTH)),
        row("download: 1.2 times docker exec's", MBS, down and 1.2 * down,
            get("download", BERTH), less=False),
        row("upload: 1.2 times docker exec's", MBS, up and 1.2 * up,
            get("upload", BERTH), less=False),
        row("key echo: docker run's", US, get("key echo", RUN), get("key echo", BERTH)),
        row("memory (PSS) of a session's own processes", MB, 8e6, get("PSS own", BERTH)),
    ]


def _lines(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    def line(row):
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        return "| " + " | ".join(cells) + " |"
    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":")
                          for i, w in enumerate(widths)) + "|"
    return [line(rows[0]), rule] + [line(row) for row in rows[1:]]


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def table(result):
    """Markdown that reads as it is."""
    summary, names = result["summary"], result["competitors"]
    rows = [["ratio to bare sshd (value)", *names]]
    for metric, ((factor, unit), _) in METRICS.items():
        seen = summary.get(metric)
        if not seen:
            continue
        cells = [f"{metric}, {unit}"]
        for name in names:
            value = seen.get(name)
            if value is None:
                cells.append("-")
                continue
            # Bare sshd's is next to nothing: a ratio to it says nothing.
            base = None if metric == "end after command" else seen.get(BARE)
            number = _number(value * factor)
            cells.append(f"{value / base:.2f} ({number})" if base else number)
        rows.append(cells)
    out = _lines(rows)
    raw = summary.get("create and start", {}).get(RAW)
    if raw:
        out += ["", f"The engine's own create and start for {result['raw body']}: {raw * 1e3:.0f} ms."]
    rows = [["target for " + BERTH, "bound", "seen", ""]]
    for t in result["targets"]:
        bound = "-" if t["bound"] is None else f"at {t['at']} {_number(t['bound'])} {t['unit']}"
        seen = "-" if t["seen"] is None else f"{_number(t['seen'])} {t['unit']}"
        rows.append([t["target"], bound, seen, {True: "pass", False: "MISS", None: "?"}[t["met"]]])
    out += [""] + _lines(rows)
    out += [""] + [f"{name}, {what}: dropped: {why}" for name, what, why in result["dropped"]]
    return "\n".join(out).rstrip() + "\n"
