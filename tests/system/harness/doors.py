"""An sshd with PAM's lines of pam_berth(8) and 50-berth.conf as they are installed, users for
it, and traps that show whether anything of a user's ran on the host."""
import os
import re
import shutil
import subprocess

from . import users as users_module
from .client import Client, Login
from .sshd import Conf, Sshd, free_port
from .wait import wait_for

# name -> (login shell, None for berth-shell; in the engine's group)
USERS = {
    "bt-door": (None, False),         # as the README has it: berth-shell and ForceCommand
    "bt-alone": (None, False),        # berth-shell without ForceCommand
    "bt-unmapped": (None, False),     # berth-shell, and berth.conf has nothing for him
    "bt-forced": ("/bin/bash", True),   # ForceCommand alone
    "bt-loose": ("/bin/bash", False),   # mapped, but no Match is his
    "bt-open": ("/bin/bash", True),     # no berth at all: where every trap must spring
}
MAPPED = {"bt-door*": {}, "bt-alone": {}, "bt-forced": {}, "bt-loose": {}}

TRAP = r"""
#include <fcntl.h>
#include <unistd.h>
static void spring(void) { close(open(MARK, O_WRONLY | O_CREAT, 0666)); }
__attribute__((constructor)) static void loaded(void) { spring(); }
unsigned la_version(unsigned version) { spring(); return version; }
"""


def module_of(world):
    found = [os.path.join(root, "pam_berth.so") for root in
             (os.path.join(world.prefix, "lib/security"), "/lib/security",
              "/lib/x86_64-linux-gnu/security", "/lib/aarch64-linux-gnu/security")]
    found = [path for path in found if os.path.exists(path)]
    assert found, f"no pam_berth.so below {world.prefix}"
    return found[0]


