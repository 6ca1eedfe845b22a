/* The data sides of migrations, as noded/repl/export.h and import.h have them: a link from source to target for each
 * job, on which letters arrive in order, late, or never. The source sends what it has in the slots, then each further
 * write; the target keeps that apart, and so do its replicas. */
#include "tests/bus/world.h"

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

struct letter {
    struct happening h; /* first */
    struct transfer *transfer;
    enum side to;
    enum letter_kind kind;
    size_t upto;
    uint64_t seq;
    unsigned life; /* of the node for LOST */
    struct letter *next;
};

struct end {
    int node;
    unsigned life;
    bool open;
    bool stopped; /* its core wants no news any more */
    bool granted;
    int64_t heard_us; /* when the other was last within reach */
    int64_t ready_us; /* nothing arrives here earlier: TCP keeps the order */
    struct letter *held, **held_last;
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
    return cl_bit(t->slots, w->watched[w->writes[write].slot]);
}

static struct node *node_of(struct world *w, const struct transfer *t, enum side side)
{
    return &w->nodes[t->end[side].node];
}

static bool alive(struct world *w, const struct transfer *t, enum side side)
{
    const struct node *n = node_of(w, t, side);
    return n->core != NULL && n->life == t->end[side].life;
}

/* ---- letters ---- */

static void arrive(struct world *w, struct happening *h);

static struct letter *letter(struct world *w, struct transfer *t, enum side to, enum letter_kind kind)
{
    struct letter *l = mem_zalloc(sizeof *l);
    heap_node_init(&l->h.at);
    l->h.who = t->end[to].node;
    l->transfer = t;
    l->to = to;
    l->kind = kind;
    l->next = NULL;
    w->letters = mem_grow(w->letters, w->nletters, &w->cap_letters, sizeof *w->letters);
    w->letters[w->nletters++] = l;
    return l;
}

static void schedule(struct world *w, struct letter *l, int64_t after_us)
{
    struct end *to = &l->transfer->end[l->to];
    int64_t at = w->time.now_us + after_us;
    to->ready_us = at > to->ready_us ? at : to->ready_us;
    happen(&w->time, &l->h, to->ready_us, arrive);
}

static int64_t delay(struct world *w)
{
    int64_t d = w->plan.delay_us + (int64_t)rng_below(&w->rng, (uint64_t)w->plan.delay_us + 1);
    if (w->weather.extra_us > 0 && rng_below(&w->rng, 4) == 0)
        d += (int64_t)rng_below(&w->rng, (uint64_t)w->weather.extra_us);
    return d;
}

