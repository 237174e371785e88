"""The line between client and sshd is cut: nothing comes any more, and nobody is told."""
import subprocess

import pytest

from stages import Session, each

pytestmark = pytest.mark.channels("direct", "attach")
# For documentation (RFC 5737), which keeps no machine from having one of them.
RANGES = ("192.0.2.", "198.51.100.", "203.0.113.")
LINK = "bt-cut"
ASKS = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")
ALIVE = ("-o", "ClientAliveInterval=1", "-o", "ClientAliveCountMax=2")


class Line:
    """A network namespace for clients, by a pair of links; sshd listens at this end, too."""

    def __init__(self, syslog):
        self.syslog = syslog
        taken = self.ip("-4", "address") + self.ip("-4", "route")
        free = next(r for r in RANGES if r not in taken)
        self.ours, theirs = free + "1", free + "2"
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"\n"
        self.inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]
        self.ip("link", "add", LINK, "type", "veth", "peer", "name", LINK, "netns",
                str(self.holder.pid))
        for where, address in ((), self.ours), (self.inside, theirs):
            self.ip("address", "add", address + "/30", "dev", LINK, where=where)
            self.ip("link", "set", LINK, "up", where=where)

    @staticmethod
    def ip(*words, where=()):
        return subprocess.run([*where, "ip", *words], check=True, stdout=subprocess.PIPE,
                              text=True).stdout

    def cut(self):
        self.ip("link", "set", LINK, "down", where=self.inside)

    def wrap(self, argv):
        """For another_sshd."""
        return self.syslog.wrap([*argv, "-o", "ListenAddress=" + self.ours, *ALIVE])

    def close(self):
        self.holder.communicate()
        subprocess.run(["ip", "link", "delete", LINK], capture_output=True)


@pytest.fixture
def line(world, ground):
    it = Line(world.syslog)
    try:
        with world.another_sshd(wrapper=it) as client:
            ground.client = client
            yield it
    finally:
        it.close()


@each("network cut", quick="mid-stream")
def test_cut(world, ground, line, fault, stage):
    """Both ends find out by asking: sshd by ClientAlive, ssh by ServerAlive."""
    ground.configure(stage)
    session = Session(ground, stage, inside=line.inside, host=line.ours,
                      options=("-o", "LogLevel=INFO", *ASKS))
    line.cut()
    session.helpers_end()
    session.logged_as_client_gone()
    if stage == "at exit":
        session.proc.kill()             # it asks nobody, and would wait for ever
    status, _, err = session.finish()
    if stage != "at exit":
        assert status == 255 and b"Timeout, server" in err, (status, err)
    ground.client = world.client
    ground.held(fault, stage, "ends" if stage == "at exit" else "ends, 255")
