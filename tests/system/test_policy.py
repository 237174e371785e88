"""What berth.conf gives a container, seen from inside it and by inspect."""
import json
import os

import pytest

from harness import images
from harness.wait import wait_for

both = pytest.mark.channels("direct", "attach")
# What the direct channel mounts for itself, and the hosts file of a container without network.
GUESTS_MOUNTS = ("/.berth", "/.berth/run")
OWN_MOUNTS = ("/etc/group", "/etc/hosts", "/etc/passwd")


def inside(world, command="cat /proc/self/status", user="bt-bash", **options):
    world.conf.write(**options)
    got = world.login(user).run(command)
    assert (got.returncode, got.stderr) == (0, b""), (got.returncode, got.stderr)
    return got.stdout.decode()


def status_field(text, name):
    return [line.split(":", 1)[1].split() for line in text.splitlines()
            if line.startswith(name + ":")][0]


def inspected(world, **options):
    """The container of a session that waits for its input."""
    world.conf.write(**options)
    proc = world.login().start("echo up; cat")
    try:
        assert proc.stdout.readline() == b"up\n", proc.stderr.read()
        return world.container()
    finally:
        proc.communicate()
        wait_for(lambda: not world.containers(), 5, "the container gone")


# --- the built-in defaults

@both
def test_defaults_are_the_safe_ones(world, each):
    got = each.run("cat /proc/self/status; ls /proc/self/fd").stdout.decode()
    uid, gid = str(world.uid("bt-bash")), str(world.users["bt-bash"].pw_gid)
    assert status_field(got, "Uid") == [uid] * 4
    assert status_field(got, "Gid") == [gid] * 4
    assert status_field(got, "Groups") in ([], [gid])
    for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status_field(got, caps)[0], 16) == 0, caps
    assert status_field(got, "NoNewPrivs") == ["1"]
    assert status_field(got, "Seccomp") == ["2"]


@both
def test_defaults_by_inspect(world):
    info = inspected(world)
    host, config = info["HostConfig"], info["Config"]
    assert not host["Privileged"] and not host["Binds"]
    own = (GUESTS_MOUNTS if world.channel == "direct" else ()) + OWN_MOUNTS
    assert sorted((m["Destination"], m["RW"]) for m in info["Mounts"]) == [
        (path, False) for path in own]
    assert host["LogConfig"]["Type"] == "none"
    assert host["PidsLimit"] == 256
    # direct: the guest is process 1, and the engine's restart removes nothing that lives.
    assert (host["Init"], host["AutoRemove"]) == (world.channel == "attach",) * 2
    assert host["IpcMode"] in ("private", "none", "shareable") and host["PidMode"] == ""
    assert "ALL" in [c.upper() for c in host["CapDrop"]]
    assert config["User"] == f"{world.uid('bt-bash')}:{world.users['bt-bash'].pw_gid}"
    assert (config.get("Healthcheck") or {}).get("Test") in (None, ["NONE"])


def test_no_network_but_lo(world, each):
    got = each.run("cat /proc/net/dev; cat /etc/hosts").stdout.decode()
    links = [line.split(":")[0].strip() for line in got.splitlines() if ":" in line and "|" not in
             line and line.split(":")[0].strip().isalnum()]
    assert links == ["lo"]
    assert "127.0.0.1" in got and "localhost" in got


def test_lo_is_up_and_localhost_resolves(world, login):
    got = login.run("echo hello >/tmp/f; httpd -p 127.0.0.1:7777 -h /tmp; "
                    "wget -q -O - http://localhost:7777/f")
    assert (got.stdout, got.stderr) == (b"hello\n", b"")


def test_pids_limit_holds(world):
    world.conf.write(pids=20)
    got = world.login().run("i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo all")
    assert got.stdout != b"all\n" or b"fork" in got.stderr
    assert b"fork" in got.stderr


@both
def test_an_init_is_pid_1(world, each):
    assert each.run("cat /proc/1/comm").stdout.strip() not in (b"sh", b"bash", b"cat")
    assert each.run("(sleep 0.2 & ) ; sleep 0.6; grep -l '^State:.Z' /proc/[0-9]*/status"
                    ).stdout == b""


@both
def test_entrypoint_and_health_check_are_off(world):
    got = inside(world, "sleep 2; ls /; id -u; pwd; echo $FROM_IMAGE", image=images.DRESSED)
    lines = got.splitlines()
    assert "healthcheck-ran" not in lines
    assert lines[-3:] == [str(world.uid("bt-bash")), "/srv", "yes"]


def test_the_image_volume_is_no_host_mount(world):
    info = inspected(world, image=images.VOLUME)
    assert [(m["Type"], m["Destination"]) for m in info["Mounts"]
            if m["Destination"] not in GUESTS_MOUNTS + OWN_MOUNTS] == [("volume", "/data")]


