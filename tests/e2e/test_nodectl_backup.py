"""nodectl backup: what is saved under load comes back into clusters of other shards, key for key; and what is cut
short, damaged or meant for another cluster is never taken for a whole backup, and does no harm."""
import glob
import json
import os
import shutil
import signal
import subprocess
import threading
import time

from cases import case
from lab import wait_until
from lab.clusters import info, make_cluster, my_id
from lab.dataset import assert_same, client, content, fill, owner_of
from lab.migrating import jobs
from lab.small_disk import SmallDisk
from lab.supervised import Supervised
from lab.supervisors import nodectl_path, secret
from lab.tool import FAILED, INTERRUPTED, OK, USAGE, clean_env

OURS = ("ours",)
ALL = range(16)
BUSY = 5  # the database that is written to while backups are made
TIMEOUT = {"cluster_node_timeout": 6000}  # nobody is taken for dead who stands still for a moment


def argv_of(nodes, *words):
    seeds = ["--seeds", ",".join("127.0.0.1:%d" % n.port for n in nodes)] if nodes else []
    return [nodectl_path(), "backup", *[str(w) for w in words], *seeds]


def run(lab, nodes, *words, prefix=()):
    return subprocess.run([*prefix, *argv_of(nodes, *words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, env=clean_env(lab), timeout=90, check=False)


def document(done, code=OK):
    assert done.returncode == code, done
    return json.loads(done.stdout)


class Writer(threading.Thread):
    """Numbers into keys of one database, from 0 on; `acked` of them are acknowledged."""

    def __init__(self, masters):
        super().__init__(daemon=True)
        self.masters, self.clients = masters, {n.port: client(n, BUSY) for n in masters}
        self.acked, self.ends = 0, False
        self.start()

    def run(self):
        while not self.ends:
            key = b"written %d" % self.acked
            self.clients[owner_of(self.masters, key).port].set(key, "x" * 100)
            self.acked += 1

    def stop(self):
        self.ends = True
        self.join(timeout=10)


def without_busy(found):
    return {place: value for place, value in found.items() if place[0] != BUSY}


@case(kinds=OURS, limit_s=120)
def test_saved_under_load_and_restored_elsewhere(lab):
    masters, replicas = make_cluster(lab, ["ours"] * 3, [("ours", i) for i in range(3)], **TIMEOUT)
    fill(masters, [db for db in ALL if db != BUSY], 100)
    over_s = time.time() + 10  # the snapshots are taken by then, on a slow machine too
    client(owner_of(masters, b"soon"), 2).set("soon", 1, pxat=int(over_s * 1000))
    before = content(masters, ALL)
    writer = Writer(masters)
    wait_until(lambda: writer.acked > 200, 20, "the writer writes")
    sure = writer.acked
    made = document(run(lab, masters[:1], "create", "--to", lab.path("saved"), "-o", "json"))
    writer.stop()
    path = made["backup"]
    shards = made["manifest"]["shards"]
    assert [s["role"] for s in shards] == ["replica"] * 3, shards
    assert {s["from"] for s in shards} == {"127.0.0.1:%d" % n.port for n in replicas}, shards
    assert {s["slots"] for s in shards} == {"0-5460", "5461-10921", "10922-16383"}, shards
    assert os.listdir(lab.path("saved")) == [os.path.basename(path)]
    assert document(run(lab, (), "verify", path, "-o", "json"))["keys"] == made["manifest"]["keys"]
    sums = subprocess.run(["sha256sum"] + [os.path.join(path, s["file"]) for s in shards], stdout=subprocess.PIPE,
                          universal_newlines=True, check=True).stdout
    assert [line.split()[0] for line in sums.splitlines()] == [s["sha256"] for s in shards]
    check_stock_reader(path, shards)
    wait_until(lambda: time.time() > over_s, 20, "a key's time is over")
    wanted = {place: value for place, value in without_busy(before).items() if place != (2, b"soon")}
    for count in (2, 5):
        others, _ = make_cluster(lab, ["ours"] * count, prefix="to%d-" % count, **TIMEOUT)
        done = document(run(lab, others[:1], "restore", path, "--yes", "-o", "json"))
        assert done["restored"] == made["manifest"]["keys"] - 1 and done["expired"] == 1, (done, made["manifest"])
        after = content(others, ALL)
        assert_same(wanted, without_busy(after))
        assert_moments(masters, writer, sure, {key for db, key in after if db == BUSY})
        if count == 2:
            check_wrong_targets(lab, others, path, after)
    check_stock_target(lab, path, before)


def assert_moments(masters, writer, sure, got):
    """Of each shard there is what was written up to one moment, and nothing of what came later; and all that was
    acknowledged before the backup began."""
    for node in masters:
        keys = [key for key in (b"written %d" % i for i in range(writer.acked + 1)) if owner_of(masters, key) is node]
        there = [key in got for key in keys]
        assert there == sorted(there, reverse=True), (node.name, there.index(False), len(there))
    assert {b"written %d" % i for i in range(sure)} <= got, (sure, len(got))


def check_stock_reader(path, shards):
    """Files are RDB files like any other."""
    for shard in shards:
        done = subprocess.run(["redis-check-rdb", os.path.join(path, shard["file"])], stdout=subprocess.PIPE,
                              universal_newlines=True, check=False)
        assert done.returncode == 0 and "%d keys read" % shard["keys"] in done.stdout, done


def check_wrong_targets(lab, others, path, held):
    """A target with keys is left as it is, unless it is said what becomes of them."""
    name = "127.0.0.1:%d" % others[0].port
    refused = run(lab, others, "restore", path, "--yes")
    assert refused.returncode == FAILED and "is not empty" in refused.stderr, refused
    assert run(lab, others, "restore", path, "--yes", "--flush").returncode == USAGE
    wrong = run(lab, others, "restore", path, "--yes", "--flush", "--confirm", "orders")
    assert wrong.returncode == USAGE and "the target is %s" % name in wrong.stderr, wrong
    assert run(lab, others, "restore", path, "--yes", "--flush", "--replace").returncode == USAGE
    assert_same(held, content(others, ALL))
    node = owner_of(others, b"another")
    client(node, 7).set("another", "stays")
    victim = next(key for db, key in held if db == 3 and owner_of(others, key) is node)
    client(node, 3).delete(victim)
    client(node, 3).set(victim, "changed")
    done = document(run(lab, others, "restore", path, "--yes", "--replace", "-o", "json"))
    assert done["ok"] and client(node, 7).get("another") == b"stays", done
    client(node, 7).delete("another")
    assert_same(held, content(others, ALL))
    client(node, 7).set("another", "goes")
    done = document(run(lab, others, "restore", path, "--yes", "--flush", "--confirm", name, "-o", "json"))
    assert done["ok"], done
    assert_same(held, content(others, ALL))


def check_stock_target(lab, path, before):
    """redis-server knows database 0 only: all is refused, or the others are left out."""
    stock, _ = make_cluster(lab, ["stock"], prefix="stock-", repl_diskless_sync_delay=0)
    refused = run(lab, stock[:1], "restore", path, "--yes")
    assert refused.returncode == FAILED and "database 0 only" in refused.stderr, refused
    planned = run(lab, stock[:1], "restore", path, "--databases", "0", "--dry-run", "-o", "json")
    steps = [step["step"] for step in json.loads(planned.stdout)["steps"] if step["step"].startswith("restore ")]
    assert sum(int(step.split()[-2]) for step in steps) == sum(place[0] == 0 for place in before), steps
    planned = document(run(lab, stock[:1], "create", "--dry-run", "-o", "json"))
    assert [(row["from"], row["slots"]) for row in planned["plan"]] == [
        ("127.0.0.1:%d" % stock[0].port, "0-16383")], planned
    done = document(run(lab, stock[:1], "restore", path, "--databases", "0", "--yes", "-o", "json"))
    wanted = {place: value for place, value in before.items() if place[0] == 0}
    assert done["restored"] == len(wanted) and done["left_out"] > 0, done
    assert_same(wanted, content(stock, (0,)))
    made = document(run(lab, stock[:1], "create", "--to", lab.path("stock-saved"), "-o", "json"))
    assert run(lab, (), "verify", made["backup"]).returncode == OK
    assert made["manifest"]["keys"] == len(wanted) and made["manifest"]["cluster_databases"] == 1, made


def damaged(lab, path, name, change):
    """A copy of the backup with a file that was changed."""
    copy = lab.path(name)
    shutil.copytree(path, copy)
    change(copy)
    return copy


def flip(copy, file, at, bit=1):
    with open(os.path.join(copy, file), "r+b") as f:
        f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ bit]))


