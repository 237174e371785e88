"""berth check: from a set-up without a fault each door is opened in turn, and exactly that is
found."""
import contextlib
import json
import os
import pty
import pwd
import re
import shutil
import socket
import subprocess

import pytest

from harness.checking import HOLE, NOTE, PROBLEM, PROGRAM, USER, add_user, clean, setup


def test_clean(setup, clean):
    # What this machine and the tests' folders are like; no more than that.
    assert set(clean) <= {"runtime-disk", "runtime-connections", "sshrc"}, clean
    got = setup.run()
    assert (got.returncode, got.stderr) == (0, ""), got
    assert got.stdout.splitlines()[-1].startswith("1 users looked at: 0 holes, 0 problems, ")


# --- sshd's doors

@pytest.mark.parametrize("doors,ident,severity", [
    ({"AllowTcpForwarding": "yes", "DisableForwarding": "no"}, "sshd-tcp-forwarding", HOLE),
    ({"AllowTcpForwarding": "local", "DisableForwarding": "no"}, "sshd-tcp-forwarding", HOLE),
    ({"AllowStreamLocalForwarding": "yes", "DisableForwarding": "no"},
     "sshd-streamlocal-forwarding", HOLE),
    ({"AllowAgentForwarding": "yes"}, "sshd-agent-forwarding", PROBLEM),
    ({"X11Forwarding": "yes"}, "sshd-x11-forwarding", HOLE),
    ({"PermitTunnel": "point-to-point"}, "sshd-tunnel", HOLE),
    ({"GatewayPorts": "yes", "DisableForwarding": "no"}, "sshd-gateway-ports", NOTE),
    ({"PermitUserRC": "yes"}, "sshd-user-rc", PROBLEM),
    ({"ChrootDirectory": "/srv"}, "sshd-chroot", PROBLEM),
    ({"AcceptEnv": "LD_*"}, "sshd-accept-env", PROBLEM),
    ({"AcceptEnv": "*"}, "sshd-accept-env", PROBLEM),
    ({"SetEnv": None}, "sshd-set-env", NOTE),
    ({"SetEnv": "HOME=/nonexistent"}, "sshd-set-env", NOTE),
], ids=lambda v: "-".join(f"{k}={x}" for k, x in v.items()) if isinstance(v, dict) else None)
def test_door(setup, clean, doors, ident, severity):
    setup.write(doors)
    _, users, what = setup.only(clean, ident, severity)
    assert users == [USER]
    option, value = next(iter(doors.items()))
    assert option in what and (value is None or option == "SetEnv" or value in what), what


def test_agent(setup, clean):
    """berth.conf wants it, and sshd lets it or not."""
    setup.options = {"agent_forwarding": True}
    for doors, shut in (({}, "AllowAgentForwarding"),
                        ({"DisableForwarding": "no"}, "AllowAgentForwarding"),
                        ({"AllowAgentForwarding": "yes"}, "DisableForwarding")):
        setup.write(doors)
        assert shut in setup.only(clean, "sshd-agent-shut", NOTE)[2]
    opened = {"AllowAgentForwarding": "yes", "DisableForwarding": "no"}
    setup.write(opened)
    setup.only(clean, "agent-open", NOTE)
    setup.options["runtime"] = "runsc"
    setup.write(opened)
    found = setup.findings()
    assert found["agent-out-of-reach"][0] == NOTE and "agent-open" not in found
    setup.options = {}
    setup.write(opened)
    setup.only(clean, "sshd-agent-forwarding", PROBLEM)


def test_x11(setup, clean):
    """berth.conf wants it, and sshd lets it or not."""
    setup.options = {"x11_forwarding": True}
    for doors, shut in (({}, "X11Forwarding"), ({"DisableForwarding": "no"}, "X11Forwarding"),
                        ({"X11Forwarding": "yes"}, "DisableForwarding")):
        setup.write(doors)
        assert shut in setup.only(clean, "sshd-x11-shut", NOTE)[2]
    opened = {"X11Forwarding": "yes", "DisableForwarding": "no"}
    setup.write(opened)
    setup.only(clean, "x11-open", NOTE)
    before = setup.findings()
    setup.write({**opened, "X11UseLocalhost": "no"})
    setup.only(before, "sshd-x11-localhost", PROBLEM)
    setup.write(opened, XAuthLocation="/nonexistent/xauth")
    assert "/nonexistent/xauth" in setup.only(before, "sshd-no-xauth", NOTE)[2]
    setup.options["runtime"] = "runsc"
    setup.write(opened)
    found = setup.findings()
    assert found["x11-out-of-reach"][0] == NOTE and "x11-open" not in found
    setup.options = {}
    setup.write(opened)
    setup.only(clean, "sshd-x11-forwarding", HOLE)


