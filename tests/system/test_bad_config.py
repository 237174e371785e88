"""Configurations that must be refused: one line, exit 254, a log line, nothing left."""
import os
import subprocess

import pytest

from harness.refusal import refused


@pytest.fixture
def path(world):
    """The configuration's path; whatever a test puts there goes away."""
    yield world.conf.path
    if os.path.isdir(world.conf.path):
        os.rmdir(world.conf.path)
    elif os.path.lexists(world.conf.path):
        os.unlink(world.conf.path)


def test_none(world, path):
    os.unlink(path)
    refused(world)


def test_unreadable(world, path):
    os.chmod(path, 0o600)
    refused(world)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o622, 0o646])
def test_writable_by_others(world, path, mode):
    os.chmod(path, mode)
    refused(world, "berth.conf")


def test_wrong_owner(world, path):
    os.chown(path, world.uid("bt-bash"), 0)
    refused(world, "berth.conf")


def test_symlink(world, path):
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)
    refused(world, "berth.conf")
    os.unlink(path + ".real")


def test_directory(world, path):
    os.unlink(path)
    os.mkdir(path)
    refused(world, "berth.conf")


def test_fifo(world, path):
    """Opening one must not wait for a writer."""
    os.unlink(path)
    os.mkfifo(path, 0o644)
    refused(world, "berth.conf")


def test_ten_megabytes(world, path):
    world.conf.raw(world.conf.text() + "# padding\n" * 1000000)
    refused(world, "berth.conf")


