/* What goes to disk, and what waits for it. A step that changed something durable ends with one PERSIST; votes, vote
 * requests, configurations and operators' changes that depend on it come out of the core when PERSISTED does. */
#include "sentineld/core/fleet_inner.h"

#define RETRY MS(1000)

void sn_dirty(struct sn_group *g)
{
    g->dirty = g->core->any_dirty = true;
}

void sn_dirty_members(struct sn_group *g)
{
    g->dirty_members = g->core->any_dirty = true;
}

uint64_t sn_persist_next(struct sn_core *c)
{
    c->flush = true;
    return c->issued + 1;
}

struct sn_pending *sn_wait(struct sn_core *c, uint64_t seq)
{
    c->waiting = mem_grow(c->waiting, c->nwaiting, &c->cap_waiting, sizeof *c->waiting);
    struct sn_pending *w = &c->waiting[c->nwaiting++];
    memset(w, 0, sizeof *w);
    w->seq = seq;
    if (seq > c->issued)
        c->flush = true;
    return w;
}

void sn_pending_free(struct sn_pending *w)
{
    sn_effect_free(&w->fx);
    if (w->change)
        sn_change_free(w->change);
}

void sn_forget_waiting(struct sn_core *c, const struct sn_group *g)
{
    for (size_t k = 0; k < c->nwaiting; k++)
        if (c->waiting[k].group == g)
            c->waiting[k].group = NULL;
    for (size_t k = 0; k < c->nrunning; k++)
        if (c->running[k].group == g)
            c->running[k].group = NULL;
}

static struct sn_record *add(struct sn_record **v, size_t *n, size_t *cap, enum sn_record_kind kind, const char *group)
{
    *v = mem_grow(*v, *n, cap, sizeof **v);
    struct sn_record *r = &(*v)[(*n)++];
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->group = group ? mem_strdup(group) : NULL;
    return r;
}

static void group_records(const struct sn_group *g, struct sn_record **v, size_t *n, size_t *cap)
{
    if (g->dirty) {
        struct sn_record *r = add(v, n, cap, SN_REC_GROUP, g->name);
        /* One whose removal is on its way stays removed, and yet a vote that it gives meanwhile must not be lost. */
        r->monitored = !sn_removal_pending(g->core, g);
        const struct sn_reload_add *moves = sn_move_pending(g->core, g); /* likewise: it must not go back */
        bool newer = moves && moves->config_epoch > g->config_epoch;
        r->master = newer ? moves->master : g->master->node->addr;
        r->config_epoch = newer ? moves->config_epoch : g->config_epoch;
        r->vote_epoch = g->vote_epoch;
        memcpy(r->vote_leader, g->vote_leader, sizeof r->vote_leader);
    }
    if (g->lease_dirty) {
        struct sn_record *r = add(v, n, cap, SN_REC_LEASE, g->name);
        memcpy(r->grantee, g->lease.grantee, sizeof r->grantee);
        r->lease_max_us = g->lease.max_ttl_us;
        r->lease_settled = g->lease.settled;
    }
    if (!g->dirty_members)
        return;
    struct sn_record *r = add(v, n, cap, SN_REC_MEMBERS, g->name);
    r->replicas = mem_zalloc((g->ninsts + 1) * sizeof *r->replicas);
    r->peers = mem_zalloc((g->nseats + 1) * sizeof *r->peers);
    for (size_t k = 0; k < g->ninsts; k++)
        if (!sn_is_master(g->insts[k]))
            r->replicas[r->nreplicas++] = g->insts[k]->node->addr;
    for (size_t k = 0; k < g->nseats; k++) {
        const struct sn_peer *p = g->seats[k]->peer;
        if (!*p->id || !addr_is_set(&p->addr))
            continue;
        r->peers[r->npeers].addr = p->addr;
        memcpy(r->peers[r->npeers++].id, p->id, sizeof p->id);
    }
}

