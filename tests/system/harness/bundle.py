"""The bundled sftp-server of the installed tree, made of a copy that a test may "upgrade"."""
import os
import shutil
import subprocess

HOST = "/usr/lib/openssh/sftp-server"


class Bundle:
    def __init__(self, world):
        self.berth = os.path.join(world.prefix, "sbin/berth")
        self.folder = os.path.join(world.prefix, "libexec/berth/guest")
        self.path = os.path.join(self.folder, "sftp")
        self.copy = os.path.join(world.dir, "sftp-server")
        self.world = world
        shutil.copy(HOST, self.copy)
        self.known = self.directories()
        self.make(self.copy)

    def make(self, path):
        subprocess.run([self.berth, "bundle", "--sftp-server", path], check=True,
                       stdout=subprocess.DEVNULL, timeout=30)

    def directories(self):
        return {n for n in os.listdir(self.folder) if n.startswith("sftp-")}

    def link(self):
        return os.readlink(self.path)

    def remove(self):
        os.unlink(self.path)

    def upgrade(self):
        """As a package's: another file of that name."""
        shutil.copy(HOST, self.copy + ".new")
        os.rename(self.copy + ".new", self.copy)

    def check(self):
        """What berth check says of it."""
        got = self.world.berth("check", "--user", "nobody")
        return "\n".join(line for line in got.stdout.splitlines() if "sftp" in line)

    def close(self):
        self.make(HOST)
        os.unlink(self.copy)
        # The one before would only be removed by a later change.
        for name in self.directories() - self.known - {self.link()}:
            shutil.rmtree(os.path.join(self.folder, name))
