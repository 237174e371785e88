"""bash completion, as bash itself has it once the file was sourced."""
import os
import re
import subprocess

import pytest

SCRIPT = r"""
source "$1"
shift
PATH=$1:$PATH
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
complete -p berth >/dev/null || exit 9
_berth
printf '%s\n' "${COMPREPLY[@]}"
"""


def installed(world):
    return os.path.join(world.prefix, "share/bash-completion/completions/berth")


def complete(world, *words):
    got = subprocess.run(["bash", "--norc", "-c", SCRIPT, "bash", installed(world),
                          os.path.join(world.prefix, "sbin"), *words],
                         capture_output=True, text=True, timeout=20)
    assert (got.returncode, got.stderr) == (0, ""), got
    return set(got.stdout.split())


def test_commands(world):
    found = complete(world, "berth", "")
    assert {"ps", "kill", "metrics", "reap", "--help", "--version"} <= found
    assert all(word.replace("-", "").isalpha() for word in found), found
    assert complete(world, "berth", "me") == {"metrics"}
    assert complete(world, "berth", "--v") == {"--version"}
    assert complete(world, "berth", "nothing") == set()


COMMANDS = {"bundle", "check", "enter", "explain", "kill", "metrics", "network", "ps", "reap"}


def test_all_of_what_help_says(world):
    assert complete(world, "berth", "") == COMMANDS | {"--help", "--version"}
    for command in COMMANDS:
        got = subprocess.run([os.path.join(world.prefix, "sbin/berth"), command, "--help"],
                             capture_output=True, text=True)
        assert (got.returncode, got.stderr) == (0, "")
        options = set(re.findall(r"--[a-z][a-z-]+", got.stdout.split("\n\n")[0]))
        assert ("--config" in options) == (command != "bundle"), got.stdout
        assert options <= complete(world, "berth", command, "--"), command
    for command in ("explain", "enter"):
        assert complete(world, "berth", command, "bt-das") == {"bt-dash"}


@pytest.mark.parametrize("command,options", [
    ("ps", {"--config", "--user", "--json", "--help"}),
    ("kill", {"--config", "--user", "--help"}),
    ("metrics", {"--config", "--by-user", "--output", "--help"}),
    ("reap", {"--config", "--dry-run", "--json", "--help"})])
def test_options(world, command, options):
    assert options <= complete(world, "berth", command, "--")
    assert complete(world, "berth", command, "--conf") == {"--config"}


def test_users_and_files(world, tmp_path):
    assert {"root", "bt-bash"} <= complete(world, "berth", "ps", "--user", "")
    assert complete(world, "berth", "kill", "--user", "bt-das") == {"bt-dash"}
    (tmp_path / "one.conf").touch()
    assert complete(world, "berth", "ps", "--config", f"{tmp_path}/o") == {f"{tmp_path}/one.conf"}


def test_hostile_words(world, tmp_path):
    """What stands on the line is never run."""
    marker = tmp_path / "marker"
    for word in (f"$(touch {marker})", f"`touch {marker}`", f"; touch {marker}", "'", "--$(x)"):
        complete(world, "berth", word, "")
        complete(world, "berth", "ps", "--user", word)
        complete(world, "berth", word)
    assert not marker.exists()


def test_it_is_found_by_bash(world):
    """Nothing is printed, and nothing else is defined than its own."""
    got = subprocess.run(["bash", "--norc", "-uec", 'source "$1"; compgen -A function', "bash",
                          installed(world)], capture_output=True, text=True)
    assert (got.returncode, got.stderr) == (0, ""), got
    assert all(name.startswith("_berth") for name in got.stdout.split()), got.stdout
