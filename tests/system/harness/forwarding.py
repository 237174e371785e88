"""Forwards that end in containers: an sshd that lets them through, its users, servers inside of a
container and on the host, and connections without a session."""
import contextlib
import os
import re
import select
import shlex
import shutil
import socket
import subprocess
import threading

import paramiko

from . import images, procs
from .client import Login, need
from .sshd import keygen
from .wait import became, wait_for
from .x11 import libraries

USER, OTHER = "bt-door", "bt-doorother"
# For the README's way of a wider Match; pam_berth's argument says that sshd lets them through.
MATCH = "bt-door*"

# Says its port, then to each that connects its name, and then what it is told.
SERVER = """
import asyncio, sys
async def serve(reader, writer):
    writer.write(sys.argv[2].encode() + b"\\n")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def server(port=0, name="inside"):
    """A command for a container of the glibc image."""
    return f"exec python3 -c {shlex.quote(SERVER)} {port} {name}"


def ask(port):
    """A command for one: prints the name that a server has, or nothing."""
    return f"bash -c 'read -r name <>/dev/tcp/127.0.0.1/{port} && echo $name' 2>/dev/null"


def greeting(sock):
    """The name that a server says first; b"" where nobody is."""
    sock.settimeout(20)
    name = b""
    with contextlib.suppress(ConnectionError):
        while not name.endswith(b"\n"):
            data = sock.recv(1)
            if not data:
                break
            name += data
    return name


def own_address(login):
    """That of a container on a bridge."""
    got = login.run("cat /proc/net/fib_trie").stdout.decode()
    found = set(re.findall(r"\|-- (\d\S+)\n\s+/32 host LOCAL", got)) - {"127.0.0.1"}
    assert len(found) == 1, got
    return found.pop()


def rest(sock):
    sock.settimeout(30)
    return b"".join(iter(lambda: sock.recv(65536), b""))


def line(proc, timeout=30):
    """The next one that it prints, without its end."""
    said = b""
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([proc.stdout], [], [], timeout)
        byte = proc.stdout.read(1) if ready else None
        assert byte, f"no line, but {said!r}; ended with {proc.poll()}"
        said += byte
    return said[:-1].decode()


class HostServer:
    """A service of the host's, which nobody is to reach who lands in a container; counts those
    who do."""

    def __init__(self, address="127.0.0.1"):
        self.listener = socket.create_server((address, 0))
        self.port, self.seen = self.listener.getsockname()[1], 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.listener.accept()
                self.seen += 1
                with conn, contextlib.suppress(OSError):
                    conn.sendall(b"host\n")

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def listens(port):
    """Whether anybody does, in the network of these tests: on any address."""
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(name) as f:
            for row in list(f)[1:]:
                words = row.split()
                if words[3] == "0A" and int(words[1].rsplit(":", 1)[1], 16) == port:
                    return True
    return False


def namespace(pid="self"):
    return os.readlink(f"/proc/{pid}/ns/net")


class Connection(Login):
    """A ControlMaster without a session: what goes by it is one connection's."""

    def __init__(self, client, user, path, opts=(), timeout=30):
        super().__init__(client, user, "glibc")
        self.path, self.timeout = path, timeout
        # By -N sshd is asked for nothing but what else is asked for by this path.
        self.master = Login.start(self, opts=["-N", "-M", "-S", path, *opts],
                                  stdin=subprocess.DEVNULL)
        self.forwards = 0
        there = lambda: os.path.exists(path) or self.master.poll() is not None
        wait_for(there, timeout, "a connection")
        assert self.master.poll() is None, self.master.communicate()

    def shared(self, opts):
        """Never by another one, should this one have ended."""
        return ["-S", self.path, "-o", "ProxyCommand=false", *opts]

    def run(self, *command, opts=(), **kw):
        kw.setdefault("timeout", self.timeout)
        return super().run(*command, opts=self.shared(opts), **kw)

    def start(self, *command, opts=(), **kw):
        return super().start(*command, opts=self.shared(opts), **kw)

    def control(self, what, *opts):
        """ssh -O: what it prints; it must not fail."""
        got = self.run(opts=["-O", what, *opts])
        assert got.returncode == 0, got
        return got.stdout

    def forward(self, port, host="127.0.0.1"):
        """A unix socket here that leads to that port there."""
        self.forwards += 1
        path = f"{self.path}.{self.forwards}"
        self.control("forward", "-L", f"{path}:{host}:{port}")
        return path

    def open(self, port, host="127.0.0.1"):
        return connected(self.forward(port, host))

    def said(self, port, host="127.0.0.1"):
        """What answers there."""
        with self.open(port, host) as sock:
            return greeting(sock)

    def ends(self, timeout=20):
        """By itself."""
        self.master.communicate(timeout=timeout)

    def close(self):
        # No signal: one that comes before its poll(2) makes ssh wait for another reason to end.
        self.run(opts=["-O", "exit"])
        if not became(lambda: self.master.poll() is not None, 10):
            self.master.kill()
        self.ends()
        for path in [self.path] + [f"{self.path}.{n + 1}" for n in range(self.forwards)]:
            if os.path.exists(path):
                os.unlink(path)


