"""nodectl slots check and fix: what is wrong with slots is found, said, and mended where nothing can be lost by it."""
from cases import case
from lab import wait_until
from lab.clusters import SLOTS, cluster_node, forget, info, key_in, lines, make_cluster, meet, my_id
from lab.tool import FAILED, NOBODY, OK, USAGE, at
from test_nodectl_slots import OURS, TIMEOUT, codes, is_open, nodectl, owned, wait_clean
from test_noded_rebalance import move_keys, open_slot, slots_of


def make_nobodys(nodes, slots):
    """None of these nodes knows an owner of these slots. What an owner has said before may still be on its way to who
    has deleted them already, so it is done again until it holds."""
    def nobodys():
        for node in nodes:
            for slot in slots:
                node.call("CLUSTER", "DELSLOTS", slot)  # an error: it is so there
        return not any(slots_of(node, other) & set(slots) for node in nodes for other in nodes)
    wait_until(nobodys, 20, "slots %s are nobody's" % (slots,))


@case(kinds=OURS, matrix=[("ours", "ours", "ours"), ("stock", "stock", "stock")], limit_s=120)
def test_check_and_fix(lab, *kinds):
    """Slots that are open in every way, nobody's, with keys where they should not be; what fix leaves to people."""
    nodes, _ = make_cluster(lab, kinds, cluster_node_timeout=3000)  # what is said seldom is said twice as often
    one, two, three = nodes
    databases = (0, 3) if kinds[0] == "ours" else (0,)
    said = {}
    for slot in range(1, 8):
        for database in databases:
            with one.connect() as link:
                if database:
                    link.ok("SELECT", database)
                for i in range(5):
                    said[database, slot, i] = "%d/%d/%d" % (database, slot, i)
                    link.ok("SET", key_in(slot) + ":%d" % i, said[database, slot, i])
    nodectl(lab, [two], "slots", "check").expect(OK, "no-replicas", "no finding")
    for slot in (1, 2, 5):
        open_slot(slot, one, two)
    move_keys(1, one, two, databases, at_most=3)
    one.ok("CLUSTER", "SETSLOT", 3, "MIGRATING", my_id(two))
    two.ok("CLUSTER", "SETSLOT", 4, "IMPORTING", my_id(one))
    three.ok("CLUSTER", "SETSLOT", 5, "IMPORTING", my_id(one))
    two.ok("CLUSTER", "SETSLOT", 11000, "IMPORTING", my_id(three))
    assert codes(lab, three) == {"slot-open"}
    plan = nodectl(lab, [two], "slots", "fix", "--dry-run").expect(OK, "take back", "move 1 slot (1)")
    assert codes(lab, three) == {"slot-open"}, "a dry run has done something: " + plan.text
    nodectl(lab, [two], "slots", "fix").expect(USAGE, "--yes")
    nodectl(lab, [two], "slots", "fix", "--yes").expect(OK)
    wait_clean(lab, three)
    assert 1 in owned(two) and {2, 3, 4, 5} <= owned(one)
    # Nobody's: with keys at one node, at none, and at two.
    for slots in ((5, 6, 9000, 9001), (7,)):
        make_nobodys(nodes, slots)
        if slots == (7,):
            two.ok("CLUSTER", "ADDSLOTS", 7)
            wait_until(lambda: two.call("SET", key_in(7) + "mine", "x") == "OK", 20, "two serves it")
            make_nobodys(nodes, slots)
        found = codes(lab, three)
        assert "slots-uncovered" in found, found
        fixed = nodectl(lab, [two], "slots", "fix", "--yes")
        if slots == (7,):
            fixed.expect(FAILED, "left to you", "slot 7 is nobody's", at(one), at(two))
            one.ok("CLUSTER", "ADDSLOTS", 7)
            # noded keeps the slot open to its new owner, lest its keys be forgotten there.
            wait_until(lambda: codes(lab, one) & {"keys-in-foreign-slots", "slot-open"}, 20, "it is found")
            fixed = nodectl(lab, [two], "slots", "fix", "--yes").expect(OK, "bring 1 keys")
        fixed.expect(OK)
        wait_clean(lab, three)
    assert {5, 6, 7} <= owned(one) and one.ok("GET", key_in(7) + "mine") == "x"
    for (database, slot, i), value in said.items():
        with next(n for n in nodes if slot in owned(n)).connect() as link:
            if database:
                link.ok("SELECT", database)
            assert link.ok("GET", key_in(slot) + ":%d" % i) == value, (database, slot, i)
    three.ok("CLUSTER", "FORGET", my_id(one))
    # noded tells from node to node what was forgotten: on a slow machine two has forgotten it too by now.
    assert {"node-half-known", "views-differ"} <= codes(lab, two) or my_id(one) not in two.ok("CLUSTER", "NODES")
    three.kill9()
    assert "node-silent" in codes(lab, two)
    nodectl(lab, [three], "slots", "check").expect(NOBODY)


