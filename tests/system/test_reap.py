"""berth reap: what nobody needs any more goes, and nothing else does."""
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from harness import images, procs
from harness.client import need
from harness.relay import Relay
from harness.wait import wait_for

# What has no lock file is spared for 60 s: the clock of `later` is ahead of the engine's.
LATER = """\
#include <time.h>
time_t time(time_t *at)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec + 90;
    return now.tv_sec + 90;
}
"""
PROGRAM = "sbin/berth"
DEAD, ORPHANED = "nobody holds its lock", "its lock is gone"
KEEPING = {"scope": "user", "on_idle": "stop", "linger": "0s"}
LINGERING = {"scope": "user", "linger": "1h"}


@pytest.fixture(scope="module")
def clock(session_world):
    path = os.path.join(session_world.dir, "later.so")
    with open(path + ".c", "w") as f:
        f.write(LATER)
    subprocess.run([need("gcc"), "-shared", "-fPIC", "-o", path, path + ".c"], check=True)
    return path


@pytest.fixture
def reap(world, clock):
    def run(*options, later=False, timeout=40, **kw):
        argv = [os.path.join(world.prefix, PROGRAM), "reap", "--config", world.conf.path]
        env = dict(os.environ)
        if later:
            env.update(LD_PRELOAD=clock, ASAN_OPTIONS="verify_asan_link_order=0")
        if "user" not in kw:
            argv = world.syslog.wrap(argv)
        return subprocess.run(argv + list(options), capture_output=True, text=True, env=env,
                              timeout=timeout, **kw)
    return run


def did(got, *lines, removed=None):
    """All was done, and these containers are all that it removed."""
    removed = len(lines) if removed is None else removed
    said = got.stdout.splitlines()
    assert (got.returncode, got.stderr) == (0, ""), got
    assert sorted(said[:-1]) == sorted(lines), got
    assert said[-1] == f"{removed} removed, {len(lines) - removed} left", got


def name_of(row):
    return row["Names"][0][1:]


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def finish(proc):
    proc.kill()
    proc.communicate()


def kill_all(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(procs.ended(pid) for pid in pids), 5, "their end, and their locks'")


def ids(world):
    return {r["Id"] for r in world.containers()}


def abandon(world, user="bt-bash", command="sleep 1000"):
    """A session whose helper and watcher are both killed: its container's name."""
    proc = world.login(user).start(f"trap '' HUP TERM; echo up; {command}")
    begun(proc)
    name = name_of(world.containers(user)[0])
    kill_all(world.watchers(user) + [world.one_helper(user)])
    finish(proc)
    return name


def settle(world, user, command="true", **options):
    """A container of scope user, and nobody in it."""
    world.conf.write(users={"bt-*": options})
    assert world.login(user).run(command).returncode == 0
    rows = world.containers(user)
    assert len(rows) == 1, rows
    return rows[0]


def leave(world, user):
    """Without the creator's watcher, which would remove it."""
    kill_all(world.watchers(user))
    wait_for(lambda: not world.watchers(user), 5, "no watcher")


def wipe(world, user):
    shutil.rmtree(os.path.join(world.runtime, str(world.uid(user))))


def create(world, name, **labels):
    """As somebody else would, with labels like ours."""
    machine = open("/etc/machine-id").read().strip()
    labels = {"berth.machine": machine, "berth.runtime": world.runtime, "berth.user": "bt-bash",
              **{"berth." + k: v for k, v in labels.items()}}
    return world.engine.call("POST", f"/containers/create?name={name}", {
        "Image": images.BUSYBOX, "Cmd": ["sleep", "1000"], "Labels": labels,
        "NetworkDisabled": True})["Id"]


def derived(uid, key):
    return f"berth-{open('/etc/machine-id').read()[:8]}-{uid}-{key}"


# --- what goes

@pytest.mark.channels("direct", "attach")
def test_helper_and_watcher_killed(world, reap):
    world.conf.write(image=images.VOLUME)
    before = world.engine.anonymous_volumes()
    name = abandon(world, command="touch /data/x; sleep 1000")
    assert len(world.engine.anonymous_volumes() - before) == 1
    did(reap(), f"{name} (bt-bash): {DEAD}")
    assert not world.containers()
    assert not world.left_files()
    assert world.engine.anonymous_volumes() == before
    line = world.syslog.wait(rf"berth\[\d+\]: reap container={name} (.*)", world.mark).group(0)
    assert line.endswith(f' user="bt-bash" uid={world.uid("bt-bash")} reason="{DEAD}"'), line
    did(reap())