def cut(copy, file, keep):
    with open(os.path.join(copy, file), "r+b") as f:
        f.truncate(keep)


def edit(copy, old, new):
    name = os.path.join(copy, "manifest.json")
    with open(name, encoding="utf-8") as f:
        text = f.read()
    assert old in text
    with open(name, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))


@case(kinds=OURS, limit_s=120)
def test_damage_is_found(lab):
    """Flipped bits, torn files, files and lines of another backup: verify finds it, restore does nothing."""
    masters, _ = make_cluster(lab, ["ours"] * 3)
    fill(masters, (0, 9), 200)
    before = content(masters, ALL)
    made = document(run(lab, masters, "create", "--to", lab.path("saved"), "-o", "json"))
    path, shards = made["backup"], made["manifest"]["shards"]
    size = shards[1]["bytes"]
    cases = {
        "front": lambda c: flip(c, "shard-1.rdb", 3),
        "middle": lambda c: flip(c, "shard-2.rdb", size // 2, 0x40),
        "end": lambda c: flip(c, "shard-3.rdb", -1),
        "torn": lambda c: cut(c, "shard-2.rdb", size - 9),
        "empty": lambda c: cut(c, "shard-2.rdb", 0),
        "missing": lambda c: os.unlink(os.path.join(c, "shard-3.rdb")),
        "exchanged": lambda c: os.replace(os.path.join(c, "shard-1.rdb"), os.path.join(c, "shard-2.rdb")),
        "longer": lambda c: open(os.path.join(c, "shard-1.rdb"), "ab").write(b"x"),
        "count": lambda c: edit(c, '"keys": %d' % shards[0]["keys"], '"keys": %d' % (shards[0]["keys"] + 1)),
        "slots": lambda c: edit(c, '"0-5460"', '"0-5459"'),
        "outside": lambda c: edit(c, '"shard-1.rdb"', '"../shard-1.rdb"'),
        "no manifest": lambda c: os.unlink(os.path.join(c, "manifest.json")),
        "torn manifest": lambda c: cut(c, "manifest.json", 300),
    }
    target, _ = make_cluster(lab, ["ours"], prefix="to-")
    for name, change in cases.items():
        copy = damaged(lab, path, name, change)
        found = run(lab, (), "verify", copy, "-o", "json")
        assert found.returncode == FAILED and not json.loads(found.stdout)["ok"], (name, found)
        refused = run(lab, target, "restore", copy, "--yes")
        assert refused.returncode == FAILED, (name, refused)
        assert sum(client(target[0], db).dbsize() for db in ALL) == 0, name
    listed = run(lab, (), "list", lab.root, "-o", "json")
    rows = {os.path.basename(row["backup"]): row for row in document(listed, FAILED)["backups"]}
    for name in ("torn", "empty", "missing", "longer", "count", "torn manifest"):
        assert not rows[name]["whole"] and rows[name]["problem"], (name, rows[name])
    # Equal lengths: only reading finds it.
    assert rows["middle"]["whole"] and document(run(lab, (), "list", path, "-o", "json"))["backups"][0]["whole"]
    assert document(run(lab, target, "restore", path, "--yes", "-o", "json"))["ok"]
    assert_same(before, content(target, ALL))


def partial_in(folder):
    return [n for n in os.listdir(folder) if n.endswith(".partial")] if os.path.isdir(folder) else []


def begun(lab, masters, to):
    """A backup whose snapshots begin seconds later, once it is under way."""
    made = subprocess.Popen(argv_of(masters[:1], "create", "--to", to, "-o", "json"), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                              env=clean_env(lab))
    lab.on_close(made.kill)
    wait_until(lambda: partial_in(to), 20, "the backup is being made")
    return made


def migrate(masters, first, last):
    masters[0].ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, last, "NODE", my_id(masters[1]))
    wait_until(lambda: {job["state"] for job in jobs(masters[0]).values()} == {"success"}, 20, "the slots have moved")


