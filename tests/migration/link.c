/* The data sides of migrations, as noded/repl/export.h and import.h have them: a link from source to target for each
 * job, on which letters arrive in order, late, or never. The source sends what it has in the slots, then each further
 * write; the target keeps that apart, and so do its replicas. */
#include "noded/cluster/handover.h"
#include "noded/cluster/state.h"
#include "tests/migration/host.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define TURN_US 3000 /* mean time between two looks of a data side at its links */
#define NEAR 2       /* writes that are little enough */

enum side { SOURCE, TARGET };

enum letter_kind {
    LETTER_ESTABLISH,
    LETTER_ACCEPTED,
    LETTER_REFUSED,
    LETTER_DATA,    /* upto: of the log */
    LETTER_DRAIN,   /* the same */
    LETTER_DRAINED, /* seq: the greatest epoch */
    LETTER_RESUME,
    LETTER_RESUMED,
    LETTER_GRANT, /* seq: the epoch */
    LETTER_FIN,   /* the other end closed it, or gave it up */
    LETTER_LOST   /* from a data side to its own core */
};

struct parcel {
    struct happening h; /* first */
    struct transfer *transfer;
    enum side to;
    enum letter_kind kind;
    size_t upto;
    uint64_t seq;
    unsigned life; /* of the node for LOST */
    struct parcel *next;
};

struct end {
    int node;
    unsigned life;
    bool open;
    bool stopped; /* its core wants no news any more */
    bool granted;
    int64_t heard_us; /* when the other was last within reach */
    int64_t ready_us; /* nothing arrives here earlier: TCP keeps the order */
    struct parcel *held, **held_last;
};

struct transfer {
    struct happening turn; /* first */
    struct cl_id job, source;
    struct end end[2];
    uint64_t mapping; /* of the source when it began */
    uint8_t slots[CL_SLOT_BYTES];
    size_t *log, nlog, cap_log; /* writes, in the order in which they are sent */
    size_t snapshot;            /* of them are its part */
    size_t sent, applied;
    bool accepted, streaming, drain_sent, draining, drained;
    bool resuming; /* answers to DRAIN count no more, until RESUME is answered */
    int64_t snapshot_us, near_us, flush_us;
    int64_t patience_us;
};

static bool in_slots(const struct world *w, const struct transfer *t, size_t write)
{
    return cl_bit(t->slots, ledger(w)->watched[ledger(w)->writes[write].slot]);
}

static struct node *node_of(struct world *w, const struct transfer *t, enum side side)
{
    return world_node(w, t->end[side].node);
}

static bool alive(struct world *w, const struct transfer *t, enum side side)
{
    const struct node *n = node_of(w, t, side);
    return party_core(n) != NULL && party_life(n) == t->end[side].life;
}

/* ---- letters ---- */

static void arrive(struct world *w, struct happening *h);

static struct parcel *parcel(struct world *w, struct transfer *t, enum side to, enum letter_kind kind)
{
    struct parcel *l = mem_zalloc(sizeof *l);
    heap_node_init(&l->h.at);
    l->h.who = t->end[to].node;
    l->transfer = t;
    l->to = to;
    l->kind = kind;
    l->next = NULL;
    world_migrations(w)->parcels = mem_grow(world_migrations(w)->parcels, world_migrations(w)->nparcels,
                                            &world_migrations(w)->cap_parcels, sizeof *world_migrations(w)->parcels);
    world_migrations(w)->parcels[world_migrations(w)->nparcels++] = l;
    return l;
}

static void schedule(struct world *w, struct parcel *l, int64_t after_us)
{
    struct end *to = &l->transfer->end[l->to];
    int64_t at = world_time(w)->now_us + after_us;
    to->ready_us = at > to->ready_us ? at : to->ready_us;
    happen(world_time(w), &l->h, to->ready_us, arrive);
}