static void send(struct world *w, struct transfer *t, struct letter *l)
{
    struct end *to = &t->end[l->to];
    if (w->cut[t->end[!l->to].node][to->node] == 0 && to->held == NULL) {
        schedule(w, l, delay(w));
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
    struct letter *l = t->end[to].held;
    if (l == NULL || w->cut[t->end[!to].node][t->end[to].node] != 0)
        return;
    t->end[to].held = NULL;
    for (struct letter *next; l != NULL; l = next) {
        next = l->next;
        l->next = NULL;
        schedule(w, l, delay(w));
    }
}

/* The data side of one end tells its core, in a turn of its own, that the link is gone. */
static void lose(struct world *w, struct transfer *t, enum side side)
{
    struct letter *l = letter(w, t, side, LETTER_LOST);
    l->life = t->end[side].life;
    happen(&w->time, &l->h, w->time.now_us + 1, arrive);
}

static void close_end(struct world *w, struct transfer *t, enum side side, bool tell_other)
{
    struct end *e = &t->end[side];
    if (!e->open)
        return;
    e->open = false;
    if (tell_other)
        send(w, t, letter(w, t, side == SOURCE ? TARGET : SOURCE, LETTER_FIN));
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
    e->life = n->life;
    e->heard_us = w->time.now_us;
    if (n->data.master != -1) {
        close_end(w, t, TARGET, true);
        return;
    }
    happen(&w->time, &t->turn, w->time.now_us + TURN_US,
           turn); /* the source may have died meanwhile, and its turns with it */
    tell(w, t, TARGET, CL_JOB_IS_ASKED, t->mapping, "");
}

static void begin_snapshot(struct world *w, struct transfer *t)
{
    const struct node *n = node_of(w, t, SOURCE);
    t->accepted = true;
    for (size_t i = 0; i < w->nwrites; i++)
        if (in_slots(w, t, i) && (n->data.set.has[i / 64] >> i % 64 & 1)) {
            t->log = mem_grow(t->log, t->nlog, &t->cap_log, sizeof *t->log);
            t->log[t->nlog++] = i;
        }
    t->snapshot = t->nlog;
    t->snapshot_us = w->time.now_us + draw_skewed(&w->rng, MS(1), MS(w->plan.sync_ms) / 2 + MS(2));
    tell(w, t, SOURCE, CL_JOB_IS_SNAPSHOTTING, 0, "");
}

static void apply(struct world *w, struct transfer *t, size_t upto)
{
    struct data *d = &node_of(w, t, TARGET)->data;
    for (; t->applied < upto; t->applied++) {
        size_t i = t->log[t->applied];
        if ((d->set.has[i / 64] >> i % 64 & 1) != 0 && w->violation == NULL)
            RECORD(w, node_name(t->end[TARGET].node), "gets a write that it has");
        d->set.shadow[i / 64] |= UINT64_C(1) << i % 64;
        d->set.offset += 60;
    }
}

static void at_target(struct world *w, struct transfer *t, const struct letter *l)
{
    switch (l->kind) {
    case LETTER_DATA: apply(w, t, l->upto); break;
    case LETTER_DRAIN:
        apply(w, t, l->upto);
        t->draining = true;
        t->flush_us = w->time.now_us + draw_skewed(&w->rng, 100, 20000);
        break;
    case LETTER_RESUME:
        t->draining = t->drained = false;
        send(w, t, letter(w, t, SOURCE, LETTER_RESUMED));
        break;
    case LETTER_GRANT:
        t->end[TARGET].granted = true;
        tell(w, t, TARGET, CL_JOB_IS_GRANTED, l->seq, "");
        break;
    default: lost(w, t, TARGET, "the source closed the link"); break;
    }
}

static void at_source(struct world *w, struct transfer *t, const struct letter *l)
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
    struct letter *l = (struct letter *)h;
    struct transfer *t = l->transfer;
    struct end *e = &t->end[l->to];
    struct node *n = &w->nodes[e->node];
    if (w->violation != NULL)
        return;
    if (n->stopped) {
        inbox_put(&n->inbox, h);
        return;
    }
    if (l->kind == LETTER_LOST) {
        if (n->life == l->life)
            tell(w, t, l->to, CL_JOB_IS_LOST, 0, "the data side gave it up");
        return;
    }
    if (l->kind == LETTER_ESTABLISH && n->core != NULL) {
        established(w, t);
        return;
    }
    if (!e->open || !alive(w, t, l->to)) {
        /* The kernel answers for a process that is no more. */
        if (l->kind != LETTER_FIN && t->end[!l->to].open && !n->host_down)
            send(w, t, letter(w, t, !l->to, LETTER_FIN));
        return;
    }
    e->heard_us = w->time.now_us;
    if (l->to == TARGET)
        at_target(w, t, l);
    else
        at_source(w, t, l);
}

/* ---- turns ---- */

static void send_upto(struct world *w, struct transfer *t, size_t upto, enum letter_kind kind)
{
    struct letter *l = letter(w, t, TARGET, kind);
    l->upto = t->sent = upto;
    send(w, t, l);
}

static void turn_of_source(struct world *w, struct transfer *t)
{
    if (!t->accepted)
        return;
    if (!t->streaming && w->time.now_us < t->snapshot_us) {
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
    if (!t->drain_sent && !t->resuming && t->applied + NEAR >= t->nlog && w->time.now_us >= t->near_us) {
        t->near_us = w->time.now_us + MS(100);
        tell(w, t, SOURCE, CL_JOB_IS_NEAR, 0, "");
    }
}

static bool replicas_have_it(struct world *w, const struct node *n)
{
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *r = &w->nodes[i];
        if (r->core == NULL || r->data.master != n->index || r->data.repl != REPL_UP)
            continue;
        for (int k = 0; k < WRITES_WORDS; k++)
            if ((n->data.set.shadow[k] & ~r->data.set.shadow[k]) != 0)
                return false;
    }
    return true;
}

static void turn_of_target(struct world *w, struct transfer *t)
{
    struct node *n = node_of(w, t, TARGET);
    if (!t->draining || t->drained || w->time.now_us < t->flush_us || !cl_ready_to_take(n->core, &t->job) ||
        n->disk.full || !replicas_have_it(w, n))
        return;
    data_flush(n);
    t->drained = true;
    handover_drained(w, &t->job, n);
    struct letter *l = letter(w, t, SOURCE, LETTER_DRAINED);
    l->seq = cl_greatest_epoch(n->core);
    send(w, t, l);
}

