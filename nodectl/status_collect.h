/* `nodectl status`, first part: asks the supervisors, and the ones that they name, what they see. Only public
 * Sentinel commands are used, so that redis-sentinel answers as well as sentineld. */
#ifndef NODECTL_STATUS_COLLECT_H
#define NODECTL_STATUS_COLLECT_H

#include "nodectl/fleet.h"

#include <jansson.h>

struct status_query {
    const char *user, *password; /* "" for none */
    const char *const *groups;   /* only these, and the shards of clusters of these names; none: all */
    size_t ngroups;
};

/* The views: an array with one object for each supervisor, in the order in which they were named or found:
 *   address, given (bool), error (text or null), id,
 *   groups: { name: { master: {...}, replicas: [{...}], supervisors: [{...}], address, quorum_reply, quorum_ok (bool),
 *                     info: { age_ms, offset, ops_per_s, used_memory, supervised (number or null),
 *                             replicas: [{ address, offset, lag_s, online }] },
 *                     ranking: [{...}], of a sentineld } }
 *   clusters: [{...}], of those that know any
 *   told: { cluster: { shards: [{...}], databases: [{...}] } }, at the cluster's teller only
 * Maps in it are as the supervisor gave them, all values text. `info` is the master's INFO; it and `ranking` (SENTINEL
 * RANKING) are only at the group's reporter. A supervisor that was reached twice, by two names, is there once. */
json_t *status_collect(struct fleet *f, const struct status_query *q);

/* The index of the view that a group is best told from: the newest configuration, then a good link to the master.
 * SIZE_MAX: nobody watches the group. */
size_t status_reporter(const json_t *views, const char *group);
/* The index of the view that a cluster is best told from: the highest epoch. SIZE_MAX: nobody watches it. */
size_t status_teller(const json_t *views, const char *cluster);
/* Forgets the groups that are no shards of this cluster. */
void status_narrow(json_t *views, const char *cluster);
/* The row of a group among the shards of its cluster (SENTINEL CLUSTER); NULL: it is no shard, or none told it. */
const json_t *status_shard(const json_t *views, const char *group);
/* What the view at this index says of the group, or NULL. */
json_t *status_group(const json_t *views, size_t view, const char *group);

#endif
