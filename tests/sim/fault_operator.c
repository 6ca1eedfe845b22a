/* Faults of operators' making, drawn like the others: what they ask for at a bad moment, hooks that veto, settings and
 * groups that come and go, and state directories that are lost. */
#include "tests/sim/fault_inner.h"

static int some_group(struct world *w)
{
    return (int)rng_below(&w->rng, (uint64_t)w->plan.groups);
}

static bool supervises(const struct world *w, const struct super *s, int group)
{
    return sn_group_find(s->core, slice_of(w->groups[group].name)) != NULL;
}

/* RESET forgets supervisors that do not say hello within seconds: that is what it is for, and it makes the majority
 * smaller. So a careful operator resets only while all supervisors are there, and they stay there for as long as that
 * takes. The same holds for what makes one supervisor forget its peers, where they discover each other; `supervisors`
 * in the configuration spares him the care. Nor does he take a group from one just
 * after he has reset another: it may die in between, and stay without the group for long. */
static bool may_forget_peers(const struct world *w)
{
    return w->plan.declared || (!fault_parts_supervisors(w) && w->now_us >= w->faults->together_until_us);
}

static void keep_together(struct world *w, int64_t until_us)
{
    if (until_us > w->faults->together_until_us)
        w->faults->together_until_us = until_us;
}

/* One that was removed may be so only soon, on a slow disk, or for long, when a full one refuses to take it back. */
static bool all_supervise(const struct world *w, int group)
{
    for (int i = 0; i < ACTIVE_MAX; i++) {
        const struct fault *f = &w->faults->active[i];
        if (f->active && f->kind == FAULT_REMOVE && f->group == group)
            return false;
    }
    for (int i = 0; i < w->plan.supers; i++) {
        const struct super *s = &w->supers[i];
        if (s->disk.groups[group].removed || (s->core != NULL && !supervises(w, s, group)))
            return false;
    }
    return true;
}

static bool all_supervise_all(const struct world *w)
{
    bool all = true;
    for (int i = 0; i < w->plan.groups; i++)
        all = all && all_supervise(w, i);
    return all;
}

static void request(struct world *w, enum fault_kind kind)
{
    struct super *s = super_running(w);
    if (kind == FAULT_RESET && (fault_parts_supervisors(w) || !all_supervise_all(w)))
        return;
    struct fault *f = s != NULL ? fault_new(w, kind) : NULL;
    if (f == NULL)
        return;
    fault_until(w, f, w->now_us + SECONDS(5));
    int group = some_group(w);
    if (kind == FAULT_RESET) {
        keep_together(w, w->now_us + SECONDS(15));
        operator_resets(w, s);
    } else {
        super_failover(w, s, group, kind == FAULT_COORDINATED);
    }
}

/* --- hooks --- */

static void set_policy(struct world *w, const struct fault *f, enum consent policy, int64_t after_us)
{
    for (int i = 0; i < w->plan.supers; i++)
        if (f->who < 0 || f->who == i)
            consent_policy(w, &w->supers[i], policy, after_us);
}

/* Of one supervisor, or all have the same one. */
static void veto(struct world *w)
{
    static const enum consent policies[] = {CONSENT_NO, CONSENT_NO, CONSENT_YES, CONSENT_YES, CONSENT_SILENT};
    for (int i = 0; i < ACTIVE_MAX; i++)
        if (w->faults->active[i].active && w->faults->active[i].kind == FAULT_VETO)
            return;
    struct fault *f = fault_new(w, FAULT_VETO);
    if (f == NULL)
        return;
    if (rng_below(&w->rng, 2) == 0)
        f->who = (int)rng_below(&w->rng, (uint64_t)w->plan.supers);
    enum consent policy = policies[rng_below(&w->rng, sizeof policies / sizeof *policies)];
    int64_t after_us = rng_skewed(&w->rng, MS(1), MS(1500));
    fault_until(w, f, w->now_us + rng_range(&w->rng, SECONDS(2), SECONDS(20)));
    set_policy(w, f, policy, after_us);
}

void fault_veto_over(struct world *w, const struct fault *f)
{
    set_policy(w, f, CONSENT_NOT_ASKED, 0);
}

/* --- settings, groups, the master of the file --- */

