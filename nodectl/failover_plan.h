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
    bool by_force;         /* `to` may not know what its master has promised last */
    bool impaired;         /* `to` is chosen only because no other one is better */
    int64_t timeout_ms;    /* after which the supervisor itself gives up */
    const json_t *replica; /* the row of `to`; NULL when there is none */
};

/* The index of the view whose supervisor is to be asked: the one that the group is best told from; for what only
 * sentineld can, the first sentineld that watches it. SIZE_MAX: there is none. ours: as below. */
size_t failover_supervisor(const json_t *views, const bool *ours, const struct failover_wish *wish);

/* The rules of stock on rows of status_merge(): why this replica is not promoted, NULL when nothing is against it;
 * and the best one of a list, or NULL. */
const char *failover_objection(const json_t *replica);
const json_t *failover_preferred(const json_t *replicas);

/* views: of status_collect(). ours: for each view whether it is a sentineld. ranking: of that supervisor
 * (failover_ranking.h); NULL: it has none, so the rules of stock are used on what is known from outside. false: it
 * cannot be done, for the reason appended to `why`. */
bool failover_plan(const json_t *views, const bool *ours, const json_t *document, const struct failover_wish *wish,
                   const json_t *ranking, struct failover_plan *plan, struct buf *why);
void failover_plan_free(struct failover_plan *p);

/* The plan for people, a line each. */
void failover_plan_put(struct buf *out, const json_t *document, const struct failover_wish *wish,
                       const struct failover_plan *plan);

#endif
