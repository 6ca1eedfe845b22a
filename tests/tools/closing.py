"""The closing line of a test run: "N passed, N failed", alone on the last line."""
import re

CLOSING = re.compile(r"^(\d+) passed, (\d+) failed$")


def parse(line):
    """(passed, failed), or None when the line is no closing line."""
    m = CLOSING.match(line.strip())
    return (int(m.group(1)), int(m.group(2))) if m else None


def close(passed, failed):
    """Print the closing line and return the exit status. A run in which nothing passed has tested nothing."""
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return 0 if failed == 0 and passed > 0 else 1
