"""ssh -A: the client's agent in the container, for as long as the session is there."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from harness import images, procs
from harness.agent import Agent
from harness.client import Login, need
from harness.private_engine import PrivateEngine
from harness.sshd import DOORS
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach", "exec")
HERE = os.path.dirname(os.path.abspath(__file__))
OPEN = DOORS.replace("AllowAgentForwarding no", "AllowAgentForwarding yes")
FORGED = "  AcceptEnv SSH_AUTH_SOCK BT_*\n"


class Forwarding(Login):
    """A client whose agent is forwarded."""

    def __init__(self, client, agent, user="bt-bash"):
        super().__init__(client, user, "glibc")
        self.agent = agent

    def run(self, *command, opts=(), **kw):
        return super().run(*command, opts=["-A", *opts], env=self.agent.env, **kw)

    def start(self, *command, opts=(), **kw):
        return super().start(*command, opts=["-A", *opts], env=self.agent.env, **kw)


@pytest.fixture(scope="module")
def agents(session_world):
    folder = os.path.join(session_world.dir, "agents")
    os.mkdir(folder, 0o700)
    both = [Agent(folder, "first"), Agent(folder, "second")]
    yield both
    for it in both:
        it.close()


@pytest.fixture(scope="module")
def open_client(session_world):
    with session_world.another_sshd(doors=OPEN, extra=FORGED) as client:
        yield client


@pytest.fixture(scope="module")
def program(session_world):
    path = os.path.join(session_world.dir, "agent-client")
    subprocess.run([need("gcc"), "-O1", "-static", "-o", path, HERE + "/harness/agent.c"],
                   check=True)
    return path


@pytest.fixture
def allow(world):
    """Writes berth.conf with agent_forwarding, for the glibc image."""
    def write(**options):
        world.conf.write(image=images.GLIBC,
                         **{"agent_forwarding": True, "linger": "0", "hangup_grace": "0",
                            **options})
    write()
    return write


@pytest.fixture
def forwarding(open_client, agents, allow):
    return Forwarding(open_client, agents[0])


def brokers(world, user="bt-bash"):
    return [r[0] for r in procs.of_users({world.uid(user)}) if r[3] == "berth-forward"]


def relays(world, user="bt-bash"):
    return [r[0] for r in procs.of_users({world.uid(user)}) if r[3] == "berth-relay"]


def keys(got, agent):
    assert (got.returncode, got.stderr) == (0, b""), got
    assert got.stdout.decode().split()[:2] == agent.public.split(), got.stdout


IDS = [{}, {"user": "0:0"}, {"user": "33:33", "read_only": True}, {"user": "31337:31337"}]


@pytest.mark.channels("direct", "attach")   # of which the shared scopes are exec
@pytest.mark.parametrize("options", IDS, ids=["own uid", "root", "another uid", "no account"])
@pytest.mark.parametrize("scope", ["session", "connection", "user"])
def test_in_every_scope_for_every_uid(forwarding, allow, scope, options):
    allow(scope=scope, **options)
    keys(forwarding.run("ssh-add -L"), forwarding.agent)
    # By the stable path, with a terminal.
    got = forwarding.run("SSH_AUTH_SOCK=/.berth/run/agent ssh-add -L", opts=["-tt"])
    assert got.stdout.decode().split()[:2] == forwarding.agent.public.split(), got


@pytest.mark.channels("direct", "attach")
def test_a_signature(world, forwarding, allow, tmp_path):
    allow(user="0:0")
    got = forwarding.run("ssh-add -L >/tmp/k.pub && printf text | ssh-keygen -q -Y sign -n test "
                         "-f /tmp/k.pub")
    assert got.returncode == 0, got
    (tmp_path / "signature").write_bytes(got.stdout)
    (tmp_path / "signers").write_text(f"me {forwarding.agent.public}\n")
    subprocess.run(["ssh-keygen", "-Y", "verify", "-n", "test", "-I", "me", "-f",
                    tmp_path / "signers", "-s", tmp_path / "signature"],
                   input=b"text", check=True, capture_output=True)


@pytest.mark.channels("direct", "attach")
def test_another_image(world, open_client, agents, program, forwarding):
    world.conf.write(image=images.BUSYBOX, agent_forwarding=True,
                     mounts=[program + ":/agent-client:ro"])
    got = forwarding.run("/agent-client")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"1 keys\n", b""), got


@pytest.mark.channels("direct")
def test_standby(world, forwarding, allow):
    allow(standby=1, standby_time="10s")
    keys(forwarding.run("ssh-add -L"), forwarding.agent)
    wait_for(lambda: [r for r in world.containers() if r["State"] == "running"], 20, "standby")
    keys(forwarding.run("ssh-add -L"), forwarding.agent)
    allow()
    world.clean_up(world.engine.anonymous_volumes())


@pytest.mark.channels("direct", "attach")
def test_ids_are_mapped(world, forwarding, program):
    """userns-remap: the socket's owner has no number in there."""
    private = PrivateEngine(world.dir, f"agents-{world.channel}", world.group_name(),
                            remap=1000000)
    try:
        private.add_busybox()
        for user in ("%U:%G", "0:0"):
            world.conf.write(engine={"endpoint": "unix://" + private.path}, agent_forwarding=True,
                             user=user, mounts=[program + ":/agent-client:ro"])
            got = forwarding.run("/agent-client")
            assert (got.returncode, got.stdout, got.stderr) == (0, b"1 keys\n", b""), got
        wait_for(lambda: not private.engine.containers(world.names()) and not world.berths() and
                 not world.left_files(), 5, "nothing left")
    finally:
        private.close()


