"""berth metrics: what is counted, as OpenMetrics text."""
import os
import re
import shutil
import signal
import stat
import struct

import pytest

from harness import openmetrics
from harness.wait import wait_for


@pytest.fixture(autouse=True)
def from_nought(world):
    # Those of users, too, who aren't there any more.
    for uid in os.listdir(world.runtime):
        path = os.path.join(world.runtime, uid, "metrics")
        if os.path.lexists(path):
            os.unlink(path)


def read(world, *options):
    got = world.berth("metrics", *options)
    assert (got.returncode, got.stderr) == (0, ""), got
    return openmetrics.parse(got.stdout)


def value(families, family, suffix="", **labels):
    found = [n for (name, pairs), n in families[family].samples.items()
             if name == family + suffix and labels.items() <= dict(pairs).items()]
    assert len(found) == 1, (family, suffix, labels, found)
    return float(found[0])


def ended(families, outcome, **labels):
    return value(families, "berth_sessions_ended", "_total", outcome=outcome, **labels)


def nonzero(families, family):
    return {name: n for name, n in families[family].samples.items() if float(n) != 0}


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def test_nothing_yet(world):
    families = read(world)
    assert set(families) == {"berth_sessions", "berth_sessions_ended", "berth_refusals",
                             "berth_session_start_seconds"}
    for family in families:
        assert not nonzero(families, family)
    assert families["berth_session_start_seconds"].unit == "seconds"
    assert value(families, "berth_sessions", kind="exec") == 0


def test_sessions_now(world, login):
    proc, other = login.start("echo up; cat"), world.login("bt-dash").start("echo up; cat")
    begun(proc)
    begun(other)
    families = read(world)
    assert value(families, "berth_sessions", kind="exec") == 2
    assert value(families, "berth_sessions", kind="shell") == 0
    # A start is counted when it has been one: the first line may be faster.
    wait_for(lambda: value(read(world), "berth_session_start_seconds", "_count") == 2, 5,
             "both counted")
    by_user = read(world, "--by-user")
    assert value(by_user, "berth_sessions", kind="exec", user="bt-dash") == 1
    proc.communicate(b"", timeout=10)
    other.communicate(b"", timeout=10)
    assert not nonzero(read(world), "berth_sessions")


@pytest.mark.channels("direct", "attach")
def test_outcomes(world, login):
    assert login.run("exit 7").returncode == 7
    assert login.run("true").returncode == 0
    families = read(world)
    assert ended(families, "exit") == 2
    login.run("kill -KILL $$")
    if world.channel == "direct":
        assert ended(read(world), "signal") == 1
    proc = login.start("echo up; sleep 1000")
    begun(proc)
    proc.kill()
    proc.communicate()
    wait_for(lambda: ended(read(world), "client-gone") == 1, 5, "the client's going counted")
    proc = login.start("echo up; sleep 1000")
    begun(proc)
    assert world.berth("kill", "--user", "bt-bash").returncode == 0
    proc.communicate()
    families = read(world)
    assert ended(families, "killed") == 1
    assert value(families, "berth_session_start_seconds", "_count") == 5
    total = value(families, "berth_session_start_seconds", "_sum")
    assert 0 < total < 60


def test_refusals(world, login):
    world.conf.write(tty=False)
    assert login.run("true", opts=("-tt",)).returncode == 254
    world.conf.write(deny="no")
    assert login.run("true").returncode == 254
    assert login.run("true").returncode == 254
    world.conf.write(engine={"endpoint": f"unix://{world.dir}/none.sock"})
    assert login.run("true").returncode == 254
    world.conf.write(users={"bt-dash": {}})
    assert b"no user or group section" in login.run("true").stderr
    families = read(world)
    causes = {dict(labels)["cause"]: float(n)
              for (_, labels), n in families["berth_refusals"].samples.items() if float(n)}
    assert causes == {"tty": 1, "deny": 2, "error": 1, "unmapped": 1}
    assert not nonzero(families, "berth_sessions_ended")
    assert not nonzero(families, "berth_session_start_seconds")


def test_by_user(world):
    world.login("bt-bash").run("true")
    for _ in range(2):
        world.login("bt-dash").run("true")
    families = read(world, "--by-user")
    assert ended(families, "exit", user="bt-bash") == 1
    assert ended(families, "exit", user="bt-dash") == 2
    assert ended(read(world), "exit") == 3


