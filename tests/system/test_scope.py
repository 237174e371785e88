"""Scopes connection and user: containers that outlive a session."""
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import images, procs
from harness.fake_engine import HIJACKED, FakeEngine, frame, reply
from harness.relay import Relay
from harness.scopes import a_minute_later, begun, configure, gone, hostname, remove
from harness.wait import became, wait_for

pytestmark = pytest.mark.channels("direct", "attach")
direct = pytest.mark.channels("direct")


def name_of(world):
    return world.container()["Name"].lstrip("/")


def first_process(world):
    """The guest's pid, or by attach the keeper's."""
    return world.container()["State"]["Pid"]


def stop(world):
    world.engine.call("POST", f"/containers/{name_of(world)}/stop?t=5", ok=(204, 304))


# --- scope user

def test_one_container_for_all_of_a_users_sessions(world, login):
    configure(world, linger="1s")
    assert len({hostname(login) for _ in range(3)}) == 1
    assert world.container()["Config"]["Labels"]["berth.scope"] == "user"
    gone(world, 5)


def test_linger_forever(world, login):
    """Unused it stays, with nobody of berth's but its keeper, and the next login is in it."""
    configure(world, linger="forever")
    first = hostname(login)
    wait_for(lambda: not world.helpers() and len(world.watchers()) == 1, 5, "its keeper alone")
    assert not became(lambda: [r["State"] for r in world.containers()] != ["running"], 1)
    assert hostname(login) == first
    remove(world)


def test_users_are_apart(world, login):
    configure(world, linger="1s")
    proc = login.start("echo up; read x")
    begun(proc)
    assert hostname(world.login("bt-dash")) != world.container()["Config"]["Hostname"]
    proc.communicate(b"x\n", timeout=10)
    gone(world, 6)


def test_files_and_background_jobs_stay_until_linger_ends(world, login):
    configure(world, linger="1s")
    assert login.run("echo mine >/tmp/f; setsid sleep 1000 >&- 2>&- <&- &").returncode == 0
    got = login.run("cat /tmp/f; pidof sleep >/dev/null && echo runs")
    assert got.stdout == b"mine\nruns\n", got
    gone(world, 5)


@pytest.mark.slow
def test_racing_logins_make_one_container(world, login):
    """Also against the end of the container of the race before."""
    configure(world, linger="0")
    for _ in range(50 if world.channel == "direct" else 10):
        racing = [login.start("hostname; read x") for _ in range(2)]
        names = {p.stdout.readline() for p in racing}
        outs = [p.communicate(b"x\n", timeout=60) for p in racing]
        assert [p.returncode for p in racing] == [0] * 2, outs
        assert len(names) == 1 and len(names.pop()) == 13, names
    gone(world, 5)


@pytest.mark.slow
def test_a_login_in_the_moment_that_linger_ends(world, login):
    configure(world, linger="1s")
    for i in range(7):
        hostname(login)
        time.sleep(0.76 + 0.04 * i)     # the moment itself is what is tried
    gone(world, 6)


@direct
def test_joining_asks_no_engine_and_loads_no_libcurl(world, login):
    configure(world, linger="30s")
    hostname(login)
    # A join finds its way by the record alone: another socket would not lead to an engine.
    proc = login.start("echo up; read x")
    begun(proc)
    helpers = world.helpers()
    assert len(helpers) == 1, helpers
    with open(f"/proc/{helpers[0]}/maps") as f:
        assert "libcurl" not in f.read()
    assert procs.watchers({world.uid("bt-bash")}, world.helper) != [], "the creator's keeper"
    proc.communicate(b"x\n", timeout=10)
    world.conf.write(users={"bt-*": {"scope": "user", "linger": "30s",
                                     "create": world.own_hostnames()}},
                     engine={"endpoint": "unix:///nonexistent/engine.sock"})
    assert hostname(login) == world.container()["Config"]["Hostname"]
    remove(world)


