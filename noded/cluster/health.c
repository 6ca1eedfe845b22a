/* Whether the cluster takes requests, as far as this node can see. */
#include "noded/cluster/state.h"

#include <string.h>

#define MS INT64_C(1000)
#define RESTART_US (2000 * MS) /* a master that was restarted waits so long: it may have been replaced meanwhile */

static int64_t rejoin_us(const struct cl_core *c)
{
    int64_t us = cl_timeout_us(c);
    us = us < 500 * MS ? 500 * MS : us > 5000 * MS ? 5000 * MS : us;
    return PLANTED(8, us, 0);
}

static const char *why_not(struct cl_core *c)
{
    int size = 0, reachable = 0;
    bool failed = false;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (!cl_votes_here(n))
            continue;
        size++;
        reachable += cl_has(n, CL_FAILED | CL_PFAIL) ? 0 : 1;
        failed = failed || cl_has(n, CL_FAILED);
    }
    c->size = size;
    /* Where nobody has a slot there is nothing that could have changed hands. */
    bool minority = size > 0 && reachable < size / 2 + 1;
    if (c->in_minority && !minority)
        c->minority_us = c->now_us;
    c->in_minority = minority;
    if (reachable < size / 2 + 1)
        return "a majority of the masters is out of reach";
    if (c->set.full_coverage && (failed || c->assigned < CL_SLOTS))
        return failed ? "slots of a failed master are not served" : "not all slots are assigned";
    return NULL;
}

/* When a master may be ok again; now or before: at once. */
static int64_t ok_from(const struct cl_core *c)
{
    int64_t at = c->now_us;
    if (!cl_has(c->me, CL_MASTER))
        return at;
    if (c->restarted && c->start_us + RESTART_US > at)
        at = c->start_us + RESTART_US;
    if (c->minority_us != 0 && c->minority_us + rejoin_us(c) > at)
        at = c->minority_us + rejoin_us(c);
    return at;
}

bool cl_is_informed(const struct cl_core *c)
{
    bool was_away = c->late_us != c->start_us && c->now_us - c->late_us < rejoin_us(c);
    return !c->in_minority && !was_away && ok_from(c) <= c->now_us;
}

bool cl_is_sure(const struct cl_core *c)
{
    return cl_is_informed(c) && cl_leased(c);
}

void cl_health_run(struct cl_core *c)
{
    if (!c->looks && c->now_us < c->state_us)
        return;
    c->looks = false;
    c->state_us = HEAP_NEVER;
    const char *why = why_not(c);
    if (cl_fenced(c))
        why = NULL; /* leases alone decide (SAFETY L5) */
    else if (why == NULL && !c->ok && ok_from(c) > c->now_us) {
        c->state_us = ok_from(c);
        why = "it has just come back";
    }
    c->why_not = why;
    if ((why == NULL) == c->ok)
        return;
    c->ok = why == NULL;
    c->version++;
    struct cl_effect *e = cl_effect_add(c->fx, CL_FX_STATE);
    e->ok = c->ok;
    e->bytes = cl_bytes_new(slice_of(why));
    CL_LOG(c, NOTICE, "Cluster state changed: %s", c->ok ? "ok" : "fail");
}
