/* Rule B4: after the faults end all nodes agree on every slot, on who lives and who follows whom, and no two masters
 * share a config epoch. */
#include "tests/bus/world.h"

#include <stdio.h>
#include <string.h>

static char missing[256];

#define MISSING(...) (snprintf(missing, sizeof missing, __VA_ARGS__), missing)

static bool same_owner(const struct cl_node *a, const struct cl_node *b)
{
    return a == NULL || b == NULL ? a == b : cl_id_eq(&a->id, &b->id);
}

static const char *knows_all(struct world *w, const struct node *n)
{
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *other = &w->nodes[i];
        const struct cl_node *seen = cl_node_find(n->core, &other->id);
        if (other->core == NULL)
            continue;
        if (seen == NULL)
            return MISSING("%s does not know %s", node_name(n->index), node_name(i));
        if (cl_has(seen, CL_HANDSHAKE | CL_NOADDR | CL_PFAIL | CL_FAILED))
            return MISSING("%s holds %s, which lives, for down", node_name(n->index), node_name(i));
        if (seen != n->core->me && seen->link_state != CL_LINK_UP)
            return MISSING("%s has no link to %s", node_name(n->index), node_name(i));
    }
    return NULL;
}

const char *not_acquainted(struct world *w)
{
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *n = &w->nodes[i];
        const char *why = n->core != NULL ? knows_all(w, n) : NULL;
        if (why != NULL)
            return why;
        if (n->core != NULL && n->core->known != (size_t)w->plan.nodes)
            return MISSING("%s knows %zu nodes, not %d", node_name(i), n->core->known, w->plan.nodes);
        for (int k = 0; k < i; k++)
            if (n->core != NULL && w->nodes[k].core != NULL &&
                n->core->me->config_epoch == w->nodes[k].core->me->config_epoch)
                return MISSING("%s and %s have one config epoch", node_name(i), node_name(k));
    }
    return NULL;
}

static const char *same_roles(struct world *w, const struct node *n)
{
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *other = &w->nodes[i];
        if (other->core == NULL)
            continue;
        const struct cl_node *seen = cl_node_find(n->core, &other->id), *is = other->core->me;
        if (((seen->flags ^ is->flags) & (CL_MASTER | CL_REPLICA)) != 0 || !same_owner(seen->master, is->master))
            return MISSING("%s takes %s for another's replica or master than it is", node_name(n->index), node_name(i));
        if (cl_votes_here(is) && seen->config_epoch != is->config_epoch)
            return MISSING("%s takes the config epoch of %s for %llu, and it is %llu", node_name(n->index),
                           node_name(i), (unsigned long long)seen->config_epoch, (unsigned long long)is->config_epoch);
    }
    return NULL;
}

static const char *owner_name(struct world *w, const struct cl_node *owner)
{
    return owner != NULL ? id_name(w, &owner->id) : "nobody";
}

static const char *same_slots(struct world *w, const struct node *n, const struct node *first)
{
    for (int s = 0; s < CL_SLOTS; s++) {
        const struct cl_node *a = cl_owner(n->core, s), *b = cl_owner(first->core, s);
        if (!same_owner(a, b))
            return MISSING("slot %d is of %s (epoch %llu) to %s, and of %s (epoch %llu) to %s", s, owner_name(w, a),
                           (unsigned long long)(a != NULL ? a->config_epoch : 0), node_name(n->index), owner_name(w, b),
                           (unsigned long long)(b != NULL ? b->config_epoch : 0), node_name(first->index));
    }
    return NULL;
}

