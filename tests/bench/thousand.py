"""A thousand groups of two modelled servers: start-up, memory, idle processor time, a hundred masters killed at once.

The servers are one process, bench-model, which speaks the real protocol over sockets and does what redis-server does
as far as supervisors can see it (tests/bench/model). The supervisors are real.
"""
import os
import re
import select
import sys
import time

import idle
import lines
from lab import Group, Resp, encode, wait_until
from lab.processes import Child
from lab.resp import Incomplete, parse
from lab.supervisors import ROOT

FAILOVER_TIMEOUT_MS = 60000
MANY_DOWN_AFTER_MS = 5000
SUPERVISORS = 3
MASTER_LINE = re.compile(r"^master\d+:name=([^,]*),status=(\w+),address=([^,]*),slaves=(\d+),sentinels=(\d+)", re.M)


def model_path():
    """The modelled servers; BENCH_MODEL names another build of them."""
    return os.environ.get("BENCH_MODEL") or os.path.join(ROOT, "build", "bench-model")


class Model(Child):
    """The process of the modelled servers and its control port."""
    mode = ()

    def __init__(self, lab, pairs):
        directory = lab.path("model")
        os.makedirs(directory, exist_ok=True)
        super().__init__("model", [model_path(), str(pairs), *self.mode], directory, os.path.join(directory, "log"))
        lab.children.append(self)
        self.start()
        wait_until(self._port, 15, "the model has opened the ports of %d pairs" % pairs)
        self.control = Resp(self._port(), timeout_s=30)
        lab.on_close(self.control.close)

    def _port(self):
        assert self.alive(), "the model ended with status %s: %s" % (self.proc.returncode, self.log()[-400:])
        lines = self.log().split("\n")
        return int(lines[0]) if len(lines) > 1 else None

    def fleet(self):
        """{pair: (port of its master, port of its replica)}; everybody must live."""
        rows = self.control.ok("FLEET")
        assert all(row[1] and row[3] for row in rows), "a modelled server is not as it should be"
        return {row[0]: (row[1], row[2]) for row in rows}

    def kill_masters(self, first, count):
        """Returns the monotonic seconds before the first and after the last of them."""
        before, after = self.control.ok("KILL", first, count)
        return before / 1e6, after / 1e6

    def revive(self):
        return self.control.ok("REVIVE")

    def promoted(self):
        """{pair: (port, monotonic seconds)} since the last kill."""
        return {row[0]: (row[1], row[2] / 1e6) for row in self.control.ok("PROMOTED")}

    def served(self):
        flat = self.control.ok("SERVED")
        return dict(zip(flat[0::2], flat[1::2]))


class Watchers:
    """Three supervisors of one kind over the first pairs of the model."""
    generation = 0

    def __init__(self, lab, model, kind, pairs, down_after_ms):
        Watchers.generation += 1
        self.kind, self.pairs, self.down_after_ms = kind, pairs, down_after_ms
        fleet = model.fleet()
        groups = [Group(name=self.name(i), port=fleet[i][0], quorum=2, down_after_ms=down_after_ms,
                        failover_timeout_ms=FAILOVER_TIMEOUT_MS) for i in range(pairs)]
        self.supervisors = [lab.supervisor("model-%s%d-%d" % (kind, Watchers.generation, i), groups, kind=kind,
                                           timers={}, boot=False) for i in range(SUPERVISORS)]

    @staticmethod
    def name(pair):
        return "g%04d" % pair

    def known(self, supervisor):
        """How many groups it knows wholly: the replica, every other supervisor, nobody down."""
        text = supervisor.ok("INFO", "sentinel", timeout_s=30)
        return sum(status == "ok" and slaves == "1" and sentinels == str(SUPERVISORS)
                   for _, status, _, slaves, sentinels in MASTER_LINE.findall(text))

    def start(self, bound_s):
        """Starts all at once. Returns the seconds until the last one knew every group, None past the bound."""
        began = time.monotonic()
        for s in self.supervisors:
            s.start()
        waiting = list(self.supervisors)
        while waiting:
            if time.monotonic() - began > bound_s:
                return None
            for s in list(waiting):
                assert s.alive(), "%s ended with status %s: %s" % (s.name, s.proc.returncode, s.log()[-600:])
                try:
                    if self.known(s) == self.pairs:
                        waiting.remove(s)
                except OSError:
                    pass  # it does not listen yet
            time.sleep(0.05)
        return time.monotonic() - began

    def memory_mb(self):
        """The resident memory of the largest, in MiB."""
        return max(status_kb(s.pid, "VmRSS") for s in self.supervisors) / 1024

    def stop(self):
        for s in self.supervisors:
            s.terminate(30)


