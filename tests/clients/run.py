#!/usr/bin/python3
"""Clients of the field against noded: the same script against redis-server and against noded, what they print compared.

Each section of each script is a test, and so is each client on a cluster with failovers (in_cluster.py) and on one
whose slots move (moving_slots.py). ioredis and node-redis come from npm, at the versions of package-lock.json, into the
folder given; redis-py is Debian's. The last line is "N passed, N failed".
"""
import argparse
import concurrent.futures
import difflib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from in_cluster import CLIENTS, Ordeal, run_in_cluster  # noqa: E402
from lab import Lab  # noqa: E402
from moving_slots import MovingSlots  # noqa: E402

PASSWORD = "pass:word"
SCRIPTS = {
    "ioredis": ["node", "with_ioredis.js"],
    "node-redis, RESP2": ["node", "with_node_redis.js", "2"],
    "node-redis, RESP3": ["node", "with_node_redis.js", "3"],
    "redis-py": ["/usr/bin/python3", "with_redis_py.py"],
}
INSTALL_S, SCRIPT_S = 240, 90
DIFFERENT_LINES = 12


def install(folder):
    """npm ci into the folder, unless it was done with this lock file. Returns None, or what went wrong."""
    with open(os.path.join(HERE, "package-lock.json"), "rb") as f:
        mark = hashlib.sha256(f.read()).hexdigest()
    stamp = os.path.join(folder, "installed")
    if os.path.exists(stamp):
        with open(stamp, encoding="ascii") as f:
            if f.read() == mark:
                return None
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            return "there is no %s; make deps installs it" % command
    os.makedirs(folder, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), folder)
    try:
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        return "npm ci took longer than %d s" % INSTALL_S
    if done.returncode != 0:
        return "npm ci failed:\n%s" % done.stdout.decode("utf-8", "replace")[-2000:]
    with open(stamp, "w", encoding="ascii") as f:
        f.write(mark)
    return None


def sections(text):
    """The lines of each section in order of appearance: {name: lines}."""
    found, lines = {}, None
    for line in text.splitlines():
        if line.startswith("== "):
            lines = found.setdefault(line[3:], [])
        elif lines is None:
            lines = found.setdefault("start", [line])
        else:
            lines.append(line)
    return found


def run_script(words, port, folder):
    """(what it printed, its exit status or a text)."""
    argv = [words[0], os.path.join(HERE, words[1]), str(port), PASSWORD] + words[2:]
    env = dict(os.environ, NODE_PATH=os.path.join(folder, "node_modules"), PYTHONDONTWRITEBYTECODE="1")
    try:
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=SCRIPT_S, check=False)
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode("utf-8", "replace"), "longer than %d s" % SCRIPT_S
    return done.stdout.decode("utf-8", "replace"), done.returncode


def compare(name, ours, theirs):
    """(passed, failed) of one script; prints what differs."""
    passed = failed = 0
    for server, (text, status) in (("redis-server", theirs), ("noded", ours)):
        if status != 0:
            print("FAIL %s: it ended with %s against %s:\n%s" % (name, status, server, text[-2500:]))
            failed += 1
    got, wanted = sections(ours[0]), sections(theirs[0])
    for section, lines in wanted.items():
        if lines and got.get(section) == lines:
            print("ok   %s: %s (%d answers)" % (name, section, len(lines)))
            passed += 1
            continue
        print("FAIL %s: %s" % (name, section))
        different = list(difflib.unified_diff(lines, got.get(section, []), "redis-server", "noded", "", "", 0))
        for line in different[:DIFFERENT_LINES]:
            print("     " + line[:600])
        failed += 1
    if not wanted:
        failed += 1
        print("FAIL %s: it printed nothing" % name)
    return passed, failed


def run_all(names, folder, lab):
    jobs = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name in names:
            for kind in ("redis", "noded"):
                server = getattr(lab, "redis" if kind == "redis" else "node")("%s-%d" % (kind, len(jobs)),
                                                                             requirepass=PASSWORD)
                server.wait_ready()
                jobs[name, kind] = pool.submit(run_script, SCRIPTS[name], server.port, folder)
        passed = failed = 0
        for name in names:
            good, bad = compare(name, jobs[name, "noded"].result(), jobs[name, "redis"].result())
            passed += good
            failed += bad
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where npm installs to (made when it is not there)")
    parser.add_argument("-k", metavar="WORD", help="only clients with this in their name")
    parser.add_argument("--cluster-of", choices=("ours", "stock"), default="ours",
                        help="what the cluster is made of; stock shows that the test itself is right")
    args = parser.parse_args()
    folder = os.path.abspath(args.folder)
    names = [name for name in SCRIPTS if args.k is None or args.k in name]
    in_cluster = [name for name in CLIENTS if args.k is None or args.k in name]

    def interrupted(_sig, _frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    started = time.monotonic()
    problem = install(folder)
    if problem is not None:
        print("FAIL installing the clients: %s" % problem)
        names = [name for name in names if SCRIPTS[name][0] != "node"]
        in_cluster = [name for name in in_cluster if CLIENTS[name][0] != "node"]
    root = tempfile.mkdtemp(prefix="noded-clients-")
    try:
        with Lab("ours", root) as lab:
            passed, failed = run_all(names, folder, lab)
        for ordeal in (Ordeal, MovingSlots) if in_cluster else ():
            with Lab("ours", os.path.join(root, ordeal.__name__)) as lab:
                more = run_in_cluster(ordeal, lab, args.cluster_of, folder, in_cluster)
            passed, failed = passed + more[0], failed + more[1]
    except KeyboardInterrupt:
        print("clients: interrupted; all servers were ended")
        return 130
    finally:
        shutil.rmtree(root, ignore_errors=True)
    failed += problem is not None
    print("clients: %.0f s" % (time.monotonic() - started))
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
