"""An engine on another machine, here on the loopback: TCP with TLS, by the attach channel."""
import hashlib
import json
import os
import signal
import subprocess
import time

import pytest

from harness import data, images
from harness.authority import Authority
from harness.remote_engine import RemoteEngine
from harness.terminal import Terminal
from harness.wait import wait_for

# What an engine on this machine does by exec is asked for here, too.
pytestmark = pytest.mark.channels("attach", "exec")
once = pytest.mark.channels()
SFTP = "berth-test/sftp"
# From a request to the word that there is no answer.
PATIENCE = 20


@pytest.fixture(scope="module")
def authority(session_world):
    return Authority(os.path.join(session_world.dir, "authority"), session_world.engine_group)


@pytest.fixture(scope="module")
def stranger(session_world):
    """Another authority, whom neither side trusts."""
    return Authority(os.path.join(session_world.dir, "stranger"), session_world.engine_group)


@pytest.fixture(scope="module")
def private(session_world, authority):
    it = RemoteEngine(session_world.dir, "remote", session_world.group_name(), authority)
    it.add_busybox()
    images.import_image(it.engine, SFTP, images.programs_tar("/usr/lib/openssh/sftp-server"))
    yield it
    it.close()


def up(private):
    if private.process.poll() is not None:
        private.start()


@pytest.fixture
def engine(world, private):
    """Named in berth.conf; afterwards nothing may be left in it."""
    up(private)
    world.conf.write(engine=private.address())
    yield private
    up(private)

    def left():
        return private.engine.containers(world.names())
    wait_for(lambda: not left(), 10, lambda: f"no container left in the remote engine; {left()}")


def configure(world, engine, address=None, **options):
    world.conf.write(engine=address or engine.address(), **options)


def begin(world, command="echo up; exec sleep 1000", stdin=subprocess.DEVNULL):
    proc = world.login().start(command, stdin=stdin)
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()
    return proc


def refused(world, *words):
    """One line and 254, and the log has it."""
    mark = world.syslog.mark()
    got = world.login().run("echo ran", timeout=60)
    assert (got.returncode, got.stdout) == (254, b""), got
    text = got.stderr.decode()
    assert text.startswith("berth: ") and text.count("\n") == 1 and text.endswith("\n"), text
    for word in words:
        assert word in text, f"{word!r} not in {text!r}"
    world.syslog.wait(r": deny .*user=\"bt-bash\"", mark)


def turned_away(world, engine, why):
    """By the engine, whose log has the reason: what the client hears of it in time varies."""
    mark = os.path.getsize(engine.log.name)
    refused(world, "GET /_ping")
    with open(engine.log.name) as f:
        f.seek(mark)
        said = f.read()
    assert "TLS handshake error" in said and why in said, said


# --- a session

def test_streams_and_status(world, engine):
    got = world.login().run("echo out; echo err >&2; id -un; exit 7")
    assert (got.returncode, got.stdout, got.stderr) == (7, b"out\nbt-bash\n", b"err\n")
    world.syslog.wait(r': close .*user="bt-bash".* status=7 ', world.mark)


def test_every_byte_both_ways(world, engine):
    sent = bytes(range(256)) * (1 << 17)
    got = world.login().run("cat", input=sent, timeout=120)
    assert (got.returncode, len(got.stdout)) == (0, len(sent))
    assert hashlib.sha256(got.stdout).digest() == hashlib.sha256(sent).digest()


def test_half_close(world, engine):
    """The end of stdin ends nothing but stdin."""
    got = world.login().run("sort; head -c 4000000 /dev/zero | tr '\\0' x; exit 4",
                            input=b"c\na\nb\n", timeout=60)
    assert (got.returncode, got.stderr) == (4, b"")
    assert got.stdout == b"a\nb\nc\n" + b"x" * 4000000


def test_a_question_and_an_answer(world, engine):
    proc = world.login().start("while read -r x; do echo got $x; done; echo end >&2")
    for i in range(20):
        proc.stdin.write(b"%d\n" % i)
        assert proc.stdout.readline() == b"got %d\n" % i
    assert (*proc.communicate(timeout=20), proc.returncode) == (b"", b"end\n", 0)