static void send(struct world *w, struct transfer *t, struct parcel *l)
{
    struct end *to = &t->end[l->to];
    if (!world_is_cut(w, t->end[!l->to].node, to->node) && to->held == NULL) {
        schedule(w, l, world_delay(w));
        return;
    }
    if (to->held == NULL)
        to->held_last = &to->held;
    *to->held_last = l;
    to->held_last = &l->next;
}

/* What waited for a partition to heal is sent again. */
static void send_held(struct world *w, struct transfer *t, enum side to)
{
    struct parcel *l = t->end[to].held;
    if (l == NULL || world_is_cut(w, t->end[!to].node, t->end[to].node))
        return;
    t->end[to].held = NULL;
    for (struct parcel *next; l != NULL; l = next) {
        next = l->next;
        l->next = NULL;
        schedule(w, l, world_delay(w));
    }
}

/* The data side of one end tells its core, in a turn of its own, that the link is gone. */
static void lose(struct world *w, struct transfer *t, enum side side)
{
    struct parcel *l = parcel(w, t, side, LETTER_LOST);
    l->life = t->end[side].life;
    happen(world_time(w), &l->h, world_time(w)->now_us + 1, arrive);
}

static void close_end(struct world *w, struct transfer *t, enum side side, bool tell_other)
{
    struct end *e = &t->end[side];
    if (!e->open)
        return;
    e->open = false;
    if (tell_other)
        send(w, t, parcel(w, t, side == SOURCE ? TARGET : SOURCE, LETTER_FIN));
}

static void tell(struct world *w, struct transfer *t, enum side side, enum cl_job_news news, uint64_t seq,
                 const char *why)
{
    struct cl_event e = {.kind = CL_EV_JOB, .job = t->job, .news = news, .seq = seq};
    e.bytes = slice_of(why);
    e.node = t->source;
    e.slots = t->slots;
    if (alive(w, t, side) && !t->end[side].stopped)
        node_step(w, node_of(w, t, side), &e);
}

static void lost(struct world *w, struct transfer *t, enum side side, const char *why)
{
    close_end(w, t, side, true);
    tell(w, t, side, CL_JOB_IS_LOST, 0, why);
}

/* ---- what arrives ---- */

static void turn(struct world *w, struct happening *h);

static void established(struct world *w, struct transfer *t)
{
    struct node *n = node_of(w, t, TARGET);
    struct end *e = &t->end[TARGET];
    e->open = true;
    e->life = party_life(n);
    e->heard_us = world_time(w)->now_us;
    if (party_follows(n) != -1) {
        close_end(w, t, TARGET, true);
        return;
    }
    happen(world_time(w), &t->turn, world_time(w)->now_us + TURN_US,
           turn); /* the source may have died meanwhile, and its turns with it */
    tell(w, t, TARGET, CL_JOB_IS_ASKED, t->mapping, "");
}

static void begin_snapshot(struct world *w, struct transfer *t)
{
    const struct node *n = node_of(w, t, SOURCE);
    t->accepted = true;
    for (size_t i = 0; i < ledger(w)->n; i++)
        if (in_slots(w, t, i) && (party_dataset(n)->has[i / 64] >> i % 64 & 1)) {
            t->log = mem_grow(t->log, t->nlog, &t->cap_log, sizeof *t->log);
            t->log[t->nlog++] = i;
        }
    t->snapshot = t->nlog;
    t->snapshot_us = world_time(w)->now_us + rng_skewed(world_rng(w), MS(1), world_migrations(w)->sync_us / 2 + MS(2));
    tell(w, t, SOURCE, CL_JOB_IS_SNAPSHOTTING, 0, "");
}

static void apply(struct world *w, struct transfer *t, size_t upto)
{
    struct dataset *d = party_dataset(node_of(w, t, TARGET));
    for (; t->applied < upto; t->applied++) {
        size_t i = t->log[t->applied];
        if ((d->has[i / 64] >> i % 64 & 1) != 0 && !world_is_over(w))
            NOTE(w, node_name(t->end[TARGET].node), "gets a write that it has");
        d->shadow[i / 64] |= UINT64_C(1) << i % 64;
        d->offset += 60;
    }
}

