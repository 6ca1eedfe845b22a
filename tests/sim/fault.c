/* Faults: drawn one after the other from the kinds that the plan allows, each with an end of its own; and the healing
 * of all. */
#include "tests/sim/fault_inner.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void fault_init(struct world *w)
{
    w->faults = mem_zalloc(sizeof *w->faults);
    w->faults->last_us = -SECONDS(1000);
}

void fault_free(struct world *w)
{
    free(w->faults);
}

bool fault_none_since(const struct world *w, int64_t us)
{
    for (int i = 0; i < ACTIVE_MAX; i++)
        if (w->faults->active[i].active)
            return false;
    return w->faults->last_us < us;
}

struct fault *fault_new(struct world *w, enum fault_kind kind)
{
    w->calm = false;
    for (int i = 0; i < ACTIVE_MAX; i++) {
        struct fault *f = &w->faults->active[i];
        if (f->active)
            continue;
        struct happening over = f->over;
        *f = (struct fault){.over = over, .active = true, .kind = kind, .who = -1};
        return f;
    }
    return NULL;
}

static void cut_or_mend(struct world *w, const struct fault *f, bool cut)
{
    void (*change)(struct world *, int, int) = cut ? net_cut : net_mend;
    for (int a = 0; a < MAX_ENDS; a++)
        for (int b = 0; b < MAX_ENDS; b++) {
            if (a == b || !(f->from >> a & 1) || !(f->to >> b & 1))
                continue;
            change(w, a, b);
            if (f->both_ways)
                change(w, b, a);
        }
}

/* SENTINEL SIMULATE-FAILURE stays armed until it is taken back, or the process ends. */
static void simulate_failure(struct world *w, struct super *s, int64_t bits)
{
    struct sn_event e = {.kind = SN_EV_SIMULATE, .number = bits};
    super_operate(w, s, &e, -1);
}

static void end_fault(struct world *w, struct fault *f)
{
    if (!f->active)
        return;
    f->active = false;
    happen_not(w, &f->over);
    w->faults->last_us = w->now_us;
    switch (f->kind) {
    case FAULT_MASTER_KILL:
    case FAULT_REPLICA_KILL:
    case FAULT_NODE_POWER:
    case FAULT_REBORN: node_start(w, &w->nodes[f->who]); break;
    case FAULT_NODE_STOP: node_continue(w, &w->nodes[f->who]); break;
    case FAULT_NODE_BUSY: w->nodes[f->who].busy_until_us = 0; break;
    case FAULT_SUPER_CRASH:
    case FAULT_SUPER_POWER:
    case FAULT_SIMULATE:
    case FAULT_WIPE:
        if (w->supers[f->who].core == NULL) {
            super_start(w, &w->supers[f->who]);
            super_asked_again(w, &w->supers[f->who]);
        } else if (f->kind == FAULT_SIMULATE) {
            simulate_failure(w, &w->supers[f->who], 0);
        }
        w->supers[f->who].disk.crash_next = w->supers[f->who].disk.crash_voted = false;
        w->supers[f->who].wipe_next = false;
        happen_not(w, &w->supers[f->who].disk.crash);
        break;
    case FAULT_SUPER_STOP: super_continue(w, &w->supers[f->who]); break;
    case FAULT_DISK_FULL: w->supers[f->who].disk.full = false; break;
    case FAULT_DISK_SLOW: w->supers[f->who].disk.slow_us = 0; break;
    case FAULT_DRIFT: super_drift(w, &w->supers[f->who], 0); break;
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_TWO_WAY:
        RECORD(w, "network", "a partition heals");
        cut_or_mend(w, f, false);
        break;
    case FAULT_LOSS: w->weather.loss_ppm = 0; break;
    case FAULT_DELAY: w->weather.extra_us = 0; break;
    case FAULT_DOUBLE: w->weather.copy_ppm = 0; break;
    case FAULT_VETO: fault_veto_over(w, f); break;
    case FAULT_REMOVE: operator_monitors(w, &w->supers[f->who], f->group, rng_below(&w->rng, 3) == 0); break;
    case FAULT_JUMP:
    case FAULT_ROGUE:
    case FAULT_MANUAL:
    case FAULT_COORDINATED:
    case FAULT_RESET:
    case FAULT_SET:
    case FAULT_MOVE:
    case FAULTS: break;
    }
}

static void over(struct world *w, struct happening *h)
{
    end_fault(w, (struct fault *)h);
}

void fault_until(struct world *w, struct fault *f, int64_t at_us)
{
    happen(w, &f->over, at_us, over);
}

