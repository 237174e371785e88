"""A container's files mounted at the client's."""
import os
import subprocess

import pytest

from harness.transfers import box, ssh_command  # noqa: F401
from harness.wait import wait_for

pytestmark = [pytest.mark.channels("direct", "attach"), pytest.mark.plain]


@pytest.fixture
def mounted(world, box, tmp_path):
    at = tmp_path / "mounted"
    at.mkdir()
    proc = subprocess.Popen(
        ["sshfs", "-f", "-o", f"ssh_command={ssh_command(box)}",
         f"bt-bash@127.0.0.1:{box.inside}", str(at)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(lambda: proc.poll() is not None or os.path.ismount(at), 20, "mounted")
    assert proc.poll() is None, proc.stdout.read()
    try:
        yield at
        subprocess.run(["umount", str(at)], check=True)
        assert proc.wait(20) == 0, proc.stdout.read()
    finally:
        if proc.poll() is None:
            subprocess.run(["umount", "-l", str(at)], capture_output=True)
            proc.kill()
            proc.wait()
        proc.stdout.close()


def test_a_thousand_files(world, box, mounted):
    folder = mounted / "many"
    folder.mkdir()
    for i in range(1000):
        (folder / f"file {i}").write_text(f"{i}\n" * (i % 5))
    here = os.path.join(box.host, "many")
    assert sorted(os.listdir(here)) == sorted(f"file {i}" for i in range(1000))
    # What the host writes shows through the mount.
    for i in range(1000):
        with open(os.path.join(here, f"host's {i}"), "w") as f:
            f.write(f"host's {i}\n")
    assert sorted(os.listdir(folder)) == sorted(os.listdir(here))
    for i in range(1000):
        assert (folder / f"file {i}").read_text() == f"{i}\n" * (i % 5)
        assert (folder / f"host's {i}").read_text() == f"host's {i}\n"
    (folder / "file 0").rename(folder / "renamed")
    (folder / "file 1").unlink()
    assert os.path.exists(here + "/renamed") and not os.path.exists(here + "/file 1")
