"""-L, -R, -D, -W, -J and what goes by them: it ends in the container, by stock sshd."""
import contextlib
import hashlib
import os
import shlex
import socket
import subprocess
import threading

import pytest

from harness import data, images, x11
from harness.client import need
from harness.forwarding import (INNER, OTHER, SERVER, USER, ask, by_socks, child, connected,
                                connections, greeting, inner_sshd, line, listens, namespace,
                                opened, own_address, rest)
from harness.private_engine import PrivateEngine
from harness.sshd import free_port, keygen
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")
scopes = pytest.mark.parametrize("scope", ["session", "connection", "user"])
# What the way of a session's bytes has no part in.
one_channel = pytest.mark.channels("direct")


@scopes
def test_local(ways, scope):
    """-L beside a command, to a port on which the host has a service too."""
    ways.allow(scope=scope)
    host, port = ways.host_server(), free_port()
    ways.serve(ways.login(), host.port, opts=["-L", f"127.0.0.1:{port}:localhost:{host.port}"])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        assert greeting(sock) == b"inside\n"
        sent = os.urandom(65536)
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)       # half of it: the rest still comes
        assert rest(sock) == sent
    assert host.seen == 0


@scopes
def test_remote(ways, scope):
    """-R to a port that the client names, and to one that sshd chooses: inside, and not on the
    host. On the loopback alone, whatever the client asks for."""
    ways.allow(scope=scope)
    here, conn = ways.host_server(), ways.connect()
    for want in (f"127.0.0.1:{free_port()}", "0", "*:0", "0.0.0.0:0"):
        said = conn.control("forward", "-R", f"{want}:127.0.0.1:{here.port}")
        port = int(said or want.rsplit(":", 1)[1])
        assert not listens(port)
        got = conn.run(f"{ask(port)}; cat /proc/net/tcp")
        assert got.returncode == 0 and got.stdout.startswith(b"host\n"), got
        rows = [row.split() for row in got.stdout.decode().splitlines()[2:]]
        assert [row[1] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"] == \
            [f"0100007F:{port:04X}"]


def web_server(ways, conn, word):
    """Python's own, with one file; its port."""
    proc = ways.start(conn, f"cd /tmp && echo {word} >f && exec python3 -um http.server "
                            "--bind 127.0.0.1 0")
    return int(line(proc).split()[5])


@scopes
def test_dynamic(ways, scope):
    """-D: curl by each kind of SOCKS, by address and by name, and where nobody is."""
    ways.allow(scope=scope)
    host, socks, conn = ways.host_server(), free_port(), ways.connect()
    conn.control("forward", "-D", f"127.0.0.1:{socks}")
    port = web_server(ways, conn, scope)
    for option, name in (("--socks4", "127.0.0.1"), ("--socks4a", "localhost"),
                         ("--socks5", "127.0.0.1"), ("--socks5-hostname", "localhost")):
        got = curl(option, socks, f"http://{name}:{port}/f")
        assert (got.returncode, got.stdout) == (0, scope + "\n"), got
        assert curl(option, socks, f"http://{name}:{host.port}/").returncode != 0
    assert host.seen == 0


def curl(option, socks, url):
    return subprocess.run([need("curl"), "-sS", "--max-time", "20", "--noproxy", "", option,
                           f"127.0.0.1:{socks}", url], capture_output=True, text=True, timeout=30)


@scopes
def test_standard_streams(ways, scope):
    """-W by the connection, and in scope user by one that has nothing else."""
    ways.allow(scope=scope)
    conn = ways.connect()
    port = ways.serve(conn)
    for login in [conn] + ([ways.login()] if scope == "user" else []):
        got = login.run(opts=["-W", f"127.0.0.1:{port}"], input=b"to and fro")
        assert (got.returncode, got.stdout) == (0, b"inside\nto and fro"), got


@pytest.fixture(scope="module")
def inner(session_world, session_doors):
    return inner_sshd(os.path.join(session_world.dir, "inner"), session_world.uid(USER),
                      session_world.sshd.key)


@scopes
def test_jump(world, ways, inner, scope, tmp_path):
    """-J: by sshd of the host to one in the container, end to end."""
    ways.allow(scope=scope, mounts=[inner + ":/inner:ro"])
    conn = ways.connect()
    proc = ways.start(conn, INNER)
    assert "listening on 127.0.0.1 port 2222" in line(proc)
    path = tmp_path / "config"
    path.write_text(f"""\
Host jump
  HostName 127.0.0.1
  Port {ways.sshd.port}
  UserKnownHostsFile {world.sshd.known_hosts}
  ControlPath {conn.path if scope != "user" else "none"}
Host 127.0.0.1
  UserKnownHostsFile {inner}/known_hosts
Host *
  User {USER}
  IdentityFile {world.sshd.key}
  IdentitiesOnly yes
  BatchMode yes
  StrictHostKeyChecking yes
""")
    got = subprocess.run(["ssh", "-F", path, "-J", "jump", "-p", "2222", "127.0.0.1",
                          "echo $SSH_CONNECTION; readlink /proc/self/ns/net"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert got.returncode == 0, got
    assert got.stdout.splitlines()[0].split()[0::2] == ["127.0.0.1"] * 2
    assert got.stdout.splitlines()[0].split()[3] == "2222"
    assert got.stdout.splitlines()[1] == \
        conn.run("readlink /proc/self/ns/net").stdout.decode().strip()


@one_channel
def test_control(ways):
    """-O forward and -O cancel, of a connection that is there."""
    host, conn = ways.host_server(), ways.connect()
    port, local = ways.serve(conn), free_port()
    way = f"127.0.0.1:{local}:127.0.0.1:{port}"
    conn.control("forward", "-L", way)
    with socket.create_connection(("127.0.0.1", local)) as sock:
        assert greeting(sock) == b"inside\n"
    conn.control("cancel", "-L", way)
    assert not listens(local)
    remote = int(conn.control("forward", "-R", f"0:127.0.0.1:{host.port}"))
    assert conn.run(ask(remote)).stdout == b"host\n"
    # ssh knows it by the port that was asked for.
    conn.control("cancel", "-R", f"0:127.0.0.1:{host.port}")
    wait_for(lambda: conn.run(ask(remote)).returncode != 0, 10, "nobody listening any more")


@one_channel
def test_a_hundred_at_once(ways):
    conn = ways.connect()
    path = conn.forward(ways.serve(conn))
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connected(path)) for _ in range(100)]
        for sock in socks:
            assert greeting(sock) == b"inside\n"
        for i, sock in enumerate(socks):
            sock.sendall(b"%d\n" % i * 1000)
            sock.shutdown(socket.SHUT_WR)
        for i, sock in enumerate(socks):
            assert rest(sock) == b"%d\n" % i * 1000


# --- bytes

# Sends the file, and then says what of what it is told the checksum is.
BOTH_WAYS = """
import hashlib, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
conn, _ = listener.accept()
def send():
    with open(sys.argv[1], "rb") as f:
        conn.sendfile(f)
    conn.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
digest = hashlib.sha256()
while block := conn.recv(1 << 20):
    digest.update(block)
thread.join()
print(digest.hexdigest(), flush=True)
"""


def carry(ways, path, digest):
    """The file both ways at once through one forwarded connection."""
    ways.allow(scope="connection", mounts=[os.path.dirname(path) + ":/given:ro"])
    conn = ways.connect()
    proc = ways.start(conn, f"exec python3 -c {shlex.quote(BOTH_WAYS)} /given/" +
                      os.path.basename(path))
    port = int(line(proc))

    def send():
        with open(path, "rb") as f:
            sock.sendfile(f)
        sock.shutdown(socket.SHUT_WR)
    with conn.open(port) as sock:
        sock.settimeout(60)
        thread = threading.Thread(target=send)
        thread.start()
        got = hashlib.sha256()
        while block := sock.recv(1 << 20):
            got.update(block)
        thread.join()
    assert got.hexdigest() == digest
    assert line(proc) == digest


@one_channel
def test_64_mebibytes(ways, data_dir):
    path = data.make_file(os.path.join(data_dir, "64m"), 64 << 20)
    carry(ways, path, data.sha256(path))


@one_channel
@pytest.mark.slow
def test_a_gibibyte(ways, gigabyte):
    carry(ways, *gigabyte)


# --- whose network it is

@scopes
def test_on_a_bridge(world, ways, scope):
    """Where the container has an address of its own, and all the others where it has none: the
    namespace of sshd, its sessions and the container is one, and not the host's."""
    ways.allow(scope=scope, network="bridge")
    conn = ways.connect()
    inside = line(ways.start(conn, "readlink /proc/self/ns/net"))
    assert inside not in ("", namespace())
    assert namespace(child(world)) == namespace(world.one_helper(USER)) == inside
    port = ways.serve(conn)
    assert conn.said(port) == b"inside\n"
    # What listens on the loopback alone does so for forwards too.
    assert conn.said(port, own_address(conn)) == b""


@scopes
def test_sessions_of_one_connection(ways, scope):
    """Each may have its own container: the network is the connection's."""
    ways.allow(scope=scope)
    conn = ways.connect()
    port = ways.serve(conn)
    assert conn.run(ask(port)).stdout == b"inside\n"
    assert conn.run("touch /tmp/f").returncode == 0
    assert conn.run("test -e /tmp/f").returncode == (1 if scope == "session" else 0)


@scopes
def test_two_connections(ways, scope):
    """Of one user: scope user has one network for both, the others one for each."""
    ways.allow(scope=scope)
    first, second = ways.connect(), ways.connect()
    port = ways.serve(first)
    assert first.said(port) == b"inside\n"
    assert second.said(port) == (b"inside\n" if scope == "user" else b"")
    assert opened(ways.transport(), port) == (b"inside\n" if scope == "user" else 2)


@one_channel
def test_connections_at_once(world, ways):
    """They make one container, and all have its network."""
    ways.allow(scope="user")
    paths = [os.path.join(world.dir, f"at-once.{i}") for i in range(5)]
    for path in paths:
        ways.started(ways.login().start(opts=["-N", "-L", f"{path}:127.0.0.1:7000"],
                                        stdin=subprocess.DEVNULL))
    networks = wait_for(lambda: len(got := [c.get("network") for c in connections(world)]) == 5 and
                        all(got) and set(got), 30, lambda: f"five in it: {connections(world)}")
    assert len(networks) == len(world.containers()) == 1
    ways.serve(ways.login(), 7000)
    for path in paths:
        with connected(path) as sock:
            assert greeting(sock) == b"inside\n"
        os.unlink(path)


@one_channel
def test_ids_are_mapped(world, ways):
    """userns-remap: the namespace is another user namespace's."""
    private = PrivateEngine(world.dir, "forwarding-remap", world.group_name(), remap=1000000)
    try:
        private.add_busybox()
        for user in ("%U:%G", "0:0"):
            ways.allow(engine={"endpoint": "unix://" + private.path}, image=images.BUSYBOX,
                       scope="connection", user=user)
            here, conn = ways.host_server(), ways.connect()
            remote = int(conn.control("forward", "-R", f"0:127.0.0.1:{here.port}"))
            assert conn.run(f"nc 127.0.0.1 {remote} </dev/null").stdout == b"host\n"
            assert not listens(remote)
            conn.close()
        wait_for(lambda: not private.engine.containers(world.names()) and not world.berths() and
                 not world.left_files(), 10, "nothing left")
    finally:
        ways.kept.close()
        private.close()


@one_channel
def test_another_image(ways):
    """Nothing of it is needed."""
    ways.allow(image=images.BUSYBOX)
    conn = ways.connect()
    proc = ways.start(conn, "echo busy >/tmp/f; httpd -p 127.0.0.1:8080 -h /tmp && echo up")
    assert line(proc) == "up"
    with conn.open(8080) as sock:
        sock.sendall(b"GET /f HTTP/1.0\r\n\r\n")
        assert rest(sock).endswith(b"\r\n\r\nbusy\n")


# --- editors

# Starts one server and finds it again, as editors' scripts do.
EDITOR = f"""
cd /tmp
if [ ! -s port ]; then
    setsid python3 -c {shlex.quote(SERVER)} 0 "$$-$RANDOM" >port 2>/dev/null </dev/null &
    until [ -s port ]; do sleep 0.05; done
fi
echo "listening on $(cat port)"
""".encode()


def editors_port(said):
    assert said.startswith("listening on "), said
    return int(said.split()[2])


@scopes
def test_an_editor(ways, scope):
    """One ssh with -D and `bash`, which has its script on stdin and stays."""
    ways.allow(scope=scope)
    socks = free_port()
    proc = ways.started(ways.login().start("bash", opts=["-T", "-D", f"127.0.0.1:{socks}"]))
    proc.stdin.write(EDITOR)
    port = editors_port(line(proc))
    with by_socks(socks, port) as sock:
        assert greeting(sock) and sock.send(b"x") and sock.recv(1) == b"x"


@pytest.mark.parametrize("scope", ["connection", "user"])
def test_an_editor_that_comes_back(ways, scope):
    """Its script ends and its server stays, for a second channel; in scope user for the next
    connection too."""
    ways.allow(scope=scope, linger="1m")
    conn = ways.connect()
    port = editors_port(conn.run("bash", input=EDITOR).stdout.decode())
    name = conn.said(port)
    assert name and conn.said(port) == name
    conn.master.kill()
    conn.ends()
    again = ways.connect()
    other = editors_port(again.run("bash", input=EDITOR).stdout.decode())
    if scope == "user":
        assert other == port and again.said(port) == name
    else:
        assert again.said(other) not in (b"", name)
    ways.remove()


# --- what else goes on in there

@one_channel
@scopes
def test_a_display(world, ways, scope):
    """ssh -X: sshd listens inside, where it is the first to do so."""
    folder = os.path.join(world.dir, "forwarding-x11")
    if not os.path.exists(folder):
        x11.clients(folder, "xprop")
    os.makedirs(os.path.join(world.dir, "forwarding-display"), exist_ok=True)
    display = ways.keep(x11.Display(os.path.join(world.dir, "forwarding-display"), "d"))
    sshd = ways.another_sshd(options=X11, xauth="/usr/bin/xauth")
    ways.allow(scope=scope, x11_forwarding=True, mounts=[folder + ":/x11:ro"])
    got = ways.login(sshd=sshd).run(
        "/x11/xprop -root -f BERTH 8s -set BERTH inside && cat /proc/net/tcp", opts=["-Y"],
        env=display.env)
    assert (got.returncode, got.stderr) == (0, b""), got
    assert display.property("BERTH") == "inside"
    assert 6010 in [int(row.split()[1].partition(":")[2], 16) for row in
                    got.stdout.decode().splitlines()[1:]]


X11 = f"Match User {USER}\n  X11Forwarding yes\n"
AGENT = f"Match User {USER}\n  AllowAgentForwarding yes\n"


@one_channel
@scopes
def test_an_agent(world, ways, scope):
    sshd = ways.another_sshd(options=AGENT)
    ways.allow(scope=scope, agent_forwarding=True)
    folder = os.path.join(world.dir, f"forwarding-agent-{world.channel}-{scope}")
    os.mkdir(folder, 0o700)
    path = os.path.join(folder, "socket")
    ways.started(subprocess.Popen([need("ssh-agent"), "-D", "-a", path],
                                  stdout=subprocess.DEVNULL))
    wait_for(lambda: os.path.exists(path), 10, "an agent")
    keygen(os.path.join(folder, "key"))
    env = {**os.environ, "SSH_AUTH_SOCK": path}
    subprocess.run(["ssh-add", "-q", os.path.join(folder, "key")], env=env, check=True)
    got = ways.login(sshd=sshd).run("ssh-add -L", opts=["-A"], env=env)
    with open(os.path.join(folder, "key.pub")) as f:
        assert got.stdout.decode().split()[:2] == f.read().split()[:2], got


@one_channel
def test_files(ways, tmp_path):
    """sftp beside a forward."""
    conn = ways.connect()
    port = ways.serve(conn)
    (tmp_path / "f").write_bytes(b"by sftp")
    got = subprocess.run(["sftp", "-b", "-", *ways.login().client.options(),
                          "-o", f"ControlPath={conn.path}", f"{USER}@127.0.0.1"],
                         input=f"put {tmp_path}/f /tmp/f\nget /tmp/f {tmp_path}/g\n",
                         capture_output=True, text=True, timeout=30)
    assert got.returncode == 0, got
    assert (tmp_path / "g").read_bytes() == b"by sftp"
    assert conn.said(port) == b"inside\n"


@one_channel
def test_the_log(world, ways):
    """Who opens a session in there is in the log as ever."""
    conn = ways.connect()
    assert conn.run("true").returncode == 0
    world.syslog.wait(rf'berth-session\S*: open .*user="{USER}"', world.mark)
    world.syslog.wait(rf'berth-session\S*: close .*user="{USER}".* status=0', world.mark)


@one_channel
def test_two_users(ways):
    first, second = ways.connect(), ways.connect(OTHER)
    ways.serve(first, 7000, "first")
    ways.serve(second, 7000, "second")
    assert (first.said(7000), second.said(7000)) == (b"first\n", b"second\n")
