"""From samples to a summary, from a summary to a table."""
import re

import load
from competitors import (ATTACH, BARE, EXEC, FORWARDS, FRESH, LOGGED, PAM, RUN, SECOND, SEEN,
                         SHARED, STANDBY, UNLOGGED)

RAW = "engine alone"
MS, US, MBS, MB = (1e3, "ms"), (1e6, "us"), (1e-6, "MB/s"), (1e-6, "MB")
KB, PERCENT, FILES = (1e-3, "kB"), (100, "%"), (1, "files/s")
RATE, SECONDS = (1, "/s"), (1, "s")
DOWN_ALL, UP_ALL = "download, all processors", "upload, all processors"
# metric -> unit, percentile
METRICS = {
    "first byte": (MS, 50), "first byte p95": (MS, 95), "first byte p99": (MS, 99),
    "end": (MS, 50), "end p95": (MS, 95), "end p99": (MS, 99),
    "end after command": (MS, 50), "own time": (MS, 50), "own time of sh": (MS, 50),
    **{f"logins a second, {n} at once": (RATE, 50) for n in load.LOGINS},
    "download": (MBS, 50), "upload": (MBS, 50), "-L": (MBS, 50),
    DOWN_ALL: (MBS, 50), UP_ALL: (MBS, 50),
    "sftp listing": (MS, 50), "sftp get": (MBS, 50), "sftp put": (MBS, 50),
    "sftp get of small files": (FILES, 50), "sftp put of small files": (FILES, 50),
    "key echo": (US, 50), "key echo p99": (US, 99),
    "CPU a GiB": (SECONDS, 50), "CPU a GiB of sshd": (SECONDS, 50),
    "CPU a GiB of the helper": (SECONDS, 50), "CPU a GiB of the engine": (SECONDS, 50),
    "CPU of sshd's": (PERCENT, 50), "PSS own": (MB, 50), "PSS shim": (MB, 50),
    **{f"PSS each of {n} held": (KB, 50) for n in load.HELD},
    **{f"login beside {n} held": (MS, 50) for n in load.HELD},
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
        taken = samples.get(re.sub(r" p\d+$", "", metric), {})
        row = {name: percentile(values, percent) for name, values in taken.items() if values}
        if row:
            summary[metric] = row
    raw = samples.get("create and start", {}).get(RAW)
    if raw:
        summary["create and start"] = {RAW: percentile(raw, 50)}
    return summary


def targets(summary):
    """What berth has set itself: what, bound, seen, met."""
    def get(metric, name):
        return summary.get(metric, {}).get(name)

    def row(what, unit, bound, seen, less=True):
        met = None if bound is None or seen is None else seen <= bound if less else seen >= bound
        factor, unit = unit
        return {"target": what, "unit": unit, "met": met, "at": "most" if less else "least",
                "bound": None if bound is None else bound * factor,
                "seen": None if seen is None else seen * factor}

    def login(name, metric, what, ms=7):
        bare = get(metric, BARE)
        return row(f"{what}: {metric}, bare sshd's times 1.03, or {ms} ms more", MS,
                   bare and max(1.03 * bare, bare + ms / 1e3), get(metric, name))

    def part(metric, unit, least, name=FRESH, base=BARE, whose="bare sshd's"):
        value = get(metric, base)
        return row(f"{name}: {metric}, {least} of {whose}", unit, value and least * value,
                   get(metric, name), less=False)

    def small(metric):
        return [part(metric, FILES, 0.95, UNLOGGED),
                part(metric, FILES, 0.95, base=LOGGED, whose="an sshd's that logs as much")]

    bare, raw = get("first byte", BARE), get("create and start", RAW)
    made = bare + raw if bare and raw else None
    down, up, keys = get("download", BARE), get("upload", BARE), get("key echo", BARE)
    pam, local = get("first byte", PAM), get("-L", BARE)
    own_sh = get("own time of sh", SHARED)
    return [
        login(SHARED, "first byte", SHARED), login(SHARED, "end", SHARED),
        login(STANDBY, "first byte", STANDBY), login(STANDBY, "end", STANDBY),
        row(f"{FORWARDS}: first byte, {PAM}'s + 5 ms", MS, pam and pam + 0.005,
            get("first byte", FORWARDS)),
        row(f"{FORWARDS}: -L, 0.95 of bare sshd's", MBS, local and 0.95 * local,
            get("-L", FORWARDS), less=False),
        row(f"{FRESH}: first byte, bare sshd + the engine's create and start + 15 ms", MS,
            made and made + 0.015, get("first byte", FRESH)),
        row(f"{FRESH}: end after the command's end", MS, 0.020, get("end after command", FRESH)),
        row(f"{FRESH}: download, 0.97 of bare sshd's", MBS, down and 0.97 * down,
            get("download", FRESH), less=False),
        row(f"{FRESH}: upload, 0.97 of bare sshd's", MBS, up and 0.97 * up,
            get("upload", FRESH), less=False),
        part("download", MBS, 0.95, SEEN), part("upload", MBS, 0.95, SEEN),
        part(DOWN_ALL, MBS, 0.95, SEEN), part(UP_ALL, MBS, 0.95, SEEN),
        login(SHARED, "sftp listing", SHARED, 10),
        part("sftp get", MBS, 0.97), part("sftp put", MBS, 0.97),
        *small("sftp get of small files"), *small("sftp put of small files"),
        row(f"{FRESH}: key echo, 1.25 of bare sshd's", US, keys and 1.25 * keys,
            get("key echo", FRESH)),
        row(f"{FRESH}: key echo, that of a second terminal without a container", US,
            get("key echo", SECOND), get("key echo", FRESH)),
        row(f"{FRESH}: CPU of sshd's", PERCENT, 0.01, get("CPU of sshd's", FRESH)),
        row(f"{SHARED}: the helper's own time, 3 ms more than sh's", MS,
            own_sh and own_sh + 0.003, get("own time", SHARED)),
        row(f"{SHARED}: memory (PSS) of each of 300", KB, 150e3,
            get("PSS each of 300 held", SHARED)),
        row(f"{ATTACH}: first byte, bare sshd + the engine's create and start + 20 ms", MS,
            made and made + 0.020, get("first byte", ATTACH)),
        row(f"{ATTACH}: end after the command's end", MS, 0.060,
            get("end after command", ATTACH)),
        part("download", MBS, 1.2, ATTACH, EXEC, "docker exec's"),
        part("upload", MBS, 1.2, ATTACH, EXEC, "docker exec's"),
        part(DOWN_ALL, MBS, 1.2, ATTACH, EXEC, "docker exec's"),
        part(UP_ALL, MBS, 1.2, ATTACH, EXEC, "docker exec's"),
        row(f"{ATTACH}: key echo, docker run's", US, get("key echo", RUN),
            get("key echo", ATTACH)),
        row(f"{ATTACH}: memory (PSS) of a session's own processes", MB, 8e6,
            get("PSS own", ATTACH)),
    ]


def _held(summary, name=SHARED):
    """Whether the memory of sessions held at once grows as a line does: the one through the
    fewest and the most, and how far the others are from it."""
    points = [(n, n * summary[f"PSS each of {n} held"][name]) for n in load.HELD
              if name in summary.get(f"PSS each of {n} held", {})]
    if len(points) < 3:
        return []
    (few, least), (many, most) = points[0], points[-1]
    each = (most - least) / (many - few)
    fixed = least - few * each
    off = max(abs(seen / (fixed + n * each) - 1) for n, seen in points[1:-1])
    return ["", f"Memory of {few} to {many} sessions held by {name}: {fixed / 1e6:.1f} MB, and "
            f"{each / 1e3:.0f} kB each; {100 * off:.0f} % off that line at most."]


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
    out += _held(summary)
    rows = [["target", "bound", "seen", ""]]
    for t in result["targets"]:
        bound = "-" if t["bound"] is None else f"at {t['at']} {_number(t['bound'])} {t['unit']}"
        seen = "-" if t["seen"] is None else f"{_number(t['seen'])} {t['unit']}"
        rows.append([t["target"], bound, seen, {True: "pass", False: "MISS", None: "?"}[t["met"]]])
    out += [""] + _lines(rows)
    out += [""] + [f"{name}, {what}: dropped: {why}" for name, what, why in result["dropped"]]
    return "\n".join(out).rstrip() + "\n"
