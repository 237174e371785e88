"""The engine as the tests see it: a few raw calls over its unix socket."""
import http.client
import json
import os
import socket
import urllib.parse

from .wait import wait_for

MARK = ".berth-test"
# For an engine that a test starts: in a machine (see there) its control groups are to be found.
CGROUPS = ["--cgroup-parent", os.environ["BERTH_TEST_CGROUPS"]] \
    if "BERTH_TEST_CGROUPS" in os.environ else []


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("engine", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    def __init__(self, path):
        self.path = path

    def call(self, method, path, body=None, ok=(200, 201, 204, 304)):
        conn = _UnixConnection(self.path)
        try:
            headers = {}
            if body is not None:
                body = json.dumps(body)
                headers["Content-Type"] = "application/json"
            conn.request(method, path, body, headers)
            reply = conn.getresponse()
            data = reply.read()
        finally:
            conn.close()
        if reply.status not in ok:
            raise RuntimeError(f"{method} {path}: {reply.status} {data[:300]!r}")
        if reply.getheader("Content-Type", "").startswith("application/json") and data:
            return json.loads(data)
        return data

    def alive(self):
        try:
            return self.call("GET", "/_ping") == b"OK"
        except (OSError, RuntimeError, http.client.HTTPException):
            return False

    def kind(self):
        """docker, or podman's service, which has the same API."""
        parts = self.call("GET", "/version").get("Components") or []
        return "podman" if any(p["Name"] == "Podman Engine" for p in parts) else "docker"

    def add_image(self, name, tar):
        """An image of these files, without docker's command: it may be too new for the engine."""
        repo, _, tag = name.partition(":")
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": repo, "tag": tag or "latest"})
        conn = _UnixConnection(self.path)
        try:
            conn.request("POST", "/images/create?" + query, tar)
            said = conn.getresponse().read()
        finally:
            conn.close()
        assert b"sha256:" in said, said[-300:]

    def containers(self, users):
        """Every container, dead ones too, that says it is a session of one of these users."""
        query = urllib.parse.urlencode(
            {"all": 1, "filters": json.dumps({"label": ["berth.session"]})})
        rows = self.call("GET", "/containers/json?" + query)
        return [r for r in rows if r["Labels"].get("berth.user") in users and not self._gone(r)]

    def _gone(self, row):
        """An engine (20.10) that writes a container's state down while it removes it lists the
        container for as long as it runs, dead and without a name, and knows nothing of it."""
        if row["Names"]:
            return False
        return self.call("GET", f"/containers/{row['Id']}/json", ok=(200, 404)).get("message", "") \
            .startswith("No such container")

    def inspect(self, ident):
        return self.call("GET", f"/containers/{ident}/json")

    def remove(self, ident):
        self.call("DELETE", f"/containers/{ident}?force=1&v=1", ok=(204, 404, 409))

    def anonymous_volumes(self):
        """Those made of our own image with a VOLUME: others on this machine have theirs."""
        rows = self.call("GET", "/volumes")["Volumes"] or []
        return {r["Name"] for r in rows
                if os.path.exists(os.path.join(r["Mountpoint"], MARK))}

    def has_image(self, name, recipe):
        try:
            image = self.call("GET", f"/images/{name}/json")
        except RuntimeError:
            return False
        return ((image["Config"] or {}).get("Labels") or {}).get("berth-test.recipe") == recipe

    def remove_image(self, name):
        """podman says 500 while a container of it is just going."""
        def removed():
            try:
                self.call("DELETE", f"/images/{name}?force=1", ok=(200, 404))
            except RuntimeError as error:
                said.append(error)
                return False
            return True
        said = []
        wait_for(removed, 10, lambda: said[-1])
