"""Test users, made with useradd and taken away again, and their groups."""
import grp
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
    for entry in grp.getgrall():
        if entry.gr_name.startswith(PREFIX):
            remove_group(entry.gr_name)


def make_group(name, *members):
    subprocess.run(["groupadd", name], check=True, capture_output=True)
    for user in members:
        join(name, user)
    return grp.getgrnam(name)


def remove_group(name):
    subprocess.run(["groupdel", "-f", name], capture_output=True)


def join(group, user):
    subprocess.run(["usermod", "-aG", group, user], check=True, capture_output=True)


def leave(group, user):
    subprocess.run(["gpasswd", "-d", user, group], check=True, capture_output=True)


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
