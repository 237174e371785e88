"""The direct channel: what only it can do, and who might want to break it."""
import asyncio
import hashlib
import os
import re
import shlex
import signal
import subprocess
import time

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_REQUEST

from harness import data, images, procs
from harness.asynchronous import connected
from harness.client import need
from harness.terminal import Terminal
from harness.wait import became, wait_for

pytestmark = pytest.mark.channels("direct")
plain = pytest.mark.plain
HERE = os.path.dirname(os.path.abspath(__file__))
TTY = pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
# From the container's start to the guest's first word; what it takes to end all comes on top.
REPORT = 10


def begun(proc):
    assert proc.stdout.readline() == b"up\n", proc.stderr.read()


def gone(world, seconds):
    def left():
        return [r["Names"] for r in world.containers()] + world.berths() + world.left_files()
    wait_for(lambda: not left(), seconds, lambda: f"nothing left; {left()}")


def refused(got):
    assert (got.returncode, got.stdout) == (254, b""), got
    assert got.stderr.startswith(b"berth: ") and got.stderr.count(b"\n") == 1, got.stderr
    return got.stderr.decode()


@pytest.fixture(scope="module")
def hostile(session_world, data_dir):
    """hostile.c as a static program, where tests may mount it."""
    path = os.path.join(data_dir, "hostile")
    subprocess.run([need("gcc"), "-O1", "-static", "-o", path, HERE + "/harness/hostile.c"],
                   check=True)
    os.chmod(path, 0o755)
    return path


# --- which channel

@pytest.mark.channels()
@pytest.mark.parametrize("option,guest", [(None, True), ("auto", True), ("direct", True),
                                          ("attach", False)])
def test_channel_option(world, login, option, guest):
    world.conf.write(users={"bt-*": {"channel": option} if option else {}})
    assert (login.run("cat /proc/1/comm").stdout == b"berth-guest\n") == guest


@pytest.mark.channels()
def test_direct_needs_an_engine_on_this_machine(world, login):
    engine = {"endpoint": "tcp://127.0.0.1:1"}
    for name in ("tls_ca", "tls_cert", "tls_key"):
        engine[name] = os.path.join(world.dir, name)
        with open(engine[name], "w") as f:
            f.write("none")
        os.chown(engine[name], 0, world.engine_group)
        os.chmod(engine[name], 0o640)
    world.conf.write(engine=engine, channel="direct")
    assert "direct" in refused(login.run("echo ran"))


# --- ends

SIGNALS = ["TERM", "KILL", "SEGV", "PIPE", "ABRT", "USR1", "USR2", "INT", "HUP", "ALRM", "FPE"]


@plain
def test_exit_signals(world, each):
    async def work(conn):
        results = await asyncio.gather(*(conn.run(f"kill -{name} $$; sleep 5")
                                         for name in SIGNALS))
        return [r.exit_signal and (r.exit_signal[0], world.bare or r.exit_signal[1])
                for r in results]
    assert connected(world, work) == [(name, world.bare) for name in SIGNALS]


def test_exit_signal_of_a_terminals_session(world, login):
    async def work(conn):
        result = await conn.run("kill -TERM $$; sleep 5", term_type="vt100")
        return result.exit_signal and result.exit_signal[0]
    assert connected(world, work) == "TERM"


@plain
def test_end_of_output_long_before_the_end(login):
    """Who closes stdout and stderr has closed them, whatever runs on."""
    transport = login.transport()
    channel = transport.open_session()
    channel.settimeout(10)
    channel.exec_command("echo up; exec >&- 2>&-; sleep 3; exit 6")
    assert channel.makefile().read() == b"up\n"
    assert channel.recv_stderr(1) == b""
    assert not channel.exit_status_ready()
    assert channel.recv_exit_status() == 6
    transport.close()


LOST = b"berth: session lost: the container "


