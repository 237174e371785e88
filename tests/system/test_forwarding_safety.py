"""What forwards must not reach, and what happens where they can't end in a container."""
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import threading

import asyncssh
import pytest
from asyncssh.channel import SSHForwardChannel
from asyncssh.packet import UInt32

from harness import images, x11
from harness.asynchronous import connected
from harness.client import need
from harness.forwarding import OTHER, USER, child, greeting, listens, namespace, opened, own_address
from harness.sshd import free_port
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")
scopes = pytest.mark.parametrize("scope", ["session", "connection", "user"])
one_channel = pytest.mark.channels("direct")
HOSTS = "bt-open"       # no berth at all
LOOSE = "bt-loose"      # mapped, but neither berth-shell nor a Match is his
PROHIBITED, NOBODY = 1, 2


def addresses():
    """This machine's own."""
    got = subprocess.run(["ip", "-j", "-4", "addr"], check=True, capture_output=True)
    return [a["local"] for link in json.loads(got.stdout) for a in link["addr_info"]]


class EngineByTcp:
    """The engine on a port of the host's loopback, as some have it."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.listener.accept()
                with conn, socket.socket(socket.AF_UNIX) as engine:
                    engine.connect(self.path)
                    engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                    conn.sendall(engine.recv(4096))

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@scopes
def test_what_listens_on_the_host(world, ways, scope):
    """On its loopback or on all of its addresses: reached by who has no berth, and not by who
    has."""
    ways.allow(scope=scope)
    engine = ways.keep(EngineByTcp(world.socket))
    host, everywhere = ways.host_server(), ways.host_server(address="0.0.0.0")
    control, transport = ways.transport(HOSTS), ways.transport()
    assert opened(control, host.port) == b"host\n"
    assert opened(control, everywhere.port, addresses()[-1]) == b"host\n"
    assert opened(control, engine.port).startswith(b"HTTP/1.0 200")
    assert opened(control, ways.sshd.port).startswith(b"SSH-2.0")
    host.seen = everywhere.seen = 0
    for name in ("127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "0.0.0.0", "127.1.2.3",
                 socket.gethostname(), *addresses()):
        for port in (host.port, everywhere.port, engine.port, ways.sshd.port):
            assert opened(transport, port, name) == NOBODY, (name, port)
    assert host.seen == everywhere.seen == 0


@scopes
def test_another_users_container(ways, scope):
    ways.allow(scope=scope, network="bridge")
    first, second = ways.connect(), ways.connect(OTHER)
    port = ways.serve(second)
    assert second.said(port) == b"inside\n"
    transport = ways.transport()
    for name in ("127.0.0.1", "localhost", "0.0.0.0"):
        assert opened(transport, port, name) == NOBODY
    # By its address neither: the server is on its loopback.
    assert opened(transport, port, own_address(second)) == NOBODY
    assert first.said(port) == b""


def make_folder(world, user):
    path = os.path.join(world.dir, "streamlocal-" + user)
    os.mkdir(path)
    os.chown(path, world.uid(user), -1)
    return path


@one_channel
def test_unix_sockets_and_tunnels(world, ways):
    """Those that a client asks for by asyncssh: the engine's, one of his own to listen on, a
    network device. What they would lead to is the host's."""
    async def refused(work):
        with pytest.raises((asyncssh.ChannelOpenError, asyncssh.ChannelListenError)):
            await work

    async def control(conn):
        reader, writer = await conn.open_unix_connection(world.socket)
        writer.write(b"GET /_ping HTTP/1.0\r\n\r\n")
        assert b" 200 OK" in await reader.readline()
        listener = await conn.forward_remote_path(theirs, world.socket)
        assert os.path.exists(theirs)
        listener.close()

    async def ask(conn):
        for path in (world.socket, os.path.realpath(world.socket)):
            await refused(conn.open_unix_connection(path))
        for mode in (1, 2):
            channel = SSHForwardChannel(conn, asyncio.get_running_loop(), None, "strict",
                                        1 << 16, 1 << 15)
            await refused(channel._open(b"tun@openssh.com", UInt32(mode), UInt32(0x7fffffff)))
        await refused(conn.forward_remote_path(mine, world.socket))
        assert not os.path.exists(mine)
        # And it is none the worse for it.
        assert (await conn.run("echo in")).stdout == "in\n"
    mine, theirs = (make_folder(world, user) + "/listener" for user in (USER, HOSTS))
    connected(world, control, HOSTS, ways.sshd.port)
    connected(world, ask, USER, ways.sshd.port)
    path = os.path.join(world.dir, "to-engine")
    proc = ways.started(ways.login().start(opts=["-N", "-L", f"{path}:{world.socket}"],
                                           stdin=subprocess.DEVNULL))
    wait_for(lambda: os.path.exists(path), 20, "the client listening")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        assert greeting(sock) == b""
    proc.kill()
    proc.wait()
    os.unlink(path)


