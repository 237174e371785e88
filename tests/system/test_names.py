"""`names`: a login has its name, home and shell in an image that knows nothing of it."""
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time

import pytest

from harness import images
from harness.relay import Relay
from harness.terminal import Terminal
from harness.wait import wait_for

every = pytest.mark.channels("direct", "attach", "exec")
both = pytest.mark.channels("direct", "attach")
HOME = "/home/bt-bash"      # what the host's /etc/passwd says
OWN = "berth-test/names"


def changed(*entries):
    """The busybox image's files but these: (path, bytes, or where a link leads to, or None for a
    directory, uid)."""
    out = io.BytesIO()
    paths = [e[0] for e in entries]
    with tarfile.open(fileobj=out, mode="w") as tar:
        with tarfile.open(fileobj=io.BytesIO(images.busybox_tar())) as old:
            for info in old:
                if info.name not in paths:
                    tar.addfile(info, old.extractfile(info) if info.isreg() else None)
        for path, content, uid in entries:
            info = tarfile.TarInfo(path)
            info.uid, info.mode = uid, 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


@contextlib.contextmanager
def image(world, *entries):
    world.engine.add_image(OWN, changed(*entries))
    try:
        yield OWN
    finally:
        world.engine.remove_image(OWN)


def said(world, command, **kw):
    got = world.login().run(command, **kw)
    assert (got.returncode, got.stderr) == (0, b""), got
    return got.stdout.decode()


def ids(world, user="bt-bash"):
    entry = world.users[user]
    return entry.pw_uid, entry.pw_gid


@every
@pytest.mark.parametrize("read_only", [False, True])
def test_name_home_and_shell(world, read_only):
    world.conf.write(read_only=read_only)
    uid, gid = ids(world)
    assert said(world, "whoami; echo ~ $HOME $SHELL; cd; pwd; id -un; id -gn; id -G") == \
        f"bt-bash\n{HOME} {HOME} /bin/sh\n{HOME}\nbt-bash\nbt-bash\n{gid}\n"
    assert said(world, "grep -n bt-bash /etc/passwd /etc/group; tail -1 /etc/passwd") == \
        f"/etc/passwd:1:bt-bash:x:{uid}:{gid}:bt-bash:{HOME}:/bin/sh\n" \
        f"/etc/group:1:bt-bash:x:{gid}:\ninside:x:4242:4242::/home:/bin/sh\n"
    # It is the login's to write, and to run programs from.
    assert said(world, "pwd; printf '#!/bin/sh\\necho ran\\n' >~/x && chmod 755 ~/x && ~/x; "
                       "stat -c '%a %u %g' ~") == f"{HOME}\nran\n755 {uid} {gid}\n"
    it = Terminal(world.login().argv("pwd; whoami", opts=("-t",)))
    assert (it.end(), it.raw) == (0, f"{HOME}\r\nbt-bash\r\n".encode())


@every
def test_a_workdir_that_is_the_root(world):
    world.conf.write(workdir="/")
    assert said(world, "pwd; cd; pwd") == f"/\n{HOME}\n"
    it = Terminal(world.login().argv("pwd", opts=("-t",)))
    assert (it.end(), it.raw) == (0, b"/\r\n")


@both
@pytest.mark.parametrize("scope", ["session", "connection", "user"])
def test_in_each_scope(world, scope):
    world.conf.write(scope=scope, read_only=True)
    for _ in range(2):
        assert said(world, "whoami; touch ~/x; ls ~") == "bt-bash\nx\n"


@every
def test_programs_that_want_a_name(world):
    """As they are on a host: git, ssh-keygen, and Python's own look into passwd."""
    world.conf.write(image=images.GLIBC, read_only=True, tmpfs=["/tmp"])
    out = said(world, "set -e; git config --global user.email a@example.org; git init -q ~/r; "
                      "cd ~/r; git commit -q --allow-empty -m x; git log --format=%an; "
                      "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id </dev/null && "
                      "cut -d' ' -f3 ~/.ssh/id.pub; "
                      "python3 -c 'import pwd, os; print(pwd.getpwuid(os.getuid())[5:])'")
    name = socket.gethostname().split(".")[0]
    assert out == f"bt-bash\nbt-bash@{name}\n('{HOME}', '/bin/bash')\n"


