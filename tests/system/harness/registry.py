"""A real registry on loopback (an engine takes 127.0.0.1 without TLS)."""
import base64
import http.client
import http.server
import json
import os
import socket
import subprocess
import threading

import bcrypt

from .sshd import free_port
from .wait import wait_for


class Registry:
    def __init__(self, workdir, name, credentials=None):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.dir = os.path.join(workdir, name)
        os.makedirs(self.dir)
        auth = ""
        if credentials:
            user, password = credentials
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
            with open(self.dir + "/htpasswd", "w") as f:
                f.write(f"{user}:{hashed}\n")
            auth = f"auth:\n  htpasswd:\n    realm: test\n    path: {self.dir}/htpasswd\n"
        with open(self.dir + "/config.yml", "w") as f:
            f.write(f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n"
                    f"    rootdirectory: {self.dir}/data\nhttp:\n  addr: {self.address}\n{auth}")
        self.log = open(self.dir + "/log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", self.dir + "/config.yml"],
                                        stdout=self.log, stderr=self.log)
        wait_for(self._answers, 10, "the registry answering")

    def _answers(self):
        try:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            conn.request("GET", "/v2/")
            return conn.getresponse().status in (200, 401)
        except (OSError, socket.timeout):
            return False

    def push(self, engine, image, name, credentials=None):
        """Puts a local image there under name; the tag is taken away from the engine again."""
        target = f"{self.address}/{name}"
        engine.call("POST", f"/images/{image}/tag?repo={target}&tag=latest")
        config = self.dir + "/docker"
        write_auth(config, self.address, credentials)
        subprocess.run(["docker", "--config", config, "-H", "unix://" + engine.path, "push", "-q",
                        target], check=True, capture_output=True)
        engine.remove_image(target + ":latest")
        return target

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class CuttingRegistry(http.server.ThreadingHTTPServer):
    """Passes a registry on, but ends a large blob in its middle; asked again it says 400, which
    the engine doesn't try a third time (it would wait minutes over a connection that is cut)."""

    daemon_threads = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), _CuttingHandler)
        self.target, self.cut = target, []
        self.address = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _CuttingHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle(self):
        """A newer engine tries TLS first, and goes on without it where the answer is HTTP."""
        if self.rfile.peek(1)[:1] == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        else:
            super().handle()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.path in self.server.cut:
            self.send_error(400, "gone")
            return
        conn = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=10)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        conn.request(self.command, self.path, headers=headers)
        reply = conn.getresponse()
        body = reply.read()
        self.send_response(reply.status)
        for key, value in reply.getheaders():
            if key.lower() not in ("connection", "transfer-encoding", "date"):
                self.send_header(key, value)
        self.end_headers()
        if "/blobs/" in self.path and len(body) > 200_000:
            self.server.cut.append(self.path)
            self.wfile.write(body[:len(body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(body)


def write_auth(folder, address, credentials, mode=0o644, owner=None):
    os.makedirs(folder, exist_ok=True)
    path = folder + "/config.json"
    auths = {}
    if credentials:
        token = base64.b64encode(":".join(credentials).encode()).decode()
        auths = {address: {"auth": token}}
    with open(path, "w") as f:
        json.dump({"auths": auths}, f)
    os.chmod(path, mode)
    if owner:
        os.chown(path, *owner)
    return path
