"""What ends a migration without any node going away: at every state before the grant the source goes on as if nothing
had been, and the target is clean; from the grant on only the target's word counts."""
import time

from cases import case
from lab import RespError, stays_true, wait_until
from lab.append_only import kill_written
from lab.clusters import key_in, my_id, wait_agreed
from lab.migrating import SLOTS, Cluster, Writer, jobs, wait_job
from lab.slot_proxy import STAGES

OURS = ("ours",)
BEFORE_GRANT = STAGES[:STAGES.index("grant")]


def held_at(cluster, stage):
    """A migration from the first shard to the second that stands there. Returns (source, target, proxy, job)."""
    return (cluster.shards[0][0], cluster.shards[1][0]) + cluster.move_to(stage)


def held_at_grant(cluster, stop):
    """The same at the grant, with the target stopped by stop() before the source could ask it for the slots back, which
    it does very soon: when this process stood still too long it is begun anew."""
    for _ in range(5):
        source, target, proxy, name = held_at(cluster, "grant")
        stop(target)
        try:
            stays_true(lambda: jobs(source)[name]["state"] == "granted", 0.1, "it is granted")
            return source, target, proxy, name
        except AssertionError:
            if not target.alive():
                cluster.restart(target)
            elif target.paused:
                target.resume()
            proxy.drop()
            wait_job(source, name, "failed")
            cluster.settle()
    raise AssertionError("the target always gives the slots back first")


def assert_nothing_happened(cluster, name, said, writer, state="failed", message=""):
    job = wait_job(cluster.shards[0][0], name, state)
    assert message in job["message"], job
    cluster.settle(written=writer is not None)
    assert cluster.assert_job(name) == 0
    if writer is not None:
        writer.wait_more(5)
        assert not writer.errors, writer.errors[:3]
    target = cluster.shards[1][0]
    assert target.ok("DBSIZE") == 0 and target.ok("CLUSTER", "SLOT-KEYS", SLOTS[0]) == []


@case(kinds=OURS, limit_s=120)
def test_what_ends_it_before_the_grant(lab):
    """Link lost, cancelled, the target out of memory, the source's buffer full: at each state, under load. Clients see
    no error."""
    cluster = Cluster(lab)
    source, target = cluster.shards[0][0], cluster.shards[1][0]
    said = cluster.fill(source)
    writer = Writer(cluster)
    writer.wait_more(5)

    def dropped(proxy, _name):
        proxy.drop()
        return "failed", "the link to the target is lost"

    def cancelled(proxy, _name):
        assert source.ok("CLUSTER", "CANCELSLOTMIGRATIONS") == "OK"
        proxy.release()
        return "cancelled", "operator"

    def out_of_memory(proxy, name):
        target.ok("CONFIG", "SET", "maxmemory", 1)
        proxy.release()
        assert "target is out of memory" in wait_job(target, name, "failed")["message"]
        return "failed", ""  # what the target says may be lost with the link

    def overflow(proxy, _name):
        source.ok("CONFIG", "SET", "slot-migration-buffer-limit", 1)
        writer.wait_more(5)
        proxy.release()
        return "failed", "source buffer overflow"

    for stage in BEFORE_GRANT:
        faults = [dropped, cancelled]
        if stage == "snapshot":
            faults += [out_of_memory]
        if stage == "snapshot-end":
            faults += [out_of_memory, overflow]
        if stage in ("flush", "drain"):  # there the slots are not taken in the end
            faults += [out_of_memory]
        for fault in faults:
            _, _, proxy, name = held_at(cluster, stage)
            state, message = fault(proxy, name)
            if fault is dropped and stage == "drain":
                message = ""
            assert_nothing_happened(cluster, name, said, writer, state, message)
            target.ok("CONFIG", "SET", "maxmemory", 0)
            source.ok("CONFIG", "SET", "slot-migration-buffer-limit", "256mb")
    # And then it goes through.
    name = cluster.complete(source, (target,))[0]
    writer.wait_more()
    writer.halt()
    assert not writer.errors, writer.errors[:3]
    cluster.settle()
    assert cluster.assert_job(name) == 1
    cluster.assert_data(said, writer)
    print("the longest write took %.0f ms" % (writer.longest_s * 1000))


