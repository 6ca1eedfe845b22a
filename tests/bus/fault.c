/* Faults: drawn one after the other from the kinds that the plan allows, each with an end of its own; and the healing
 * of all. */
#include "tests/bus/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define ACTIVE_MAX 24

struct fault {
    struct happening over; /* first */
    bool active;
    enum fault_kind kind;
    int who;
    bool side[MAX_NODES]; /* of a partition */
    struct conn *conn;
};

struct faults {
    struct happening next;   /* first */
    struct happening strike; /* at one end of a hand-over, its number in who */
    struct fault active[ACTIVE_MAX];
    bool any, ended; /* ended: before they begin too */
};

void fault_init(struct world *w)
{
    w->faults = mem_zalloc(sizeof *w->faults);
    w->faults->ended = true;
    heap_node_init(&w->faults->next.at);
    heap_node_init(&w->faults->strike.at);
    for (int i = 0; i < ACTIVE_MAX; i++)
        heap_node_init(&w->faults->active[i].over.at);
}

void fault_free(struct world *w)
{
    free(w->faults);
}

static void cut_or_mend(struct world *w, const struct fault *f, bool cut)
{
    void (*change)(struct world *, int, int) = cut ? net_cut : net_mend;
    for (int a = 0; a < w->plan.nodes; a++)
        for (int b = 0; b < w->plan.nodes; b++) {
            if (!f->side[a] || f->side[b])
                continue;
            change(w, a, b);
            if (f->kind == FAULT_CUT_TWO_WAY)
                change(w, b, a);
        }
}

static void end_fault(struct world *w, struct fault *f)
{
    if (!f->active)
        return;
    f->active = false;
    happen_not(&w->time, &f->over);
    struct node *n = &w->nodes[f->who >= 0 ? f->who : 0]; /* of the faults that have one */
    switch (f->kind) {
    case FAULT_KILL_MASTER:
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_MOVE:
    case FAULT_WIPE: node_start(w, n); break;
    case FAULT_MASS:
        for (int i = 0; i < w->plan.nodes; i++)
            if (f->side[i])
                node_start(w, &w->nodes[i]);
        break;
    case FAULT_STOP: node_continue(w, n); break;
    case FAULT_DRIFT: node_drift(w, n, 0); break;
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_TWO_WAY:
        RECORD(w, "network", "a partition heals");
        cut_or_mend(w, f, false);
        break;
    case FAULT_LOSS: w->weather.loss_ppm = 0; break;
    case FAULT_DELAY: w->weather.extra_us = 0; break;
    case FAULT_HANG:
        RECORD(w, "network", "a connection that hung is reset");
        net_reset(w, f->conn);
        break;
    case FAULT_DISK_SLOW: n->disk.slow_us = 0; break;
    case FAULT_DISK_FULL: n->disk.full = false; break;
    case FAULT_STREAM: n->data.broken = false; break;
    default: break;
    }
}

static void over(struct world *w, struct happening *h)
{
    end_fault(w, (struct fault *)h);
}

static struct fault *fault_new(struct world *w, enum fault_kind kind, struct node *n)
{
    for (int i = 0; i < ACTIVE_MAX; i++) {
        struct fault *f = &w->faults->active[i];
        if (f->active)
            continue;
        struct happening h = f->over;
        *f = (struct fault){.over = h, .active = true, .kind = kind, .who = n != NULL ? n->index : -1};
        happen(&w->time, &f->over, w->time.now_us + rng_skewed(&w->rng, MS(100), MS(w->plan.timeout_ms) * 6), over);
        return f;
    }
    return NULL;
}

/* A fault of a node that is down or stopped already waits for another time. */
static bool taken(const struct world *w, int who)
{
    for (int i = 0; i < ACTIVE_MAX; i++) {
        const struct fault *f = &w->faults->active[i];
        bool of_node = f->kind <= FAULT_MOVE;
        if (f->active && ((of_node && f->who == who) || (f->kind == FAULT_MASS && f->side[who])))
            return true;
    }
    return false;
}

struct node *some_node(struct world *w, bool master)
{
    for (int tries = 0; tries < 100; tries++) {
        struct node *n = &w->nodes[rng_below(&w->rng, (uint64_t)w->plan.nodes)];
        if (n->core != NULL && !n->stopped && (!master || (cl_is_master(n->core) && n->core->me->nslots > 0)))
            return n;
    }
    return NULL;
}