def test_a_container_that_somebody_removed_is_made_again(world, login):
    configure(world, linger="30s")
    first = hostname(login)
    world.engine.remove(name_of(world))
    assert hostname(login) != first
    remove(world)


def end(world, how):
    if how == "stopped":
        stop(world)
    else:
        os.kill(first_process(world), signal.SIGKILL)


def exited(world):
    wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 5, "it stopped")


def one_keeper(world):
    wait_for(lambda: len(world.watchers()) == 1, 5, lambda: f"one keeper: {world.watchers()}")
    assert not became(lambda: len(world.watchers()) != 1, 1), world.watchers()


ends = pytest.mark.parametrize("how", ["stopped", "killed"])


@ends
@pytest.mark.parametrize("when", ["idle", "in_use", "at_once"])
def test_a_container_that_somebody_stopped_is_started_again(world, login, how, when):
    """With what is in it, again and again; also for a login before all have noticed its end."""
    configure(world, linger="60s")
    assert login.run("echo mine >/tmp/f").returncode == 0
    ident = world.container()["Id"]
    for _ in range(2):
        proc = login.start("echo up; sleep 1000")
        begun(proc)
        if when == "idle":
            proc.kill()
            wait_for(lambda: not world.helpers(), 10, "nobody is in it")
        end(world, how)
        if when != "at_once":
            exited(world)
        proc.kill()
        proc.communicate()
        assert login.run("cat /tmp/f").stdout == b"mine\n"
        assert world.container()["Id"] == ident
    one_keeper(world)
    remove(world)


@pytest.mark.parametrize("who", ["client", "helper"])
def test_a_stopped_container_outlives_a_broken_off_login(world, login, who):
    """Whenever in its making the login's client or its helper ends."""
    configure(world, linger="60s")
    assert login.run("echo mine >/tmp/f").returncode == 0
    ident = world.containers()[0]["Id"]
    for ms in (0, 30, 45, 60, 90, 130):
        world.engine.call("POST", f"/containers/{ident}/kill", ok=(204, 409))
        exited(world)
        proc = login.start("cat /tmp/f; sleep 10")
        helper = world.one_helper()
        time.sleep(ms / 1000)           # the moment itself is what is tried
        if who == "client":
            proc.kill()
        else:
            os.kill(helper, signal.SIGKILL)
        proc.communicate()
        wait_for(lambda: not world.helpers(), 10, "nobody is in it")
        assert [r["Id"] for r in world.containers()] == [ident], ms
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    one_keeper(world)
    remove(world)


def test_started_again_it_lingers(world, login):
    """As it did before."""
    configure(world, linger="6s")
    first = hostname(login)
    stop(world)
    exited(world)
    assert hostname(login) == first
    used = time.monotonic()
    gone(world, 20)
    assert time.monotonic() - used > 4


@ends
def test_a_stopped_container_lingers(world, login, how):
    """By its keeper, whatever sweeps; then it is gone."""
    configure(world, linger="6s")
    hostname(login)
    end(world, how)
    stopped = time.monotonic()
    exited(world)
    assert world.berth("reap").returncode == 0
    assert not became(lambda: [r["State"] for r in world.containers()] != ["exited"], 3)
    gone(world, 20)
    assert time.monotonic() - stopped > 4


def test_stopped_though_nobody_waits_for_it(world, login):
    """linger = 0: unused it is to be gone."""
    configure(world, linger="0")
    proc = login.start("echo up; sleep 1000")
    begun(proc)
    stop(world)
    gone(world, 10)
    proc.communicate()


def test_stopped_then_removed_by_somebody(world, login):
    configure(world, linger="30s")
    first = hostname(login)
    stop(world)
    exited(world)
    world.engine.remove(world.containers()[0]["Id"])
    assert hostname(login) != first
    one_keeper(world)
    remove(world)


