"""A user database that says what a test wants, for one sshd and what it starts.

nss.c is built as a module of the C library's and put into a namespace with an nsswitch.conf
that asks it first; the machine's own accounts stay there beside it.
"""
import os
import subprocess

from .client import need
from .mounts import Mounts

UID = 54399         # the odd account's, and nobody's else here
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nss.c")


class Nss:
    def __init__(self, syslog, folder, gid):
        self.control = os.path.join(folder, "control")
        os.makedirs(self.control)
        # Where the loader looks: the directories it knows, and this one.
        conf, cache = os.path.join(folder, "ld.so.conf"), os.path.join(folder, "ld.so.cache")
        with open(conf, "w") as f:
            f.write(f"include /etc/ld.so.conf\n{folder}\n")
        subprocess.run([need("gcc"), "-O1", "-Wall", "-Werror", "-shared", "-fPIC",
                        f'-DCONTROL="{self.control}"', f"-DODD_UID={UID}", f"-DODD_GID={gid}",
                        "-o", os.path.join(folder, "libnss_berthtest.so.2"), SOURCE], check=True)
        subprocess.run(["ldconfig", "-X", "-C", cache, "-f", conf], check=True)
        switch = os.path.join(folder, "nsswitch.conf")
        with open(switch, "w") as f:
            f.write("passwd: berthtest files\ngroup: berthtest files\nshadow: files\n")
        self.mounts = Mounts(syslog, [(switch, "/etc/nsswitch.conf"), (cache, "/etc/ld.so.cache")])

    def wrap(self, argv):
        return self.mounts.wrap(argv)

    def hang(self, what, key):
        """Asked by the helper, or the administrator's tool, for the "passwd" entry of a uid or a
        name, or the "group"s of a name, it never answers."""
        open(os.path.join(self.control, f"hang-{what}-{key}"), "w").close()

    def say(self, name, home="/"):
        """Who the odd account is: bytes, or text."""
        for key, value in (("name", name), ("home", home)):
            with open(os.path.join(self.control, key), "wb") as f:
                f.write(value if isinstance(value, bytes) else value.encode())

    def reset(self):
        for name in os.listdir(self.control):
            os.unlink(os.path.join(self.control, name))
