"""What an engine can't do: the tests that are skipped with it, and why."""

BOTH = ("direct", "attach")


def _each(name, channels, why):
    return {f"{name}[{channel}]": why for channel in channels}


LACKS = {
    "podman": {
        **_each("test_names.py::test_without_names", (*BOTH, "exec"),
                "it adds a line for the uid to the container's /etc/passwd by itself"),
        "test_streams.py::test_64_mib_through_cat[exec-busybox]":
            "exec always has detach keys; a byte of the input that comes alone and is the first "
            "of them, with a full block behind it, costs that block its last byte",
        "test_policy.py::test_read_only":
            "it puts folders in memory on /tmp, /run and /var/tmp of a read-only container",
        "test_policy.py::test_ulimits":
            "it raises the number of processes to its own, for which it needs CAP_SYS_RESOURCE",
        "test_policy.py::test_create_merges_last": "its API takes no Domainname",
        "test_policy.py::test_runtime_and_init[attach]":
            "its API heeds no Runtime, so that berth refuses one, and shows no Init",
        **_each("test_policy.py::test_defaults_by_inspect", BOTH,
                "it shows mounts as Binds, and no Mounts"),
        **_each("test_home.py::test_home_by_inspect", BOTH, "it shows no Mounts"),
        "test_explain.py::test_the_create_body_is_the_sessions":
            "it shows localhost/NAME:latest for an image called NAME",
        **_each("test_enter.py::test_what_a_lost_terminal_leaves", ("closed", "killed"),
                "its list of a container's processes is empty with ps_args"),
        "test_pull.py::test_pull_failing_half_way":
            "it fetches no layer that it has already, as a part of another image",
        **_each("test_forwarding_end.py::test_killed_while_nobody_is_in",
                (f"{channel}-both-session" for channel in BOTH),
                "it removes no container whose network another one has, so that what the next "
                "login's sweep removes may stay until the one after"),
    },
}


def lacking(engine, nodeid):
    """The reason, or None."""
    return LACKS.get(engine, {}).get(nodeid.removeprefix("system/"))
