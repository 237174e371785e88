"""sftp as it goes over the wire (draft-ietf-secsh-filexfer-02), for what no client sends."""
import io
import struct
import threading

INIT = b"\0\0\0\x05\x01\0\0\0\x03"
OPEN, LSTAT, REALPATH = 3, 7, 16


def request(kind, number, *strings, tail=b""):
    body = struct.pack(">BI", kind, number)
    for s in strings:
        body += struct.pack(">I", len(s)) + s
    body += tail
    return struct.pack(">I", len(body)) + body


def opening(number, name):
    """For writing, made anew."""
    return request(OPEN, number, name, tail=struct.pack(">II", 0x1a, 0))


def _exactly(stream, size):
    data = stream.read(size)
    assert len(data) == size, "sftp-server has ended"
    return data


class Wire:
    """A session of `login` that asked for `command`, and was answered SSH_FXP_VERSION."""

    def __init__(self, login, command="internal-sftp"):
        self.proc = login.start(command)
        self.out = io.BufferedReader(self.proc.stdout)
        assert self.ask(INIT)[0][:1] == b"\x02"

    def ask(self, *requests):
        """Their answers, in order: each is awaited, for by EOF sftp-server ends whatever it was
        asked before."""
        feeder = threading.Thread(target=lambda: (self.proc.stdin.write(b"".join(requests)),
                                                  self.proc.stdin.flush()))
        feeder.start()
        answers = [_exactly(self.out, struct.unpack(">I", _exactly(self.out, 4))[0])
                   for _ in requests]
        feeder.join()
        return answers

    def close(self):
        self.proc.stdin.close()
        assert self.out.read() == b""
        assert (self.proc.stderr.read(), self.proc.wait(20)) == (b"", 0)
        self.out.close()
