"""Accounts and groups of a real directory: slapd, nslcd, NSS and PAM of a fresh root."""
import os
import socket
import time

import pytest

from harness import fresh_root, images, readme
from harness.directory import Directory, NO_GROUPS
from harness.sshd import section
from harness.wait import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.fresh]

# Users: uids as of a directory, and their group.
ANNA, BJARNE, CARLA, DORA, PEOPLE = 70001, 70002, 70003, 70004, 70000
SHELL = "/libexec/berth/berth-shell"
# README's promise for a login while the directory is down or hangs.
REFUSED_WITHIN = 45
SSHD, NSLCD, PAM, NSLCD_SHELL = [
    block for _, block in readme.blocks(readme.section("Accounts in LDAP"))][:4]


@pytest.fixture(scope="module")
def root(session_world, fresh_base):
    it = fresh_root.FreshRoot(session_world.dir, "ldap", fresh_base, session_world.syslog.path)
    it.install(session_world.prefix)
    for site in ("a", "b"):
        it.write(f"/srv/sites/{site}/name", f"site {site}\n")
    it.run(["install", "-d", "-m", "1777", "/run/berth"])
    module = session_world.prefix + "/lib/security/pam_berth.so"
    it.add_pam([f"auth required {module} groups=docker", f"account required {module}",
                f"session required {module}"])
    it.start_engine()
    it.add_image(images.BUSYBOX)
    yield it
    it.close()


@pytest.fixture(scope="module")
def directory(session_world, root):
    """As README says. A login needs nothing of this machine: the login shell and the groups that
    berth.conf goes by are the directory's."""
    root.run(SSHD.replace("!admin", "!plain"))
    # Before nslcd starts: it reads then who is local.
    shell = session_world.prefix + SHELL
    root.add_user("lotte", shell=shell)    # in a container, and
    root.add_user("plain")                 # on the host
    it = Directory(root, NSLCD)
    root.run(PAM)
    it.add_group("people", PEOPLE)
    it.add_group("site-a", 70010, "anna")
    it.add_group("site-b", 70011)
    it.add_user("anna", ANNA, PEOPLE, "annas word", shell)
    it.add_user("bjarne", BJARNE, PEOPLE, "bjarnes word", shell)
    # Whose own group is one of the machine's, users.
    it.add_user("dora", DORA, 100, "doras word", shell)
    root.write(session_world.prefix + "/etc/berth/berth.conf",
               section("defaults", {"image": images.BUSYBOX, "pull": "never"}) +
               section("group", {}, "people") +
               "".join(section("group", {"mounts": [f"/srv/sites/{s}:/sites/{s}:ro"]},
                               f"site-{s}") for s in "ab") +
               section("user", {}, "lotte") + section("user", {}, "dora"))
    root.start_sshd()
    return it


def in_container(got, out):
    assert (got.returncode, got.stdout.decode(), got.stderr) == (0, out, b"")


WHERE = "cat /proc/1/comm; id -u; id -g"


def test_by_key(root, directory):
    in_container(root.ssh("anna", WHERE), f"berth-guest\n{ANNA}\n{PEOPLE}\n")


def test_by_password(root, directory):
    in_container(root.ssh("bjarne", WHERE, password="bjarnes word"),
                 f"berth-guest\n{BJARNE}\n{PEOPLE}\n")


def test_a_wrong_password(world, root, directory):
    got = root.ssh("bjarne", WHERE, password="annas word")
    assert (got.returncode, got.stdout) == (255, b"") and b"Permission denied" in got.stderr
    assert not world.syslog.since(world.mark)


def test_a_group_gives_a_mount(root, directory):
    in_container(root.ssh("anna", "cat /sites/*/name"), "site a\n")
    got = root.ssh("bjarne", "ls /sites")
    assert got.returncode == 1 and b"No such file" in got.stderr
    directory.change_member("site-b", "add", "anna")
    in_container(root.ssh("anna", "cat /sites/*/name"), "site a\nsite b\n")
    directory.change_member("site-b", "delete", "anna")
    in_container(root.ssh("anna", "cat /sites/*/name"), "site a\n")


