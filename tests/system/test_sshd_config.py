"""The installed 50-berth.conf: inactive without its group, every door shut with it. And its variant
with TCP forwarding open, which nobody reads until it is put in its place."""
import os
import shlex
import subprocess

import pytest

from harness import readme

FILE = "etc/ssh/sshd_config.d/50-berth.conf"
VARIANT = FILE + ".forwarding"


def including(world, installed, pattern=""):
    """The installed file, and an sshd_config that opens every door and then includes it, or in
    its folder what the pattern says."""
    found = [p for p in (os.path.join(world.prefix, installed), "/" + installed)
             if os.path.exists(p)]
    assert found, f"no {installed} below {world.prefix}"
    path = os.path.join(world.dir, "with-" + os.path.basename(installed) + pattern.strip("*"))
    included = os.path.join(os.path.dirname(found[0]), pattern) if pattern else found[0]
    with open(path, "w") as f:
        f.write(f"HostKey {world.dir}/host_key\nPidFile none\nUsePAM yes\nInclude {included}\n"
                "AllowTcpForwarding yes\nAllowStreamLocalForwarding yes\n"
                "AllowAgentForwarding yes\nX11Forwarding yes\nPermitTunnel yes\n"
                "GatewayPorts yes\nPermitUserRC yes\nDisableForwarding no\n"
                "Subsystem sftp internal-sftp\n")
    return found[0], path


@pytest.fixture(params=[FILE, VARIANT], ids=["shut", "forwarding"])
def either(world, request):
    return including(world, request.param)


@pytest.fixture
def config(world):
    return including(world, FILE)


def effective(path, user):
    got = subprocess.run(["/usr/sbin/sshd", "-T", "-f", path, "-C",
                          f"user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22"],
                         capture_output=True, text=True)
    assert got.returncode == 0, got.stderr
    return dict((line.split(" ", 1) + [""])[:2] for line in got.stdout.lower().splitlines())


@pytest.fixture
def group(world):
    """The admin's group, with bt-bash in it."""
    if subprocess.run(["getent", "group", "berth"], capture_output=True).returncode == 0:
        pytest.skip("this machine has a group berth already; it isn't the tests' to change")
    subprocess.run(["groupadd", "berth"], check=True)
    subprocess.run(["usermod", "-aG", "berth", "bt-bash"], check=True)
    yield
    subprocess.run(["groupdel", "berth"], check=True)


def test_it_passes(either):
    got = subprocess.run(["/usr/sbin/sshd", "-t", "-f", either[1]], capture_output=True, text=True)
    assert (got.returncode, got.stderr) == (0, "")


def test_inactive_without_the_group(either):
    seen = effective(either[1], "bt-bash")
    assert seen["forcecommand"] == "none" and seen["allowtcpforwarding"] == "yes"


def test_with_the_group_every_door_is_shut(world, config, group):
    seen = effective(config[1], "bt-bash")
    doors = {"allowtcpforwarding": "no", "allowstreamlocalforwarding": "no",
             "allowagentforwarding": "no", "x11forwarding": "no", "permittunnel": "no",
             "gatewayports": "no", "permituserrc": "no"}
    assert {k: seen[k] for k in doors} == doors
    assert seen["forcecommand"].startswith(f"exec {world.helper}".lower())
    # Where sshd's global setting lets users set their environment, a Match can't shut it.


def test_the_variant_opens_tcp_alone(world, config, group):
    shut, opened = (effective(including(world, f)[1], "bt-bash") for f in (FILE, VARIANT))
    assert {k: (shut[k], v) for k, v in opened.items() if shut[k] != v} == {
        "disableforwarding": ("yes", "no"), "allowtcpforwarding": ("no", "yes"),
        "permitopen": ("none", "any"), "permitlisten": ("none", "any")}
    assert set(opened) == set(shut)


def test_the_variant_is_not_read_by_itself(world, group):
    """By what Debian's sshd_config says."""
    seen = effective(including(world, VARIANT, "*.conf")[1], "bt-bash")
    assert (seen["allowtcpforwarding"], seen["disableforwarding"]) == ("no", "yes")


def test_the_variant_in_front(world, config, group):
    """A copy of it as README has it: the first word counts."""
    path = config[1] + "-and-variant"
    with open(config[1]) as f, open(path, "w") as out:
        out.write(f.read().replace("Include", f"Include {including(world, VARIANT)[0]}\nInclude",
                                   1))
    assert effective(path, "bt-bash") == effective(including(world, VARIANT)[1], "bt-bash")


@pytest.mark.parametrize("what,option", [("agent", "allowagentforwarding"),
                                         ("display", "x11forwarding")])
def test_what_readme_says_opens_that_alone(config, group, what, option):
    path = config[1] + "-" + what
    said = [b for _, b in readme.blocks(readme.section(f"The client's {what}")) if "Match" in b]
    with open(path + ".conf", "w") as f:
        f.write(said[0])
    with open(config[1]) as f, open(path, "w") as out:
        out.write(f.read().replace("Include", f"Include {path}.conf\nInclude", 1))
    before, now = (effective(p, "bt-bash") for p in (config[1], path))
    assert {k: v for k, v in now.items() if before[k] != v} == \
        {option: "yes", "disableforwarding": "no"}
    assert effective(path, "bt-plain") == effective(config[1], "bt-plain")


def test_others_are_left_alone(either, group):
    seen = effective(either[1], "bt-plain")
    assert seen["forcecommand"] == "none" and seen["allowtcpforwarding"] == "yes"


def test_an_option_after_the_include_stays_global(either, group):
    """A Match in an included file doesn't leak out of it."""
    assert effective(either[1], "bt-plain")["x11forwarding"] == "yes"


def test_one_setenv_line_at_most(either):
    """Only the first one counts."""
    with open(either[0]) as f:
        lines = [line.split()[0].lower() for line in f if line.strip() and line.strip()[0] != "#"]
    assert lines.count("setenv") <= 1
    assert [w for w in lines if w == "match"] == ["match"]


def test_a_login_by_the_installed_match(world, config, group):
    """sshd -i with the installed file: the door that logins take, default configuration path."""
    default = os.path.join(world.prefix, "etc/berth/berth.conf")
    if os.path.exists(default):
        pytest.skip(f"{default} is somebody's: not the tests' to replace")
    os.makedirs(os.path.dirname(default), exist_ok=True)
    with open(default, "w") as f:
        f.write(world.conf.text())
    try:
        log = " ".join(shlex.quote(a) for a in world.syslog.wrap([]))
        proxy = (f"{log} /usr/sbin/sshd -i -f {config[1]} "
                 f"-o AuthorizedKeysFile={world.dir}/keys/%%u "
                 f"-E {world.sshd.log}")
        got = world.login().run("grep -c . /proc/1/comm; id -u",
                                opts=["-o", "ProxyCommand=" + proxy])
        assert got.stdout.split() == [b"1", str(world.uid("bt-bash")).encode()], got
        world.syslog.wait(r'open .*user="?bt-bash', world.mark)
    finally:
        os.unlink(default)
