"""A client's agent."""
import os
import subprocess

from .client import need
from .sshd import keygen
from .wait import wait_for


class Agent:
    """A real one, with one key."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, name + ".socket")
        self.key = os.path.join(folder, name)
        keygen(self.key)
        self.process = subprocess.Popen([need("ssh-agent"), "-D", "-a", self.path],
                                        stdout=subprocess.DEVNULL)
        self.env = {**os.environ, "SSH_AUTH_SOCK": self.path}
        wait_for(lambda: os.path.exists(self.path), 5, "an agent")
        subprocess.run(["ssh-add", "-q", self.key], env=self.env, check=True)
        with open(self.key + ".pub") as f:
            self.public = " ".join(f.read().split()[:2])

    def close(self):
        self.process.terminate()
        self.process.wait()
