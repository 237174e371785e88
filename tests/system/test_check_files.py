"""berth check: the engine, and what berth itself needs of the machine."""
import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess

import pytest

from harness.checking import HOLE, NOTE, PROBLEM, USER, add_user, clean, remove_user, setup
from harness.client import need
from harness.private_engine import PrivateEngine


@pytest.mark.parametrize("options,ident,severity", [
    ({"engine": {"endpoint": "unix:///nonexistent/engine"}}, "engine-away", PROBLEM),
    ({"image": "berth-test/not-there"}, "image-missing", NOTE),
    ({"image": "berth-test/not-there", "pull": "never"}, "image-missing", PROBLEM),
    ({"mounts": ["/nonexistent:/data"]}, "mount-source", PROBLEM),
    ({"home": "/nonexistent/a/b"}, "mount-source", PROBLEM),
    ({"users": {USER: {"image": "x", "memory_swap": "1g"}}}, "configuration", PROBLEM),
])
def test_engine_and_policy(setup, clean, options, ident, severity):
    setup.options = options
    setup.write()
    found = setup.findings()
    new = {k: v for k, v in found.items() if k not in clean}
    assert {k: v[0] for k, v in new.items()} == {ident: severity}, new


def test_home_that_pam_berth_makes(setup, clean):
    """Where it is there, and has its turn."""
    subprocess.run(["usermod", "-d", "/home/at", USER], check=True)
    setup.options = {"home": "/srv/bt-%u"}
    setup.write()
    assert setup.findings() == clean
    setup.stack = setup.stack.replace("session required pam_berth.so\n", "")
    setup.stack = setup.stack.replace("user_readenv=1", "")
    setup.write()
    found = setup.findings()
    assert {k: found[k][0] for k in set(found) - set(clean)} == {
        "pam-berth-missing": PROBLEM, "mount-source": PROBLEM}, found


def test_default_runtime_of_the_engine(setup, clean):
    """A login doesn't ask for it."""
    engine = PrivateEngine(setup.world.dir, "default-runtime", setup.world.group_name(),
                           **{"runtimes": {"other": {"path": need("runc")}},
                              "default-runtime": "other"})
    try:
        engine.add_busybox()
        setup.options = {"engine": {"endpoint": "unix://" + engine.path}}
        setup.write()
        found = setup.findings()
        assert found["runtime-default"][:2] == (NOTE, [USER]), found
        for told in ({"runtime": "other"}, {"channel": "attach"}, {"channel": "direct"}):
            setup.options = {"engine": {"endpoint": "unix://" + engine.path}, **told}
            setup.write()
            assert "runtime-default" not in setup.findings()
    finally:
        engine.close()


def test_engine_of_each(setup, clean):
    """A rootless one runs only while its user is there."""
    setup.options = {"engine": {"endpoint": "unix:///run/user/%U/docker.sock"}}
    setup.write()
    assert setup.findings()["engine-away"][:2] == (NOTE, [USER])


def test_socket_for_everybody(setup, clean):
    """Nobody listens there: that it could be opened is enough."""
    path = os.path.join(setup.world.dir, "open.sock")
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(path)
    os.chmod(path, 0o666)
    try:
        setup.options = {"engine": {"endpoint": "unix://" + path}}
        setup.write()
        found = setup.findings()
        assert found["engine-open"][0] == HOLE and found["engine-away"][0] == PROBLEM
    finally:
        os.unlink(path)


def test_configuration_that_is_wrong(setup, clean):
    with open(setup.config, "w") as f:
        f.write("nothing = 5\n")
    found = setup.findings()
    assert set(found) == {"configuration"} and f"{setup.config}:1: " in found["configuration"][2]
    os.chmod(setup.config, 0o666)
    assert "chmod go-w" in setup.findings()["configuration"][2]


@contextlib.contextmanager
def mode_of(path, mode):
    before = os.stat(path)
    os.chmod(path, mode)
    try:
        yield
    finally:
        os.chmod(path, before.st_mode & 0o7777)


@pytest.mark.parametrize("name", ["berth-session", "berth-shell", "guest/berth-guest"])
def test_modes_of_programs(setup, clean, name):
    path = os.path.join(setup.world.prefix, "libexec/berth", name)
    for mode, ident, severity in ((0o755, "program-mode", PROBLEM), (0o700, "program-mode", PROBLEM),
                                  (0o751, "program-mode", PROBLEM),
                                  (0o731, "program-writable", HOLE),
                                  (0o777, "program-writable", HOLE)):
        with mode_of(path, mode):
            assert path in setup.only(clean, ident, severity)[2]
    os.rename(path, path + ".away")
    try:
        assert path in setup.only(clean, "program-missing", PROBLEM)[2]
    finally:
        os.rename(path + ".away", path)
    os.chown(path, pwd.getpwnam(USER).pw_uid, 0)
    try:
        setup.only(clean, "program-writable", HOLE)
    finally:
        os.chown(path, 0, 0)
        os.chmod(path, 0o711)