class Doors:
    """What all such sshds share."""

    def __init__(self, world):
        self.world = world
        self.shell = os.path.join(os.path.dirname(world.helper), "berth-shell")
        self.module = module_of(world)
        self.dir = os.path.join(world.dir, "doors")
        self.marks = os.path.join(self.dir, "marks")
        for path in (self.dir, self.marks, os.path.join(self.dir, "etc-berth")):
            os.mkdir(path, 0o755)
        os.chmod(self.marks, 0o1777)
        # Where the programs look; the mount covers it for our sshds alone.
        self.config_dir = os.path.join(world.prefix, "etc/berth")
        if not os.path.isdir(self.config_dir):
            self.config_dir = "/etc/berth" if world.prefix == "/usr" else self.config_dir
        self.made = not os.path.isdir(self.config_dir)
        os.makedirs(self.config_dir, exist_ok=True)
        self.conf = Conf(os.path.join(self.dir, "etc-berth/berth.conf"), world.runtime,
                         "unix://" + world.socket, world.conf.image)
        for name, (shell, engine) in USERS.items():
            self.make(name, shell, engine)
        self.trap = self.compile("trap.so", TRAP, "-shared", "-fPIC",
                                 f'-DMARK="{self.marks}/loaded"')
        self.sshds = []

    def make(self, name, shell=None, engine=False, extra=()):
        users_module.make(name, shell or self.shell,
                          self.world.engine_group if engine else None, extra)
        self.world.sshd.authorize(name)

    def compile(self, name, source, *options):
        path = os.path.join(self.dir, name)
        subprocess.run(["gcc", "-O1", "-o", path, *options, "-x", "c", "-"], input=source.encode(),
                       check=True)
        os.chmod(path, 0o755)
        return path

    def stack(self, groups, argument=""):
        """The machine's own lines of sshd, and pam_berth's where its manual wants them; the
        session line's has that argument."""
        with open("/etc/pam.d/sshd") as f:
            # What it says to a shell on the host is in the way of comparisons.
            own = re.sub(r"(?m)^session.*pam_motd.*\n", "", f.read())
        return (f"auth required {self.module} groups={groups}\n"
                f"account required {self.module}\n{own}\n"
                f"session required {self.module} {argument}\n")

    def block(self, users, force=True, variant=""):
        """50-berth.conf, or a variant of it, for these users in place of its group."""
        path = os.path.join(self.world.prefix, "etc/ssh/sshd_config.d/50-berth.conf" + variant)
        with open(path) as f:
            text = f.read()
        text = text.replace("Match Group berth", "Match User " + users)
        return text if force else re.sub(r"(?m)^ *ForceCommand.*\n", "", text)

    def sshd(self, **kw):
        it = PamSshd(self, **kw)
        self.sshds.append(it)
        return it

    def home(self, user, name, text, mode=0o644):
        """A file that the user wrote into his home directory."""
        path = os.path.join("/home", user, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        uid = self.world.uid(user)
        while path != f"/home/{user}":
            os.chown(path, uid, -1)
            path = os.path.dirname(path)

    def clean_homes(self):
        for user in USERS:
            shutil.rmtree(f"/home/{user}", ignore_errors=True)
            os.mkdir(f"/home/{user}", 0o755)
            os.chown(f"/home/{user}", self.world.uid(user), -1)

    def sprung(self):
        return sorted(os.listdir(self.marks))

    def reset(self):
        for name in self.sprung():
            os.unlink(os.path.join(self.marks, name))

    def close(self):
        for sshd in self.sshds:
            sshd.stop()
        names = list(USERS) + ["bt-doortwin"]
        for row in self.world.engine.containers(names):
            self.world.engine.remove(row["Id"])
        for name in names:
            users_module.remove(name)
        if self.made:
            os.rmdir(self.config_dir)


class PamSshd(Sshd):
    """Its own mount namespace has the PAM stack, berth.conf and, where wanted, an sshrc."""

    def __init__(self, doors, sshrc=None, groups=None, stack=None, options="", name="door",
                 xauth=None):
        """`options` end with a Match of their own or none; `xauth` in place of a trap."""
        world = doors.world
        self.dir, self.port, self.key = world.dir, free_port(), world.sshd.key
        self.known_hosts = world.sshd.known_hosts
        self.log = os.path.join(doors.dir, f"{name}.{self.port}.log")
        self.conf = os.path.join(doors.dir, f"{name}.{self.port}.conf")
        pam = os.path.join(doors.dir, f"{name}.{self.port}.pam")
        with open(pam, "w") as f:
            f.write(stack or doors.stack(groups or world.group_name()))
        self.xauth = os.path.join(doors.dir, "xauth")
        with open(self.xauth, "w") as f:
            f.write(f"#!/bin/sh\n: >{doors.marks}/xauth\n")
        os.chmod(self.xauth, 0o755)
        with open(self.conf, "w") as f:
            f.write(f"""\
Port {self.port}
ListenAddress 127.0.0.1
HostKey {world.dir}/host_key
PidFile none
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {world.dir}/keys/%u
AllowUsers bt-*
LogLevel VERBOSE
PrintMotd no
PrintLastLog no
UseDNS no
Subsystem sftp /usr/lib/openssh/sftp-server
X11Forwarding yes
XAuthLocation {xauth or self.xauth}
{options}
{doors.block("bt-door,bt-doortwin,bt-forced,bt-unmapped")}
{doors.block("bt-alone", force=False)}
""")
        mounts = [pam, "/etc/pam.d/sshd", os.path.join(doors.dir, "etc-berth"), doors.config_dir]
        if sshrc is not None:
            etc = os.path.join(doors.dir, f"etc-ssh.{self.port}")
            shutil.copytree("/etc/ssh", etc)
            with open(os.path.join(etc, "sshrc"), "w") as f:
                f.write(sshrc)
            mounts += [etc, "/etc/ssh"]
        test = subprocess.run(["/usr/sbin/sshd", "-t", "-f", self.conf], capture_output=True,
                              text=True)
        assert test.returncode == 0, f"sshd -t: {test.stderr}"
        script = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done; ' \
                 'shift; exec "$@"'
        self.process = subprocess.Popen(
            world.syslog.wrap(["sh", "-c", script, "sh", *mounts, "--", "/usr/sbin/sshd", "-D",
                               "-f", self.conf, "-E", self.log]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = Client(self)
        wait_for(self._listens, 10, lambda: "sshd listening; its log: " + self.tail())

    def login(self, user):
        return Login(self.client, user, "busybox")
