"""The table of what held, made of a run's own reports."""
import platform
import re
import subprocess
import time

from stages import CHANNELS, STAGES

NO_CONTAINER = "there is no process in the container yet"
ENDED = "it has ended with its command"
NOTHING_RUNS = "no command runs in the container yet"
# Why a fault can't be had at a stage; without a channel for both.
NOT_POSSIBLE = {
    ("guest killed", None, "before create"): NO_CONTAINER,
    ("guest killed", None, "created"): NO_CONTAINER,
    ("guest killed", "attach", "connected"): NO_CONTAINER,
    ("guest killed", None, "at exit"): ENDED,
    ("containerd-shim killed", None, "before create"): NO_CONTAINER,
    ("containerd-shim killed", None, "created"): NO_CONTAINER,
    ("containerd-shim killed", "attach", "connected"): NO_CONTAINER,
    ("containerd-shim killed", None, "at exit"): ENDED,
    ("PID limit reached", None, "created"): NOTHING_RUNS,
    ("out of memory", None, "before create"): NOTHING_RUNS,
    ("out of memory", None, "created"): NOTHING_RUNS,
    ("out of memory", None, "connected"): NOTHING_RUNS,
}
# Elsewhere there is nothing new of them: none but the command writes to the home, and the clock
# can't jump, it is ahead from the start.
ONLY_AT = {"home full": ("started",), "monotonic clock a year ahead": ("started", "mid-stream")}
FAULTS = ("client killed", "sshd's child killed", "helper killed", "guest killed",
          "containerd-shim killed", "engine killed", "engine stopped, started", "network cut",
          "engine's disk full", "runtime directory full", "home full", "PID limit reached",
          "out of memory", "wall clock a day ahead", "wall clock a day back",
          "monotonic clock a year ahead")


def why_not(fault, channel, stage):
    return NOT_POSSIBLE.get((fault, None, stage)) or NOT_POSSIBLE.get((fault, channel, stage))


def said(*argv):
    got = subprocess.run(argv, capture_output=True, text=True, check=True)
    return (got.stdout or got.stderr).strip()


class Table:
    def __init__(self, config):
        self.config, self.cells = config, {}

    def pytest_runtest_logreport(self, report):
        failed = report.failed and re.search(r"\[(\w+)-(.+), ([^,]+)\]$", report.nodeid)
        if failed:
            channel, fault, stage = failed.groups()
            self.cells[fault, channel, stage] = "FAILED"
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "fault" and not report.failed:
                *cell, how = value
                self.cells[tuple(cell)] = how

    def pytest_sessionfinish(self):
        path = self.config.getoption("table", None)
        if path and not hasattr(self.config, "workerinput"):
            with open(path, "w") as f:
                f.write(self.text())

    def text(self):
        notes, parts = [], [
            "# Faults: what held\n",
            f"`make faults` made this on {time.strftime('%Y-%m-%d')}: Linux {platform.release()}, "
            f"{said('dockerd', '--version')}, {said('ssh', '-V').split(',')[0]}.\n",
            "A cell says how the session came out. In each of them the bytes that had been "
            "acknowledged were there, client and log were told what the test names, no container, "
            "process or file was left, and the next session was as ever (README). "
            "-: nothing new of it at that stage (none but the command writes to the home; that "
            "clock is ahead from the start).\n"]
        for channel in CHANNELS:
            parts.append(f"\n## {channel}\n")
            parts.append("| | " + " | ".join(STAGES) + " |")
            parts.append("|---" * (len(STAGES) + 1) + "|")
            for fault in FAULTS:
                row = [self.cell(fault, channel, stage, notes) for stage in STAGES]
                parts.append(f"| {fault} | " + " | ".join(row) + " |")
        parts.append("")
        parts += [f"{number}. Not possible: {note}." for number, note in enumerate(notes, 1)]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)) + "\n"

    def cell(self, fault, channel, stage, notes):
        why = why_not(fault, channel, stage)
        if stage not in ONLY_AT.get(fault, STAGES):
            return "-"
        if not why:
            return self.cells.get((fault, channel, stage), "not run")
        if why not in notes:
            notes.append(why)
        return f"[{notes.index(why) + 1}]"