@pytest.mark.parametrize("name", ["sbin/berth", "lib/security/pam_berth.so"])
def test_what_runs_as_root(setup, clean, name):
    path = os.path.join(setup.world.prefix, name)
    for mode in (0o775, 0o757):
        with mode_of(path, mode):
            assert path in setup.only(clean, "program-writable", HOLE)[2]
    os.chown(path, pwd.getpwnam(USER).pw_uid, 0)
    try:
        setup.only(clean, "program-writable", HOLE)
    finally:
        os.chown(path, 0, 0)


# The prefix with bin in place of sbin, and a link to it, for the mode $2 of that.
SBIN_IS_A_LINK = """\
new=$(mktemp -d) && chmod 755 "$new" && mount -t tmpfs -o mode=755 tmpfs "$new" || exit 9
for folder in "$1"/*; do
    if [ "${folder##*/}" = sbin ]; then
        cp -a "$folder" "$new/bin" && chmod "$2" "$new/bin" && ln -s bin "$new/sbin" || exit 9
    else
        mkdir "$new/${folder##*/}" && mount --rbind "$folder" "$new/${folder##*/}" || exit 9
    fi
done
mount --rbind "$new" "$1" && umount -l "$new" && rmdir "$new" && shift 2 && exec "$@"
"""


def test_a_link_on_the_way(setup, clean):
    """As /usr/sbin is in some systems: root's to turn, and so no fault."""
    def found(mode):
        return setup.findings(wrap=["unshare", "-m", "sh", "-c", SBIN_IS_A_LINK, "sh",
                                    setup.world.prefix, mode])
    assert found("755") == clean
    open_to_all = found("777")
    assert set(open_to_all) - set(clean) == {"program-writable"}
    assert setup.world.prefix + "/sbin: " in open_to_all["program-writable"][2]


def test_guests_folder(setup, clean):
    with mode_of(os.path.join(setup.world.prefix, "libexec/berth/guest/run"), 0o700):
        setup.only(clean, "guest-folder", PROBLEM)


@pytest.mark.parametrize("mode,ident,severity", [
    (0o755, "runtime-mode", PROBLEM), (0o777, "runtime-mode", HOLE),
    (None, "runtime-missing", PROBLEM)])
def test_runtime_directory(setup, clean, mode, ident, severity):
    path = os.path.join(setup.dir, "run")
    setup.options = {"runtime_dir": path}
    if mode is not None:
        os.mkdir(path)
        os.chmod(path, mode)
    setup.write()
    found = setup.findings()
    clean.pop("runtime-disk", None)
    found.pop("runtime-connections", None)
    assert {k: v[0] for k, v in found.items() if k not in clean} == {ident: severity}, found


def test_where_pam_berth_vouches(setup, clean):
    path = os.path.join(setup.dir, "run")
    os.mkdir(path)
    os.chmod(path, 0o1777)
    setup.options = {"runtime_dir": path}
    setup.write()
    assert setup.findings()["runtime-connections"][0] == NOTE
    folder = os.path.join(path, "connections")
    os.mkdir(folder, 0o711)
    assert "runtime-connections" not in setup.findings()
    os.chown(folder, pwd.getpwnam(USER).pw_uid, 0)
    assert setup.findings()["runtime-connections"][0] == PROBLEM


def test_where_networks_are_noted(setup, clean):
    """Somebody's own, before root made it: nobody could forward."""
    path = os.path.join(setup.dir, "run")
    os.mkdir(path)
    os.chmod(path, 0o1777)
    setup.options = {"runtime_dir": path}
    setup.write()
    assert "runtime-networks" not in setup.findings()
    folder = os.path.join(path, "networks")
    os.mkdir(folder, 0o700)
    assert "runtime-networks" not in setup.findings()
    os.chown(folder, pwd.getpwnam(USER).pw_uid, 0)
    assert setup.findings()["runtime-networks"][0] == PROBLEM


def test_what_counts_all_sessions(setup, clean):
    setup.write()
    with open(setup.config) as f:
        text = f.read()
    with open(setup.config, "w") as f:
        f.write("host_max_sessions = 5\n" + text)
    slots = os.path.join(setup.world.runtime, "slots")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(slots)
    setup.only(clean, "runtime-slots", PROBLEM)
    with open(slots, "w"):
        pass
    os.chmod(slots, 0o644)
    setup.only(clean, "runtime-slots", PROBLEM)
    os.chmod(slots, 0o666)
    assert setup.findings() == clean


# --- the files that the engine section names

OTHER = "bt-check2"