@pytest.mark.parametrize("options", [[], ["--user"]], ids=["all", "one"])
def test_log_in_json(world, reap, options):
    name, uid = abandon(world), world.uid("bt-bash")
    world.conf.raw("audit_format = json\n" + world.conf.text())
    did(reap(*(options + [str(uid)] if options else [])), f"{name} (bt-bash): {DEAD}")
    line = world.syslog.wait(r"berth\[\d+\]: (\{.*)", world.mark).group(1)
    assert json.loads(line) == {"event": "reap", "container": name, "user": "bt-bash", "uid": uid,
                                "reason": DEAD}


def test_lingering_guest_gone(world, reap):
    """Nobody removes it but a sweep: the watcher that would have is dead."""
    row = settle(world, "bt-bash", **LINGERING)
    guest = world.guest()
    leave(world, "bt-bash")
    did(reap())
    os.kill(guest, signal.SIGKILL)
    wait_for(lambda: world.containers()[0]["State"] == "exited", 5, "the container's end")
    did(reap(), f"{name_of(row)} (bt-bash): {DEAD}")


def test_several_users(world, reap):
    names = {user: abandon(world, user) for user in ("bt-bash", "bt-dash", "bt-env")}
    did(reap(), *[f"{name} ({user}): {DEAD}" for user, name in names.items()])


def test_runtime_directory_emptied(world, reap):
    """As a reboot does: what is kept over it stays."""
    kept = settle(world, "bt-dash", **KEEPING)
    wait_for(lambda: not world.left_files(), 5, lambda: f"no files; {world.left_files()}")
    gone = settle(world, "bt-bash", **LINGERING)
    leave(world, "bt-bash")
    wipe(world, "bt-bash")
    wipe(world, "bt-dash")
    # Young yet: it could be a login in the act.
    did(reap())
    did(reap(later=True), f"{name_of(gone)} (bt-bash): {ORPHANED}")
    assert ids(world) == {kept["Id"]}
    folder = os.stat(os.path.join(world.runtime, str(world.uid("bt-bash"))))
    assert (folder.st_uid, stat.S_IMODE(folder.st_mode)) == (world.uid("bt-bash"), 0o700)
    assert world.login().run("true").returncode == 0
    for row in world.containers():
        world.engine.remove(row["Id"])


def test_session_without_a_lock_file(world, reap):
    name = abandon(world)
    wipe(world, "bt-bash")
    did(reap(later=True), f"{name} (bt-bash): {ORPHANED}")
    assert os.listdir(world.runtime) == [] or not world.left_files()


def test_account_gone(world, reap):
    uid = 54321
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
    folder = os.path.join(world.runtime, str(uid))
    os.mkdir(folder, 0o700)
    try:
        key = "0123456789abcdef"
        with open(f"{folder}/{key}.lock", "w") as f:
            f.write("C")
        os.chown(f"{folder}/{key}.lock", uid, uid)
        os.chown(folder, uid, uid)
        create(world, derived(uid, key), uid=str(uid), session=key)
        got = reap("--json")
        assert json.loads(got.stdout) == [
            {"container": derived(uid, key), "uid": uid, "user": None, "reason": DEAD,
             "removed": True}], got
        assert os.listdir(folder) == []
    finally:
        shutil.rmtree(folder)


# --- what stays

def test_the_living_stay(world, reap):
    kept = settle(world, "bt-dash", **KEEPING)
    wait_for(lambda: not world.left_files(), 5, lambda: f"no files; {world.left_files()}")
    lingering = settle(world, "bt-env", **LINGERING)
    world.conf.write()
    proc = world.login().start("echo up; cat; exit 5")
    begun(proc)
    before = ids(world)
    did(reap(later=True))
    assert ids(world) == before and len(before) == 3
    proc.stdin.write(b"alive")
    out, _ = proc.communicate(timeout=10)
    assert (out, proc.returncode) == (b"alive", 5)
    # Joined, not made again.
    assert settle(world, "bt-env", **LINGERING)["Id"] == lingering["Id"]
    assert settle(world, "bt-dash", **KEEPING)["Id"] == kept["Id"]
    for row in world.containers():
        world.engine.remove(row["Id"])


def test_standby_stays_until_its_guest_is_gone(world, reap):
    world.conf.write(users={"bt-*": {"standby": 2}})
    assert world.login().run("true").returncode == 0
    rows = wait_for(lambda: len(world.guests()) == 2 and len(world.containers()) == 2
                    and not world.watchers() and world.containers(), 20,
                    lambda: f"two standing by; {world.containers()} {world.watchers()}")
    did(reap(later=True))
    assert ids(world) == {r["Id"] for r in rows}
    for guest in world.guests():
        os.kill(guest[0], signal.SIGKILL)
    wait_for(lambda: all(r["State"] == "exited" for r in world.containers()), 5, "both ended")
    did(reap(), *[f"{name_of(r)} (bt-bash): {DEAD}" for r in rows])


