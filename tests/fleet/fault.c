/* Faults: drawn one after the other from the kinds that the plan allows, each with an end of its own; and the healing
 * of all. */
#include "tests/fleet/fault.h"

#include "noded/cluster/state.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void fault_init(struct world *w)
{
    w->faults = mem_zalloc(sizeof *w->faults);
    w->faults->ended = true;
    heap_node_init(&w->faults->next.at);
    heap_node_init(&w->faults->hidden.next.at);
    heap_node_init(&w->faults->strike.at);
    for (int i = 0; i < ACTIVE_MAX; i++)
        heap_node_init(&w->faults->active[i].over.at);
}

void fault_free(struct world *w)
{
    free(w->faults);
}

static bool exists(const struct world *w, int end)
{
    return end_is_super(end) ? w->supers[end].file_version != 0 : end < SUPERS_MAX + w->nnodes;
}

struct node *some_master(struct world *w, int shard)
{
    struct node *best = NULL;
    int start = (int)rng_below(&w->rng, (uint64_t)w->nnodes);
    if (shard < 0)
        shard = start % w->plan.shards;
    for (int i = shard; i < w->nnodes; i += w->plan.shards) {
        struct node *n = &w->nodes[i];
        if (process_works(&n->p) && cl_is_master(n->core) && cl_owns_slot(n->core, w->shards[shard].slot) &&
            (best == NULL || n->core->me->config_epoch > best->core->me->config_epoch))
            best = n;
    }
    return best;
}

/* ---- their ends ---- */

void fault_cut(struct world *w, const struct fault *f, bool cut)
{
    void (*change)(struct net *, int, int) = cut ? net_cut : net_mend;
    for (int a = 0; a < NET_ENDS_MAX; a++)
        for (int b = 0; b < NET_ENDS_MAX; b++) {
            if (!f->side[a] || !f->other[b] || a == b)
                continue;
            if (!f->one_way || !f->back)
                change(&w->net, a, b);
            if (!f->one_way || f->back)
                change(&w->net, b, a);
        }
}

static void start(struct world *w, int end)
{
    if (end_is_super(end))
        super_start(w, &w->supers[end]);
    else
        node_start(w, &w->nodes[end - SUPERS_MAX]);
}

static void end_fault(struct world *w, struct fault *f)
{
    if (!f->active)
        return;
    f->active = false;
    happen_not(&w->time, &f->over);
    switch (f->kind) {
    case FAULT_KILL_MASTER:
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_WIPE:
    case FAULT_KILL_SUPER:
    case FAULT_WIPE_SUPER: start(w, f->end); break;
    case FAULT_MASS:
    case FAULT_ALL_SUPERS:
        for (int i = 0; i < NET_ENDS_MAX; i++)
            if (f->side[i])
                start(w, i);
        break;
    case FAULT_SUSPEND:
        fault_cut(w, f, false);
        process_continue(w, process_of(w, f->end));
        break;
    case FAULT_STOP:
    case FAULT_STOP_MASTER:
    case FAULT_STOP_SUPER: process_continue(w, process_of(w, f->end)); break;
    case FAULT_CUT_SUPERS_NODES:
    case FAULT_CUT_MASTER:
    case FAULT_CUT:
        RECORD(w, "network", "a partition heals");
        fault_cut(w, f, false);
        break;
    case FAULT_LOSS: w->net.weather.loss_ppm = 0; break;
    case FAULT_DELAY: w->net.weather.extra_us = 0; break;
    case FAULT_DOUBLE: w->net.weather.copy_ppm = 0; break;
    case FAULT_HANG: net_reset(&w->net, f->conn); break;
    case FAULT_DISK_SLOW:
    case FAULT_DISK_FULL:
        if (end_is_super(f->end)) {
            w->supers[f->end].slow_us = 0;
            w->supers[f->end].full = false;
        } else {
            w->nodes[f->end - SUPERS_MAX].disk.slow_us = 0;
            w->nodes[f->end - SUPERS_MAX].disk.full = false;
        }
        break;
    default: break;
    }
}