def test_x11_without_pam_berth(setup, clean):
    setup.stack = setup.stack.replace("session required pam_berth.so\n", "")
    setup.options = {"x11_forwarding": True}
    setup.write()
    before = setup.findings()
    assert "x11-no-pam" not in before
    setup.write({"X11Forwarding": "yes", "DisableForwarding": "no"})
    assert setup.findings()["x11-no-pam"][0] == HOLE


# --- forwarded ports

OPENED = {"AllowTcpForwarding": "yes", "DisableForwarding": "no"}
ARGUMENT = "session required pam_berth.so forwarding\n"


def argue(setup, line=ARGUMENT):
    """pam_berth is told that sshd's forwarding is open."""
    setup.stack = setup.stack.replace("session required pam_berth.so\n", line)
    setup.write()


def come(before, found):
    """But for what this machine's nsswitch.conf adds."""
    return {k: v[0] for k, v in found.items() if before.get(k) != v and not k.startswith("nss-")}


def test_forwarding_into_the_container(setup, clean):
    """The argument alone changes nothing that is to be told; then sshd lets it; then berth.conf."""
    argue(setup)
    assert setup.findings() == clean
    setup.write(OPENED)
    setup.only(clean, "forwarding-nowhere", NOTE)
    setup.options = {"forwarding": "container"}
    setup.write(OPENED)
    assert come(clean, setup.findings()) == {"forwarding-open": NOTE}
    setup.options["deny"] = "no"
    setup.write(OPENED)
    assert setup.findings() == clean


@pytest.mark.parametrize("doors,shut", [
    ({}, "AllowTcpForwarding is no"), ({"AllowTcpForwarding": "yes"}, "DisableForwarding is yes"),
    ({"DisableForwarding": "no"}, "AllowTcpForwarding is no"),
    ({**OPENED, "PermitOpen": "none", "PermitListen": "none"}, "PermitOpen and PermitListen")])
def test_forwarding_that_sshd_shuts(setup, clean, doors, shut):
    setup.options = {"forwarding": "container"}
    argue(setup)
    setup.write(doors)
    found = setup.findings()
    assert come(clean, found) == {"sshd-tcp-shut": NOTE} and shut in found["sshd-tcp-shut"][2]


def test_forwarding_without_pam_berth(setup, clean):
    setup.options = {"forwarding": "container"}
    argue(setup, "")
    found = setup.findings()
    assert found["forwarding-no-pam"][0] == PROBLEM and found["sshd-tcp-shut"][0] == NOTE
    setup.write(OPENED)
    found = setup.findings()
    assert found["sshd-tcp-forwarding"][0] == HOLE and "forwarding-no-pam" not in found


def test_forwarding_without_the_argument(setup, clean):
    """What berth.conf says of him is then the only lock."""
    setup.options = {"forwarding": "container"}
    setup.write(OPENED)
    assert come(clean, setup.findings()) == {"forwarding-argument": PROBLEM}
    setup.options = {}
    setup.write(OPENED)
    assert "lacks the argument" in setup.only(clean, "sshd-tcp-forwarding", HOLE)[2]


