"""What README and berth.conf(5) show as berth.conf: it is taken, line by line, for whom it names."""
import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest

from harness import nss as nss_module, readme

CONFIGURATION = re.compile(r"(defaults|group|user) ?[^\n]*\{")
MAN = "man/berth.conf.5.in"


def of_readme():
    with open(os.path.join(readme.TOP, "README"), encoding="utf-8") as f:
        titles = re.findall(r"^(.+)\n-{3,}$", f.read(), re.M)
    return [(title, block) for title in titles
            for _, block in readme.blocks(readme.section(title)) if CONFIGURATION.match(block)]


def of_the_manual():
    with open(os.path.join(readme.TOP, MAN), encoding="utf-8") as f:
        text = f.read().split(".Sh EXAMPLES", 1)[1].split(".Sh ", 1)[0]
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.M | re.S)
    return [("berth.conf(5)", block) for block in blocks]


EXAMPLES = of_readme() + of_the_manual()


@pytest.fixture(scope="module")
def database(session_world):
    folder = tempfile.mkdtemp(prefix="nss-", dir=session_world.dir)
    os.chmod(folder, 0o755)
    yield nss_module.Nss(session_world.syslog, folder, session_world.engine_group)
    shutil.rmtree(folder)


def lines_with_options(text):
    """{line: [options]}, as a reader sees them; but for groups, whose members the machine says."""
    found, section = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        section = line.split()[0] if CONFIGURATION.match(line) else section
        options = re.findall(r"\b([a-z_]+) *= *", re.sub(r'"[^"]*"', '""', line).replace("= {}", ""))
        if options and section != "group":
            found[number] = options
    return found


def test_there_are_some():
    assert {title for title, _ in EXAMPLES} >= {
        "Install into the sshd you have", "A web host", "A class", "A team", "sftp",
        "The client's agent", "berth.conf(5)"}
    assert len(of_the_manual()) == 4


@pytest.mark.parametrize("title,text", EXAMPLES,
                         ids=[f"{t}-{i}" for i, (t, _) in enumerate(EXAMPLES)])
def test_an_example(world, database, title, text):
    """Each user that it names gets what stands there, and each line is somebody's."""
    # Some are a section to be added to a file that says which image.
    lead = "" if re.search(r"\bimage\b", text) else 'defaults { image = "image" }\n'
    world.conf.raw(lead + text)
    wanted, seen = lines_with_options(lead + text), {}
    names = re.findall(r'user "([^"]+)"', text)
    assert names
    for name in names:
        database.reset()
        database.say(name.replace("*", "7"), "/home/" + name.replace("*", "7"))
        argv = [os.path.join(world.prefix, "sbin/berth"), "explain", "--config", world.conf.path,
                "--json", name.replace("*", "7")]
        got = subprocess.run(database.wrap(argv), capture_output=True, text=True, timeout=60)
        assert (got.returncode, got.stderr) == (0, ""), got
        it = json.loads(got.stdout)
        assert ("user", name) in [(s["section"], s["title"]) for s in it["sections"]]
        for option, said in it["options"].items():
            for origin in said["origin"]:
                if origin["line"] is not None:
                    seen.setdefault(origin["line"], set()).add(option)
    database.reset()
    for number, options in wanted.items():
        # Said again later, it is the later line's.
        later = {o for at, more in wanted.items() if at > number for o in more}
        assert set(options) - later <= seen.get(number, set()), (number, seen)
