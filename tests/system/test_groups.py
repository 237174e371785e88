"""Who gets what by the groups that the system's user database says he is in."""
import os
import subprocess

import pytest

from harness import users
from harness.refusal import refused


@pytest.fixture
def group():
    """Makes groups, and takes them away again."""
    made = []

    def make(name, *members):
        made.append(name)
        return users.make_group(name, *members)
    yield make
    for name in made:
        users.remove_group(name)


@pytest.fixture
def site(world):
    """A directory with a file in it, as a mount of its own name."""
    def make(name):
        path = os.path.join(world.dir, name)
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "here"), "w") as f:
            f.write(name + "\n")
        return f"{path}:/{name}"
    return make


def sites(world, user="bt-bash"):
    got = world.login(user).run("cd /; for s in site-*; do test -d $s && cat $s/here; done; true")
    assert (got.returncode, got.stderr) == (0, b""), got
    return got.stdout.decode().split()


@pytest.mark.channels("direct", "attach")
def test_a_group_gives_a_mount(world, group, site):
    group("bt-a", "bt-bash")
    group("bt-b", "bt-bash", "bt-dash")
    world.conf.write(users={"bt-*": {}}, groups={
        "bt-a": {"mounts": [site("site-a")]}, "bt-b": {"mounts": [site("site-b")]}})
    assert sites(world) == ["site-a", "site-b"]
    assert sites(world, "bt-dash") == ["site-b"]
    assert sites(world, "bt-forge") == []


def test_a_group_alone_maps_a_login(world, group, site):
    group("bt-a", "bt-bash")
    world.conf.write(users={}, groups={"bt-a": {"mounts": [site("site-a")]}})
    assert sites(world) == ["site-a"]
    refused(world, "no user or group section", '"bt-dash"', user="bt-dash")


def test_the_primary_group_counts(world, group, site):
    world.conf.write(users={}, groups={"bt-bash": {"mounts": [site("site-a")]}})
    assert sites(world) == ["site-a"]       # useradd's own group for him
    group("bt-prim")
    own = world.users["bt-dash"].pw_gid
    subprocess.run(["usermod", "-g", "bt-prim", "bt-dash"], check=True, capture_output=True)
    try:
        world.conf.write(users={}, groups={"bt-pri?": {"mounts": [site("site-b")]}})
        assert sites(world, "bt-dash") == ["site-b"]
        refused(world, "no user or group section")
    finally:
        subprocess.run(["usermod", "-g", str(own), "bt-dash"], check=True, capture_output=True)


def test_a_pattern_of_groups(world, group, site):
    group("bt-site-a", "bt-bash")
    group("bt-site-b", "bt-bash")
    group("bt-other", "bt-dash")
    world.conf.write(users={}, groups={"bt-site-[ab]": {"env": ["BY=pattern"]},
                                       "bt-site-a": {"mounts": [site("site-a")]}})
    got = world.login().run("echo $BY; ls -d /site-a")
    assert got.stdout == b"pattern\n/site-a\n"
    refused(world, "no user or group section", user="bt-dash")


def test_membership_holds_from_one_login_to_the_next(world, group, site):
    group("bt-a", "bt-bash")
    group("bt-b", "bt-dash")
    world.conf.write(users={}, groups={"bt-a": {"mounts": [site("site-a")]},
                                       "bt-b": {"mounts": [site("site-b")]}})
    assert sites(world) == ["site-a"]
    users.join("bt-b", "bt-bash")
    assert sites(world) == ["site-a", "site-b"]
    users.leave("bt-a", "bt-bash")
    assert sites(world) == ["site-b"]
    users.leave("bt-b", "bt-bash")
    refused(world, "no user or group section", '"bt-bash"')
    assert sites(world, "bt-dash") == ["site-b"]
    users.remove_group("bt-b")
    refused(world, "no user or group section", user="bt-dash")


def test_a_new_group_is_a_new_policy_for_a_shared_container(world, group, site):
    """Idle, it makes room; else the group taken away would still show its files."""
    group("bt-a", "bt-bash")
    world.conf.write(users={"bt-*": {"scope": "user", "linger": "1h"}},
                     groups={"bt-a": {"mounts": [site("site-a")]}})
    assert sites(world) == ["site-a"]
    first = world.container()["Id"]
    assert sites(world) == ["site-a"] and world.container()["Id"] == first
    users.leave("bt-a", "bt-bash")
    assert sites(world) == []
    assert world.container()["Id"] != first
    world.engine.remove(world.container()["Id"])
    # The next login, of no scope, sweeps what the removed one left.
    world.conf.write()
    assert world.login().run("true").returncode == 0


def test_defaults_then_groups_then_users(world, group):
    """In the file's order among groups, not in the database's; users last wherever they stand."""
    group("bt-a", "bt-bash")
    group("bt-b", "bt-bash")
    world.conf.raw(world.conf.text(users={"bt-bash": {"env": ["U=user"]}}) +
                   "group 'bt-b' { env = {'U=b', 'G=b', 'D=b'} hostname = 'b' }\n"
                   "group 'bt-a' { env = {'U=a', 'G=a'} hostname = 'a' }\n"
                   "group 'bt-nobody' { deny = 'nobody' }\n"
                   .replace("defaults {", "defaults { env = {'D=default', 'E=default'}"))
    got = world.login().run("echo $U $G $D; hostname")
    assert got.stdout == b"user a b\na\n"


def test_inherit_no_starts_afresh(world, group, site):
    group("bt-a", "bt-bash")
    image = world.conf.image
    world.conf.write(hostname="default", mounts=[site("site-d")], users={"bt-*": {"env": ["U=1"]}},
                     groups={"bt-a": {"inherit": False, "image": image,
                                      "mounts": [site("site-a")]}})
    got = world.login().run("ls -d /site-*; hostname; echo $U")
    lines = got.stdout.decode().split()
    assert lines[0] == "/site-a" and lines[1] != "default" and lines[2:] == ["1"]
    assert sites(world, "bt-dash") == ["site-d"]
    # Without an image of its own nothing is left of the defaults'.
    world.conf.write(groups={"bt-a": {"inherit": False}})
    refused(world, "no image")
    assert world.login("bt-dash").run("true").returncode == 0


def test_a_group_that_does_not_exist(world):
    """Nobody is in it, and nothing breaks."""
    world.conf.write(groups={"bt-no-such": {"deny": "not you"}, "bt-[": {"deny": "nor you"}})
    got = world.login().run("echo ran")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b"")
    world.conf.write(users={}, groups={"bt-no-such": {}})
    refused(world, "no user or group section")


def test_deny_a_group(world, group):
    group("bt-out", "bt-dash")
    world.conf.write(groups={"bt-out": {"deny": "your group is shut out"}})
    refused(world, "your group is shut out", user="bt-dash")
    assert world.login().run("true").returncode == 0
