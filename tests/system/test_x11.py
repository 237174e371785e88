"""ssh -X: the client's display in the container, for as long as the session is there."""
import contextlib
import glob
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from harness import images, procs, x11
from harness.client import Login, need
from harness.private_engine import PrivateEngine
from harness.sshd import DOORS
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach", "exec")
HERE = os.path.dirname(os.path.abspath(__file__))
USER = "bt-door"
# What the README says to open; and the client may say where his display is.
OPEN = f"""\
AcceptEnv DISPLAY XAUTHORITY
Match User {USER}
  DisableForwarding no
  X11Forwarding yes
"""


class Forwarding(Login):
    """A client whose display is forwarded."""

    def __init__(self, client, display, user=USER):
        super().__init__(client, user, "busybox")
        self.display = display

    def run(self, *command, opts=(), **kw):
        kw.setdefault("env", self.display.env)
        return super().run(*command, opts=["-Y", *opts], **kw)

    def start(self, *command, opts=(), **kw):
        return super().start(*command, opts=["-Y", *opts], env=self.display.env, **kw)


@pytest.fixture(scope="module")
def displays(session_world):
    folder = os.path.join(session_world.dir, "displays")
    os.mkdir(folder, 0o700)
    both = [x11.Display(folder, "first"), x11.Display(folder, "second")]
    yield both
    for it in both:
        it.close()


@pytest.fixture(scope="module")
def programs(session_world):
    return x11.clients(os.path.join(session_world.dir, "x11"), "xprop", "xdpyinfo", "xwd", "xlogo")


@pytest.fixture(scope="module")
def open_sshd(session_doors):
    return session_doors.sshd(options=OPEN, xauth="/usr/bin/xauth", name="x11")


@pytest.fixture
def allow(doors, programs):
    """Writes berth.conf with x11_forwarding."""
    def write(mounts=(), **options):
        if doors.world.shared:
            options.setdefault("scope", "user")
        doors.conf.write(users={"bt-door*": {}}, image=images.BUSYBOX,
                         mounts=[programs + ":/x11:ro", *mounts],
                         **{"x11_forwarding": True, "linger": "0", "hangup_grace": "0",
                            **options})
    write()
    return write


@pytest.fixture
def forwarding(open_sshd, displays, allow):
    return Forwarding(open_sshd.client, displays[0])


def set_property(word):
    return f"/x11/xprop -root -f BERTH 8s -set BERTH {word}"


def works(login, word, **kw):
    got = login.run(set_property(word), **kw)
    assert (got.returncode, got.stdout, got.stderr) == (0, b"", b""), got
    assert login.display.property("BERTH") == word


IDS = [{}, {"user": "0:0"}, {"user": "33:33", "read_only": True}, {"user": "31337:31337"}]


@pytest.mark.channels("direct", "attach")   # of which the shared scopes are exec
@pytest.mark.parametrize("options", IDS, ids=["own uid", "root", "another uid", "no account"])
@pytest.mark.parametrize("scope", ["session", "connection", "user"])
def test_in_every_scope_for_every_uid(forwarding, allow, scope, options, request):
    allow(scope=scope, **options)
    works(forwarding, re.sub(r"\W", "-", request.node.name))
    got = forwarding.run("/x11/xdpyinfo", opts=["-tt"])
    assert got.returncode == 0 and b"dimensions:    640x480 pixels" in got.stdout, got


@pytest.mark.channels("direct")
def test_untrusted(open_sshd, displays, allow):
    """ssh -X: by a cookie that the client's server has just been given."""
    got = Login(open_sshd.client, USER, "busybox").run("/x11/xdpyinfo", opts=["-X"],
                                                      env=displays[0].env)
    assert got.returncode == 0 and b"dimensions:    640x480 pixels" in got.stdout, got


