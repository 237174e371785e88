"""What an engine can't do: the tests that are skipped with it, and why."""

LACKS = {
    "podman": {
        **{f"test_names.py::test_without_names[{channel}]":
           "it adds a line for the uid to the container's /etc/passwd by itself"
           for channel in ("direct", "attach", "exec")},
        "test_streams.py::test_64_mib_through_cat[exec-busybox]":
            "exec always has detach keys; a byte of the input that comes alone and is the first "
            "of them, with a full block behind it, costs that block its last byte",
    },
}


def lacking(engine, nodeid):
    """The reason, or None."""
    return LACKS.get(engine, {}).get(nodeid.removeprefix("system/"))