@pytest.mark.parametrize("line,told", [
    ("session optional pam_berth.so forwarding\n", "a failure of session optional pam_berth.so"),
    ("session [success=ok session_err=ignore default=bad] pam_berth.so forwarding\n",
     "session_err=ignore"),
    ("-session required pam_berth.so forwarding\n", '"-"'),
    ("session sufficient pam_permit.so\n" + ARGUMENT, "session sufficient pam_permit.so"),
    ("session [success=ok default=1] pam_limits.so\n" + ARGUMENT, "default=1"),
    ("session include ends\n" + ARGUMENT, "pam.d/ends:1: session [success=done"),
    (ARGUMENT + "session [success=reset] pam_permit.so\n", "success=reset"),
], ids=lambda v: v.split("\n")[0].replace(" ", "-"))
@pytest.mark.parametrize("policy", ["off", "container"])
def test_stack_that_forwarding_cannot_rely_on(setup, clean, policy, line, told):
    setup.options = {"forwarding": policy}
    setup.stack = setup.stack.replace("user_readenv=1", "")
    argue(setup, line)
    with open(os.path.join(setup.dir, "pam.d/ends"), "w") as f:
        f.write("session [success=done default=ignore] pam_permit.so\n")
    before = setup.findings()
    setup.write(OPENED)
    found = setup.findings()
    assert found["sshd-tcp-forwarding"][0] == HOLE and told in found["sshd-tcp-forwarding"][2]
    assert come(before, found) == {"sshd-tcp-forwarding": HOLE}


@pytest.mark.parametrize("line", [
    "session [success=ok ignore=ignore default=bad] pam_berth.so forwarding\n",
    "session requisite pam_berth.so forwarding debug\n",
    "session substack ends\n" + ARGUMENT,
    "session [success=ok default=1] pam_limits.so\nsession required pam_permit.so\n" + ARGUMENT,
], ids=lambda v: v.split("\n")[0].replace(" ", "-"))
def test_stack_that_forwarding_can_rely_on(setup, clean, line):
    argue(setup, line)
    with open(os.path.join(setup.dir, "pam.d/ends"), "w") as f:
        f.write("session [success=done default=ignore] pam_permit.so\n")
    setup.write(OPENED)
    setup.only(clean, "forwarding-nowhere", NOTE)


def test_forwarding_without_pam(setup, clean):
    argue(setup)
    setup.write(OPENED, UsePAM="no")
    found = setup.findings()
    assert come(clean, found) == {"sshd-tcp-forwarding": HOLE, "sshd-use-pam": PROBLEM}
    assert "UsePAM" in found["sshd-tcp-forwarding"][2]


def test_forwarding_with_an_engine_elsewhere(setup, clean):
    """Out of this machine's network there is no way to it."""
    paths = {f"tls_{what}": os.path.join(setup.dir, what) for what in ("ca", "cert", "key")}
    for path in paths.values():
        with open(path, "w") as f:
            f.write("none\n")
        os.chmod(path, 0o600)
    setup.options = {"engine": {"endpoint": "tcp://127.0.0.1:1", **paths}}
    setup.write()
    before = setup.findings()
    assert "forwarding-engine" not in before
    argue(setup)
    assert "tcp://127.0.0.1:1" in setup.only(before, "forwarding-engine", PROBLEM)[2]


def test_forwarding_with_another_shell(setup, clean):
    """pam_berth lets him alone while berth.conf can't be read: he may be its administrator."""
    subprocess.run(["usermod", "-s", "/bin/bash", USER], check=True)
    argue(setup)
    before = setup.findings()
    for setup.options in ({}, {"forwarding": "container"}):
        setup.write(OPENED)
        found = setup.findings()
        assert come(before, found) == {"sshd-tcp-forwarding": HOLE}
        assert "login shell" in found["sshd-tcp-forwarding"][2]


def test_forwarding_with_an_engine_that_is_not_roots(setup, clean):
    path = os.path.join(setup.world.dir, "theirs.sock")
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(path)
    os.chown(path, pwd.getpwnam(USER).pw_uid, -1)
    setup.options = {"engine": {"endpoint": "unix://" + path}}
    try:
        argue(setup)
        before = setup.findings()
        assert "forwarding-engine" not in before
        setup.options["forwarding"] = "container"
        setup.write()
        assert come(before, setup.findings()) == {"forwarding-engine": PROBLEM,
                                                  "sshd-tcp-shut": NOTE}
    finally:
        os.unlink(path)


