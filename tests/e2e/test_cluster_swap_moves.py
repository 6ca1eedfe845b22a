"""Swaps of databases beside slots that move: no key ends up in the wrong database, and whoever asked for the swap hears
what is in its way."""
import subprocess

from cases import case
from lab import wait_until
from lab.clusters import key_in, my_id
from lab.supervisors import nodectl_path
from test_cluster_swap import long_call, mapping, swap_made, swappable, with_db

OURS = ("ours",)
SLOTS = range(10, 130)
KEYS_A_SLOT = 50


def fill(node):
    """Keys of database 1 only."""
    with node.connect() as client:
        client.ok("SELECT", 1)
        for slot in SLOTS:
            client.ok("MSET", *[word for i in range(KEYS_A_SLOT) for word in (key_in(slot) + "k%d" % i, "x" * 200)])


def keys_of(node, db):
    with node.connect() as client:
        client.ok("SELECT", db)
        return sum(client.ok("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in SLOTS)


@case(kinds=OURS, limit_s=180)
def test_swaps_beside_a_move_key_by_key(lab):
    fleet, _ = swappable(lab, down_after_ms=3000)  # the lease outlasts what a busy machine stands still
    source, target = fleet.masters[:2]
    fill(source)
    move = subprocess.Popen([nodectl_path(), "slots", "move", "--seeds", "127.0.0.1:%d" % source.port, "--from",
                             "127.0.0.1:%d" % source.port, "--to", "127.0.0.1:%d" % target.port, "--slots",
                             "%d-%d" % (SLOTS[0], SLOTS[-1]), "--key-by-key", "--yes"], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, universal_newlines=True)
    answers = []
    while move.poll() is None:
        answers.append(str(long_call(fleet.supervisors[0], "SENTINEL", "SWAPDB", fleet.name, 1, 2)))
    text = move.communicate()[0]
    print(text[-300:], {a[:150]: answers.count(a) for a in answers})
    assert move.returncode == 0, text
    wait_until(lambda: all(mapping(n)["epoch"] == mapping(source)["epoch"] and
                           mapping(n)["state"] in ("none", "applied", "aborted") for n in fleet.masters), 20,
               "all have one mapping")
    swapped = mapping(source)["epoch"] % 2 == 1
    assert keys_of(target, 2 if swapped else 1) == len(SLOTS) * KEYS_A_SLOT
    assert keys_of(target, 1 if swapped else 2) == 0
    assert keys_of(source, 1) == keys_of(source, 2) == 0


@case(kinds=OURS, limit_s=120)
def test_an_open_slot_refuses_a_swap(lab):
    """Who asked, an operator or a client, hears which slot at which node; behind its end the swap is made."""
    fleet, _ = swappable(lab, down_after_ms=3000)  # the lease outlasts what a busy machine stands still
    source, target = fleet.masters[:2]
    target_id, source_id = my_id(target), my_id(source)
    source.ok("CLUSTER", "SETSLOT", 7, "MIGRATING", target_id)
    told = "127.0.0.1:%d refuses: Slot 7 is open (migrating to %s)" % (source.port, target_id[:8])
    for asked in ((fleet.supervisors[0], "SENTINEL", "SWAPDB", fleet.name, 1, 2), (fleet.masters[2], "SWAPDB", 1, 2)):
        def answered(asked=asked):  # somebody may be too slow to be asked at all
            answer = str(long_call(*asked))
            assert told in answer, answer
            return True
        wait_until(answered, 30, "the open slot is told")
    source.ok("CLUSTER", "SETSLOT", 7, "STABLE")
    wait_until(lambda: target.call("CLUSTER", "SETSLOT", 8, "IMPORTING", source_id) == "OK", 20, "it imports")
    told = "127.0.0.1:%d refuses: Slot 8 is open (importing from %s)" % (target.port, source_id[:8])

    def told_by_nodectl():
        done = subprocess.run([nodectl_path(), "db", "swap", "1", "2", "--yes", "-s",
                               "127.0.0.1:%d" % fleet.supervisors[1].port], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=60,
                              check=False)
        assert done.returncode == 1, done
        assert told in done.stdout, done
        assert "nodectl slots fix" in done.stdout, done
        return True
    wait_until(told_by_nodectl, 30, "an operator hears it")
    target.ok("CLUSTER", "SETSLOT", 8, "STABLE")
    swap_made(fleet.supervisors[0], "SENTINEL", "SWAPDB", fleet.name, 1, 2)
    assert with_db(source, 1, "DBSIZE") is not None