def said_once(world, user=USER):
    """pam_berth's own line in the log of a connection that it let into no network."""
    world.syslog.wait(rf'pam_berth.*"{user}": session: ', world.mark)
    lines = [t for t in world.syslog.since(world.mark, "pam_berth") if f'"{user}": session: ' in t]
    assert len(lines) == 1, lines
    return lines[0]


def shut(world, ways, *words, **kw):
    """A connection that has no container: one line, no session, no forward anywhere."""
    host = ways.host_server()
    world.mark = world.syslog.mark()
    got = ways.login(**kw).run("echo ran", timeout=60)
    assert got.returncode in (254, 255) and b"ran" not in got.stdout, got
    text = (got.stdout + got.stderr).decode()
    assert text.count("\n") == 1 and text.startswith("berth: "), got
    log = said_once(world, kw.get("user", USER))
    for word in words:
        assert word in text, (word, text)
        assert word in log, (word, log)
    conn = ways.connect(**kw)
    assert conn.said(host.port) == b""
    got = conn.run(opts=["-O", "forward", "-R", f"127.0.0.1:{free_port()}:127.0.0.1:{host.port}"])
    assert got.returncode != 0, got
    conn.close()
    assert opened(ways.transport(**kw), host.port) == PROHIBITED
    assert host.seen == 0


# --- no namespace, no session

@scopes
def test_no_engine(world, ways, scope):
    usual, ways.doors.conf.endpoint = ways.doors.conf.endpoint, "unix:///nonexistent"
    try:
        ways.allow(scope=scope)
        shut(world, ways, "/nonexistent")
    finally:
        ways.doors.conf.endpoint = usual
    ways.allow(scope=scope)
    conn = ways.connect()
    assert conn.said(ways.serve(conn)) == b"inside\n"


@one_channel
def test_no_image(world, ways):
    ways.allow(image="berth-test/nosuch", pull="never")
    shut(world, ways, "berth-test/nosuch")


@one_channel
def test_no_engine_for_another_shell(world, ways):
    """Who has bash, and no Match of sshd_config, but a policy that has his forwards end in a
    container: they end nowhere else."""
    usual, ways.doors.conf.endpoint = ways.doors.conf.endpoint, "unix:///nonexistent"
    try:
        ways.allow(users={LOOSE: {}})
        shut(world, ways, "/nonexistent", user=LOOSE)
    finally:
        ways.doors.conf.endpoint = usual
    # Where there is a container he is on the host, and has its network.
    ways.allow(users={LOOSE: {}})
    host, conn = ways.host_server(), ways.connect(LOOSE)
    got = conn.run("test -e /etc/pam.d && readlink /proc/self/ns/net").stdout.decode().strip()
    assert got not in ("", namespace()), got
    assert conn.said(host.port) == b""


@one_channel
@pytest.mark.parametrize("options,word", [
    ({"network": "host"}, "network = host"), ({"standby": 1}, "standby"),
    ({"runtime": "runsc"}, "runtime"), ({"network": "container:other"}, "network"),
    ({"forwarding": "host"}, "forwarding"),
], ids=["host", "standby", "runtime", "container", "value"])
def test_policies_that_can_not_have_it(world, ways, options, word):
    ways.allow(**options)
    refused(world, ways, word)


@one_channel
@pytest.mark.parametrize("engine", [
    {"endpoint": "tcp://127.0.0.1:2376", "tls_ca": "/ca", "tls_cert": "/cert", "tls_key": "/key"},
    {"endpoint": "unix:///run/user/%U/docker.sock"}], ids=["tcp", "each user's"])
def test_engines_that_can_not_have_it(world, ways, engine):
    ways.allow(engine=engine)
    refused(world, ways, "forwarding = container")


