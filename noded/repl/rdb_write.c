#include "noded/repl/rdb_write.h"

#include "noded/cmd/connection.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/evict.h"
#include "noded/repl/rdb_format.h"
#include "noded/repl/repl.h"
#include "noded/store/dump.h"
#include "noded/store/little.h"
#include "noded/store/string.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PIECE_BYTES ((size_t)64 * 1024)
#define AHEAD 16 /* entries that are asked for before they are written */

struct writer {
    const struct nd_rdb_facts *facts;
    const struct nd_rdb_sink *sink;
    struct buf out;
    uint64_t sum;
    size_t *keys;
};

void nd_rdb_facts_now(const struct nd_engine *e, struct nd_rdb_facts *out)
{
    int policy = e->config.maxmemory_policy;
    *out = (struct nd_rdb_facts){
        .unix_s = e->now_ms / 1000,
        .used_memory = e->host.memory_used(e->host.owner),
        .compress = e->config.rdbcompression,
        .checksum = e->config.rdbchecksum,
        .ages_lru = policy == ND_ALLKEYS_LRU || policy == ND_VOLATILE_LRU,
        .ages_lfu = nd_age_is_lfu(e),
        .lru_clock = e->lru_clock,
        .frequencies = e,
        .stamp_s = e->config.aof_timestamp_enabled ? e->now_ms / 1000 : 0,
        .repl_stream_db = -1,
    };
    if (e->repl != NULL)
        nd_repl_facts(e->repl, out);
}

static bool flush(struct writer *w)
{
    if (w->facts->checksum)
        w->sum = nd_crc64(w->sum, w->out.p, w->out.n);
    bool ok = w->out.n == 0 || w->sink->put(w->sink->owner, w->out.p, w->out.n);
    buf_clear(&w->out);
    return ok;
}

static void put_aux(struct writer *w, const char *key, struct slice value)
{
    buf_putc(&w->out, (char)RDB_OP_AUX);
    nd_dump_string(&w->out, slice_of(key), false);
    nd_dump_string(&w->out, value, false);
}

static void put_aux_number(struct writer *w, const char *key, int64_t v)
{
    char text[ND_INT_TEXT];
    int n = snprintf(text, sizeof text, "%" PRId64, v);
    put_aux(w, key, (struct slice){text, (size_t)n});
}

static void put_head(struct writer *w, const struct nd_keyspace *k)
{
    const struct nd_rdb_facts *f = w->facts;
    buf_printf(&w->out, RDB_MAGIC "%04d", ND_RDB_VERSION);
    put_aux(w, "redis-ver", slice_of(ND_REDIS_VERSION));
    put_aux_number(w, "redis-bits", 8 * (int64_t)sizeof(void *));
    put_aux_number(w, "ctime", f->unix_s);
    put_aux_number(w, "used-mem", (int64_t)f->used_memory);
    if (k->shadows > 0) {
        put_aux_number(w, RDB_AUX_DATABASES, k->db_count);
        put_aux_number(w, RDB_AUX_MAPPING, (int64_t)k->mapping_epoch);
    }
    if (nd_keyspace_emptied(k))
        put_aux_number(w, RDB_AUX_EMPTIED, 1);
    if (f->repl_id != NULL) {
        /* Any number is right while none was said: the next write says its own first. Without one the place would not
         * be taken. */
        put_aux_number(w, "repl-stream-db", f->repl_stream_db >= 0 ? f->repl_stream_db : 0);
        put_aux(w, "repl-id", slice_of(f->repl_id));
        put_aux_number(w, "repl-offset", f->repl_offset);
    }
    put_aux_number(w, "aof-base", f->aof_base);
}

static void put_age(struct writer *w, const struct nd_value *v)
{
    const struct nd_rdb_facts *f = w->facts;
    if (f->ages_lru) {
        buf_putc(&w->out, (char)RDB_OP_IDLE);
        nd_dump_length(&w->out, (f->lru_clock - v->age) & 0xffffff);
    } else if (f->ages_lfu) {
        buf_putc(&w->out, (char)RDB_OP_FREQ);
        buf_putc(&w->out, (char)nd_age_frequency(f->frequencies, v));
    }
}

static bool put_entry(struct writer *w, const struct nd_entry *e)
{
    struct buf *out = &w->out;
    if (e->v.has_expire) {
        unsigned char at[8];
        nd_store64(at, (uint64_t)nd_entry_expire(e));
        buf_putc(out, (char)RDB_OP_EXPIRE_MS);
        buf_put(out, at, sizeof at);
    }
    put_age(w, &e->v);
    buf_putc(out, (char)nd_dump_type(&e->v));
    nd_dump_string(out, nd_entry_key(e), w->facts->compress);
    nd_dump_value(out, &e->v, w->facts->compress);
    if (w->keys != NULL)
        ++*w->keys;
    return out->n < PIECE_BYTES || flush(w);
}

/* Entries stand anywhere in memory: some are on their way into the cache while others are written. */
static bool put_entries(struct writer *w, struct nd_db *db)
{
    struct nd_entry *ahead[AHEAD];
    struct nd_db_iter it;
    size_t n;
    bool ok = true;
    nd_db_iterate(db, &it);
    do {
        for (n = 0; n < AHEAD && (ahead[n] = nd_db_next(&it)) != NULL; n++)
            __builtin_prefetch(ahead[n]);
        for (size_t i = 0; i < n && ok; i++)
            ok = put_entry(w, ahead[i]);
    } while (ok && n == AHEAD);
    if (!ok)
        nd_db_iterate_stop(&it);
    return ok;
}

static bool put_db(struct writer *w, struct nd_db *db)
{
    buf_putc(&w->out, (char)RDB_OP_SELECT);
    nd_dump_length(&w->out, (uint64_t)nd_db_number(db));
    buf_putc(&w->out, (char)RDB_OP_RESIZE);
    nd_dump_length(&w->out, nd_db_count(db));
    nd_dump_length(&w->out, nd_db_expires(db));
    return put_entries(w, db);
}

/* The checksum is over all that stands before it; zeros say that there is none. */
static bool put_end(struct writer *w)
{
    unsigned char sum[RDB_CHECKSUM_BYTES];
    buf_putc(&w->out, (char)RDB_OP_END);
    if (!flush(w))
        return false;
    nd_store64(sum, w->sum);
    return w->sink->put(w->sink->owner, (char *)sum, sizeof sum);
}

bool nd_rdb_write(const struct nd_keyspace *k, const struct nd_rdb_facts *facts, const struct nd_rdb_sink *sink,
                  size_t *keys)
{
    struct writer w = {.facts = facts, .sink = sink, .keys = keys};
    bool ok = true;
    if (keys != NULL)
        *keys = 0;
    buf_reserve(&w.out, 2 * PIECE_BYTES);
    put_head(&w, k);
    for (int n = 0; n < nd_keyspace_all(k) && ok; n++) {
        struct nd_db *db = nd_keyspace_peek(k, n);
        if (db != NULL && nd_db_count(db) > 0)
            ok = put_db(&w, db);
    }
    ok = ok && put_end(&w);
    buf_free(&w.out);
    return ok;
}
