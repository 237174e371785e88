"""Sessions with a terminal."""
import asyncio
import os
import signal
import subprocess
import sys

import pytest

from harness.asynchronous import connected
from harness.terminal import Terminal
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach", "exec")
plain = pytest.mark.plain


@pytest.fixture
def terminal(each):
    """Starts ssh on a PTY; closes what a failing test left open."""
    opened = []

    def start(*command, opts=("-t",), rows=24, cols=80, env=None):
        it = Terminal(each.argv(*command, opts=opts), rows, cols,
                      env={**os.environ, "TERM": "xterm", **(env or {})})
        opened.append(it)
        return it
    start.login = each
    yield start
    for it in opened:
        it.close()


def shell(terminal, **kw):
    """An interactive shell that has answered once."""
    it = terminal(opts=("-tt",), **kw)
    it.send("PS1='RE''ADY> '; echo sy''nc\r")
    it.expect(rb"sync\r?\n.*READY> ")
    return it


@plain
def test_command_with_t_has_a_terminal(terminal):
    it = terminal("test -t 0 && test -t 1 && test -t 2 && echo all; exit 4")
    assert it.end() == 4
    assert it.raw == b"all\r\n"


@plain
def test_without_t_there_is_none(each):
    got = each.run("test -t 0 || test -t 1 || test -t 2 || echo none")
    assert got.stdout == b"none\n"


@plain
def test_tt_with_a_file_as_input(each):
    got = each.run(opts=["-tt"], input=b"stty -echo; echo a''b\nexit 3\n")
    assert got.returncode == 3
    assert b"ab\r\n" in got.stdout


@plain
@pytest.mark.parametrize("rows,cols", [(43, 132), (200, 500)])
def test_first_window_size(terminal, rows, cols):
    """Eight times: a size set after the start is wrong in some of them."""
    started = [terminal("stty size", rows=rows, cols=cols) for _ in range(4)]
    seen = [(it.end(), it.raw) for it in started]
    started = [terminal("stty size", rows=rows, cols=cols) for _ in range(4)]
    seen += [(it.end(), it.raw) for it in started]
    assert seen == [(0, b"%d %d\r\n" % (rows, cols))] * 8


@plain
def test_first_window_size_of_a_shell(terminal):
    it = terminal(opts=("-tt",), rows=37, cols=101)
    it.send("stty size; exit\r")
    it.expect(rb"37 101\r\n")
    assert it.end() == 0


@plain
def test_window_change(terminal):
    """Polled: a bash 5.2 that only waits for WINCH misses some of several, on a plain host too."""
    it = terminal("trap 'echo win''ch' WINCH; trap 'exit 9' INT; echo up; "
                  "while :; do stty size; sleep 0.05; done", rows=30, cols=100)
    it.expect(rb"up\r\n")
    for rows, cols in ((50, 120), (25, 90), (2, 2), (51, 121)):
        it.resize(rows, cols)
        size = b"\n%d %d\r\n" % (rows, cols)

        def seen():
            it.nudge()
            return size in it.raw
        it.until(seen, f"size {size!r}", timeout=5)
    it.expect(rb"winch\r\n", timeout=1)
    # By a trap: without one bash goes on when a ^C meets a child that just ends by itself.
    it.send("\x03")
    assert it.end() == 9


@plain
def test_control_keys_arrive(terminal):
    """Ctrl-P Ctrl-Q is an engine's detach sequence; every control byte must pass."""
    it = terminal("stty raw -echo; echo up; head -c 34 | od -An -tx1 -v; stty sane")
    it.expect(rb"up\n")
    keys = bytes([0x10, 0x11, 0x10]) + bytes(range(1, 32))
    for key in keys:
        it.send(bytes([key]))
    status = it.end()
    seen = bytes(int(x, 16) for x in it.raw[it.taken:].split())
    assert (seen, status) == (keys, 0)


@plain
def test_ctrl_p_is_not_held_back(terminal):
    """One Ctrl-P alone arrives at once, not with the next key."""
    it = terminal("stty raw -echo; echo up; head -c 1 | od -An -tx1")
    it.expect(rb"up\n")
    it.send("\x10")
    it.expect(rb"10")
    assert it.end() == 0


