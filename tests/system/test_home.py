"""`home`: files of the login's own; `cgroup_parent`: a ceiling over all of its containers."""
import contextlib
import os
import re
import shutil
import subprocess

import pytest

from harness import images
from harness.refusal import refused
from harness.terminal import Terminal
from harness.wait import wait_for

every = pytest.mark.channels("direct", "attach", "exec")
AT = "/home/bt-bash"        # what /etc/passwd says


@pytest.fixture
def homes(world):
    """A directory for homes, with bt-bash's in it."""
    path = os.path.join(world.dir, "homes")
    os.mkdir(path)
    mine = os.path.join(path, "bt-bash")
    os.mkdir(mine, 0o700)
    os.chown(mine, world.uid("bt-bash"), world.users["bt-bash"].pw_gid)
    yield path
    shutil.rmtree(path)


@every
def test_home_on_the_host(world, homes):
    world.conf.write(home=homes + "/%u")
    login = world.login()
    got = login.run("pwd; echo $HOME; echo new >file; cd /; cd; pwd; mkdir ~/sub; ls")
    assert (got.returncode, got.stderr) == (0, b""), got
    assert got.stdout.decode() == f"{AT}\n{AT}\n{AT}\nfile\nsub\n"
    path = os.path.join(homes, "bt-bash", "file")
    with open(path) as f:
        assert f.read() == "new\n"
    assert os.stat(path).st_uid == world.uid("bt-bash")
    assert login.run(input=b"pwd; cat file; exit\n").stdout == f"{AT}\nnew\n".encode()
    it = Terminal(login.argv("pwd; echo $HOME", opts=("-t",)))
    assert (it.end(), it.raw) == (0, f"{AT}\r\n{AT}\r\n".encode())


@pytest.mark.channels("direct", "attach")
@pytest.mark.parametrize("scope", ["session", "connection", "user"])
def test_home_in_each_scope(world, homes, scope):
    world.conf.write(home=homes + "/%u", scope=scope)
    for word in ("one", "two"):
        got = world.login().run(f"echo {word} >>~/log; pwd; cat $HOME/log")
        assert got.returncode == 0, got.stderr
    assert got.stdout.decode() == f"{AT}\none\ntwo\n"


@every
def test_home_is_a_volume(world):
    name = "bt-home-bt-bash"
    volume = world.engine.call("POST", "/volumes/create", {"Name": name})
    try:
        os.chown(volume["Mountpoint"], world.uid("bt-bash"), -1)
        world.conf.write(home="bt-home-%u")
        assert world.login().run("echo kept >note; pwd").stdout == f"{AT}\n".encode()
        assert world.login().run("cat ~/note; touch ~/x && echo wrote").stdout == b"kept\nwrote\n"
        assert sorted(os.listdir(volume["Mountpoint"])) == ["note", "x"]
    finally:
        wait_for(lambda: not world.containers(), 5, "its containers gone")
        world.engine.call("DELETE", f"/volumes/{name}")


@pytest.mark.channels("direct", "attach")
def test_home_by_inspect(world, homes):
    world.conf.write(home=homes + "/%u")
    proc = world.login().start("echo up; cat")
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()
    info = world.container()
    proc.communicate()
    mounts = [m for m in info["HostConfig"]["Mounts"] if m["Target"] == AT]
    assert len(mounts) == 1 and not info["HostConfig"]["Binds"]
    assert (mounts[0]["Type"], mounts[0]["Source"]) == ("bind", homes + "/bt-bash")
    assert not mounts[0].get("ReadOnly")
    assert info["Config"]["WorkingDir"] == AT


@every
def test_workdir_and_env_win(world, homes):
    world.conf.write(home=homes + "/%u", workdir="/tmp", env=["HOME=/srv"])
    assert world.login().run("pwd; echo $HOME; test -w " + AT).stdout == b"/tmp\n/srv\n"
    # The client's HOME is the host's.
    world.conf.write(home=homes + "/%u", accept_env=["*"])
    assert world.login("bt-bash").run("echo $HOME").stdout == f"{AT}\n".encode()


def test_home_for_sftp_and_scp(world, homes):
    """The image's own user, whom its sftp-server knows."""
    os.chown(os.path.join(homes, "bt-bash"), 4242, -1)
    world.conf.write(image=images.GLIBC, user="4242:4242", home=homes + "/%u")
    got = subprocess.run(["sftp", "-b", "-", *world.client.options(), "bt-bash@127.0.0.1"],
                         input="pwd\nput /etc/hostname up\nls\n", capture_output=True, text=True,
                         timeout=30)
    assert got.returncode == 0, got.stderr
    assert f"Remote working directory: {AT}\n" in got.stdout
    assert os.stat(os.path.join(homes, "bt-bash", "up")).st_uid == 4242


# --- what can be wrong with it

