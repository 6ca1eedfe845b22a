"""nodectl import: live sources go over into clusters while clients write to them, and what stops it."""
import json
import os
import random
import signal
import subprocess
import time

from cases import case
from lab import wait_until
from lab.append_only import kill_written
from lab.clusters import make_cluster
from lab.dataset import assert_same, client, content
from lab.random_writes import RandomWrites, fill
from lab.resp import RespError, encode
from lab.supervised import Supervised
from lab.supervisors import nodectl_path, secret
from lab.tool import at, clean_env

OK, FAILED, USAGE, NOBODY, INTERRUPTED = 0, 1, 2, 3, 130
OURS = ("ours",)
SOURCE = {"repl_diskless_sync_delay": 0, "enable_debug_command": "yes"}
TIMEOUT = {"cluster_node_timeout": 6000}  # nobody is taken for dead who stands still for a moment


def argv_env(lab, nodes, words, env):
    return [nodectl_path(), "import", *map(str, words), "--seeds", at(*nodes)], clean_env(lab, **env)


def run(lab, nodes, *words, **env):
    argv, clean = argv_env(lab, nodes, words, env)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, env=clean, timeout=100, check=False)


def begin(lab, nodes, *words, **env):
    argv, clean = argv_env(lab, nodes, words, env)
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               universal_newlines=True, env=clean)
    lab.on_close(lambda: process.poll() is None and process.kill())
    return process


def filled_source(lab, name="source", seed=1):
    source = lab.redis(name, **SOURCE).wait_ready()
    with source.connect(30) as c:
        fill(c, random.Random(seed))
    return source


def replace(nodes):
    """What deletes the target's keys, for programs."""
    return "--yes", "--replace", "--confirm", at(nodes[0])


def lasting(nodes, soon_ms):
    """What does not expire while it is looked at."""
    return {key: value for key, value in content(nodes, range(16)).items() if value[1] < 0 or value[1] > soon_ms}


def keys_of(nodes):
    return sum(client(n, db).dbsize() for n in nodes for db in range(16))


@case(kinds=OURS, limit_s=120)
def test_live_server(lab):
    """Writers of every kind of command work at the source, a database is flushed and two are exchanged meanwhile;
    afterwards the target is what the source is, to the byte, and the source refuses writes."""
    fleet = Supervised(lab, declared=True, down_after_ms=4000)  # nor does a lease of two seconds end by that
    source = filled_source(lab)
    sentinel = run(lab, fleet.masters[:1], "from", at(fleet.supervisors[0]), "--yes")
    assert sentinel.returncode == FAILED and "it is a sentinel and holds no keys" in sentinel.stderr, sentinel
    writer = RandomWrites(lab, source, 7, pause_s=0.002, leave_out=("SWAPDB",))
    process = begin(lab, fleet.masters[:1], "from", at(source), "--yes", "--cut-over", "never")
    wait_until(lambda: keys_of(fleet.masters) > 300, 30, "keys arrive")
    with source.connect() as c:
        assert c.ok("SWAPDB", 1, 2) == "OK"
        c.ok("SELECT", 3)
        assert c.ok("FLUSHDB") == "OK"
    wait_until(lambda: "written is followed" in process.stdout.readline(), 30, "it follows")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED and "the source is as before" in err, (process.returncode, out, err)
    assert "to begin anew give the same command with --replace --confirm %s." % at(fleet.masters[0]) in err, err
    refused = run(lab, fleet.masters[:1], "from", at(source), "--yes")
    assert refused.returncode == FAILED and "--replace deletes all of them first" in refused.stderr, refused
    done = run(lab, fleet.masters[:1], "from", at(source), *replace(fleet.masters[:1]), "-o", "json")
    assert done.returncode == OK, done
    told = json.loads(done.stdout)
    assert told["cut_over"] and told["checked"] and told["copied_again"] > 0, told
    assert told["settings"] == [{"address": at(source), "setting": "min-replicas-to-write", "before": 0,
                                 "now": 32767}], told
    assert all(d["digest"] == d["target_digest"] for d in told["databases"]) and len(told["databases"]) == 16, told
    writer.stop()
    with source.connect() as c:
        assert isinstance(c.call("SET", "late", 1), RespError)
    soon = (time.time() + 60) * 1000
    assert_same(lasting([source], soon), lasting(fleet.masters, soon))


