"""nodectl supervisor add and remove when they do not go smoothly: two changes at once, addresses that will not do, new
supervisors that do not come up."""
import json
import os

from cases import case
from lab import tool, wait_until
from lab.resp import Resp, RespError
from lab.tool import FAILED, INTERRUPTED, OK, expect

OURS = ("ours",)


class Made:
    """A fleet that nodectl made: one shard, and as many supervisors."""

    def __init__(self, lab, supervisors, name="orders"):
        self.lab = lab
        os.makedirs(lab.path("home", ".config"), exist_ok=True)
        self.dir = lab.path(name)
        lab.on_close(lambda: self.run("--fleet", name, "fleet", "destroy", "--yes"))
        expect(self.run("fleet", "create", name, "--shards", "1", "--replicas", "1", "--supervisors", supervisors,
                        "--yes", "--dir", self.dir, "--port", lab.ports.block()), OK)
        self.supervisors = self.recorded("supervisors")
        self.master = self.recorded("nodes")[0]

    def run(self, *args):
        return tool.run(self.lab, *args)

    def interrupted(self, step, *args):
        """Ctrl-C when that step begins; what it said."""
        done = tool.run(self.lab, "supervisor", *args, "--yes", **tool.ctrl_c_at(self.lab, step))
        return expect(done, INTERRUPTED, "[%d/" % step).stdout

    def fleet_json(self):
        with open(os.path.join(self.dir, "fleet.json"), encoding="utf-8") as f:
            return json.load(f)

    def recorded(self, what):
        return [m["address"] for m in self.fleet_json()[what]]

    def files(self):
        """The list of supervisors in each one's file, by its port."""
        found = {}
        for m in self.fleet_json()["supervisors"]:
            with open(os.path.join(self.dir, m["folder"], "sentineld.conf"), encoding="utf-8") as f:
                line = next(line for line in f if line.startswith("supervisors"))
            found[m["address"]] = line.split('"')[1::2]
        return found

    def wait_writes(self):
        def taken():
            client = Resp(int(self.master.rsplit(":", 1)[1]))
            try:
                said = client.call("SET", "a", "1")
                assert not isinstance(said, RespError), said
            finally:
                client.close()
            return True
        wait_until(taken, 20, "a write is taken")


@case(kinds=OURS, limit_s=150)
def test_two_changes_at_once(lab):
    """A removal is interrupted when some have the new list: another one is refused, with the two ways out, and each of
    these goes through while the fleet goes on to take writes."""
    fleet = Made(lab, 4)
    a, b, c, d = fleet.supervisors
    fleet.interrupted(2, "remove", d)
    assert fleet.fleet_json()["changing"] == {"by": "supervisor remove", "address": d}
    before = fleet.files()
    assert before[a] == [a, b, c], before
    for args in (("remove", c), ("add", "127.0.0.1:%d" % lab.ports.take())):
        expect(fleet.run("supervisor", *args, "--yes"), FAILED, "the removal of supervisor %s is half done" % d,
               "supervisor remove %s" % d, "supervisor add %s" % d)
    assert fleet.files() == before
    fleet.wait_writes()

    # Back: the first one has the old list again, the others have it still.
    expect(fleet.run("supervisor", "add", d, "--yes"), OK)
    assert fleet.files() == {s: [a, b, c, d] for s in (a, b, c, d)} and "changing" not in fleet.fleet_json()
    fleet.wait_writes()

    # Forward, and then the next one: the leaving one runs until nodes count the list without it.
    fleet.interrupted(3, "remove", d)
    steps = expect(fleet.run("supervisor", "remove", d, "--yes"), OK, "[1/6]", "is so already").stdout
    assert steps.index("nodes count the new list: done") < steps.index("end supervisor %s ..." % d), steps
    expect(fleet.run("supervisor", "remove", c, "--yes"), OK)
    assert fleet.files() == {a: [a, b], b: [a, b]} and "changing" not in fleet.fleet_json()
    fleet.wait_writes()

    # Of two none can go: nodes never count the list of the one that is left.
    expect(fleet.run("supervisor", "remove", b, "--yes"), FAILED, "is one of two supervisors", "Add a third")
    expect(fleet.run("status"), OK)


