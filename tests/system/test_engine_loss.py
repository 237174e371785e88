"""The engine goes away in mid-session: a private one, never the machine's."""
import os
import signal
import subprocess
import time

import pytest

from harness.private_engine import PrivateEngine
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")

@pytest.fixture(scope="module")
def private(session_world):
    it = PrivateEngine(session_world.dir, "engine", session_world.group_name())
    it.add_busybox()
    yield it
    it.close()


@pytest.fixture(scope="module")
def lasting(session_world):
    """One whose containers live on without it."""
    it = PrivateEngine(session_world.dir, "lasting", session_world.group_name(),
                       **{"live-restore": True})
    it.add_busybox()
    yield it
    it.close()


def used(world, private):
    """Up, and named in berth.conf; afterwards nothing may be left in it."""
    if private.process.poll() is not None:
        private.start()
    world.conf.write(engine={"endpoint": "unix://" + private.path})
    yield private
    if private.process.poll() is not None:
        private.start()
    wait_for(lambda: not private.engine.containers(world.names()), 5,
             lambda: f"no container left in the private engine; "
                     f"{private.engine.containers(world.names())}")


@pytest.fixture
def engine(world, private):
    yield from used(world, private)


@pytest.fixture
def lasting_engine(world, lasting):
    yield from used(world, lasting)


def begin(world, command="echo up; sleep 1000", stdin=subprocess.DEVNULL):
    proc = world.login().start(command, stdin=stdin)
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()
    return proc


def lost(world, proc, start, bound):
    out, err = proc.communicate(timeout=bound)
    assert proc.returncode == 254, (proc.returncode, out, err)
    if world.channel == "direct":
        # sshd may have closed what was the command's alone (test_direct.py).
        assert err in (b"", b"berth: session lost: the container ended\n"), err
    else:
        assert err.startswith(b"berth: ") and err.count(b"\n") == 1, err
    assert time.monotonic() - start < bound
    world.syslog.wait(r': close .*user="bt-bash".* status=254 .*detail=', world.mark)


def test_a_session_in_the_private_engine(world, engine):
    got = world.login().run("echo ran")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b"")


def test_killed(world, engine):
    """Not a byte of a direct session passes through it."""
    proc = begin(world, "echo up; read x; echo got $x; exit 6", stdin=subprocess.PIPE)
    start = time.monotonic()
    engine.kill()
    if world.channel == "direct":
        out, err = proc.communicate(b"y\n", timeout=10)
        assert (proc.returncode, out, err) == (6, b"got y\n", b"")
    else:
        lost(world, proc, start, 10)
    engine.start()
    # What no helper could remove while the engine was dead, the next login sweeps.
    assert world.login().run("true").returncode == 0


def leave_dead(world, engine, user="bt-bash"):
    """A session whose helper and watcher are gone, and whose container the engine was just
    removing when it was killed."""
    proc = begin(world)
    ident = engine.engine.containers([user])[0]["Id"]
    for pid in world.watchers(user) + [world.one_helper(user)]:
        os.kill(pid, signal.SIGKILL)
    proc.communicate()
    engine.die_in_removal(ident)
    assert [r["Id"] for r in engine.engine.containers([user])] == [ident]


# Over attach a session's container is the engine's own to remove (AutoRemove).
@pytest.mark.channels("direct")
def test_killed_while_it_removes_and_a_login(world, engine):
    leave_dead(world, engine)
    assert world.login().run("echo ran").stdout == b"ran\n"
    wait_for(lambda: not engine.engine.containers(world.names()), 10, "the dead one removed")


@pytest.mark.channels("direct")
@pytest.mark.parametrize("lock", [True, False], ids=["lock", "no lock"])
def test_killed_while_it_removes_and_reap(world, engine, lock):
    leave_dead(world, engine)
    if not lock:
        for name in world.left_files():
            if name.endswith(".lock"):
                os.unlink(name)
    got = world.berth("reap")
    assert (got.returncode, got.stdout.splitlines()[-1]) == (0, "1 removed, 0 left"), got


@pytest.mark.parametrize("what", ["login", "reap"])
def test_killed_while_it_removes_what_is_kept(world, engine, what):
    """Nothing starts it again: its user would be locked out, if it were kept all the same."""
    options = {"scope": "user", "on_idle": "stop", "linger": "0"}
    world.conf.write(engine={"endpoint": "unix://" + engine.path}, **options)
    login = world.login()
    assert login.run("echo mine >/tmp/mine").returncode == 0
    row, = wait_for(lambda: [r for r in engine.engine.containers(["bt-bash"])
                             if r["State"] == "exited" and not world.watchers()], 20, "it stopped")
    assert login.run("cat /tmp/mine").stdout == b"mine\n"
    wait_for(lambda: not world.watchers() and not world.left_files(), 20, "nobody in it")
    engine.die_in_removal(row["Id"])
    if what == "reap":
        got = world.berth("reap")
        assert (got.returncode, got.stdout.splitlines()[-1]) == (0, "1 removed, 0 left"), got
        return
    got = login.run("cat /tmp/mine; echo ran")
    assert (got.returncode, got.stdout) == (0, b"ran\n"), got
    rows = engine.engine.containers(["bt-bash"])
    assert row["Id"] not in [r["Id"] for r in rows]
    wait_for(lambda: not world.watchers(), 20, "nobody in it")
    for r in rows:
        engine.engine.remove(r["Id"])