@case(kinds=OURS, limit_s=120)
def test_live_cluster(lab):
    """A cluster of redis-server, named by one of its replicas, with a password, under a writer."""
    masters, replicas = make_cluster(lab, ["stock"] * 2, [("stock", 0), ("stock", 1)], prefix="old",
                                     requirepass="word", masterauth="word", **SOURCE, **TIMEOUT)
    target, _ = make_cluster(lab, ["ours"] * 3, **TIMEOUT)
    for node in masters:
        node.password = "word"
    for i, node in enumerate(masters):
        with client(node) as c:
            mine = [slot for first, last, *_ in c.execute_command("CLUSTER", "SLOTS")
                    if _[0][1] == node.port for slot in range(first, last + 1)]
            found = 0
            for number in range(20000):
                slot = c.execute_command("CLUSTER", "KEYSLOT", "key:%d" % number)
                if slot in mine[:50] or slot == mine[-1]:
                    c.set("key:%d" % number, number, px=10**7)
                    found += 1
                if found > 20:
                    break
            assert found > 20, i
    wrong = run(lab, target, "from", at(replicas[0]), "--yes")
    assert wrong.returncode == FAILED and "NOAUTH" in wrong.stderr, wrong
    done = run(lab, target, "from", at(replicas[0]), "--yes", "-o", "json", "--source-password-file",
               secret(lab, "word"), "--leave-source")
    assert done.returncode == OK, done
    assert sorted(json.loads(done.stdout)["sources"]) == sorted(at(m) for m in masters), done.stdout
    assert_same(content(masters, [0]), content(target, [0]))
    with client(masters[0]) as c:
        assert c.config_get("min-replicas-to-write")["min-replicas-to-write"] == "0"


@case(kinds=OURS, limit_s=60)
def test_what_cannot_be_imported(lab):
    """Nothing is done, and the reason is said: nobody there, no room for a database, a type that the target lacks,
    words that make no sense; and a plan alone changes nothing."""
    target, _ = make_cluster(lab, ["ours"] * 3)
    source = lab.redis("source", databases=32, **SOURCE).wait_ready()
    gone = lab.ports.take()
    assert "Connection refused" in run(lab, target, "from", "127.0.0.1:%d" % gone, "--yes").stderr
    for words in (["from", "nowhere", "--yes"], ["from", at(source), "--yes", "--cut-over", "later"],
                  ["from", at(source), "--cut-over", "ask", "--yes"], ["from", at(source)], ["from"]):
        assert run(lab, target, *words).returncode == USAGE, words
    with source.connect() as c:
        c.ok("SET", "a", 1)
        planned = run(lab, target, "from", at(source), "--dry-run", "-o", "json")
        assert planned.returncode == OK and json.loads(planned.stdout)["dry_run"], planned
        assert keys_of(target) == 0
        c.ok("SELECT", 20)
        c.ok("SET", "b", 1)
        told = run(lab, target, "from", at(source), "--yes")
        assert told.returncode == FAILED and "keys in database 20" in told.stderr, told
        c.ok("FLUSHALL")
        c.ok("SELECT", 0)
        c.ok("XADD", "stream", "*", "field", "value")
        told = run(lab, target, "from", at(source), "--yes")
        assert told.returncode == FAILED and "stream" in told.stderr, told
        assert c.ok("SET", "still", "taken") == "OK"
    assert run(lab, [source], "from", at(target[0]), "--yes").returncode in (FAILED, NOBODY)