@plain
def test_ctrl_c_ends_the_command_and_not_the_shell(terminal):
    it = shell(terminal)
    it.send("echo run''ning; sleep 1000\r")
    it.expect(rb"running\r\n")
    it.send("\x03")
    it.expect(rb"READY> ")
    it.send("echo still he''re; exit 6\r")
    it.expect(rb"still here")
    assert it.end() == 6


@plain
def test_ctrl_c_ends_a_command_without_a_shell(world, terminal):
    it = terminal("echo up; exec sleep 1000")
    it.expect(rb"up\r\n")
    it.send("\x03")
    assert it.end() == world.killed(signal.SIGINT)


@plain
def test_ctrl_z_and_fg(terminal):
    it = shell(terminal)
    it.send("sleep 1000; echo af''ter $?\r")
    it.send("\x1a")
    it.expect(rb"[Ss]topped")
    it.send("jobs; fg\r")
    it.expect(rb"sleep 1000.*sleep 1000")
    it.send("\x03")
    it.expect(rb"READY> ")
    it.send("exit\r")
    it.end()


@plain
def test_ctrl_d_ends_the_shell(terminal):
    it = shell(terminal)
    it.send("(exit 5)\r")
    it.expect(rb"READY> ")
    it.send("\x04")
    assert it.end() == 5


@plain
def test_background_job_does_not_hold_the_terminal(terminal):
    it = shell(terminal)
    it.send("sleep 1000 & \r")
    it.expect(rb"READY> ")
    it.send("exit 8\r")
    status = it.end()
    if status != 8:      # a shell may ask once about jobs
        raise AssertionError(f"status {status}: {it.raw[-300:]!r}")


@plain
def test_much_output_on_a_terminal(terminal):
    it = terminal("i=0; stty -opost; seq 1 100000; exit 2")
    assert it.end(60) == 2
    assert it.raw == b"".join(b"%d\n" % i for i in range(1, 100001))


@plain
def test_vi_draws_and_redraws(terminal):
    it = terminal("cd /tmp; printf 'first\\nsecond\\nthird\\n' >v.$$; vi v.$$; echo; cat v.$$; "
                  "rm -f v.$$", rows=20, cols=70)
    it.until(lambda: it.lines()[:3] == ["first", "second", "third"] and it.lines()[3] == "~",
             "file drawn by vi")
    it.send("jA and more\x1b")
    it.until(lambda: it.lines()[1] == "second and more", "inserted text")
    it.resize(12, 50)
    it.nudge()
    it.send("\x0c")
    it.until(lambda: it.lines()[:3] == ["first", "second and more", "third"]
             and len(it.lines()) == 12, "redrawn screen")
    it.send(":wq\r")
    assert it.end() == 0
    assert b"\nsecond and more\r\n" in it.raw[-200:]


@plain
def test_less_draws_and_scrolls(terminal):
    it = terminal("seq 100 300 | less", rows=15, cols=40)
    it.until(lambda: it.lines()[:2] == ["100", "101"] and it.lines()[13] == "113", "first page")
    it.send(" ")
    it.until(lambda: it.lines()[0] in ("113", "114"), "second page")
    it.send("G")
    it.until(lambda: "300" in it.lines(), "last page")
    it.send("q")
    assert it.end() == 0


@plain
@pytest.mark.parametrize("term", ["xterm", "screen-256color", "vt100"])
def test_term_inside(terminal, term):
    it = terminal("echo [$TERM]", env={"TERM": term})
    assert it.end() == 0
    assert it.raw == b"[%s]\r\n" % term.encode()


def test_hostile_term(login):
    """TERM is the client's: data."""
    it = Terminal(login.argv("printf '[%s]' \"$TERM\"", opts=("-t",)),
                  env={**os.environ, "TERM": "a\"b\n$(id)"})
    it.end()
    assert b"uid=" not in it.raw


@plain
def test_history_key_in_the_shell(terminal):
    """What people lose with the default detach keys: Ctrl-P recalls the last line."""
    it = shell(terminal)
    it.send("echo mar''ker\r")
    it.expect(rb"marker\r?\n.*READY> ")
    it.send("\x10")
    it.expect(rb"echo mar''ker")
    it.send("\r")
    it.expect(rb"marker\r?\n")
    it.send("exit\r")
    it.end()