def test_stopped_and_nothing_written_of_it(world, login):
    """As after the machine's restart: forever was until then."""
    configure(world, linger="forever")
    assert login.run("echo mine >/tmp/f").returncode == 0
    one_keeper(world)
    os.kill(world.watchers()[0], signal.SIGKILL)
    stop(world)
    exited(world)
    os.unlink(os.path.join(world.runtime, str(world.uid("bt-bash")), "user.lock"))
    assert login.run("cat /tmp/f").stdout == b""
    remove(world)


def test_stopped_and_of_another_policy(world, login):
    """That is made anew, as where it runs."""
    configure(world, linger="30s")
    assert login.run("echo mine >/tmp/f").returncode == 0
    stop(world)
    configure(world, linger="30s", pids="77")
    assert login.run("cat /tmp/f").stdout == b""
    assert world.container()["HostConfig"]["PidsLimit"] == 77
    one_keeper(world)
    remove(world)


def test_stopped_and_of_another_policy_that_is_to_stay(world, login):
    configure(world, linger="30s", replace="never")
    assert login.run("echo mine >/tmp/f").returncode == 0
    stop(world)
    configure(world, linger="30s", replace="never", pids="77")
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    remove(world)


@pytest.mark.channels("attach")
def test_what_nothing_starts_any_more_is_made_again(world, login):
    configure(world, linger="30s", user="0:0")
    assert login.run("echo mine >/tmp/f; rm /bin/sleep").returncode == 0
    stop(world)
    got = login.run("cat /tmp/f")
    if got.returncode == 254:   # it ended in the moment in which it was joined
        assert got.stderr.startswith(b"berth: ") and got.stderr.count(b"\n") == 1, got
        got = login.run("cat /tmp/f")
    assert got.returncode == 1 and b"No such file" in got.stderr, got
    remove(world)


def test_stopped_while_the_engine_is_away(world, login):
    """A login that can't be served costs it nothing."""
    configure(world, linger="60s")
    assert login.run("echo mine >/tmp/f").returncode == 0
    stop(world)
    exited(world)
    users = {"bt-*": {"scope": "user", "linger": "60s", "create": world.own_hostnames()}}
    world.conf.write(users=users, engine={"endpoint": "unix:///nonexistent/engine.sock"})
    assert login.run("hostname").returncode == 254
    configure(world, linger="60s")
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    remove(world)


def test_guest_killed_under_a_session(world, login):
    configure(world, linger="1s")
    proc = login.start("echo up; sleep 1000")
    begun(proc)
    os.kill(first_process(world), signal.SIGKILL)
    # By attach the engine's word: the end of the container was the command's.
    assert proc.wait(5) == (254 if world.channel == "direct" else 137)
    proc.communicate()
    hostname(login)
    gone(world, 5)


def test_paused_is_thawed(world, login):
    configure(world, linger="1s")
    first = hostname(login)
    world.engine.call("POST", f"/containers/{name_of(world)}/pause", ok=(204,))
    # What was given up because the guest was silent isn't run afterwards.
    assert login.run("echo once >>/tmp/n; cat /tmp/n; hostname").stdout.decode() == \
        f"once\n{first}\n"
    gone(world, 5)


def test_another_policy_replaces_an_idle_container(world, login):
    configure(world, linger="1s")
    proc = login.start("echo up; read x; echo $x")
    begun(proc)
    first = hostname(login)
    configure(world, linger="1s", pids="77")
    assert hostname(login) == first, "in use: joined"
    world.syslog.wait(r"joins container .* of an older policy", world.mark)
    assert proc.communicate(b"fine\n", timeout=10)[0] == b"fine\n"
    assert hostname(login) != first
    assert world.container()["HostConfig"]["PidsLimit"] == 77
    gone(world, 5)


def test_replace_never(world, login):
    configure(world, linger="5s", replace="never")
    first = hostname(login)
    configure(world, linger="5s", replace="never", pids="77")
    assert hostname(login) == first
    gone(world, 15)