/* Silence: the machine at the other end is off or was so, the process stands still, or the network is cut. */
static void look_for_silence(struct world *w, struct transfer *t, enum side side)
{
    const struct end *other = &t->end[!side];
    const struct node *n = &w->nodes[other->node];
    struct end *e = &t->end[side];
    bool there = !n->host_down && !n->stopped && net_open(w, e->node, other->node);
    if (side == TARGET && !alive(w, t, SOURCE))
        there = false;
    if (there)
        e->heard_us = w->time.now_us;
    if (e->open && w->time.now_us - e->heard_us > t->patience_us)
        lost(w, t, side, "the other end is silent");
}

static void turn(struct world *w, struct happening *h)
{
    struct transfer *t = (struct transfer *)h;
    for (int side = SOURCE; side <= TARGET && w->violation == NULL; side++) {
        send_held(w, t, (enum side)side);
        if (!t->end[side].open || !alive(w, t, (enum side)side) || node_of(w, t, (enum side)side)->stopped)
            continue;
        look_for_silence(w, t, (enum side)side);
        if (t->end[side].open && side == SOURCE)
            turn_of_source(w, t);
        else if (t->end[side].open)
            turn_of_target(w, t);
    }
    /* The other end may not have been established yet, or something may still be on its way. */
    if (t->end[SOURCE].open || t->end[TARGET].open || t->end[TARGET].held != NULL || t->end[SOURCE].held != NULL)
        happen(&w->time, h, w->time.now_us + 1 + (int64_t)rng_below(&w->rng, 2 * TURN_US), turn);
}

/* ---- what cores want ---- */

/* The one whose end is at this node; the newest: a name is not used twice. NULL: it is not known any more. */
static struct transfer *find(struct world *w, const struct node *n, const struct cl_id *job, enum side side)
{
    for (size_t i = w->ntransfers; i-- > 0;) {
        struct transfer *t = w->transfers[i];
        if (cl_id_eq(&t->job, job) && t->end[side].node == n->index && t->end[side].life == n->life)
            return t;
    }
    return NULL;
}

void jobs_export(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = mem_zalloc(sizeof *t);
    const struct node *to = data_at_address(w, e->ip, e->port);
    w->transfers = mem_grow(w->transfers, w->ntransfers, &w->cap_transfers, sizeof *w->transfers);
    w->transfers[w->ntransfers++] = t;
    heap_node_init(&t->turn.at);
    t->job = e->job;
    t->source = n->id;
    t->mapping = n->data.set.mapping;
    memcpy(t->slots, cl_effect_slots(e), sizeof t->slots);
    t->patience_us = rng_range(&w->rng, SECONDS(2), SECONDS(8));
    t->end[SOURCE] = (struct end){.node = n->index, .life = n->life, .open = true, .heard_us = w->time.now_us};
    t->end[TARGET] = (struct end){.node = to != NULL ? to->index : n->index, .life = UINT32_MAX};
    w->counts[COUNT_JOBS]++;
    if (to == NULL || to == n) {
        t->end[SOURCE].open = false;
        lose(w, t, SOURCE);
        return;
    }
    send(w, t, letter(w, t, TARGET, LETTER_ESTABLISH));
    happen(&w->time, &t->turn, w->time.now_us + TURN_US, turn);
}

void jobs_drain(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, SOURCE);
    if (t == NULL || !t->end[SOURCE].open)
        return;
    t->drain_sent = true;
    send_upto(w, t, t->nlog, LETTER_DRAIN);
    if (w->drains != NULL)
        w->drains(w, n, &w->nodes[t->end[TARGET].node]);
}

void jobs_resume(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, SOURCE);
    if (t == NULL || !t->end[SOURCE].open)
        return;
    w->counts[COUNT_TRIED_AGAIN]++;
    t->drain_sent = false;
    t->resuming = true;
    send(w, t, letter(w, t, TARGET, LETTER_RESUME));
}

void jobs_grant(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, SOURCE);
    if (t == NULL || !t->end[SOURCE].open)
        return;
    w->counts[COUNT_GRANTS]++;
    t->end[SOURCE].granted = true;
    handover_granted(w, n, e, t->slots, &w->nodes[t->end[TARGET].node].id);
    struct letter *l = letter(w, t, TARGET, LETTER_GRANT);
    l->seq = e->seq;
    /* Lost on its way, and sent again: then the bus may be faster. */
    if (w->grant_late_us > 0) {
        t->end[TARGET].ready_us = w->time.now_us + w->grant_late_us;
    } else if (rng_below(&w->rng, 16) == 0) {
        w->counts[COUNT_LATE]++;
        t->end[TARGET].ready_us = w->time.now_us + draw_skewed(&w->rng, MS(100), MS(w->plan.timeout_ms) * 5);
    }
    send(w, t, l);
    fault_at_grant(w, n, &w->nodes[t->end[TARGET].node]);
    if (w->grants != NULL)
        w->grants(w, n, &w->nodes[t->end[TARGET].node]);
}

