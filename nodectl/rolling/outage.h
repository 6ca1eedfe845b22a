/* How long clients of one shard wait while it is worked on: a canary writes all the time. */
#ifndef NODECTL_ROLLING_OUTAGE_H
#define NODECTL_ROLLING_OUTAGE_H

#include "nodectl/drill/canary.h"
#include "nodectl/node/work.h"

struct outage {
    struct canary_setup setup;
    struct canaries *canaries; /* NULL: it is not measured */
    struct addr *nodes;        /* owned */
    char tag[12], id[32];
};

/* Begins to write to the shard of this master, and waits for the first acknowledgement. false: why has the reason. */
bool outage_begin(struct outage *o, struct node_work *w, const struct picture_node *master, struct buf *why);
/* Ends it. The longest time without an acknowledged write, in milliseconds. */
int64_t outage_end(struct outage *o);

#endif
