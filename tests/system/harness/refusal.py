"""What every refusal looks like: one line, exit 254, a log line."""

LOGGED = r"<8[0-7]>.*berth-session.*(deny|config|refused|fail|cannot|error)"


def one_line(status, out, err, *expected):
    """The line of a refused session, in which all of `expected` stand."""
    assert (status, out) == (254, b""), (status, out, err)
    text = err.decode()
    assert text.startswith("berth: ") and text.count("\n") == 1 and text.endswith("\n"), text
    for word in expected:
        assert word in text, f"{word!r} not in {text!r}"
    return text


def refused(world, *expected, user="bt-bash", client=None, timeout=15):
    got = (client or world.client).run(user, "echo ran", timeout=timeout)
    text = one_line(got.returncode, got.stdout, got.stderr, *expected)
    world.syslog.wait(LOGGED, world.mark)
    return text