@pytest.mark.parametrize("how", ["pipes", "seen", "terminal"])
def test_guest_killed(world, login, how):
    """Where the command has sshd's pipes, sshd may have closed stderr before the helper, which
    has little time, comes."""
    if how == "seen":
        world.conf.write(audit_bytes=True)
    said = b""
    for _ in range(8 if how == "pipes" else 1):
        mark = world.syslog.mark()
        it = Terminal(login.argv("echo up; sleep 1000",
                                 opts=("-tt",) if how == "terminal" else ("-T",)))
        it.expect(rb"up\r?\n")
        os.kill(world.guest(), signal.SIGKILL)
        assert it.end(5) == 254
        said = it.raw[it.taken:]
        world.syslog.wait(r": close .*status=254 .*detail=", mark)
        ours = world.syslog.since(mark, "berth-session")
        assert len(ours) == 2, ours         # open and close
        gone(world, 5)
        if said:
            break
    assert said == LOST + b"ended\r\n"


STOPPED = LOST + b"is being stopped"


def stop(world):
    world.engine.call("POST", f"/containers/{world.container()['Id']}/stop?t=20",
                      ok=(204, 304, 404))


@pytest.mark.parametrize("how", ["pipes", "seen", "terminal"])
@pytest.mark.parametrize("scope", ["session", "user"])
def test_stopped_by_somebody(world, login, scope, how):
    """Each session is told, whatever the container was to be stopped by; and what a command
    says of its own end comes too, where it has sshd's pipes."""
    path = os.path.join(world.dir, "stop.json")
    with open(path, "w", encoding="ascii") as f:
        f.write('{"StopSignal":"SIGQUIT"}')
    world.conf.write(users={"bt-*": {"scope": scope, "linger": "0", "audit_bytes": how == "seen",
                                     "create": path}})
    its = [Terminal(login.argv("trap 'echo hung up; exit 3' HUP; echo up; "
                               "while :; do sleep 0.1; done",
                               opts=("-tt",) if how == "terminal" else ("-T",)))
           for _ in range(3 if scope == "user" else 1)]
    for it in its:
        it.expect(rb"up\r?\n")
    start = time.monotonic()
    stop(world)
    for it in its:
        assert it.end(10) == 254
        said = it.raw[it.taken:].replace(b"\r\n", b"\n")
        if (scope, how) == ("user", "pipes"):
            assert {STOPPED, b"hung up"} <= set(said.splitlines()), said
        else:
            assert STOPPED in said.splitlines(), said
    assert time.monotonic() - start < 10
    world.syslog.wait(r": close .* status=254 reason=error detail=\"session lost: the container "
                      r"is being stopped\"", world.mark)
    gone(world, 5)


@pytest.mark.parametrize("how", ["setsid sleep {} </dev/null >/dev/null 2>&1 &",
                                 "(trap '' HUP TERM; sleep {} </dev/null >/dev/null 2>&1 &)",
                                 "setsid sleep {} &"], ids=["setsid", "nohup", "holds-streams"])
def test_background_process_dies_with_the_container(world, each, how):
    """Scope session: what would outlive a session on a plain host has nowhere to live."""
    number = f"{os.getpid()}.{time.monotonic_ns() % 10**9}"
    proc = each.start(how.format(number) + "\necho up; read x; exit 3")
    begun(proc)
    wait_for(lambda: procs.with_argument(number), 5, "the process in the background")
    out, err = proc.communicate(b"x\n", timeout=10)
    assert (proc.returncode, out, err) == (3, b"", b"")
    wait_for(lambda: not procs.with_argument(number), 5, "no such process any more")


# --- bytes

def is_path(pid, fd):
    """By O_PATH, which holds nothing open: fdinfo's flags are octal, proc(5)."""
    with open(f"/proc/{pid}/fdinfo/{fd}") as f:
        return bool(int(re.search(r"^flags:\s*(\d+)", f.read(), re.M)[1], 8) & 0o10000000)


def test_the_commands_streams_are_sshds_own_pipes(world, login):
    """Nobody else holds them: neither the helper and its watcher nor the guest."""
    proc = login.start("for i in 0 1 2; do readlink /proc/$$/fd/$i; done; echo up; read x")
    pipes = [proc.stdout.readline().decode().strip() for _ in range(3)]
    assert all(p.startswith("pipe:[") for p in pipes) and len(set(pipes)) == 3, pipes
    begun(proc)
    helper = world.one_helper()
    assert set(pipes) <= set(procs.descriptors(procs.parent(helper)).values())
    for pid in [helper, world.guest()] + world.watchers():
        held = {fd: what for fd, what in procs.descriptors(pid).items() if what in pipes}
        # The helper's way back to stderr, for a last word.
        assert set(held.values()) <= ({pipes[2]} if pid == helper else set()), (pid, held)
        assert all(is_path(pid, fd) for fd in held), (pid, held)
    proc.communicate(b"x\n", timeout=10)
    assert proc.returncode == 0


