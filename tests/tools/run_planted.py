#!/usr/bin/python3
"""Run the simulators that have a planted bug: FOLDER/NUMBER/PROGRAM for each number of the table in a plant.h.

Each must end with status 1 and name the rule that was violated, in time. A simulator that crashes, runs into its limit
or misses some kind of fault has not found the bug, and neither has one that breaks a rule at a seed at which the
simulator without the bug breaks one too.

Some bugs show themselves at one seed of hundreds. planted_seeds.txt has seeds that are tried first; when the world has
changed and they show the bug no more, others are drawn. --record writes down those that were found.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import closing  # noqa: E402

LIMIT_S = 300
TRIES = 5  # of a search that ends at a seed which is no proof
SEEDS_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "planted_seeds.txt")
KEPT = 3  # seeds of a bug
VIOLATION = re.compile(r"^violation of (.*?) at seed (\d+)", re.M)


def describe(table):
    """What each planted bug is, by its number."""
    with open(table, encoding="utf-8") as f:
        return dict(re.findall(r"^ \*   *(\d+)  (.*?)(?: \*/)?$", f.read(), re.M))


def read_known(program):
    """The seeds of planted_seeds.txt for this program: the number of the bug -> seeds."""
    known = {}
    with open(SEEDS_FILE, encoding="utf-8") as f:
        for line in f:
            words = line.split()
            if words and words[0] == program:
                known[words[1]] = words[2:]
    return known


def write_known(program, known):
    with open(SEEDS_FILE, encoding="utf-8") as f:
        kept = [line for line in f if not line.startswith(program + " ")]
    with open(SEEDS_FILE, "w", encoding="utf-8") as f:
        f.writelines(kept)
        for number in sorted(known, key=int):
            f.write("%s %s %s\n" % (program, number, " ".join(known[number])))


def run(program, *more):
    """(the rule that was violated or None, the seed, the exit status, the output)"""
    try:
        ran = subprocess.run([program, *more], timeout=LIMIT_S, check=False, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    except (OSError, subprocess.TimeoutExpired) as e:
        return None, None, -1, str(e)
    output = ran.stdout.decode("utf-8", "replace")
    found = VIOLATION.search(output)
    if ran.returncode == 1 and found:
        return found.group(1), found.group(2), 1, output
    return None, None, ran.returncode, output


def is_normal(args, seed):
    """The simulator without the bug has nothing to say at this seed."""
    return run(args.normal, "--seeds", "1", "--seed", seed)[2] == 0


def at_known(number, args, seeds):
    """(rule, seed) at the first of these seeds that shows the bug; (None, None): none does."""
    for seed in seeds:
        rule = run(os.path.join(args.folder, number, args.program), "--seeds", "1", "--seed", seed)[0]
        if rule is not None and is_normal(args, seed):
            return rule, seed
    return None, None


def search(number, args):
    """(rule or None, seed, text that says what happened instead)"""
    for _ in range(TRIES):
        rule, seed, status, output = run(os.path.join(args.folder, number, args.program), "--seeds", str(args.seeds),
                                         "--jobs", str(args.jobs))
        if rule is None:
            tail = "\n".join("     " + line for line in output.splitlines()[-40:])
            return None, None, "exit status %d\n%s" % (status, tail)
        if is_normal(args, seed):
            return rule, seed, ""
    return None, None, "each time at a seed that breaks a rule without it too"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--table", required=True, help="the plant.h")
    parser.add_argument("--program", required=True)
    parser.add_argument("--normal", required=True, help="the same program without a bug")
    parser.add_argument("--record", action="store_true", help="write down the seeds that were found")
    parser.add_argument("folder")
    parser.add_argument("numbers", nargs="*")
    args = parser.parse_args()
    if not args.numbers:
        print("FAIL there is no planted bug: the table in %s has none" % args.table)
        return closing.close(0, 1)
    what, known = describe(args.table), read_known(args.program)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        found = list(pool.map(lambda number: at_known(number, args, known.get(number, [])), args.numbers))
    for number, (rule, seed) in zip(args.numbers, found):
        started, text, searched = time.monotonic(), "", rule is None
        if searched:
            rule, seed, text = search(number, args)
        passed += rule is not None
        failed += rule is None
        print("%-4s planted bug %s, %s: %s" % ("ok" if rule else "FAIL", number, what.get(number, "unknown"),
              "found, %s at seed %s" % (rule, seed) if rule else "not found, " + text), end="")
        print(" (%.1f s: no known seed shows it)" % (time.monotonic() - started) if searched else "", flush=True)
        if rule and searched:
            known[number] = ([seed] + known.get(number, []))[:KEPT]
    if args.record:
        write_known(args.program, known)
    return closing.close(passed, failed)


if __name__ == "__main__":
    sys.exit(main())
