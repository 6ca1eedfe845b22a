#include "noded/cmd/lookup.h"

#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/latency.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/watch.h"

#include <stdlib.h>
#include <string.h>

void nd_delete_entry(struct nd_engine *e, struct nd_db *db, struct nd_entry *entry, bool lazy)
{
    e->freeing = lazy ? ND_FREE_LAZILY : ND_FREE_NOW;
    nd_db_delete(db, entry);
    e->freeing = ND_FREE_AS_SET;
}

void nd_expire_now(struct nd_engine *e, struct nd_db *db, struct nd_entry *entry)
{
    bool lazy = e->config.lazyfree_lazy_expire;
    /* The key is part of the entry, and what comes after the deletion names it. */
    char small[128];
    struct slice key = nd_entry_key(entry);
    char *copy = key.n <= sizeof small ? small : mem_alloc(key.n);
    if (key.n > 0)
        memcpy(copy, key.p, key.n);
    key.p = copy;
    int64_t began_us = nd_latency_begin(e);
    nd_delete_entry(e, db, entry, lazy);
    nd_latency_end(e, "expire-del", began_us);
    e->stats.expired++;
    nd_event(e, ND_EV_EXPIRED, "expired", key, db);
    nd_watch_touched(e, db, key);
    struct slice words[] = {slice_of(lazy ? "UNLINK" : "DEL"), key};
    nd_effects_copy(e->effects, nd_db_number(db), 2, words);
    if (e->depth == 0)
        nd_effects_flush(e); /* of the expiry cycle: a unit of its own */
    if (copy != small)
        free(copy);
}

/* The entry's time is over: what is to be seen of it. */
static struct nd_entry *expired(struct nd_call *c, struct nd_db *db, struct nd_entry *entry, enum nd_access access)
{
    struct nd_engine *e = c->e;
    if (e->loading || nd_db_is_shadow(db))
        return entry; /* whose it still is decides when a key is gone */
    if (e->is_replica) {
        /* The master decides when a key is gone; its own stream must find what it found itself. */
        if (c->s->kind == ND_MASTER)
            return entry;
        if (access != ND_CHANGE)
            return NULL;
    } else if (access != ND_CHANGE && (nd_paused(e) || !nd_leased(e))) {
        return NULL; /* nothing changes while writes are paused, or without a lease */
    }
    nd_expire_now(e, db, entry);
    return NULL;
}

struct nd_entry *nd_lookup_in(struct nd_call *c, struct nd_db *db, struct slice key, enum nd_access access)
{
    struct nd_engine *e = c->e;
    struct nd_entry *entry = nd_db_find(db, key);
    if (entry != NULL && nd_time_is_over(c->now_ms, entry))
        entry = expired(c, db, entry, access);
    if (access == ND_PEEK)
        return entry;
    if (entry == NULL) {
        if (access != ND_CHANGE) {
            e->stats.misses++;
            nd_event(e, ND_EV_KEY_MISS, "keymiss", key, db);
        }
        return NULL;
    }
    if (access != ND_CHANGE)
        e->stats.hits++;
    if (access != ND_LOOK)
        nd_age_touch(e, &entry->v);
    return entry;
}

struct nd_entry *nd_lookup(struct nd_call *c, struct slice key, enum nd_access access)
{
    return nd_lookup_in(c, c->db, key, access);
}

bool nd_typed(struct nd_call *c, struct slice key, enum nd_type type, enum nd_access access, struct nd_entry **out)
{
    struct nd_entry *entry = nd_lookup_in(c, c->db, key, access);
    if (entry != NULL && entry->v.type != type) {
        nd_wrong_type(c);
        return false;
    }
    *out = entry;
    return true;
}

struct nd_entry *nd_add_key_in(struct nd_call *c, struct nd_db *db, struct slice key, struct nd_value value,
                               int64_t expire_ms)
{
    struct nd_engine *e = c->e;
    value.age = nd_age_new(e);
    struct nd_entry *entry = nd_db_add(db, key, value, expire_ms);
    if (value.type == ND_LIST || value.type == ND_ZSET)
        nd_wait_ready(e, db, key);
    nd_event(e, ND_EV_NEW, "new", key, db);
    return entry;
}

struct nd_entry *nd_add_key(struct nd_call *c, struct slice key, struct nd_value value)
{
    return nd_add_key_in(c, c->db, key, value, ND_NO_EXPIRE);
}

struct nd_entry *nd_put_string(struct nd_call *c, struct nd_entry *old, struct slice key, struct slice bytes,
                               bool try_number, int64_t expire_ms)
{
    struct nd_entry *entry = nd_db_set_string(c->db, old, key, bytes, try_number, expire_ms);
    if (old == NULL) {
        entry->v.age = nd_age_new(c->e);
        nd_event(c->e, ND_EV_NEW, "new", key, c->db);
    }
    return entry;
}

void nd_delete(struct nd_call *c, struct nd_db *db, struct nd_entry *e, bool lazy)
{
    nd_delete_entry(c->e, db, e, lazy);
}

bool nd_drop_if_empty(struct nd_call *c, struct nd_entry *e)
{
    if (nd_value_length(&e->v) > 0)
        return false;
    struct slice key = nd_entry_key(e);
    char *copy = slice_dup(key);
    nd_delete_entry(c->e, c->db, e, c->e->config.lazyfree_lazy_server_del);
    nd_event(c->e, ND_EV_GENERIC, "del", (struct slice){copy, key.n}, c->db);
    free(copy);
    return true;
}

void nd_changed_in(struct nd_call *c, struct nd_db *db, struct slice key, int64_t n)
{
    c->dirty += n;
    nd_watch_touched(c->e, db, key);
}

void nd_changed(struct nd_call *c, struct slice key, int64_t n)
{
    nd_changed_in(c, c->db, key, n);
}

void nd_dirty(struct nd_call *c, int64_t n)
{
    c->dirty += n;
}

void nd_notify_in(struct nd_call *c, int class, const char *event, struct slice key, struct nd_db *db)
{
    nd_event(c->e, class, event, key, db);
}

void nd_notify(struct nd_call *c, int class, const char *event, struct slice key)
{
    nd_event(c->e, class, event, key, c->db);
}

void nd_ready(struct nd_call *c, struct slice key, enum nd_type type)
{
    (void)type; /* who waits says which type; whether the key has it is looked at when its turn comes */
    nd_wait_ready(c->e, c->db, key);
}
