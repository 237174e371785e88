"""A unix socket in front of an engine's, at which one step of a session can be held."""
import os
import select
import socket
import threading

from .fake_engine import FakeEngine
from .wait import wait_for


class Gate:
    """Passes everything on, but for the step to be held: that call waits here before the engine
    gets it or, with `answer`, when the engine has answered."""

    def __init__(self, path, engine):
        self.path, self.engine = path, engine
        self.step, self.answer = None, False
        self.reached, self.opened = threading.Event(), threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, step, answer=False):
        self.reached.clear()
        self.opened.clear()
        self.step, self.answer = step, answer

    def wait(self, timeout=30):
        wait_for(self.reached.is_set, timeout, f"the engine asked for: {self.step}")

    def release(self):
        self.step = None
        self.opened.set()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        engine = socket.socket(socket.AF_UNIX)
        flowing = threading.Event()
        flowing.set()
        answers = threading.Thread(target=self._carry_answers, args=(engine, client, flowing),
                                   daemon=True)
        try:
            engine.connect(self.engine)
            answers.start()
            self._carry_requests(client, engine, flowing)
        except OSError:
            pass
        finally:
            for sock in (engine, client):
                self._shut(sock, socket.SHUT_RDWR)
            if answers.ident:
                answers.join()
            engine.close()
            client.close()

    @staticmethod
    def _shut(sock, how):
        try:
            sock.shutdown(how)
        except OSError:
            pass

    def _carry_answers(self, engine, client, flowing):
        try:
            while data := engine.recv(65536):
                if not flowing.is_set():
                    self.reached.set()
                    self.opened.wait()
                    flowing.set()
                client.sendall(data)
        except OSError:
            pass
        # What else it was to be told, nobody tells any more.
        self._shut(client, socket.SHUT_RDWR)

    def _carry_requests(self, client, engine, flowing):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = client.recv(65536)
                if not more:
                    return
                data += more
            head, rest = data.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:])
            self._hold(*head.decode("latin-1").split(" ", 2)[:2], flowing)
            if "upgrade" in headers:
                engine.sendall(data)
                self._carry_bytes(client, engine)
                return
            end = len(head) + 4 + int(headers.get("content-length", 0))
            while len(data) < end:
                more = client.recv(65536)
                if not more:
                    return
                data += more
            engine.sendall(data[:end])
            data = data[end:]

    def _hold(self, method, path, flowing):
        if self.step is None or FakeEngine.step(method, path) != self.step:
            return
        if self.answer:
            flowing.clear()
            return
        self.reached.set()
        self.opened.wait()

    @staticmethod
    def _carry_bytes(client, engine):
        """Of a hijacked call: the end of what comes is no end of what goes."""
        while data := client.recv(65536):
            engine.sendall(data)
        engine.shutdown(socket.SHUT_WR)
        gone = select.poll()
        gone.register(client, 0)        # POLLHUP alone: both ways are shut
        gone.poll()

    def close(self):
        self.release()
        self._shut(self.listener, socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