static void over(struct world *w, struct happening *h)
{
    end_fault(w, (struct fault *)h);
}

struct fault *fault_new(struct world *w, enum fault_kind kind, int end)
{
    for (int i = 0; i < ACTIVE_MAX; i++) {
        struct fault *f = &w->faults->active[i];
        if (f->active)
            continue;
        struct happening h = f->over;
        *f = (struct fault){.over = h, .active = true, .kind = kind, .end = end};
        int64_t takes = rng_skewed(&w->rng, MS(20), MS(w->plan.down_after_ms) * 8);
        happen(&w->time, &f->over, w->time.now_us + takes, over);
        return f;
    }
    return NULL;
}

static bool of_process(enum fault_kind kind)
{
    return kind <= FAULT_STOP_MASTER || kind == FAULT_WIPE || kind == FAULT_KILL_SUPER || kind == FAULT_STOP_SUPER ||
           kind == FAULT_WIPE_SUPER || kind == FAULT_SUSPEND;
}

/* Some node of its shard has lost its disk and is not taken in again. */
static bool is_scarce(const struct world *w, int shard)
{
    for (int i = shard; i < w->nnodes; i += w->plan.shards)
        if (w->nodes[i].wiped)
            return true;
    return false;
}

/* A fault of a process that is down or stopped already waits for another time; and while a shard has lost a disk it
 * keeps its other nodes, since a replica that restarts without ever hearing of its master again may not be promoted. */
bool fault_taken(const struct world *w, int end)
{
    if (!end_is_super(end) && is_scarce(w, w->nodes[end - SUPERS_MAX].shard))
        return true;
    for (int i = 0; i < ACTIVE_MAX; i++) {
        const struct fault *f = &w->faults->active[i];
        bool one = of_process(f->kind) && f->end == end;
        bool many = (f->kind == FAULT_MASS || f->kind == FAULT_ALL_SUPERS) && f->side[end];
        if (f->active && (one || many))
            return true;
    }
    return false;
}

/* ---- of nodes ---- */

static struct node *some_node(struct world *w)
{
    return &w->nodes[rng_below(&w->rng, (uint64_t)w->nnodes)];
}

void fault_kill(struct world *w, struct node *n, enum fault_kind kind)
{
    w->counts[kind == FAULT_POWER ? COUNT_POWER : COUNT_KILL]++;
    if (kind != FAULT_POWER && rng_below(&w->rng, 4) == 0)
        n->disk.crash_next = true; /* in the midst of its next text */
    else
        node_crash(w, n, kind == FAULT_POWER);
}

/* Some other node of its shard has its data, and knows what it has promised: else its slots would be lost with it. A
 * master that it has replaced, and that has not heard of that, does not. */
static bool has_heir(const struct world *w, const struct node *n)
{
    for (int i = n->shard; i < w->nnodes; i += w->plan.shards) {
        const struct node *m = &w->nodes[i];
        if (m != n && m->core != NULL && !m->wiped && !m->gone && m->was_supervised &&
            ((m->data.master == -1 && m->core->me->config_epoch > n->core->me->config_epoch) ||
             (m->data.repl == REPL_UP && cl_state_known(m->core))) &&
            !m->disk.crash_next)
            return true;
    }
    return false;
}

static void wipe(struct world *w, struct node *n)
{
    if (!has_heir(w, n) || fault_new(w, FAULT_WIPE, n->p.end) == NULL)
        return;
    w->counts[COUNT_WIPED]++;
    node_crash(w, n, false);
    node_wipe(w, n);
}

static void of_node(struct world *w, enum fault_kind kind)
{
    bool master = kind == FAULT_KILL_MASTER || kind == FAULT_STOP_MASTER;
    struct node *n = master ? some_master(w, -1) : some_node(w);
    if (n == NULL || !process_works(&n->p) || fault_taken(w, n->p.end))
        return;
    if (kind == FAULT_WIPE) {
        wipe(w, n);
        return;
    }
    if (fault_new(w, kind, n->p.end) == NULL)
        return;
    if (kind == FAULT_STOP || kind == FAULT_STOP_MASTER) {
        w->counts[COUNT_STOP]++;
        process_stop(w, &n->p);
    } else {
        fault_kill(w, n, kind);
    }
}

