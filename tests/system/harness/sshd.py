"""A private sshd on 127.0.0.1 and berth's configuration for it."""
import os
import re
import socket
import subprocess
import time

from .wait import wait_for

PLAIN = "bt-plain"

# What 50-berth.conf shuts, for Match User in place of Match Group (the group is the admin's).
DOORS = """\
  AllowTcpForwarding no
  AllowStreamLocalForwarding no
  AllowAgentForwarding no
  X11Forwarding no
  PermitTunnel no
  GatewayPorts no
  PermitUserRC no
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


class Sshd:
    def __init__(self, workdir, users, helper, config, syslog, bare, extra="", doors=DOORS):
        """`extra` ends sshd_config; {dir} in it is workdir. `doors` is what is shut."""
        self.dir, self.port = workdir, free_port()
        self.log = os.path.join(workdir, "sshd.log")
        self.key = os.path.join(workdir, "id")
        self.known_hosts = os.path.join(workdir, "known_hosts")
        self.conf = os.path.join(workdir, "sshd_config")
        self.force = f"{helper} --config {config}"
        keygen(self.key)
        hostkey = os.path.join(workdir, "host_key")
        keygen(hostkey)
        with open(hostkey + ".pub") as f:
            public = " ".join(f.read().split()[:2])
        with open(self.known_hosts, "w") as f:
            f.write(f"* {public}\n")
        os.mkdir(os.path.join(workdir, "keys"), 0o755)
        for name in users:
            self.authorize(name)
        mapped = ",".join(n for n in users if n != PLAIN)
        many = " ".join(f"BT_{i}=v{i}" for i in range(900))
        force = "" if bare else f"  ForceCommand exec {self.force}\n"
        with open(self.conf, "w") as f:
            # A third of a login's time, and of the processors', goes into that key exchange.
            f.write(f"""\
Port {self.port}
KexAlgorithms -sntrup761*
ListenAddress 127.0.0.1
HostKey {hostkey}
PidFile none
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {workdir}/keys/%u
AllowUsers bt-*
MaxStartups 200
MaxSessions 400
LogLevel VERBOSE
AcceptEnv LANG LC_* BT_*
PrintMotd no
PrintLastLog no
UseDNS no
Subsystem sftp internal-sftp
Match User bt-env
  SetEnv {many}
Match User bt-forge
  SetEnv USER=bt-bash LOGNAME=bt-bash HOME=/nonexistent
Match User {mapped},bt-twin
{doors}{force}{extra.format(dir=workdir)}""")
        os.makedirs("/run/sshd", exist_ok=True)
        test = subprocess.run(["/usr/sbin/sshd", "-t", "-f", self.conf],
                              capture_output=True, text=True)
        assert test.returncode == 0, f"sshd -t: {test.stderr}"
        self.process = subprocess.Popen(
            syslog.wrap(["/usr/sbin/sshd", "-D", "-f", self.conf, "-E", self.log]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._listens, 10, lambda: "sshd listening; its log: " + self.tail())

    def authorize(self, name):
        path = os.path.join(self.dir, "keys", name)
        with open(self.key + ".pub") as src, open(path, "w") as f:
            f.write(src.read())
        os.chmod(path, 0o644)

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def mark(self):
        return os.path.getsize(self.log) if os.path.exists(self.log) else 0

    def tail(self, mark=0):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, "rb") as f:
            f.seek(mark)
            return f.read()[-6000:].decode("utf-8", "backslashreplace")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def quoted(value):
    """A libconfuse string: double quotes expand ${}, so single ones, with \\ and ' escaped."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(quoted(v) for v in value) + "}"
    return "'" + re.sub(r"([\\'])", r"\\\1", str(value)) + "'"


def section(name, options, title=None):
    head = name if title is None else f'{name} "{title}"'
    lines = [f"    {k} = {quoted(v)}" for k, v in options.items()]
    return head + " {\n" + "\n".join(lines) + "\n}\n"


# A build for gcov (tests/coverage): what runs in a container writes there, too.
GCOV = os.environ.get("BERTH_TEST_GCOV")


class Conf:
    """Writes berth.conf; the helper reads it at each login."""

    def __init__(self, path, runtime_dir, endpoint, image):
        self.path, self.runtime_dir = path, runtime_dir
        self.endpoint, self.image = endpoint, image
        self.channel = None     # None: not said, the built-in default
        self.scope = None

    def text(self, users=None, engine=None, runtime_dir=None, groups=None, **defaults):
        defaults.setdefault("image", self.image)
        if self.channel:
            defaults.setdefault("channel", self.channel)
        if self.scope:
            defaults.setdefault("scope", self.scope)
            defaults.setdefault("linger", "0")
            defaults.setdefault("hangup_grace", "0")
        if GCOV:
            defaults["mounts"] = [f"{GCOV}:{GCOV}", *defaults.get("mounts", [])]
        engine = {"endpoint": self.endpoint, **(engine or {})}
        parts = [f"runtime_dir = {quoted(runtime_dir or self.runtime_dir)}\n",
                 section("engine", engine), section("defaults", defaults)]
        for pattern, options in (groups or {}).items():
            parts.append(section("group", options, pattern))
        for pattern, options in (users if users is not None else {"bt-*": {}}).items():
            parts.append(section("user", options, pattern))
        return "".join(parts)

    def write(self, **kw):
        self.raw(self.text(**kw))

    def raw(self, text, mode=0o644):
        data = text if isinstance(text, bytes) else text.encode()
        temporary = f"{self.path}.{time.monotonic_ns()}"
        with open(temporary, "wb") as f:
            f.write(data)
        os.chmod(temporary, mode)
        os.rename(temporary, self.path)
