"""The soak itself, in a machine of its own: run starts it there."""
import argparse
import collections
import json
import os
import random
import signal
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]

import deeds  # noqa: E402
import held  # noqa: E402
import measure  # noqa: E402
from harness.wait import became  # noqa: E402
from place import Place  # noqa: E402

# s between two looks, from one rest to the next, and until all is gone at a rest.
LOOK, BETWEEN, SETTLE = 10, 300, 120
# What may be more at the end than after the warm-up. Of berth's and sshd's processes no descriptor,
# and memory for what a session of a rare kind is the first to touch; of the engine's, whose memory
# is not berth's, what its idle connections come and go by.
OURS_BYTES, ENGINE_DESCRIPTORS = 64 << 10, 16
# s at most that a client thinks before its next turn.
PAUSE = 10
# So many are enough to look into.
FAILURES = 20
# Turns for which the engine may be too slow, as berth then says.
SLOW = 0.2


def allowed(name):
    return (OURS_BYTES, 0) if measure.is_ours(name) else (None, ENGINE_DESCRIPTORS)


def arguments(argv=None):
    p = argparse.ArgumentParser(prog="tests/soak/run", description="Fifty clients do at random "
                                "what clients do, and nothing may be left. See tests/soak/README.")
    p.add_argument("--seconds", type=int, default=1800, help="how long they do it (1800)")
    p.add_argument("--clients", type=int, default=50, help="how many there are (50)")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32),
                   help="of their choices: the same seed has them choose the same")
    p.add_argument("--deed", action="append", choices=sorted(d.__name__ for d in deeds.ALL),
                   help="nothing but this, and others so named, to look into one")
    p.add_argument("--json", action="store_true",
                   help="all that was seen as JSON, in place of tables")
    return p.parse_args(argv)


def say(text):
    print("soak: " + text, file=sys.stderr, flush=True)


class Client(threading.Thread):
    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.number, self.busy, self.turns = soak, number, False, 0
        self.folder = os.path.join(soak.place.own_files, str(number))
        os.mkdir(self.folder)

    def run(self):
        pauses = random.Random(f"{self.soak.seed} {self.number}")
        while True:
            time.sleep(pauses.uniform(0, PAUSE))
            self.soak.working.wait()
            self.busy = True
            # Else a rest that has just begun would not wait for this one.
            if self.soak.working.is_set():
                self.turn()
            self.busy = False

    def turn(self):
        """A turn's choices are its own, whatever came before. The first one makes what berth keeps
        of a user."""
        choices = random.Random(f"{self.soak.seed} {self.number} {self.turns}")
        place = self.soak.place
        user, policy = place.own[self.number] if self.turns == 0 or choices.random() < 0.7 \
            else choices.choice(place.shared)
        turn = deeds.Turn(place, choices, user, policy, self.folder)
        deed = deeds.command if self.turns == 0 else deeds.choose(turn, self.soak.only)
        began, error = time.monotonic(), None
        try:
            with turn.kept:
                deed(turn)
        except Exception:       # told, and the others go on
            error = traceback.format_exc()
        self.soak.note(self, deed.__name__, user, time.monotonic() - began, error)
        self.turns += 1


