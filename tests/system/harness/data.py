"""Test data that doesn't compress to nothing, made once and fast."""
import hashlib
import os
import subprocess

MIB = 1 << 20


def make_file(path, size):
    """size bytes of a fixed AES-CTR stream; a file that is there already is kept."""
    if not (os.path.exists(path) and os.path.getsize(path) == size):
        script = ('head -c "$2" /dev/zero | openssl enc -aes-128-ctr -nosalt '
                  '-K 00112233445566778899aabbccddeeff -iv 00 >"$1"')
        subprocess.run(["bash", "-c", script, "bash", path, str(size)], check=True,
                       stderr=subprocess.DEVNULL)
    os.chmod(path, 0o644)
    return path


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def sha256_stream(stream):
    digest, size = hashlib.sha256(), 0
    while block := stream.read(MIB):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size
