"""Forwarding in the hands of those who would have it lead elsewhere, hold others up or leave
something behind."""
import os
import time

import pytest

from harness import procs
from harness.forwarding import USER, vouched
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")


def joined(world, user=USER):
    """Its connection is in a container's network."""
    wait_for(lambda: "network" in vouched(world).get(user, {}), 20, "the container's network")


def ticks(pid):
    """The processor's time that it used, in 1/100 s."""
    with open(f"/proc/{pid}/stat") as f:
        words = f.read().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


@pytest.mark.parametrize("scope", ["user", "connection"])
def test_a_connection_whose_container_ended(world, ways, scope):
    """It keeps nobody from another one, and no process busy, however long it stays."""
    ways.allow(scope=scope)
    old = ways.connect()
    joined(world)
    for row in world.containers():
        world.engine.remove(row["Id"])
    began = time.monotonic()
    got = ways.login().run("echo in", timeout=30)
    assert (got.returncode, got.stdout) == (0, b"in\n"), got
    assert time.monotonic() - began < 5
    got = old.run("echo in", timeout=30)
    assert got.returncode == 254 and b"connect again" in got.stderr, got
    before = {row[0]: ticks(row[0]) for row in procs.of_users({world.uid(USER)})}
    time.sleep(1)
    busy = {pid for pid, used in before.items()
            if os.path.exists(f"/proc/{pid}") and ticks(pid) - used > 30}
    assert not busy
    old.close()


def test_a_container_of_before_it_was_on(world, ways):
    """Idle then, and its own guest was to end it: the connection keeps one that it doesn't."""
    ways.allow(scope="user", linger="3s", forwarding="off")
    assert ways.login().run("true").returncode == 0
    ways.allow(scope="user", linger="3s")
    conn = ways.connect()
    joined(world)
    time.sleep(5)
    assert conn.said(ways.serve(conn)) == b"inside\n"
    ways.remove()
