"""A certificate authority, made by openssl, for an engine that is reached by TCP with TLS."""
import os
import subprocess

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    def __init__(self, folder, group):
        """Its keys may be read by the group (a number), as berth.conf(5) wants it."""
        self.dir, self.group = folder, group
        os.mkdir(folder, 0o755)
        self.cert, self.key = self._path("ca.pem"), self._path("ca.key")
        self._openssl("req", "-x509", *NEW_KEY, "-keyout", self.key, "-out", self.cert,
                      "-days", "2", "-subj", "/CN=authority of " + os.path.basename(folder))
        os.chmod(self.cert, 0o644)

    def _path(self, name):
        return os.path.join(self.dir, name)

    @staticmethod
    def _openssl(*argv):
        got = subprocess.run(["openssl", *argv], capture_output=True, text=True)
        assert got.returncode == 0, (argv, got.stderr)

    def issue(self, name, usage, days=2):
        """(certificate, key) of who is 127.0.0.1, for serverAuth or clientAuth; with days below 0
        its time is over."""
        request, cert, key = (self._path(name + end) for end in (".csr", ".pem", ".key"))
        extensions = self._path(name + ".ext")
        with open(extensions, "w") as f:
            f.write(f"subjectAltName = IP:127.0.0.1\nextendedKeyUsage = {usage}\n")
        self._openssl("req", "-new", *NEW_KEY, "-keyout", key, "-out", request,
                      "-subj", "/CN=" + name)
        self._openssl("x509", "-req", "-in", request, "-out", cert, "-CA", self.cert,
                      "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
                      "-extfile", extensions)
        os.chmod(cert, 0o644)
        os.chown(key, 0, self.group)
        os.chmod(key, 0o640)
        return cert, key