@pytest.mark.channels("direct", "attach")
@pytest.mark.parametrize("options", [
    {"tmpfs": ["/tmp"], "read_only": True}, {"mounts": ["{dir}/x11-tmp:/tmp"]},
    {"create": '{"HostConfig": {"Tmpfs": {"/tmp": ""}}}'},
], ids=["tmpfs", "mount", "create"])
def test_below_what_is_mounted_at_tmp(world, forwarding, allow, options):
    folder = os.path.join(world.dir, "x11-tmp")
    os.makedirs(folder, exist_ok=True)
    if "mounts" in options:
        options = {"mounts": [m.format(dir=world.dir) for m in options["mounts"]]}
    if "create" in options:
        path = os.path.join(world.dir, "doors/etc-berth/x11.json")
        with open(path, "w") as f:
            f.write(options["create"])
        options = {"create": "x11.json"}
    allow(**options)
    works(forwarding, "below")
    shutil.rmtree(folder)


@pytest.mark.channels("direct")
def test_standby(world, forwarding, allow):
    """Made before anybody knew of a display."""
    def stands():
        wait_for(lambda: not procs.berths(world.uids(), world.helper), 20, "nothing at work")
        row, = world.containers()
        return row["Id"][:12]
    allow(standby=1, standby_time="1m", create=world.own_hostnames())
    works(forwarding, "fresh")
    waiting = stands()
    got = forwarding.run(f"hostname && {set_property('standby')}")
    assert (got.returncode, got.stdout.decode().strip()) == (0, waiting), got
    assert forwarding.display.property("BERTH") == "standby"
    stands()
    allow()
    world.clean_up(world.engine.anonymous_volumes())


@pytest.mark.channels("direct", "attach")
def test_ids_are_mapped(world, forwarding, allow, doors):
    """userns-remap: the socket's owner has no number in there."""
    private = PrivateEngine(world.dir, f"x11-{world.channel}", world.group_name(), remap=1000000)
    usual = doors.conf.endpoint
    try:
        private.add_busybox()
        doors.conf.endpoint = "unix://" + private.path
        for user in ("%U:%G", "0:0"):
            allow(user=user)
            works(forwarding, "mapped-" + re.sub(r"\W", "", user))
        wait_for(lambda: not private.engine.containers(world.names()) and not world.berths() and
                 not world.left_files(), 5, "nothing left")
    finally:
        doors.conf.endpoint = usual
        private.close()


@pytest.mark.channels("direct", "attach")
def test_a_picture(forwarding):
    """More than fits into a socket at once, and not a byte of it is another."""
    works(forwarding, "picture")
    got = forwarding.run("/x11/xwd -root -silent")
    there = subprocess.run([need("xwd"), "-root", "-silent"], env=forwarding.display.env,
                           check=True, capture_output=True).stdout
    assert got.returncode == 0 and len(there) > 640 * 480 * 4
    assert got.stdout == there


def windows(display):
    return subprocess.run([need("xwininfo"), "-root", "-tree"], env=display.env, check=True,
                          capture_output=True, text=True).stdout


def test_a_window_goes_with_its_client(forwarding):
    proc = forwarding.start("exec /x11/xlogo")
    wait_for(lambda: "xlogo" in windows(forwarding.display), 10, "a window")
    proc.kill()
    wait_for(lambda: "xlogo" not in windows(forwarding.display), 5, "the window gone")
    proc.communicate(timeout=20)


# --- who has one

SEEN = 'echo "${DISPLAY-none} ${XAUTHORITY-none}"; ' \
       'ls -d /tmp/.X11-unix /.berth/run/x* 2>/dev/null; read x'


def brokers(world, user=USER):
    return [r[0] for r in procs.of_users({world.uid(user)}) if r[3] == "berth-forward"]


def relays(world, user=USER):
    return [r[0] for r in procs.of_users({world.uid(user)}) if r[3] == "berth-relay"]


def pair(world):
    """Broker and relay, which take their names when they are there."""
    return wait_for(lambda: brokers(world) and relays(world), 5, "a broker and a relay") and \
        (brokers(world)[0], relays(world)[0])


