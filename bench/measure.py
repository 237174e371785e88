"""The measurements. Each takes one sample of one competitor; interleave() decides
whose turn it is, so that a machine that slows down slows all of them."""
import contextlib
import os
import random
import select
import subprocess
import time

PIECE = 1 << 20


class Failed(Exception):
    pass


class Session:
    """An ssh client with pipes. What it says on stderr is kept for the error message."""

    def __init__(self, competitor, command, tty=False):
        self._start(competitor.name, competitor.argv(command, tty=tty))

    def _start(self, name, argv):
        self.name = name
        self.began = time.perf_counter()
        self.process = subprocess.Popen(argv, bufsize=0, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.inp, self.out = self.process.stdin.fileno(), self.process.stdout.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()

    def read(self, seconds=60):
        """What is there, and when it was; b"" at the end."""
        ready = select.poll()       # select(2) knows no descriptor beyond 1023
        ready.register(self.out, select.POLLIN)
        if not ready.poll(seconds * 1000):
            raise Failed(f"{self.name}: silent for {seconds} s")
        data = os.read(self.out, PIECE)
        return data, time.perf_counter()

    def read_until(self, end):
        seen = b""      # the last bytes alone: a download comes before some ends
        while end not in seen:
            data, when = self.read()
            if not data:
                raise Failed(f"{self.name}: ended with {self.process.wait()} after {seen!r}: "
                             f"{self.process.stderr.read()[-300:]!r}")
            seen = seen[-100:] + data
        return when

    def close_input(self):
        self.process.stdin.close()

    def end(self):
        """Waits for the client's end; when that was."""
        status = self.process.wait(60)
        when = time.perf_counter()
        if status != 0:
            raise Failed(f"{self.name}: status {status}: {self.process.stderr.read()[-300:]!r}")
        return when


def login(competitor):
    """Seconds to the first byte, to the client's end, and between the two: the
    command has nothing left to do once it has written."""
    with Session(competitor, "echo .") as session:
        session.close_input()
        first = session.read_until(b".")
        end = session.end()
    if competitor.settle:
        competitor.settle()
    return {"first byte": first - session.began, "end": end - session.began,
            "end after command": end - first}


def own(competitor, account):
    """Seconds from start to end of what sshd runs, for a command that does nothing,
    without sshd; and of the same command by itself."""
    env = {"PATH": "/usr/bin:/bin", "SSH_ORIGINAL_COMMAND": ":",
           "SSH_CONNECTION": "127.0.0.1 50000 127.0.0.1 22"}
    taken = []
    for argv in (list(competitor.helper), ["sh", "-c", ":"]):
        began = time.perf_counter()
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, **account)
        taken.append(time.perf_counter() - began)
        if done.returncode != 0:
            raise Failed(f"{competitor.name}: {argv[0]}: {done.stderr[-300:]!r}")
    return {"own time": taken[0], "own time of sh": taken[1]}


def download(competitor, size):
    """Bytes a second from the first byte to the last."""
    pieces = size // 65536
    with Session(competitor, f"dd if=/dev/zero bs=65536 count={pieces} 2>/dev/null") as session:
        session.close_input()
        data, first = session.read()
        total, last = len(data), first
        while data:
            data, when = session.read()
            if data:
                total, last = total + len(data), when
        session.end()
        if total != pieces * 65536:
            raise Failed(f"{competitor.name}: {total} of {pieces * 65536} bytes came")
        return {"download": total / (last - first)}


