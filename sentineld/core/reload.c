#include "sentineld/core/reload.h"

#include <stdio.h>

#include "sentineld/core/fleet_inner.h"

void sn_reload_free(struct sn_reload *r)
{
    if (!r)
        return;
    for (size_t k = 0; k < r->nadd; k++) {
        free(r->add[k].name);
        sn_settings_free(&r->add[k].settings);
        free(r->add[k].replicas);
        free(r->add[k].peers);
    }
    for (size_t k = 0; k < r->nremove; k++)
        free(r->remove[k]);
    for (size_t k = 0; k < r->nrelease; k++)
        free(r->release[k]);
    for (size_t k = 0; k < r->nfleets; k++) {
        free(r->fleets[k].name);
        free(r->fleets[k].seeds);
        sn_settings_free(&r->fleets[k].settings);
    }
    for (size_t k = 0; k < r->nset; k++) {
        for (size_t w = 0; w < r->set[k].n; w++) {
            free(r->set[k].words[w].option);
            free(r->set[k].words[w].value);
        }
        free(r->set[k].words);
        free(r->set[k].group);
    }
    for (size_t k = 0; k < r->nrecords; k++)
        sn_record_free(&r->records[k]);
    free(r->add);
    free(r->remove);
    free(r->release);
    free(r->fleets);
    free(r->set);
    free(r->records);
    free(r);
}

bool sn_reload_removes(const struct sn_reload *r, const char *group)
{
    for (size_t k = 0; k < r->nremove; k++)
        if (strcmp(r->remove[k], group) == 0)
            return true;
    return false;
}

const struct sn_reload_add *sn_reload_moves(const struct sn_reload *r, const char *group)
{
    for (size_t k = 0; k < r->nadd; k++)
        if (strcmp(r->add[k].name, group) == 0)
            return &r->add[k];
    return NULL;
}

static struct sn_record *record(struct sn_record **v, size_t *n, size_t *cap, enum sn_record_kind kind,
                                const char *group)
{
    *v = mem_grow(*v, *n, cap, sizeof **v);
    struct sn_record *r = &(*v)[(*n)++];
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->group = mem_strdup(group);
    return r;
}

static void added_records(const struct sn_reload_add *a, struct sn_record **v, size_t *n, size_t *cap)
{
    struct sn_record *r = record(v, n, cap, SN_REC_GROUP, a->name);
    r->monitored = true;
    r->master = a->master;
    r->config_epoch = a->config_epoch;
    r->vote_epoch = a->vote_epoch;
    r = record(v, n, cap, SN_REC_MEMBERS, a->name);
    r->replicas = mem_array(NULL, a->nreplicas + 1, sizeof *r->replicas);
    r->peers = mem_array(NULL, a->npeers + 1, sizeof *r->peers);
    for (; r->nreplicas < a->nreplicas; r->nreplicas++)
        r->replicas[r->nreplicas] = a->replicas[r->nreplicas];
    for (; r->npeers < a->npeers; r->npeers++)
        r->peers[r->npeers] = a->peers[r->npeers];
}

/* Removed groups come first: a removal clears what is stored for the group. */
void sn_reload_records(struct sn_reload *r, struct sn_record **v, size_t *n, size_t *cap)
{
    for (size_t k = 0; k < r->nremove; k++)
        record(v, n, cap, SN_REC_GROUP, r->remove[k]);
    for (size_t k = 0; k < r->nadd; k++)
        added_records(&r->add[k], v, n, cap);
    for (size_t k = 0; k < r->nrecords; k++) {
        *v = mem_grow(*v, *n, cap, sizeof **v);
        (*v)[(*n)++] = r->records[k];
    }
    r->nrecords = 0;
}

static void remove_group(struct sn_core *c, const char *name)
{
    struct sn_group *g = sn_group_find(c, slice_of(name));
    if (!g || g->fleet)
        return;
    sn_publish_inst(g->master, SN_LOG_WARNING, "-monitor", NULL);
    sn_group_free(g);
}

