"""An engine that a real one can't be made to be: one that answers wrongly, late or never."""
import json
import os
import re
import socket
import threading
import time

PING = (b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nOstype: linux\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 2\r\n\r\nOK")


def reply(status, body, reason="x", kind="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


HIJACKED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
OK_IMAGE = reply(200, {"Id": "sha256:" + "a" * 64, "Config": {}})
CREATED = reply(201, {"Id": "b" * 64, "Warnings": []})
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def frame(stream, data):
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class FakeEngine:
    """answers: (step, bytes | callable(connection) | None); None: never answers. The steps are
    ping, image, create, attach, wait, start, delete, other."""

    def __init__(self, path, **answers):
        self.path, self.requests = path, []
        self.held = []
        self.answers = {
            "ping": PING, "image": OK_IMAGE, "create": CREATED, "start": NO_CONTENT,
            "delete": NO_CONTENT, "attach": self.attach, "wait": self.wait,
            "inspect": reply(200, {"Id": "b" * 64, "State": {"Pid": 0, "Running": False,
                                                             "ExitCode": 0}}),
            "list": reply(200, []), "other": NO_CONTENT, **answers}
        self.started = threading.Event()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        self.sock.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def attach(self, conn):
        conn.sendall(HIJACKED)
        self.started.wait(20)
        conn.sendall(frame(1, b"hello\n"))
        conn.shutdown(socket.SHUT_WR)

    def wait(self, conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        self.started.wait(20)
        body = b'{"StatusCode":0}'
        conn.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def _accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    @staticmethod
    def step(method, path):
        path = re.sub(r"^/v[0-9.]+", "", path)
        for name, pattern in (
                ("ping", r"/_ping"), ("image", r"/images/.*"), ("create", r"/containers/create"),
                ("attach", r"/containers/.*/attach"), ("wait", r"/containers/.*/wait"),
                ("start", r"/containers/.*/start"), ("inspect", r"/containers/[^/]+/json"),
                ("list", r"/containers/json")):
            if re.match(pattern, path):
                return name
        return "delete" if method == "DELETE" else "other"

    def _serve(self, conn):
        """Requests on one connection, kept alive, until an answer takes it over."""
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = conn.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                headers = {k.lower(): v.strip() for k, v in
                           (line.split(":", 1) for line in lines[1:])}
                length = int(headers.get("content-length", 0))
                while len(data) < length:
                    data += conn.recv(65536)
                body, data = data[:length], data[length:]
                step = self.step(method, path)
                self.requests.append((step, method, path, headers, body))
                answer = self.answers[step]
                if step == "start" and answer is not None:
                    self.started.set()
                if answer is None:
                    self.held.append(conn)      # silence: the connection stays open
                    return
                if callable(answer):
                    answer(conn)
                    return
                conn.sendall(answer)
                if not self._complete(answer):
                    return
        except OSError:
            pass
        finally:
            if conn not in self.held:
                conn.close()

    @staticmethod
    def _complete(answer):
        """Whether a client can tell the reply's end, so that the connection may go on."""
        head, _, body = answer.partition(b"\r\n\r\n")
        found = re.search(rb"Content-Length: (\d+)", head)
        return head.startswith(b"HTTP/1.1 204") or bool(found and len(body) == int(found[1]))

    def close(self):
        self.sock.close()
        for conn in self.held:
            conn.close()
        os.unlink(self.path)


def endless(head, block, total):
    """Sends head, then block again and again up to total bytes."""
    def send(conn):
        conn.sendall(head)
        sent = 0
        while sent < total:
            conn.sendall(block)
            sent += len(block)
    return send


def dripping(data, every):
    """One byte each `every` seconds: never silent, never done."""
    def send(conn):
        for i in range(len(data)):
            conn.sendall(data[i:i + 1])
            time.sleep(every)
    return send
