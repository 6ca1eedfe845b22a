"""nodectl config convert as an operator runs it: exit status, which output gets what, and that sentineld takes it."""
import subprocess

from cases import case
from lab.supervisors import nodectl_path, sentineld_path

OK, WRONG_FILE = 0, 2


def run(program, *args, cwd=None):
    return subprocess.run([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=20, check=False, cwd=cwd)


def write(lab, name, text):
    path = lab.path(name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def checked(lab, done):
    """The conversion succeeded and sentineld takes what it printed."""
    assert done.returncode == OK, done
    check = run(sentineld_path(), "-c", write(lab, "converted.conf", done.stdout), "--check")
    assert check.returncode == OK, (done.stdout, check)
    return done


@case(kinds=("ours",))
def test_the_files_that_debian_ships(lab):
    done = checked(lab, run(nodectl_path(), "config", "convert", "/etc/redis/sentinel.conf"))
    assert 'name = "mymaster";' in done.stdout and "quorum = 2;" in done.stdout
    assert "daemonize yes" in done.stderr and "daemonize" not in done.stdout
    done = run(nodectl_path(), "config", "convert", "/etc/redis/redis.conf")
    assert done.returncode == OK and done.stderr == "", done
    assert 'dir = "/var/lib/redis";' in done.stdout and "appendonly = false;" in done.stdout


@case(kinds=("ours",))
def test_paths_count_from_the_working_directory(lab):
    write(lab, "relative.conf", "dir ./state\nlogfile s.log\nsentinel monitor m 127.0.0.1 6379 1\n")
    done = checked(lab, run(nodectl_path(), "config", "convert", "relative.conf", cwd=lab.path("")))
    folder = lab.path("state")
    assert 'state_dir = "%s";' % folder in done.stdout, done
    assert 'file = "%s/s.log";' % folder in done.stdout, done


@case(kinds=("ours",))
def test_kind_of_result(lab):
    sentinel = write(lab, "s.conf", "port 5000\nSentinel monitor m 127.0.0.1 6379 1\n")
    plain = write(lab, "r.conf", "port 5000\n")
    convert = (nodectl_path(), "config", "convert")
    assert "groups = (" in checked(lab, run(*convert, sentinel)).stdout
    assert run(*convert, plain).stdout == "port = 5000;\n"
    assert "listen = " in checked(lab, run(*convert, "--to", "sentineld", plain)).stdout
    done = run(*convert, "--to=noded", sentinel)
    assert done.stdout == "port = 5000;\n" and "--to sentineld" in done.stderr, done


@case(kinds=("ours",))
def test_wrong_files_and_command_lines(lab):
    convert = (nodectl_path(), "config", "convert")
    bad = write(lab, "bad.conf", "port 5000\nsentinel monitor m 127.0.0.1 6379 0\nsentinel parallel-syncs x 1\n")
    done = run(*convert, bad)
    assert (done.returncode, done.stdout) == (WRONG_FILE, ""), done
    assert "%s:2: " % bad in done.stderr and "%s:3: " % bad in done.stderr, done
    for args in (["/does/not/exist"], [lab.path("")], [], [bad, bad], ["--to", "redis", bad], ["--wrong", bad]):
        done = run(*convert, *args)
        assert (done.returncode, done.stdout) == (WRONG_FILE, ""), (args, done)
        assert done.stderr != "", args


@case(kinds=("ours",))
def test_help_and_version(lab):
    del lab
    for args in (["--help"], ["help"], ["help", "config"], ["config", "--help"], ["help", "config", "convert"],
                 ["config", "convert", "--help"]):
        done = run(nodectl_path(), *args)
        assert done.returncode == OK and done.stdout.startswith("Usage: nodectl") and done.stderr == "", (args, done)
    assert run(nodectl_path(), "--version").stdout.startswith("nodectl 0.1.0")
    assert run(nodectl_path()).returncode == WRONG_FILE
