"""Standby: containers that wait for logins."""
import contextlib
import os
import signal
import time

import pytest

from harness import images, procs
from harness.relay import Relay
from harness.scopes import a_minute_later, begun, configure, gone, hostname
from harness.wait import became, wait_for

pytestmark = pytest.mark.channels("direct")


def standing(world, user="bt-bash"):
    """Lock files of containers that wait for a login."""
    folder = os.path.join(world.runtime, str(world.uid(user)))
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        # One may go between the two looks.
        with contextlib.suppress(FileNotFoundError):
            if name.endswith(".lock"):
                with open(os.path.join(folder, name), "rb") as f:
                    if f.read(1) == b"s":
                        found.append(name)
    return sorted(found)


def stands(world, count, user="bt-bash"):
    wait_for(lambda: len(standing(world, user)) == count, 15,
             lambda: f"{count} standing; {standing(world, user)}")
    # The process that made them, and their watchers, are gone.
    wait_for(lambda: not procs.berths(world.uids(), world.helper), 10, "nothing resident")


def test_standby(world, login):
    configure(world, "session", standby="2", standby_time="1h")
    hostname(login)
    stands(world, 2)
    waiting = {r["Id"][:12] for r in world.containers()}
    taken = hostname(login)
    assert taken in waiting
    stands(world, 2)
    assert taken not in {r["Id"][:12] for r in world.containers()}
    # Never another's, and each session has its own.
    assert hostname(world.login("bt-dash")) not in waiting
    pair = [login.start("hostname") for _ in range(2)]
    assert len({p.communicate(timeout=30)[0] for p in pair}) == 2
    configure(world, "session")
    hostname(login)
    end_standby(world)


def test_waits_for_its_own_user_alone(world):
    """Of two users, for whom the same would do."""
    users = ("bt-bash", "bt-dash")
    configure(world, "session", standby="1", standby_time="1h", user="4242:4242")
    for user in users:
        hostname(world.login(user))
    for user in users:
        stands(world, 1, user)
    owners = {r["Id"][:12]: r["Labels"]["berth.uid"] for r in world.containers()}
    assert sorted(owners.values()) == sorted(str(world.uid(user)) for user in users)
    taking = {user: world.login(user).start("hostname; read x") for user in users}
    for user, proc in taking.items():
        taken = proc.stdout.readline().decode().strip()
        assert owners.get(taken) == str(world.uid(user)), (user, taken, owners)
    for proc in taking.values():
        proc.communicate(b"x\n", timeout=10)
    configure(world, "session")
    end_standby(world)


def test_a_claim_asks_no_engine_and_loads_no_libcurl(world, login):
    relay = Relay(os.path.join(world.dir, "away.sock"), world.uid("bt-bash"), world.socket)
    try:
        world.conf.write(engine={"endpoint": "unix://" + relay.path}, standby="1",
                         create=world.own_hostnames())
        hostname(login)
        stands(world, 1)
        waiting = world.containers()[0]["Id"][:12]
        os.rename(relay.path, relay.path + ".away")     # nobody can connect to it
        try:
            proc = login.start("hostname; read x")
            assert proc.stdout.readline().decode().strip() == waiting, proc.stderr.read()
            with open(f"/proc/{world.one_helper()}/maps") as f:
                assert "libcurl" not in f.read()
        finally:
            os.rename(relay.path + ".away", relay.path)
        assert proc.communicate(b"x\n", timeout=10) == (b"", b"")
        configure(world, "session")
        end_standby(world)
    finally:
        relay.close()


def end_standby(world):
    """As their time's end does: the guests go, a login sweeps."""
    wait_for(lambda: not procs.berths(world.uids(), world.helper), 15, "nothing at work")
    for row in world.containers():
        world.engine.call("POST", f"/containers/{row['Id']}/kill?signal=KILL", ok=(204, 404, 409))
    end = time.monotonic() + 20
    swept = False
    while not swept and time.monotonic() < end:
        for user in ("bt-bash", "bt-dash"):     # whose own end comes before its sweep's
            hostname(world.login(user))
        swept = became(lambda: not world.containers(), 2)
    gone(world, 5)


def test_standby_of_another_policy_is_not_used(world, login):
    configure(world, "session", standby="1")
    hostname(login)
    stands(world, 1)
    old = {r["Id"][:12] for r in world.containers()}
    configure(world, "session", standby="1", pids="77")
    assert hostname(login) not in old
    stands(world, 1)
    assert hostname(login) not in old
    stands(world, 1)
    wait_for(lambda: not old & {r["Id"][:12] for r in world.containers()}, 5, "the old one gone")
    configure(world, "session")
    end_standby(world)


def test_standby_has_the_home_too(world, login):
    home = os.path.join(world.dir, "home-bt-bash")
    os.mkdir(home, 0o700)
    os.chown(home, world.uid("bt-bash"), -1)
    configure(world, "session", standby="1", home=world.dir + "/home-%u")
    assert login.run("hostname >made").returncode == 0
    stands(world, 1)
    waiting = world.containers()[0]["Id"][:12]
    got = login.run("pwd; hostname; cat ~/made")
    with open(os.path.join(home, "made")) as f:
        made = f.read()
    assert got.stdout.decode() == f"/home/bt-bash\n{waiting}\n{made}", got.stderr
    stands(world, 1)
    configure(world, "session")
    end_standby(world)
    os.unlink(os.path.join(home, "made"))
    os.rmdir(home)


def test_standby_of_another_image_is_not_used(world, login, changing):
    def write(standby):
        world.conf.write(image=images.CHANGING, users={"bt-*": {"standby": standby}})
    write("1")
    hostname(login)
    stands(world, 1)
    changing(images.VOLUME)
    a_minute_later(world)
    old = {r["Id"][:12] for r in world.containers()}
    write("0")
    hostname(login)     # sweeps
    write("1")
    assert hostname(login) not in old
    stands(world, 1)
    assert hostname(login) not in old
    stands(world, 1)
    wait_for(lambda: not old & {r["Id"][:12] for r in world.containers()}, 5, "the old one gone")
    write("0")
    end_standby(world)


def test_standby_expires(world, login):
    configure(world, "session", standby="1", standby_time="10s")
    hostname(login)
    stands(world, 1)
    configure(world, "session")
    wait_for(lambda: [r["State"] for r in world.containers()] == ["exited"], 20, "its time's end")
    hostname(login)
    gone(world, 5)


def test_killed_in_a_claimed_container(world, login):
    configure(world, "session", standby="1")
    hostname(login)
    stands(world, 1)
    configure(world, "session", standby="1", pids="77")     # no refill of this kind
    configure(world, "session", standby="1")
    proc = login.start("trap '' HUP; echo up; sleep 1000")
    begun(proc)
    os.kill(world.one_helper(), signal.SIGKILL)
    proc.communicate()
    wait_for(lambda: all(r["Names"][0].split("-")[-1] + ".lock" in standing(world)
                         for r in world.containers()), 10, "only standby left")
    configure(world, "session")
    end_standby(world)