static void mass(struct world *w)
{
    struct fault *f = fault_new(w, FAULT_MASS, -1);
    uint32_t part = (uint32_t)rng_range(&w->rng, 300000, 900000);
    if (f == NULL)
        return;
    w->counts[COUNT_MASS]++;
    for (int k = 0; k < w->plan.shards; k++) {
        struct node *n = some_master(w, k);
        if (n == NULL || fault_taken(w, n->p.end) || !rng_chance(&w->rng, part))
            continue;
        f->side[n->p.end] = true;
        node_crash(w, n, rng_below(&w->rng, 2) == 0);
    }
}

/* ---- of supervisors ---- */

/* Two directories lost at one time are a majority's memory lost, and so is what the others have not learned yet since
 * the last one was: that is for an operator. */
static bool may_forget(const struct world *w)
{
    if (w->versions[w->version].n < 3)
        return false;
    for (int i = 0; i < SUPERS_MAX; i++) {
        const struct super *s = &w->supers[i];
        if (s->file_version == 0)
            continue;
        if (!process_works(&s->p) || !takes_part(w, s))
            return false;
        for (int k = 0; k < w->plan.shards && s->watcher == NULL; k++)
            if (s->books[k].lease.grantee[0] == '\0')
                return false;
    }
    return true;
}

static void of_super(struct world *w, enum fault_kind kind)
{
    struct super *s = &w->supers[rng_below(&w->rng, SUPERS_MAX)];
    if (!process_works(&s->p) || fault_taken(w, s->p.end))
        return;
    if (kind == FAULT_WIPE_SUPER && !may_forget(w))
        return;
    if (fault_new(w, kind, s->p.end) == NULL)
        return;
    if (kind == FAULT_STOP_SUPER) {
        w->counts[COUNT_STOP_SUPER]++;
        process_stop(w, &s->p);
        return;
    }
    w->counts[kind == FAULT_WIPE_SUPER ? COUNT_WIPED_SUPER : COUNT_KILL_SUPER]++;
    if (kind == FAULT_KILL_SUPER && rng_below(&w->rng, 2) == 0) {
        s->crash_next = true;
        return;
    }
    super_crash(w, s, rng_below(&w->rng, 3) == 0);
    if (kind == FAULT_WIPE_SUPER)
        super_wipe(w, s);
}

static void all_supers(struct world *w)
{
    struct fault *f = fault_new(w, FAULT_ALL_SUPERS, -1);
    if (f == NULL)
        return;
    w->counts[COUNT_ALL_SUPERS]++;
    for (int i = 0; i < SUPERS_MAX; i++)
        if (w->supers[i].p.runs && !fault_taken(w, i)) {
            f->side[i] = true;
            super_crash(w, &w->supers[i], false);
        }
}

/* ---- of machines and the network ---- */

static void suspend(struct world *w)
{
    int end = (int)rng_below(&w->rng, (uint64_t)(SUPERS_MAX + w->nnodes));
    struct process *p = process_of(w, end);
    if (!exists(w, end) || !process_works(p) || fault_taken(w, end))
        return;
    struct fault *f = fault_new(w, FAULT_SUSPEND, end);
    if (f == NULL)
        return;
    w->counts[COUNT_SUSPEND]++;
    RECORD(w, end_name(end), "its machine is suspended");
    for (int i = 0; i < NET_ENDS_MAX; i++) {
        f->side[i] = i == end;
        f->other[i] = i != end;
    }
    fault_cut(w, f, true);
    process_stop(w, p);
}

