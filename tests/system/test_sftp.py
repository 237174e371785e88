"""sftp by the bundled sftp-server: in any image, within what berth.conf allows."""
import os
import shutil
import subprocess

import pytest

from harness import data, images
from harness.bundle import Bundle
from harness.client import need
from harness.sftp_wire import REALPATH, Wire, request
from harness.wait import wait_for

every = pytest.mark.channels("direct", "attach", "exec")
both = pytest.mark.channels("direct", "attach")
# Whom the images' own /etc/passwd has a line for.
INSIDE = "4242:4242"


def sftp(world, batch, *options, timeout=30):
    return subprocess.run(
        ["sftp", "-b", "-", *options, *world.client.options(), "bt-bash@127.0.0.1"],
        input=batch, capture_output=True, text=True, timeout=timeout)


def good(world, batch, *options, **kw):
    got = sftp(world, batch, *options, **kw)
    assert got.returncode == 0, got
    return got.stdout


def refused(world, batch, *words):
    got = sftp(world, batch)
    assert got.returncode != 0
    for word in words:
        assert word in got.stdout + got.stderr, got


@pytest.fixture
def files(world):
    """A directory that containers may have, the image's user's."""
    path = os.path.join(world.dir, "sftp-files")
    os.mkdir(path)
    os.chown(path, 4242, 4242)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def bundle(world):
    it = Bundle(world)
    yield it
    it.close()


@pytest.fixture
def passwd(world):
    """For an image that has none."""
    path = os.path.join(world.dir, "sftp-passwd")
    with open(path, "w") as f:
        f.write("inside:x:4242:4242::/:/\n")
    os.chmod(path, 0o644)
    yield path
    os.unlink(path)


def transfer(world, tmp_path):
    """There and back again; what is shown is of the container."""
    source = data.make_file(str(tmp_path / "source"), 3 << 20)
    back = str(tmp_path / "back")
    good(world, f"put {source} /work/up\nrename /work/up /work/there\nget /work/there {back}\n"
                "rm /work/there\n")
    assert data.sha256(back) == data.sha256(source)
    refused(world, f"ls {world.dir}\n", "not found")


@every
@pytest.mark.parametrize("image", [images.BUSYBOX, images.GLIBC])
def test_any_image(world, tmp_path, image):
    world.conf.write(image=image, user=INSIDE)
    transfer(world, tmp_path)


@both
def test_read_only_rootfs(world, tmp_path):
    world.conf.write(user=INSIDE, read_only=True, tmpfs=["/work:mode=1777"])
    transfer(world, tmp_path)


@both
def test_image_with_one_program(world, tmp_path, passwd):
    """No shell, no library, no configuration."""
    world.conf.write(image=images.NO_SHELL, user=INSIDE, read_only=True,
                     mounts=[f"{passwd}:/etc/passwd:ro"], tmpfs=["/work:mode=1777"])
    transfer(world, tmp_path)


@pytest.mark.channels("direct")
@pytest.mark.parametrize("text", [
    "passwd: compat\ngroup: compat\n", "passwd: sss [NOTFOUND=continue] files systemd\n",
    "\0\xff nonsense :::\n"])
def test_images_nss(world, tmp_path, text):
    path = os.path.join(world.dir, "sftp-nsswitch")
    with open(path, "w", encoding="latin-1") as f:
        f.write(text)
    os.chmod(path, 0o644)
    try:
        world.conf.write(image=images.GLIBC, user=INSIDE, mounts=[f"{path}:/etc/nsswitch.conf:ro"])
        transfer(world, tmp_path)
    finally:
        os.unlink(path)


@pytest.mark.channels("direct")
def test_variables_of_the_loader(world, tmp_path):
    """An image's path to its libraries is none of the host's sftp-server's."""
    world.conf.write(user=INSIDE, env=["LD_LIBRARY_PATH=/lib:/usr/lib", "LANG=de_DE.UTF-8"])
    transfer(world, tmp_path)


@both
def test_scp(world, tmp_path, files):
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files"])
    source = data.make_file(str(tmp_path / "source"), 1 << 20)
    there = "bt-bash@127.0.0.1:/files/there"
    for way in ([source, there], [there, str(tmp_path / "back")]):
        got = subprocess.run(["scp", "-q", "-p", *world.client.options(), *way],
                             capture_output=True, timeout=30)
        assert (got.returncode, got.stdout, got.stderr) == (0, b"", b""), got
    assert data.sha256(str(tmp_path / "back")) == data.sha256(source)


