"""Down-after on a busy machine: leased shards under full load for minutes, and nobody may be taken for dead.

Three shards of noded under three supervisors, down-after 500 ms, the lease its half; redis-benchmark as fast as it
goes, clients that write to each shard without a pause and look at each answer, and a program for each processor that
only counts (lab/full_load.py). Whatever switches is a fault."""
import os
import sys

from lab import Lab
from lab.full_load import DOWN_AFTER_MS, PIPELINE, SHARDS, hold


def measure(seconds, progress=sys.stderr):
    with Lab("ours") as lab:
        return hold(lab, seconds, lambda line: print("steady: %s" % line, file=progress, flush=True))


def report(r):
    """Prints the table; returns what was missed."""
    missed = []
    print("\n%d leased shards, down-after %d ms, full load on %d processors for %d s" % (
        SHARDS, DOWN_AFTER_MS, os.cpu_count(), r["seconds"]))
    print("%-52s %14d" % ("writes", r["written"]))
    print("%-52s %11.0f ms" % ("longest time that %d writes took" % PIPELINE, r["longest_ms"]))
    print("%-52s %14d" % ("down for one supervisor, for a moment", r["+sdown"]))
    print("%-52s %11.0f ms" % ("a lease had run out, in all, of one shard at most", r["refused_ms"]))
    print("%-52s %14d   0%s" % ("failovers", r["+switch-master"], "  MISSED" if r["+switch-master"] else ""))
    if r["+switch-master"]:
        missed.append("failovers of masters that lived")
    if r["error"]:
        print("the first refusal: %s" % r["error"])
    return missed
