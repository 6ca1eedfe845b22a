"""Waiting for conditions. Nothing in these tests sleeps for luck."""
import time


class NotInTime(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, timeout_s, what, every_s=0.02):
    """Call condition() until it is true; returns its value. A connection error counts as false; an AssertionError too,
    so that a condition may be written as assertions. On a timeout NotInTime says what was waited for and what was seen
    last."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = None
        try:
            value = condition()
            if value:
                return value
            seen = "it was %r" % (value,)
        except (OSError, AssertionError) as e:
            seen = "%s: %s" % (type(e).__name__, e)
        if time.monotonic() >= deadline:
            raise NotInTime("not within %.1f s: %s (at the end %s)" % (timeout_s, what, seen))
        time.sleep(every_s)


def stays_true(condition, duration_s, what, every_s=0.02):
    """Assert that condition() is true all the time for duration_s."""
    deadline = time.monotonic() + duration_s
    while time.monotonic() < deadline:
        assert condition(), "it did not stay so for %.1f s: %s" % (duration_s, what)
        time.sleep(every_s)
