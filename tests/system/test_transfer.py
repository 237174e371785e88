"""Files, by the clients that people use; every sum is compared."""
import filecmp
import os
import subprocess

import pytest

from harness import images
from harness.transfers import box, same, ssh_command, tool, tree  # noqa: F401

pytestmark = pytest.mark.channels("direct", "attach")
plain = pytest.mark.plain


@plain
def test_sftp_put_and_get(world, box, tree):
    there = "bt-bash@127.0.0.1"
    batch = f'put -rp "{tree}" {box.inside}/up\nmkdir {box.inside}/d\nls -l {box.inside}\n' \
            f'rename {box.inside}/up/a {box.inside}/up/b\nrename {box.inside}/up/b ' \
            f'{box.inside}/up/a\nchmod 600 {box.inside}/up/-dash\n'
    os.unlink(tree + "/link")       # sftp follows links; rsync's test has it
    out = tool("sftp", "-q", "-b", "-", *world.client.options(), there, input=batch)
    assert out.stderr == ""
    same(tree, box.host + "/up")
    tool("sftp", "-q", "-b", "-", *world.client.options(), there,
         input=f'get -rp {box.inside}/up "{world.dir}/back"\n')
    same(tree, world.dir + "/back")
    subprocess.run(["rm", "-rf", world.dir + "/back"], check=True)


@plain
@pytest.mark.parametrize("legacy", [False, True], ids=["new", "O"])
def test_scp(world, box, tree, legacy):
    mode = ["-O"] if legacy else ["-s"]
    os.unlink(tree + "/link")
    os.unlink(tree + "/newline\nname")      # the old protocol can't
    there = "bt-bash@127.0.0.1:" + box.inside
    tool("scp", "-q", "-rp", *mode, *world.client.options(), tree, there + "/up")
    same(tree, box.host + "/up")
    tool("scp", "-q", "-rp", *mode, *world.client.options(), there + "/up",
         world.dir + "/back")
    same(tree, world.dir + "/back")
    subprocess.run(["rm", "-rf", world.dir + "/back"], check=True)


@plain
def test_rsync(world, box, tree):
    there = "bt-bash@127.0.0.1:" + box.inside
    tool("rsync", "-a", "-e", ssh_command(box), tree + "/", there + "/up/")
    same(tree, box.host + "/up")
    with open(tree + "/big", "r+b") as f:
        f.seek(10_000_000)
        f.write(b"changed")
    os.unlink(tree + "/a")
    tool("rsync", "-ac", "--delete", "-e", ssh_command(box), tree + "/", there + "/up/")
    same(tree, box.host + "/up")
    tool("rsync", "-acz", "-e", ssh_command(box), there + "/up/", world.dir + "/back/")
    same(tree, world.dir + "/back")
    subprocess.run(["rm", "-rf", world.dir + "/back"], check=True)


@plain
def test_git_clone_and_push(world, box, tree):
    ident = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    ssh = {"GIT_SSH_COMMAND": ssh_command(box)}
    url = f"ssh://bt-bash@127.0.0.1{box.inside}/repo.git"
    got = box.run(f"git init -q --bare {box.inside}/repo.git")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"", b"")
    tool("git", "-C", tree, "init", "-q", "-b", "main")
    tool("git", "-C", tree, "add", "-A")
    tool("git", "-C", tree, *ident, "commit", "-q", "-m", "x")
    tool("git", "-C", tree, "push", "-q", url, "main", **ssh)
    back = world.dir + "/back"
    tool("git", "clone", "-q", "-b", "main", url, back, **ssh)
    left, right = (tool("git", "-C", d, "rev-parse", "HEAD").stdout for d in (tree, back))
    assert left == right
    assert filecmp.cmp(tree + "/big", back + "/big", shallow=False)
    tool("git", "-C", back, "fsck", "--strict")
    subprocess.run(["rm", "-rf", back], check=True)


