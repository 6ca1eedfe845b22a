#include "noded/cmd/engine.h"

#include "common/base/mem.h"
#include "common/base/runid.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/expire.h"
#include "noded/cmd/latency.h"
#include "noded/cmd/migrate.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/pubsub.h"
#include "noded/cmd/rates.h"
#include "noded/cmd/slowlog.h"
#include "noded/cmd/table.h"
#include "noded/cmd/watch.h"

#include <assert.h>
#include <stdlib.h>

#define LAZY_EFFORT 64 /* allocations from which on another thread frees a value */
#define HOUSEKEEPING_US 100000
#define STEP_BUCKETS 100 /* moved at once when a table is resized in idle time */
#define STEPS_A_TURN 10

static void release(void *owner, struct nd_value v)
{
    struct nd_engine *e = owner;
    bool lazily = e->freeing == ND_FREE_LAZILY || (e->freeing == ND_FREE_AS_SET && e->config.lazyfree_lazy_server_del);
    if (lazily && nd_value_free_effort(&v) > LAZY_EFFORT)
        e->host.release(e->host.owner, v);
    else
        nd_value_free(&v);
}

static void draw_seed(struct rng *rng, uint64_t seed[2])
{
    seed[0] = rng_u64(rng);
    seed[1] = rng_u64(rng);
}

struct nd_engine *nd_engine_new(const struct nd_host *host, const struct nd_config *config, uint64_t seed)
{
    struct nd_engine *e = mem_zalloc(sizeof *e);
    e->host = *host;
    nd_config_copy(&e->config, config);
    rng_seed(&e->rng, seed);
    uint64_t of_keys[2], of_maps[2];
    draw_seed(&e->rng, e->config.limits.seed);
    draw_seed(&e->rng, of_keys);
    draw_seed(&e->rng, of_maps);
    runid_draw(&e->rng, e->run_id);
    int64_t databases = config->cluster_enabled ? config->cluster_databases : config->databases;
    nd_keyspace_init(&e->keys, (int)databases, config->cluster_enabled, of_keys);
    e->keys.release = release;
    e->keys.release_owner = e;
    e->active_expire = true;
    e->lease_until_us = INT64_MAX;
    e->next_session = 1;
    e->commands = nd_commands_new(host->extension);
    e->stats.by_command = mem_zalloc(nd_command_numbers(e) * sizeof *e->stats.by_command);
    map_init(&e->stats.errors_by_code, of_maps[0], of_maps[1]);
    map_init(&e->locked, of_maps[0], of_maps[1]);
    e->effects = nd_effects_new();
    e->pubsub = nd_pubsub_new(of_maps);
    e->watches = nd_watches_new(of_maps);
    e->waits = nd_waits_new(of_maps);
    e->expiry = nd_expiry_new();
    e->eviction = nd_eviction_new();
    e->slowlog = nd_slowlog_new();
    e->latency = nd_latency_new();
    e->inner = nd_session_new(e, ND_INNER, &e->dropped, NULL);
    return e;
}

void nd_engine_free(struct nd_engine *e)
{
    while (e->sessions != NULL)
        nd_session_free(e->sessions);
    nd_migrations_free(e);
    nd_latency_free(e->latency);
    nd_slowlog_free(e->slowlog);
    nd_eviction_free(e->eviction);
    nd_expiry_free(e->expiry);
    nd_waits_free(e->waits);
    nd_watches_free(e->watches);
    nd_pubsub_free(e->pubsub);
    nd_effects_free(e->effects);
    nd_keyspace_free(&e->keys);
    map_free(&e->locked);
    nd_stats_free(e);
    nd_commands_free(e->commands);
    nd_config_free(&e->config);
    buf_free(&e->dropped);
    free(e);
}

/* now_ms is good until the clock passes edge_us. */
static void set_now(struct nd_engine *e, int64_t unix_ms, int64_t edge_us)
{
    e->now_ms = unix_ms;
    e->edge_us = edge_us;
    e->lru_clock = (uint32_t)(unix_ms / 1000) & 0xffffff;
}

void nd_engine_time(struct nd_engine *e, int64_t unix_ms, int64_t mono_us)
{
    if (e->start_ms == 0)
        e->start_ms = unix_ms;
    e->turn_ms = unix_ms;
    e->turn_us = mono_us;
    e->now_us = mono_us;
    e->stopwatch = NULL;
    set_now(e, unix_ms, mono_us + 1000);
}

void nd_engine_moved_on(struct nd_engine *e)
{
    int64_t in_turn_ms = (e->now_us - e->turn_us) / 1000;
    set_now(e, e->turn_ms + in_turn_ms, e->turn_us + (in_turn_ms + 1) * 1000);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t nd_engine_deadline(const struct nd_engine *e)
{
    int64_t at = earlier(nd_waits_deadline(e), nd_expiry_deadline(e));
    if (e->pause_until_ms != 0) {
        int64_t left_ms = e->pause_until_ms - e->now_ms;
        at = earlier(at, left_ms < (HEAP_NEVER - e->now_us) / 1000 ? e->now_us + left_ms * 1000 : HEAP_NEVER);
    }
    if (e->lease_grace_us != 0)
        at = earlier(at, e->lease_grace_us);
    if (nd_evict_pending(e))
        at = earlier(at, e->now_us);
    if (e->house_changes != e->changes)
        at = earlier(at, e->house_us);
    return earlier(at, nd_rates_deadline(e));
}

/* Tables that grow or shrink are brought to their new size although nobody touches them. */
static void keep_house(struct nd_engine *e)
{
    if (e->house_changes == e->changes || e->now_us < e->house_us)
        return;
    bool more = false;
    unsigned steps = 0;
    for (int i = 0; i < nd_keyspace_all(&e->keys) && e->config.activerehashing; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        while (db != NULL && (more = nd_db_step(db, STEP_BUCKETS)) && ++steps < STEPS_A_TURN)
            ;
        if (more)
            break;
    }
    e->house_us = e->now_us + (more ? HOUSEKEEPING_US / 100 : HOUSEKEEPING_US);
    if (!more)
        e->house_changes = e->changes;
}

void nd_engine_tick(struct nd_engine *e)
{
    assert(e->depth == 0);
    nd_serve_timeouts(e);
    if (e->pause_until_ms != 0 && e->now_ms >= e->pause_until_ms)
        nd_unpause(e);
    if (e->lease_grace_us != 0 && e->now_us >= e->lease_grace_us)
        nd_lease_grace_ends(e);
    nd_expiry_cycle(e);
    if (nd_evict_pending(e))
        nd_evict(e);
    keep_house(e);
    nd_rates_tick(e);
}