def connected(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock


def by_socks(proxy, port):
    """By ssh -D at that port of ours: RFC 1928, without a password."""
    sock = socket.create_connection(("127.0.0.1", proxy))
    sock.settimeout(20)
    for message, answer in ((b"\5\1\0", b"\5\0"),
                            (b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2, "big"),
                             b"\5\0\0\1\0\0\0\0\0\0")):
        sock.sendall(message)
        got = b"".join(sock.recv(1) for _ in answer)
        assert got == answer, got
    return sock


def opened(transport, port, host="127.0.0.1"):
    """What paramiko, which tells sshd's refusals apart, gets: a greeting, or RFC 4254's reason:
    1 it is prohibited, 2 nobody is there."""
    try:
        channel = transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 1), timeout=20)
    except paramiko.ChannelException as e:
        return e.code
    with contextlib.closing(channel):
        return greeting(channel)


def make_sshd(doors, argument="forwarding", options="", **kw):
    """Its 50-berth.conf is the variant that lets TCP forwards through, for MATCH in place of the
    group. `argument` is that of pam_berth's session line."""
    return doors.sshd(name="forwarding", stack=doors.stack(doors.world.group_name(), argument),
                      options=options + doors.block(MATCH, variant=".forwarding"), **kw)


class Ways:
    """What a test needs; all of it is closed at its end."""

    def __init__(self, doors, sshd):
        self.doors, self.world, self.sshd = doors, doors.world, sshd
        self.kept, self.count = contextlib.ExitStack(), 0

    def allow(self, users=None, **options):
        """Writes berth.conf, with `forwarding` for all whom nothing else is said of."""
        self.doors.conf.write(users=users or {MATCH: {}},
                              **{"image": images.GLIBC, "forwarding": "container", "linger": "0",
                                 "hangup_grace": "0", **options})

    def login(self, user=USER, sshd=None):
        return Login((sshd or self.sshd).client, user, "glibc")

    def keep(self, it):
        self.kept.callback(it.close)
        return it

    def connect(self, user=USER, opts=(), sshd=None):
        self.count += 1
        # Short: it is a socket's name, and ssh adds to it.
        path = os.path.join(self.world.dir, f"c{self.count}")
        return self.keep(Connection((sshd or self.sshd).client, user, path, opts))

    def host_server(self, address="127.0.0.1"):
        return self.keep(HostServer(address))

    def transport(self, user=USER, sshd=None):
        return self.keep(self.login(user, sshd).transport())

    def start(self, login, command, **kw):
        """A command of a session of the login's, which ends when this test does."""
        # By its stdin's end: killed, a client of a ControlMaster leaves its session going on.
        return self.started(login.start(f"({command}) & cat >/dev/null; kill $!", **kw))

    def started(self, proc):
        def end():
            if proc.stdin:
                proc.stdin.close()
                proc.stdin = None           # of which communicate() then knows
                became(lambda: proc.poll() is not None, 20)
            proc.kill()
            proc.communicate(timeout=20)
        self.kept.callback(end)
        return proc

    def serve(self, login, port=0, name="inside", opts=()):
        """A session that is a server; its port. One of a Connection's is where its forwards
        lead."""
        return int(line(self.start(login, server(port, name), opts=opts)))

    def another_sshd(self, argument="forwarding", **kw):
        sshd = make_sshd(self.doors, argument, **kw)
        self.kept.callback(sshd.stop)
        return sshd

    def remove(self):
        """A container that would linger, with who uses it."""
        self.kept.close()
        self.world.clean_up(self.world.engine.anonymous_volumes())

    def close(self):
        """The latest first; then nobody serves these users any more."""
        self.kept.close()
        uids = {self.world.uid(user) for user in (USER, OTHER)}
        wait_for(lambda: not procs.of_users(uids), 20,
                 lambda: f"no process of theirs: {procs.of_users(uids)}")


