"""nodectl as an operator runs it, with no settings of the machine: a home of its own, and none of its variables."""
import json
import os
import signal
import subprocess

from .supervisors import nodectl_path
from .wait import wait_until

OK, FAILED, USAGE, NOBODY, INTERRUPTED = 0, 1, 2, 3, 130


def clean_env(lab, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")}
    env.update(HOME=lab.path("home"), **more)
    return env


def at(*servers):
    """As an option takes addresses."""
    return ",".join("127.0.0.1:%d" % getattr(s, "port", s) for s in servers)


def of(*supervisors):
    return ["--supervisor", at(*supervisors)]


def run(lab, *args, timeout_s=60, **env):
    """The finished process."""
    return subprocess.run([nodectl_path(), *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, env=clean_env(lab, **env),
                          timeout=timeout_s, check=False)


def ctrl_c_at(lab, step, by=signal.SIGINT):
    """Variables for a nodectl that gets a Ctrl-C, or another signal, when this step begins: at that moment, and not
    when a test on a busy machine has read of it, as some steps are short."""
    library = lab.path("ctrl_c.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ctrl_c.c")
    if not os.path.exists(library):
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60)
    sanitizer = "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": library, "CTRL_C_AT": "[%d/" % step, "CTRL_C_BY": str(int(by)), "ASAN_OPTIONS": sanitizer}


def expect(done, code, *parts):
    """It ended so, and said all of this on either stream."""
    text = "%s: exit status %d\n%s%s" % (done.args[1:], done.returncode, done.stdout, done.stderr)
    assert done.returncode == code, "wanted exit status %d\n%s" % (code, text)
    for part in parts:
        assert part in done.stdout + done.stderr, "%r is not there\n%s" % (part, text)
    return done


def document(done, code=OK):
    return json.loads(expect(done, code).stdout)


def wait_leased(node):
    def leased():
        fields = dict(line.split(":", 1) for line in node.ok("CLUSTER", "INFO").split("\r\n") if ":" in line)
        return int(fields.get("cluster_lease_ms", 0)) > 0
    wait_until(leased, 20, "%s is leased" % node.name)
