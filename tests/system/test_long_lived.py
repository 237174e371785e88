"""Work that outlives its connection: tmux, whose client is lost and whose engine restarts."""
import os

import pytest

from harness import images
from harness.private_engine import PrivateEngine
from harness.terminal import Terminal
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")


@pytest.fixture(scope="module")
def lasting(session_world):
    """Its containers live on without it."""
    it = PrivateEngine(session_world.dir, "long-lived", session_world.group_name(),
                       **{"live-restore": True})
    it.engine.add_image(images.TMUX, images.tmux_tar())
    yield it
    it.close()


@pytest.fixture
def engine(world, lasting):
    world.conf.write(engine={"endpoint": "unix://" + lasting.path}, image=images.TMUX,
                     scope="user", linger="5m", env=["LC_CTYPE=C.UTF-8"])
    yield lasting
    for row in rows(world, lasting):
        lasting.engine.remove(row["Id"])
    wait_for(lambda: not rows(world, lasting), 5, "no container left")


def rows(world, engine):
    return engine.engine.containers(world.names())


@pytest.fixture
def at(world):
    """Opens a terminal on the other side; all are closed at the end."""
    opened = []

    def open_one(command):
        it = Terminal(world.login().argv(command, opts=["-t"]), env={**os.environ, "TERM": "xterm"})
        opened.append(it)
        return it
    yield open_one
    for it in opened:
        it.close()


def says(it, command, answer):
    it.send(command + "\r")
    it.expect(answer, timeout=30)


@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_tmux(world, engine, at, how):
    it = at("tmux new-session -s main")
    says(it, "v=ke''pt; echo begun-$((1+1))", rb"begun-2")
    first = rows(world, engine)[0]["Id"]
    # The line is cut.
    it.close()
    wait_for(lambda: not world.helpers(), 10, "its session gone")
    it = at("tmux attach")
    says(it, "echo ba''ck-$v", rb"back-kept")
    if how == "killed":
        engine.kill()
        engine.start()
    else:
        engine.restart()
    if world.channel == "direct":
        says(it, "echo sti''ll-$v", rb"still-kept")
        it.send("\x02d")                # tmux's own detach
        assert it.end() == 0
    else:
        assert it.end(45) == 254        # the bytes came by way of the engine
    it = at("tmux attach")
    says(it, "echo aft''er-$v", rb"after-kept")
    assert [row["Id"] for row in rows(world, engine)] == [first]
    it.send("exit\r")
    assert it.end() == 0 and b"[exited]" in it.raw