def cookie_files(world, user=USER):
    return glob.glob(f"{world.runtime}/{world.uid(user)}/xauth-*")


def look(world, login, **kw):
    """What a session sees, how many processes it takes, and files for cookies."""
    proc = login.start(SEEN, **kw)
    first = proc.stdout.readline()
    count = len(brokers(world)) + len(relays(world)), len(cookie_files(world))
    out, _ = proc.communicate(b"\n", timeout=20)
    return first, out, count


def test_off_unless_berth_conf_says(world, forwarding, allow):
    allow(x11_forwarding=False)
    assert look(world, forwarding) == (b"none none\n", b"", (0, 0))


def test_off_where_sshd_shuts_it(world, door_sshd, displays, allow):
    login = Forwarding(door_sshd.client, displays[0])
    assert look(world, login)[0::2] == (b"none none\n", (0, 1))


def test_nothing_for_who_forwards_none(world, open_sshd, allow):
    assert look(world, Login(open_sshd.client, USER, "busybox"))[0::2] == (b"none none\n", (0, 1))


def refused(world, login, why, **kw):
    """The session goes on without, and the log says why."""
    mark = world.syslog.mark()
    got = login.run('echo "${DISPLAY-none} ${XAUTHORITY-none}"', **kw)
    assert (got.returncode, got.stdout) == (0, b"none none\n"), got
    world.syslog.wait("cannot forward X11: .*" + why, mark)
    assert "x11=" not in world.syslog.wait(": close session=", mark).string


@pytest.mark.channels("direct", "attach")
def test_a_runtime_without_sockets(world, forwarding, allow):
    allow(runtime="io.containerd.runc.v1", channel="attach")
    mark = world.syslog.mark()
    forwarding.run("true")
    world.syslog.wait("cannot forward X11: .* takes no sockets", mark)


@pytest.mark.channels("direct", "attach")
def test_a_mount_of_berth_confs_stays(world, forwarding, allow):
    folder = os.path.join(world.dir, "x11-theirs")
    os.makedirs(folder)
    with open(folder + "/X7", "w"):
        pass
    allow(mounts=[folder + ":/tmp/.X11-unix:ro"])
    refused(world, forwarding, "mounts something else")
    assert forwarding.run("ls /tmp/.X11-unix").stdout == b"X7\n"
    allow(mounts=[folder + ":/tmp:ro"])
    refused(world, forwarding, "read-only /tmp")
    shutil.rmtree(folder)


def test_without_pam_berth(world, displays):
    world.conf.write(x11_forwarding=True)
    shut = DOORS.replace("X11Forwarding no", "X11Forwarding yes")
    with world.another_sshd(doors=shut) as client:
        refused(world, Forwarding(client, displays[0], "bt-bash"), r"pam_berth\(8\)")


def test_not_on_localhost(world, doors, displays, allow):
    sshd = doors.sshd(options=OPEN + "  X11UseLocalhost no\n", xauth="/usr/bin/xauth", name="x11")
    refused(world, Forwarding(sshd.client, displays[0]), "another host than localhost")


def test_the_log(world, open_sshd, forwarding):
    mark = world.syslog.mark()
    assert forwarding.run("true").returncode == 0
    assert " tty=no x11=yes " in world.syslog.wait(r": open session=", mark).string
    assert " tty=no x11=yes " in world.syslog.wait(r": close session=", mark).string
    mark = world.syslog.mark()
    Login(open_sshd.client, USER, "busybox").run("true")
    assert "x11" not in world.syslog.wait(r": close session=", mark).string


# --- what the client says

class Listener:
    """What else may listen where displays do."""

    def __init__(self, uid=0):
        os.seteuid(uid)
        try:
            for number in range(50, 1000):
                self.socket = socket.socket()
                with contextlib.suppress(OSError):
                    self.socket.bind(("127.0.0.1", 6000 + number))
                    break
                self.socket.close()
            self.socket.listen()
        finally:
            os.seteuid(0)
        self.number = number

    def untouched(self):
        self.socket.settimeout(0)
        with pytest.raises(BlockingIOError):
            self.socket.accept()


