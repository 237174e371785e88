"""A machine of a test's own: a Debian fresh from its packages, in namespaces, so that accounts,
PAM stack, ports, services and engine of the machine that runs the tests stay as they are."""
import hashlib
import os
import shutil
import subprocess

from . import directory, images, procs, readme
from .engine import CGROUPS, Engine
from .wait import wait_for

INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fresh-root-init")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEY = "/root/key"
ASKPASS = "/root/askpass"
# What is installed of berth, below its prefix.
INSTALLED = ("libexec/berth", "sbin/berth", "share/berth", "lib/security/pam_berth.so",
             "etc/ssh/sshd_config.d/50-berth.conf")


def packages():
    """What README says that berth and its build need, sshd, an engine, and what the tests of
    directories want."""
    script = '. "$1/.ci/machine.sh" && printf "%s " "${build_packages[@]}"'
    build = subprocess.run(["bash", "-c", f"me=x work=x top=$1; {script}", "bash", readme.TOP],
                           check=True, capture_output=True, text=True).stdout.split()
    return build + ["libcurl4", "openssh-server", "docker.io", "systemd"] + \
        list(directory.PACKAGES)


def recipe():
    """One word that changes with the packages."""
    return hashlib.sha256(" ".join(packages()).encode()).hexdigest()[:12]


def base(folder):
    """What fresh roots start from, made there unless it is there: Debian's smallest system and
    those packages, none of whose services ran. Needs the archive; the roots have no network."""
    path = os.path.join(folder, "base-" + recipe())
    if os.path.exists(path):
        return path
    half = path + ".half"
    shutil.rmtree(half, ignore_errors=True)
    images.mmdebstrap(half, packages(), "--dpkgopt=force-unsafe-io",
                      "--dpkgopt=path-exclude=/usr/share/man/*",
                      "--dpkgopt=path-exclude=/usr/share/doc/*",
                      '--aptopt=Acquire::Languages "none"')
    os.chmod(half, 0o755)
    os.rename(half, path)
    return path


