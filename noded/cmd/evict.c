#include "noded/cmd/evict.h"

#include "common/base/mem.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/latency.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/watch.h"

#include <stdlib.h>
#include <string.h>

#define AGE_MASK 0xffffffU
#define LFU_INIT 5     /* a new key's counter: it must live long enough to be used */
#define POOL 16        /* candidates kept from one choice to the next */
#define SAMPLES_MAX 64 /* maxmemory-samples at most */
#define LOOK_EVERY 16  /* keys between two looks at the clock */
#define ROUNDS 16      /* times that samples may show nothing before chance decides */
#define LIST_US 100000 /* for which the list of databases with keys is good */

/* A key that may go. The higher the score, the sooner. */
struct candidate {
    uint64_t score;
    struct nd_db *db;
    char *key;
    size_t n;
};

struct nd_eviction {
    struct candidate pool[POOL]; /* by rising score */
    size_t pooled;
    size_t next_db; /* of the random policies */
    bool pending;
    /* Databases that have keys, looked up again now and then: there may be 16,384 of them, nearly all empty. */
    struct nd_db **dbs;
    size_t db_n, db_cap;
    int64_t dbs_until_us;
};

struct nd_eviction *nd_eviction_new(void)
{
    return mem_zalloc(sizeof(struct nd_eviction));
}

void nd_eviction_free(struct nd_eviction *x)
{
    for (size_t i = 0; i < x->pooled; i++)
        free(x->pool[i].key);
    free(x->dbs);
    free(x);
}

static uint32_t minutes(const struct nd_engine *e)
{
    return (uint32_t)(e->now_ms / 60000) & 0xffff;
}

uint32_t nd_age_of_frequency(const struct nd_engine *e, unsigned frequency)
{
    return minutes(e) << 8 | (frequency & 0xff);
}

uint32_t nd_age_of_idle(const struct nd_engine *e, int64_t idle_s)
{
    return (e->lru_clock - (uint32_t)idle_s) & AGE_MASK;
}

uint32_t nd_age_new(const struct nd_engine *e)
{
    return nd_age_is_lfu(e) ? nd_age_of_frequency(e, LFU_INIT) : e->lru_clock & AGE_MASK;
}

int64_t nd_age_idle_s(const struct nd_engine *e, const struct nd_value *v)
{
    return (int64_t)((e->lru_clock - v->age) & AGE_MASK);
}

unsigned nd_age_frequency(const struct nd_engine *e, const struct nd_value *v)
{
    unsigned counter = v->age & 0xff;
    if (e->config.lfu_decay_time <= 0)
        return counter;
    int64_t elapsed = (minutes(e) - (v->age >> 8)) & 0xffff;
    int64_t periods = elapsed / e->config.lfu_decay_time;
    return periods >= counter ? 0 : counter - (unsigned)periods;
}

/* The more a key was used already, the less likely one more use is to be counted. */
void nd_age_count(struct nd_engine *e, struct nd_value *v)
{
    unsigned counter = nd_age_frequency(e, v);
    if (counter < 255) {
        uint64_t base = counter > LFU_INIT ? counter - LFU_INIT : 0;
        uint64_t one_in = base * (uint64_t)(e->config.lfu_log_factor > 0 ? e->config.lfu_log_factor : 0) + 1;
        counter += rng_below(&e->rng, one_in) == 0;
    }
    v->age = nd_age_of_frequency(e, counter) & AGE_MASK;
}

static bool only_expiring(const struct nd_engine *e)
{
    switch (e->config.maxmemory_policy) {
    case ND_VOLATILE_LRU:
    case ND_VOLATILE_LFU:
    case ND_VOLATILE_RANDOM:
    case ND_VOLATILE_TTL: return true;
    case ND_NOEVICTION:
    case ND_ALLKEYS_LRU:
    case ND_ALLKEYS_LFU:
    case ND_ALLKEYS_RANDOM: break;
    }
    return false;
}