@contextlib.contextmanager
def group_of_berth(user):
    """The one that 50-berth.conf is about, with him in it."""
    if subprocess.run(["getent", "group", "berth"], capture_output=True).returncode == 0:
        pytest.skip("this machine has a group berth already; it isn't the tests' to change")
    subprocess.run(["groupadd", "berth"], check=True)
    try:
        subprocess.run(["usermod", "-aG", "berth", user], check=True)
        yield
    finally:
        subprocess.run(["groupdel", "berth"], check=True)


def test_who_is_in_the_group_and_mapped_by_nothing(setup, clean):
    """sshd takes him for berth's, and pam_berth doesn't."""
    argue(setup)
    with group_of_berth("bt-plain"):
        assert by_user(setup)[1]["bt-plain"] == {}
        setup.write(OPENED)
        users, found = by_user(setup)
        assert found["bt-plain"] == {"sshd-tcp-forwarding": HOLE}, found
        assert found[USER] == {"forwarding-nowhere": NOTE} and "bt-bash" not in users
        # No Match is his.
        setup.match = USER
        setup.write(OPENED)
        assert by_user(setup)[1]["bt-plain"] == {}


def nsswitch(setup, **databases):
    """To be put before a command: it has another /etc/nsswitch.conf."""
    path = os.path.join(setup.dir, "nsswitch.conf")
    lines = {"passwd": "files", "group": "files", "shadow": "files", "hosts": "files", **databases}
    with open(path, "w") as f:
        f.writelines(f"{k}: {v}\n" for k, v in lines.items())
    os.chmod(path, 0o644)
    return ["unshare", "-m", "sh", "-c",
            'mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"', "sh", path]


def test_user_database_that_connects_itself(setup, clean):
    odd = nsswitch(setup, passwd="files [NOTFOUND=continue] odd", group="files sss",
                   initgroups="files other odd", hosts="files mdns4_minimal dns")
    assert "nss-network" not in setup.findings(wrap=odd)    # in this machine's network it may
    argue(setup)
    found = setup.findings(wrap=odd)
    assert found["nss-network"] == (
        PROBLEM, [USER], "/etc/nsswitch.conf: passwd odd, initgroups other odd")
    assert "nss-hosts" not in found                         # he forwards nowhere
    setup.options = {"forwarding": "container"}
    setup.write(OPENED)
    found = setup.findings(wrap=odd)
    assert found["nss-network"][0] == HOLE      # whoever serves inside could answer
    assert found["nss-hosts"] == (NOTE, [USER], "/etc/nsswitch.conf: hosts dns")
    quiet = nsswitch(setup, passwd="files systemd sss winbind", hosts="files resolve myhostname")
    assert not {k for k in setup.findings(wrap=quiet) if k.startswith("nss-")}


def test_the_two_ldap_modules(setup, clean):
    """nslcd's asks by a unix socket."""
    argue(setup)
    wrap = nsswitch(setup, passwd="files ldap") + ["env", f"LD_LIBRARY_PATH={setup.dir}"]
    library = os.path.join(setup.dir, "libnss_ldap.so.2")
    for source, is_found in (("int _nss_ldap_enablelookups = 1;", False), ("int other;", True)):
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], check=True,
                       input=source, text=True)
        assert ("nss-network" in setup.findings(wrap=wrap)) == is_found, source
    os.unlink(library)
    assert "nss-network" in setup.findings(wrap=wrap)


def test_variables_for_what_sshd_starts(setup, clean):
    """No login shell stands between them and xauth."""
    setup.write({"X11Forwarding": "yes"})
    before = setup.findings()
    setup.write({"X11Forwarding": "yes", "AcceptEnv": "LD_*"})
    setup.only(before, "sshd-accept-env", HOLE)


def test_disable_forwarding_is_enough_for_what_it_shuts(setup, clean):
    setup.write({"AllowTcpForwarding": "yes", "AllowStreamLocalForwarding": "yes"})
    assert setup.findings() == clean


@pytest.mark.parametrize("options,ident,severity", [
    ({"PermitUserEnvironment": "yes"}, "sshd-user-environment", PROBLEM),
    ({"PermitUserEnvironment": "LD_*,LANG"}, "sshd-user-environment", PROBLEM),
    ({"UsePAM": "no"}, "sshd-use-pam", PROBLEM),
    ({"ExposeAuthInfo": "no"}, "sshd-expose-auth-info", NOTE),
    ({"AuthorizedKeysCommand": "/bin/true\nAuthorizedKeysCommandUser nobody"},
     "sshd-keys-command", NOTE),
], ids=lambda v: "-".join(v) if isinstance(v, dict) else None)
def test_global_door(setup, clean, options, ident, severity):
    setup.write(**options)
    setup.only(clean, ident, severity)


