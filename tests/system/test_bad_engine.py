"""Engines that are down, shut, silent or wrong; containers that don't start."""
import json
import os
import re
import socket
import subprocess
import time
import urllib.parse

import pytest

from harness import images
from harness.fake_engine import (FakeEngine, HIJACKED, PING, dripping, endless, frame, reply)
from harness.terminal import Terminal
from harness.wait import became, wait_for

# The fake engine has containers for the attach channel alone.
pytestmark = pytest.mark.channels("attach")
both = pytest.mark.channels("direct", "attach")
once = pytest.mark.channels()

# The longest that a session may wait for an engine which accepts and never answers.
PATIENCE = {"ping": 8, "drip": 10, "attach": 20, "wait": 20, "create": 25, "start": 50}


def refused(world, *expected, timeout=60, user="bt-bash", command="echo ran", output=b""):
    """One line and 254. output: what may have come before; tini tells a failed exec itself."""
    got = world.login(user).run(command, timeout=timeout)
    assert got.returncode == 254 and got.stdout in (b"", output), got
    text = re.sub(r"^\[FATAL tini .*\n", "", got.stderr.decode())
    assert text.startswith("berth: ") and text.count("\n") == 1 and text.endswith("\n"), text
    for word in expected:
        assert word in text, f"{word!r} not in {text!r}"
    world.syslog.wait(r"<8[0-7]>.*berth-session", world.mark)
    return text


@pytest.fixture
def fake(world):
    """Starts a fake engine and points berth.conf at it."""
    made = []

    def start(**answers):
        path = os.path.join(world.dir, f"fake{len(made)}.sock")
        made.append(FakeEngine(path, **answers))
        # It has no files to learn names from.
        world.conf.write(engine={"endpoint": "unix://" + path}, names=False)
        return made[-1]
    yield start
    # A clean-up may still want to reach it.
    became(lambda: not world.berths(), 5)
    for engine in made:
        engine.close()


def test_the_fake_engine_is_fit(world, fake):
    """Where nothing is wrong with it, a session runs: what fails below fails for its reason."""
    engine = fake()
    got = world.login().run("x")
    assert (got.returncode, got.stdout) == (0, b"hello\n"), got
    steps = [r[0] for r in engine.requests if r[0] in ("create", "attach", "wait", "start")]
    assert steps == ["create", "attach", "wait", "start"]
    for step, _, path, headers, _ in engine.requests:
        if step == "attach":
            assert headers["connection"] == "Upgrade" and headers["upgrade"] == "tcp"
        if step != "ping":
            assert path.startswith("/v1.41/"), path


@once
def test_down(world):
    world.conf.write(engine={"endpoint": f"unix://{world.dir}/none.sock"})
    refused(world, "none.sock")


