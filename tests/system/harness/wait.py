"""Waiting for a condition, with a bound. No test sleeps to synchronise."""
import time


def wait_for(condition, timeout, what, pause=0.01):
    """Polls until condition() is true and returns its value; fails after timeout seconds. A
    condition that costs much wants a longer pause."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            detail = what() if callable(what) else what
            raise AssertionError(f"not within {timeout} s: {detail}")
        time.sleep(pause)


def became(condition, timeout):
    """Like wait_for, but says False in place of failing."""
    try:
        return wait_for(condition, timeout, "")
    except AssertionError:
        return False
