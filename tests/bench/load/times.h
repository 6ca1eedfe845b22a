/* How long answers took: counts in classes that are a sixteenth of their size wide. */
#ifndef BENCH_LOAD_TIMES_H
#define BENCH_LOAD_TIMES_H

#include <stddef.h>
#include <stdint.h>

#define TIMES_CLASSES (16 * 40)

struct times {
    uint64_t counts[TIMES_CLASSES];
    uint64_t n;
    int64_t most_us;
};

void times_add(struct times *t, int64_t us);
int64_t times_share(const struct times *t, double share); /* so many of 1 took no longer; us */

#endif
