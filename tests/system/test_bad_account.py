"""A user database (NSS) that hangs, or that says what no berth.conf reckons with."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import pytest

from harness import nss as nss_module, procs
from harness.client import Login
from harness.refusal import one_line
from harness.wait import became

UID = nss_module.UID


@pytest.fixture(scope="module")
def database(session_world):
    folder = tempfile.mkdtemp(prefix="nss-", dir=session_world.dir)
    os.chmod(folder, 0o755)
    yield nss_module.Nss(session_world.syslog, folder, session_world.engine_group)
    shutil.rmtree(folder)


@pytest.fixture
def nss(world, database):
    """Afterwards nothing of the odd account's is left."""
    query = "/containers/json?" + urllib.parse.urlencode(
        {"all": 1, "filters": json.dumps({"label": [f"berth.uid={UID}"]})})

    def left():
        return world.engine.call("GET", query) or procs.of_users({UID})
    yield database
    database.reset()
    if not became(lambda: not left(), 5):
        rows = left()
        for row in world.engine.call("GET", query):
            world.engine.remove(row["Id"])
        pytest.fail(f"left behind: {rows}", pytrace=False)


@contextlib.contextmanager
def logins(world, nss):
    """A client of a sshd that asks this database."""
    with world.another_sshd(nss, f"""\
Match User bt-odd*
  AuthorizedKeysFile {{dir}}/keys/bt-bash
  ForceCommand exec {world.helper} --config {world.conf.path}
""") as client:
        yield client


def without_sshd(world, nss, user=UID, command="echo ran", **kw):
    """For names that no sshd would take: the helper itself, as it would be started."""
    env = {"SSH_CONNECTION": "127.0.0.1 50000 127.0.0.1 22",
           "SSH_CLIENT": "127.0.0.1 50000 22", "SSH_ORIGINAL_COMMAND": command}
    argv = nss.wrap(["setpriv", f"--reuid={user}", f"--regid={world.engine_group}",
                     "--clear-groups", world.helper, "--config", world.conf.path])
    kw.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            cwd="/", **kw)


# --- it hangs

@pytest.mark.slow
def test_a_database_that_hangs(world, nss):
    """At the uid, at the groups, and while nobody reads what there is to say: side by side, since
    each takes its 20 seconds."""
    world.conf.write(users={"bt-*": {}}, groups={"bt-no-such": {}})
    nss.hang("passwd", world.uid("bt-bash"))
    nss.hang("group", "bt-dash")
    nss.say("bt-odd")
    nss.hang("passwd", UID)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    start = time.monotonic()
    with logins(world, nss) as client:
        # A database that answers: the others are no hang of something else.
        got = client.run("bt-forge", "echo ran")
        assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b"")
        bash, dash = (client.start(u, "echo ran", stdin=subprocess.DEVNULL)
                      for u in ("bt-bash", "bt-dash"))
        deaf = without_sshd(world, nss, stderr=writing)
        for proc, what in ((bash, "tell who logs in"), (dash, "tell what groups")):
            out, err = proc.communicate(timeout=35)
            one_line(proc.returncode, out, err, what, "(NSS) has not answered for 20 s")
        assert (deaf.wait(10), deaf.stdout.read()) == (254, b"")
    took = time.monotonic() - start
    assert 20 <= took < 40, took
    os.close(reading)
    os.close(writing)
    for uid in (world.uid("bt-bash"), world.uid("bt-dash"), UID):
        world.syslog.wait(rf"^<84>berth-session\[\d+\]: deny session=[0-9a-f]{{16}} uid={uid} "
                          r"client=127.0.0.1 port=\d+ cause=login reason=\"cannot tell .* \(NSS\) "
                          r"has not answered", world.mark)
    nss.reset()
    with logins(world, nss) as client:
        assert client.run("bt-bash", "echo back").stdout == b"back\n"


