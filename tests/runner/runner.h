/* Runs the seeds of a simulated world in several processes, adds up what was counted, and shows the first seed that
 * broke a rule. A simulator's main() fills in a row of this and hands its arguments over:
 *
 *   NAME --seeds N [--seed X] [--jobs J]   the seeds X to X+N-1, until one breaks a rule: then its transcript
 *        --survey                          goes on instead, with a line for each seed that breaks one
 *        --verbose                         of one seed, prints everything as it happens
 *   NAME --scenarios [--verbose] FILE...   plays named situations */
#ifndef RUNNER_H
#define RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#define RUN_COUNTS_MAX 128

enum recording { RECORD_NOTHING, RECORD_LAST_LINES, RECORD_AT_ONCE };

struct outcome {
    bool held;
    char rule[16], broken[400]; /* which, and how */
    uint64_t hash;              /* of everything the cores did: a seed that runs twice must have it twice */
    uint64_t counts[RUN_COUNTS_MAX];
};

struct run_count {
    const char *words;
    bool wanted; /* must happen in a run of `all_from` seeds or more */
};

struct runner {
    const char *name;
    uint64_t all_from;
    const struct run_count *counts;
    int ncounts; /* at most RUN_COUNTS_MAX */
    /* Runs one seed to its end, or to the first rule that breaks; then, when it was recorded, prints the transcript. */
    void (*seed)(uint64_t seed, enum recording recording, struct outcome *out);
    int (*scenarios)(int argc, char **argv); /* the exit status */
};

int runner_main(const struct runner *r, int argc, char **argv);

#endif
