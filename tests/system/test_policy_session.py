"""What berth.conf says about commands, terminals and the environment."""
import os
import subprocess

import pytest

from harness import images, users
from harness.terminal import Terminal

pytestmark = pytest.mark.channels("direct", "attach")
once = pytest.mark.channels()


def refused(got):
    assert (got.returncode, got.stdout) == (254, b"")
    assert got.stderr.startswith(b"berth: ") and got.stderr.count(b"\n") == 1
    return got.stderr.decode()


# --- commands

@pytest.mark.parametrize("command", ["git-upload-pack x", "git-x", "true", "echo a b c"])
def test_a_command_on_the_list(world, command):
    world.conf.write(commands=["git-*", "true", "echo *"])
    got = world.login().run(command)
    assert got.returncode in (0, 127), got.stderr       # 127: it ran, the image hasn't got it


@pytest.mark.parametrize("command", [
    "git-x; sh", "git-x && id", "git-x | sh", "git-x $(id)", "git-x `id`", "git-x > /tmp/f",
    "git-x < /etc/passwd", "git-x\nid", "git-x & id", "git-x ${HOME}", "git-x (id)", "git-x #\nid",
    "git-x \\\nid", "git-x 'a\nb'", "git-x \r id", "id", "xgit-x", " git-x; id", "truex",
    "git-x \x01id",
])
def test_a_command_that_no_pattern_lets_through(world, command):
    world.conf.write(commands=["git-*", "true", "e?ho"])
    got = world.login().run(command, input=b"echo ran\n")
    refused(got)
    world.syslog.wait(r'berth-session.*deny.*user="?bt-bash', world.mark)


def test_commands_shut_the_shell_too(world):
    world.conf.write(commands=["true"])
    refused(world.login().run(input=b"echo ran\n"))
    it = Terminal(world.login().argv(opts=("-tt",)))
    assert it.end() == 254


def test_commands_shut_sftp_too(world):
    world.conf.write(image=images.GLIBC, commands=["true"])
    got = world.login().run("sftp", opts=["-s"], input=b"")
    assert got.returncode == 254
    world.syslog.wait(r'deny.*user="?bt-bash.*kind=sftp', world.mark)


# --- force_command

def test_force_command(world):
    world.conf.write(force_command='printf "[%%s]" "$SSH_ORIGINAL_COMMAND"; exit 3')
    got = world.login().run("rm -rf /; 'x' \"y\" ü $Z")
    assert (got.returncode, got.stdout.decode()) == (3, "[rm -rf /; 'x' \"y\" ü $Z]")


def test_force_command_instead_of_a_shell(world):
    world.conf.write(force_command="echo [${SSH_ORIGINAL_COMMAND-unset}]")
    assert world.login().run(input=b"echo no\n").stdout == b"[unset]\n"


def test_force_command_carries_the_longest_command(world):
    world.conf.write(force_command="printf %%s \"$SSH_ORIGINAL_COMMAND\" | wc -c")
    size = 131072 - 1 - len("SSH_ORIGINAL_COMMAND=")
    got = world.login().run("a" * size)
    assert (got.stdout.strip(), got.stderr) == (b"%d" % size, b"")


# --- banner, deny, tty

def test_banner_only_on_a_terminal(world):
    world.conf.write(banner="welcome, %u")
    got = world.login().run("true")
    assert (got.stdout, got.stderr) == (b"", b"")
    it = Terminal(world.login().argv("echo body", opts=("-t",)))
    assert it.end() == 0
    assert it.raw.startswith(b"welcome, bt-bash") and it.raw.endswith(b"\r\nbody\r\n")
    got = world.login().run(opts=["-T"], input=b"echo body\n")
    assert (got.stdout, got.stderr) == (b"body\n", b"")


def test_deny(world):
    world.conf.write(deny="maintenance until noon, %u")
    assert "maintenance until noon, bt-bash" in refused(world.login().run("true"))
    world.syslog.wait(r'deny.*user="?bt-bash.*reason=.*', world.mark)


def test_deny_for_one_user(world):
    world.conf.write(users={"bt-*": {}, "bt-dash": {"deny": "not you"}})
    assert world.login("bt-bash").run("true").returncode == 0
    assert "not you" in refused(world.login("bt-dash").run("true"))


def test_tty_no(world):
    """Asked for with -tt: the session has none inside, or is refused with a line."""
    world.conf.write(tty=False)
    it = Terminal(world.login().argv("test -t 0 && echo has || echo none", opts=("-tt",)))
    status = it.end()
    assert b"has" not in it.raw
    assert b"none" in it.raw if status == 0 else (status == 254 and b"berth: " in it.raw)
    assert world.login().run("echo fine").stdout == b"fine\n"