def test_harmless_user_environment(setup, clean):
    setup.write(PermitUserEnvironment="LANG,TZ")
    assert setup.findings() == clean


# --- the forced command

def test_no_forced_command(setup, clean):
    """berth-shell alone: fine, but for an sftp that no shell runs."""
    setup.force = None
    setup.write(Subsystem="sftp /usr/lib/openssh/sftp-server")
    setup.only(clean, "sshd-no-command", NOTE)
    setup.write()
    found = setup.findings()
    assert set(found) - set(clean) == {"sshd-no-command", "sshd-internal-sftp"}
    assert found["sshd-internal-sftp"][0] == HOLE


def test_no_lock_at_all(setup, clean):
    subprocess.run(["usermod", "-s", "/bin/bash", USER], check=True)
    setup.force = None
    setup.write(Subsystem="sftp /usr/lib/openssh/sftp-server")
    setup.only(clean, "no-lock", HOLE)


@pytest.mark.parametrize("force,ident,severity", [
    ("internal-sftp", "sshd-other-command", HOLE),
    ("/bin/true", "sshd-other-command", HOLE),
    ("exec {helper}x", "sshd-other-command", HOLE),
    ("execute {helper}", "sshd-other-command", HOLE),
    ("{helper}", "sshd-no-exec", NOTE),
    ("exec {helper} --config /nonexistent", "sshd-other-config", PROBLEM),
    ("exec {helper} --config {config}", "sshd-command-options", PROBLEM),
])
def test_forced_command(setup, clean, force, ident, severity):
    setup.force = force.format(helper=setup.world.helper, config=setup.config)
    setup.write()
    setup.only(clean, ident, severity)


def test_sshd_config_that_is_wrong(setup, clean):
    setup.write(Nonsense="yes")
    what = setup.only(clean, "sshd-unknown", PROBLEM)[2]
    assert "sshd_config" in what and "Nonsense" in what, what


@pytest.mark.parametrize("suffix", ["", ".forwarding"])
def test_the_installed_50_berth_conf(setup, clean, suffix):
    """It opens nothing; with its group in place of a Match of the test's. The variant does what
    its name says."""
    installed = os.path.join(setup.world.prefix, "etc/ssh/sshd_config.d/50-berth.conf" + suffix)
    with open(installed) as f:
        text = f.read().replace("Match Group berth", f"Match User {USER}")
    assert f"Match User {USER}" in text
    with open(os.path.join(setup.dir, "sshd_config"), "w") as f:
        f.write(f"HostKey {setup.world.dir}/host_key\nUsePAM yes\nExposeAuthInfo yes\n"
                "AcceptEnv LANG LC_*\nSubsystem sftp internal-sftp\n" + text)
    if not suffix:
        assert setup.findings() == clean
        return
    setup.only(clean, "sshd-tcp-forwarding", HOLE)
    setup.stack = setup.stack.replace("session required pam_berth.so\n", ARGUMENT)
    with open(os.path.join(setup.dir, "pam.d/sshd"), "w") as f:
        f.write(setup.stack)
    setup.only(clean, "forwarding-nowhere", NOTE)


# --- accounts

def test_shell_of_the_host(setup, clean):
    subprocess.run(["usermod", "-s", "/bin/bash", USER], check=True)
    found = setup.findings()
    assert {k: found[k][0] for k in set(found) - set(clean)} == {
        "shell-other": PROBLEM, "engine-access": PROBLEM}, found
    subprocess.run(["usermod", "-aG", setup.world.group_name(), USER], check=True)
    found = setup.findings()
    assert {k: found[k][0] for k in set(found) - set(clean)} == {
        "shell-other": PROBLEM, "engine-group": HOLE}, found