@pytest.fixture
def other_shell(world, root, directory):
    """carla, whose login shell in the directory is another."""
    directory.add_user("carla", CARLA, PEOPLE, "carlas word", "/bin/bash")
    yield
    directory.remove_user("carla")
    directory.start_nslcd()


def test_a_login_shell_by_nslcd(world, root, directory, other_shell):
    """Without berth-shell there is no group, and so no engine, for her."""
    got = root.ssh("carla", "id -u")
    assert (got.returncode, got.stdout) == (254, b"") and b"docker.sock" in got.stderr, got
    directory.start_nslcd(NSLCD_SHELL.replace("/usr" + SHELL, world.prefix + SHELL))
    in_container(root.ssh("carla", "id -u"), f"{CARLA}\n")


def engine_says(root, user):
    """What the engine answers through a forward of that user's to its socket: nothing is right."""
    path = "/root/engine.sock"
    proc = root.start_ssh(user, "cat /proc/1/comm; cat", opts=["-L", path + ":/run/docker.sock"])
    try:
        assert proc.stdout.readline() == b"berth-guest\n", proc.stderr.read()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(root.outside(path))
            sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return sock.recv(1000)
    except (BrokenPipeError, ConnectionResetError):
        return b""
    finally:
        proc.communicate(timeout=20)
        os.unlink(root.outside(path))


def test_groups_that_the_directory_does_not_tell(root, directory):
    """sshd and getgrouplist(3) then go on with the groups that they know."""
    assert engine_says(root, "dora") == b""
    directory.start_nslcd(NO_GROUPS)
    try:
        assert engine_says(root, "dora") == b""
        got = root.ssh("anna", "id -u")
        assert (got.returncode, got.stdout) == (255, b""), got
    finally:
        directory.start_nslcd()
    in_container(root.ssh("anna", "id -u"), f"{ANNA}\n")


def test_a_local_user(root, directory):
    in_container(root.ssh("lotte", "cat /proc/1/comm"), "berth-guest\n")
    in_container(root.ssh("plain", "test -e /.berth || hostname; id -un"), "fresh\nplain\n")


@pytest.fixture
def forwards(session_world, root, directory):
    """Opens a second sshd, which lets anna's through to her container; options of its clients."""
    configuration = "/root/forwarding.conf"
    with open(session_world.prefix + "/etc/ssh/sshd_config.d/50-berth.conf.forwarding") as f:
        opened = f.read().replace("Match Group berth", "Match User anna")
    berth_conf = session_world.prefix + "/etc/berth/berth.conf"
    before = root.read(berth_conf)
    root.write(berth_conf, before + section(
        "user", {"forwarding": "container", "scope": "user"}, "anna"))
    root.write(configuration, "UsePAM yes\nPort 2222\nPidFile /run/forwarding.pid\n" +
               opened)
    root.run(["/usr/sbin/sshd", "-f", configuration])
    wait_for(lambda: root.exists("/run/forwarding.pid"), 10, "an sshd that forwards")
    yield ["-p", "2222", "-o", "HostKeyAlias=127.0.0.1"]
    root.run("kill $(cat /run/forwarding.pid)")
    root.write(berth_conf, before)


def test_in_the_containers_network(root, directory, forwards):
    """nslcd is asked by a path, which leads to it from any network."""
    proc = root.start_ssh("anna", "cat /sites/*/name; id -u; httpd -p 127.0.0.1:8080 -h /sites/a; "
                                  "echo up; cat", opts=forwards)
    try:
        assert [proc.stdout.readline() for _ in range(3)] == [
            b"site a\n", b"%d\n" % ANNA, b"up\n"], proc.stderr.read()
        argv = root.ssh_argv("anna", opts=forwards + ["-W", "127.0.0.1:8080"])[:-1]
        got = root.run(argv, input=b"GET /name HTTP/1.0\r\n\r\n", check=False)
        assert got.stdout.endswith(b"\r\n\r\nsite a\n"), got
        # Where the first sshd isn't.
        argv[argv.index("127.0.0.1:8080")] = "127.0.0.1:22"
        got = root.run(argv, check=False)
        assert got.returncode != 0 and got.stdout == b"", got
    finally:
        proc.communicate(timeout=20)