void sn_persist_extra(struct sn_core *c, enum sn_record_kind kind, const char *group, const char *fleet,
                      const char *value)
{
    c->extra = mem_grow(c->extra, c->nextra, &c->cap_extra, sizeof *c->extra);
    struct sn_extra *x = &c->extra[c->nextra++];
    *x = (struct sn_extra){.record = {.kind = kind}};
    x->record.group = group ? mem_strdup(group) : NULL;
    x->record.fleet = fleet ? mem_strdup(fleet) : NULL;
    x->record.value = value ? mem_strdup(value) : NULL;
    c->any_dirty = true;
}

/* In the order in which it happened, and before what is there now: that may have the name of something that is gone. */
static void extra_records(struct sn_core *c, uint64_t seq, struct sn_record **v, size_t *n, size_t *cap)
{
    for (size_t k = 0; k < c->nextra; k++) {
        struct sn_extra *x = &c->extra[k];
        if (x->seq)
            continue;
        x->seq = seq;
        struct sn_record *r = add(v, n, cap, x->record.kind, x->record.group);
        r->fleet = x->record.fleet ? mem_strdup(x->record.fleet) : NULL;
        r->value = x->record.value ? mem_strdup(x->record.value) : NULL;
    }
}

static void extra_written(struct sn_core *c, uint64_t seq)
{
    size_t kept = 0;
    for (size_t k = 0; k < c->nextra; k++) {
        if (c->extra[k].seq && c->extra[k].seq <= seq)
            sn_record_free(&c->extra[k].record);
        else
            c->extra[kept++] = c->extra[k];
    }
    c->nextra = kept;
}

static void extra_failed(struct sn_core *c, uint64_t seq)
{
    for (size_t k = 0; k < c->nextra; k++)
        if (c->extra[k].seq <= seq)
            c->extra[k].seq = 0;
}

static void fleet_records(struct sn_core *c, struct sn_record **v, size_t *n, size_t *cap)
{
    for (size_t k = 0; k < c->nfleets; k++) {
        struct sn_fleet *f = c->fleets[k];
        if (!f->dirty || f->state != SN_FLEET_WATCHED)
            continue;
        struct sn_record *r = add(v, n, cap, SN_REC_FLEET, NULL);
        r->fleet = mem_strdup(f->name);
        r->monitored = true;
        r->config_epoch = f->epoch;
        r->vote_epoch = f->vote_epoch;
        f->dirty = false;
    }
}

static void swap_records(struct sn_core *c, struct sn_record **v, size_t *n, size_t *cap)
{
    for (size_t k = 0; k < c->nfleets; k++) {
        struct sn_fleet *f = c->fleets[k];
        if (!f->swap.dirty || f->state != SN_FLEET_WATCHED)
            continue;
        struct sn_record *r = add(v, n, cap, SN_REC_SWAP, NULL);
        r->fleet = mem_strdup(f->name);
        r->swap = f->swap.has;
        r->value = mem_strdup(f->swap.lists);
        f->swap.dirty = false;
    }
}

static void shard_record(const struct sn_group *g, struct sn_record **v, size_t *n, size_t *cap)
{
    struct sn_record *r = add(v, n, cap, SN_REC_SHARD, g->name);
    r->fleet = mem_strdup(g->fleet->name);
    r->monitored = true;
    r->nodes = mem_zalloc((g->ninsts + 1) * sizeof *r->nodes);
    for (size_t turn = 0; turn < 2; turn++)
        for (size_t k = 0; k < g->ninsts; k++) {
            const struct sn_inst *i = g->insts[k];
            if (sn_is_master(i) != (turn == 0))
                continue;
            memcpy(r->nodes[r->nnodes].id, i->member->id, sizeof i->member->id);
            r->nodes[r->nnodes++].addr = i->node->addr;
        }
}

