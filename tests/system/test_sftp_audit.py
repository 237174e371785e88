"""What sftp-server does stands in berth's log, and nowhere else."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import data, images
from harness.client import Proxy
from harness.sftp_wire import INIT, LSTAT, Wire, opening, request
from harness.wait import wait_for

every = pytest.mark.channels("direct", "attach", "exec")
both = pytest.mark.channels("direct", "attach")
INSIDE = "4242:4242"


def talk(world, command, *requests):
    """Asks all of it, to the session's end."""
    wire = Wire(world.login(), command)
    answers = wire.ask(*requests)
    wire.close()
    return answers


def sftp(world, batch, *options):
    got = subprocess.run(["sftp", "-b", "-", *options, *world.client.options(),
                          "bt-bash@127.0.0.1"], input=batch, capture_output=True, text=True,
                         timeout=30)
    assert (got.returncode, got.stderr) == (0, ""), got
    return got


def said(world, mark=None):
    """What sftp-server said, by sessions that are over."""
    found = []
    for line in world.syslog.since(world.mark if mark is None else mark, ": sftp session="):
        found.append(re.search(r' said="(.*)"$', line.rstrip("\0\n")).group(1))
    return found


def over(world, count=1, mark=None):
    mark = world.mark if mark is None else mark
    wait_for(lambda: len(world.syslog.since(mark, ": close session=")) >= count, 10,
             "sessions' ends in the log")
    return said(world, mark)


@every
def test_what_was_done(world, tmp_path):
    """With the session's own id and user; the client sees none of it."""
    world.conf.write(user=INSIDE)
    source = data.make_file(str(tmp_path / "source"), 70000)
    sftp(world, f"put {source} /work/a\nrename /work/a /work/b\nget /work/b {tmp_path}/b\n"
                "mkdir /work/d\nrmdir /work/d\nchmod 600 /work/b\nln -s b /work/l\nrm /work/b\n")
    lines = over(world)
    for wanted in (r'open \"/work/a\" flags WRITE,CREATE,TRUNCATE mode 0644',
                   r'close \"/work/a\" bytes read 0 written 70000',
                   r'posix-rename old \"/work/a\" new \"/work/b\"',
                   r'close \"/work/b\" bytes read 70000 written 0',
                   r'mkdir name \"/work/d\" mode 0777', r'rmdir name \"/work/d\"',
                   r'set \"/work/b\" mode 0600', r'symlink old \"b\" new \"/work/l\"',
                   r'remove name \"/work/b\"'):
        assert wanted in lines, (wanted, lines)
    opened = world.syslog.wait(r': open session=(\w+) user="bt-bash" uid=(\d+)', world.mark)
    for line in world.syslog.since(world.mark, ": sftp session="):
        assert f': sftp session={opened.group(1)} user="bt-bash" uid={opened.group(2)} said="' \
            in line


@both
def test_nothing_of_it_on_stderr(world):
    world.conf.write(user=INSIDE)
    got = world.login().run("internal-sftp", input=INIT)
    assert (got.returncode, got.stderr) == (0, b"")
    assert any(line.startswith("session closed") for line in over(world))


@both
def test_json(world):
    world.conf.raw("audit_format = json\n" + world.conf.text(user=INSIDE))
    sftp(world, "mkdir /work/d\n")
    def find():
        lines = world.syslog.since(world.mark, '"event":"sftp"')
        return [json.loads(re.search(r"{.*}", line).group(0)) for line in lines]
    wait_for(lambda: any("session closed" in o["said"] for o in find()), 5, "sftp's last line")
    made = [o for o in find() if o["said"].startswith("mkdir ")]
    assert len(made) == 1 and made[0]["said"] == 'mkdir name "/work/d" mode 0777'
    assert set(made[0]) == {"event", "session", "user", "uid", "said"}
    assert made[0]["user"] == "bt-bash" and made[0]["uid"] == world.uid("bt-bash")


@both
def test_when_berth_sees_the_bytes(world, tmp_path):
    world.conf.write(user=INSIDE, audit_bytes=True)
    source = data.make_file(str(tmp_path / "source"), 3 << 20)
    sftp(world, f"put {source} /work/a\nget /work/a {tmp_path}/a\n")
    assert data.sha256(str(tmp_path / "a")) == data.sha256(source)
    lines = over(world)
    assert r'close \"/work/a\" bytes read 0 written 3145728' in lines
    counted = world.syslog.wait(r"close session=.* status=0 .* in=(\d+) out=(\d+)", world.mark)
    assert min(map(int, counted.groups())) > 3 << 20


@both
@pytest.mark.parametrize("options,logged", [
    ({"sftp_audit": "no"}, False), ({"sftp": "image"}, False),
    ({"sftp": "image", "sftp_audit": "yes"}, True)])