@plain
def test_sftp_errors_are_sftps_own(world, box):
    got = subprocess.run(["sftp", "-q", "-b", "-", *world.client.options(), "bt-bash@127.0.0.1"],
                         input=b"get /no/such/file\n", capture_output=True, timeout=30)
    assert got.returncode == 1 and b"not found" in got.stderr and b"berth" not in got.stderr


def test_sftp_runs_as_the_user_in_the_container(world, box):
    """The host's own files aren't there."""
    got = subprocess.run(
        ["sftp", "-q", "-b", "-", *world.client.options(), "bt-bash@127.0.0.1"],
        input=f"ls {world.dir}\n".encode(), capture_output=True, timeout=30)
    assert got.returncode == 1 and b"not found" in got.stderr


def sftp_says(world):
    """What the sftp command shows, and its status; sshd drops a subsystem's stderr."""
    got = subprocess.run(["sftp", "-b", "-", *world.client.options(), "bt-bash@127.0.0.1"],
                         input=b"ls /etc\n", capture_output=True, timeout=15)
    return got.returncode, (got.stdout + got.stderr).decode()


def no_sftp_server(world):
    """The status, where the image has none: in attach a script in the container looks for it."""
    return 254 if world.channel == "direct" else 1


def test_image_without_sftp_server(world, login):
    world.conf.write(sftp="image")
    status, text = sftp_says(world)
    assert status != 0
    assert "berth: " in text and "sftp-server" in text
    assert login.run("sftp", opts=["-s"], input=b"").returncode == no_sftp_server(world)
    world.syslog.wait(r"kind=sftp", world.mark)


def test_image_without_sftp_server_asked_by_exec(world, login):
    world.conf.write(sftp="image")
    got = login.run("internal-sftp", input=b"")
    assert got.returncode == no_sftp_server(world)
    assert got.stderr.startswith(b"berth: ") and b"sftp-server" in got.stderr


def test_sftp_as_a_user_that_the_image_does_not_know(world):
    """sftp-server refuses a uid without a passwd entry: it works, or the client is told."""
    world.conf.write(image=images.GLIBC)
    status, text = sftp_says(world)
    if status == 0:
        assert "passwd" in text
    else:
        assert "berth: " in text or str(world.uid("bt-bash")) in text, text


@pytest.mark.parametrize("option", ["image", "image:/usr/lib/openssh/sftp-server"])
def test_sftp_option(world, option):
    world.conf.write(image=images.GLIBC, sftp=option, user="4242:4242")
    status, text = sftp_says(world)
    assert status == 0 and "/etc/passwd" in text, text


def test_sftp_option_with_a_wrong_path(world):
    world.conf.write(image=images.GLIBC, sftp="image:/no/such/sftp-server", user="4242:4242")
    status, text = sftp_says(world)
    assert status != 0 and "berth: " in text and "/no/such/sftp-server" in text
    got = world.login().run("sftp", opts=["-s"], input=b"")
    assert got.returncode == no_sftp_server(world)


@pytest.mark.parametrize("command", [
    "internal-sftp", "/usr/lib/openssh/sftp-server", "/usr/lib/openssh/sftp-server -f AUTH",
    "/anything/sftp-server"])
def test_sftp_by_the_commands_first_word(world, command):
    """sshd hands over the Subsystem line's command, which a client may also send as an exec."""
    world.conf.write(image=images.GLIBC, user="4242:4242")
    proc = world.login().start(command)
    # With its end right behind the question sftp-server would go without an answer.
    proc.stdin.write(b"\0\0\0\x05\x01\0\0\0\x03")
    proc.stdin.flush()
    first = proc.stdout.read(9)
    _, err = proc.communicate(timeout=10)
    assert (first[4:], proc.returncode) == (b"\x02\0\0\0\x03", 0), (first, err)


def test_a_command_that_only_looks_like_sftp(world):
    world.conf.write(image=images.GLIBC)
    assert world.login().run("echo internal-sftp").stdout == b"internal-sftp\n"
    assert world.login().run("my-sftp-server").returncode == 127
