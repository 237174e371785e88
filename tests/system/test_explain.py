"""berth explain: what a login gets is what it says, with the line that gave it."""
import json
import os
import pwd
import subprocess

import pytest

PROGRAM = "sbin/berth"


@pytest.fixture
def explain(world):
    def run(*options, config=None, **kw):
        argv = [os.path.join(world.prefix, PROGRAM), "explain", "--config",
                config or world.conf.path]
        return subprocess.run(argv + list(options), capture_output=True, text=True, timeout=30,
                              **kw)
    return run


def explained(got):
    assert (got.returncode, got.stderr) == (0, ""), got
    return json.loads(got.stdout)


def refused(got, *words):
    assert (got.returncode, got.stdout) == (1, ""), got
    assert got.stderr.startswith("berth explain: ") and got.stderr.count("\n") == 1, got
    for word in words:
        assert word in got.stderr, got


CONF = """\
runtime_dir = '{runtime}'
engine {{ endpoint = 'unix://{socket}' }}
defaults {{
    image = '{image}'
    env = {{'A=%u', 'B=50%%'}}
    memory = '64m'
}}
group "bt-*" {{
    env = {{'A=group'}}
    mounts = {{'/srv/%u:/data:ro'}}
}}
user "bt-d*" {{ memory = '128m' }}
user "bt-dash" {{
    env = {{'C=3'}}
    workdir = '/work'
}}
"""


def write(world, extra="", runtime=None):
    world.conf.raw(CONF.format(runtime=runtime or world.runtime, socket=world.socket,
                               image=world.conf.image) + extra)


def test_values_and_origins(world, explain):
    write(world)
    entry = pwd.getpwnam("bt-dash")
    it = explained(explain("--json", "bt-dash"))
    assert (it["user"], it["uid"], it["gid"]) == ("bt-dash", entry.pw_uid, entry.pw_gid)
    assert set(it["groups"]) == {"bt-dash", world.group_name()}
    assert it["sections"] == [{"section": kind, "title": title, "counts": True} for kind, title in
                              (("group", "bt-*"), ("user", "bt-d*"), ("user", "bt-dash"))]
    options = it["options"]

    def origin(line, section, title=None):
        return {"builtin": False, "file": world.conf.path, "line": line, "section": section,
                "title": title}
    builtin = {"builtin": True, "file": None, "line": None, "section": None, "title": None}
    assert options["memory"] == {"value": "128m", "origin": [origin(12, "user", "bt-d*")]}
    assert options["pids"] == {"value": "256", "origin": [builtin]}
    assert options["user"]["value"] == f"{entry.pw_uid}:{entry.pw_gid}"
    assert options["runtime_dir"] == {"value": world.runtime, "origin": [origin(1, None)]}
    assert options["endpoint"] == {"value": "unix://" + world.socket,
                                   "origin": [origin(2, "engine")]}
    assert options["hostname"] == {"value": None, "origin": []}
    assert options["dns"] == {"value": [], "origin": []}
    # The group's A took the place of the defaults'.
    assert options["env"]["value"] == ["B=50%", "A=group", "C=3"]
    assert options["env"]["origin"] == [origin(5, "defaults"), origin(9, "group", "bt-*"),
                                        origin(14, "user", "bt-dash")]
    assert options["mounts"]["value"] == ["/srv/bt-dash:/data:ro"]
    body = it["create"]
    assert body["Image"] == world.conf.image and body["WorkingDir"] == "/work"
    assert body["HostConfig"]["Memory"] == 128 << 20
    assert {m["Target"] for m in body["HostConfig"]["Mounts"]} >= {"/data", "/.berth"}


def test_the_create_body_is_the_sessions(world, explain, login):
    """What is asked for at a real login; only what names the session is its own."""
    world.conf.write(memory="64m", hostname="berth", env=["X=1"])
    it = explained(explain("--json", "bt-bash"))["create"]
    proc = login.start("echo up; read x")
    assert proc.stdout.readline() == b"up\n"
    try:
        seen = world.container()
    finally:
        proc.communicate(b"\n", timeout=10)
    assert seen["Config"]["Image"] == it["Image"] and seen["Config"]["User"] == it["User"]
    assert seen["Config"]["Hostname"] == it["Hostname"] == "berth"
    for key in ("Memory", "PidsLimit", "CapDrop", "SecurityOpt", "NetworkMode", "ReadonlyRootfs"):
        assert seen["HostConfig"][key] == it["HostConfig"][key], key
    own = {"berth.session"}
    assert {k: v for k, v in seen["Config"]["Labels"].items()
            if k.startswith("berth.") and k not in own} == \
        {k: v for k, v in it["Labels"].items() if k not in own}