def test_whose_is_logged(world, options, logged):
    world.conf.write(image=images.GLIBC, user=INSIDE, **options)
    sftp(world, "mkdir /work/d\n")
    assert bool(over(world)) == logged


@both
@pytest.mark.parametrize("asked,more", [
    ("-l QUIET -f AUTH", False), ("-l DEBUG1", True)])
def test_level(world, asked, more):
    """More may be asked for, not less."""
    world.conf.write(user=INSIDE)
    talk(world, f"internal-sftp {asked}", opening(1, b"/work/x"))
    lines = over(world)
    assert any(line.startswith(r'open \"/work/x\"') for line in lines), lines
    assert any(line.startswith("debug1: ") for line in lines) == more, lines


# --- a hostile one

@pytest.mark.channels("direct")
def test_name_with_a_newline(world):
    """It makes no line of its own, whatever it holds."""
    world.conf.write(user=INSIDE)
    name = b'/work/a\r\nremove name "/work/b"\n\x1b[31m\xff\xc3\xbc" said="x'
    talk(world, "internal-sftp", opening(1, name))
    lines = over(world)
    assert not any(line.startswith("remove") for line in lines), lines
    made = [line for line in lines if line.startswith(r"open \"/work/a\x0d\x0aremove name")]
    assert len(made) == 1 and not re.search(r'[^\\]"', made[0]), lines



@every
def test_program_that_says_what_it_likes(world):
    """The image's own may be anything: it says it of its own session, and what holds its stderr
    open holds nobody up."""
    folder = os.path.join(world.dir, "sftp-evil")
    os.mkdir(folder)
    path = os.path.join(folder, "sftp-server")
    with open(path, "w") as f:
        f.write("#!/bin/sh\n"
                "printf 'one\\nclose session=0 user=\"root\"\\n' >&2\n"
                "head -c 100000 /dev/zero >&2\n"
                "sleep 1000 </dev/null >/dev/null &\n"
                "exit 7\n")
    os.chmod(path, 0o755)
    world.conf.write(user=INSIDE, mounts=[f"{folder}:/evil:ro"], sftp="image:/evil/sftp-server",
                     sftp_audit="yes")
    began = time.monotonic()
    got = world.login().run("internal-sftp", input=b"")
    assert time.monotonic() - began < 20
    # An engine's API has the first words of one that ends so in its reason.
    assert (got.returncode, got.stderr[:7]) == (7, b"" if world.channel == "direct" else b"berth: ")
    lines = over(world)
    forged = r'close session=0 user=\"root\"'
    assert (r"one\x0a" + forged if world.channel == "direct" else forged) in lines, lines
    assert max(map(len, lines)) <= 710 and len(lines) <= 40
    shutil.rmtree(folder)


@pytest.mark.slow
@both
def test_flood(world):
    """It is cut, the log says by how much, and the client is served all the same."""
    world.conf.write(user=INSIDE)
    count = 80000
    began = time.monotonic()
    answers = talk(world, "internal-sftp", *(request(LSTAT, n, b"/no/such") for n in range(count)))
    took = time.monotonic() - began
    assert all(b"No such file" in answer for answer in answers)
    over(world)
    lines = [line for line in said(world) if line == "sent status No such file"]
    cut = sum(int(re.search(r"lines=(\d+)", line).group(1))
              for line in world.syslog.since(world.mark, ": sftp-cut session="))
    # And two of the session's own.
    assert len(lines) <= 50000 + 500 * (took + 2)
    assert cut > 0 and count <= len(lines) + cut <= count + 2


@both
def test_client_that_goes_away(world, tmp_path):
    """What was open is said to be closed, and how much of it came."""
    world.conf.write(user=INSIDE)
    source = data.make_file(str(tmp_path / "source"), 64 << 20)
    proxy = Proxy(world.client.port)
    try:
        proc = subprocess.Popen(["sftp", "-b", "-", "-l", "20000",
                                 *world.client.options(proxy.port), "bt-bash@127.0.0.1"],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        proc.stdin.write(f"put {source} /work/a\n".encode())
        proc.stdin.flush()
        world.syslog.wait(r'said="open \\"/work/a', world.mark, 10)
        proxy.cut()
        proc.kill()
        proc.communicate(timeout=10)
    finally:
        proxy.close()
    world.syslog.wait(r"close session=.* reason=(client-gone|exit)", world.mark, 10)
    world.syslog.wait(r'said="forced close \\"/work/a\\" bytes read 0 written \d+', world.mark)
    # sftp-server's words come before berth's own.
    kinds = [re.search(r": (\w+) session=", line).group(1)
             for line in world.syslog.since(world.mark) if "session=" in line and "berth-" in line]
    assert kinds[0] == "open" and kinds[-1] == "close", kinds