@case(kinds=OURS, limit_s=90)
def test_a_pause_that_takes_too_long(lab):
    """The target does not say that it has all: writes go on after a while, and the hand-over is tried again."""
    cluster = Cluster(lab)
    said = cluster.fill(cluster.shards[0][0])
    writer = Writer(cluster)
    writer.wait_more(5)
    source, target, proxy, name = held_at(cluster, "drain")
    wait_until(lambda: jobs(source)[name]["state"] == "streaming", 20, "the source goes on")
    writer.wait_more(20)
    job = jobs(source)[name]
    assert job["pauses"] == 1 and job["message"] == "", job
    proxy.release()
    job = wait_job(source, name, "success")
    assert job["pauses"] >= 2, job  # the second one takes too long as well when a node stands still for a moment
    wait_job(target, name, "success")
    writer.wait_more(5)
    writer.halt()
    assert not writer.errors, writer.errors[:3]
    assert "resume" in proxy.seen, proxy.seen
    cluster.settle()
    assert cluster.assert_job(name) == 1
    cluster.assert_data(said, writer)
    print("the longest write took %.0f ms" % (writer.longest_s * 1000))


@case(kinds=OURS, limit_s=120, matrix=[(stage,) for stage in BEFORE_GRANT], sample=2)
def test_flushed(lab, stage):
    """A database that is emptied at either end."""
    cluster = Cluster(lab)
    source, target = cluster.shards[0][0], cluster.shards[1][0]
    other = key_in(7000)
    for end, words in ((source, ("FLUSHALL",)), (target, ("FLUSHDB",)), (source, ("FLUSHDB",)),
                       (target, ("FLUSHALL",))):
        if end is target and stage == "establish":  # it has heard of nothing
            continue
        said = cluster.fill(source)
        target.ok("SET", other, "x")
        said[0, other] = target.ok("DEBUG", "DIGEST-VALUE", other)[0]
        _, _, proxy, name = held_at(cluster, stage)
        with end.connect(timeout_s=20) as client:
            client.ok("SELECT", 3 if words == ("FLUSHDB",) else 0)
            client.ok(*words)  # at the source it waits until the pause is over
        proxy.release()
        wait_job(source, name, "failed")
        gone = {0, 3, 15} if words == ("FLUSHALL",) else {3}
        said = {(db, key): d for (db, key), d in said.items() if db not in gone or (key == other) != (end is target)}
        cluster.settle()
        assert cluster.assert_job(name) == 0
        cluster.assert_data(said)
        for node in (source, target):
            node.ok("FLUSHALL")
        cluster.settle()


@case(kinds=OURS, limit_s=90, matrix=[("late",), ("lost",)])
def test_the_grant_does_not_come(lab, how):
    """The target says that it never takes the slots, and a grant that arrives behind that changes nothing."""
    cluster = Cluster(lab)
    said = cluster.fill(cluster.shards[0][0])
    writer = Writer(cluster)
    writer.wait_more(5)
    source, target, proxy, name = held_at(cluster, "grant")
    if how == "lost":
        proxy.drop()
    job = wait_job(source, name, "failed")
    assert "did not take" in job["message"], job
    message = wait_job(target, name, "failed")["message"]
    assert how == "lost" or "asked for the slots back" in message, message
    writer.wait_more(5)
    if how == "late":
        time.sleep(2)
        proxy.release()
    cluster.settle(written=True)
    writer.wait_more(5)
    writer.halt()
    assert not writer.errors, writer.errors[:3]
    cluster.settle()
    assert cluster.assert_job(name) == 0
    cluster.assert_data(said, writer)
    print("the longest write took %.0f ms" % (writer.longest_s * 1000))


