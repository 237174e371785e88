"""Who runs against whom. A local one is an sshd of its own with a ForceCommand;
any other server comes by a --rival line."""
import contextlib
import json
import os
from dataclasses import dataclass

from place import IMAGE, USER, wait_until

BARE = "bare sshd"
ATTACH = "berth attach"
FRESH = "berth direct"
SEEN = "berth seen"
STANDBY = "berth standby"
SHARED = "berth user"
PAM = "berth pam"
FORWARDS = "berth forwarding"
RUN = "docker run"
EXEC = "docker exec"
LOGGED = "sshd, logged"
UNLOGGED = "berth, no log"


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
exec docker -H unix://{socket} {words} sh -c "${{SSH_ORIGINAL_COMMAND:-exec sh}}"
"""


def _recipe(place, name, words):
    """As it is found in the wild: docker's client as the forced command."""
    path = place.write("recipe." + name, RECIPE.format(
        socket=place.engine.path, words=words), 0o755)
    return place.sshd(name, [f"ForceCommand exec {path}"])


def bare(place):
    return Competitor(BARE, place.sshd("bare"), place.key, contained=False, files=place.files)


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
    return lambda: wait_until(lambda: waiting() >= STANDING, 20, "standby containers")


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
    """With `files` the place's are in the containers, which may have a processor that is theirs."""
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
                                         _set_env(), "MaxSessions 2000",
                                         *(OPEN if name in PAMS else [])],
                      stack=_stack(prefix, conf) if name in PAMS else None)
    return Competitor(name, port, place.key,
                      settle=_refilled(run, place.uid) if name == STANDBY else None,
                      helper=(helper, "--config", conf), files="/files")


def docker_run(place):
    # The container gets berth's user and network, so that the engine's share
    # is the same; all else is docker's default.
    words = f"run --rm -i $tty --network none --user {place.uid}:{place.gid} {IMAGE}"
    return Competitor(RUN, _recipe(place, "run", words), place.key)


def docker_exec(place):
    ident = place.container({"Image": IMAGE, "Cmd": ["sleep", "100000"], "User":
                             f"{place.uid}:{place.gid}", "HostConfig": {"NetworkMode": "none"}})
    return Competitor(EXEC, _recipe(place, "exec", f"exec -i $tty {ident}"), place.key)


def rival(line):
    """name=...,port=...,key=...[,host=...][,user=...]"""
    fields = dict(part.split("=", 1) for part in line.split(","))
    try:
        return Competitor(fields.pop("name"), int(fields.pop("port")), fields.pop("key"),
                          local=False, **fields)
    except (KeyError, TypeError, ValueError) as err:
        raise SystemExit(f"bench: --rival {line}: {err!r}; wanted: {rival.__doc__}")


def for_files(place, prefix, everybody):
    """Those of them that have the place's files, too."""
    return [berth(place, prefix, c.name, files=True) if c.contained else c for c in everybody
            if c.name in (BARE, ATTACH, FRESH, SHARED)]


def for_transfers(place, prefix, everybody, processor):
    """Those who move the place's files, each with an sshd that was started just now. For what
    berth logs there is an sshd that logs the same."""
    names = [c.name for c in everybody]
    made = [Competitor(BARE, place.sshd("bare.bound"), place.key, contained=False,
                       files=place.files),
            Competitor(LOGGED, place.sshd("logged", ["ForceCommand internal-sftp -l INFO"]),
                       place.key, contained=False, files=place.files)]
    berths = [n for n in (ATTACH, FRESH) if n in names] + [UNLOGGED] * (FRESH in names)
    return made + [berth(place, prefix, n, files=True, processor=processor) for n in berths]


def assemble(place, prefix, without=(), rivals=()):
    """The one to compare with comes first."""
    makers = {BARE: bare, **{n: lambda p, n=n: berth(p, prefix, n)
                             for n in (*BERTHS, *PAMS)},
              RUN: docker_run, EXEC: docker_exec}
    for name in without:
        if name not in makers:
            raise SystemExit(f"bench: --without {name}: there are {', '.join(makers)}")
    return ([make(place) for name, make in makers.items() if name not in without] +
            [rival(line) for line in rivals])
