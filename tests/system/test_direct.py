"""The direct channel: what only it can do, and who might want to break it."""
import asyncio
import hashlib
import os
import shlex
import signal
import subprocess
import time

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_REQUEST

from harness import data, images, procs
from harness.asynchronous import connected
from harness.client import need
from harness.terminal import Terminal
from harness.wait import became, wait_for

pytestmark = pytest.mark.channels("direct")
plain = pytest.mark.plain
HERE = os.path.dirname(os.path.abspath(__file__))
TTY = pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
# From the container's start to the guest's first word; what it takes to end all comes on top.
REPORT = 10


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def gone(world, seconds):
    def left():
        return [r["Names"] for r in world.containers()] + world.berths() + world.left_files()
    wait_for(lambda: not left(), seconds, lambda: f"nothing left; {left()}")


def refused(got):
    assert (got.returncode, got.stdout) == (254, b""), got
    assert got.stderr.startswith(b"berth: ") and got.stderr.count(b"\n") == 1, got.stderr
    return got.stderr.decode()


@pytest.fixture(scope="module")
def hostile(session_world, data_dir):
    """hostile.c as a static program, where tests may mount it."""
    path = os.path.join(data_dir, "hostile")
    subprocess.run([need("gcc"), "-O1", "-static", "-o", path, HERE + "/harness/hostile.c"],
                   check=True)
    os.chmod(path, 0o755)
    return path


# --- which channel

@pytest.mark.channels()
@pytest.mark.parametrize("option,guest", [(None, True), ("auto", True), ("direct", True),
                                          ("attach", False)])
def test_channel_option(world, login, option, guest):
    world.conf.write(users={"bt-*": {"channel": option} if option else {}})
    assert (login.run("cat /proc/1/comm").stdout == b"berth-guest\n") == guest


@pytest.mark.channels()
def test_direct_needs_an_engine_on_this_machine(world, login):
    engine = {"endpoint": "tcp://127.0.0.1:1"}
    for name in ("tls_ca", "tls_cert", "tls_key"):
        engine[name] = os.path.join(world.dir, name)
        with open(engine[name], "w") as f:
            f.write("none")
        os.chown(engine[name], 0, world.engine_group)
        os.chmod(engine[name], 0o640)
    world.conf.write(engine=engine, channel="direct")
    assert "direct" in refused(login.run("echo ran"))


# --- ends

SIGNALS = ["TERM", "KILL", "SEGV", "PIPE", "ABRT", "USR1", "USR2", "INT", "HUP", "ALRM", "FPE"]


@plain
def test_exit_signals(world, each):
    async def work(conn):
        results = await asyncio.gather(*(conn.run(f"kill -{name} $$; sleep 5")
                                         for name in SIGNALS))
        return [r.exit_signal and (r.exit_signal[0], world.bare or r.exit_signal[1])
                for r in results]
    assert connected(world, work) == [(name, world.bare) for name in SIGNALS]


def test_exit_signal_of_a_terminals_session(world, login):
    async def work(conn):
        result = await conn.run("kill -TERM $$; sleep 5", term_type="vt100")
        return result.exit_signal and result.exit_signal[0]
    assert connected(world, work) == "TERM"


@plain
def test_end_of_output_long_before_the_end(login):
    """Who closes stdout and stderr has closed them, whatever runs on."""
    transport = login.transport()
    channel = transport.open_session()
    channel.settimeout(10)
    channel.exec_command("echo up; exec >&- 2>&-; sleep 3; exit 6")
    assert channel.makefile().read() == b"up\n"
    assert channel.recv_stderr(1) == b""
    assert not channel.exit_status_ready()
    assert channel.recv_exit_status() == 6
    transport.close()


LOST = b"berth: session lost: the container "


