"""An engine that maps the containers' ids: userns-remap."""
import os
import signal

import pytest

from harness.private_engine import PrivateEngine
from harness.terminal import Terminal
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")
FIRST = 1000000


@pytest.fixture(scope="module")
def private(session_world):
    it = PrivateEngine(session_world.dir, "remapped", session_world.group_name(), remap=FIRST)
    it.add_busybox()
    yield it
    it.close()


def left(world, private):
    return [r["Names"] for r in private.engine.containers(world.names())] + world.berths() + \
        world.left_files()


@pytest.mark.parametrize("options", [{}, {"user": "0:0"}, {"user": "33:33", "read_only": True}],
                         ids=["own uid", "root", "another uid"])
@pytest.mark.parametrize("scope", ["session", "user"])
def test_ids_are_mapped(world, private, scope, options):
    world.conf.write(engine={"endpoint": "unix://" + private.path},
                     users={"bt-*": {"scope": scope, "linger": "0", **options}})
    uid = options.get("user", str(world.uid("bt-bash"))).split(":")[0]
    proc = world.login().start("cut -c1-50 /proc/self/uid_map; id -u; echo up; cat; exit 3")
    lines = [proc.stdout.readline().decode() for _ in range(3)]
    assert lines[0].split() == ["0", str(FIRST), "65536"], proc.stderr.read()
    assert lines[1:] == [f"{uid}\n", "up\n"]
    out, err = proc.communicate(b"in\n", timeout=20)
    assert (proc.returncode, out, err) == (3, b"in\n", b"")
    it = Terminal(world.login().argv("stty size; exit 4", opts=("-t",)), rows=20, cols=60)
    assert (it.end(), it.raw) == (4, b"20 60\r\n")
    wait_for(lambda: not left(world, private), 5, lambda: f"nothing left; {left(world, private)}")


@pytest.mark.parametrize("scope", ["session", "user"])
def test_helper_killed(world, private, scope):
    world.conf.write(engine={"endpoint": "unix://" + private.path},
                     users={"bt-*": {"scope": scope, "linger": "0", "hangup_grace": "0"}})
    proc = world.login().start("echo up; exec sleep 1000")
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()
    os.kill(world.one_helper(), signal.SIGKILL)
    proc.wait(5)
    proc.communicate()
    wait_for(lambda: not left(world, private), 10, lambda: f"nothing left; {left(world, private)}")