@case(kinds=OURS, limit_s=90)
def test_cancelled_after_the_grant(lab):
    """It is too late: only the target can say how it ends."""
    cluster = Cluster(lab)
    said = cluster.fill(cluster.shards[0][0])
    source, target, proxy, name = held_at_grant(cluster, lambda node: node.pause())
    answer = source.call("CLUSTER", "CANCELSLOTMIGRATIONS")
    assert isinstance(answer, RespError) and "granted" in str(answer), answer
    target.resume()
    proxy.drop()
    wait_job(source, name, "failed")
    cluster.settle()
    assert cluster.assert_job(name) == 0
    cluster.assert_data(said)


@case(kinds=OURS, limit_s=90)
def test_target_never_comes_back(lab):
    """Writes wait, and are refused after a while, for as long as nobody knows; reads of the source go on; an operator
    who knows that the target is gone gives the slots back. The job's outcome is there after a restart."""
    cluster = Cluster(lab, replicas=False, appendonly="yes", cluster_node_timeout=1500,
                      cluster_require_full_coverage="no")
    said = cluster.fill(cluster.shards[0][0])
    source, target, proxy, name = held_at_grant(cluster, lambda node: node.kill9())
    proxy.drop()
    key = key_in(SLOTS[0]) + "s0"
    refused = "Hash slot %d is being handed over" % SLOTS[0]
    assert refused in str(source.call("SET", key, "no"))  # it has waited before
    assert wait_job(source, name, "granted")
    # It stays so over a restart of the source, which does not know more.
    kill_written(source)
    cluster.restart(source)
    assert wait_job(source, name, "granted")
    wait_until(lambda: refused in str(source.call("SET", key, "no")), 20, "it is refused still")
    assert source.ok("GET", key) == "0/%s/0" % key_in(SLOTS[0])
    mine = ("CLUSTER", "SETSLOT", SLOTS[0], "NODE", my_id(source))
    wait_until(lambda: source.call(*mine) == "OK", 20, "all slots of the job are given back")
    wait_job(source, name, "failed")
    cluster.restart(target)
    wait_agreed(cluster.nodes)
    assert source.ok("SET", key, "yes") == "OK"
    assert source.ok("SET", key, "0/%s/0" % key_in(SLOTS[0])) == "OK"
    cluster.settle()
    assert cluster.assert_job(name) == 0
    cluster.assert_data(said)
    kill_written(source)
    cluster.restart(source)
    assert jobs(source)[name]["state"] == "failed"


def remembered(node):
    """All of its jobs but how many keys there were, which is known until a restart."""
    return {name: {field: value for field, value in job.items() if field != "snapshot_keys"}
            for name, job in jobs(node).items()}


@case(kinds=OURS, limit_s=90)
def test_jobs_are_remembered(lab):
    """Both ends tell how migrations ended, after restarts too; one that was under way has ended with it."""
    cluster = Cluster(lab, replicas=False, appendonly="yes")
    source, target = cluster.shards[0][0], cluster.shards[1][0]
    said = cluster.fill(source)
    expected = {}
    for stage, state in (("snapshot-end", "cancelled"), ("flush", "failed")):
        proxy, name = cluster.move_to(stage)
        if state == "cancelled":
            assert source.ok("CLUSTER", "CANCELSLOTMIGRATIONS") == "OK"
        proxy.drop()
        wait_job(source, name, state)
        wait_job(target, name, "failed")
        expected[name] = state
    expected[cluster.complete(source, (target, 300, 305))[0]] = "success"
    cluster.settle()
    before = [remembered(node) for node in (source, target)]
    for node in (source, target):
        node.terminate()
        cluster.restart(node)
    cluster.settle()
    assert [remembered(node) for node in (source, target)] == before
    proxy, killed = cluster.move_to("snapshot")
    expected[killed] = "failed"
    for node in (source, target):
        kill_written(node)
        cluster.restart(node)
    proxy.drop()
    cluster.settle()
    for name, state in expected.items():
        assert jobs(source)[name]["state"] == state, jobs(source)[name]
        at_target = jobs(target).get(name)  # what had just begun when it was killed it may not know
        assert at_target is None and name is killed or (at_target["state"] == "success") == (state == "success")
    cluster.assert_data(said)
