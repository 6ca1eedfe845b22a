/* Rule S7: some time after the last fault all nodes and supervisors agree, every shard has a master that takes writes,
 * and every other node follows it. */
#include "noded/cluster/state.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>

static char why[200];

#define MISSING(...)                            \
    do {                                        \
        snprintf(why, sizeof why, __VA_ARGS__); \
        return why;                             \
    } while (0)

const char *not_acquainted(struct world *w)
{
    for (int i = 0; i < w->nnodes; i++)
        for (int k = 0; k < w->nnodes; k++) {
            const struct cl_node *known = cl_node_find(w->nodes[i].core, &w->nodes[k].id);
            if (known == NULL || cl_has(known, CL_HANDSHAKE) || known->link_state == CL_LINK_NONE)
                if (i != k)
                    MISSING("%s does not know %s", end_name(end_of_node(i)), end_name(end_of_node(k)));
        }
    return NULL;
}

static const char *follows(const struct node *n, const struct node *m)
{
    if (cl_is_master(n->core))
        MISSING("%s is a master, beside %s", end_name(n->p.end), end_name(m->p.end));
    if (!cl_id_eq(&n->core->me->master->id, &m->id))
        MISSING("%s does not follow %s", end_name(n->p.end), end_name(m->p.end));
    if (n->data.repl != REPL_UP)
        MISSING("%s has not got the data of its master", end_name(n->p.end));
    if (!cl_state_known(n->core))
        MISSING("%s may not be promoted", end_name(n->p.end));
    return NULL;
}

static const char *shard_differs(struct world *w, int k)
{
    struct node *m = some_master(w, k);
    int slot = w->shards[k].slot;
    if (m == NULL)
        MISSING("shard %d has no master", k + 1);
    if (!node_may_write(w, m, k))
        MISSING("%s, master of shard %d, takes no writes", end_name(m->p.end), k + 1);
    for (int i = 0; i < w->nnodes; i++) {
        const struct node *n = &w->nodes[i];
        if (n->core == NULL)
            continue;
        const struct cl_node *owner = n->core->owner[slot] > 0 ? n->core->nodes[n->core->owner[slot] - 1] : NULL;
        if (owner == NULL || !cl_id_eq(&owner->id, &m->id))
            MISSING("%s holds another than %s for the owner of slot %d", end_name(n->p.end), end_name(m->p.end), slot);
        if (owner->config_epoch != m->core->me->config_epoch)
            MISSING("%s has another config epoch of %s", end_name(n->p.end), end_name(m->p.end));
        const char *missing = n->shard == k && n != m ? follows(n, m) : NULL;
        if (missing != NULL)
            return missing;
    }
    return NULL;
}

static const char *super_differs(struct world *w, const struct super *s)
{
    if (!s->live.joined)
        MISSING("%s takes no part", end_name(s->p.end));
    for (int k = 0; k < w->plan.shards; k++) {
        const struct node *m = some_master(w, k);
        char id[CL_ID_DIGITS + 1];
        if (runid_cmp(s->books[k].lease.grantee, cl_id_text(&m->id, id)) != 0)
            MISSING("%s holds another than %s for the master of shard %d", end_name(s->p.end), end_name(m->p.end),
                    k + 1);
    }
    return NULL;
}

/* Its master has lost its disk, and none of its other nodes knows any more what a master must know: that is for an
 * operator. */
bool shard_is_lost(struct world *w, int k)
{
    for (int i = k; i < w->nnodes; i += w->plan.shards) {
        const struct node *n = &w->nodes[i];
        if (n->core == NULL || n->wiped || swap_untold(w, n))
            continue;
        if (cl_is_master(n->core))
            return false;
        /* What a replica of a replica knows is not what a master knew. */
        const struct node *m = node_of_id(w, &n->core->me->master->id);
        if (m == NULL ? cl_state_known(n->core) : m->core == NULL || cl_is_master(m->core))
            return false;
    }
    return true;
}

const char *not_agreed(struct world *w)
{
    const char *missing = NULL;
    for (int k = 0; k < w->plan.shards && missing == NULL; k++)
        missing = shard_differs(w, k);
    for (int i = 0; i < SUPERS_MAX && missing == NULL; i++)
        if (w->supers[i].p.runs && w->plan.modelled)
            missing = super_differs(w, &w->supers[i]);
    for (int i = 0; i < w->nnodes && missing == NULL; i++)
        if (w->nodes[i].wiped)
            missing = "a node that has lost its disk is not taken in yet";
    return missing != NULL ? missing : moving_unfinished(w);
}

bool counts_newest(const struct world *w, const struct node *n)
{
    char list[SUPER_LIST_MAX];
    struct cl_lease_state l;
    super_list(&w->versions[w->version], list);
    cl_lease_state(n->core, process_clock(w, &n->p), &l);
    return slice_is(cl_lease_list(n->core), list) && (!w->plan.modelled || l.version == w->version);
}

const char *not_supervised(struct world *w)
{
    const char *missing = w->plan.modelled ? NULL : not_agreed(w);
    if (!w->plan.modelled && missing == NULL)
        missing = watchers_differ(w);
    if (missing == NULL)
        missing = swap_unfinished(w);
    if (missing != NULL || !w->plan.leased)
        return missing;
    for (int i = 0; i < w->nnodes; i++) {
        if (w->nodes[i].core != NULL && !counts_newest(w, &w->nodes[i]))
            MISSING("%s counts another list of supervisors than the newest", end_name(end_of_node(i)));
    }
    for (int i = 0; i < SUPERS_MAX; i++)
        if (super_declared(w, &w->supers[i]) && w->supers[i].p.runs && w->supers[i].version != w->version)
            MISSING("%s speaks for another version of the list", end_name(i));
    return not_agreed(w);
}
