/* A supervisor's state directory: whole transactions, one after the other, and nothing that was confirmed is ever lost.
 * A crash keeps any prefix of what was on its way. A row replaces the one of its kind and key. */
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void drop_row(struct watcher *d, size_t i)
{
    sn_record_free(&d->rows[i]);
    d->rows[i] = d->rows[--d->nrows];
}

static bool of_group(const struct sn_record *r, const char *group)
{
    return r->kind != SN_REC_FLEET && r->kind != SN_REC_SWAP && r->kind != SN_REC_META && same(r->group, group);
}

static void drop_group(struct watcher *d, const char *group)
{
    for (size_t i = 0; i < d->nrows;)
        if (of_group(&d->rows[i], group))
            drop_row(d, i);
        else
            i++;
}

static void rename_group(struct watcher *d, const char *from, const char *to)
{
    drop_group(d, to);
    for (size_t i = 0; i < d->nrows; i++)
        if (of_group(&d->rows[i], from)) {
            free(d->rows[i].group);
            d->rows[i].group = mem_strdup(to);
        }
}

static void put_row(struct watcher *d, struct sn_record *r)
{
    for (size_t i = 0; i < d->nrows; i++)
        if (d->rows[i].kind == r->kind && same(d->rows[i].group, r->group) && same(d->rows[i].fleet, r->fleet) &&
            same(d->rows[i].option, r->option)) {
            drop_row(d, i);
            break;
        }
    d->rows = mem_grow(d->rows, d->nrows, &d->cap_rows, sizeof *d->rows);
    d->rows[d->nrows++] = *r;
    *r = (struct sn_record){.kind = SN_REC_META};
}

static void apply(struct watcher *d, struct transaction *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct sn_record *r = &t->records[i];
        if (r->kind == SN_REC_META) {
            d->epoch = r->epoch;
            d->joined = r->joined;
        } else if (r->kind == SN_REC_LIST) {
            snprintf(d->list, sizeof d->list, "%s", r->value);
            d->list_version = r->epoch;
            d->list_counted = r->joined;
        } else if (r->kind == SN_REC_RENAME) {
            rename_group(d, r->group, r->value);
        } else if ((r->kind == SN_REC_GROUP || r->kind == SN_REC_SHARD) && !r->monitored) {
            drop_group(d, r->group);
        } else {
            put_row(d, r);
        }
    }
}

static uint64_t take_first(struct watcher *d)
{
    struct transaction *t = d->queue;
    uint64_t seq = t->seq;
    d->queue = t->next;
    for (size_t i = 0; i < t->n; i++)
        sn_record_free(&t->records[i]);
    free(t->records);
    free(t);
    return seq;
}

static void begin(struct world *w, struct super *s);

/* Called when the commit ends, or when a stopped process that waited for it goes on. */
static void committed(struct world *w, struct happening *h)
{
    struct super *s = &w->supers[h->who];
    struct watcher *d = s->watcher;
    struct sn_event e = {.kind = SN_EV_PERSISTED};
    if (s->p.stopped) {
        inbox_put(&s->p.inbox, h);
        return;
    }
    if (d->queue == NULL || d->committing == 0)
        return;
    if (s->full) {
        /* All that was issued by now fails with it: a later transaction must not stand without an earlier one. */
        e.kind = SN_EV_PERSIST_FAILED;
        e.text = slice_of("No space left on device");
        while (d->queue != NULL)
            e.seq = take_first(d);
    } else {
        for (size_t i = 0; i < d->committing; i++) {
            apply(d, d->queue);
            e.seq = take_first(d);
        }
    }
    d->committing = 0;
    if (d->queue != NULL)
        begin(w, s);
    watcher_step(w, s, &e);
}

static void crash(struct world *w, struct happening *h)
{
    super_crash(w, &w->supers[h->who], false);
}

static void begin(struct world *w, struct super *s)
{
    struct watcher *d = s->watcher;
    int64_t takes = rng_skewed(&w->rng, 100, 3000);
    d->committing = 0;
    for (const struct transaction *t = d->queue; t != NULL; t = t->next)
        d->committing++;
    if (s->slow_us > 0)
        takes += (int64_t)rng_below(&w->rng, (uint64_t)s->slow_us);
    happen(&w->time, &s->committed, w->time.now_us + takes, committed);
    if (!s->crash_next)
        return;
    s->crash_next = false;
    happen(&w->time, &s->crash, w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)takes), crash);
}

void watcher_persist(struct world *w, struct super *s, struct sn_effect *e)
{
    struct watcher *d = s->watcher;
    struct transaction *t = mem_zalloc(sizeof *t), **at = &d->queue;
    *t = (struct transaction){.seq = e->seq, .records = e->records, .n = e->count};
    e->records = NULL;
    e->count = 0;
    while (*at != NULL)
        at = &(*at)->next;
    *at = t;
    if (d->committing == 0)
        begin(w, s);
}