@case(kinds=OURS, limit_s=120)
def test_cut_short(lab):
    """Ctrl-C, kill -9, a full disk, a source that dies, slots that move: a whole backup or none."""
    masters, replicas = make_cluster(lab, ["ours"] * 2, [("ours", 0), ("ours", 1)], repl_diskless_sync_delay=3,
                                     **TIMEOUT)
    fill(masters, (0, 3), 300)
    before = content(masters, ALL)
    to = lab.path("saved")
    check_interrupted(lab, masters, to)
    check_killed(lab, masters, to)
    check_full(lab, masters)
    made = begun(lab, masters, to)
    migrate(masters, 100, 900)
    replicas[1].kill9()
    out, error = made.communicate(timeout=60)
    assert made.returncode == OK, (made.returncode, error)
    assert "the snapshots are taken again" in error, error
    manifest = json.loads(out)["manifest"]
    assert {s["slots"] for s in manifest["shards"]} == {"0-99,901-8191", "100-900,8192-16383"}, manifest
    assert sorted(s["role"] for s in manifest["shards"]) == ["master", "replica"], manifest
    target, _ = make_cluster(lab, ["ours"] * 3, prefix="to-")
    assert document(run(lab, target, "restore", json.loads(out)["backup"], "--yes", "-o", "json"))["ok"]
    assert_same(before, content(target, ALL))


