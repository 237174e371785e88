"""Transfers that break off, and go on where they were; and those for which there is no room."""
import os
import subprocess

import pytest

from harness import data, images
from harness.client import Proxy
from harness.transfers import box, lftp_argv, same, ssh_command, tool  # noqa: F401
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")

SIZE = 24 << 20
ENOUGH = 256 << 10      # has come when it breaks off; at 1 MB/s no machine is too slow for the rest


@pytest.fixture
def source(data_dir):
    return data.make_file(os.path.join(data_dir, "resumed"), SIZE)


@pytest.fixture
def proxy(world):
    it = Proxy(world.sshd.port)
    yield it
    it.close()


class By:
    """One client: how it begins, slowly, and how it goes on."""

    def __init__(self, box, source, back):
        self.box, self.options = box, box.client.options
        self.source, self.back = source, back
        self.there, self.mine = box.inside + "/up", "bt-bash@127.0.0.1:" + box.inside + "/up"


class BySftp(By):
    def argv(self, port, *options):
        return ["sftp", "-q", "-b", "-", *options, *self.options(port), "bt-bash@127.0.0.1"]

    def start(self, up, port):
        batch = f"put {self.source} {self.there}\n" if up else f"get {self.there} {self.back}\n"
        proc = subprocess.Popen(self.argv(port, "-l", "8000"), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        proc.stdin.write(batch.encode())
        proc.stdin.flush()
        return proc

    def resume(self, up):
        tool(*self.argv(None), input=f"reput {self.source} {self.there}\n" if up else
             f"reget {self.there} {self.back}\n")


class ByRsync(By):
    def argv(self, up, port, *options):
        ways = [self.source, self.mine] if up else [self.mine, self.back]
        return ["rsync", *options, "-e", " ".join(["ssh"] + self.options(port)), *ways]

    def start(self, up, port):
        return subprocess.Popen(self.argv(up, port, "--partial", "--inplace", "--bwlimit=1000"),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def resume(self, up):
        got = tool(*self.argv(up, None, "--append-verify", "--stats"))
        sent = next(line for line in got.stdout.splitlines() if line.startswith("Literal data:"))
        assert 0 < int(sent.split()[2].replace(",", "")) < SIZE, sent


class ByLftp(By):
    def script(self, up, flags=""):
        return f"put {flags} {self.source} -o {self.there}" if up else \
            f"get {flags} {self.there} -o {self.back}"

    def start(self, up, port):
        return subprocess.Popen(
            lftp_argv(self.box, "set net:limit-rate 1000000; " + self.script(up), port),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def resume(self, up):
        tool(*lftp_argv(self.box, self.script(up, "-c")))


def bytes_by_sftp(world):
    """Read and written, as the log has them."""
    found = world.syslog.wait(r'said="(?:forced )?close .* bytes read (\d+) written (\d+)"', world.resumed)
    return int(found[1]) + int(found[2])


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("by", [BySftp, ByRsync, ByLftp], ids=["sftp", "rsync", "lftp"])
def test_a_connection_lost_and_gone_on_with(world, box, source, proxy, tmp_path, by, up):
    """What had come is kept, inside as well, and not sent again."""
    there, back = os.path.join(box.host, "up"), str(tmp_path / "back")
    if not up:
        subprocess.run(["cp", source, there], check=True)
        os.chown(there, 4242, -1)
    client, target = by(box, source, back), there if up else back
    proc = client.start(up, proxy.port)
    wait_for(lambda: proc.poll() is not None or
             os.path.exists(target) and os.path.getsize(target) > ENOUGH, 60, "some of it came")
    assert proc.poll() is None, proc.communicate()
    proxy.cut()
    if by is ByLftp:
        proc.kill()             # it would connect again
    out, err = proc.communicate(timeout=20)
    assert proc.returncode != 0, (out, err)
    wait_for(lambda: not world.containers(), 10, "the first container gone")
    assert ENOUGH < os.path.getsize(target) < SIZE
    world.resumed = world.syslog.mark()
    client.resume(up)
    same(source, target)
    if by is not ByRsync:
        assert 0 < bytes_by_sftp(world) < SIZE


# --- no room

ROOM = "/full:size=1m,mode=1777"


@pytest.mark.parametrize("by", ["sftp", "scp", "scp -O", "rsync", "tar", "cat", "lftp"])
def test_no_room(world, box, source, by):
    """The client's usual words and status, and nothing hangs."""
    world.conf.write(image=images.GLIBC, user="4242:4242", tmpfs=[ROOM])
    options, there = box.client.options(), "bt-bash@127.0.0.1"
    argv, input, words = {
        "sftp": (["sftp", "-b", "-", *options, there], f"put {source} /full/up\n", "Failure"),
        "scp": (["scp", *options, source, there + ":/full/up"], None, "Failure"),
        "scp -O": (["scp", "-O", *options, source, there + ":/full/up"], None,
                   "No space left on device"),
        "rsync": (["rsync", "-e", ssh_command(box), source, there + ":/full/up"], None,
                  "No space left on device"),
        "tar": (["bash", "-c", 'tar -c "$0" | "$@"', source, *box.argv("tar -C /full -x")], None,
                "tar: "),
        "cat": (["bash", "-c", '"$@" <"$0"', source, *box.argv("cat >/full/up")], None,
                "No space left on device"),
        "lftp": (lftp_argv(box, f"put {source} -o /full/up"), None, "Failure"),
    }[by]
    got = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=60,
                         **({} if input else {"stdin": subprocess.DEVNULL}))
    assert got.returncode != 0 and words in got.stdout + got.stderr, got
    if by == "rsync":
        assert got.returncode == 11, got
    assert "berth: " not in got.stdout + got.stderr, got