def status_kb(pid, field):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return int(re.search(r"^%s:\s+(\d+) kB" % field, f.read(), re.M).group(1))


class SwitchWatch:
    """Watches groups switch at every supervisor. An event tells when it is worth asking; what counts is the answer of
    GET-MASTER-ADDR-BY-NAME. Every SWEEP_S all that is still open is asked."""
    SWEEP_S = 0.02
    EVENTS = ("+switch-master", "+failover-state-reconf-slaves")

    def __init__(self, supervisors, wanted):
        """wanted: {group: port of its new master}"""
        self.wanted = wanted
        self.told = {}  # (supervisor port, group) -> monotonic seconds
        self.poll = select.epoll()
        self.askers = {s.port: Resp(s.port, timeout_s=30) for s in supervisors}
        self.subscriptions = {}
        for s in supervisors:
            client = Resp(s.port, timeout_s=30)
            client.send_raw(encode("SUBSCRIBE", *self.EVENTS))
            for _ in self.EVENTS:
                client.read()
            client.sock.setblocking(False)
            self.subscriptions[client.sock.fileno()] = (s.port, client)
            self.poll.register(client.sock, select.EPOLLIN)

    def close(self):
        for client in self.askers.values():
            client.close()
        for _, client in self.subscriptions.values():
            client.close()
        self.poll.close()

    def _ask(self, port, groups):
        groups = [g for g in groups if g in self.wanted and (port, g) not in self.told]
        client = self.askers[port]
        client.send_raw(b"".join(encode("SENTINEL", "GET-MASTER-ADDR-BY-NAME", g) for g in groups))
        for group in groups:
            answer = client.read()
            if isinstance(answer, list) and int(answer[1]) == self.wanted[group]:
                self.told[(port, group)] = time.monotonic()

    def _take(self, fd):
        port, client = self.subscriptions[fd]
        try:
            data = client.sock.recv(1 << 16)
        except BlockingIOError:
            return port, []
        assert data, "a supervisor closed the connection of the measuring client"
        client.buf += data
        groups, pos = [], 0
        try:
            while True:
                message, pos = parse(client.buf, pos)
                words = message[2].split()
                groups.append(words[0] if message[1] == "+switch-master" else words[1])
        except Incomplete:
            del client.buf[:pos]
        return port, groups

    def run(self, start_at, give_up_at):
        """Returns the moment of the last answer, None when one is missing at the end."""
        time.sleep(max(0.0, start_at - time.monotonic()))
        sweep_at = time.monotonic()
        while len(self.told) < len(self.wanted) * len(self.askers):
            for fd, _ in self.poll.poll(max(0.0, sweep_at - time.monotonic())):
                self._ask(*self._take(fd))
            now = time.monotonic()
            if now > give_up_at:
                return None
            if now >= sweep_at:
                for port in self.askers:
                    self._ask(port, self.wanted)
                sweep_at = time.monotonic() + self.SWEEP_S
        return max(self.told.values())


def kill(model, watchers, count, bound_s):
    """Kills the masters of `count` pairs. Returns milliseconds after the end of down-after: (last promoted, all agree),
    None for what did not happen within the bound; and how early the first promotion was."""
    fleet = model.fleet()
    first = (watchers.pairs - count) // 2
    wanted = {watchers.name(i): fleet[i][1] for i in range(first, first + count)}
    watch = SwitchWatch(watchers.supervisors, wanted)
    try:
        before, after = model.kill_masters(first, count)
        down_after = watchers.down_after_ms / 1000
        agreed = watch.run(before + down_after - 0.3, after + down_after + bound_s)
    finally:
        watch.close()
    promoted = model.promoted()
    strangers = sorted(set(promoted) - set(range(first, first + count)))
    assert watchers.kind == "stock" or not strangers, "replicas of masters that live were promoted: pairs %s" % (
        strangers[:10])
    times = [at for pair, (port, at) in promoted.items() if pair not in strangers and port == fleet[pair][1]]
    last = (max(times) - after - down_after) * 1000 if len(times) == count else None
    early = bool(times) and min(times) < before + down_after
    return last, None if agreed is None else (agreed - after - down_after) * 1000, early