@every
def test_a_home_in_the_image_stays(world):
    uid, _ = ids(world)
    entries = [("home/bt-bash", None, uid), ("home/bt-bash/hello", b"here\n", uid)]
    with image(world, *entries) as name:
        world.conf.write(image=name)
        assert said(world, "pwd; cat hello; touch ~/x; ls") == f"{HOME}\nhere\nhello\nx\n"
        world.conf.write(image=name, read_only=True)
        assert said(world, "pwd; ls -A; touch x; ls") == f"{HOME}\nx\n"


@every
def test_the_image_s_files_are_links(world):
    entries = [("usr/etc/passwd", b"far:x:7:8::/far:/bin/sh", 0),
               ("etc/passwd", "../usr/etc/passwd", 0)]
    with image(world, *entries) as name:
        world.conf.write(image=name)
        assert said(world, "whoami; tail -1 /etc/passwd") == "bt-bash\nfar:x:7:8::/far:/bin/sh\n"


def move(home):
    # Not while sshd's process of the last session is still there.
    wait_for(lambda: subprocess.run(["usermod", "-d", home, "bt-bash"]).returncode == 0, 10, home)


@both
@pytest.mark.parametrize("home", ["/proc/home", "/.berth/home"])
def test_a_home_where_nothing_can_be_mounted(world, home):
    move(home)
    try:
        got = world.login().run("whoami; echo $HOME; pwd")
        assert (got.returncode, got.stdout) == (0, f"bt-bash\n{home}\n/\n".encode()), got
    finally:
        move(HOME)


@both
def test_an_image_without_etc(world):
    """Of one program."""
    world.conf.write(image=images.NO_SHELL, shell="/bin/true")
    assert world.login().run("true").returncode == 0


@both
def test_the_image_s_shell_for_that_uid(world):
    uid, gid = ids(world)
    entries = [("etc/passwd", f"other:x:{uid}:{gid}::/o:/bin/ash\n".encode(), 0)]
    with image(world, *entries) as name:
        world.conf.write(image=name)
        assert said(world, "whoami; echo $SHELL") == "bt-bash\n/bin/ash\n"
        world.conf.write(image=name, shell="/bin/busybox")
        # No program of that name is in there: busybox says so, and nobody else.
        assert world.login().run("true").returncode != 0


@every
def test_another_image_by_the_same_name(world):
    def line(word):
        return ("etc/passwd", f"{word}:x:7:8::/:/bin/sh\n".encode(), 0)

    for word in ("one", "two"):
        with image(world, line(word), ("home/bt-bash", None, ids(world)[0])) as name:
            world.conf.write(image=name)
            assert said(world, "tail -1 /etc/passwd; stat -f -c %T ~").startswith(f"{word}:x:7:")
    # It has no home, and gets one.
    with image(world, line("three")) as name:
        world.conf.write(image=name)
        for _ in range(2):
            assert said(world, "tail -1 /etc/passwd; pwd; touch ~/x") == \
                f"three:x:7:8::/:/bin/sh\n{HOME}\n"


@every
def test_whom_the_image_names(world):
    """root, and users by name, are the image's."""
    world.conf.write(user="0:0")
    assert said(world, "whoami; grep -c bt-bash /etc/passwd || true; echo $HOME") == \
        "root\n0\n/root\n"
    world.conf.write(user="inside")
    assert said(world, "whoami; echo $HOME") == "inside\n/home\n"


@every
def test_without_names(world):
    world.conf.write(names=False)
    got = world.login().run("whoami; pwd; grep -c bt-bash /etc/passwd")
    assert (got.stdout, got.returncode) == (b"/\n0\n", 1)


@every
def test_the_administrator_s_files_stay(world):
    path = os.path.join(world.dir, "passwd")
    with open(path, "w") as f:
        f.write(f"mine:x:{ids(world)[0]}:1::/work:/bin/sh\n")
    world.conf.write(mounts=[path + ":/etc/passwd:ro"], tmpfs=[HOME + ":mode=1777"])
    assert said(world, "whoami; cat /etc/passwd | wc -l; head -1 /etc/group | cut -d: -f1; "
                       "stat -c %a ~bt-bash 2>/dev/null || stat -c %a " + HOME) == \
        "mine\n1\nbt-bash\n1777\n"


