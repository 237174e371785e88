"""Playbooks, by Debian's Ansible: they need a Python in the image, and one container for the
sessions of a task."""
import os
import subprocess

import pytest

from harness import images
from harness.transfers import box  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.channels("direct", "attach")]

PLAYBOOK = """\
- hosts: all
  tasks:
    - raw: id -u; tty >&2
      register: it
      changed_when: false
    - assert: {that: "it.stdout_lines[0] == '4242' and '/dev/pts/' in it.stdout_lines[1]"}
    - copy: {content: "text\\n", dest: /work/text, mode: "0640"}
    - copy: {src: "%(folder)s/file", dest: /work/file}
    - command: sha256sum /work/file
      register: it
      changed_when: false
    - assert: {that: "it.stdout.split()[0] == '%(digest)s'"}
    - command: sh -c 'exit 7'
      register: it
      failed_when: it.rc != 7
      changed_when: false
    - command: {cmd: hostname, creates: /work/text}
"""


def ansible(world, folder, *options):
    env = {**os.environ, "HOME": folder, "ANSIBLE_HOME": folder, "LC_ALL": "C.UTF-8",
           "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": folder + "/tmp"}
    got = subprocess.run(["ansible-playbook", "-i", folder + "/hosts", *options,
                          folder + "/playbook.yml"], env=env, cwd=folder, capture_output=True,
                         text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert got.returncode == 0, (got.stdout[-3000:], got.stderr[-3000:])
    return got.stdout


@pytest.fixture
def folder(world, tmp_path):
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    digest = subprocess.run(["sha256sum"], input=content, capture_output=True).stdout.split()[0]
    (tmp_path / "playbook.yml").write_text(
        PLAYBOOK % {"folder": tmp_path, "digest": digest.decode()})
    shared = f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={tmp_path}/mux"
    options = " ".join(world.client.options())
    (tmp_path / "hosts").write_text(
        f"there ansible_host=127.0.0.1 ansible_user=bt-bash ansible_port={world.sshd.port} "
        f"ansible_ssh_common_args='{options}' ansible_ssh_args='{shared}' "
        f"ansible_remote_tmp=/tmp/.ansible ansible_python_interpreter=/usr/bin/python3\n")
    yield str(tmp_path)
    subprocess.run(["ssh", "-F", "none", "-o", f"ControlPath={tmp_path}/mux", "-O", "exit", "x"],
                   capture_output=True, check=True)
    for row in world.containers():
        world.engine.remove(row["Id"])


def play(world, box, folder, scope):
    """Twice: the second finds all as it should be."""
    world.conf.write(image=images.GLIBC, user="4242:4242", mounts=[f"{box.host}:/work"],
                     scope=scope, linger="60s")
    for changed in (2, 0):
        out = ansible(world, folder)
        assert f"changed={changed} " in out and "failed=0" in out, out
        assert len(world.containers()) == 1
    assert os.stat(box.host + "/text").st_mode & 0o777 == 0o640
    with open(box.host + "/file", "rb") as there, open(folder + "/file", "rb") as here:
        assert there.read() == here.read()


def test_playbook(world, box, folder):
    play(world, box, folder, "user")


@pytest.mark.channels("direct")
def test_playbook_in_a_connections_container(world, box, folder):
    """Ansible keeps its connection for a minute."""
    play(world, box, folder, "connection")