@both
def test_name_and_labels(world):
    info = inspected(world)
    labels = {k: v for k, v in info["Config"]["Labels"].items() if k.startswith("berth.")}
    with open("/etc/machine-id") as f:
        machine = f.read().strip()
    session, uid = labels["berth.session"], str(world.uid("bt-bash"))
    assert len(session) == 16 and set(session) <= set("0123456789abcdef")
    assert (labels["berth.machine"], labels["berth.uid"], labels["berth.user"],
            labels["berth.scope"]) == (machine, uid, "bt-bash", "session")
    assert info["Name"] == f"/berth-{machine[:8]}-{uid}-{session}"


# --- each option

@both
def test_user_option(world):
    assert inside(world, "id -u; id -g", user="bt-bash", users={"bt-*": {"user": "4242:4242"}}
                  ) == "4242\n4242\n"
    assert inside(world, "id -u", users={"bt-*": {"user": "root"}}) == "0\n"
    assert inside(world, "id -un", users={"bt-*": {"user": "inside"}}) == "inside\n"


def test_expansion(world):
    uid, gid = world.uid("bt-bash"), world.users["bt-bash"].pw_gid
    got = inside(world, "echo $A; hostname", env=["A=%u,%U,%G,%h,%%,100%%u"], hostname="box-%u")
    assert got == f"bt-bash,{uid},{gid},/home/bt-bash,%,100%u\nbox-bt-bash\n"


@both
def test_shell_option(world):
    name = "ash" if world.channel == "direct" else "/bin/ash"
    assert inside(world, "echo $0", shell="/bin/ash").strip() == name
    world.conf.write(image=images.GLIBC, shell="/bin/bash")
    assert world.login().run("echo $BASH_VERSION").stdout.strip() != b""
    world.conf.write(image=images.GLIBC, shell="/bin/sh")
    assert world.login().run("echo [$BASH_VERSION]").stdout == b"[]\n"


def test_shell_auto_finds_one_in_each_image(each, world):
    assert each.run("echo $0").returncode == 0


@both
def test_workdir(world):
    assert inside(world, "pwd", workdir="/srv") == "/srv\n"
    assert inside(world, "pwd", workdir="/tmp/%u") == "/tmp/bt-bash\n"


def test_network_option(world):
    assert "eth0" in inside(world, "cat /proc/net/dev", network="bridge")
    info = inspected(world, network="host")
    assert info["HostConfig"]["NetworkMode"] == "host"
    net = world.engine.call("POST", "/networks/create", {"Name": "bt-net", "Internal": True})
    try:
        info = inspected(world, network="bt-net")
        assert list(info["NetworkSettings"]["Networks"]) == ["bt-net"]
    finally:
        world.engine.call("DELETE", f"/networks/{net['Id']}")


def test_dns(world):
    assert "nameserver 192.0.2.7" in inside(world, "cat /etc/resolv.conf", network="bridge",
                                            dns=["192.0.2.7"])


def test_mounts(world, data_dir):
    with open(os.path.join(data_dir, "hello"), "w") as f:
        f.write("from the host\n")
    rw = os.path.join(world.dir, "rw")
    os.makedirs(rw, exist_ok=True)
    os.chown(rw, world.uid("bt-bash"), -1)
    got = inside(world, "cat /ro/hello; touch /ro/x 2>/dev/null || echo refused; echo new >/rw/f",
                 mounts=[f"{data_dir}:/ro:ro", f"{rw}:/rw"])
    assert got == "from the host\nrefused\n"
    with open(os.path.join(rw, "f")) as f:
        assert f.read() == "new\n"
    assert os.stat(os.path.join(rw, "f")).st_uid == world.uid("bt-bash")


def test_mounts_expand_and_add_up(world):
    for name in ("site-bt-bash", "site-all"):
        os.makedirs(os.path.join(world.dir, name), exist_ok=True)
    got = inside(world, "ls -d /site*; grep -c ' /site' /proc/mounts",
                 mounts=[f"{world.dir}/site-all:/site-all"],
                 users={"bt-*": {"mounts": [f"{world.dir}/site-%u:/site-%u"]}})
    assert got == "/site-all\n/site-bt-bash\n2\n"


def test_tmpfs(world):
    got = inside(world, "grep ' /scratch ' /proc/mounts; touch /scratch/f && echo ok",
                 tmpfs=["/scratch:size=1m,mode=1777"])
    assert got.split()[1:3] == ["/scratch", "tmpfs"] and got.endswith("ok\n")
    assert "size=1024k" in got


def test_memory_and_cpus(world):
    info = inspected(world, memory="64m", memory_swap="128m", cpus="1.5")["HostConfig"]
    assert (info["Memory"], info["MemorySwap"], info["NanoCpus"]) == (
        64 << 20, 128 << 20, 1500000000)