def test_a_display_that_is_the_clients_word(world, open_sshd, allow):
    """AcceptEnv lets him say it, and he forwards none."""
    login = Login(open_sshd.client, USER, "busybox")
    roots, own = Listener(), Listener(world.uid(USER))
    for value, why in ((f"localhost:{roots.number}.0", "cookie"),
                       (f"localhost:{own.number}.0", "cookie"),
                       (f"127.0.0.1:{own.number}", "cookie"),
                       (":0", "another host"), ("unix:/run/docker.sock", "another host"),
                       ("192.0.2.1:0", "another host"), ("localhost:" + "1" * 5000, "none of sshd"),
                       ("localhost:%n%s", "none of sshd"),
                       ("x" * 100000, "another host")):
        refused(world, login, why, opts=["-o", "SetEnv=DISPLAY=" + value])
    roots.untouched()
    own.untouched()
    for it in (roots, own):
        it.socket.close()


def test_a_cookie_file_that_is_the_clients_word(world, doors, open_sshd, forwarding, allow):
    """By AcceptEnv, and by his home directory."""
    evil = f"/home/{USER}/evil"
    works(forwarding, "evil", opts=["-o", "SetEnv=XAUTHORITY=" + evil])
    doors.home(USER, ".pam_environment",
               f"XAUTHORITY DEFAULT={evil}\nDISPLAY DEFAULT=localhost:10.0\n")
    works(forwarding, "environment")
    assert not os.path.exists(evil)
    assert os.listdir(f"/home/{USER}") == [".pam_environment"]
    # Nor does any of it reach the container, where everything is let through.
    allow(accept_env=["*"])
    got = forwarding.run("env", opts=["-o", "SetEnv=XAUTHORITY=" + evil])
    env = dict(line.split("=", 1) for line in got.stdout.decode().splitlines())
    assert re.fullmatch(r":1\d\.0", env["DISPLAY"])
    assert re.fullmatch(r"/\.berth/run/xauthority\.[0-9a-f]{16}", env["XAUTHORITY"])
    refused(world, Login(open_sshd.client, USER, "busybox"), "cookie",
            opts=["-o", "SetEnv=DISPLAY=localhost:10.0 XAUTHORITY=" + evil])


def ask(login, protocol, cookie, screen=0):
    """An X11 request that no ssh sends, and then a command."""
    transport = login.transport()
    try:
        channel = transport.open_session()
        channel.settimeout(30)
        channel.request_x11(screen, protocol, cookie, handler=lambda c, o: c.close())
        channel.exec_command('echo "${DISPLAY-none}"')
        out = b"".join(iter(lambda: channel.recv(65536), b""))
        return channel.recv_exit_status(), out
    finally:
        transport.close()


@pytest.mark.channels("direct", "attach")
@pytest.mark.parametrize("protocol,cookie,screen", [
    ("MIT-MAGIC-COOKIE-1", "00" * 65, 0), ("MIT-MAGIC-COOKIE-1", "00" * 30000, 0),
    ("MIT-MAGIC-COOKIE-1", "no-hex", 0), ("MIT-MAGIC-COOKIE-1", "", 0),
    ("XDM-AUTHORIZATION-1", "00" * 16, 0), ("x" * 30000, "00" * 16, 0),
    ("MIT-MAGIC-COOKIE-1", "00" * 16, 4294967295),
], ids=["long", "longer", "no hex", "empty", "another kind", "a long kind", "screen"])
def test_a_cookie_that_is_none(world, forwarding, protocol, cookie, screen):
    mark = world.syslog.mark()
    assert ask(forwarding, protocol, cookie, screen) == (0, b"none\n")
    world.syslog.wait("cannot forward X11: ", mark)