void watcher_disk_crash(struct world *w, struct super *s)
{
    struct watcher *d = s->watcher;
    size_t n = 0;
    for (const struct transaction *t = d->queue; t != NULL; t = t->next)
        n++;
    size_t keep = n > 0 && !s->full ? (size_t)rng_below(&w->rng, n + 1) : 0;
    w->counts[COUNT_PERSIST_LOST] += keep < n;
    w->counts[COUNT_PERSIST_KEPT] += keep > 0;
    for (size_t i = 0; i < n; i++) {
        if (i < keep)
            apply(d, d->queue);
        take_first(d);
    }
    d->committing = 0;
    s->crash_next = false;
    happen_not(&w->time, &s->committed);
    happen_not(&w->time, &s->crash);
}

void watcher_wipe(struct super *s)
{
    struct watcher *d = s->watcher;
    while (d->nrows > 0)
        drop_row(d, d->nrows - 1);
    d->epoch = d->list_version = 0;
    d->list[0] = '\0';
    d->joined = d->list_counted = false;
}

void watcher_disk_free(struct watcher *d)
{
    while (d->queue != NULL)
        take_first(d);
    while (d->nrows > 0)
        drop_row(d, d->nrows - 1);
    free(d->rows);
}

/* ---- a restart ---- */

static const struct sn_record *row(const struct watcher *d, enum sn_record_kind kind, const char *group)
{
    for (size_t i = 0; i < d->nrows; i++)
        if (d->rows[i].kind == kind && same(d->rows[i].group, group))
            return &d->rows[i];
    return NULL;
}

static struct sn_core_shard shard_of(const struct watcher *d, const struct sn_record *r, const struct sn_settings *set)
{
    const struct sn_record *g = row(d, SN_REC_GROUP, r->group), *m = row(d, SN_REC_MEMBERS, r->group);
    struct sn_core_shard s = {.nodes = r->nodes, .nnodes = r->nnodes};
    s.group = (struct sn_core_group){.name = r->group, .master = r->master, .settings = set};
    if (g != NULL) {
        s.group.master = g->master;
        s.group.config_epoch = g->config_epoch;
        s.group.vote_epoch = g->vote_epoch;
        memcpy(s.group.vote_leader, g->vote_leader, sizeof s.group.vote_leader);
    }
    const struct sn_record *l = row(d, SN_REC_LEASE, r->group);
    if (l != NULL) {
        memcpy(s.group.lease_grantee, l->grantee, sizeof s.group.lease_grantee);
        s.group.lease_max_us = l->lease_max_us;
        s.group.lease_settled = l->lease_settled;
    }
    if (m != NULL) {
        s.group.replicas = m->replicas;
        s.group.nreplicas = m->nreplicas;
        s.group.peers = m->peers;
        s.group.npeers = m->npeers;
    }
    return s;
}

void watcher_list(struct world *w, struct super *s, struct sn_list *out)
{
    struct watcher *d = s->watcher;
    char list[SUPER_LIST_MAX];
    super_list(&w->versions[s->version], list);
    bool stored = strcmp(list, d->list) == 0;
    memcpy(d->list, list, sizeof list);
    *out = (struct sn_list){.text = d->list, .position = super_position(w, s), .version = d->list_version + !stored};
    out->counted = stored && d->list_counted;
}

void watcher_add_fleet(struct world *w, struct super *s, const struct sn_settings *set)
{
    const struct watcher *d = s->watcher;
    const struct sn_record *own = NULL;
    struct sn_core_shard shards[SHARDS_MAX * 2];
    struct addr seeds[2];
    struct sn_core_fleet f = {.name = FLEET_NAME, .settings = set, .seeds = seeds, .nseeds = 2, .shards = shards};
    f.lease_ms = w->plan.leased ? w->plan.lease_ms : 0;
    for (int i = 0; i < 2; i++)
        addr_set(&seeds[i], slice_of(w->nodes[i % w->nnodes].ip), NODE_PORT);
    for (size_t i = 0; i < d->nrows; i++) {
        if (d->rows[i].kind == SN_REC_FLEET)
            own = &d->rows[i];
        if (d->rows[i].kind == SN_REC_SWAP)
            f.swap = d->rows[i].swap, f.swap_lists = d->rows[i].value;
        if (d->rows[i].kind == SN_REC_SHARD && f.nshards < sizeof shards / sizeof *shards)
            shards[f.nshards++] = shard_of(d, &d->rows[i], set);
    }
    if (own != NULL) {
        f.config_epoch = own->config_epoch;
        f.vote_epoch = own->vote_epoch;
    }
    if (own != NULL && !own->monitored)
        return; /* it was released */
    if (!sn_core_add_fleet(s->watcher->core, &f, process_clock(w, &s->p), &w->sn_fx))
        violated(w, "shell", "%s does not take its fleet back after a restart", end_name(s->p.end));
}
