"""An engine of the tests' own, to be stopped, killed and started again."""
import json
import os
import signal
import subprocess

from . import images
from .engine import Engine
from .wait import wait_for


def _dead(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class PrivateEngine:
    """In a network namespace of its own: two engines in one delete each other's bridges."""

    def __init__(self, workdir, name, group, remap=None, **config):
        """With `remap` root inside is that uid outside, and the ids above it."""
        self.dir = os.path.join(workdir, name)
        os.makedirs(self.dir)
        self.path = os.path.join(self.dir, "docker.sock")
        self.pidfile = os.path.join(self.dir, "pid")
        self.group = group
        self.remap = remap
        self.config = os.path.join(self.dir, "daemon.json")
        with open(self.config, "w") as f:
            json.dump(config, f)
        self.containerd_pid = self.dir + "/exec/containerd/containerd.pid"
        self.engine = Engine(self.path)
        self.process = None
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.start()

    def start(self):
        argv = ["dockerd", "--config-file", self.config, "--data-root", self.dir + "/data",
                "--exec-root", self.dir + "/exec", "--pidfile", self.pidfile,
                "-H", "unix://" + self.path, "--group", self.group, "--bridge", "none",
                "--iptables=false", "--storage-driver", "overlay2"]
        script = 'ip link set lo up; exec "$@"'
        if self.remap:
            # The machine's own files stay as they are.
            ids = os.path.join(self.dir, "subids")
            with open(ids, "w") as f:
                f.write(f"daemon:{self.remap}:65536\n")
            argv += ["--userns-remap", "daemon"]
            script = "".join(f"mount --bind '{ids}' /etc/{name}; "
                             for name in ("subuid", "subgid")) + script
        self.process = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", script, "sh"] + argv,
                                        stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        wait_for(self._up, 30, lambda: f"private engine; its log: {self.tail()}")

    def _up(self):
        assert self.process.poll() is None, f"dockerd ended: {self.tail()}"
        return self.engine.alive()

    def tail(self):
        with open(os.path.join(self.dir, "log"), "rb") as f:
            return f.read()[-2000:].decode("utf-8", "backslashreplace")

    def add_busybox(self):
        images.import_image(self.engine, images.BUSYBOX, images.busybox_tar())

    def kill(self):
        """kill -9. Its containerd dies with it, but stays a zombie where PID 1 reaps late, and a
        new dockerd would wait for that one by its pid file."""
        with open(self.containerd_pid) as f:
            pid = int(f.read())
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: _dead(pid), 10, "containerd dead")
        os.unlink(self.containerd_pid)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        if self.process.poll() is None:
            self.stop()
        self.log.close()
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if self.dir in line]
        for mount in sorted(mounts, reverse=True):
            subprocess.run(["umount", "-l", mount], capture_output=True)
