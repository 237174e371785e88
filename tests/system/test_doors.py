"""What somebody who can write his home directory, or choose his variables, might run on the
host, or get the engine's group by. Each trap is sprung by bt-open first, who has no berth: a
trap that never springs proves nothing."""
import json
import os
import pwd
import shutil
import socket
import subprocess

import pytest

from harness.client import need
from harness.wait import became, wait_for

SHELL_FILES = {
    "bash": [".bashrc", ".bash_profile", ".profile", ".bash_login"],
    "zsh": [".zshenv", ".zprofile", ".zshrc", ".zlogin"],
    "tcsh": [".tcshrc", ".cshrc", ".login"],
    "fish": [".config/fish/config.fish"],
}


@pytest.fixture
def shells(world):
    """Sets a login shell; all are as they were afterwards."""
    before = {}

    def use(user, path):
        before.setdefault(user, pwd.getpwnam(user).pw_shell)
        subprocess.run(["usermod", "-s", path, user], check=True, capture_output=True)
    yield use
    for user, path in before.items():
        subprocess.run(["usermod", "-s", path, user], check=True, capture_output=True)


def lands_inside(login, **kw):
    """The login works, and in a container: it has a /work and no /etc/pam.d."""
    got = login.run("test -d /work && test ! -e /etc/pam.d && echo inside", **kw)
    assert (got.returncode, got.stdout) == (0, b"inside\n"), got
    got = login.run(opts=["-T"] + kw.get("opts", []), input=b"test ! -e /etc/pam.d && echo in\n")
    assert got.stdout == b"in\n", got


def springs(doors, login, mark="loaded", command="true", **kw):
    """The control: without berth the trap does what it is made for."""
    login.run(command, **kw)
    assert mark in doors.sprung(), f"the trap never sprang: {doors.sprung()}"
    doors.reset()


# --- files of the home directory

@pytest.mark.parametrize("shell", sorted(SHELL_FILES))
def test_files_of_the_shells(doors, door_sshd, shells, shell):
    mark = os.path.join(doors.marks, "file")
    for user in ("bt-open", "bt-forced", "bt-door", "bt-alone"):
        for name in [n for names in SHELL_FILES.values() for n in names]:
            doors.home(user, name, f"touch {mark}\n")
    for user in ("bt-open", "bt-forced"):
        shells(user, need(shell))
    springs(doors, door_sshd.login("bt-open"), "file")
    # The SetEnv line of 50-berth.conf alone, whatever the shell is; berth-shell alone; both.
    for user in ("bt-forced", "bt-alone", "bt-door"):
        lands_inside(door_sshd.login(user))
        assert doors.sprung() == [], user


def test_rc_of_ssh(doors, door_sshd):
    for user in ("bt-open", "bt-door", "bt-alone"):
        doors.home(user, ".ssh/rc", f"touch {doors.marks}/rc\n")
    springs(doors, door_sshd.login("bt-open"), "rc")
    for user in ("bt-door", "bt-alone"):
        lands_inside(door_sshd.login(user))
        assert doors.sprung() == [], user


# --- variables

PAM_VARIABLES = ["LD_PRELOAD", "LD_AUDIT"]


@pytest.mark.parametrize("name", PAM_VARIABLES)
def test_pam_environment(doors, door_sshd, name):
    for user in ("bt-open", "bt-door", "bt-alone"):
        doors.home(user, ".pam_environment", f"{name} DEFAULT={doors.trap}\n")
    springs(doors, door_sshd.login("bt-open"))
    for user in ("bt-door", "bt-alone"):
        lands_inside(door_sshd.login(user))
        assert doors.sprung() == [], user


def test_pam_environment_and_forcecommand_alone(doors, door_sshd):
    """bash as the login shell: nothing but pam_berth keeps LD_AUDIT from it."""
    for user in ("bt-open", "bt-forced"):
        doors.home(user, ".pam_environment", f"LD_AUDIT DEFAULT={doors.trap}\n")
    springs(doors, door_sshd.login("bt-open"))
    doors.conf.write(users={"bt-forced": {}})
    lands_inside(door_sshd.login("bt-forced"))
    assert doors.sprung() == []


def test_a_function_in_pam_environment(doors, door_sshd):
    """bash takes it over under the name of a builtin, such as the exec of ForceCommand."""
    for user in ("bt-open", "bt-forced", "bt-door", "bt-alone"):
        doors.home(user, ".pam_environment",
                   f'BASH_FUNC_exec%% DEFAULT="() {{ touch {doors.marks}/function; }}"\n')
    springs(doors, door_sshd.login("bt-open"), "function", "exec true")
    for user in ("bt-forced", "bt-door", "bt-alone"):
        lands_inside(door_sshd.login(user))
        assert doors.sprung() == [], user


