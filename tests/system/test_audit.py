"""audit_format = json, what ties berth's lines to sshd's, and a log that is gone."""
import json
import os
import pwd
import re
import subprocess

import pytest

from harness.sshd import free_port
from harness.terminal import Terminal
from harness.wait import wait_for

HEAD = re.compile(r"^<(\d+)>\S+ +\d+ [0-9:]+ berth-session(\[\d+\])?: (.*)$", re.S)


def as_json(world, user="bt-bash", **options):
    world.conf.raw("audit_format = json\n" + world.conf.text(**options))
    return world.login(user)


def events(world, *names, timeout=5):
    """The objects of these events, in their order; every line of berth-session's is one."""
    def found():
        objects = []
        for line in world.syslog.since(world.mark, "berth-session"):
            objects.append(json.loads(HEAD.match(line.rstrip("\n\0"))[3]))
        return objects if [o["event"] for o in objects] == list(names) else None
    return wait_for(found, timeout, lambda: f"{names}: {world.syslog.since(world.mark)}")


def same_keys(world, text_line):
    return [k for k in re.findall(r'(?:^| )([a-z]+)=(?=[^ ])', re.sub(r'"(\\.|[^"])*"', '"x"',
                                                                     text_line))]


@pytest.mark.channels("direct", "attach")
def test_json(world):
    login = as_json(world)
    assert login.run("exit 7").returncode == 7
    opened, closed = events(world, "open", "close")
    assert opened["user"] == "bt-bash" and opened["uid"] == world.uid("bt-bash")
    assert isinstance(opened["port"], int) and opened["port"] > 0
    assert (opened["kind"], opened["tty"], opened["command"]) == ("exec", False, "exit 7")
    assert closed["session"] == opened["session"] and closed["status"] == 7
    assert isinstance(closed["duration"], float) and closed["reason"] == "exit"
    assert isinstance(closed["sshd"], int)
    if world.channel == "attach":
        assert closed["in"] == 0 and closed["out"] == 0


def test_json_has_the_keys_of_text(world):
    login = as_json(world)
    login.run("kill -TERM $$; sleep 5")
    told = events(world, "open", "close")
    world.conf.write()
    world.mark = world.syslog.mark()
    login.run("kill -TERM $$; sleep 5")
    world.syslog.wait("berth-session.*: close ", world.mark)
    lines = [HEAD.match(x.rstrip("\n\0"))[3]
             for x in world.syslog.since(world.mark, "berth-session")]
    for line, obj in zip(lines, told):
        assert ["event"] + same_keys(world, line) == list(obj), (line, obj)


def test_json_of_a_refusal(world):
    login = as_json(world, deny='"maintenance"\nnow')
    assert login.run("true").returncode == 254
    (denied,) = events(world, "deny")
    assert (denied["cause"], denied["reason"]) == ("deny", '"maintenance"\nnow')


@pytest.mark.parametrize("command", [
    'echo a\n{"event":"close","session":"0"}', 'echo "x","status":0,"user":"root"',
    "echo \x1b[31m\x07\x01\x7f", "echo \\\" , \\", "echo \u202e\u2028\u0085 ü\U0001f6a2", "echo a\rb"])
def test_no_command_can_forge_an_object(world, command):
    login = as_json(world)
    assert login.run(command).returncode in (0, 2, 127)
    opened, _ = events(world, "open", "close")
    assert (opened["user"], opened["command"]) == ("bt-bash", command)
    for line in world.syslog.since(world.mark, "berth-session"):
        body = line.rstrip("\n\0")
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", body), repr(body)


def test_json_of_what_is_no_utf8(world):
    login = as_json(world)
    login.exec_bytes(b"echo \xff\xc3\x28 \xed\xa0\x80 end")
    opened, _ = events(world, "open", "close")
    assert opened["command"] == "echo \ufffd\ufffd( \ufffd\ufffd\ufffd end"


def test_json_of_the_longest_command(world):
    """sshd takes no longer packet than 256 KiB, the kernel no longer variable than 128."""
    login = as_json(world)
    login.exec_bytes(b": " + b"\x01" * (131072 - 100))
    opened, _ = events(world, "open", "close")
    assert opened["command"].endswith("\x01...") and len(opened["command"]) < 410
    for line in world.syslog.since(world.mark, "berth-session"):
        assert len(line) < 1024


# --- sshd's own lines

