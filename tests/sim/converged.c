/* Rule S7: after the faults end all supervisors agree, every server that lives follows, and nobody is held for down who
 * is not. */
#include "tests/sim/world.h"

#include <stdio.h>

static char missing[256];

#define MISSING(...) (snprintf(missing, sizeof missing, __VA_ARGS__), missing)

bool all_acquainted(struct world *w)
{
    for (int i = 0; i < w->plan.supers; i++) {
        const struct super *s = &w->supers[i];
        if (s->core == NULL)
            return false;
        for (int k = 0; k < w->plan.groups; k++) {
            const struct group *set = &w->groups[k];
            const struct sn_group *g = sn_group_find(s->core, slice_of(set->name));
            const struct disk_group *d = &s->disk.groups[k];
            if (g == NULL || (int)g->nseats + 1 != w->plan.supers || sn_usable_voters(g) != w->plan.supers ||
                g->ninsts != (size_t)set->count)
                return false;
            /* Known is what would be known after a crash too. */
            if ((int)d->npeers != w->plan.supers - 1 || (int)d->nreplicas != set->count - 1 || !s->disk.joined)
                return false;
            for (size_t n = 0; n < g->ninsts; n++)
                if (g->insts[n]->node->info_us == 0 || g->insts[n]->s_down)
                    return false;
        }
    }
    return true;
}

struct node *true_master(struct world *w, int group)
{
    const struct group *set = &w->groups[group];
    int best = -1, most = 0;
    uint64_t best_epoch = 0;
    for (int i = set->first; i < set->first + set->count; i++) {
        int votes = 0;
        uint64_t epoch = 0;
        for (int k = 0; k < w->plan.supers; k++) {
            const struct sn_group *g = w->supers[k].core != NULL ? sn_group_find(w->supers[k].core, slice_of(set->name))
                                                                 : NULL;
            if (g == NULL || !addr_eq(&g->master->node->addr, &w->nodes[i].addr))
                continue;
            votes++;
            if (g->config_epoch > epoch)
                epoch = g->config_epoch;
        }
        if (votes > 0 && (best < 0 || epoch > best_epoch || (epoch == best_epoch && votes > most))) {
            best = i;
            most = votes;
            best_epoch = epoch;
        }
    }
    return best >= 0 ? &w->nodes[best] : &w->nodes[set->first];
}

/* SENTINEL RESET forgets a replica that the master does not know: nobody leads that one back. */
bool node_forgotten(struct world *w, const struct node *n)
{
    for (int i = 0; i < w->plan.supers && w->forgets; i++) {
        const struct sn_group *g = w->supers[i].core != NULL
                                       ? sn_group_find(w->supers[i].core, slice_of(w->groups[n->group].name))
                                       : NULL;
        for (size_t k = 0; g != NULL && k < g->ninsts; k++)
            if (addr_eq(&g->insts[k]->node->addr, &n->addr))
                return false;
    }
    return w->forgets;
}

static const char *servers_follow(struct world *w, int group, const struct node *m)
{
    const struct group *set = &w->groups[group];
    const char *name = end_name(w, end_of_node(m->index));
    if (!m->up || node_loading(w, m))
        return MISSING("%s is the master of %s, and is not running", name, set->name);
    if (m->master >= 0)
        return MISSING("%s is the master of %s by configuration, a replica in truth", name, set->name);
    for (int i = set->first; i < set->first + set->count; i++) {
        const struct node *n = &w->nodes[i];
        if (!n->up || n == m || node_forgotten(w, n))
            continue;
        if (n->master < 0)
            return MISSING("%s is a second master of %s", end_name(w, end_of_node(i)), set->name);
        if (n->master != m->index)
            return MISSING("%s of %s follows the wrong master", end_name(w, end_of_node(i)), set->name);
        if (n->repl != REPL_UP)
            return MISSING("%s of %s is not in step with its master", end_name(w, end_of_node(i)), set->name);
    }
    return NULL;
}

static const char *supervisor_agrees(struct world *w, const struct super *s, int group, const struct node *m,
                                     uint64_t epoch)
{
    const struct group *set = &w->groups[group];
    const struct sn_group *g = sn_group_find(s->core, slice_of(set->name));
    const char *who = end_name(w, s->index);
    if (g == NULL)
        return MISSING("%s has lost %s", who, set->name);
    if (!addr_eq(&g->master->node->addr, &m->addr))
        return MISSING("%s holds another master of %s", who, set->name);
    if (g->config_epoch != epoch)
        return MISSING("%s has config epoch %llu of %s, others %llu", who, (unsigned long long)g->config_epoch,
                       set->name, (unsigned long long)epoch);
    if (g->fo.state != SN_FO_NONE)
        return MISSING("%s is still in a failover of %s: %s", who, set->name, sn_fo_state_name(g->fo.state));
    if (g->o_down)
        return MISSING("%s holds the master of %s for objectively down", who, set->name);
    for (size_t i = 0; i < g->ninsts; i++) {
        const struct node *n = node_at(w, &g->insts[i]->node->addr);
        if (n != NULL && n->up && g->insts[i]->s_down)
            return MISSING("%s holds %s for down, which lives", who, end_name(w, end_of_node(n->index)));
    }
    if (sn_usable_voters(g) != w->plan.supers)
        return MISSING("%s reaches %d of %d supervisors", who, sn_usable_voters(g), w->plan.supers);
    return NULL;
}

const char *not_converged(struct world *w)
{
    for (int k = 0; k < w->plan.groups; k++) {
        const struct node *m = true_master(w, k);
        const struct sn_group *first = w->supers[0].core != NULL
                                           ? sn_group_find(w->supers[0].core, slice_of(w->groups[k].name))
                                           : NULL;
        for (int i = 0; i < w->plan.supers; i++) {
            if (w->supers[i].core == NULL || w->supers[i].stopped)
                return MISSING("%s is not running", end_name(w, i));
            const char *why = supervisor_agrees(w, &w->supers[i], k, m, first->config_epoch);
            if (why != NULL)
                return why;
        }
        const char *why = servers_follow(w, k, m);
        if (why != NULL)
            return why;
    }
    return NULL;
}