def test_nothing_is_lost_among_many(world, login):
    """Each has its turn at the file."""
    world.conf.write(scope="user", linger="0", hangup_grace="0")
    procs = [login.start("true") for _ in range(12)]
    for proc in procs:
        proc.communicate(timeout=60)
    assert [p.returncode for p in procs] == [0] * 12
    families = read(world)
    assert ended(families, "exit") == 12
    assert value(families, "berth_session_start_seconds", "_count") == 12


def test_a_killed_helper_breaks_no_count(world, login):
    proc = login.start("echo up; sleep 1000")
    begun(proc)
    os.kill(world.one_helper(), signal.SIGKILL)
    proc.communicate()
    assert login.run("true").returncode == 0
    assert ended(read(world), "exit") == 1


@pytest.mark.parametrize("what", ["huge", "short", "garbage", "fifo", "link"])
def test_what_a_user_put_there(world, login, what):
    """It is said, the others' counts come, and his next session isn't kept."""
    world.login("bt-dash").run("true")
    assert login.run("true").returncode == 0
    path = os.path.join(world.runtime, str(world.uid("bt-bash")), "metrics")
    with open(path, "rb") as f:
        data = f.read()
    os.unlink(path)
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        os.symlink("/etc/passwd", path)
    else:
        with open(path, "wb") as f:
            f.write({"huge": data[:8] + struct.pack("=Q", 2**64 - 1) + data[16:],
                     "short": data[:50], "garbage": b"\xff" * len(data)}[what])
    os.lchown(path, world.uid("bt-bash"), world.uid("bt-bash"))
    got = world.berth("metrics")
    assert got.returncode == 1 and got.stderr.count("\n") == 1 and path in got.stderr, got
    assert ended(openmetrics.parse(got.stdout), "exit") == 1
    assert login.run("exit 3", timeout=10).returncode == 3
    if what in ("fifo", "link"):
        os.unlink(path)
    else:
        assert ended(read(world), "exit") == 2


def test_output(world, login, tmp_path):
    assert login.run("true").returncode == 0
    path = tmp_path / "berth.prom"
    for _ in range(2):
        got = world.berth("metrics", "--output", str(path))
        assert (got.returncode, got.stdout, got.stderr) == (0, "", ""), got
        assert ended(openmetrics.parse(path.read_text()), "exit") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["berth.prom"]
    got = world.berth("metrics", "--output", str(tmp_path / "none" / "berth.prom"))
    assert got.returncode == 1 and got.stderr.count("\n") == 1, got
    # A reader that is at it keeps what it has open.
    with open(path) as f:
        old = path.stat().st_ino
        world.berth("metrics", "--output", str(path))
        assert path.stat().st_ino != old and openmetrics.parse(f.read())


@pytest.mark.parametrize("options", [["--nothing"], ["--output"], ["all"]])
def test_usage(world, options):
    got = world.berth("metrics", *options)
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("berth metrics: ") and got.stderr.count("\n") == 1, got


def test_not_root(world):
    uid = world.uid("bt-bash")
    got = world.berth("metrics", user=uid, group=uid, extra_groups=[])
    assert got.returncode == 1 and "must be run as root" in got.stderr


def test_an_account_that_is_gone(world):
    folder = os.path.join(world.runtime, "54321")
    os.mkdir(folder, 0o700)
    os.chown(folder, 54321, 54321)
    try:
        assert re.search('user="uid 54321"', world.berth("metrics", "--by-user").stdout)
        read(world, "--by-user")
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("text", [
    "", "# EOF", "a 1\n# EOF\n", "# TYPE a counter\n# HELP a x\na 1\n# EOF\n",
    "# TYPE a gauge\n# HELP a x\na 1\na 1\n# EOF\n", "# TYPE a gauge\na 1\n# EOF\n",
    '# TYPE a gauge\n# HELP a x\na{b="c} 1\n# EOF\n', "# TYPE a gauge\n# HELP a x\na  1\n# EOF\n",
    "# TYPE a gauge\n# HELP a x\na 1\n\n# EOF\n", "# TYPE a gauge\n# HELP a x\na one\n# EOF\n",
    '# TYPE a histogram\n# HELP a x\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\na_count 1\n'
    "a_sum 1\n# EOF\n",
    '# TYPE a histogram\n# HELP a x\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\na_count 1\n'
    "a_sum 1\n# EOF\n"])
def test_the_reader_is_strict(text):
    with pytest.raises(AssertionError):
        openmetrics.parse(text)
