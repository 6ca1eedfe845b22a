/* Virtual time: what simulated worlds stand on. A timeline is a heap of things that will happen, in microseconds of the
 * world; each process has a clock of its own, which runs too fast or too slow by a rate and leaps forward when its
 * machine was suspended. Nothing here reads a clock or a random source. */
#ifndef VIRTUAL_TIME_H
#define VIRTUAL_TIME_H

#include <stdbool.h>

#include "common/base/heap.h"

#define MS(ms) ((int64_t)(ms)*1000)
#define SECONDS(s) ((int64_t)(s)*1000000)

struct world; /* of whoever simulates */

/* Something that will happen. It is the first member of what it belongs to. */
struct happening {
    struct heap_node at; /* first */
    void (*fire)(struct world *w, struct happening *h);
    struct happening *next; /* in the inbox of a stopped process */
    int who;                /* whom it belongs to, where that is not clear from where it lies */
};

/* What has reached a process that does not run. */
struct inbox {
    struct happening *first, **last;
};

struct timeline {
    struct heap heap;
    int64_t now_us;
    uint64_t happenings;
};

void happen(struct timeline *t, struct happening *h, int64_t at_us, void (*fire)(struct world *, struct happening *));
void happen_not(struct timeline *t, struct happening *h);
/* The next thing up to that time, taken out, with the time set to it. NULL: there is none; the time is until_us. */
struct happening *timeline_next(struct timeline *t, int64_t until_us);
void timeline_free(struct timeline *t);

void inbox_put(struct inbox *b, struct happening *h);
/* Fires all that has gathered. What is put in meanwhile (the process was stopped again) stays. */
void inbox_deliver(struct world *w, struct inbox *b);

struct local_clock {
    int64_t local_us, world_us; /* both at the last change of rate */
    int64_t rate_ppm;
};

int64_t clock_local(const struct local_clock *c, int64_t world_us);
/* The first time of the world at which the clock shows that time or a later one. */
int64_t clock_world(const struct local_clock *c, int64_t local_us);
void clock_drift(struct local_clock *c, int64_t world_us, int64_t rate_ppm);
void clock_leap(struct local_clock *c, int64_t world_us, int64_t by_us);

#endif
