"""Images made here, from Debian's packages and no registry.

They stay in the engine: a later run uses them again unless the recipe changed.
"""
import glob
import io
import os
import re
import subprocess
import tarfile

from .engine import MARK

RECIPE = "6"
BUSYBOX = "berth-test/busybox"
GLIBC = "berth-test/glibc"
VOLUME = "berth-test/volume"
DRESSED = "berth-test/dressed"
NO_SHELL = "berth-test/noshell"
# Which of them that is, a test says (plugin.py).
CHANGING = "berth-test/changing"
# Not of make_all's: for engines that a test starts.
TMUX = "berth-test/tmux"

# /etc/profile marks a login shell; nothing else reads it.
PROFILE = b"export BT_PROFILE=read\n"
PACKAGES = ("openssh-sftp-server", "openssh-client", "rsync", "git", "procps", "vim-tiny", "less",
            "python3")

DRESSED_CHANGES = [
    'ENTRYPOINT ["/bin/false"]',
    "HEALTHCHECK --interval=1s CMD touch /healthcheck-ran",
    "ENV FROM_IMAGE=yes",
    "WORKDIR /srv",
    "USER 0",
    'CMD ["/bin/false"]',
]


def _add(tar, name, data=None, mode=0o644, link=None):
    info = tarfile.TarInfo(name)
    info.mode = mode
    if link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, link
    elif data is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = len(data)
    tar.addfile(info, io.BytesIO(data) if data is not None else None)


def busybox_tar(extra=b"", files=()):
    with open("/bin/busybox", "rb") as f:
        program = f.read()
    applets = subprocess.run(["/bin/busybox", "--list"], check=True,
                             capture_output=True, text=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("bin", "etc", "root", "srv", "home", "dev", "proc", "sys", "data"):
            _add(tar, name, mode=0o755)
        for name in ("tmp", "var", "work"):
            _add(tar, name, mode=0o1777)
        _add(tar, "bin/busybox", program, 0o755)
        for applet in applets:
            if applet != "busybox":
                _add(tar, "bin/" + applet, link="busybox")
        # Copied into a new volume on /data: so the tests know theirs from other people's.
        _add(tar, "data/" + MARK, b"")
        if extra:
            _add(tar, "extra", extra)
        for path in files:
            with open(path, "rb") as f:
                _add(tar, path.lstrip("/"), f.read(), os.stat(path).st_mode & 0o777)
        _add(tar, "etc/profile", PROFILE)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
                                b"inside:x:4242:4242::/home:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\ninside:x:4242:\n")
    return out.getvalue()


def programs_tar(*programs, files=()):
    """busybox and these programs of this machine's."""
    said = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True)
    needed = sorted(set(re.findall(r"(/\S+) \(0x", said.stdout)))
    return busybox_tar(files=[*programs, *needed, *files])


def tmux_tar():
    return programs_tar("/usr/bin/tmux", files=["/lib/terminfo/x/xterm", "/lib/terminfo/s/screen",
                                                "/usr/lib/locale/C.utf8/LC_CTYPE"])


def one_program_tar(program, path="the-binary"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("bin", "dev", "proc", "sys", "etc"):
            _add(tar, name, mode=0o755)
        _add(tar, path, program, 0o755)
    return out.getvalue()


def no_shell_tar():
    """One static program; busybox called true is just that."""
    with open("/bin/busybox", "rb") as f:
        return one_program_tar(f.read(), "bin/true")


def import_image(engine, name, tar, changes=()):
    cmd = ["docker", "-H", "unix://" + engine.path, "import",
           "--change", f"LABEL berth-test.recipe={RECIPE}"]
    for change in changes:
        cmd += ["--change", change]
    cmd += ["-", name]
    if isinstance(tar, bytes):
        subprocess.run(cmd, input=tar, check=True, capture_output=True)
    else:
        subprocess.run(cmd, stdin=tar, check=True, capture_output=True)


def sources():
    files = glob.glob("/etc/apt/sources.list.d/*.sources") + ["/etc/apt/sources.list"]
    keep = []
    for path in files:
        if os.path.exists(path):
            with open(path) as f:
                text = f.read()
            # Foreign archives would need their keys; the release's own are enough.
            if "debian.org" in text or "ubuntu.com" in text or "archive-keyring" in text:
                keep.append(path)
    return keep


def suite():
    with open("/etc/os-release") as f:
        for line in f:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    raise RuntimeError("no VERSION_CODENAME in /etc/os-release")


def mmdebstrap(target, packages, *options):
    """Debian's smallest system with these packages: a folder, or a tar. In namespaces, so that
    nothing of it stays mounted or runs on when it is killed."""
    subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                    "mmdebstrap", "--quiet", "--variant=minbase",
                    "--include=" + ",".join(packages), *options, suite(), target] + sources(),
                   check=True, stdin=subprocess.DEVNULL)


def _make_glibc(engine, workdir):
    path = os.path.join(workdir, "glibc.tar")
    profile = os.path.join(workdir, "profile")
    with open(profile, "wb") as f:
        f.write(PROFILE)
    mmdebstrap(path, PACKAGES,
               f"--customize-hook=copy-in {profile} /etc",
               '--customize-hook=rm -rf "$1"/usr/share/doc/* "$1"/var/lib/apt/lists/*',
               '--customize-hook=mkdir -m 1777 "$1"/work',
               '--customize-hook=echo inside:x:4242:4242::/home:/bin/bash >>"$1"/etc/passwd',
               '--customize-hook=echo inside:x:4242: >>"$1"/etc/group')
    with open(path, "rb") as tar:
        import_image(engine, GLIBC, tar)
    os.unlink(path)


def make_all(engine, workdir):
    if not engine.has_image(BUSYBOX, RECIPE):
        import_image(engine, BUSYBOX, busybox_tar())
    if not engine.has_image(VOLUME, RECIPE):
        import_image(engine, VOLUME, busybox_tar(), ["VOLUME /data"])
    if not engine.has_image(DRESSED, RECIPE):
        import_image(engine, DRESSED, busybox_tar(), DRESSED_CHANGES)
    if not engine.has_image(NO_SHELL, RECIPE):
        import_image(engine, NO_SHELL, no_shell_tar())
    if not engine.has_image(GLIBC, RECIPE):
        _make_glibc(engine, workdir)


def save_all(engine, path):
    """For another engine's docker load."""
    subprocess.run(["docker", "-H", "unix://" + engine.path, "save", "-o", path, BUSYBOX, GLIBC,
                    VOLUME, DRESSED, NO_SHELL], check=True, capture_output=True)
