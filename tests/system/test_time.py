"""max_time and idle_timeout: a session ends in time, not before, and leaves nothing."""
import subprocess
import time

import pytest

from harness.terminal import Terminal
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach", "exec")
direct = pytest.mark.channels("direct")

MAX_TIME = b"berth: this session's time is over (max_time = 2s)"
IDLE = b"berth: this session was silent for too long (idle_timeout = 2s)"
# What a busy machine may take longer.
LATE = 10


def limit(world, **options):
    world.conf.write(users={"bt-*": options})


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()
    return time.monotonic()


def ended(proc, since):
    """Output, messages; it took the 2 s, of which the first line's way may have been some."""
    out, err = proc.communicate(timeout=2 + LATE)
    took = time.monotonic() - since
    assert took > 1.5, f"ended after {took} s: {err}"
    assert proc.returncode == 254, err
    return out, err


@pytest.mark.parametrize("option, reason, line", [("max_time", "max-time", MAX_TIME),
                                                  ("idle_timeout", "idle-timeout", IDLE)])
def test_silent(world, login, option, reason, line):
    limit(world, **{option: "2s"})
    proc = login.start("echo up; exec sleep 1000")
    assert ended(proc, begun(proc)) == (b"", line + b"\n")
    world.syslog.wait(rf": close .* status=254 reason={reason} duration=", world.mark)


def test_max_time_of_a_busy_one(world, login):
    limit(world, max_time="2s")
    proc = login.start("echo up; trap '' HUP; while :; do echo more; done 2>/dev/null")
    out, err = ended(proc, begun(proc))
    assert err == MAX_TIME + b"\n"
    assert out == (b"more\n" * len(out))[:len(out)]


def test_what_was_written_arrives(world, login):
    limit(world, max_time="2s", idle_timeout="1h")
    proc = login.start("echo up; seq 1 30000; echo err >&2; exec sleep 1000")
    out, err = ended(proc, begun(proc))
    assert out == b"".join(b"%d\n" % i for i in range(1, 30001))
    assert err == b"err\n" + MAX_TIME + b"\n"


def test_bytes_of_each_kind_keep_it_alive(world, login):
    limit(world, idle_timeout="2s")
    proc = login.start("for i in 1 2 3 4; do sleep 0.7; echo $i; done; "
                       "for i in 1 2 3 4; do sleep 0.7; echo $i >&2; done; "
                       "echo ready; read a; read b; read c; read d; echo $a$b$c$d; exit 7")
    for expected in (b"1\n", b"2\n", b"3\n", b"4\n", b"ready\n"):
        assert proc.stdout.readline() == expected
    for i in range(4):
        time.sleep(0.7)                 # the pace of a user, which is what is tried
        proc.stdin.write(b"%d\n" % i)
    out, err = proc.communicate(timeout=LATE)
    assert (proc.returncode, out, err) == (7, b"0123\n", b"1\n2\n3\n4\n")


def test_a_client_that_reads_nothing_is_idle(world, login):
    limit(world, idle_timeout="2s")
    proc = login.start("trap '' HUP PIPE; while :; do echo more; done")
    world.syslog.wait(r": close .* reason=idle-timeout ", world.mark, timeout=2 + 2 * LATE)
    wait_for(lambda: not world.helpers(), LATE, "the helper's end")
    proc.kill()
    proc.communicate()


def test_terminal_is_warned(world, login):
    limit(world, max_time="2s")
    it = Terminal(login.argv("echo up; trap '' HUP; while :; do sleep 1; done", opts=("-tt",)))
    it.expect(rb"up\r\n")
    it.expect(rb"\r\nberth: this session ends in 1 s \(max_time = 2s\)\r\n")
    it.expect(MAX_TIME.replace(b"(", rb"\(").replace(b")", rb"\)") + rb"\r\n")
    assert it.end() == 254
    world.syslog.wait(r": close .* status=254 reason=max-time ", world.mark)


def test_typing_keeps_a_terminal_alive(world, login):
    limit(world, idle_timeout="2s")
    warning = (rb"\r\nberth: this session ends in 1 s unless something is typed or printed "
               rb"\(idle_timeout = 2s\)\r\n")
    it = Terminal(login.argv("stty -echo; echo up; cat >/dev/null", opts=("-tt",)))
    it.expect(rb"up\r\n")
    for _ in range(3):
        it.expect(warning)
        it.send("x")
    it.expect(warning)
    assert it.end() == 254
    assert IDLE in it.raw


def test_resizes_are_no_bytes(world, login):
    limit(world, idle_timeout="2s")
    it = Terminal(login.argv("echo up; exec sleep 1000", opts=("-tt",)))
    it.expect(rb"up\r\n")
    rows, end = 20, time.monotonic() + 2 + LATE
    while it.pump(0.2):
        rows = 40 - rows + 1
        it.resize(rows, 80)
        assert time.monotonic() < end, "it goes on"
    assert IDLE in it.raw
    it.close()


def test_a_command_that_ended_and_a_client_that_reads_nothing(world, login):
    """What the command wrote is on its way for ever, but for the limit."""
    limit(world, idle_timeout="2s")
    transport = login.transport(window=32768)
    channel = transport.open_session()
    channel.exec_command("head -c 300000 /dev/zero; exit 3")
    world.syslog.wait(r": close .* reason=idle-timeout ", world.mark, timeout=2 + 2 * LATE)
    wait_for(lambda: not world.helpers(), LATE, "the helper's end")
    transport.close()


@direct
def test_a_shared_container_lives_on(world, login):
    limit(world, scope="user", linger="1h", max_time="2s", create=world.own_hostnames())
    proc = login.start("(setsid sleep 777 >/dev/null 2>&1 &); hostname; exec sleep 1000")
    name = proc.stdout.readline()
    assert ended(proc, time.monotonic()) == (b"", MAX_TIME + b"\n")
    got = login.run("hostname; ps -o args")
    assert got.returncode == 0
    assert got.stdout.startswith(name) and b"sleep 777" in got.stdout, got
    assert b"sleep 1000" not in got.stdout
    for row in world.containers():
        world.engine.remove(row["Id"])


@direct
class TestPipesAreStillTheCommands:
    """With max_time the helper finds back to stderr, but holds none of sshd's pipes."""

    @pytest.fixture(autouse=True)
    def limited(self, world):
        limit(world, max_time="1h")

    def test_end_of_output_before_the_end(self, login):
        transport = login.transport()
        channel = transport.open_session()
        channel.settimeout(10)
        channel.exec_command("echo up; exec >&- 2>&-; read x; exit 6")
        assert channel.makefile().read() == b"up\n"
        assert not channel.exit_status_ready()
        channel.sendall(b"x\n")
        assert channel.recv_exit_status() == 6
        transport.close()

    def test_closed_stdout_is_epipe(self, login):
        """What is said on stderr after it may be lost: sshd shuts both (a plain host's too)."""
        one = login.start("yes; exit 7")
        head = subprocess.run(["head", "-n", "1"], stdin=one.stdout, capture_output=True,
                              timeout=20)
        one.stdout.close()
        assert head.stdout == b"y\n"
        one.stderr.read()
        assert one.wait(10) == 7

    def test_client_closes_the_channel_and_keeps_the_connection(self, world, login):
        transport = login.transport()
        one = transport.open_session()
        one.exec_command("trap '' HUP; echo up; while :; do sleep 1; done")
        assert one.makefile().readline() == "up\n"
        one.close()
        wait_for(lambda: not world.helpers(), 5, "the helper's end")
        assert transport.is_active()
        transport.close()