class FreshRoot:
    """One machine. Its files, as seen from outside, are below the path that outside() gives."""

    def __init__(self, workdir, name, base, log):
        """`log` is the socket that its /dev/log leads to."""
        self.dir = os.path.join(workdir, name)
        os.mkdir(self.dir, 0o755)
        self.out = open(os.path.join(self.dir, "out"), "ab+")
        # A session of its own: a Ctrl-C is for the tests, which then close its stdin.
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
             "sh", INIT, base, self.dir, log],
            stdin=subprocess.PIPE, stdout=self.out, stderr=self.out, start_new_session=True)
        self.init = None
        self.engine = None
        wait_for(self._up, 20, lambda: "a fresh root; it says: " + self.said())

    def _up(self):
        assert self.process.poll() is None, "no fresh root: " + self.said()
        self.init = (procs.children(self.process.pid) or [None])[0]
        return self.init and os.path.exists(self.outside("/run/fresh"))

    def said(self):
        """What its first process and the services that start() started print."""
        with open(self.out.name, "rb") as f:
            return f.read()[-4000:].decode("utf-8", "backslashreplace")

    def outside(self, path):
        return f"/proc/{self.init}/root{path}"

    def argv(self, command):
        """`command`, a list, or a string for its shell, to be run in there as root."""
        if isinstance(command, str):
            command = ["/bin/sh", "-c", command]
        return ["nsenter", f"--target={self.init}", "--mount", "--net", "--pid", "--uts", "--ipc",
                "--"] + command

    def environment(self, **more):
        return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive", **more}

    def run(self, command, check=True, timeout=60, input=None, env=None):
        """To its end; what it printed, as bytes."""
        feed = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        got = subprocess.run(self.argv(command), env=self.environment(**(env or {})),
                             capture_output=True, timeout=timeout, **feed)
        assert not check or got.returncode == 0, (
            f"in the fresh root: {command} ended with {got.returncode}:\n"
            f"{got.stdout[-2000:].decode()}\n{got.stderr[-2000:].decode()}")
        return got

    def start(self, command):
        """In the background, until it ends itself or the root does."""
        return subprocess.Popen(self.argv(command), env=self.environment(),
                                stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)

    def read(self, path):
        with open(self.outside(path), encoding="utf-8") as f:
            return f.read()

    def write(self, path, text, mode=0o644):
        """Makes the folders on the way."""
        folder = "/"
        for part in path.split("/")[1:-1]:
            folder = os.path.join(folder, part)
            if not os.path.isdir(self.outside(folder)):
                os.mkdir(self.outside(folder), 0o755)
        with open(self.outside(path), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.outside(path), mode)

    def exists(self, path):
        """Whatever it is; a link isn't followed: it would lead out."""
        return os.path.lexists(self.outside(path))

    def install(self, prefix):
        """A copy of the berth that the tests run with, at the same path."""
        names = [os.path.join(prefix, n)[1:] for n in INSTALLED
                 if os.path.exists(os.path.join(prefix, n))]
        with subprocess.Popen(["tar", "-C", "/", "-c", "--"] + names,
                              stdout=subprocess.PIPE) as tar:
            subprocess.run(self.argv(["tar", "-C", "/", "-x"]), stdin=tar.stdout, check=True)
        assert tar.returncode == 0
        # Where sshd of any prefix looks.
        drop_in = "etc/ssh/sshd_config.d/50-berth.conf"
        if prefix != "/usr":
            self.run(["ln", "-sf", os.path.join(prefix, drop_in), "/" + drop_in])

    # --- services --------------------------------------------------------

    def start_engine(self):
        """At the usual place, with the usual group. A network of the root's own has no
        firewall's rules to spoil and no bridge."""
        self.start(["dockerd", "--bridge", "none", "--iptables=false",
                    "--storage-driver", "overlay2", "-H", "unix:///run/docker.sock",
                    *CGROUPS])
        self.engine = Engine(self.outside("/run/docker.sock"))
        wait_for(self.engine.alive, 30, lambda: "an engine; it says: " + self.said())

    def add_image(self, name):
        """busybox, whatever the name says."""
        self.engine.add_image(name, images.busybox_tar())

    def start_sshd(self):
        """With the configuration that is there, on the usual port."""
        if not self.exists("/run/sshd"):
            os.mkdir(self.outside("/run/sshd"), 0o755)
        self.run(["/usr/sbin/sshd"])
        wait_for(lambda: self.exists("/run/sshd.pid"), 10,
                 lambda: "sshd's pid file; it says: " + self.said())

    def add_pam(self, lines):
        """To sshd's stack: pam_berth(8) says where. What is auth comes first, so that nothing
        skips it, and the rest last."""
        path = "/etc/pam.d/sshd"
        auth = [line for line in lines if line.startswith("auth")]
        rest = [line for line in lines if not line.startswith("auth")]
        self.write(path, "\n".join(auth + [self.read(path)] + rest) + "\n")

    def add_user(self, name, *options, shell="/bin/bash"):
        self.run(["useradd", "--create-home", "--shell", shell, "--password", "*",
                  *options, name])
        self.add_key(f"/home/{name}")

    def add_key(self, home):
        """The client's key, in a home directory that is made as root's: nothing in there is the
        login's to write."""
        if not self.exists(KEY):
            self.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY])
            self.run('echo "127.0.0.1 $(cat /etc/ssh/ssh_host_ed25519_key.pub)" '
                     ">/root/known_hosts")
            self.write(ASKPASS, '#!/bin/sh\nprintf "%s\\n" "$PASSWORD"\n', 0o755)
        self.write(f"{home}/.ssh/authorized_keys", self.read(KEY + ".pub"))
        self.run(["chown", "-R", "root:root", home])

    # --- logins ----------------------------------------------------------

    def ssh_argv(self, user, *command, password=None, opts=()):
        options = ["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR",
                   "-o", "UserKnownHostsFile=/root/known_hosts", "-o", "IdentitiesOnly=yes",
                   "-o", "NumberOfPasswordPrompts=1"]
        if password is None:
            options += ["-i", KEY, "-o", "BatchMode=yes"]
        else:
            options += ["-o", "PubkeyAuthentication=no"]
        return ["ssh"] + options + list(opts) + [f"{user}@127.0.0.1", "--"] + list(command)

    def ssh(self, user, *command, password=None, opts=(), timeout=40):
        """One login of the root's own ssh to its end, by key unless a password is said."""
        return self.run(self.ssh_argv(user, *command, password=password, opts=opts), check=False,
                        timeout=timeout, env=self._asking(password))

    def start_ssh(self, user, *command, password=None, opts=()):
        """The same in the background, until its stdin is closed where it reads that. To kill
        nsenter would leave ssh behind."""
        argv = self.ssh_argv(user, *command, password=password, opts=opts)
        return subprocess.Popen(self.argv(argv), env=self.environment(**self._asking(password)),
                                bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    @staticmethod
    def _asking(password):
        if password is None:
            return {}
        return {"SSH_ASKPASS": ASKPASS, "SSH_ASKPASS_REQUIRE": "force", "PASSWORD": password}

    # --- its end ---------------------------------------------------------

    def _mounted(self):
        with open("/proc/mounts", encoding="utf-8") as f:
            return [line for line in f if self.dir + "/" in line]

    def close(self):
        if self.engine is not None:
            # By the engine, so that no control group stays.
            for row in self.engine.call("GET", "/containers/json?all=1"):
                self.engine.remove(row["Id"])
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.out.close()
        assert not self._mounted(), "left mounted: " + "".join(self._mounted())
        shutil.rmtree(self.dir)
