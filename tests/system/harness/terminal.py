"""A terminal with a screen: pexpect runs ssh on a PTY, pyte draws what comes."""
import os
import re
import select
import signal
import time

import pexpect
import pyte


class _Screen(pyte.Screen):
    def select_graphic_rendition(self, *attrs, private=False):
        """vim asks with a private form that pyte 0.8 stumbles over."""
        if not private:
            super().select_graphic_rendition(*attrs)


class Terminal:
    def __init__(self, argv, rows=24, cols=80, env=None):
        self.child = pexpect.spawn(argv[0], argv[1:], dimensions=(rows, cols), timeout=15, env=env)
        self.screen = _Screen(cols, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw, self.taken = b"", 0

    def send(self, data):
        self.child.send(data)

    def pump(self, wait=0.02):
        """Takes what has come; False at the end."""
        try:
            data = self.child.read_nonblocking(65536, timeout=wait)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return self.rest()
        self.take(data)
        return True

    def rest(self):
        """What pexpect leaves: it calls the end who died after it looked, with words unread. One
        that holds the terminal and lives on says nothing now."""
        while select.select([self.child.child_fd], [], [], 0)[0]:
            try:
                data = os.read(self.child.child_fd, 65536)
            except OSError:
                break
            self.take(data)
        return False

    def take(self, data):
        self.raw += data
        # pyte draws these keyboard queries as text; they show nothing on a real one.
        self.stream.feed(re.sub(rb"\x1b\[>[0-9;]*[a-zA-Z]", b"", data))

    def until(self, condition, what, timeout=15):
        end = time.monotonic() + timeout
        while not condition():
            alive = self.pump()
            if condition():
                return
            if not alive or time.monotonic() > end:
                raise AssertionError(f"no {what}; screen:\n" + "\n".join(self.lines())
                                     + f"\nraw tail: {self.raw[-500:]!r}")

    def expect(self, pattern, timeout=15):
        """Waits for a pattern in the raw bytes after what the last expect took."""
        found = []

        def search():
            found[:] = [re.search(pattern, self.raw[self.taken:], re.S)]
            return found[0]
        self.until(search, f"/{pattern!r}/", timeout)
        self.taken += found[0].end()
        return found[0]

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def resize(self, rows, cols):
        self.child.setwinsize(rows, cols)
        self.screen.resize(rows, cols)

    def nudge(self):
        """ssh 9.2 can miss a SIGWINCH that comes just before its poll(): again, same size."""
        self.child.kill(signal.SIGWINCH)

    def end(self, timeout=15):
        """Everything to EOF; the exit status."""
        stop = time.monotonic() + timeout
        while self.pump(0.1):
            if time.monotonic() > stop:
                raise AssertionError(f"no end; raw tail: {self.raw[-500:]!r}")
        self.child.close()
        return self.child.exitstatus

    def close(self):
        self.child.close(force=True)
