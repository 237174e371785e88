"""Clients: the ssh command line, paramiko for what it can't send, a proxy to be cut."""
import select
import shutil
import socket
import struct
import subprocess
import threading

import paramiko


class Client:
    def __init__(self, sshd):
        self.sshd, self.port = sshd, sshd.port

    def options(self, port=None):
        return ["-F", "none", "-i", self.sshd.key, "-o", "IdentitiesOnly=yes",
                "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
                "-o", f"UserKnownHostsFile={self.sshd.known_hosts}",
                "-o", "LogLevel=ERROR", "-o", f"Port={port or self.port}"]

    def argv(self, user, *command, opts=(), port=None):
        tail = ["--"] + list(command) if command else []
        return ["ssh"] + self.options(port) + list(opts) + [f"{user}@127.0.0.1"] + tail

    def run(self, user, *command, opts=(), input=None, timeout=30, env=None, port=None):
        """One ssh to its end: returncode, stdout, stderr as bytes."""
        feed = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(self.argv(user, *command, opts=opts, port=port),
                              capture_output=True, timeout=timeout, env=env, **feed)

    def start(self, user, *command, opts=(), port=None, **kw):
        kw.setdefault("stdin", subprocess.PIPE)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        # Unbuffered: communicate() after readline() would lose what a buffer holds.
        kw.setdefault("bufsize", 0)
        return subprocess.Popen(self.argv(user, *command, opts=opts, port=port), **kw)

    def transport(self, user, window=None, port=None):
        """A paramiko connection. With a small window a reader that stops stalls sshd at once
        (the ssh command always offers 2 MiB)."""
        sock = socket.create_connection(("127.0.0.1", port or self.port), 10)
        kw = {"default_window_size": window} if window else {}
        transport = paramiko.Transport(sock, **kw)
        transport.start_client(timeout=20)
        transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(self.sshd.key))
        return transport


class Login:
    """A client bound to one user."""

    def __init__(self, client, user, name):
        self.client, self.user, self.image = client, user, name

    def run(self, *command, **kw):
        return self.client.run(self.user, *command, **kw)

    def start(self, *command, **kw):
        return self.client.start(self.user, *command, **kw)

    def argv(self, *command, **kw):
        return self.client.argv(self.user, *command, **kw)

    def transport(self, **kw):
        return self.client.transport(self.user, **kw)

    def exec_bytes(self, command, timeout=30):
        """paramiko sends any bytes as a command; ssh and the shells before it may not."""
        transport = self.transport()
        try:
            channel = transport.open_session()
            channel.settimeout(timeout)
            channel.exec_command(command)
            channel.shutdown_write()
            out = b"".join(iter(lambda: channel.recv(65536), b""))
            err = b"".join(iter(lambda: channel.recv_stderr(65536), b""))
            return channel.recv_exit_status(), out, err
        finally:
            transport.close()


class Proxy:
    """A TCP forwarder in front of sshd: can stand still, or cut with RST on both sides."""

    def __init__(self, port):
        self.target = port
        self.flowing = threading.Event()
        self.flowing.set()
        self.sockets, self.threads, self.dead = [], [], False
        self.down = 0
        self.pause_after = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket()
            # A small receive buffer: a stall reaches sshd soon.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            server.connect(("127.0.0.1", self.target))
            client.setblocking(False)
            server.setblocking(False)
            self.sockets += [client, server]
            for args in ((client, server, False), (server, client, True)):
                thread = threading.Thread(target=self._pump, args=args, daemon=True)
                thread.start()
                self.threads.append(thread)

    def _ready(self, reading, writing):
        while not self.dead:
            if self.flowing.is_set():
                if any(select.select(reading, writing, [], 0.02)):
                    return True
            else:
                self.flowing.wait(0.02)
        return False

    def _pump(self, source, sink, down):
        try:
            while self._ready([source], []):
                data = memoryview(source.recv(65536))
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if down:
                    self.down += len(data)
                    if self.pause_after is not None and self.down >= self.pause_after:
                        self.pause_after = None
                        self.flowing.clear()
                while data and self._ready([], [sink]):
                    data = data[sink.send(data):]
        except OSError:
            pass

    def cut(self):
        """RST both ways. The pumps stop first: a socket someone still reads isn't closed."""
        self.dead = True
        for thread in self.threads:
            thread.join()
        for sock in self.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.sockets = []

    def close(self):
        # Closed alone, it stays open for who waits in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


def need(program):
    path = shutil.which(program)
    assert path, f"{program} is not installed"
    return path
