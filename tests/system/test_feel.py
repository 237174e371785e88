"""What people's fingers know: job control in every shell, a window that changes under output."""
import os
import re
import struct
import time

import pytest

from harness import images
from harness.terminal import Terminal
from harness.wait import wait_for

both = pytest.mark.channels("direct", "attach")


@both
@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "tcsh", "fish"])
def test_ctrl_z_and_fg_in_every_shell(world, shell):
    """The host's own shells, which are this release's as the image is. Without any file of his
    own zsh would ask the user for one."""
    rc = os.path.join(world.dir, "zshrc")
    with open(rc, "w"):
        pass
    world.conf.write(image=images.GLIBC, shell="/usr/bin/" + shell, init=False,
                     mounts=["/usr:/usr:ro", rc + ":/home/bt-bash/.zshrc:ro"])
    it = Terminal(world.login().argv(opts=("-t",)))
    try:
        it.send("echo up''on; sleep 1000; echo not''yet\r")
        it.expect(rb"upon\r\n")
        it.send("\x1a")
        it.expect(rb"[Ss]topped|[Ss]uspended")
        it.send("jobs; echo jo''bs; fg\r")
        it.expect(rb"sleep 1000.*jobs\r\n.*sleep 1000")
        it.send("\x03")
        it.send("\recho still he''re; exit\r")
        it.expect(rb"still here")
        it.end()
    finally:
        it.close()


@both
def test_resizing_while_output_streams(world):
    """Not a byte more or less, and the last size holds."""
    it = Terminal(world.login().argv("i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); "
                                     "done; read x; stty size; exit 4", opts=("-t",)), 24, 80)
    try:
        for i in range(60):
            it.pump()
            it.resize(20 + i % 30, 60 + i)
        it.expect(rb"line 39999\r\n")
        it.resize(33, 77)
        it.nudge()
        it.send("x\r")
        assert it.end() == 4
        said = re.sub(rb"x\r\n", b"", it.raw)
        assert said == b"".join(b"line %d\r\n" % i for i in range(40000)) + b"33 77\r\n"
    finally:
        it.close()


WTMP, LASTLOG = "/var/log/wtmp", "/var/log/lastlog"
UTMP = struct.Struct("<hxxi32s4s32s256s")     # utmp(5), the first fields of 384 bytes
LAST = struct.Struct("<i32s256s")


def text(field):
    return field.rstrip(b"\0").decode()


def logged(world, user):
    """What sshd wrote of one login: wtmp's records, whose type, host and account are told, and
    lastlog's line and host."""
    mark = world.syslog.mark()
    with open(WTMP, "ab") as f:
        before = f.tell()
    began = int(time.time())
    it = Terminal(world.login(user).argv("exit", opts=("-t",)))
    assert it.end() == 0
    wait_for(lambda: any(f"session closed for user {user}" in line
                         for line in world.syslog.since(mark, "")), 5, "the session closed")
    with open(WTMP, "rb") as f:
        f.seek(before)
        data = f.read()
    records = [UTMP.unpack_from(data, at) for at in range(0, len(data) - 383, 384)]
    lines = {text(r[2]) for r in records if text(r[4]) == user}
    last = None
    if os.path.exists(LASTLOG):      # newer systems have none
        with open(LASTLOG, "rb") as f:
            f.seek(292 * world.uid(user))
            when, line, host = LAST.unpack(f.read(292))
        assert when >= began and text(line) in lines
        last = text(host)
    return [(r[0], text(r[5]), text(r[4]).replace(user, "the login"))
            for r in records if text(r[2]) in lines], last


def test_wtmp_and_lastlog_are_sshds(world):
    """As of a login on a plain host."""
    made = not os.path.exists(WTMP)
    try:
        got, plain = logged(world, "bt-bash"), logged(world, "bt-plain")
        assert got == plain and (7, "127.0.0.1", "the login") in got[0]
    finally:
        if made:
            os.unlink(WTMP)