static void kill_it(struct world *w, struct node *n, enum fault_kind kind)
{
    w->counts[kind == FAULT_POWER ? COUNT_POWER : COUNT_KILL]++;
    if (kind != FAULT_POWER && rng_below(&w->rng, 3) == 0) {
        n->disk.crash_next = true; /* in the midst of its next text */
        return;
    }
    node_crash(w, n, kind == FAULT_POWER);
}

static void fault_of_node(struct world *w, enum fault_kind kind)
{
    struct node *n = some_node(w, kind == FAULT_KILL_MASTER || rng_below(&w->rng, 2) == 0);
    if (n == NULL || taken(w, n->index) || fault_new(w, kind, n) == NULL)
        return;
    switch (kind) {
    case FAULT_STOP:
        w->counts[COUNT_STOP]++;
        node_stop(w, n);
        break;
    case FAULT_WIPE:
        w->counts[COUNT_WIPED]++;
        node_crash(w, n, false);
        node_wipe(w, n);
        break;
    case FAULT_MOVE:
        w->counts[COUNT_MOVED]++;
        node_crash(w, n, false);
        node_move(w, n);
        break;
    default: kill_it(w, n, kind); break;
    }
}

static void strike(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    static const enum fault_kind kinds[] = {FAULT_KILL, FAULT_POWER, FAULT_STOP};
    enum fault_kind kind = kinds[rng_below(&w->rng, 3)];
    if (n->core == NULL || n->stopped || w->faults->ended || taken(w, h->who) || fault_new(w, kind, n) == NULL)
        return;
    w->counts[COUNT_STRUCK]++;
    if (kind == FAULT_STOP)
        node_stop(w, n);
    else
        node_crash(w, n, kind == FAULT_POWER);
}

/* The moments after a grant are few, and what goes wrong then matters most. */
void fault_at_grant(struct world *w, const struct node *source, const struct node *target)
{
    uint64_t drawn = rng_below(&w->rng, 16);
    if (w->faults->ended || drawn > 1)
        return;
    w->faults->strike.who = drawn == 0 ? source->index : target->index;
    happen(&w->time, &w->faults->strike,
           w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)(4 * w->plan.delay_us + 1000)), strike);
}

/* Half of the masters, or a rack: whoever is on one side of a line. */
static void mass(struct world *w)
{
    struct fault *f = fault_new(w, FAULT_MASS, NULL);
    uint32_t part = (uint32_t)rng_range(&w->rng, 200000, 700000);
    bool masters_only = rng_below(&w->rng, 2) == 0;
    if (f == NULL)
        return;
    w->counts[COUNT_MASS]++;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        if (n->core == NULL || taken(w, i) || (masters_only && !cl_is_master(n->core)) || !rng_chance(&w->rng, part))
            continue;
        f->side[i] = true;
        node_crash(w, n, rng_below(&w->rng, 2) == 0);
    }
}

static void partition(struct world *w, enum fault_kind kind)
{
    struct fault *f = fault_new(w, kind, NULL);
    uint32_t part = (uint32_t)rng_range(&w->rng, 1, 600000);
    if (f == NULL)
        return;
    w->counts[kind == FAULT_CUT_ONE_WAY ? COUNT_CUT_ONE_WAY : COUNT_CUT_TWO_WAY]++;
    f->side[rng_below(&w->rng, (uint64_t)w->plan.nodes)] = true;
    for (int i = 0; i < w->plan.nodes; i++) {
        f->side[i] = f->side[i] || rng_chance(&w->rng, part);
        if (f->side[i])
            RECORD(w, "network", "%s is cut off%s", node_name(i), kind == FAULT_CUT_ONE_WAY ? ", one way" : "");
    }
    cut_or_mend(w, f, true);
}

static void of_network(struct world *w, enum fault_kind kind)
{
    struct fault *f;
    if (kind == FAULT_LOSS && w->weather.loss_ppm == 0 && fault_new(w, kind, NULL) != NULL)
        w->weather.loss_ppm = (uint32_t)rng_range(&w->rng, 2000, 100000);
    if (kind == FAULT_DELAY && w->weather.extra_us == 0 && fault_new(w, kind, NULL) != NULL)
        w->weather.extra_us = rng_range(&w->rng, MS(1), MS(w->plan.timeout_ms) * 2);
    if (kind != FAULT_HANG)
        return;
    for (int i = 0; i < 4; i++) {
        struct conn *l = net_some_conn(w);
        if (l == NULL || (f = fault_new(w, kind, NULL)) == NULL)
            return;
        w->counts[COUNT_HUNG]++;
        RECORD(w, "network", "the connection from %s to %s hangs", node_name(l->client), node_name(l->server));
        f->conn = l;
        net_hang(w, l);
    }
}