@pytest.mark.channels("direct")
def test_a_cookie_of_the_clients_choice(forwarding):
    status, out = ask(forwarding, "MIT-MAGIC-COOKIE-1", "00" * 64, 7)
    assert status == 0 and re.fullmatch(rb":\d+\.7\n", out), out


@pytest.mark.channels("direct", "attach")
def test_a_wrong_cookie_is_refused(forwarding):
    works(forwarding, "right")
    for without in ("XAUTHORITY=/nonexistent",
                    "cp $XAUTHORITY /tmp/a; printf wrong | "
                    "dd of=/tmp/a bs=1 seek=35 conv=notrunc 2>/dev/null; XAUTHORITY=/tmp/a"):
        got = forwarding.run(f"{without} {set_property('wrong')}")
        assert got.returncode != 0 and b"unable to open display" in got.stderr, got
        assert forwarding.display.property("BERTH") == "right"


# --- how long

def up(login, word, **kw):
    """A session that then sets the property and sees nothing of it fail."""
    proc = login.start(f'echo "$DISPLAY $XAUTHORITY"; read x; {set_property(word)}', **kw)
    display, path = proc.stdout.readline().decode().split()
    assert re.fullmatch(r":\d+\.0", display), display
    return proc, f"/tmp/.X11-unix/X{display[1:-2]}", path


def end(proc, login, word):
    out, err = proc.communicate(b"\n", timeout=20)
    assert (proc.returncode, out, err) == (0, b"", b"")
    assert login.display.property("BERTH") == word


@pytest.mark.channels("direct", "exec")
def test_two_displays_in_one_container(world, open_sshd, displays, allow):
    """Neither session has the other's, and one's end leaves the other's."""
    allow(scope="user", linger="1m")
    one, two = (Forwarding(open_sshd.client, d) for d in displays)
    first, socket_1, cookie_1 = up(one, "first")
    second, socket_2, cookie_2 = up(two, "second")
    assert socket_1 != socket_2 and cookie_1 != cookie_2
    plain = Login(open_sshd.client, USER, "busybox")
    end(second, two, "second")
    wait_for(lambda: plain.run(f"test -e {socket_2} || test -e {cookie_2}").returncode == 1, 5,
             "the second's gone")
    assert plain.run(f"test -S {socket_1} && test -f {cookie_1}").returncode == 0
    end(first, one, "first")
    left = "ls -A /tmp/.X11-unix; ls /.berth/run | grep xauthority"
    wait_for(lambda: plain.run(left).stdout == b"", 5, "all gone")
    world.clean_up(world.engine.anonymous_volumes())


@pytest.mark.channels("direct", "attach")
def test_multiplexed_sessions(world, open_sshd, displays, allow):
    """sshd has a port, and one cookie file of the connection's has an entry, for each."""
    allow(scope="connection")
    login = Forwarding(open_sshd.client, displays[0])
    master = ["-o", "ControlMaster=auto", "-o", f"ControlPath={world.dir}/mux"]
    first, socket_1, _ = up(login, "first", opts=master)
    second, socket_2, _ = up(login, "second", opts=master)
    assert socket_1 != socket_2 and len(cookie_files(world)) == 1
    end(second, login, "second")
    works(login, "third", opts=master)
    end(first, login, "first")
    subprocess.run(login.argv(opts=master + ["-O", "exit"]), capture_output=True)
    wait_for(lambda: not cookie_files(world), 5, "the cookie file gone")


