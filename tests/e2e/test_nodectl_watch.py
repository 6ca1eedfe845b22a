"""nodectl fleet watch in a real terminal (tmux): wide, narrow, resized, without colours, and how it ends."""
import re
import subprocess

from cases import case
from lab.supervised import Supervised
from lab.supervisors import ORDER_TIMERS, nodectl_path
from test_nodectl_terminal import Tmux, clean_env


@case(kinds=("ours",), limit_s=90)
def test_watch(lab):
    """Shards, events and what is wrong are shown and stay right; keys and sizes are obeyed; q and Ctrl-C leave the
    terminal as it was."""
    fleet = Supervised(lab, declared=True, down_after_ms=2000, timers=ORDER_TIMERS)
    where = ["-s", ",".join("127.0.0.1:%d" % s.port for s in fleet.supervisors)]
    names = sorted(fleet.name_of(m) for m in fleet.masters)
    t = Tmux(lab, columns=110, lines=24)
    t.type("before=$(stty -g)")
    t.begin(nodectl_path(), "fleet", "watch", "--every", "200ms", *where)
    t.wait_for(r"^all is well *$")
    for name, master in zip(names, (fleet.port_of(n) for n in names)):
        t.wait_for(r"^%s +ok +127\.0\.0\.1:%d +\d+ +\d+ ms +1/1 +\d" % (re.escape(name), master))
    t.wait_for(r"^SHARD +STATE +MASTER +SLOTS +LEASE +REPLICAS +LAG +OPS/S +MEMORY *$")
    t.wait_for(r"^EVENTS *$")
    assert re.search(r"\x1b\[[0-9;]*32m", t.screen(colours=True)), "green is nowhere"

    # What is to have a replica less is a shard that keeps its master; names are in no order of ours.
    other = next(i for i, m in enumerate(fleet.masters) if fleet.name_of(m) != names[1])
    trouble, down = fleet.name_of(fleet.masters[other]), fleet.replicas[other]
    assert fleet.supervisors[0].ok("SENTINEL", "FAILOVER", names[1]) == "OK"
    t.wait_for(r"\+switch-master %s" % re.escape(names[1]))
    t.tmux("resize-window", "-t", "t", "-x", "44", "-y", "12")
    t.wait_for(r"^SHARD +STATE +LAG +OPS/S *$")
    t.tmux("resize-window", "-t", "t", "-x", "110", "-y", "8")
    t.wait_for(r"^%s .*\nq quit" % re.escape(names[2]))
    t.tmux("resize-window", "-t", "t", "-x", "80", "-y", "7")
    t.wait_for(r"1-2 of 3")
    t.key("End")
    t.wait_for(r"2-3 of 3")
    t.tmux("resize-window", "-t", "t", "-x", "110", "-y", "24")
    down.pause()
    t.wait_for(r"^\d problems?: .*127\.0\.0\.1:%d" % down.port)
    t.type("s", enter=False)
    t.wait_for(r"order: trouble")
    t.wait_for(r"REPLICAS.*\n%s " % re.escape(trouble))
    down.resume()
    t.wait_for(r"^all is well *$")

    for s in fleet.supervisors:  # nobody answers any more: the picture stays, the corner says so, keys are obeyed
        s.pause()
    t.wait_for(r"no answer for \d+ s")
    t.type("q", enter=False)
    assert t.ended()[0] == 0
    for s in fleet.supervisors:
        s.resume()
    t.type("test \"$before\" = \"$(stty -g)\" && echo the same")
    t.wait_for(r"^the same$")

    t.begin("env", "NO_COLOR=1", nodectl_path(), "fleet", "watch", *where)
    t.wait_for(r"^SHARD ")
    assert not re.search(r"\x1b\[[0-9;]*3[1-6]m", t.screen(colours=True)), t.screen(colours=True)
    t.key("C-c")
    assert t.ended()[0] == 0

    code, text = t.command("env", "TERM=dumb", nodectl_path(), "fleet", "watch", *where)
    assert code == 2 and "cannot be drawn on" in text, text
    done = subprocess.run([nodectl_path(), "fleet", "watch", *where], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=clean_env(lab), timeout=30, check=False)
    assert done.returncode == 2 and "no terminal" in done.stderr and done.stdout == "", done