def run_helper_on_a_pty(world, command, then=""):
    """The helper without sshd, on a PTY whose modes are read before and after."""
    script = r"""
import os, pty, pwd, signal, sys, termios
helper, config, user, group, command, action = sys.argv[1:7]
master, slave = pty.openpty()
attrs = termios.tcgetattr(slave)
attrs[3] &= ~termios.ECHOE
attrs[6][termios.VINTR] = b'\x07'
termios.tcsetattr(slave, termios.TCSANOW, attrs)
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    import fcntl
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    e = pwd.getpwnam(user)
    os.setgroups([int(group)]); os.setgid(e.pw_gid); os.setuid(e.pw_uid)
    env = {'USER': user, 'HOME': e.pw_dir, 'SHELL': '/bin/sh', 'TERM': 'xterm',
           'PATH': '/bin', 'SSH_CONNECTION': '127.0.0.1 1 127.0.0.1 22',
           'SSH_CLIENT': '127.0.0.1 1 22', 'SSH_TTY': os.ttyname(0)}
    if command:
        env['SSH_ORIGINAL_COMMAND'] = command
    os.execve(helper, [helper, '--config', config], env)
seen, during = b'', None
while True:
    data = os.read(master, 65536) if b'UP' not in seen else b''
    seen += data
    if b'UP' in seen:
        during = termios.tcgetattr(slave)
        if action == 'TERM':
            # As its user: root's would end the session.
            import subprocess
            e = pwd.getpwnam(user)
            subprocess.run(['kill', str(pid)], check=True, user=e.pw_uid, group=e.pw_gid)
        break
os.set_blocking(master, False)
import time
while True:
    done, status = os.waitpid(pid, os.WNOHANG)
    try:
        os.read(master, 65536)
    except BlockingIOError:
        pass
    if done:
        break
    time.sleep(0.01)
after = termios.tcgetattr(slave)
raw = not during[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
print('raw' if raw else 'cooked', 'restored' if after == before else f'changed {before} {after}',
      os.waitstatus_to_exitcode(status))
"""
    return subprocess.run(
        [sys.executable, "-B", "-c", script, world.helper, world.conf.path, "bt-bash",
         str(world.engine_group), command, then], capture_output=True, text=True, timeout=40)


@pytest.mark.parametrize("command,action,status", [
    ("echo UP; sleep 0.3; exit 3", "", "3"),
    ("echo UP; exec sleep 1000", "TERM", None),
])
def test_modes_are_raw_and_then_restored(world, command, action, status):
    # The helper itself ends by the command's signal, where that can be known.
    status = status or ("-15" if world.channel == "direct" else "143")
    got = run_helper_on_a_pty(world, command, action)
    assert got.stdout.split() == ["raw", "restored", status], got.stdout + got.stderr


def test_hang_up_of_a_shell(world, terminal):
    """Closing the terminal's window ends everything inside."""
    it = shell(terminal)
    it.send("trap '' HUP; sleep 1000\r")
    wait_for(lambda: world.containers(), 5, "a container")
    it.child.kill(9)
    wait_for(lambda: not world.containers(), 2, "no container 2 s after the client")


def test_what_is_typed_while_the_container_starts(world, login):
    """Echoed by the terminal inside alone, as if it had come later."""
    world.conf.write(cpus="0.1")        # so that it takes a moment

    async def work(conn):
        proc = await conn.create_process("cat", term_type="xterm", encoding=None)
        while not (rows := world.containers("bt-bash")):
            await asyncio.sleep(0.01)
        proc.stdin.write(b"ahead\n")
        assert rows[0]["State"] == "created"
        seen = b""
        while seen.count(b"ahead") < 2:
            seen += await proc.stdout.read(100)
        await asyncio.sleep(0.5)        # a third would come now
        proc.stdin.write(b"\x04")
        result = await proc.wait()
        return seen + result.stdout, result.exit_status
    assert connected(world, work) == (b"ahead\r\n" * 2, 0)
