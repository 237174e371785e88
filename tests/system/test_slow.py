"""Clients that read slowly: nothing of the output's tail is lost, memory stays bounded.

paramiko offers a window of 32 KiB here, so that a reader which stands still stalls sshd and
the helper at once; the ssh command would swallow 2 MiB first.
"""
import hashlib
import os
import subprocess
import threading
import time

import pytest

from harness import data, images, procs
from harness.client import Proxy
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")
plain = pytest.mark.plain
WINDOW = 32768
STALL = 15
SIZES = [1_300_000, 1_400_000, 1_500_000, 5_000_000, 64_000_000]


class Reader(threading.Thread):
    """One connection: runs a command, stands still or trickles, reads on; keeps the digest."""

    def __init__(self, login, command, stall=0.0, rate=None, ready=None):
        super().__init__(daemon=True)
        self.login, self.command, self.stall, self.rate = login, command, stall, rate
        self.digest, self.size, self.status, self.error = hashlib.sha256(), 0, None, None

    def run(self):
        try:
            transport = self.login.transport(window=WINDOW)
            try:
                self._read(transport.open_session())
            finally:
                transport.close()
        except Exception as error:  # told by the test
            self.error = error

    def _read(self, channel):
        channel.settimeout(60)
        channel.exec_command(self.command)
        self._take(channel, 1)
        # The stall is what is tested: the command ends behind it.
        time.sleep(self.stall)
        start = time.monotonic()
        while self._take(channel, 2000 if self.rate else 1 << 16):
            if self.rate:
                time.sleep(max(0, start + self.size / self.rate - time.monotonic()))
        self.status = channel.recv_exit_status()

    def _take(self, channel, size):
        block = channel.recv(size)
        self.digest.update(block)
        self.size += len(block)
        return block


@pytest.fixture
def stream(world, data_dir):
    """Mounts 64 MB of data; gives (path inside, digest of the first n bytes)."""
    path = data.make_file(os.path.join(data_dir, "stream"), SIZES[-1])
    world.conf.write(users={"bt-bash": {"image": images.BUSYBOX},
                            "bt-dash": {"image": images.GLIBC}},
                     mounts=[f"{data_dir}:/data:ro"])
    with open(path, "rb") as f:
        content = f.read()
    return ("/data/stream" if not world.bare else path,
            lambda n: hashlib.sha256(content[:n]).hexdigest())


@pytest.mark.channels("direct", "attach", "exec")
@plain
@pytest.mark.slow
def test_slow_readers_lose_nothing(world, stream):
    """All at once, to spare the clock: five sizes with a long stall in both images, and some at
    20 kB/s; while all stall, no helper has more than its bound in memory."""
    path, digest = stream
    # Shorter where no engine can lose anything: sshd's pipe just fills.
    stall, trickle = (5, 150000) if world.as_on_a_host() else (STALL, 500000)
    readers = {}
    for user, image in (("bt-bash", "busybox"), ("bt-dash", "glibc")):
        for size in SIZES:
            readers[f"{size} stalled, {image}"] = (
                size, Reader(world.login(user), f"head -c {size} {path}; exit 3", stall=stall))
        readers[f"{trickle} trickled, {image}"] = (
            trickle, Reader(world.login(user), f"head -c {trickle} {path}; exit 3", rate=20000))
    for _, reader in readers.values():
        reader.start()
    wait_for(lambda: all(r.size or r.error for _, r in readers.values()), 30,
             "first byte on every connection")
    largest = 0
    end = time.monotonic() + stall * 2 / 3
    while time.monotonic() < end and not world.bare:
        pids = world.helpers("bt-bash") + world.helpers("bt-dash")
        for pid in pids:
            try:
                largest = max(largest, procs.rss(pid))
            except (FileNotFoundError, ProcessLookupError):
                pass
        time.sleep(0.2)
    for _, reader in readers.values():
        reader.join(90)
    wrong = [f"{name}: {r.size} of {size} bytes, status {r.status}, {r.error}"
             for name, (size, r) in readers.items()
             if (r.size, r.status, r.digest.hexdigest()) != (size, 3, digest(size))]
    assert not wrong, "\n".join(wrong)
    assert largest < world.memory_bound(), f"{largest} bytes resident in a helper"


@plain
@pytest.mark.slow
@pytest.mark.parametrize("stall", [1.0, 2.2, 3.5])
def test_shorter_stalls(world, stream, stall):
    """The engine's drain limit is about 2 s: around it the tail was seen cut."""
    path, digest = stream
    readers = [(size, Reader(world.login(), f"head -c {size} {path}", stall=stall))
               for size in SIZES[:4] for _ in range(2)]
    for _, reader in readers:
        reader.start()
    for _, reader in readers:
        reader.join(60)
    wrong = [f"{r.size} of {size}, status {r.status}, {r.error}" for size, r in readers
             if (r.size, r.status, r.digest.hexdigest()) != (size, 0, digest(size))]
    assert not wrong, "\n".join(wrong)


@plain
@pytest.mark.slow
def test_the_ssh_command_stopped(world, stream):
    """A pipe that nobody reads: ssh's own window, sshd and the helper fill up in turn."""
    path, digest = stream
    proc = world.login().start(f"cat {path}; exit 3", stdin=subprocess.DEVNULL)
    hasher = hashlib.sha256(proc.stdout.read(1000))
    time.sleep(4)
    if not world.bare:
        assert procs.rss(world.one_helper()) < world.memory_bound()
    while block := proc.stdout.read(1 << 20):
        hasher.update(block)
    assert proc.wait(10) == 3
    assert hasher.hexdigest() == digest(SIZES[-1])
    proc.stderr.close()


@plain
def test_stderr_read_last(login):
    """A client that reads stdout to its end before it touches stderr."""
    proc = login.start("echo out; head -c 1000000 /dev/zero >&2; exit 2", stdin=subprocess.DEVNULL)
    assert proc.stdout.read(4) == b"out\n"
    time.sleep(2.5)
    assert len(proc.stderr.read()) == 1000000
    assert proc.wait(10) == 2
    proc.stdout.close()


@plain
@pytest.mark.slow
def test_stalled_sftp_download(world, data_dir, tmp_path):
    """An sftp get of 200 MB whose TCP stands still in the middle: memory bounded, sum right."""
    size = 200_000_000
    path = data.make_file(os.path.join(data_dir, "sftp"), size)
    world.conf.write(image=images.GLIBC, mounts=[f"{data_dir}:/data:ro"], user="4242:4242")
    inside = path if world.bare else "/data/sftp"
    proxy = Proxy(world.sshd.port)
    proxy.pause_after = 50_000_000
    target = os.path.join(world.dir, "sftp.out")
    proc = subprocess.Popen(
        ["sftp", "-q", "-R", "256", "-B", "32768"] + world.client.options(proxy.port)
        + [f"bt-bash@127.0.0.1:{inside}", target],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(lambda: proxy.down >= 50_000_000 or proc.poll() is not None, 30,
             lambda: f"50 MB; {proxy.down} came")
    assert proc.poll() is None, proc.stdout.read()
    largest = 0
    end = time.monotonic() + 4
    while time.monotonic() < end and not world.bare:
        largest = max([largest] + [procs.rss(p) for p in world.helpers()])
        time.sleep(0.1)
    assert not proxy.flowing.is_set()
    proxy.flowing.set()
    out, _ = proc.communicate(timeout=60)
    proxy.close()
    assert proc.returncode == 0, out
    assert data.sha256(target) == data.sha256(path)
    os.unlink(target)
    assert world.bare or 0 < largest < world.memory_bound()