bool sn_reload_prepare(struct sn_core *c, struct sn_reload *r, char *text, size_t size)
{
    for (size_t k = 0; k < r->nadd; k++) {
        if (!sn_fleet_of_name(c, slice_of(r->add[k].name)))
            continue;
        snprintf(text, size, "ERR %s: this is the name of a shard of a cluster", r->add[k].name);
        return false;
    }
    for (size_t k = 0; k < r->nadd; k++) {
        const struct sn_group *g = sn_group_find(c, slice_of(r->add[k].name));
        if (!g || (!g->nseats && sn_has_met_others(g)))
            continue;
        if (g->nseats)
            snprintf(text, size, "ERR %s: other supervisors watch it too, so a file cannot change its master", g->name);
        else
            snprintf(
                text, size,
                "ERR %s: the file names another master, and other supervisors that watch this one may not be known "
                "yet: try again in a few seconds",
                g->name);
        return false;
    }
    for (size_t k = 0; k < r->nadd; k++) {
        struct sn_reload_add *a = &r->add[k];
        if (!sn_group_find(c, slice_of(a->name)))
            continue;
        a->config_epoch = a->vote_epoch = ++c->current_epoch;
        c->dirty_meta = true;
    }
    return true;
}

/* While the change was on its way to the disk the group got a configuration that is newer, or another supervisor. */
static bool overtaken(struct sn_group *g, const struct sn_reload_add *a)
{
    if (!g->nseats && g->config_epoch < a->config_epoch)
        return false;
    sn_settings_free(&g->set);
    sn_settings_copy(&g->set, &a->settings);
    sn_dirty(g);
    sn_dirty_members(g);
    sn_touch_group(g);
    return true;
}

/* A supervisor remembers no vote of a group that was away: none is given at an epoch that it may have voted in. */
static void add_group(struct sn_core *c, const struct sn_reload_add *a)
{
    struct sn_core_group from = {
        .name = a->name,
        .master = a->master,
        .settings = &a->settings,
        .config_epoch = a->config_epoch,
        .vote_epoch = a->vote_epoch > c->current_epoch ? a->vote_epoch : c->current_epoch,
        .replicas = a->replicas,
        .nreplicas = a->nreplicas,
        .peers = a->peers,
        .npeers = a->npeers,
    };
    struct sn_group *before = sn_group_find(c, slice_of(a->name));
    bool anew = !before;
    if (before && overtaken(before, a))
        return;
    int64_t lock_us = before && !before->vote_free ? before->vote_lock_us : 0;
    if (before) {
        memcpy(from.vote_leader, before->vote_leader, sizeof from.vote_leader);
        if (before->vote_epoch >= from.vote_epoch)
            from.vote_epoch = before->vote_epoch;
        else
            from.vote_leader[0] = '\0';
        remove_group(c, a->name);
    }
    if (!sn_group_restore(c, &from))
        return;
    struct sn_group *g = sn_group_find(c, slice_of(a->name));
    if (lock_us > g->vote_lock_us) {
        g->vote_lock_us = lock_us;
        g->vote_free = false;
    }
    g->config_seq = sn_persist_next(c); /* what was written of the group meanwhile may still be on its way */
    sn_heard_enough(c, g);
    if (anew)
        sn_meet_others(g, true);
    sn_touch_group(g);
}

void sn_reload_apply(struct sn_core *c, const struct sn_reload *r)
{
    for (size_t k = 0; k < r->nremove; k++)
        remove_group(c, r->remove[k]);
    for (size_t k = 0; k < r->nset; k++) {
        const struct sn_reload_set *s = &r->set[k];
        struct sn_group *g = *s->group ? sn_group_find(c, slice_of(s->group)) : NULL;
        if (!*s->group)
            sn_set_globals(c, s->words, s->n);
        else if (g)
            sn_set_group(g, s->words, s->n);
    }
    if (r->default_down_after_ms)
        c->params.default_down_after_ms = r->default_down_after_ms;
    if (r->default_failover_timeout_ms)
        c->params.default_failover_timeout_ms = r->default_failover_timeout_ms;
    for (size_t k = 0; k < r->nadd; k++)
        add_group(c, &r->add[k]);
    for (size_t k = 0; k < r->nrelease; k++) {
        struct sn_fleet *f = sn_fleet_find(c, slice_of(r->release[k]));
        if (f && f->state == SN_FLEET_WATCHED)
            sn_fleet_release(f, 0, false);
    }
    for (size_t k = 0; k < r->nfleets; k++)
        sn_fleet_change(c, &r->fleets[k]);
}