def refused(world, ways, word):
    """When the file is read, by whoever reads it."""
    host = ways.host_server()
    got = world.berth("explain", "--config", ways.doors.conf.path, USER, config=False)
    assert got.returncode != 0 and word in got.stderr, got
    assert "berth.conf:" in got.stderr and got.stderr.count("\n") == 1, got
    got = ways.login().run("echo ran")
    assert got.returncode != 0 and b"ran" not in got.stdout, got
    assert ways.login().run(opts=["-W", f"127.0.0.1:{host.port}"]).returncode != 0
    assert host.seen == 0


@one_channel
@scopes
def test_a_container_that_has_the_hosts_network(world, ways, scope):
    """By `create`, of which berth.conf's own options know nothing: that is seen."""
    path = os.path.join(ways.doors.dir, "etc-berth/host-network.json")
    with open(path, "w") as f:
        json.dump({"HostConfig": {"NetworkMode": "host"}}, f)
    ways.allow(scope=scope, create="host-network.json")
    shut(world, ways)


@one_channel
def test_a_container_that_berth_did_not_make(world, ways):
    """Of the very name, and with the host's network."""
    ways.allow(scope="user")
    with open("/etc/machine-id") as f:
        name = f"berth-{f.read()[:8]}-{world.uid(USER)}-user"
    ident = world.engine.call("POST", f"/containers/create?name={name}", {
        "Image": images.BUSYBOX, "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": "host"}}, ok=(201,))["Id"]
    try:
        world.engine.call("POST", f"/containers/{ident}/start")
        shut(world, ways)
        assert world.engine.inspect(ident)["State"]["Running"]
    finally:
        world.engine.remove(ident)


@scopes
def test_a_record_that_the_user_wrote(world, ways, scope):
    """The folder of his locks is his own: what he says in there of a container leads nobody
    into another's."""
    ways.allow(scope="user", linger="1m")
    second = ways.connect(OTHER)
    port = ways.serve(second)
    folder, mine = (os.path.join(world.runtime, str(world.uid(u))) for u in (OTHER, USER))
    assert ways.login().run("true").returncode == 0       # has a container of his own, for a minute
    with open(os.path.join(folder, "user.lock"), "rb") as src, \
            open(os.path.join(mine, "user.lock"), "r+b") as f:
        f.write(src.read())
    ways.allow(scope=scope, linger="1m")
    conn = ways.connect()
    assert conn.said(port) == b""
    assert namespace(child(world, OTHER)) != namespace(child(world))
    ways.remove()


# --- variables of the login

@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_AUDIT", "PATH", "HOME"])
@one_channel
def test_the_logins_environment(ways, name):
    """What makes the container for the connection, and what asks the engine about it, run with
    none of it."""
    value = {"PATH": ways.doors.dir, "HOME": "/nonexistent"}.get(name, ways.doors.trap)
    for user in (HOSTS, USER):
        ways.doors.home(user, ".pam_environment", f"{name} DEFAULT={value}\n")
    if name.startswith("LD_"):
        ways.login(HOSTS).run("true")
        assert "loaded" in ways.doors.sprung(), "the trap never sprang"
        ways.doors.reset()
    conn = ways.connect()
    assert conn.said(ways.serve(conn)) == b"inside\n"
    assert ways.doors.sprung() == []


# --- who else comes by this sshd

@one_channel
def test_who_has_no_berth(ways):
    """His forwards end on the host as ever, whoever else is in."""
    host, inside = ways.host_server(), ways.connect()
    port = ways.serve(inside)
    conn = ways.connect(HOSTS)
    assert conn.run("readlink /proc/self/ns/net").stdout.decode().strip() == namespace()
    assert conn.said(host.port) == b"host\n"
    assert conn.said(port) == b""
    remote = int(conn.control("forward", "-R", f"0:127.0.0.1:{host.port}"))
    assert listens(remote)
    with socket.create_connection(("127.0.0.1", remote)) as sock:
        assert greeting(sock) == b"host\n"
    socks = free_port()
    conn.control("forward", "-D", f"127.0.0.1:{socks}")
    got = subprocess.run([need("curl"), "-sS", "--max-time", "20", "--noproxy", "", "--http0.9",
                          "--socks5", f"127.0.0.1:{socks}", f"http://127.0.0.1:{host.port}/"],
                         capture_output=True, text=True, timeout=30)
    assert got.stdout == "host\n", got
    # And once the other is gone.
    inside.close()
    assert conn.said(host.port) == b"host\n"


