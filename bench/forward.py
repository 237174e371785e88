"""What a forwarded connection carries: ssh -L to a server beside which sshd's forwards end, which
is bare sshd's machine or berth's container."""
import os
import socket
import time

from measure import PIECE, Failed, Session

PORT = 5001
WAIT = 20       # s


class Forwarded(Session):
    """A server that sends `size` bytes to the first who comes, and `path` that leads to it."""

    def __init__(self, competitor, path, size):
        command = (f"echo up; exec busybox nc -l -p {PORT} -e "
                   f"dd if=/dev/zero bs=65536 count={size // 65536}")
        argv = competitor.argv(command)
        argv[1:1] = ["-L", f"{path}:127.0.0.1:{PORT}"]
        self._start(competitor.name, argv)
        self.read_until(b"up")


def _connect(path):
    """Its first bytes, and when they were there: the server may not listen yet."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT)
        sock.connect(path)
        data = sock.recv(PIECE)
        if data:
            return sock, len(data), time.perf_counter()
        sock.close()
        time.sleep(0.02)
    raise Failed(f"nobody answers at the end of {path}")


def local(competitor, folder, size):
    """Bytes a second from the first byte to the last."""
    path = os.path.join(folder, "forwarded")
    with Forwarded(competitor, path, size):
        try:
            sock, total, first = _connect(path)
            with sock:
                while data := sock.recv(PIECE):
                    total += len(data)
                last = time.perf_counter()
        finally:
            os.unlink(path)
    if total != size // 65536 * 65536:
        raise Failed(f"{competitor.name}: {total} of {size} bytes came")
    return {"-L": total / (last - first)}