@pytest.mark.parametrize("how", ["pipes", "seen", "terminal"])
def test_guest_killed(world, login, how):
    """Where the command has sshd's pipes, sshd may have closed stderr before the helper, which
    has little time, comes."""
    if how == "seen":
        world.conf.write(audit_bytes=True)
    said = b""
    for _ in range(8 if how == "pipes" else 1):
        mark = world.syslog.mark()
        it = Terminal(login.argv("echo up; sleep 1000",
                                 opts=("-tt",) if how == "terminal" else ("-T",)))
        it.expect(rb"up\r?\n")
        os.kill(world.guest(), signal.SIGKILL)
        assert it.end(5) == 254
        said = it.raw[it.taken:]
        world.syslog.wait(r": close .*status=254 .*detail=", mark)
        ours = world.syslog.since(mark, "berth-session")
        assert len(ours) == 2, ours         # open and close
        gone(world, 5)
        if said:
            break
    assert said == LOST + b"ended\r\n"


STOPPED = LOST + b"is being stopped"


def stop(world):
    world.engine.call("POST", f"/containers/{world.container()['Id']}/stop?t=20",
                      ok=(204, 304, 404))


@plain
@pytest.mark.parametrize("how", ["pipes", "seen", "terminal"])
@pytest.mark.parametrize("scope", ["session", "user"])
def test_stopped_by_somebody(world, login, scope, how):
    """Each session is told, whatever the container was to be stopped by; and what a command
    says of its own end comes too, where it has sshd's pipes."""
    path = os.path.join(world.dir, "stop.json")
    with open(path, "w", encoding="ascii") as f:
        f.write('{"StopSignal":"SIGQUIT"}')
    world.conf.write(users={"bt-*": {"scope": scope, "linger": "0", "audit_bytes": how == "seen",
                                     "create": path}})
    its = [Terminal(login.argv("trap 'echo hung up; exit 3' HUP; echo up; "
                               "while :; do sleep 0.1; done",
                               opts=("-tt",) if how == "terminal" else ("-T",)))
           for _ in range(3 if scope == "user" else 1)]
    for it in its:
        it.expect(rb"up\r?\n")
    start = time.monotonic()
    stop(world)
    for it in its:
        assert it.end(10) == 254
        said = it.raw[it.taken:].replace(b"\r\n", b"\n")
        if (scope, how) == ("user", "pipes"):
            assert {STOPPED, b"hung up"} <= set(said.splitlines()), said
        else:
            assert STOPPED in said.splitlines(), said
    assert time.monotonic() - start < 10
    world.syslog.wait(r": close .* status=254 reason=error detail=\"session lost: the container "
                      r"is being stopped\"", world.mark)
    gone(world, 5)


def test_one_static_program_as_the_shell(world, hostile):
    """An image with nothing else in it."""
    with open(hostile, "rb") as f:
        images.import_image(world.engine, "berth-test/one", images.one_program_tar(f.read()))
    try:
        world.conf.write(image="berth-test/one", shell="/the-binary")
        got = world.login().run("a 'b c'")
        assert (got.returncode, got.stdout, got.stderr) == (
            7, b"[the-binary][-c][a 'b c']\n", b"")
        it = Terminal(world.login().argv(opts=("-tt",)))
        assert (it.end(), it.raw) == (7, b"[-the-binary]\r\n")
    finally:
        world.engine.remove_image("berth-test/one")


@TTY
def test_no_shell_at_all(world, tty):
    world.conf.write(image=images.NO_SHELL)
    start = time.monotonic()
    if tty:
        it = Terminal(world.login().argv("echo ran", opts=("-tt",)))
        assert it.end() == 254
        text = it.raw.decode()
        assert text.startswith("berth: ") and text.count("\n") == 1, text
    else:
        text = refused(world.login().run("echo ran"))
    assert "shell" in text
    assert time.monotonic() - start < 15


# --- standing still

def pause(world, ident, what="pause"):
    world.engine.call("POST", f"/containers/{ident}/{what}")