/* Every slot's owner lives, says so itself, and is a master. */
static const char *owners_live(struct world *w, const struct node *first, bool *covered)
{
    const struct cl_node *last = NULL;
    *covered = true;
    for (int s = 0; s < CL_SLOTS; s++) {
        const struct cl_node *owner = cl_owner(first->core, s);
        *covered = *covered && owner != NULL;
        if (owner == NULL || owner == last)
            continue;
        last = owner;
        const struct node *lives = node_of_id(w, &owner->id);
        if (lives == NULL || lives->core == NULL)
            return MISSING("slot %d is of a node that is down", s);
        if (!cl_is_master(lives->core) || !cl_owns_slot(lives->core, s))
            return MISSING("slot %d is said to be of %s, which does not say so", s, node_name(lives->index));
    }
    return NULL;
}

static const char *epochs_differ(struct world *w)
{
    for (int i = 0; i < w->plan.nodes; i++)
        for (int k = 0; k < i; k++) {
            const struct node *a = &w->nodes[i], *b = &w->nodes[k];
            if (a->core != NULL && b->core != NULL && cl_is_master(a->core) && cl_is_master(b->core) &&
                a->core->me->config_epoch == b->core->me->config_epoch)
                return MISSING("%s and %s are masters with one config epoch, %llu", node_name(i), node_name(k),
                               (unsigned long long)a->core->me->config_epoch);
        }
    return NULL;
}

static const char *data_follows(struct world *w, const struct node *n)
{
    const struct cl_node *master = n->core->me->master;
    const struct node *is = master != NULL ? node_of_id(w, &master->id) : NULL;
    if (cl_is_master(n->core))
        return n->data.master == -1 ? NULL : MISSING("the data of %s, a master, follows somebody", node_name(n->index));
    if (is == NULL || is->core == NULL)
        return MISSING("%s follows a master that is down: %s", node_name(n->index), owner_name(w, master));
    if (n->data.master != is->index || n->data.repl != REPL_UP)
        return MISSING("%s has not the data of %s", node_name(n->index), node_name(is->index));
    if (!cl_is_master(is->core))
        return MISSING("%s follows %s, which is a replica", node_name(n->index), node_name(is->index));
    return NULL;
}

/* Every migration has an end, and nothing is left of those that failed. */
static const char *migrates(const struct node *n)
{
    if (n->core->live_jobs > 0)
        return MISSING("%s has a migration that is not over", node_name(n->index));
    if (n->core->shard.nrecords > 0)
        return MISSING("%s has an open record of a hand-over, in version %llu of its shard's state%s",
                       node_name(n->index), (unsigned long long)n->core->shard.version,
                       cl_is_master(n->core) ? "" : ", of its master");
    for (int i = 0; i < WRITES_WORDS; i++)
        if (n->data.set.shadow[i] != 0)
            return MISSING("%s has imported what nobody sees or deletes", node_name(n->index));
    return NULL;
}

const char *not_agreed(struct world *w)
{
    const struct node *first = NULL;
    const char *why = NULL;
    bool covered = false;
    for (int i = 0; i < w->plan.nodes && why == NULL; i++) {
        const struct node *n = &w->nodes[i];
        if (n->core == NULL)
            continue;
        first = first != NULL ? first : n;
        why = knows_all(w, n);
    }
    for (int i = 0; i < w->plan.nodes && why == NULL; i++) {
        const struct node *n = &w->nodes[i];
        if (n->core == NULL)
            continue;
        why = same_roles(w, n);
        why = why != NULL ? why : same_slots(w, n, first);
        why = why != NULL ? why : data_follows(w, n);
        why = why != NULL ? why : migrates(n);
    }
    if (why == NULL && first != NULL)
        why = owners_live(w, first, &covered);
    why = why != NULL ? why : epochs_differ(w);
    why = why != NULL ? why : swap_unfinished(w);
    if (why == NULL && lease_rules(w))
        why = lease_missing(w);
    for (int i = 0; i < w->plan.nodes && why == NULL; i++) {
        const struct node *n = &w->nodes[i];
        if (n->core != NULL && n->core->owner[0] != 0 && covered && !cl_ok(n->core))
            why = MISSING("all slots are covered and %s does not say that the cluster is ok", node_name(i));
    }
    return why;
}
