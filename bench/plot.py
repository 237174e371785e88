"""The ratios and the cost against the number of sessions, as an SVG."""
import math
from xml.sax.saxutils import escape

import load
from competitors import BARE, SHARED
from report import METRICS

WIDTH, LEFT, RIGHT = 960, 130, 90
BAR, GAP, HEAD = 15, 5, 34
COLOURS = {BARE: "#777", "sshd, logged": "#999", "docker run": "#c96", "docker exec": "#db8",
           "podman exec": "#b87"}
OURS = "#37a"
# What a bar stands for; whether more is better.
BARS = {"first byte": False, "end": False, "logins a second, 1 at once": True,
        "logins a second, 8 at once": True, "logins a second, 32 at once": True,
        "download": True, "upload": True, "sftp get": True, "sftp put": True,
        "sftp get of small files": True, "sftp put of small files": True,
        "key echo": False, "CPU a GiB": False}
TICKS = {"first byte": ("first byte p95", "first byte p99"), "end": ("end p95", "end p99"),
         "key echo": ("key echo p99",)}


class Drawing:
    def __init__(self):
        self.parts, self.y = [], 10

    def text(self, x, y, words, size=12, anchor="start", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
                          f' font-weight="{weight}">{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour="#bbb", width=1):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
                          f' stroke="{colour}" stroke-width="{width}"/>')

    def bar(self, x, y, width, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}"'
                          f' fill="{colour}"/>')

    def dot(self, x, y, colour):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')

    def __str__(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.y:.0f}"'
                f' viewBox="0 0 {WIDTH} {self.y:.0f}" font-family="sans-serif">\n'
                f'<rect width="100%" height="100%" fill="white"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def _number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _bars(drawing, summary, names, metric):
    seen = summary.get(metric, {})
    base = seen.get(BARE)
    rows = [(n, seen[n]) for n in names if n in seen]
    if not base or len(rows) < 2:
        return
    ticks = {n: [summary[t][n] for t in TICKS.get(metric, ()) if n in summary.get(t, {})]
             for n, _ in rows}
    top = max([v / base for _, v in rows] + [t / base for ts in ticks.values() for t in ts])
    scale = (WIDTH - LEFT - RIGHT) / top
    factor, unit = METRICS[metric][0]
    what = "more is better" if BARS[metric] else "less is better"
    drawing.text(10, drawing.y + 20, metric, 14, weight="bold")
    drawing.text(WIDTH - 10, drawing.y + 20, f"ratio to bare sshd ({unit}); {what}", anchor="end")
    drawing.y += HEAD
    first = drawing.y
    for name, value in rows:
        drawing.text(LEFT - 8, drawing.y + BAR - 3, name, anchor="end")
        drawing.bar(LEFT, drawing.y, value / base * scale, COLOURS.get(name, OURS))
        end = max([value] + ticks[name]) / base * scale
        for tick in ticks[name]:
            x = LEFT + tick / base * scale
            drawing.line(x, drawing.y, x, drawing.y + BAR, "#333", 2)
        drawing.text(LEFT + end + 6, drawing.y + BAR - 3,
                     f"{value / base:.2f} ({_number(value * factor)})")
        drawing.y += BAR + GAP
    drawing.line(LEFT + scale, first - 3, LEFT + scale, drawing.y, "#333")
    drawing.y += 12


def _against(drawing, summary, form, title, unit, factor, times_count):
    """A line for each competitor, over the number of sessions held; both axes by powers of ten."""
    lines = {}
    for count in load.HELD:
        for name, value in summary.get(form.format(count), {}).items():
            if value > 0:
                lines.setdefault(name, []).append(
                    (count, value * factor * (count if times_count else 1)))
    points = [p for row in lines.values() for p in row]
    if not points:
        return
    height, bottom = 170, drawing.y + HEAD + 170
    low = 10 ** math.floor(math.log10(min(v for _, v in points)))
    high = 10 ** math.ceil(math.log10(max(v for _, v in points) * 1.001))
    left, right = math.log10(load.HELD[0]), math.log10(load.HELD[-1])

    def place(count, value):
        return (LEFT + (math.log10(count) - left) / (right - left) * (WIDTH - LEFT - RIGHT - 60),
                bottom - math.log10(value / low) / math.log10(high / low) * height)

    drawing.text(10, drawing.y + 20, title, 14, weight="bold")
    for count in load.HELD:
        x, _ = place(count, low)
        drawing.line(x, bottom - height, x, bottom)
        drawing.text(x, bottom + 16, str(count), anchor="middle")
    value = low
    while value <= high * 1.001:
        _, y = place(load.HELD[0], value)
        drawing.line(LEFT, y, WIDTH - RIGHT - 60, y)
        drawing.text(LEFT - 8, y + 4, f"{_number(value)} {unit}", anchor="end")
        value *= 10
    for name, row in lines.items():
        colour = COLOURS.get(name, OURS)
        spots = [place(*p) for p in row]
        for (x1, y1), (x2, y2) in zip(spots, spots[1:]):
            drawing.line(x1, y1, x2, y2, colour, 2)
        for x, y in spots:
            drawing.dot(x, y, colour)
        drawing.text(spots[-1][0] + 8, spots[-1][1] + 4, name)
    drawing.y = bottom + 30


def svg(result):
    summary, names = result["summary"], result["competitors"]
    drawing = Drawing()
    machine = result["machine"]
    drawing.text(10, drawing.y + 16, f"{machine['when']}: {machine['cpu']}, {machine['cores']} cores, "
                 f"Linux {machine['kernel']}, Engine {machine['engine']} on {machine['storage']}")
    drawing.y += 26
    for metric in BARS:
        _bars(drawing, summary, names, metric)
    _against(drawing, summary, "PSS each of {} held",
             f"{SHARED}: memory on the host of all sessions held", "MB", 1e-6, True)
    _against(drawing, summary, "login beside {} held",
             "a login beside so many sessions of the same user", "ms", 1e3, False)
    return str(drawing)
