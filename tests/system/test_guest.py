"""The guest: what it is, and what it does as a container's process 1."""
import os
import signal
import struct

import pytest

from harness.client import need
from harness.private_engine import PrivateEngine
from harness.terminal import Terminal
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct")


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def gone(world, seconds):
    def left():
        return [r["Names"] for r in world.containers()] + world.berths() + world.left_files()
    wait_for(lambda: not left(), seconds, lambda: f"nothing left; {left()}")


@pytest.fixture(scope="module")
def runtimes(session_world):
    """An engine with a runtime of another name."""
    it = PrivateEngine(session_world.dir, "runtimes", session_world.group_name(),
                       runtimes={"other": {"path": need("runc")}})
    it.add_busybox()
    yield it
    it.close()


@pytest.mark.channels()
@pytest.mark.parametrize("runtime,option,guest", [
    ("runc", None, True), ("other", None, False), ("other", "direct", True)])
def test_channel_of_a_runtime(world, runtimes, runtime, option, guest):
    """One that nobody knows to pass sockets, such as gVisor's, has sessions by attach."""
    options = {"channel": option} if option else {}
    world.conf.write(engine={"endpoint": "unix://" + runtimes.path},
                     users={"bt-*": {"runtime": runtime, **options}})
    got = world.login().run("cat /proc/1/comm")
    assert (got.stdout == b"berth-guest\n") == guest, got
    assert got.returncode == 0
    wait_for(lambda: not runtimes.engine.containers(world.names()), 5, "no container left")


def test_which_shell(world):
    """The container's own passwd says, where what it says can be run."""
    world.conf.write(users={"bt-*": {"scope": "user", "linger": "30s", "user": "0:0"}})
    login = world.login()

    def shell(line):
        wanted = f"root:x:0:0::/:{line}" if line else "nobody:x:65534:1::/:/bin/ash"
        assert login.run(f"echo '{wanted}' >/etc/passwd").returncode == 0
        return login.run("echo $0 $SHELL").stdout.decode().strip()
    assert shell("/bin/ash") == "ash /bin/ash"
    assert shell("/bin/nothing") == "sh /bin/sh"
    assert shell("/bin") == "sh /bin/sh"
    assert shell("/bin/false") == "sh /bin/sh"
    assert shell(None) == "sh /bin/sh"
    world.engine.remove(world.container()["Id"])
    gone(world, 5)


@pytest.mark.channels("direct", "attach")
def test_bash_comes_before_sh(world):
    """Where the container's passwd names no shell that can be run."""
    world.conf.write(users={"bt-*": {"scope": "user", "linger": "30s", "user": "0:0"}})
    login = world.login()
    script = "#!/bin/sh\nexec /bin/sh \"$@\"\n"
    assert login.run(f"printf %s '{script}' >/bin/bash; chmod 755 /bin/bash").returncode == 0
    for line in ("root:x:0:0::/:/bin/nothing", "root:x:0:0::/:/bin/false", "nobody:x:9:9::/:/x"):
        assert login.run(f"echo '{line}' >/etc/passwd").returncode == 0
        assert login.run("echo $SHELL").stdout == b"/bin/bash\n", line
    world.engine.remove(world.container()["Id"])
    gone(world, 5)


def program_headers(path):
    """(type, bytes in memory) of each, of a 64-bit program: elf(5)."""
    with open(path, "rb") as f:
        head = f.read(4096)
    start, = struct.unpack_from("=Q", head, 32)
    size, count = struct.unpack_from("=HH", head, 54)
    at = [start + i * size for i in range(count)]
    return [(struct.unpack_from("=I", head, i)[0], struct.unpack_from("=Q", head, i + 40)[0])
            for i in at]


def test_the_guest_needs_nothing_of_the_image(world):
    """Static, and small: it is in the memory of each container."""
    load, interpreter = 1, 3
    headers = program_headers(os.path.join(world.prefix, "libexec/berth/guest/berth-guest"))
    assert interpreter not in [kind for kind, _ in headers]
    assert 0 < sum(size for kind, size in headers if kind == load) < 1000000


def test_orphans_are_reaped(world, login):
    """As by any init: none of the container's processes stays a zombie."""
    world.conf.write(users={"bt-*": {"scope": "user", "linger": "0"}})
    got = login.run("i=0; while [ $i -lt 50 ]; do (true &); i=$((i+1)); done; "
                    "while grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do sleep 0.05; "
                    "done; echo none left", timeout=20)
    assert (got.returncode, got.stdout, got.stderr) == (0, b"none left\n", b"")


def test_no_signal_is_blocked_or_ignored(login):
    got = login.run("grep -E '^Sig(Blk|Ign):' /proc/self/status")
    blocked, ignored = (int(line.split()[1], 16) for line in got.stdout.splitlines())
    # busybox's shell ignores SIGQUIT itself where it isn't interactive; 32 and 33 are the C
    # library's, which lets no program set them.
    others = 1 << signal.SIGQUIT - 1 | 1 << 32 - 1 | 1 << 33 - 1
    assert (blocked, ignored & ~others) == (0, 0), got


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
def test_as_many_processes_as_may_be(world, login, tty):
    """Who comes then is told so, and nobody else is harmed."""
    world.conf.write(users={"bt-*": {"scope": "user", "linger": "0", "pids": 4}})
    others = []
    for _ in range(3):
        others.append(login.start("echo up; read x; echo got $x; exit 4"))
        begun(others[-1])
    if tty:
        it = Terminal(login.argv("echo ran", opts=("-tt",)))
        status, said = it.end(), it.raw.decode()
    else:
        got = login.run("echo ran")
        status, said = got.returncode, got.stderr.decode()
    assert status == 254 and said.count("\n") == 1, said
    assert said.startswith("berth: ") and "pids in berth.conf" in said, said
    for other in others:
        out, err = other.communicate(b"y\n", timeout=10)
        assert (out, err, other.returncode) == (b"got y\n", b"", 4)
    gone(world, 5)