@once
def test_nobody_listens(world):
    path = os.path.join(world.dir, "dead.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        os.chmod(path, 0o666)
    world.conf.write(engine={"endpoint": "unix://" + path})
    refused(world, "dead.sock")
    os.unlink(path)


@once
def test_not_permitted(world):
    refused(world, "ermission", user="bt-nogroup")


@once
def test_a_backlog_that_is_full(world):
    """connect() itself blocks or says EAGAIN: bounded all the same."""
    path = os.path.join(world.dir, "full.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        os.chmod(path, 0o666)
        s.listen(0)
        held = []
        while True:
            c = socket.socket(socket.AF_UNIX)
            c.setblocking(False)
            try:
                c.connect(path)
            except BlockingIOError:
                break
            held.append(c)
        world.conf.write(engine={"endpoint": "unix://" + path})
        start = time.monotonic()
        refused(world)
        assert time.monotonic() - start < PATIENCE["ping"]
        for c in held:
            c.close()
    os.unlink(path)


# Never an answer, or one that is never silent for long and never done: the limit is on the
# whole call.
SILENT = {"ping": {"ping": None}, "drip": {"ping": dripping(PING, 1.0)},
          "attach": {"attach": None}, "wait": {"wait": None}, "create": {"create": None},
          "start": {"start": None}}


@pytest.mark.slow
def test_never_answers(world, fake):
    """All at once, to spare the clock: each login reads the berth.conf of its moment."""
    waiting, wrong = {}, []
    for step, answers in SILENT.items():
        engine = fake(**answers)
        proc = world.login().start("echo ran", stdin=subprocess.DEVNULL)
        wait_for(lambda: engine.requests, 5, f"a request to the engine of {step}")
        waiting[step] = engine, proc, time.monotonic() + PATIENCE[step]
    for step, (engine, proc, end) in waiting.items():
        try:
            out, err = proc.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            proc.kill()
            out, err = proc.communicate()
            wrong.append(f"{step}: no end in {PATIENCE[step]} s")
        if (proc.returncode, out) != (254, b"") or not re.fullmatch(rb"berth: .*\n", err):
            wrong.append(f"{step}: {proc.returncode} {out} {err}")
    assert not wrong, "\n".join(wrong)
    # What was given up may still happen: cleaned up by name.
    requests = waiting["start"][0].requests
    name = [r for r in requests if r[0] == "create"][0][2].split("name=")[1].split("&")[0]
    wait_for(lambda: any(r[0] == "delete" and name in r[2] for r in requests), 5,
             f"a DELETE of {name}")


MALFORMED = {
    "garbage": b"\x00\xff\x13garbage\r\n\r\n",
    "no http": b"hello there\r\n\r\n",
    "empty": b"",
    "cut headers": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "cut body": b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"Id\":",
    "status word": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "status 99999": b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n",
    "negative length": b"HTTP/1.1 201 Created\r\nContent-Length: -5\r\n\r\n{}",
    "bad chunk": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "500": reply(500, b"the engine's own trouble", kind="text/plain"),
}
BODIES = {
    "no json": b"nonsense", "array": b"[]", "no id": b"{}", "id a number": b'{"Id": 5}',
    "id null": b'{"Id": null}', "cut json": b'{"Id": "abc', "deep": b"[" * 100000,
    "id a path": b'{"Id": "../../evil?x=1"}', "empty": b"", "nul": b'{"Id": "a\\u0000b"}',
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("step", ["ping", "create", "attach", "wait", "start"])
def test_malformed_reply(world, fake, step, name):
    fake(**{step: MALFORMED[name]})
    refused(world, output=b"hello\n" if step == "wait" else b"")


@pytest.mark.parametrize("name", BODIES)
def test_malformed_create_body(world, fake, name):
    engine = fake(create=reply(201, BODIES[name]))
    got = world.login().run("x")
    # berth may go on by the name it gave; what the engine says must not steer its paths.
    assert not any("evil" in r[2] for r in engine.requests)
    assert (got.returncode == 254 and got.stderr.startswith(b"berth: ")) or got.stdout == b"hello\n"


@pytest.mark.parametrize("version", ["", "abc", "1", "1.", "-1.41", "1.99999999999999999999",
                                     "1.41/../x", "0.9", "1.11"])
def test_versions_that_are_none(world, fake, version):
    engine = fake(ping=PING.replace(b"1.41", version.encode()))
    got = world.login().run("x")
    assert not any(".." in r[2] for r in engine.requests)
    assert got.returncode in (0, 254)
    if got.returncode == 254:
        assert got.stderr.startswith(b"berth: ")
    else:
        assert got.stdout == b"hello\n"


def test_a_newer_engine(world, fake):
    engine = fake(ping=PING.replace(b"1.41", b"1.56"))
    assert world.login().run("x").stdout == b"hello\n"
    versions = {r[2].split("/")[1] for r in engine.requests if r[0] != "ping"}
    assert len(versions) == 1
    assert float(versions.pop()[3:]) <= 56


def test_console_size_where_the_engine_has_it(world, fake):
    """API 1.42 and later take the window's size with create: right from the first moment."""
    def attach(conn):
        conn.sendall(HIJACKED)
        engine.started.wait(20)
        conn.sendall(b"drawn\r\n")          # a terminal's stream has no frames
        conn.shutdown(socket.SHUT_WR)
    engine = fake(ping=PING.replace(b"1.41", b"1.44"), attach=attach)
    it = Terminal(world.login().argv("x", opts=("-t",)), rows=33, cols=99)
    assert it.end() == 0 and it.raw == b"drawn\r\n"
    body = json.loads([r[4] for r in engine.requests if r[0] == "create"][0])
    assert body["Tty"] is True and body["HostConfig"]["ConsoleSize"] == [33, 99]


def test_detach_keys_are_out_of_reach(world, fake):
    """The default sequence would let Ctrl-P Ctrl-Q end a session that runs on unseen."""
    engine = fake()
    assert world.login().run("x").returncode == 0
    path = [r[2] for r in engine.requests if r[0] == "attach"][0]
    keys = urllib.parse.parse_qs(path.split("?", 1)[1])["detachKeys"][0]
    assert "ctrl-p" not in keys.lower()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["ping", "create", "start"])
def test_hundred_megabytes(world, fake, step):
    """Refused early or read in bounded memory: the helper never holds it."""
    body = endless(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
                   b"Content-Length: 100000000\r\n\r\n", b'{"a":"' + b"x" * 1000000, 100000000)
    fake(**{step: body})
    refused(world)


def test_hundred_megabytes_of_headers(world, fake):
    fake(create=endless(b"HTTP/1.1 201 Created\r\n", b"X-A: " + b"b" * 60000 + b"\r\n", 100000000))
    refused(world)


FRAMES = {
    "stream 9": bytes([9, 0, 0, 0, 0, 0, 0, 1]) + b"x",
    "padding": bytes([1, 2, 3, 4, 0, 0, 0, 1]) + b"x",
    "4 GiB": bytes([1, 0, 0, 0, 255, 255, 255, 255]) + b"x" * 100,
    "cut header": bytes([1, 0, 0]),
    "cut payload": bytes([1, 0, 0, 0, 0, 0, 0, 9]) + b"abc",
}


@pytest.mark.parametrize("name", FRAMES)
def test_malformed_frame(world, fake, name):
    def attach(conn):
        conn.sendall(HIJACKED)
        engine.started.wait(20)
        conn.sendall(FRAMES[name])
        conn.shutdown(socket.SHUT_WR)
    engine = fake(attach=attach)
    got = world.login().run("x", timeout=20)
    assert got.returncode == 254 and b"berth: " in got.stderr, got


def test_an_engines_error_frame(world, fake):
    """Stream 3 is the engine's own error: told, never taken for the command's output."""
    def attach(conn):
        conn.sendall(HIJACKED)
        engine.started.wait(20)
        conn.sendall(frame(3, b"the engine's trouble"))
        conn.shutdown(socket.SHUT_WR)
    engine = fake(attach=attach)
    got = world.login().run("x", timeout=20)
    assert got.stdout == b"" and b"the engine's trouble" in got.stderr


def test_first_bytes_with_the_101(world, fake):
    def attach(conn):
        conn.sendall(HIJACKED + frame(1, b"early\n") + frame(2, b"err\n"))
        engine.started.wait(20)
        conn.sendall(frame(1, b""))
        conn.shutdown(socket.SHUT_WR)
    engine = fake(attach=attach)
    got = world.login().run("x", timeout=20)
    assert (got.returncode, got.stdout, got.stderr) == (0, b"early\n", b"err\n")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"StatusCode":"five"}', b'{"StatusCode":-1}',
                                  b'{"StatusCode":99999}', b'{"StatusCode":0,"Error":{"Message":'
                                  b'"lost it"}}', b"nonsense"],
                         ids=["empty", "none", "string", "negative", "large", "error", "word"])
