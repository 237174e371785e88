"""The helper's processes on this machine, read from /proc."""
import os


def _status(pid):
    fields = {}
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields


def of_users(uids):
    """Each process of uids: (pid, ppid, state, name, exe). A zombie that only awaits PID 1 is
    nobody's fault here: some machines' PID 1 reaps late."""
    rows = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = _status(pid)
            if int(status["Uid"].split()[0]) not in uids:
                continue
            if status["State"][0] == "Z" and status["PPid"] == "1":
                continue
            try:
                exe = os.readlink(f"/proc/{pid}/exe")
            except OSError:
                exe = ""
            rows.append((int(pid), int(status["PPid"]), status["State"][0],
                         status["Name"], exe))
        except (FileNotFoundError, ProcessLookupError, KeyError):
            pass
    return rows


def berths(uids, helper):
    """All processes of the helper's program: helpers, watchers, zombies."""
    return [r for r in of_users(uids)
            if r[4].split(" ")[0] == helper or r[3].startswith("berth") and r[3] != "berth-guest"]


def guests(program, runtime):
    """Every process, of any uid, that runs this very guest (containers see it at another path)
    with a folder of this runtime directory mounted: rows as of_users has them."""
    # From the mounted file system's root: runtime's own last two names are enough.
    mark = "/".join(runtime.split("/")[-2:]) + "/"
    try:
        ours = os.stat(program)
    except FileNotFoundError:
        return []
    rows = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            info = os.stat(f"/proc/{pid}/exe")
            if (info.st_dev, info.st_ino) != (ours.st_dev, ours.st_ino):
                continue
            with open(f"/proc/{pid}/mountinfo") as f:
                if mark not in f.read():
                    continue
            status = _status(pid)
            rows.append((int(pid), int(status["PPid"]), status["State"][0], status["Name"],
                         os.readlink(f"/proc/{pid}/exe")))
        except (FileNotFoundError, ProcessLookupError, PermissionError, KeyError):
            pass
    return rows


def descriptors(pid):
    """What a process has open: {descriptor: 'pipe:[5]' or a path}."""
    folder, found = f"/proc/{pid}/fd", {}
    for fd in os.listdir(folder):
        try:
            found[int(fd)] = os.readlink(f"{folder}/{fd}")
        except FileNotFoundError:
            pass
    return found


def sleeps(pid):
    """How often the process has gone to sleep by itself."""
    return int(_status(pid)["voluntary_ctxt_switches"])


def cpu_ms(pid):
    """CPU time that the process's main thread has used, finer than utime and stime tell it."""
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e6


def with_argument(word):
    """Pids of all processes that have this argument."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if word.encode() in f.read().split(b"\0"):
                    found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def helpers(uids, helper):
    """Only those that sshd's child runs: pids."""
    found = []
    for pid, ppid, state, _, exe in berths(uids, helper):
        try:
            if state != "Z" and exe and _status(ppid)["Name"].startswith("sshd"):
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def watchers(uids, helper):
    direct = set(helpers(uids, helper))
    return [r[0] for r in berths(uids, helper)
            if r[0] not in direct and r[2] != "Z" and r[4]]


def ended(pid):
    """Reaped or not: it has no files, and so no locks, any more."""
    try:
        return _status(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def parent(pid):
    return int(_status(pid)["PPid"])


def children(pid):
    found = []
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            if parent(other) == pid:
                found.append(int(other))
        except (FileNotFoundError, ProcessLookupError, KeyError):
            pass
    return found


def rss(pid):
    """Resident bytes; smaps_rollup counts what is mapped, not what once was."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no Rss in smaps_rollup")
