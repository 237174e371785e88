"""Fixtures: one sshd, its users and images for the whole run; a check after every test.
A plugin of pytest's, so that the tests beside these ones (tests/faults) have them too."""
import concurrent.futures
import contextlib
import fcntl
import glob
import grp
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile

import pytest

sys.dont_write_bytecode = True

from . import data, doors as doors_module, forwarding, fresh_root, images  # noqa: E402
from . import procs, sshd as sshd_module, users as users_module  # noqa: E402
from .client import Client, Login  # noqa: E402
from .engine import Engine  # noqa: E402
from .lacks import lacking  # noqa: E402
from .syslog import Syslog  # noqa: E402
from .wait import became, wait_for  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BARE = os.environ.get("BERTH_TEST_BARE") == "1"
PREFIX = os.environ.get("BERTH_PREFIX", "/usr/local")
HELPER = os.path.join(PREFIX, "libexec/berth/berth-session")
GUEST = os.path.join(PREFIX, "libexec/berth/guest/berth-guest")
SOCKET = os.environ.get("BERTH_ENGINE", "/run/docker.sock")
# Where a run has its files; in a machine (see there) another place.
STATE = os.environ.get("BERTH_TEST_STATE", "/var/lib")
WORK_PREFIX = "berth-test."


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the system tests must run as root")
    if not BARE and not os.path.exists(HELPER):
        raise pytest.UsageError(f"no {HELPER}: set BERTH_PREFIX to the installed tree")
    # All, where nothing is named.
    if config.args == [str(config.invocation_params.dir)]:
        config.args.append(os.path.join(HERE, "../../faults"))
    if config.getoption("tx", None) and not hasattr(config, "workerinput"):
        prepare_machines(config)
    elif os.environ.get("PYTEST_XDIST_WORKER"):
        # xdist made it outside, where it shows no more.
        os.makedirs(os.path.dirname(config.option.basetemp), exist_ok=True)