# --- environment

def client_env(**more):
    return {"PATH": os.environ["PATH"], "HOME": "/root", **more}


SEND = ["-o", "SendEnv=LANG LC_* BT_*"]


def test_accept_env(world):
    world.conf.write(accept_env=["LC_*", "BT_ONE"])
    got = world.login().run("echo [$LC_BERTH] [$BT_ONE] [$BT_TWO]", opts=SEND,
                            env=client_env(LC_BERTH="a b", BT_ONE="1", BT_TWO="2"))
    assert got.stdout == b"[a b] [1] []\n"


def test_no_accept_env_no_variable(world):
    world.conf.write(accept_env=[])
    got = world.login().run("env", opts=SEND, env=client_env(BT_ONE="1"))
    assert b"BT_ONE" not in got.stdout


@pytest.mark.parametrize("value", ["", "a\nb", "\"'\\", "grüße", "${HOME} $(id) %u", "=x=",
                                   "x" * 100000], ids=range(7))
def test_values_of_variables(world, value):
    world.conf.write(accept_env=["BT_*"])
    got = world.login().run("printf '[%s]' \"$BT_X\"", opts=SEND, env=client_env(BT_X=value))
    assert got.stdout.decode() == f"[{value}]", got.stderr


def test_invalid_utf8_in_a_variable(world):
    """Exactly, or not at all: never another value."""
    world.conf.write(accept_env=["BT_*"])
    env = {k.encode(): v.encode() for k, v in client_env().items()}
    env[b"BT_X"] = b"a\xffb"
    got = world.login().run("printf '[%s]' \"$BT_X\"", opts=SEND, env=env)
    assert got.stdout in (b"[a\xffb]", b"[]") or (got.returncode == 254 and not got.stdout)


def test_the_clients_variables_do_not_reach_the_configuration(world):
    """libconfuse expands ${VAR} in values: the environment must be gone by then."""
    text = world.conf.text(accept_env=["LC_*"]).replace(
        "defaults {", 'defaults {\n    hostname = "h${LC_EVIL}x"', 1)
    world.conf.raw(text)
    got = world.login().run("hostname", opts=SEND, env=client_env(LC_EVIL="evil"))
    assert b"evil" not in got.stdout + got.stderr


def test_dangerous_variables_stay_out_of_the_helper(world):
    """accept_env passes them inside; they may not touch the helper on the host."""
    world.conf.write(accept_env=["LC_*", "LANG"])
    # bash would warn of the locale itself.
    got = world.login("bt-dash").run("echo fine", opts=SEND, env=client_env(
        LC_ALL="xx_YY.bogus", LANG="../../../tmp"))
    assert (got.returncode, got.stdout, got.stderr) == (0, b"fine\n", b"")


def test_home_user_and_shell_inside(world, each):
    got = each.run("echo $USER $LOGNAME; test -n \"$HOME\" && test -n \"$PATH\" && echo set")
    assert got.stdout == b"bt-bash bt-bash\nset\n"


# --- who it is

def test_the_user_is_the_uids_not_the_environments(world):
    """sshd's SetEnv says USER=bt-bash and HOME=/nonexistent to bt-forge."""
    got = world.login("bt-forge").run("echo $USER $LOGNAME; id -u; env | grep -c nonexistent")
    assert got.stdout.decode() == f"bt-forge bt-forge\n{world.uid('bt-forge')}\n0\n"
    line = world.syslog.wait(r"open .*", world.mark)[0]
    assert 'user="bt-forge"' in line and "bt-bash" not in line


def test_a_user_section_is_not_reached_by_the_environment(world):
    world.conf.write(users={"bt-bash": {}})
    assert "bt-forge" in refused(world.login("bt-forge").run("true"))


def test_two_names_for_one_uid(world):
    uid = world.uid("bt-bash")
    users.make("bt-twin", "/bin/bash", world.engine_group, ["-o", "-u", str(uid)])
    world.sshd.authorize("bt-twin")
    try:
        for name in ("bt-twin", "bt-bash"):
            err = refused(world.login(name).run("true"))
            assert str(uid) in err
    finally:
        subprocess.run(["userdel", "-r", "-f", "bt-twin"], capture_output=True)
    assert world.login().run("true").returncode == 0


def test_a_user_that_nothing_maps(world):
    world.conf.write(users={"alice": {}, "bt-d*": {}})
    assert "bt-bash" in refused(world.login().run("true"))
    world.syslog.wait(r'deny.*user="?bt-bash.*reason=', world.mark)
    assert world.login("bt-dash").run("true").returncode == 0


def test_no_user_section_at_all(world):
    world.conf.write(users={})
    refused(world.login().run("true"))
