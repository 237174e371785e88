"""One session, held at a stage of its life, and what must hold whatever happens to it there."""
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from harness import procs
from harness.wait import wait_for

STAGES = ("before create", "created", "connected", "started", "mid-stream", "at exit")
CHANNELS = ("direct", "attach")
# The call of the engine's that is held, and whether only its answer is.
HELD = {
    "direct": {"before create": ("create", False), "created": ("start", False),
               "connected": ("start", True)},
    "attach": {"before create": ("create", False), "created": ("create", True),
               "connected": ("start", False)},
}
# s; the helper itself waits for a create no longer than 10.
PATIENCE = 8
# Nobody waits for longer: a hang.
BOUND = 60
STATUS = 6

# Until ground.go(): of a client that is gone its end is no word.
WAIT = "until [ -e /data/go ]; do sleep 0.1; done; "
QUIET = f"echo up; {WAIT}echo went; exit {STATUS}"
# Each line is on the disk when its number comes back.
ECHO = ("while read -r n; do echo $n >>/data/got && sync -d /data/got && echo $n || exit 7; done; "
        f"exit {STATUS}")
TAIL = f"echo up; read x; cat /data/tail; exit {STATUS}"
COMMANDS = {"mid-stream": ECHO, "at exit": TAIL}
# What a client of slow_client.py's, sshd's pipe and the helper together take up, so that the
# command ends, and what neither the first two nor all three do.
TAIL_SIZE = {"direct": 130000, "attach": 300000}
BEGUN = 50          # lines that have come back where the stream is under way
AHEAD = 64          # lines on their way at once


class Stream:
    """Numbered lines to the command, and back."""

    def __init__(self, proc):
        self.proc, self.back = proc, []
        self.over = threading.Event()
        self.room = threading.Semaphore(AHEAD)
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self._write, self._read)]
        for thread in self.threads:
            thread.start()

    def _write(self):
        number = 0
        try:
            while not self.over.is_set():
                if self.room.acquire(timeout=0.05):
                    self.proc.stdin.write(b"%d\n" % number)
                    number += 1
            self.proc.stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _read(self):
        with os.fdopen(os.dup(self.proc.stdout.fileno()), "rb") as out:
            for line in out:
                self.back.append(line)
                self.room.release()
        self.over.set()

    def flows(self, more=BEGUN):
        """So many lines more have come back."""
        until = len(self.back) + more
        wait_for(lambda: len(self.back) >= until, BOUND,
                 lambda: f"{until} lines back; {len(self.back)} are; {self.proc.poll()}")

    def end(self, by_itself):
        if not by_itself:
            self.over.set()
        for thread in self.threads:
            thread.join(BOUND)
            assert not thread.is_alive(), "the client hangs"
        return b"".join(self.back)


