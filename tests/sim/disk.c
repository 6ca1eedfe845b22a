/* A supervisor's disk: whole transactions, one after the other, and nothing that was confirmed is ever lost. A crash
 * keeps any prefix of what was on its way. */
#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static int group_named(const struct world *w, const char *name)
{
    for (int i = 0; i < w->plan.groups; i++)
        if (strcmp(w->groups[i].name, name) == 0)
            return i;
    return -1;
}

static void apply_members(struct disk_group *g, const struct sn_record *r)
{
    g->nreplicas = r->nreplicas < MAX_NODES ? r->nreplicas : MAX_NODES;
    g->npeers = r->npeers < MAX_SUPERS * 2 ? r->npeers : MAX_SUPERS * 2;
    if (g->nreplicas > 0)
        memcpy(g->replicas, r->replicas, g->nreplicas * sizeof *g->replicas);
    if (g->npeers > 0)
        memcpy(g->peers, r->peers, g->npeers * sizeof *g->peers);
}

/* As the state directory does it: of a group that was removed only the vote is kept, and a vote never goes back. */
static void apply_group(struct world *w, struct disk *d, int at, const struct sn_record *r)
{
    struct disk_group *g = &d->groups[at];
    if (!r->monitored || g->replaced)
        check_anew(w, &w->supers[d->super], at);
    g->known = r->monitored;
    g->removed = !r->monitored;
    g->replaced = false;
    g->master = r->master;
    g->config_epoch = r->config_epoch;
    if (r->vote_epoch >= g->vote_epoch) {
        g->vote_epoch = r->vote_epoch;
        memcpy(g->vote_leader, r->vote_leader, sizeof g->vote_leader);
    }
    if (r->monitored)
        return;
    g->nreplicas = g->npeers = 0;
    struct sn_params params;
    sn_params_default(&params);
    g->is = (struct group_options){2, params.default_down_after_ms, params.default_failover_timeout_ms, 1};
}

static void apply(struct world *w, struct disk *d, const struct transaction *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct sn_record *r = &t->records[i];
        int at = r->group != NULL ? group_named(w, r->group) : -1;
        if (r->kind == SN_REC_META) {
            d->epoch = r->epoch;
            d->joined = r->joined;
        } else if (r->kind == SN_REC_GROUP && at >= 0) {
            apply_group(w, d, at, r);
        } else if (r->kind == SN_REC_MEMBERS && at >= 0) {
            apply_members(&d->groups[at], r);
        } else if ((r->kind == SN_REC_OPTION || r->kind == SN_REC_FILE) && at >= 0 && r->value != NULL) {
            int64_t before = d->groups[at].is.quorum;
            options_put(&d->groups[at].is, r->option, r->value);
            if (d->groups[at].is.quorum != before) {
                d->groups[at].quorum_before = before;
                d->groups[at].quorum_us = w->now_us;
            }
        }
    }
}

static void free_transaction(struct transaction *t)
{
    for (size_t i = 0; i < t->n; i++)
        sn_record_free(&t->records[i]);
    free(t->records);
    free(t);
}

static uint64_t take_first(struct disk *d)
{
    struct transaction *t = d->queue;
    uint64_t seq = t->seq;
    d->queue = t->next;
    free_transaction(t);
    return seq;
}

static void start(struct world *w, struct disk *d);

/* Called when the commit ends, or when a stopped process that waited for it goes on. */
static void committed(struct world *w, struct happening *h)
{
    struct disk *d = (struct disk *)h;
    struct super *s = &w->supers[d->super];
    if (s->stopped) {
        inbox_put(&s->inbox, h);
        return;
    }
    struct sn_event e = {.kind = SN_EV_PERSISTED};
    if (d->full) {
        /* All that was issued by now fails with it: a later transaction must not stand without an earlier one. */
        e.kind = SN_EV_PERSIST_FAILED;
        e.text = slice_of("No space left on device");
        w->counts[COUNT_DISK_REFUSED]++;
        while (d->queue != NULL)
            e.seq = take_first(d);
    } else {
        for (size_t i = 0; i < d->committing; i++) {
            apply(w, d, d->queue);
            e.seq = take_first(d);
        }
    }
    d->committing = 0;
    if (d->queue != NULL)
        start(w, d);
    super_step(w, s, &e);
}

static void crash(struct world *w, struct happening *h)
{
    struct disk *d = (struct disk *)((char *)h - offsetof(struct disk, crash));
    super_crash(w, &w->supers[d->super], false);
    fault_crashed(w, &w->supers[d->super]);
}

void disk_crash_soon(struct world *w, struct super *s, int64_t at_us)
{
    s->disk.crash_next = s->disk.crash_voted = false;
    happen(w, &s->disk.crash, at_us, crash);
}

static void start(struct world *w, struct disk *d)
{
    d->committing = 0;
    for (const struct transaction *t = d->queue; t != NULL; t = t->next)
        d->committing++;
    int64_t takes = rng_skewed(&w->rng, 100, 3000);
    if (d->slow_us > 0)
        takes += (int64_t)rng_below(&w->rng, (uint64_t)d->slow_us);
    if (d->crash_next) /* long enough for more to queue behind it, of which the crash keeps a part */
        takes += (int64_t)rng_below(&w->rng, (uint64_t)MS(500));
    happen(w, &d->done, w->now_us + takes, committed);
    if (d->crash_next)
        disk_crash_soon(w, &w->supers[d->super], w->now_us + (int64_t)rng_below(&w->rng, (uint64_t)takes));
}

void disk_persist(struct world *w, struct super *s, struct sn_effect *e)
{
    struct disk *d = &s->disk;
    struct transaction *t = mem_zalloc(sizeof *t);
    t->seq = e->seq;
    t->records = e->records;
    t->n = e->count;
    e->records = NULL;
    e->count = 0;
    if (d->queue == NULL)
        d->queue_last = &d->queue;
    *d->queue_last = t;
    d->queue_last = &t->next;
    if (d->committing == 0)
        start(w, d);
}

void disk_crash(struct world *w, struct super *s)
{
    struct disk *d = &s->disk;
    size_t n = 0;
    for (const struct transaction *t = d->queue; t != NULL; t = t->next)
        n++;
    size_t keep = n > 0 && !d->full ? (size_t)rng_below(&w->rng, n + 1) : 0;
    if (keep < n)
        w->counts[COUNT_PERSIST_LOST]++;
    if (keep > 0)
        w->counts[COUNT_PERSIST_KEPT]++;
    if (keep > 0 && keep < n)
        w->counts[COUNT_PERSIST_TORN]++;
    for (size_t i = 0; i < n; i++) {
        if (i < keep)
            apply(w, d, d->queue);
        take_first(d);
    }
    RECORD(w, end_name(w, s->index), "its disk keeps %zu of %zu transactions under way", keep, n);
    d->committing = 0;
    d->crash_next = d->crash_voted = false;
    happen_not(w, &d->done);
    happen_not(w, &d->crash);
}

void disk_wipe(struct world *w, struct super *s)
{
    s->disk.epoch = 0;
    s->disk.joined = false;
    for (int i = 0; i < w->plan.groups; i++)
        s->disk.groups[i] = (struct disk_group){.is = options_of_plan(w, i)};
}

void disk_free(struct disk *d)
{
    while (d->queue != NULL)
        take_first(d);
}
