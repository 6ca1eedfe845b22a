"""What each end-to-end test takes: the seconds from its start to its end, and how many processors it keeps busy."""

COMMON = (1.0, 0.3)  # seconds and processors of a test that is not in the file
LONG_S, BUSY = 1.5, 0.5  # a test is in the file when it is longer or busier than that

HEAD = "# What the end-to-end tests take: seconds, processors, name. run.py --weigh writes it; the rest is short.\n"


class Weights:
    def __init__(self, path):
        self.path, self.known, self.seen = path, {}, {}
        try:
            with open(path, encoding="utf-8") as f:
                for line in f:
                    words = line.rstrip("\n").split(" ", 2)
                    if not line.startswith("#") and len(words) == 3:
                        self.known[words[2]] = (float(words[0]), float(words[1]))
        except FileNotFoundError:
            pass

    def seconds(self, name):
        return self.known.get(name, COMMON)[0]

    def cores(self, name):
        return self.known.get(name, COMMON)[1]

    def measured(self, name, seconds, cpu_s):
        self.seen.setdefault(name, []).append((seconds, cpu_s))

    def summary(self):
        runs = [run for each in self.seen.values() for run in each]
        return "the tests took %.0f s, %.0f s of them on a processor" % (sum(r[0] for r in runs),
                                                                        sum(r[1] for r in runs))

    def write(self):
        """What was measured now replaces what is known; tests that did not run keep what they had."""
        for name, runs in self.seen.items():
            self.known.pop(name, None)
            seconds = sum(r[0] for r in runs) / len(runs)
            cores = sum(r[1] for r in runs) / max(sum(r[0] for r in runs), 0.01)
            if "\n" not in name and (seconds >= LONG_S or cores >= BUSY and seconds >= LONG_S / 3):
                self.known[name] = (seconds, cores)
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(HEAD)
            for name, (seconds, cores) in sorted(self.known.items()):
                f.write("%.1f %.2f %s\n" % (seconds, cores, name))
