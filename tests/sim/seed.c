#include "tests/sim/seed.h"

#include <stdio.h>
#include <string.h>

#define LOOK MS(250)
#define ACQUAINTED_WITHIN SECONDS(30)
#define AGREED_WITHIN SECONDS(60) /* after the last fault has ended: rule S7 */
#define STAYS_AGREED SECONDS(3)
#define SHORTEST SECONDS(60)

static bool run_for(struct world *w, int64_t us)
{
    return world_run(w, w->now_us + us);
}

static bool get_acquainted(struct world *w)
{
    while (!all_acquainted(w)) {
        if (w->now_us >= ACQUAINTED_WITHIN) {
            violated(w, "start",
                     "after %d s not every supervisor knows all servers and supervisors, with nothing wrong",
                     (int)(ACQUAINTED_WITHIN / SECONDS(1)));
            return false;
        }
        if (!run_for(w, LOOK))
            return false;
    }
    check_settled(w);
    return run_for(w, SECONDS(1));
}

static bool agree(struct world *w, const char *after)
{
    int64_t bound = w->now_us + AGREED_WITHIN, since = -1;
    while (since < 0 || w->now_us - since < STAYS_AGREED) {
        if (!run_for(w, LOOK))
            return false;
        const char *why = not_converged(w);
        if (why == NULL) {
            since = since >= 0 ? since : w->now_us;
            continue;
        }
        since = -1;
        if (w->now_us > bound) {
            violated(w, "S7", "%d s after %s: %s", (int)(AGREED_WITHIN / SECONDS(1)), after, why);
            return false;
        }
    }
    return true;
}

/* One that nobody supervises any more may go on as a master, and clients that know it go on writing there. */
static bool some_forgotten(struct world *w, int group)
{
    const struct group *g = &w->groups[group];
    for (int i = g->first; i < g->first + g->count; i++)
        if (node_forgotten(w, &w->nodes[i]))
            return true;
    return false;
}

/* A planned switch while nothing is wrong must lose no acknowledged write, whether it comes about or not. */
static bool switch_in_calm(struct world *w)
{
    int group = (int)rng_below(&w->rng, (uint64_t)w->plan.groups);
    struct super *s = super_running(w);
    const struct node *before = true_master(w, group);
    int64_t from = w->now_us;
    w->calm = false;
    struct operation *o = super_failover(w, s, group, true);
    if (w->violation != NULL || !run_for(w, SECONDS(2)) || !agree(w, "a coordinated failover"))
        return false;
    if (!o->answered) {
        violated(w, "coordinated", "s%d has not answered the operator", s->index + 1);
        return false;
    }
    struct node *m = true_master(w, group);
    size_t lost = client_lost(w, group, m, from, w->now_us);
    if (lost > 0 && !some_forgotten(w, group))
        violated(w, "coordinated", "%zu acknowledged writes of %s are lost after a coordinated failover from %s to %s",
                 lost, w->groups[group].name, end_name(w, end_of_node(before->index)),
                 end_name(w, end_of_node(m->index)));
    if (o->answer == SN_ANSWER_OK)
        w->counts[m != before ? COUNT_COORD_DONE : COUNT_COORD_STOPPED]++;
    return w->violation == NULL;
}

static bool may_be_promoted(struct world *w, const struct node *m)
{
    const struct group *g = &w->groups[m->group];
    for (int i = g->first; i < g->first + g->count; i++)
        if (i != m->index && w->nodes[i].up && w->nodes[i].priority > 0 && !node_forgotten(w, &w->nodes[i]))
            return true;
    return false;
}

/* SAFETY section 4, with time enough (the diskless delay) to prevent what a stock replica would do. */
static bool rebirth_in_calm(struct world *w)
{
    struct group *g = &w->groups[0];
    struct node *m = true_master(w, 0);
    bool keys = m->keys > 0, replaceable = may_be_promoted(w, m);
    w->calm = false;
    g->writing = false; /* one write to the reborn server, and it is not empty any more */
    if (!run_for(w, SECONDS(1)))
        return false;
    w->counts[COUNT_REBORN]++;
    node_kill(w, m, false);
    if (!run_for(w, rng_skewed(&w->rng, MS(20), MS(400))))
        return false;
    node_start(w, m);
    int64_t died = w->now_us;
    if (!run_for(w, SECONDS(8)) || !agree(w, "a master was reborn empty"))
        return false;
    g->writing = true;
    const struct node *now = true_master(w, 0);
    if (!keys || !replaceable)
        return true;
    if (client_lost(w, 0, now, 0, died) > 0)
        violated(w, "reborn", "%s came back empty and its replicas lost their data to it",
                 end_name(w, end_of_node(m->index)));
    else
        w->counts[COUNT_REBORN_SAVED]++;
    return w->violation == NULL;
}

