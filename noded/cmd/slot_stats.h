/* What slots cost: counted while their commands run, told by CLUSTER SLOT-STATS. One count for a slot, of all
 * databases. It begins when the slot comes to this node's shard, and with CONFIG RESETSTAT. */
#ifndef CMD_SLOT_STATS_H
#define CMD_SLOT_STATS_H

#include "noded/cluster/id.h"
#include "noded/cmd/call.h"

struct nd_cluster;

struct nd_slot_count {
    uint64_t usec;          /* of commands of clients; of a transaction those of what it runs */
    uint64_t input, output; /* bytes of their requests, as arrays of bulk strings, and of their answers */
};

struct nd_slot_stats {
    uint8_t shard[CL_SLOT_BYTES]; /* slots of this node's shard, when it was last looked at */
    struct nd_slot_count of[CL_SLOTS];
};

/* A command has run whose keys are all in c->slot; `output`: the length of its answer. */
void nd_slot_stats_count(struct nd_call *c, int64_t usec, size_t output);
/* The cluster is another one than before: slots that have come begin anew. */
void nd_slot_stats_look(struct nd_cluster *cl);
void nd_slot_stats_reset(struct nd_cluster *cl);

nd_command_fn nd_cluster_slot_stats;

#endif
