#!/usr/bin/python3
"""Run the simulator for make check.

clean PROGRAM: the shipped core; every seed must hold.
planted FOLDER NUMBER...: FOLDER/NUMBER/sim has one planted bug of sentineld/core/plant.h; it must end with status 1 (a
violation was found), in time. A simulator that crashes has found nothing.
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
PLANT_H = "sentineld/core/plant.h"


def command(program, args):
    line = [program, "--seeds", str(args.seeds), "--jobs", str(args.jobs)]
    return line + (["--seed", str(args.seed)] if args.seed is not None else [])


def clean(args):
    try:
        status = subprocess.run(command(args.target, args), timeout=LIMIT_S, check=False).returncode
    except (OSError, subprocess.TimeoutExpired) as e:
        print("FAIL simulator: %s" % e)
        return 0, 1
    if status != 0:
        print("FAIL simulator: exit status %d" % status)
    return (1, 0) if status == 0 else (0, 1)


def describe():
    """What each planted bug is, by its number."""
    with open(PLANT_H, encoding="utf-8") as f:
        return dict(re.findall(r"^ \*   (\d+)  (.*?)(?: \*/)?$", f.read(), re.M))


def planted(args):
    passed = failed = 0
    if not args.names:
        print("FAIL there is no planted bug: the table in %s has none" % PLANT_H)
        return 0, 1
    what = describe()
    for number in args.names:
        name = "planted bug %s (%s)" % (number, what.get(number, "not in %s" % PLANT_H))
        started = time.monotonic()
        try:
            ran = subprocess.run(command(os.path.join(args.target, number, "sim"), args), timeout=LIMIT_S, check=False,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except (OSError, subprocess.TimeoutExpired) as e:
            print("FAIL %s: %s" % (name, e), flush=True)
            failed += 1
            continue
        seconds = time.monotonic() - started
        if ran.returncode == 1:
            passed += 1
            print("ok   %s: found (%.1f s)" % (name, seconds), flush=True)
            continue
        failed += 1
        print("FAIL %s: not found: exit status %d after %.1f s" % (name, ran.returncode, seconds))
        for line in ran.stdout.decode("utf-8", "replace").splitlines()[-40:]:
            print("     " + line)
        sys.stdout.flush()
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("clean", "planted"))
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("target")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    return closing.close(*(clean if args.what == "clean" else planted)(args))


if __name__ == "__main__":
    sys.exit(main())
