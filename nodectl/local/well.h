/* Whether a supervised cluster is well: all of its supervisors watch it and agree, every slot is covered, every master
 * has its lease and every replica its master's data and, under leases, its master's word that it may be promoted. */
#ifndef NODECTL_LOCAL_WELL_H
#define NODECTL_LOCAL_WELL_H

#include "nodectl/asking.h"

struct well_wish {
    const char *cluster;
    size_t supervisors;   /* that must watch it: all of them */
    size_t shards, nodes; /* that it must have; 0: as many as they say */
    bool leases;          /* its nodes are noded, so there must be leases */
};

/* Asks the supervisors of asking->targets until all is well, limit_ms are over, or Ctrl-C is pressed. false: it is not,
 * and what is missing still is appended to why, a line each. */
bool well_wait(const struct asking *a, const struct well_wish *wish, int limit_ms, struct buf *why);

#endif