void sn_persist_flush(struct sn_core *c)
{
    if (!c->dirty_meta && !c->any_dirty && !c->pauses_dirty && !c->flush)
        return;
    if (c->broken && !c->flush && c->now_us < c->broken_retry_us)
        return;
    struct sn_record *v = NULL;
    size_t n = 0, cap = 0;
    uint64_t seq = ++c->issued;
    add(&v, &n, &cap, SN_REC_META, NULL);
    v[0].epoch = c->current_epoch;
    v[0].joined = c->joined;
    extra_records(c, seq, &v, &n, &cap);
    fleet_records(c, &v, &n, &cap);
    swap_records(c, &v, &n, &cap);
    if (c->ours.dirty) {
        struct sn_record *r = add(&v, &n, &cap, SN_REC_LIST, NULL);
        r->value = mem_strdup(c->ours.list);
        r->epoch = c->ours.version;
        r->joined = c->ours.counted;
        c->ours.dirty = false;
    }
    if (c->pauses_dirty) {
        sn_pauses_record(&c->pauses, add(&v, &n, &cap, SN_REC_OPTION, ""));
        c->pauses_dirty = false;
    }
    for (size_t k = 0; k < c->ngroups; k++) {
        struct sn_group *g = c->groups[k];
        if (!g->dirty && !g->dirty_members && !g->lease_dirty)
            continue;
        group_records(g, &v, &n, &cap);
        if (g->fleet)
            shard_record(g, &v, &n, &cap);
        g->dirty = g->dirty_members = g->lease_dirty = false;
    }
    for (size_t k = 0; k < c->nwaiting; k++)
        if (c->waiting[k].change && c->waiting[k].seq == seq)
            sn_change_records(c->waiting[k].change, &v, &n, &cap);
    c->dirty_meta = c->any_dirty = c->flush = false;
    c->issued_us = c->now_us;
    c->epoch_at[seq % SN_ISSUED_MAX] = c->current_epoch;
    c->broken_retry_us = c->now_us + RETRY;
    struct sn_effect *e = sn_emit(c, SN_FX_PERSIST);
    e->seq = seq;
    e->records = v;
    e->count = n;
}

static void run(struct sn_core *c, struct sn_pending *w, const char *why)
{
    (void)why;
    if (w->change) {
        sn_change_apply(c, w->change);
        w->change = NULL;
    } else if (w->is_stand) {
        if (w->group)
            sn_election_durable(w->group, w->fx.epoch);
    } else if (w->is_vote) {
        if (w->group)
            sn_vote_told(w->group, w->fx.text, w->fx.epoch);
    } else if (w->is_config) {
        if (w->group)
            sn_config_durable(w->group);
    } else {
        w->fx.epoch = c->told_epoch;
        *sn_emit(c, w->fx.kind) = w->fx;
        memset(&w->fx, 0, sizeof w->fx);
    }
}

/* Takes what waits for `seq` or less out of the list, in order, and does `f` to it. */
static void settle(struct sn_core *c, uint64_t seq, void (*f)(struct sn_core *, struct sn_pending *, const char *),
                   const char *why)
{
    size_t kept = 0;
    c->running = mem_zalloc((c->nwaiting + 1) * sizeof *c->running);
    c->nrunning = 0;
    for (size_t k = 0; k < c->nwaiting; k++) {
        if (c->waiting[k].seq <= seq)
            c->running[c->nrunning++] = c->waiting[k];
        else
            c->waiting[kept++] = c->waiting[k];
    }
    c->nwaiting = kept;
    for (size_t k = 0; k < c->nrunning; k++) {
        f(c, &c->running[k], why);
        sn_pending_free(&c->running[k]);
    }
    free(c->running);
    c->running = NULL;
    c->nrunning = 0;
}

void sn_persisted(struct sn_core *c, uint64_t seq)
{
    uint64_t before = c->persisted;
    if (seq <= before)
        return;
    c->persisted = seq;
    if (c->issued - seq < SN_ISSUED_MAX && c->epoch_at[seq % SN_ISSUED_MAX] > c->told_epoch)
        c->told_epoch = c->epoch_at[seq % SN_ISSUED_MAX];
    if (seq == c->issued) {
        int64_t took = c->now_us - c->issued_us;
        c->disk_us = c->disk_us ? (c->disk_us * 3 + took) / 4 : took;
    }
    if (c->broken) {
        c->broken = false;
        sn_publish_core(c, SN_LOG_WARNING, "+state-saved", "the state directory takes writes again: voting resumes");
        for (size_t k = 0; k < c->ngroups; k++)
            sn_touch_group(c->groups[k]);
    }
    for (size_t k = 0; k < c->nfleets; k++)
        if (c->fleets[k]->swap.seq > before)
            sn_touch_fleet(c->fleets[k]);
    extra_written(c, seq);
    for (size_t k = 0; k < c->nfleets; k++)
        if (c->fleets[k]->state == SN_FLEET_RELEASING)
            sn_touch_fleet(c->fleets[k]);
    settle(c, seq, run, NULL);
}

