"""What clients do, and what must come of it."""
import contextlib
import hashlib
import os
import re
import signal
import subprocess

from harness import procs
from harness.client import Login, Proxy
from harness.forwarding import Connection, line, rest
from harness.terminal import Terminal
from harness.wait import wait_for
from place import DENIED, DENIED_USER

# s. Fifty clients share what processors there are: what succeeds may take its time, and what was
# killed must end.
LIMIT, END = 300, 180
# What berth says when it has given the engine up: right, where that is too slow.
TOO_SLOW = re.compile(r"no answer in time|said nothing in 10 s")
_TAGS = iter(range(100000000, 1 << 30))


class Victim:
    """A command that doesn't end by itself, known by a process of its own. One that SIGPIPE ends
    is no good: what it left in the background goes on in a shared container, as on any host."""

    SHAPES = {
        "sleeps": "{up}; exec sleep {tag}",
        "deaf": "trap '' HUP TERM INT QUIT PIPE; {up}; while :; do sleep {tag}; done",
        "writes": "{up}; exec sh -c 'while :; do cat /data/page; done' {tag}",
        "children": "(sleep {tag}; :) & {up}; sleep {tag}",
    }

    def __init__(self, turn, shape=None, port=None):
        self.turn, self.tag = turn, str(next(_TAGS))
        shape = self.SHAPES[shape or turn.random.choice(list(self.SHAPES))]
        self.command = shape.format(up="echo up $SSH_CLIENT", tag=self.tag)
        self.proc = turn.keep(turn.login.start(self.command, port=port))
        try:
            said = line(self.proc, LIMIT)
        except AssertionError as error:
            self.proc.kill()
            raise AssertionError(f"{error}: {self.proc.communicate()[1]}") from None
        assert said.startswith("up "), said
        self.port = int(said.split()[2])
        self.pids = wait_for(lambda: procs.with_argument(self.tag), LIMIT, "its command",
                             pause=0.2)

    def container(self):
        with open(f"/proc/{self.pids[0]}/cgroup") as f:
            return re.search(r"\b[0-9a-f]{64}\b", f.read()).group()

    def helper(self):
        return self.turn.place.helper_of(self.turn.user, self.port)

    def runs(self):
        # The numbers may be others' by now.
        for pid in self.pids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if self.tag.encode() in f.read().split(b"\0"):
                        return True
        self.pids = procs.with_argument(self.tag)
        return bool(self.pids)

    def ended(self, *statuses):
        """On both sides; the client by one of these statuses, or not by 0."""
        _, said = self.proc.communicate(timeout=END)
        status = self.proc.returncode
        assert status in statuses if statuses else status != 0, (status, said)
        self.gone()

    def gone(self):
        wait_for(lambda: not self.runs(), END,
                 lambda: f"no process of the command's: {self.pids}", pause=0.2)


class Turn:
    """One deed of one client."""

    def __init__(self, place, random, user, policy, folder):
        self.place, self.random, self.user, self.folder = place, random, user, folder
        self.policy = policy
        self.login = Login(place.client, user, "busybox")
        self.attach = place.policy(policy).get("channel") == "attach"
        self.alone = user[len("bt-soak-"):] != policy
        self.kept = contextlib.ExitStack()

    def keep(self, proc):
        """Ended at the latest with the turn."""
        def end():
            if proc.poll() is None:
                proc.kill()
                proc.communicate(timeout=END)
        self.kept.callback(end)
        return proc

    def terminal(self, *command, opts=("-tt",), **kw):
        it = Terminal(self.login.argv(*command, opts=opts), **kw,
                      env={**os.environ, "TERM": "xterm"})
        self.kept.callback(it.close)
        return it

    def bytes(self, most):
        start = self.random.randrange(len(self.place.content) - most)
        return self.place.content[start:start + self.random.randint(1, most)]

    def file(self, name, content=None):
        path = os.path.join(self.folder, name)
        self.kept.callback(lambda: os.path.exists(path) and os.unlink(path))
        if content is not None:
            with open(path, "wb") as f:
                f.write(content)
        return path

    def killed(self, number):
        """What ssh ends with when a signal ended the command."""
        return 128 + number if self.attach else 255


def got(seen, *expected):
    seen = (seen.returncode, seen.stdout, seen.stderr)
    assert seen == expected, \
        (seen[0], len(seen[1]), seen[1][-300:], seen[2][-1000:], "expected", expected[0],
         len(expected[1]), expected[2])