def outdated(world):
    path = os.path.join(world.runtime, str(world.uid("bt-bash")), "user.lock")
    with open(path, "rb") as f:
        return b" policy=0000000000000000 " in f.read()


def test_another_image_replaces_an_idle_container(world, login, changing):
    world.conf.write(image=images.CHANGING, users={"bt-*": {"scope": "user", "linger": "30s",
                                                     "create": world.own_hostnames()}})
    first = hostname(login)
    changing(images.VOLUME)
    assert hostname(login) == first, "nobody has asked"
    a_minute_later(world)
    proc = login.start("echo up; read x; echo $x")      # its own joining is what asks
    begun(proc)
    wait_for(lambda: outdated(world), 5, "seen")
    assert hostname(login) == first, "in use: joined"
    world.syslog.wait(r"joins container .* of an older policy or image", world.mark)
    assert proc.communicate(b"fine\n", timeout=10)[0] == b"fine\n"
    second = hostname(login)
    assert second != first
    # None of that name is no other one.
    a_minute_later(world)
    changing(None)
    assert [hostname(login), hostname(login)] == [second] * 2
    remove(world)


def test_another_image_keeps_a_persons_files(world, login, changing):
    def write(**options):
        world.conf.write(image=images.CHANGING, users={"bt-*": {"scope": "user", "linger": "0",
                                                         "on_idle": "stop", **options}})

    def stopped():
        wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 5, "it stopped")
        wait_for(lambda: not world.left_files() and not world.berths(), 5, "nothing else left")
    write()
    assert login.run("echo mine >/tmp/f").returncode == 0
    stopped()
    changing(images.VOLUME)
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    stopped()
    write(replace="idle")
    assert login.run("cat /tmp/f").stdout == b""
    stopped()
    remove(world)


def test_a_foreign_container_of_that_name_is_refused(world, login):
    configure(world, linger="0")
    hostname(login)
    gone(world, 5)
    name = "berth-" + open("/etc/machine-id").read()[:8] + f"-{world.uid('bt-bash')}-user"
    ident = world.engine.call("POST", f"/containers/create?name={name}",
                              {"Image": images.BUSYBOX, "Cmd": ["true"]}, ok=(201,))["Id"]
    try:
        got = login.run("hostname")
        assert got.returncode == 254 and b"berth didn't make" in got.stderr, got
        assert became(lambda: not world.left_files(), 5)
        assert world.engine.inspect(ident)["Id"] == ident, "it is still there"
    finally:
        world.engine.remove(ident)


def kill_keeper(world):
    wait_for(lambda: len(world.watchers()) == 1, 5, lambda: f"one keeper: {world.watchers()}")
    os.kill(world.watchers()[0], signal.SIGKILL)


@direct
def test_keeper_killed(world, login):
    """The next login finds the dead container, and has it kept again."""
    configure(world, linger="1s")
    first = hostname(login)
    kill_keeper(world)
    wait_for(lambda: world.containers()[0]["State"] == "exited", 5, "the guest's end")
    assert hostname(login) != first
    gone(world, 5)


@pytest.mark.channels("attach")
def test_keeper_killed_without_a_guest(world, login):
    """The next login, even, is its container's keeper again."""
    configure(world, linger="1s")
    first = hostname(login)
    kill_keeper(world)
    assert hostname(login) == first
    gone(world, 8)


def test_helper_and_keeper_killed_while_it_is_made(world, login):
    configure(world, linger="0")
    for delay in (0, 50, 100, 150, 200):
        proc = login.start("echo up; sleep 1000")
        helper = world.one_helper()
        time.sleep(delay / 1000)        # the moment itself is what is tried
        for pid in world.watchers() + [helper]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        proc.communicate()
    # Joined, perhaps, where nobody is left to keep it; the next one finds it dead.
    hostname(login)
    wait_for(lambda: not world.guests(), 15, "the guest's end")
    hostname(login)
    gone(world, 15)


