"""Whoever goes first: nothing is left of the session."""
import os
import signal
import subprocess
import time

import pytest

from harness import procs
from harness.client import Proxy
from harness.terminal import Terminal
from harness.wait import became, wait_for

pytestmark = pytest.mark.channels("direct", "attach")
once = pytest.mark.channels()
plain = pytest.mark.plain
all_three = pytest.mark.channels("direct", "attach", "exec")

BUSY = {
    "sleeps": "echo up; exec sleep 1000",
    "reads": "echo up; cat; sleep 1000",
    "writes": "echo up; while :; do echo more; done",
    "floods a file": "echo up; cat /dev/zero >/dev/null",
    "deaf": "trap '' HUP TERM INT QUIT PIPE; echo up; while :; do sleep 1; done",
    "children": "echo up; (setsid sleep 1000 &) ; sleep 1000 & sleep 1000",
    "stderr only": "echo up; exec >&-; while :; do echo more >&2; sleep 0.01; done",
    "no stream": "echo up; exec <&- >&- 2>&-; sleep 1000",
}
SECONDS = 2


def gone(world, start):
    """No container, process or file within 2 s of start."""
    rest = max(0.05, start + SECONDS - time.monotonic())
    wait_for(lambda: not (world.containers() or world.left_files()
                          or world.berths()), rest,
             lambda: f"nothing left; {[r['Names'] for r in world.containers()]} "
                     f"{world.berths()} {world.left_files()}")


def gone_during_start(world, start):
    """No container within 2 s. Where the create may still be on its way, the watcher
    stays until none can come any more: 20 s after the engine's first answer."""
    rest = max(0.05, start + SECONDS - time.monotonic())
    wait_for(lambda: not world.containers(), rest,
             lambda: f"no container; {[r['Names'] for r in world.containers()]}")
    wait_for(lambda: not (world.containers() or world.left_files()
                          or world.berths()), 40,
             lambda: f"nothing left; {[r['Names'] for r in world.containers()]} "
                     f"{world.berths()} {world.left_files()}")


def begun(proc):
    assert proc.stdout.readline() == b"up\n"


def finish(proc):
    proc.kill()
    proc.stdout.close()
    proc.stderr.close()
    if proc.stdin:
        try:
            proc.stdin.close()
        except BrokenPipeError:
            pass
    proc.wait(10)


@all_three
@pytest.mark.parametrize("what", BUSY)
def test_client_killed(world, login, what):
    proc = login.start(BUSY[what])
    begun(proc)
    start = time.monotonic()
    proc.kill()
    gone(world, start)
    finish(proc)


@all_three
@pytest.mark.parametrize("what", ["sleeps", "writes", "deaf"])
def test_tcp_cut(world, login, what):
    proxy = Proxy(world.sshd.port)
    proc = login.start(BUSY[what], port=proxy.port)
    begun(proc)
    start = time.monotonic()
    proxy.cut()
    gone(world, start)
    finish(proc)
    proxy.close()


@all_three
@pytest.mark.parametrize("what", ["sleeps", "writes", "deaf"])
def test_sshds_child_killed(world, login, what):
    """The user's sshd, which the helper's parent chain shows."""
    proc = login.start(BUSY[what])
    begun(proc)
    child = procs.parent(world.one_helper())
    start = time.monotonic()
    os.kill(child, signal.SIGKILL)
    gone(world, start)
    finish(proc)


@all_three
@pytest.mark.parametrize("what", ["sleeps", "writes", "deaf"])
def test_sshds_monitor_killed(world, login, what):
    """Root's sshd, which would have closed PAM's session: the client's going is seen without it."""
    proc = login.start(BUSY[what])
    begun(proc)
    os.kill(procs.parent(procs.parent(world.one_helper())), signal.SIGKILL)
    start = time.monotonic()
    proc.kill()
    gone(world, start)
    finish(proc)


@plain
@all_three
def test_a_session_outlives_sshds_monitor(world, login):
    """Nobody needs it any more: the session goes on to its end."""
    proc = login.start("echo up; read x; echo got $x; exit 7")
    begun(proc)
    child = [row[0] for row in procs.of_users({world.uid("bt-bash")}) if row[3] == "sshd"]
    assert len(child) == 1, child
    monitor = procs.parent(child[0])
    os.kill(monitor, signal.SIGKILL)
    wait_for(lambda: procs.parent(child[0]) != monitor, 5, "sshd's child without its monitor")
    out, err = proc.communicate(b"y\n", timeout=10)
    assert (proc.returncode, out, err) == (7, b"got y\n", b"")


@all_three
@pytest.mark.parametrize("what", BUSY)
def test_helper_killed(world, login, what):
    proc = login.start(BUSY[what])
    begun(proc)
    helper = world.one_helper()
    start = time.monotonic()
    os.kill(helper, signal.SIGKILL)
    gone(world, start)
    # No descriptor of the session is held by the watcher: ssh ends.
    proc.stdout.read()
    assert proc.wait(SECONDS) != 0
    finish(proc)


