"""mosh's own client: its server would wait for datagrams that reach no container."""
import os

import pytest

from harness.terminal import Terminal
from harness.transfers import ssh_command

pytestmark = pytest.mark.channels("direct", "attach")
TOLD = "berth: mosh can't reach a container without a network (network = none in " \
       "berth.conf): use ssh, and tmux for work that outlives the connection"


def test_the_client_shows_why(world, login, tmp_path):
    env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm", "HOME": str(tmp_path)}
    it = Terminal(["mosh", "--ssh=" + ssh_command(login), "bt-bash@127.0.0.1"], cols=200, env=env)
    assert it.end() != 0
    shown = it.raw.decode().replace("\r\n", "\n")
    assert TOLD in shown, shown
    world.syslog.wait(r'deny .*command="mosh-server .* cause=command', world.mark)
    assert not [line for line in world.syslog.since(world.mark) if ": open " in line]


@pytest.mark.parametrize("command", ["mosh-server", "mosh-server 'new' '-s'",
                                     "/opt/bin/mosh-server\tnew"])
def test_the_server_is_refused(world, login, command):
    got = login.run(command)
    assert (got.returncode, got.stdout, got.stderr.decode()) == (254, b"", TOLD + "\n")


@pytest.mark.parametrize("command,options", [
    ("my-mosh-server", {}), ("mosh-serverx new", {}), ("mosh-server new", {"network": "host"})])
def test_what_is_left_alone(world, login, command, options):
    """The image's shell doesn't find it."""
    world.conf.write(**options)
    got = login.run(command)
    assert got.returncode == 127 and b"not found" in got.stderr, got
    assert login.run("echo mosh-server").stdout == b"mosh-server\n"