@both
def test_resume(world, tmp_path, files):
    """What an interrupted transfer left is gone on with, either way."""
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files"])
    source = data.make_file(str(tmp_path / "source"), 2 << 20)
    with open(source, "rb") as f:
        half = f.read(1 << 20)
    for path in (os.path.join(files, "up"), str(tmp_path / "down")):
        with open(path, "wb") as f:
            f.write(half)
    os.chown(os.path.join(files, "up"), 4242, 4242)
    good(world, f"reput {source} /files/up\nreget /files/up {tmp_path}/down\n")
    assert data.sha256(os.path.join(files, "up")) == data.sha256(source)
    assert data.sha256(str(tmp_path / "down")) == data.sha256(source)


@pytest.mark.slow
@both
def test_many_small_files(world, tmp_path, files):
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files"])
    tree = tmp_path / "tree"
    for i in range(100):
        (tree / str(i)).mkdir(parents=True)
        for j in range(100):
            (tree / str(i) / str(j)).write_text(f"{i} {j}\n" * (j % 7))
    good(world, f"put -r {tree} /files/\nget -r /files/tree {tmp_path}/back\n", timeout=400)
    for back in (os.path.join(files, "tree"), str(tmp_path / "back")):
        subprocess.run(["diff", "-r", str(tree), back], check=True)
    closed = [line for line in world.syslog.since(world.mark) if " said=\"close " in line]
    assert len(closed) == 20000
    assert not [line for line in world.syslog.since(world.mark) if "sftp-cut" in line]


@both
def test_errors_are_the_clients_usual_ones(world, tmp_path):
    world.conf.write(user=INSIDE, tmpfs=["/work:size=1m,mode=1777"])
    source = data.make_file(str(tmp_path / "source"), 2 << 20)
    refused(world, f"put {source} /work/there\n", "Failure")
    refused(world, "get /etc/shadow-not-there x\n", "not found")
    refused(world, f"put {source} /etc/there\n", "Permission denied")


# --- what berth.conf allows

@both
def test_off(world):
    world.conf.write(user=INSIDE, sftp="off")
    refused(world, "pwd\n", "berth: no sftp for bt-bash (sftp = off in berth.conf)")
    world.syslog.wait(r"deny .* kind=sftp .*cause=command", world.mark)
    assert world.login().run("echo works").stdout == b"works\n"


@both
def test_images_own(world):
    """Nothing of the host's is run for it."""
    for option, ours in (("bundled", True), ("image", False),
                         ("image:/usr/lib/openssh/sftp-server", False)):
        world.conf.write(image=images.GLIBC, user=INSIDE, sftp=option)
        wire = Wire(world.login())
        assert ("/.berth/sftp-" in running(world.container()["State"]["Pid"])) == ours
        wire.close()
        wait_for(lambda: not world.containers(), 10, "its container gone")


def running(pid):
    """The command lines in the container of process `pid`."""
    found = []
    space = os.readlink(f"/proc/{pid}/ns/pid")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/ns/pid") == space:
                with open(f"/proc/{name}/cmdline", "rb") as f:
                    found.append(f.read().replace(b"\0", b" ").decode())
        except OSError:
            pass
    return "\n".join(found)


@every
def test_read_only(world, files):
    """However the client asks for sftp-server."""
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files"], sftp_read_only=True)
    with open(os.path.join(files, "there"), "w") as f:
        f.write("x")
    good(world, "ls /files\nget /files/there /dev/null\n")
    for batch in ("put /etc/hostname /files/up", "rm /files/there", "mkdir /files/d",
                  "rename /files/there /files/x"):
        refused(world, batch + "\n", "ermission denied")
    for asked in ("/x/sftp-server -d", "/x/sftp-server --"):
        got = sftp(world, "mkdir /files/d\n", "-s", asked)
        assert got.returncode != 0 and "ermission denied" in got.stdout + got.stderr, got
    assert os.listdir(files) == ["there"]


@both
def test_root(world, files):
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files/100%%"], sftp_root="/files/100%%")
    assert "Remote working directory: /files/100%\n" in good(world, "pwd\n")
    # It is no jail.
    assert "passwd" in good(world, "ls /etc\n")


@pytest.mark.channels("direct")
def test_root_that_is_not_there(world):
    world.conf.write(user=INSIDE, sftp_root="/not/there")
    refused(world, "pwd\n", "berth: ", "cannot enter /not/there: No such file")


@every
@pytest.mark.parametrize("mask,mode", [(None, 0o644), ("0027", 0o640)])
def test_umask(world, tmp_path, files, mask, mode):
    """Of sftp and of every other session."""
    options = {"umask": mask} if mask else {}
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files"], **options)
    source = tmp_path / "source"
    source.write_text("x")
    source.chmod(0o666)
    good(world, f"put {source} /files/up\n")
    assert os.stat(os.path.join(files, "up")).st_mode & 0o777 == mode
    assert world.login().run("touch /files/by").returncode == 0
    assert os.stat(os.path.join(files, "by")).st_mode & 0o777 == mode
    got = subprocess.run(world.login().argv(opts=["-tt"]), input=b"touch /files/tty; exit\n",
                         capture_output=True, timeout=30)
    assert got.returncode == 0, got
    assert os.stat(os.path.join(files, "tty")).st_mode & 0o777 == mode