bool fault_taken(const struct world *w, bool super, int who)
{
    for (int i = 0; i < ACTIVE_MAX; i++) {
        const struct fault *f = &w->faults->active[i];
        if (!f->active || f->who != who)
            continue;
        bool of_super = f->kind == FAULT_SUPER_CRASH || f->kind == FAULT_SUPER_POWER || f->kind == FAULT_SUPER_STOP ||
                        f->kind == FAULT_SIMULATE || f->kind == FAULT_WIPE;
        bool of_node = f->kind == FAULT_MASTER_KILL || f->kind == FAULT_REPLICA_KILL || f->kind == FAULT_NODE_POWER ||
                       f->kind == FAULT_NODE_STOP || f->kind == FAULT_REBORN;
        if (super ? of_super : of_node)
            return true;
    }
    return false;
}

static bool parts_supervisors(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_SUPER_CRASH:
    case FAULT_SUPER_POWER:
    case FAULT_SUPER_STOP:
    case FAULT_SIMULATE:
    case FAULT_WIPE:
    case FAULT_JUMP:
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_TWO_WAY:
    case FAULT_LOSS:
    case FAULT_DELAY: return true;
    default: return false;
    }
}

bool fault_parts_supervisors(const struct world *w)
{
    for (int i = 0; i < ACTIVE_MAX; i++)
        if (w->faults->active[i].active && parts_supervisors(w->faults->active[i].kind))
            return true;
    return false;
}

int64_t fault_lasts(struct world *w)
{
    return rng_skewed(&w->rng, MS(100), SECONDS(15));
}

static struct node *some_node(struct world *w, bool master)
{
    int group = (int)rng_below(&w->rng, (uint64_t)w->plan.groups);
    const struct group *g = &w->groups[group];
    struct node *m = true_master(w, group);
    if (master)
        return m;
    struct node *n = &w->nodes[g->first + (int)rng_below(&w->rng, (uint64_t)g->count)];
    return n != m ? n : &w->nodes[g->first + (n->index - g->first + 1) % g->count];
}

static void fault_of_node(struct world *w, enum fault_kind kind)
{
    bool master = kind == FAULT_MASTER_KILL || kind == FAULT_REBORN ||
                  (kind != FAULT_REPLICA_KILL && rng_below(&w->rng, 2) == 0);
    struct node *n = some_node(w, master);
    if (!n->up || fault_taken(w, false, n->index))
        return;
    struct fault *f = fault_new(w, kind);
    if (f == NULL)
        return;
    f->who = n->index;
    int64_t lasts = fault_lasts(w);
    switch (kind) {
    case FAULT_REBORN:
        n->persistent = false;
        w->counts[COUNT_REBORN]++;
        lasts = rng_skewed(&w->rng, MS(20), MS(1000));
        node_kill(w, n, false);
        break;
    case FAULT_NODE_POWER:
        w->counts[COUNT_NODE_POWER]++;
        node_kill(w, n, true);
        break;
    case FAULT_NODE_STOP:
        w->counts[COUNT_NODE_STOP]++;
        node_stop(w, n);
        break;
    case FAULT_NODE_BUSY:
        w->counts[COUNT_BUSY]++;
        RECORD(w, end_name(w, end_of_node(n->index)), "runs a script for %lld ms", (long long)(lasts / 1000));
        n->busy_until_us = w->now_us + lasts;
        break;
    default:
        w->counts[kind == FAULT_MASTER_KILL ? COUNT_MASTER_KILL : COUNT_REPLICA_KILL]++;
        node_kill(w, n, false);
        break;
    }
    fault_until(w, f, w->now_us + lasts);
}

/* It is soon there again: the ballot that it voted in may still be open. */
void fault_crashed(struct world *w, const struct super *s)
{
    for (int i = 0; i < ACTIVE_MAX; i++) {
        struct fault *f = &w->faults->active[i];
        if (f->active && (f->kind == FAULT_SUPER_CRASH || f->kind == FAULT_WIPE) && f->who == s->index)
            fault_until(w, f, w->now_us + rng_skewed(&w->rng, MS(2), MS(1000)));
    }
}

