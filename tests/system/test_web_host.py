"""The README's web host, from its own lines: two people, three sites, one uid for all files.

What started berth: anna works on the sites a and b, bjarne on b and c, neither sees the third, and
the servers of the sites, containers that others made, run on unharmed.
"""
import os
import re
import shutil
import subprocess

import pytest

from harness import images, readme, users
from harness.wait import wait_for

ANNA, BJARNE = "bt-bash", "bt-dash"
SITES = "abc"


def told():
    """(the configuration, the commands) of "A web host"."""
    blocks = [block for _, block in readme.blocks(readme.section("A web host"))]
    config = [b for b in blocks if b.startswith("defaults {")]
    commands = [b for b in blocks if b.startswith("groupadd ")]
    assert len(config) == len(commands) == 1, blocks
    return config[0], commands[0]


class Host:
    """What the README supposes is there, below a directory of the test's own."""

    def __init__(self, world):
        self.world = world
        self.root = os.path.join(world.dir, "srv")
        self.sites = os.path.join(self.root, "sites")
        self.servers = {}
        for site in SITES:
            path = os.path.join(self.sites, site)
            os.makedirs(path)
            with open(os.path.join(path, "index.html"), "w") as f:
                f.write(f"site {site}\n")
            for name in (path, os.path.join(path, "index.html")):
                os.chown(name, 33, 33)
        config, self.commands = told()
        for old, new in {"/srv/sites": self.sites, "site-tools:latest": images.BUSYBOX,
                         '"site-': '"bt-site-'}.items():
            assert old in config, config
            config = config.replace(old, new)
        head = world.conf.text(users={})
        world.conf.raw(head[:head.index("defaults {")] + config + "\n")

    def run(self, commands):
        """The README's commands, for the test's own names."""
        for line in commands.split("\n"):
            line = line.split("#")[0]
            for old, new in {"anna": ANNA, "bjarne": BJARNE, "site-": "bt-site-"}.items():
                line = re.sub(rf"\b{old}", new, line)
            if line.split()[:1] in (["groupadd"], ["usermod"]):
                subprocess.run(line.split(), check=True, capture_output=True)

    def start_server(self, site):
        """Serves the site's files, and writes its own log among them."""
        script = ("httpd -p 8080 -h /site; i=0; while :; do i=$((i+1)); echo $i >>/site/access.log;"
                  " sleep 0.1; done")
        body = {"Image": images.BUSYBOX, "User": "33:33", "Cmd": ["/bin/sh", "-c", script],
                "Labels": {"bt-server": site},
                "HostConfig": {"NetworkMode": "none", "Mounts": [
                    {"Type": "bind", "Source": os.path.join(self.sites, site),
                     "Target": "/site"}]}}
        name = f"bt-server-{site}"
        self.world.engine.remove(name)
        ident = self.world.engine.call("POST", f"/containers/create?name={name}", body)["Id"]
        self.servers[site] = ident
        self.world.engine.call("POST", f"/containers/{ident}/start")
        wait_for(lambda: self.beats(site) > 0, 10, f"a server of {site}")

    def state(self):
        """What would show that a server was harmed."""
        found = {}
        for site, ident in self.servers.items():
            info = self.world.engine.inspect(ident)
            found[site] = (info["Id"], info["State"]["Running"], info["State"]["Pid"],
                           info["State"]["StartedAt"], info["RestartCount"],
                           [m["Source"] for m in info["Mounts"]])
        return found

    def beats(self, site):
        try:
            with open(os.path.join(self.sites, site, "access.log")) as f:
                return len(f.read().splitlines())
        except FileNotFoundError:
            return 0

    def fetch(self, site, name):
        """A page, as the site's server gives it."""
        got = subprocess.run(["docker", "-H", "unix://" + self.world.socket, "exec",
                              self.servers[site], "wget", "-q", "-O", "-",
                              f"http://127.0.0.1:8080/{name}"], capture_output=True, timeout=20)
        return got.stdout if got.returncode == 0 else None

    def close(self):
        for ident in self.servers.values():
            self.world.engine.remove(ident)
        for site in SITES:
            users.remove_group(f"bt-site-{site}")
        shutil.rmtree(self.root)


@pytest.fixture
def host(world):
    it = Host(world)
    try:
        it.run(it.commands)
        for site in SITES:
            it.start_server(site)
        yield it
    finally:
        it.close()


def ran(got):
    assert (got.returncode, got.stderr) == (0, b""), got
    return got.stdout.decode()


@pytest.mark.channels("direct", "attach")
def test_the_web_host(world, host):
    before = host.state()
    anna, bjarne = world.login(ANNA), world.login(BJARNE)

    # Who sees what, as whom.
    assert ran(anna.run("pwd; ls; id -u; id -g")) == "/sites\na\nb\n33\n33\n"
    assert ran(bjarne.run("pwd; ls; id -u; id -g")) == "/sites\nb\nc\n33\n33\n"
    assert ran(anna.run("cat */index.html")) == "site a\nsite b\n"
    assert ran(bjarne.run("cat */index.html")) == "site b\nsite c\n"
    for login, third in ((anna, "c"), (bjarne, "a")):
        got = login.run(f"cat /sites/{third}/index.html /sites/*/../{third}/index.html; "
                        f"grep -c '/{third} ' /proc/mounts")
        assert f"site {third}" not in got.stdout.decode() and got.stdout == b"0\n"

    # At the same moment, in containers of their own, with the servers beside them.
    with anna.start("echo up; cat") as one, bjarne.start("echo up; cat") as two:
        assert (one.stdout.readline(), two.stdout.readline()) == (b"up\n", b"up\n")
        assert world.container(ANNA)["Id"] != world.container(BJARNE)["Id"]
        # What anna writes bjarne sees at once where both work, and so does the site's server.
        ran(anna.run("echo by anna >b/news.html; mkdir b/more; echo deep >b/more/page"))
        assert ran(bjarne.run("cat b/news.html b/more/page")) == "by anna\ndeep\n"
        assert host.fetch("b", "news.html") == b"by anna\n"
        ran(bjarne.run("echo and bjarne >>b/news.html; rm -r b/more"))
        assert ran(anna.run("cat b/news.html; ls b")).split("\n")[:2] == ["by anna", "and bjarne"]
        assert host.fetch("b", "news.html") == b"by anna\nand bjarne\n"
        assert host.fetch("b", "more/page") is None
        one.communicate()
        two.communicate()
    ran(anna.run("cat >a/up.bin", input=bytes(range(256)) * 1000))
    assert host.fetch("a", "up.bin") == bytes(range(256)) * 1000
    for name in ("b/news.html", "a/up.bin"):
        info = os.stat(os.path.join(host.sites, name))
        assert (info.st_uid, info.st_gid) == (33, 33)
    assert not os.path.exists(os.path.join(host.sites, "c", "news.html"))

    # The servers never noticed.
    assert host.state() == before
    for site in SITES:
        beats = host.beats(site)
        wait_for(lambda: host.beats(site) > beats, 5, f"the server of {site} going on")
        assert host.fetch(site, "index.html") == f"site {site}\n".encode()


def test_a_site_more_and_a_site_less(world, host):
    """The groups say it, from the next login on, with no change of berth.conf."""
    users.join("bt-site-c", ANNA)
    assert ran(world.login(ANNA).run("ls")) == "a\nb\nc\n"
    for site in SITES:
        users.leave(f"bt-site-{site}", ANNA)
    got = world.login(ANNA).run("ls")
    assert got.returncode == 254 and b"no user or group section" in got.stderr
    assert ran(world.login(BJARNE).run("ls")) == "b\nc\n"
