"""What the tests of `berth check` share: a set-up without a fault."""
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import users as users_module

PROGRAM = "sbin/berth"
USER = "bt-check"
HOLE, PROBLEM, NOTE = "hole", "problem", "note"
UNTIMED = re.compile(r" after \d+ ms")

DOORS = {
    "DisableForwarding": "yes", "AllowTcpForwarding": "no", "AllowStreamLocalForwarding": "no",
    "AllowAgentForwarding": "no", "X11Forwarding": "no", "PermitTunnel": "no",
    "GatewayPorts": "no", "PermitUserRC": "no",
    "SetEnv": "HOME=/nonexistent LD_PRELOAD= BASH_ENV= SHLVL=5",
}
GLOBAL = {"UsePAM": "yes", "PermitUserEnvironment": "no", "AcceptEnv": "LANG LC_*",
          "ExposeAuthInfo": "yes", "Subsystem": "sftp internal-sftp"}
# user_readenv before pam_berth, which clears what it read.
STACK = """\
auth required pam_berth.so groups={group}
@include common-auth
account required pam_berth.so
account required pam_unix.so
session required pam_env.so user_readenv=1
session required pam_berth.so
session [success=ok ignore=ignore default=bad] pam_selinux.so open
"""
AUTH = """\
auth [success=1 default=ignore] pam_unix.so nullok
auth requisite pam_deny.so
auth required pam_permit.so
"""


def remove_user(name):
    users_module.remove(name)


def add_user(*options, name=USER):
    remove_user(name)
    subprocess.run(["useradd", "-M", "-p", "*", *options, name], check=True, capture_output=True)


class Setup:
    """Files of the test's own, as `berth check` is to read them."""

    def __init__(self, world, folder):
        self.world, self.dir = world, folder
        self.shell = os.path.join(world.prefix, "libexec/berth/berth-shell")
        self.config = os.path.join(world.prefix, "etc/berth/berth.conf")
        self.options = {}       # of berth.conf
        self.force = f"exec {world.helper}"
        self.stack = STACK.format(group=world.group_name())
        self.match = "bt-*"

    def write(self, doors=None, **options):
        settings = {**GLOBAL, **{k: v for k, v in options.items() if v is not None}}
        inside = {**DOORS, **(doors or {})}
        with open(os.path.join(self.dir, "sshd_config"), "w") as f:
            f.write(f"HostKey {self.world.dir}/host_key\nPidFile none\n")
            f.writelines(f"{k} {v}\n" for k, v in settings.items())
            f.write(f"Match User {self.match}\n")
            f.writelines(f"  {k} {v}\n" for k, v in inside.items() if v is not None)
            if self.force:
                f.write(f"  ForceCommand {self.force}\n")
        pam = os.path.join(self.dir, "pam.d")
        os.makedirs(pam, exist_ok=True)
        with open(os.path.join(pam, "sshd"), "w") as f:
            f.write(self.stack)
        with open(os.path.join(pam, "common-auth"), "w") as f:
            f.write(AUTH)
        os.makedirs(os.path.dirname(self.config), exist_ok=True)
        with open(self.config, "w") as f:
            f.write(self.world.conf.text(**{"users": {USER: {}}, **self.options}))
        os.chmod(self.config, 0o644)

    def argv(self, *more, users=(USER,)):
        argv = [os.path.join(self.world.prefix, PROGRAM), "check",
                "--sshd-config", os.path.join(self.dir, "sshd_config"),
                "--pam-dir", os.path.join(self.dir, "pam.d"), *more]
        for user in users:
            argv += ["--user", user]
        return argv

    def run(self, *more, users=(USER,), wrap=(), **kw):
        return subprocess.run([*wrap, *self.argv(*more, users=users)], capture_output=True,
                              text=True, timeout=60, **kw)

    def findings(self, **kw):
        """{id: (severity, users, what)}; an id that came twice keeps the worst.
        Without curl's "after 1 ms", which another call need not repeat."""
        got = self.run("--json", **kw)
        assert got.stderr == "", got
        result = json.loads(got.stdout)
        found = {}
        for f in result["findings"]:
            assert set(f) == {"severity", "id", "what", "why", "mend", "users"}, f
            assert f["what"] and f["why"] and f["mend"], f
            found.setdefault(f["id"], (f["severity"], f["users"], UNTIMED.sub("", f["what"])))
        bad = any(f["severity"] != NOTE for f in result["findings"])
        assert got.returncode == (1 if bad else 0), got
        return found

    def only(self, before, ident, severity, **kw):
        """Exactly that has come on top."""
        found = self.findings(**kw)
        new = {k: v for k, v in found.items() if before.get(k) != v}
        assert set(new) == {ident}, new
        assert new[ident][0] == severity, new
        return new[ident]


@pytest.fixture
def setup(world, tmp_path_factory):
    it = Setup(world, str(tmp_path_factory.mktemp("check")))
    if os.path.exists(it.config):
        pytest.skip(f"{it.config} is somebody's: not the tests' to replace")
    stand_in = not os.path.exists(it.shell)
    if stand_in:
        shutil.copy("/bin/true", it.shell)
        os.chmod(it.shell, 0o711)
    add_user("-d", "/nonexistent", "-s", it.shell)
    it.write()
    yield it
    remove_user(USER)
    os.unlink(it.config)
    if stand_in:
        os.unlink(it.shell)


@pytest.fixture
def clean(setup):
    """What is found where nothing is wrong."""
    found = setup.findings()
    assert {v[0] for v in found.values()} <= {NOTE}, found
    return found