def test_an_sshrc_of_the_administrators(doors):
    """sshd runs it by /bin/sh with the login's variables, before the login shell."""
    sshd = doors.sshd(sshrc=":\n", name="sshrc")
    for user in ("bt-open", "bt-door", "bt-alone"):
        doors.home(user, ".pam_environment",
                   f"LD_AUDIT DEFAULT={doors.trap}\nPATH DEFAULT={doors.dir}\n"
                   f"ENV DEFAULT={doors.dir}/env\n")
    springs(doors, sshd.login("bt-open"))
    for user in ("bt-door", "bt-alone"):
        lands_inside(sshd.login(user))
        assert doors.sprung() == [], user


def test_environment_of_a_key(world, doors):
    sshd = doors.sshd(options="PermitUserEnvironment yes", name="keys")
    users = ("bt-open", "bt-door", "bt-alone")
    try:
        for user in users:
            path = os.path.join(world.dir, "keys", user)
            with open(path) as f:
                key = f.read()
            with open(path, "w") as f:
                f.write(f'environment="LD_AUDIT={doors.trap}",environment="BASH_ENV={doors.dir}/e",'
                        f'environment="LD_LIBRARY_PATH={doors.dir}" {key}')
        springs(doors, sshd.login("bt-open"))
        for user in users[1:]:
            lands_inside(sshd.login(user))
            assert doors.sprung() == [], user
    finally:
        for user in users:
            world.sshd.authorize(user)


def test_variables_of_a_client(doors):
    """A wide AcceptEnv: with berth-shell it doesn't matter."""
    sshd = doors.sshd(options="AcceptEnv *", name="acceptall")
    opts = ["-o", f"SetEnv=LD_AUDIT={doors.trap}"]
    springs(doors, sshd.login("bt-open"), opts=opts)
    for user in ("bt-door", "bt-alone"):
        lands_inside(sshd.login(user), opts=opts)
        assert doors.sprung() == [], user


# --- what SSH itself has

def test_xauth(doors, door_sshd):
    """X11 forwarding would have sshd run xauth as the user, with his variables."""
    need("xauth")
    opts = ["-Y"]
    env = dict(os.environ, DISPLAY="127.0.0.1:77")
    springs(doors, door_sshd.login("bt-open"), "xauth", opts=opts, env=env)
    for user in ("bt-door", "bt-alone"):
        got = door_sshd.login(user).run("test ! -e /etc/pam.d && echo \"in$DISPLAY\"", opts=opts,
                                        env=env)
        assert got.stdout == b"in\n"
        assert doors.sprung() == [], user


