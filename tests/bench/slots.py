"""Moving slots with all their databases: MIGRATESLOTS beside the classic flow key by key, what writers and clients of
other slots see of it, and whether it gets through under a load.
"""
import json
import os
import statistics
import subprocess
import sys
import time

from lab import Lab, encode
from lab.clusters import make_cluster, my_id, wait_agreed
from lab.supervisors import ROOT

DATABASES = 4
VALUE_BYTES = 1000
EACH = 250  # keys of a slot in a database: a megabyte a slot, in all
BATCH = 100  # keys that one MIGRATE takes along
RATIO_TARGET = 8.0
PAUSE_TARGET_MS = 50
PROBE_RATE, OTHERS_RATE = 1000, 5000
RUSH_BYTES, RUSH_TARGET_S = 100, 30
RUSH_RATE_TARGET = 0.95  # of the writes that were to be made in the time
USUAL_S = 3
OTHERS = (6000, 10383)  # slots that do not move, of both masters
OVER = ("success", "failed", "cancelled")


def load_path():
    """The writer; BENCH_LOAD names another build of it."""
    return os.environ.get("BENCH_LOAD") or os.path.join(ROOT, "build", "bench-load")


class Load:
    """bench-load write: what it says for each mark, and in the end."""

    def __init__(self, nodes, slots, each, size, rate, *more):
        argv = [load_path(), "write", ",".join(str(n.port) for n in nodes), slots[0], slots[1], DATABASES, each, size,
                rate, *more]
        self.proc = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     universal_newlines=True)

    def say(self, word):
        self.proc.stdin.write(word + "\n")
        self.proc.stdin.flush()
        line = self.proc.stdout.readline()
        assert line, "bench-load has ended"
        said = json.loads(line)
        assert said["errors"] == 0, "a writer got an error: %s" % said["error"]
        return said

    def mark(self):
        return self.say("mark")

    def stop(self):
        said = self.say("stop")
        assert self.proc.wait(30) == 0
        return said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()


def fill(nodes, count, databases=DATABASES, each=EACH):
    """A megabyte in each of the slots 0..count-1."""
    argv = [load_path(), "fill", ",".join(str(n.port) for n in nodes), 0, count - 1, databases, each, VALUE_BYTES]
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, universal_newlines=True, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["errors"] == 0, "bench-load fill: %s" % done.stdout


def sizes(node):
    with node.connect() as c:
        found = []
        for db in range(DATABASES):
            c.ok("SELECT", db)
            found.append(c.ok("DBSIZE"))
        return found


# ---- both flows ----

def jobs(c):
    return {row[1]: dict(zip(row[::2], row[1::2])) for row in c.ok("CLUSTER", "GETSLOTMIGRATIONS")}


def move(source, target, count):
    """Seconds from MIGRATESLOTS until the source says that it has succeeded."""
    target_id = my_id(target)
    with source.connect(timeout_s=60) as c:
        before = set(jobs(c))
        began = time.monotonic()
        c.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, count - 1, "NODE", target_id)
        while True:
            rows = [row for name, row in jobs(c).items() if name not in before]
            assert len(rows) == 1, rows
            if rows[0]["state"] in OVER:
                break
            assert time.monotonic() - began < 300, "the migration does not end: %s" % rows
            time.sleep(0.01)
        took = time.monotonic() - began
    assert rows[0]["state"] == "success", "the migration has failed: %s" % rows
    return took


def migrate_keys(c, slot, db, port):
    """One batch; the keys stay the bytes that the source has named. false: there are none."""
    c.sock.sendall(encode("CLUSTER", "GETKEYSINSLOT", slot, BATCH))
    said = b""
    while not said.endswith(b"\n") or said.count(b"\n") < 1 + 2 * int(said[1:said.index(b"\r")]):
        said += c.sock.recv(1 << 16)
    head, keys = said.split(b"\r\n", 1)
    if head == b"*0":
        return False
    request = encode("MIGRATE", "127.0.0.1", port, "", db, 60000, "KEYS")
    c.sock.sendall(b"*%d" % (7 + int(head[1:])) + request[2:] + keys)
    assert c.read(60) == "OK"
    return True


