"""Clocks that jump. The machine's own is left alone: the wall clock that jumps is that of the
helper and its watcher (a library preloaded into them alone), while those of sshd, engine, guest
and kernel, which files' times are by, go on. The monotonic one is a time namespace's."""
import os
import struct
import subprocess

import pytest

from harness.client import need
from harness.wait import wait_for
from stages import BOUND, Session, each

pytestmark = pytest.mark.channels("direct", "attach")
HERE = os.path.dirname(os.path.abspath(__file__))
DAY, YEAR = 86400, 365 * 86400


class Clock:
    """Of every berth-session that `client` starts, and of berth reap."""

    def __init__(self, world):
        self.world = world
        self.path = os.path.join(world.dir, "shift")
        self.library = self.path + ".so"
        self.jump(0)
        subprocess.run([need("gcc"), "-shared", "-fPIC", f'-DSHIFT="{self.path}"', "-o",
                        self.library, os.path.join(HERE, "shift.c")], check=True)

    def jump(self, seconds):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
            f.write(struct.pack("l", seconds))

    def reap(self):
        got = self.world.berth("reap", env={**os.environ, "LD_PRELOAD": self.library})
        assert (got.returncode, got.stdout) == (0, "0 removed, 0 left\n"), got


@pytest.fixture
def clock(world, ground):
    if world.sanitized:
        pytest.skip("a sanitizer wants to be the first that is preloaded")
    it = Clock(world)
    with world.another_sshd(extra=f"  SetEnv LD_PRELOAD={it.library}\n") as client:
        ground.client = client
        yield it
    ground.client = world.client


def ids(ground):
    return {row["Id"] for row in ground.containers()}


def jumped(world, ground, clock, stage, seconds):
    """What is under way goes on, though others look whether it is left: a login that sweeps, and
    berth reap."""
    ground.configure(stage)
    session = Session(ground, stage)
    there = ids(ground)
    clock.jump(seconds)
    call = ground.gate.step
    ground.gate.step = None             # the others pass
    got = ground.client.run("bt-bash", "echo ran; date +%s")
    assert (got.returncode, got.stdout[:4]) == (0, b"ran\n"), got
    wait_for(lambda: ids(ground) <= there, BOUND, "its container gone")
    clock.reap()
    ground.gate.step = call
    if session.is_late():
        how = f"ends, {session.finish()[0]}"
    else:
        how = session.arrived() if stage == "at exit" else session.went_on()
    ground.held(f"wall clock a day {'ahead' if seconds > 0 else 'back'}", stage, how)


@each("wall clock a day ahead", quick="created")
def test_ahead(world, ground, clock, fault, stage):
    jumped(world, ground, clock, stage, DAY)


@each("wall clock a day back", quick="started")
def test_back(world, ground, clock, fault, stage):
    jumped(world, ground, clock, stage, -DAY)


class Ahead:
    """sshd in a time namespace. A monotonic clock can't jump: it is ahead from the start."""

    def __init__(self, syslog):
        self.syslog = syslog

    def wrap(self, argv):
        return self.syslog.wrap(["unshare", "--time", f"--monotonic={YEAR}", f"--boottime={YEAR}",
                                 "--fork", "--kill-child", *argv])


@each("monotonic clock a year ahead", stages=("started", "mid-stream"), quick="started")
def test_monotonic(world, ground, fault, stage):
    """Of sshd and helper; the engine's and so the container's is the machine's."""
    ground.configure(stage)
    with world.another_sshd(wrapper=Ahead(world.syslog)) as client:
        ground.client = client
        how = Session(ground, stage).went_on()
        ground.held(fault, stage, how)
    ground.client = world.client