NOWHERE = {"off": {"forwarding": "off"}, "deny": {"deny": True}}


@one_channel
@pytest.mark.parametrize("policy", NOWHERE)
def test_where_policy_has_it_off(world, ways, policy):
    """sshd lets him, for it is open for all of the group: his forwards end nowhere."""
    ways.allow(users={USER: NOWHERE[policy], OTHER: {}})
    host, conn, other = ways.host_server(), ways.connect(), ways.connect(OTHER)
    port = ways.serve(other)
    got = conn.run("echo in; readlink /proc/self/ns/net")
    assert got.stdout.startswith(b"in\n") == (policy == "off"), got
    own = namespace(child(world))
    assert own not in (namespace(), namespace(child(world, OTHER)))
    assert own.encode() not in got.stdout
    transport = ways.transport()
    for name in ("127.0.0.1", "localhost", "0.0.0.0", *addresses()):
        for there in (host.port, ways.sshd.port, port):
            assert opened(transport, there, name) == NOBODY, (name, there)
    assert conn.said(host.port) == b""
    remote = int(conn.control("forward", "-R", f"0:127.0.0.1:{host.port}"))
    assert not listens(remote)
    assert conn.run(f"nc 127.0.0.1 {remote} </dev/null").stdout == b""
    assert host.seen == 0


@one_channel
def test_a_display_where_it_is_off(world, ways):
    """What needs the loopback of sshd's own works in an empty network too."""
    folder = os.path.join(world.dir, "forwarding-off-x11")
    if not os.path.exists(folder):
        x11.clients(folder, "xprop")
        os.mkdir(folder + "-display")
    display = ways.keep(x11.Display(folder + "-display", "d"))
    sshd = ways.another_sshd(options=f"Match User {USER}\n  X11Forwarding yes\n",
                             xauth="/usr/bin/xauth")
    ways.allow(forwarding="off", x11_forwarding=True, mounts=[folder + ":/x11:ro"])
    got = ways.login(sshd=sshd).run("/x11/xprop -root -f BERTH 8s -set BERTH off", opts=["-Y"],
                                    env=display.env)
    assert (got.returncode, got.stderr, display.property("BERTH")) == (0, b"", "off"), got


@one_channel
def test_without_the_argument(world, ways):
    """Where sshd is shut: who has it off stays in the host's network, who has it on leaves it."""
    sshd = ways.another_sshd(argument="")
    ways.allow(users={USER: {"forwarding": "off"}, OTHER: {}})
    conn, other = ways.connect(sshd=sshd), ways.connect(OTHER, sshd=sshd)
    assert conn.run("true").returncode == other.run("true").returncode == 0
    assert namespace(child(world)) == namespace()
    assert namespace(child(world, OTHER)) != namespace()


@one_channel
def test_as_installed_it_is_off(world, ways, door_sshd):
    """The first variant of 50-berth.conf, whatever berth.conf says."""
    host = ways.host_server()
    transport = ways.transport(sshd=door_sshd)
    assert opened(transport, host.port) == PROHIBITED
    conn = ways.connect(sshd=door_sshd)
    got = conn.run(opts=["-O", "forward", "-R", f"0:127.0.0.1:{host.port}"])
    assert got.returncode != 0
    assert conn.run("echo in").stdout == b"in\n"
    assert host.seen == 0


@pytest.fixture
def twin(ways):
    name = USER + "twin"
    ways.doors.make(name, extra=["-o", "-u", str(ways.world.uid(USER))])
    yield name
    ways.kept.close()
    subprocess.run(["userdel", "-r", "-f", name], capture_output=True)


@one_channel
@scopes
def test_two_names_of_one_uid(ways, twin, scope):
    """Each has a network of his own."""
    ways.allow(scope=scope)
    first, second = ways.connect(), ways.connect(twin)
    ways.serve(first, 7000, "first")
    assert first.said(7000) == b"first\n"
    assert second.said(7000) == b""
    ways.serve(second, 7000, "second")
    assert (first.said(7000), second.said(7000)) == (b"first\n", b"second\n")