@case(kinds=OURS, matrix=[("ours", "ours"), ("stock", "stock")], limit_s=60)
def test_a_key_with_two_values(lab, *kinds):
    """The slot's owner is named as such, whichever way the keys go; a refusal leaves no slot open; and with
    --owner-wins its value is the one that stays."""
    (one, two), _ = make_cluster(lab, kinds, **TIMEOUT)
    key, lone = key_in(100) + "x", key_in(100) + "y"
    databases = (0, 3) if kinds[0] == "ours" else (0,)

    def say(node, database, *words):
        with node.connect() as link:
            if database:
                link.ok("SELECT", database)
            link.ok("ASKING")
            return link.ok(*words)

    def stray():
        two.ok("CLUSTER", "SETSLOT", 100, "IMPORTING", my_id(one))
        for database in databases:
            say(two, database, "SET", key, "stray")
        two.ok("CLUSTER", "SETSLOT", 100, "STABLE")

    def count(node):
        return [say(node, database, "CLUSTER", "COUNTKEYSINSLOT", 100) for database in databases]

    for database in databases:
        for name in (key, lone):
            say(one, database, "SET", name, "right")
    stray()
    told = ("is at %s, the slot's owner" % at(one), "at %s, which should not have it" % at(two), "--owner-wins")
    move = ("slots", "move", "--to", at(two), "--slots", "90-100", "--key-by-key", "--yes")
    nodectl(lab, [two], *move).expect(FAILED, *told)
    assert not is_open(one) and not is_open(two) and 100 in owned(one) and 99 in owned(two)
    assert codes(lab, one) == {"keys-in-foreign-slots"}
    nodectl(lab, [two], "slots", "fix", "--yes").expect(FAILED, *told)
    assert count(one) == [2] * len(databases) and count(two) == [1] * len(databases)
    nodectl(lab, [two], "slots", "fix", "--owner-wins", "--yes").expect(OK)
    assert count(one) == [2] * len(databases) and count(two) == [0] * len(databases)
    assert [say(one, database, "GET", key) for database in databases] == ["right"] * len(databases)
    wait_clean(lab, one)
    stray()
    nodectl(lab, [two], *move, "--owner-wins").expect(OK)
    assert count(one) == [0] * len(databases) and count(two) == [2] * len(databases)
    assert [say(two, database, "GET", key) for database in databases] == ["right"] * len(databases)
    wait_clean(lab, one)


@case(kinds=OURS, matrix=[("ours", "ours", "ours"), ("stock", "stock", "stock")], limit_s=90)
def test_fix_a_lost_master(lab, *kinds):
    """A master that is gone with its slots and has no replica: named, kept, and given up when that is said twice; its
    cluster is well again, and when it comes back it takes nothing from those that have its slots now."""
    nodes, _ = make_cluster(lab, kinds, cluster_node_timeout=2000)
    one, two, three = nodes
    for slot in range(0, SLOTS, 500):
        for node in nodes:
            if slot in owned(node):
                node.ok("SET", key_in(slot), slot)
    dead = my_id(three)
    lost = owned(three)
    three.kill9()
    wait_until(lambda: info(one)["cluster_state"] == "fail" == info(two)["cluster_state"], 20, "the cluster is down")
    assert {"node-silent", "state-fail"} <= codes(lab, one)
    rows = nodectl(lab, [one], "cluster", "info").expect(FAILED, at(three)).out
    assert next(row for row in rows.splitlines() if at(three) in row).split()[2::3] == ["?", "?"], rows
    told = nodectl(lab, [one], "slots", "fix", "--yes", "-o", "json").expect(FAILED, dead[:8], "--give-up-keys")
    assert len(told.document()["left_to_you"]) == 1, told.text
    give_up = ("slots", "fix", "--give-up-keys", "--yes")
    nodectl(lab, [one], *give_up).expect(USAGE, "--confirm " + at(one))
    nodectl(lab, [one], *give_up, "--confirm", "another").expect(USAGE, at(one))
    nodectl(lab, [one], *give_up, "--dry-run").expect(OK, "WITHOUT their keys", at(three))
    assert info(one)["cluster_state"] == "fail"
    nodectl(lab, [one], *give_up, "--confirm", at(one)).expect(OK, "node remove")
    wait_until(lambda: all(info(n)["cluster_state"] == "ok" for n in (one, two)), 20, "the cluster is well")
    assert lost <= owned(one) | owned(two) and codes(lab, one) == {"node-silent"}
    for slot in range(0, SLOTS, 500):
        for node in (one, two):
            if slot in owned(node):
                assert node.ok("GET", key_in(slot)) == (None if slot in lost else str(slot)), slot
                node.ok("SET", key_in(slot), "new")
    three.start()
    three.wait_ready()
    wait_until(lambda: not owned(three), 30, "it sees that its slots are others' now")
    assert lost <= owned(one) | owned(two)


