#!/usr/bin/python3
"""Run the end-to-end tests: each test in a process and a laboratory of its own.

Most of them wait for most of their time, so many run at once: as many as keep the processors busy by what weights.txt
says they use, the longest first. run.py --weigh writes that file anew.

The last line is "N passed, N failed". The exit status is 0 only when at least one test ran and none failed.
"""
import argparse
import fnmatch
import glob
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from cases import Job, Skip  # noqa: E402
from lab import Lab  # noqa: E402
from lab.processes import die_with_parent  # noqa: E402
from weights import Weights  # noqa: E402

GRACE_S = 12  # what a test gets to report and clean up after its time limit
QUIET_CORES = 0.7  # what a test that minds its neighbours counts as
SKIPPED = 77  # the exit status of a test that cannot be done here
STOCK_SAMPLE = 4  # how many tests a plain run also makes with the stock Sentinel, to check the tests themselves


class TimeLimit(Exception):
    """Raised inside a test that was told to end."""


def discover():
    """All (name, case) of tests/e2e/test_*.py."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, thing in vars(module).items():
            if name.startswith("test_") and callable(thing) and thing.__module__ == module.__name__:
                if not hasattr(thing, "case"):
                    raise SystemExit("%s: %s is not marked with @case" % (path, name))
                found.append((module.__name__[5:] + "." + name[5:], thing.case))
    return found


def make_jobs(found, args, rng):
    """The jobs of this run: all rows and kinds in a soak, else ours with sampled rows, and a few with stock."""
    jobs, stock = [], []
    for name, case in found:
        rows = case.matrix
        if case.sample and not args.soak:
            rows = rng.sample(rows, min(case.sample, len(rows)))
        kinds = (args.kind,) if args.kind else case.kinds
        for row in rows:
            for kind in kinds:
                if kind not in case.kinds:
                    continue
                full = "%s%s @%s" % (name, "[%s]" % ",".join(str(x) for x in row) if row else "", kind)
                if args.k and not any(fnmatch.fnmatch(full, "*%s*" % p) for p in args.k):
                    continue
                sampled = kind == "stock" and "ours" in case.kinds and not (args.kind or args.soak or args.k)
                (stock if sampled else jobs).append(Job(full, case, kind, row))
    jobs += rng.sample(stock, min(STOCK_SAMPLE, len(stock)))
    return [Job(j.name, j.case, j.kind, j.row, i) for i in range(args.repeat) for j in jobs]


def run_in_child(job, root, parent):
    """The body of a test's process; never returns."""
    die_with_parent(parent, signal.SIGTERM)
    os.setsid()

    def told_to_end(_sig, _frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise TimeLimit("told to end: the time limit of %g s is over, or the runner ended" % job.case.limit_s)

    signal.signal(signal.SIGTERM, told_to_end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    lab = Lab(job.kind, root)
    try:
        job.case.function(lab, *job.row)
        status = 0
    except Skip as e:
        print(e)
        status = SKIPPED
    except BaseException:  # whatever it is, it is reported as this test's failure
        traceback.print_exc()
        try:
            print(lab.describe(), file=sys.stderr)
        except BaseException:
            traceback.print_exc()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            lab.close()
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Running:
    """One test's process, seen from the runner."""

    def __init__(self, job, root, number):
        self.job = job
        self.dir = os.path.join(root, "%03d" % number)
        os.makedirs(self.dir)
        self.output = os.path.join(root, "%03d.out" % number)
        self.started = time.monotonic()
        self.seconds = self.cpu_s = 0.0  # once it ended
        self.told = False
        parent = os.getpid()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            fd = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            run_in_child(job, self.dir, parent)

    def poll(self):
        """The exit status once it ended, else None. Enforces the time limit."""
        pid, status, used = os.wait4(self.pid, os.WNOHANG)
        if pid == self.pid:
            self.seconds = time.monotonic() - self.started
            self.cpu_s = used.ru_utime + used.ru_stime  # its servers are in it, for it waited for them
            self.kill_group()
            return os.waitstatus_to_exitcode(status)
        age = time.monotonic() - self.started
        if age > self.job.case.limit_s and not self.told:
            self.told = True
            os.kill(self.pid, signal.SIGTERM)
        if age > self.job.case.limit_s + GRACE_S:
            self.kill_group()
        return None

    def kill_group(self):
        """End what the test left behind (scripts that its servers started, for example)."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def end(self):
        """Give the test the time to clean up, then end it."""
        try:
            os.kill(self.pid, signal.SIGTERM)
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    break
                time.sleep(0.05)
        except (ChildProcessError, ProcessLookupError):
            pass
        self.kill_group()


def report(running, status, verbose):
    name = running.job.name + (" #%d" % (running.job.repeat + 1) if running.job.repeat else "")
    with open(running.output, encoding="utf-8", errors="replace") as f:
        detail = f.read()
    if status == 0:
        print("ok   %s (%.1f s)" % (name, running.seconds), flush=True)
        if verbose and detail:
            print(detail, end="")
    elif status == SKIPPED:
        print("skip %s: %s" % (name, detail.strip()), flush=True)
    else:
        print("FAIL %s (%.1f s)" % (name, running.seconds))
        if status != 1:
            print("     its process ended %s" % ("by signal %d" % -status if status < 0 else "with status %d" % status))
        print("\n".join("     " + line for line in detail.splitlines()), flush=True)


def cores(job, weights):
    """How many processors it counts as."""
    return max(weights.cores(job.name), QUIET_CORES if job.case.quiet else 0)


def next_job(waiting, running, args, weights):
    """Takes the job that may start beside those that run out of waiting; None: there is none."""
    if len(running) >= args.j or any(r.job.case.alone for r in running):
        return None
    free = args.cores - sum(cores(r.job, weights) for r in running)
    for i, job in enumerate(waiting):
        if job.case.alone and any(not j.case.alone for j in waiting[:i] + [r.job for r in running]):
            return None  # those that need the machine for themselves come last
        if not running or cores(job, weights) <= free:
            return waiting.pop(i)
        if job.case.alone:
            return None
    return None


def run_all(jobs, args, root, weights):
    waiting, running, passed, failed = list(jobs), [], [], []
    number = 0
    try:
        while waiting or running:
            job = next_job(waiting, running, args, weights)
            while job is not None:
                running.append(Running(job, root, number))
                number += 1
                job = next_job(waiting, running, args, weights)
            for r in list(running):
                status = r.poll()
                if status is None:
                    continue
                running.remove(r)
                report(r, status, args.verbose)
                if status != SKIPPED:
                    (passed if status == 0 else failed).append(r.job.name)
                weights.measured(r.job.name, r.seconds, r.cpu_s)
                if status in (0, SKIPPED) or not args.keep:
                    shutil.rmtree(r.dir, ignore_errors=True)
                if status not in (0, SKIPPED) and args.x:
                    waiting.clear()
            time.sleep(0.01)
    finally:
        for r in running:
            r.end()
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-j", type=int, default=10, help="tests at one time, at most (default 10)")
    parser.add_argument("--cores", type=float, default=0.85 * len(os.sched_getaffinity(0)), metavar="N",
                        help="processors that they may use together (default: 85 %% of those there are)")
    parser.add_argument("--weigh", action="store_true", help="write down in weights.txt what the tests use")
    parser.add_argument("-k", action="append", metavar="PATTERN", help="only tests whose name contains this pattern")
    parser.add_argument("-x", action="store_true", help="start no further test after a failure")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run each test N times")
    parser.add_argument("--kind", choices=("stock", "ours"), help="only with this kind of supervisor")
    parser.add_argument("--soak", action="store_true", help="all kinds and all rows of the matrices")
    parser.add_argument("--seed", type=int, help="what the sampling is drawn from (default: drawn and printed)")
    parser.add_argument("--keep", action="store_true", help="keep the directories of failed tests")
    parser.add_argument("--list", action="store_true", help="only print the names of the tests")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what passing tests print")
    args = parser.parse_args()

    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 31)
    jobs = make_jobs(discover(), args, random.Random(seed))
    if args.list:
        print("\n".join(j.name for j in jobs))
        return 0
    # Tests that need the machine for themselves come last, so that the others keep it busy until then.
    weights = Weights(os.path.join(HERE, "weights.txt"))
    jobs.sort(key=lambda j: (j.case.alone, -weights.seconds(j.name)))
    print("e2e: %d tests, at most %d at a time on %.1f processors, --seed %d" % (len(jobs), args.j, args.cores, seed),
          flush=True)

    def interrupted(_sig, _frame):
        raise KeyboardInterrupt

    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, interrupted)
    root = tempfile.mkdtemp(prefix="sentineld-e2e-")
    started = time.monotonic()
    failed = ["(nothing ran)"]
    try:
        passed, failed = run_all(jobs, args, root, weights)
        for name in failed:
            print("failed: %s" % name)
        print("e2e: %.0f s; %s" % (time.monotonic() - started, weights.summary()))
        if args.weigh:
            weights.write()
        if not jobs:
            print("e2e: no test ran; is the pattern right?")
        print("%d passed, %d failed" % (len(passed), len(failed)), flush=True)
    except KeyboardInterrupt:
        print("e2e: interrupted; all processes of the tests were ended")
        return 130
    finally:
        if args.keep and failed:
            print("e2e: kept %s" % root, file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 0 if jobs and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
