/* The data side of a node, as simple as it can be: which writes of its shard it holds, whom it follows, and how old its
 * data is. A replica looks at its master every few milliseconds and takes what is there, so what it lacks is what was
 * written since: the lag. */
#include "tests/fleet/world.h"

#include <string.h>

#define REPL_TIMEOUT SECONDS(8)
#define NOBODY (-2)

static void pull(struct world *w, struct happening *h);

static void pull_after(struct world *w, struct node *n, int64_t us)
{
    happen(&w->time, &n->pull, w->time.now_us + us, pull);
}

struct cl_facts data_facts(const struct world *w, const struct node *n)
{
    const struct data *d = &n->data;
    int64_t now_us = process_clock(w, &n->p);
    struct cl_facts f = {.offset = d->set.offset, .loading = d->loading, .databases = DATABASES, .boot_us = now_us};
    f.has_keys = d->set.offset > 0;
    f.mapping_epoch = d->set.mapping;
    f.link_up = d->master != -1 && d->repl == REPL_UP;
    f.old_since_us = d->master == -1 ? -1 : f.link_up ? now_us : d->old_us;
    return f;
}

/* The shell tells the core at once that the link came up or went down, or that loading has begun or ended. */
static void tell(struct world *w, struct node *n)
{
    struct cl_event e = {.kind = CL_EV_TIME};
    node_step(w, n, &e);
}

static bool goes_on(const struct data *replica, const struct data *master)
{
    if (replica->replid == 0)
        return false;
    return (replica->replid == master->replid && replica->set.offset <= master->set.offset) ||
           (replica->replid == master->replid2 && replica->set.offset <= master->second_offset);
}

static int64_t local_time_of(const struct node *n, int64_t world_us)
{
    return clock_local(&n->p.clock, world_us);
}

static void link_lost(struct world *w, struct node *n)
{
    struct data *d = &n->data;
    bool told = d->repl == REPL_UP || d->loading;
    if (d->repl == REPL_UP)
        d->old_us = local_time_of(n, d->heard_us);
    d->repl = REPL_NONE;
    d->loading = false;
    RECORD(w, end_name(n->p.end), "loses its master's stream");
    pull_after(w, n, MS(50));
    if (told)
        tell(w, n);
}

static void take_data(struct data *d, const struct data *m)
{
    memcpy(d->has, m->has, sizeof d->has);
    d->set = m->set;
    d->replid = m->replid;
    d->replid2 = m->replid2;
    d->second_offset = m->second_offset;
}

static bool serves(const struct world *w, const struct node *n, const struct node *m)
{
    return m->core != NULL && !m->p.stopped && net_open(&w->net, n->p.end, m->p.end) && !m->data.loading && m != n;
}

static bool is_empty(const struct data *d)
{
    for (size_t i = 0; i < SHARD_WRITES_WORDS; i++)
        if (d->has[i] != 0)
            return false;
    for (size_t i = 0; i < WRITES_WORDS; i++)
        if (d->set.has[i] != 0)
            return false;
    return true;
}

static void begin_sync(struct world *w, struct node *n, const struct node *m)
{
    struct data *d = &n->data;
    bool partial = goes_on(d, &m->data);
    /* SAFETY section 4: one that holds data takes no empty dataset for it. */
    if (!partial && is_empty(&m->data) && !is_empty(d)) {
        pull_after(w, n, MS(100));
        return;
    }
    d->repl = REPL_SYNC;
    d->loading = !partial;
    pull_after(w, n, partial ? MS(2) : rng_skewed(&w->rng, MS(5), MS(w->plan.sync_ms)));
    if (d->loading)
        tell(w, n);
}

/* One that is not up: it asks, or its transfer ends. */
static void catch_up(struct world *w, struct node *n, const struct node *m, bool up)
{
    struct data *d = &n->data;
    if (d->repl == REPL_NONE) {
        if (up)
            begin_sync(w, n, m);
        else
            pull_after(w, n, MS(50));
        return;
    }
    pull_after(w, n, 1000 + (int64_t)rng_below(&w->rng, (uint64_t)w->plan.lag_us));
    if (!up || (m->data.master != -1 && m->data.repl != REPL_UP))
        return;
    take_data(d, &m->data);
    d->repl = REPL_UP;
    d->loading = false;
    RECORD(w, end_name(n->p.end), "has the data of %s", end_name(m->p.end));
    tell(w, n);
}