/* Long enough for its data to become too old, now and then; and that matters when its master is gone then. */
static void break_stream(struct world *w, struct node *n)
{
    int64_t us = rng_range(&w->rng, MS(w->plan.timeout_ms), MS(w->plan.timeout_ms) * 20);
    struct fault *f = n->data.master >= 0 ? fault_new(w, FAULT_STREAM, n) : NULL;
    if (f == NULL)
        return;
    w->counts[COUNT_STREAM]++;
    n->data.broken = true;
    happen(&w->time, &f->over, w->time.now_us + us, over);
    w->faults->strike.who = n->data.master;
    happen(&w->time, &w->faults->strike, w->time.now_us + us / 4 * 3, strike);
}

static void of_machine(struct world *w, enum fault_kind kind)
{
    struct node *n = &w->nodes[rng_below(&w->rng, (uint64_t)w->plan.nodes)];
    if (kind == FAULT_JUMP) {
        w->counts[COUNT_JUMP]++;
        node_jump(w, n, rng_skewed(&w->rng, MS(1), SECONDS(20)));
        return;
    }
    if (kind == FAULT_STREAM) {
        break_stream(w, n);
        return;
    }
    if (fault_new(w, kind, n) == NULL)
        return;
    if (kind == FAULT_DRIFT) {
        w->counts[COUNT_DRIFT]++;
        node_drift(w, n, rng_range(&w->rng, -10000, 10000));
    } else if (kind == FAULT_DISK_SLOW) {
        w->counts[COUNT_DISK_SLOW]++;
        n->disk.slow_us = rng_range(&w->rng, MS(1), MS(1500));
    } else {
        w->counts[COUNT_DISK_FULL]++;
        n->disk.full = true;
    }
}

static void forget(struct world *w)
{
    const struct node *whom = some_node(w, false);
    bool everywhere = rng_below(&w->rng, 2) == 0;
    for (int i = 0; whom != NULL && i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        if (n != whom && n->core != NULL && (everywhere || rng_below(&w->rng, 3) == 0))
            operator_on_node(w, n, CL_FORGET, &whom->id);
    }
}

static void reset(struct world *w)
{
    struct node *n = some_node(w, false);
    struct cl_command c = {.verb = CL_RESET, .hard = rng_below(&w->rng, 2) == 0};
    if (n == NULL)
        return;
    w->counts[COUNT_RESET_NODE]++;
    node_ask(w, n, &c);
}

static void move_slots(struct world *w)
{
    for (int i = (int)rng_range(&w->rng, 1, 4); i > 0; i--) {
        int watched = (int)rng_below(&w->rng, WATCHED);
        struct node *to = some_node(w, rng_below(&w->rng, 4) != 0), *from = NULL;
        for (int k = 0; k < w->plan.nodes && from == NULL; k++)
            if (w->nodes[k].core != NULL && cl_owns_slot(w->nodes[k].core, w->migrations.ledger.watched[watched]))
                from = &w->nodes[k];
        int steps = rng_below(&w->rng, 4) == 0 ? (int)rng_range(&w->rng, 1, 3) : 4;
        if (from != NULL && to != NULL)
            operator_move_slot(w, watched, from, to, steps);
    }
}

static void change_settings(struct world *w)
{
    struct node *n = some_node(w, false);
    if (n == NULL)
        return;
    w->counts[COUNT_SETTINGS]++;
    switch (rng_below(&w->rng, 5)) {
    case 0: n->set.node_timeout_ms = rng_skewed(&w->rng, w->plan.timeout_ms / 2, w->plan.timeout_ms * 2); break;
    case 1: n->set.validity_factor = rng_range(&w->rng, 0, 10); break;
    case 2: n->set.migration_barrier = rng_range(&w->rng, 0, 3); break;
    case 3: n->set.no_failover = !n->set.no_failover; break;
    default: n->set.allow_migration = !n->set.allow_migration; break;
    }
    node_settings(w, n);
}

