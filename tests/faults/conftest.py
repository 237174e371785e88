"""The ground that faults are tried on, and the table of what held."""
import os
import shutil
import time

import pytest

import table
from harness import procs
from harness.gate import Gate
from harness.private_engine import PrivateEngine
from harness.wait import wait_for
from stages import BOUND, TAIL_SIZE

# s; a watcher waits 20 for a create that may come late.
GONE = 90


def pytest_addoption(parser):
    parser.addoption("--table", metavar="FILE", help="what held, as a table")


def pytest_configure(config):
    config.pluginmanager.register(table.Table(config), "faults-table")


def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if is_possible(item)]


def is_possible(item):
    params = getattr(getattr(item, "callspec", None), "params", {})
    return "fault" not in params or not table.why_not(params["fault"], params["channel"],
                                                      params["stage"])


class Ground:
    """An engine that may be killed, a gate in front of it, a folder that is /data inside."""

    def __init__(self, world, private, folder, properties, client):
        self.world, self.private, self.properties = world, private, properties
        self.client = client
        self.gate = Gate(os.path.join(world.dir, "gate.sock"), private.path)
        self.data = os.path.join(folder, "faults")
        shutil.rmtree(self.data, ignore_errors=True)
        os.mkdir(self.data)
        self.tail = b"".join(b"%d\n" % i for i in range(100000))[:TAIL_SIZE[world.channel]]
        with open(os.path.join(self.data, "tail"), "wb") as f:
            f.write(self.tail)
        os.chown(self.data, world.uid("bt-bash"), -1)

    def configure(self, stage=None, **options):
        # With a time limit of silence the helper has the bytes in its own hands till the end.
        if stage == "at exit" and self.world.channel == "direct":
            options.setdefault("idle_timeout", "1h")
        self.world.conf.write(engine={"endpoint": "unix://" + self.gate.path},
                              mounts=[self.data + ":/data"], **options)

    def go(self):
        """What a command waits for."""
        with open(os.path.join(self.data, "go"), "w"):
            pass

    def read(self, name):
        path = os.path.join(self.data, name)
        if not os.path.exists(path):
            return None
        with open(path, "rb") as f:
            return f.read()

    def containers(self):
        return self.private.engine.containers(self.world.names())

    def left(self):
        """What is there of a session: container, file, process of any kind under its uid."""
        found = [f"container {r['Names']} {r['State']}" for r in self.containers()]
        found += [f"file {f}" for f in self.world.left_files()]
        found += [f"process {p}" for p in procs.of_users(self.world.uids())]
        return found + [f"guest {p}" for p in self.world.guests()]

    def nothing_is_left(self):
        wait_for(lambda: not self.left(), GONE, lambda: f"nothing left; {self.left()}")

    def an_hour_passes(self):
        """For what only a sweep in an hour may take for over: a create that the engine never
        answered. It has no more than its lock's file and folder."""
        wait_for(lambda: not self.containers() and not procs.of_users(self.world.uids()), GONE,
                 lambda: f"files alone; {self.left()}")
        locks = [name for name in self.world.left_files() if name.endswith(".lock")]
        assert len(locks) == 1, self.left()
        then = time.time() - 2 * 3600
        os.utime(locks[0], (then, then))

    def works(self):
        self.configure()
        got = self.client.run("bt-bash", "echo ran", timeout=BOUND)
        assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b""), got
        self.nothing_is_left()

    def held(self, fault, stage, how, swept=False):
        """Nothing is left, the next session is as ever; the table has it."""
        if swept:
            self.an_hour_passes()
        else:
            self.nothing_is_left()
        self.works()
        self.properties.append(("fault", [fault, self.world.channel, stage, how]))

    def close(self):
        self.gate.close()


@pytest.fixture(scope="session")
def session_private(session_world):
    it = PrivateEngine(session_world.dir, "faults-engine", session_world.group_name())
    it.add_busybox()
    yield it
    it.close()


def laid(world, private, folder, properties, client=None):
    """Ready, and afterwards with nothing left in that engine."""
    if private.process.poll() is not None:
        private.start()
    it = Ground(world, private, folder, properties, client or world.client)
    try:
        it.configure()
        # The names in the image are learnt once: no test is to meet that.
        it.works()
        yield it
        if private.process.poll() is not None:
            private.start()
        it.nothing_is_left()
    finally:
        for row in it.containers():
            private.engine.remove(row["Id"])
        it.close()


@pytest.fixture
def ground(world, session_private, request):
    yield from laid(world, session_private, world.dir, request.node.user_properties)