static void at_target(struct world *w, struct transfer *t, const struct parcel *l)
{
    switch (l->kind) {
    case LETTER_DATA: apply(w, t, l->upto); break;
    case LETTER_DRAIN:
        apply(w, t, l->upto);
        t->draining = true;
        t->flush_us = world_time(w)->now_us + rng_skewed(world_rng(w), 100, 20000);
        break;
    case LETTER_RESUME:
        t->draining = t->drained = false;
        send(w, t, parcel(w, t, SOURCE, LETTER_RESUMED));
        break;
    case LETTER_GRANT:
        t->end[TARGET].granted = true;
        tell(w, t, TARGET, CL_JOB_IS_GRANTED, l->seq, "");
        break;
    default: lost(w, t, TARGET, "the source closed the link"); break;
    }
}

static void at_source(struct world *w, struct transfer *t, const struct parcel *l)
{
    switch (l->kind) {
    case LETTER_ACCEPTED: begin_snapshot(w, t); break;
    case LETTER_DRAINED:
        if (!t->resuming)
            tell(w, t, SOURCE, CL_JOB_IS_DRAINED, l->seq, "");
        break;
    case LETTER_RESUMED: t->resuming = false; break;
    case LETTER_REFUSED: lost(w, t, SOURCE, "the target does not accept it"); break;
    default: lost(w, t, SOURCE, "the target closed the link"); break;
    }
}

static void arrive(struct world *w, struct happening *h)
{
    struct parcel *l = (struct parcel *)h;
    struct transfer *t = l->transfer;
    struct end *e = &t->end[l->to];
    struct node *n = world_node(w, e->node);
    if (world_is_over(w))
        return;
    if (party_stopped(n)) {
        inbox_put(party_inbox(n), h);
        return;
    }
    if (l->kind == LETTER_LOST) {
        if (party_life(n) == l->life)
            tell(w, t, l->to, CL_JOB_IS_LOST, 0, "the data side gave it up");
        return;
    }
    if (l->kind == LETTER_ESTABLISH && party_core(n) != NULL) {
        established(w, t);
        return;
    }
    if (!e->open || !alive(w, t, l->to)) {
        /* The kernel answers for a process that is no more. */
        if (l->kind != LETTER_FIN && t->end[!l->to].open && !party_off(n))
            send(w, t, parcel(w, t, !l->to, LETTER_FIN));
        return;
    }
    e->heard_us = world_time(w)->now_us;
    if (l->to == TARGET)
        at_target(w, t, l);
    else
        at_source(w, t, l);
}

/* ---- turns ---- */

static void send_upto(struct world *w, struct transfer *t, size_t upto, enum letter_kind kind)
{
    struct parcel *l = parcel(w, t, TARGET, kind);
    l->upto = t->sent = upto;
    send(w, t, l);
}

static void turn_of_source(struct world *w, struct transfer *t)
{
    if (!t->accepted)
        return;
    if (!t->streaming && world_time(w)->now_us < t->snapshot_us) {
        send_upto(w, t, t->sent + (t->snapshot - t->sent) / 4, LETTER_DATA);
        return;
    }
    if (!t->drain_sent && t->sent < t->nlog)
        send_upto(w, t, t->nlog, LETTER_DATA);
    if (!t->streaming) {
        t->streaming = true;
        tell(w, t, SOURCE, CL_JOB_IS_STREAMING, 0, "");
        return;
    }
    if (!t->drain_sent && !t->resuming && t->applied + NEAR >= t->nlog && world_time(w)->now_us >= t->near_us) {
        t->near_us = world_time(w)->now_us + MS(100);
        tell(w, t, SOURCE, CL_JOB_IS_NEAR, 0, "");
    }
}

