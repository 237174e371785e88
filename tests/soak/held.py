"""Sessions that last from the first moment to the last, and must neither fail nor grow."""
import os

from deeds import LIMIT, TOO_SLOW
from harness.client import Login
from harness.forwarding import Connection, line
from harness.terminal import Terminal


class Pipes:
    """One of `login`, without a terminal."""

    def __init__(self, login, **kw):
        self.count = 0
        self.proc = login.start("while read x; do echo $x; done; exit 7", **kw)

    def answers(self):
        self.count += 1
        self.proc.stdin.write(b"%d\n" % self.count)
        assert line(self.proc, LIMIT) == str(self.count)

    def ends(self):
        self.proc.stdin.close()
        self.proc.stdin = None
        assert self.proc.wait(LIMIT) == 7, self.proc.returncode

    def said(self):
        self.proc.kill()
        return self.proc.communicate()[1].decode()

    def close(self):
        self.said()


class Typed:
    """One with a terminal."""

    def __init__(self, login):
        self.count = 0
        self.it = Terminal(login.argv("while read x; do echo got $x; done; exit 7", opts=["-tt"]),
                           env={**os.environ, "TERM": "xterm"})

    def answers(self):
        self.count += 1
        self.it.send(f"{self.count}\r")
        self.it.expect(b"got %d\r\n" % self.count, timeout=LIMIT)

    def ends(self):
        self.it.send("\x04")
        assert self.it.end(LIMIT) == 7

    def said(self):
        return self.it.raw.decode()

    def close(self):
        self.it.close()


class Forwards:
    """A connection that may forward, and a session on it."""

    def __init__(self, place, user):
        self.conn = Connection(place.client, user, os.path.join(place.own_files, "held"),
                               timeout=LIMIT)
        self.session = Pipes(self.conn)
        self.answers, self.ends = self.session.answers, self.session.ends
        self.said = self.session.said

    def close(self):
        self.session.close()
        self.conn.close()


def begun(make):
    """One that answers; for which the engine is too slow is tried again."""
    for _ in range(10):
        it = make()
        try:
            it.answers()
            return it
        except (AssertionError, OSError):
            said = it.said()
            it.close()
            if not TOO_SLOW.search(said):
                raise AssertionError(said) from None
    raise AssertionError("the engine is too slow")


def start_all(place):
    live, kept = (Login(place.client, f"bt-soak-{name}", "busybox") for name in ("live", "kept"))
    agent = {"opts": ["-A"], "env": place.agent.env}
    return [begun(make) for make in (
        lambda: Pipes(live), lambda: Typed(live), lambda: Pipes(live, **agent),
        lambda: Pipes(kept), lambda: Typed(kept), lambda: Pipes(kept, **agent),
        lambda: Forwards(place, "bt-soak-forward-held"))]