@pytest.mark.parametrize("way", ["down", "up"])
def test_gigabyte_takes_no_time_of_the_helpers(world, data_dir, gigabyte, way):
    path, digest = gigabyte
    world.conf.write(image=images.GLIBC, mounts=[f"{data_dir}:/data:ro"])
    size = 1 << 30
    proc = world.login().start(
        "echo up; read x; cat /data/gigabyte; read x; exit 3" if way == "down" else
        f"echo up; head -c {size} | sha256sum; read x; exit 3")
    begun(proc)
    helper = world.one_helper()
    before = procs.cpu_ms(helper)
    if way == "down":
        proc.stdin.write(b"x\n")
        digester, left = hashlib.sha256(), size
        while left > 0 and (block := proc.stdout.read(min(left, data.MIB))):
            digester.update(block)
            left -= len(block)
        seen = digester.hexdigest()
    else:
        with open(path, "rb") as source:
            while block := source.read(data.MIB):
                proc.stdin.write(block)
        seen = proc.stdout.readline().split()[0].decode()
    used = procs.cpu_ms(helper) - before
    out, err = proc.communicate(b"x\n", timeout=10)
    assert (seen, out, err, proc.returncode) == (digest, b"", b"", 3)
    assert used < 50, f"{used} ms"


@plain
@pytest.mark.parametrize("stdin,first", [(subprocess.PIPE, ""),
                                         (subprocess.DEVNULL, "cat; sleep 0.3; ")],
                         ids=["open", "ended"])
def test_closed_stdout_of_a_command_without_stderr(each, stdin, first):
    """No stream tells then whether the client is there; it is, and gets the status. Its input
    has ended some time before, or not at all."""
    proc = each.start(f"exec 2>/dev/null; {first}yes; sleep 1; exit 3", stdin=stdin)
    assert proc.stdout.readline() == b"y\n"
    proc.stdout.close()
    assert proc.wait(10) == 3
    proc.stderr.close()
    if proc.stdin:
        proc.stdin.close()


def test_stdout_closed_as_the_input_ends(login):
    """Both at once, as a client does that is gone; this one isn't, and waits for the status."""
    transport = login.transport()
    channel = transport.open_session()
    channel.exec_command("exec 2>/dev/null; yes; exit 3")
    assert channel.recv(2) == b"y\n"
    channel.shutdown_write()
    # What ssh sends when nobody reads its output any more.
    eow = paramiko.Message()
    eow.add_byte(cMSG_CHANNEL_REQUEST)
    eow.add_int(channel.remote_chanid)
    eow.add_string("eow@openssh.com")
    eow.add_boolean(False)
    transport._send_user_message(eow)
    while channel.recv(65536):
        pass
    assert channel.recv_exit_status() == 3
    transport.close()


def test_channel_of_a_command_without_stderr_closed(world, login):
    """Gone, though its connection lives. In one message: where the input's end came some time
    before, who goes looks like who only stops reading."""
    transport = login.transport()
    channel = transport.open_session()
    channel.exec_command("exec 2>/dev/null; echo up; sleep 1000")
    assert channel.makefile().readline() == "up\n"
    close = paramiko.Message()
    close.add_byte(cMSG_CHANNEL_CLOSE)
    close.add_int(channel.remote_chanid)
    transport._send_user_message(close)
    gone(world, 5)
    transport.close()


def test_every_byte_value_in_a_command(each):
    sent = bytes(range(1, 256))
    quoted = b"'" + sent.replace(b"'", b"'\\''") + b"'"
    assert each.exec_bytes(b"printf %s " + quoted) == (0, sent, b"")


def test_a_large_environment_and_the_longest_command(world):
    world.conf.write(accept_env=["BT_*"])
    many = {f"BT_{i}": "v" * 1000 + str(i) for i in range(1000)}
    command = "env | grep -c '^BT_[0-9]*=v*[0-9]*$'; echo ${BT_999#" + "v" * 1000 + "}; : "
    command += "a" * (131072 - 1 - len("SSH_ORIGINAL_COMMAND=") - len(command))
    got = world.without_sshd(command, many)
    assert (got.returncode, got.stdout, got.stderr) == (0, b"1000\n999\n", b"")