def test_helper_killed_with_dash_as_login_shell(world):
    proc = world.login("bt-dash").start(BUSY["deaf"])
    begun(proc)
    start = time.monotonic()
    os.kill(world.one_helper("bt-dash"), signal.SIGKILL)
    gone(world, start)
    finish(proc)


@all_three
@pytest.mark.slow
def test_helper_killed_during_the_start(world, login):
    """At 0 to 400 ms after it came up, in steps of 20."""
    for delay in range(0, 401, 20):
        proc = login.start("echo up; sleep 1000")
        helper = world.one_helper()
        time.sleep(delay / 1000)        # the moment itself is what is tried
        start = time.monotonic()
        os.kill(helper, signal.SIGKILL)
        try:
            gone_during_start(world, start)
        except AssertionError as error:
            raise AssertionError(f"killed {delay} ms after its start: {error}") from None
        finally:
            finish(proc)


@all_three
@pytest.mark.slow
def test_client_killed_during_the_start(world, login):
    for delay in range(0, 401, 40):
        proc = login.start("echo up; sleep 1000")
        world.one_helper()
        time.sleep(delay / 1000)        # the moment itself is what is tried
        start = time.monotonic()
        finish(proc)
        try:
            gone_during_start(world, start)
        except AssertionError as error:
            raise AssertionError(f"killed {delay} ms after the helper's start: {error}") from None


@pytest.mark.parametrize("options", [{}, {"audit_bytes": "yes"}], ids=["unseen", "seen"])
def test_client_closes_the_channel_and_keeps_the_connection(world, login, options):
    """Only a library client can: the ssh command ends with its session."""
    world.conf.write(**options)
    transport = login.transport()
    other = transport.open_session()
    other.exec_command("cat")
    one = transport.open_session()
    one.exec_command(BUSY["deaf"])
    assert one.makefile().readline() == "up\n"
    wait_for(lambda: len(world.containers()) == 2, 5, "two containers")
    start = time.monotonic()
    one.close()
    wait_for(lambda: len(world.containers()) == 1, SECONDS, "one container gone")
    assert time.monotonic() - start < SECONDS
    other.sendall(b"still here")
    other.shutdown_write()
    assert other.makefile().read() == b"still here"
    assert other.recv_exit_status() == 0
    transport.close()


@all_three
def test_client_of_a_terminal_killed(world, login):
    it = Terminal(login.argv("trap '' HUP; echo up; while :; do sleep 1; done", opts=("-tt",)))
    it.expect(rb"up\r\n")
    start = time.monotonic()
    it.child.kill(signal.SIGKILL)
    gone(world, start)
    it.close()


@all_three
def test_helper_of_a_terminal_killed(world, login):
    it = Terminal(login.argv("trap '' HUP; echo up; while :; do sleep 1; done", opts=("-tt",)))
    it.expect(rb"up\r\n")
    start = time.monotonic()
    os.kill(world.one_helper(), signal.SIGKILL)
    gone(world, start)
    assert it.end() != 0


@all_three
def test_stopped_client_is_not_gone(world, login):
    """SIGSTOP isn't a hang-up: the session waits."""
    proc = login.start("echo up; read x; echo got $x; exit 4")
    begun(proc)
    os.kill(proc.pid, signal.SIGSTOP)
    time.sleep(SECONDS + 0.5)           # longer than a hang-up takes to show
    assert len(world.containers()) == 1
    os.kill(proc.pid, signal.SIGCONT)
    out, _ = proc.communicate(b"y\n", timeout=10)
    assert (out, proc.returncode) == (b"got y\n", 4)


def send(world, number):
    """To the helper, as its user: root's SIGTERM would end the session (test_kill.py)."""
    uid = world.uid("bt-bash")
    subprocess.run(["kill", f"-{int(number)}", str(world.one_helper())], check=True, user=uid,
                   group=uid)


@all_three
@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"])
def test_signals_to_the_helper_reach_the_command(world, login, name):
    proc = login.start(f"trap 'echo caught; exit 33' {name}; echo up; while :; do sleep 0.05; done",
                       stdin=subprocess.DEVNULL)
    begun(proc)
    send(world, getattr(signal, "SIG" + name))
    out, err = proc.communicate(timeout=10)
    assert (out, proc.returncode) == (b"caught\n", 33)
    if world.channel == "direct" or world.shared:
        # As sshd's: to the process group, and a shell may tell of its child.
        told = signal.strsignal(getattr(signal, "SIG" + name)).encode() + b"\n"
        assert err in (b"", told)
    else:
        assert err == b""