def test_kept_with_its_watcher_killed(world, reap):
    """The lock file is there, and says so itself."""
    kept = settle(world, "bt-bash", **{**KEEPING, "linger": "1h"})
    guest = world.guest()
    leave(world, "bt-bash")
    os.kill(guest, signal.SIGKILL)
    wait_for(lambda: world.containers()[0]["State"] == "exited", 5, "the container's end")
    did(reap(later=True))
    assert ids(world) == {kept["Id"]}
    world.engine.remove(kept["Id"])
    did(reap(later=True))
    wipe(world, "bt-bash")


def test_created_and_never_started(world, reap):
    """No more kept than any other: there are no files in it yet."""
    uid = str(world.uid("bt-bash"))
    ident = create(world, derived(uid, "user"), uid=uid, session="user", keep="1")
    try:
        did(reap("--dry-run", later=True), f"{derived(uid, 'user')} (bt-bash): {ORPHANED}",
            removed=0)
        did(reap(later=True), f"{derived(uid, 'user')} (bt-bash): {ORPHANED}")
        assert ident not in ids(world)
        ident = create(world, derived(uid, "user"), uid=uid, session="user", keep="1")
        for what in ("start", "stop?t=0"):
            world.engine.call("POST", f"/containers/{ident}/{what}")
        did(reap(later=True))
        assert ident in ids(world)
    finally:
        world.engine.remove(ident)
        shutil.rmtree(os.path.join(world.runtime, uid), ignore_errors=True)


def test_foreign_containers_stay(world, reap):
    """docker commit copies labels, and anybody may name a container as ours."""
    uid = str(world.uid("bt-bash"))
    key = "0" * 16
    made = [create(world, "bt-foreign", uid=uid, session=key),
            create(world, derived(uid, "user"), uid=uid, session=key),
            create(world, derived(uid, "1" * 16), uid="0", session="1" * 16),
            create(world, derived(uid, "2" * 16), uid=uid, session="2" * 16,
                   runtime="/run/other"),
            create(world, derived(uid, "3" * 16), uid=uid, session="3" * 16,
                   machine="0" * 32)]
    try:
        # A lock file that leads to a name doesn't make the container ours.
        folder = os.path.join(world.runtime, uid)
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
            os.chown(folder, int(uid), int(uid))
        for number in "13":
            with open(f"{folder}/{number * 16}.lock", "w") as f:
                f.write("C")
            os.chown(f.name, int(uid), int(uid))
        did(reap(later=True))
        for ident in made:
            world.engine.inspect(ident)
    finally:
        for ident in made:
            world.engine.remove(ident)


# --- hostile users