# --- who has one

SEEN = 'echo "${SSH_AUTH_SOCK-none}"; ls -d /.berth/run/agent* 2>/dev/null; read x'


def look(world, login, **kw):
    """What a session sees, and how many processes it takes."""
    proc = login.start(SEEN, **kw)
    first = proc.stdout.readline()
    count = len(brokers(world)) + len(relays(world))
    out, _ = proc.communicate(b"\n", timeout=20)
    return first, out, count


def test_off_unless_berth_conf_says(world, forwarding, allow):
    allow(agent_forwarding=False)
    assert look(world, forwarding) == (b"none\n", b"", 0)


def test_off_where_sshd_shuts_it(world, agents, allow):
    assert look(world, Forwarding(world.client, agents[0])) == (b"none\n", b"", 0)


def test_nothing_for_who_forwards_none(world, open_client, allow):
    assert look(world, Login(open_client, "bt-bash", "glibc")) == (b"none\n", b"", 0)


@pytest.mark.channels("direct", "attach")
def test_a_runtime_without_sockets(world, forwarding, allow):
    allow(runtime="io.containerd.runc.v1", channel="attach")
    mark = world.syslog.mark()
    forwarding.run("true")
    world.syslog.wait("cannot forward the client's agent: .* takes no sockets", mark)


def test_the_log(world, forwarding, open_client):
    mark = world.syslog.mark()
    assert forwarding.run("true").returncode == 0
    assert re.search(r" tty=no agent=yes ", world.syslog.wait(r": open session=", mark).string)
    assert re.search(r" tty=no agent=yes ", world.syslog.wait(r": close session=", mark).string)
    mark = world.syslog.mark()
    Login(open_client, "bt-bash", "glibc").run("true")
    assert "agent" not in world.syslog.wait(r": close session=", mark).string