class Administrator:
    """berth's commands side by side, since each takes its 20 seconds."""

    def __init__(self, world, nss):
        self.world, self.nss, self.started = world, nss, {}

    def start(self, command, *options):
        argv = [os.path.join(self.world.prefix, "sbin/berth"), command, "--config",
                self.world.conf.path, *options]
        self.started[(command, *options)] = subprocess.Popen(
            self.nss.wrap(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def got(self, command, *options, what, status=1):
        """Its output; who it had to do without is told once."""
        proc = self.started[(command, *options)]
        out, err = proc.communicate(timeout=35)
        assert proc.returncode == status, (out, err)
        assert re.fullmatch(rf"berth {command}: cannot look up {what}: the system's user database "
                            r"\(NSS\) has not answered for 20 s\n", err), (out, err)
        return out


@pytest.mark.slow
def test_a_database_that_hangs_for_the_administrator(world, nss):
    """What needs no name is done all the same, and nothing waits twice."""
    dead = world.login("bt-dash").start("echo up; sleep 1000")
    assert dead.stdout.readline() == b"up\n"
    name = world.containers("bt-dash")[0]["Names"][0][1:]
    for pid in world.watchers("bt-dash") + [world.one_helper("bt-dash")]:
        os.kill(pid, signal.SIGKILL)
    dead.communicate()
    living = [world.login(user).start("echo up; cat") for user in ("bt-bash", "bt-forge")]
    assert [proc.stdout.readline() for proc in living] == [b"up\n"] * 2
    uids = {user: world.uid(user) for user in ("bt-bash", "bt-dash", "bt-forge")}
    session = world.present("bt-forge")[0]["session"]
    for user, uid in uids.items():
        nss.hang("passwd", uid)
        nss.hang("passwd", user)
    nss.hang("group", "bt-env")
    berth = Administrator(world, nss)
    start = time.monotonic()
    for argv in (["explain", "bt-bash"], ["explain", "bt-env"], ["enter", "bt-bash"], ["reap"],
                 ["ps", "--json"], ["ps", "--user", "bt-bash"], ["kill", session],
                 ["kill", "--user", "bt-bash"], ["metrics", "--by-user"],
                 ["check", "--user", "bt-bash"]):
        berth.start(*argv)
    bash = 'account "bt-bash"'
    assert berth.got("explain", "bt-bash", what=bash) == ""
    assert berth.got("explain", "bt-env", what='account "bt-env"') == ""
    assert berth.got("enter", "bt-bash", what=bash, status=254) == ""
    assert berth.got("ps", "--user", "bt-bash", what=bash) == ""
    assert berth.got("kill", "--user", "bt-bash", what=bash) == ""
    assert berth.got("check", "--user", "bt-bash", what=bash) == ""
    assert berth.got("reap", what=f"uid {uids['bt-dash']}") == \
        f"{name} (uid {uids['bt-dash']}): nobody holds its lock\n1 removed, 0 left\n"
    took = time.monotonic() - start
    assert 20 <= took < 40, took
    # Whosever register comes first.
    anybody = 'account "bt-(bash|forge)"'
    out = berth.got("metrics", "--by-user", what=anybody)
    assert all(f'user="uid {uids[user]}"' in out for user in uids), out
    rows = {row["uid"]: row["user"] for row in json.loads(berth.got("ps", "--json", what=anybody))}
    assert rows[uids["bt-bash"]] == f"uid {uids['bt-bash']}"
    # The others' names are none of its business.
    assert berth.got("kill", session, what='account "bt-forge"') == \
        f"{session} (uid {uids['bt-forge']}): ended\n1 ended\n"
    for proc in living:
        proc.communicate(b"", timeout=10)
    assert [proc.returncode for proc in living] == [0, 254]


# --- it says strange things

REFUSED = ["/", "..", ".", ":", "a/b", "/etc", "../..", "a:b", "a:/etc:ro", "a\nb", "a\tb",
           "\x1b[2J", b"\xff\xfe", "", "\x7f"]


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_a_name_that_would_change_a_mount(world, nss, name):
    """Where berth.conf makes use of it the login is refused."""
    world.conf.write(mounts=[world.dir + "/%u:/x"], users={"*": {}})
    nss.say(name)
    proc = without_sshd(world, nss)
    out, err = proc.communicate(timeout=20)
    text = one_line(proc.returncode, out, err, "berth.conf:", "mounts")
    assert "which is empty" in text or "UTF-8" in text
    if isinstance(name, str) and not name.isprintable():
        assert "\\x" in text and name not in text


@pytest.mark.parametrize("option,value", [
    ("mounts", ["/srv:/x%u"]), ("home", "/srv/%u"), ("tmpfs", ["/x%u"]), ("workdir", "/srv/%u"),
    ("env", ["A=%u"]), ("labels", ["a=%u"]), ("hostname", "h%u"), ("cgroup_parent", "/b/%u"),
    ("image", "x%u"), ("user", "%u"), ("create", "%u.json"), ("devices", ["/dev/%u"]),
    ("force_command", "echo %u"), ("commands", ["echo %u"]), ("banner", "hello %u")])
def test_a_name_that_leads_elsewhere_in_any_option(world, nss, option, value):
    world.conf.write(users={"*": {option: value}})
    nss.say("../../etc")
    proc = without_sshd(world, nss)
    out, err = proc.communicate(timeout=20)
    one_line(proc.returncode, out, err, option, "../../etc")


@pytest.mark.parametrize("home", ["", "relative", "/..", "/a/../..", "/a:b", "/a\nb", "/", "//",
                                  "/.", b"/\xff"], ids=ascii)
def test_a_home_that_is_none(world, nss, home):
    world.conf.write(users={"*": {"home": world.dir}})
    nss.say("bt-odd", home)
    proc = without_sshd(world, nss)
    out, err = proc.communicate(timeout=20)
    one_line(proc.returncode, out, err, "berth.conf:", "home", "login's home")
    # Where berth.conf has no use for it, it does no harm.
    world.conf.write(users={"*": {}})
    proc = without_sshd(world, nss)
    out, err = proc.communicate(timeout=20)
    assert (proc.returncode, out, err) == (0, b"ran\n", b"")


@pytest.mark.parametrize("name", ["bt-odd100%u%h", "bt-odd" + "x" * 194, "bt-odd name",
                                  "bt-odd$(id)", "bt-oddü", "bt-odd'\"\\", "bt-odd\nberth forged",
                                  "bt-odd\tuid=0 \x1b[2J"], ids=ascii)
def test_odd_names_through_sshd(world, nss, name):
    """They are told as they are, and forge no line in the log."""
    world.conf.write(users={"bt-odd*": {}})
    nss.say(name)
    with logins(world, nss) as client:
        status, out, err = Login(client, name, "").exec_bytes("printf '<%s>' \"$USER\"; id -u")
    assert (status, out.decode(), err) == (0, f"<{name}>{UID}\n", b"")
    world.syslog.wait(rf"close .*uid={UID} ", world.mark)
    lines = world.syslog.since(world.mark, "berth-session")
    assert len([t for t in lines if " open " in t and f"uid={UID}" in t]) == 1, lines
    assert not [t for t in lines if t.rstrip("\n\0").count("\n") or "\x1b" in t], lines


def test_a_percent_sign_is_expanded_once(world, nss):
    path = os.path.join(world.dir, "bt-%u%h")
    os.mkdir(path)
    open(os.path.join(path, "here"), "w").close()
    world.conf.write(users={"*": {"mounts": [world.dir + "/%u:/x"], "env": ["WHO=%u"]}})
    nss.say("bt-%u%h")
    proc = without_sshd(world, nss, command="ls /x; echo $WHO")
    assert proc.communicate(timeout=20) == (b"here\nbt-%u%h\n", b"")
    shutil.rmtree(path)


def test_a_long_name_where_there_is_no_room(world, nss):
    nss.say("bt-odd" + "x" * 194)
    world.conf.write(users={"*": {"hostname": "%u"}})
    with logins(world, nss) as client:
        status, out, err = Login(client, "bt-odd" + "x" * 194, "").exec_bytes("echo ran")
        one_line(status, out, err, "berth.conf:", "hostname", "must be a host name")


@pytest.mark.parametrize("size", [5000, 131072, 262144])
def test_a_name_without_end(world, nss, size):
    """It runs as what it is, or is refused in one line of a bearable length."""
    world.conf.write(users={"*": {}})
    nss.say("n" * size)
    proc = without_sshd(world, nss, command="echo ran")
    out, err = proc.communicate(timeout=30)
    if proc.returncode == 0:
        assert (out, err) == (b"ran\n", b"")
    else:
        assert len(one_line(proc.returncode, out, err)) < 2000
    world.syslog.wait(rf"(open|deny) .*uid={UID} ", world.mark)
    assert max(len(t) for t in world.syslog.since(world.mark, "berth-session")) < 2000


def test_no_account_at_all(world, nss):
    nss.reset()
    proc = without_sshd(world, nss)
    out, err = proc.communicate(timeout=20)
    one_line(proc.returncode, out, err, f"no account has uid {UID}")