@case(kinds=OURS, limit_s=150)
def test_as_many_but_others(lab):
    """Lists of the same length and with other members are not the same list: what a run of another hand left behind is
    put right, and said to be done only when it is."""
    fleet = Made(lab, 4)
    a, b, c, d = fleet.supervisors
    fleet.interrupted(2, "remove", d)
    # As fleet.json was before it told of changes under way.
    path = os.path.join(fleet.dir, "fleet.json")
    record = fleet.fleet_json()
    del record["changing"]
    with open(path, "w", encoding="utf-8") as f:
        json.dump(record, f)
    said = expect(fleet.run("supervisor", "remove", c, "--yes"), OK).stdout
    assert "[1/6] give supervisor %s the new list and restart it: done" % a in said, said
    assert fleet.files() == {s: [a, b, d] for s in (a, b, d)}, fleet.files()
    fleet.wait_writes()


@case(kinds=OURS, limit_s=150)
def test_addresses_that_will_not_do(lab):
    """A node's port, one that somebody has, and one that nobody knows are refused before anything is done; a new one
    that does not come up is taken out of the record, so that the next change is not in its way."""
    fleet = Made(lab, 3)
    before = fleet.files()

    def text():
        with open(lab.path("home", ".config", "nodectl.conf"), encoding="utf-8") as f:
            return f.read()
    conf = text()
    bus = "127.0.0.1:%d" % (int(fleet.master.rsplit(":", 1)[1]) + 10000)
    expect(fleet.run("supervisor", "add", fleet.master, "--yes"), FAILED, "is a port of one of the fleet's nodes")
    expect(fleet.run("supervisor", "add", bus, "--yes"), FAILED, "is a port of one of the fleet's nodes")
    taken = lab.ports.hold(0)
    taken.listen(1)
    expect(fleet.run("supervisor", "add", "127.0.0.1:%d" % taken.getsockname()[1], "--yes"), FAILED,
           "is taken by another program")
    nobody = "127.0.0.1:%d" % lab.ports.take()
    expect(fleet.run("supervisor", "remove", nobody, "--yes"), FAILED, "knows a supervisor %s" % nobody)
    assert fleet.files() == before and "changing" not in fleet.fleet_json() and text() == conf

    # A program that ends at once.
    record = fleet.fleet_json()
    good = record["sentineld"]
    record["sentineld"] = "/bin/false"
    with open(os.path.join(fleet.dir, "fleet.json"), "w", encoding="utf-8") as f:
        json.dump(record, f)
    new = "127.0.0.1:%d" % lab.ports.take()
    expect(fleet.run("supervisor", "add", new, "--yes"), FAILED, new, "and has ended; its log",
           "taken out of fleet.json again")
    assert new not in fleet.recorded("supervisors") and "changing" not in fleet.fleet_json()
    assert fleet.files() == before and text() == conf

    record = fleet.fleet_json()
    record["sentineld"] = good
    with open(os.path.join(fleet.dir, "fleet.json"), "w", encoding="utf-8") as f:
        json.dump(record, f)
    # Interrupted before anybody but fleet.json knows of it: the opposite takes it back.
    fleet.interrupted(1, "add", new)
    assert fleet.fleet_json()["changing"] == {"by": "supervisor add", "address": new}
    expect(fleet.run("supervisor", "remove", new, "--yes"), OK)
    assert fleet.files() == before and "changing" not in fleet.fleet_json() and text() == conf
    expect(fleet.run("supervisor", "add", new, "--yes"), OK)
    assert len(fleet.files()) == 4
    fleet.wait_writes()