/* With all well again, one more master dies and does not come back: the others must do without it. */
static bool last_death(struct world *w)
{
    int group = (int)rng_below(&w->rng, (uint64_t)w->plan.groups);
    struct node *m = true_master(w, group);
    bool replaceable = may_be_promoted(w, m);
    w->counts[COUNT_MASTER_KILL]++;
    node_kill(w, m, rng_below(&w->rng, 2) == 0);
    if (!replaceable) {
        if (!run_for(w, SECONDS(3)))
            return false;
        node_start(w, m);
        fault_repair(w);
        return agree(w, "the only server that may be master died and came back");
    }
    if (!run_for(w, SECONDS(1)) || !agree(w, "a last master died for good"))
        return false;
    if (rng_below(&w->rng, 2) == 0)
        return true;
    node_start(w, m);
    return agree(w, "a dead master came back");
}

static void live(struct world *w)
{
    if (!get_acquainted(w))
        return;
    if (w->plan.calm_switch && !switch_in_calm(w))
        return;
    if (w->plan.reborn_alone && !rebirth_in_calm(w))
        return;
    fault_begin(w);
    if (!run_for(w, w->plan.faults_us))
        return;
    fault_heal(w);
    if (!run_for(w, SECONDS(12))) /* by then RESET has forgotten what it forgets */
        return;
    operator_forgets_former(w);
    for (int i = 0; i < w->plan.groups; i++)
        operator_settles_rebirth(w, i);
    fault_repair(w);
    if (!agree(w, "all faults ended"))
        return;
    if (w->plan.calm_switch && !switch_in_calm(w))
        return;
    if (w->plan.keep_dead && !last_death(w))
        return;
    if (w->now_us < SHORTEST)
        world_run(w, SHORTEST);
}

static void count_lost_writes(struct world *w)
{
    for (int i = 0; i < w->plan.groups; i++)
        w->counts[COUNT_WRITES_LOST] += client_lost(w, i, true_master(w, i), 0, w->now_us);
}

static void describe(const struct world *w)
{
    const struct plan *p = &w->plan;
    printf("seed %llu: %d supervisors (%s), network %lld us, timers late by %lld us\n", (unsigned long long)p->seed,
           p->supers, p->declared ? "declared" : "discovered", (long long)p->delay_us, (long long)p->lateness_us);
    for (int i = 0; i < p->groups; i++) {
        const struct plan_group *g = &p->group[i];
        printf("  g%d: quorum %d, down-after %lld ms, failover-timeout %lld ms, parallel-syncs %d; priorities", i + 1,
               g->quorum, (long long)g->down_after_ms, (long long)g->failover_timeout_ms, g->parallel_syncs);
        for (int k = 0; k <= g->replicas; k++)
            printf(" %d", g->nodes[k].priority);
        printf("\n");
    }
    for (int i = 0; i < p->supers; i++)
        printf("  s%d is %s%s\n", i + 1, w->supers[i].id, p->as_stock[i] ? ", speaks the stock form" : "");
}

void seed_run(uint64_t seed, enum recording recording, struct outcome *out)
{
    struct plan plan;
    plan_draw(&plan, seed);
    struct world *w = world_new(&plan, recording);
    if (recording == RECORD_AT_ONCE)
        describe(w);
    live(w);
    if (w->violation == NULL)
        count_lost_writes(w);
    w->counts[COUNT_VIRTUAL_S] += (uint64_t)(w->now_us / SECONDS(1));
    *out = (struct outcome){.held = w->violation == NULL, .hash = w->hash};
    memcpy(out->counts, w->counts, sizeof w->counts);
    memcpy(out->rule, w->rule, sizeof out->rule);
    snprintf(out->broken, sizeof out->broken, "%s", w->violation != NULL ? w->violation : "");
    if (recording != RECORD_NOTHING) {
        if (recording == RECORD_LAST_LINES)
            describe(w);
        record_print(w->record);
        if (w->violation != NULL)
            printf("%s: %s\n", w->rule, w->violation);
    }
    world_free(w);
}