def test_variables_are_worse_for_a_shell_of_the_host(setup, clean):
    subprocess.run(["usermod", "-s", "/bin/bash", USER], check=True)
    before = setup.findings()
    setup.write({"AcceptEnv": "BASH_*"})
    setup.only(before, "sshd-accept-env", HOLE)
    setup.write({"SetEnv": "LD_PRELOAD="})
    assert "HOME, BASH_ENV, SHLVL" in setup.only(before, "sshd-set-env", PROBLEM)[2]


def test_in_the_engines_group(setup, clean):
    subprocess.run(["usermod", "-aG", setup.world.group_name(), USER], check=True)
    setup.only(clean, "engine-group", PROBLEM)


def test_nologin(setup, clean):
    subprocess.run(["usermod", "-s", "/usr/sbin/nologin", USER], check=True)
    found = setup.findings()
    assert {k: found[k][0] for k in set(found) - set(clean)} == {
        "shell-shut": PROBLEM, "engine-access": PROBLEM}, found


def test_two_names(setup, clean):
    twin = "bt-check2"
    add_user("-o", "-u", str(pwd.getpwnam(USER).pw_uid), name=twin)
    try:
        assert twin in setup.only(clean, "uid-shared", NOTE)[2]
        setup.stack = setup.stack.replace("session required pam_berth.so\n", "")
        setup.stack = setup.stack.replace("user_readenv=1", "")
        setup.write()
        found = setup.findings()
        assert {k: found[k][0] for k in set(found) - set(clean)} == {
            "uid-shared": PROBLEM, "pam-berth-missing": PROBLEM}, found
    finally:
        subprocess.run(["userdel", "-f", twin], check=True, capture_output=True)


@contextlib.contextmanager
def home_of_his(setup):
    home = os.path.join(setup.world.dir, "home-of-his")
    os.mkdir(home, 0o700)
    os.chown(home, pwd.getpwnam(USER).pw_uid, -1)
    subprocess.run(["usermod", "-d", home, USER], check=True)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def test_home_that_is_his(setup, clean):
    with home_of_his(setup) as home:
        setup.only(clean, "home-writable", NOTE)
        subprocess.run(["usermod", "-s", "/bin/bash", USER], check=True)
        before = setup.findings()
        setup.write({"SetEnv": None})
        setup.only(before, "sshd-set-env", HOLE)
        # sshd's HOME=his own is no other.
        setup.write({"SetEnv": f"HOME={home} LD_PRELOAD= BASH_ENV= SHLVL=5"})
        setup.only(before, "sshd-set-env", HOLE)


def test_systemd_beside_such_a_home(setup, clean):
    setup.stack = setup.stack.replace("session required pam_berth.so\n",
                                      "-session optional pam_systemd.so\n"
                                      "session required pam_berth.so\n")
    setup.write()
    assert setup.findings() == clean        # not without one
    with home_of_his(setup) as home:
        found = setup.findings()
        assert {k: found[k][0] for k in set(found) - set(clean)} == {
            "home-writable": NOTE, "pam-systemd": NOTE}, found
        setup.options = {"mounts": [f"{home}:/home/it"]}
        setup.write()
        assert setup.findings()["pam-systemd"][0] == PROBLEM
        setup.options = {}
        setup.write()
        subprocess.run(["usermod", "-aG", setup.world.group_name(), USER], check=True)
        assert setup.findings()["pam-systemd"][0] == HOLE


def by_user(setup):
    """{user: {id: severity}} of all that NSS lists."""
    got = json.loads(setup.run("--json", users=()).stdout)
    found = {user: {} for user in got["users"]}
    for f in got["findings"]:
        for user in f["users"]:
            found.setdefault(user, {})[f["id"]] = f["severity"]
    return got["users"], found


