"""Clients of which each has its own ways with files: lftp, tar, rclone, restic."""
import os

import pytest

from harness.transfers import box, lftp_argv, piped, same, ssh_command  # noqa: F401
from harness.transfers import tool, tree  # noqa: F401

pytestmark = [pytest.mark.channels("direct", "attach"), pytest.mark.plain]


def test_lftp_mirror(world, box, tree, tmp_path):
    home = {"HOME": str(tmp_path), "LFTP_HOME": str(tmp_path)}
    os.unlink(tree + "/newline\nname")      # its listing can't
    tool(*lftp_argv(box, f'mirror -R "{tree}" {box.inside}/up'), **home)
    same(tree, box.host + "/up")
    assert os.stat(box.host + "/up/a").st_mode & 0o777 == 0o640
    tool(*lftp_argv(box, f'mirror {box.inside}/up "{tmp_path}/back"'), **home)
    same(tree, str(tmp_path / "back"))
    # What has changed, and no more.
    os.unlink(tree + "/a")
    with open(tree + "/new", "w") as f:
        f.write("new\n")
    got = tool(*lftp_argv(box, f'mirror -R -v --delete "{tree}" {box.inside}/up'), **home)
    same(tree, box.host + "/up")
    assert "new" in got.stdout and "big" not in got.stdout, got.stdout


def test_tar_pipes(world, box, tree, tmp_path):
    up, back = f"{box.inside}/up", tmp_path / "back"
    piped(["tar", "-C", tree, "-c", "."], box.argv(f"mkdir {up} && tar -C {up} -xp"))
    same(tree, box.host + "/up")
    assert os.stat(box.host + "/up/a").st_mode & 0o777 == 0o640
    back.mkdir()
    piped(box.argv(f"tar -C {up} -cz ."), ["tar", "-C", str(back), "-xzp"])
    same(tree, str(back))


@pytest.mark.slow
def test_rclone(world, box, tree, tmp_path):
    sshd, known = world.sshd, tmp_path / "known_hosts"
    with open(sshd.known_hosts) as f:       # its * is for port 22 alone
        known.write_text(f.read().replace("*", f"[127.0.0.1]:{sshd.port}", 1))
    there = f":sftp,host=127.0.0.1,port={sshd.port},user=bt-bash,key_file={sshd.key}," \
            f"known_hosts_file={known}:{box.inside}/up"
    options = ["--config", "", "--links", "--create-empty-src-dirs"]
    tool("rclone", "copy", tree, there, *options)
    # Compares sums, which md5sum makes in there.
    got = tool("rclone", "check", tree, there, *options[:3])
    assert "0 differences found" in got.stderr, got.stderr
    tool("rclone", "copy", there, str(tmp_path / "back"), *options)
    same(tree, str(tmp_path / "back"))


@pytest.mark.slow
def test_restic(world, box, tree, tmp_path):
    command = f"{ssh_command(box)} bt-bash@127.0.0.1 -s sftp"
    env = {"RESTIC_PASSWORD": "geheim", "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
           "HOME": str(tmp_path)}

    def restic(*words):
        return tool("restic", "-o", f"sftp.command={command}", "-r",
                    f"sftp:bt-bash@127.0.0.1:{box.inside}/repo", *words, **env).stdout

    restic("init")
    restic("backup", tree)
    assert "no errors were found" in restic("check", "--read-data")
    restic("restore", "latest", "--target", str(tmp_path / "back"))
    same(tree, f"{tmp_path}/back{tree}")
