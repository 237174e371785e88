"""Who is in and how many may be: berth ps, max_sessions, host_max_sessions, login_rate."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import images
from harness.terminal import Terminal
from harness.wait import wait_for

SHARED = {"scope": "user", "linger": "0", "hangup_grace": "0"}
HOLD = "echo up; cat >/dev/null"


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def hold(login, **kw):
    """A session that lasts until its stdin ends."""
    proc = login.start(HOLD, **kw)
    begun(proc)
    return proc


def let_go(*procs):
    for proc in procs:
        proc.communicate(timeout=20)


def gone(world, user=None):
    wait_for(lambda: not world.present(user), 5, lambda: f"nobody in: {world.present(user)}")


def sftp_says(world, user="bt-bash"):
    got = subprocess.run(["sftp", "-b", "-", *world.client.options(), f"{user}@127.0.0.1"],
                         input=b"ls\n", capture_output=True, timeout=30)
    return got.returncode, (got.stdout + got.stderr).decode()


def slots(world, mode=0o666):
    path = os.path.join(world.runtime, "slots")
    with open(path, "w"):
        pass
    os.chmod(path, mode)
    return path


@pytest.fixture
def no_slots(world):
    yield
    path = os.path.join(world.runtime, "slots")
    if os.path.lexists(path):
        os.unlink(path)


# --- berth ps

@pytest.mark.channels("direct", "attach", "exec")
def test_ps(world, login):
    assert world.present() == []
    before = int(time.time())
    proc = hold(login)
    rows = world.present()
    assert len(rows) == 1, rows
    row = rows[0]
    assert (row["user"], row["uid"]) == ("bt-bash", world.uid("bt-bash"))
    assert row["pid"] == world.one_helper()
    assert (row["kind"], row["tty"], row["state"]) == ("exec", False, "running")
    assert row["channel"] == ("direct" if world.channel == "direct" else "attach")
    assert row["scope"] == ("user" if world.shared else "session")
    assert row["client"] == "127.0.0.1" and 0 < row["port"] < 65536
    assert "/" + row["container"] == world.containers()[0]["Names"][0]
    stamp = time.mktime(time.strptime(row["since"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert before - 1 <= stamp <= time.time()
    world.syslog.wait(f"open session={row['session']} ", world.mark)
    let_go(proc)
    gone(world)


def test_ps_as_a_table(world, login):
    first = hold(login)
    it = Terminal(world.login("bt-dash").argv("echo up; cat", opts=("-tt",)))
    it.expect(rb"up\r\n")
    got = world.berth("ps")
    assert (got.returncode, got.stderr) == (0, "")
    lines = got.stdout.splitlines()
    assert lines[0].split() == ["USER", "SESSION", "SINCE", "KIND", "TTY", "CLIENT",
                                "CONTAINER", "PID"]
    rows = [dict(zip(lines[0].split(), line.split())) for line in lines[1:]]
    assert [(r["USER"], r["TTY"]) for r in rows] == [("bt-bash", "no"), ("bt-dash", "yes")]
    assert len({line.index(r["CONTAINER"]) for line, r in zip(lines[1:], rows)}) == 1
    assert [r["user"] for r in world.present("bt-dash")] == ["bt-dash"]
    assert [r["user"] for r in world.present(str(world.uid("bt-bash")))] == ["bt-bash"]
    it.send(b"\x04")
    it.end()
    let_go(first)
    gone(world)


def test_ps_forgets_the_killed(world, login):
    proc = hold(login)
    os.kill(world.one_helper(), signal.SIGKILL)
    proc.communicate(timeout=20)
    assert world.present() == []


def test_ps_of_what_a_user_wrote(world, login):
    """Whoever has code on the host as that user writes there what he likes."""
    proc = hold(login)
    path = os.path.join(world.runtime, str(world.uid("bt-bash")), "sessions")
    with open(path, "r+b") as f:
        record = bytearray(f.read(512))
        record[32:] = (b"\x1b[2J\n\xff\"" * 100)[:480]
        f.seek(0)
        f.write(record)
    got = world.berth("ps")
    assert got.returncode == 0 and len(got.stdout.splitlines()) == 2, got
    assert re.fullmatch(r"[\x20-\x7e\n]*", got.stdout), got
    assert "bt-bash" in got.stdout
    row = world.present()[0]
    assert row["user"] == "bt-bash" and row["pid"] == world.one_helper()
    with open(path, "r+b") as f:
        f.write(b"x" * 512)
    row = world.present()[0]
    assert row == {"user": "bt-bash", "uid": world.uid("bt-bash"), "pid": world.one_helper()}
    let_go(proc)


@pytest.mark.parametrize("options", [["--nothing"], ["--user"], ["all"]])
def test_ps_usage(world, options):
    got = world.berth("ps", *options)
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("berth ps: ") and got.stderr.count("\n") == 1, got


def test_ps_refused(world):
    uid = world.uid("bt-bash")
    got = world.berth("ps", user=uid, group=uid, extra_groups=[])
    assert got.returncode == 1 and "must be run as root" in got.stderr, got
    got = world.berth("ps", "--user", "nobody-of-this-name")
    assert got.returncode == 1 and "no account nobody-of-this-name" in got.stderr, got


# --- max_sessions

@pytest.mark.channels("direct", "attach", "exec")
def test_max_sessions(world, login):
    world.conf.write(max_sessions=2)
    held = [hold(login), hold(login)]
    refused = login.run("echo in")
    assert (refused.returncode, refused.stdout) == (254, b"")
    assert re.fullmatch(rb"berth: bt-bash has 2 sessions already \(max_sessions = 2\): .*"
                        rb"administrator\n", refused.stderr), refused
    world.syslog.wait(r'deny session=.* cause=max-sessions reason="bt-bash has 2', world.mark)
    # Nobody else is concerned; and who leaves, however, makes room.
    assert world.login("bt-dash").run("echo in").stdout == b"in\n"
    os.kill(world.one_helper(), signal.SIGKILL)
    wait_for(lambda: len(world.present()) == 1, 5, "one left")
    assert login.run("echo in").stdout == b"in\n"
    let_go(*held)


def test_max_sessions_by_sftp(world, login):
    world.conf.write(max_sessions=1)
    held = hold(login)
    status, text = sftp_says(world)
    assert status != 0 and "berth: bt-bash has 1 sessions already" in text, text
    let_go(held)


def test_twenty_at_once(world, login):
    world.conf.write(max_sessions=5, **SHARED)
    procs = [login.start(HOLD) for _ in range(20)]
    said = [proc.stdout.readline() for proc in procs]
    assert sorted(said) == [b""] * 15 + [b"up\n"] * 5
    assert len(world.present()) == 5
    for proc, line in zip(procs, said):
        out, err = proc.communicate(timeout=30)
        assert proc.returncode == (0 if line else 254), (out, err)
        assert bool(line) != (b"max_sessions = 5" in err)
    gone(world)
    assert login.run("echo in").stdout == b"in\n"


def test_unlimited_is_no_limit(world, login):
    world.conf.write(max_sessions="unlimited", **SHARED)
    held = [hold(login) for _ in range(3)]
    assert len(world.present()) == 3
    let_go(*held)


# --- host_max_sessions

def host_limit(world, most):
    world.conf.raw(f"host_max_sessions = {most}\n" + world.conf.text(**SHARED))


def test_host_max_sessions(world, no_slots):
    slots(world)
    host_limit(world, 2)
    held = [hold(world.login("bt-bash")), hold(world.login("bt-dash"))]
    refused = world.login("bt-env").run("echo in")
    assert (refused.returncode, refused.stdout) == (254, b"")
    assert b"this machine has 2 sessions already (host_max_sessions = 2)" in refused.stderr
    assert refused.stderr.count(b"\n") == 1
    world.syslog.wait("deny session=.* cause=host-max-sessions ", world.mark)
    os.kill(world.one_helper("bt-bash"), signal.SIGKILL)
    held[0].communicate(timeout=20)
    assert world.login("bt-env").run("echo in").stdout == b"in\n"
    let_go(held[1])


@pytest.mark.parametrize("what", ["none", "theirs", "link", "fifo", "shut"])
def test_host_max_sessions_without_its_file(world, no_slots, what):
    """Fail closed, and say what to do."""
    path = os.path.join(world.runtime, "slots")
    if what in ("theirs", "shut"):
        slots(world, 0o600 if what == "shut" else 0o666)
        if what == "theirs":
            os.chown(path, world.uid("bt-bash"), 0)
    elif what == "link":
        os.symlink("/dev/null", path)
    elif what == "fifo":
        os.mkfifo(path, 0o666)
    host_limit(world, 9)
    got = world.login().run("echo in", timeout=20)
    assert (got.returncode, got.stdout, got.stderr.count(b"\n")) == (254, b"", 1), got
    assert path.encode() in got.stderr
    assert what in ("link", "fifo") or b"install -m 666" in got.stderr or b"remove it" in got.stderr


def test_reap_makes_the_file(world, no_slots):
    got = world.berth("reap")
    assert got.returncode == 0, got
    info = os.stat(os.path.join(world.runtime, "slots"))
    assert (info.st_uid, info.st_mode & 0o7777) == (0, 0o666)
    host_limit(world, 1)
    assert world.login().run("echo in").stdout == b"in\n"


# --- login_rate

def test_login_rate(world, login):
    world.conf.write(login_rate="2/1h", **SHARED)
    uid = world.uid("bt-bash")
    rate = os.path.join(world.runtime, str(uid), "rate")
    if os.path.exists(rate):
        os.unlink(rate)
    assert [login.run("echo in").stdout for _ in range(2)] == [b"in\n"] * 2
    refused = login.run("echo in")
    assert (refused.returncode, refused.stdout) == (254, b"")
    found = re.fullmatch(rb"berth: bt-bash logs in too often \(login_rate = 2/1h\): "
                         rb"try again in (\d+) s, or ask the administrator\n", refused.stderr)
    assert found and 1700 < int(found[1]) <= 1800, refused
    world.syslog.wait("deny session=.* cause=login-rate ", world.mark)
    assert world.login("bt-dash").run("echo in").stdout == b"in\n"
    status, text = sftp_says(world)
    assert status != 0 and "logs in too often" in text, text
    os.unlink(rate)
    os.unlink(os.path.join(world.runtime, str(world.uid("bt-dash")), "rate"))


def test_who_is_refused_uses_no_rate_up(world, login):
    world.conf.write(login_rate="2/1h", max_sessions=1, **SHARED)
    held = hold(login)
    for _ in range(3):
        assert b"max_sessions" in login.run("echo in").stderr
    let_go(held)
    gone(world)
    assert login.run("echo in").stdout == b"in\n"
    os.unlink(os.path.join(world.runtime, str(world.uid("bt-bash")), "rate"))


# --- what is in the way

@pytest.mark.parametrize("name", ["sessions", "rate"])
@pytest.mark.parametrize("what", ["fifo", "link", "folder"])
def test_something_else_of_that_name(world, login, name, what):
    world.conf.write(login_rate="9/1s")
    folder = os.path.join(world.runtime, str(world.uid("bt-bash")))
    if not os.path.isdir(folder):
        assert login.run("true").returncode == 0
    path = os.path.join(folder, name)
    if os.path.lexists(path):
        os.unlink(path)
    if what == "fifo":
        os.mkfifo(path, 0o666)
    elif what == "link":
        os.symlink("/etc/passwd", path)
    else:
        os.mkdir(path)
    try:
        got = login.run("echo in", timeout=20)
        assert (got.returncode, got.stdout, got.stderr.count(b"\n")) == (254, b"", 1), got
        assert name.encode() in got.stderr
        world.syslog.wait("deny session=.* cause=error ", world.mark)
    finally:
        os.rmdir(path) if what == "folder" else os.unlink(path)
    assert login.run("echo in").stdout == b"in\n"
    os.unlink(os.path.join(folder, "rate"))


def test_a_full_disk(world, login):
    """One line, and nothing is left."""
    if not os.path.isdir("/proc/self/ns"):
        pytest.skip("no namespaces")
    full = os.path.join(world.dir, "full")
    os.mkdir(full)
    # Room for the folder, none for a file's contents.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=1777", "tmpfs", full], check=True)
    try:
        with open(os.path.join(full, "stuffing"), "wb") as f:
            f.write(b"x" * 4096)
        world.conf.write(runtime_dir=full)
        got = world.without_sshd("echo in")
        assert (got.returncode, got.stdout, got.stderr.count(b"\n")) == (254, b"", 1), got
        assert b"No space left" in got.stderr, got
    finally:
        subprocess.run(["umount", full], check=True)
        os.rmdir(full)


def test_a_register_that_was_wiped(world, login):
    """As by an administrator who empties the folder: sessions go on."""
    proc = hold(login)
    shutil.rmtree(os.path.join(world.runtime, str(world.uid("bt-bash"))))
    assert world.present() == []
    out, _ = proc.communicate(b"", timeout=20)
    assert proc.returncode == 0
    assert login.run("echo in").stdout == b"in\n"
    for row in world.containers():
        world.engine.remove(row["Id"])


def test_standby_is_shown_by_its_container(world, login):
    world.conf.write(standby=1, image=images.BUSYBOX)
    assert login.run("true").returncode == 0
    wait_for(lambda: len(world.guests()) == 1 and not world.watchers(), 20, "one standing by")
    waiting = world.containers()[0]["Names"][0]
    proc = hold(login)
    assert "/" + world.present()[0]["container"] == waiting
    let_go(proc)
    world.conf.write()
    wait_for(lambda: len(world.guests()) == 1 and not world.watchers(), 20, "one standing by")
    for row in world.containers():
        world.engine.remove(row["Id"])
    assert json.loads(world.berth("ps", "--json").stdout) == []
    assert world.berth("reap").returncode == 0