class Session:
    """ground: see conftest.py. `inside` is put before the client's command line, `host` is where
    its sshd is, `options` are ssh's."""

    def __init__(self, ground, stage, command=None, inside=(), host="127.0.0.1", options=()):
        self.ground, self.world, self.stage = ground, ground.world, stage
        self.user = "bt-bash"
        self.stream, self.up = None, b""
        command = command or COMMANDS.get(stage, QUIET)
        if stage == "at exit":
            client = ground.client
            argv = [sys.executable, "-B", os.path.join(os.path.dirname(__file__), "slow_client.py"),
                    host, str(client.port), client.sshd.key, self.user, command]
        else:
            argv = ground.client.argv(self.user, command)
            argv[1:1] = ["-o", f"HostName={host}", *options]
        call = HELD[self.world.channel].get(stage)
        mark = self.world.syslog.mark()
        if call:
            ground.gate.hold(*call)
        self.proc = subprocess.Popen([*inside, *argv], stdin=subprocess.PIPE, bufsize=0,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.since = time.monotonic()
        if call:
            ground.gate.wait()
            self._is_at(stage)
            return
        if stage == "mid-stream":
            self.stream = Stream(self.proc)
            self.stream.flows()
        else:
            self.up = self.proc.stdout.readline()
            assert self.up == b"up\n", self.proc.stderr.read()
        # The command, which has sshd's pipes, may have said so before the helper knows.
        self.world.syslog.wait(": open ", mark, BOUND)
        if stage == "at exit":
            self._ends()

    def _is_at(self, stage):
        rows = self.ground.containers()
        if stage == "before create":
            assert not rows, rows
            return
        assert len(rows) == 1, rows
        if stage == "connected" and self.world.channel == "direct":
            wait_for(lambda: any(what.startswith("socket:") for what in
                                 procs.descriptors(self.container_pid()).values()),
                     20, "the guest connected")
        else:
            assert rows[0]["State"] == "created", rows

    def _ends(self):
        """The command, and with it its container; its helper has bytes left that nobody takes."""
        wait_for(lambda: all(row["State"] != "running" for row in self.ground.containers()), BOUND,
                 "the command's end")
        assert self.helper()

    def helpers_end(self):
        """Before what is held goes on: what went to the engine late finds nobody."""
        wait_for(lambda: not self.world.helpers(self.user), BOUND, "the helper's end")

    def helper(self):
        return self.world.one_helper(self.user)

    def container_pid(self):
        row, = self.ground.containers()
        pid = self.ground.private.engine.inspect(row["Id"])["State"]["Pid"]
        assert pid > 0, row
        return pid

    def finish(self, by_itself=True):
        """Its end, (status, stdout, stderr): of one that ends for what was done to it, or that is
        let go on."""
        self.ground.gate.release()
        if not by_itself:
            self.ground.go()
        try:
            if self.stream:
                self.out = self.stream.end(by_itself)
                self.err = self.proc.stderr.read()
                self.proc.wait(BOUND)
            else:
                # What the slow one waits for.
                out, self.err = self.proc.communicate(b"\n", timeout=BOUND)
                self.out = self.up + out
        except subprocess.TimeoutExpired:
            raise AssertionError("the client hangs") from None
        finally:
            self.close()
        self.status = self.proc.returncode
        self._bytes_are_intact()
        return self.status, self.out, self.err

    def close(self):
        self.ground.gate.release()
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        for stream in (self.proc.stdin, self.proc.stdout, self.proc.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def _bytes_are_intact(self):
        """What came is how that begins which was to come; what came back was on the disk."""
        if self.stream:
            back = self.out.count(b"\n")
            assert back >= BEGUN
            assert self.out == b"".join(b"%d\n" % i for i in range(back)), self.out[-200:]
            with open(os.path.join(self.ground.data, "got"), "rb") as f:
                kept = f.read()
            assert kept.startswith(self.out), (kept[-200:], self.out[-200:])
            whole = b"".join(b"%d\n" % i for i in range(kept.count(b"\n") + 1))
            assert whole.startswith(kept), kept[-200:]
        else:
            assert self.whole().startswith(self.out), self.out[-200:]

    def whole(self):
        """What a session that isn't disturbed says; of a stream, what it has."""
        if self.stage == "mid-stream":
            return self.out
        if self.stage == "at exit":
            return b"up\n" + self.ground.tail
        return b"up\nwent\n"

    # --- how it can come out: each says so in a word for the table

    def went_on(self, status=STATUS):
        if self.stream:
            self.stream.flows()
        got = self.finish(by_itself=False)
        assert got == (status, self.whole(), b""), (got[0], got[1][-200:], got[2])
        return "goes on"

    def is_late(self):
        """On a slow machine: it may have given up what is held."""
        return self.stage in HELD[self.world.channel] and \
            time.monotonic() - self.since > PATIENCE

    def arrived(self, status=STATUS):
        """All of it, and how it ended: it had ended before."""
        self.went_on(status)
        return "all arrives"

    def all_but_the_status(self):
        """All of it; where the engine was still saying how it ended, that's what is missed."""
        status, out, err = self.finish()
        assert out == self.whole(), out[-200:]
        assert (status, err) == (STATUS, b"") or \
            status == 254 and re.fullmatch(rb"berth: .*engine.*\n", err), (status, err)
        return "all arrives"

    def refused(self, *words, log=r": deny .* cause=error "):
        """One line of berth's, and 254. docker-init may have had its word before."""
        status, out, err = self.finish()
        text = re.sub(r"^\[FATAL tini .*\n", "", err.decode())
        assert (status, out) == (254, b""), (status, out, text)
        assert text.startswith("berth: ") and text.count("\n") == 1 and text.endswith("\n"), text
        for word in words:
            assert re.search(word, text), f"{word} not in {text!r}"
        self.logged(log)
        return "refused, 254"

    def lost(self, *words, statuses=(254,), log=r": close .* status=254 reason=error detail="):
        """It had begun. A line says so; where the command had sshd's pipes and was killed with
        its guest, sshd may have closed stderr by then."""
        status, _, err = self.finish()
        text = err.decode()
        assert status in statuses, (status, text)
        killed = self.world.channel == "direct" and "ended" in "".join(words)
        if status == 254 and (text or not killed):
            assert text.startswith("berth: ") and text.count("\n") == 1, text
        else:
            assert text == "", text
        line = self.logged(log)
        for word in words:
            assert re.search(word, line if not text else text), f"{word} not in {line!r} {text!r}"
        return f"ends, {status}"

    def logged_as_client_gone(self):
        """A command that reads and writes may find it out first, and end by that."""
        self.logged({
            "started": ": close .* reason=client-gone ",
            "mid-stream": f": close .* (reason=client-gone|status=({STATUS}|141) )",
            "at exit": f": close .* (reason=client-gone|status={STATUS} )",
        }.get(self.stage, f": deny .* cause=(client-gone{'|error' if self.is_late() else ''}) "))

    def logged(self, pattern, timeout=BOUND):
        return self.world.syslog.wait(pattern + ".*", self.world.mark, timeout).group(0)


def each(fault, stages=STAGES, quick=()):
    """A test for each stage at which there can be this fault; `quick` is what a quick run has."""
    def at(stage):
        return pytest.param(fault, stage, marks=() if stage == quick else pytest.mark.slow,
                            id=f"{fault}, {stage}")
    return pytest.mark.parametrize("fault,stage", [at(stage) for stage in stages])
