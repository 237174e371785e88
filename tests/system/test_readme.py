"""README's "Install", step by step as it stands there, on a machine fresh from its packages: with
its own sshd_config, PAM stack and engine. Then people log in."""
import os
import re
import subprocess

import pytest

from harness import fresh_root, readme
from harness.wait import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.fresh]

SOURCE = "/usr/src/berth"
UNITS = ("berth-reap.service", "berth-reap.timer")
# No systemd runs in a fresh root: a service is reloaded here as its unit says, and a timer that is
# enabled begins with the next boot.
SYSTEMCTL = r"""#!/bin/sh
case $1 in
reload)
    MAINPID=$(cat /run/sshd.pid)
    export MAINPID
    sed -n 's/^ExecReload=//p' "/lib/systemd/system/${2%.service}.service" | sh -e
    ;;
enable | disable)
    verb=$1
    [ "$2" != --now ] || shift
    exec /usr/bin/systemctl "$verb" "$2"
    ;;
*) exec /usr/bin/systemctl "$@" ;;
esac
"""


class Install:
    """Follows README on a machine where alice is to land in containers and bob isn't."""

    def __init__(self, root, log):
        self.root, self.log = root, log

    def prepare(self):
        """What README takes for granted: sources, sshd, an engine, users."""
        copy = 'me=x work=x top=$1; . "$1/.ci/machine.sh" && source_copy "$2"'
        subprocess.run(["bash", "-c", copy, "bash", readme.TOP, self.root.outside(SOURCE)],
                       check=True)
        self.root.run(f"cd {SOURCE} && ./autogen.sh")
        self.root.write("/usr/local/sbin/systemctl", SYSTEMCTL, 0o755)
        self.root.start_engine()
        self.root.start_sshd()
        for name in ("alice", "bob"):
            self.root.add_user(name)
            self.root.run(["chown", "-R", f"{name}:", f"/home/{name}"])

    def follow(self, title):
        for text, block in readme.blocks(readme.section(title)):
            path = re.search(r"/etc/[\w./-]+\.conf\b", text)
            if path and re.match(r"\w+ .*\{", block):
                self._configuration(path.group(), block)
            elif re.match(r"(auth|account|session)\s", block):
                self.root.add_pam(block.splitlines())
            else:
                self._commands(block)

    def _configuration(self, path, text):
        for image in re.findall(r'image\s*=\s*"([^"]+)"', text):
            self.root.add_image(image)
        self.root.write(path, text + "\n")

    def _commands(self, lines):
        mark = self.log.mark()
        # One by one: `set -e` passes over what fails before the last of a && b.
        command = ""
        for line in lines.replace("\\\n", "").splitlines():
            command += line + "\n"
            if subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0:
                self.root.run(f"cd {SOURCE}\n{command}", timeout=300, env={"MAKEFLAGS": "-j2"})
                command = ""
        assert not command, f"README has half a command: {command}"
        if "reload" in lines:
            wait_for(lambda: self._listens_again(mark), 10, "sshd, reloaded")

    def _listens_again(self, mark):
        said = "\n".join(self.log.since(mark, "sshd"))
        return "Server listening" in said.partition("Received SIGHUP; restarting")[2]


@pytest.fixture(scope="module")
def steps(session_world, fresh_base):
    root = fresh_root.FreshRoot(session_world.dir, "readme", fresh_base, session_world.syslog.path)
    steps = Install(root, session_world.syslog)
    steps.prepare()
    steps.follow("Install into the sshd you have")
    yield steps
    root.close()


@pytest.fixture
def installed(steps):
    return steps.root


def test_who_shall_lands_in_a_container(world, installed):
    uid = installed.run(["id", "-u", "alice"]).stdout
    got = installed.ssh("alice", "cat /proc/1/comm; id -u; exit 3")
    assert (got.returncode, got.stdout, got.stderr) == (3, b"berth-guest\n" + uid, b"")
    world.syslog.wait('close .*user="alice" .*status=3 reason=exit', world.mark)


def test_everybody_else_stays_on_the_host(installed):
    got = installed.ssh("bob", "test -e /.berth || hostname; id -un")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"fresh\nbob\n", b"")


def test_what_systemd_is_told(installed):
    modes = installed.run("stat -c '%a %U %G %F' /run/berth /run/berth/connections "
                          "/run/berth/slots").stdout.decode().splitlines()
    assert modes == ["1777 root root directory", "711 root root directory",
                     "666 root root regular empty file"]
    group = installed.run(["getent", "group", "berth"]).stdout.decode().split(":")
    assert group[3] == "alice\n" and int(group[2]) < 1000
    found = installed.run("find /lib/systemd/system -name 'berth-*'").stdout.decode().split()
    assert sorted(os.path.basename(f) for f in found) == sorted(UNITS)
    assert installed.run(["systemd-analyze", "verify", "--man=no", *UNITS]).stderr == b""
    assert installed.run(["systemctl", "is-enabled", "berth-reap.timer"]).stdout == b"enabled\n"
    installed.run(["berth", "reap"])


def of_port(installed, *command):
    """What such a command prints, whatever its end."""
    return installed.run(["timeout", "5", *command], check=False, timeout=20).stdout


def test_forwarded_ports(steps, installed):
    """They end in the container, and nobody else's do."""
    configuration = "/etc/berth/berth.conf"
    for _, block in readme.blocks(readme.section("Forwarded ports")):
        if block.startswith("user "):
            installed.write(configuration, installed.read(configuration) +
                            block.replace("dev-*", "alice") + "\n")
        else:
            steps._commands(block)
    it = installed.start_ssh(
        "alice", "while nc -l -p 8000 -e cat /proc/1/comm; do :; done >&2 & cat; kill $!",
        opts=["-L", "8001:127.0.0.1:8000"])
    wait_for(lambda: of_port(installed, "bash", "-c", "cat </dev/tcp/127.0.0.1/8001") ==
             b"berth-guest\n", 30, "an answer through the forward")
    it.communicate(timeout=30)
    # This machine's sshd, which isn't in there.
    banner = [of_port(installed, *installed.ssh_argv(user, opts=["-W", "127.0.0.1:22"])[:-1])
              for user in ("alice", "bob")]
    assert banner[0] == b"" and banner[1].startswith(b"SSH-2.0-")


def test_it_is_taken_out_again(steps, installed):
    """Nothing is left but what people wrote, and everybody comes in."""
    steps.follow("Take it out again")
    left = installed.run("find /usr /etc -path /usr/src -prune -o -not -type d -print | "
                         "grep -i berth")
    assert left.stdout.decode().split() == ["/etc/berth/berth.conf"]
    for name in ("alice", "bob"):
        got = installed.ssh(name, "test -e /.berth || hostname; id -un")
        assert (got.returncode, got.stdout.decode(), got.stderr) == (0, f"fresh\n{name}\n", b"")
