#!/usr/bin/python3
"""Failover times of sentineld and of the stock redis-sentinel over the same servers, and noded beside redis-server.

Milliseconds count from the kill of the master plus down-after. The exit status is 1 when a target is missed.
"""
import argparse
import json
import os
import signal
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), HERE]
sys.dont_write_bytecode = True

import cluster  # noqa: E402
import durable  # noqa: E402
import fifty  # noqa: E402
import idle  # noqa: E402
import lines  # noqa: E402
import made  # noqa: E402
import many_shards  # noqa: E402
import noded  # noqa: E402
import one  # noqa: E402
import rebalance  # noqa: E402
import slots  # noqa: E402
import steady  # noqa: E402
import supervised  # noqa: E402
import thousand  # noqa: E402
from lab import Lab, sentineld_path  # noqa: E402

# Row: part, title, unit, target, index into a round's result.
ROWS = (
    ("one", "one killed: a node takes writes", "ms", 30.0, 0),
    ("one", "one killed: first write of a client", "ms", 30.0, 1),
    ("one", "one killed: all agree", "ms", 60.0, 2),
    ("fifty", "%d killed at once: last promoted", "ms", 200.0, 0),
    ("fifty", "%d killed at once: all agree", "ms", 300.0, 1),
)


PARTS = ("one", "fifty", "idle", "thousand", "noded", "durable", "cluster", "slots", "rebalance", "made",
         "supervised",
         "shards", "steady")


def spread(values):
    return "median of %d, %.0f to %.0f" % (len(values), min(values), max(values))


def table(results, masters, kinds):
    """Print the table; returns the titles of missed targets."""
    missed = []
    print("%-38s %12s %12s %8s %9s  %s" % ("", "ours", "stock", "ratio", "target", ""))
    for part, title, unit, target, index in ROWS:
        if part not in results:
            continue
        if "%d" in title:
            title = title % masters
        value, note = {}, ""
        for kind in ("ours", "stock"):
            measured = results[part].get(kind)
            if not measured:
                continue
            column = [r[index] for r in measured]
            value[kind] = statistics.median(column)
            if kind == "ours":
                note = spread(column)
        cells = ["%.1f %s" % (value[k], unit) if k in value else "-" for k in ("ours", "stock")]
        ratio = "%.1f x" % (value["stock"] / value["ours"]) if len(value) == 2 and value["ours"] > 0 else "-"
        verdict = ""
        if "ours" in value and value["ours"] > target:
            verdict = "MISSED"
            missed.append(title)
        print("%-38s %12s %12s %8s %9s  %s" % (
            title, *cells, ratio, "<= %.0f %s" % (target, unit), verdict or note))
    if "idle" in results:
        missed += lines.show(idle.rows(results["idle"], "servers"), kinds)
    return missed