def test_hostile_lock_files(world, reap):
    uid = world.uid("bt-bash")
    folder = os.path.join(world.runtime, str(uid))
    assert world.login().run("true").returncode == 0    # makes the folder
    wait_for(lambda: not world.left_files(), 5, lambda: f"no files; {world.left_files()}")
    name = abandon(world, "bt-dash")

    def path(digit):
        return f"{folder}/{digit * 16}.lock"
    os.mkfifo(path("0"))
    os.symlink("/etc/passwd", path("1"))
    os.symlink(path("2"), path("2"))
    os.mknod(path("3"), 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.mkdir(path("4"))
    with open(path("5"), "wb") as f:
        f.write(b"C pid=99999999999999999999 id=" + b"f" * 5000)
    with open(path("6"), "wb") as f:
        f.write(b"k pid=1 id=" + b"a" * 64 + b" policy=0 keep=0\n")
    with open(path("7"), "wb") as f:
        f.truncate(1 << 40)
    with open(f"{folder}/..lock", "w"), open(f"{folder}/{'x' * 200}.lock", "w"):
        pass
    # Below a session's folder nothing is followed either.
    os.symlink("/etc", f"{folder}/{'5' * 16}")
    os.mkdir(f"{folder}/{'7' * 16}")
    os.symlink("/etc/passwd", f"{folder}/{'7' * 16}/guest")
    held = open(path("8"), "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        for file in os.listdir(folder):
            os.lchown(f"{folder}/{file}", uid, uid)
        start = time.monotonic()
        did(reap(later=True), f"{name} (bt-dash): {DEAD}")
        assert time.monotonic() - start < 10
        assert os.path.exists("/etc/passwd") and os.path.isdir("/etc")
        # What is no lock file is left alone, and so is what somebody holds.
        assert all(os.path.lexists(path(d)) for d in "012348")
        assert not os.path.lexists(path("5")) and not os.path.lexists(path("7"))
    finally:
        held.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["file", "link", "theirs", "open"])
def test_users_directory_that_is_not_his(world, reap, what):
    """It is said (his logins fail over it too), and the others' turn comes."""
    name = abandon(world, "bt-dash")
    uid = world.uid("bt-bash")
    folder = os.path.join(world.runtime, str(uid))
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    try:
        if what == "file":
            open(folder, "w").close()
        elif what == "link":
            os.symlink("/", folder)
        else:
            os.mkdir(folder, 0o755 if what == "open" else 0o700)
            os.chown(folder, uid if what == "open" else uid + 1, 0)
        got = reap()
        if what in ("file", "link"):
            did(got, f"{name} (bt-dash): {DEAD}")
        else:
            assert got.returncode == 1 and got.stderr.count("\n") == 1, got
            assert "must be uid" in got.stderr and folder in got.stderr, got
            assert got.stdout.endswith("\n1 removed, 0 left\n"), got
    finally:
        if os.path.isdir(folder) and not os.path.islink(folder):
            os.rmdir(folder)
        else:
            os.unlink(folder)


# --- the command

def test_dry_run(world, reap):
    dead = abandon(world)
    orphan = settle(world, "bt-dash", **LINGERING)
    leave(world, "bt-dash")
    wipe(world, "bt-dash")
    before, files = ids(world), world.left_files()
    lines = [f"{dead} (bt-bash): {DEAD}", f"{name_of(orphan)} (bt-dash): {ORPHANED}"]
    did(reap("--dry-run", later=True), *lines, removed=0)
    got = reap("--dry-run", "--json", later=True)
    assert got.returncode == 0 and [o["removed"] for o in json.loads(got.stdout)] == [False] * 2
    assert ids(world) == before and world.left_files() == files
    assert not os.path.exists(os.path.join(world.runtime, str(world.uid("bt-dash"))))
    assert not world.syslog.since(world.mark, "reap container=")
    did(reap(later=True), *lines)


def test_json(world, reap):
    name = abandon(world)
    got = reap("--json")
    assert (got.returncode, got.stderr) == (0, "")
    assert json.loads(got.stdout) == [{"container": name, "uid": world.uid("bt-bash"),
                                       "user": "bt-bash", "reason": DEAD, "removed": True}]
    assert json.loads(reap("--json").stdout) == []


def test_not_root(world, reap):
    got = reap(user=world.uid("bt-bash"), group=world.uid("bt-bash"),
               extra_groups=[world.engine_group])
    assert (got.returncode, got.stdout) == (1, "")
    assert re.fullmatch(r"berth reap: must be run as root: .*\n", got.stderr), got


@pytest.mark.parametrize("options", [["--nothing"], ["--config"], ["all"]])
def test_usage(world, reap, options):
    got = reap(*options)
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("berth reap: ") and got.stderr.count("\n") == 1, got


def test_which_command(world):
    program = os.path.join(world.prefix, PROGRAM)
    for argv, status in (([], 2), (["nothing"], 2), (["--help"], 0), (["--version"], 0),
                         (["reap", "--help"], 0)):
        got = subprocess.run([program] + argv, capture_output=True, text=True)
        assert got.returncode == status, got
        assert bool(got.stderr) == bool(status) and bool(got.stdout) != bool(status), got


# --- the engine

def test_engine_away(world, reap):
    world.conf.write(engine={"endpoint": "unix:///nonexistent/engine"})
    got = reap()
    assert (got.returncode, got.stdout) == (1, ""), got
    assert re.fullmatch(r"berth reap: cannot reach the container engine at .*\n", got.stderr), got


def test_bad_configuration(world, reap):
    world.conf.raw("nothing = 5\n")
    got = reap()
    assert got.returncode == 1 and f"{world.conf.path}:1: " in got.stderr, got


def test_engine_for_each(world, reap):
    """A user's engine is asked about that user; one that doesn't run has nothing."""
    folder = os.path.join(world.dir, "engines")
    os.mkdir(folder, 0o755)
    own = {"endpoint": f"unix://{folder}/%U.sock"}
    relays = []
    try:
        for user in ("bt-bash", "bt-dash"):
            uid = world.uid(user)
            relays.append(Relay(f"{folder}/{uid}.sock", uid, world.socket))
        assert world.login("bt-env").run("true").returncode == 0
        dead, orphan = abandon(world, "bt-bash"), abandon(world, "bt-dash")
        for name in world.left_files():
            if f"/{world.uid('bt-dash')}/" in name and name.endswith(".lock"):
                os.unlink(name)
        world.conf.write(engine=own)
        did(reap(later=True), f"{dead} (bt-bash): {DEAD}", f"{orphan} (bt-dash): {ORPHANED}")
        # Who has no directory isn't asked for, and nobody's engine speaks for him.
        world.conf.write()
        orphan = abandon(world, "bt-dash")
        wipe(world, "bt-dash")
        world.conf.write(engine=own)
        did(reap(later=True))
        world.conf.write()
        did(reap(later=True), f"{orphan} (bt-dash): {ORPHANED}")
        # Where one is needed, its absence is said.
        lost = abandon(world, "bt-env")
        world.conf.write(engine=own)
        got = reap()
        assert got.returncode == 1 and got.stdout == "0 removed, 1 left\n", got
        assert got.stderr.startswith(f"berth reap: {lost} (bt-env): left: "), got
        world.conf.write()
        did(reap(), f"{lost} (bt-env): {DEAD}")
    finally:
        for relay in relays:
            relay.close()
        shutil.rmtree(folder)


def lock_held_of(path):
    """Whose lock file it is, while somebody holds it; else None. Not by trying: whoever takes
    it in this moment would find it held."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return None
    with open("/proc/locks") as f:
        held = any(row.split()[1] == "FLOCK" and row.split()[5].endswith(f":{info.st_ino}")
                   for row in f if "->" not in row)
    return info.st_uid if held else None


def test_an_orphan_is_removed_under_its_lock(world, reap):
    """So that a login to that very container waits; and the lock is one that it can take."""
    row = settle(world, "bt-bash", **LINGERING)
    leave(world, "bt-bash")
    wipe(world, "bt-bash")
    lock = os.path.join(world.runtime, str(world.uid("bt-bash")), "user.lock")
    done = []
    thread = threading.Thread(target=lambda: done.append(reap(later=True)))
    thread.start()
    try:
        owner = wait_for(lambda: lock_held_of(lock) or done and "none", 30, "a held lock")
    finally:
        thread.join()
    assert owner == world.uid("bt-bash"), owner
    did(done[0], f"{name_of(row)} (bt-bash): {ORPHANED}")
    assert not os.path.exists(lock)


@pytest.mark.slow
def test_logins_meanwhile(world, reap):
    """A login to the very container that is being removed waits, and gets another."""
    world.conf.write(users={"bt-*": LINGERING})
    login = world.login()
    for turn in range(10):
        assert login.run("true").returncode == 0
        left = world.containers()[0]["Id"]
        guest = world.guest()
        leave(world, "bt-bash")
        if turn % 2:
            os.kill(guest, signal.SIGKILL)
        else:
            wipe(world, "bt-bash")
        proc = login.start("echo up; read x; echo $x")
        got = reap(later=True)
        begun(proc)
        out, err = proc.communicate(b"alive\n", timeout=20)
        assert (out, err, proc.returncode) == (b"alive\n", b"", 0), got
        assert (got.returncode, got.stderr) == (0, ""), got
        assert left not in ids(world)
        world.engine.remove(world.containers()[0]["Id"])
        wait_for(lambda: not world.left_files(), 5, lambda: f"no files; {world.left_files()}")


@pytest.mark.parametrize("one", [False, True], ids=["all", "one"])
def test_a_users_engine_is_reached_as_he(world, reap, one):
    """Where he may put links, root must not follow them to its own engine."""
    uid = world.uid("bt-bash")
    place = os.path.join(world.dir, "root-only")
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, f"{uid}.sock")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(path)
        os.chmod(path, 0o600)           # root's alone
        engine.listen()
        engine.setblocking(False)
        world.conf.write(engine={"endpoint": f"unix://{place}/%U.sock"})
        folder = os.path.join(world.runtime, str(uid))
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chown(folder, uid, -1)
        lock = os.path.join(folder, "0123456789abcdef.lock")
        with open(lock, "w") as f:
            f.write("C")
        os.chown(lock, uid, -1)
        try:
            got = reap(*(["--user", str(uid)] if one else []))
        finally:
            os.unlink(lock)
            os.unlink(path)
        assert got.returncode == 1 and "Permission denied" in got.stderr, got
        with pytest.raises(BlockingIOError):
            engine.accept()