@pytest.mark.channels("direct", "exec")
@pytest.mark.parametrize("who", ["client", "helper", "broker", "relay"])
def test_killed(world, open_sshd, forwarding, allow, who):
    """In a container that stays: socket, cookie and processes are gone. The fixture sees to the
    rest."""
    allow(scope="user", linger="1m")
    plain = Login(open_sshd.client, USER, "busybox")
    stays = plain.start("echo up; read x")
    assert stays.stdout.readline() == b"up\n"
    helper = world.one_helper(USER)
    proc, path, cookie = up(forwarding, "killed")
    assert plain.run(f"test -S {path} && test -f {cookie}").returncode == 0
    mine = [p for p in world.helpers(USER) if p != helper]
    broker, relay = pair(world)
    victim = {"client": proc.pid, "helper": mine[0], "broker": broker, "relay": relay}[who]
    mark = world.syslog.mark()
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: not brokers(world) and not relays(world), 5, "its processes gone")
    if who == "broker":
        # Nobody was left to do it: the next one takes the sockets away, the container's end
        # the cookie.
        third, _, _ = up(forwarding, "third")
        end(third, forwarding, "third")
        wait_for(lambda: not brokers(world), 5, "the next one's end")
    if who == "relay":
        world.syslog.wait("cannot forward X11: its relay was ended", mark)
    assert plain.run("ls -A /tmp/.X11-unix").stdout == b""
    assert plain.run(f"test -e {cookie}").returncode == (0 if who == "broker" else 1)
    proc.communicate(b"\n", timeout=20)
    stays.communicate(b"\n", timeout=20)
    world.clean_up(world.engine.anonymous_volumes())


def test_killed_in_a_container_of_its_own(world, forwarding):
    """The fixture: nothing is left, of relay and broker both killed neither."""
    proc, _, _ = up(forwarding, "own")
    for pid in pair(world):
        with contextlib.suppress(ProcessLookupError):   # one's end is the other's
            os.kill(pid, signal.SIGKILL)
    proc.communicate(b"\n", timeout=20)


@pytest.mark.channels("direct")
def test_a_killed_monitor_leaves_its_cookie_to_reap(world, doors, forwarding):
    mark = world.syslog.mark()
    proc, _, _ = up(forwarding, "monitor")
    monitor = int(re.search(r" sshd=(\d+) ", world.syslog.wait(": open session=", mark).string)[1])
    os.kill(monitor, signal.SIGKILL)
    proc.communicate(b"\n", timeout=20)
    wait_for(lambda: not world.helpers(USER), 10, "its helper's end")
    assert len(cookie_files(world)) == 1
    assert world.berth("reap", "--config", doors.conf.path, config=False).returncode == 0
    assert cookie_files(world) == []


@pytest.mark.channels("direct", "attach")
def test_beside_the_agent(world, doors, displays, allow, programs):
    """Both by one relay, and neither is taken for the other."""
    sshd = doors.sshd(options=OPEN + "  AllowAgentForwarding yes\n", xauth="/usr/bin/xauth",
                      name="x11")
    forwarding = Forwarding(sshd.client, displays[0])
    agent = os.path.join(world.dir, "x11-agent")
    subprocess.run([need("gcc"), "-O1", "-static", "-o", programs + "/agent-client",
                    HERE + "/harness/agent.c"], check=True)
    process = subprocess.Popen([need("ssh-agent"), "-D", "-a", agent], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(agent), 5, "an agent")
        allow(agent_forwarding=True)
        got = forwarding.run(f"/x11/agent-client && {set_property('both')}", opts=["-A"],
                             env={**forwarding.display.env, "SSH_AUTH_SOCK": agent})
        assert (got.returncode, got.stdout, got.stderr) == (0, b"0 keys\n", b""), got
        assert forwarding.display.property("BERTH") == "both"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.channels("direct")
def test_the_relay_is_confined(world, forwarding):
    proc, _, _ = up(forwarding, "confined")
    broker, relay = pair(world)
    held = procs.descriptors(relay)
    assert all(v == "/dev/null" for k, v in held.items() if k < 3), held
    assert all(v.startswith("socket:") for k, v in held.items() if k > 2) and len(held) == 5, held
    held = procs.descriptors(broker)
    assert sum(v.startswith("pipe:") for v in held.values()) == 1, held
    end(proc, forwarding, "confined")
