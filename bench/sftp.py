"""What sftp costs: the same client, OpenSSH's, for everybody, and files in memory, so that
what differs is the server's."""
import os
import shutil
import time

from measure import Failed, Session

LARGE, TREE, LIST, LISTED = "large", "tree", "list", "the-only-one"
SMALL = 2000        # bytes at most


class Sftp(Session):
    def __init__(self, competitor):
        self._start(competitor.name, competitor.sftp_argv())

    def do(self, *lines):
        """Seconds until all of it is done: it says where it is, then."""
        began = time.perf_counter()
        os.write(self.inp, "".join(f"@{line}\n" for line in (*lines, "lpwd")).encode())
        return self.read_until(b"Local working directory: ") - began


def make(folder, size, count):
    """What is sent, fetched and listed: a file of `size` bytes, which are holes and so take no
    memory; `count` small ones, a hundred to a directory."""
    with open(os.path.join(folder, LARGE), "wb") as f:
        f.truncate(size)
    for i in range(count):
        path = os.path.join(folder, TREE, str(i // 100))
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, str(i % 100)), "wb") as f:
            f.write(b"x" * (i * 37 % SMALL))
    os.mkdir(os.path.join(folder, LIST))
    with open(os.path.join(folder, LIST, LISTED), "wb"):
        pass


def listing(competitor):
    """Seconds from the client's start to the first listing that it shows."""
    with Sftp(competitor) as session:
        os.write(session.inp, f"@ls {competitor.files}/{LIST}\n".encode())
        shown = session.read_until(LISTED.encode())
        session.close_input()
        session.end()
    return {"sftp listing": shown - session.began}


def large(competitor, folder, size):
    """Bytes a second of one file, the login not counted. To /dev/null on either side: a file
    would take both, berth and bare sshd, the same time more."""
    with Sftp(competitor) as session:
        session.do()
        get = session.do(f"get {competitor.files}/{LARGE} /dev/null")
        put = session.do(f"put {folder}/{LARGE} /dev/null")
        session.close_input()
        session.end()
    return {"sftp get": size / get, "sftp put": size / put}


def small(competitor, folder, count):
    """Files a second."""
    there, back = competitor.files + "/there", folder + "/back"
    with Sftp(competitor) as session:
        session.do()
        put = session.do(f"put -r {folder}/{TREE} {there}")
        get = session.do(f"get -r {there} {back}")
        session.close_input()
        session.end()
    found = sum(len(names) for _, _, names in os.walk(back))
    for name in ("there", "back"):
        shutil.rmtree(os.path.join(folder, name))
    if found != count:
        raise Failed(f"{competitor.name}: {found} of {count} files came back")
    return {"sftp get of small files": count / get, "sftp put of small files": count / put}
