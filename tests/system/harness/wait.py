"""Waiting for a condition, with a bound. No test sleeps to synchronise."""
import time


def wait_for(condition, timeout, what):
    """Polls until condition() is true and returns its value; fails after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            detail = what() if callable(what) else what
            raise AssertionError(f"not within {timeout} s: {detail}")
        time.sleep(0.01)


def became(condition, timeout):
    """Like wait_for, but says False in place of failing."""
    try:
        return wait_for(condition, timeout, "")
    except AssertionError:
        return False