class Soak:
    def __init__(self, args):
        self.seed, self.seconds, self.only = args.seed, args.seconds, args.deed
        self.lock, self.working = threading.Lock(), threading.Event()
        self.done, self.slow = collections.Counter(), collections.Counter()
        self.longest, self.failures, self.looks, self.rests = {}, [], [], []
        self.wrong = []
        say("making users, an image and an sshd")
        self.place = Place(args.clients)
        self.clients = [Client(self, number) for number in range(args.clients)]

    def note(self, client, deed, user, seconds, error):
        with self.lock:
            self.done[deed] += 1
            self.longest[deed] = max(self.longest.get(deed, 0), seconds)
            if error is None:
                return
            if deeds.TOO_SLOW.search(error):
                self.slow[deed] += 1
                return
            self.failures.append({"client": client.number, "turn": client.turns, "deed": deed,
                                  "user": user, "seconds": seconds, "error": error})
        say(f"FAILED: {deed} of {user}, client {client.number}, turn {client.turns}, "
            f"after {seconds:.0f} s:\n{error}")
        for line in [row for row in self.place.syslog.since(0) if user in row][-12:]:
            say("  log: " + line)

    def over(self):
        return len(self.failures) >= FAILURES or time.monotonic() > self.end

    def look(self, lasting):
        """While they work: the sessions that last answer, and what there is is written down."""
        for it in lasting:
            it.answers()
        counts = collections.Counter(measure.processes().values())
        sshd = measure.usage(self.place.sshd.process.pid)
        at = {"seconds": round(time.monotonic() - self.began), "done": sum(self.done.values()),
              "failed": len(self.failures), "containers": len(self.place.containers()),
              "helpers": counts["berth-session"], "watchers": counts["berth-watcher"],
              "guests": counts["berth-guest"], "shims": counts["containerd-shim"],
              "sshd": counts["sshd"], "sshd's descriptors": sshd[0].total(), "sshd's rss": sshd[1]}
        self.looks.append(at)
        text = "{seconds} s: {done} done, {failed} failed; {containers} containers, {helpers} " \
               "helpers, {watchers} watchers, {guests} guests, {sshd} sshd".format(**at)
        if sys.stderr.isatty():
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            say(text)

    def work(self, seconds, lasting):
        end = min(time.monotonic() + seconds, self.end)
        self.working.set()
        while time.monotonic() < end and not self.over():
            time.sleep(max(0, min(LOOK, end - time.monotonic())))
            self.look(lasting)
        self.working.clear()

    def still(self):
        """What there is once nothing comes or goes any more."""
        while True:
            before = measure.Inventory(self.place)
            time.sleep(3)
            after = measure.Inventory(self.place)
            if not after.beyond(before, self.place):
                return after

    def settled(self, before):
        """What is there beyond `before` when all that may take its time has had it."""
        end = time.monotonic() + SETTLE
        while True:
            left = measure.Inventory(self.place).beyond(before, self.place)
            if not left or time.monotonic() > end:
                return left
            self.place.reap()
            time.sleep(1)

    def rest(self, before, lasting):
        """All clients stand still: what is left is too much."""
        idle = lambda: not any(client.busy for client in self.clients)
        if not became(idle, deeds.LIMIT * 2):
            self.wrong.append("a client that doesn't come to its turn's end")
        for it in lasting:
            it.answers()
        left = self.settled(before)
        sessions = sorted((row["user"], row.get("kind")) for row in self.place.present())
        if sessions != self.sessions:
            left.append(f"sessions, as berth ps tells: {sessions}")
        inventory = measure.Inventory(self.place)
        rest = {"seconds": round(time.monotonic() - self.began), "done": sum(self.done.values()),
                "left": left, "sizes": inventory.sizes(), "files": inventory.files}
        say(f"at rest after {rest['done']} turns: " + ("\n  ".join(left) or "nothing is left"))
        for whose in (*measure.OURS, *measure.ENGINES):
            count, descriptors, rss = measure.total(rest["sizes"], whose)
            say(f"  {whose}: {count} processes, {descriptors} descriptors, {rss >> 10} kB resident")
        self.wrong += left
        self.rests.append(rest)

    def run(self):
        start = measure.Inventory(self.place)
        self.began = time.monotonic()
        self.sessions = []
        for user in self.place.others:
            self.place.client.run(user, "true", timeout=deeds.LIMIT)
        lasting = held.start_all(self.place)
        try:
            for it in lasting:
                it.answers()
            self.sessions = sorted((row["user"], row.get("kind")) for row in self.place.present())
            before = self.still()
            for client in self.clients:
                client.start()
            self.began = time.monotonic()
            self.end = self.began + self.seconds
            self.work(min(BETWEEN, self.seconds / 4), lasting)
            self.rest(before, lasting)
            while not self.over():
                self.work(BETWEEN, lasting)
                self.rest(before, lasting)
            for it in lasting:
                it.ends()
        finally:
            for it in lasting:
                it.close()
        self.place.discard()
        left = self.settled(start)
        left += [f"sessions: {self.place.present()}"] if self.place.present() else []
        say("at the end: " + ("\n  ".join(left) or "nothing is left"))
        self.wrong += left
        self.compare()

    def compare(self):
        first, last = self.rests[0], self.rests[-1]
        if len(self.rests) < 2:
            self.wrong.append("too short: no second rest")
        self.growth = measure.growth(first["sizes"], last["sizes"], allowed)
        self.wrong += [f"{row['process']} {row['pid']} grows: {row}" for row in self.growth
                       if row["grows"]]
        more = sorted(last["files"] - first["files"])
        # ExposeAuthInfo's, which an sshd that is killed leaves: so too without berth.
        orphans = [name for name in more if name.startswith("/tmp/sshauth.")]
        if len(orphans) <= self.done["monitor_killed"] + self.done["child_killed"]:
            more = [name for name in more if name not in orphans]
        self.wrong += [f"a file more: {name}" for name in more]
        self.wrong += [f"never done: {name}" for name in
                       self.only or [deed.__name__ for deed in deeds.EVERYWHERE]
                       if self.done[name] == self.slow[name]]
        if sum(self.slow.values()) > SLOW * sum(self.done.values()):
            self.wrong.append("the engine was too slow for so many clients")

    def report(self):
        print(f"{sum(self.done.values())} turns of {len(self.clients)} clients, "
              f"{len(self.failures)} failed; seed {self.seed}\n")
        print(f"{'':24}{'turns':>8}{'failed':>8}{'engine too slow':>18}{'longest':>10}")
        failed = collections.Counter(row["deed"] for row in self.failures)
        for deed, count in sorted(self.done.items()):
            print(f"{deed:24}{count:8}{failed[deed]:8}{self.slow[deed]:18}"
                  f"{self.longest[deed]:8.1f} s")
        print(f"\nFrom the first rest ({self.rests[0]['done']} turns) to the last:")
        print(f"{'':24}{'pid':>8}{'descriptors':>16}{'resident kB':>20}")
        for row in self.growth:
            (a, b), (c, d) = row["descriptors"], row["rss"]
            print(f"{row['process']:24}{row['pid']:8}{f'{a} -> {b}':>16}"
                  f"{f'{c >> 10} -> {d >> 10}':>20}  {', '.join(row['grows'])}")
        print()
        for text in self.wrong:
            print(f"WRONG: {text}")
        print("nothing is left and nothing grows" if self.good() else "FAILED")

    def good(self):
        return not self.wrong and not self.failures

    def everything(self):
        """For JSON, which has no tuples for keys."""
        rests = [{**rest, "files": len(rest["files"]),
                  "sizes": [[pid, *size] for (pid, _), size in rest["sizes"].items()]}
                 for rest in self.rests]
        return {"seed": self.seed, "seconds": self.seconds, "clients": len(self.clients),
                "good": self.good(), "turns": self.done, "too slow": self.slow,
                "longest": self.longest, "failures": self.failures, "wrong": self.wrong, "growth": self.growth,
                "looks": self.looks, "rests": rests}


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say(f"seed {args.seed}: {args.clients} clients, {args.seconds} s")
    soak = Soak(args)
    soak.run()
    if args.json:
        print(json.dumps(soak.everything(), indent=1))
    else:
        soak.report()
    sys.stdout.flush()
    # Users, engine and all else go with the machine; the clients wait for a turn that never comes.
    os._exit(0 if soak.good() else 1)


if __name__ == "__main__":
    main()