def check_interrupted(lab, masters, to):
    made = begun(lab, masters, to)
    made.send_signal(signal.SIGINT)
    out, error = made.communicate(timeout=20)
    assert made.returncode == INTERRUPTED and "interrupted" in error, (made.returncode, error)
    assert not json.loads(out)["ok"] and os.listdir(to) == [], (out, os.listdir(to))


def check_killed(lab, masters, to):
    made = begun(lab, masters, to)
    made.kill()
    made.communicate(timeout=20)
    left = os.path.join(to, partial_in(to)[0])
    listed = run(lab, (), "list", to)
    assert listed.returncode == FAILED and "not whole" in listed.stdout, listed
    for words in (("verify", left), ("restore", left, "--yes", "--seeds", "127.0.0.1:%d" % masters[0].port)):
        refused = run(lab, (), *words)
        assert refused.returncode == FAILED and "cut short" in refused.stderr, refused
    shutil.rmtree(left)


class Place:
    """What SmallDisk takes for a supervisor."""

    def __init__(self, path):
        self.state_dir, self.argv = path, []
        os.makedirs(path)


def check_full(lab, masters):
    place = Place(lab.path("small"))
    disk = SmallDisk(lab, place, "64k")
    done = run(lab, masters, "create", "--to", place.state_dir, "-o", "json", prefix=place.argv)
    assert done.returncode == FAILED and "No space left on device" in done.stderr, done
    assert os.listdir(disk.path) == [], os.listdir(disk.path)


def restoring(lab, target, path, *words):
    """A restore that has sent the keys of one master, and does not come to its end while the other lets it wait."""
    before = restores(target[0])
    assert target[1].ok("CLIENT", "PAUSE", 600000, "WRITE") == "OK"
    run_by = subprocess.Popen(argv_of(target, "restore", path, "--yes", *words), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                              env=clean_env(lab))
    lab.on_close(run_by.kill)
    wait_until(lambda: restores(target[0]) > before + 20, 20, "keys come")
    wait_until(lambda: int(target[1].info("clients")["blocked_clients"]) > 0, 20, "it waits with keys of the other")
    return run_by


def restores(node):
    return client(node).info("commandstats").get("cmdstat_restore", {}).get("calls", 0)


