"""Files put over the machine's own, for one process and what it starts."""


class Mounts:
    """Wraps a command line like Syslog does, in the same mount namespace; `pairs` is what goes
    over what."""

    SCRIPT = ('while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; '
              'shift; exec "$@"')

    def __init__(self, syslog, pairs):
        self.syslog = syslog
        self.words = [word for pair in pairs for word in pair]

    def wrap(self, argv):
        return self.syslog.wrap(["sh", "-c", self.SCRIPT, "sh", *self.words, "--", *argv])