static bool links_both_ways(const struct world *w, int a, int b)
{
    return !world_is_cut(w, a, b) && !world_is_cut(w, b, a);
}

static bool replicas_have_it(struct world *w, const struct node *n)
{
    for (int i = 0; i < world_nodes(w); i++) {
        const struct node *r = world_node(w, i);
        if (party_core(r) == NULL || party_follows(r) != party_index(n) || !party_streams(r))
            continue;
        for (int k = 0; k < WRITES_WORDS; k++)
            if ((party_dataset(n)->shadow[k] & ~party_dataset(r)->shadow[k]) != 0)
                return false;
    }
    return true;
}

static void turn_of_target(struct world *w, struct transfer *t)
{
    struct node *n = node_of(w, t, TARGET);
    if (!t->draining || t->drained || world_time(w)->now_us < t->flush_us ||
        !cl_ready_to_take(party_core(n), &t->job) || party_disk_full(n) || !replicas_have_it(w, n))
        return;
    party_flushes(n);
    t->drained = true;
    handover_drained(w, &t->job, n);
    struct parcel *l = parcel(w, t, SOURCE, LETTER_DRAINED);
    l->seq = cl_greatest_epoch(party_core(n));
    send(w, t, l);
}

/* Silence: the machine at the other end is off or was so, the process stands still, or the network is cut. */
static void look_for_silence(struct world *w, struct transfer *t, enum side side)
{
    const struct end *other = &t->end[!side];
    const struct node *n = world_node(w, other->node);
    struct end *e = &t->end[side];
    bool there = !party_off(n) && !party_stopped(n) && links_both_ways(w, e->node, other->node);
    if (side == TARGET && !alive(w, t, SOURCE))
        there = false;
    if (there)
        e->heard_us = world_time(w)->now_us;
    if (e->open && world_time(w)->now_us - e->heard_us > t->patience_us)
        lost(w, t, side, "the other end is silent");
}

static void turn(struct world *w, struct happening *h)
{
    struct transfer *t = (struct transfer *)h;
    for (int side = SOURCE; side <= TARGET && !world_is_over(w); side++) {
        send_held(w, t, (enum side)side);
        if (!t->end[side].open || !alive(w, t, (enum side)side) || party_stopped(node_of(w, t, (enum side)side)))
            continue;
        look_for_silence(w, t, (enum side)side);
        if (t->end[side].open && side == SOURCE)
            turn_of_source(w, t);
        else if (t->end[side].open)
            turn_of_target(w, t);
    }
    /* The other end may not have been established yet, or something may still be on its way. */
    if (t->end[SOURCE].open || t->end[TARGET].open || t->end[TARGET].held != NULL || t->end[SOURCE].held != NULL)
        happen(world_time(w), h, world_time(w)->now_us + 1 + (int64_t)rng_below(world_rng(w), 2 * TURN_US), turn);
}

/* ---- what cores want ---- */

/* The one whose end is at this node; the newest: a name is not used twice. NULL: it is not known any more. */
static struct transfer *find(struct world *w, const struct node *n, const struct cl_id *job, enum side side)
{
    for (size_t i = world_migrations(w)->ntransfers; i-- > 0;) {
        struct transfer *t = world_migrations(w)->transfers[i];
        if (cl_id_eq(&t->job, job) && t->end[side].node == party_index(n) && t->end[side].life == party_life(n))
            return t;
    }
    return NULL;
}