def test_input_that_nobody_reads(world, engine):
    with open("/dev/zero", "rb") as zero:
        got = subprocess.run(world.login().argv("sleep 1; echo done; exit 6"), stdin=zero,
                             capture_output=True, timeout=60)
    assert (got.returncode, got.stdout) == (6, b"done\n")


def test_a_reader_that_stands_still(world, engine):
    """The command has ended long before its output is read: less than what waits for a remote
    engine's (CHANNELS in berth.conf(5)) is all there."""
    transport = world.login().transport(window=32768)
    channel = transport.open_session()
    channel.settimeout(60)
    channel.exec_command("head -c 3000000 /dev/zero | tr '\\0' x; exit 5")
    seen = channel.recv(1)
    time.sleep(6)                       # longer than the engine waits at a command's end
    seen += b"".join(iter(lambda: channel.recv(65536), b""))
    assert (seen == b"x" * 3000000, channel.recv_exit_status()) == (True, 5)
    transport.close()


def test_terminal(world, engine):
    it = Terminal(world.login().argv("stty size; trap 'exit 9' INT; echo up; "
                                     "while :; do stty size; sleep 0.05; done", opts=("-t",)),
                  rows=31, cols=97)
    it.expect(rb"^31 97\r\nup\r\n")
    it.resize(50, 120)

    def seen():
        it.nudge()
        return b"\n50 120\r\n" in it.raw
    it.until(seen, "the new size", timeout=10)
    it.send("\x03")
    assert it.end() == 9


def test_client_gone(world, engine):
    proc = begin(world)
    proc.kill()
    proc.communicate()
    wait_for(lambda: not engine.engine.containers(["bt-bash"]), 10, "the container removed")


@pytest.mark.parametrize("how", ["helper", "all"])
@pytest.mark.channels("attach")
def test_killed(world, engine, how):
    """Its helper alone: its watcher removes the container. All of it: `berth reap` does."""
    proc = begin(world)
    for pid in (world.watchers() if how == "all" else []) + [world.one_helper()]:
        os.kill(pid, signal.SIGKILL)
    proc.communicate(timeout=10)
    if how == "all":
        assert len(engine.engine.containers(["bt-bash"])) == 1
        got = world.berth("reap")
        assert (got.returncode, got.stdout.splitlines()[-1]) == (0, "1 removed, 0 left"), got
    wait_for(lambda: not engine.engine.containers(["bt-bash"]), 10, "the container removed")


@pytest.mark.channels("exec")
def test_sessions_share_a_container(world, engine):
    first = begin(world, "echo it >/tmp/file; echo up; cat", stdin=subprocess.PIPE)
    assert world.login().run("cat /tmp/file").stdout == b"it\n"
    assert len(engine.engine.containers(["bt-bash"])) == 1
    assert (*first.communicate(b"in\n", timeout=10), first.returncode) == (b"in\n", b"", 0)


def test_ps_and_kill(world, engine):
    proc = begin(world)
    row, = world.present("bt-bash")
    got = world.berth("kill", row["session"])
    assert got.returncode == 0, got
    out, err = proc.communicate(timeout=15)
    assert (proc.returncode, out) == (254, b"") and b"administrator" in err, (out, err)


# --- files

def sftp(world, batch):
    return subprocess.run(["sftp", "-b", "-", *world.client.options(), "bt-bash@127.0.0.1"],
                          input=batch, capture_output=True, text=True, timeout=60)


def test_sftp_of_the_image(world, engine, tmp_path):
    configure(world, engine, image=SFTP)
    source = data.make_file(str(tmp_path / "source"), 20 << 20)
    back = str(tmp_path / "back")
    got = sftp(world, f"put {source} /tmp/up\nget /tmp/up {back}\nrm /tmp/up\n")
    assert got.returncode == 0, got
    assert data.sha256(back) == data.sha256(source)


def test_sftp_that_the_image_lacks(world, engine):
    """The host's own is on no other machine."""
    got = sftp(world, "pwd\n")
    assert got.returncode != 0 and "no sftp-server" in got.stdout + got.stderr, got


