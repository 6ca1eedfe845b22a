#!/usr/bin/python3
"""Run cmocka test programs and count their tests.

Programs that all pass are shown by cmocka's closing lines, others by all of their output. A skipped test, a program
that ends without closing lines, and a program that runs into the time limit are failures.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import closing  # noqa: E402

RUN = re.compile(rb"^\[==========\] (\d+) test\(s\) run\.", re.M)
PASSED = re.compile(rb"^\[  PASSED  \] (\d+) test\(s\)\.", re.M)


def run(program, limit_s):
    """(passed, failed, text to show) of one program."""
    started = time.monotonic()
    note = ""
    # A file, not a pipe: a process that a test left behind can't keep us waiting for the end of the output.
    with tempfile.TemporaryFile() as out:
        try:
            status = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                    timeout=limit_s, check=False).returncode
        except subprocess.TimeoutExpired:
            status, note = 1, "no end after %d s" % limit_s
        except OSError as e:
            status, note = 1, "cannot be run: %s" % e.strerror
        out.seek(0)
        output = out.read()
    ran = sum(int(n) for n in RUN.findall(output))
    passed = min(ran, sum(int(n) for n in PASSED.findall(output)))
    failed = ran - passed
    if ran == 0:
        failed, note = 1, note or "no closing lines of cmocka (exit status %d)" % status
    elif status != 0 and failed == 0:
        failed, note = 1, note or "exit status %d" % status
    head = "%-4s %s (%.2f s)%s\n" % ("FAIL" if failed else "ok", program, time.monotonic() - started,
                                     ": " + note if note else "")
    shown = output if failed else b"\n".join(m.group(0) for m in PASSED.finditer(output)) + b"\n"
    return passed, failed, head + "".join("     %s\n" % x for x in shown.decode("utf-8", "replace").splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, default=300, help="seconds for one program")
    parser.add_argument("program", nargs="*")
    args = parser.parse_args()
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for p, f, text in pool.map(lambda program: run(program, args.limit), args.program):
            passed += p
            failed += f
            print(text, end="", flush=True)
    return closing.close(passed, failed)


if __name__ == "__main__":
    sys.exit(main())
