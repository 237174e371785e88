"""berth kill, and the administrator's SIGTERM: the session ends, and nothing is left."""
import contextlib
import fcntl
import json
import os
import re
import resource
import signal
import subprocess

import pytest

from harness.terminal import Terminal
from harness.wait import wait_for

all_three = pytest.mark.channels("direct", "attach", "exec")
TWIN = "bt-killtwin"
TOLD = b"berth: this session was ended by the administrator"


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def start(login, command="echo up; sleep 1000", **kw):
    proc = login.start(command, **kw)
    begun(proc)
    return proc


def nothing_left(world):
    wait_for(lambda: not world.containers() and not world.berths(), 5,
             lambda: f"nothing: {world.containers()} {world.berths()}")


def closed(world, session):
    return world.syslog.wait(rf"close session={session} .* status=254 reason=killed duration=\S+",
                             world.mark)


@all_three
def test_one_session(world, login):
    doomed, other = start(login), start(world.login("bt-dash"))
    session = world.present("bt-bash")[0]["session"]
    got = world.berth("kill", session)
    assert (got.returncode, got.stderr) == (0, ""), got
    assert got.stdout == f"{session} (bt-bash): ended\n1 ended\n"
    out, err = doomed.communicate(timeout=10)
    assert (out, doomed.returncode, err) == (b"", 254, TOLD + b"\n")
    closed(world, session)
    world.syslog.wait(rf'berth(\[\d+\])?: kill session={session} user="bt-bash" uid=\d+ pid=\d+',
                      world.mark)
    wait_for(lambda: not world.containers("bt-bash"), 5, "its container gone")
    assert len(world.containers("bt-dash")) == 1
    other.kill()
    other.communicate()
    nothing_left(world)


def test_log_in_json(world, login):
    world.conf.raw("audit_format = json\n" + world.conf.text())
    proc = start(login)
    row = world.present()[0]
    assert world.berth("kill", row["session"]).returncode == 0
    proc.communicate(timeout=10)
    line = world.syslog.wait(r"berth\[\d+\]: (\{.*)", world.mark).group(1)
    assert json.loads(line) == {"event": "kill", "session": row["session"], "user": "bt-bash",
                                "uid": row["uid"], "pid": row["pid"]}


@all_three
def test_a_terminal_is_told(world, login):
    it = Terminal(login.argv("echo up; sleep 1000", opts=("-tt",)))
    it.expect(rb"up\r\n")
    assert world.berth("kill", world.present()[0]["session"]).returncode == 0
    assert it.end() == 254
    assert TOLD in it.raw
    nothing_left(world)


def test_spliced_pipes_are_told(world, login):
    world.conf.write(audit_bytes=True)
    proc = start(login)
    assert world.berth("kill", world.present()[0]["session"]).returncode == 0
    _, err = proc.communicate(timeout=10)
    assert (proc.returncode, err) == (254, TOLD + b"\n")


def test_all_of_a_user(world, login):
    procs = [start(login) for _ in range(3)]
    other = start(world.login("bt-dash"))
    sessions = {row["session"] for row in world.present("bt-bash")}
    got = world.berth("kill", "--user", "bt-bash")
    assert (got.returncode, got.stderr) == (0, ""), got
    lines = got.stdout.splitlines()
    assert {line.split(" ")[0] for line in lines[:-1]} == sessions and lines[-1] == "3 ended"
    for proc in procs:
        proc.communicate(timeout=10)
        assert proc.returncode == 254
    assert [row["user"] for row in world.present()] == ["bt-dash"]
    got = world.berth("kill", "--user", str(world.uid("bt-bash")))
    assert (got.returncode, got.stdout) == (0, "0 ended\n")
    other.kill()
    other.communicate()
    nothing_left(world)


# Every other slot: adjoining locks of one process are one lock.
CROWD = """\
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
for i in range(int(sys.argv[2])):
    fcntl.lockf(file, fcntl.LOCK_EX, 512, (1000 + 2 * i) * 512)
print("up", flush=True)
time.sleep(1000)
"""