class Removing(Relay):
    """Until it is told to, it passes no DELETE on, but says that another one is under way."""

    ANSWER = reply(409, {"message": "removal of container is already in progress"})

    def __init__(self, *args):
        self.asked, self.passes = threading.Event(), False
        super().__init__(*args)

    def _carry(self, source, sink):
        try:
            while data := source.recv(65536):
                if data.startswith(b"DELETE ") and not self.passes:
                    self.asked.set()
                    source.sendall(self.ANSWER)
                else:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_a_removal_that_takes_its_time(world, login):
    """A busy engine has the name until it is done with it: the login waits for that."""
    relay = Removing(os.path.join(world.dir, "removing.sock"), world.uid("bt-bash"), world.socket)
    try:
        # To learn names a container is made that is removed at once.
        world.conf.write(engine={"endpoint": "unix://" + relay.path}, names=False,
                         users={"bt-*": {"scope": "user", "linger": "0",
                                         "create": world.own_hostnames()}})
        first = hostname(login)
        assert relay.asked.wait(20), "no DELETE"
        ident = world.containers()[0]["Id"]
        proc = login.start("hostname", stdin=subprocess.DEVNULL)
        time.sleep(2)                   # it is what takes its time
        assert proc.poll() is None, proc.communicate()
        world.engine.remove(ident)
        relay.passes = True             # its own, too, is to be gone at once
        out, err = proc.communicate(timeout=40)
        assert (proc.returncode, err) == (0, b"") and out.decode().strip() != first, (out, err)
        gone(world, 20)
    finally:
        relay.close()


# --- on_idle = stop

class Starting(Relay):
    """When it is told to: so many have met the stopped container before the first of them may
    start it, which takes its time."""

    def __init__(self, count, *args):
        self.told, self.all = False, threading.Barrier(count)
        super().__init__(*args)

    def _carry(self, source, sink):
        try:
            while data := source.recv(65536):
                call = data.split(b"\r\n")[0] if self.told else b""
                if call.endswith(b"/exec HTTP/1.1") and self.all.n_waiting < self.all.parties:
                    with contextlib.suppress(threading.BrokenBarrierError):
                        self.all.wait(20)
                        self.all.abort()        # it is for the first ones
                elif call.endswith(b"/start HTTP/1.1") and b"/containers/" in call:
                    time.sleep(6)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.channels("attach")
def test_started_again_for_all_who_found_it_stopped(world, login):
    """Nobody has noticed its end, and it keeps its id."""
    count = 3
    relay = Starting(count, os.path.join(world.dir, "starting.sock"), world.uid("bt-bash"),
                     world.socket)
    try:
        world.conf.write(engine={"endpoint": "unix://" + relay.path},
                         users={"bt-*": {"scope": "user", "linger": "300s", "on_idle": "stop",
                                         "create": world.own_hostnames()}})
        first = hostname(login)
        for keeper in world.watchers():
            os.kill(keeper, signal.SIGKILL)
        world.engine.call("POST", f"/containers/{world.container()['Id']}/kill", ok=(204,))
        relay.told = True
        logins = [login.start("hostname", stdin=subprocess.DEVNULL) for _ in range(count)]
        for proc in logins:
            out, err = proc.communicate(timeout=60)
            assert (proc.returncode, out.decode().strip(), err) == (0, first, b"")
        assert relay.all.broken, "not all of them met it stopped"
        remove(world)
    finally:
        relay.close()


