"""As many processes as there may be, and no more memory."""
import signal

import pytest

from harness.wait import wait_for
from stages import BOUND, ECHO, STATUS, WAIT, Session, each

pytestmark = pytest.mark.channels("direct", "attach")
PIDS = 8
NO_MORE = b"Resource temporarily unavailable"
# As many as may be, and some more; each lives on. Said on stderr by the shell of their own.
MANY = "(for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done) "
MEMORY = "32m"
HOG = "dd if=/dev/zero of=/dev/null bs=100M"
# Whom the kernel kills where there are several is its own choice, but for this.
FIRST = f"(echo 1000 >/proc/self/oom_score_adj; exec {HOG})"
# Beside the stream, when it is under way.
LATER = f"({WAIT}{{}}) 2>/dev/null & "


class Few:
    """sshd whose logins may have so many processes on the host."""

    def __init__(self, syslog, number):
        self.syslog, self.number = syslog, number

    def wrap(self, argv):
        return self.syslog.wrap(["prlimit", f"--nproc={self.number}", *argv])


@each("PID limit reached", stages=("before create",), quick="before create")
def test_pids_of_the_host(world, ground, fault, stage):
    """The login's own, from so few that sshd itself has none to start the helper in."""
    statuses = []
    for number in range(2, 9):
        with world.another_sshd(wrapper=Few(world.syslog, number)) as client:
            got = client.run("bt-bash", "echo ran", timeout=BOUND)
        ground.nothing_is_left()
        statuses.append(got.returncode)
        if got.returncode == 254:
            assert got.stdout == b"" and got.stderr.startswith(b"berth: "), got
            assert NO_MORE in got.stderr and got.stderr.count(b"\n") == 1, got
            world.syslog.wait(": deny .* cause=error .*" + NO_MORE.decode(), world.mark)
        elif got.returncode == 0:
            assert (got.stdout, got.stderr) == (b"ran\n", b""), got
        else:
            assert (got.returncode, got.stdout) == (255, b""), got
    assert 254 in statuses, statuses
    ground.held(fault, stage, "refused, 254")


@each("PID limit reached", stages=("connected",), quick="connected")
def test_pids_at_the_start(world, ground, fault, stage):
    """Process 1 is one."""
    ground.configure(pids=1)
    session = Session(ground, stage)
    # Over attach it is docker-init that finds no room: the container runs by then.
    told = "limit of processes is reached .pids in berth.conf"
    ground.held(fault, stage, session.refused(told, log=f": (deny|close) .*{told}"))


@each("PID limit reached", stages=("started", "mid-stream", "at exit"), quick="mid-stream")
def test_pids(world, ground, fault, stage):
    """A command that meets it says so itself, as on any host."""
    ground.configure(stage, pids=PIDS)
    if stage == "at exit":
        session = Session(ground, stage,
                          f"{MANY} 2>/dev/null; echo up; read x; exec cat /data/tail")
        ground.held(fault, stage, session.arrived(0))
        return
    if stage == "mid-stream":
        session = Session(ground, stage, LATER.format(f"{MANY} 2>/data/many") + ECHO)
        ground.go()
        wait_for(lambda: NO_MORE in (ground.read("many") or b""), BOUND, "no more processes")
        status, _, err = session.finish(by_itself=False)
        # Whether it wanted a process just then is chance.
        assert (status, err) == (STATUS, b"") or status == 2 and NO_MORE in err, (status, err)
        ground.held(fault, stage, "goes on, or is told")
        return
    session = Session(ground, stage, f"echo up; {WAIT}{MANY}; exit {STATUS}")
    status, _, err = session.finish(by_itself=False)
    assert status == STATUS and NO_MORE in err, (status, err)
    ground.held(fault, stage, "the command is told")


@each("out of memory", stages=("started", "mid-stream", "at exit"), quick="started")
def test_memory(world, ground, fault, stage):
    """The kernel kills who takes too much, as on any host."""
    ground.configure(stage, memory=MEMORY)
    killed = world.killed(signal.SIGKILL)
    if stage == "mid-stream":
        session = Session(ground, stage, LATER.format(f"{FIRST}; echo $? >/data/hog") + ECHO)
        ground.go()
        wait_for(lambda: ground.read("hog") == b"137\n", BOUND, "one of its processes killed")
        how = session.went_on()
    elif stage == "at exit":
        session = Session(ground, stage, f"echo up; read x; cat /data/tail; exec {HOG}")
        how = session.arrived(killed)
    else:
        session = Session(ground, stage, f"echo up; {WAIT}exec {HOG}")
        ground.go()
        status, out, err = session.finish()
        assert (status, out, err) == (killed, b"up\n", b""), (status, out, err)
        how = f"ends, {status}"
    if stage != "mid-stream":
        session.logged(r": close .* status=137 " +
                       ("signal=KILL " if world.channel == "direct" else ""))
    ground.held(fault, stage, how)