@pytest.mark.channels("direct", "attach", "exec")
@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_one_that_restores_what_lives(world, lasting_engine, how):
    """Gone and back in mid-session, with live-restore."""
    proc = begin(world, "echo up; i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); "
                        "sleep 0.01; done; read x; exit 3", stdin=subprocess.PIPE)
    start = time.monotonic()
    if how == "killed":
        lasting_engine.kill()
        lasting_engine.start()
    else:
        lasting_engine.restart()
    if world.channel == "direct":
        # Alive when all is settled again, and a login beside it works.
        assert world.login().run("echo ran").stdout == b"ran\n"
        out, err = proc.communicate(b"y\n", timeout=20)
        assert (proc.returncode, err) == (3, b"")
        assert out == b"".join(b"%d\n" % i for i in range(500))
    else:
        lost(world, proc, start, 45)
        assert world.login().run("true").returncode == 0


def test_restarted(world, engine):
    """Without live-restore an orderly stop ends the containers first."""
    proc = begin(world)
    start = time.monotonic()
    engine.restart()
    out, err = proc.communicate(timeout=45)
    if world.channel == "direct":
        assert (proc.returncode, out, err) == (
            254, b"", b"berth: session lost: the container is being stopped\n")
        world.syslog.wait(r": close .* status=254 .*detail=", world.mark)
    else:
        # The command's own death is told where the engine still got to say it.
        assert proc.returncode in (137, 143) and err == b"" or \
            proc.returncode == 254 and err.startswith(b"berth: ") and err.count(b"\n") == 1, \
            (proc.returncode, out, err)
    assert time.monotonic() - start < 45


def test_restarted_under_a_container_that_lingers(world, engine):
    """It is somebody's stopping like any other: the files are there, whatever sweeps meanwhile,
    and a login that comes before the engine is back costs it nothing."""
    world.conf.write(engine={"endpoint": "unix://" + engine.path}, scope="user", linger="10m")
    login = world.login()
    assert login.run("echo mine >/tmp/mine").returncode == 0
    row, = engine.engine.containers(["bt-bash"])
    engine.stop()
    assert login.run("true").returncode == 254
    engine.start()
    got = world.berth("reap")
    assert (got.returncode, got.stdout.splitlines()[-1]) == (0, "0 removed, 0 left"), got
    assert login.run("cat /tmp/mine").stdout == b"mine\n"
    assert [r["Id"] for r in engine.engine.containers(["bt-bash"])] == [row["Id"]]
    engine.engine.remove(row["Id"])
    wait_for(lambda: not world.berths() and not world.left_files(), 20, "nothing left")


def test_dead_at_login_and_back(world, engine):
    engine.kill()
    got = world.login().run("echo ran")
    assert got.returncode == 254 and got.stderr.startswith(b"berth: ")
    engine.start()
    assert world.login().run("echo ran").stdout == b"ran\n"


def test_stopped_in_mid_session(world, engine):
    """SIGSTOP for some seconds: the bytes wait, nothing is lost."""
    proc = begin(world, "echo up; i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); "
                        "sleep 0.01; done; exit 3")
    os.kill(engine.process.pid, signal.SIGSTOP)
    time.sleep(4)                       # the outage is what is tested
    os.kill(engine.process.pid, signal.SIGCONT)
    out, err = proc.communicate(timeout=30)
    assert (proc.returncode, err) == (3, b"")
    assert out == b"".join(b"%d\n" % i for i in range(300))


def test_stopped_and_the_client_gone(world, engine):
    """The engine hangs just when it should remove: done once it is back."""
    proc = begin(world)
    os.kill(engine.process.pid, signal.SIGSTOP)
    proc.kill()
    proc.communicate()
    time.sleep(3)                       # past the time in which a removal would be tried once
    os.kill(engine.process.pid, signal.SIGCONT)
    wait_for(lambda: not engine.engine.containers(world.names()), 10, "the container removed")


@pytest.mark.parametrize("how", ["removed", "killed"])
def test_container_gone_by_someone(world, engine, how):
    """The guest dies with it: the session is lost. The engine's API tells a status as ever."""
    proc = begin(world)
    start = time.monotonic()
    ident = engine.engine.containers(["bt-bash"])[0]["Id"]
    if how == "removed":
        engine.engine.remove(ident)
    else:
        engine.engine.call("POST", f"/containers/{ident}/kill")
    if world.channel == "direct":
        lost(world, proc, start, 10)
        return
    out, err = proc.communicate(timeout=10)
    assert out == b"" and time.monotonic() - start < 10
    assert proc.returncode == 137 or how == "removed" and proc.returncode != 0