static void fault_of_super(struct world *w, enum fault_kind kind)
{
    struct super *s = &w->supers[rng_below(&w->rng, (uint64_t)w->plan.supers)];
    bool process = kind == FAULT_SUPER_CRASH || kind == FAULT_SUPER_POWER || kind == FAULT_SUPER_STOP ||
                   kind == FAULT_SIMULATE;
    if (s->core == NULL || (process && fault_taken(w, true, s->index)) || (kind == FAULT_DISK_FULL && s->disk.full) ||
        (kind == FAULT_DRIFT && s->clock.rate_ppm != 0))
        return;
    struct fault *f = fault_new(w, kind);
    if (f == NULL)
        return;
    f->who = s->index;
    int64_t lasts = fault_lasts(w);
    switch (kind) {
    case FAULT_SUPER_CRASH:
        w->counts[COUNT_SUPER_CRASH]++;
        /* Right now; or with the next thing that it writes half on its disk; or with a vote just told. */
        switch (rng_below(&w->rng, 3)) {
        case 0: super_crash(w, s, false); break;
        case 1: s->disk.crash_next = true; break;
        default: s->disk.crash_voted = true; break;
        }
        lasts += s->core != NULL ? SECONDS(10) : 0;
        break;
    case FAULT_SUPER_POWER:
        w->counts[COUNT_SUPER_POWER]++;
        super_crash(w, s, true);
        break;
    case FAULT_SUPER_STOP:
        w->counts[COUNT_SUPER_STOP]++;
        super_stop(w, s);
        break;
    case FAULT_SIMULATE:
        simulate_failure(w, s, rng_below(&w->rng, 2) == 0 ? SN_CRASH_AFTER_ELECTION : SN_CRASH_AFTER_PROMOTION);
        lasts += SECONDS(10);
        break;
    case FAULT_DISK_FULL:
        w->counts[COUNT_DISK_FULL]++;
        s->disk.full = true;
        break;
    case FAULT_DISK_SLOW:
        w->counts[COUNT_DISK_SLOW]++;
        s->disk.slow_us = MS(800);
        break;
    case FAULT_DRIFT:
        w->counts[COUNT_DRIFT]++;
        super_drift(w, s, rng_range(&w->rng, -10000, 10000));
        break;
    default:
        w->counts[COUNT_JUMP]++;
        super_jump(w, s, rng_skewed(&w->rng, MS(50), SECONDS(30)));
        lasts = SECONDS(2);
        break;
    }
    fault_until(w, f, w->now_us + lasts);
}

static uint64_t all_ends(const struct world *w)
{
    uint64_t all = ((uint64_t)1 << w->plan.supers) - 1;
    return all | (((uint64_t)1 << w->nnodes) - 1) << MAX_SUPERS;
}

static void partition(struct world *w, bool both_ways)
{
    struct fault *f = fault_new(w, both_ways ? FAULT_CUT_TWO_WAY : FAULT_CUT_ONE_WAY);
    if (f == NULL)
        return;
    w->counts[both_ways ? COUNT_CUT_TWO_WAY : COUNT_CUT_ONE_WAY]++;
    f->both_ways = both_ways;
    uint64_t all = all_ends(w);
    switch (rng_below(&w->rng, 4)) {
    case 0: { /* a replica from its master: it lags behind */
        const struct node *n = some_node(w, false);
        f->to = (uint64_t)1 << end_of_node(n->index);
        f->from = (uint64_t)1 << end_of_node(true_master(w, n->group)->index) & ~f->to;
        break;
    }
    case 1: /* one end from all others */
        f->from = (uint64_t)1 << (rng_below(&w->rng, 2) == 0 ? rng_below(&w->rng, (uint64_t)w->plan.supers)
                                                             : MAX_SUPERS + rng_below(&w->rng, (uint64_t)w->nnodes));
        break;
    case 2: /* the world in two */ f->from = rng_u64(&w->rng) & all; break;
    default: /* some from some */
        f->from = rng_u64(&w->rng) & all;
        f->to = rng_u64(&w->rng) & all & ~f->from;
        break;
    }
    if (f->to == 0)
        f->to = all & ~f->from;
    RECORD(w, "network", "cuts %llx %s %llx", (unsigned long long)f->from, both_ways ? "<->" : "->",
           (unsigned long long)f->to);
    cut_or_mend(w, f, true);
    fault_until(w, f, w->now_us + fault_lasts(w));
}

static void bad_weather(struct world *w, enum fault_kind kind)
{
    struct fault *f = fault_new(w, kind);
    if (f == NULL)
        return;
    if (kind == FAULT_LOSS)
        w->weather.loss_ppm = (uint32_t)rng_skewed(&w->rng, 5000, 300000);
    else if (kind == FAULT_DELAY)
        w->weather.extra_us = rng_skewed(&w->rng, MS(5), MS(3000));
    else
        w->weather.copy_ppm = (uint32_t)rng_skewed(&w->rng, 5000, 300000);
    fault_until(w, f, w->now_us + fault_lasts(w));
}

static bool replaceable(struct world *w, const struct node *m)
{
    const struct group *g = &w->groups[m->group];
    for (int i = g->first; i < g->first + g->count; i++)
        if (i != m->index && w->nodes[i].priority > 0)
            return true;
    return false;
}

