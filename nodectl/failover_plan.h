/* `nodectl failover`, first part: what would happen, from the document of status_merge(). */
#ifndef NODECTL_FAILOVER_PLAN_H
#define NODECTL_FAILOVER_PLAN_H

#include "common/base/addr.h"
#include "common/base/bytes.h"

#include <jansson.h>

struct failover_wish {
    const char *group;
    const char *to; /* "host:port" of a replica; NULL: the supervisors choose */
    bool coordinated;
};

struct failover_plan {
    char *from, *to;       /* "host:port"; without a wish `to` is the replica that the rules prefer now */
    char *by;              /* the supervisor that is asked */
    bool by_ours;          /* a sentineld; false: redis-sentinel */
    int64_t timeout_ms;    /* after which the supervisor itself gives up */
    const json_t *replica; /* the row of `to`; NULL when there is none */
};

/* views: of status_collect(). ours: for each view whether it is a sentineld. false: it cannot be done, for the reason
 * appended to `why`. */
bool failover_plan(const json_t *views, const bool *ours, const json_t *document, const struct failover_wish *wish,
                   struct failover_plan *plan, struct buf *why);
void failover_plan_free(struct failover_plan *p);

/* The plan for people, a line each; with what they should know before they say yes. */
void failover_plan_put(struct buf *out, const json_t *document, const struct failover_wish *wish,
                       const struct failover_plan *plan);

#endif