# --- who serves a connection, on the host

def connections(world):
    """What the file of each says: [{key: value}]."""
    folder, found = os.path.join(world.runtime, "connections"), []
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, name)) as f:
            said = dict(row.split("=", 1) for row in f.read().splitlines()[1:])
            if not name.startswith("."):
                found.append(said)
    return found


def vouched(world):
    """The same of users who have one each: {user: {key: value}}."""
    return {said["name"]: said for said in connections(world)}


def held(world, user=USER):
    """The container in whose network the user's one connection is, once it is."""
    said = wait_for(lambda: vouched(world).get(user, {}).get("network"), 20, "its network")
    return said.split()[1]


def monitor(world, user=USER):
    """sshd's, of the user's one connection."""
    said = wait_for(lambda: vouched(world).get(user), 20, "a connection's file")
    return int(said["sshd"].split()[0])


def child(world, user=USER):
    """sshd's other process, which is the user's and has the forwards."""
    parent, uid = monitor(world, user), world.uid(user)
    mine = lambda: [r[0] for r in procs.of_users({uid})
                    if r[1] == parent and r[3].startswith("sshd")]
    return wait_for(mine, 20, "sshd's child")[0]


def holders(world, user=USER):
    """Those that hold a container for a connection: pids."""
    return [r[0] for r in procs.of_users({world.uid(user)})
            if r[3] == "berth-session" and r[0] in procs.with_argument("--hold")]


def watchers(world, user=USER):
    return [r[0] for r in procs.of_users({world.uid(user)}) if r[3] == "berth-watcher"]


# --- an sshd for a container

def inner_sshd(folder, uid, key):
    """Files to be mounted at /inner of a container of the glibc image, whose login `uid` runs
    it: this machine's own sshd, and what it needs."""
    os.mkdir(folder, 0o755)
    program = need("/usr/sbin/sshd")
    shutil.copy(program, folder)
    for path in libraries(program):
        # libc and its loader are the image's.
        if not re.match(r"(ld-linux|libc\.so|libresolv)", os.path.basename(path)):
            shutil.copy(path, folder)
    host_key = os.path.join(folder, "host_key")
    keygen(host_key)
    os.chown(host_key, uid, uid)
    shutil.copy(key + ".pub", os.path.join(folder, "keys"))
    with open(host_key + ".pub") as src, open(os.path.join(folder, "known_hosts"), "w") as f:
        f.write("* " + " ".join(src.read().split()[:2]) + "\n")
    with open(os.path.join(folder, "sshd_config"), "w") as f:
        f.write("Port 2222\nListenAddress 127.0.0.1\nHostKey /inner/host_key\nUsePAM no\n"
                "AuthorizedKeysFile /inner/keys\nPidFile none\n")
    return folder


INNER = "LD_LIBRARY_PATH=/inner exec /inner/sshd -D -e -f /inner/sshd_config 2>&1"