class Files:
    """Keys and the like, which a session of berth's can read."""

    def __init__(self, setup):
        self.setup, self.dir = setup, os.path.join(setup.world.dir, "check-files")
        os.mkdir(self.dir, 0o755)
        os.chmod(self.dir, 0o755)

    def make(self, name, mode=0o640):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write("{}")
        os.chown(path, 0, self.setup.world.engine_group)
        os.chmod(path, mode)
        return path

    def use(self, **engine):
        self.setup.options = {"users": {USER: {}, OTHER: {}},
                              "engine": {k: os.path.join(self.dir, v) for k, v in engine.items()}}
        self.setup.write()

    def use_tls(self, key):
        """By TCP; nobody listens there."""
        self.make("ca", 0o644)
        self.make("cert", 0o644)
        self.use(tls_ca="ca", tls_cert="cert", tls_key=key)
        self.setup.options["engine"]["endpoint"] = "tcp://127.0.0.1:1"
        self.setup.write()

    def found(self):
        """[(id, severity, users, what)] of all that names one of the files."""
        got = json.loads(self.setup.run("--json", users=(USER, OTHER)).stdout)
        return sorted((f["id"], f["severity"], f["users"], f["what"].replace(self.dir + "/", ""))
                      for f in got["findings"] if self.dir in f["what"])


@pytest.fixture
def files(setup):
    it = Files(setup)
    add_user("-d", "/nonexistent", "-s", setup.shell, name=OTHER)
    yield it
    remove_user(OTHER)
    shutil.rmtree(it.dir)


READABLE = "holds a secret that others may read (mode 0644): chmod o-r it"


def test_a_key_of_each_users(files):
    """It is looked at as each user's own configuration has it, not as root's has."""
    keys = {user: files.make(user + ".key") for user in (USER, OTHER)}
    files.use_tls("%u.key")
    assert files.found() == []
    os.chmod(keys[USER], 0o644)
    os.unlink(keys[OTHER])
    assert files.found() == [
        ("secret", HOLE, [USER], f"tls_key: {USER}.key: {READABLE}"),
        ("tls-file", PROBLEM, [OTHER],
         f"tls_key: {OTHER}.key: cannot open: No such file or directory")]


def test_a_file_that_some_share(files):
    group = pwd.getpwnam(USER).pw_gid
    subprocess.run(["usermod", "-g", str(group), OTHER], check=True)
    subprocess.run(["groupdel", OTHER], check=True)     # useradd made it for him
    files.make(f"{group}.key", 0o644)
    files.use_tls("%G.key")
    assert files.found() == [("secret", HOLE, [USER, OTHER], f"tls_key: {group}.key: {READABLE}")]


def test_a_key_of_all(files):
    """Once, and it is nobody's in particular."""
    path = files.make("all.key", 0o644)
    files.use_tls("all.key")
    assert files.found() == [("secret", HOLE, [], f"tls_key: all.key: {READABLE}")]
    os.unlink(path)
    assert files.found() == [("tls-file", PROBLEM, [],
                              "tls_key: all.key: cannot open: No such file or directory")]


@pytest.mark.parametrize("name", ["all.key", "%u.key"])
def test_a_key_that_sessions_cannot_read(files, name):
    """They read it as the user, with the groups that pam_berth gives."""
    own = [files.make(name.replace("%u", user)) for user in (USER, OTHER)]
    files.use_tls(name)
    assert files.found() == []
    group = files.setup.world.group_name()
    files.setup.stack = files.setup.stack.replace("groups=" + group, "groups=other,more")
    files.setup.write()
    denied = files.found()
    assert {f[:2] for f in denied} == {("tls-file", PROBLEM)}
    assert sum((f[2] for f in denied), []) == [USER, OTHER]
    assert len(denied) == len(set(own))
    assert all(f[3].endswith("cannot open: Permission denied") for f in denied), denied
    subprocess.run(["usermod", "-aG", group, USER], check=True)
    assert [f[2] for f in files.found()] == [[OTHER]]


def test_certificates_are_no_secret(files):
    files.make("all.key")
    files.use_tls("all.key")
    assert files.found() == []
    os.chmod(os.path.join(files.dir, "ca"), 0o666)
    os.chmod(os.path.join(files.dir, "cert"), 0o600)
    assert [f[:3] for f in files.found()] == [("tls-file", PROBLEM, []),
                                              ("tls-file", PROBLEM, [USER, OTHER])]


def test_credentials_of_each_users(files):
    """Nobody reads them where nothing is pulled; that others may is a hole all the same."""
    path = files.make(USER + ".json", 0o644)
    files.use(registry_config="%u.json")
    missing = ("registry-file", PROBLEM, [OTHER],
               f"registry_config: {OTHER}.json: cannot open: No such file or directory")
    hole = ("secret", HOLE, [USER], f"registry_config: {USER}.json: {READABLE}")
    assert files.found() == [missing, hole]
    files.setup.options["pull"] = "never"
    files.setup.write()
    assert files.found() == [hole]
    os.chown(path, pwd.getpwnam(USER).pw_uid, -1)
    os.chmod(path, 0o600)
    assert [f[:3] for f in files.found()] == [("secret", HOLE, [USER])]


def test_credentials_of_all(files):
    path = files.make("all.json")
    files.use(registry_config="all.json")
    assert files.found() == []
    os.chmod(path, 0o600)
    assert [f[:3] for f in files.found()] == [("registry-file", PROBLEM, [USER, OTHER])]
    os.chmod(path, 0o644)
    assert [f[:3] for f in files.found()] == [("secret", HOLE, [])]
