"""Files, by the clients that people use; every sum is compared."""
import filecmp
import os
import subprocess

import pytest

from harness import data, images

pytestmark = pytest.mark.channels("direct", "attach")
plain = pytest.mark.plain


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


def tool(world, *argv, timeout=60, input=None, **env):
    got = subprocess.run(argv, input=input, capture_output=True, timeout=timeout, text=True,
                         env={**os.environ, **env},
                         **({} if input is not None else {"stdin": subprocess.DEVNULL}))
    assert got.returncode == 0, (argv[0], got.returncode, got.stdout[-500:], got.stderr[-1500:])
    return got


def ssh_command(login):
    return " ".join(["ssh"] + login.client.options())


@plain
def test_sftp_put_and_get(world, box, tree):
    there = "bt-bash@127.0.0.1"
    batch = f'put -rp "{tree}" {box.inside}/up\nmkdir {box.inside}/d\nls -l {box.inside}\n' \
            f'rename {box.inside}/up/a {box.inside}/up/b\nrename {box.inside}/up/b ' \
            f'{box.inside}/up/a\nchmod 600 {box.inside}/up/-dash\n'
    os.unlink(tree + "/link")       # sftp follows links; rsync's test has it
    out = tool(world, "sftp", "-q", "-b", "-", *world.client.options(), there, input=batch)
    assert out.stderr == ""
    same(tree, box.host + "/up")
    tool(world, "sftp", "-q", "-b", "-", *world.client.options(), there,
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
    tool(world, "scp", "-q", "-rp", *mode, *world.client.options(), tree, there + "/up")
    same(tree, box.host + "/up")
    tool(world, "scp", "-q", "-rp", *mode, *world.client.options(), there + "/up",
         world.dir + "/back")
    same(tree, world.dir + "/back")
    subprocess.run(["rm", "-rf", world.dir + "/back"], check=True)


@plain
def test_rsync(world, box, tree):
    there = "bt-bash@127.0.0.1:" + box.inside
    tool(world, "rsync", "-a", "-e", ssh_command(box), tree + "/", there + "/up/")
    same(tree, box.host + "/up")
    with open(tree + "/big", "r+b") as f:
        f.seek(10_000_000)
        f.write(b"changed")
    os.unlink(tree + "/a")
    tool(world, "rsync", "-ac", "--delete", "-e", ssh_command(box), tree + "/", there + "/up/")
    same(tree, box.host + "/up")
    tool(world, "rsync", "-acz", "-e", ssh_command(box), there + "/up/", world.dir + "/back/")
    same(tree, world.dir + "/back")
    subprocess.run(["rm", "-rf", world.dir + "/back"], check=True)


@plain
def test_git_clone_and_push(world, box, tree):
    ident = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    ssh = {"GIT_SSH_COMMAND": ssh_command(box)}
    url = f"ssh://bt-bash@127.0.0.1{box.inside}/repo.git"
    got = box.run(f"git init -q --bare {box.inside}/repo.git")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"", b"")
    tool(world, "git", "-C", tree, "init", "-q", "-b", "main")
    tool(world, "git", "-C", tree, "add", "-A")
    tool(world, "git", "-C", tree, *ident, "commit", "-q", "-m", "x")
    tool(world, "git", "-C", tree, "push", "-q", url, "main", **ssh)
    back = world.dir + "/back"
    tool(world, "git", "clone", "-q", "-b", "main", url, back, **ssh)
    left, right = (tool(world, "git", "-C", d, "rev-parse", "HEAD").stdout for d in (tree, back))
    assert left == right
    assert filecmp.cmp(tree + "/big", back + "/big", shallow=False)
    tool(world, "git", "-C", back, "fsck", "--strict")
    subprocess.run(["rm", "-rf", back], check=True)


@plain
@pytest.mark.slow
@pytest.mark.channels("attach")     # direct: no byte of it passes through berth
def test_gigabyte_by_sftp(world, box, gigabyte):
    """Down and up once each."""
    path, digest = gigabyte
    there = "bt-bash@127.0.0.1"
    tool(world, "sftp", "-q", "-b", "-", *world.client.options(), there, timeout=120,
         input=f"put {path} {box.inside}/g\n")
    assert data.sha256(box.host + "/g") == digest
    back = world.dir + "/back"
    tool(world, "sftp", "-q", "-b", "-", *world.client.options(), there, timeout=120,
         input=f"get {box.inside}/g {back}\n")
    assert data.sha256(back) == digest
    os.unlink(back)


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
    status, text = sftp_says(world)
    assert status != 0
    assert "berth: " in text and "sftp-server" in text
    assert login.run("sftp", opts=["-s"], input=b"").returncode == no_sftp_server(world)
    world.syslog.wait(r"kind=sftp", world.mark)


def test_image_without_sftp_server_asked_by_exec(world, login):
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