class Unnoticed(Relay):
    """When it is told to: kills the container in which an exec is to start, as whose runtime then
    answers, and for some seconds has no news of that."""

    def __init__(self, *args):
        self.kill = self.killed = None
        super().__init__(*args)

    def _carry(self, source, sink):
        try:
            while data := source.recv(65536):
                call = data.split(b"\r\n")[0]
                if self.kill and not self.killed and call.endswith(b"/start HTTP/1.1") and \
                        b"/exec/" in call:
                    self.kill()
                    self.killed = time.monotonic()
                    source.sendall(HIJACKED + frame(1, b"cannot exec in a stopped state\r\n"))
                    source.shutdown(socket.SHUT_WR)
                elif self.killed and time.monotonic() - self.killed < 2 and \
                        call.startswith(b"GET /") and call.endswith(b"/json HTTP/1.1"):
                    source.sendall(self.news)
                else:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.channels("attach")
def test_killed_and_the_engine_does_not_know(world, login):
    """Its runtime does, and refuses the session: the login waits until both say the same."""
    relay = Unnoticed(os.path.join(world.dir, "unnoticed.sock"), world.uid("bt-bash"),
                      world.socket)
    try:
        world.conf.write(engine={"endpoint": "unix://" + relay.path}, names=False,
                         users={"bt-*": {"scope": "user", "linger": "60s",
                                         "create": world.own_hostnames()}})
        assert login.run("echo mine >/tmp/f").returncode == 0
        relay.news = reply(200, world.container())
        first = first_process(world)

        def kill():
            os.kill(first, signal.SIGKILL)
            wait_for(lambda: not os.path.exists(f"/proc/{first}"), 5, "its end")
        relay.kill = kill
        got = login.run("cat /tmp/f")
        assert (got.returncode, got.stdout, got.stderr) == (0, b"mine\n", b"")
        assert relay.killed
        one_keeper(world)
        remove(world)
    finally:
        relay.close()


def test_stopped_and_started_again_with_its_files(world, login):
    configure(world, linger="0", on_idle="stop")
    assert login.run("echo mine >/tmp/f; hostname >/tmp/h").returncode == 0
    wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 5, "it stopped")
    wait_for(lambda: not world.left_files() and not world.berths(), 5, "nothing else left")
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    # Another policy doesn't cost a person's files ...
    configure(world, linger="0", on_idle="stop", pids="77")
    wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 5, "it stopped")
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    # ... unless that was said.
    configure(world, linger="0", on_idle="stop", replace="idle", pids="77")
    wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 5, "it stopped")
    assert login.run("cat /tmp/f").stdout == b""
    wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 5, "it stopped")
    remove(world)


@pytest.mark.parametrize("who", ["client", "helper"])
def test_a_broken_off_start_costs_no_files(world, login, who):
    """Whenever in the making of a login to a kept container its client or helper ends."""
    configure(world, linger="0", on_idle="stop")
    assert login.run("echo mine >/tmp/f").returncode == 0

    def stopped():
        wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 8,
                 lambda: f"it stopped; {world.containers()}")
        wait_for(lambda: not world.left_files() and not world.berths(), 8, "nothing else left")
    stopped()
    for ms in (0, 15, 30, 45, 60, 90, 130):
        proc = login.start("cat /tmp/f; sleep 10")
        wait_for(lambda: world.helpers(), 5, "its helper")
        time.sleep(ms / 1000)
        if who == "client":
            proc.kill()
        else:
            for pid in world.helpers():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        proc.communicate()
        stopped()
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    stopped()
    remove(world)


def test_started_again_though_it_was_dead(world, login):
    """Its keeper killed, and stopped by someone: it has the same id when it is started."""
    configure(world, linger="300s", on_idle="stop")
    assert login.run("echo mine >/tmp/f").returncode == 0
    for pid in world.watchers():
        os.kill(pid, signal.SIGKILL)
    world.engine.call("POST", f"/containers/{name_of(world)}/stop?t=0", ok=(204, 304))
    assert login.run("cat /tmp/f").stdout == b"mine\n"
    remove(world)


# --- scope connection