/* Somebody reconfigures a server by hand: a master too, if there is one that may be promoted in its place. */
static void rogue(struct world *w)
{
    struct fault *f = fault_new(w, FAULT_ROGUE);
    struct node *n = some_node(w, rng_below(&w->rng, 4) == 0), *other = some_node(w, false);
    if (f == NULL)
        return;
    fault_until(w, f, w->now_us + SECONDS(1));
    if (!n->up || n->failover_to >= 0 || !replaceable(w, true_master(w, n->group)))
        return;
    w->counts[COUNT_ROGUE]++;
    if (other == n || other->group != n->group)
        repl_promote(w, n);
    else
        repl_follow(w, n, other->index);
}

static void inject(struct world *w, enum fault_kind kind)
{
    if (parts_supervisors(kind) && w->now_us < w->faults->together_until_us)
        return;
    switch (kind) {
    case FAULT_MASTER_KILL:
    case FAULT_REPLICA_KILL:
    case FAULT_NODE_POWER:
    case FAULT_NODE_STOP:
    case FAULT_NODE_BUSY:
    case FAULT_REBORN: fault_of_node(w, kind); break;
    case FAULT_SUPER_CRASH:
    case FAULT_SUPER_POWER:
    case FAULT_SUPER_STOP:
    case FAULT_SIMULATE:
    case FAULT_DISK_FULL:
    case FAULT_DISK_SLOW:
    case FAULT_DRIFT:
    case FAULT_JUMP: fault_of_super(w, kind); break;
    case FAULT_CUT_ONE_WAY: partition(w, false); break;
    case FAULT_CUT_TWO_WAY: partition(w, true); break;
    case FAULT_LOSS:
    case FAULT_DELAY:
    case FAULT_DOUBLE: bad_weather(w, kind); break;
    case FAULT_ROGUE: rogue(w); break;
    case FAULT_MANUAL:
    case FAULT_COORDINATED:
    case FAULT_RESET:
    case FAULT_VETO:
    case FAULT_SET:
    case FAULT_REMOVE:
    case FAULT_MOVE:
    case FAULT_WIPE: fault_of_operator(w, kind); break;
    case FAULTS: break;
    }
}

static void next_fault(struct world *w, struct happening *h)
{
    struct faults *all = (struct faults *)h;
    if (all->ended)
        return;
    enum fault_kind kind = FAULT_MASTER_KILL;
    /* The first is always a master's death. */
    if (all->any)
        do
            kind = (enum fault_kind)rng_below(&w->rng, FAULTS);
        while (!w->plan.fault[kind]);
    all->any = true;
    inject(w, kind);
    happen(w, h, w->now_us + rng_skewed(&w->rng, w->plan.between_us / 4 + 1, w->plan.between_us * 2), next_fault);
}

void fault_begin(struct world *w)
{
    w->faults->ended = false;
    happen(w, &w->faults->next, w->now_us + MS(100), next_fault);
}

static bool may_be_chosen(struct world *w, const struct node *n)
{
    int64_t too_long = 10 * MS(w->groups[n->group].set.down_after_ms) - SECONDS(2);
    bool in_step = n->master < 0 || n->repl == REPL_UP || w->now_us - n->repl_down_us < too_long;
    return n->up && n->priority > 0 && in_step && !node_forgotten(w, n);
}

/* A configured master that restarted as a replica while no other server may take its place (each has been without a
 * master for too long, as reference section 6 has it, or was forgotten by RESET) is for an operator to put right. */
void fault_repair(struct world *w)
{
    operator_restores(w);
    for (int k = 0; k < w->plan.groups; k++) {
        const struct group *g = &w->groups[k];
        struct node *m = true_master(w, k);
        bool replaceable = false;
        for (int i = g->first; i < g->first + g->count; i++)
            replaceable = replaceable || (i != m->index && may_be_chosen(w, &w->nodes[i]));
        if (m->master >= 0 && !replaceable)
            repl_promote(w, m);
    }
}

void fault_heal(struct world *w)
{
    RECORD(w, "faults", "end, and all is healed");
    w->faults->ended = true;
    happen_not(w, &w->faults->next);
    for (int i = 0; i < ACTIVE_MAX; i++)
        end_fault(w, &w->faults->active[i]);
    for (int i = 0; i < w->plan.supers; i++) {
        super_continue(w, &w->supers[i]);
        if (w->supers[i].core == NULL)
            super_start(w, &w->supers[i]);
    }
    for (int i = 0; i < w->nnodes; i++) {
        node_continue(w, &w->nodes[i]);
        node_start(w, &w->nodes[i]);
    }
    fault_repair(w);
}