void jobs_export(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = mem_zalloc(sizeof *t);
    const struct node *to = party_at(w, e->ip, e->port);
    world_migrations(w)->transfers = mem_grow(world_migrations(w)->transfers, world_migrations(w)->ntransfers,
                                              &world_migrations(w)->cap_transfers,
                                              sizeof *world_migrations(w)->transfers);
    world_migrations(w)->transfers[world_migrations(w)->ntransfers++] = t;
    heap_node_init(&t->turn.at);
    t->job = e->job;
    t->source = *party_id(n);
    t->mapping = party_dataset(n)->mapping;
    memcpy(t->slots, cl_effect_slots(e), sizeof t->slots);
    t->patience_us = rng_range(world_rng(w), SECONDS(2), SECONDS(8));
    t->end[SOURCE] = (struct end){
        .node = party_index(n), .life = party_life(n), .open = true, .heard_us = world_time(w)->now_us};
    t->end[TARGET] = (struct end){.node = to != NULL ? party_index(to) : party_index(n), .life = UINT32_MAX};
    world_counts(w, MIGRATION_JOBS);
    if (to == NULL || to == n) {
        t->end[SOURCE].open = false;
        lose(w, t, SOURCE);
        return;
    }
    send(w, t, parcel(w, t, TARGET, LETTER_ESTABLISH));
    happen(world_time(w), &t->turn, world_time(w)->now_us + TURN_US, turn);
}

void jobs_drain(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, SOURCE);
    if (t == NULL || !t->end[SOURCE].open)
        return;
    t->drain_sent = true;
    send_upto(w, t, t->nlog, LETTER_DRAIN);
    if (world_migrations(w)->drains != NULL)
        world_migrations(w)->drains(w, n, world_node(w, t->end[TARGET].node));
}

void jobs_resume(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, SOURCE);
    if (t == NULL || !t->end[SOURCE].open)
        return;
    world_counts(w, MIGRATION_TRIED_AGAIN);
    t->drain_sent = false;
    t->resuming = true;
    send(w, t, parcel(w, t, TARGET, LETTER_RESUME));
}

void jobs_grant(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, SOURCE);
    if (t == NULL || !t->end[SOURCE].open)
        return;
    world_counts(w, MIGRATION_GRANTS);
    t->end[SOURCE].granted = true;
    handover_granted(w, n, e, t->slots, party_id(world_node(w, t->end[TARGET].node)));
    struct parcel *l = parcel(w, t, TARGET, LETTER_GRANT);
    l->seq = e->seq;
    /* Lost on its way, and sent again: then the bus may be faster. */
    if (world_migrations(w)->grant_late_us > 0) {
        t->end[TARGET].ready_us = world_time(w)->now_us + world_migrations(w)->grant_late_us;
    } else if (rng_below(world_rng(w), 16) == 0) {
        world_counts(w, MIGRATION_LATE);
        t->end[TARGET].ready_us = world_time(w)->now_us +
                                  rng_skewed(world_rng(w), MS(100), world_migrations(w)->late_us);
    }
    send(w, t, l);
    fault_at_grant(w, n, world_node(w, t->end[TARGET].node));
    if (world_migrations(w)->grants != NULL)
        world_migrations(w)->grants(w, n, world_node(w, t->end[TARGET].node));
}

/* Shadows of the slots that are there already would be taken for what arrives now. */
static void check_clean(struct world *w, const struct node *n, const struct transfer *t)
{
    for (size_t i = 0; i < ledger(w)->n; i++)
        if ((party_dataset(n)->shadow[i / 64] >> i % 64 & 1) != 0 && in_slots(w, t, i))
            violated(w, "H3", "%s accepts slot %d, and has a part of it from before", node_name(party_index(n)),
                     ledger(w)->watched[ledger(w)->writes[i].slot]);
}

void jobs_accept(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, TARGET);
    if (t == NULL || !t->end[TARGET].open)
        return;
    if (e->ok && t->mapping != party_dataset(n)->mapping)
        violated(w, "H4", "%s, whose mapping has epoch %llu, accepts data of a mapping of epoch %llu",
                 node_name(party_index(n)), (unsigned long long)party_dataset(n)->mapping,
                 (unsigned long long)t->mapping);
    if (e->ok)
        check_clean(w, n, t);
    send(w, t, parcel(w, t, SOURCE, e->ok ? LETTER_ACCEPTED : LETTER_REFUSED));
    if (e->ok)
        return;
    NOTE(w, node_name(party_index(n)), "accepts no migration: %.*s", (int)cl_effect_text(e).n, cl_effect_text(e).p);
    close_end(w, t, TARGET, false);
}

