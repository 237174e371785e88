"""Disks that are full: the engine's (with what is mounted), the runtime directory's, the home's."""
import os
import subprocess

import pytest

from conftest import laid
from harness.private_engine import PrivateEngine
from stages import STATUS, WAIT, Session, each

pytestmark = pytest.mark.channels("direct", "attach")
FULL = "No space left on device"


class Disk:
    """A file system of its own, to be filled."""

    def __init__(self, path, options):
        self.path, self.filler = path, os.path.join(path, "filler")
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], check=True)

    def fill(self):
        with pytest.raises(OSError, match=FULL), open(self.filler, "wb", 0) as f:
            while True:
                f.write(bytes(1 << 16) if os.statvfs(self.path).f_bavail > 64 else b"0")

    def empty(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)

    def close(self):
        subprocess.run(["umount", self.path], check=True)
        os.rmdir(self.path)


@pytest.fixture(scope="module")
def disk(session_world):
    it = Disk(os.path.join(session_world.dir, "disk"), "size=128m,mode=755")
    yield it
    it.close()


@pytest.fixture(scope="module")
def runtime(session_world):
    it = Disk(os.path.join(session_world.dir, "full"), "size=1m,mode=1777")
    yield it
    it.close()


@pytest.fixture(scope="module")
def small(session_world, disk, runtime):
    """An engine with all its files on that disk. As any, it sees what was mounted before it."""
    it = PrivateEngine(disk.path, "engine", session_world.group_name())
    it.add_busybox()
    yield it
    it.close()


@pytest.fixture
def crowded(world, disk, small, request):
    """A ground whose engine and whose /data are on the disk."""
    with world.another_sshd() as client:    # the usual one has no such mounts
        for it in laid(world, small, disk.path, request.node.user_properties, client):
            yield it
            disk.empty()


@pytest.fixture
def narrow(world, runtime, crowded):
    """The same, and a runtime directory of its own."""
    usual = world.runtime
    world.runtime = world.conf.runtime_dir = runtime.path
    crowded.works()
    yield crowded
    runtime.empty()
    crowded.nothing_is_left()
    world.runtime = world.conf.runtime_dir = usual


@each("engine's disk full", quick="mid-stream")
def test_engines(crowded, disk, fault, stage):
    crowded.configure(stage)
    session = Session(crowded, stage)
    disk.fill()
    if stage in ("before create", "created") or \
            (stage, crowded.world.channel) == ("connected", "attach"):
        how = session.refused("(?i)" + FULL)
    elif stage == "mid-stream":
        status, _, err = session.finish()
        assert status == 7 and FULL.encode() in err, (status, err)
        how = "the command is told"
    elif stage == "at exit":
        how = session.arrived()
    else:
        how = session.went_on()
    disk.empty()
    crowded.held(fault, stage, how)


@each("runtime directory full", quick="created")
def test_runtime_directory(runtime, narrow, fault, stage):
    """test_bad_mounts.py has the time before there is anything in it."""
    narrow.configure(stage)
    session = Session(narrow, stage)
    runtime.fill()
    how = session.arrived() if stage == "at exit" else session.went_on()
    runtime.empty()
    narrow.held(fault, stage, how)


@each("home full", stages=("started",), quick="started")
def test_home(world, ground, fault, stage):
    """The one in memory that a login has where there is no other."""
    ground.configure(memory="64m")      # of which it takes half
    session = Session(ground, stage,
                      f"echo up; {WAIT}dd if=/dev/zero of=$HOME/x bs=64k; exit {STATUS}")
    status, out, err = session.finish(by_itself=False)
    assert (status, out) == (STATUS, b"up\n") and FULL.encode() in err, (status, out, err)
    ground.held(fault, stage, "the command is told")