def test_memory_limit_kills(world):
    world.conf.write(memory="16m", memory_swap="16m")
    got = world.login().run("head -c 100000000 /dev/zero | tail -c 99999999 | wc -c; echo alive")
    assert b"99999999" not in got.stdout


def test_ulimits(world):
    assert inside(world, "ulimit -n; ulimit -Hn", ulimits=["nofile=100:200"]) == "100\n200\n"


def test_capabilities(world):
    """cap_add alone: what isn't named stays dropped."""
    got = inside(world, users={"bt-*": {"user": "0:0", "cap_add": ["CHOWN", "NET_RAW"]}})
    assert int(status_field(got, "CapBnd")[0], 16) == 1 << 0 | 1 << 13


def test_no_new_privileges_can_be_opened(world):
    assert status_field(inside(world, no_new_privileges=False), "NoNewPrivs") == ["0"]


def test_security_opt(world):
    got = inside(world, security_opt=["seccomp=unconfined"])
    assert status_field(got, "Seccomp") == ["0"]
    assert status_field(got, "NoNewPrivs") == ["1"]


def test_read_only(world):
    assert inside(world, "touch /tmp/x 2>/dev/null && echo wrote || echo refused",
                  read_only=True) == "refused\n"


@pytest.mark.channels("attach")
def test_runtime_and_init(world):
    info = inspected(world, runtime="runc", init=False)["HostConfig"]
    assert (info["Runtime"], info["Init"]) == ("runc", False)


def test_devices(world):
    assert inside(world, "test -c /dev/fuse && echo there", devices=["/dev/fuse"]) == "there\n"


def test_labels_and_env(world):
    info = inspected(world, labels=["site=a", "who=%u"], env=["A=1"])
    assert (info["Config"]["Labels"]["site"], info["Config"]["Labels"]["who"]) == ("a", "bt-bash")
    assert inside(world, "echo $A-$B", env=["A=1"], users={"bt-*": {"env": ["B=2 3"]}}
                  ) == "1-2 3\n"


def test_labels_cannot_change_berths_own(world):
    world.conf.write(labels=["berth.session=0000000000000000", "berth.user=root"])
    proc = world.login().start("echo up; cat")
    first = proc.stdout.readline()
    if first == b"up\n":
        rows = world.containers("bt-bash")
        assert len(rows) == 1 and rows[0]["Labels"]["berth.session"] != "0" * 16
        proc.communicate()
    else:
        _, err = proc.communicate()
        assert proc.returncode == 254 and err.startswith(b"berth: ")


def test_later_sections_win(world):
    got = inside(world, "hostname; echo $A", hostname="one", env=["A=default"], users={
        "bt-*": {"hostname": "two"}, "bt-bash": {"hostname": "three", "env": ["A=user"]},
        "bt-dash": {"hostname": "four"}})
    assert got == "three\nuser\n"


# --- raw fields

def create_file(world, fields):
    path = os.path.join(world.dir, "create.json")
    with open(path, "w") as f:
        f.write(fields if isinstance(fields, str) else json.dumps(fields))
    os.chmod(path, 0o644)
    return path


def test_create_merges_last(world):
    path = create_file(world, {"Domainname": "example.org", "Env": ["RAW=1"],
                               "HostConfig": {"ShmSize": 1 << 20, "OomScoreAdj": 500}})
    info = inspected(world, create=path)
    assert info["Config"]["Domainname"] == "example.org"
    assert (info["HostConfig"]["ShmSize"], info["HostConfig"]["OomScoreAdj"]) == (1 << 20, 500)
    # What the file doesn't name stays.
    assert info["HostConfig"]["LogConfig"]["Type"] == "none"
    assert info["HostConfig"]["PidsLimit"] == 256


def test_create_cannot_change_name_and_labels(world):
    path = create_file(world, {"Name": "bt-mine", "Labels": {
        "berth.session": "0" * 16, "berth.user": "root", "berth.machine": "x", "mine": "1"}})
    info = inspected(world, create=path)
    labels = info["Config"]["Labels"]
    assert labels["berth.user"] == "bt-bash" and labels["berth.session"] != "0" * 16
    assert labels.get("mine") == "1"
    assert info["Name"].startswith("/berth-") and info["Name"].endswith(labels["berth.session"])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"HostConfig": 5}', "nonsense", "{}{}",
                                  '{"HostConfig": null}', '{"hostconfig": {}}'],
                         ids=["empty", "array", "cut", "wrong-type", "word", "two", "null",
                              "other-case"])
def test_create_file_that_is_no_object(world, text):
    world.conf.write(create=create_file(world, text))
    got = world.login().run("true")
    assert (got.returncode, got.stdout) == (254, b"") and got.stderr.startswith(b"berth: ")


def test_create_file_missing(world):
    world.conf.write(create=os.path.join(world.dir, "none.json"))
    got = world.login().run("true")
    assert got.returncode == 254 and b"none.json" in got.stderr
