"""pam_berth.so in a real sshd: who gets in, what is vouched for, what is made and swept."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import procs
from harness.wait import became, wait_for

TWIN = "bt-doortwin"


@pytest.fixture
def door(doors, door_sshd):
    return door_sshd.login("bt-door")


@pytest.fixture
def twins(world, doors, door_sshd):
    """Two logins of one uid, both with berth-shell."""
    doors.make(TWIN, extra=["-o", "-u", str(world.uid("bt-door"))])
    yield door_sshd.login("bt-door"), door_sshd.login(TWIN)
    # Not users.remove, which would end the watchers that still are at work.
    became(lambda: not world.containers() and not world.left_files(), 5)
    subprocess.run(["userdel", "-r", "-f", TWIN], capture_output=True)


def connections(world):
    try:
        return os.listdir(os.path.join(world.runtime, "connections"))
    except FileNotFoundError:
        return []


def vouched(world):
    """What the one file says."""
    names = wait_for(lambda: connections(world), 5, "a connection's file")
    assert len(names) == 1
    path = os.path.join(world.runtime, "connections", names[0])
    info = os.stat(path)
    assert (info.st_uid, info.st_mode & 0o7777) == (0, 0o644)
    with open(path) as f:
        return dict(line.split("=", 1) for line in f.read().splitlines()[1:])


def test_what_is_loaded_into_sshd(doors):
    needed = subprocess.run(["readelf", "-dW", doors.module], capture_output=True, text=True,
                            check=True).stdout
    libraries = re.findall(r"NEEDED.*\[(.*?)\]", needed)
    assert libraries and {name.split(".so")[0] for name in libraries} <= {
        "libc", "libpam", "libconfuse"}
    table = subprocess.run(["readelf", "--dyn-syms", "-W", doors.module], capture_output=True,
                           text=True, check=True).stdout
    exported = [row.split()[7] for row in table.splitlines()
                if re.match(r" *\d+:", row) and row.split()[6] != "UND"]
    assert sorted(exported) == ["pam_sm_acct_mgmt", "pam_sm_authenticate",
                                "pam_sm_close_session", "pam_sm_open_session", "pam_sm_setcred"]


# --- account

def test_who_is_not_mapped_is_refused(world, doors, door_sshd):
    got = door_sshd.login("bt-unmapped").run("true")
    assert got.returncode == 255 and got.stdout == b""
    lines = [t for t in world.syslog.since(world.mark, "pam_berth") if "bt-unmapped" in t]
    assert len(lines) == 1 and "matches" in lines[0]


def test_who_is_not_mapped_is_told(doors, door_sshd):
    argv = door_sshd.login("bt-unmapped").argv("true")
    argv[argv.index("LogLevel=ERROR")] = "LogLevel=INFO"     # of banners
    got = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert b"berth: login: " in got.stderr and b"ask the administrator" in got.stderr


def test_without_a_configuration_nobody_lands_anywhere(doors, door_sshd):
    doors.conf.raw("user {")
    assert door_sshd.login("bt-door").run("true").returncode == 255
    # Whoever has to mend it gets in.
    got = door_sshd.login("bt-open").run("echo in")
    assert (got.returncode, got.stdout) == (0, b"in\n")


@pytest.mark.parametrize("kind,status", [("auth", 254), ("account", 255), ("session", 254)])
def test_an_argument_that_there_is_not(world, doors, kind, status):
    """No groups, no account, no session; who has another shell gets in."""
    stack = re.sub(rf"(?m)^({kind} .*pam_berth.so.*)$", r"\1 nonsense", doors.stack(
        world.group_name()))
    sshd = doors.sshd(stack=stack, name="argument" + kind)
    got = sshd.login("bt-door").run("echo in")
    assert got.returncode == status and b"in\n" not in got.stdout
    world.syslog.wait(r"pam_berth.*argument .*nonsense", world.mark)
    assert sshd.login("bt-open").run("true").returncode == 0


# --- credentials

def test_a_group_that_there_is_not(world, doors):
    sshd = doors.sshd(groups="bt-nosuch", name="nogroup")
    got = sshd.login("bt-door").run("true")
    assert got.returncode == 254 and got.stderr.startswith(b"berth: ")
    assert got.stderr.count(b"\n") == 1 and b"group" in got.stderr
    world.syslog.wait(r"pam_berth.*bt-nosuch.*no such group", world.mark)


# --- session

def test_a_directory_that_somebody_else_put_there(world, doors, door_sshd):
    path = os.path.join(world.runtime, str(world.uid("bt-door")))
    shutil.rmtree(path, ignore_errors=True)     # with what stays in it
    os.mkdir(path, 0o700)
    os.chown(path, world.uid("bt-open"), -1)
    try:
        got = door_sshd.login("bt-door").run("true")
        # sshd says what PAM has to say on stdout.
        assert got.returncode == 254 and got.stdout.count(b"\n") == 1
        assert b"berth: session: " in got.stdout and path.encode() in got.stdout
        world.syslog.wait(r"pam_berth.*session: .*remove what is there", world.mark)
    finally:
        os.rmdir(path)
    assert door_sshd.login("bt-door").run("true").returncode == 0
    info = os.stat(path)
    assert (info.st_uid, info.st_mode & 0o7777) == (world.uid("bt-door"), 0o700)


def test_the_connections_file(world, door):
    proc = door.start("echo up; read x")
    try:
        assert proc.stdout.readline() == b"up\n"
        said = vouched(world)
        assert said["name"] == "bt-door" and said["uid"] == str(world.uid("bt-door"))
        assert re.fullmatch("[0-9a-f]{16}", said["id"])
        # The pid is that of sshd's own line.
        pid = said["sshd"].split()[0]
        port = said["peer"].split()[1]
        log = door.client.sshd.tail()
        assert f"Accepted publickey for bt-door from 127.0.0.1 port {port}" in log
        with open(f"/proc/{pid}/comm") as f:
            assert f.read().strip().startswith("sshd")
        world.syslog.wait(rf"pam_berth.*connection={said['id']} .*sshd={pid}\b", world.mark)
        # The helper's own lines have it too.
        world.syslog.wait(rf"berth-session\S*: open .* sshd={pid} connection={said['id']} ",
                          world.mark)
        folder = os.stat(os.path.join(world.runtime, "connections"))
        assert (folder.st_uid, folder.st_mode & 0o7777) == (0, 0o711)
    finally:
        proc.communicate(b"\n", 20)
    wait_for(lambda: not connections(world), 5, "the file gone")


def test_sessions_of_one_connection_have_one_file(world, doors, door_sshd):
    transport = door_sshd.login("bt-door").transport()
    try:
        for _ in range(3):
            channel = transport.open_session()
            channel.exec_command("true")
            assert channel.recv_exit_status() == 0
        assert vouched(world)["name"] == "bt-door"
    finally:
        transport.close()


# --- several names for one uid

def test_twins_are_told_apart(world, twins):
    for login in twins:
        got = login.run("echo $USER; id -u")
        assert got.stdout.decode() == f"{login.user}\n{world.uid('bt-door')}\n", got
        world.syslog.wait(rf'open .*user="{login.user}"', world.mark)


def test_twins_have_policies_of_their_own(doors, twins):
    doors.conf.write(users={"bt-door": {"env": ["WHO=first"]}, TWIN: {"env": ["WHO=second"]}})
    assert [login.run("echo $WHO").stdout for login in twins] == [b"first\n", b"second\n"]
    doors.conf.write(users={"bt-door": {}})
    assert twins[0].run("true").returncode == 0
    assert twins[1].run("true").returncode == 255


def test_twins_share_no_container(world, doors, twins):
    doors.conf.write(users={"bt-door*": {}}, scope="user", linger="0", tmpfs=["/tmp"])
    first = twins[0].start("echo secret >/tmp/mine; echo up; read x")
    try:
        assert first.stdout.readline() == b"up\n"
        got = twins[1].run("cat /tmp/mine; hostname")
        assert b"secret" not in got.stdout and got.returncode == 0
        # One's own are shared all the same.
        assert twins[0].run("cat /tmp/mine").stdout == b"secret\n"
    finally:
        first.communicate(b"\n", 20)
    wait_for(lambda: not world.containers(), 20, lambda: f"containers gone: {world.containers()}, "
             f"{world.berths()}, {world.left_files()}")


def test_twins_share_no_standby(world, doors, twins):
    """A container that waits for the one is not taken by the other."""
    def waiting():
        """Not the sessions' own, which may still be there."""
        return {r["Labels"]["berth.user"]: r["Id"] for r in world.containers()
                if r["State"] == "running" and stands_by(world, r["Labels"]["berth.session"])}
    doors.conf.write(create=world.own_hostnames(),
                     users={"bt-door*": {"standby": 1, "standby_time": "60s"}})
    assert twins[0].run("true").returncode == 0
    first = wait_for(lambda: waiting().get("bt-door"), 20, "a container standing by")
    used = twins[1].run("hostname").stdout.decode().strip()
    assert used and not first.startswith(used)
    wait_for(lambda: len(waiting()) == 2, 20, lambda: f"one for each: {waiting()}")
    assert waiting()["bt-door"] == first
    # What has its own name does take it.
    assert first.startswith(twins[0].run("hostname").stdout.decode().strip())
    doors.conf.write(users={"bt-door*": {}})
    sweep_all(world)


