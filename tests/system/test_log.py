"""The audit lines in syslog."""
import re
import shlex

import pytest

from harness import images
from harness.terminal import Terminal

both = pytest.mark.channels("direct", "attach")


def fields(line):
    """key=value pairs of a log line, quoted values unquoted."""
    text = line.split("berth-session", 1)[1]
    return dict(f.split("=", 1) for f in shlex.split(text.split(":", 1)[1].strip("\0\n")) if "="
                in f)


def lines(world, word, timeout=5):
    # From the line's start: a command in it may hold anything.
    pattern = rf"^<\d+>\S+ +\d+ [0-9:]+ berth-session\S*: {word} "
    world.syslog.wait(pattern, world.mark, timeout)
    return [t for t in world.syslog.since(world.mark) if re.search(pattern, t)]


@both
def test_open_and_close(world, login):
    assert login.run("exit 7").returncode == 7
    opened, closed = lines(world, "open"), lines(world, "close")
    assert len(opened) == len(closed) == 1
    first, last = fields(opened[0]), fields(closed[0])
    assert first["user"] == "bt-bash" and first["uid"] == str(world.uid("bt-bash"))
    assert first["client"] == "127.0.0.1" and int(first["port"]) > 0
    assert (first["kind"], first["tty"], first["command"]) == ("exec", "no", "exit 7")
    assert first["image"].startswith(images.BUSYBOX)
    assert re.fullmatch(r"berth-[0-9a-f]{8}-\d+-[0-9a-f]{16}", first["container"])
    assert first["container"].endswith(first["session"])
    assert (last["session"], last["status"]) == (first["session"], "7")
    assert float(last["duration"].rstrip("s")) >= 0 and "reason" in last


def test_priority_is_authpriv(world, login):
    login.run("true")
    # 10 is authpriv's number: <80> to <87>.
    for line in lines(world, "open") + lines(world, "close"):
        assert re.match(r"<8[0-7]>", line)


def test_the_port_is_the_clients(world, login):
    """So that it can be matched with sshd's own line."""
    login.run("true")
    port = fields(lines(world, "open")[0])["port"]
    assert f"Accepted publickey for bt-bash from 127.0.0.1 port {port}" in world.sshd.tail()


@both
@pytest.mark.parametrize("opts,command,kind,tty", [
    (["-T"], (), "shell", "no"), (["-tt"], (), "shell", "yes"),
    (["-tt"], ("true",), "exec", "yes"), (["-s"], ("sftp",), "sftp", "no")])
def test_kinds(world, opts, command, kind, tty):
    # root has a line in the image's passwd, which its sftp-server wants.
    world.conf.write(image=images.GLIBC, user="0:0")
    world.login().run(*command, opts=opts, input=b"exit\n" if not command else b"")
    seen = fields(lines(world, "open")[0])
    assert (seen["kind"], seen["tty"]) == (kind, tty)
    lines(world, "close")


@pytest.mark.parametrize("command", [
    "echo a\nberth-session: close session=0 status=0", 'echo "x" status=0 user="root"',
    "echo \x1b[31m\x07\x01", "echo \\\" status=0 \\", "echo \u202e\u2028 ü",
    "echo a\rb", "echo " + "x" * 100000])
def test_no_command_can_forge_a_line(world, login, command):
    assert login.run(command).returncode in (0, 127)
    opened = lines(world, "open")
    lines(world, "close")
    ours = world.syslog.since(world.mark, "berth-session")
    assert len(opened) == 1
    for line in ours:
        body = line.rstrip("\n\0")
        assert not re.search(r"[\x00-\x1f\x7f]", body), repr(body)
        assert len(body) < 8192
    assert fields(opened[0])["user"] == "bt-bash"
    closes = [fields(x) for x in lines(world, "close")]
    assert [c["session"] for c in closes] == [fields(opened[0])["session"]]


@both
def test_bytes_are_counted_where_they_are_seen(world, login):
    """A pipe of sshd's that the command has itself is nobody's to count."""
    assert login.run("cat; echo e >&2", input=b"hello").stdout == b"hello"
    seen = fields(lines(world, "close")[0])
    assert (seen.get("in"), seen.get("out")) == (
        (None, None) if world.channel == "direct" else ("5", "7"))
    world.mark = world.syslog.mark()
    it = Terminal(login.argv("printf hello", opts=("-t",)))
    assert (it.end(), it.raw) == (0, b"hello")
    assert fields(lines(world, "close")[0])["out"] == "5"


@both
def test_a_command_that_a_signal_ended(world, login):
    login.run("kill -TERM $$; sleep 5")
    seen = fields(lines(world, "close")[0])
    assert (seen.get("status"), seen.get("signal")) == (
        ("143", "TERM") if world.channel == "direct" else ("143", None))
    assert seen["reason"] == "exit"


@both
def test_reason_of_a_client_that_went(world, login):
    proc = login.start("echo up; sleep 1000")
    assert proc.stdout.readline() == b"up\n"
    proc.kill()
    proc.communicate()
    assert fields(lines(world, "close")[0])["reason"] not in ("", "exit", "exited")


def test_deny_has_its_reason(world, login):
    world.conf.write(deny='"maintenance"\nnow')
    got = login.run("true")
    assert got.returncode == 254
    seen = fields(lines(world, "deny")[0])
    assert seen["user"] == "bt-bash" and "maintenance" in seen["reason"]
    assert not [t for t in world.syslog.since(world.mark, "berth-session") if " open " in t]


def test_the_users_line_has_no_details_of_the_host(world, login):
    """The engine's socket path may be told; a stack of internals may not."""
    world.conf.write(engine={"endpoint": f"unix://{world.dir}/none.sock"})
    got = login.run("true")
    assert got.stderr.count(b"\n") == 1 and len(got.stderr) < 400