def claim():
    """A lock, since two runs would remove each other's users, and a folder for this run."""
    lock = open(os.path.join(STATE, "berth-test.lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pytest.exit("another run of these tests is under way", 2)
    for stale in os.listdir(STATE):
        if stale.startswith(WORK_PREFIX):
            remove(os.path.join(STATE, stale))
    # Not below /tmp: sshd refuses keys with a parent that others can write.
    folder = tempfile.mkdtemp(prefix=WORK_PREFIX, dir=STATE)
    os.chmod(folder, 0o755)
    return lock, folder


def remove(folder):
    """A run's, and the control groups of its machines' engines; whether all is gone."""
    name = os.path.basename(folder)
    tops = glob.glob(f"/sys/fs/cgroup/{name}") + glob.glob(f"/sys/fs/cgroup/*/{name}")
    for top in tops:
        for group, _, _ in os.walk(top, topdown=False):
            # While somebody of a machine that was killed still ends, his stays.
            with contextlib.suppress(OSError):
                os.rmdir(group)
    shutil.rmtree(folder, ignore_errors=True)
    return not any(map(os.path.exists, [folder, *tops]))


def prepare_machines(config):
    """What needs this machine's network or engine, made once for all that xdist starts."""
    lock, folder = claim()

    def end():
        # A machine whose worker was killed may take a while to end.
        wait_for(lambda: remove(folder), 20, f"{folder} removed")
        os.unlink(lock.name)
    config.add_cleanup(end)
    engine = Engine(SOCKET)
    assert engine.alive(), f"no engine answers at {SOCKET}"
    os.environ["BERTH_TEST_SHARED"] = folder
    root = os.environ.setdefault("BERTH_TEST_ROOT", folder)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        base = pool.submit(fresh_root.base, root)
        images.make_all(engine, folder)
        images.save_all(engine, os.path.join(folder, "images.tar"))
        base.result()


def in_glibc_by_exec(item):
    """What an engine starts in a container has of the image what a session of its own has."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return params.get("channel") == "exec" and params.get("each") == "glibc"


def pytest_collection_modifyitems(config, items):
    items[:] = [item for item in items if not in_glibc_by_exec(item)]
    engine = Engine(SOCKET)
    kind = engine.kind() if engine.alive() else None
    for item in items:
        reason = lacking(kind, item.nodeid)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"{kind}: {reason}"))
    if BARE:
        skip = pytest.mark.skip(reason="needs berth; this run is against a plain sshd")
        for item in items:
            if "plain" not in item.keywords:
                item.add_marker(skip)


@pytest.hookimpl(tryfirst=True)     # so that the channel comes first in a name
def pytest_generate_tests(metafunc):
    """Once per channel that the test's own mark, else its module's, names."""
    mark = metafunc.definition.get_closest_marker("channels")
    if mark is not None and mark.args and not BARE:
        metafunc.parametrize("channel", mark.args, indirect=True)


class World:
    """What every test may reach."""

    channel = None      # the one that berth.conf names; None: the default
    shared = False      # several sessions in one container

    def __init__(self):
        self.lock, self.dir = claim()
        self.engine = Engine(SOCKET)
        assert self.engine.alive(), f"no engine answers at {SOCKET}"
        self.runtime = os.path.join(self.dir, "run")
        os.mkdir(self.runtime)
        os.chmod(self.runtime, 0o1777)
        self.bare, self.helper, self.prefix, self.socket = BARE, HELPER, PREFIX, SOCKET
        with open(HELPER if not BARE else os.devnull, "rb") as f:
            sanitized = b"__asan_init" in f.read()
        # A sanitizer's shadow comes on top.
        self.sanitized = sanitized
        info = os.stat(SOCKET)
        assert stat.S_ISSOCK(info.st_mode)
        self.engine_group = info.st_gid
        assert self.engine_group != 0, "the engine's socket belongs to root's group: give it one"
        self.users = users_module.make_all(info.st_gid)
        # Whatever an earlier run that was killed left: it would fail the first test.
        for row in self.engine.containers(self.names()):
            self.engine.remove(row["Id"])
        self.make_images()
        self.syslog = Syslog(self.dir)
        self.conf = sshd_module.Conf(os.path.join(self.dir, "berth.conf"), self.runtime,
                                     "unix://" + SOCKET, images.BUSYBOX)
        self.conf.write()
        self.sshd = sshd_module.Sshd(self.dir, self.users, HELPER, self.conf.path,
                                     self.syslog, BARE)
        self.client = Client(self.sshd)

    def make_images(self):
        images.make_all(self.engine, self.dir)

    def memory_bound(self):
        """A stalled helper's resident memory: buffers and libcurl, or neither."""
        return (256 if self.sanitized else 24 if self.channel == "attach" else 4) << 20

    def as_on_a_host(self):
        """Whether the command's signals and pipes are sshd's own, as without any berth."""
        return self.bare or self.channel != "attach"

    def killed(self, number):
        """What ssh ends with when a signal ended the command: it says 255 for each that sshd
        told it of."""
        return 255 if self.as_on_a_host() else 128 + number

    def without_sshd(self, command=None, env=None, user="bt-bash", **kw):
        """The helper without sshd, as the user, on pipes; for what no sshd hands over."""
        entry = pwd.getpwnam(user)
        full = {"USER": user, "LOGNAME": user, "HOME": entry.pw_dir, "SHELL": entry.pw_shell,
                "PATH": "/usr/bin:/bin", "SSH_CONNECTION": "127.0.0.1 50000 127.0.0.1 22",
                "SSH_CLIENT": "127.0.0.1 50000 22"}
        if command is not None:
            full["SSH_ORIGINAL_COMMAND"] = command
        full.update(env or {})
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([HELPER, "--config", self.conf.path], env=full, cwd="/",
                              user=entry.pw_uid, group=entry.pw_gid,
                              extra_groups=[self.engine_group], capture_output=True,
                              timeout=60, **kw)

    @contextlib.contextmanager
    def another_sshd(self, wrapper=None, extra="", doors=sshd_module.DOORS):
        """A client of a second sshd, in a mount namespace made now, by `wrapper` where the log's
        alone won't do."""
        folder = tempfile.mkdtemp(prefix="sshd-", dir=self.dir)
        os.chmod(folder, 0o755)
        daemon = sshd_module.Sshd(folder, self.users, HELPER, self.conf.path,
                                  wrapper or self.syslog, BARE, extra, doors)
        try:
            yield Client(daemon)
        finally:
            daemon.stop()
            shutil.rmtree(folder)

    def own_hostnames(self):
        """For `create`: each container has the engine's own word for its hostname, by which
        one is told from another."""
        path = os.path.join(self.dir, "hostname.json")
        with open(path, "w") as f:
            json.dump({"Hostname": ""}, f)
        return path

    def names(self):
        return [e.pw_name for e in pwd.getpwall() if e.pw_name.startswith(users_module.PREFIX)]

    def uids(self):
        return {e.pw_uid for e in pwd.getpwall() if e.pw_name.startswith(users_module.PREFIX)}

    def uid(self, user):
        return pwd.getpwnam(user).pw_uid

    def group_name(self):
        return grp.getgrgid(self.engine_group).gr_name

    def login(self, user="bt-bash", image="busybox"):
        return Login(self.client, user, image)

    def berth(self, command, *options, config=True, **kw):
        """The administrator's tool, with this run's configuration and log."""
        argv = [os.path.join(self.prefix, "sbin/berth"), command]
        if config:
            argv += ["--config", self.conf.path]
        if "user" not in kw:
            argv = self.syslog.wrap(argv)
        return subprocess.run(argv + list(options), capture_output=True, text=True,
                              timeout=kw.pop("timeout", 40), **kw)

    def present(self, user=None):
        """The living sessions, as `berth ps` has them."""
        got = self.berth("ps", "--json", *(["--user", user] if user else []))
        assert (got.returncode, got.stderr) == (0, ""), got
        return json.loads(got.stdout)

    def containers(self, user=None):
        return self.engine.containers([user] if user else self.names())

    def container(self, user="bt-bash", timeout=10):
        """The user's one running container, inspected."""
        def running():
            rows = self.containers(user)
            return rows if len(rows) == 1 and rows[0]["State"] == "running" else None
        rows = wait_for(running, timeout, lambda: f"one running container; {self.containers(user)}")
        return self.engine.inspect(rows[0]["Id"])

    def helpers(self, user="bt-bash"):
        return procs.helpers({self.uid(user)}, HELPER)

    def one_helper(self, user="bt-bash", timeout=5):
        return wait_for(lambda: self.helpers(user), timeout, "a helper running")[0]

    def watchers(self, user="bt-bash"):
        return procs.watchers({self.uid(user)}, HELPER)

    def left_files(self):
        """All below the runtime directory but the users' own folders and what stays in them
        (register, rate, counts, names), and what root notes of containers' networks, which
        berth reap takes away: locks, the containers' folders and the sockets in them."""
        found = []
        for root, folders, names in os.walk(self.runtime, topdown=False):
            if os.path.basename(root) == "networks":
                found += [os.path.join(root, n) for n in names if n.startswith(".")]
            elif os.path.basename(root) == "names":
                found += [os.path.join(root, n) for n in names if n.endswith("~")]
            elif root != self.runtime:
                found += [os.path.join(root, n) for n in names + folders
                          if n not in ("sessions", "holds", "rate", "metrics", "names")]
            else:
                found += [os.path.join(root, n) for n in names if n != "slots"]
        return found

    def berths(self):
        """Every process of berth's that serves a test user: on the host, and in containers."""
        return procs.berths(self.uids(), HELPER) + self.guests()

    def guests(self):
        return procs.guests(GUEST, self.runtime)

    def guest(self, user="bt-bash"):
        """The guest of the user's one running container: its pid on the host."""
        pid = self.container(user)["State"]["Pid"]
        assert pid in [row[0] for row in self.guests()], f"process {pid} is no guest"
        return pid

    def leftovers(self, volumes):
        """What a session must not leave: empty when all is well."""
        left = [f"container {r['Names']} {r['State']}" for r in self.containers()]
        left += [f"volume {v}" for v in self.engine.anonymous_volumes() - volumes]
        left += [f"process {p}" for p in self.berths()]
        left += [f"file {f}" for f in self.left_files()]
        return left

    def clean_up(self, volumes):
        """After a failure, so that the next test isn't blamed for it."""
        users_module.end_processes(self.uids())
        for row in self.containers():
            self.engine.remove(row["Id"])
        for name in self.left_files():
            if os.path.isdir(name) and not os.path.islink(name):
                os.rmdir(name)
            else:
                os.unlink(name)
        for name in self.engine.anonymous_volumes() - volumes:
            self.engine.call("DELETE", f"/volumes/{name}?force=1", ok=(204, 404, 409))

    def close(self):
        self.sshd.stop()
        users_module.remove_all()
        for row in self.engine.containers(list(users_module.USERS) + ["bt-twin"]):
            self.engine.remove(row["Id"])
        self.syslog.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        os.unlink(self.lock.name)


_STATE = {}


@pytest.fixture(scope="session")
def session_world():
    it = World()
    _STATE["world"] = it
    yield it
    it.close()


@pytest.fixture
def channel(request):
    """The channel that the test's sessions take; None: berth.conf doesn't say."""
    return getattr(request, "param", None)


@pytest.fixture(autouse=True)
def world(session_world, channel):
    """The world with the default configuration; afterwards nothing may be left of a session."""
    # Sessions by exec are the attach channel's in a container that is shared.
    session_world.conf.scope = "user" if channel == "exec" else None
    session_world.channel = session_world.conf.channel = "attach" if channel == "exec" else channel
    session_world.shared = channel == "exec"
    session_world.conf.write()
    volumes = session_world.engine.anonymous_volumes()
    session_world.mark = session_world.syslog.mark()
    _STATE["sshd"] = session_world.sshd.mark()
    yield session_world
    if BARE:
        users_module.end_processes(session_world.uids())
        return
    if not became(lambda: not session_world.leftovers(volumes), 5):
        left = session_world.leftovers(volumes)
        session_world.clean_up(volumes)
        pytest.fail("left behind 5 s after the test:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture(scope="session")
def fresh_base(session_world):
    """What fresh roots start from (harness/fresh_root.py): a minute's work, so once a run, or,
    where BERTH_TEST_ROOT names a folder for it, once."""
    kept = os.environ.get("BERTH_TEST_ROOT")
    path = fresh_root.base(kept or session_world.dir)
    yield path
    if not kept:
        shutil.rmtree(path)


@pytest.fixture
def login(world):
    """A login in the busybox image."""
    return world.login()


@pytest.fixture(params=["busybox", "glibc"])
def each(request, world):
    """A login in the busybox image, then one in the glibc image."""
    world.conf.write(image={"busybox": images.BUSYBOX, "glibc": images.GLIBC}[request.param])
    return world.login(image=request.param)


@pytest.fixture
def changing(world):
    """Has the name images.CHANGING stand for another image, or for none."""
    def become(image):
        if image:
            world.engine.call("POST", f"/images/{image}/tag?repo={images.CHANGING}", ok=(201,))
        else:
            world.engine.call("DELETE", f"/images/{images.CHANGING}", ok=(200, 404))
    become(images.BUSYBOX)
    yield become
    become(None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    it = _STATE.get("world")
    if report.failed and it is not None:
        report.sections.append(("sshd's log", it.sshd.tail(_STATE.get("sshd", 0))))
        mark = getattr(it, "mark", 0)
        report.sections.append(("syslog", "\n".join(it.syslog.since(mark, "")[-40:])))


@pytest.fixture(scope="session")
def session_doors(session_world):
    it = doors_module.Doors(session_world)
    yield it
    it.close()


@pytest.fixture
def doors(session_doors, world):
    """sshd with pam_berth and berth-shell: users as they were, the usual configuration."""
    session_doors.reset()
    session_doors.clean_homes()
    session_doors.conf.channel, session_doors.conf.scope = world.channel, None
    session_doors.conf.write(users=doors_module.MAPPED)
    return session_doors


@pytest.fixture(scope="session")
def door_sshd(session_doors):
    """The one that most tests use."""
    return session_doors.sshd()


@pytest.fixture(scope="session")
def forwarding_sshd(session_doors):
    """Lets TCP forwards through, for logins that land in containers, of two users."""
    session_doors.make(forwarding.OTHER)
    yield forwarding.make_sshd(session_doors)
    users_module.remove(forwarding.OTHER)


@pytest.fixture
def ways(doors, forwarding_sshd):
    """For tests of forwards, with berth.conf that has them end in containers."""
    it = forwarding.Ways(doors, forwarding_sshd)
    it.allow()
    yield it
    it.close()


@pytest.fixture(scope="session")
def data_dir(session_world):
    """A folder of test data that tests mount read-only."""
    path = os.path.join(session_world.dir, "data")
    os.mkdir(path, 0o755)
    return path


@pytest.fixture(scope="session")
def gigabyte(data_dir):
    """(path, sha256) of 1 GiB."""
    path = data.make_file(os.path.join(data_dir, "gigabyte"), 1 << 30)
    return path, data.sha256(path)