def test_just_under_a_megabyte(world, path):
    text = world.conf.text()
    text += "#" * 79 + "\n"
    text += ("#" * 79 + "\n") * ((1000000 - len(text)) // 80)
    world.conf.raw(text)
    assert world.login().run("echo ran").stdout == b"ran\n"


SYNTAX = {
    "empty": "",
    "unclosed section": "defaults {\n image = 'x'\n",
    "unclosed string": "defaults { image = 'x }\n",
    "word": "hello\n",
    "binary": b"\x00\x01\x02\xff\xfe" * 100,
    "no value": "defaults { image = }\n",
    "section without title": "user { image = 'x' }\n",
    "deep": "defaults { " * 5000,
}


@pytest.mark.parametrize("name", SYNTAX)
def test_syntax(world, path, name):
    world.conf.raw(SYNTAX[name])
    refused(world)


@pytest.mark.parametrize("line", [
    "colour = 'blue'", "Image = 'x'", "group = 'x'", "privileged = yes", "memory_limit = '1m'"])
def test_unknown_option(world, path, line):
    text = world.conf.text()
    world.conf.raw(text.replace("defaults {", "defaults {\n" + line, 1))
    number = text[:text.index("defaults {")].count("\n") + 2
    refused(world, f"berth.conf:{number}", line.split()[0])


def test_unknown_section(world, path):
    world.conf.raw(world.conf.text() + "colour { x = 'y' }\n")
    refused(world, "berth.conf:")


BAD_VALUES = [
    "pull = 'sometimes'", "memory = 'lots'", "memory = '-5m'", "memory = '12q'",
    "memory = '99999999999999999999g'", "memory_swap = 'x'", "cpus = 'many'", "cpus = '-1'",
    "cpus = '1.5.5'", "cpus = '0'", "pids = 'few'", "pids = -3", "pids = 99999999999999999999",
    "mounts = {'rela/tive:/x'}", "mounts = {'/only-one'}", "mounts = {'/a:b'}",
    "mounts = {'/a:/b:rwx'}", "mounts = {''}", "mounts = {'/a/../b:/c'}", "mounts = {'/a:/b/../c'}",
    "tmpfs = {'relative'}", "tmpfs = {''}", "ulimits = {'nofile'}", "ulimits = {'nofile=a:b'}",
    "ulimits = {'nofile=200:100'}", "ulimits = {'nosuch=1:1'}", "env = {'NOEQUALS'}",
    "env = {'=x'}", "labels = {'noequals'}", "labels = {'=x'}", "no_new_privileges = 'perhaps'",
    "read_only = 7up", "workdir = 'relative'", "shell = 'bash'", "image = ''", "hostname = 'a b'",
    "hostname = 'x/y'", "user = ''", "dns = {'not an address'}", "image = '%q'", "image = 'x%'",
    "devices = {'relative'}", "create = 'relative.json'", "sftp = 'nonsense'", "tty = 'maybe'",
    "network = ''", "cap_add = {''}", "init = 2", "commands = {''}", "channel = 'sideways'",
]


@pytest.mark.parametrize("line", BAD_VALUES)
def test_bad_value(world, path, line):
    text = world.conf.text()
    world.conf.raw(text.replace("defaults {", "defaults {\n" + line, 1))
    number = text[:text.index("defaults {")].count("\n") + 2
    refused(world, f"berth.conf:{number}", line.split()[0])


def test_bad_value_in_somebody_elses_section(world, path):
    """Checked when the file is read, not when it is used."""
    world.conf.write(users={"bt-*": {}, "alice": {"memory": "lots"}})
    refused(world, "berth.conf:", "memory")


@pytest.mark.parametrize("endpoint", ["", "run/docker.sock", "unix://relative", "http://x",
                                      "tcp://127.0.0.1:1", "unix:///" + "x" * 200])
def test_bad_endpoint(world, path, endpoint):
    world.conf.write(engine={"endpoint": endpoint})
    refused(world)


def test_no_image_anywhere(world, path):
    world.conf.raw(world.conf.text().replace("image", "#image", 1))
    refused(world, "image")


def test_relative_config_path(world):
    got = subprocess.run([world.helper, "--config", "berth.conf"], capture_output=True, text=True,
                         cwd=world.dir, env={})
    assert got.returncode == 254 and got.stderr.startswith("berth: ")


def test_config_in_a_folder_that_others_can_write(world):
    """Someone who may rename there may swap the file: told by the file's own owner and mode."""
    folder = os.path.join(world.dir, "open")
    os.mkdir(folder, 0o777)
    os.chmod(folder, 0o777)
    link = os.path.join(folder, "berth.conf")
    os.symlink(world.conf.path, link)
    got = subprocess.run([world.helper, "--config", link], capture_output=True, text=True, env={})
    assert got.returncode == 254 and got.stderr.startswith("berth: ")


@pytest.mark.parametrize("problem", ["missing", "owner", "link", "file", "mode"])
def test_runtime_directory(world, path, problem):
    bad = os.path.join(world.dir, "badrun")
    if problem == "owner":
        os.mkdir(bad)
        os.chmod(bad, 0o1777)
        os.chown(bad, world.uid("bt-dash"), 0)
    elif problem == "link":
        os.symlink(world.runtime, bad)
    elif problem == "file":
        open(bad, "w").close()
    elif problem == "mode":
        os.mkdir(bad)
        os.chmod(bad, 0o777)        # not sticky: others could rename a user's folder away
    world.conf.write(runtime_dir=bad)
    try:
        refused(world, "badrun")
    finally:
        if os.path.islink(bad) or os.path.isfile(bad):
            os.unlink(bad)
        elif os.path.isdir(bad):
            os.rmdir(bad)


@pytest.mark.parametrize("problem", ["owner", "link", "mode", "file"])
def test_somebody_elses_folder_in_the_runtime_directory(world, path, problem):
    """Anybody may make /run/berth/UID first; what isn't the user's own is refused."""
    run = os.path.join(world.dir, "run2")
    os.mkdir(run)
    os.chmod(run, 0o1777)
    mine = os.path.join(run, str(world.uid("bt-bash")))
    if problem == "link":
        os.symlink(world.runtime, mine)
    elif problem == "file":
        open(mine, "w").close()
        os.chown(mine, world.uid("bt-bash"), 0)
    else:
        os.mkdir(mine, 0o700)
        os.chown(mine, world.uid("bt-dash" if problem == "owner" else "bt-bash"), 0)
        if problem == "mode":
            os.chmod(mine, 0o777)
    world.conf.write(runtime_dir=run)
    try:
        refused(world, "run2")
    finally:
        if os.path.isdir(mine) and not os.path.islink(mine):
            os.rmdir(mine)
        else:
            os.unlink(mine)
        os.rmdir(run)


def test_the_program_without_sshd(world):
    """--help and --version need nothing; both say where the rest is."""
    for option in ("--help", "--version"):
        got = subprocess.run([world.helper, option], capture_output=True, text=True, env={})
        assert got.returncode == 0 and got.stdout and not got.stderr
    got = subprocess.run([world.helper, "--nonsense"], capture_output=True, text=True, env={})
    assert got.returncode != 0 and got.stderr.startswith("berth: ")