static uint64_t score_of(const struct nd_engine *e, const struct nd_entry *entry)
{
    if (e->config.maxmemory_policy == ND_VOLATILE_TTL)
        return UINT64_MAX - (uint64_t)nd_entry_expire(entry);
    if (nd_age_is_lfu(e))
        return 255 - nd_age_frequency(e, &entry->v);
    return (uint64_t)nd_age_idle_s(e, &entry->v);
}

/* Keeps the key if it is among the best so far. */
static void pool_put(struct nd_eviction *x, uint64_t score, struct nd_db *db, struct slice key)
{
    size_t at = 0;
    while (at < x->pooled && x->pool[at].score < score)
        at++;
    for (size_t i = 0; i < x->pooled; i++)
        if (x->pool[i].db == db && slice_eq((struct slice){x->pool[i].key, x->pool[i].n}, key))
            return;
    struct candidate new = {.score = score, .db = db, .n = key.n};
    if (x->pooled == POOL) {
        if (at == 0)
            return;
        free(x->pool[0].key);
        memmove(x->pool, x->pool + 1, (at - 1) * sizeof x->pool[0]);
        at--;
    } else {
        memmove(x->pool + at + 1, x->pool + at, (x->pooled - at) * sizeof x->pool[0]);
        x->pooled++;
    }
    new.key = slice_dup(key);
    x->pool[at] = new;
}

static void pool_fill(struct nd_engine *e, struct nd_db *db)
{
    struct nd_entry *sample[SAMPLES_MAX];
    size_t want = (size_t)(e->config.maxmemory_samples > 0 ? e->config.maxmemory_samples : 1);
    size_t n = nd_db_sample(db, &e->rng, only_expiring(e), sample, want < SAMPLES_MAX ? want : SAMPLES_MAX);
    for (size_t i = 0; i < n; i++)
        pool_put(e->eviction, score_of(e, sample[i]), db, nd_entry_key(sample[i]));
}

static size_t keys_to_choose_from(const struct nd_engine *e, const struct nd_db *db)
{
    if (db == NULL)
        return 0;
    return only_expiring(e) ? nd_db_expires(db) : nd_db_count(db);
}

static void list_dbs(struct nd_engine *e)
{
    struct nd_eviction *x = e->eviction;
    x->db_n = 0;
    for (int i = 0; i < e->keys.db_count; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        x->dbs = mem_grow(x->dbs, x->db_n, &x->db_cap, sizeof(struct nd_db *));
        x->dbs[x->db_n++] = db;
    }
    x->dbs_until_us = e->now_us + LIST_US;
}

static bool choose_by_chance(struct nd_engine *e, struct nd_db **db, struct nd_entry **entry)
{
    struct nd_eviction *x = e->eviction;
    for (size_t i = 0; i < x->db_n; i++) {
        x->next_db = (x->next_db + 1) % x->db_n;
        struct nd_db *each = x->dbs[x->next_db];
        struct nd_entry *found = NULL;
        if (keys_to_choose_from(e, each) == 0)
            continue;
        if (!only_expiring(e))
            found = nd_db_random(each, &e->rng);
        else if (nd_db_sample(each, &e->rng, true, &found, 1) == 0)
            found = NULL;
        if (found == NULL)
            continue;
        *db = each;
        *entry = found;
        return true;
    }
    return false;
}

/* The best of the pool that is still there. */
static bool choose_by_score(struct nd_engine *e, struct nd_db **db, struct nd_entry **entry)
{
    struct nd_eviction *x = e->eviction;
    for (int round = 0; round < ROUNDS; round++) {
        size_t there = 0;
        for (size_t i = 0; i < x->db_n; i++) {
            size_t keys = keys_to_choose_from(e, x->dbs[i]);
            if (keys > 0)
                pool_fill(e, x->dbs[i]);
            there += keys;
        }
        if (there == 0)
            return false;
        while (x->pooled > 0) {
            struct candidate best = x->pool[--x->pooled];
            struct nd_entry *found = nd_db_find(best.db, (struct slice){best.key, best.n});
            free(best.key);
            if (found != NULL && (!only_expiring(e) || found->v.has_expire)) {
                *db = best.db;
                *entry = found;
                return true;
            }
        }
    }
    return choose_by_chance(e, db, entry);
}