class Listener:
    """A socket of a user's own on the host, such as that of his systemd or engine."""

    def __init__(self, path, uid):
        self.path, self.got = path, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        os.chown(path, uid, uid)
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.socket.accept()
                self.got.append(conn.recv(100))
                conn.close()

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def test_a_socket_that_is_not_sshds(world, open_client, allow):
    """The client says where: AcceptEnv lets him."""
    uid = world.uid("bt-bash")
    folder = os.path.join(world.dir, "forged")
    os.makedirs(folder, exist_ok=True)
    os.chown(folder, uid, uid)
    listener = Listener(os.path.join(folder, "socket"), uid)
    login = Login(open_client, "bt-bash", "glibc")
    try:
        mark = world.syslog.mark()
        got = login.run("ssh-add -L", opts=["-o", "SetEnv=SSH_AUTH_SOCK=" + listener.path])
        assert got.returncode != 0, got
        world.syslog.wait("cannot forward .* isn't this connection's sshd", mark)
        world.syslog.wait(": close session=", mark)
        wait_for(lambda: listener.got, 5, "its connection closed")
        assert set(listener.got) == {b""}
    finally:
        listener.close()
    for path in (world.socket, "/nonexistent", "/etc/passwd", "relative", "/" + "x" * 5000):
        mark = world.syslog.mark()
        got = login.run("echo ${SSH_AUTH_SOCK-none}",
                        opts=["-o", "SetEnv=SSH_AUTH_SOCK=" + path])
        assert got.returncode == 0, got
        world.syslog.wait("cannot forward .* SSH_AUTH_SOCK: ", mark)
        assert "agent=yes" not in world.syslog.wait(": close session=", mark).string


# --- how long

def up(login, command='echo "$SSH_AUTH_SOCK"; read x; ssh-add -L', **kw):
    proc = login.start(command, **kw)
    path = proc.stdout.readline().decode().strip()
    assert re.fullmatch(r"/\.berth/run/agent\.[0-9a-f]{16}", path), path
    return proc, path


@pytest.mark.channels("direct", "exec")
def test_two_agents_in_one_container(world, open_client, agents, allow):
    """Neither session has the other's, and one's end leaves the other's."""
    allow(scope="user", linger="1m")
    one, two = (Forwarding(open_client, a) for a in agents)
    link = "SSH_AUTH_SOCK=/.berth/run/agent ssh-add -L"
    first, path = up(one)
    second, other = up(two)
    assert path != other
    plain = Login(open_client, "bt-bash", "glibc")
    keys(plain.run(link), agents[1])
    assert second.communicate(b"\n", timeout=20)[0].decode().split()[:2] == \
        agents[1].public.split()
    wait_for(lambda: plain.run(f"test -e {other}").returncode == 1, 5, "its socket gone")
    keys(plain.run(link), agents[0])
    assert first.communicate(b"\n", timeout=20)[0].decode().split()[:2] == agents[0].public.split()
    wait_for(lambda: plain.run("ls /.berth/run | grep -c agent").stdout == b"0\n", 5, "all gone")
    third, _ = up(two)
    keys(plain.run(link), agents[1])
    third.communicate(b"\n", timeout=20)
    world.clean_up(world.engine.anonymous_volumes())


@pytest.mark.channels("direct", "exec")
@pytest.mark.parametrize("who", ["client", "helper", "broker", "relay"])
def test_killed(world, open_client, agents, forwarding, allow, who):
    """In a container that stays: socket, link and processes are gone. The fixture sees to the
    rest."""
    allow(scope="user", linger="1m")
    plain = Login(open_client, "bt-bash", "glibc")
    stays = plain.start("echo up; read x")
    assert stays.stdout.readline() == b"up\n"
    helper = world.one_helper()
    proc, path = up(forwarding)
    there = lambda: plain.run(f"test -S {path} && readlink /.berth/run/agent").stdout
    assert there() == path.rsplit("/", 1)[1].encode() + b"\n"
    mine = [p for p in world.helpers() if p != helper]
    victim = {"client": proc.pid, "helper": mine[0], "broker": brokers(world)[0],
              "relay": relays(world)[0]}[who]
    mark = world.syslog.mark()
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: not brokers(world) and not relays(world), 5, "its processes gone")
    if who == "broker":
        # Nobody was left to do it: the next one does.
        assert there()
        third, _ = up(forwarding)
        third.communicate(b"\n", timeout=20)
        wait_for(lambda: not brokers(world), 5, "the next one's end")
    if who == "relay":
        world.syslog.wait("cannot forward .* its relay was ended", mark)
    assert plain.run("ls /.berth/run | grep -c agent").stdout == b"0\n"
    proc.communicate(b"\n", timeout=20)
    stays.communicate(b"\n", timeout=20)
    world.clean_up(world.engine.anonymous_volumes())


