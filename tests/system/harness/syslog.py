"""What the helper says to syslog, caught on a socket in /dev/log's place."""
import os
import re
import socket
import subprocess
import threading

from .wait import wait_for

DEV_LOG = "/dev/log"


class Syslog:
    """A socket that wrap() puts over /dev/log in a mount namespace, so that the machine's own
    log and whatever else runs here stay out of it."""

    def __init__(self, workdir):
        self.lines = []
        self.path = os.path.join(workdir, "log")
        self.made = not os.path.lexists(DEV_LOG)
        if self.made:
            open(DEV_LOG, "w").close()      # a mount needs something to cover
        self._listen()

    def _listen(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        threading.Thread(target=self._read, args=(self.sock,), daemon=True).start()

    def _read(self, sock):
        while True:
            try:
                data = sock.recv(1 << 20)
            except OSError:
                return
            if not data:
                continue
            self.lines.append(data)

    def wrap(self, argv):
        """argv, to be run as root, with this log as its /dev/log."""
        script = 'mount --bind "$1" /dev/log && shift && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, "sh", self.path] + argv

    def restart(self, pid):
        """As a daemon that is started again: another socket, in the namespace of process pid."""
        # Beside the old one's: on a name that is gone nothing can be mounted.
        old, self.path = self.sock, self.path + "'"
        self._listen()
        subprocess.run(["nsenter", "-t", str(pid), "-m", "mount", "--bind", self.path, DEV_LOG],
                       check=True)
        old.shutdown(socket.SHUT_RDWR)  # _read's recv() would hold it open
        old.close()

    def mark(self):
        return len(self.lines)

    def since(self, mark, only="berth"):
        """Whole datagrams as text, priority in front: '<86>Nov 23 ... berth-session: ...'"""
        texts = [d.decode("utf-8", "backslashreplace") for d in self.lines[mark:]]
        return [t for t in texts if only in t]

    def wait(self, pattern, mark=0, timeout=5, only="berth"):
        def find():
            for line in self.since(mark, only):
                found = re.search(pattern, line)
                if found:
                    return found
            return None
        return wait_for(find, timeout, lambda: f"log line /{pattern}/; log: {self.since(mark, only)}")

    def close(self):
        self.sock.close()
        if self.made and os.path.isfile(DEV_LOG) and os.path.getsize(DEV_LOG) == 0:
            os.unlink(DEV_LOG)
