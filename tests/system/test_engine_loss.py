"""The engine goes away in mid-session: a private one, never the machine's."""
import signal
import os
import subprocess
import time

import pytest

from harness.private_engine import PrivateEngine
from harness.wait import wait_for


@pytest.fixture(scope="module")
def private(session_world):
    it = PrivateEngine(session_world.dir, session_world.group_name())
    it.add_busybox()
    yield it
    it.close()


@pytest.fixture
def engine(world, private):
    """The private engine, up, and named in berth.conf."""
    if private.process.poll() is not None:
        private.start()
    world.conf.write(engine={"endpoint": "unix://" + private.path})
    yield private
    if private.process.poll() is not None:
        private.start()
    wait_for(lambda: not private.engine.containers(world.names()), 5,
             lambda: f"no container left in the private engine; "
                     f"{private.engine.containers(world.names())}")


def begin(world, command="echo up; sleep 1000"):
    proc = world.login().start(command, stdin=subprocess.DEVNULL)
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()
    return proc


def test_a_session_in_the_private_engine(world, engine):
    got = world.login().run("echo ran")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b"")


def lost(world, proc, start, bound):
    out, err = proc.communicate(timeout=bound)
    assert proc.returncode == 254, (proc.returncode, out, err)
    assert err.startswith(b"berth: ") and err.count(b"\n") == 1, err
    assert time.monotonic() - start < bound
    world.syslog.wait(r'close .*user="?bt-bash|close .*status=254', world.mark)


def test_killed(world, engine):
    proc = begin(world)
    start = time.monotonic()
    engine.kill()
    lost(world, proc, start, 10)
    engine.start()
    # What no helper could remove while the engine was dead, the next login sweeps.
    assert world.login().run("true").returncode == 0


def test_restarted(world, engine):
    proc = begin(world)
    start = time.monotonic()
    engine.restart()
    # An orderly stop ends the containers first: the command's own death is told where the engine
    # still got to say it.
    out, err = proc.communicate(timeout=45)
    assert proc.returncode in (137, 143) and err == b"" or \
        proc.returncode == 254 and err.startswith(b"berth: ") and err.count(b"\n") == 1, \
        (proc.returncode, out, err)
    assert time.monotonic() - start < 45


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


def test_container_removed_by_someone(world, engine):
    proc = begin(world)
    rows = engine.engine.containers(["bt-bash"])
    engine.engine.remove(rows[0]["Id"])
    out, err = proc.communicate(timeout=10)
    assert proc.returncode != 0 and out == b""


def test_container_killed_by_someone(world, engine):
    proc = begin(world)
    rows = engine.engine.containers(["bt-bash"])
    engine.engine.call("POST", f"/containers/{rows[0]['Id']}/kill")
    proc.communicate(timeout=10)
    assert proc.returncode == 137
