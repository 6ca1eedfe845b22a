"""Man pages, completion, samples and what `make install` puts where: each is checked against the programs."""
import glob
import os
import re
import shutil
import subprocess

from cases import case
from lab.nodes import noded_path
from lab.supervisors import ROOT, nodectl_path, sentineld_path


def run(*argv, env=None, cwd=ROOT):
    return subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, env=env, cwd=cwd, timeout=60, check=False)


def said(*argv, **kwargs):
    done = run(*argv, **kwargs)
    assert done.returncode == 0, "%s: exit status %d\n%s%s" % (argv, done.returncode, done.stdout, done.stderr)
    return done.stdout


def page(name):
    """The text of a man page in one line, so that no break splits a phrase."""
    with open(os.path.join(ROOT, "etc", "man", name), encoding="utf-8") as f:
        text = f.read()
    text = re.sub(r"^\.[A-Z]+ ?", "", text, flags=re.M)
    text = re.sub(r"\\f.|\"", "", text)
    return " ".join(text.replace("\\-", "-").split())


def section(help_text, title):
    """The lines of one part of a help text."""
    found = re.search(r"^%s:\n((?:  .*\n)+)" % title, help_text, re.M)
    return found.group(1).splitlines() if found else []


def subcommands(help_text):
    return [line.split()[0] for line in section(help_text, "Commands")]


def options(help_text):
    return [re.match(r"  (?:-\w, )?(--[a-z-]+)", line).group(1) for line in section(help_text, "Options")]


def tree(path=()):
    """Every command of nodectl with its help: [(path, help)]."""
    text = said(nodectl_path(), "help", *path)
    found = [(path, text)]
    for name in subcommands(text):
        found += tree(path + (name,))
    return found


def leaves():
    return [(path, text) for path, text in tree() if not subcommands(text)]


@case(kinds=("ours",), limit_s=60)
def test_man_pages_are_well_formed(_lab):
    """groff finds nothing to warn of, and the names in the titles are those of the files."""
    pages = glob.glob(os.path.join(ROOT, "etc", "man", "*.[1-8]"))
    assert sorted(os.path.basename(p) for p in pages) == ["nodectl.1", "noded.1", "sentineld.8", "sentineld.conf.5"]
    for path in pages:
        done = run("groff", "-man", "-ww", "-Tutf8", "-z", path)
        assert done.returncode == 0 and done.stderr == "", "%s: %s" % (path, done.stderr)
        name, number = os.path.basename(path).rsplit(".", 1)
        with open(path, encoding="utf-8") as f:
            assert f.readline().startswith(".TH %s %s " % (name.upper(), number)), path


@case(kinds=("ours",), limit_s=60)
def test_man_pages_are_whole(_lab):
    """nodectl.1 has every command and option of the tree, sentineld.8 every option, sentineld.conf.5 every key."""
    text = page("nodectl.1")
    for path, help_text in leaves():
        assert " ".join(path) in text, "nodectl.1 does not describe: nodectl %s" % " ".join(path)
        for option in options(help_text):
            assert option in text, "nodectl.1 does not describe %s of nodectl %s" % (option, " ".join(path))
    text = page("sentineld.8")
    for option in re.findall(r"--[a-z]+", said(sentineld_path(), "--help")):
        assert option in text, "sentineld.8 does not describe %s" % option
    text = page("noded.1")
    for option in re.findall(r"^  (?:-\w, )?(--[a-z]+)  ", said(noded_path(), "--help"), re.M):
        assert option in text, "noded.1 does not describe %s" % option
    text = page("sentineld.conf.5")
    keys = set()
    for path in glob.glob(os.path.join(ROOT, "sentineld", "shell", "config*.c")):
        with open(path, encoding="utf-8") as f:
            keys |= set(re.findall(r"CONF_ROW_[A-Z]+\(\s*\"([a-z_]+)\"", f.read()))
    assert len(keys) > 30, keys
    missing = sorted(k for k in keys - {"from", "to", "address"} if not re.search(r" %s \(" % k, text))
    assert not missing, "sentineld.conf.5 does not describe %s" % missing


def complete(lab, words, cwd=None):
    """What bash proposes for the last of these words."""
    script = "source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _nodectl; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (
        os.path.join(ROOT, "etc", "completions", "nodectl.bash"), " ".join("'%s'" % w for w in words), len(words) - 1)
    bin_dir = lab.path("bin")
    if not os.path.isdir(bin_dir):
        os.makedirs(bin_dir)
        os.symlink(os.path.abspath(nodectl_path()), os.path.join(bin_dir, "nodectl"))
    env = dict(os.environ, PATH=bin_dir + ":" + os.environ["PATH"])
    out = run("bash", "--norc", "-c", script, env=env, cwd=cwd or ROOT)
    assert out.stderr == "", out.stderr
    return [line for line in out.stdout.splitlines() if line]


