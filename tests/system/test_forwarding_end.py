"""How long a container lives by its connection alone, and what is left when anything is killed."""
import contextlib
import os
import signal
import subprocess
import time

import pytest

from harness.forwarding import (OTHER, child, connected, greeting, held, holders, monitor, opened,
                                watchers)
from harness.private_engine import PrivateEngine
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")
scopes = pytest.mark.parametrize("scope", ["session", "connection", "user"])
one_channel = pytest.mark.channels("direct")
AGAIN = "connect again"


def reap(world, doors):
    got = world.berth("reap", "--config", doors.conf.path, config=False)
    assert (got.returncode, got.stderr) == (0, ""), got
    return got.stdout


def running(world):
    return [row["Id"] for row in world.containers() if row["State"] == "running"]


def nothing_left(world, seconds=10):
    wait_for(lambda: not world.containers() and not world.berths() and not world.left_files(),
             seconds, lambda: f"nothing: {world.containers()} {world.berths()} "
                              f"{world.left_files()}")


@scopes
def test_a_connection_alone(world, ways, doors, scope):
    """ssh -N -L: its container is there from the first to the last moment, whatever sweeps, and
    whatever sessions come and go."""
    ways.allow(scope=scope)
    conn = ways.connect()
    ident = held(world)
    path = conn.forward(7000)
    assert conn.run("true").returncode == 0
    reap(world, doors)
    wait_for(lambda: running(world) == [ident], 10, lambda: f"it alone: {world.containers()}")
    # One that nobody listens in is told from one that is gone.
    assert opened(ways.transport(), 7000) == 2
    wait_for(lambda: ident in running(world), 1, "it is there")
    ways.serve(conn, 7000)
    with connected(path) as sock:
        assert greeting(sock) == b"inside\n"
    ways.kept.close()
    nothing_left(world)


def test_scope_user_lingers(world, ways):
    """After a connection alone as after a session."""
    ways.allow(scope="user", linger="1m")
    conn = ways.connect()
    ident = held(world)
    conn.close()
    ways.connect()
    assert held(world) == ident
    ways.remove()
    ways.allow(scope="user", linger="1s")
    conn = ways.connect()
    held(world)
    conn.close()
    nothing_left(world, 20)


def test_stopped_when_idle(world, ways):
    """With its files, and in another network the next time."""
    ways.allow(scope="user", on_idle="stop")
    conn = ways.connect()
    ident = held(world)
    assert conn.run("echo mine >/tmp/f").returncode == 0
    conn.close()
    wait_for(lambda: [row["State"] for row in world.containers()] == ["exited"], 20,
             lambda: f"it stopped: {world.containers()}")
    again = ways.connect()
    assert held(world) == ident
    port = ways.serve(again)
    assert again.said(port) == b"inside\n"
    assert again.run("cat /tmp/f").stdout == b"mine\n"
    ways.kept.close()
    wait_for(lambda: [row["State"] for row in world.containers()] == ["exited"], 20,
             lambda: f"it stopped: {world.containers()}")
    wait_for(lambda: not world.berths() and not world.left_files(), 20, "nothing else left")
    ways.remove()


# --- kill -9

VICTIMS = ["client", "monitor", "child", "holder", "watcher"]


@scopes
@pytest.mark.parametrize("who", VICTIMS)
def test_killed(world, ways, doors, scope, who):
    """With a session, a forward in use and a port listened on for the client. Whoever was killed,
    with the connection's end all of it is gone: the fixtures see to that."""
    ways.allow(scope=scope)
    here, conn = ways.host_server(), ways.connect()
    held(world)
    victim = {"client": lambda: conn.master.pid, "monitor": lambda: monitor(world),
              "child": lambda: child(world), "holder": lambda: holders(world)[0],
              "watcher": lambda: watchers(world)[0]}[who]()
    port = ways.serve(conn)
    conn.control("forward", "-R", f"0:127.0.0.1:{here.port}")
    sock = ways.keep(conn.open(port))
    assert greeting(sock) == b"inside\n"
    os.kill(victim, signal.SIGKILL)
    if who in ("client", "child"):
        conn.ends()
    else:
        # sshd's child goes on, and the session: so does what is forwarded.
        sock.sendall(b"still\n")
        assert greeting(sock) == b"still\n"
        conn.run("true", timeout=30)
        conn.close()
    if who == "monitor":
        # What sshd itself would have done.
        wait_for(lambda: not world.berths(), 20, lambda: f"nobody: {world.berths()}")
        reap(world, doors)
    nothing_left(world, 20)
    reap(world, doors)
    assert os.listdir(os.path.join(world.runtime, "networks")) == []


@scopes
@pytest.mark.parametrize("who", ["holder", "monitor", "both"])
def test_killed_while_nobody_is_in(world, ways, doors, scope, who):
    """A connection alone: its container has nobody else. A watcher keeps it for the connection,
    in scope user for nobody but holders and sessions."""
    ways.allow(scope=scope)
    conn = ways.connect()
    held(world)
    victims = {"holder": holders(world), "monitor": [monitor(world)],
               "both": holders(world) + watchers(world)}[who]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    ends = who == "monitor" or who == "holder" and scope == "user"
    if ends:
        wait_for(lambda: not running(world), 20, lambda: f"it is gone: {world.containers()}")
    got = conn.run("echo ran", timeout=30)
    if ends:
        assert got.returncode != 0 and got.stdout == b"", got
    elif who == "holder":
        assert (got.returncode, got.stdout) == (0, b"ran\n"), got
    # Where nobody is left, the next one's sweep takes it away.
    assert got.returncode == 0 or who == "monitor" or AGAIN in got.stderr.decode(), got
    conn.close()
    if who == "monitor":
        wait_for(lambda: not world.berths(), 20, lambda: f"nobody: {world.berths()}")
        reap(world, doors)
    nothing_left(world, 20)
    reap(world, doors)
    assert os.listdir(os.path.join(world.runtime, "networks")) == []


