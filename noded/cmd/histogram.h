/* How long something took, counted in buckets whose width grows with the value: 128 buckets for each power of two, so
 * that a value read back is at most 1/128 away from what was noted. Durations of up to a second, in nanoseconds; what
 * took longer counts as a second. The rows of buckets are made when they are first used: a command whose runs take
 * about the same time has one or two of them (1 KiB each). */
#ifndef CMD_HISTOGRAM_H
#define CMD_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ND_HISTOGRAM_MAX_NS 1000000000
#define ND_HISTOGRAM_ROWS 24     /* powers of two up to 2^30; all below 128 are in the first */
#define ND_HISTOGRAM_COLUMNS 128 /* to each */

struct nd_histogram {
    uint64_t total;
    uint64_t *rows[ND_HISTOGRAM_ROWS]; /* NULL: nothing noted there */
};

struct nd_histogram *nd_histogram_new(void);
void nd_histogram_free(struct nd_histogram *h); /* NULL is fine */

struct nd_histogram_bucket {
    unsigned row, column;
};
/* Row r > 0 has the values of 2^(6+r) up to twice that, in buckets of 2^(r-1). */
static inline struct nd_histogram_bucket nd_histogram_bucket(uint64_t ns)
{
    if (ns < ND_HISTOGRAM_COLUMNS)
        return (struct nd_histogram_bucket){0, (unsigned)ns};
    unsigned row = 63 - 6 - (unsigned)__builtin_clzll(ns);
    return (struct nd_histogram_bucket){row, (unsigned)(ns >> (row - 1)) - ND_HISTOGRAM_COLUMNS};
}

void nd_histogram_add_row(struct nd_histogram *h, unsigned row);
/* ns: 0 counts as 1. */
static inline void nd_histogram_note(struct nd_histogram *h, uint64_t ns)
{
    ns += ns == 0;
    struct nd_histogram_bucket b = nd_histogram_bucket(ns < ND_HISTOGRAM_MAX_NS ? ns : ND_HISTOGRAM_MAX_NS);
    if (__builtin_expect(h->rows[b.row] == NULL, 0))
        nd_histogram_add_row(h, b.row);
    h->rows[b.row][b.column]++;
    h->total++;
}
/* The duration that `percent` (0-100) of all that was noted did not pass, as the end of its bucket (of 0 percent: as
 * its beginning), in ns; 0 when nothing was noted. */
uint64_t nd_histogram_percentile(const struct nd_histogram *h, double percent);

/* The levels of LATENCY HISTOGRAM: powers of two, each up to the end of the bucket that begins there. */
struct nd_histogram_level {
    unsigned number;
    uint64_t up_to_ns, count; /* how many took at most so long */
};
/* The next level above which there is more than at the one before. Begin with zeros; false: there is none. */
bool nd_histogram_next(const struct nd_histogram *h, struct nd_histogram_level *at);

#endif
