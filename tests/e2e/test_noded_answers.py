"""The transcripts of tests/unit/cmd/answers: redis-server says what they say, so they are no invention, and noded says
it through a socket too."""
import glob
import os
import shlex

from cases import case
from lab.supervisors import ROOT

TRANSCRIPTS = sorted(glob.glob(os.path.join(ROOT, "tests", "unit", "cmd", "answers", "*.txt")))


def steps(path):
    """(line number, words, answer) of each command; an answer has a space for each end of a line."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith("> "):
            assert lines[number].startswith("= "), "%s:%d has no answer" % (path, number)
            yield number, shlex.split(line[2:]), lines[number][2:]


def check(path, server):
    wrong = []
    with server.connect() as client:
        client.ok("FLUSHALL")
        for number, words, expected in steps(path):
            got = client.call_raw(*words).decode().replace("\r\n", " ").rstrip(" ")
            if expected not in ("hello", got):
                wrong.append("%s:%d: %s answers %s: %s, not %s" % (os.path.basename(path), number, server.name,
                                                                   " ".join(words), got, expected))
    assert not wrong, "\n".join(wrong)


@case(kinds=("ours",))
def test_both_servers_say_what_the_transcripts_say(lab):
    servers = lab.node("ours"), lab.redis("stock").wait_ready()
    assert len(TRANSCRIPTS) >= 7
    for path in TRANSCRIPTS:
        for server in servers:
            check(path, server)
