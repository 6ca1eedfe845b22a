/* Replica migration: a master that lost all its replicas gets one of those of the master that has most. */
#include "noded/cluster/state.h"

#define LOOK_US INT64_C(1000000)
#define ORPHAN_US INT64_C(5000000)

static bool orphaned(const struct cl_core *c, const struct cl_node *n)
{
    return cl_votes_here(n) && !cl_has(n, CL_FAILED | CL_PFAIL) && n->had_replicas && cl_replicas_of(c, n, true) == 0;
}

/* The one that has been an orphan for long enough; NULL: none. */
static struct cl_node *orphan_find(struct cl_core *c)
{
    struct cl_node *n, *found = NULL;
    c->migrate_version = c->version;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (!orphaned(c, n)) {
            n->orphaned_us = 0;
            continue;
        }
        if (n->orphaned_us == 0)
            n->orphaned_us = c->now_us;
        c->migrate_version = c->version - 1;
        bool long_ago = c->now_us - n->orphaned_us >= ORPHAN_US;
        if (long_ago && (found == NULL || cl_id_cmp(&n->id, &found->id) < 0))
            found = n;
    }
    return found;
}

/* Every replica comes to the same one: the smallest id among those of the masters with most replicas that work. */
static const struct cl_node *mover(const struct cl_core *c)
{
    struct cl_node *n;
    const struct cl_node *best = NULL;
    int most = 0;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (!cl_has(n, CL_REPLICA) || n->master == NULL || cl_has(n, CL_FAILED | CL_PFAIL) ||
            cl_has(n->master, CL_FAILED))
            continue;
        int count = cl_replicas_of(c, n->master, true);
        if (count > most || (count == most && best != NULL && cl_id_cmp(&n->id, &best->id) < 0)) {
            most = count;
            best = n;
        }
    }
    return best;
}

void cl_migration_run(struct cl_core *c)
{
    struct cl_node *me = c->me;
    bool may = cl_has(me, CL_REPLICA) && me->master != NULL && c->set.allow_migration && c->ok &&
               !cl_has_supervisors(c);
    if (!may) {
        c->migrate_us = HEAP_NEVER;
        return;
    }
    if (c->migrate_us == HEAP_NEVER)
        c->migrate_us = c->now_us + LOOK_US;
    if (c->now_us < c->migrate_us)
        return;
    c->migrate_us = c->now_us + LOOK_US;
    /* Nothing has changed, and nobody waits for its time as an orphan: nobody is one. */
    if (c->migrate_version == c->version)
        return;
    struct cl_node *to = orphan_find(c);
    if (to == NULL || to == me->master || cl_replicas_of(c, me->master, true) <= c->set.migration_barrier)
        return;
    if (mover(c) != me)
        return;
    CL_LOG(c, NOTICE, "Moving to %s:%u, which has lost its replicas", to->ip, (unsigned)to->port);
    cl_follow(c, to);
}
