"""What there is on this machine, which is all the soak's: processes, descriptors, memory, files."""
import collections
import contextlib
import os
import re

from harness import procs

# Those whose memory must not grow. The engine's own is not berth's.
OURS, ENGINES = ("berth", "sshd"), ("dockerd", "containerd")
ZOMBIE = "zombie "


def processes():
    """{(pid, start): name}: the number alone may be another one's by now."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/stat") as f:
                head, _, tail = f.read().rpartition(")")
            name, words = head.split("(", 1)[1], tail.split()
            found[int(pid), int(words[19])] = ZOMBIE * (words[0] == "Z") + name
    return found


def is_ours(name):
    return name.startswith(OURS)


def is_watched(name):
    return name.startswith(OURS + ENGINES)


def usage(pid):
    """(descriptors of each kind, resident bytes), or None for one that has ended."""
    try:
        kinds = (re.sub(r"\d+|[0-9a-f]{64}", "N", what)
                 for what in procs.descriptors(pid).values())
        return collections.Counter(kinds), procs.rss(pid)
    except (FileNotFoundError, ProcessLookupError, AssertionError):
        return None


def files(folder):
    found = set()
    for root, folders, names in os.walk(folder):
        found.update(os.path.join(root, name) for name in folders + names)
    return found


def mounts():
    with open("/proc/self/mountinfo") as f:
        return {row.split()[4] for row in f}


def terminals():
    return set(os.listdir("/dev/pts"))


class Inventory:
    """All of it at one moment."""

    def __init__(self, place):
        self.processes = processes()
        self.containers = {row["Id"]: (row["Names"][0][1:] if row["Names"] else row["Id"],
                                       row["Labels"]["berth.user"], row["State"])
                           for row in place.engine.containers(place.accounts)}
        self.volumes = set(r["Name"] for r in place.engine.call("GET", "/volumes")["Volumes"] or [])
        self.left = set(place.left_files())
        self.files = files(place.runtime) | files(place.work) | files("/tmp") | files("/dev/shm")
        self.mounts, self.terminals = mounts(), terminals()

    def sizes(self):
        """{(pid, start): (name, descriptors of each kind, resident bytes)}"""
        found = {}
        for key, name in self.processes.items():
            if is_watched(name) and (size := usage(key[0])) is not None:
                found[key] = (name, *size)
        return found

    def beyond(self, other, place):
        """What is there that wasn't then, and who isn't any more: empty when all is well."""
        kept = {ident: (name, user, state) for ident, (name, user, state) in self.containers.items()
                if not (state == "exited" and dict(place.own).get(user) == "stop")}
        left = [f"container {' '.join(kept[i])}" for i in kept.keys() - other.containers.keys()]
        left += [f"no container {' '.join(other.containers[i])}"
                 for i in other.containers.keys() - self.containers.keys()]
        for what in ("volumes", "left", "mounts", "terminals"):
            now, then = getattr(self, what), getattr(other, what)
            left += [f"{what}: {name}" for name in sorted(now - then)]
        left += [f"process {key[0]} {self.processes[key]} {_said_of(key[0])}"
                 for key in sorted(self.processes.keys() - other.processes.keys())]
        left += [f"no process {key[0]} {other.processes[key]}"
                 for key in sorted(other.processes.keys() - self.processes.keys())
                 if other.processes[key].startswith("berth")]
        return left


def _said_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().replace(b"\0", b" ").decode("utf-8", "backslashreplace")
        with open(f"/proc/{pid}/stat") as f:
            state, parent = f.read().rsplit(")", 1)[1].split()[:2]
        return f"{state} of {parent}: {words[:200]}"
    except (FileNotFoundError, ProcessLookupError):
        return "(ended)"


def total(sizes, whose):
    """(processes, descriptors, resident bytes) of all whose names begin so."""
    rows = [row for row in sizes.values() if row[0].startswith(whose)]
    return len(rows), sum(row[1].total() for row in rows), sum(row[2] for row in rows)


def growth(first, last, allowed):
    """Each process of both as a row, with what is wrong with it. allowed(name) is how many bytes,
    None for any, and how many descriptors it may have more."""
    rows = []
    for key, (name, descriptors, rss) in sorted(first.items()):
        if key not in last:
            continue
        _, descriptors_now, rss_now = last[key]
        more_bytes, more_descriptors = allowed(name)
        wrong = []
        if descriptors_now.total() > descriptors.total() + more_descriptors:
            wrong.append(f"descriptors: {dict(descriptors_now - descriptors)}")
        if more_bytes is not None and rss_now > rss + more_bytes:
            wrong.append("memory")
        rows.append({"process": name, "pid": key[0],
                     "descriptors": [descriptors.total(), descriptors_now.total()],
                     "rss": [rss, rss_now], "grows": wrong})
    return rows
