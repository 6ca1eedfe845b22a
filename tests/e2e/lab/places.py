"""Hosts of their own for processes: a network namespace for each, and routes between them that a test cuts and heals,
in one direction or both. Nothing outside of the test's own process sees any of it."""
import ctypes
import os
import subprocess

from .clusters import SLOTS
from .nodes import Node
from .processes import die_with_parent
from .resp import Resp, pairs
from .supervisors import Sentineld, quoted
from .wait import wait_until

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def run(*argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, "%s: %s" % (" ".join(argv), done.stdout.decode("utf-8", "replace"))


def leave_the_network():
    """This process, and all that it starts from now on, have a network of their own."""
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.geteuid(), os.getegid()
    flags = CLONE_NEWNET | (CLONE_NEWUSER if user else 0)
    assert libc.unshare(flags) == 0, "no network namespace (it needs root or user namespaces): %s" % os.strerror(
        ctypes.get_errno())
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % user), ("gid_map", "0 %d 1" % group)):
            with open("/proc/self/" + name, "w", encoding="ascii") as f:
                f.write(text)


class Place:
    """One host. address: its own; hub: that of the test on the wire between them, which its clients come from."""

    def __init__(self, places, number):
        self.address, self.hub = "10.77.%d.2" % number, "10.77.%d.1" % number
        parent = os.getpid()
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo there && exec sleep 100000"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       preexec_fn=lambda: die_with_parent(parent))
        places.lab.on_close(self.close)
        assert self.holder.stdout.readline() == b"there\n"
        wire, pid = "wire%d" % number, str(self.holder.pid)
        run("ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", pid)
        run("ip", "addr", "add", self.hub + "/24", "dev", wire)
        run("ip", "link", "set", wire, "up")
        self.enter = ["nsenter", "--target", pid, "--net", "--"]
        for words in ("link set lo up", "addr add %s/24 dev eth0" % self.address, "link set eth0 up",
                      "route add default via %s" % self.hub):
            run(*self.enter, "ip", *words.split())

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class Places:
    def __init__(self, lab):
        self.lab, self.count, self.rules = lab, 0, []
        leave_the_network()
        run("ip", "link", "set", "lo", "up")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as f:
            f.write("1")
        # What is ours goes through the rules too, so that clients can be cut off.
        run("ip", "rule", "add", "pref", "100", "lookup", "local")
        run("ip", "rule", "del", "pref", "0")

    def make(self):
        self.count += 1
        return Place(self, self.count)

    def drop(self, source, target):
        """What goes from one address to the other is lost, without a word to anybody."""
        words = ["from", source, "to", target, "blackhole"]
        run("ip", "rule", "add", "pref", "10", *words)
        self.rules.append(words)

    def cut(self, one, others):
        for other in others:
            self.drop(one.address, other.address)
            self.drop(other.address, one.address)

    def cut_clients(self, one):
        """Of this place: they hear nothing more from it."""
        self.drop(one.address, one.hub)

    def heal(self):
        for words in self.rules:
            run("ip", "rule", "del", "pref", "10", *words)
        self.rules.clear()


def resp(server, timeout_s=5.0):
    return Resp(server.port, host=server.place.address, timeout_s=timeout_s)


class _Node(Node):
    """A node of a cluster at a place."""

    def __init__(self, lab, place, name, port, **options):
        super().__init__(lab.path(name), name, port, bind=[place.address, "127.0.0.1"], protected_mode="no",
                         cluster_enabled="yes", cluster_port=port + 10000, cluster_node_timeout=15000, **options)
        self.place = place
        self.argv = place.enter + self.argv

    def connect(self, timeout_s=5.0):
        return resp(self, timeout_s)


class _Supervisor(Sentineld):
    def __init__(self, lab, place, name, port):
        self.place = place
        super().__init__(lab.path(name), name, port)
        self.argv = place.enter + self.argv

    def connect(self, timeout_s=5.0):
        return resp(self, timeout_s)

    def watch(self, seeds, supervisors, down_after_ms):
        self.write_config("\n".join([
            "listen = [ %s ];" % quoted("%s:%d" % (self.place.address, self.port)),
            "state_dir = %s;" % quoted(self.state_dir),
            "supervisors = [ %s ];" % ", ".join(quoted("%s:%d" % (s.place.address, s.port)) for s in supervisors),
            "clusters = ( { name = \"orders\"; seeds = [ %s ]; quorum = %d; down_after_ms = %d; "
            "failover_timeout_ms = 5000; } );" % (
                ", ".join(quoted("%s:%d" % (n.place.address, n.port)) for n in seeds), len(supervisors) // 2 + 1,
                down_after_ms)]) + "\n")


class PlacedShard:
    """A cluster of one shard, a master and a replica, under three supervisors with leases of half of down_after_ms:
    five places. Its clients are at the test's own."""

    def __init__(self, lab, down_after_ms=1000, supervisors=3):
        self.places = Places(lab)
        self.lease_s = down_after_ms / 2000
        self.nodes = [_Node(lab, self.places.make(), name, 7001 + i) for i, name in enumerate(("master", "replica"))]
        self.master, self.replica = self.nodes
        self.supervisors = [_Supervisor(lab, self.places.make(), "sentinel%d" % i, 26379 + i)
                            for i in range(supervisors)]
        for child in self.nodes + self.supervisors:
            lab.children.append(child)
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()
        self.make_cluster()
        for s in self.supervisors:
            s.watch(self.nodes[:1], self.supervisors, down_after_ms)
            s.start()
        for s in self.supervisors:
            s.wait_ready()
        self.wait_well(self.master)

    def make_cluster(self):
        master, replica = self.nodes
        master.ok("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        master.ok("CLUSTER", "SET-CONFIG-EPOCH", 1)
        master.ok("CLUSTER", "MEET", replica.place.address, replica.port, replica.port + 10000)
        own = master.ok("CLUSTER", "MYID")
        wait_until(lambda: replica.call("CLUSTER", "REPLICATE", own) == "OK", 20, "the replica may follow")
        wait_until(lambda: replica.info("replication").get("master_link_status") == "up", 20, "it follows")

    def wait_well(self, master, timeout_s=60):
        """All supervisors know the shard, with this master, the other node following it, and each other; it is
        leased."""
        other = self.nodes[self.nodes[0] is master]

        def well():
            for s in self.supervisors:
                shard = next((pairs(m) for m in s.ok("SENTINEL", "MASTERS")), None)  # none: it has found nothing yet
                assert shard and int(shard["port"]) == master.port, (s.name, shard)
                assert s.knows(shard["name"], 1, len(self.supervisors) - 1), (s.name, shard)
            fields = other.info("replication")
            assert fields["role"] == "slave" and fields["master_link_status"] == "up", fields
            return lease_ms(master) > 0
        wait_until(well, timeout_s, "all is well, with %s as the master" % master.name)


def lease_ms(node):
    text = node.ok("CLUSTER", "INFO")
    return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)["cluster_lease_ms"])