@case(kinds=OURS, matrix=[("ours", "ours", "ours"), ("stock", "stock", "stock")], limit_s=90)
def test_fix_half_known(lab, *kinds):
    """Nodes that some know and others do not: those that are there are met again, one that is gone is forgotten by
    all, and where slots would be lost it is left to people. redis-cli's fix does not see any of it."""
    # A handshake that is to be seen lasts as long as the node timeout.
    (one, two, three), (copy,) = make_cluster(lab, kinds, [(kinds[0], 1)], cluster_node_timeout=9000)
    nodes = [one, two, three, copy]
    one.ok("SET", key_in(5), "kept")
    gone = cluster_node(lab, kinds[0], "gone", cluster_node_timeout=9000)
    meet(one, [gone])
    wait_until(lambda: all(len(lines(n)) == 5 for n in nodes + [gone]), 40, "all know it")
    gone_id = my_id(gone)
    gone.kill9()
    forget([two], gone_id)
    ours = kinds[0] == "ours"
    if ours:  # nodes of ours tell it on
        wait_until(lambda: all(gone_id not in lines(n) for n in nodes), 30, "all have forgotten it")
    three.ok("CLUSTER", "FORGET", my_id(one))
    one.ok("CLUSTER", "FORGET", my_id(copy))
    copy.ok("CLUSTER", "MEET", "127.0.0.1", lab.ports.take(), lab.ports.take())
    if ours:
        wait_until(lambda: my_id(one) not in lines(two), 30, "two has heard of it")
    found = codes(lab, *nodes)
    assert {"node-half-known", "node-handshake"} <= found and ours != ("node-silent" in found), found
    plan = nodectl(lab, nodes, "slots", "fix", "--dry-run")
    plan.expect(OK, " meet " + at(one), " meet " + at(copy), "give up its handshake",
                *([] if ours else ["forget " + gone_id[:8]]))
    assert my_id(one) not in lines(three) and ours != (gone_id in lines(one)), "a dry run did it: " + plan.text
    nodectl(lab, nodes, "slots", "fix", "--yes").expect(OK)
    for node in nodes:
        assert set(lines(node)) == {my_id(n) for n in nodes}, (node.name, lines(node))
    wait_until(lambda: codes(lab, three) == {"master-without-replica"}, 30, "check finds what is so")
    assert one.ok("GET", key_in(5)) == "kept" and owned(one) == set(range(5461))
    # A master with slots that is gone: nothing is forgotten. (Nodes of ours would all have heard of it in a moment.)
    if ours:
        return
    three.ok("CLUSTER", "FORGET", my_id(one))
    lost = my_id(one)
    # Until it is taken for dead, a link that is just being tried counts as one that hears it.
    for node in (two, copy):
        node.ok("CONFIG", "SET", "cluster-node-timeout", 1000)
    one.kill9()
    wait_until(lambda: all("fail?" in lines(n)[lost][2] for n in (two, copy)), 20, "both miss it")
    nodectl(lab, [two], "slots", "fix", "--yes").expect(FAILED, "left to you", "has slots", "start it again")
    assert lost in lines(two)