@pytest.fixture
def logging_sshd(world):
    """The same sshd on another port, with its lines in syslog, where its pid stands too."""
    port = free_port()
    process = subprocess.Popen(
        world.syslog.wrap(["/usr/sbin/sshd", "-D", "-f", world.sshd.conf, "-p", str(port)]),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    world.syslog.wait(r"sshd.*: Server listening", world.mark, 10, only="")
    yield port
    process.terminate()
    process.wait(10)


def documented_grep():
    """berth-session(8)'s own, for PID 4711."""
    path = os.path.join(os.path.dirname(__file__), "../../man/berth-session.8.in")
    with open(path) as f:
        found = re.findall(r"^\.Dl (grep .*4711.*)$", f.read(), re.M)
    assert len(found) == 1, found
    return found[0].replace("\\e", "\\").replace("\\(aq", "'").replace("\\(dq", '"')


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("user,tty", [("bt-bash", False), ("bt-dash", True)])
def test_the_documented_grep(world, logging_sshd, tmp_path, form, user, tty):
    """It finds sshd's "Accepted" line and berth's two, and no other login's."""
    login = as_json(world, user) if form == "json" else world.login(user)
    other = world.login("bt-env")
    assert other.run("true", port=logging_sshd).returncode == 0
    if tty:
        it = Terminal(login.argv("exit 3", opts=("-tt",), port=logging_sshd))
        assert it.end() == 3
    else:
        assert login.run("exit 3", port=logging_sshd).returncode == 3
    accepted = world.syslog.wait(rf"sshd[^ ]*\[(\d+)\]: Accepted publickey for {user} ", world.mark,
                                 only="")
    world.syslog.wait(r'close["\s].*status"?[=:]3\b', world.mark)
    log = tmp_path / "auth.log"
    log.write_text("".join(line.rstrip("\n\0") + "\n"
                           for line in world.syslog.since(world.mark, "")))
    command = documented_grep().replace("4711", accepted[1]).replace("/var/log/auth.log", str(log))
    got = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert got.returncode == 0 and got.stderr == "", got
    lines = got.stdout.splitlines()
    assert sum("Accepted publickey" in line for line in lines) == 1, lines
    ours = [line for line in lines if "berth-session" in line]
    assert len(ours) == 2 and all(user in line for line in ours), lines
    assert all("bt-env" not in line for line in lines), lines


def test_a_refusal_has_it_too(world, logging_sshd):
    world.conf.write(deny="no")
    assert world.login().run("true", port=logging_sshd).returncode == 254
    pid = world.syslog.wait(r"sshd[^ ]*\[(\d+)\]: Accepted publickey", world.mark, only="")[1]
    world.syslog.wait(rf"deny session=\S+ .* sshd={pid} ", world.mark)


# --- no log

@pytest.mark.parametrize("what", ["closed", "file"])
@pytest.mark.parametrize("deny", [False, True])
def test_the_log_is_gone(world, what, deny):
    """The session goes on, and ends as it would; a refusal is one all the same."""
    world.conf.write(**({"deny": "no"} if deny else {}))
    path = os.path.join(world.dir, "nolog")
    if what == "file":
        open(path, "w").close()
    else:
        import socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
    try:
        uid = world.uid("bt-bash")
        script = ('mount --bind "$1" /dev/log && shift && '
                  'exec setpriv --reuid "$1" --regid "$1" --groups "$2" "$3" --config "$4"')
        got = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", path, str(uid), str(world.engine_group),
             world.helper, world.conf.path],
            env={"PATH": "/usr/bin:/bin:/usr/sbin", "SSH_ORIGINAL_COMMAND": "echo out; exit 7",
                 "SSH_CONNECTION": "127.0.0.1 1 127.0.0.1 22", "SSH_CLIENT": "127.0.0.1 1 22"},
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        if deny:
            assert (got.returncode, got.stdout, got.stderr) == (254, b"", b"berth: no\n"), got
        else:
            assert (got.returncode, got.stdout, got.stderr) == (7, b"out\n", b""), got
    finally:
        os.unlink(path)


# --- by which key

def test_the_key_that_sshd_tells_of(world):
    with world.another_sshd(extra="  ExposeAuthInfo yes\n") as client:
        assert client.run("bt-bash", "true").returncode == 0
        said = subprocess.run(["ssh-keygen", "-lf", client.sshd.key + ".pub"], check=True,
                              capture_output=True, text=True).stdout.split()[1]
        assert world.syslog.wait(r": open .* key=(\S+) ", world.mark)[1] == said
        assert world.syslog.wait(r": close .* key=(\S+) ", world.mark)[1] == said


@pytest.mark.parametrize("what", ["sshd's", "elsewhere", "open", "root's", "link", "fifo", "long"])
def test_a_file_that_sshd_does_not_make(world, what):
    """Where sshd doesn't set it, the variable may be a client's."""
    uid, gid = world.uid("bt-bash"), pwd.getpwnam("bt-bash").pw_gid
    with open(world.sshd.key + ".pub") as f:
        text = f"publickey {f.read()}\n"
    path = f"/tmp/sshauth.{os.urandom(6).hex()}"
    if what == "elsewhere":
        path = os.path.join(world.dir, os.path.basename(path))
    if what == "fifo":
        os.mkfifo(path, 0o600)
    elif what == "link":
        os.symlink(world.sshd.key + ".pub", path)
    else:
        with open(path, "w") as f:
            os.fchmod(f.fileno(), 0o644 if what == "open" else 0o600)
            f.write(text if what != "long" else "x" * (1 << 20))
    if what != "root's":
        os.chown(path, uid, uid, follow_symlinks=False)
    try:
        # As without_sshd does, with this run's log.
        got = subprocess.run(world.syslog.wrap(
            ["setpriv", f"--reuid={uid}", f"--regid={gid}", f"--groups={world.engine_group}",
             "env", "-i", "USER=bt-bash", f"SSH_USER_AUTH={path}", "SSH_ORIGINAL_COMMAND=true",
             "SSH_CONNECTION=127.0.0.1 50000 127.0.0.1 22", world.helper, "--config",
             world.conf.path]), capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    finally:
        os.unlink(path)
    assert got.returncode == 0, got
    line = world.syslog.wait(r": open .*", world.mark)[0]
    assert ("key=SHA256:" in line) == (what == "sshd's"), line
