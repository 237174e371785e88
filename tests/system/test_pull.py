"""Images from a registry, a real one on loopback."""
import json
import os

import pytest

from harness import images
from harness.client import Proxy
from harness.registry import CuttingRegistry, Registry, write_auth
from harness.terminal import Terminal
from harness.wait import wait_for

both = pytest.mark.channels("direct", "attach")
SECRET = ("puller", "a secret:with \"signs\"")


@pytest.fixture(scope="module")
def registry(session_world):
    it = Registry(session_world.dir, "registry")
    # A layer that the engine hasn't got: it would not ask for one it has.
    images.import_image(session_world.engine, "berth-test/fresh",
                        images.busybox_tar(extra=os.urandom(3_000_000)))
    it.name = it.push(session_world.engine, "berth-test/fresh", "berth-test/pulled")
    session_world.engine.remove_image("berth-test/fresh")
    yield it
    it.stop()


@pytest.fixture
def absent(world, registry):
    """The image's name, not in the engine before and after."""
    world.engine.remove_image(registry.name + ":latest")
    yield registry.name
    world.engine.remove_image(registry.name + ":latest")


def refused(got, *words):
    assert (got.returncode, got.stdout) == (254, b""), got
    text = got.stderr.decode()
    assert text.startswith("berth: ") and text.count("\n") == 1, text
    for word in words:
        assert word in text, text
    return text


@both
def test_missing_is_pulled_silently(world, absent):
    world.conf.write(image=absent)
    got = world.login().run("echo ran", timeout=60)
    assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b"")


def test_a_tag_and_a_digest(world, absent, registry):
    world.conf.write(image=absent + ":latest")
    assert world.login().run("echo ran", timeout=60).stdout == b"ran\n"
    digest = world.engine.call("GET", f"/images/{absent}:latest/json")["RepoDigests"][0]
    world.engine.remove_image(absent + ":latest")
    world.conf.write(image=digest)
    assert world.login().run("echo ran", timeout=60).stdout == b"ran\n"
    world.engine.remove_image(digest)


@both
def test_progress_on_a_terminal(world, absent):
    world.conf.write(image=absent)
    it = Terminal(world.login().argv("echo ran", opts=("-t",)))
    assert it.end(60) == 0
    assert it.raw.endswith(b"ran\r\n") and len(it.raw) > len(b"ran\r\n")
    assert b"pull" in it.raw.lower()


def test_never(world, absent):
    world.conf.write(image=absent, pull="never")
    refused(world.login().run("echo ran"), absent)
    with pytest.raises(RuntimeError):
        world.engine.call("GET", f"/images/{absent}:latest/json")


def test_missing_asks_no_registry_when_it_is_there(world, registry):
    """The registry is gone and the session runs."""
    world.engine.call("POST", f"/images/{images.BUSYBOX}/tag?repo=127.0.0.1:1/x&tag=latest")
    try:
        world.conf.write(image="127.0.0.1:1/x")
        assert world.login().run("echo ran").stdout == b"ran\n"
    finally:
        world.engine.remove_image("127.0.0.1:1/x:latest")


def test_always_takes_the_newest(world, registry):
    name = registry.push(world.engine, images.BUSYBOX, "berth-test/moving")
    world.conf.write(image=name, pull="always", workdir="/")
    assert world.login().run("echo [$FROM_IMAGE]", timeout=60).stdout == b"[]\n"
    stale = world.engine.call("GET", f"/images/{name}:latest/json")["Id"]
    registry.push(world.engine, images.DRESSED, "berth-test/moving")
    world.engine.call("POST", f"/images/{stale}/tag?repo={name}&tag=latest")
    assert world.login().run("echo [$FROM_IMAGE]", timeout=60).stdout == b"[yes]\n"
    world.engine.remove_image(name + ":latest")


def test_an_image_that_no_registry_has(world, registry):
    """The engine answers 200 or 404 and tells the error inside."""
    world.conf.write(image=registry.address + "/no/such")
    refused(world.login().run("echo ran", timeout=60), "no/such")
    world.syslog.wait(r"berth-session", world.mark)


def test_a_registry_that_is_down(world):
    world.conf.write(image="127.0.0.1:1/no/such")
    refused(world.login().run("echo ran", timeout=60), "127.0.0.1:1")


def test_pull_failing_half_way(world, absent, registry):
    """A layer ends in its middle: an error inside a reply whose status is 200."""
    proxy = CuttingRegistry(registry.port)
    name = f"{proxy.address}/berth-test/pulled"
    world.conf.write(image=name)
    try:
        refused(world.login().run("echo ran", timeout=60), "berth-test/pulled")
        assert len(proxy.cut) == 1, "the layer was never cut"
    finally:
        proxy.shutdown()
        proxy.server_close()


@both
def test_client_gone_while_pulling(world, absent, registry):
    """Nobody waits for the image any more: the helper ends, nothing is created."""
    proxy = Proxy(registry.port)
    proxy.pause_after = 200_000
    world.conf.write(image=f"127.0.0.1:{proxy.port}/berth-test/pulled")
    proc = world.login().start("echo ran")
    wait_for(lambda: not proxy.flowing.is_set(), 20, "200 kB of the image passed")
    proc.kill()
    proc.communicate()
    wait_for(lambda: not world.berths(), 5, "no helper any more")
    proxy.flowing.set()
    assert not world.containers()
    proxy.close()
    world.engine.remove_image(f"127.0.0.1:{proxy.port}/berth-test/pulled:latest")


@pytest.fixture(scope="module")
def guarded(session_world):
    it = Registry(session_world.dir, "guarded", SECRET)
    it.name = it.push(session_world.engine, images.BUSYBOX, "berth-test/secret", SECRET)
    yield it
    it.stop()


def test_credentials(world, guarded):
    path = write_auth(world.dir + "/auth", guarded.address, SECRET, 0o640,
                      (0, world.engine_group))
    world.conf.write(image=guarded.name, engine={"registry_config": path})
    got = world.login().run("echo ran", timeout=60)
    assert (got.returncode, got.stdout, got.stderr) == (0, b"ran\n", b"")
    world.engine.remove_image(guarded.name + ":latest")


def test_no_and_wrong_credentials(world, guarded):
    world.conf.write(image=guarded.name)
    refused(world.login().run("echo ran", timeout=60))
    path = write_auth(world.dir + "/auth", guarded.address, ("puller", "wrong"), 0o640,
                      (0, world.engine_group))
    world.conf.write(image=guarded.name, engine={"registry_config": path})
    text = refused(world.login().run("echo ran", timeout=60))
    assert "wrong" not in text


@pytest.mark.parametrize("problem", ["missing", "world-readable", "malformed"])
def test_credentials_file(world, guarded, problem):
    """The secret a helper reads is for one group's eyes; a file open to all is refused."""
    path = write_auth(world.dir + "/auth", guarded.address, SECRET,
                      0o644 if problem == "world-readable" else 0o640, (0, world.engine_group))
    if problem == "missing":
        os.unlink(path)
    elif problem == "malformed":
        with open(path, "w") as f:
            f.write(json.dumps({"auths": [1, 2]})[:-3])
    world.conf.write(image=guarded.name, engine={"registry_config": path})
    text = refused(world.login().run("echo ran", timeout=60), "config.json")
    assert SECRET[1] not in text