@case(kinds=("ours",), limit_s=60)
def test_completion_knows_the_tree(lab):
    """At every command: its subcommands, or its options; and files where a file is wanted."""
    for path, text in tree():
        words = ["nodectl", *path]
        names = subcommands(text)
        if names:
            wanted = names + ([] if path else ["help"])
            assert sorted(complete(lab, words + [""])) == sorted(wanted), words
            assert complete(lab, words + [names[0][:2]]) == [n for n in wanted if n.startswith(names[0][:2])], words
        assert complete(lab, words + ["--"]) == options(text), words
    assert complete(lab, ["nodectl", "help", "fai"]) == ["failover"]
    assert complete(lab, ["nodectl", "status", "-o", ""]) == ["table", "json"]
    assert complete(lab, ["nodectl", "status", "--output", "j"]) == ["json"]
    assert complete(lab, ["nodectl", "status", "--supervisor", ""]) == []
    assert complete(lab, ["nodectl", "failover", "--yes", ""]) == []
    assert complete(lab, ["nodectl", "config", "convert", "--to", ""]) == ["sentineld", "noded"]
    assert complete(lab, ["nodectl", "config", "convert", "etc/nodectl.c"]) == ["etc/nodectl.conf"]
    assert complete(lab, ["nodectl", "status", "-c", "etc/nodectl.c"]) == ["etc/nodectl.conf"]
    assert complete(lab, ["nodectl", "nosuch", ""]) == []


@case(kinds=("ours",), limit_s=60)
def test_samples_are_accepted(lab):
    """The sample configurations are valid as they stand."""
    with open(os.path.join(ROOT, "etc", "sentineld.conf"), encoding="utf-8") as f:
        text = f.read()
    path = lab.path("sentineld.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    said(sentineld_path(), "-c", path, "--check")
    said(noded_path(), os.path.join(ROOT, "etc", "noded.conf"), "--check")
    drills = said(nodectl_path(), "drill", "plan", "--file", os.path.join(ROOT, "etc", "drills.conf"))
    assert "\nweekly " in drills and "\ncut " in drills, drills
    done = run(nodectl_path(), "status", "-c", os.path.join(ROOT, "etc", "nodectl.conf"), "--timeout-ms", "300",
               env={k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")})
    assert done.returncode != 2, done.stderr


@case(kinds=("ours",), limit_s=60)
def test_install(lab):
    """`make install` puts programs, man pages, completion and samples below DESTDIR, and nothing elsewhere."""
    build = lab.path("build")
    os.makedirs(build)
    for program in (sentineld_path(), nodectl_path(), noded_path()):
        shutil.copy(program, build)
    # The programs are those under test: nothing is to be built.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SAN", "BUILD")}
    said("make", "-s", "-o", "programs", "install", "BUILD=" + build, "DESTDIR=" + lab.path("dest"),
         "PREFIX=/opt/s", env=env)
    top = lab.path("dest", "opt", "s")
    assert os.listdir(lab.path("dest")) == ["opt"]
    for name in ("bin/sentineld", "bin/nodectl", "bin/noded", "share/man/man1/nodectl.1", "share/man/man1/noded.1",
                 "share/doc/sentineld/examples/noded.conf", "lib/systemd/system/noded.service",
                 "share/man/man8/sentineld.8",
                 "share/man/man5/sentineld.conf.5", "share/bash-completion/completions/nodectl",
                 "share/doc/sentineld/README.md", "share/doc/sentineld/examples/sentineld.conf",
                 "share/doc/sentineld/examples/nodectl.conf", "share/doc/sentineld/examples/drills.conf",
                 "lib/systemd/system/sentineld.service", "lib/systemd/system/nodectl-drill@.service",
                 "lib/systemd/system/nodectl-drill@.timer"):
        assert os.path.isfile(os.path.join(top, name)), name
    assert said(os.path.join(top, "bin", "nodectl"), "--version").startswith("nodectl ")
    assert os.access(os.path.join(top, "bin", "sentineld"), os.X_OK)


@case(kinds=("ours",))
def test_the_readme_has_the_commands_that_are_there(_lab):
    """The table of noded's commands is what its command table makes of it."""
    done = run(os.path.join(ROOT, "tests", "tools", "commands_table.py"), noded_path(), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
