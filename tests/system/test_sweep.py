"""The sweep of what others have left: no login waits for it."""
import os
import signal
import time

import pytest

from harness.fake_engine import FakeEngine
from harness.gate import Gate
from harness.scopes import a_minute_later, begun, configure, gone, hostname, remove

pytestmark = pytest.mark.channels("direct", "attach")
# Less than any call to the engine may take: who waits for one waits longer.
AT_ONCE = 4


class Sweeping(Gate):
    """Holds the calls that name one container too, and has the steps that came before."""

    def __init__(self, *args):
        self.name, self.before, self.since = None, [], None
        super().__init__(*args)

    def _hold(self, method, path, flowing):
        step = FakeEngine.step(method, path)
        if step == self.step or self.name and self.name in path:
            self.since = self.since or time.monotonic()
            self.reached.set()
            self.opened.wait()
        elif not self.reached.is_set():
            self.before.append(step)


@pytest.fixture
def sweeping(world):
    gate = Sweeping(os.path.join(world.dir, "sweeping.sock"), world.socket)
    yield gate
    gate.close()


def whole_session_meanwhile(login, gate):
    """From its start to its end the engine owes the sweep an answer."""
    proc = login.start("echo up; read x; echo got $x; exit 3")
    begun(proc)
    gate.wait(5)
    assert proc.communicate(b"y\n", timeout=20) == (b"got y\n", b"")
    assert proc.returncode == 3
    assert time.monotonic() - gate.since < AT_ONCE, "it waited for the sweep"
    gate.release()


def test_a_dead_sessions_container(world, login, sweeping):
    """It is asked for when the login's own has been started, and not before."""
    proc = login.start("trap '' HUP; echo up; while :; do sleep 1; done")
    begun(proc)
    sweeping.name = world.container()["Name"]
    for pid in world.watchers() + world.helpers():
        os.kill(pid, signal.SIGKILL)
    proc.kill()
    proc.communicate()
    world.conf.write(engine={"endpoint": "unix://" + sweeping.path})
    whole_session_meanwhile(login, sweeping)
    assert "start" in sweeping.before
    gone(world, 5)


def test_the_image_of_a_container_that_is_joined(world, login, sweeping):
    """It is asked after once a minute."""
    configure(world, linger="30s")
    hostname(login)
    a_minute_later(world)
    world.conf.write(engine={"endpoint": "unix://" + sweeping.path},
                     users={"bt-*": {"scope": "user", "linger": "30s",
                                     "create": world.own_hostnames()}})
    sweeping.hold("image")
    whole_session_meanwhile(login, sweeping)
    remove(world)
