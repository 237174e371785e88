"""berth-shell: what it takes, what it runs, and what SSH can do with it without ForceCommand."""
import asyncio
import os
import subprocess

import asyncssh
import pytest

from harness import images
from harness.terminal import Terminal
from harness.wait import wait_for

both = pytest.mark.channels("direct", "attach")


@pytest.fixture
def door(doors, door_sshd):
    return door_sshd.login("bt-door")


@pytest.fixture
def alone(doors, door_sshd):
    return door_sshd.login("bt-alone")


def shell(doors, *arguments, env=None, argv0="-berth-shell", user="bt-door"):
    """berth-shell without sshd, as its user, who may not reach the engine."""
    entry = {"uid": doors.world.uid(user)}
    return subprocess.run([argv0, *arguments], executable=doors.shell, env=env or {}, cwd="/",
                          user=entry["uid"], group=entry["uid"], extra_groups=[],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30)


def test_nobody_can_read_it_and_it_needs_no_library(doors):
    info = os.stat(doors.shell)
    assert (info.st_mode & 0o7777, info.st_uid) == (0o711, 0)
    segments = subprocess.run(["readelf", "-lW", doors.shell], capture_output=True, text=True)
    assert "LOAD" in segments.stdout and "INTERP" not in segments.stdout


@pytest.mark.parametrize("arguments", [
    ["--config", "/tmp/x"], ["-c"], ["-c", "a", "b"], ["-l"], ["-i"], ["a"], ["--", "-c", "a"],
    ["-c", "id", "--config=/tmp/x"]])
def test_what_it_does_not_take(doors, arguments):
    got = shell(doors, *arguments)
    assert (got.returncode, got.stdout) == (254, b"")
    assert got.stderr.startswith(b"berth: ") and got.stderr.count(b"\n") == 1


@both
def test_a_command_with_forcecommand(world, door):
    got = door.run("id -u; echo err >&2; exit 7")
    assert (got.returncode, got.stdout.decode(), got.stderr) == (
        7, f"{world.uid('bt-door')}\n", b"err\n")


@both
def test_a_command_without_forcecommand(world, alone):
    got = alone.run("id -u; echo err >&2; exit 7")
    assert (got.returncode, got.stdout.decode(), got.stderr) == (
        7, f"{world.uid('bt-alone')}\n", b"err\n")


@both
@pytest.mark.parametrize("user", ["bt-door", "bt-alone"])
def test_a_shell(doors, door_sshd, user):
    login = door_sshd.login(user)
    it = Terminal(login.argv(opts=("-tt",)))
    it.child.send("echo a$((1+1))b; test -e /proc/1/comm && exit 3\n")
    assert it.end() == 3
    assert b"a2b" in it.raw
    got = login.run(opts=["-T"], input=b"echo $BT_PROFILE; exit 4\n")
    assert (got.returncode, got.stdout) == (4, b"read\n")     # a login shell's


@pytest.mark.parametrize("user", ["bt-door", "bt-alone"])
def test_sftp_is_the_images(doors, door_sshd, user):
    """Not the host's, whose program the Subsystem line names."""
    doors.conf.write(image=images.GLIBC, user="0:0", users={"bt-*": {}})
    login = door_sshd.login(user)
    got = subprocess.run(["sftp", *login.client.options(), "-b", "-", f"{user}@127.0.0.1"],
                         input=b"ls -1 /\n", capture_output=True, timeout=60)
    assert got.returncode == 0, got.stderr
    assert b"/work" in got.stdout      # which the image has and the host hasn't


@pytest.mark.parametrize("command", [
    "true; echo $SSH_ORIGINAL_COMMAND", "", " ", "'", '"', "$(id)", "a\nb", "--help", "-c",
    "exec /bin/true", "\x01\x7f", "ü"])
def test_commands_of_all_kinds(door, alone, command):
    """The one mode is the other's control: sshd's ForceCommand has the command verbatim."""
    assert alone.exec_bytes(command)[:2] == door.exec_bytes(command)[:2]


def test_any_bytes(alone):
    assert alone.exec_bytes(b"printf %s '\xff\xfe\x80' | od -An -tx1")[1].split() == \
        [b"ff", b"fe", b"80"]


def test_the_helper_itself_as_a_command(world, door, alone):
    """Which is what ForceCommand says: then sshd's variable counts, and there is none."""
    got = alone.run(f"exec {world.helper}", input=b"echo shell; exit 5\n")
    assert (got.returncode, got.stdout) == (5, b"shell\n")
    got = alone.run(f"{world.helper} --config /tmp/mine", input=b"")
    assert got.returncode == 127 and b"berth-session" in got.stderr     # the container's shell


def test_a_keys_own_command(world, doors, alone):
    """command= in authorized_keys holds, and in the container."""
    path = os.path.join(world.dir, "keys", "bt-alone")
    with open(path) as f:
        key = f.read()
    try:
        with open(path, "w") as f:
            f.write(f'command="echo forced; test ! -e /etc/pam.d && echo inside" {key}')
        for command in ("echo mine", ""):
            assert alone.exec_bytes(command)[:2] == (0, b"forced\ninside\n")
    finally:
        world.sshd.authorize("bt-alone")


