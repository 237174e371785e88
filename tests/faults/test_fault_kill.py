"""kill -9 of each process of a session, at each stage."""
import os
import signal

import pytest

from harness import procs
from harness.wait import wait_for
from stages import BOUND, Session, each

pytestmark = pytest.mark.channels("direct", "attach")


def kill(pid):
    os.kill(pid, signal.SIGKILL)


@each("client killed", quick="before create")
def test_client(ground, fault, stage):
    ground.configure(stage)
    session = Session(ground, stage)
    kill(session.proc.pid)
    session.helpers_end()
    assert session.finish()[0] == -signal.SIGKILL
    session.logged_as_client_gone()
    ground.held(fault, stage, "ends")


@each("sshd's child killed", quick="created")
def test_sshds_child(ground, fault, stage):
    ground.configure(stage)
    session = Session(ground, stage)
    kill(procs.parent(session.helper()))
    session.helpers_end()
    status, _, _ = session.finish()
    assert status == 255
    session.logged_as_client_gone()
    ground.held(fault, stage, "ends, 255")


@each("helper killed", quick="connected")
def test_helper(ground, fault, stage):
    ground.configure(stage)
    session = Session(ground, stage)
    kill(session.helper())
    session.helpers_end()
    status, _, err = session.finish()
    assert (status, err) == (255, b"")
    session.logged(": session=[0-9a-f]{16} its helper was killed")
    ground.held(fault, stage, "ends, 255")


@each("guest killed", quick="mid-stream")
def test_guest(ground, fault, stage):
    """Over attach it is the engine's: docker-init, whose end is the command's."""
    ground.configure(stage)
    session = Session(ground, stage)
    kill(session.container_pid())
    ground.held(fault, stage, ends(session))


@each("containerd-shim killed", quick="started")
def test_shim(ground, fault, stage):
    ground.configure(stage)
    session = Session(ground, stage)
    kill(procs.parent(session.container_pid()))
    # containerd sees to its container first.
    wait_for(lambda: ground.world.channel == "attach" or not ground.world.guests(), BOUND,
             "the guest's end")
    ground.held(fault, stage, ends(session))


def ends(session):
    if session.stage == "connected":
        return session.refused("guest|container")
    if session.world.channel == "direct":
        return session.lost("the container ended")
    # Of a shim that is gone the command may hear first, by SIGPIPE.
    return session.lost(statuses=(137, 141), log=r": close .* status=(137|141) reason=exit ")
