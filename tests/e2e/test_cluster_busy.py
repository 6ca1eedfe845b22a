"""Leased clusters on a machine that has no time: a short down-after holds. make bench does it for ten minutes."""
from cases import case
from lab.full_load import EVENTS, hold


@case(kinds=("ours",), limit_s=90, alone=True)
def test_nobody_is_taken_for_dead(lab):
    """All processors are wanted several times over: no master is taken for down. A lease may run out where a process
    is given no time at all."""
    seen = hold(lab, 8)
    assert seen["written"] > 10000, seen
    assert all(seen[event] == 0 for event in EVENTS if event != "+sdown"), seen