@case(kinds=OURS, limit_s=90)
def test_files(lab):
    """An RDB file, a data folder with append-only files (the last one torn), and what is no such file; no process and
    no folder stays behind."""
    target, _ = make_cluster(lab, ["ours"] * 3, **TIMEOUT)
    source = lab.redis("source", appendonly="yes", **SOURCE).wait_ready()
    tmp = lab.path("tmp")
    os.makedirs(tmp)
    with source.connect(30) as c:
        fill(c, random.Random(3))
        assert c.ok("SAVE") == "OK"
        before = content([source], range(16))
        c.ok("SELECT", 9)
        c.ok("SET", "behind the snapshot", "and in the log")
    folder = os.path.dirname(source.conf_path)
    done = run(lab, target, "file", os.path.join(folder, "dump.rdb"), "--yes", "-o", "json", TMPDIR=tmp)
    assert done.returncode == OK, done
    told = json.loads(done.stdout)
    assert told["checked"] and told["copied"] == len(before), told
    assert_same(before, content(target, range(16)))
    whole = content([source], range(16))
    kill_written(source)
    log = next(os.path.join(folder, "appendonlydir", name) for name in os.listdir(os.path.join(folder, "appendonlydir"))
               if name.endswith(".incr.aof"))
    with open(log, "ab") as f:
        f.write(b"*3\r\n$3\r\nSET\r\n$4\r\nto")
    size = os.path.getsize(log)
    assert run(lab, target, "file", folder, "--yes", TMPDIR=tmp).returncode == FAILED  # the target holds keys
    done = run(lab, target, "file", folder, *replace(target), TMPDIR=tmp)
    assert done.returncode == OK and "are equal" in done.stdout, done
    assert_same(whole, content(target, range(16)))
    assert os.path.getsize(log) == size
    nothing = lab.path("nothing")
    with open(nothing, "wb") as f:
        f.write(b"REDIS0010 and then nothing of use")
    for path, said in ((nothing, "noded says"), (lab.path("gone"), "No such file"), (tmp, "neither a dump.rdb nor")):
        failed = run(lab, target, "file", path, *replace(target), TMPDIR=tmp)
        assert failed.returncode == FAILED and said in failed.stderr, failed
    assert_same(whole, content(target, range(16)))
    assert os.listdir(tmp) == []


def setting(node, name):
    with node.connect() as c:
        return int(c.ok("CONFIG", "GET", name)[1])


@case(kinds=OURS, limit_s=60)
def test_import_deletes_nothing_in_vain(lab):
    """A target that is the source, by each of its masters and by a replica; a source that cannot be read, though the
    target is full of keys; a sentinel; and --replace that nobody has confirmed."""
    target, replicas = make_cluster(lab, ["ours"] * 2, [("ours", 0)], **TIMEOUT)
    source = lab.redis("source", **SOURCE).wait_ready()
    with client(target[0]) as c:
        mine = [n for n in range(60) if c.execute_command("CLUSTER", "KEYSLOT", "key:%d" % n) < 8192]
        for n in mine:
            c.set("key:%d" % n, n)
    before = content(target, range(16))
    assert len(before) == len(mine) > 5
    for node in target + replicas:
        for words in (replace(target), ("--yes",)):
            told = run(lab, target, "from", at(node), *words)
            assert told.returncode == FAILED, (words, told)
        told = run(lab, target, "from", "localhost:%d" % node.port, *replace(target))
        assert told.returncode == FAILED and "it belongs to the target itself" in told.stderr, told
    with source.connect() as c:
        c.ok("XADD", "stream", "*", "field", "value")
    told = run(lab, target, "from", at(source), *replace(target))
    assert told.returncode == FAILED and "a stream" in told.stderr, told
    for words in (["from", at(source), "--yes", "--replace"], ["file", "dump.rdb", "--yes", "--replace"],
                  ["from", at(source), "--yes", "--replace", "--confirm", "another"]):
        told = run(lab, target, *words)
        assert told.returncode == USAGE and "--confirm" in told.stderr, told
    assert_same(before, content(target, range(16)))
    assert all(setting(node, "min-replicas-to-write") == 0 for node in target)


