"""Commands: what runs, with which bytes, and how it ends."""
import concurrent.futures
import os
import shlex
import subprocess
import time

import pytest

from harness.asynchronous import connected
from harness.wait import wait_for

pytestmark = pytest.mark.channels("direct", "attach")
plain = pytest.mark.plain
once = pytest.mark.channels()
# One argument or NAME=value that the kernel takes, its NUL included.
MAX_STRING = 131072
LONGEST = MAX_STRING - 1 - len("SSH_ORIGINAL_COMMAND=")


@pytest.fixture
def master(login, tmp_path):
    """A ControlMaster: options that put a session on one connection."""
    # A unix socket's name is short; pytest's own folder may be too deep.
    path = os.path.join(login.client.sshd.dir, "cm")
    opts = ["-o", f"ControlPath={path}"]
    proc = login.start(opts=["-M", "-N"] + opts)
    wait_for(lambda: os.path.exists(path), 10, "the master's socket")
    yield opts
    proc.terminate()
    proc.communicate()


@plain
def test_true_prints_nothing(each):
    got = each.run("true")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"", b"")


@plain
def test_umask(each):
    """The engine's own, which its execs may have, is another."""
    assert each.run("umask").stdout == b"0022\n"


@plain
def test_every_exit_status(world, login, master):
    # The engine's API tells a number; a few of them show as much.
    numbers = range(256) if world.as_on_a_host() else [*range(0, 256, 15), 1, 127, 128, 129]
    if world.channel == "direct":
        # One container: what makes these numbers is the same in each.
        world.conf.write(users={"bt-*": {"scope": "user", "linger": "0"}})
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        seen = list(pool.map(lambda n: login.run(f"exit {n}", opts=master).returncode, numbers))
    # ssh itself says 255 for 255.
    assert seen == list(numbers)


@plain
@pytest.mark.parametrize("status", [0, 1, 126, 127, 143, 254])
def test_exit_status_without_a_master(each, status):
    assert each.run(f"exit {status}").returncode == status


@plain
@pytest.mark.parametrize("signal,number", [("TERM", 15), ("KILL", 9), ("SEGV", 11),
                                           ("HUP", 1), ("USR1", 10)])
def test_death_by_signal(world, each, signal, number):
    """Over an engine's API it can't be told from exit 128+n; else the client is told of it."""
    command = f"kill -{signal} $$; sleep 5; echo alive"
    got = each.run(command)
    assert (got.returncode, got.stdout) == (world.killed(number), b"")

    async def work(conn):
        result = await conn.run(command)
        return result.exit_signal and result.exit_signal[0], result.exit_status, result.stdout
    told = (signal, -1, "") if world.as_on_a_host() else (None, 128 + number, "")
    assert connected(world, work) == told


@plain
def test_a_missing_command_is_127(each):
    got = each.run("no-such-command")
    assert got.returncode == 127
    assert b"not found" in got.stderr and got.stdout == b""


@plain
def test_two_commands_with_absolute_paths(each):
    assert each.run("/bin/echo a; /bin/echo b").stdout == b"a\nb\n"


@plain
@pytest.mark.parametrize("command", [" ", "   \t ", "\n", ":"])
def test_blank_commands(each, command):
    got = each.run(command)
    assert (got.returncode, got.stdout, got.stderr) == (0, b"", b"")


HOSTILE = {
    "quotes": """it's "quoted" `date` $(date) $HOME ${PATH}""",
    "percent": "%u %U %G %h %% %s %n 100%",
    "newlines": "one\ntwo\r\nthree\n",
    "tabs and controls": "a\tb\x01\x02\x1b[31m\x7f",
    "backslashes": r"a\b\\c\n\0ooo\x41",
    "globs": "* ? [a-z] {1,2} ~ ~root",
    "utf-8": "grüße, мир, 世界, 🚢, \u202e\ufeff",
    "shell": "; rm -rf / & | > < ( ) ! # =",
    "berth": "berth: session=1 user=root status=0",
    "json": '","Image":"x","a":"\\u0000\\ud800',
}


@plain
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_arrives_as_it_is(each, name):
    text = HOSTILE[name]
    got = each.run("printf %s " + shlex.quote(text))
    assert got.stdout.decode() == text
    assert (got.returncode, got.stderr) == (0, b"")


@plain
@pytest.mark.parametrize("data", [
    b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"ok \xf0\x9f\x9a end", b"\xc0\xaf..",
    bytes(set(range(1, 256)) - {0x27}),
], ids=["ff", "cut-pair", "surrogate", "cut-four", "overlong", "all-bytes"])
def test_invalid_utf8_is_carried_exactly(each, data):
    status, out, err = each.exec_bytes(b"printf %s '" + data + b"'")
    assert (status, out, err) == (0, data, b"")