# --- what can't be

@once
def test_direct(world, engine):
    configure(world, engine, channel="direct")
    refused(world, "channel = direct", "engine on this machine")


@once
def test_whom_berth_does_not_know(world, engine, stranger):
    configure(world, engine, engine.address(authority=stranger))
    refused(world, engine.address()["endpoint"][6:], "certificate")


@once
def test_whom_the_engine_does_not_know(world, engine, stranger):
    configure(world, engine, engine.address(client=stranger.issue("intruder", "clientAuth")))
    turned_away(world, engine, "unknown authority")


@once
def test_a_server_is_no_client(world, engine):
    """Nor are the engine's own certificate and key a login's."""
    cert, key = engine.server
    os.chown(key, 0, world.engine_group)
    os.chmod(key, 0o640)
    configure(world, engine, engine.address(client=(cert, key)))
    turned_away(world, engine, "incompatible key usage")


@once
def test_a_client_that_is_past_its_time(world, engine, authority):
    configure(world, engine, engine.address(client=authority.issue("late", "clientAuth", -1)))
    turned_away(world, engine, "expired")


@once
def test_an_engine_that_is_past_its_time(world, engine, authority):
    good = engine.server
    try:
        engine.server = authority.issue("late-engine", "serverAuth", -1)
        engine.restart()
        refused(world, "certificate", "expired")
    finally:
        engine.server = good
        engine.restart()
    assert world.login().run("echo ran").stdout == b"ran\n"


@once
def test_an_engine_of_another_name(world, engine):
    configure(world, engine, engine.address(host="localhost"))
    refused(world, "certificate", "localhost")


@once
def test_a_port_where_no_engine_is(world, engine):
    """sshd's: it speaks no TLS."""
    configure(world, engine, {**engine.address(), "endpoint": f"tcp://127.0.0.1:{world.sshd.port}"})
    refused(world, "SSL")


@once
@pytest.mark.parametrize("mode,word", [(0o600, "ermission denied"), (0o644, "others may read")],
                         ids=["nobody's", "everybody's"])
def test_a_key_that_is(world, engine, authority, mode, word):
    cert, key = authority.issue("key", "clientAuth")
    os.chmod(key, mode)
    configure(world, engine, engine.address(client=(cert, key)))
    refused(world, key, word)


# --- the engine gone

@once
def test_gone_at_login_and_back(world, engine):
    engine.kill()
    refused(world, "onnection refused")
    engine.start()
    assert world.login().run("echo ran").stdout == b"ran\n"


@once
def test_silent_at_login(world, engine):
    """The kernel still takes connections for it."""
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        refused(world)
        assert time.monotonic() - start < PATIENCE
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)


def test_killed_in_mid_session(world, engine):
    proc = begin(world)
    engine.kill()
    out, err = proc.communicate(timeout=PATIENCE)
    assert (proc.returncode, out) == (254, b""), (proc.returncode, out, err)
    assert err.startswith(b"berth: ") and err.count(b"\n") == 1, err
    world.syslog.wait(r': close .*user="bt-bash".* status=254 .*detail=', world.mark)
    engine.start()
    # What could not be removed then is swept.
    assert world.login().run("echo ran").stdout == b"ran\n"


def test_stopped_in_mid_session(world, engine):
    """The bytes wait, nothing is lost."""
    proc = begin(world, "echo up; i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); "
                        "sleep 0.01; done; exit 3")
    os.kill(engine.process.pid, signal.SIGSTOP)
    time.sleep(4)                       # the outage is what is tested
    os.kill(engine.process.pid, signal.SIGCONT)
    out, err = proc.communicate(timeout=30)
    assert (proc.returncode, err) == (3, b"")
    assert out == b"".join(b"%d\n" % i for i in range(300))


# --- berth check

@once
def test_check_tells_of_the_engine(world, engine, stranger):
    def away():
        found = json.loads(world.berth("check", "--json", "--user", "bt-bash").stdout)["findings"]
        return [f["what"] for f in found if f["id"] == "engine-away"]
    assert away() == []
    configure(world, engine, engine.address(authority=stranger))
    what, = away()
    assert "certificate" in what
