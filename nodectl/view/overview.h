/* What all supervisors see together, asked and merged: what `status`, `topology`, `watch` and the shard family show. */
#ifndef NODECTL_VIEW_OVERVIEW_H
#define NODECTL_VIEW_OVERVIEW_H

#include "nodectl/asking.h"

#include <jansson.h>

struct overview {
    struct fleet fleet;       /* the connections to the supervisors */
    json_t *views, *document; /* of status_collect() and status_merge() */
};

/* groups: only these; none: all, or those of the fleet that --fleet names, where it is a cluster. overview_free() in
 * any case. */
void overview_take(struct overview *l, const struct asking *a, const char *const *groups, size_t ngroups);
void overview_free(struct overview *l);
bool overview_nobody(const struct overview *l); /* no supervisor answers */

/* Names as the operator may write them: of a group, or of a shard without its cluster ("1a2b3c4d"), where one group
 * ends so, or "host:port" of any node of it. NULL: there is none, or there are several; the reason is appended to why. */
const json_t *overview_group(const struct overview *l, const char *name, struct buf *why);

#endif
