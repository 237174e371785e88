"""The engine's API over its unix socket: the few calls that the bench makes itself."""
import http.client
import json
import socket
import time
import urllib.parse


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class EngineError(Exception):
    pass


class Engine:
    def __init__(self, path):
        self.path = path

    def call(self, method, path, body=None, headers=None, ok=(200, 201, 204)):
        conn = _UnixConnection(self.path)
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            conn.request(method, path, body, headers)
            reply = conn.getresponse()
            data = reply.read()
        except OSError as err:
            raise EngineError(f"{self.path}: {method} {path}: {err}") from err
        finally:
            conn.close()
        if reply.status not in ok:
            raise EngineError(f"{method} {path}: {reply.status} {data[:300]!r}")
        if data and reply.getheader("Content-Type", "").startswith("application/json"):
            return json.loads(data.splitlines()[-1])
        return None

    def version(self):
        return self.call("GET", "/version")

    def import_image(self, repo, tag, tar):
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": repo, "tag": tag})
        last = self.call("POST", f"/images/create?{query}", tar,
                         {"Content-Type": "application/x-tar"})
        if last and "error" in last:
            raise EngineError(f"import of {repo}:{tag}: {last['error']}")

    def remove_image(self, name):
        self.call("DELETE", f"/images/{name}?force=1", ok=(200, 404, 409))

    def create(self, body, name=None):
        query = "?name=" + urllib.parse.quote(name) if name else ""
        return self.call("POST", f"/containers/create{query}", body)["Id"]

    def start(self, ident):
        self.call("POST", f"/containers/{ident}/start", ok=(204,))

    def remove(self, ident):
        self.call("DELETE", f"/containers/{ident}?force=1&v=1", ok=(204, 404, 409))

    def inspect(self, ident):
        return self.call("GET", f"/containers/{ident}/json")

    def with_label(self, label):
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        return self.call("GET", f"/containers/json?all=1&filters={filters}") or []

    def create_and_start(self, body):
        """Seconds for a create and a start; the removal isn't counted."""
        began = time.perf_counter()
        ident = self.create(body)
        try:
            self.start(ident)
            return time.perf_counter() - began
        finally:
            self.remove(ident)