def measure_many(lab, model, kind, options, say):
    """All groups: start-up, memory, a hundred masters killed."""
    bound_s = options.stock_bound if kind == "stock" else 60.0
    watchers = Watchers(lab, model, kind, options.groups, MANY_DOWN_AFTER_MS)
    result = {"bound_s": bound_s, "start": watchers.start(bound_s)}
    if result["start"] is None:
        say("%d groups, %-5s: not all known after %.0f s" % (options.groups, kind, bound_s))
    else:
        say("%d groups, %-5s: all known after %.2f s" % (options.groups, kind, result["start"]))
    time.sleep(options.settle)  # INFO has come from everybody twice: what grows has grown
    result["idle"] = idle.percent(watchers.supervisors, 2 * watchers.pairs, options.idle_seconds / 2)
    result["memory"] = watchers.memory_mb()
    say("%d groups, %-5s: %.1f MiB resident, %.2f %% of a core per 100 servers" % (
        options.groups, kind, result["memory"], result["idle"]))
    result["promoted"] = result["agreed"] = None
    result["early"] = False
    try:
        result["promoted"], result["agreed"], result["early"] = kill(model, watchers, options.kill, bound_s)
    except OSError as e:
        if kind != "stock":
            raise
        say("%d groups, stock: does not answer the measuring client any more: %s" % (options.groups, e))
    say("%d groups, %-5s: %d killed, last promoted after %s ms, all agree after %s ms" % (
        options.groups, kind, options.kill,
        *("more than %.0f" % (bound_s * 1000) if result[k] is None else "%.0f" % result[k]
          for k in ("promoted", "agreed"))))
    watchers.stop()
    model.revive()
    return result


def measure_idle(lab, model, kinds, options, progress):
    started, served = [], {}

    def start(kind, down_after_ms):
        started[:] = [Watchers(lab, model, kind, options.idle_groups, down_after_ms)]
        known = started[0].start(120)
        assert known is not None, "%s does not know all of %d groups after 120 s" % (kind, options.idle_groups)
        return started[0].supervisors

    def rates(seconds):
        before, now = dict(served), model.served()
        served.update(now)
        if seconds is None:
            return ""
        links = SUPERVISORS * 2 * options.idle_groups
        return " (each is sent in a second: %s)" % ", ".join(
            "%s %.1f" % (name, (now[name] - before[name]) / seconds / links) for name in ("PING", "PUBLISH", "INFO"))

    servers = 2 * options.idle_groups
    return idle.measure(start, servers, kinds, options.idle_seconds, "modelled servers", rates, progress)


def measure(lab, kinds, options, progress=sys.stderr):
    """Returns {"many": {kind: {...}}, "idle": {down-after ms: {kind: percent}}}."""
    def say(text):
        print(text, file=progress, flush=True)

    assert os.access(model_path(), os.X_OK), "%s is missing: build it with make bench" % model_path()
    model = Model(lab, options.groups)
    many = {kind: measure_many(lab, model, kind, options, say) for kind in kinds}
    return {"many": many, "idle": measure_idle(lab, model, kinds, options, progress)}


def rows(results, options):
    """(title, unit, target or None, ours, stock, bound in that unit) of each line of the table."""
    many = results["many"]

    def of(key, scale=1.0):
        found = {kind: many[kind][key] for kind in many}
        return [None if found.get(kind) is None else found[kind] * scale for kind in ("ours", "stock")]

    bound_ms = many["stock"]["bound_s"] * 1000 if "stock" in many else None
    yield ("%d groups: all known by all" % options.groups, "ms", 5000.0, *of("start", 1000.0), bound_ms)
    yield ("%d groups: resident memory" % options.groups, "MiB", 30.0, *of("memory"), None)
    yield ("%d of %d killed: last promoted" % (options.kill, options.groups), "ms", 1000.0, *of("promoted"), bound_ms)
    yield ("%d of %d killed: all agree" % (options.kill, options.groups), "ms", 1000.0, *of("agreed"), bound_ms)
    yield from idle.rows(results["idle"], "modelled")


def report(results, options):
    """Prints the lines of the table; returns the titles of missed targets."""
    missed = lines.show(rows(results, options), results["many"])
    print("(groups of two modelled servers; killed at down-after %d ms)" % MANY_DOWN_AFTER_MS)
    if results["many"].get("ours", {}).get("early"):
        missed.append("FAULT: sentineld promoted before down-after was over")
    return missed