def test_wait_bodies(world, fake, body):
    """No status is no success: an empty body is what a dying engine leaves."""
    def wait(conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        engine.started.wait(20)
        if body:
            conn.sendall(b"%x\r\n%s\r\n" % (len(body), body))
        conn.sendall(b"0\r\n\r\n")
    engine = fake(wait=wait)
    got = world.login().run("x", timeout=20)
    assert got.returncode == 254 and b"berth: " in got.stderr, got


def test_create_rejected(world, fake):
    fake(create=reply(400, {"message": "no such thing as that"}))
    refused(world, "no such thing as that")


def test_engines_message_is_data(world, fake):
    """An error text with control bytes and newlines can't forge lines or steer a terminal."""
    fake(create=reply(400, {"message": "bad\nberth-session: close status=0\x1b]0;x\x07 \u202e"}))
    text = refused(world)
    assert "\x1b" not in text
    assert not [t for t in world.syslog.since(world.mark) if t.rstrip("\n\0").count("\n")]


def test_start_rejected_is_cleaned_up(world, fake):
    engine = fake(start=reply(400, {"message": "can't start that"}))
    refused(world, "can't start that")
    # By the watcher, which the session doesn't wait for.
    wait_for(lambda: any(r[0] == "delete" and "v=1" in r[2] and "force=" in r[2]
                         for r in engine.requests), 5, lambda: engine.requests)


# --- a real engine, and containers that fail

@both
@pytest.mark.parametrize("options,word", [
    ({"mounts": ["/no-such/source:/x"]}, "/no-such"),
    ({"user": "nosuchuser"}, "nosuchuser"),
    ({"runtime": "nosuch"}, "nosuch"),
    ({"network": "bt-no-such-net"}, "bt-no-such-net"),
    ({"devices": ["/dev/nosuch"]}, "/dev/nosuch"),
    ({"shell": "/bin/nosuch"}, "/bin/nosuch"),
    ({"memory": "1k"}, "emory"),
    ({"cap_add": ["NOSUCH"]}, "NOSUCH"),
    ({"workdir": "/bin/busybox"}, "/bin/busybox"),
    ({"image": images.NO_SHELL}, "shell"),
    ({"image": images.NO_SHELL, "shell": "/bin/bash"}, "/bin/bash"),
    ({"image": "berth-test/none", "pull": "never"}, "berth-test/none"),
    ({"image": "UPPER CASE:", "pull": "never"}, "UPPER CASE"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_containers_that_fail_to_start(world, options, word):
    world.conf.write(**options)
    assert word.lower() in refused(world).lower()
