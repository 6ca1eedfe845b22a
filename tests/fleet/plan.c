#include "tests/fleet/plan.h"

#include <string.h>

#define SECOND INT64_C(1000000)

static bool percent(struct rng *r, uint32_t of_hundred)
{
    return rng_chance(r, of_hundred * 10000);
}

void plan_draw(struct plan *p, uint64_t seed)
{
    struct rng rng, *r = &rng;
    rng_seed(r, seed);
    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->modelled = seed % 2 == 0;
    p->supers = percent(r, 70) ? 3 : (int)rng_range(r, 1, 5);
    p->shards = percent(r, 60) ? (int)rng_range(r, 1, 3) : (int)rng_range(r, 1, 5);
    p->replicas = percent(r, 55) ? 1 : percent(r, 80) ? 2 : 3;
    p->down_after_ms = rng_skewed(r, 300, 2000);
    p->lease_ms = percent(r, 60) ? p->down_after_ms / 2 : rng_range(r, p->down_after_ms / 4, p->down_after_ms - 1);
    p->node_timeout_ms = rng_skewed(r, 500, 4000);
    p->delay_us = rng_skewed(r, 50, p->lease_ms * 1000 / 20);
    p->lateness_us = percent(r, 50) ? 1 : rng_range(r, 1, 2000);
    p->write_ms = rng_skewed(r, 10, 100);
    p->sync_ms = rng_skewed(r, 20, 1000);
    p->lag_us = rng_skewed(r, 2000, 50000);
    p->drifts = percent(r, 70);
    p->keep_dead = percent(r, 40);
    uint32_t likely = (uint32_t)rng_range(r, 15, 60);
    for (int i = 0; i < FAULTS; i++)
        p->fault[i] = percent(r, likely);
    p->fault[FAULT_KILL_MASTER] = true;
    p->quorum = percent(r, 70) ? p->supers / 2 + 1 : (int)rng_range(r, 1, p->supers);
    p->leased = p->modelled || percent(r, 75);
    p->declared = p->leased || percent(r, 40);
    p->failover_timeout_ms = rng_skewed(r, 2000, 10000);
    p->info_period_ms = rng_skewed(r, 500, 5000);
    p->between_us = rng_skewed(r, p->lease_ms * 500, p->down_after_ms * 4000);
    if (!p->declared)
        p->fault[FAULT_WIPE_SUPER] = false;
    if (!p->leased)
        p->fault[FAULT_MEMBERS] = p->fault[FAULT_HIDDEN_SWITCH] = false;
    p->faults_us = rng_range(r, 8 * SECOND, 20 * SECOND);
    p->release = !p->modelled && p->leased && percent(r, 25);
    p->swap_ms = !p->modelled && p->leased && percent(r, 60) ? rng_skewed(r, 100, 4000) : 0;
    p->migrate_ms = !p->modelled && p->leased && p->shards > 1 && percent(r, 55) ? rng_skewed(r, 100, 4000) : 0;
}