static void change(struct world *w, enum fault_kind kind)
{
    struct super *s = super_running(w);
    int group = some_group(w);
    struct fault *f = s != NULL && supervises(w, s, group) ? fault_new(w, kind) : NULL;
    if (f == NULL)
        return;
    fault_until(w, f, w->now_us + SECONDS(1));
    if (kind == FAULT_SET)
        operator_changes(w, s, group, rng_below(&w->rng, 2) == 0);
    else
        operator_moves(w, s, group);
}

/* It dies while that is on its way to the disk, or soon after. */
static void crash_meanwhile(struct world *w, struct super *s, int64_t within_us)
{
    struct fault *f = fault_new(w, FAULT_SUPER_CRASH);
    if (f == NULL)
        return;
    w->counts[COUNT_SUPER_CRASH]++;
    f->who = s->index;
    fault_until(w, f, w->now_us + within_us + SECONDS(10));
    disk_crash_soon(w, s, w->now_us + (int64_t)rng_below(&w->rng, (uint64_t)within_us));
}

/* Those that keep it have met each other, since it was given to the last of them. */
static bool all_have_met(const struct world *w, int group)
{
    for (int i = 0; i < w->plan.supers; i++)
        if ((int)w->supers[i].disk.groups[group].npeers < w->plan.supers - 1)
            return w->plan.declared;
    return true;
}

/* What this one alone has heard of a new master is gone with it, and the others hold the former one for ever: a careful
 * operator looks first. */
static bool others_know(const struct world *w, const struct super *s, int group)
{
    const struct sn_group *g = sn_group_find(s->core, slice_of(w->groups[group].name));
    for (int i = 0; g != NULL && i < w->plan.supers; i++)
        if (i != s->index && w->supers[i].disk.groups[group].config_epoch >= g->config_epoch)
            return true;
    return g == NULL || w->plan.supers == 1;
}

static void remove_group(struct world *w)
{
    struct super *s = super_running(w);
    int group = some_group(w);
    if (s == NULL || !may_forget_peers(w) || !all_supervise(w, group) || !all_have_met(w, group) ||
        fault_taken(w, true, s->index) || !others_know(w, s, group))
        return;
    struct fault *f = fault_new(w, FAULT_REMOVE);
    if (f == NULL)
        return;
    int64_t lasts = rng_skewed(&w->rng, MS(1), SECONDS(5));
    f->who = s->index;
    f->group = group;
    if (!w->plan.declared)
        keep_together(w, w->now_us + lasts + SECONDS(15));
    fault_until(w, f, w->now_us + lasts);
    operator_removes(w, s, group, rng_below(&w->rng, 3) == 0);
    if (s->core != NULL && rng_below(&w->rng, 3) == 0)
        crash_meanwhile(w, s, lasts + MS(5));
}

/* --- state directories --- */

/* SAFETY M2 covers one that has lost its state while the others have theirs. A single supervisor has nobody to ask. */
static bool may_be_wiped(const struct world *w, const struct super *s)
{
    if (w->plan.supers == 1 || s->core == NULL || fault_taken(w, true, s->index) || s->nformer == FORMER_MAX)
        return false;
    for (int i = 0; i < w->plan.supers; i++)
        if (!w->supers[i].disk.joined || w->supers[i].wipe_next)
            return false;
    for (int k = 0; k < w->plan.groups; k++)
        if (!others_know(w, s, k))
            return false;
    return may_forget_peers(w) && (w->plan.declared || all_supervise_all(w));
}

/* At once, or just after it has told a vote. */
static void wipe(struct world *w)
{
    struct super *s = &w->supers[rng_below(&w->rng, (uint64_t)w->plan.supers)];
    struct fault *f = may_be_wiped(w, s) ? fault_new(w, FAULT_WIPE) : NULL;
    if (f == NULL)
        return;
    int64_t lasts = rng_skewed(&w->rng, MS(10), SECONDS(5));
    f->who = s->index;
    s->wipe_next = true;
    if (rng_below(&w->rng, 2) == 0) {
        super_crash(w, s, false);
    } else {
        s->disk.crash_voted = true;
        lasts += SECONDS(5);
    }
    if (!w->plan.declared)
        keep_together(w, w->now_us + lasts + SECONDS(16));
    fault_until(w, f, w->now_us + lasts);
}

void fault_of_operator(struct world *w, enum fault_kind kind)
{
    switch (kind) {
    case FAULT_VETO: veto(w); break;
    case FAULT_SET:
    case FAULT_MOVE: change(w, kind); break;
    case FAULT_REMOVE: remove_group(w); break;
    case FAULT_WIPE: wipe(w); break;
    default: request(w, kind); break;
    }
}
