"""A container that a person keeps (on_idle = stop): what he installed in it stays."""
import hashlib
import os
import shutil
import signal
import subprocess

import pytest

from harness import images
from harness.private_engine import PrivateEngine
from harness.users import end_processes
from harness.wait import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.channels("direct", "attach")]

CONTROL = """\
Package: bt-tool
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.net>
Description: a tool
"""


@pytest.fixture(scope="module")
def packages(session_world):
    """An archive with one package: a program, and what it does when it is installed."""
    folder = os.path.join(session_world.dir, "packages")
    tree = os.path.join(session_world.dir, "bt-tool")
    for name, text in {"DEBIAN/control": CONTROL,
                       "DEBIAN/postinst": "#!/bin/sh\necho configured >/var/lib/bt-tool\n",
                       "usr/bin/bt-tool": "#!/bin/sh\ncat /var/lib/bt-tool\n"}.items():
        path = os.path.join(tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644 if text == CONTROL else 0o755)
    os.mkdir(folder)
    deb = os.path.join(folder, "bt-tool.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True,
                   capture_output=True)
    shutil.rmtree(tree)
    with open(deb, "rb") as f:
        content = f.read()
    with open(os.path.join(folder, "Packages"), "w") as f:
        f.write(f"{CONTROL}Filename: ./bt-tool.deb\nSize: {len(content)}\n"
                f"SHA256: {hashlib.sha256(content).hexdigest()}\n")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def private(session_world):
    it = PrivateEngine(session_world.dir, "dev", session_world.group_name())
    saved = subprocess.Popen(["docker", "-H", "unix://" + session_world.socket, "save",
                              images.GLIBC], stdout=subprocess.PIPE)
    subprocess.run(["docker", "-H", "unix://" + it.path, "load"], stdin=saved.stdout, check=True,
                   stdout=subprocess.DEVNULL)
    saved.stdout.close()
    assert saved.wait() == 0
    yield it
    it.close()


class Dev:
    """bt-bash's, in which he is root, with what that needs."""

    def __init__(self, world, engine, packages):
        self.world, self.engine, self.packages = world, engine, packages
        self.write()

    def write(self, **options):
        self.world.conf.write(
            engine={"endpoint": "unix://" + self.engine.path}, image=images.GLIBC, user="0:0",
            cap_add=["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID"], scope="user",
            linger="0", on_idle="stop", mounts=[f"{self.packages}:/packages:ro"], **options)

    def rows(self):
        return self.engine.engine.containers(self.world.names())

    def run(self, command, timeout=60):
        got = self.world.login().run(command, timeout=timeout)
        assert got.returncode == 0, got
        return got.stdout.decode()

    def install(self):
        self.run("echo 'deb [trusted=yes] file:/packages ./' >/etc/apt/sources.list.d/bt.list; "
                 "rm -f /etc/apt/sources.list; set -e; "
                 "apt='apt-get -qq -o APT::Sandbox::User=root'; $apt update; "
                 "$apt install -y bt-tool >/dev/null; echo mine >/srv/note; id -u", 120)

    def has_all(self, since):
        wanted = "configured\nmine\ninstall ok installed"
        got = self.run("bt-tool; cat /srv/note; dpkg-query -Wf '${Status}' bt-tool")
        assert got == wanted, f"{since}: {got}"
        self.idle()

    def idle(self):
        """Stopped, and nothing runs for it."""
        wait_for(lambda: [r["State"] for r in self.rows()] == ["exited"], 15,
                 lambda: f"it stopped; {self.rows()}")
        wait_for(lambda: not self.world.left_files() and not self.world.berths(), 10,
                 "nothing else left")

    def begin(self):
        proc = self.world.login().start("echo up; exec sleep 1000", stdin=subprocess.DEVNULL)
        assert proc.stdout.readline() == b"up\n", proc.stderr.read()
        return proc

    def berth(self, *words):
        got = self.world.berth(*words)
        assert (got.returncode, got.stderr) == (0, ""), got
        return got

    def boot(self):
        """A machine that starts has no process any more, and nothing in /run."""
        end_processes(self.world.uids())
        folder = os.path.join(self.world.runtime, str(self.world.uid("bt-bash")))
        shutil.rmtree(folder)
        self.engine.start()


@pytest.fixture
def dev(world, private, packages):
    it = Dev(world, private, packages)
    yield it
    if private.process.poll() is not None:
        private.start()
    for row in it.rows():
        private.engine.remove(row["Id"])


def test_what_was_installed_stays(world, dev):
    dev.install()
    ident = dev.rows()[0]["Id"]
    dev.idle()
    dev.has_all("logout and idle")
    dev.write(pids="177", env=["NEW=policy"])
    dev.has_all("another policy")
    # The administrator's tools.
    proc = dev.begin()
    dev.berth("kill", "--user", "bt-bash")
    assert proc.wait(20) != 0
    proc.communicate()
    dev.has_all("berth kill")
    dev.berth("reap")
    dev.has_all("berth reap")
    # An orderly reboot, with a session, and a power cut.
    proc = dev.begin()
    dev.engine.stop()
    assert proc.wait(45) != 0
    proc.communicate()
    dev.boot()
    dev.has_all("a reboot")
    proc = dev.begin()
    pid = dev.engine.engine.inspect(ident)["State"]["Pid"]
    dev.engine.kill()
    os.kill(pid, signal.SIGKILL)
    assert proc.wait(45) != 0
    proc.communicate()
    dev.boot()
    dev.has_all("a power cut")
    assert [row["Id"] for row in dev.rows()] == [ident]
    dev.berth("kill", "--remove", "--user", "bt-bash")
    assert not dev.rows()
    assert dev.run("ls /srv; command -v bt-tool || echo none") == "none\n"
    dev.idle()
