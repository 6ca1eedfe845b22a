/* What slots take of their masters, where these tell it (CLUSTER SLOT-STATS: noded, valkey from 8 on, redis from 8.2
 * on). Memory is an estimate: the node looks at some keys of each slot. The rest is counted since the slot came to the
 * shard, and only while cluster-slot-stats-enabled is on. */
#ifndef NODECTL_SLOTS_LOAD_H
#define NODECTL_SLOTS_LOAD_H

#include "nodectl/cluster/picture.h"
#include "nodectl/slots/set.h"

enum load_figure { LOAD_MEMORY, LOAD_CPU_US, LOAD_IN, LOAD_OUT, LOAD_FIGURES };

struct slot_loads {
    runid id;                                /* in: the node */
    struct slot_set of;                      /* in: which slots are asked about */
    bool told[LOAD_FIGURES];                 /* out: it tells this one */
    int64_t figures[LOAD_FIGURES][SN_SLOTS]; /* out: bytes, microseconds, bytes, bytes */
};

/* On the heap; the caller frees. */
struct slot_loads *loads_new(size_t n);
/* Asks all of these nodes side by side, in pieces, so that none is kept busy for long. One that does not know the
 * command has told nothing. false: one does not answer, and the reason is appended to why. */
bool loads_ask(struct picture *p, struct slot_loads *loads, size_t n, struct buf *why);
/* Of all slots that were asked about. */
int64_t loads_sum(const struct slot_loads *l, enum load_figure figure);
/* What was counted between two questions: `later` becomes that. */
void loads_since(struct slot_loads *later, const struct slot_loads *earlier, size_t n);

#endif
