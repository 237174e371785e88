"""What the ssh command can't send: asyncssh and paramiko."""
import asyncio

import asyncssh
import pytest

from harness.asynchronous import connected
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")
plain = pytest.mark.plain
once = pytest.mark.channels()


@plain
def test_signal_request_is_refused_and_the_session_goes_on(world, each):
    """sshd refuses it while a forced command runs; on a plain host it ends the command."""
    async def work(conn):
        proc = await conn.create_process("trap 'echo caught; exit 1' TERM; echo up; read x; "
                                         "echo got $x; exit 6")
        assert await proc.stdout.readline() == "up\n"
        if not world.bare:
            proc.send_signal("TERM")
        proc.stdin.write("line\n")
        result = await proc.wait()
        return result.stdout, result.exit_status
    assert connected(world, work) == ("got line\n", 6)


@plain
def test_eof_long_before_the_end(world, each):
    async def work(conn):
        proc = await conn.create_process("cat; sleep 1; echo after; exit 2")
        proc.stdin.write("before\n")
        proc.stdin.write_eof()
        result = await proc.wait()
        return result.stdout, result.exit_status
    assert connected(world, work) == ("before\nafter\n", 2)


@plain
def test_sessions_one_after_another_on_a_connection(world, each):
    async def work(conn):
        seen = []
        for n in range(5):
            result = await conn.run(f"echo {n}; exit {n}")
            seen.append((result.stdout, result.exit_status))
        return seen
    assert connected(world, work) == [(f"{n}\n", n) for n in range(5)]


@plain
def test_ten_sessions_at_once_on_a_connection(world, each):
    async def work(conn):
        results = await asyncio.gather(*(conn.run(f"cat; exit {n}", input=str(n) * 1000)
                                         for n in range(10)))
        return [(r.stdout, r.exit_status) for r in results]
    assert connected(world, work) == [(str(n) * 1000, n) for n in range(10)]


@plain
def test_window_change_without_a_terminal(world, login):
    async def work(conn):
        proc = await conn.create_process("echo up; read x; exit 3")
        assert await proc.stdout.readline() == "up\n"
        proc.change_terminal_size(100, 40)
        proc.stdin.write("x\n")
        return (await proc.wait()).exit_status
    assert connected(world, work) == 3


@plain
def test_break_on_a_terminal(world, login):
    """A break must not end or hang the session."""
    async def work(conn):
        proc = await conn.create_process("stty ignbrk; echo up; read x; echo got $x; exit 5",
                                         term_type="xterm")
        assert "up" in await proc.stdout.readline()
        proc.send_break(100)
        proc.stdin.write("y\n")
        result = await proc.wait()
        return "got y" in result.stdout, result.exit_status
    assert connected(world, work) == (True, 5)


@plain
@pytest.mark.parametrize("size", [(0, 0), (65535, 65535), (1, 1)])
def test_odd_terminal_sizes(world, login, size):
    """Sizes that no window has: the session runs all the same."""
    async def work(conn):
        result = await conn.run("echo ran; exit 4", term_type="vt100", term_size=size)
        return "ran" in result.stdout, result.exit_status
    assert connected(world, work) == (True, 4)


@plain
def test_environment_request_that_sshd_refuses(world, login):
    async def work(conn):
        result = await conn.run("echo [$SECRET]", env={"SECRET": "x"})
        return result.stdout
    assert connected(world, work) == "[]\n"


@plain
def test_small_packets_both_ways(world, each):
    """max_pktsize of 256: a frame of berth's own may never depend on the client's."""
    async def work(conn):
        proc = await conn.create_process("cat", encoding=None, window=1024, max_pktsize=256)
        data = bytes(range(256)) * 400
        proc.stdin.write(data)
        proc.stdin.write_eof()
        result = await proc.wait()
        return result.stdout == data, result.exit_status
    assert connected(world, work) == (True, 0)


def test_connection_dropped_with_many_sessions(world, login):
    """Ten sessions of one connection, all gone within 2 s."""
    async def work(conn):
        for _ in range(10):
            proc = await conn.create_process("trap '' HUP TERM; echo up; while :; do sleep 1; done")
            assert await proc.stdout.readline() == "up\n"
        assert len(world.containers()) == 10
        conn.abort()
    connected(world, work)
    wait_for(lambda: not world.containers(), 5, lambda: f"none left; {len(world.containers())}")


@once
def test_no_forwarding_of_any_kind(world, login):
    """The doors of 50-berth.conf, knocked at by a client that sends any request."""
    async def work(conn):
        opened = []
        for what, door in {
                "tcp": lambda: conn.open_connection("127.0.0.1", world.sshd.port),
                "unix": lambda: conn.open_unix_connection(world.socket),
                "listen": lambda: conn.start_server(lambda *a: None, "127.0.0.1", 0),
                "unix listen": lambda: conn.start_unix_server(lambda *a: None, "/tmp/bt-listen"),
        }.items():
            try:
                if await door() is not None:
                    opened.append(what)
            except (asyncssh.ChannelOpenError, asyncssh.ChannelListenError):
                pass
        return opened
    assert connected(world, work) == []
