/* Where a replica is wanted most. Pure: a picture is all that it looks at. */
#ifndef NODECTL_NODE_PLACEMENT_H
#define NODECTL_NODE_PLACEMENT_H

#include "nodectl/cluster/picture.h"

/* The master with slots that has the fewest replicas; of several the one of whose shard no node is on the host of the
 * newcomer, then the one with the most slots, then the first. `leaving` (or NULL) is on its way out: it is not chosen,
 * and does not count as a replica. NULL: there is no such master. */
const struct picture_node *placement_master(const struct picture *p, const struct addr *newcomer,
                                            const struct picture_node *leaving);

/* The replicas of a master, `leaving` (or NULL) not counted. */
size_t placement_replicas(const struct picture *p, const struct picture_node *master,
                          const struct picture_node *leaving);

#endif
