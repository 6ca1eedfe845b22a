/* The doors between the files of the faults: fault.c draws, ends and heals; fault_operator.c has what operators do. */
#ifndef SIM_FAULT_INNER_H
#define SIM_FAULT_INNER_H

#include "tests/sim/world.h"

#define ACTIVE_MAX 40

struct fault {
    struct happening over; /* first */
    bool active;
    enum fault_kind kind;
    int who; /* supervisor or node */
    int group;
    uint64_t from, to; /* ends that are cut from each other, bits */
    bool both_ways;
};

struct faults {
    struct happening next; /* first */
    struct fault active[ACTIVE_MAX];
    int64_t last_us;           /* when something was last wrong that has ended */
    int64_t together_until_us; /* until then nothing parts the supervisors from each other */
    bool ended;
    bool any;
};

struct fault *fault_new(struct world *w, enum fault_kind kind); /* NULL: too much is wrong already */
void fault_until(struct world *w, struct fault *f, int64_t at_us);
/* The kinds of faults of one process exclude each other: what is dead can't be stopped. */
bool fault_taken(const struct world *w, bool super, int who);
bool fault_parts_supervisors(const struct world *w); /* one does, just now */
int64_t fault_lasts(struct world *w);                /* some time */

/* fault_operator.c */
void fault_of_operator(struct world *w, enum fault_kind kind);
void fault_veto_over(struct world *w, const struct fault *f);

#endif