@pytest.mark.channels("direct", "attach")
def test_missing_home_names_its_remedy(world, homes):
    """And the remedy works."""
    world.conf.write(home=homes + "/new/%u")
    text = refused(world, f"home {AT} is missing", f": {homes}/new: cannot open: No such file",
                   "pam_berth")
    command = re.search(r"\((install -d [^)]*)\)", text).group(1)
    subprocess.run(command.split(), check=True)
    got = world.login().run("pwd; touch file && echo wrote")
    assert (got.returncode, got.stdout) == (0, f"{AT}\nwrote\n".encode()), got.stderr


@pytest.mark.parametrize("problem,word", [
    ("link", "is a symbolic link"), ("link above", "is a symbolic link"),
    ("owner above", "must be root's"), ("mode above", "may write it"),
    ("sticky above", "may write it"), ("hidden", "the login may not look there"),
    ("dotdot", "must be an absolute path"), ("file", "")])
def test_home_that_others_could_swap(world, homes, problem, word):
    real = os.path.join(homes, "bt-bash")
    if problem == "link":
        os.rename(real, real + ".real")
        os.symlink(real + ".real", real)
    elif problem == "link above":
        os.symlink(homes, os.path.join(homes, "again"))
    elif problem == "owner above":
        os.chown(homes, world.uid("bt-bash"), -1)
    elif problem in ("mode above", "sticky above"):
        os.chmod(homes, 0o777 if problem == "mode above" else 0o1777)
    elif problem == "hidden":
        os.chmod(homes, 0o700)
    elif problem == "file":
        os.rmdir(real)
        open(real, "w").close()
    middle = {"link above": "/again", "dotdot": "/../homes"}.get(problem, "")
    world.conf.write(home=f"{homes}{middle}/%u")
    refused(world, word, "home" if problem != "file" else "bt-bash")


@pytest.mark.parametrize("options", [{"mounts": ["/etc:" + AT]}, {"tmpfs": [AT]}], ids=list)
def test_home_beside_another_mount(world, homes, options):
    world.conf.write(home=homes + "/%u", **options)
    refused(world, "home: ", list(options)[0], AT)


# --- cgroup_parent

def cgroups(world):
    """(name for berth.conf, its directories on this machine), for the engine's driver."""
    if world.engine.call("GET", "/info")["CgroupDriver"] == "systemd":
        name, below = "bt%U.slice", "bt{}.slice"
    else:
        name, below = "/berth-test/%u-%U", "berth-test/bt-bash-{}"
    roots = ["/sys/fs/cgroup"] if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else [
        os.path.join("/sys/fs/cgroup", n) for n in os.listdir("/sys/fs/cgroup")
        if not os.path.islink(os.path.join("/sys/fs/cgroup", n))]
    return name, [os.path.join(r, below.format(world.uid("bt-bash"))) for r in roots]


def removed(group):
    """What podman puts there ends a little after the container."""
    with contextlib.suppress(OSError):
        os.rmdir(group)
    return not os.path.isdir(group)


@pytest.fixture
def cgroup(world):
    name, paths = cgroups(world)
    yield name, paths
    wait_for(lambda: not world.containers(), 10, "the containers gone")
    for path in paths:
        # podman leaves its own group there.
        for folder in (os.path.join(path, "conmon"), path, os.path.dirname(path)):
            if "berth-test" in folder:
                wait_for(lambda: removed(folder), 10, f"{folder} removed")


@pytest.mark.channels("direct", "attach")
def test_cgroup_parent(world, cgroup):
    name, paths = cgroup
    world.conf.write(cgroup_parent=name)
    proc = world.login().start("echo up; cat")
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()
    info = world.container()
    expected = name.replace("%u", "bt-bash").replace("%U", str(world.uid("bt-bash")))
    assert info["HostConfig"]["CgroupParent"] == expected
    with open(f"/proc/{info['State']['Pid']}/cgroup") as f:
        lines = [line.rstrip("\n").split(":", 2) for line in f]
    inside = [path for _, _, path in lines if f"{expected}/" in path and info["Id"] in path]
    assert inside, lines
    proc.communicate()


@pytest.mark.channels("direct", "attach")
def test_cgroup_parent_is_a_ceiling_over_all_containers(world, cgroup):
    name, paths = cgroup
    world.conf.write(cgroup_parent=name, pids=200)
    first = world.login().start("echo up; cat")
    assert first.stdout.readline() == b"up\n", first.stderr.read()
    limits = [os.path.join(p, "pids.max") for p in paths
              if os.path.exists(os.path.join(p, "pids.max"))]
    assert len(limits) == 1, paths
    with open(limits[0], "w") as f:
        f.write("40")
    burst = "i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done; echo all"
    second = world.login().start(f"{burst}; echo up; cat")
    assert second.stdout.readline() == b"all\n", second.stderr.read()
    # Each has far fewer than its own 200.
    third = world.login().run(f"({burst})")
    assert b"all" not in third.stdout and (b"fork" in third.stderr or b"berth: " in third.stderr)
    for proc in (first, second):
        proc.communicate()