/* A vote that is not on disk is not given; what is only to be told later keeps waiting for the retry. */
static void refuse(struct sn_core *c, struct sn_pending *w, const char *why)
{
    if (w->is_config) {
        struct sn_pending again = *w;
        again.seq = c->issued + 1;
        memset(w, 0, sizeof *w);
        c->waiting = mem_grow(c->waiting, c->nwaiting, &c->cap_waiting, sizeof *c->waiting);
        c->waiting[c->nwaiting++] = again;
    } else if (w->change) {
        sn_change_refuse(c, w->change, why);
        w->change = NULL;
    } else if (w->is_stand) {
        if (w->group)
            sn_election_disk_failed(w->group, w->fx.epoch);
    } else if (w->fx.kind == SN_FX_ANSWER_BALLOTS) {
        for (size_t k = 0; k < w->fx.count; k++) {
            w->fx.opinions[k].leader[0] = w->fx.opinions[k].grant[0] = '\0';
            w->fx.opinions[k].leader_epoch = 0;
        }
        *sn_emit(c, w->fx.kind) = w->fx;
        memset(&w->fx, 0, sizeof w->fx);
    } else if (w->fx.kind == SN_FX_ANSWER_SWAP) {
        const struct sn_swap_word *said = w->fx.swap;
        *w->fx.swap = (struct sn_swap_word){.verb = said->verb, .epoch = said->epoch, .lists = said->lists};
        *sn_emit(c, w->fx.kind) = w->fx;
        memset(&w->fx, 0, sizeof w->fx);
    } else if (w->fx.kind == SN_FX_ANSWER) {
        struct sn_effect *e = sn_emit(c, SN_FX_ANSWER);
        struct buf text = {0};
        buf_printf(&text, "ERR Failed to save config file: %s", why);
        e->token = w->fx.token;
        e->answer = SN_ANSWER_ERROR;
        e->text = mem_strdup(buf_str(&text));
        buf_free(&text);
    }
}

void sn_persist_failed(struct sn_core *c, uint64_t seq, struct slice why)
{
    char *text = slice_dup(why);
    if (!c->broken)
        sn_publish_core(c, SN_LOG_WARNING, "-state-not-saved",
                        "%s: no vote is given until the state directory takes writes", text);
    c->broken = true;
    c->broken_retry_us = c->now_us + RETRY;
    /* What was in that transaction is written again with the next one. */
    c->dirty_meta = true;
    c->ours.dirty = *c->ours.list != '\0';
    for (size_t k = 0; k < c->ngroups; k++) {
        struct sn_group *g = c->groups[k];
        sn_dirty(g);
        sn_dirty_members(g);
        g->lease_dirty = *g->lease.grantee != '\0';
        if (g->lease_seq > c->persisted && g->lease_seq <= seq)
            g->lease_seq = c->issued + 1;
        if (g->vote_seq > c->persisted && g->vote_seq <= seq)
            g->vote_seq = c->issued + 1;
        if (g->config_seq > c->persisted && g->config_seq <= seq)
            g->config_seq = c->issued + 1;
    }
    for (size_t k = 0; k < c->nfleets; k++) {
        struct sn_fleet *f = c->fleets[k];
        struct sn_swapping *s = &f->swap;
        f->dirty = true;
        if (f->release_seq > c->persisted && f->release_seq <= seq)
            f->release_seq = c->issued + 1;
        s->dirty = *s->lists;
        if (s->seq > c->persisted && s->seq <= seq)
            s->seq = c->issued + 1;
    }
    extra_failed(c, seq);
    settle(c, seq, refuse, text);
    free(text);
}

int64_t sn_persist_retry(struct sn_core *c)
{
    if (!c->broken)
        return HEAP_NEVER;
    if (c->now_us < c->broken_retry_us)
        return c->broken_retry_us;
    c->dirty_meta = true; /* something to write, so that its success shows that the disk is well */
    return c->now_us + RETRY;
}
