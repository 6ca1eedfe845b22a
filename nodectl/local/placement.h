/* Which node of a new fleet is of which shard, so that no zone has two nodes of one shard, and masters and replicas are
 * spread evenly. A host without a zone is a zone of its own. Pure. */
#ifndef NODECTL_LOCAL_PLACEMENT_H
#define NODECTL_LOCAL_PLACEMENT_H

#include "common/base/bytes.h"

struct placement_host {
    const char *name;
    const char *zone; /* "": it is one by itself */
};

struct placement_node {
    size_t host;  /* which of the hosts it is on; given */
    size_t shard; /* from 0 */
    bool master;
};

/* How many of the shards * (1 + replicas) nodes each host gets, in counts[nhosts]. false: it cannot be done; the reason
 * is appended to why. One host alone takes everything. */
bool placement_count(const struct placement_host *hosts, size_t nhosts, size_t shards, size_t replicas, size_t *counts,
                     struct buf *why);
/* Deals the nodes, whose hosts are known, out to the shards: as many to each, n a multiple of shards. false: some zone
 * has more nodes than there are shards; the reason is appended to why. */
bool placement_deal(const struct placement_host *hosts, size_t nhosts, struct placement_node *nodes, size_t n,
                    size_t shards, struct buf *why);
/* The host of each of n supervisors, in places[n]: over as many zones as there are, so that one that is lost takes the
 * fewest with it. */
void placement_supervisors(const struct placement_host *hosts, size_t nhosts, size_t *places, size_t n);

#endif
