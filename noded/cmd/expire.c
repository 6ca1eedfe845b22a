#include "noded/cmd/expire.h"

#include "common/base/mem.h"
#include "noded/cmd/latency.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/pause.h"

#include <stdlib.h>

#define PERIOD_US 100000  /* between two cycles while keys may expire */
#define LIMIT_US 1000     /* of work in one cycle */
#define AGAIN_US 3000     /* to the next cycle when one was not enough: a quarter of the time at most */
#define KEYS_A_CYCLE 200  /* at least, for each step of effort */
#define CYCLES_A_PASS 300 /* all keys are looked at in so many cycles, if the limit allows it */
#define LOOK_EVERY 16     /* steps between two looks at the clock */

/* The walk goes through all databases, one after the other, and begins anew: a pass. */
struct nd_expiry {
    int db;
    uint64_t cursor;
    int64_t next_us;      /* of the next cycle */
    bool asleep;          /* a whole pass has seen what there is: */
    int64_t seen_changes; /* as long as nothing changes since, */
    int64_t wake_us;      /* nothing expires before then */
    int64_t nearest_ms;   /* the earliest expiry that this pass has seen */
    bool unbroken;        /* nothing has changed since this pass began */
    int64_t began_changes;
    int64_t cycle_changes; /* as the last cycle saw it */
    /* Of the database that the walk is in. */
    int64_t ttl_sum, ttl_samples;
};

struct nd_expiry *nd_expiry_new(void)
{
    struct nd_expiry *x = mem_zalloc(sizeof *x);
    x->nearest_ms = INT64_MAX;
    return x;
}

void nd_expiry_free(struct nd_expiry *x)
{
    free(x);
}

void nd_expiry_wake(struct nd_engine *e)
{
    e->expiry->asleep = false;
    e->expiry->unbroken = false;
}

static bool may_expire(const struct nd_engine *e)
{
    return !e->is_replica && !e->loading && e->active_expire && !nd_paused(e) && e->now_us < e->lease_until_us;
}

int64_t nd_expiry_deadline(const struct nd_engine *e)
{
    const struct nd_expiry *x = e->expiry;
    if (!may_expire(e))
        return HEAP_NEVER;
    if (x->asleep && x->seen_changes == e->changes)
        return x->wake_us;
    return x->next_us;
}

/* One cycle's work. */
struct cycle {
    struct nd_engine *e;
    struct nd_db *db;
    uint64_t looked, expired;
};

static void look_at(void *owner, struct nd_entry *entry)
{
    struct cycle *y = owner;
    struct nd_expiry *x = y->e->expiry;
    int64_t at = nd_entry_expire(entry);
    y->looked++;
    if (nd_time_is_over(y->e->now_ms, entry)) {
        nd_expire_now(y->e, y->db, entry);
        y->expired++;
        return;
    }
    x->ttl_sum += at - y->e->now_ms;
    x->ttl_samples++;
    if (at < x->nearest_ms)
        x->nearest_ms = at;
}

/* The walk has seen all keys of this database that expire. */
static void leave_db(struct nd_expiry *x, struct nd_db *db)
{
    nd_db_set_average_ttl(db, x->ttl_samples > 0 ? x->ttl_sum / x->ttl_samples : 0);
    x->ttl_sum = x->ttl_samples = 0;
}

static void begin_pass(struct nd_engine *e)
{
    struct nd_expiry *x = e->expiry;
    x->db = 0;
    x->cursor = 0;
    x->nearest_ms = INT64_MAX;
    x->unbroken = true;
    x->began_changes = e->changes;
}

/* Steps on; false: the pass is over. */
static bool step(struct cycle *y)
{
    struct nd_engine *e = y->e;
    struct nd_expiry *x = e->expiry;
    while (x->db < e->keys.db_count) {
        y->db = nd_keyspace_peek(&e->keys, x->db);
        if (y->db != NULL && (nd_db_expires(y->db) > 0 || x->cursor != 0)) {
            x->cursor = nd_db_scan_expires(y->db, x->cursor, look_at, y);
            if (x->cursor == 0) {
                leave_db(x, y->db);
                x->db++;
            }
            return true;
        }
        x->db++;
    }
    return false;
}

static uint64_t expiring_keys(const struct nd_engine *e)
{
    uint64_t n = 0;
    for (int i = 0; i < e->keys.db_count; i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL)
            n += nd_db_expires(db);
    }
    return n;
}

/* While something is written, a cycle is short; while nothing is, it works up to its limit, so that the pass is soon
 * over and the node can sleep. */
static uint64_t keys_wanted(const struct nd_engine *e, int64_t effort)
{
    if (e->expiry->cycle_changes == e->changes)
        return UINT64_MAX;
    uint64_t least = (uint64_t)(KEYS_A_CYCLE * effort), share = expiring_keys(e) / CYCLES_A_PASS;
    return share > least ? share : least;
}

/* More than this part of what was looked at was over: there is more to be found. */
static bool many_stale(const struct nd_engine *e, const struct cycle *y)
{
    int64_t acceptable = 10 - e->config.active_expire_effort + 1;
    return y->expired * 100 > y->looked * (uint64_t)(acceptable > 1 ? acceptable : 1);
}

/* A whole pass has seen no change from outside: until the nearest expiry there is nothing to do. */
static void end_pass(struct nd_engine *e)
{
    struct nd_expiry *x = e->expiry;
    if (x->unbroken && x->began_changes == e->changes) {
        x->asleep = true;
        x->seen_changes = e->changes;
        int64_t in_ms = x->nearest_ms == INT64_MAX ? INT64_MAX : x->nearest_ms + 1 - e->now_ms;
        x->wake_us = in_ms < (HEAP_NEVER - e->now_us) / 1000 ? e->now_us + (in_ms > 0 ? in_ms : 1) * 1000 : HEAP_NEVER;
    }
    begin_pass(e);
}

static void note_stale(struct nd_engine *e, const struct cycle *y)
{
    uint64_t now = y->looked > 0 ? y->expired * 1000 / y->looked : 0;
    e->stats.expired_stale_permille = (now * 5 + e->stats.expired_stale_permille * 95) / 100;
}

void nd_expiry_cycle(struct nd_engine *e)
{
    struct nd_expiry *x = e->expiry;
    if (!may_expire(e) || e->now_us < nd_expiry_deadline(e))
        return;
    x->asleep = false;
    if (x->db == 0 && x->cursor == 0)
        begin_pass(e);
    int64_t effort = e->config.active_expire_effort > 1 ? e->config.active_expire_effort : 1;
    uint64_t wanted = keys_wanted(e, effort);
    x->cycle_changes = e->changes;
    struct cycle y = {.e = e};
    int64_t began_us = e->host.clock_us(e->host.owner), end_us = began_us + LIMIT_US * effort;
    if (began_us >= e->lease_until_us)
        return;
    if (end_us > e->lease_until_us)
        end_us = e->lease_until_us;
    bool late = false, ended = false;
    for (unsigned steps = 1; (y.looked < wanted || many_stale(e, &y)) && !late; steps++) {
        if (!step(&y)) {
            ended = true;
            break;
        }
        late = steps % LOOK_EVERY == 0 && e->host.clock_us(e->host.owner) >= end_us;
    }
    if (ended)
        end_pass(e);
    e->stats.expire_time_cap += late;
    if (y.looked > 0)
        note_stale(e, &y);
    nd_latency_note(e, "expire-cycle", (e->host.clock_us(e->host.owner) - began_us) / 1000);
    x->next_us = e->now_us + (late && many_stale(e, &y) ? AGAIN_US : PERIOD_US);
}
