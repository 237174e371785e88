"""Who runs against whom. A local one is an sshd of its own with a ForceCommand;
any other server comes by a --rival line."""
import contextlib
import json
import os
import shutil
from dataclasses import dataclass

from measure import Failed
from place import IMAGE, USER, wait_until

BARE = "bare sshd"
AGAIN = "bare again"
ATTACH = "berth attach"
FRESH = "berth direct"
SEEN = "berth seen"
STANDBY = "berth standby"
SHARED = "berth user"
PAM = "berth pam"
FORWARDS = "berth forwarding"
RUN = "docker run"
EXEC = "docker exec"
PODMAN = "podman exec"
LOGGED = "sshd, logged"
UNLOGGED = "berth, no log"
SECOND = "sshd, script"
MANY = "MaxSessions 2000"


@dataclass
class Competitor:
    name: str
    port: int
    key: str
    host: str = "127.0.0.1"
    user: str = USER
    local: bool = True      # its processes run on this machine, as USER
    contained: bool = True  # its commands run in a container
    settle: object = None   # called after each of its logins, not counted
    helper: tuple = ()      # what its sshd runs
    files: str = ""         # where its sftp-server sees the place's files

    def argv(self, *command, tty=False):
        return ["ssh", *self._options(), "-tt" if tty else "-T", f"{self.user}@{self.host}",
                *command]

    def sftp_argv(self):
        """It takes its commands from stdin, and says no more than they do."""
        return ["sftp", "-q", "-b", "-", *self._options(), f"{self.user}@{self.host}"]

    def _options(self):
        return ["-F", "none", "-i", self.key, "-o", f"Port={self.port}",
                "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]


RECIPE = """#!/bin/sh
[ -t 0 ] && tty=-t
exec {words} sh -c "${{SSH_ORIGINAL_COMMAND:-exec sh}}"
"""


def _recipe(place, name, words):
    """As it is found in the wild: the engine's client as the forced command."""
    path = place.write("recipe." + name, RECIPE.format(words=words), 0o755)
    return place.sshd(name, [f"ForceCommand exec {path}"])


def bare(place, name=BARE, lines=(MANY,)):
    port = place.sshd(name.translate({ord(" "): "-", ord(","): None}), lines)
    return Competitor(name, port, place.key, contained=False, files=place.files)


STANDING = 2

# name -> its user section in berth.conf
BERTHS = {
    ATTACH: 'channel = "attach"',
    FRESH: 'channel = "direct"',
    SEEN: 'channel = "direct"  audit_bytes = yes',
    STANDBY: f'channel = "direct"  standby = {STANDING}',
    SHARED: 'channel = "direct"  scope = "user"  linger = "forever"  pids = 4096',
}
# Of sftp alone: what is done stands in no log.
SILENT = {UNLOGGED: BERTHS[FRESH] + "  sftp_audit = no"}
# The same, by an sshd that has pam_berth in its stack.
PAMS = {
    PAM: BERTHS[SHARED],
    FORWARDS: BERTHS[SHARED] + '  forwarding = "container"',
}
# Their bytes and keys go the way of FRESH's.
ALIKE = (STANDBY, SHARED, *PAMS)
POLICIES = {**BERTHS, **SILENT, **PAMS}
OPEN = ["AllowTcpForwarding yes", "GatewayPorts no", "X11Forwarding no"]


def _refilled(run, uid):
    """Standby is refilled after a login: the next competitor's turn waits for it."""
    def waiting():
        found = 0
        for name in os.listdir(os.path.join(run, str(uid))):
            # One may go between the two looks.
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(".lock"):
                    with open(os.path.join(run, str(uid), name), "rb") as f:
                        found += f.read(1) == b"s"
        return found
    return lambda: wait_until(lambda: waiting() >= STANDING, 60, "standby containers", Failed)


def _set_env():
    """The line that the installed 50-berth.conf has."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                           "../sshd_config.d/50-berth.conf.in")) as f:
        return next(line.strip() for line in f if line.split()[:1] == ["SetEnv"])


def _stack(prefix, conf):
    """Nothing but the module, whose own cost is what is looked at."""
    module = os.path.join(prefix, "lib/security/pam_berth.so")
    return (f"auth required pam_permit.so\naccount required pam_permit.so\n"
            f"session required {module} config={conf}\n")


def berth(place, prefix, name, files=False, processor=None):
    """With `files` the place's are in the containers, which may have one processor alone."""
    helper = os.path.join(prefix, "libexec/berth/berth-session")
    if not os.access(helper, os.F_OK):
        raise SystemExit(f"bench: no {helper}: set --prefix or BERTH_PREFIX to where berth"
                         " is installed, or leave it out with --without")
    short = name.split()[-1] + (".files" if files else "")
    more = f'mounts = {{"{place.files}:/files"}}' if files else ""
    if processor is not None:
        short += ".bound"
        create = {"HostConfig": {"CpusetCpus": str(processor)}}
        more += f'  create = "{place.write(f"create.{short}", json.dumps(create))}"'
    run = place.path("run." + short)
    os.mkdir(run)
    os.chmod(run, 0o1777)
    conf = place.write(f"berth.conf.{short}", f"""
runtime_dir = "{run}"
engine {{ endpoint = "unix://{place.engine.path}" }}
defaults {{ image = "{IMAGE}"  pull = "never"  {more} }}
user "{USER}" {{ {POLICIES[name]} }}
""")
    port = place.sshd("berth-" + short, [f"ForceCommand exec {helper} --config {conf}",
                                         _set_env(), MANY,
                                         *(OPEN if name in PAMS else [])],
                      stack=_stack(prefix, conf) if name in PAMS else None)
    return Competitor(name, port, place.key,
                      settle=_refilled(run, place.uid) if name == STANDBY else None,
                      helper=(helper, "--config", conf), files="/files")


def docker_run(place, processor=None):
    # The container gets berth's user and network, so that the engine's share
    # is the same; all else is docker's default.
    words = (f"docker -H unix://{place.engine.path} run --rm -i $tty --network none"
             f" --user {place.uid}:{place.gid}")
    name = "run"
    if processor is not None:
        words, name = f"{words} --cpuset-cpus {processor}", "run.bound"
    return Competitor(RUN, _recipe(place, name, f"{words} {IMAGE}"), place.key)


def docker_exec(place, processor=None):
    host, name = {"NetworkMode": "none"}, "exec"
    if processor is not None:
        host, name = {**host, "CpusetCpus": str(processor)}, "exec.bound"
    ident = place.container({"Image": IMAGE, "Cmd": ["sleep", "100000"],
                             "User": f"{place.uid}:{place.gid}", "HostConfig": host})
    words = f"docker -H unix://{place.engine.path} exec -i $tty {ident}"
    return Competitor(EXEC, _recipe(place, name, words), place.key)


def podman_exec(place):
    """The user's own, without root: that is what podman is taken for."""
    folder = place.own_folder("podman")
    podman = ["podman", "--root", folder + "/root", "--runroot", folder + "/run", "--cgroup-manager",
              "cgroupfs", "--events-backend", "none"]
    env = [f"HOME={folder}", f"XDG_RUNTIME_DIR={folder}"]
    place.as_user(["env", *env, *podman, "import", "-", IMAGE], place.image)
    place.as_user(["env", *env, *podman, "run", "-d", "--name", "bench", "--network", "none",
                   IMAGE, "sleep", "100000"])
    words = " ".join(["env", *env, *podman, "exec -i $tty bench"])
    return Competitor(PODMAN, _recipe(place, "podman", words), place.key)


def rival(line):
    """name=...,port=...,key=...[,host=...][,user=...]"""
    fields = dict(part.split("=", 1) for part in line.split(","))
    try:
        return Competitor(fields.pop("name"), int(fields.pop("port")), fields.pop("key"),
                          local=False, **fields)
    except (KeyError, TypeError, ValueError) as err:
        raise SystemExit(f"bench: --rival {line}: {err!r}; wanted: {rival.__doc__}")


def for_keys(place, everybody):
    """Those who type, and bare sshd with a second terminal between, which script(1) relays: what
    that costs where there is no container."""
    typists = [c for c in everybody if c.name not in (SEEN, *ALIKE)]
    if shutil.which("script") and any(c.name == BARE for c in typists):
        typists.append(bare(place, SECOND, [
            'ForceCommand exec script -qefc "$SSH_ORIGINAL_COMMAND" /dev/null']))
    return typists


def for_files(place, prefix, everybody):
    """Those of them that have the place's files, too."""
    return [berth(place, prefix, c.name, files=True) if c.contained else c for c in everybody
            if c.name in (BARE, AGAIN, ATTACH, FRESH, SHARED)]


def for_transfers(place, prefix, everybody, processor):
    """Those who move bytes, each with an sshd that was started just now, with the place's files.
    For what berth logs of sftp there is an sshd that logs the same."""
    makers = {BARE: bare, AGAIN: lambda p: bare(p, AGAIN),
              **{n: lambda p, n=n: berth(p, prefix, n, files=True, processor=processor)
                 for n in (ATTACH, FRESH, SEEN, FORWARDS)},
              RUN: lambda p: docker_run(p, processor), EXEC: lambda p: docker_exec(p, processor)}
    names = [c.name for c in everybody if c.name in makers]
    makers[LOGGED] = lambda p: bare(p, LOGGED, ["ForceCommand internal-sftp -l INFO"])
    makers[UNLOGGED] = lambda p: berth(p, prefix, UNLOGGED, files=True, processor=processor)
    names += [LOGGED] * (BARE in names) + [UNLOGGED] * (FRESH in names)
    return {name: makers[name](place) for name in names}


def assemble(place, prefix, without=(), rivals=()):
    """The one to compare with comes first."""
    makers = {BARE: bare, AGAIN: lambda p: bare(p, AGAIN),
              **{n: lambda p, n=n: berth(p, prefix, n) for n in (*BERTHS, *PAMS)},
              RUN: docker_run, EXEC: docker_exec}
    if shutil.which("podman"):
        makers[PODMAN] = podman_exec
    for name in without:
        if name not in makers:
            raise SystemExit(f"bench: --without {name}: there are {', '.join(makers)}")
    return ([make(place) for name, make in makers.items() if name not in without] +
            [rival(line) for line in rivals])
