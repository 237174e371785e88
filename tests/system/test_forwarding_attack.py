"""Forwarding in the hands of those who would have it lead elsewhere, hold others up or leave
something behind."""
import os
import re
import subprocess
import time

import pytest

from harness import procs
from harness.forwarding import USER, ask, child, listens, vouched
from harness.wait import became, wait_for

pytestmark = pytest.mark.channels("direct", "attach")
TWIN = "bt-doortwin"


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
    time.sleep(1)       # in which they have nothing to do
    busy = {pid for pid, used in before.items()
            if os.path.exists(f"/proc/{pid}") and ticks(pid) - used > 30}
    assert not busy
    old.close()


@pytest.mark.parametrize("scope", ["session", "connection", "user"])
def test_the_administrator_sees_and_ends_it(world, ways, scope):
    """Without a session there is a connection all the same."""
    ways.allow(scope=scope, max_sessions="1")
    conn = ways.connect()
    joined(world)
    port = ways.serve(conn)
    ident = vouched(world)[USER]["id"]
    rows = {row["kind"]: row for row in world.present(USER)}
    assert set(rows) == {"forward", "exec"}
    held = rows["forward"]
    assert (held["session"], held["scope"], held["client"], held["state"]) == \
        (ident, "user" if scope == "user" else "connection", "127.0.0.1", "running")
    assert held["container"] in [row["Names"][0].lstrip("/") for row in world.containers()]
    assert conn.said(port) == b"inside\n"
    got = world.berth("kill", ident)
    assert (got.returncode, got.stdout, got.stderr) == (0, f"{ident} ({USER}): ended\n1 ended\n", "")
    conn.ends()
    wait_for(lambda: not world.containers(), 10, "its containers gone")
    assert world.present(USER) == []


def test_a_container_of_before_it_was_on(world, ways):
    """Idle then, and its own guest was to end it: the connection keeps one that it doesn't."""
    ways.allow(scope="user", linger="3s", forwarding="off")
    assert ways.login().run("true").returncode == 0
    ways.allow(scope="user", linger="3s")
    conn = ways.connect()
    joined(world)
    time.sleep(5)       # past the time after which its own guest would have ended it
    assert conn.said(ways.serve(conn)) == b"inside\n"
    ways.remove()


@pytest.fixture
def twin(world, doors, ways):
    """Another name of the user's uid, in the same Match block."""
    doors.make(TWIN, extra=["-o", "-u", str(world.uid(USER))])
    yield TWIN
    ways.kept.close()
    became(lambda: not world.containers() and not world.left_files(), 10)
    subprocess.run(["userdel", "-r", "-f", TWIN], capture_output=True)


@pytest.mark.parametrize("scope", ["session", "connection", "user"])
def test_two_names_of_a_uid(world, ways, twin, scope):
    """Neither comes into the other's network, though the folder of their locks is one."""
    ways.allow(scope=scope)
    first, second = ways.connect(), ways.connect(twin)
    joined(world)
    joined(world, twin)
    port = ways.serve(second)
    assert second.said(port) == b"inside\n"
    assert first.said(port) == b""
    said = vouched(world)
    assert said[USER]["network"] != said[twin]["network"]


def test_the_loopback_of_who_may_not_forward(world, ways):
    """His network has nothing but that, on which sshd has a display's port, and of which his
    container knows nothing."""
    ways.allow(forwarding="off")
    here, conn = ways.host_server(), ways.connect()
    port = int(conn.control("forward", "-R", f"0:127.0.0.1:{here.port}"))
    there = ["nsenter", "-t", str(child(world)), "-n"]
    got = subprocess.run([*there, "ip", "-o", "link"], capture_output=True, text=True)
    assert re.fullmatch(r"1: lo: <LOOPBACK,UP,LOWER_UP> [^\n]*\n", got.stdout), got
    got = subprocess.run([*there, "bash", "-c", ask(port)], capture_output=True)
    assert got.stdout == b"host\n", got
    assert conn.run(ask(port)).stdout == b""
    assert not listens(port)
