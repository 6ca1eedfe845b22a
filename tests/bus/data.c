/* The data side of a node: which writes it holds, whom it follows, and how old its data is. A replica looks at its
 * master every few milliseconds and takes what is there, so what it lacks is what was written since: the lag. */
#include "tests/bus/world.h"

#include <stdio.h>
#include <string.h>

#define REPL_TIMEOUT SECONDS(8)
#define NOBODY (-2)

static void pull(struct world *w, struct happening *h);

static void pull_after(struct world *w, struct node *n, int64_t us)
{
    happen(&w->time, &n->pull, w->time.now_us + us, pull);
}

static bool has_keys(const struct node *n)
{
    for (int i = 0; i < WRITES_WORDS; i++)
        if (n->data.set.has[i] != 0)
            return true;
    return false;
}

struct cl_facts data_facts(const struct world *w, const struct node *n)
{
    const struct data *d = &n->data;
    struct cl_facts f = {.offset = d->set.offset,
                         .loading = d->loading,
                         .has_keys = has_keys(n),
                         .mapping_epoch = d->set.mapping,
                         .databases = DATABASES,
                         .boot_us = lease_clock(w, n)};
    f.link_up = d->master != -1 && d->repl == REPL_UP;
    f.old_since_us = d->master == -1 ? -1 : f.link_up ? node_clock(w, n) : d->old_us;
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

/* When its data was last known to be that of its master. */
static int64_t local_time_of(const struct world *w, const struct node *n, int64_t world_us)
{
    return node_clock(w, n) - (w->time.now_us - world_us);
}

static void link_lost(struct world *w, struct node *n)
{
    struct data *d = &n->data;
    bool was_up = d->repl == REPL_UP, loaded = d->loading;
    if (was_up)
        d->old_us = local_time_of(w, n, d->heard_us);
    d->repl = REPL_NONE;
    d->loading = false;
    RECORD(w, node_name(n->index), "loses its master's stream");
    pull_after(w, n, MS(100));
    if (was_up || loaded)
        tell(w, n);
}

static void take_data(struct node *n, const struct node *m)
{
    struct data *d = &n->data;
    d->set = m->data.set;
    d->replid = m->data.replid;
    d->replid2 = m->data.replid2;
    d->second_offset = m->data.second_offset;
}

static bool serves(const struct world *w, const struct node *n, const struct node *m)
{
    return m->core != NULL && !m->stopped && !n->data.broken && net_open(w, n->index, m->index) && !m->data.loading &&
           m != n;
}

static void begin_sync(struct world *w, struct node *n, const struct node *m)
{
    struct data *d = &n->data;
    bool partial = goes_on(d, &m->data);
    d->repl = REPL_SYNC;
    d->loading = !partial;
    pull_after(w, n, partial ? MS(2) : rng_skewed(&w->rng, MS(5), MS(w->plan.sync_ms)));
    if (d->loading)
        tell(w, n);
}

static void pull(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    struct data *d = &n->data;
    if (n->core == NULL || d->master == -1)
        return;
    if (n->stopped) {
        inbox_put(&n->inbox, h);
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
    if (d->repl == REPL_NONE) {
        if (up)
            begin_sync(w, n, m);
        else
            pull_after(w, n, MS(100));
        return;
    }
    /* A process that dies closes its connections; all else shows only by silence. */
    if ((m->core == NULL && !m->host_down) || d->broken || w->time.now_us - d->heard_us > REPL_TIMEOUT) {
        link_lost(w, n);
        return;
    }
    pull_after(w, n, 1000 + (int64_t)rng_below(&w->rng, (uint64_t)w->plan.lag_us));
    if (!up || (m->data.master != -1 && m->data.repl != REPL_UP))
        return;
    bool comes_up = d->repl != REPL_UP;
    /* A master that has another history now has cut the stream: promoted elsewhere, or restarted. */
    if (!comes_up && d->replid != m->data.replid && d->replid != m->data.replid2) {
        link_lost(w, n);
        return;
    }
    take_data(n, m);
    d->repl = REPL_UP;
    d->loading = false;
    if (comes_up) {
        RECORD(w, node_name(n->index), "has the data of %s", node_name(d->master));
        tell(w, n);
    }
}

void data_follow(struct world *w, struct node *n, const struct cl_id *id, const char *ip, uint16_t port)
{
    struct data *d = &n->data;
    const struct node *m = party_at(w, ip, port);
    int master = m != NULL ? m->index : NOBODY;
    if (d->master == master && d->repl != REPL_NONE)
        return;
    /* What it has had of this master it has had wherever that one listens now, and whatever it has been through. */
    bool same_data = (m != NULL && goes_on(d, &m->data)) || (d->master != -1 && cl_id_eq(&d->follows, id));
    if (d->master == -1)
        d->old_us = same_data ? node_clock(w, n) : -1;
    else if (!same_data)
        d->old_us = -1;
    else if (d->repl == REPL_UP)
        d->old_us = local_time_of(w, n, d->heard_us);
    if (d->master == -1) {
        jobs_upset(w, n, "it is a replica now", true);
        handover_given(w, n, NULL);
    }
    d->master = master;
    d->follows = *id;
    d->repl = REPL_NONE;
    d->loading = false;
    d->paused_until_us = 0;
    pull_after(w, n, MS(1));
}

void data_promote(struct world *w, struct node *n)
{
    struct data *d = &n->data;
    d->replid2 = d->replid;
    d->second_offset = d->set.offset;
    d->replid = rng_u64(&w->rng) | 1;
    d->master = -1;
    d->repl = REPL_NONE;
    d->loading = false;
    happen_not(&w->time, &n->pull);
}

/* Slots of which something goes, without a migration. */
static void excuse_loss(struct world *w, const uint64_t *before, const uint64_t *after)
{
    for (size_t i = 0; i < w->migrations.ledger.n; i++)
        if ((before[i / 64] & ~after[i / 64]) >> i % 64 & 1)
            data_excuse(w, w->migrations.ledger.writes[i].slot);
}

void data_empty(struct world *w, struct node *n)
{
    struct dataset none = {.offset = n->data.set.offset};
    excuse_loss(w, n->data.set.has, none.has);
    n->data.set = none;
}

void data_drop(struct world *w, struct node *n, const uint8_t *slots)
{
    handover_given(w, n, slots);
    for (size_t i = 0; i < w->migrations.ledger.n; i++)
        if (cl_bit(slots, w->migrations.ledger.watched[w->migrations.ledger.writes[i].slot]))
            n->data.set.has[i / 64] &= ~(UINT64_C(1) << i % 64);
    n->data.set.offset += 20;
}

bool data_slots(const struct world *w, const struct node *n, uint8_t *slots)
{
    memset(slots, 0, CL_SLOT_BYTES);
    for (size_t i = 0; i < w->migrations.ledger.n; i++)
        if (n->data.set.has[i / 64] >> i % 64 & 1)
            cl_bit_set(slots, w->migrations.ledger.watched[w->migrations.ledger.writes[i].slot]);
    return has_keys(n);
}

bool data_has_slot(const struct world *w, const struct node *n, int watched)
{
    for (size_t i = 0; i < w->migrations.ledger.n; i++)
        if (w->migrations.ledger.writes[i].slot == watched && (n->data.set.has[i / 64] >> i % 64 & 1))
            return true;
    return false;
}

void data_move_slot(struct world *w, struct node *from, struct node *to, int watched)
{
    data_excuse(w, watched); /* not in one step, and not of all sides at once */
    for (size_t i = 0; i < w->migrations.ledger.n; i++) {
        uint64_t bit = UINT64_C(1) << i % 64;
        if (w->migrations.ledger.writes[i].slot != watched || (from->data.set.has[i / 64] & bit) == 0)
            continue;
        from->data.set.has[i / 64] &= ~bit;
        to->data.set.has[i / 64] |= bit;
        from->data.set.offset += 20;
        to->data.set.offset += 60;
    }
}

/* A master's own PINGs move its offset; while it is paused for a failover it sends none. */
static void ping(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    happen(&w->time, h, w->time.now_us + MS(w->plan.repl_ping_ms), ping);
    if (n->core != NULL && !n->stopped && n->data.master == -1 && node_clock(w, n) >= n->data.paused_until_us)
        n->data.set.offset += 14;
}

static void flush(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    happen(&w->time, h, w->time.now_us + MS(w->plan.flush_ms), flush);
    if (n->core != NULL && !n->stopped && !n->disk.full)
        party_flushes(n);
}

void data_started(struct world *w, struct node *n)
{
    struct data *d = &n->data;
    uint64_t mapping = d->set.mapping;
    if (w->plan.volatile_data) {
        data_empty(w, n);
    } else if (w->plan.flush_ms > 0) {
        excuse_loss(w, d->set.has, d->flushed.has);
        d->set = d->flushed;
        happen(&w->time, &n->flush, w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.flush_ms)),
               flush);
    }
    if (d->set.mapping < mapping)
        swap_rolled_back(w, n);
    /* Whoever restarts begins a history of its own; the FOLLOW that the core's first step asks for comes next. */
    d->replid = rng_u64(&w->rng) | 1;
    d->replid2 = 0;
    d->master = -1;
    d->repl = REPL_NONE;
    d->loading = false;
    d->paused_until_us = 0;
    d->old_us = -1;
    happen(&w->time, &n->ping, w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.repl_ping_ms)), ping);
}

void data_crashed(struct world *w, struct node *n)
{
    n->data.repl = REPL_NONE;
    n->data.loading = false;
    happen_not(&w->time, &n->pull);
    happen_not(&w->time, &n->ping);
    happen_not(&w->time, &n->flush);
}