def stands_by(world, key):
    path = os.path.join(world.runtime, str(world.uid("bt-door")), key + ".lock")
    try:
        with open(path, "rb") as f:
            return f.read(1) == b"s"
    except FileNotFoundError:
        return False


def sweep_all(world):
    """Containers that stand by would do so for a minute."""
    # The next one may be on its way yet.
    wait_for(lambda: not procs.berths(world.uids(), world.helper), 15, "nothing at work")

    def gone():
        for row in world.containers():
            world.engine.remove(row["Id"])
        reap(world)
        return not world.containers() and not world.left_files()
    wait_for(gone, 20, lambda: f"nothing left: {world.left_files()}")


def reap(world, *options):
    return subprocess.run([os.path.join(world.prefix, "sbin/berth"), "reap", "--config",
                           world.conf.path, *options], capture_output=True, timeout=60)


@pytest.mark.parametrize("forge", [
    "USER", "LOGNAME", "BERTH_CONNECTION", "SSH_CONNECTION", "SSH_CLIENT"])
def test_a_twin_can_not_pass_for_the_other(world, doors, twins, forge):
    """While the other is there, by the variables of the other's connection."""
    other = twins[0].start("echo $SSH_CONNECTION; read x")
    try:
        peer = other.stdout.readline().decode().strip()
        said = vouched(world)
        value = {"USER": "bt-door", "LOGNAME": "bt-door", "BERTH_CONNECTION": said["id"],
                 "SSH_CONNECTION": peer, "SSH_CLIENT": " ".join(peer.split()[:2] + ["22"])}[forge]
        doors.home(TWIN, ".pam_environment", f'{forge} OVERRIDE="{value}"\n')
        sshd = doors.sshd(options="AcceptEnv *", name="forge" + forge.lower())
        got = sshd.login(TWIN).run("echo $USER", opts=["-o", f'SetEnv={forge}="{value}"'])
        assert got.stdout in (f"{TWIN}\n".encode(), b""), got
        if not got.stdout:
            assert got.returncode == 254 and b"two names" in got.stderr
        # And the other is still himself.
        assert vouched_name(world, peer) == "bt-door"
    finally:
        other.communicate(b"\n", 20)