/* FLUSHALL waits while a slot is held; otherwise no migration survives it. */
static void flush_all(struct world *w, struct node *n)
{
    if (n->data.master != -1 || cl_some_slot_held(n->core))
        return;
    w->counts[COUNT_FLUSHED]++;
    for (int i = 0; i < WATCHED; i++)
        data_excuse(w, i);
    memset(n->data.set.has, 0, sizeof n->data.set.has);
    n->data.set.offset += 20;
    jobs_upset(w, n, "all is flushed", false);
}

static void of_operator(struct world *w, enum fault_kind kind)
{
    struct node *n = some_node(w, false), *master = some_node(w, rng_below(&w->rng, 5) != 0);
    uint64_t how = rng_below(&w->rng, 5);
    if (n == NULL || master == NULL)
        return;
    switch (kind) {
    case FAULT_FORGET: forget(w); break;
    case FAULT_RESET: reset(w); break;
    case FAULT_REPLICATE: operator_on_node(w, n, CL_REPLICATE, &master->id); break;
    case FAULT_FAILOVER: operator_failover(w, n, how == 3, how == 4); break;
    case FAULT_MOVE_SLOT: move_slots(w); break;
    case FAULT_BUMP:
        w->counts[COUNT_BUMPED]++;
        operator_plain(w, n, CL_BUMPEPOCH);
        break;
    case FAULT_MIGRATE: operator_migrate_some(w); break;
    case FAULT_CANCEL:
        w->counts[COUNT_CANCELLED]++;
        operator_plain(w, master, CL_CANCEL_MIGRATIONS);
        break;
    case FAULT_FLUSH: flush_all(w, master); break;
    default: change_settings(w); break;
    }
}

static void inject(struct world *w, enum fault_kind kind)
{
    if (kind <= FAULT_MOVE)
        fault_of_node(w, kind);
    else if (kind == FAULT_MASS)
        mass(w);
    else if (kind == FAULT_CUT_ONE_WAY || kind == FAULT_CUT_TWO_WAY)
        partition(w, kind);
    else if (kind == FAULT_LOSS || kind == FAULT_DELAY || kind == FAULT_HANG)
        of_network(w, kind);
    else if (kind == FAULT_DRIFT || kind == FAULT_JUMP || kind == FAULT_DISK_SLOW || kind == FAULT_DISK_FULL ||
             kind == FAULT_STREAM)
        of_machine(w, kind);
    else
        of_operator(w, kind);
}

static void next_fault(struct world *w, struct happening *h)
{
    struct faults *all = (struct faults *)h;
    if (all->ended)
        return;
    enum fault_kind kind = FAULT_KILL_MASTER;
    /* The first is always a master's death. */
    if (all->any)
        do
            kind = (enum fault_kind)rng_below(&w->rng, FAULTS);
        while (!w->plan.fault[kind]);
    all->any = true;
    inject(w, kind);
    happen(&w->time, h, w->time.now_us + rng_skewed(&w->rng, w->plan.between_us / 4 + 1, w->plan.between_us * 2),
           next_fault);
}

static void next_migration(struct world *w, struct happening *h)
{
    operator_migrate_some(w);
    happen(&w->time, h,
           w->time.now_us + rng_skewed(&w->rng, MS(w->plan.migrate_ms) / 4 + 1, MS(w->plan.migrate_ms) * 2),
           next_migration);
}

void fault_begin(struct world *w)
{
    w->faults->ended = false;
    lease_begin(w);
    swap_begin(w);
    if (w->plan.migrate_ms > 0)
        happen(&w->time, &w->migrator, w->time.now_us + MS(w->plan.migrate_ms), next_migration);
    happen(&w->time, &w->faults->next, w->time.now_us + MS(100), next_fault);
}

void fault_heal(struct world *w)
{
    RECORD(w, "faults", "end, and all is healed");
    w->faults->ended = true;
    happen_not(&w->time, &w->faults->next);
    happen_not(&w->time, &w->faults->strike);
    happen_not(&w->time, &w->migrator);
    swap_heal(w);
    lease_heal(w);
    for (int i = 0; i < ACTIVE_MAX; i++)
        end_fault(w, &w->faults->active[i]);
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        n->disk.crash_next = false;
        node_continue(w, n);
        node_start(w, n);
        n->set.no_failover = false;
        n->set.node_timeout_ms = w->plan.timeout_ms;
        node_settings(w, n);
    }
}