@contextlib.contextmanager
def crowd(world, login, count):
    """So many sessions without a record, as one process of bt-bash's."""
    assert login.run("true").returncode == 0
    uid = world.uid("bt-bash")
    proc = subprocess.Popen(["/usr/bin/python3", "-c", CROWD,
                             os.path.join(world.runtime, str(uid), "sessions"), str(count)],
                            user=uid, group=uid, stdout=subprocess.PIPE)
    try:
        begun(proc)
        yield proc
    finally:
        proc.kill()
        proc.communicate()


def with_files(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_sessions_than_files_may_be_open(world, login):
    with crowd(world, login, 300) as proc:
        got = world.berth("kill", "--user", "bt-bash", preexec_fn=with_files(256, 1024))
        assert (got.returncode, got.stderr) == (0, ""), got
        assert got.stdout.endswith("\n300 ended\n")
        assert proc.wait(10) == -signal.SIGTERM
    with crowd(world, login, 300):
        got = world.berth("kill", "--user", "bt-bash", preexec_fn=with_files(64, 64))
        assert (got.returncode, got.stderr) == (
            1, "berth kill: 268 sessions are left, for want of files that may be open (ulimit "
               "-Hn): run it again\n"), got
        assert got.stdout.endswith("\n32 ended\n")


def test_the_second_name_of_a_uid(world, login):
    """Whose a session is that has no record can't be told: that is said, and it is left."""
    uid = world.uid("bt-bash")
    with crowd(world, login, 1) as proc:
        told = start(login)
        subprocess.run(["useradd", "-M", "-o", "-u", str(uid), TWIN], check=True,
                       capture_output=True)
        try:
            for command, out in ("kill", "0 ended\n"), ("ps", None):
                got = world.berth(command, "--user", TWIN)
                assert got.returncode == 1 and out in (None, got.stdout), got
                assert got.stderr == (
                    f"berth {command}: a session (process {proc.pid}) doesn't tell which of uid "
                    f"{uid}'s names it is of, and may be {TWIN}'s: --user {uid} is all of them\n")
            got = world.berth("kill", "--user", str(uid))
        finally:
            subprocess.run(["userdel", "-f", TWIN], check=True, capture_output=True)
        assert (got.returncode, got.stderr) == (0, ""), got
        assert got.stdout.endswith("\n2 ended\n")
        told.communicate(timeout=10)
    nothing_left(world)


# rt_sigqueueinfo(2) lets any sender say who he is, but not that he used kill(2).
FORGED = """\
import ctypes, platform, signal, struct, sys
number = {"x86_64": 129, "aarch64": 138}[platform.machine()]
info = struct.pack("=iiiiiI", signal.SIGTERM, 0, int(sys.argv[2]), 0, 1, 0).ljust(128, b"\\0")
sys.exit(ctypes.CDLL(None).syscall(number, int(sys.argv[1]), signal.SIGTERM, info) != 0)
"""


def test_a_sender_that_calls_himself_root(world, login):
    """His SIGTERM is the command's, as anybody's."""
    proc = login.start("trap 'echo caught; exit 33' TERM; echo up; while :; do sleep 0.05; done",
                       stdin=subprocess.DEVNULL)
    begun(proc)
    uid = world.uid("bt-bash")

    def forge(code):
        return subprocess.run(["/usr/bin/python3", "-c", FORGED, str(world.one_helper()), code],
                              user=uid, group=uid, capture_output=True).returncode
    # SI_USER is refused by the kernel, SI_QUEUE isn't.
    assert forge("0") == 1
    assert len(world.present()) == 1
    assert forge("-1") == 0
    out, _ = proc.communicate(timeout=10)
    assert (out, proc.returncode) == (b"caught\n", 33)


def test_a_command_that_heeds_nothing(world, login):
    proc = start(login, "trap '' TERM HUP INT; echo up; while :; do sleep 0.1; done")
    got = world.berth("kill", "--user", "bt-bash")
    assert (got.returncode, got.stdout.splitlines()[-1]) == (0, "1 ended"), got
    proc.communicate(timeout=10)
    nothing_left(world)


def test_a_helper_that_heeds_nothing(world, login):
    """SIGKILL, after a while; its watcher does the rest."""
    proc = start(login)
    helper = world.one_helper()
    os.kill(helper, signal.SIGSTOP)
    got = world.berth("kill", "--user", "bt-bash")
    assert got.returncode == 0, got
    assert re.fullmatch(r"[0-9a-f]{16} \(bt-bash\): killed: it did not end by itself\n1 ended\n",
                        got.stdout), got
    proc.communicate(timeout=10)
    nothing_left(world)


def test_a_client_that_reads_nothing(world, login):
    """The terminal takes no line: the session ends all the same."""
    transport = login.transport(window=32768)
    try:
        channel = transport.open_session()
        channel.get_pty()
        channel.exec_command("cat /dev/zero")
        wait_for(lambda: world.present() and world.present()[0]["state"] == "running", 10, "it")
        got = world.berth("kill", "--user", "bt-bash")
        assert got.returncode == 0 and got.stdout.endswith("\n1 ended\n"), got
        nothing_left(world)
    finally:
        transport.close()


def test_a_session_that_waits_for_its_container(world, login):
    """Killed while it is being made: the client is told, nothing comes into being."""
    world.conf.write(scope="user", linger="0")
    # The lock of the container, held as by another login that makes it.
    folder = os.path.join(world.runtime, str(world.uid("bt-bash")))
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, world.uid("bt-bash"), world.uid("bt-bash"))
    held = subprocess.Popen(["flock", "-x", f"{folder}/user.lock", "sh", "-c", "echo up; cat"],
                            user=world.uid("bt-bash"), group=world.uid("bt-bash"),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        begun(held)
        proc = login.start("echo never")
        rows = wait_for(world.present, 10, "the login in the register")
        assert rows[0]["state"] == "starting"
        got = world.berth("kill", rows[0]["session"])
        assert (got.returncode, got.stdout.splitlines()[-1]) == (0, "1 ended"), got
        out, err = proc.communicate(timeout=10)
        assert (proc.returncode, out, err) == (254, b"", TOLD + b"\n")
        world.syslog.wait("deny session=.* cause=killed ", world.mark)
    finally:
        held.communicate()
    os.unlink(f"{folder}/user.lock")
    nothing_left(world)


def test_sftp_is_told(world, login):
    """In its own protocol, where its server hasn't spoken yet."""
    world.conf.write(scope="user", linger="0")
    folder = os.path.join(world.runtime, str(world.uid("bt-bash")))
    if not os.path.isdir(folder):
        assert login.run("true").returncode == 0
    held = subprocess.Popen(["flock", "-x", f"{folder}/user.lock", "sh", "-c", "echo up; cat"],
                            user=world.uid("bt-bash"), group=world.uid("bt-bash"),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        begun(held)
        proc = subprocess.Popen(["sftp", "-b", "-", *world.client.options(), "bt-bash@127.0.0.1"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        row = wait_for(world.present, 10, "the login in the register")[0]
        assert world.berth("kill", row["session"]).returncode == 0
        out, _ = proc.communicate(b"ls\n", timeout=10)
        assert proc.returncode != 0 and TOLD in out, out
    finally:
        held.communicate()
    if os.path.exists(f"{folder}/user.lock"):
        os.unlink(f"{folder}/user.lock")
    nothing_left(world)


@pytest.mark.parametrize("options", [[], ["--nothing"], ["a", "b"], ["--user", "bt-bash", "a"]])
def test_usage(world, options):
    got = world.berth("kill", *options)
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("berth kill: ") and got.stderr.count("\n") == 1, got


def test_no_such_session(world):
    for name in ("0123456789abcdef", "", "\x1b[2J"):
        got = world.berth("kill", name)
        assert (got.returncode, got.stdout) == (1, "")
        assert re.fullmatch(r"berth kill: there is no session [^\n\x1b]*: see berth ps\n",
                            got.stderr), got


def test_not_root(world, login):
    proc = start(login)
    uid = world.uid("bt-bash")
    got = world.berth("kill", "--user", "bt-bash", user=uid, group=uid, extra_groups=[])
    assert got.returncode == 1 and "must be run as root" in got.stderr
    assert len(world.present()) == 1
    proc.kill()
    proc.communicate()


# --- --remove

def kept(world, login, **options):
    """A container with a file of his in it, and nobody."""
    world.conf.write(users={"bt-*": {"scope": "user", **options}})
    assert login.run("echo mine >/tmp/f").returncode == 0
    return world.containers(login.user)[0]["Names"][0].lstrip("/")


def remove(world, *options):
    return world.berth("kill", "--remove", "--user", "bt-bash", *options)


@pytest.mark.channels("direct", "attach")
@pytest.mark.parametrize("options", [{"linger": "0", "on_idle": "stop"}, {"linger": "5m"}],
                         ids=["stopped", "lingers"])
def test_removes_what_a_user_keeps(world, login, options):
    name = kept(world, login, **options)
    other = kept(world, world.login("bt-dash"), **options)
    assert name != other
    got = remove(world)
    assert (got.returncode, got.stderr) == (0, ""), got
    assert got.stdout == f"0 ended\n{name}: removed\n1 removed\n"
    assert not world.containers("bt-bash") and len(world.containers("bt-dash")) == 1
    world.syslog.wait(rf'reap container={name} user="bt-bash" uid=\d+ reason="removed by',
                      world.mark)
    # By uid, with a session in it; and one that isn't there is none.
    doomed = start(world.login("bt-dash"))
    uid = str(world.uid("bt-dash"))
    got = world.berth("kill", "--user", uid, "--remove")
    assert (got.returncode, got.stderr) == (0, ""), got
    assert got.stdout.endswith(f"1 ended\n{other}: removed\n1 removed\n")
    doomed.communicate(timeout=10)
    assert world.berth("kill", "--user", uid, "--remove").stdout == "0 ended\n0 removed\n"
    nothing_left(world)
    assert login.run("cat /tmp/f").returncode == 1
    assert remove(world).returncode == 0
    nothing_left(world)


@pytest.mark.slow
def test_removes_none_that_somebody_is_in(world, login):
    """He may have logged in again, or berth be at work."""
    name = kept(world, login, linger="0", on_idle="stop")
    wait_for(lambda: not world.berths() and not world.left_files(), 10, "stopped")
    folder = os.path.join(world.runtime, str(world.uid("bt-bash")))
    path = os.path.join(folder, "user.lock")
    with open(path, "w") as f:
        os.chown(path, world.uid("bt-bash"), world.users["bt-bash"].pw_gid)
        fcntl.flock(f, fcntl.LOCK_SH)
        got = remove(world)
        assert got.returncode == 1 and got.stdout == "0 ended\n0 removed\n", got
        assert got.stderr == f"berth kill: {name}: left: somebody is in it\n"
        assert len(world.containers("bt-bash")) == 1
    assert remove(world).stdout == f"0 ended\n{name}: removed\n1 removed\n"


def test_remove_without_a_user(world):
    got = world.berth("kill", "--remove", "0123456789abcdef")
    assert got.returncode == 2 and "--remove goes with --user" in got.stderr, got


def test_remove_without_an_engine(world, login):
    kept(world, login, linger="0", on_idle="stop")
    world.conf.write(engine={"endpoint": "unix:///nonexistent"})
    got = remove(world)
    assert got.returncode == 1 and "/nonexistent" in got.stderr, got
    world.conf.write()
    assert remove(world).returncode == 0