def create(world, **host):
    path = os.path.join(world.dir, "create.json")
    with open(path, "w") as f:
        json.dump({"HostConfig": host}, f)
    return path


def folder(world, name, uid=0):
    path = os.path.join(world.dir, "names-" + name)
    os.makedirs(path, exist_ok=True)
    os.chown(path, uid, -1)
    return path


@every
@pytest.mark.parametrize("kind", ["Binds", "Mounts"])
def test_what_create_mounts_stays(world, kind):
    """No home in memory over the one of the administrator's, which would lose what is written."""
    def mount(source, target):
        return f"{source}:{target}" if kind == "Binds" else \
            {"Type": "bind", "Source": source, "Target": target}

    homes = folder(world, "homes")
    own = folder(world, "homes/bt-bash", ids(world)[0])
    passwd = os.path.join(homes, "passwd")
    with open(passwd, "w") as f:
        f.write(f"mine:x:{ids(world)[0]}:1::/work:/bin/sh\n")
    for source, target in ((homes, "/home"), (own, HOME), (own, f"{HOME}/")):
        mounts = [mount(passwd, "/etc/passwd"), mount(source, target)]
        world.conf.write(create=create(world, **{kind: mounts}))
        assert said(world, "whoami; cat /etc/passwd | wc -l; cd; pwd; echo kept >~/kept") == \
            f"mine\n1\n{HOME}\n"
        with open(os.path.join(own, "kept")) as f:
            assert f.read() == "kept\n"
        os.unlink(os.path.join(own, "kept"))


@both
@pytest.mark.parametrize("options", [{}, {"scope": "user", "on_idle": "stop", "linger": "0"}])
def test_a_whole_etc_of_the_administrator_s(world, options):
    """It is seen as it is, and nothing is written to it on this machine."""
    etc = folder(world, "etc")
    world.conf.write(mounts=[f"{etc}:/etc"], **options)
    try:
        assert said(world, "cat /etc/passwd /etc/group 2>/dev/null; echo $HOME") == f"{HOME}\n"
        # The engine has its own files there.
        assert not {"passwd", "group"} & set(os.listdir(etc))
    finally:
        for row in world.containers("bt-bash"):
            world.engine.remove(row["Id"])
        world.conf.write()
        assert world.login().run("true").returncode == 0


@every
def test_home_takes_half_of_the_memory(world):
    world.conf.write(memory="64m")
    got = world.login().run("dd if=/dev/zero of=$HOME/x bs=1M count=100 2>&1; stat -c %s ~/x; "
                            "df -k ~ | tail -1 | awk '{print $2}'")
    assert b"No space left on device" in got.stdout, got
    assert got.stdout.endswith(b"%d\n%d\n" % (32 << 20, 32 << 10)), got


@both
def test_kept_containers_have_their_own(world):
    """Packages that add users can be installed in there: nothing is mounted."""
    world.conf.write(scope="user", on_idle="stop", linger="0")
    try:
        assert said(world, "whoami; pwd; touch ~/kept; grep -c /etc/passwd /proc/mounts || true") \
            == f"bt-bash\n{HOME}\n0\n"
        wait_for(lambda: [r["State"] for r in world.containers("bt-bash")] == ["exited"], 10,
                 "a stopped container")
        assert said(world, "whoami; ls") == "bt-bash\nkept\n"
    finally:
        for row in world.containers("bt-bash"):
            world.engine.remove(row["Id"])
        # Whoever comes next sweeps its lock file.
        world.conf.write()
        assert world.login().run("true").returncode == 0