@both
@pytest.mark.parametrize("line", ["/usr/lib/openssh/sftp-server -u0077 -P remove",
                                  "/x/sftp-server -f AUTH -l VERBOSE -P remove -u 0077"])
def test_subsystems_own_arguments(world, tmp_path, files, line):
    """sftp takes a name with a slash for a command, which looks like the Subsystem line's."""
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files"])
    source = tmp_path / "source"
    source.write_text("x")
    good(world, f"put {source} /files/up\n", "-s", line)
    assert os.stat(os.path.join(files, "up")).st_mode & 0o777 == 0o600
    got = sftp(world, "rm /files/up\n", "-s", line)
    assert got.returncode != 0 and "ermission denied" in got.stdout + got.stderr, got


# --- without a bundle

@both
def test_no_bundle(world, bundle):
    """The image's own, or it is said what to do."""
    bundle.remove()
    world.conf.write(image=images.GLIBC, user=INSIDE)
    assert "/etc/passwd" in good(world, "ls /etc\n")
    world.conf.write(user=INSIDE)
    refused(world, "pwd\n", "berth: image berth-test/busybox has no sftp-server", "berth bundle")


@pytest.mark.parametrize("options", [["-tt", "-s"], ["-tt"]])
def test_no_terminal_for_what_is_logged(world, options):
    world.conf.write(user=INSIDE)
    command = "sftp" if "-s" in options else "internal-sftp"
    got = world.login().run(command, opts=options)
    assert got.returncode == 254
    assert b"sftp needs no terminal" in got.stdout + got.stderr
    world.syslog.wait(r"deny .* cause=tty", world.mark)


# --- the bundle itself

@pytest.mark.channels("direct", "exec")
def test_upgrade_under_running_sessions(world, bundle, files):
    """A session that runs goes on; the next one has the new one, in the same container."""
    world.conf.write(user=INSIDE, mounts=[f"{files}:/files"], scope="user")
    before = bundle.link()
    wire = Wire(world.login())
    container = world.container()["Id"]
    bundle.upgrade()
    found = bundle.check()
    assert bundle.link() == before and "sftp-bundle-stale" in found and bundle.copy in found
    got = world.berth("reap")
    assert (got.returncode, got.stderr) == (0, ""), got
    after = bundle.link()
    assert after != before and "sftp-bundle" not in bundle.check()
    other = Wire(world.login())
    assert world.container()["Id"] == container
    seen = running(world.container()["State"]["Pid"])
    assert f"/.berth/{before}/sftp-server" in seen and f"/.berth/{after}/sftp-server" in seen
    for each in (other, wire):
        assert b"/files" in each.ask(request(REALPATH, 1, b"/files"))[0]
        each.close()


def test_bundle_command(world, bundle):
    berth = os.path.join(world.prefix, "sbin/berth")

    def run(*options):
        return subprocess.run([berth, "bundle", *options], capture_output=True, text=True,
                              timeout=30)

    before = bundle.link()
    got = run("--sftp-server", bundle.copy)
    assert (got.returncode, got.stderr) == (0, "") and "already" in got.stdout
    assert bundle.link() == before
    # What can't come in leaves what is there.
    for path, word in [("/nonexistent", "No such file"), (need("ls"), "doesn't run"),
                       ("/etc/passwd", "no program"), ("sftp-server", "absolute path")]:
        got = run("--sftp-server", path)
        assert got.returncode != 0 and word in got.stderr, got
    os.chown(bundle.copy, 65534, 65534)
    os.utime(bundle.copy)
    got = run("--sftp-server", bundle.copy)
    assert got.returncode == 1 and "must be root's" in got.stderr
    os.chown(bundle.copy, 0, 0)
    assert bundle.link() == before
    assert {n for n in os.listdir(bundle.folder) if n.startswith((".", "sftp-"))} == \
        bundle.known | {before}
    bundle.remove()
    assert "sftp-bundle-missing" in bundle.check()
    # reap makes none where none is wanted.
    assert world.berth("reap").returncode == 0 and not os.path.lexists(bundle.path)
    got = run("--sftp-server", bundle.copy)
    assert got.returncode == 0 and bundle.link() != before
    for name in os.listdir(os.path.join(bundle.folder, "sftp")):
        mode = os.stat(os.path.join(bundle.folder, "sftp", name)).st_mode & 0o7777
        assert mode == (0o755 if name in ("sftp-server", "ld.so") else 0o644), name