def vouched_name(world, peer):
    path = os.path.join(world.runtime, "connections", peer.replace(" ", "_"))
    with open(path) as f:
        return dict(line.split("=", 1) for line in f.read().splitlines()[1:])["name"]


def test_twins_without_pam_berth_are_refused(world, doors, twins):
    with open("/etc/pam.d/sshd") as f:
        sshd = doors.sshd(stack=f.read(), name="nopam")
    got = sshd.login(TWIN).run("true")
    assert got.returncode == 254 and b"two names" in got.stderr


# --- home

def test_a_missing_home_is_made(world, doors, door):
    base = os.path.join(doors.dir, "homes")
    os.mkdir(base, 0o755)
    doors.conf.write(users={"bt-door": {"home": f"{base}/%u"}})
    door.run("true")
    path = os.path.join(base, "bt-door")
    info = os.stat(path)
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (
        world.uid("bt-door"), world.uid("bt-door"), 0o700)
    world.syslog.wait(rf"pam_berth.*made home {re.escape(path)}", world.mark)
    os.rmdir(path)
    # A directory on the way that others can write: nothing is made there.
    os.chmod(base, 0o777)
    got = door.run("true")
    assert got.returncode == 254 and b"berth: session: home" in got.stdout
    assert not os.path.exists(path)
    os.rmdir(base)