# --- terminals

MODES = {
    "default": "",
    "keys": "erase ^H intr ^X kill ^K susp ^Y eof ^A quit ^B lnext ^E werase ^F rprnt ^G",
    "undefined keys": "intr undef susp undef eol ^J",
    "input": "ixoff -ixon ixany -icrnl igncr inlcr istrip inpck parmrk ignpar imaxbel iutf8",
    "output": "-onlcr ocrnl onlret onocr",
    "local": "-echo -echoe -echok echonl noflsh tostop -iexten echoprt -echoctl -echoke",
    "raw": "raw -echo",
}


@pytest.mark.parametrize("name", MODES)
def test_terminal_modes_are_the_clients(world, name):
    """The very ones that sshd gives on a plain host for the same client."""
    world.conf.write(image=images.GLIBC)
    seen = []
    for user in ("bt-plain", "bt-bash"):
        argv = world.client.argv(user, "stty -g; stty -a", opts=("-tt",))
        it = Terminal(["sh", "-c", 'stty $1 && shift && exec "$@"', "sh", MODES[name]] + argv,
                      rows=31, cols=77)
        assert it.end() == 0, it.raw
        seen.append(it.raw)
    assert seen[0] == seen[1] and b"rows 31" in seen[0]


def test_controlling_terminal(world, each):
    """/dev/tty, the leader's session, and a foreground process group."""
    command = "tty; echo to-tty >/dev/tty; read -r s </proc/$$/stat; echo $s | cut -d' ' -f1,5,6,8"
    it = Terminal(each.argv(command, opts=("-tt",)))
    assert it.end() == 0
    tty, said, stat = it.raw.decode().split("\r\n")[:3]
    assert tty.startswith("/dev/pts/") and said == "to-tty"
    # Its process group, session and the terminal's foreground group are the leader's own pid.
    assert len(set(stat.split())) == 1, stat


# --- containers of all kinds

# What an engine gives when nothing is said.
USUAL = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
         "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"]
KINDS = {
    "read-only": {"read_only": True},
    "known to passwd": {"user": "4242:4242"},
    "root without capabilities": {"user": "0:0"},
    "root with the usual capabilities": {"user": "0:0", "cap_add": USUAL},
    "another uid": {"user": "33:33"},
    "network none": {"network": "none"},
    "network bridge": {"network": "bridge"},
    "as open as can be": {"no_new_privileges": False, "security_opt": ["seccomp=unconfined"],
                          "network": "host", "cap_add": USUAL},
    "few processes": {"pids": 8},
}


@pytest.mark.parametrize("name", KINDS)
def test_containers_of_all_kinds(world, each, name):
    options = KINDS[name]
    world.conf.write(image=images.GLIBC if each.image == "glibc" else images.BUSYBOX, **options)
    uid = options.get("user", str(world.uid("bt-bash"))).split(":")[0]
    got = each.run("id -u; cat; echo err >&2; exit 3", input=b"in\n")
    assert (got.returncode, got.stdout.decode(), got.stderr) == (3, f"{uid}\nin\n", b"err\n")
    it = Terminal(each.argv("stty size; id -u; exit 4", opts=("-t",)), rows=20, cols=60)
    assert (it.end(), it.raw.decode()) == (4, f"20 60\r\n{uid}\r\n")


def test_one_static_program_as_the_shell(world, hostile):
    """An image with nothing else in it."""
    with open(hostile, "rb") as f:
        images.import_image(world.engine, "berth-test/one", images.one_program_tar(f.read()))
    try:
        world.conf.write(image="berth-test/one", shell="/the-binary")
        got = world.login().run("a 'b c'")
        assert (got.returncode, got.stdout, got.stderr) == (
            7, b"[the-binary][-c][a 'b c']\n", b"")
        it = Terminal(world.login().argv(opts=("-tt",)))
        assert (it.end(), it.raw) == (7, b"[-the-binary]\r\n")
    finally:
        world.engine.remove_image("berth-test/one")