void jobs_stop(struct world *w, struct node *n, const struct cl_effect *e)
{
    for (int side = SOURCE; side <= TARGET; side++) {
        struct transfer *t = find(w, n, &e->job, (enum side)side);
        if (t == NULL)
            continue;
        if (side == SOURCE && !t->end[side].stopped)
            world_counts(w, e->ok ? MIGRATION_JOBS_DONE : MIGRATION_JOBS_ENDED);
        close_end(w, t, (enum side)side, true);
        t->end[side].stopped = true;
    }
}

void jobs_show(struct world *w, struct node *n, const uint8_t *slots, bool show)
{
    struct dataset *d = party_dataset(n);
    bool any = false;
    if (party_follows(n) != -1)
        violated(w, "shell", "%s, a replica, changes what it has of its master", node_name(party_index(n)));
    for (size_t i = 0; i < ledger(w)->n; i++) {
        uint64_t bit = UINT64_C(1) << i % 64;
        if ((d->shadow[i / 64] & bit) == 0 || !cl_bit(slots, ledger(w)->watched[ledger(w)->writes[i].slot]))
            continue;
        any = true;
        d->shadow[i / 64] &= ~bit;
        if (show)
            d->has[i / 64] |= bit;
    }
    d->offset += any ? 20 : 0;
    if (show)
        handover_shown(w, n, slots);
}

void jobs_written(struct world *w, struct node *n, size_t write)
{
    for (size_t i = 0; i < world_migrations(w)->ntransfers; i++) {
        struct transfer *t = world_migrations(w)->transfers[i];
        if (!t->end[SOURCE].open || t->end[SOURCE].node != party_index(n) || !t->accepted || !in_slots(w, t, write))
            continue;
        if (t->drain_sent)
            violated(w, "H3", "%s executes a write to slot %d, which waits for its target", node_name(party_index(n)),
                     ledger(w)->watched[ledger(w)->writes[write].slot]);
        t->log = mem_grow(t->log, t->nlog, &t->cap_log, sizeof *t->log);
        t->log[t->nlog++] = write;
    }
}

void jobs_upset(struct world *w, struct node *n, const char *why, bool all)
{
    for (size_t i = 0; i < world_migrations(w)->ntransfers; i++)
        for (int side = SOURCE; side <= TARGET; side++) {
            struct transfer *t = world_migrations(w)->transfers[i];
            struct end *e = &t->end[side];
            if (!e->open || e->node != party_index(n) || (e->granted && !all))
                continue;
            NOTE(w, node_name(party_index(n)), "ends a migration: %s", why);
            close_end(w, t, (enum side)side, true);
            lose(w, t, (enum side)side);
        }
}

void jobs_died(struct world *w, struct node *n, bool host)
{
    for (size_t i = 0; i < world_migrations(w)->ntransfers; i++)
        for (int side = SOURCE; side <= TARGET; side++)
            if (world_migrations(w)->transfers[i]->end[side].node == party_index(n))
                close_end(w, world_migrations(w)->transfers[i], (enum side)side, !host);
}

void jobs_end(struct world *w)
{
    for (size_t i = 0; i < world_migrations(w)->nparcels; i++)
        free(world_migrations(w)->parcels[i]);
    for (size_t i = 0; i < world_migrations(w)->ntransfers; i++) {
        free(world_migrations(w)->transfers[i]->log);
        free(world_migrations(w)->transfers[i]);
    }
    free(world_migrations(w)->parcels);
    free(world_migrations(w)->transfers);
}
