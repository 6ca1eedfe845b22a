#include "tests/bus/plan.h"

#include <string.h>

#define SECOND INT64_C(1000000)

/* One world in so many has a hundred nodes or more: it costs as much as fifty small ones. */
#define LARGE_EVERY 150

static bool percent(struct rng *r, uint32_t of_hundred)
{
    return rng_chance(r, of_hundred * 10000);
}

static void draw_size(struct plan *p, struct rng *r)
{
    p->masters = percent(r, 75) ? (int)rng_range(r, 3, 5) : (int)rng_range(r, 1, 7);
    int replicas = percent(r, 70) ? 1 : percent(r, 60) ? 2 : 0;
    p->nodes = p->masters * (1 + replicas) + (percent(r, 30) ? 1 : 0);
    if (p->nodes > 20)
        p->nodes = 20;
    if (p->nodes < 3)
        p->nodes = 3;
    p->timeout_ms = rng_skewed(r, 500, 4000);
    if (p->seed % LARGE_EVERY != LARGE_EVERY - 1)
        return;
    p->nodes = (int)rng_range(r, 100, 110);
    p->masters = p->nodes / (int)rng_range(r, 2, 3);
    p->timeout_ms = 15000;
}

void plan_draw(struct plan *p, uint64_t seed)
{
    struct rng rng, *r = &rng;
    rng_seed(r, seed);
    memset(p, 0, sizeof *p);
    p->seed = seed;
    draw_size(p, r);
    bool large = p->nodes >= 100;
    p->validity_factor = percent(r, 70) ? 10 : rng_range(r, 0, 3);
    p->migration_barrier = rng_range(r, 0, 2);
    p->repl_ping_ms = rng_skewed(r, 500, 10000);
    p->full_coverage = percent(r, 70);
    p->allow_migration = percent(r, 70);
    p->same_epochs = percent(r, 40);
    p->volatile_data = percent(r, 15);
    p->lateness_us = percent(r, 50) ? 0 : rng_range(r, 0, 2000);
    p->delay_us = rng_skewed(r, 50, p->timeout_ms * 1000 / 40);
    p->write_ms = rng_skewed(r, 10, 100);
    p->sync_ms = rng_skewed(r, 20, 2000);
    p->lag_us = rng_skewed(r, 5000, 50000);
    p->keep_dead = percent(r, 40);
    uint32_t likely = (uint32_t)rng_range(r, 15, 60);
    for (int i = 0; i < FAULTS; i++)
        p->fault[i] = percent(r, likely);
    p->fault[FAULT_KILL_MASTER] = true;
    p->between_us = rng_skewed(r, p->timeout_ms * 300, p->timeout_ms * 4000);
    if (!p->volatile_data && percent(r, 40))
        p->flush_ms = rng_skewed(r, 50, 2000);
    if (percent(r, 50))
        p->migrate_ms = rng_skewed(r, p->timeout_ms / 8 + 1, p->timeout_ms * 4);
    if (percent(r, 30))
        p->swap_ms = rng_skewed(r, p->timeout_ms / 4, p->timeout_ms * 4);
    p->faults_us = large ? 20 * SECOND : rng_range(r, 15 * SECOND, 40 * SECOND);
    /* Whoever leases knows the shards: nobody moves nodes by hand, and nobody but the supervisors promotes. */
    if (!large && p->swap_ms == 0 && percent(r, 25)) {
        static const enum fault_kind not [] = {FAULT_WIPE,     FAULT_FORGET,    FAULT_RESET,   FAULT_REPLICATE,
                                               FAULT_FAILOVER, FAULT_MOVE_SLOT, FAULT_SETTINGS};
        p->lease_ms = rng_range(r, 200, 1000);
        p->volatile_data = false;
        for (size_t i = 0; i < sizeof not / sizeof not [0]; i++)
            p->fault[not [i]] = false;
    }
}
