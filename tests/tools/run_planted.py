#!/usr/bin/python3
"""Run the simulators that have a planted bug: FOLDER/NUMBER/PROGRAM for each number of the table in a plant.h.

Each must end with status 1 and name the rule that was violated, in time. A simulator that crashes, runs into its limit
or misses some kind of fault has not found the bug.
"""
import argparse
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import closing  # noqa: E402

LIMIT_S = 300
VIOLATION = re.compile(r"^violation of (.*?) at seed (\d+)", re.M)


def describe(table):
    """What each planted bug is, by its number."""
    with open(table, encoding="utf-8") as f:
        return dict(re.findall(r"^ \*   *(\d+)  (.*?)(?: \*/)?$", f.read(), re.M))


def run(program, args):
    """(what was found or None, text that says what happened instead)"""
    try:
        ran = subprocess.run([program, "--seeds", str(args.seeds), "--jobs", str(args.jobs)], timeout=LIMIT_S,
                             check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.TimeoutExpired) as e:
        return None, str(e)
    output = ran.stdout.decode("utf-8", "replace")
    found = VIOLATION.search(output)
    if ran.returncode == 1 and found:
        return "%s at seed %s" % found.groups(), ""
    tail = "\n".join("     " + line for line in output.splitlines()[-40:])
    return None, "exit status %d\n%s" % (ran.returncode, tail)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--table", required=True, help="the plant.h")
    parser.add_argument("--program", required=True)
    parser.add_argument("folder")
    parser.add_argument("numbers", nargs="*")
    args = parser.parse_args()
    if not args.numbers:
        print("FAIL there is no planted bug: the table in %s has none" % args.table)
        return closing.close(0, 1)
    what = describe(args.table)
    passed = failed = 0
    for number in args.numbers:
        started = time.monotonic()
        found, text = run(os.path.join(args.folder, number, args.program), args)
        passed += found is not None
        failed += found is None
        print("%-4s planted bug %s, %s: %s (%.1f s)" % ("ok" if found else "FAIL", number, what.get(number, "unknown"),
              "found, " + found if found else "not found, " + text, time.monotonic() - started), flush=True)
    return closing.close(passed, failed)


if __name__ == "__main__":
    sys.exit(main())
