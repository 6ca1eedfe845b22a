#include "noded/repl/load.h"

#include "common/base/text.h"
#include "noded/cmd/evict.h"
#include "noded/repl/rdb_format.h"
#include "noded/repl/serve.h"
#include "noded/store/string.h"

#include <string.h>

#define RESERVED_MAX ((uint64_t)1 << 20) /* keys, on the word of a file whose size nobody knows */
#define ENTRY_BYTES_MIN 4                /* of an entry in a file: type, key, value */

void nd_load_init(struct nd_load *l, struct nd_engine *e, struct nd_keyspace *into)
{
    *l = (struct nd_load){
        .e = e,
        .into = into != NULL ? into : &e->keys,
        .drop_expired = !e->is_replica,
        .repl_offset = -1,
        .repl_stream_db = -1,
    };
}

bool nd_load_has_place(const struct nd_load *l)
{
    return l->repl_id[0] != '\0' && l->repl_offset >= 0 && l->repl_stream_db >= 0;
}

static bool on_aux(void *owner, struct slice key, struct slice value, struct buf *why)
{
    (void)why;
    struct nd_load *l = owner;
    int64_t v;
    uint64_t n;
    if (slice_is(key, RDB_AUX_DATABASES) && text_range(value, 1, INT32_MAX, &v)) {
        l->databases = (int)v;
    } else if (slice_is(key, RDB_AUX_MAPPING) && text_u64(value, &n)) {
        l->mapping_epoch = n;
    } else if (slice_is(key, RDB_AUX_EMPTIED) && text_i64(value, &v)) {
        l->emptied = v != 0;
    } else if (slice_is(key, "repl-id") && value.n == ND_REPL_ID) {
        memcpy(l->repl_id, value.p, ND_REPL_ID);
        l->repl_id[ND_REPL_ID] = '\0';
    } else if (slice_is(key, "repl-offset") && text_i64(value, &v)) {
        l->repl_offset = v;
    } else if (slice_is(key, "repl-stream-db") && text_u64(value, &n)) {
        l->repl_stream_db = nd_keyspace_number(l->into, n, l->databases);
    } else if (slice_is(key, "used-mem") && text_i64(value, &v) && v > 0) {
        l->used_memory = (size_t)v;
    } else if (slice_is(key, "aof-base") && text_i64(value, &v)) {
        l->aof_base = v != 0;
    }
    return true; /* what is not known is somebody else's matter */
}

/* Room for all keys at once: the tables need not grow while they are filled. A damaged file may say any number. */
static bool on_resize(void *owner, int db, uint64_t keys, uint64_t expiring, struct buf *why)
{
    (void)expiring;
    (void)why;
    struct nd_load *l = owner;
    uint64_t most = l->bytes > 0 ? l->bytes / ENTRY_BYTES_MIN : RESERVED_MAX;
    if (keys > most)
        keys = most;
    if (keys > 0)
        nd_db_reserve(nd_keyspace_db(l->into, db), (size_t)keys);
    return true;
}

static uint32_t age_of(const struct nd_load *l, const struct nd_rdb_entry *entry)
{
    const struct nd_engine *e = l->e;
    if (entry->freq >= 0 && nd_age_is_lfu(e))
        return nd_age_of_frequency(e, (unsigned)entry->freq);
    if (entry->idle_s >= 0 && !nd_age_is_lfu(e))
        return nd_age_of_idle(e, entry->idle_s);
    return nd_age_new(e);
}

static void drop(struct nd_rdb_entry *entry)
{
    if (!entry->is_text)
        nd_value_free(&entry->value);
}

static bool add(struct nd_db *db, struct nd_rdb_entry *entry, uint32_t age)
{
    if (entry->is_text)
        return nd_db_load_string(db, entry->key, entry->text, entry->expire_ms, age) != NULL;
    if (nd_db_find(db, entry->key) != NULL)
        return false;
    entry->value.age = age & 0xffffff;
    nd_db_add(db, entry->key, entry->value, entry->expire_ms);
    return true;
}

/* The history goes on where the file was written. What a master drops because it has expired is told to those who
 * follow it from there: they have it still. */
static void begin(struct nd_load *l)
{
    l->begun = true;
    if (l->at_start && l->e->repl != NULL && nd_load_has_place(l))
        nd_repl_resume(l->e->repl, l->repl_id, l->repl_offset, l->repl_stream_db);
}

static void tell_dropped(struct nd_load *l, const struct nd_rdb_entry *entry)
{
    const struct slice argv[] = {slice_of("DEL"), entry->key};
    const struct nd_effect_row row = {.db = entry->db, .argc = 2, .argv = argv};
    if (l->at_start && l->e->repl != NULL && nd_load_has_place(l))
        nd_repl_feed(l->e->repl, &row, 1);
}

static bool on_entry(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    struct nd_load *l = owner;
    if (!l->begun)
        begin(l);
    struct nd_db *db = nd_keyspace_db(l->into, entry->db);
    /* In a shadow whose they still are says when they go. */
    bool drops = l->drop_expired && !nd_db_is_shadow(db);
    if (drops && entry->expire_ms != ND_NO_EXPIRE && entry->expire_ms < l->e->now_ms) {
        tell_dropped(l, entry);
        drop(entry);
        l->expired++;
        return true;
    }
    uint32_t age = age_of(l, entry);
    bool added = add(db, entry, age);
    if (!added && l->twice == ND_TWICE_REPLACED) {
        nd_db_delete(db, nd_db_find(db, entry->key));
        added = add(db, entry, age);
    }
    if (!added) {
        drop(entry);
        buf_puts(why, "the key is there already");
        return false;
    }
    l->loaded++;
    return true;
}

const struct nd_rdb_events nd_load_events = {.aux = on_aux, .resize = on_resize, .entry = on_entry};

void nd_load_take_epoch(const struct nd_load *l)
{
    l->into->mapping_epoch = l->mapping_epoch;
}

void nd_load_end(struct nd_load *l)
{
    const struct nd_repl *r = l->e->repl;
    nd_load_take_epoch(l);
    if (l->at_start) /* a file that is older than what was lost may say that it was emptied: that counts for nothing */
        nd_keyspace_loaded(l->into);
    if (!l->begun)
        begin(l);
    if (l->at_start && r != NULL && r->serving != NULL) /* nobody could come before */
        r->serving->alone_us = l->e->now_us;
}

struct nd_rdb_reader *nd_load_reader(struct nd_load *l)
{
    return nd_rdb_reader_new(&l->e->config.limits, l->into, l->e->config.rdbchecksum, &nd_load_events, l);
}
