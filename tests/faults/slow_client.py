"""slow_client.py HOST PORT KEY USER COMMAND: a client with a window of 32 KiB (ssh's is 2 MiB)
that takes the command's first line, answers it and then reads no more, until its own stdin says
so. Ends with the command's exit status, 255 where none came."""
import os
import socket
import sys

import paramiko

WINDOW = 32768


def main():
    host, port, key, user, command = sys.argv[1:]
    transport = paramiko.Transport(socket.create_connection((host, int(port)), 20),
                                   default_window_size=WINDOW)
    transport.start_client(timeout=30)
    transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
    channel = transport.open_session()
    channel.settimeout(60)
    channel.exec_command(command)
    line = b""
    while not line.endswith(b"\n") and (byte := channel.recv(1)):
        line += byte
    os.write(1, line)
    channel.sendall(b"y\n")
    sys.stdin.readline()
    while data := channel.recv(65536):
        with open(1, "wb", closefd=False) as out:
            out.write(data)
    while data := channel.recv_stderr(65536):
        os.write(2, data)
    status = channel.recv_exit_status()
    transport.close()
    sys.exit(status if status >= 0 else 255)


main()