def upload(competitor, size):
    """Bytes a second from the first one sent until the command has seen the end."""
    with Session(competitor, "echo r; cat >/dev/null; echo d") as session:
        session.read_until(b"r")
        piece = bytes(PIECE)
        began = time.perf_counter()
        for _ in range(size // PIECE):
            view = memoryview(piece)
            while view:
                view = view[os.write(session.inp, view):]
        session.close_input()
        done = session.read_until(b"d")
        session.end()
        return {"upload": size // PIECE * PIECE / (done - began)}


def typing(competitors, keys, sessions, drop):
    """Seconds from a key to its echo by a program on the PTY, in so many sessions of each one
    after the other, of which every one has its own pace."""
    samples = {}
    for _ in range(sessions):
        for name, row in _typed(competitors, keys // sessions, drop).items():
            samples.setdefault(name, []).extend(row)
    return samples


def _typed(competitors, keys, drop):
    """All sessions are open at once and get each key in turn: in blocks the CPU's sleep states
    decide (59 to 245 us were seen for the same sshd)."""
    samples = {c.name: [] for c in competitors}
    sessions = {}
    try:
        for c in competitors:
            try:
                # Not cat: a container of docker run's outlives its client, and cat with it.
                sessions[c.name] = Session(c, f"stty raw -echo; echo READY; exec dd bs=1 "
                                           f"count={keys} 2>/dev/null", tty=True)
                sessions[c.name].read_until(b"READY\n")
            except Failed as err:
                drop(c.name, err)
                sessions.pop(c.name).__exit__()
        for key in range(keys):
            for name in random.sample(sorted(sessions), len(sessions)):
                session = sessions[name]
                began = time.perf_counter()
                os.write(session.inp, b"k")
                data, when = session.read(10)
                if data != b"k":
                    raise Failed(f"{name}: sent k, got {data!r} back")
                if key >= keys // 10:  # the first ones warm up
                    samples[name].append(when - began)
            time.sleep(random.uniform(0.002, 0.01))
        for name, session in sessions.items():
            try:
                session.end()
            except (Failed, subprocess.TimeoutExpired) as err:
                drop(name, err)
    finally:
        for session in sessions.values():
            session.__exit__()
    return {name: samples[name] for name in sessions}


def _cpu(pid):
    """Seconds that a process has used, its threads and the children it waited for too."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0


ENGINES = ("dockerd", "containerd")     # podman is all client


def _work(before, uid, client):
    """process -> whose, and CPU seconds so far, of a session's on the host: sshd's own, of which
    some run as the user; those that run for the user beside it; the engine's."""
    here = os.readlink("/proc/self/ns/pid")
    found = {}
    for pid, (name, owner, ns) in processes().items():
        if ns != here or pid == client:
            continue
        if name.startswith(ENGINES):
            found[pid] = "engine", _cpu(pid)
        elif pid in before:
            continue
        elif name.startswith("sshd"):
            found[pid] = "users" if owner == uid else "monitor", _cpu(pid)
        elif owner == uid:
            found[pid] = "own", _cpu(pid)
    return found


def _spent(began, now):
    """Seconds by each. What has ended meanwhile, as a container that was here before, counts
    for nothing, and not for less."""
    spent = dict.fromkeys(("engine", "users", "monitor", "own"), 0)
    for pid, (whose, seconds) in now.items():
        spent[whose] += seconds - began.get(pid, (whose, 0))[1]
    return spent


def effort(competitor, uid, size):
    """CPU seconds for one download, the login not counted: of what runs as the user beside sshd,
    as a part of sshd's own; and of each of them for a GiB. The command's own work is bare sshd's,
    too, and counted nowhere."""
    before = processes()
    pieces = size // 65536
    command = (f"echo ready; read go; dd if=/dev/zero bs=65536 count={pieces} 2>/dev/null; "
               "echo done; exec cat")
    with Session(competitor, command) as session:
        session.read_until(b"ready\n")
        began = _work(before, uid, session.process.pid)
        os.write(session.inp, b"go\n")
        session.read_until(b"done")
        spent = _spent(began, _work(before, uid, session.process.pid))
        session.close_input()
        session.end()
    sshd = spent["monitor"] + spent["users"]
    # Where nothing contains it, what runs as the user is the command itself.
    own = spent["own"] if competitor.contained else 0
    gib = size / (1 << 30)
    taken = {"CPU a GiB": (sshd + own + spent["engine"]) / gib, "CPU a GiB of sshd": sshd / gib,
             "CPU a GiB of the engine": spent["engine"] / gib}
    if competitor.contained:
        taken["CPU of sshd's"] = own / spent["users"] if spent["users"] else 0
        taken["CPU a GiB of the helper"] = own / gib
    return taken


def processes():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status")
                          if ":\t" in line)
            found[int(pid)] = (status["Name"].strip(), int(status["Uid"].split()[0]),
                               os.readlink(f"/proc/{pid}/ns/pid"))
        except (OSError, KeyError):
            continue
    return found


def pss(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def memory(competitor, uid):
    """Bytes (PSS) that one held session costs outside its container: what runs
    as the user beside sshd, and the engine's shims."""
    before = processes()
    with Session(competitor, "echo up; exec cat") as session:
        session.read_until(b"up")
        time.sleep(0.3)  # what starts up beside it has come to rest
        new = {p: v for p, v in processes().items() if p not in before}
        here = os.readlink("/proc/self/ns/pid")
        own = [p for p, (name, owner, ns) in new.items()
               if owner == uid and ns == here and not name.startswith("sshd")]
        shims = [p for p, (name, owner, _) in new.items()
                 if owner == 0 and name.startswith("containerd-shim")]
        result = {"PSS own": sum(map(pss, own)), "PSS shim": sum(map(pss, shims))}
        session.close_input()
        session.end()
    # The next one's "before" must not hold what is going away.
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{p}") for p in own + shims) and time.monotonic() < end:
        time.sleep(0.05)
    return result


def same_container(competitor, engine, label):
    """The create body of the container that this competitor makes, as the
    engine tells it; the labels left out, which say whose it is."""
    with Session(competitor, "echo up; exec cat") as session:
        session.read_until(b"up")
        rows = engine.with_label(label)
        if not rows:
            raise Failed(f"{competitor.name}: no container with {label}")
        seen = engine.inspect(rows[0]["Id"])
    body = {**seen["Config"], "HostConfig": seen["HostConfig"], "Labels": {},
            "Entrypoint": [], "Cmd": ["sleep", "60"]}
    mounts = body["HostConfig"].get("Mounts") or []
    # The session's own folder goes with it.
    body["HostConfig"]["Mounts"] = [m for m in mounts if m["Target"] != "/.berth/run"]
    return body


@contextlib.contextmanager
def one_processor():
    """For what is started meanwhile; its number. Who shares one wakes nobody on another, which
    takes as long as a small file's whole way, now and then (README)."""
    before = os.sched_getaffinity(0)
    number = min(before)
    os.sched_setaffinity(0, {number})
    try:
        yield number
    finally:
        os.sched_setaffinity(0, before)


def interleave(rounds, turns, drop, before=lambda: None):
    """turns: name -> function that gives {metric: sample}. Every round takes
    one sample of each, in a new order, once before() was called. Returns
    {metric: {name: [samples]}}.
    Who fails is dropped: half a row of samples would be compared with whole ones."""
    samples, turns = {}, dict(turns)
    for number in range(rounds + 1):
        before()
        for name in random.sample(sorted(turns), len(turns)):
            try:
                taken = turns[name]()
            except Exception as err:    # half an hour of others' samples is worth more
                drop(name, err if isinstance(err, Failed) else repr(err))
                del turns[name]
                continue
            for metric, value in taken.items():
                if number > 0:  # the first round warms up
                    samples.setdefault(metric, {}).setdefault(name, []).append(value)
    return {metric: {name: row for name, row in rows.items() if name in turns}
            for metric, rows in samples.items()}
