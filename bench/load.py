"""Many at once: logins a second, sessions that are held, and what one more costs beside them."""
import concurrent.futures
import os
import subprocess
import time

from measure import Failed, Session, login, processes, pss

LOGINS = {1: 4, 8: 24, 32: 64}      # at once -> in all
HELD = (10, 30, 100, 300, 1000)
BESIDE = 7                          # logins beside those held


def _one(competitor):
    with Session(competitor, "echo .") as session:
        session.close_input()
        session.read_until(b".")
        session.end()


def rate(competitor, at_once):
    """Logins a second, from the first one's start to the last one's end."""
    count = LOGINS[at_once]
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        for done in [pool.submit(_one, competitor) for _ in range(count)]:
            done.result()
        taken = time.perf_counter() - began
    if competitor.settle:
        competitor.settle()
    return {f"logins a second, {at_once} at once": count / taken}


def _master(mux, base, socket, name):
    master = subprocess.Popen(mux + ["-M", "-N"] + base, stdin=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not os.path.exists(socket):
        if time.monotonic() > end or master.poll() is not None:
            master.kill()
            master.wait()
            raise Failed(f"{name}: no master connection")
        time.sleep(0.05)
    return master


def held(competitor, uid, count, folder):
    """Bytes (PSS) for each of `count` sessions held at once on one connection, of all that runs
    as the user on the host beside sshd; and the seconds of a login beside them."""
    socket = os.path.join(folder, "held.socket")
    argv = competitor.argv()
    at = argv.index("-T")
    mux, base = argv[:at] + ["-S", socket], argv[at:]
    master = _master(mux, base, socket, competitor.name)
    sessions = []
    try:
        for _ in range(count):
            sessions.append(subprocess.Popen(mux + base + ["echo up; exec cat"],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        for session in sessions:
            if session.stdout.readline() != b"up\n":
                raise Failed(f"{competitor.name}: not all of {count} sessions came")
        here = os.readlink("/proc/self/ns/pid")
        own = [p for p, (name, owner, ns) in processes().items()
               if owner == uid and ns == here and name.startswith("berth")]
        total = sum(map(pss, own))
        beside = sorted(login(competitor)["end"] for _ in range(BESIDE))[BESIDE // 2]
        for session in sessions:
            session.stdin.close()
        for session in sessions:
            if session.wait(60) != 0:
                raise Failed(f"{competitor.name}: a held session ended with {session.returncode}")
        taken = {f"login beside {count} held": beside}
        if competitor.contained:
            taken[f"PSS each of {count} held"] = total / count
        return taken
    finally:
        for session in sessions:
            session.kill()
            session.wait()
            session.stdout.close()
        master.terminate()
        master.wait()