@both
def test_a_kept_container_outlives_the_files(world):
    """As after a reboot: what is made anew then, of no image, is for that container alone."""
    options = {"scope": "user", "on_idle": "stop", "linger": "0", "read_only": True,
               "replace": "idle"}

    def login():
        assert said(world, "whoami; tail -1 /etc/passwd") == last
        wait_for(lambda: [r["State"] for r in world.containers("bt-bash")] == ["exited"], 10,
                 "a stopped container")

    names = os.path.join(world.runtime, str(ids(world)[0]), "names")
    try:
        world.conf.write(**options)
        last = "bt-bash\ninside:x:4242:4242::/home:/bin/sh\n"
        login()
        shutil.rmtree(names)
        last = "bt-bash\nroot:x:0:0:root:/root:/bin/sh\n"
        login()
        world.conf.write(memory="64m", **options)
        last = "bt-bash\ninside:x:4242:4242::/home:/bin/sh\n"
        login()
    finally:
        for row in world.containers("bt-bash"):
            world.engine.remove(row["Id"])
        world.conf.write()
        assert world.login().run("true").returncode == 0


@both
def test_a_kept_container_of_another_policy_outlives_the_files(world):
    """What it was made with is what its next start needs, whatever the policy says by now."""
    options = {"scope": "user", "on_idle": "stop", "linger": "0", "read_only": True}
    names = os.path.join(world.runtime, str(ids(world)[0]), "names")
    try:
        for gone in (False, True):
            for shell in ("/bin/sh", "/bin/ash"):
                world.conf.write(shell=shell, **options)
                if gone:
                    shutil.rmtree(names)
                last = "root:x:0:0:root:/root" if gone else "inside:x:4242:4242::/home"
                assert said(world, "whoami; tail -1 /etc/passwd") == f"bt-bash\n{last}:/bin/sh\n"
                wait_for(lambda: [r["State"] for r in world.containers("bt-bash")] == ["exited"],
                         10, "a stopped container")
    finally:
        for row in world.containers("bt-bash"):
            world.engine.remove(row["Id"])
        world.conf.write()
        assert world.login().run("true").returncode == 0


@both
def test_many_groups_are_learnt_once(world):
    names = os.path.join(world.runtime, str(ids(world)[0]), "names")
    groups = [str(n) for n in range(2147482000, 2147483000)]
    text = world.conf.text()            # its own `groups` are the sections
    world.conf.raw(text.replace("defaults {", f"defaults {{\n    groups = {{{', '.join(groups)}}}"))
    assert said(world, "id -G").split()[1:] == groups

    def inodes():
        return {f: os.stat(os.path.join(names, f)).st_ino for f in os.listdir(names)}

    written = inodes()
    assert said(world, "whoami") == "bt-bash\n"
    assert inodes() == written


@both
def test_files_that_nobody_uses_go(world):
    """Those of an image that was replaced by one of another name are in memory, often."""
    names = os.path.join(world.runtime, str(ids(world)[0]), "names")
    long_ago = time.time() - 8 * 24 * 3600

    def note():
        new = set(os.listdir(names)) - before
        assert len(new) == 3, new
        return min(new, key=len)

    for lasts in (False, True):
        shutil.rmtree(names, ignore_errors=True)
        before = set()
        world.conf.write(shell="/bin/ash")
        assert said(world, "whoami") == "bt-bash\n"
        first = note()
        for name in (first, first + ".passwd", first + ".group"):
            os.utime(os.path.join(names, name), (long_ago, long_ago))
        shutil.copy2(os.path.join(names, first), os.path.join(names, "user"))
        if lasts:
            assert said(world, "whoami") == "bt-bash\n"
        before = set(os.listdir(names))
        world.conf.write(shell="/bin/sh")
        assert said(world, "whoami") == "bt-bash\n"
        note()
        assert "user" in os.listdir(names) and (first in os.listdir(names)) == lasts
        assert (first + ".passwd" in os.listdir(names)) == lasts


@every
@pytest.mark.parametrize("options", [{"commands": ["echo *", "sftp"]}, {"force_command": "echo x"}])
def test_a_file_of_the_home_is_no_command(world, options):
    """Debian's bash reads .bashrc for each command that sshd has it run."""
    homes = folder(world, "homes")
    path = os.path.join(folder(world, "homes/bt-bash", ids(world)[0]), ".bashrc")
    with open(path, "w") as f:
        f.write("echo from the home\n")
    try:
        conf = {"image": images.GLIBC, "home": homes + "/%u"}
        world.conf.write(**conf)
        assert said(world, "echo x") == "from the home\nx\n"
        world.conf.write(**conf, **options)
        assert said(world, "echo x") == "x\n"
    finally:
        os.unlink(path)