def move_classic(source, target, count):
    """As tools for clusters do it, with the batches that suit it: slot by slot, all databases one after the other."""
    source_id, target_id = my_id(source), my_id(target)
    with source.connect(timeout_s=60) as from_, target.connect(timeout_s=60) as to:
        began = time.monotonic()
        for slot in range(count):
            to.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
            from_.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
            for db in range(DATABASES):
                from_.ok("SELECT", db)
                while migrate_keys(from_, slot, db, target.port):
                    pass
            to.ok("CLUSTER", "SETSLOT", slot, "NODE", target_id)
            from_.ok("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        return time.monotonic() - began


def measure_flows(lab, args, results):
    """Both flows forth and back over the same keys, in turn; and who asks for other slots meanwhile."""
    nodes, _ = make_cluster(lab, ["ours", "ours"], cluster_node_timeout=15000)
    count = args.slots_mb
    fill(nodes, count)
    expected = sizes(nodes[0])
    turn = 0
    for number in range(args.slots_rounds):
        for name, run in (("atomic", move), ("classic", move_classic))[::1 if number % 2 == 0 else -1]:
            source, target = nodes[turn % 2], nodes[1 - turn % 2]
            results[name].append(run(source, target, count))
            wait_agreed(nodes)
            assert sizes(target) == expected and sum(sizes(source)) == 0, "keys were lost"
            turn += 1
        print("slots: round %d of %d, atomic %.2f s, classic %.2f s" % (
            number + 1, args.slots_rounds, results["atomic"][-1], results["classic"][-1]), file=sys.stderr, flush=True)
    with Load(nodes, OTHERS, 1, RUSH_BYTES, OTHERS_RATE) as load:
        time.sleep(USUAL_S)
        results["others"] = {"before": load.mark()}
        for _ in range(2):
            move(nodes[turn % 2], nodes[1 - turn % 2], count)
            turn += 1
        results["others"]["during"] = load.mark()
        load.stop()


def measure_reshard(lab, args, results):
    """redis-cli knows database 0 only: what it does to a sixteenth of the keys there, for comparison."""
    (source, target), _ = make_cluster(lab, ["ours", "ours"], cluster_node_timeout=15000)
    count = max(1, args.slots_mb // 16)
    fill([source], count, databases=1, each=DATABASES * EACH)
    before = source.ok("DBSIZE")
    began = time.monotonic()
    done = subprocess.run(
        ["redis-cli", "--cluster", "reshard", "127.0.0.1:%d" % source.port, "--cluster-from", my_id(source),
         "--cluster-to", my_id(target), "--cluster-slots", str(count), "--cluster-yes", "--cluster-pipeline",
         str(BATCH)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True, timeout=600, check=False)
    results["reshard"] = time.monotonic() - began
    assert done.returncode == 0 and target.ok("DBSIZE") == before, done.stdout[-300:]


# ---- what writers of the moving slots see ----

def measure_pause(lab, args, results, name, **options):
    """A write a millisecond to the slots while they move to and fro, with a replica at both ends."""
    nodes, _ = make_cluster(lab, ["ours", "ours"], [("ours", 0), ("ours", 1)], cluster_node_timeout=15000, **options)
    count = max(1, args.slots_mb // 8)
    fill(nodes, count)
    pauses = []
    with Load(nodes, (0, count - 1), EACH, VALUE_BYTES, PROBE_RATE, "count") as load:
        time.sleep(USUAL_S)
        usual = load.mark()
        for turn in range(2 * args.slots_moves):
            move(nodes[turn % 2], nodes[1 - turn % 2], count)
            time.sleep(0.3)  # those that were due before it ended are answered
            pauses.append((load.mark()["max_us"] - usual["p50_us"]) / 1000)
        said = load.stop()
    assert said["wrong"] == 0, "%d of %d counters are wrong" % (said["wrong"], said["counters"])
    results[name] = {"usual": usual, "pauses": pauses}
    print("slots: pauses, %s: %s ms" % (name, " ".join("%.0f" % p for p in pauses)), file=sys.stderr, flush=True)


# ---- under a load ----

def measure_rush(lab, args, results):
    """So many writes a second into the slots while they move there and back, with a replica and a log at both ends."""
    nodes, _ = make_cluster(lab, ["ours", "ours"], [("ours", 0), ("ours", 1)], cluster_node_timeout=15000,
                            appendonly="yes", appendfsync="everysec")
    count = max(1, args.slots_mb // 8)
    fill(nodes, count)
    before = sizes(nodes[0])
    result = results["rush"] = {"moves": []}
    with Load(nodes, (0, count - 1), EACH, RUSH_BYTES, args.slots_rate, "count") as load:
        time.sleep(USUAL_S)
        usual = result["usual"] = load.mark()
        for turn in range(2):
            source, target = nodes[turn % 2], nodes[1 - turn % 2]
            took = move(source, target, count)
            time.sleep(0.5)
            said = load.mark()
            result["moves"].append({"took": took, "pause_ms": (said["max_us"] - usual["p50_us"]) / 1000,
                                    "rate": said["n"] / said["seconds"]})
        said = result["end"] = load.stop()
    assert said["wrong"] == 0, "%d of %d counters are wrong" % (said["wrong"], said["counters"])
    now = sizes(nodes[0])
    assert sum(now) == sum(before) + said["counters"], "keys were lost: %s, then %s" % (before, now)
    assert sum(sizes(nodes[1])) == 0, "keys are at both ends"


# ---- all of it ----

def measure(args):
    results = {"atomic": [], "classic": []}
    for run, *more in ((measure_flows,), (measure_reshard,), (measure_pause, "no log", {}),
                       (measure_pause, "everysec", {"appendonly": "yes", "appendfsync": "everysec"}), (measure_rush,)):
        with Lab() as lab:
            run(lab, args, results, *more[:1], **(more[1] if more else {}))
    return results


def rate(mb, seconds):
    keys = mb * DATABASES * EACH
    return "%.0f keys/s, %.0f MB/s" % (keys / seconds, keys * VALUE_BYTES / 1e6 / seconds)


def report(results, args):
    """Prints the table; returns what was missed."""
    missed = []

    def row(title, value, target="", ok=True):
        print("%-62s %12s   %s%s" % (title, value, target, "" if ok else "  MISSED"))
        missed.extend([] if ok else [title])

    print("\n%-62s %12s   target" % ("moving slots", "noded"))
    atomic, classic = (statistics.median(results[name]) for name in ("atomic", "classic"))
    mb = args.slots_mb
    row("MIGRATESLOTS of %d MB in %d databases" % (mb, DATABASES), "%.2f s" % atomic, "(%s)" % rate(mb, atomic))
    row("classic flow of the same, %d keys a MIGRATE" % BATCH, "%.2f s" % classic, "(%s)" % rate(mb, classic))
    row("  atomic beside classic", "%.1f x" % (classic / atomic), ">= %.0f x" % RATIO_TARGET,
        classic / atomic >= RATIO_TARGET)
    part = max(1, mb // 16)
    row("redis-cli --cluster reshard of %d MB in database 0" % part, "%.2f s" % results["reshard"],
        "(%s)" % rate(part, results["reshard"]))
    for name in ("no log", "everysec"):
        usual, pauses = results[name]["usual"], results[name]["pauses"]
        row("longest pause of writes, %d moves, %s" % (len(pauses), name), "%.0f ms" % max(pauses),
            "<= %d ms (median %.0f; usual p50 %.1f, p99 %.1f, longest %.1f)" % (
                PAUSE_TARGET_MS, statistics.median(pauses), usual["p50_us"] / 1000, usual["p99_us"] / 1000,
                usual["max_us"] / 1000), max(pauses) <= PAUSE_TARGET_MS)
    rush = results["rush"]
    longest = max(m["took"] for m in rush["moves"])
    row("%d MB under %d writes/s into the moving slots" % (max(1, mb // 8), args.slots_rate), "%.2f s" % longest,
        "<= %d s (%d counters right)" % (RUSH_TARGET_S, rush["end"]["counters"]), longest <= RUSH_TARGET_S)
    done, pause = min(m["rate"] for m in rush["moves"]), max(m["pause_ms"] for m in rush["moves"])
    row("  writes a second that were done", "%.0f" % done, ">= %.0f (usual %.0f)" % (
        RUSH_RATE_TARGET * args.slots_rate, rush["usual"]["n"] / rush["usual"]["seconds"]),
        done >= RUSH_RATE_TARGET * args.slots_rate)
    row("  longest pause of a write", "%.0f ms" % pause, "<= %d ms" % PAUSE_TARGET_MS, pause <= PAUSE_TARGET_MS)
    others = results["others"]
    row("p99 of writes to other slots meanwhile", "%.1f ms" % (others["during"]["p99_us"] / 1000),
        "(before %.1f ms; longest %.0f, before %.0f)" % (others["before"]["p99_us"] / 1000, *(
            others[when]["max_us"] / 1000 for when in ("during", "before"))))
    print("\n%d bytes a value, %d rounds in turn over the same keys; pauses and the load with a replica at both ends; "
          "%d processors." % (VALUE_BYTES, args.slots_rounds, os.cpu_count()))
    return missed
