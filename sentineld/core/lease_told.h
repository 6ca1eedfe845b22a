/* What a noded tells of itself in its answer to CLUSTER LEASE, as far as the core decides by it. */
#ifndef CORE_LEASE_TOLD_H
#define CORE_LEASE_TOLD_H

#define SN_GRANT_TEXT 96 /* bytes of a grant as text, with its terminator: see shell/wire_lease.h */

#include "common/base/runid.h"
#include "sentineld/core/info.h"

struct sn_lease_told {
    runid node, shard, master; /* ids; "" none. master: of a replica */
    enum sn_role role;
    uint64_t config_epoch, current_epoch, mapping_epoch; /* config_epoch: of a replica that of its master */
    int64_t slots;
    bool link_up;    /* of a replica: it has its master's data and follows */
    int64_t link_ms; /* of a replica: for how long that has been so */
    runid replid;
    int64_t offset, priority, keys; /* keys: over all databases */
    bool loading;
    uint64_t generation;    /* 0: it is not supervised */
    uint64_t version;       /* of the list of supervisors that it counts */
    int64_t lease_ms;       /* left; 0 none; -1: not supervised, nothing limits it */
    int64_t grants;         /* that it holds */
    bool state_known;       /* a replica: nothing of its shard's state is missing, so it may be promoted (SAFETY H2) */
    int64_t migrating;      /* migrations that it is an end of */
    uint64_t view;          /* digest of its CLUSTER NODES (common/base/view.h); 0: it tells none */
    uint64_t wants_epoch;   /* the lowest config epoch that it needs, which a ballot is to give it; 0: none */
    uint64_t swap_prepared; /* it waits for the end of the swap to this mapping; 0: of none */
    uint64_t swap_ballot;   /* the newest attempt that it has heard of: that one, or one that is over */
    uint64_t swap_request;  /* a client of it wants one, and nobody has taken that up; 0: none does */
    int64_t swap_a, swap_b; /* which */
    uint64_t swap_waits;    /* a client waits until that mapping is everywhere; 0: none does */
    uint64_t incarnation;   /* its stamp; never 0 */
    int64_t clock_us;
};

#endif