def too_early(results):
    """Rounds in which ours switched before down-after was over, a fault rather than a success."""
    return [r for r in results.get("one", {}).get("ours", []) + results.get("fifty", {}).get("ours", []) if r[0] < 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part")
    parser.add_argument("--kind", choices=("ours", "stock"), help="measure only this kind")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of one master with ours (default 20)")
    parser.add_argument("--stock-rounds", type=int, default=5, help="rounds of one master with stock (default 5)")
    parser.add_argument("--fifty-rounds", type=int, default=3, help="rounds of many masters (default 3)")
    parser.add_argument("--masters", type=int, default=50, help="how many masters are killed at once (default 50)")
    parser.add_argument("--idle-seconds", type=float, default=20, help="length of each idle measurement (default 20)")
    parser.add_argument("--groups", type=int, default=1000, help="groups of modelled servers (default 1000)")
    parser.add_argument("--kill", type=int, default=100, help="how many of their masters are killed (default 100)")
    parser.add_argument("--idle-groups", type=int, default=100, help="groups of the idle comparison (default 100)")
    parser.add_argument("--settle", type=float, default=12, help="seconds before memory is measured (default 12)")
    parser.add_argument("--stock-bound", type=float, default=90, help="seconds given to stock (default 90)")
    parser.add_argument("--node-rounds", type=int, default=9, help="rounds of noded and redis-server (default 9)")
    parser.add_argument("--node-requests", type=int, default=400000,
                        help="requests of a run with pipeline 16; an eighth without (default 400000)")
    parser.add_argument("--node-keyspace", type=int, default=100000,
                        help="random keys of a run; 0: one (default 100000)")
    parser.add_argument("--node-threads", type=int, default=0, help="threads of redis-benchmark (default: none more)")
    parser.add_argument("--durable-rounds", type=int, default=5,
                        help="rounds of persistence and replication (default 5)")
    parser.add_argument("--cluster-rounds", type=int, default=5, help="rounds of failover in clusters (default 5)")
    parser.add_argument("--cluster-nodes", type=int, default=100, help="idle nodes of one cluster (default 100)")
    parser.add_argument("--slots-rounds", type=int, default=3, help="rounds of both flows of slots (default 3)")
    parser.add_argument("--slots-mb", type=int, default=1024, help="megabytes that move, one in a slot (default 1024)")
    parser.add_argument("--slots-moves", type=int, default=5, help="moves there and back for pauses (default 5)")
    parser.add_argument("--slots-rate", type=int, default=50000, help="writes a second into slots (default 50000)")
    parser.add_argument("--rebalance-rounds", type=int, default=3, help="rounds of nodectl slots rebalance (default 3)")
    parser.add_argument("--rebalance-mb", type=int, default=1024,
                        help="megabytes in the cluster that gets a fourth master (default 1024)")
    parser.add_argument("--made-rounds", type=int, default=5, help="fleets that nodectl makes (default 5)")
    parser.add_argument("--import-keys", type=int, default=1000000, help="keys of an import (default 1000000)")
    parser.add_argument("--supervised-rounds", type=int, default=3, help="rounds of supervised clusters (default 3)")
    parser.add_argument("--supervised-shards", type=int, default=60,
                        help="shards of which half lose their masters at once; 0: none (default 60)")
    parser.add_argument("--model-shards", type=int, default=1000,
                        help="modelled shards of which half lose their masters at once (default 1000)")
    parser.add_argument("--steady-seconds", type=float, default=600,
                        help="how long leased shards are held under full load (default 600)")
    parser.add_argument("--json", metavar="FILE", help="write all measured values there")
    args = parser.parse_args()
    parts = args.only or PARTS
    kinds = [args.kind] if args.kind else ["ours", "stock"]
    if "ours" in kinds and not os.access(sentineld_path(), os.X_OK):
        parser.error("%s is missing: build it with make" % sentineld_path())

    def interrupted(_sig, _frame):
        raise KeyboardInterrupt

    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, interrupted)
    results = {}
    try:
        with Lab() as lab:
            if "one" in parts:
                rounds = {"ours": args.rounds, "stock": args.stock_rounds}
                results["one"] = one.measure(lab, {k: rounds[k] for k in kinds})
        if "fifty" in parts or "idle" in parts:
            with Lab() as lab:
                many = fifty.ManyMasters(lab, args.masters)
                if "idle" in parts:
                    results["idle"] = fifty.measure_idle(many, kinds, args.idle_seconds)
                if "fifty" in parts:
                    rounds = {"ours": args.fifty_rounds, "stock": min(2, args.fifty_rounds)}
                    results["fifty"] = fifty.measure(many, {k: rounds[k] for k in kinds})
        if "thousand" in parts:
            with Lab() as lab:
                results["thousand"] = thousand.measure(lab, kinds, args)
        if "noded" in parts:
            with Lab() as lab:
                results["noded"] = noded.measure(lab, args)
        if "durable" in parts:
            with Lab() as lab:
                results["durable"] = durable.measure(lab, args)
        if "cluster" in parts:
            with Lab() as lab:
                results["cluster"] = cluster.measure(lab, args)
        if "slots" in parts:
            results["slots"] = slots.measure(args)
        if "rebalance" in parts:
            results["rebalance"] = rebalance.measure(args)
        if "made" in parts:
            results["made"] = made.measure(args)
        if "supervised" in parts:
            results["supervised"] = supervised.measure(args)
        if "shards" in parts:
            with Lab("ours") as lab:
                results["shards"] = many_shards.measure(lab, args)
        if "steady" in parts:
            results["steady"] = steady.measure(args.steady_seconds)
    except KeyboardInterrupt:
        print("bench: interrupted; all its processes were ended", file=sys.stderr)
        return 130
    except (AssertionError, OSError) as e:
        print("bench: a round could not be finished: %s" % e, file=sys.stderr)
        return 1
    print()
    missed = table(results, args.masters, kinds)
    if "thousand" in results:
        missed += thousand.report(results["thousand"], args)
    if "noded" in results:
        missed += noded.report(results["noded"], args)
    if "durable" in results:
        missed += durable.report(results["durable"])
    if "cluster" in results:
        missed += cluster.report(results["cluster"], args)
    if "slots" in results:
        missed += slots.report(results["slots"], args)
    if "rebalance" in results:
        missed += rebalance.report(results["rebalance"], args)
    if "made" in results:
        missed += made.report(results["made"], args)
    if "supervised" in results:
        missed += supervised.report(results["supervised"], args)
    if "shards" in results:
        missed += many_shards.report(results["shards"], args)
    if "steady" in results:
        missed += steady.report(results["steady"])
    if not set(parts) <= {"noded", "durable", "cluster", "slots", "rebalance", "made", "supervised", "shards",
                             "steady"}:
        print("\nMilliseconds after kill -9 plus down-after (%d ms); 3 supervisors; each daemon with its default "
              "settings." % one.DOWN_AFTER_MS)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
    early = too_early(results)
    if early:
        print("FAULT: sentineld switched before down-after was over: %s" % early)
    if missed:
        print("missed: %s" % "; ".join(missed))
    return 1 if missed or early else 0


if __name__ == "__main__":
    sys.exit(main())