@TTY
def test_no_shell_at_all(world, tty):
    world.conf.write(image=images.NO_SHELL)
    start = time.monotonic()
    if tty:
        it = Terminal(world.login().argv("echo ran", opts=("-tt",)))
        assert it.end() == 254
        text = it.raw.decode()
        assert text.startswith("berth: ") and text.count("\n") == 1, text
    else:
        text = refused(world.login().run("echo ran"))
    assert "shell" in text
    assert time.monotonic() - start < 15


# --- standing still

def pause(world, ident, what="pause"):
    world.engine.call("POST", f"/containers/{ident}/{what}")


@TTY
def test_paused_in_mid_session(world, login, tty):
    it = Terminal(login.argv("echo up; read x; echo got $x; exit 4",
                             opts=("-tt",) if tty else ("-T",)))
    it.expect(rb"up\r?\n")
    ident = world.container()["Id"]
    pause(world, ident)
    it.send("y\r" if tty else "y\n")
    assert not became(lambda: not it.pump() or b"got" in it.raw, 2)
    pause(world, ident, "unpause")
    it.expect(rb"got y\r?\n")
    assert it.end() == 4


@TTY
def test_client_killed_while_paused(world, login, tty):
    it = Terminal(login.argv("trap '' HUP TERM; echo up; while :; do sleep 1; done",
                             opts=("-tt",) if tty else ("-T",)))
    it.expect(rb"up\r?\n")
    pause(world, world.container()["Id"])
    it.child.kill(signal.SIGKILL)
    gone(world, 5)
    it.close()


def login_and_pause(world, login):
    """What gets a hundredth of a CPU is slow enough for SIGSTOP, and for a freezer too slow: it
    has a whole one by then."""
    proc = login.start("echo ran; exit 3")
    guest = wait_for(world.guests, 30, "a guest")[0][0]
    os.kill(guest, signal.SIGSTOP)
    ident = world.container()["Id"]
    world.engine.call("POST", f"/containers/{ident}/update", {"NanoCpus": 10**9})
    pause(world, ident)
    os.kill(guest, signal.SIGCONT)
    return proc, ident, guest


@pytest.fixture
def paused_login(world, login):
    """A login whose container is paused before its guest has said a word: (ssh, the container's
    id)"""
    world.conf.write(cpus="0.01")
    for _ in range(5):
        proc, ident, guest = login_and_pause(world, login)
        if not procs.children(guest):
            break
        pause(world, ident, "unpause")      # too late: once more
        proc.communicate(timeout=20)
        gone(world, 5)
    else:
        raise AssertionError("paused too late, each time")
    yield proc, ident
    proc.kill()
    proc.communicate()


@pytest.mark.slow
def test_paused_at_login(world, paused_login):
    proc, ident = paused_login
    assert not became(lambda: proc.poll() is not None, 3)
    pause(world, ident, "unpause")
    out, err = proc.communicate(timeout=REPORT + 10)
    assert (proc.returncode, out, err) == (3, b"ran\n", b"")


@pytest.mark.slow
def test_paused_at_login_for_ever(world, paused_login):
    """A guest that doesn't report: an error in time, never a silent minute."""
    proc, _ = paused_login
    out, err = proc.communicate(timeout=REPORT + 5)
    assert (proc.returncode, out) == (254, b"")
    assert err.startswith(b"berth: ") and err.count(b"\n") == 1, err
    gone(world, 5)


@pytest.mark.slow
def test_client_killed_while_paused_at_login(world, paused_login):
    paused_login[0].kill()
    gone(world, 5)


# --- a hostile process in the container

IN_ONE = {"users": {"bt-*": {"scope": "user", "linger": "0"}}}
# What it does, and what it may say that it could do.
DEEDS = {
    "garbage to the guest": ("garbage /.berth/run/guest", b"answered 0\n"),
    "garbage to the creator": ("garbage /.berth/run/start", b"answered 0\n"),
    "look into process 1": ("look", b"looked\n"),
    "kill process 1": ("kill", b"killed\n"),
}


