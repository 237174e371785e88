"""The hang-up of a session in a container that others share, and its grace."""
import os
import re
import signal
import time

import pytest

from harness import images, procs
from harness.scopes import begun, configure, gone, remove
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")


def sleeps(login):
    """Those of the sessions: by attach the container's first process is one too."""
    found = re.findall(rb"sleep (\d+)", login.run("ps -o args").stdout)
    return sorted(set(found) - {b"2147483647"})


def test_hang_up_leaves_other_sessions_alone(world, login):
    """SIGHUP, then SIGKILL after the grace by session id; who made himself a session stays."""
    configure(world, linger="30s", hangup_grace="1s")
    other = login.start("echo up; read x; echo $x")
    begun(other)
    proc = login.start("trap '' HUP; (sleep 1111; :) & setsid sleep 3333 >&- 2>&- <&- & "
                       "echo up; sleep 2222; :")
    begun(proc)
    proc.kill()
    proc.communicate()
    wait_for(lambda: sleeps(login) == [b"3333"], 6,
             lambda: f"only the daemon left: {sleeps(login)}")
    assert other.communicate(b"fine\n", timeout=10)[0] == b"fine\n"
    remove(world)


def session_with_job(login, then):
    """And the job's pid: it has a process group of its own, and hears no SIGHUP."""
    number = f"{os.getpid()}.{time.monotonic_ns() % 10**9}"
    proc = login.start(f"set -m; (trap '' HUP; exec sleep {number}) <&- >&- 2>&- & "
                       f"echo up; {then}")
    begun(proc)
    pid, = wait_for(lambda: procs.with_argument(number), 5, "its job")
    assert os.getpgid(pid) == pid != os.getsid(pid)
    return proc, pid


def test_hang_up_ends_jobs_of_their_own_process_groups(world):
    """Those of the session that is hung up alone."""
    # A shell that has jobs without a terminal.
    configure(world, linger="0", hangup_grace="1s", image=images.GLIBC)
    other, others_job = session_with_job(world.login(), "read x; echo $x")
    proc, job = session_with_job(world.login(), "wait")
    proc.kill()
    proc.communicate()
    wait_for(lambda: not os.path.exists(f"/proc/{job}"), 6, "the job's end")
    assert os.path.exists(f"/proc/{others_job}")
    assert other.communicate(b"fine\n", timeout=10)[0] == b"fine\n"
    gone(world, 6)


def test_hang_up_lets_a_handler_work(world, login):
    configure(world, linger="30s", hangup_grace="4s")
    proc = login.start("trap 'sleep 1; echo bye >/tmp/bye; exit' HUP; echo up; exec 2>&-; "
                       "while :; do sleep 0.1; done")
    begun(proc)
    proc.kill()
    proc.communicate()
    wait_for(lambda: login.run("cat /tmp/bye").stdout == b"bye\n", 5, "the handler's word")
    remove(world)


def test_helper_killed(world, login):
    configure(world, linger="30s", hangup_grace="0")
    proc = login.start("echo up; exec sleep 4444")
    begun(proc)
    os.kill(world.one_helper(), signal.SIGKILL)
    assert proc.wait(5) != 0
    proc.communicate()
    wait_for(lambda: not sleeps(login), 5, "the command's end")
    remove(world)