static void pull(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    struct data *d = &n->data;
    if (n->core == NULL || d->master == -1)
        return;
    if (n->p.stopped) {
        inbox_put(&n->p.inbox, h);
        return;
    }
    if (d->master == NOBODY) {
        pull_after(w, n, SECONDS(1));
        return;
    }
    const struct node *m = &w->nodes[d->master];
    bool up = serves(w, n, m);
    if (up)
        d->heard_us = w->time.now_us;
    /* A process that dies closes its connections; all else shows only by silence. */
    bool gone = (m->core == NULL && !m->p.host_down) || w->time.now_us - d->heard_us > REPL_TIMEOUT;
    if (d->repl != REPL_NONE && gone) {
        link_lost(w, n);
        return;
    }
    if (d->repl != REPL_UP) {
        catch_up(w, n, m, up);
        return;
    }
    pull_after(w, n, 1000 + (int64_t)rng_below(&w->rng, (uint64_t)w->plan.lag_us));
    if (!up || (m->data.master != -1 && m->data.repl != REPL_UP))
        return;
    /* A master that has another history now has cut the stream: promoted elsewhere, or restarted. */
    if (d->replid != m->data.replid && d->replid != m->data.replid2)
        link_lost(w, n);
    else
        take_data(d, &m->data);
}

void data_follow(struct world *w, struct node *n, const char *ip, const struct cl_id *id)
{
    struct data *d = &n->data;
    const struct node *m = node_at(w, ip);
    int master = m != NULL ? m->index : NOBODY;
    /* The same master, perhaps at another address: what is known of its data stays known. */
    bool same = d->master != -1 && cl_id_eq(&d->followed, id);
    d->followed = *id;
    if (d->master == master && (d->repl != REPL_NONE || same))
        return;
    bool same_data = m != NULL && goes_on(d, &m->data);
    if (d->master == -1)
        d->old_us = same_data ? process_clock(w, &n->p) : -1;
    else if (!same_data && !same)
        d->old_us = -1;
    else if (d->repl == REPL_UP)
        d->old_us = local_time_of(n, d->heard_us);
    if (d->master == -1) /* without leases it may have taken writes that its master does not have */
        w->shards[n->shard].lost_us = w->plan.leased ? w->shards[n->shard].lost_us : w->time.now_us;
    if (d->master == -1) {
        jobs_upset(w, n, "it is a replica now", true);
        handover_given(w, n, NULL);
    }
    RECORD(w, end_name(n->p.end), "follows %s", m != NULL ? end_name(m->p.end) : "nobody that it knows");
    d->master = master;
    d->repl = REPL_NONE;
    d->loading = false;
    d->paused_until_us = 0;
    pull_after(w, n, MS(1));
}

void data_promote(struct world *w, struct node *n)
{
    struct data *d = &n->data;
    RECORD(w, end_name(n->p.end), "is promoted");
    w->shards[n->shard].lost_us = w->time.now_us;
    d->replid2 = d->replid;
    d->second_offset = d->set.offset;
    d->replid = rng_u64(&w->rng) | 1;
    d->master = -1;
    d->repl = REPL_NONE;
    d->loading = false;
    happen_not(&w->time, &n->pull);
}

static bool has_write(const struct node *n, size_t write)
{
    return (n->data.set.has[write / 64] >> write % 64 & 1) != 0;
}

void data_empty(struct world *w, struct node *n)
{
    w->shards[n->shard].lost_us = w->time.now_us;
    memset(n->data.has, 0, sizeof n->data.has);
    for (size_t i = 0; i < ledger(w)->n; i++)
        if (has_write(n, i))
            data_excuse(w, ledger(w)->writes[i].slot);
    memset(n->data.set.has, 0, sizeof n->data.set.has);
    memset(n->data.set.shadow, 0, sizeof n->data.set.shadow);
}

void data_drop(struct world *w, struct node *n, const uint8_t *slots)
{
    bool any = false;
    if (cl_bit(slots, w->shards[n->shard].slot)) {
        w->shards[n->shard].lost_us = w->time.now_us;
        memset(n->data.has, 0, sizeof n->data.has);
    }
    RECORD(w, end_name(n->p.end), "  drops slots from %d on", cl_bit_next(slots, 0, true));
    handover_given(w, n, slots);
    for (size_t i = 0; i < ledger(w)->n; i++)
        if (has_write(n, i) && cl_bit(slots, ledger(w)->watched[ledger(w)->writes[i].slot])) {
            n->data.set.has[i / 64] &= ~(UINT64_C(1) << i % 64);
            any = true;
        }
    n->data.set.offset += any ? 20 : 0;
}

bool data_has_slot(const struct world *w, const struct node *n, int watched)
{
    for (size_t i = 0; i < ledger(w)->n; i++)
        if (ledger(w)->writes[i].slot == watched && has_write(n, i))
            return true;
    return false;
}

void data_started(struct world *w, struct node *n)
{
    struct data *d = &n->data;
    /* Whoever restarts begins a history of its own; the FOLLOW that the core's first step asks for comes next. */
    d->replid = rng_u64(&w->rng) | 1;
    d->replid2 = 0;
    d->master = -1;
    d->repl = REPL_NONE;
    d->loading = false;
    d->paused_until_us = 0;
    d->old_us = -1;
}

void data_crashed(struct world *w, struct node *n)
{
    n->data.repl = REPL_NONE;
    n->data.loading = false;
    happen_not(&w->time, &n->pull);
}