@pytest.fixture
def connection(root, directory):
    """options(user): of one more session of an ssh connection that is open already."""
    opened = {}

    def options(user):
        opened[user] = ["-S", f"/root/{user}.sock"]
        master = ["-o", "ControlMaster=yes", "-o", "ControlPersist=600"]
        in_container(root.ssh(user, "echo up", opts=master + opened[user]), "up\n")
        return opened[user]

    yield options
    for user, opts in opened.items():
        root.ssh(user, opts=opts + ["-O", "exit"])


def refused_by_sshd(got):
    assert (got.returncode, got.stdout) == (255, b"") and b"Permission denied" in got.stderr, got


def refused_by_berth(got, number):
    """sshd knows the login from before: one line of berth's, and no shell."""
    assert (got.returncode, got.stdout) == (254, b""), got
    assert got.stderr.startswith(b"berth: login: no account has uid %d" % number), got
    assert got.stderr.count(b"\n") == 1


def test_a_user_who_is_removed(world, root, directory, connection):
    directory.add_user("carla", CARLA, PEOPLE, "carlas word", world.prefix + SHELL)
    opts = connection("carla")
    in_container(root.ssh("carla", "id -u", opts=opts), f"{CARLA}\n")
    directory.remove_user("carla")
    mark = world.syslog.mark()
    refused_by_sshd(root.ssh("carla", "id -u"))
    refused_by_sshd(root.ssh("carla", "id -u", password="carlas word"))
    assert not world.syslog.since(mark)
    refused_by_berth(root.ssh("carla", "id -u", opts=opts), CARLA)
    world.syslog.wait(f'deny .*uid={CARLA} .*reason="login: no account has uid {CARLA}"', mark)


@pytest.fixture
def back(root, directory):
    """Afterwards the directory answers again, and so it is with nslcd."""
    yield
    directory.go_on()
    directory.start_again()
    wait_for(lambda: root.ssh("anna", "id -u").returncode == 0, 30, "a login of anna's")


# README's timelimit and bind_timelimit: what one question to a directory that hangs takes.
ONE_WAIT = 5


def local_users_log_in(root):
    in_container(root.ssh("lotte", "cat /proc/1/comm", timeout=ONE_WAIT), "berth-guest\n")
    in_container(root.ssh("plain", "test -e /.berth || hostname", timeout=ONE_WAIT), "fresh\n")


def test_a_directory_that_is_down(world, root, directory, connection, back):
    opts = connection("anna")
    directory.stop()
    refused_by_sshd(root.ssh("anna", "id -u", timeout=REFUSED_WITHIN))
    refused_by_sshd(root.ssh("bjarne", "id -u", password="bjarnes word", timeout=REFUSED_WITHIN))
    refused_by_berth(root.ssh("anna", "id -u", opts=opts, timeout=REFUSED_WITHIN), ANNA)
    local_users_log_in(root)


def test_a_directory_that_hangs(world, root, directory, connection, back):
    opts = connection("anna")
    directory.hang()
    began = time.monotonic()
    waiting = [root.start_ssh("bjarne", "id -u"),
               root.start_ssh("bjarne", "id -u", password="bjarnes word")]
    local_users_log_in(root)
    assert [p.poll() for p in waiting] == [None, None], "who doesn't wait shows nothing"
    refused_by_berth(root.ssh("anna", "id -u", opts=opts, timeout=REFUSED_WITHIN), ANNA)
    for proc in waiting:
        out, err = proc.communicate(timeout=REFUSED_WITHIN - (time.monotonic() - began))
        assert (proc.returncode, out) == (255, b"") and b"Permission denied" in err