# --- the connection's end

@pytest.mark.parametrize("scope", ["session", "connection"])
def test_what_killed_helpers_leave_goes_with_the_connection(world, doors, door_sshd, scope):
    """Helper and watcher killed: no next login is needed, nor the timer."""
    doors.conf.write(users={"bt-door": {}}, scope=scope)
    transport = door_sshd.login("bt-door").transport()
    try:
        channel = transport.open_session()
        channel.exec_command("echo up; sleep 1000")
        assert channel.makefile("rb").readline() == b"up\n"
        pids = world.watchers("bt-door") + world.helpers("bt-door")
        assert len(pids) >= 2
        for pid in world.watchers("bt-door"):
            os.kill(pid, signal.SIGKILL)
        for pid in world.helpers("bt-door"):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not world.helpers("bt-door") + world.watchers("bt-door"), 5, "them gone")
    finally:
        transport.close()
    wait_for(lambda: not world.containers("bt-door"), 10, "the container gone")
    world.syslog.wait(r"berth\[\d+\]: reap container=.*user=\"bt-door\"", world.mark)


@pytest.mark.parametrize("scope", ["session", "connection"])
def test_nobody_closes_the_session(world, doors, door_sshd, scope):
    """sshd's monitor, which holds PAM's handle, killed in mid-session."""
    doors.conf.write(users={"bt-door": {}}, scope=scope)
    transport = door_sshd.login("bt-door").transport()
    try:
        channel = transport.open_session()
        channel.exec_command("trap '' HUP; echo up; while :; do sleep 1; done")
        assert channel.makefile("rb").readline() == b"up\n"
        os.kill(int(vouched(world)["sshd"].split()[0]), signal.SIGKILL)
    finally:
        transport.close()
    wait_for(lambda: not world.containers("bt-door") and not world.berths(), 10,
             lambda: f"nothing left: {world.containers('bt-door')} {world.berths()}")
    # What vouched for it is known to be nobody's.
    assert reap(world).returncode == 0
    assert not connections(world)


def test_the_sweep_of_one_user(world, door):
    berth = os.path.join(world.prefix, "sbin/berth")
    for wrong in ("bt-door", "-1", "", "4294967295", "1x"):
        got = subprocess.run([berth, "reap", "--user", wrong], capture_output=True)
        assert got.returncode == 2 and got.stderr.count(b"\n") == 1
    proc = door.start("echo up; read x")
    try:
        assert proc.stdout.readline() == b"up\n"
        got = reap(world, "--user", str(world.uid("bt-door")))
        assert (got.returncode, got.stdout, got.stderr) == (0, b"0 removed, 0 left\n", b"")
    finally:
        assert proc.communicate(b"\n", 20) and proc.returncode == 0


def test_the_sweep_removes_a_killed_sshds_file(world, doors, door_sshd):
    transport = door_sshd.login("bt-door").transport()
    channel = transport.open_session()
    channel.exec_command("true")
    assert channel.recv_exit_status() == 0
    pid = int(vouched(world)["sshd"].split()[0])
    os.kill(pid, signal.SIGKILL)
    transport.close()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5, "it is gone")
    assert connections(world)
    unnamed = os.path.join(world.runtime, "connections", f".new{pid}")
    with open(unnamed, "w"):
        os.utime(unnamed, (1, 1))
    assert reap(world).returncode == 0
    assert not connections(world)