static void choose_sides(struct world *w, struct fault *f)
{
    const struct node *m = some_master(w, -1);
    uint32_t part = (uint32_t)rng_range(&w->rng, 100000, 700000);
    for (int i = 0; i < NET_ENDS_MAX; i++) {
        if (f->kind == FAULT_CUT_MASTER) {
            /* From supervisors only, or from nodes only, or from both. */
            f->side[i] = m != NULL && i == m->p.end;
        } else if (f->kind == FAULT_CUT_SUPERS_NODES) {
            f->side[i] = end_is_super(i) && rng_chance(&w->rng, part);
            f->other[i] = !end_is_super(i) && rng_chance(&w->rng, part);
        } else {
            f->side[i] = rng_chance(&w->rng, part);
            f->other[i] = !f->side[i];
        }
    }
    uint64_t whom = rng_below(&w->rng, 3);
    for (int i = 0; i < NET_ENDS_MAX && f->kind == FAULT_CUT_MASTER; i++)
        f->other[i] = !f->side[i] && (whom == 0 ? end_is_super(i) : whom == 1 ? !end_is_super(i) : true);
}

static void partition(struct world *w, enum fault_kind kind)
{
    struct fault *f = fault_new(w, kind, -1);
    if (f == NULL)
        return;
    choose_sides(w, f);
    f->one_way = rng_below(&w->rng, 3) == 0;
    f->back = rng_below(&w->rng, 2) == 0;
    w->counts[f->one_way ? COUNT_CUT_ONE_WAY : COUNT_CUT]++;
    for (int i = 0; i < NET_ENDS_MAX; i++)
        if (f->side[i] && exists(w, i))
            RECORD(w, "network", "%s is cut off from some%s", end_name(i), f->one_way ? ", one way" : "");
    fault_cut(w, f, true);
}

/* Those who have the newest list of supervisors already, and the others; each with a part of every shard. */
void fault_between_lists(struct world *w)
{
    struct fault *f;
    if (w->faults->ended || rng_below(&w->rng, 2) == 0 || (f = fault_new(w, FAULT_CUT, -1)) == NULL)
        return;
    for (int i = 0; i < SUPERS_MAX; i++)
        f->side[i] = w->supers[i].version == w->version;
    for (int k = 0; k < w->plan.shards; k++) {
        const struct node *m = some_master(w, k);
        bool with_newest = rng_below(&w->rng, 2) == 0;
        for (int i = k; i < w->nnodes; i += w->plan.shards)
            f->side[w->nodes[i].p.end] = (&w->nodes[i] == m) == with_newest;
    }
    for (int i = 0; i < NET_ENDS_MAX; i++)
        f->other[i] = !f->side[i];
    w->counts[COUNT_CUT]++;
    w->counts[COUNT_CUT_LISTS]++;
    RECORD(w, "network", "is cut between those who have the newest list and the others");
    fault_cut(w, f, true);
}

static void of_network(struct world *w, enum fault_kind kind)
{
    struct fault *f;
    if (kind == FAULT_LOSS && w->net.weather.loss_ppm == 0 && fault_new(w, kind, -1) != NULL)
        w->net.weather.loss_ppm = (uint32_t)rng_range(&w->rng, 2000, 100000);
    if (kind == FAULT_DOUBLE && w->net.weather.copy_ppm == 0 && fault_new(w, kind, -1) != NULL)
        w->net.weather.copy_ppm = (uint32_t)rng_range(&w->rng, 20000, 500000);
    if (kind == FAULT_DELAY && w->net.weather.extra_us == 0 && fault_new(w, kind, -1) != NULL)
        w->net.weather.extra_us = rng_range(&w->rng, MS(1), MS(w->plan.down_after_ms) * 2);
    if (kind != FAULT_HANG)
        return;
    for (int i = 0; i < 4; i++) {
        struct conn *c = net_some_conn(&w->net);
        if (c == NULL || (f = fault_new(w, kind, -1)) == NULL)
            return;
        w->counts[COUNT_HUNG]++;
        RECORD(w, "network", "the connection from %s to %s hangs", end_name(c->client), end_name(c->server));
        f->conn = c;
        net_hang(c);
    }
}