/* false: no database has any key that may go. */
static bool choose(struct nd_engine *e, struct nd_db **db, struct nd_entry **entry)
{
    bool by_chance = e->config.maxmemory_policy == ND_ALLKEYS_RANDOM ||
                     e->config.maxmemory_policy == ND_VOLATILE_RANDOM;
    if (e->now_us >= e->eviction->dbs_until_us)
        list_dbs(e);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (by_chance ? choose_by_chance(e, db, entry) : choose_by_score(e, db, entry))
            return true;
        list_dbs(e); /* others may have got keys meanwhile */
    }
    return false;
}

static void evict_key(struct nd_engine *e, struct nd_db *db, struct nd_entry *entry)
{
    bool lazy = e->config.lazyfree_lazy_eviction;
    struct slice key = {slice_dup(nd_entry_key(entry)), entry->v.key_len};
    int64_t began_us = nd_latency_begin(e);
    nd_delete_entry(e, db, entry, lazy);
    nd_latency_end(e, "eviction-del", began_us);
    e->stats.evicted++;
    nd_watch_touched(e, db, key);
    nd_event(e, ND_EV_EVICTED, "evicted", key, db);
    struct slice words[] = {slice_of(lazy ? "UNLINK" : "DEL"), key};
    nd_effects_copy(e->effects, nd_db_number(db), 2, words);
    nd_effects_flush(e);
    free((char *)key.p);
}

bool nd_memory_is_short(const struct nd_engine *e)
{
    return e->config.maxmemory > 0 && e->host.memory_used(e->host.owner) > (size_t)e->config.maxmemory + e->not_evicted;
}

/* As redis.conf has it: 10 is half a millisecond, above it grows by 15 % each, 100 knows no end. */
static int64_t time_limit_us(const struct nd_engine *e)
{
    int64_t tenacity = e->config.maxmemory_eviction_tenacity;
    if (tenacity <= 10)
        return 50 * tenacity;
    if (tenacity >= 100)
        return INT64_MAX / 2;
    double limit = 500;
    for (int64_t i = 10; i < tenacity; i++)
        limit *= 1.15;
    return (int64_t)limit;
}

/* false: nothing is left that may go. */
static bool evict_until(struct nd_engine *e, int64_t end_us)
{
    for (unsigned n = 1; nd_memory_is_short(e); n++) {
        struct nd_db *db;
        struct nd_entry *entry;
        if (!choose(e, &db, &entry))
            return false;
        evict_key(e, db, entry);
        if (n % LOOK_EVERY == 0 && (e->host.clock_us(e->host.owner) >= end_us || !nd_leased(e))) {
            e->eviction->pending = true;
            break;
        }
    }
    return true;
}

bool nd_evict(struct nd_engine *e)
{
    e->eviction->pending = false;
    /* A replica follows its master in what goes; nothing changes while writes are paused, or without a lease. */
    if (!nd_memory_is_short(e) || e->is_replica || e->loading || nd_paused(e) || !nd_leased(e))
        return true;
    if (e->config.maxmemory_policy == ND_NOEVICTION)
        return false;
    int64_t began_us = nd_latency_begin(e);
    bool done = evict_until(e, e->host.clock_us(e->host.owner) + time_limit_us(e));
    nd_latency_end(e, "eviction-cycle", began_us);
    return done;
}

void nd_evict_soon(struct nd_engine *e)
{
    e->eviction->pending = true;
}

bool nd_evict_pending(const struct nd_engine *e)
{
    return e->eviction->pending;
}
