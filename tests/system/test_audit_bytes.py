"""The direct channel where the bytes are to be seen: spliced, not handed over."""
import hashlib
import os
import re
import signal
import subprocess
import time

import pytest

from harness import procs
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct")


@pytest.fixture(autouse=True)
def seen(world):
    world.conf.write(users={"bt-*": {"audit_bytes": "yes"}})


def closed(world):
    found = world.syslog.wait(r": close .* in=(\d+) out=(\d+)", world.mark)
    return int(found[1]), int(found[2])


def test_the_log_has_the_bytes(world, login):
    got = login.run("cat; echo err >&2; exit 3", input=b"x" * 1000)
    assert (got.returncode, got.stdout, got.stderr) == (3, b"x" * 1000, b"err\n")
    assert closed(world) == (1000, 1004)


def test_large_both_ways(world, login):
    data = os.urandom(1 << 20) * 48
    got = login.run("cat", input=data, timeout=60)
    assert hashlib.sha256(got.stdout).digest() == hashlib.sha256(data).digest()
    assert closed(world) == (len(data), len(data))


def test_slow_reader_and_bounded_memory(world, login):
    proc = login.start("head -c 30000000 /dev/zero; exit 5")
    time.sleep(1)                       # the reader's stall is what is tried
    with open(f"/proc/{world.one_helper()}/status") as f:
        resident = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) << 10
    assert resident < world.memory_bound()
    assert len(proc.communicate(timeout=30)[0]) == 30000000
    assert proc.returncode == 5


@pytest.mark.parametrize("lines", [15, 16, 17, 40])
def test_waiting_for_a_slow_reader_takes_no_time(world, login, lines):
    """A piece each fills the command's pipe; with the last one that fits the end has come."""
    proc = login.start("echo up; exec sleep 60")
    assert proc.stdout.readline() == b"up\n"
    helper = world.one_helper()
    for number in range(lines):
        slept = procs.sleeps(helper)
        proc.stdin.write(b"x\n")
        if number < 16:                 # it has moved that piece; later ones it can't
            wait_for(lambda: procs.sleeps(helper) > slept, 5, lambda: f"piece {number} moved")
    proc.stdin.close()
    before = procs.cpu_ms(helper)
    time.sleep(1)                       # in which it has nothing to do
    used = procs.cpu_ms(helper) - before
    proc.kill()
    proc.wait()
    assert used < 100, f"{used} ms"


def test_half_close(login):
    assert login.run("sort", input=b"b\na\n").stdout == b"a\nb\n"


def test_closed_stdout_is_epipe(login):
    one = login.start("yes; exit 7")
    head = subprocess.run(["head", "-n", "1"], stdin=one.stdout, capture_output=True, timeout=20)
    one.stdout.close()
    assert head.stdout == b"y\n"
    one.stderr.read()
    assert one.wait(10) == 7


def test_a_command_that_takes_no_input(login):
    got = login.run("exec <&-; sleep 0.5; echo done", input=b"x" * 300000)
    assert (got.returncode, got.stdout) == (0, b"done\n")


def test_signals_are_exact(login):
    assert login.run("kill -TERM $$").returncode == 255


def test_end_of_output_before_the_end(login):
    transport = login.transport()
    channel = transport.open_session()
    channel.settimeout(10)
    channel.exec_command("echo up; exec >&- 2>&-; sleep 1; exit 6")
    assert channel.makefile().read() == b"up\n"
    assert not channel.exit_status_ready()
    assert channel.recv_exit_status() == 6
    transport.close()


@pytest.mark.parametrize("command", ["trap '' HUP; echo up; sleep 1000",
                                     "trap '' HUP PIPE; echo up; while :; do echo x; done"])
def test_client_killed(world, login, command):
    proc = login.start(command)
    assert proc.stdout.readline() == b"up\n"
    proc.kill()
    proc.communicate()
    wait_for(lambda: not world.containers() and not procs.berths(world.uids(), world.helper), 5,
             "nothing left")


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])
def test_what_was_written_before_the_container_was_killed(world, login, tty):
    """As under sshd: what stands in pipes and terminals reaches the client yet."""
    size = 20000 if tty else 100000
    proc = login.start(f"echo up; until [ -e /tmp/go ]; do sleep 0.1; done; head -c {size} /dev/zero | tr '\\0' x; exec sleep 98765432",
                       opts=("-tt",) if tty else ())
    assert proc.stdout.readline().strip() == b"up"
    child, = [row[0] for row in procs.of_users({world.uid("bt-bash")}) if row[3] == "sshd"]
    guest = world.guest()
    os.kill(child, signal.SIGSTOP)      # what is written from here on is under way
    try:
        open(f"/proc/{guest}/root/tmp/go", "w").close()
        wait_for(lambda: procs.with_argument("98765432"), 10, "all of it written")
        os.kill(guest, signal.SIGKILL)
        wait_for(lambda: not world.guests(), 10, "no guest")
    finally:
        os.kill(child, signal.SIGCONT)
    out, err = proc.communicate(timeout=20)
    assert proc.returncode == 254
    assert (out + err).count(b"x") == size