@one_channel
@pytest.mark.parametrize("scope", ["connection", "user"])
@pytest.mark.parametrize("who", ["client", "monitor", "holder", "both"])
def test_killed_while_it_is_made(world, ways, doors, scope, who):
    """Whenever, on the way from a connection to its network. Of a container that the engine
    hasn't begun to make nobody can tell whether it will come: that is for others to test."""
    ways.allow(scope=scope)
    begun = world.containers if who in ("holder", "both") else lambda: holders(world)
    for ms in (0, 40, 120):
        proc = ways.started(ways.login().start(opts=["-N"], stdin=subprocess.DEVNULL))
        wait_for(begun, 20, "its container being made")
        time.sleep(ms / 1000)       # the moment itself is what is tried
        victims = {"client": [proc.pid], "monitor": [monitor(world)], "holder": holders(world),
                   "both": holders(world) + watchers(world)}[who]
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        proc.kill()
        if who in ("monitor", "both"):
            wait_for(lambda: reap(world, doors) and not world.berths(), 20,
                     lambda: f"nobody: {world.berths()}")
            reap(world, doors)
        nothing_left(world, 20)


# --- the container's end

@pytest.mark.parametrize("how,scope", [("killed", "session"), ("killed", "connection"),
                                       ("killed", "user"), ("removed", "user")])
def test_the_container_ends(world, ways, scope, how):
    """In the middle: what was forwarded ends, nothing hangs, and the next session of this
    connection says what to do."""
    ways.allow(scope=scope)
    host, conn = ways.host_server(), ways.connect()
    ident = held(world)
    port = ways.serve(conn)
    conn.control("forward", "-R", f"0:127.0.0.1:{host.port}")
    path, sock = conn.forward(port), ways.keep(conn.open(port))
    assert greeting(sock) == b"inside\n"
    # In scope session the connection's, and that of its session, which shares the network.
    for each in [ident] + [row for row in running(world) if row != ident]:
        if how == "killed":
            world.engine.call("POST", f"/containers/{each}/kill", ok=(204, 404, 409))
        else:
            world.engine.remove(each)
    assert greeting(sock) == b""
    with connected(path) as late:
        assert greeting(late) == b""
    got = conn.run("echo ran", timeout=30)
    assert (got.returncode, got.stdout) == (254, b""), got
    assert got.stderr.startswith(b"berth: ") and got.stderr.count(b"\n") == 1
    assert AGAIN in got.stderr.decode()
    assert host.seen == 0
    # And that does it.
    again = ways.connect()
    port = ways.serve(again)
    assert again.said(port) == b"inside\n"
    assert conn.run("true", timeout=30).returncode == 254
    conn.close()
    again.close()
    nothing_left(world)


@pytest.fixture(scope="module")
def lasting(session_world):
    """An engine whose containers live on without it."""
    it = PrivateEngine(session_world.dir, "forwarding", session_world.group_name(),
                       **{"live-restore": True})
    it.add_busybox()
    yield it
    it.close()


def test_the_engine_ends(world, ways, lasting):
    """Forwards are sshd's and the kernel's: they have no need of it."""
    usual, ways.doors.conf.endpoint = ways.doors.conf.endpoint, "unix://" + lasting.path
    try:
        ways.allow(scope="user", image="berth-test/busybox")
        conn = ways.connect()
        proc = ways.start(conn, "exec httpd -f -p 127.0.0.1:8080 -h /etc")

        def answers():
            with conn.open(8080) as sock, contextlib.suppress(BrokenPipeError):
                sock.sendall(b"GET /group HTTP/1.0\r\n\r\n")
                return b" 200 OK" in greeting(sock)
            return False
        wait_for(answers, 20, "its server")
        lasting.kill()
        assert answers()
        if world.channel == "direct":
            assert proc.poll() is None
            assert conn.run("echo in").stdout == b"in\n"
        lasting.start()
        assert conn.run("echo in").stdout == b"in\n"
        conn.close()
        wait_for(lambda: not lasting.engine.containers(world.names()), 20, "its container gone")
    finally:
        ways.doors.conf.endpoint = usual


# --- how many

@one_channel
@scopes
def test_max_sessions(world, ways, scope):
    """A connection that holds a container is one, without a session too."""
    ways.allow(scope=scope, max_sessions=2)
    first, second = ways.connect(), ways.connect()
    full = lambda: len(holders(world)) == 2
    wait_for(full, 20, lambda: f"two that hold: {holders(world)}")
    third = ways.connect()
    got = third.run("echo ran", timeout=30)
    assert got.returncode == 254 and b"ran" not in got.stdout, got
    assert b"max_sessions" in got.stdout + got.stderr, got
    assert third.said(7000) == b""
    first.close()
    wait_for(lambda: len(holders(world)) == 1, 20, lambda: f"one that holds: {holders(world)}")
    ways.connect()
    wait_for(full, 20, lambda: f"two that hold: {holders(world)}")
    # Another user's are his own.
    assert [opened(ways.transport(OTHER), 7000) for _ in range(2)] == [2, 2]
    assert len(holders(world, OTHER)) == 2
    ways.kept.close()
    nothing_left(world)