@case(kinds=OURS, limit_s=60)
def test_import_twice(lab):
    """What min-replicas-to-write was before is told once; by the second time nobody knows it."""
    target, _ = make_cluster(lab, ["ours"] * 2, **TIMEOUT)
    source = lab.redis("source", min_replicas_max_lag=0, **SOURCE).wait_ready()
    source.ok("SET", "a", 1)
    assert source.ok("CONFIG", "SET", "min-replicas-to-write", 3) == "OK"
    first = json.loads(run(lab, target, "from", at(source), "--yes", "-o", "json").stdout)
    assert [s["before"] for s in first["settings"]] == [3], first
    again = run(lab, target, "from", at(source), *replace(target))
    assert again.returncode == OK and "it was 32767" not in again.stdout, again
    assert "refused writes before" in again.stdout, again
    third = json.loads(run(lab, target, "from", at(source), *replace(target), "-o", "json").stdout)
    assert [s["before"] for s in third["settings"]] == [None], third


@case(kinds=OURS, limit_s=90)
def test_import_of_a_source_as_it_is_delivered(lab):
    """With default settings a server waits five seconds before each snapshot, the one that is compared too; not while
    an import lasts, however that ends."""
    target, _ = make_cluster(lab, ["ours"] * 2, repl_diskless_sync_delay=6, **TIMEOUT)
    source = lab.redis("source", repl_diskless_sync_delay=5).wait_ready()
    source.ok("SET", "a", 1)
    planned = run(lab, target, "from", at(source), "--dry-run")
    assert "repl-diskless-sync-delay is 0, then 5 again" in planned.stdout, planned
    assert setting(source, "repl-diskless-sync-delay") == 5
    process = begin(lab, target, "from", at(source), "--yes", "--cut-over", "never")
    wait_until(lambda: "written is followed" in process.stdout.readline(), 30, "it follows")
    assert [setting(n, "repl-diskless-sync-delay") for n in [source] + target] == [0, 0, 0]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert [setting(n, "repl-diskless-sync-delay") for n in [source] + target] == [5, 6, 6]
    told = json.loads(run(lab, target, "from", at(source), *replace(target), "-o", "json").stdout)
    assert told["cut_over"] and told["writers_waited_ms"] < 4000, told
    assert {(s["address"], s["before"], s["now"]) for s in told["settings"]
            if s["setting"] == "repl-diskless-sync-delay"} == {(at(source), 5, 5)} | {(at(n), 6, 6) for n in target}
    assert [setting(n, "repl-diskless-sync-delay") for n in [source] + target] == [5, 6, 6]


def at_cut_over(lab, target, source, *words):
    """An import that is comparing, and a write at its source that waits."""
    process = begin(lab, target, "from", at(source), *words)
    wait_until(lambda: "cut over: writers wait" in process.stdout.readline(), 20, "the plan")
    wait_until(lambda: "cut over: writers wait" in process.stdout.readline(), 40, "the cut-over begins")

    def blocked():
        c = source.connect(60)
        c.send_raw(encode("SET", "late", 1))
        try:
            c.read(1.0)  # a source that only stands still for a moment answers in this time
        except TimeoutError:
            return c
        c.close()
        return None
    return process, wait_until(blocked, 20, "writers wait")


@case(kinds=OURS, limit_s=120)
def test_import_lets_writers_go_when_it_dies(lab):
    """Killed in a cut-over that lasts longer than writers are told to wait at a time: they go on at once. And one that
    lives holds them to its end."""
    target, _ = make_cluster(lab, ["ours"] * 2, **TIMEOUT)
    source = lab.redis("source", rdb_key_save_delay=350000, **SOURCE).wait_ready()
    for n in range(16):
        source.ok("SET", "key:%d" % n, n)
    process, waiting = at_cut_over(lab, target, source, "--yes")
    process.kill()
    process.wait()
    began = time.monotonic()
    assert waiting.read(60) == "OK"
    assert time.monotonic() - began < 20
    process, waiting = at_cut_over(lab, target, source, *replace(target))
    answer = waiting.read(60)
    assert isinstance(answer, RespError) and "NOREPLICAS" in str(answer), answer
    out, err = process.communicate(timeout=30)
    assert process.returncode == OK and "are equal" in out, (out, err)
