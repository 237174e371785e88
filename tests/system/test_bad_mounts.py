"""Mounts that must not be, and a runtime directory without room."""
import os
import shutil
import subprocess

import pytest

from harness.refusal import LOGGED, one_line, refused
from harness.wait import wait_for

both = pytest.mark.channels("direct", "attach")


@pytest.fixture
def tree(world):
    """top/sub/leaf, all root's."""
    top = os.path.join(world.dir, "tree")
    os.makedirs(os.path.join(top, "sub", "leaf"))
    yield top
    shutil.rmtree(top)


@both
@pytest.mark.parametrize("problem,at,why", [
    ("missing", "/sub/leaf", "cannot open: No such file"),
    ("missing above", "/sub", "cannot open: No such file"),
    ("link", "/sub/leaf", "is a symbolic link"),
    ("link above", "/sub", "is a symbolic link"),
    ("dangling link", "/sub/leaf", "is a symbolic link"),
    ("link to itself", "/sub/leaf", "is a symbolic link"),
    ("owner above", "/sub", "must be root's"),
    ("owner further above", "", "must be root's"),
    ("group may write above", "/sub", "may write it (mode 0775)"),
    ("others may write above", "/sub", "may write it (mode 0757)"),
    ("sticky above", "/sub", "may write it (mode 1777)"),
    ("file above", "/sub", "Not a directory"),
    ("hidden above", "/sub/leaf", "the login may not look there"),
])
def test_source(world, tree, problem, at, why):
    sub, leaf = tree + "/sub", tree + "/sub/leaf"
    if problem == "missing":
        os.rmdir(leaf)
    elif problem == "missing above":
        shutil.rmtree(sub)
    elif "link" in problem and "above" not in problem:
        os.rmdir(leaf)
        os.symlink({"link": "/etc", "dangling link": "/nowhere"}.get(problem, leaf), leaf)
    elif problem == "link above":
        os.rename(sub, sub + ".real")
        os.symlink("sub.real", sub)
    elif problem == "owner above":
        os.chown(sub, world.uid("bt-bash"), -1)
    elif problem == "owner further above":
        os.chown(tree, world.uid("bt-dash"), -1)
    elif problem == "file above":
        shutil.rmtree(sub)
        open(sub, "w").close()
    else:
        os.chmod(sub, {"group may write above": 0o775, "others may write above": 0o757,
                       "sticky above": 0o1777, "hidden above": 0o700}[problem])
    world.conf.write(mounts=[leaf + ":/x"])
    refused(world, f"mount /x: {tree}{at}: ", why)


def test_source_swapped_by_its_owner(world, tree):
    """The last part is the login's: it can't be made to be something else, only hold it."""
    mine = tree + "/sub/leaf"
    os.chown(mine, world.uid("bt-bash"), -1)
    os.symlink(tree, mine + "/out")
    world.conf.write(mounts=[mine + ":/x"])
    got = world.login().run("readlink /x/out; ls /x/out/")
    assert (got.returncode, got.stdout) == (1, f"{tree}\n".encode()), got
    assert b"No such file" in got.stderr


# --- a full disk

@pytest.fixture
def full(world):
    """Mounts a small tmpfs as a runtime directory, once filled by `fill`."""
    path = os.path.join(world.dir, "full")
    mounted = []

    def make(options, fill):
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777," + options, "none", path],
                       check=True)
        mounted.append(path)
        if fill:
            mine = os.path.join(path, str(world.uid("bt-bash")))
            os.mkdir(mine, 0o700)
            os.chown(mine, world.uid("bt-bash"), -1)
            with pytest.raises(OSError), open(os.path.join(path, "filler"), "wb", 0) as f:
                while True:
                    f.write(b"x" * 4096)
        world.conf.runtime_dir = path
        return path
    runtime = world.conf.runtime_dir
    yield make
    world.conf.runtime_dir = runtime
    for path in mounted:
        wait_for(lambda: not world.containers() and not world.berths(), 10, "an end of it all")
        subprocess.run(["umount", path], check=True)
        os.rmdir(path)


@both
@pytest.mark.parametrize("scope", ["session", "user"])
def test_no_space_for_a_byte(world, full, scope):
    """Names still have room, contents don't: it runs, or says what is full."""
    path = full("size=16k", True)
    world.conf.write(scope=scope, linger="0")
    with world.another_sshd() as client:
        got = client.run("bt-bash", "echo ran")
        if got.returncode == 0:
            assert (got.stdout, got.stderr) == (b"ran\n", b"")
        else:
            one_line(got.returncode, got.stdout, got.stderr, "No space left on device")
            world.syslog.wait(LOGGED, world.mark)
        wait_for(lambda: not world.containers() and not world.berths(), 5, "nothing left")
        # With room again it is as ever.
        os.unlink(os.path.join(path, "filler"))
        got = client.run("bt-bash", "echo ran")
        assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b"")
        wait_for(lambda: not world.containers() and not world.berths(), 5, "nothing left")


@pytest.mark.channels("direct")
@pytest.mark.parametrize("inodes", range(1, 9))
@pytest.mark.parametrize("scope", ["session", "user"])
def test_no_room_for_a_name(world, full, scope, inodes):
    """The root takes one, the user's directory one, and so on: out of them at each step, and with
    the last ones it runs."""
    path = full(f"nr_inodes={inodes}", False)
    world.conf.write(scope=scope, linger="0")
    with world.another_sshd() as client:
        got = client.run("bt-bash", "echo ran")
        if got.returncode == 0:
            assert (got.stdout, got.stderr) == (b"ran\n", b"")
            assert inodes > 2
        else:
            one_line(got.returncode, got.stdout, got.stderr, "No space left on device")
            world.syslog.wait(LOGGED, world.mark)
        wait_for(lambda: not world.containers() and not world.berths(), 5, "nothing left")
    left = [os.path.join(r, n) for r, _, names in os.walk(path) for n in names
            if n.endswith(".lock")]
    assert not left, left