def ping_by(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return s.recv(4096)


@pytest.mark.parametrize("user,reaches", [("bt-open", True), ("bt-door", False),
                                          ("bt-alone", False)])
def test_a_forward_to_the_engines_socket(world, doors, door_sshd, user, reaches):
    path = os.path.join(doors.dir, "forward")
    login = door_sshd.login(user)
    proc = login.start(opts=["-N", "-L", f"{path}:{world.socket}"])
    try:
        wait_for(lambda: os.path.exists(path), 10, "the client listening")
        try:
            answer = ping_by(path)
        except OSError:
            answer = b""
        assert (b"200 OK" in answer) == reaches
    finally:
        proc.kill()
        proc.communicate()
        os.unlink(path)


@pytest.mark.parametrize("user", ["bt-door", "bt-alone"])
def test_a_forward_to_a_port(doors, door_sshd, user):
    """-L to sshd itself, and -R: neither opens."""
    login = door_sshd.login(user)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    proc = login.start(opts=["-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{door_sshd.port}"])
    try:
        wait_for(lambda: _connects(port), 10, "the client listening")
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            assert s.recv(100) == b""
    finally:
        proc.kill()
        proc.communicate()
    got = login.run("true", opts=["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"])
    assert got.returncode == 255


def _connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


# --- the engine's group

def test_a_tracer_of_the_same_uid(world, doors, door_sshd):
    """It gets bash, whoever may log in with it, and the groups that bash has; of berth-shell
    and berth-session it gets nothing, in the moment of their start neither."""
    if _yama() > 0:
        pytest.skip("kernel.yama.ptrace_scope keeps a tracer from all but its children")
    with open(os.path.join(os.path.dirname(__file__), "harness/tracer.c")) as f:
        tracer = doors.compile("tracer", f.read())
    engine = str(world.engine_group)
    for user, caught in (("bt-open", True), ("bt-door", False), ("bt-alone", False)):
        seen = trace(world, tracer, user, door_sshd.login(user), until=engine if caught else None)
        with_group = [line for line in seen if engine in line.split()[3:]]
        assert bool(with_group) == caught, seen
        if not caught:
            assert not [line for line in seen if "berth" in line.split()[2]], seen


def _yama():
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as f:
            return int(f.read())
    except FileNotFoundError:
        return 0


def trace(world, tracer, user, login, until):
    """The tracer's lines of a dozen logins, or till it got one with group `until`."""
    log = os.path.join(world.dir, "traced")
    with open(log, "w") as out:
        proc = subprocess.Popen([tracer], stdout=out, stdin=subprocess.DEVNULL,
                                user=world.uid(user), group=world.uid(user), extra_groups=[])
    try:
        wait_for(lambda: open(log).read().startswith("ready"), 10, "the tracer running")
        for _ in range(12):
            got = login.run("id -u; id -u; id -u")
            assert until or got.returncode == 0, got
            if until and became(lambda: any(until in line.split()[3:]
                                            for line in open(log).readlines()[1:]), 0.2):
                break
        assert proc.poll() is None, "the tracer ended"
        return [line for line in open(log).read().splitlines() if line.startswith("seized")]
    finally:
        proc.kill()
        proc.wait()
        os.unlink(log)


def test_the_login_has_the_group_that_its_account_has_not(world, doors, door_sshd):
    """Else the tests above were empty: berth-session does reach the engine."""
    assert world.engine_group not in os.getgrouplist("bt-door", world.uid("bt-door"))
    lands_inside(door_sshd.login("bt-door"))
    proc = door_sshd.login("bt-door").start("echo up; read x")
    try:
        assert proc.stdout.readline() == b"up\n"
        pid = world.one_helper("bt-door")
        with open(f"/proc/{pid}/status") as f:
            groups = [line.split()[1:] for line in f if line.startswith("Groups:")][0]
        assert str(world.engine_group) in groups
    finally:
        proc.communicate(b"\n", 20)


def test_a_mapped_user_with_another_shell(world, doors, door_sshd):
    """Outside of the Match he gets neither a container nor the group."""
    got = door_sshd.login("bt-loose").run("id -G; test -e /etc/pam.d && echo host")
    assert got.returncode == 0
    groups, where = got.stdout.decode().splitlines()
    assert where == "host"
    assert str(world.engine_group) not in groups.split()
    got = door_sshd.login("bt-loose").run(world.helper)
    assert got.returncode == 254 and b"group" in got.stderr


ASK = """
import ctypes, json, os, sys
pam = ctypes.CDLL("libpam.so.0")
class Conv(ctypes.Structure):
    _fields_ = [("conv", ctypes.c_void_p), ("data", ctypes.c_void_p)]
handle, conv = ctypes.c_void_p(), Conv()
os.setgroups([])
service, user, confdir = (a.encode() for a in sys.argv[1:])
rc = pam.pam_start_confdir(service, user, ctypes.byref(conv), confdir, ctypes.byref(handle))
assert rc == 0, rc
rc = [pam.pam_setcred(handle, 2), pam.pam_open_session(handle, 0)]
print(json.dumps([rc, os.getgroups()]))
"""


@pytest.mark.parametrize("service,gets", [("sshd", True), ("su", False), ("su-l", False),
                                          ("cron", False), ("systemd-user", False),
                                          ("login", False)])
def test_other_services(world, doors, service, gets):
    """As root and with sshd's very lines, whoever put them into common-auth."""
    confdir = os.path.join(doors.dir, "pam.d")
    shutil.rmtree(confdir, ignore_errors=True)
    os.mkdir(confdir)
    module = f"{doors.module} config={doors.conf.path}"
    with open(os.path.join(confdir, service), "w") as f:
        f.write(f"auth required {module} groups={world.group_name()}\nauth required pam_permit.so\n"
                f"session required {module}\nsession required pam_permit.so\n")
    got = subprocess.run(["/usr/bin/python3", "-c", ASK, service, "bt-door", confdir],
                         capture_output=True, text=True)
    assert got.returncode == 0, got.stderr
    codes, groups = json.loads(got.stdout)
    assert codes == [0, 0]
    assert groups == ([world.engine_group] if gets else [])
