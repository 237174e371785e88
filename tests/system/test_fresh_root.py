"""The fresh roots of other tests: apart from this machine, and gone with who made them."""
import os
import subprocess
import sys

import pytest

from harness import procs
from harness.wait import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.fresh]

HERE = os.path.dirname(os.path.abspath(__file__))
MAKER = """
import sys
sys.path.insert(0, sys.argv[1])
from harness.fresh_root import FreshRoot
root = FreshRoot(*sys.argv[2:])
root.run(["useradd", "--create-home", "bt-fresh"])
root.start(["sleep", "1000"])
root.run("setsid -f sleep 1000 >/dev/null 2>&1")
root.start_engine()
print(root.init, flush=True)
sys.stdin.read()
"""


def members(namespace):
    """Pids of all who are in that mount namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/ns/mnt") == namespace:
                found.append(pid)
        except OSError:
            pass
    return found


def test_who_made_it_is_killed(world, fresh_base):
    maker = subprocess.Popen([sys.executable, "-B", "-c", MAKER, HERE, world.dir, "killed",
                              fresh_base, world.syslog.path],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    init = maker.stdout.readline().decode().strip()
    namespace = os.readlink(f"/proc/{init}/ns/mnt")
    assert len(members(namespace)) >= 4
    with open("/etc/passwd", encoding="utf-8") as f:
        assert "bt-fresh" not in f.read()
    maker.kill()
    maker.wait()
    wait_for(lambda: not members(namespace), 10, lambda: f"nobody left: {members(namespace)}")
    # What entered it from here waited here for its end.
    wait_for(lambda: not procs.with_argument(f"--target={init}"), 10, "no nsenter left")
    maker.stdin.close()
    maker.stdout.close()