@plain
def test_empty_exec_request(login):
    """The ssh command can't send it: sshd would run `sh -c ''`."""
    assert login.exec_bytes(b"") == (0, b"", b"")


@plain
def test_longest_command(each):
    command = "printf %s x | wc -c; : "
    command += "a" * (LONGEST - len(command))
    got = each.run(command)
    assert (got.returncode, got.stdout.strip(), got.stderr) == (0, b"1", b"")


def test_longest_command_that_is_not_utf8(world, login):
    """JSON can't carry it, and escapes make it longer than one argument: refused there."""
    command = b"printf %s x; : \xff"
    command += b"\xff" * (LONGEST - len(command))
    status, out, err = login.exec_bytes(command)
    if world.as_on_a_host():
        assert (status, out, err) == (0, b"x", b"")
    else:
        assert (status, out) == (254, b"") and err.startswith(b"berth: ")


@once
def test_one_past_the_longest_command(login):
    """The kernel refuses to exec the user's shell: sshd says so, nothing runs."""
    got = login.run("true " + "a" * (LONGEST - 4))
    assert got.returncode != 0 and got.stdout == b"" and got.stderr != b""


def test_nine_hundred_variables(world):
    """sshd itself gives up before 1,000."""
    world.conf.write(accept_env=["BT_*"])
    got = world.login("bt-env").run("env | grep -c '^BT_[0-9]*=v[0-9]*$'; echo $BT_0 $BT_899")
    assert got.stdout == b"900\nv0 v899\n", got.stderr


def test_a_thousand_variables_of_a_kilobyte(world):
    world.conf.write(accept_env=["BT_*"])
    many = {f"BT_{i}": "v" * 1000 + str(i) for i in range(1000)}
    command = "env | grep -c '^BT_[0-9]*=v*[0-9]*$'; echo ${BT_999#" + "v" * 1000 + "}"
    got = world.without_sshd(command, many)
    assert (got.returncode, got.stdout) == (0, b"1000\n999\n"), got.stderr


@plain
def test_all_streams_closed_before_the_end(each):
    start = time.monotonic()
    assert each.run("exec >&- 2>&-; sleep 1; exit 5").returncode == 5
    assert time.monotonic() - start >= 1


@plain
def test_background_child_does_not_hold_the_session(each):
    start = time.monotonic()
    got = each.run("sleep 1000 </dev/null >/dev/null 2>&1 & echo started")
    assert (got.returncode, got.stdout) == (0, b"started\n")
    assert time.monotonic() - start < 10


@plain
def test_stdin_at_dev_null(each):
    got = each.run("sleep 2; echo done")
    assert (got.returncode, got.stdout) == (0, b"done\n")


@plain
def test_script_on_stdin_of_a_login_shell(each):
    got = each.run(opts=["-T"], input=b"echo one\necho $BT_PROFILE two >&2\nexit 7\n")
    assert got.returncode == 7
    assert got.stdout.endswith(b"one\n")
    if not os.environ.get("BERTH_TEST_BARE"):
        assert got.stdout == b"one\n" and got.stderr == b"read two\n"


def test_names_of_the_shell(world, each):
    """argv[0]: sshd's own ways, or the path, with -l, where the engine makes the process."""
    path = "/bin/sh" if each.image == "busybox" else "/bin/bash"
    name = os.path.basename(path)
    login, command = ("-" + name, name) if world.channel == "direct" else (path, path)
    assert each.run(opts=["-T"], input=b"echo $0\n").stdout.decode() == login + "\n"
    assert each.run("echo $0").stdout.decode() == command + "\n"


def test_an_exec_is_no_login_shell(each):
    assert each.run("echo [$BT_PROFILE]").stdout == b"[]\n"


def test_the_original_command_is_not_inside(login):
    """It belongs to force_command."""
    assert login.run("echo [$SSH_ORIGINAL_COMMAND]").stdout == b"[]\n"


@plain
def test_dash_as_the_login_shell(world):
    login = world.login("bt-dash")
    got = login.run("echo 'a  b'; exit 3")
    assert (got.returncode, got.stdout, got.stderr) == (3, b"a  b\n", b"")


@plain
def test_five_sessions_on_one_connection(login, master):
    procs = [login.start(f"sleep 0.{n}; echo {n}; exit 1{n}", opts=master, stdin=subprocess.DEVNULL)
             for n in range(5)]
    for n, proc in enumerate(procs):
        out, err = proc.communicate(timeout=30)
        assert (proc.returncode, out, err) == (10 + n, b"%d\n" % n, b"")


@plain
def test_twenty_logins_at_once(login):
    procs = [login.start(f"echo {n}; exit {n}", stdin=subprocess.DEVNULL) for n in range(20)]
    seen = [(p.communicate(timeout=60), p.returncode) for p in procs]
    assert seen == [((b"%d\n" % n, b""), n) for n in range(20)]
