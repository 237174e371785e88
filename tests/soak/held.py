"""Sessions that last from the first moment to the last, and must neither fail nor grow."""
import os
import subprocess

from deeds import LIMIT
from harness.client import Login
from harness.forwarding import Connection, line
from harness.terminal import Terminal


class Pipes:
    """One of `login`, without a terminal."""

    def __init__(self, login, **kw):
        self.count = 0
        self.proc = login.start("while read x; do echo $x; done; exit 7", stderr=subprocess.DEVNULL,
                                **kw)

    def answers(self):
        self.count += 1
        self.proc.stdin.write(b"%d\n" % self.count)
        assert line(self.proc, LIMIT) == str(self.count)

    def ends(self):
        self.proc.stdin.close()
        self.proc.stdin = None
        assert self.proc.wait(LIMIT) == 7, self.proc.returncode

    def close(self):
        self.proc.kill()
        self.proc.communicate()


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

    def close(self):
        self.it.close()


class Forwards:
    """A connection that may forward, and a session on it."""

    def __init__(self, place, user):
        self.conn = Connection(place.client, user, os.path.join(place.own_files, "held"),
                               timeout=LIMIT)
        self.session = Pipes(self.conn)
        self.answers, self.ends = self.session.answers, self.session.ends

    def close(self):
        self.session.close()
        self.conn.close()


def start_all(place):
    live, kept = (Login(place.client, f"bt-soak-{name}", "busybox") for name in ("live", "kept"))
    return [Pipes(live), Typed(live), Pipes(live, opts=["-A"], env=place.agent.env),
            Pipes(kept), Typed(kept), Pipes(kept, opts=["-A"], env=place.agent.env),
            Forwards(place, "bt-soak-forward-held")]
