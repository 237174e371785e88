"""What a run needs on this machine, and takes away again: a user, an image, an
sshd for each competitor, all below one folder."""
import io
import os
import pwd
import random
import grp
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid

USER = "berth-bench"
IMAGE = "berth-bench:busybox"


def busybox_tar(passwd):
    program = shutil.which("busybox")
    if program is None:
        raise SystemExit("bench: busybox is missing (apt-get install busybox-static)")
    names = subprocess.run([program, "--list"], check=True, capture_output=True,
                           text=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("proc", 0o755),
                           ("sys", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(program, "bin/busybox")
        for name in names:
            if name != "busybox":
                entry = tarfile.TarInfo("bin/" + name)
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
    return out.getvalue()


def wait_until(condition, seconds, what, error=SystemExit):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise error(f"bench: gave up waiting for {what}")
        time.sleep(0.02)


# Takes what is logged, and keeps none of it. It has as much room as systemd gives each socket of
# a machine, which the kernel by itself doesn't: a log line that finds none waits.
LOG = """
import os, socket, sys
with open("/proc/sys/net/unix/max_dgram_qlen", "w") as f:
    f.write("512")
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
line = bytearray(65536)
while True:
    log.recv_into(line)
"""


class Place:
    def __init__(self, engine):
        self.engine = engine
        self.sshds = {}     # port -> what starts it, its log, the process
        self.containers = []
        self.log = None
        self.made_user = self.made_run_sshd = self.made_dev_log = self.mounted = False
        # Not below /tmp: sshd refuses keys under a folder that others can write.
        self.dir = tempfile.mkdtemp(prefix="berth-bench.", dir="/var/lib")
        try:
            os.chmod(self.dir, 0o755)
            self._make_user()
            self._make_keys()
            # sftp-server wants to know its user.
            self.image = busybox_tar(
                b"root:x:0:0:root:/root:/bin/sh\n"
                b"%b:x:%d:%d::/:/bin/sh\n" % (USER.encode(), self.uid, self.gid))
            engine.import_image(*IMAGE.split(":"), self.image)
            self._make_files()
            self._make_log()
            if not os.path.isdir("/run/sshd"):
                os.mkdir("/run/sshd", 0o755)
                self.made_run_sshd = True
        except BaseException:
            self.close()
            raise

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def _make_user(self):
        try:
            pwd.getpwnam(USER)
            raise SystemExit(f"bench: a user {USER} is there already: another run? (userdel {USER})")
        except KeyError:
            pass
        gid = os.stat(self.engine.path).st_gid
        if gid == 0:
            raise SystemExit(f"bench: {self.engine.path} belongs to root's group")
        # dash reads no file of the home, so that every competitor starts alike.
        subprocess.run(["useradd", "--home-dir", self.path("home"), "--create-home",
                        "--shell", "/bin/sh", "--password", "*", "--user-group",
                        "--groups", grp.getgrgid(gid).gr_name, USER],
                       check=True, stdin=subprocess.DEVNULL)
        self.made_user = True
        self.uid = pwd.getpwnam(USER).pw_uid
        self.gid = pwd.getpwnam(USER).pw_gid

    def _make_keys(self):
        for name in ("host_key", "client_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)],
                           check=True)
        self.key = self.path("client_key")
        shutil.copyfile(self.key + ".pub", self.path("authorized_keys"))

    def _make_files(self):
        """The user's, in memory: what a disk does isn't the server's."""
        self.files = self.path("files")
        os.mkdir(self.files)
        subprocess.run(["mount", "-t", "tmpfs", "-o",
                        f"nosuid,nodev,mode=755,uid={self.uid},gid={self.gid}", "tmpfs",
                        self.files], check=True)
        self.mounted = True

    def _make_log(self):
        """A log that every sshd here has in /dev/log's place: a machine may have none, and
        another's would be full of it."""
        if not os.path.exists("/dev/log"):
            open("/dev/log", "w").close()
            self.made_dev_log = True
        path = self.path("log")
        self.log = subprocess.Popen(["unshare", "--net", sys.executable, "-c", LOG, path])
        wait_until(lambda: os.path.exists(path), 10, path)

    def sshd(self, name, lines=(), stack=None):
        """Starts an sshd with these lines more; its port. `stack` is its PAM's, which is
        nobody else's."""
        port = self._free_port()
        conf = self.write(f"sshd_config.{name}.{port}", "\n".join([
            "ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {self.path('host_key')}",
            "PidFile none", f"AuthorizedKeysFile {self.path('authorized_keys')}",
            f"AllowUsers {USER}", f"UsePAM {'yes' if stack else 'no'}", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "UseDNS no", "MaxStartups 100",
            "Subsystem sftp internal-sftp", *lines, ""]))
        over = {self.path("log"): "/dev/log"}
        if stack:
            # Another machine to berth: one user's containers of two of these have one name.
            over[self.write(f"machine.{name}", uuid.uuid4().hex + "\n")] = "/etc/machine-id"
            over[self.write(f"pam.{name}", stack)] = "/etc/pam.d/sshd"
        script = [f"mount --bind {ours} {theirs}" for ours, theirs in over.items()]
        script.append(f"exec /usr/sbin/sshd -D -e -f {conf}")
        self._listen(port, " && ".join(script), self.path(f"sshd.{name}.{port}.log"))
        return port

    def _listen(self, port, script, path):
        with open(path, "a") as log:
            process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)
        self.sshds[port] = script, path, process
        try:
            wait_until(lambda: self._listens(port), 10, f"sshd at {port}")
        except SystemExit as error:
            with open(path) as log:
                raise SystemExit(f"{error}: {log.read()[-500:]}") from None

    def renew(self, ports):
        """These sshds, as far as they are the bench's, are started anew: all logins of one may take
        some ms more than another's."""
        for port in self.sshds.keys() & ports:
            script, path, process = self.sshds[port]
            process.terminate()
            process.wait()
            self._listen(port, script, path)

    def _free_port(self):
        """Not one that a client may get: an sshd has to get it again (renew)."""
        with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
            end = int(f.read().split()[0])
        while True:
            port = random.randrange(max(1024, end - 20000), end)
            try:
                if port not in self.sshds:
                    socket.create_server(("127.0.0.1", port)).close()
                    return port
            except OSError:
                pass    # somebody's

    @staticmethod
    def _listens(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def own_folder(self, name):
        """The user's."""
        path = self.path(name)
        os.mkdir(path, 0o700)
        os.chown(path, self.uid, self.gid)
        return path

    def as_user(self, argv, data=b""):
        done = subprocess.run(argv, input=data, capture_output=True, user=self.uid, group=self.gid,
                              extra_groups=[], cwd="/")
        if done.returncode != 0:
            raise SystemExit(f"bench: {' '.join(argv)}: {done.stderr.decode()[-300:]}")

    def container(self, body):
        """One that runs until the end of the bench."""
        ident = self.engine.create(body)
        self.containers.append(ident)
        self.engine.start(ident)
        return ident

    def _user_processes(self):
        return subprocess.run(["pgrep", "-u", str(self.uid)], capture_output=True,
                              text=True).stdout.split()

    def close(self):
        for _, _, sshd in self.sshds.values():
            sshd.terminate()
            sshd.wait()
        for ident in self.containers:
            self.engine.remove(ident)
        if self.made_user:
            for pid in self._user_processes():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            wait_until(lambda: not self._user_processes(), 10, "the end of the user's processes")
            for row in self.engine.with_label(f"berth.uid={self.uid}"):
                self.engine.remove(row["Id"])
            subprocess.run(["userdel", USER], capture_output=True)
        if self.log:
            self.log.kill()
            self.log.wait()
        if self.made_dev_log:
            os.unlink("/dev/log")
        if self.mounted:
            subprocess.run(["umount", "-l", self.files], check=True)
        self.engine.remove_image(IMAGE)
        if self.made_run_sshd and not subprocess.run(["pgrep", "-x", "sshd"],
                                                     capture_output=True).stdout:
            os.rmdir("/run/sshd")
        shutil.rmtree(self.dir, ignore_errors=True)
