"""Bytes: every one of them, in order, on its own stream, both ways."""
import hashlib
import signal
import subprocess
import threading
import time

import pytest

from harness import data, images, procs
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach", "exec")
plain = pytest.mark.plain


@plain
def test_stderr_stays_apart(each):
    got = each.run("i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done")
    assert got.stdout == b"".join(b"out %d\n" % i for i in range(300))
    assert got.stderr == b"".join(b"err %d\n" % i for i in range(300))


@plain
def test_megabytes_on_both_outputs(each):
    got = each.run("head -c 5000000 /dev/zero & head -c 7000000 /dev/zero | tr '\\0' e >&2; wait")
    assert got.stdout == b"\0" * 5000000
    assert got.stderr == b"e" * 7000000


@plain
def test_every_byte_value_both_ways(each):
    sent = bytes(range(256)) * 256
    got = each.run("tee /dev/stderr", input=sent)
    assert got.stdout == sent and got.stderr == sent


@plain
def test_half_close(each):
    got = each.run("sort", input=b"c\na\nb\n")
    assert (got.returncode, got.stdout) == (0, b"a\nb\nc\n")


@plain
def test_much_output_after_half_close(each):
    got = each.run("cat >/dev/null; sleep 0.3; head -c 4000000 /dev/zero | tr '\\0' x; exit 4",
                   input=b"in")
    assert (got.returncode, got.stdout) == (4, b"x" * 4000000)


@plain
def test_64_mib_through_cat(each):
    sent = hashlib.shake_128(each.image.encode()).digest(64 << 20)
    got = each.run("cat", input=sent)
    assert hashlib.sha256(got.stdout).digest() == hashlib.sha256(sent).digest()
    assert len(got.stdout) == len(sent)


@plain
def test_a_question_and_an_answer(each):
    """Small pieces aren't held back until more comes."""
    proc = each.start("while read -r x; do echo got $x; done; echo end >&2", bufsize=0)
    for i in range(20):
        proc.stdin.write(b"%d\n" % i)
        assert proc.stdout.readline() == b"got %d\n" % i
    out, err = proc.communicate(timeout=20)
    assert (out, err, proc.returncode) == (b"", b"end\n", 0)


@plain
def test_input_that_nobody_reads(each):
    """The command's end ends the session, however much input waits."""
    with open("/dev/zero", "rb") as zero:
        got = subprocess.run(each.argv("sleep 1; echo done; exit 6"), stdin=zero,
                             capture_output=True, timeout=30)
    assert (got.returncode, got.stdout) == (6, b"done\n")


@plain
def test_input_that_nobody_reads_is_not_kept(world, each):
    with open("/dev/zero", "rb") as zero:
        proc = each.start("echo up; trap 'exit 0' TERM; while :; do sleep 0.1; done", stdin=zero)
        assert proc.stdout.readline() == b"up\n"
        if not world.bare:
            helper = world.one_helper()
            end = time.monotonic() + 2
            while time.monotonic() < end:      # a bound holds for all of the time
                assert procs.rss(helper) < world.memory_bound()
                time.sleep(0.05)
    proc.kill()
    proc.communicate()


@plain
def test_a_command_that_reads_a_part(each):
    with open("/dev/zero", "rb") as zero:
        got = subprocess.run(each.argv("head -c 5 | wc -c"), stdin=zero, capture_output=True,
                             timeout=30)
    assert (got.returncode, got.stdout.strip()) == (0, b"5")


@plain
def test_reader_that_stops_after_a_line(world, each):
    """`ssh host yes | head -1`: yes ends, and the session with it."""
    proc = each.start("yes", stdin=subprocess.DEVNULL)
    assert proc.stdout.readline() == b"y\n"
    proc.stdout.close()
    proc.wait(10)
    proc.stderr.close()
    # A shell that didn't make itself into yes tells its end by a status.
    assert proc.returncode in (world.killed(signal.SIGPIPE), 128 + signal.SIGPIPE)


@plain
def test_who_hears_of_a_closed_stdout(world, each):
    """The command that writes, by SIGPIPE or EPIPE; over the engine's API only the container's
    process can be told: SIGPIPE at first, SIGKILL when it writes on."""
    def end(command):
        proc = each.start(command)
        assert proc.stdout.readline() == b"y\n"
        proc.stdout.close()
        try:
            return proc.wait(20), proc.stderr.read()
        finally:
            proc.stderr.close()
            proc.stdin.close()
    # Where stdout is closed sshd may drop what stderr got in the command's last moment.
    status, err = end("yes; echo yes $? >&2; sleep 0.3; exit 3")
    assert (status, err) == ((3, b"yes 141\n") if world.as_on_a_host() else (141, b""))
    status, err = end("trap '' PIPE; yes; echo yes $? >&2; sleep 0.3; exit 3")
    if world.as_on_a_host():
        assert status == 3 and err.endswith(b"yes 1\n"), (status, err)
    else:
        assert (status, err) == (137, b"")


@plain
def test_closed_stdout_is_no_hang_up(each):
    """Only stdout is gone: what the command says on stderr still comes, and its status."""
    proc = each.start("echo one; read x; echo err >&2; exit 9")
    assert proc.stdout.readline() == b"one\n"
    proc.stdout.close()
    proc.stdin.write(b"go\n")
    proc.stdin.close()
    assert proc.stderr.read() == b"err\n"
    assert proc.wait(10) == 9


@plain
@pytest.mark.channels("attach")     # direct: test_direct.py, with the helper's time
def test_gigabyte_down(world, login, data_dir, gigabyte):
    path, digest = gigabyte
    world.conf.write(mounts=[f"{data_dir}:/data:ro"])
    where = path if world.bare else "/data/gigabyte"
    proc = login.start(f"cat {where}", stdin=subprocess.DEVNULL)
    assert data.sha256_stream(proc.stdout) == (digest, 1 << 30)
    assert (proc.wait(10), proc.stderr.read()) == (0, b"")


@plain
@pytest.mark.channels("attach")
def test_gigabyte_up(world, gigabyte):
    world.conf.write(image=images.GLIBC)
    path, digest = gigabyte
    with open(path, "rb") as source:
        got = subprocess.run(world.login().argv("sha256sum"), stdin=source, capture_output=True,
                             timeout=120)
    assert (got.returncode, got.stdout.split()[:1]) == (0, [digest.encode()])


@plain
def test_both_ways_at_once(each):
    """Neither direction waits for the other's end."""
    proc = each.start("cat >/dev/null & head -c 32000000 /dev/zero; wait; cat | wc -c",
                      bufsize=0)
    seen = {}
    reader = threading.Thread(target=lambda: seen.update(out=proc.stdout.read()))
    reader.start()
    for _ in range(32):
        proc.stdin.write(b"x" * 1000000)
    proc.stdin.close()
    reader.join(60)
    assert proc.wait(10) == 0
    assert seen["out"][:32000000] == b"\0" * 32000000
    # A background job of a shell without job control reads /dev/null, so all went to the second.
    assert seen["out"][32000000:].strip() == b"32000000"


def test_engine_keeps_no_log(world, login):
    proc = login.start("echo secret; cat")
    assert proc.stdout.readline() == b"secret\n"
    info = world.container()
    assert info["HostConfig"]["LogConfig"]["Type"] == "none"
    proc.stdin.close()
    assert proc.wait(10) == 0
    wait_for(lambda: not world.containers(), 5, "the container gone")
