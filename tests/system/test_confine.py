"""What a running session has given up, seen from outside."""
import os
import re
import signal
import tempfile

import pytest

from harness.syslog import Syslog
from harness.terminal import Terminal
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach", "exec")


def filters(pid):
    """0: no seccomp, 2: a filter."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^Seccomp:\s+(\d)", f.read(), re.M)[1])


@pytest.fixture(autouse=True)
def unsanitized(world):
    if world.sanitized:
        pytest.skip("a sanitizer's build is not confined")


def confined(world):
    """The helper is, once its command runs; its watchers have all to do yet."""
    wait_for(lambda: filters(world.one_helper()) == 2, 5, "the helper's filter")
    assert all(filters(pid) == 0 for pid in world.watchers())


def read(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])
def test_of_the_login_nothing_can_be_had(world, login, tty):
    """No rights by what is run, no look into it by the same uid, no core: helper and watchers."""
    proc = login.start("echo up; read x", opts=("-tt",) if tty else ())
    assert proc.stdout.readline().strip() == b"up"
    pids = [world.one_helper(), *world.watchers()]
    assert len(pids) > 1
    for pid in pids:
        assert re.search(r"^NoNewPrivs:\s+1$", read(pid, "status"), re.M)
        # proc(5): root's, where the process isn't dumpable.
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0
        assert re.search(r"^Max core file size +0 +0 ", read(pid, "limits"), re.M)
    proc.communicate(b"x\r" if tty else b"x\n", timeout=20)


@pytest.mark.parametrize("options", [{}, {"audit_bytes": "yes"}, {"max_time": "1h"}],
                         ids=["plain", "seen", "max_time"])
def test_pipes(world, login, options):
    world.conf.write(users={"bt-*": options})
    proc = login.start("echo up; cat; exit 5")
    assert proc.stdout.readline() == b"up\n"
    confined(world)
    out, err = proc.communicate(b"x" * 200000, timeout=20)
    assert (proc.returncode, out, err) == (5, b"x" * 200000, b"")


def test_terminal(world, login):
    it = Terminal(login.argv(opts=("-tt",)), rows=30, cols=90)
    it.send("echo u''p\r")
    it.expect(rb"up\r\n")
    confined(world)
    it.resize(33, 99)
    it.nudge()
    it.send("until stty size | grep '33 99'; do sleep 0.1; done\r")
    it.expect(rb"33 99\r\n")
    it.send("exit 5\r")
    assert it.end() == 5


def test_log_line_after_the_log_was_started_again(world):
    """syslog(3) makes a new socket where the old one leads to nobody. A log of this test's own:
    other sshds go on with the one that they have."""
    folder = tempfile.mkdtemp(prefix="log-", dir=world.dir)
    os.chmod(folder, 0o755)
    log = Syslog(folder)
    try:
        with world.another_sshd(log) as client:
            proc = client.start("bt-bash", "echo up; read x; exit 5")
            assert proc.stdout.readline() == b"up\n"
            confined(world)
            log.restart(world.one_helper())
            proc.communicate(b"x\n", timeout=20)
            assert proc.returncode == 5
            log.wait(r": close .* status=5 reason=exit")
    finally:
        log.close()


def test_a_forbidden_call_leaves_nothing(world, login):
    """As the kernel does it: SIGSYS. The fixture sees that nothing is left."""
    proc = login.start("trap '' HUP; echo up; while :; do sleep 1; done")
    assert proc.stdout.readline() == b"up\n"
    os.kill(world.one_helper(), signal.SIGSYS)
    proc.communicate(timeout=10)
    assert proc.returncode != 0