@case(kinds=OURS, limit_s=60)
def test_restore_cut_short(lab):
    """Ctrl-C and a master that dies end a restore, and it says how to go on; given again it makes all of it right."""
    masters, _ = make_cluster(lab, ["ours"])
    pipe = client(masters[0], 4).pipeline(transaction=False)
    for i in range(1500):
        pipe.set("key:%d" % i, "%d " % i * 3000)
    pipe.execute()
    path = document(run(lab, masters, "create", "--to", lab.path("saved"), "-o", "json"))["backup"]
    target, _ = make_cluster(lab, ["ours"] * 2, prefix="to-", **TIMEOUT)
    cut = restoring(lab, target, path)
    cut.send_signal(signal.SIGINT)
    target[1].ok("CLIENT", "UNPAUSE")
    error = cut.communicate(timeout=30)[1]
    assert cut.returncode == INTERRUPTED and "interrupted" in error and "--replace" in error, (cut.returncode, error)
    done = run(lab, target, "restore", path, "--yes", "--replace", "-o", "json")
    assert document(done)["restored"] == 1500, done
    assert_same(content(masters, ALL), content(target, ALL))
    cut = restoring(lab, target, path, "--replace")
    target[1].kill9()
    error = cut.communicate(timeout=30)[1]
    assert cut.returncode == FAILED and "127.0.0.1:%d: " % target[1].port in error, (cut.returncode, error)
    assert "1 of 2 steps are done; the same command, given again, restores all of it anew." in error, error


@case(kinds=OURS, limit_s=120)
def test_supervised_fleet(lab):
    """By the name of a fleet in nodectl.conf, with passwords: databases that are swapped while snapshots are taken make
    them be taken again, and what is restored into a fleet under leases is what was saved."""
    secrets = {"requirepass": "secret", "masterauth": "secret"}
    # A lease of two seconds does not end when somebody stands still for a moment.
    fleet = Supervised(lab, shards=(("ours", "ours"),) * 2, declared=True, cluster={"password": "secret"},
                       down_after_ms=4000, node_options={**secrets, "repl_diskless_sync_delay": 3})
    for node in fleet.masters:
        wait_until(lambda n=node: int(info(n)["cluster_lease_ms"]) > 0, 20, "%s is leased" % node.name)
    fill(fleet.masters, (0, 1, 2), 200)
    before = content(fleet.masters, ALL)
    os.makedirs(lab.path("home", ".config"))
    with open(lab.path("home", ".config", "nodectl.conf"), "w", encoding="utf-8") as f:
        f.write('fleets = ( { name = "orders"; supervisors = [ "127.0.0.1:%d" ]; node_password_file = "%s"; } );\n' % (
            fleet.supervisors[0].port, secret(lab, "secret")))
    made = subprocess.Popen(argv_of((), "create", "--to", lab.path("saved"), "--parallel", 1, "-o", "json"),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True, env=clean_env(lab))
    lab.on_close(made.kill)
    wait_until(lambda: glob.glob(lab.path("saved", "*", "shard-2.rdb")), 20, "the first snapshot is there")
    assert fleet.supervisors[0].ok("SENTINEL", "SWAPDB", "orders", 1, 2) == "OK"
    out, error = made.communicate(timeout=60)
    assert made.returncode == OK and "databases were swapped meanwhile" in error, (made.returncode, error)
    path = json.loads(out)["backup"]
    assert os.path.basename(path).startswith("orders-") and json.loads(out)["manifest"]["mapping_epoch"] == 1, out
    swapped = {({1: 2, 2: 1}.get(db, db), key): value for (db, key), value in before.items()}
    refused = run(lab, (), "restore", path, "--to", "orders", "--yes", "--flush", "--confirm", "other")
    assert refused.returncode == USAGE and "the target is orders" in refused.stderr, refused
    done = document(run(lab, (), "restore", path, "--to", "orders", "--yes", "--flush", "--confirm", "orders",
                        "-o", "json"))
    assert done["ok"] and done["target"] == "orders", done
    assert_same(swapped, content(fleet.masters, ALL))