def test_a_section_for_everybody(setup, clean):
    """Whom only a catch-all maps, and who is none of berth's, is no fault; nor is who never
    logs in. But in the engine's group he could have been meant."""
    setup.options = {"users": {"*": {}}}
    setup.match = USER
    setup.write()
    users, found = by_user(setup)
    assert {USER, "bt-plain", "bt-bash"} <= set(users)
    assert not {"root", "daemon", "nobody"} & set(users), users
    assert found[USER] == {}
    assert found["bt-plain"] == {"not-berths": NOTE}
    assert found["bt-bash"] == {"no-lock": HOLE, "sshd-internal-sftp": HOLE, "engine-group": HOLE}
    # With the forced command he is berth's.
    setup.match = "bt-*"
    setup.write()
    assert by_user(setup)[1]["bt-plain"].get("shell-other") == PROBLEM
    # With another one he is somebody's.
    setup.force = "/bin/true"
    setup.write()
    assert by_user(setup)[1]["bt-plain"] == {"not-berths": NOTE}


def test_users_by_name(setup, clean):
    found = setup.findings(users=("bt-nobody-has-this",))
    assert found["account-unknown"][:2] == (PROBLEM, ["bt-nobody-has-this"])
    found = setup.findings(users=("bt-plain",))
    assert found["account-unmapped"][:2] == (PROBLEM, ["bt-plain"])
    got = json.loads(setup.run("--json", users=()).stdout)
    assert got["users"] == [USER]
    # Who is in the engine's group besides those, nobody asked for.
    others = [f for f in got["findings"] if f["id"] == "engine-others"]
    assert others and "bt-bash" in others[0]["users"] and USER not in others[0]["users"]


def test_nobody(setup, clean):
    setup.options = {"users": {"bt-nobody-has-this": {}}}
    setup.write()
    found = setup.findings(users=())
    assert found["nobody"][0] == NOTE


# --- PAM

BERTH_LINES = {"auth": "auth required pam_berth.so groups={group}\n",
               "account": "account required pam_berth.so\n",
               "session": "session required pam_berth.so\n"}


@pytest.mark.parametrize("kind", ["auth", "account", "session"])
def test_pam_berth_missing(setup, clean, kind):
    line = BERTH_LINES[kind].format(group=setup.world.group_name())
    setup.stack = setup.stack.replace(line, "")
    setup.write()
    found = setup.findings()
    new = {k: found[k][0] for k in set(found) - set(clean)}
    also = {"auth": {"engine-access": PROBLEM}, "account": {},
            "session": {"pam-user-env": HOLE}}[kind]
    assert new == {"pam-berth-missing": PROBLEM, **also}, found
    assert found["pam-berth-missing"][2].endswith(" for " + kind)


@pytest.mark.parametrize("before,after,ident,severity", [
    ("account required pam_berth.so",
     "account sufficient pam_unix.so\naccount required pam_berth.so", "pam-berth-skipped", PROBLEM),
    ("account required pam_berth.so",
     "account [success=1 default=ignore] pam_unix.so\naccount required pam_berth.so",
     "pam-berth-skipped", PROBLEM),
    ("session required pam_berth.so", "session required pam_berth.so nothing=1",
     "pam-berth-argument", PROBLEM),
    ("session required pam_berth.so", "session required pam_berth.so config=/nonexistent debug",
     "pam-berth-config", PROBLEM),
    ("account required pam_berth.so", "account optional pam_berth.so", "pam-berth-ignored", PROBLEM),
    ("session [success", "session required pam_env.so\nsession [success", "pam-berth-not-last",
     PROBLEM),
    ("session [success", "session required pam_env.so user_readenv=1\nsession [success",
     "pam-user-env", HOLE),
    ("account required pam_unix.so",
     "account required pam_unix.so\nauth required pam_env.so user_readenv=1", "pam-user-env", HOLE),
    ("account required pam_unix.so", "account required pam_shells.so", "pam-shells", PROBLEM),
    ("account required pam_unix.so", "account required", "pam-unknown", PROBLEM),
    ("account required pam_unix.so", "@include nothing", "pam-unknown", PROBLEM),
])
def test_pam_stack(setup, clean, before, after, ident, severity):
    assert before in setup.stack
    setup.stack = setup.stack.replace(before, after, 1)
    setup.write()
    found = setup.findings()
    new = {k: v for k, v in found.items() if k not in clean}
    # Without a stack nobody can be said to grant the group.
    new.pop("engine-access" if ident == "pam-unknown" else "", None)
    assert {k: v[0] for k, v in new.items()} == {ident: severity}, new
    assert os.path.join(setup.dir, "pam.d/sshd") + ":" in new[ident][2]


