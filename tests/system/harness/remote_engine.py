"""An engine as on another machine: by TCP with TLS, on the loopback."""
import subprocess

from .private_engine import PrivateEngine
from .sshd import free_port

BRIDGE = "bt-remote"


class RemoteEngine(PrivateEngine):
    """In the tests' network namespace, for they connect to it; a bridge of its own keeps it from
    deleting the other engine's. Its unix socket is the tests' alone."""

    def __init__(self, workdir, name, group, authority):
        self.authority = authority
        self.port = free_port()
        self.server = authority.issue(name, "serverAuth")
        self.client = authority.issue(name + "-client", "clientAuth")
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", "172.31.253.1/24", "dev", BRIDGE], check=True)
        super().__init__(workdir, name, group)

    def unshare_options(self):
        return ["-m"]

    def nsenter_options(self):
        return ["--mount"]

    def network_options(self):
        cert, key = self.server
        return ["--bridge", BRIDGE, "--ip-forward=false", "--ip-masq=false",
                "-H", f"tcp://127.0.0.1:{self.port}", "--tlsverify",
                "--tlscacert", self.authority.cert, "--tlscert", cert, "--tlskey", key]

    def address(self, authority=None, client=None, host="127.0.0.1"):
        """berth.conf's engine section."""
        cert, key = client or self.client
        return {"endpoint": f"tcp://{host}:{self.port}",
                "tls_ca": (authority or self.authority).cert, "tls_cert": cert, "tls_key": key}

    def close(self):
        super().close()
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
