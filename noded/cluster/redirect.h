/* Whether a request is for this node, and what to answer when it is not (reference: cluster-bus, section 3). */
#ifndef CLUSTER_REDIRECT_H
#define CLUSTER_REDIRECT_H

#include "noded/cluster/describe.h"
#include "noded/cluster/handover.h"

enum cl_verdict {
    CL_HERE,
    CL_MOVED,
    CL_ASK,
    CL_TRYAGAIN,
    CL_CROSSSLOT,
    CL_UNBOUND,         /* nobody has the slot */
    CL_DOWN,            /* the cluster's state is fail */
    CL_DOWN_READS_ONLY, /* the same, and reads are allowed */
    CL_WAIT,            /* a write: soon it is known to whom the slot belongs, or on disk that it is ours. No answer. */
    CL_HELD             /* the same, and nobody knows for how long */
};

#define CL_NO_KEYS (-1)
#define CL_MANY_SLOTS (-2)

/* A request (of a transaction: all of its commands together). */
struct cl_request {
    int slot;               /* of its keys, or of its shard channels; CL_NO_KEYS, CL_MANY_SLOTS */
    size_t keys;            /* how many; the same key counts each time */
    bool write;             /* some command of it writes (EXEC: any of the queued) */
    bool changes;           /* it writes, or may, and now: not one that is only queued */
    bool asking;            /* the client said ASKING just before, or it is RESTORE-ASKING */
    bool readonly;          /* the client said READONLY */
    bool migrate;           /* MIGRATE: runs where a slot is open */
    bool between_databases; /* MOVE, or COPY into another database: not while the slot is open */
    bool shard_channels;    /* SSUBSCRIBE, SUNSUBSCRIBE, SPUBLISH: no keys, so none is missing */
    /* Keys of the request that are not there, in the databases that it reads them from; asked only when the slot is
     * open. */
    size_t (*missing)(void *owner);
    void *owner;
};

/* *to (may be NULL) is set with MOVED and ASK. */
enum cl_verdict cl_redirect(const struct cl_core *c, const struct cl_request *r, struct cl_member *to);

/* Slots whose requests are HERE whatever else is true of them: this node's, not open, not held, and all is well. The
 * bitmap is good until the next step. */
void cl_plain_slots(const struct cl_core *c, uint8_t out[CL_SLOT_BYTES]);

/* Slots of this node that are held (handover.h), by what their writes have to do. Both are cleared first. */
struct cl_held_slots {
    uint8_t waiting[CL_SLOT_BYTES], refused[CL_SLOT_BYTES];
};
void cl_held_slots(const struct cl_core *c, struct cl_held_slots *out);

/* The error of a verdict that is neither HERE nor WAIT, with its code, without '-' and line end. */
void cl_verdict_text(const struct cl_core *c, enum cl_verdict v, int slot, const struct cl_member *to, struct buf *out);

/* A client that was let in while the slot was here, and waits (BLPOP): whether it is to be told that this is over. */
bool cl_still_here(const struct cl_core *c, const struct cl_request *r);

#endif
