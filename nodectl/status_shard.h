/* What stands between a shard and writes, now and when its master dies: its lease, and who could be promoted. From the
 * views of status_collect(). */
#ifndef NODECTL_STATUS_SHARD_H
#define NODECTL_STATUS_SHARD_H

#include "common/base/bytes.h"

#include <jansson.h>
#include <stdbool.h>

enum status_lease {
    LEASE_UNUSED, /* it takes writes without one */
    LEASE_NONE,   /* it needs one, and most who tell of it say that it has none; or nobody has a word of it */
    LEASE_HELD
};
enum status_lease status_lease(const json_t *views, const char *group);

/* Why the supervisors would not promote this replica (a map of group's `replicas`) by themselves, as their ranking says
 * it; of redis-sentinel, which tells none, by its rules. NULL: nothing is known to be against it. */
const char *status_against(const json_t *group, const json_t *replica);

/* The group has replicas, and none of them would be promoted: each one with its reason is appended to why. */
bool status_nobody(const json_t *group, struct buf *why);

#endif