/* Shadows of the slots that are there already would be taken for what arrives now. */
static void check_clean(struct world *w, const struct node *n, const struct transfer *t)
{
    for (size_t i = 0; i < w->nwrites; i++)
        if ((n->data.set.shadow[i / 64] >> i % 64 & 1) != 0 && in_slots(w, t, i))
            violated(w, "H3", "%s accepts slot %d, and has a part of it from before", node_name(n->index),
                     w->watched[w->writes[i].slot]);
}

void jobs_accept(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct transfer *t = find(w, n, &e->job, TARGET);
    if (t == NULL || !t->end[TARGET].open)
        return;
    if (e->ok && t->mapping != n->data.set.mapping)
        violated(w, "H4", "%s, whose mapping has epoch %llu, accepts data of a mapping of epoch %llu",
                 node_name(n->index), (unsigned long long)n->data.set.mapping, (unsigned long long)t->mapping);
    if (e->ok)
        check_clean(w, n, t);
    send(w, t, letter(w, t, SOURCE, e->ok ? LETTER_ACCEPTED : LETTER_REFUSED));
    if (!e->ok)
        close_end(w, t, TARGET, false);
}

void jobs_stop(struct world *w, struct node *n, const struct cl_effect *e)
{
    for (int side = SOURCE; side <= TARGET; side++) {
        struct transfer *t = find(w, n, &e->job, (enum side)side);
        if (t == NULL)
            continue;
        w->counts[e->ok ? COUNT_JOBS_DONE : COUNT_JOBS_ENDED] += side == SOURCE && !t->end[side].stopped;
        close_end(w, t, (enum side)side, true);
        t->end[side].stopped = true;
    }
}

void jobs_show(struct world *w, struct node *n, const uint8_t *slots, bool show)
{
    struct dataset *d = &n->data.set;
    bool any = false;
    if (n->data.master != -1)
        violated(w, "shell", "%s, a replica, changes what it has of its master", node_name(n->index));
    for (size_t i = 0; i < w->nwrites; i++) {
        uint64_t bit = UINT64_C(1) << i % 64;
        if ((d->shadow[i / 64] & bit) == 0 || !cl_bit(slots, w->watched[w->writes[i].slot]))
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
    for (size_t i = 0; i < w->ntransfers; i++) {
        struct transfer *t = w->transfers[i];
        if (!t->end[SOURCE].open || t->end[SOURCE].node != n->index || !t->accepted || !in_slots(w, t, write))
            continue;
        if (t->drain_sent)
            violated(w, "H3", "%s executes a write to slot %d, which waits for its target", node_name(n->index),
                     w->watched[w->writes[write].slot]);
        t->log = mem_grow(t->log, t->nlog, &t->cap_log, sizeof *t->log);
        t->log[t->nlog++] = write;
    }
}

void jobs_upset(struct world *w, struct node *n, const char *why, bool all)
{
    for (size_t i = 0; i < w->ntransfers; i++)
        for (int side = SOURCE; side <= TARGET; side++) {
            struct transfer *t = w->transfers[i];
            struct end *e = &t->end[side];
            if (!e->open || e->node != n->index || (e->granted && !all))
                continue;
            RECORD(w, node_name(n->index), "ends a migration: %s", why);
            close_end(w, t, (enum side)side, true);
            lose(w, t, (enum side)side);
        }
}

void jobs_died(struct world *w, struct node *n, bool host)
{
    for (size_t i = 0; i < w->ntransfers; i++)
        for (int side = SOURCE; side <= TARGET; side++)
            if (w->transfers[i]->end[side].node == n->index)
                close_end(w, w->transfers[i], (enum side)side, !host);
}

void jobs_end(struct world *w)
{
    for (size_t i = 0; i < w->nletters; i++)
        free(w->letters[i]);
    for (size_t i = 0; i < w->ntransfers; i++) {
        free(w->transfers[i]->log);
        free(w->transfers[i]);
    }
    free(w->letters);
    free(w->transfers);
}