@pytest.mark.parametrize("options", [{"scope": "user"}, {"scope": "connection"},
                                     {"channel": "attach"},
                                     {"channel": "attach", "scope": "user"}],
                         ids=lambda o: "-".join(o.values()))
def test_each_kind_of_container(world, explain, options):
    world.conf.write(**options)
    body = explained(explain("--json", "bt-bash"))["create"]
    scope = options.get("scope", "session")
    assert body["Labels"]["berth.scope"] == scope
    guest = any("berth-guest" in word for word in body["Entrypoint"])
    assert guest == (options.get("channel") != "attach")
    assert body["OpenStdin"] == (options == {"channel": "attach"})


def test_inherit_no(world, explain):
    write(world, "user 'bt-bash' { inherit = no image = 'other' }\n")
    it = explained(explain("--json", "bt-bash"))
    assert [s["counts"] for s in it["sections"]] == [False, True]
    assert it["options"]["image"]["value"] == "other" and it["options"]["env"]["value"] == []
    assert "(left out: inherit = no)" in explain("bt-bash").stdout


def test_lines(world, explain):
    write(world)
    got = explain("bt-dash")
    assert (got.returncode, got.stderr) == (0, "")
    lines = got.stdout.splitlines()
    assert lines[0].startswith(f"bt-dash: uid {world.uid('bt-dash')}, gid ")
    assert lines[1] == 'sections: defaults, group "bt-*", user "bt-d*", user "bt-dash"'
    assert f'memory            "128m"  # {world.conf.path}:12 user "bt-d*"' in lines
    assert 'pids              "256"  # built-in' in lines
    assert "hostname          -" in lines
    at = lines.index("create, for a shell without a terminal:")
    assert json.loads("\n".join(lines[at + 1:]))["Image"] == world.conf.image


def test_deny(world, explain):
    world.conf.write(deny="not today, %u")
    it = explained(explain("--json", "bt-bash"))
    assert it["create"] is None and it["options"]["deny"]["value"] == "not today, bt-bash"
    assert "nothing is created: deny is set" in explain("bt-bash").stdout


def test_hostile_values_are_shown_escaped(world, explain):
    world.conf.write(banner="a\nb\tc")
    got = explain("bt-bash")
    assert r'"a\x0ab\x09c"' in got.stdout, got
    assert explained(explain("--json", "bt-bash"))["options"]["banner"]["value"] == "a\nb\tc"


def test_unmapped(world, explain):
    world.conf.write(users={"alice": {}})
    refused(explain("bt-bash"), "no user or group section", world.conf.path, '"bt-bash"')
    refused(explain("--json", "bt-bash"), '"bt-bash"')


def test_no_such_account(explain):
    refused(explain("bt-nobody-has-this"), 'no account "bt-nobody-has-this"')
    refused(explain("x\ny"), r"x\x0ay")
    refused(explain("a" * 5000))


def test_bad_configuration(world, explain):
    world.conf.raw("nothing = 5\n")
    refused(explain("bt-bash"), f"{world.conf.path}:1: ")
    refused(explain("bt-bash", config="/nonexistent/berth.conf"), "/nonexistent/berth.conf")


def test_anybody_may_ask(world, explain):
    got = explain("bt-bash", user=world.uid("bt-plain"), group=world.uid("bt-plain"),
                  extra_groups=[])
    assert got.returncode == 0 and got.stdout.startswith("bt-bash: uid "), got


@pytest.mark.parametrize("options", [["--nothing"], [], ["a", "b"], ["--config"]])
def test_usage(world, options):
    got = subprocess.run([os.path.join(world.prefix, PROGRAM), "explain"] + options,
                         capture_output=True, text=True)
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("berth explain: ") and got.stderr.count("\n") == 1, got


def test_full_output(world):
    with open("/dev/full", "w") as full:
        got = subprocess.run([os.path.join(world.prefix, PROGRAM), "explain", "--config",
                              world.conf.path, "bt-bash"], stdout=full, stderr=subprocess.PIPE,
                             text=True)
    assert (got.returncode, got.stderr) == (1, "berth explain: cannot write all of its output\n")