static void of_disk(struct world *w, enum fault_kind kind)
{
    int end = (int)rng_below(&w->rng, (uint64_t)(SUPERS_MAX + w->nnodes));
    int64_t slow_us = kind == FAULT_DISK_SLOW ? rng_range(&w->rng, MS(1), MS(1500)) : 0;
    if (!exists(w, end) || fault_new(w, kind, end) == NULL)
        return;
    w->counts[kind == FAULT_DISK_SLOW ? COUNT_DISK_SLOW : COUNT_DISK_FULL]++;
    if (end_is_super(end)) {
        w->supers[end].slow_us = slow_us;
        w->supers[end].full = kind == FAULT_DISK_FULL;
    } else {
        w->nodes[end - SUPERS_MAX].disk.slow_us = slow_us;
        w->nodes[end - SUPERS_MAX].disk.full = kind == FAULT_DISK_FULL;
    }
}

static void drift(struct world *w)
{
    int end = (int)rng_below(&w->rng, (uint64_t)(SUPERS_MAX + w->nnodes));
    w->counts[COUNT_DRIFT]++;
    process_drift(w, process_of(w, end), rng_range(&w->rng, -4500, 4500));
}

static void inject(struct world *w, enum fault_kind kind)
{
    switch (kind) {
    case FAULT_KILL_MASTER:
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_STOP:
    case FAULT_STOP_MASTER:
    case FAULT_WIPE: of_node(w, kind); break;
    case FAULT_MASS: mass(w); break;
    case FAULT_KILL_SUPER:
    case FAULT_STOP_SUPER:
    case FAULT_WIPE_SUPER: of_super(w, kind); break;
    case FAULT_ALL_SUPERS: all_supers(w); break;
    case FAULT_SUSPEND: suspend(w); break;
    case FAULT_DRIFT: drift(w); break;
    case FAULT_CUT_SUPERS_NODES:
    case FAULT_CUT_MASTER:
    case FAULT_CUT: partition(w, kind); break;
    case FAULT_DISK_SLOW:
    case FAULT_DISK_FULL: of_disk(w, kind); break;
    case FAULT_SWITCH:
        super_switch(w, &w->supers[rng_below(&w->rng, SUPERS_MAX)], (int)rng_below(&w->rng, (uint64_t)w->plan.shards));
        break;
    case FAULT_HIDDEN_SWITCH: fault_hidden_switch(w); break;
    case FAULT_MEMBERS: operator_change_members(w); break;
    default: of_network(w, kind); break;
    }
}

static void next_fault(struct world *w, struct happening *h)
{
    struct faults *all = (struct faults *)h;
    enum fault_kind kind = FAULT_KILL_MASTER;
    if (all->ended)
        return;
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

void fault_begin(struct world *w)
{
    w->faults->ended = false;
    happen(&w->time, &w->faults->next, w->time.now_us + MS(100), next_fault);
}

void fault_heal(struct world *w)
{
    RECORD(w, "faults", "end, and all is healed");
    w->faults->ended = true;
    swap_heal(w);
    moving_heal(w);
    happen_not(&w->time, &w->faults->next);
    happen_not(&w->time, &w->faults->hidden.next);
    happen_not(&w->time, &w->faults->strike);
    for (int i = 0; i < ACTIVE_MAX; i++)
        end_fault(w, &w->faults->active[i]);
    for (int i = 0; i < w->nnodes; i++) {
        w->nodes[i].disk.crash_next = false;
        happen_not(&w->time, &w->nodes[i].crash);
        process_continue(w, &w->nodes[i].p);
        node_start(w, &w->nodes[i]);
    }
    for (int i = 0; i < SUPERS_MAX; i++) {
        w->supers[i].crash_next = false;
        happen_not(&w->time, &w->supers[i].crash);
        process_continue(w, &w->supers[i].p);
        super_start(w, &w->supers[i]);
    }
}