@pytest.mark.parametrize("user", ["", "0:0"], ids=["user", "root"])
@pytest.mark.parametrize("name", DEEDS)
def test_hostile_process(world, login, data_dir, hostile, name, user):
    """Neither its own session nor another of the same container is harmed. There the guest
    listens as long as there is anybody; of who connects it takes none from inside."""
    deed, said = DEEDS[name]
    world.conf.write(mounts=[f"{data_dir}:/data:ro"], **IN_ONE, **({"user": user} if user else {}))
    other = login.start("echo up; read x; echo got $x; exit 4")
    begun(other)
    proc = login.start(f"/data/hostile {deed}; read x; echo still $x; exit 5")
    assert proc.stdout.readline() == said
    assert login.run("echo fine").stdout == b"fine\n"
    for it, end in ((proc, (b"still y\n", b"", 5)), (other, (b"got y\n", b"", 4))):
        out, err = it.communicate(b"y\n", timeout=10)
        assert (out, err, it.returncode) == end


def test_flood_of_connections(world, login, data_dir, hostile):
    """6,000, held open; and who logs in meanwhile has his session, and its end, all the same."""
    world.conf.write(mounts=[f"{data_dir}:/data:ro"], **IN_ONE)
    other = login.start("echo up; read x; echo got $x; exit 4")
    begun(other)
    proc = login.start("sleep 1000 2>&- | /data/hostile flood /.berth/run/guest 6000 & "
                       "read x; kill $!; echo still $x; exit 5")
    assert proc.stdout.readline() == b"tried 6000\n"
    assert login.run("echo fine").stdout == b"fine\n"
    for it, end in ((proc, (b"still y\n", b"", 5)), (other, (b"got y\n", b"", 4))):
        out, err = it.communicate(b"y\n", timeout=10)
        assert (out, err, it.returncode) == end
    gone(world, 5)


@pytest.mark.slow
def test_guest_that_is_kept_from_answering(world, login, data_dir, hostile):
    """Who comes then hears of it, and is not left hanging on sshd's pipes."""
    world.conf.write(mounts=[f"{data_dir}:/data:ro"],
                     users={"bt-*": {"scope": "user", "linger": "0"}})
    other = login.start("echo up; read x; echo got $x; exit 4")
    begun(other)
    assert login.run("/data/hostile limit").stdout == b"limited\n"
    got = login.run("echo never", timeout=40)
    assert (got.returncode, got.stdout) == (254, b""), got
    assert b"answers no login" in got.stderr, got
    out, err = other.communicate(b"y\n", timeout=10)
    assert (out, err, other.returncode) == (b"got y\n", b"", 4)
    gone(world, 15)
    assert login.run("echo fine").stdout == b"fine\n"
    gone(world, 5)


@pytest.mark.parametrize("user", ["", "0:0"], ids=["user", "root"])
def test_own_files_are_read_only(world, login, user):
    """Also to root in the container, who has no capabilities unless berth.conf gives them."""
    world.conf.write(**({"user": user} if user else {}))
    program = os.path.join(world.prefix, "libexec/berth/guest/berth-guest")
    before = data.sha256(program)
    got = login.run("for f in x berth-guest run/x run/guest run/start; do "
                    "( : >>/.berth/$f ) 2>/dev/null && echo wrote $f; done; "
                    "rm -rf /.berth/* /.berth/run/* 2>/dev/null; mv /.berth /x 2>/dev/null; "
                    "chmod 777 /.berth/run /.berth 2>/dev/null && echo chmod; exit 3")
    # A socket can't be opened for writing; all else is refused for the mount's sake.
    assert (got.returncode, got.stdout) == (3, b""), got
    assert data.sha256(program) == before
    assert login.run("echo fine").stdout == b"fine\n"


def test_nothing_of_the_runtime_directory_inside(world, login):
    """Only the container's own folder: no locks, no other container's sockets."""
    other = login.start("echo up; cat")
    begun(other)
    names = set(login.run("ls -a /.berth/run").stdout.decode().split()) - {".", ".."}
    assert "guest" in names and names <= {"guest", "start"}, names
    other.communicate()


def test_helper_of_a_pipes_session_is_small(world, login):
    """No libcurl in it once the session runs."""
    proc = login.start("echo up; cat")
    begun(proc)
    with open(f"/proc/{world.one_helper()}/maps") as f:
        libraries = {shlex.split(line)[-1] for line in f if ".so" in line}
    assert not [name for name in libraries if "libcurl" in name or "libssl" in name], libraries
    proc.communicate()
    assert proc.returncode == 0