# --- what succeeds

def command(turn):
    sent, status = turn.bytes(200000), turn.random.randrange(200)
    seen = turn.login.run(f"cat; echo said >&2; exit {status}", input=sent, timeout=LIMIT)
    got(seen, status, sent, b"said\n")


def download(turn):
    block, blocks = turn.random.randrange(200), turn.random.randint(1, 56)
    seen = turn.login.run(f"dd if=/data/stream bs=65536 skip={block} count={blocks} 2>/dev/null",
                          timeout=LIMIT)
    got(seen, 0, turn.place.content[block << 16:(block + blocks) << 16], b"")


def upload(turn):
    sent = turn.bytes(4 << 20)
    seen = turn.login.run("sha256sum", input=sent, timeout=LIMIT)
    got(seen, 0, hashlib.sha256(sent).hexdigest().encode() + b"  -\n", b"")


def sftp(turn):
    """There and back in one session, since the next may have another container."""
    sent = turn.bytes(1 << 20)
    there, back = turn.file("there", sent), turn.file("back")
    name = f"/tmp/{next(_TAGS)}"
    script = f"put {there} {name}\nrename {name} {name}.2\nget {name}.2 {back}\nrm {name}.2\n"
    seen = subprocess.run(["sftp", "-q", *turn.login.client.options(), "-b", "-",
                           f"{turn.user}@127.0.0.1"], input=script.encode(), capture_output=True,
                          timeout=LIMIT)
    assert seen.returncode == 0, seen
    with open(back, "rb") as f:
        assert f.read() == sent, "other bytes"


def scp(turn):
    """By a folder of the host's."""
    sent = turn.bytes(1 << 20)
    there, back = turn.file("there", sent), turn.file("back")
    name = str(next(_TAGS))
    work = os.path.join(turn.place.work, name)
    turn.kept.callback(lambda: os.path.exists(work) and os.unlink(work))
    far = f"{turn.user}@127.0.0.1:/work/{name}"
    for source, target in ((there, far), (far, back)):
        seen = subprocess.run(["scp", "-q", *turn.login.client.options(), source, target],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT)
        assert seen.returncode == 0, seen
    for path in (work, back):
        with open(path, "rb") as f:
            assert f.read() == sent, f"other bytes in {path}"


def shell(turn):
    rows, cols, status = turn.random.randint(10, 60), turn.random.randint(40, 200), \
        turn.random.randrange(1, 200)
    it = turn.terminal(rows=24, cols=80)
    it.send("PS1='RE''ADY> '; stty size; echo sy''nc\r")
    it.expect(rb"24 80\r\nsync\r?\n.*READY> ", timeout=LIMIT)
    it.resize(rows, cols)
    it.send(f'while [ "$(stty size)" != "{rows} {cols}" ]; do sleep 0.2; done; echo si""zed\r')

    def sized():
        it.nudge()
        return b"sized\r\n" in it.raw
    it.until(sized, "the new size", timeout=LIMIT)
    for word in ("one", "two", "three"):
        it.send(f'echo {word}""{word}\r')
        it.expect(f"{word}{word}\r\n.*READY> ".encode(), timeout=LIMIT)
    it.send(f"exit {status}\r")
    seen = it.end(LIMIT)
    assert seen == status, (seen, status, it.raw[-300:])


def agent(turn):
    seen = turn.login.run("/agent-client", opts=["-A"], env=turn.place.agent.env, timeout=LIMIT)
    got(seen, 0, b"1 keys\n", b"")


def several(turn):
    """Sessions at once by one connection; where the policy has it, a forward too."""
    conn = Connection(turn.place.client, turn.user, os.path.join(turn.folder, "c"), timeout=LIMIT)
    turn.kept.callback(conn.close)
    jobs = []
    for _ in range(turn.random.randint(2, 5)):
        sent, status = turn.bytes(50000), turn.random.randrange(200)
        jobs.append((sent, status, turn.keep(conn.start(f"cat; exit {status}"))))
    for sent, status, proc in jobs:
        out, err = proc.communicate(sent, timeout=LIMIT)
        got(subprocess.CompletedProcess([], proc.returncode, out, err), status, sent, b"")
    if turn.place.policy(turn.policy).get("forwarding"):
        forwarded(turn, conn)


