"""What the tests of transfers share: a place inside and a tree to bring there, how a client
is run, whether all has arrived."""
import os
import subprocess

import pytest

from . import data, images


@pytest.fixture
def box(world):
    """The glibc image with a folder of the host's mounted at /work. sftp-server and scp want a
    user that the image's passwd knows: 4242."""
    path = os.path.join(world.dir, "share")
    os.makedirs(path, exist_ok=True)
    os.chown(path, world.uid("bt-bash") if world.bare else 4242, -1)
    world.conf.write(image=images.GLIBC, mounts=[f"{path}:/work"], env=["HOME=/work"],
                     user="4242:4242")
    login = world.login(image="glibc")
    login.host, login.inside = path, path if world.bare else "/work"
    yield login
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture
def tree(world):
    """A small tree with awkward names, an empty folder, a link, modes."""
    path = os.path.join(world.dir, "tree")
    os.makedirs(path + "/sub dir/empty")
    for i, name in enumerate(["a", "with space", "grüße", "-dash", "quote'\"", "sub dir/deep",
                              "newline\nname", "back\\slash"]):
        with open(os.path.join(path, name), "wb") as f:
            f.write(os.urandom(1000 * i + 7))
    data.make_file(path + "/big", 20_000_000)
    os.symlink("a", path + "/link")
    os.chmod(path + "/a", 0o640)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


def same(left, right):
    got = subprocess.run(["diff", "-r", "--no-dereference", left, right], capture_output=True,
                         text=True)
    assert got.returncode == 0, got.stdout[:2000]


def tool(*argv, timeout=60, input=None, **env):
    got = subprocess.run(argv, input=input, capture_output=True, timeout=timeout, text=True,
                         env={**os.environ, **env},
                         **({} if input is not None else {"stdin": subprocess.DEVNULL}))
    assert got.returncode == 0, (argv[0], got.returncode, got.stdout[-500:], got.stderr[-1500:])
    return got


def ssh_command(login):
    return " ".join(["ssh"] + login.client.options())


def piped(*commands, timeout=60):
    """The first's output is the second's input; both must succeed."""
    first = subprocess.Popen(commands[0], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    second = subprocess.run(commands[1], stdin=first.stdout, capture_output=True, timeout=timeout)
    first.stdout.close()
    said = first.stderr.read()
    first.stderr.close()
    assert (first.wait(10), second.returncode) == (0, 0), (said[-1500:], second.stderr[-1500:])


def lftp_argv(login, script, port=None):
    """lftp's, without a look at anybody's configuration; its first failure ends it."""
    command = " ".join(["ssh", "-a", "-x"] + login.client.options(port))
    return ["lftp", "--norc", "-c",
            f'set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; '
            f'set sftp:connect-program "{command}"; '
            f'open -u {login.user}, sftp://127.0.0.1; {script}']
