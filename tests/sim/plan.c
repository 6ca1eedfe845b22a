#include "tests/sim/plan.h"

#include <string.h>

#include "tests/sim/world.h"

#define PINGS_PER_S 50 /* of all supervisors together, in most worlds */
#define PINGS_PER_S_BUSY 400

static int pick(struct rng *r, const int *weights, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += weights[i];
    int at = (int)rng_below(r, (uint64_t)sum);
    for (int i = 0; i < n; i++) {
        at -= weights[i];
        if (at < 0)
            return i;
    }
    return n - 1;
}

static bool percent(struct rng *r, uint32_t of_hundred)
{
    return rng_chance(r, of_hundred * 10000);
}

static void draw_node(struct plan_node *n, struct rng *r)
{
    *n = (struct plan_node){.persistent = percent(r, 75),
                            .keeps_id = percent(r, 50),
                            .rewrites = percent(r, 80),
                            .has_failover = percent(r, 50),
                            .no_stale = percent(r, 10),
                            .priority = percent(r, 70)   ? 100
                                        : percent(r, 25) ? 0
                                                         : (int)rng_range(r, 1, 200),
                            .loading_ms = (int)rng_skewed(r, 5, 3000)};
}

static void draw_group(struct plan *p, struct plan_group *g, struct rng *r)
{
    static const int replicas[] = {25, 45, 20, 10};
    int majority = p->supers / 2 + 1;
    g->quorum = percent(r, 70) ? majority : (int)rng_range(r, 1, p->supers);
    g->down_after_ms = rng_skewed(r, 200, 5000);
    g->failover_timeout_ms = rng_skewed(r, 1000, 10000);
    g->parallel_syncs = (int)rng_range(r, 1, 3);
    g->reborn_follow = percent(r, 10);
    g->replicas = 1 + pick(r, replicas, 4);
    g->keys = percent(r, 90) ? (int)rng_range(r, 1, 20) : 0;
    g->write_ms = (int)rng_skewed(r, 30, 500);
    bool same_kind = percent(r, 70);
    for (int i = 0; i <= g->replicas; i++) {
        draw_node(&g->nodes[i], r);
        if (same_kind)
            g->nodes[i].has_failover = g->nodes[0].has_failover;
    }
    if (g->nodes[0].priority == 0)
        g->nodes[0].priority = 100;
}

/* A large world with short down-after times is nothing but PINGs: it costs much and shows little more. */
static void calm_down(struct plan *p, int64_t limit)
{
    for (;;) {
        int64_t pings_per_s = 0, least = 5000;
        for (int i = 0; i < p->groups; i++) {
            pings_per_s += p->supers * (p->group[i].replicas + 1) * 4000 / p->group[i].down_after_ms;
            if (p->group[i].down_after_ms < least)
                least = p->group[i].down_after_ms;
        }
        pings_per_s += p->supers * (p->supers - 1) * 4000 / least;
        if (pings_per_s <= limit || least == 5000)
            return;
        for (int i = 0; i < p->groups; i++) {
            int64_t longer = p->group[i].down_after_ms * 5 / 4;
            p->group[i].down_after_ms = longer < 5000 ? longer : 5000;
        }
    }
}

static void draw_faults(struct plan *p, struct rng *r)
{
    uint32_t likely = (uint32_t)rng_range(r, 15, 60);
    for (int i = 0; i < FAULTS; i++)
        p->fault[i] = percent(r, likely);
    p->fault[FAULT_MASTER_KILL] = true;
    p->between_us = rng_skewed(r, MS(700), MS(6000));
    p->faults_us = rng_range(r, SECONDS(35), SECONDS(45));
}

void plan_draw(struct plan *p, uint64_t seed)
{
    static const int supers[] = {2, 8, 45, 7, 28, 4, 6}, groups[] = {60, 25, 10, 5};
    struct rng rng, *r = &rng;
    rng_seed(r, seed);
    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->supers = 1 + pick(r, supers, 7);
    p->groups = 1 + pick(r, groups, 4);
    p->declared = percent(r, 40);
    p->announce = percent(r, 50);
    p->ids_drawn = percent(r, 50);
    if (percent(r, 25))
        for (int i = 0; i < p->supers; i++)
            p->as_stock[i] = percent(r, 40);
    p->lateness_us = percent(r, 50) ? 0 : rng_range(r, 0, 2000);
    p->sync_delay_ms = percent(r, 50) ? 5000 : 0;
    p->repl_timeout_ms = rng_range(r, 2000, 8000);
    p->sync_ms = rng_skewed(r, 20, 3000);
    p->info_period_ms = percent(r, 50) ? 0 : rng_skewed(r, 1000, 10000);
    p->relays_hello = percent(r, 30);
    for (int i = 0; i < p->groups; i++)
        draw_group(p, &p->group[i], r);
    calm_down(p, percent(r, 10) ? PINGS_PER_S_BUSY : PINGS_PER_S);
    int64_t least = 5000;
    for (int i = 0; i < p->groups; i++)
        if (p->group[i].down_after_ms < least)
            least = p->group[i].down_after_ms;
    p->delay_us = rng_skewed(r, 50, MS(least) / 30);
    p->calm_switch = percent(r, 25);
    p->reborn_alone = !p->calm_switch && percent(r, 15);
    p->keep_dead = percent(r, 40);
    draw_faults(p, r);
    if (p->reborn_alone) {
        p->sync_delay_ms = 5000;
        p->group[0].reborn_follow = false;
        p->group[0].nodes[0].persistent = false;
        p->group[0].nodes[0].rewrites = true;
    }
}