def test_sufficient_before_the_session_line(setup, clean):
    setup.stack = setup.stack.replace("session required pam_env",
                                      "session sufficient pam_permit.so\n"
                                      "session required pam_env", 1)
    setup.write()
    found = setup.findings()
    assert {k: found[k][0] for k in set(found) - set(clean)} == {
        "pam-berth-skipped": PROBLEM, "pam-user-env": HOLE}


def test_group_that_pam_berth_does_not_grant(setup, clean):
    setup.stack = setup.stack.replace("groups=" + setup.world.group_name(), "groups=other,more")
    setup.write()
    setup.only(clean, "engine-access", PROBLEM)


def test_debians_own_stack(setup, clean):
    """As it is before berth: a hole, and pam_berth is missing."""
    with open("/etc/pam.d/sshd") as f:
        text = f.read()
    if "user_readenv=1" not in text:
        pytest.skip("this machine's /etc/pam.d/sshd is not Debian's")
    argv = [a for a in setup.argv("--json") if a not in ("--pam-dir", setup.dir + "/pam.d")]
    found = json.loads(subprocess.run(argv, capture_output=True, text=True).stdout)["findings"]
    ids = {f["id"]: f for f in found}
    assert ids["pam-user-env"]["severity"] == HOLE
    assert ids["pam-user-env"]["what"].startswith("/etc/pam.d/sshd:")
    assert ids["pam-berth-missing"]["what"].endswith("auth, account, session")


def test_sshrc(setup, clean):
    copy = os.path.join(setup.dir, "ssh")
    shutil.copytree("/etc/ssh", copy)
    with open(os.path.join(copy, "sshrc"), "w") as f:
        f.write("true\n")
    wrap = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/ssh && shift && exec "$@"', "sh",
            copy]
    assert setup.findings(wrap=wrap)["sshrc"][0] == NOTE
    setup.options = {"x11_forwarding": True}
    setup.write({"X11Forwarding": "yes", "DisableForwarding": "no"})
    assert setup.findings(wrap=wrap)["x11-sshrc"][0] == NOTE
    setup.options = {}
    setup.stack = setup.stack.replace("session required pam_berth.so\n", "")
    setup.write()
    assert setup.findings(wrap=wrap)["sshrc"][0] == PROBLEM


# --- the command

def test_lines(setup, clean):
    setup.write({"X11Forwarding": "yes", "AllowAgentForwarding": "yes"})
    got = setup.run()
    lines = got.stdout.splitlines()
    assert (got.returncode, got.stderr) == (1, "")
    assert lines[0] == "hole     sshd: X11Forwarding is yes [sshd-x11-forwarding]"
    assert lines[1] == f"         for:  {USER}"
    assert lines[2].startswith("         why:  sshd runs xauth on this machine")
    assert lines[3].startswith("         mend: X11Forwarding no ")
    assert lines[4] == "problem  sshd: AllowAgentForwarding is yes [sshd-agent-forwarding]"
    assert "\033" not in got.stdout
    assert re.fullmatch(r"1 users looked at: 1 holes, 1 problems, \d+ notes", lines[-1])


def test_colour_on_a_terminal(setup, clean):
    setup.write({"X11Forwarding": "yes"})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(setup.argv(), stdout=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):
        while data := os.read(ours, 65536):
            seen += data
    os.close(ours)
    assert process.wait(30) == 1
    assert b"\033[1;31mhole    \033[0m sshd: X11Forwarding" in seen


def test_not_root(setup, world):
    got = setup.run(user=world.uid("bt-bash"), group=world.uid("bt-bash"), extra_groups=[])
    assert (got.returncode, got.stdout) == (1, "")
    assert re.fullmatch(r"berth check: must be run as root: .*\n", got.stderr), got


@pytest.mark.parametrize("options", [["--nothing"], ["--config"], ["all"]])
def test_usage(world, options):
    got = subprocess.run([os.path.join(world.prefix, PROGRAM), "check"] + options,
                         capture_output=True, text=True)
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("berth check: ") and got.stderr.count("\n") == 1, got


def test_nothing_is_changed(setup, world):
    setup.run()
    assert not world.containers() and not world.left_files()
