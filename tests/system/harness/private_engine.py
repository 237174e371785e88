"""An engine of the tests' own, to be stopped, killed and started again."""
import json
import os
import signal
import subprocess

from . import images
from .engine import CGROUPS, Engine
from .wait import wait_for


def _dead(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class PrivateEngine:
    """In a network namespace of its own: two engines in one delete each other's bridges. Started
    again it finds the mounts that it left, as on any machine."""

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
        self.holder = self._make_namespaces()
        self.start()

    def _make_namespaces(self):
        script = 'ip link set lo up; '
        if self.remap:
            # The machine's own files stay as they are.
            ids = os.path.join(self.dir, "subids")
            with open(ids, "w") as f:
                f.write(f"daemon:{self.remap}:65536\n")
            script += "".join(f"mount --bind '{ids}' /etc/{name}; "
                              for name in ("subuid", "subgid"))
        holder = subprocess.Popen(["unshare", *self.unshare_options(), "sh", "-ec",
                                   script + "echo; exec cat"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        assert holder.stdout.readline() == b"\n", f"no namespaces: {self.tail()}"
        return holder

    def unshare_options(self):
        return ["-n", "-m"]

    def nsenter_options(self):
        return ["--net", "--mount"]

    def network_options(self):
        return ["--bridge", "none"]

    def start(self):
        argv = ["dockerd", "--config-file", self.config, "--data-root", self.dir + "/data",
                "--exec-root", self.dir + "/exec", "--pidfile", self.pidfile,
                "-H", "unix://" + self.path, "--group", self.group, *self.network_options(),
                "--iptables=false", "--storage-driver", "overlay2", *CGROUPS]
        if self.remap:
            argv += ["--userns-remap", "daemon"]
        self.process = subprocess.Popen(
            ["nsenter", f"--target={self.holder.pid}", *self.nsenter_options(), "--"] + argv,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
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

    def die_in_removal(self, ident):
        """And start again: as if it had been killed while it was removing a container. It has
        that one as dead then, and leaves the rest to who wants it removed. It is an old one, too.
        Newer engines than 20.10 write no RemovalInProgress down."""
        self.stop()
        path = os.path.join(self.dir, "data/containers", ident, "config.v2.json")
        with open(path) as f:
            config = json.load(f)
        config["State"].update(RemovalInProgress=True, Dead=True)
        config["Created"] = "2020-01-01T00:00:00Z"
        with open(path, "w") as f:
            json.dump(config, f)
        self.start()
        assert self.engine.inspect(ident)["State"]["Dead"]

    def close(self):
        if self.process.poll() is None:
            self.stop()
        self.holder.communicate()       # with its end the namespaces and their mounts go
        self.log.close()
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if self.dir in line]
        for mount in sorted(mounts, reverse=True):
            subprocess.run(["umount", "-l", mount], capture_output=True)
