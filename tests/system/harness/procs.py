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
            if r[4].split(" ")[0] == helper or r[3].startswith("berth")]


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


def parent(pid):
    return int(_status(pid)["PPid"])


def rss(pid):
    """Resident bytes; smaps_rollup counts what is mapped, not what once was."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no Rss in smaps_rollup")