@both
def test_groups_of_the_login(world):
    """Further groups by the host's names, and by number."""
    subprocess.run(["groupadd", "-g", "29991", "bt-site-a"], check=True)
    subprocess.run(["groupadd", "-g", "29992", "bt-other"], check=True)
    subprocess.run(["groupadd", "-g", "3000000000", "bt-site-far"], check=True)
    try:
        for group in ("bt-site-a", "bt-other", "bt-site-far"):
            subprocess.run(["usermod", "-aG", group, "bt-bash"], check=True)
        for scope in ("session", "user"):
            text = world.conf.text(scope=scope)     # its own `groups` are the sections
            world.conf.raw(text.replace("defaults {",
                                        'defaults {\n    groups = {"bt-site-*", 4242}'))
            out = said(world, "id -G; id -Gn; grep bt-site /etc/group")
            gid = ids(world)[1]
            assert out == f"{gid} 4242 29991\nbt-bash inside bt-site-a\n" \
                          "bt-site-a:x:29991:bt-bash\n", out
    finally:
        for group in ("bt-site-a", "bt-other", "bt-site-far"):
            subprocess.run(["groupdel", group], check=True)


@every
def test_host_name(world):
    name = socket.gethostname().split(".")[0]
    assert said(world, "hostname") == name + "\n"
    world.conf.write(hostname="lab-%U")
    assert said(world, "hostname") == f"lab-{ids(world)[0]}\n"


@every
def test_ssh_tty(world):
    it = Terminal(world.login().argv("tty; echo $SSH_TTY", opts=("-t",)))
    assert it.end() == 0
    tty, told = it.raw.decode().split()
    assert tty == told and tty.startswith("/dev/"), it.raw
    assert said(world, "echo ${SSH_TTY-none}") == "none\n"


@every
def test_motd(world):
    path = os.path.join(world.dir, "motd")
    with open(path, "w") as f:
        f.write("Backups run at 3.\n")
    world.conf.write(motd="motd")       # beside berth.conf
    it = Terminal(world.login().argv(opts=("-t",)))
    it.expect(b"Backups run at 3")
    it.send("exit\r")
    assert it.end() == 0
    assert said(world, "true") == ""
    got = world.login().run(input=b"exit\n")
    assert (got.stdout, got.stderr) == (b"", b"")
    it = Terminal(world.login().argv("true", opts=("-t",)))
    assert (it.end(), it.raw) == (0, b"")
    os.chmod(path, 0o666)
    it = Terminal(world.login().argv(opts=("-t",)))
    it.send("exit\r")
    assert it.end() == 0 and b"Backups" not in it.raw
    world.syslog.wait("motd: .*motd", world.mark)
    os.unlink(path)
    it = Terminal(world.login().argv(opts=("-t",)))
    it.send("exit\r")
    assert it.end() == 0


class Holding(Relay):
    """It keeps back what asks for an archive, and all after it."""

    def __init__(self, *args):
        self.asked = threading.Event()
        super().__init__(*args)

    def _carry(self, source, sink):
        try:
            while data := source.recv(65536):
                if b"/archive?" in data:
                    self.asked.set()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@both
def test_killed_while_it_learns(world):
    """The fixture: the container that never runs is gone with who made it."""
    path = os.path.join(world.dir, "holding.sock")
    relay = Holding(path, world.uid("bt-bash"), world.socket)
    try:
        with image(world, ("etc/passwd", b"x:x:9:9::/:/bin/sh\n", 0)) as name:
            world.conf.write(image=name, engine={"endpoint": "unix://" + path})
            proc = world.login().start("true")
            assert relay.asked.wait(20)
            rows = world.containers("bt-bash")
            assert [r["State"] for r in rows] == ["created"], rows
            for pid in world.helpers():
                os.kill(pid, signal.SIGKILL)
            proc.communicate(timeout=20)
            wait_for(lambda: not world.containers("bt-bash"), 5, "no container")
    finally:
        relay.close()
