"""berth enter: an administrator in a user's running container."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import images, procs
from harness.terminal import Terminal
from harness.wait import wait_for

PROGRAM = "sbin/berth"


@pytest.fixture
def argv(world):
    def make(*options, conf=None):
        return world.syslog.wrap([os.path.join(world.prefix, PROGRAM), "enter", "--config",
                                  conf or world.conf.path, *options])
    return make


@pytest.fixture
def enter(argv):
    def run(*options, input=None, **kw):
        feed = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(argv(*options), capture_output=True, timeout=30, **feed, **kw)
    return run


class Session:
    """One of the user's, to be entered: it says its hostname and waits."""

    def __init__(self, world, user="bt-bash", command="echo up; read x"):
        self.proc = world.login(user).start(command)
        assert self.proc.stdout.readline() == b"up\n", self.proc.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.proc.poll() is None:
            self.proc.communicate(b"\n", timeout=15)


def refused(got, *words):
    assert (got.returncode, got.stdout) == (254, b""), got
    said = got.stderr.decode()
    assert said.startswith("berth enter: "), got
    for word in words:
        assert word in said, got
    return said


def names(world, user="bt-bash"):
    return sorted(r["Names"][0][1:] for r in world.containers(user))


# --- commands

@pytest.mark.channels("direct", "attach", "exec")
def test_a_command(world, enter):
    with Session(world, command="echo $PPID >/dev/null; echo mine >/tmp/mine; echo up; read x"):
        got = enter("bt-bash", "--", "cat", "/tmp/mine")
        assert (got.returncode, got.stdout, got.stderr) == (0, b"mine\n", b"")
        got = enter("bt-bash", "--", "id", "-u")
        assert got.stdout.decode().strip() == str(world.uid("bt-bash")), got
        got = enter("bt-bash", "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        assert (got.returncode, got.stdout, got.stderr) == (7, b"out\n", b"err\n")


def test_arguments_are_exact(world, enter):
    odd = ["", " ", "a b", "$HOME", "`id`", "'\"\\", "*", "--", "-c", "grüße", "a\nb"]
    with Session(world):
        got = enter("bt-bash", "--", "printf", "[%s]", *odd)
        assert got.stdout.decode() == "".join(f"[{a}]" for a in odd), got


def test_stdin_and_many_bytes(world, enter):
    data = os.urandom(3 << 20)
    with Session(world):
        got = enter("bt-bash", "--", "cat", input=data)
        assert (got.returncode, got.stderr) == (0, b"") and got.stdout == data


def test_signals(world, enter, argv):
    with Session(world):
        got = enter("bt-bash", "--", "/bin/sh", "-c", "kill -TERM $$")
        assert got.returncode == 128 + signal.SIGTERM
        got = enter("bt-bash", "--", "/bin/nothing-like-it")
        assert got.returncode == 127 and b"nothing-like-it" in got.stderr, got


def test_a_command_that_limits_do_not_concern(world, enter):
    """commands and force_command are for the user."""
    world.conf.write(users={"bt-*": {"scope": "user", "force_command": "echo up; read x"}})
    with Session(world):
        assert enter("bt-bash", "--", "echo", "free").stdout == b"free\n"
        assert enter("bt-bash", input=b"echo shell\n").stdout == b"shell\n"


# --- a shell, a terminal

def test_a_shell_from_a_pipe(world, enter):
    with Session(world):
        got = enter("bt-bash", input=b"echo $USER $LOGNAME; echo $BT_PROFILE; tty; exit 3\n")
        assert (got.returncode, got.stdout) == (3, b"bt-bash bt-bash\nread\nnot a tty\n"), got


def has_the_terminal(cmdline):
    """Whether a process of that command line is in its terminal's foreground: a Ctrl-C before
    that is another's."""
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as f:
                found = entry.isdigit() and f.read() == cmdline
            with open(f"/proc/{entry}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if found and fields[2] == fields[5]:    # pgrp, tpgid
            return True
    return False


@pytest.mark.channels("direct", "attach", "exec")
def test_a_terminal(world, argv):
    with Session(world):
        it = Terminal(argv("bt-bash"), rows=31, cols=97,
                      env={**os.environ, "TERM": "xterm-256color"})
        it.send("stty size; echo [$TERM]; tty | cut -c1-8\n")
        it.expect(rb"31 97\r\n\[xterm-256color\]\r\n/dev/pts")
        it.resize(40, 120)
        it.send("stty size\n")
        it.until(lambda: b"40 120" in it.raw or (it.send("stty size\n") and False), "new size")
        it.send("sleep 1007\n")
        wait_for(lambda: has_the_terminal(b"sleep\0001007\0"), 10, "sleep in the foreground")
        it.send("\x03")
        it.send("echo still=$((1+1)); exit 5\n")
        it.expect(rb"still=2")
        assert it.end() == 5


def test_a_command_on_a_terminal(world, argv):
    with Session(world):
        it = Terminal(argv("bt-bash", "--", "/bin/sh", "-c", "test -t 0 && test -t 1 && echo both"))
        assert it.end() == 0 and it.raw == b"both\r\n"


def test_the_terminal_is_as_it_was(world, argv):
    """Afterwards echo and line mode are there again."""
    with Session(world):
        script = 'before=$(stty -g); "$@"; test "$(stty -g)" = "$before" && echo same'
        it = Terminal(["sh", "-c", script, "sh", *argv("bt-bash", "--", "true")])
        assert it.end() == 0 and b"same" in it.raw


# --- root

def test_root(world, enter):
    with Session(world):
        got = enter("--root", "bt-bash", "--", "/bin/sh", "-c", "id -u; id -g; echo $USER")
        assert got.stdout == b"0\n0\nroot\n", got
        # What the container may not, its root may not.
        got = enter("--root", "bt-bash", "--", "chown", "1:1", "/tmp")
        assert got.returncode != 0
        # Options may stand behind the user.
        assert enter("bt-bash", "--root", "--", "id", "-u").stdout == b"0\n"


# --- which container

@pytest.mark.parametrize("scope", ["user", "connection"])
def test_shared_container(world, enter, scope):
    world.conf.write(users={"bt-*": {"scope": scope}})
    with Session(world):
        assert enter("bt-bash", "--", "echo", "in").stdout == b"in\n"


def test_a_lingering_container(world, enter):
    world.conf.write(users={"bt-*": {"scope": "user", "linger": "1h"}})
    assert world.login().run("echo here >/tmp/left").returncode == 0
    assert enter("bt-bash", "--", "cat", "/tmp/left").stdout == b"here\n"
    for row in world.containers():
        world.engine.remove(row["Id"])


def test_several(world, enter):
    with Session(world), Session(world):
        both = names(world)
        assert len(both) == 2
        said = refused(enter("bt-bash", "--", "true"), "2 running containers", "--container")
        assert sorted(line.strip() for line in said.splitlines()[1:]) == both
        for name in both:
            got = enter("--container", name, "bt-bash", "--", "echo", "in")
            assert (got.returncode, got.stdout) == (0, b"in\n"), got
        refused(enter("--container", "berth-nothing", "bt-bash"), "berth-nothing")


def test_another_users(world, enter):
    with Session(world, "bt-dash"), Session(world, "bt-bash"):
        other = names(world, "bt-dash")[0]
        refused(enter("--container", other, "bt-bash", "--", "true"), other)
        got = enter("bt-bash", "--", "id", "-u")
        assert got.stdout.decode().strip() == str(world.uid("bt-bash"))


def test_none(world, enter):
    refused(enter("bt-bash", "--", "true"), "bt-bash has no running container")
    refused(enter("bt-nobody-has-this", "--", "true"), "no account")


def test_standby_is_not_a_session(world, enter):
    world.conf.write(users={"bt-*": {"standby": 1}})
    assert world.login().run("true").returncode == 0
    wait_for(lambda: len(world.guests()) == 1 and len(world.containers()) == 1
             and not world.watchers(), 20, "one standing by")
    refused(enter("bt-bash", "--", "true"), "no running container")
    for row in world.containers():
        world.engine.remove(row["Id"])
    shutil.rmtree(os.path.join(world.runtime, str(world.uid("bt-bash"))))


def test_foreign_containers(world, enter):
    """docker commit copies labels, and anybody may name a container as ours."""
    uid, machine = str(world.uid("bt-bash")), open("/etc/machine-id").read().strip()

    def create(name, **labels):
        labels = {"berth.machine": machine, "berth.runtime": world.runtime,
                  "berth.user": "bt-bash", **{"berth." + k: v for k, v in labels.items()}}
        ident = world.engine.call("POST", f"/containers/create?name={name}", {
            "Image": images.BUSYBOX, "Cmd": ["sleep", "1000"], "Labels": labels,
            "NetworkDisabled": True})["Id"]
        world.engine.call("POST", f"/containers/{ident}/start")
        return ident
    key = "0" * 16
    derived = f"berth-{machine[:8]}-{uid}-"
    made = [create("bt-foreign", uid=uid, session=key),
            create(derived + "1" * 16, uid=uid, session=key),
            create(derived + "2" * 16, uid="0", session="2" * 16),
            create(derived + "3" * 16, uid=uid, session="3" * 16, user="bt-dash"),
            create(derived + "4" * 16, uid=uid, session="4" * 16, runtime="/run/other")]
    try:
        refused(enter("bt-bash", "--", "true"), "no running container")
        for name in ("bt-foreign", derived + "1" * 16, derived + "3" * 16):
            refused(enter("--container", name, "bt-bash", "--", "true"), name)
    finally:
        for ident in made:
            world.engine.remove(ident)


def test_paused(world, enter):
    with Session(world):
        ident = world.containers("bt-bash")[0]["Id"]
        world.engine.call("POST", f"/containers/{ident}/pause")
        try:
            refused(enter("bt-bash", "--", "true"), "paused", "docker unpause")
        finally:
            world.engine.call("POST", f"/containers/{ident}/unpause")


def test_an_image_without_a_shell(world, enter):
    """The engine's exec needs one; that is said."""
    world.conf.write(image=images.NO_SHELL, users={"bt-*": {"scope": "user", "linger": "1h",
                                                            "shell": "/bin/true"}})
    assert world.login().run("anything").returncode == 0
    refused(enter("bt-bash", "--", "true"), "/bin/sh")
    for row in world.containers():
        world.engine.remove(row["Id"])


# --- how it ends

def inside(world, name, user="bt-bash"):
    """Whether the user's container runs this program."""
    ident = world.containers(user)[0]["Id"]
    rows = world.engine.call("GET", f"/containers/{ident}/top?ps_args=-eo%20pid,args")["Processes"]
    return any(name in " ".join(row) for row in rows)


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_what_a_lost_terminal_leaves(world, argv, how):
    with Session(world):
        it = Terminal(argv("bt-bash"))
        it.send("echo pid=$$; sleep 54321\n")
        it.expect(rb"pid=\d+\r\n")
        wait_for(lambda: inside(world, "sleep 54321"), 10, "sleep running")
        if how == "closed":
            it.close()
        else:
            os.kill(it.child.pid, signal.SIGKILL)
        wait_for(lambda: not inside(world, "sleep 54321"), 15, "sleep's end")
        it.close()


def test_the_session_ends_first(world, argv):
    """Its container is gone, and so is who was in it."""
    session = Session(world)
    proc = subprocess.Popen(argv("bt-bash", "--", "/bin/sh", "-c", "echo in; sleep 1000"),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    assert proc.stdout.readline() == b"in\n"
    session.proc.communicate(b"\n", timeout=15)
    assert session.proc.returncode == 0
    proc.communicate(timeout=20)
    assert proc.returncode in (137, 254)


# --- what is said of it

def test_log(world, enter):
    with Session(world):
        enter("bt-bash", "--", "/bin/sh", "-c", "exit 4\nforged line")
        name = names(world)[0]
    line = world.syslog.wait(r"berth\[\d+\]: enter .*", world.mark).group(0)
    uid = world.uid("bt-bash")
    session = name.split("-")[-1]
    assert f': enter session={session} container={name} user="bt-bash" uid={uid} by=' in line, line
    assert line.endswith(r'as_root=no tty=no command="/bin/sh -c exit 4\x0aforged line"'), line
    line = world.syslog.wait(rf"berth\[\d+\]: leave session={session} .*", world.mark).group(0)
    assert line.endswith("tty=no status=4 reason=exit"), line


def test_log_in_json(world, enter):
    world.conf.raw("audit_format = json\n" + world.conf.text())
    with Session(world):
        enter("--root", "bt-bash", "--", "/bin/sh", "-c", "exit 4\n")
        name = names(world)[0]
    seen = {}
    for event in ("enter", "leave"):
        pattern = r"berth\[\d+\]: (\{\"event\":\"" + event + r"\".*)"
        seen[event] = json.loads(world.syslog.wait(pattern, world.mark).group(1))
    common = {"session": name.split("-")[-1], "container": name, "user": "bt-bash",
              "uid": world.uid("bt-bash"), "as_root": True, "tty": False}
    for event, more in (("enter", {"command": "/bin/sh -c exit 4\n"}),
                        ("leave", {"status": 4, "reason": "exit"})):
        assert {"event": event, **common, **more}.items() <= seen[event].items(), seen
        assert set(seen[event]) == {"event", "by", "by_uid", *common, *more}


def test_not_root(world, enter):
    got = subprocess.run(
        [os.path.join(world.prefix, PROGRAM), "enter", "--config", world.conf.path, "bt-bash"],
        stdin=subprocess.DEVNULL, capture_output=True, user=world.uid("bt-bash"),
        extra_groups=[world.engine_group])
    assert (got.returncode, got.stdout) == (254, b"")
    assert re.fullmatch(rb"berth enter: must be run as root: .*\n", got.stderr), got


def test_engine_away(world, enter):
    world.conf.write(engine={"endpoint": "unix:///nonexistent/engine"})
    refused(enter("bt-bash"), "cannot reach the container engine")


def test_bad_configuration(world, enter):
    world.conf.raw("nothing = 5\n")
    refused(enter("bt-bash"), f"{world.conf.path}:1: ")


def test_unmapped_meanwhile(world, enter):
    """He is still in his container, and so may the administrator be."""
    with Session(world):
        world.conf.write(users={"alice": {}})
        got = enter("bt-bash", input=b"echo still\n")
        assert got.stdout == b"still\n", got


@pytest.mark.parametrize("options", [["--nothing"], [], ["--config"], ["--container"]])
def test_usage(world, options):
    got = subprocess.run([os.path.join(world.prefix, PROGRAM), "enter"] + options,
                         capture_output=True, text=True)
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("berth enter: ") and got.stderr.count("\n") == 1, got


def test_nobody_stays(world, enter):
    """The process that would hang up ends with it."""
    with Session(world):
        assert enter("bt-bash", "--", "true").returncode == 0
        wait_for(lambda: not [p for p in procs.of_users({0}) if "berth-watcher" in str(p)], 5,
                 "no watcher of root's")