@TTY
def test_paused_in_mid_session(world, login, tty):
    it = Terminal(login.argv("echo up; read x; echo got $x; exit 4",
                             opts=("-tt",) if tty else ("-T",)))
    it.expect(rb"up\r?\n")
    ident = world.container()["Id"]
    pause(world, ident)
    it.send("y\r" if tty else "y\n")
    assert not became(lambda: not it.pump() or b"got" in it.raw, 2)
    pause(world, ident, "unpause")
    it.expect(rb"got y\r?\n")
    assert it.end() == 4


@TTY
def test_client_killed_while_paused(world, login, tty):
    it = Terminal(login.argv("trap '' HUP TERM; echo up; while :; do sleep 1; done",
                             opts=("-tt",) if tty else ("-T",)))
    it.expect(rb"up\r?\n")
    pause(world, world.container()["Id"])
    it.child.kill(signal.SIGKILL)
    gone(world, 5)
    it.close()


def login_and_pause(world, login):
    """What gets a hundredth of a CPU is slow enough for SIGSTOP, and for a freezer too slow: it
    has a whole one by then."""
    proc = login.start("echo ran; exit 3")
    guest = wait_for(world.guests, 30, "a guest")[0][0]
    os.kill(guest, signal.SIGSTOP)
    ident = world.container()["Id"]
    world.engine.call("POST", f"/containers/{ident}/update", {"NanoCpus": 10**9})
    pause(world, ident)
    os.kill(guest, signal.SIGCONT)
    return proc, ident, guest


@pytest.fixture
def paused_login(world, login):
    """A login whose container is paused before its guest has said a word: (ssh, the container's
    id)"""
    world.conf.write(cpus="0.01")
    for _ in range(5):
        proc, ident, guest = login_and_pause(world, login)
        if not procs.children(guest):
            break
        pause(world, ident, "unpause")      # too late: once more
        proc.communicate(timeout=20)
        gone(world, 5)
    else:
        raise AssertionError("paused too late, each time")
    yield proc, ident
    proc.kill()
    proc.communicate()


@pytest.mark.slow
def test_paused_at_login(world, paused_login):
    proc, ident = paused_login
    assert not became(lambda: proc.poll() is not None, 3)
    pause(world, ident, "unpause")
    out, err = proc.communicate(timeout=REPORT + 10)
    assert (proc.returncode, out, err) == (3, b"ran\n", b"")


@pytest.mark.slow
def test_paused_at_login_for_ever(world, paused_login):
    """A guest that doesn't report: an error in time, never a silent minute."""
    proc, _ = paused_login
    out, err = proc.communicate(timeout=REPORT + 5)
    assert (proc.returncode, out) == (254, b"")
    assert err.startswith(b"berth: ") and err.count(b"\n") == 1, err
    gone(world, 5)


@pytest.mark.slow
def test_client_killed_while_paused_at_login(world, paused_login):
    paused_login[0].kill()
    gone(world, 5)


# --- a hostile process in the container

IN_ONE = {"users": {"bt-*": {"scope": "user", "linger": "0"}}}
# What it does, and what it may say that it could do.
DEEDS = {
    "garbage to the guest": ("garbage /.berth/run/guest", b"answered 0\n"),
    "garbage to the creator": ("garbage /.berth/run/start", b"answered 0\n"),
    "look into process 1": ("look", b"looked\n"),
    "kill process 1": ("kill", b"killed\n"),
}


@pytest.mark.parametrize("user", ["", "0:0"], ids=["user", "root"])
@pytest.mark.parametrize("name", DEEDS)
def test_hostile_process(world, login, data_dir, hostile, name, user):
    """Neither its own session nor another of the same container is harmed. There the guest
    listens as long as there is anybody; of who connects it takes none from inside."""
    deed, said = DEEDS[name]
    world.conf.write(mounts=[f"{data_dir}:/data:ro"], **IN_ONE, **({"user": user} if user else {}))
    other = login.start("echo up; read x; echo got $x; exit 4")
    begun(other)
    proc = login.start(f"/data/hostile {deed}; read x; echo still $x; exit 5")
    assert proc.stdout.readline() == said
    assert login.run("echo fine").stdout == b"fine\n"
    for it, end in ((proc, (b"still y\n", b"", 5)), (other, (b"got y\n", b"", 4))):
        out, err = it.communicate(b"y\n", timeout=10)
        assert (out, err, it.returncode) == end


