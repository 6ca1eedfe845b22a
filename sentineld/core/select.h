/* Which replica is promoted: reference section 6. The ranking is kept with its reasons, so that it can be explained. */
#ifndef CORE_SELECT_H
#define CORE_SELECT_H

#include "sentineld/core/state.h"

enum sn_reject {
    SN_SUITABLE,
    SN_REJECT_S_DOWN,
    SN_REJECT_DISCONNECTED,
    SN_REJECT_SILENT,     /* last valid ping older than 5 s */
    SN_REJECT_PRIORITY,   /* priority 0 */
    SN_REJECT_INFO,       /* INFO too old, or never came */
    SN_REJECT_LINK_DOWN,  /* cut off from the master for too long */
    SN_REJECT_NOT_WANTED, /* the operator named another */
    SN_REJECT_STRANGER,   /* in a cluster: another node sits at its address */
    SN_REJECT_MAPPING,    /* under leases: it would never be brought to the mapping of databases (SAFETY W1) */
    SN_REJECT_STATE, /* under leases: it does not know all that its master has promised (SAFETY H2). An operator's order
                        promotes it all the same, when the master is down. */
};

struct sn_candidate {
    struct sn_inst *inst;
    enum sn_reject reject;
    bool impaired; /* loading, synchronising, empty while another is not, or cut off from a living master, or it refused
                      lately: last */
    int64_t offset; /* in the group's line of data */
    bool related;   /* holds the group's line of data: offsets can be compared */
};

/* All replicas, suitable ones first in the order of preference. The caller frees the array. */
struct sn_candidate *sn_rank(const struct sn_group *g, const struct addr *wanted, size_t *count);
const char *sn_reject_name(enum sn_reject r);
/* The master is down for all, and of its replicas none is left but such as an operator's order alone promotes. */
bool sn_needs_operator(const struct sn_group *g);

#endif
