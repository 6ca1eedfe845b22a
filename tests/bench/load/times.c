#include "tests/bench/load/times.h"

/* Below 16 each number is a class of its own; above, the five leading bits say which. */
static size_t class_of(uint64_t us)
{
    size_t shift = 0;
    while (us >> shift >= 32)
        shift++;
    size_t class = 16 * shift + (size_t)(us >> shift);
    return class < TIMES_CLASSES ? class : TIMES_CLASSES - 1;
}

static int64_t end_of(size_t class)
{
    size_t shift = class >= 32 ? class / 16 - 1 : 0;
    return (int64_t)((class - 16 * shift + 1) << shift) - 1;
}

void times_add(struct times *t, int64_t us)
{
    t->counts[class_of(us > 0 ? (uint64_t)us : 0)]++;
    t->n++;
    if (us > t->most_us)
        t->most_us = us;
}

int64_t times_share(const struct times *t, double share)
{
    uint64_t seen = 0, wanted = (uint64_t)((double)t->n * share);
    for (size_t i = 0; i < TIMES_CLASSES; i++) {
        seen += t->counts[i];
        if (seen > wanted || (seen > 0 && seen == t->n))
            return end_of(i) < t->most_us ? end_of(i) : t->most_us;
    }
    return 0;
}