def test_flood_of_connections(world, login, data_dir, hostile):
    """6,000, held open; and who logs in meanwhile has his session, and its end, all the same."""
    world.conf.write(mounts=[f"{data_dir}:/data:ro"], **IN_ONE)
    other = login.start("echo up; read x; echo got $x; exit 4")
    begun(other)
    proc = login.start("sleep 1000 2>&- | /data/hostile flood /.berth/run/guest 6000 & "
                       "read x; kill $!; echo still $x; exit 5")
    assert proc.stdout.readline() == b"tried 6000\n"
    assert login.run("echo fine").stdout == b"fine\n"
    for it, end in ((proc, (b"still y\n", b"", 5)), (other, (b"got y\n", b"", 4))):
        out, err = it.communicate(b"y\n", timeout=10)
        assert (out, err, it.returncode) == end
    gone(world, 5)


@pytest.mark.slow
def test_guest_that_is_kept_from_answering(world, login, data_dir, hostile):
    """Who comes then hears of it, and is not left hanging on sshd's pipes."""
    world.conf.write(mounts=[f"{data_dir}:/data:ro"],
                     users={"bt-*": {"scope": "user", "linger": "0"}})
    other = login.start("echo up; read x; echo got $x; exit 4")
    begun(other)
    assert login.run("/data/hostile limit").stdout == b"limited\n"
    got = login.run("echo never", timeout=40)
    assert (got.returncode, got.stdout) == (254, b""), got
    assert b"answers no login" in got.stderr, got
    out, err = other.communicate(b"y\n", timeout=10)
    assert (out, err, other.returncode) == (b"got y\n", b"", 4)
    gone(world, 15)
    assert login.run("echo fine").stdout == b"fine\n"
    gone(world, 5)


@pytest.mark.parametrize("user", ["", "0:0"], ids=["user", "root"])
def test_own_files_are_read_only(world, login, user):
    """Also to root in the container, who has no capabilities unless berth.conf gives them."""
    world.conf.write(**({"user": user} if user else {}))
    program = os.path.join(world.prefix, "libexec/berth/guest/berth-guest")
    before = data.sha256(program)
    got = login.run("for f in x berth-guest run/x run/guest run/start; do "
                    "( : >>/.berth/$f ) 2>/dev/null && echo wrote $f; done; "
                    "rm -rf /.berth/* /.berth/run/* 2>/dev/null; mv /.berth /x 2>/dev/null; "
                    "chmod 777 /.berth/run /.berth 2>/dev/null && echo chmod; exit 3")
    # A socket can't be opened for writing; all else is refused for the mount's sake.
    assert (got.returncode, got.stdout) == (3, b""), got
    assert data.sha256(program) == before
    assert login.run("echo fine").stdout == b"fine\n"


def test_nothing_of_the_runtime_directory_inside(world, login):
    """Only the container's own folder: no locks, no other container's sockets."""
    other = login.start("echo up; cat")
    begun(other)
    names = set(login.run("ls -a /.berth/run").stdout.decode().split()) - {".", ".."}
    assert "guest" in names and names <= {"guest", "start"}, names
    other.communicate()


def test_helper_of_a_pipes_session_is_small(world, login):
    """No libcurl in it once the session runs."""
    proc = login.start("echo up; cat")
    begun(proc)
    with open(f"/proc/{world.one_helper()}/maps") as f:
        libraries = {shlex.split(line)[-1] for line in f if ".so" in line}
    assert not [name for name in libraries if "libcurl" in name or "libssl" in name], libraries
    proc.communicate()
    assert proc.returncode == 0
