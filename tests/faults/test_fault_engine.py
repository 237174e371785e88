"""The engine killed, and stopped and started, at each stage."""
import pytest

from stages import Session, each

pytestmark = pytest.mark.channels("direct", "attach")


@each("engine killed", quick="mid-stream")
def test_killed(world, ground, fault, stage):
    """And started again when the session has ended: what it has left then is removed."""
    ground.configure(stage)
    session = Session(ground, stage)
    ground.private.kill()
    how = gone(session)
    ground.private.start()
    ground.held(fault, stage, *swept(stage, how))


@each("engine stopped, started", quick="started")
def test_stopped_and_started(world, ground, fault, stage):
    """In an orderly way, in which it ends its containers first."""
    ground.configure(stage)
    session = Session(ground, stage)
    ground.private.restart()
    if stage in ("started", "mid-stream") and world.channel == "direct":
        how = session.lost("the container is being stopped")
    elif stage in ("started", "mid-stream"):
        # The command's own death is told where the engine still got to say it.
        how = session.lost(statuses=(137, 143, 254),
                           log=r": close .* status=(137|143|254) reason=(exit|error)")
    else:
        how = gone(session)
    ground.held(fault, stage, *swept(stage, how))


def swept(stage, how):
    """A create without an answer: nobody knows whether it will come, so a later sweep looks."""
    late = stage == "before create"
    return (how + ", swept later" if late else how), late


def gone(session):
    if session.stage in ("before create", "created", "connected"):
        return session.refused("engine|its guest ended")
    if session.stage == "at exit" and session.world.channel == "attach":
        return session.all_but_the_status()
    if session.stage == "at exit":
        return session.arrived()
    if session.world.channel == "direct":
        return session.went_on()
    return session.lost("engine")