def test_killed_in_a_container_of_its_own(world, forwarding):
    """The fixture: nothing is left, of relay and broker both killed neither."""
    proc, _ = up(forwarding)
    for pid in brokers(world) + relays(world):
        with contextlib.suppress(ProcessLookupError):   # one's end is the other's
            os.kill(pid, signal.SIGKILL)
    proc.communicate(b"\n", timeout=20)


def test_a_job_in_the_background_keeps_nobody(world, forwarding, allow):
    """ssh ends with its command, though the agent is in use."""
    allow(scope="user", linger="1m")
    proc, _ = up(forwarding, 'echo "$SSH_AUTH_SOCK"; (python3 -c "import socket, os; '
                 's = socket.socket(socket.AF_UNIX); s.connect(os.environ[\'SSH_AUTH_SOCK\']); '
                 's.send(bytes(3)); s.recv(1)" >/dev/null 2>&1 </dev/null &) ; read x')
    proc.communicate(b"\n", timeout=10)
    wait_for(lambda: not brokers(world) and not relays(world), 5, "its processes gone")
    world.clean_up(world.engine.anonymous_volumes())


@pytest.mark.channels("direct", "attach")
def test_multiplexed_sessions(world, open_client, agents, allow):
    """sshd has one socket for the connection; each session has one of its own."""
    allow(scope="connection")
    login = Forwarding(open_client, agents[0])
    master = ["-o", "ControlMaster=auto", "-o", f"ControlPath={world.dir}/mux"]
    first, path = up(login, opts=master)
    second, other = up(login, opts=master)
    assert path != other
    second.communicate(b"\n", timeout=20)
    keys(login.run("ssh-add -L", opts=master), agents[0])
    assert first.communicate(b"\n", timeout=20)[0].decode().split()[:2] == agents[0].public.split()
    subprocess.run(login.argv(opts=master + ["-O", "exit"]), capture_output=True)


# --- what passes

MANY = '''
import os, socket
path = os.environ["SSH_AUTH_SOCK"]
socks = []
for i in range(100):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    s.sendall(b"\\0\\0\\0\\1\\x0b")
    socks.append(s)
for s in socks:
    assert s.recv(9, socket.MSG_WAITALL)[4] == 12
    s.close()
print("all answered")
'''


@pytest.mark.channels("direct")
def test_more_at_once_than_are_let_through(world, forwarding):
    got = forwarding.run("python3 -", input=MANY.encode())
    assert (got.returncode, got.stdout) == (0, b"all answered\n"), got


def seccomp(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^Seccomp:\s+(\d)", f.read(), re.M)[1])


@pytest.mark.channels("direct")
def test_the_relay_is_confined(world, forwarding):
    proc, path = up(forwarding)
    broker, relay = brokers(world)[0], relays(world)[0]
    if not world.sanitized:
        wait_for(lambda: seccomp(relay) == 2, 5, "the relay's filter")
    assert seccomp(broker) == 0
    held = procs.descriptors(relay)
    assert all(v == "/dev/null" for k, v in held.items() if k < 3), held
    assert all(v.startswith("socket:") for k, v in held.items() if k > 2) and len(held) == 5, held
    held = procs.descriptors(broker)
    assert all(v == "/dev/null" for k, v in held.items() if k < 3), held
    assert sum(v.startswith("pipe:") for v in held.values()) == 1, held
    # Nobody of the same uid looks into them (facts of /proc: not dumpable).
    assert os.stat(f"/proc/{relay}/mem").st_uid == os.stat(f"/proc/{broker}/mem").st_uid == 0
    proc.communicate(b"\n", timeout=20)
