"""Test users, made with useradd and taken away again."""
import os
import pwd
import subprocess
import time

from .procs import of_users

PREFIX = "bt-"
# name -> (login shell, in the group of the engine's socket)
USERS = {
    "bt-bash": ("/bin/bash", True),
    "bt-dash": ("/bin/sh", True),
    "bt-env": ("/bin/bash", True),       # sshd's SetEnv gives him 900 variables
    "bt-forge": ("/bin/bash", True),     # sshd's SetEnv says USER=bt-bash
    "bt-nogroup": ("/bin/bash", False),  # may not reach the engine
    "bt-plain": ("/bin/bash", False),    # no ForceCommand: the plain host beside berth
}


def end_processes(uids):
    """Ends what still runs under uids that only these tests use."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pids = [row[0] for row in of_users(uids)]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        time.sleep(0.02)


def remove(name):
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        return
    end_processes({uid})
    subprocess.run(["userdel", "-r", "-f", name], capture_output=True)


def remove_all():
    for entry in pwd.getpwall():
        if entry.pw_name.startswith(PREFIX):
            remove(entry.pw_name)


def make(name, shell, group=None, extra=()):
    cmd = ["useradd", "-m", "-s", shell, "-p", "*"]
    if group is not None:
        cmd += ["-G", str(group)]
    subprocess.run(cmd + list(extra) + [name], check=True, capture_output=True)
    return pwd.getpwnam(name)


def make_all(group):
    remove_all()
    return {name: make(name, shell, group if engine else None)
            for name, (shell, engine) in USERS.items()}