def kept(world):
    """Whether somebody has the record lock of its lock file (fcntl(2), of an open file)."""
    folder = os.path.join(world.runtime, str(world.uid("bt-bash")))
    inodes = {os.stat(os.path.join(folder, name)).st_ino
              for name in os.listdir(folder) if name.endswith(".lock")}
    with open("/proc/locks") as f:
        return any(line.split()[1] == "OFDLCK" and int(line.split()[-3].split(":")[2]) in inodes
                   for line in f)


def runner(transport):
    """What a command of a session of its own says on that connection."""
    def run(command):
        channel = transport.open_session()
        channel.settimeout(20)
        channel.exec_command(command)
        return channel.makefile().read().decode()
    return run


def test_sessions_of_a_connection_share_a_container(world, login):
    configure(world, "connection")
    transport = login.transport()
    run = runner(transport)
    name = run("echo mine >/tmp/f; hostname")
    assert run("hostname; cat /tmp/f") == name + "mine\n"
    assert hostname(login) != name.strip(), "another connection"
    wait_for(lambda: len(world.containers()) == 1, 5, "its container gone")
    transport.close()
    gone(world, 5)


@ends
def test_a_connections_container_that_somebody_stopped(world, login, how):
    """It is started again for the connection, whatever sweeps, and gone with it."""
    configure(world, "connection", linger="0")
    transport = login.transport()
    run = runner(transport)
    assert run("echo mine >/tmp/f") == ""
    for _ in range(2):
        end(world, how)
        exited(world)
        wait_for(lambda: kept(world), 10, "its keeper has seen that")
        assert world.berth("reap").returncode == 0
        assert run("cat /tmp/f") == "mine\n"
    wait_for(lambda: len(world.watchers()) == 1, 5, lambda: f"one keeper: {world.watchers()}")
    end(world, how)
    exited(world)
    wait_for(lambda: kept(world), 10, "its keeper has seen that")
    transport.close()
    gone(world, 10)


@direct
@pytest.mark.parametrize("scope", ["user", "connection"])
def test_a_login_right_after_a_broken_off_one(world, login, scope):
    """Or a sweep, before anybody has put right what that one left."""
    configure(world, scope, linger="60s")
    transport = login.transport()
    run = runner(transport)
    assert run("echo mine >/tmp/f") == ""
    stop(world)
    exited(world)
    wait_for(lambda: kept(world), 10, "its keeper has seen that")
    path = os.path.join(world.dir, "silent.sock")
    engine, watchers = FakeEngine(path, ping=None), set(world.watchers())
    try:
        users = {"bt-*": {"scope": scope, "linger": "60s", "create": world.own_hostnames()}}
        world.conf.write(users=users, engine={"endpoint": "unix://" + path})
        channel = transport.open_session()
        channel.exec_command("hostname")
        wait_for(lambda: engine.held, 10, "it asks the engine")
        watcher, = {row[0] for row in world.berths() if row[3] == "berth-watcher"} - watchers
        os.kill(watcher, signal.SIGSTOP)
        try:
            os.kill(world.one_helper(), signal.SIGKILL)
            channel.recv_exit_status()
            configure(world, scope, linger="60s")
            for _ in range(3):
                got = world.berth("reap")
                assert (got.returncode, got.stdout.splitlines()[-1]) == \
                    (0, "0 removed, 0 left"), got
            assert run("cat /tmp/f") == "mine\n"
        finally:
            os.kill(watcher, signal.SIGCONT)
        one_keeper(world)
        transport.close()
        remove(world)
    finally:
        engine.close()


