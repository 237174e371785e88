"""Accounts and groups of a real directory: slapd, nslcd, NSS and PAM of a fresh root."""
import time

import pytest

from harness import fresh_root, images, readme
from harness.directory import Directory
from harness.sshd import section
from harness.wait import wait_for

# Users: uids as of a directory, and their group.
ANNA, BJARNE, PEOPLE = 70001, 70002, 70000
# README's promise for a login while the directory is down or hangs.
REFUSED_WITHIN = 30


@pytest.fixture(scope="module")
def root(session_world, fresh_base):
    it = fresh_root.FreshRoot(session_world.dir, "ldap", fresh_base, session_world.syslog.path)
    it.install(session_world.prefix)
    for site in ("a", "b"):
        it.write(f"/srv/sites/{site}/name", f"site {site}\n")
    it.run(["install", "-d", "-m", "1777", "/run/berth"])
    it.start_engine()
    it.add_image(images.BUSYBOX)
    yield it
    it.close()


@pytest.fixture(scope="module")
def directory(session_world, root):
    """As README says, and all that a login needs but the account comes from the directory."""
    nslcd, pam = [block for _, block in readme.blocks(readme.section("Accounts in LDAP"))][:2]
    # Before nslcd starts: it reads then who is local.
    root.run(["groupadd", "--system", "berth"])
    root.add_user("lotte", "--groups", "berth,docker")      # in a container, and
    root.add_user("plain")                                  # on the host
    it = Directory(root, nslcd)
    root.run(pam)
    # Groups of the machine's own go by the same number in the directory.
    gids = {name: root.run(["getent", "group", name]).stdout.split(b":")[2].decode()
            for name in ("berth", "docker")}
    it.add_group("people", PEOPLE)
    it.add_group("berth", gids["berth"], "anna", "bjarne")
    it.add_group("docker", gids["docker"], "anna", "bjarne")
    it.add_group("site-a", 70010, "anna")
    it.add_group("site-b", 70011)
    it.add_user("anna", ANNA, PEOPLE, "annas word", "/bin/sh")
    it.add_user("bjarne", BJARNE, PEOPLE, "bjarnes word", "/bin/sh")
    root.write(session_world.prefix + "/etc/berth/berth.conf",
               section("defaults", {"image": images.BUSYBOX, "pull": "never"}) +
               section("group", {}, "people") +
               "".join(section("group", {"mounts": [f"/srv/sites/{s}:/sites/{s}:ro"]},
                               f"site-{s}") for s in "ab") +
               section("user", {}, "lotte"))
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


def test_a_local_user(root, directory):
    in_container(root.ssh("lotte", "cat /proc/1/comm"), "berth-guest\n")
    in_container(root.ssh("plain", "hostname; id -un"), "fresh\nplain\n")


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
    directory.add_user("carla", 70003, PEOPLE, "carlas word", "/bin/sh")
    for group in ("berth", "docker"):
        directory.change_member(group, "add", "carla")
    opts = connection("carla")
    in_container(root.ssh("carla", "id -u", opts=opts), "70003\n")
    directory.remove_user("carla")
    mark = world.syslog.mark()
    refused_by_sshd(root.ssh("carla", "id -u"))
    refused_by_sshd(root.ssh("carla", "id -u", password="carlas word"))
    assert not world.syslog.since(mark)
    refused_by_berth(root.ssh("carla", "id -u", opts=opts), 70003)
    world.syslog.wait(r'deny .*uid=70003 .*reason="login: no account has uid 70003"', mark)


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
    in_container(root.ssh("plain", "hostname", timeout=ONE_WAIT), "fresh\n")


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
    waiting = root.start_ssh("bjarne", "id -u")
    began = time.monotonic()
    local_users_log_in(root)
    assert waiting.poll() is None, "bjarne was refused at once: then local users prove nothing"
    refused_by_berth(root.ssh("anna", "id -u", opts=opts, timeout=REFUSED_WITHIN), ANNA)
    waiting.wait(REFUSED_WITHIN - (time.monotonic() - began))
    assert (waiting.returncode, waiting.stdout.read()) == (255, b"")
    refused_by_sshd(root.ssh("anna", "id -u", password="annas word", timeout=REFUSED_WITHIN))
