"""X11: servers for the client's machine (Xvfb), and real X clients for containers, which bring
their libraries along."""
import os
import re
import shutil
import subprocess

from .client import need


class Display:
    """An X server with a cookie of its own, as a person's desktop has one."""

    def __init__(self, folder, name):
        self.authority = os.path.join(folder, name + ".authority")
        cookie = os.urandom(16).hex()
        # By any number: the server chooses it.
        self._xauth(":0", cookie)
        self.log = open(os.path.join(folder, name + ".log"), "wb")
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [need("Xvfb"), "-displayfd", str(write), "-auth", self.authority, "-nolisten", "tcp",
             "-noreset", "-screen", "0", "640x480x24"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as f:
            number = f.readline().strip()
        assert number, f"Xvfb doesn't start: {self.log.name}"
        self.name = ":" + number
        self._xauth(self.name, cookie)
        self.env = {**os.environ, "DISPLAY": self.name, "XAUTHORITY": self.authority}

    def _xauth(self, display, cookie):
        subprocess.run([need("xauth"), "-q", "-f", self.authority, "add", display, ".", cookie],
                       check=True, capture_output=True)

    def property(self, name):
        """What somebody has set on its root window, or None."""
        got = subprocess.run([need("xprop"), "-root", name], env=self.env, check=True,
                             capture_output=True, text=True).stdout
        found = re.search(r' = "(.*)"$', got)
        return found and found[1]

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def libraries(program):
    got = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", got)


def clients(folder, *names):
    """A folder with these programs for a container that has no libraries: AT/NAME. Mounted at
    AT = /x11."""
    os.mkdir(folder, 0o755)
    for name in names:
        program = need(name)
        shutil.copy(program, os.path.join(folder, name + ".real"))
        for path in libraries(program):
            shutil.copy(path, os.path.join(folder, os.path.basename(path)))
        loader = next(p for p in libraries(program) if os.path.basename(p).startswith("ld-"))
        script = os.path.join(folder, name)
        with open(script, "w") as f:
            f.write(f"#!/bin/sh\nexec /x11/{os.path.basename(loader)} --library-path /x11 "
                    f"/x11/{name}.real \"$@\"\n")
        os.chmod(script, 0o755)
    return folder
