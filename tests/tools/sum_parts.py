#!/usr/bin/python3
"""Run test parts one after the other and add up their closing lines ("N passed, N failed").

A part that fails without saying how many tests failed, or that ends without a closing line, counts as one failure. A
check has no closing line: its exit status counts as one test.
"""
import argparse
import os
import resource
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import closing  # noqa: E402


def make_environment():
    """Ours, without the job server of the make that called us: its pipe doesn't reach the parts."""
    env = dict(os.environ)
    flags = env.get("MAKEFLAGS", "").split(" ")
    env["MAKEFLAGS"] = " ".join(f for f in flags if not f.startswith(("-j", "--jobserver")))
    return env


def cpu_s():
    """Processor time of all parts that have ended: what they cost whatever else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(name, command, is_check):
    """(passed, failed, seconds, seconds of processors) of one part; its output is passed on as it comes, but for its
    closing line."""
    print("==== %s: %s" % (name, command), flush=True)
    started, cpu_before_s = time.monotonic(), cpu_s()
    part = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=make_environment())
    result = None
    try:
        for raw in part.stdout:
            line = raw.decode("utf-8", "replace")
            found = closing.parse(line)
            if found:
                result = found
                continue
            sys.stdout.write(line)
            sys.stdout.flush()
        status = part.wait()
    except BaseException:
        part.send_signal(signal.SIGINT)
        part.wait()
        raise
    if is_check:
        result = (1, 0) if status == 0 else (0, 1)
    elif result is None:
        print("%s: ended without the line \"N passed, N failed\" (exit status %d): 1 failure" % (name, status))
        result = (0, 1)
    elif status != 0 and result[1] == 0:
        print("%s: exit status %d though no test failed: 1 failure" % (name, status))
        result = (result[0], 1)
    return result + (time.monotonic() - started, cpu_s() - cpu_before_s)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs=2, action="append", default=[], metavar=("NAME", "COMMAND"))
    parser.add_argument("--check", nargs=2, action="append", default=[], metavar=("NAME", "COMMAND"))
    args = parser.parse_args()
    rows = []
    try:
        for name, command in args.part + args.check:
            rows.append((name,) + run(name, command, [name, command] in args.check))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        os._exit(130)
    print("==== summary")
    for name, passed, failed, seconds, used_s in rows:
        print("%-12s %6d ok %4d not ok %7.1f s %7.1f s of processors" % (name, passed, failed, seconds, used_s))
    return closing.close(sum(r[1] for r in rows), sum(r[2] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