@pytest.mark.channels("direct", "exec")
def test_signals_are_for_the_process_group(world, login):
    """What the command has started gets them too; it goes on, for it has a handler."""
    proc = login.start("trap : TERM; (trap 'echo child; exit 33' TERM; echo up; "
                       "while :; do sleep 0.05; done); echo after $?", stdin=subprocess.DEVNULL)
    begun(proc)
    send(world, signal.SIGTERM)
    out, _ = proc.communicate(timeout=10)
    assert (out, proc.returncode) == (b"child\nafter 33\n", 0)


@pytest.mark.channels("direct")
def test_signal_to_the_helper_of_a_terminal(world, login):
    """It is for the job in the foreground, in whose process group the shell isn't."""
    it = Terminal(login.argv(opts=("-tt",)))
    it.send("PS1='RE''ADY> '\r")
    it.expect(rb"READY> ")
    it.send("sh -c 'trap \"echo cau\"\"ght; exit\" USR1; echo u\"\"p; "
            "while :; do sleep 0.05; done'\r")
    it.expect(rb"up\r\n")
    os.kill(world.one_helper(), signal.SIGUSR1)
    it.expect(rb"caught\r\n")
    it.expect(rb"READY> ")
    it.send("exit 4\r")
    assert it.end() == 4


@all_three
def test_a_signal_that_ends_the_command(world, login):
    proc = login.start("echo up; exec sleep 1000", stdin=subprocess.DEVNULL)
    begun(proc)
    send(world, signal.SIGTERM)
    out, _ = proc.communicate(timeout=10)
    assert proc.returncode == world.killed(signal.SIGTERM)


def test_watcher_killed_too_then_the_next_login_sweeps(world, login):
    """Both gone: a container without a living owner stays until someone logs in."""
    proc = login.start(BUSY["deaf"])
    begun(proc)
    left = world.container()["Id"]
    helper, watchers = world.one_helper(), world.watchers()
    assert watchers, "no watcher beside the helper"
    for pid in watchers + [helper]:
        os.kill(pid, signal.SIGKILL)
    finish(proc)
    assert any(r["Id"] == left for r in world.containers()), "gone with nobody to remove it"
    if world.channel == "direct":
        # The guest needs nobody's help to end what its helper left.
        wait_for(lambda: not world.engine.inspect(left)["State"]["Running"], SECONDS,
                 "the guest's own end")
    assert login.run("true").returncode == 0
    wait_for(lambda: not world.containers(), 5, "the left container swept after a login")
    wait_for(lambda: not world.left_files(), 2, lambda: f"no files; {world.left_files()}")


def test_the_sweep_spares_the_living(world, login):
    """A second login's sweep doesn't touch a session of the same user."""
    proc = login.start("echo up; cat; exit 5")
    begun(proc)
    assert login.run("true").returncode == 0
    wait_for(lambda: len(world.containers()) == 1, 2, "only one container")
    gone_too = became(lambda: len(world.containers()) != 1, 1)
    if gone_too:
        finish(proc)
    assert not gone_too
    proc.stdin.write(b"alive")
    out, _ = proc.communicate(timeout=10)
    assert (out, proc.returncode) == (b"alive", 5)


@once
def test_the_sweep_spares_foreign_containers(world, login):
    """A label alone proves nothing: only a name that the labels give is berth's."""
    machine = open("/etc/machine-id").read().strip()
    uid = str(world.uid("bt-bash"))
    labels = {"berth.machine": machine, "berth.uid": uid, "berth.user": "bt-bash-copy",
              "berth.session": "0" * 16, "berth.scope": "session"}
    made = world.engine.call("POST", "/containers/create?name=bt-foreign", {
        "Image": "berth-test/busybox", "Cmd": ["sleep", "1000"], "Labels": labels,
        "NetworkDisabled": True})
    try:
        world.engine.call("POST", f"/containers/{made['Id']}/start")
        assert login.run("true").returncode == 0
        assert not became(
            lambda: not world.engine.inspect(made["Id"])["State"]["Running"], 1.5)
    finally:
        world.engine.remove(made["Id"])


def test_volumes_go_too(world, login):
    """An image's VOLUME makes an anonymous volume; the engine's own removal may leave it."""
    world.conf.write(image="berth-test/volume")
    before = world.engine.anonymous_volumes()
    for end in ("exit", "client", "helper"):
        proc = login.start("touch /data/x; echo up; cat")
        begun(proc)
        assert len(world.engine.anonymous_volumes() - before) == 1
        if end == "exit":
            proc.stdin.close()
            assert proc.wait(10) == 0
        elif end == "client":
            proc.kill()
        else:
            os.kill(world.one_helper(), signal.SIGKILL)
        wait_for(lambda: world.engine.anonymous_volumes() == before, SECONDS,
                 f"the volume gone after: {end}")
        finish(proc)
        wait_for(lambda: not world.containers(), SECONDS, "the container gone")
