/* Faults that are aimed at a moment: around a switch that the master does not hear of, and in the midst of a
 * hand-over. */
#include "tests/fleet/fault.h"

/* ---- a switch that the master does not hear of ---- */

static void restart_supers(struct world *w)
{
    for (int i = 0; i < SUPERS_MAX; i++)
        if (process_works(&w->supers[i].p) && !fault_taken(w, i)) {
            super_crash(w, &w->supers[i], false);
            super_start(w, &w->supers[i]);
        }
}

static void restart_behind(struct world *w, struct happening *h)
{
    (void)h;
    restart_supers(w);
}

/* When a supervisor has heard enough again to begin. */
static void switch_on(struct world *w, struct happening *h)
{
    struct hidden_switch *s = (struct hidden_switch *)h;
    int64_t lease_us = MS(w->plan.lease_ms);
    bool asked = false;
    for (int i = 0; i < SUPERS_MAX && !asked; i++)
        asked = super_switch(w, &w->supers[i], s->shard);
    if (asked && s->restart_then)
        happen(&w->time, h, w->time.now_us + rng_range(&w->rng, MS(1), lease_us / 2), restart_behind);
    else if (!asked && --s->tries > 0)
        happen(&w->time, h, w->time.now_us + lease_us / 32, switch_on);
}

void fault_hidden_switch(struct world *w)
{
    struct hidden_switch *s = &w->faults->hidden;
    const struct node *m = some_master(w, -1);
    struct fault *f = m == NULL ? NULL : fault_new(w, FAULT_CUT_MASTER, -1);
    if (f == NULL)
        return;
    for (int i = 0; i < NET_ENDS_MAX; i++) {
        f->side[i] = i == m->p.end;
        f->other[i] = !f->side[i] && !end_is_super(i);
    }
    w->counts[COUNT_CUT]++;
    w->counts[COUNT_HIDDEN]++;
    RECORD(w, "network", "%s is cut off from all nodes", end_name(m->p.end));
    fault_cut(w, f, true);
    s->shard = m->shard;
    s->tries = 12;
    s->restart_then = rng_below(&w->rng, 2) == 0;
    if (rng_below(&w->rng, 2) == 0)
        restart_supers(w);
    happen(&w->time, &s->next, w->time.now_us + MS(w->plan.lease_ms) / 32, switch_on);
}

/* ---- in the midst of a hand-over ---- */

static void cut_off(struct world *w, const struct node *n)
{
    struct fault *f = fault_new(w, FAULT_CUT, -1);
    bool of_supers = rng_below(&w->rng, 2) == 0;
    if (f == NULL)
        return;
    for (int i = 0; i < NET_ENDS_MAX; i++) {
        f->side[i] = i == n->p.end;
        f->other[i] = !f->side[i] && (end_is_super(i) || !of_supers);
    }
    w->counts[COUNT_CUT]++;
    RECORD(w, "network", "%s is cut off from all%s", end_name(n->p.end), of_supers ? " supervisors" : "");
    fault_cut(w, f, true);
}

static void strike(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    uint64_t how = rng_below(&w->rng, 4);
    enum fault_kind kind = how == 0 ? FAULT_STOP : how == 1 ? FAULT_POWER : FAULT_KILL;
    if (!process_works(&n->p) || fault_taken(w, n->p.end))
        return;
    w->counts[COUNT_STRUCK]++;
    if (how == 3)
        cut_off(w, n);
    else if (fault_new(w, kind, n->p.end) == NULL)
        return;
    else if (kind == FAULT_STOP)
        process_stop(w, &n->p);
    else
        fault_kill(w, n, kind);
}

void fault_at_grant(struct world *w, const struct node *source, const struct node *target)
{
    uint64_t drawn = rng_below(&w->rng, 12);
    if (w->faults->ended || drawn > 1)
        return;
    w->faults->strike.who = drawn == 0 ? source->index : target->index;
    happen(&w->time, &w->faults->strike,
           w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)(4 * w->plan.delay_us + MS(10))), strike);
}
