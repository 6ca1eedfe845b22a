"""Migrations that do not begin, and what is refused while one is under way."""
from cases import case
from lab import RespError, wait_until
from lab.clusters import cluster_node, flags_of, key_in, lines, meet, my_id
from lab.migrating import RANGE, Cluster, jobs, wait_job

OURS = ("ours",)


def refused(node, part, *words):
    answer = node.call("CLUSTER", *words)
    assert isinstance(answer, RespError) and part in str(answer), (words, answer)


@case(kinds=OURS, limit_s=90)
def test_jobs_that_do_not_begin(lab):
    """Either all jobs of a request begin or none."""
    cluster = Cluster(lab)
    one, two, three = [shard[0] for shard in cluster.shards]
    copy = cluster.shards[1][1]
    to = ("NODE", my_id(two))
    for words, part in (
            (("SLOTSRANGE", 1, 5, "NODE", "f" * 40), "Unknown node"),
            (("SLOTSRANGE", 1, 5, "NODE", "x"), "Unknown node"),
            (("SLOTSRANGE", 1, 5, "NODE", my_id(copy)), "not a master"),
            (("SLOTSRANGE", 1, 5, "NODE", my_id(one)), "is this node"),
            (("SLOTSRANGE", 7000, 7001, "NODE", my_id(three)), "Slot 7000 is not this node's"),
            (("SLOTSRANGE", 1, 7000, *to), "is not this node's"),
            (("SLOTSRANGE", 5, 1, *to), "greater than end slot"),
            (("SLOTSRANGE", 1, 16384, *to), "slot"),
            (("SLOTSRANGE", *to), "No slot ranges"),
            (("SLOTSRANGE", 1, *to), "Invalid or out of range slot"),
            (("SLOTSRANGE", 1), "No end slot"),
            (("SLOTSRANGE", 1, 5, 5, 6, *to), "overlap"),
            (("SLOTSRANGE", 1, 5, *to, "SLOTSRANGE", 5, 9, "NODE", my_id(three)), "overlap"),
            (("SLOTSRANGE", 1, 5, *to, "SLOTSRANGE", 7, 9, "NODE", my_id(copy)), "not a master"),
            (("SLOTSRANGE", 1, 5), "syntax"),
            (("SLOTS", 1, 5, *to), "syntax")):
        refused(one, part, "MIGRATESLOTS", *words)
    assert one.ok("CLUSTER", "SETSLOT", 9, "MIGRATING", my_id(two)) == "OK"
    refused(one, "Slot 9 is open", "MIGRATESLOTS", "SLOTSRANGE", 1, 20, *to)
    assert one.ok("CLUSTER", "SETSLOT", 9, "STABLE") == "OK"
    refused(copy, "Only a master", "MIGRATESLOTS", "SLOTSRANGE", 6000, 6001, "NODE", my_id(one))
    assert not any(jobs(node) for node in cluster.nodes)
    assert str(one.call("CLUSTER", "CANCELSLOTMIGRATIONS")) == "ERR No migrations ongoing"


@case(kinds=OURS, limit_s=90)
def test_another_node_at_the_address(lab):
    """The target announces the port of a third node: that one does not take what is not for it, and nothing moves."""
    cluster = Cluster(lab, replicas=False, proxied=())
    source, target, third = cluster.nodes
    source.ok("SET", key_in(100), "x")
    target.ok("CONFIG", "SET", "cluster-announce-port", third.port)
    wait_until(lambda: ":%d@" % third.port in lines(source)[my_id(target)][1], 20, "the source has the wrong address")
    name = cluster.move(source, target)
    message = wait_job(source, name, "failed")["message"]
    assert "ESTABLISH is for node %s, and this is node %s" % (my_id(target), my_id(third)) in message, message
    assert not jobs(third) and not jobs(target)
    for node in cluster.nodes:
        assert lines(node)[my_id(source)][8:] == ["0-5460"], lines(node)
    assert source.ok("APPEND", key_in(100), "y") == 2 and third.ok("DBSIZE") == 0
    target.ok("CONFIG", "SET", "cluster-announce-port", 0)
    wait_until(lambda: ":%d@" % target.port in lines(source)[my_id(target)][1], 20, "the source has the right address")
    cluster.complete(source, (target,))
    assert target.ok("GET", key_in(100)) == "xy"


@case(kinds=OURS, limit_s=90)
def test_what_is_refused_meanwhile(lab):
    """A second job of the same slots, and commands that would change their owner, at both ends. Others may begin."""
    cluster = Cluster(lab)
    source, target = cluster.shards[0][0], cluster.shards[1][0]
    third = cluster.shards[2][0]
    source.ok("SET", key_in(100), "x")
    proxy, name = cluster.move_to("flush")
    moving = "is being migrated"
    refused(source, moving, "MIGRATESLOTS", "SLOTSRANGE", 119, 130, "NODE", my_id(third))
    refused(source, moving, "MIGRATESLOTS", "SLOTSRANGE", *RANGE, "NODE", my_id(target))
    for words in (("SETSLOT", 100, "MIGRATING", my_id(target)),
                  ("SETSLOT", 100, "NODE", my_id(target)), ("SETSLOT", 100, "NODE", my_id(source)),
                  ("DELSLOTS", 100), ("DELSLOTSRANGE", 90, 110)):
        refused(source, moving, *words)
    for words in (("SETSLOT", 100, "IMPORTING", my_id(source)), ("SETSLOT", 100, "NODE", my_id(target)),
                  ("DELSLOTS", 100)):
        refused(target, moving, *words)
    cluster.complete(source, (third, 300, 301))
    proxy.release()
    wait_job(source, name, "success")
    cluster.settle()
    assert cluster.assert_job(name) == 1 and cluster.owner_shard(300) == 2


@case(kinds=OURS, limit_s=90)
def test_stock_nodes(lab):
    """Neither as a target nor as a replica of either end; one that comes in meanwhile ends the migration."""
    cluster = Cluster(lab, replicas=False, proxied=(1, 2))
    source, target, third = cluster.nodes
    stock = cluster_node(lab, "stock", "stock")
    meet(source, [stock])
    cluster.guests.append(stock)
    wait_until(lambda: all(len(lines(n)) == 4 for n in cluster.nodes + [stock]), 20, "everybody knows everybody")
    to_stock = ("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 1, 5, "NODE", my_id(stock))
    wait_until(lambda: "SETSLOT and MIGRATE" in str(source.call(*to_stock)), 20, "it is known to be stock")
    for to, master in ((target, target), (third, source)):
        proxy, name = cluster.move_to("flush", source, to)
        wait_until(lambda m=master: stock.call("CLUSTER", "REPLICATE", my_id(m)) == "OK", 20, "it may follow")
        wait_job(source, name, "failed")
        proxy.drop()
        wait_until(lambda n=to: jobs(n)[name]["state"] == "failed", 20, "the other end knows")
        wait_until(lambda m=master: "slave" in flags_of(m, stock), 20, "it is a replica")
        if to is target:
            name = cluster.move(source, target)
            assert "knows database 0 only" in wait_job(source, name, "failed")["message"]
    refused(source, "knows database 0 only", "MIGRATESLOTS", "SLOTSRANGE", *RANGE, "NODE", my_id(third))
    assert cluster.owner_shard() == 0
