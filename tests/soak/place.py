"""Where it takes place: users of different policies, and an sshd that lets all of berth be used."""
import os
import subprocess

from harness import data, images, plugin
from harness.agent import Agent
from harness.client import need
from harness.doors import Doors
from harness.wait import wait_for

HARNESS = os.path.dirname(os.path.abspath(plugin.__file__))
# A user of each is one client's alone.
OWN = {
    "fresh": {},
    "standby": {"standby": 1, "standby_time": "10s"},
    "seen": {"audit_bytes": True},
    "conn": {"scope": "connection"},
    "user": {"scope": "user", "linger": "2s"},
    "stop": {"scope": "user", "on_idle": "stop"},
    "attach": {"channel": "attach"},
    "exec": {"channel": "attach", "scope": "user", "linger": "2s"},
    "forward": {"forwarding": "container"},
    "ports": {"scope": "user", "linger": "2s", "forwarding": "container"},
}
# All clients are one of these now and then.
SHARED = {
    "team": {"scope": "user", "linger": "1s"},
    "crew": {"channel": "attach", "scope": "user", "linger": "1s"},
    "live": {"scope": "user", "linger": "forever"},
    "kept": {"channel": "attach", "scope": "user", "linger": "forever"},
}
# Their containers are there from the first moment to the last.
LASTING = ("bt-soak-live", "bt-soak-kept", "bt-soak-forward-held")
DENIED_USER, DENIED = "bt-soak-denied", "Closed for the soak."
AGENT = """\
Match User bt-soak-*
  DisableForwarding no
  AllowAgentForwarding yes
"""
# Fifty clients log in at once.
SSHD = "MaxStartups 500\nMaxSessions 500\nLoginGraceTime 600\n"


class Place(plugin.World):
    def __init__(self, clients):
        super().__init__()
        self.data = os.path.join(self.dir, "data")
        self.work = os.path.join(self.dir, "work")
        self.own_files = os.path.join(self.dir, "clients")
        for path, mode in ((self.data, 0o755), (self.work, 0o1777), (self.own_files, 0o700)):
            os.mkdir(path)
            os.chmod(path, mode)
        self.stream = data.make_file(os.path.join(self.data, "stream"), 16 << 20)
        with open(self.stream, "rb") as f:
            self.content = f.read()
        self.page = self.content[:300000]
        with open(os.path.join(self.data, "page"), "wb") as f:
            f.write(self.page)
        program = os.path.join(self.dir, "agent-client")
        subprocess.run([need("gcc"), "-O1", "-static", "-o", program,
                        os.path.join(HARNESS, "agent.c")], check=True)
        self.agent = Agent(self.own_files, "agent")
        doors = Doors(self)
        self.own = []
        for number in range(clients):
            policy = list(OWN)[number % len(OWN)]
            self.own.append((f"bt-soak-{policy}-{number}", policy))
        self.shared = [(f"bt-soak-{policy}", policy) for policy in SHARED]
        # Those who have no client for whom they are the first.
        self.others = [name for name, _ in self.shared] + ["bt-soak-forward-held", DENIED_USER]
        for name in [name for name, _ in self.own] + self.others:
            doors.make(name)
        # Of all that the harness has to do with berth.conf, it is this one's.
        self.conf = doors.conf
        self.conf.write(
            image=images.BUSYBOX, hangup_grace="1s", agent_forwarding=True, pids=4000,
            mounts=[f"{self.data}:/data:ro", f"{self.work}:/work", f"{program}:/agent-client:ro"],
            users={**{f"bt-soak-{name}-*": options for name, options in OWN.items()},
                   **{f"bt-soak-{name}": options for name, options in SHARED.items()},
                   DENIED_USER: {"deny": DENIED}})
        self.sshd.stop()
        self.sshd = doors.sshd(name="soak", stack=doors.stack(self.group_name(), "forwarding"),
                               options=SSHD + AGENT + doors.block("bt-soak-*",
                                                                  variant=".forwarding"))
        self.client = self.sshd.client
        self.accounts = {name: self.uid(name) for name in self.names()}

    def make_images(self):
        """This one alone: the engine is the machine's own, and empty."""
        images.import_image(self.engine, images.BUSYBOX, images.busybox_tar())

    def reap(self):
        """As the timer does."""
        got = self.berth("reap", timeout=300)
        assert (got.returncode, got.stderr) == (0, ""), got

    def discard(self):
        """What lasts is taken away as an administrator does."""
        for name in [*LASTING, *(name for name, policy in self.own if policy == "stop")]:
            got = self.berth("kill", "--user", name, "--remove", timeout=300)
            assert (got.returncode, got.stderr) == (0, ""), got

    def policy(self, name):
        return OWN.get(name) or SHARED.get(name, {})

    def helper_of(self, user, port):
        """The process of berth's that serves the session of that client's port."""
        def find():
            rows = [row["pid"] for row in self.present(user)
                    if row.get("port") == port and row.get("kind") != "forward"]
            return rows[0] if len(rows) == 1 else None
        return wait_for(find, 300, f"a session of {user}'s from port {port}", pause=0.2)