@pytest.mark.parametrize("scope", ["user", "connection"])
def test_a_keeper_that_is_slow_to_go(world, login, scope):
    """Its engine may take long to answer: who is to keep the container next waits for it."""
    configure(world, scope, linger="60s")
    transport = login.transport()
    run = runner(transport)
    assert run("echo mine >/tmp/f") == ""
    stop(world)
    wait_for(lambda: kept(world), 10, "its keeper has seen that")
    keeper, = world.watchers()
    os.kill(keeper, signal.SIGSTOP)
    try:
        # The second time one that is to keep it waits already.
        for _ in range(2):
            assert run("cat /tmp/f") == "mine\n"
            stop(world)
            exited(world)
            assert not became(lambda: keeper not in world.watchers(), 1)
    finally:
        os.kill(keeper, signal.SIGCONT)
    one_keeper(world)
    wait_for(lambda: kept(world), 10, "its next keeper has seen that")
    assert world.berth("reap").returncode == 0
    assert run("cat /tmp/f") == "mine\n"
    one_keeper(world)
    transport.close()
    remove(world)


@direct
def test_two_keepers_of_a_connections_container(world, login):
    """A login that broke off has put one beside who still waits for the lock: one stays."""
    configure(world, "connection")
    transport = login.transport()
    run = runner(transport)
    assert run("echo mine >/tmp/f") == ""
    channel = transport.open_session()
    channel.exec_command("echo up; sleep 1000")
    assert channel.recv(10) == b"up\n"
    helper, keeper = world.one_helper(), *world.watchers()
    os.kill(helper, signal.SIGSTOP)         # and so has the lock
    stop(world)
    wait_for(lambda: kept(world), 10, "its keeper has seen that")
    os.kill(keeper, signal.SIGSTOP)
    try:
        os.kill(helper, signal.SIGKILL)
        channel.recv_exit_status()
        world.conf.write(users={"bt-*": {"scope": "connection", "create": world.own_hostnames()}},
                         engine={"endpoint": "unix:///nonexistent/engine.sock"})
        assert run("hostname") == ""
        wait_for(lambda: len(world.watchers()) == 2, 5, "a keeper of its own")
    finally:
        os.kill(keeper, signal.SIGCONT)
    one_keeper(world)
    configure(world, "connection")
    assert run("cat /tmp/f") == "mine\n"
    one_keeper(world)
    transport.close()
    gone(world, 10)


def test_a_stopped_container_of_a_connection_whose_keeper_was_killed(world, login):
    """A sweep's."""
    configure(world, "connection")
    transport = login.transport()
    channel = transport.open_session()
    channel.exec_command("echo up")
    assert channel.makefile().read() == b"up\n"
    channel.close()
    stop(world)
    wait_for(lambda: kept(world), 10, "its keeper has seen that")
    os.kill(world.watchers()[0], signal.SIGKILL)
    assert world.berth("reap").returncode == 0
    transport.close()
    gone(world, 5)


def test_connections_keeper_killed(world, login):
    """Its last session's end leaves the container to the next sweep."""
    configure(world, "connection", on_idle="stop")      # which is for scope user alone
    transport = login.transport()
    channel = transport.open_session()
    channel.exec_command("echo up")
    assert channel.makefile().read() == b"up\n"
    channel.close()
    assert became(lambda: len(world.watchers()) == 1, 5)
    os.kill(world.watchers()[0], signal.SIGKILL)
    transport.close()
    configure(world, "session")
    login.run("sleep 1")
    gone(world, 5)


# --- many

@pytest.mark.slow
def test_many_sessions_in_one_container(world, login, tmp_path):
    configure(world, linger="0", pids="2000")
    master = str(tmp_path / "master")
    mux = ["-o", f"ControlPath={master}"]
    keeper = login.start("echo up; read x", opts=mux + ["-o", "ControlMaster=yes"])
    begun(keeper)
    count = 299 if world.channel == "direct" else 60
    many = [login.start(f"echo up {i}; read x; exit {i % 200}", opts=mux) for i in range(count)]
    for i, proc in enumerate(many):
        assert proc.stdout.readline() == b"up %d\n" % i, proc.stderr.read()
    assert len(world.containers()) == 1
    for i, proc in enumerate(many):
        proc.communicate(b"x\n", timeout=60)
        assert proc.returncode == i % 200
    keeper.communicate(b"x\n", timeout=20)
    gone(world, 5)