def forwarded(turn, conn):
    """A file by a web server that listens in the container alone."""
    port = turn.random.randint(2000, 9999)
    server = turn.keep(conn.start(
        f"httpd -f -p 127.0.0.1:{port} -h /data & "
        f"until wget -q -O /dev/null http://127.0.0.1:{port}/page; do sleep 0.2; done; "
        "echo up; cat >/dev/null; kill $!"))
    assert line(server, LIMIT) == "up"
    with conn.open(port) as sock:
        sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        head, _, body = rest(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.") and b" 200 " in head and body == turn.place.page, \
        (head, len(body))
    server.communicate(b"", timeout=LIMIT)


def refused(turn):
    """By berth.conf, by pam_berth for who has no section there, and by sshd."""
    user, status, word, options = turn.random.choice((
        (DENIED_USER, 254, DENIED.encode(), ()),
        ("bt-unmapped", 255, b"", ()),
        (turn.user, 255, b"Permission denied", ("-o", "PubkeyAuthentication=no"))))
    seen = turn.place.client.run(user, "echo ran", opts=options, timeout=LIMIT)
    assert (seen.returncode, seen.stdout) == (status, b"") and word in seen.stderr, seen


# --- what is killed

def by_signal(turn):
    number = turn.random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1))
    seen = turn.login.run(f"echo said; kill -{int(number)} $$; sleep 1000", timeout=LIMIT)
    got(seen, turn.killed(number), b"said\n", seen.stderr)


def command_killed(turn):
    """From outside."""
    victim = Victim(turn, "sleeps")
    os.kill(victim.pids[0], signal.SIGKILL)
    victim.ended(turn.killed(signal.SIGKILL))


def client_killed(turn):
    victim = Victim(turn)
    victim.proc.kill()
    victim.ended(-signal.SIGKILL)


def connection_cut(turn):
    proxy = Proxy(turn.place.sshd.port)
    turn.kept.callback(proxy.close)
    victim = Victim(turn, port=proxy.port)
    proxy.cut()
    victim.ended(255)


def hung_up(turn):
    """By the client's own ~."""
    it = turn.terminal("trap '' HUP; echo up; while :; do sleep 1; done")
    it.expect(rb"up\r\n", timeout=LIMIT)
    it.send("\r~.")
    assert it.end(END) == 255, it.raw[-300:]


def helper_killed(turn):
    victim = Victim(turn)
    os.kill(victim.helper(), signal.SIGKILL)
    victim.ended()


def child_killed(turn):
    """sshd's process that is the user's."""
    victim = Victim(turn)
    os.kill(procs.parent(victim.helper()), signal.SIGKILL)
    victim.ended(255)


def monitor_killed(turn):
    """root's, which would have closed PAM's session."""
    victim = Victim(turn)
    os.kill(procs.parent(procs.parent(victim.helper())), signal.SIGKILL)
    victim.proc.kill()
    victim.ended(-signal.SIGKILL)


def watcher_killed(turn):
    """And the helper: nobody is left to remove the container but a sweep."""
    victim = Victim(turn)
    helper = victim.helper()
    for pid in turn.place.watchers(turn.user) + [helper]:
        # One that had another container to remove may be done.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    victim.proc.communicate(timeout=END)
    if turn.attach and turn.place.policy(turn.policy).get("scope") == "user":
        command(turn)
    victim.ended()
    command(turn)


def guest_killed(turn):
    victim = Victim(turn)
    os.kill(turn.place.engine.inspect(victim.container())["State"]["Pid"], signal.SIGKILL)
    victim.ended()
    command(turn)


def removed(turn):
    """The container, by hand."""
    victim = Victim(turn)
    turn.place.engine.remove(victim.container())
    victim.ended()
    command(turn)


# How often each, of all.
EVERYWHERE = {command: 6, download: 3, upload: 3, sftp: 3, scp: 2, shell: 5, agent: 2, several: 3,
              refused: 2, by_signal: 2, command_killed: 1, client_killed: 3, connection_cut: 2,
              hung_up: 2, helper_killed: 2, child_killed: 1, monitor_killed: 1}
# What more befalls the container of who is alone in it.
ALONE = {watcher_killed: 1, guest_killed: 1, removed: 1}
ALL = {**EVERYWHERE, **ALONE}


def choose(turn, only=None):
    """`only`: names of deeds."""
    weights = {deed: weight for deed, weight in (ALL if turn.alone else EVERYWHERE).items()
               if not only or deed.__name__ in only}
    # Who is not alone may have none of them.
    return turn.random.choices(list(weights), list(weights.values()))[0] if weights else command
