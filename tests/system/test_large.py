"""Many files, and a large one: all of it arrives, by whichever client."""
import os
import shutil
import subprocess

import pytest

from harness import data
from harness.transfers import box, lftp_argv, piped, same, ssh_command, tool  # noqa: F401

pytestmark = [pytest.mark.channels("direct", "attach"), pytest.mark.plain, pytest.mark.slow]
attach = pytest.mark.channels("attach")     # direct: no byte of it passes through berth


@pytest.fixture(scope="module")
def many(data_dir):
    """A tree of 10,000 small files."""
    top = os.path.join(data_dir, "many")
    for i in range(100):
        os.makedirs(f"{top}/{i}")
        for j in range(100):
            with open(f"{top}/{i}/{j}", "w") as f:
                f.write(f"{i} {j}\n" * (j % 7))
    yield top
    shutil.rmtree(top)


@pytest.fixture
def back(tmp_path):
    return str(tmp_path / "back")


def test_many_by_tar(world, box, many, back):
    os.mkdir(back)
    piped(["tar", "-C", many, "-c", "."], box.argv(f"tar -C {box.inside} -x"))
    same(many, box.host)
    piped(box.argv(f"tar -C {box.inside} -c ."), ["tar", "-C", back, "-x"])
    same(many, back)


def test_many_by_rsync(world, box, many, back):
    there = f"bt-bash@127.0.0.1:{box.inside}/"
    tool("rsync", "-a", "-e", ssh_command(box), many + "/", there)
    same(many, box.host)
    tool("rsync", "-a", "-e", ssh_command(box), there, back)
    same(many, back)


@attach
def test_many_by_old_scp(world, box, many, back):
    """The new one is sftp's way, which test_sftp.py has."""
    there = f"bt-bash@127.0.0.1:{box.inside}/up"
    options = ["-q", "-r", "-O", *world.client.options()]
    tool("scp", *options, many, there, timeout=300)
    same(many, box.host + "/up")
    tool("scp", *options, there, back, timeout=300)
    same(many, back)


@attach
def test_many_by_lftp(world, box, many, back, tmp_path):
    env = {"HOME": str(tmp_path), "LFTP_HOME": str(tmp_path)}
    tool(*lftp_argv(box, f"mirror -P 4 -R {many} {box.inside}/up"), timeout=300, **env)
    same(many, box.host + "/up")
    tool(*lftp_argv(box, f"mirror -P 4 {box.inside}/up {back}"), timeout=300, **env)
    same(many, back)


# --- past what 31 bits count

@pytest.fixture(scope="module")
def large(data_dir):
    """(path, sha256) of 2 GiB and a bit: holes, with something in between at either end of
    what a signed word counts."""
    path = os.path.join(data_dir, "large")
    with open(path, "wb") as f:
        for at in (0, 1 << 30, (1 << 31) - 5000, (1 << 31) + 70_001):
            f.seek(at)
            f.write(os.urandom(9999))
    yield path, data.sha256(path)
    os.unlink(path)


def arrived(path, large):
    assert (os.path.getsize(path), data.sha256(path)) == (os.path.getsize(large[0]), large[1])


def test_large_by_sftp(world, box, large, back):
    def sftp(batch):
        tool("sftp", "-q", "-b", "-", *world.client.options(), "bt-bash@127.0.0.1", input=batch,
             timeout=300)
    sftp(f"put {large[0]} {box.inside}/large\n")
    arrived(box.host + "/large", large)
    sftp(f"get {box.inside}/large {back}\n")
    arrived(back, large)
    os.unlink(back)


@attach
def test_large_by_rsync(world, box, large):
    tool("rsync", "-S", "-e", ssh_command(box), large[0],
         f"bt-bash@127.0.0.1:{box.inside}/large", timeout=300)
    arrived(box.host + "/large", large)