def test_without_berth_session(world, doors):
    """One line, and nothing else runs."""
    script = ('mount --bind /dev/null "$1" && '
              'exec setpriv --reuid "$2" --regid "$2" --clear-groups "$3" -c "echo host"')
    got = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", world.helper,
                          str(world.uid("bt-door")), doors.shell], capture_output=True,
                         stdin=subprocess.DEVNULL, timeout=30)
    assert (got.returncode, got.stdout) == (254, b"")
    assert got.stderr.startswith(f"berth: cannot run {world.helper}: ".encode())
    assert got.stderr.count(b"\n") == 1


def test_a_forged_command_is_dropped(doors):
    sshd = doors.sshd(options="AcceptEnv SSH_ORIGINAL_COMMAND LANG", name="accept")
    login = sshd.login("bt-alone")
    forge = ["-o", "SetEnv=SSH_ORIGINAL_COMMAND=forged"]
    assert login.run("echo real", opts=forge).stdout == b"real\n"
    got = login.run(opts=forge + ["-T"], input=b"echo shell\n")
    assert got.stdout == b"shell\n"


def test_no_variable_of_the_loader_or_the_c_library_acts(doors):
    """GLIBC_TUNABLES, LD_* and the like, and what they are known by to berth-session."""
    env = {"LD_PRELOAD": doors.trap, "LD_AUDIT": doors.trap, "LD_DEBUG": "all",
           "LD_SHOW_AUXV": "1", "GLIBC_TUNABLES": "glibc.malloc.check=3", "GCONV_PATH": doors.dir}
    got = shell(doors, "-c", "id", env=env)
    assert got.returncode == 254 and got.stdout == b""
    assert got.stderr.count(b"\n") == 1 and got.stderr.startswith(b"berth: ")
    assert doors.sprung() == []
    # The trap itself is good: another program does spring it.
    subprocess.run(["/bin/true"], env={"LD_AUDIT": doors.trap}, check=True)
    assert doors.sprung() == ["loaded"]


def test_berth_session_takes_marked_variables_alone(world, doors):
    world.conf.write(accept_env=["BT_*"])
    uid = world.uid("bt-bash")
    got = subprocess.run(
        [world.helper, "--config", world.conf.path, "--shell"],
        env={"SSH_ORIGINAL_COMMAND": "echo unmarked", "BT_A": "unmarked", "+BT_B": "marked",
             "+SSH_ORIGINAL_COMMAND": "echo $BT_A:$BT_B", "++BT_A": "twice"},
        cwd="/", user=uid, group=uid, extra_groups=[world.engine_group],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert (got.returncode, got.stdout, got.stderr) == (0, b":marked\n", b"")


def test_a_long_command(door, alone):
    """The kernel takes 131,071 bytes for one argument; the variable has 22 more."""
    fits = "true " + "x" * 131000
    assert alone.exec_bytes(fits)[0] == 0
    status, out, err = alone.exec_bytes("true " + "x" * 131060)
    assert (status, out) == (254, b"") and err.startswith(b"berth: ") and err.count(b"\n") == 1


def test_the_clients_variables_still_arrive(doors):
    sshd = doors.sshd(options="AcceptEnv LANG LC_* BT_*", name="variables")
    doors.conf.write(users={"bt-*": {}}, accept_env=["BT_*"])
    for user in ("bt-door", "bt-alone"):
        got = sshd.login(user).run("echo $BT_A", opts=["-o", "SetEnv=BT_A=hello"])
        assert got.stdout == b"hello\n"


@both
@pytest.mark.parametrize("signal", ["TERM", "INT", "USR1"])
def test_a_signal_request_reaches_the_command(doors, door_sshd, signal):
    """RFC 4254, 6.9: only without ForceCommand does sshd pass it on."""
    async def main():
        async with asyncssh.connect("127.0.0.1", door_sshd.port, username="bt-alone",
                                    client_keys=[door_sshd.key], config=None,
                                    known_hosts=door_sshd.known_hosts) as conn:
            script = (f"trap 'echo got; exit 9' {signal}; echo ready; "
                      "while :; do sleep 0.05; done")
            proc = await conn.create_process(script)
            assert await asyncio.wait_for(proc.stdout.readline(), 20) == "ready\n"
            proc.send_signal(signal)
            assert await asyncio.wait_for(proc.stdout.readline(), 20) == "got\n"
            await asyncio.wait_for(proc.wait_closed(), 20)
            return proc.exit_status
    assert asyncio.run(main()) == 9


@both
def test_a_signal_request_that_kills(world, doors, door_sshd):
    """KILL ends the helper, and the container goes with it."""
    async def main():
        async with asyncssh.connect("127.0.0.1", door_sshd.port, username="bt-alone",
                                    client_keys=[door_sshd.key], config=None,
                                    known_hosts=door_sshd.known_hosts) as conn:
            proc = await conn.create_process("echo ready; sleep 1000")
            assert await asyncio.wait_for(proc.stdout.readline(), 20) == "ready\n"
            proc.send_signal("KILL")
            await asyncio.wait_for(proc.wait_closed(), 20)
    asyncio.run(main())
    wait_for(lambda: not world.containers("bt-alone"), 10, "the container gone")
