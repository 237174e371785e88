"""Tests of scopes and standby: containers that outlive a session."""
import os
import re

from .wait import wait_for


def configure(world, scope="user", **options):
    options.setdefault("create", world.own_hostnames())
    world.conf.write(users={"bt-*": {"scope": scope, **options}})


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def hostname(login, **kw):
    got = login.run("hostname", **kw)
    assert (got.returncode, got.stderr) == (0, b""), got
    return got.stdout.decode().strip()


def gone(world, seconds):
    def left():
        return [r["Names"] for r in world.containers()] + world.berths() + world.left_files()
    wait_for(lambda: not left(), seconds, lambda: f"nothing left; {left()}")


def remove(world):
    """What a lingering container leaves its keeper to do, now."""
    for row in world.containers():
        world.engine.remove(row["Id"])
    gone(world, 5)


def a_minute_later(world):
    """The last question after the image was then."""
    folder = os.path.join(world.runtime, str(world.uid("bt-bash")))
    for name in os.listdir(folder):
        if name.endswith(".lock"):
            with open(os.path.join(folder, name), "r+b") as f:
                found = re.search(rb" checked=(\d{10}) ", f.read())
                f.seek(found.start(1))
                f.write(b"%010d" % (int(found[1]) - 100))
