#include "noded/repl/aof_base.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/repl/stream.h"
#include "noded/store/string.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES ((size_t)64 * 1024)
#define WORDS_MAX 130                     /* of one request: name, key and 64 pairs; Redis's requests are as long */
#define ELEMENTS_MAX 64                   /* of an aggregate in one request */
#define STRINGS_MAX 16                    /* of a slot in one request, */
#define STRINGS_BYTES ((size_t)16 * 1024) /* unless they are as long as that together */

struct writer {
    const struct nd_rdb_sink *sink;
    struct buf out;
    bool failed;
    size_t keys;
    size_t *shown; /* the same, for whoever looks meanwhile; NULL */
    /* The request that grows: an aggregate's. */
    const char *name;
    struct slice key;
    enum nd_type type;
    struct buf bytes; /* of its words, which are gone when the walk goes on; */
    size_t lengths[WORDS_MAX];
    size_t words, elements;
    /* Strings of a slot that go in one request. Their bytes are where they were. */
    struct slice strings[1 + 2 * STRINGS_MAX];
    char numbers[STRINGS_MAX][ND_INT_TEXT];
    size_t nstrings, string_bytes;
};

static void pour(struct writer *w, size_t at_least)
{
    if (w->failed || w->out.n < at_least || w->out.n == 0)
        return;
    w->failed = !w->sink->put(w->sink->owner, w->out.p, w->out.n);
    buf_clear(&w->out);
}

static void request(struct writer *w, size_t argc, const struct slice *argv)
{
    nd_stream_request(&w->out, argc, argv);
    pour(w, PIECE_BYTES);
}

static void end_request(struct writer *w)
{
    struct slice argv[WORDS_MAX];
    size_t at = 0;
    if (w->elements == 0)
        return;
    argv[0] = slice_of(w->name);
    argv[1] = w->key;
    for (size_t i = 0; i < w->words; i++) {
        argv[2 + i] = (struct slice){w->bytes.p + at, w->lengths[i]};
        at += w->lengths[i];
    }
    request(w, 2 + w->words, argv);
    buf_clear(&w->bytes);
    w->words = w->elements = 0;
}

static void add_word(struct writer *w, struct slice word)
{
    buf_put(&w->bytes, word.p, word.n);
    w->lengths[w->words++] = word.n;
}

static bool on_element(void *owner, struct slice a, struct slice b, double score)
{
    struct writer *w = owner;
    char text[TEXT_DOUBLE];
    if (w->type == ND_ZSET)
        add_word(w, (struct slice){text, text_put_double(score, text)});
    add_word(w, a);
    if (w->type == ND_HASH)
        add_word(w, b);
    if (++w->elements == ELEMENTS_MAX || w->bytes.n >= PIECE_BYTES)
        end_request(w);
    return !w->failed;
}

static void write_string(struct writer *w, struct slice key, const struct nd_value *v)
{
    char text[ND_INT_TEXT];
    struct slice argv[] = {{"SET", 3}, key, nd_string_slice(v, text)};
    request(w, 3, argv);
}

/* Its time in the same request. */
static void write_volatile_string(struct writer *w, const struct nd_entry *e)
{
    char text[ND_INT_TEXT], time[24];
    int n = snprintf(time, sizeof time, "%" PRId64, nd_entry_expire(e));
    struct slice argv[] = {{"SET", 3}, nd_entry_key(e), nd_string_slice(&e->v, text), {"PXAT", 4}, {time, (size_t)n}};
    request(w, 5, argv);
}

static void end_strings(struct writer *w)
{
    if (w->nstrings == 0)
        return;
    w->strings[0] = slice_of(w->nstrings > 1 ? "MSET" : "SET");
    request(w, 1 + 2 * w->nstrings, w->strings);
    w->nstrings = w->string_bytes = 0;
}

static void add_string(struct writer *w, const struct nd_entry *e)
{
    struct slice *pair = &w->strings[1 + 2 * w->nstrings];
    pair[0] = nd_entry_key(e);
    pair[1] = nd_string_slice(&e->v, w->numbers[w->nstrings]);
    w->string_bytes += pair[0].n + pair[1].n;
    if (++w->nstrings == STRINGS_MAX || w->string_bytes >= STRINGS_BYTES)
        end_strings(w);
}

static void write_entry(struct writer *w, const struct nd_entry *e)
{
    static const char *const names[ND_TYPES] = {
        [ND_LIST] = "RPUSH", [ND_SET] = "SADD", [ND_ZSET] = "ZADD", [ND_HASH] = "HMSET"};
    struct slice key = nd_entry_key(e);
    if (e->v.type == ND_STRING) {
        write_string(w, key, &e->v);
    } else {
        w->type = (enum nd_type)e->v.type;
        w->name = names[e->v.type];
        w->key = key;
        nd_value_visit(&e->v, on_element, w);
        end_request(w);
    }
    int64_t at_ms = nd_entry_expire(e);
    if (at_ms == ND_NO_EXPIRE)
        return;
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, at_ms);
    struct slice argv[] = {{"PEXPIREAT", 9}, key, {text, (size_t)n}};
    request(w, 3, argv);
}

static void select_db(struct writer *w, const struct nd_db *db)
{
    char number[16];
    int n = snprintf(number, sizeof number, "%d", nd_db_number(db));
    struct slice argv[] = {{"SELECT", 6}, {number, (size_t)n}};
    request(w, 2, argv);
}

/* As few requests as can be: strings share them, and a time to live has none of its own. A time that is none of a clock
 * would be refused by SET. */
static void write_short(struct writer *w, const struct nd_entry *e)
{
    bool string = e->v.type == ND_STRING;
    if (string && !e->v.has_expire)
        add_string(w, e);
    else if (string && nd_entry_expire(e) > 0)
        write_volatile_string(w, e);
    else
        write_entry(w, e);
}

/* The entries that the walk comes to, and its end. */
static void write_walk(struct writer *w, struct nd_db_iter *it, void (*write)(struct writer *, const struct nd_entry *))
{
    struct nd_entry *e = NULL;
    while (!w->failed && (e = nd_db_next(it)) != NULL) {
        write(w, e);
        w->keys++;
        if (w->shown != NULL)
            *w->shown = w->keys;
    }
    end_strings(w);
    nd_db_iterate_stop(it);
}

static void write_db(struct writer *w, struct nd_db *db)
{
    struct nd_db_iter it;
    select_db(w, db);
    nd_db_iterate(db, &it);
    write_walk(w, &it, write_entry);
}

/* Its number comes with the first of the slots that has keys. */
static void write_db_slots(struct writer *w, struct nd_db *db, const uint8_t *slots)
{
    bool selected = false;
    for (int slot = 0; slot < ND_SLOTS && !w->failed; slot++) {
        struct nd_db_iter it;
        if ((slots[slot / 8] >> (slot & 7) & 1) == 0 || nd_db_slot_count(db, slot) == 0)
            continue;
        if (!selected)
            select_db(w, db);
        selected = true;
        nd_db_iterate_slot(db, slot, &it);
        write_walk(w, &it, write_short);
    }
}

static struct writer *new_writer(const struct nd_rdb_sink *sink, size_t *keys)
{
    struct writer *w = mem_zalloc(sizeof *w);
    w->sink = sink;
    w->shown = keys;
    if (keys != NULL)
        *keys = 0;
    return w;
}

static bool end_writer(struct writer *w)
{
    pour(w, 0);
    bool ok = !w->failed;
    buf_free(&w->out);
    buf_free(&w->bytes);
    free(w);
    return ok;
}

bool nd_aof_base_write(const struct nd_keyspace *k, int64_t stamp_s, const struct nd_rdb_sink *sink, size_t *keys)
{
    struct writer *w = new_writer(sink, keys);
    if (stamp_s > 0)
        buf_printf(&w->out, "#TS:%" PRId64 "\r\n", stamp_s);
    if (k->shadows > 0)
        buf_printf(&w->out, ND_AOF_NOTE_DATABASES "%d\r\n" ND_AOF_NOTE_MAPPING "%" PRIu64 "\r\n", k->db_count,
                   k->mapping_epoch);
    for (int i = 0; i < nd_keyspace_all(k) && !w->failed; i++) {
        struct nd_db *db = nd_keyspace_peek(k, i);
        if (db != NULL && nd_db_count(db) > 0)
            write_db(w, db);
    }
    return end_writer(w);
}

bool nd_aof_base_write_slots(const struct nd_keyspace *k, const uint8_t *slots, const struct nd_rdb_sink *sink,
                             size_t *keys)
{
    struct writer *w = new_writer(sink, keys);
    for (int i = 0; i < k->db_count && !w->failed; i++) {
        struct nd_db *db = nd_keyspace_peek(k, i);
        if (db != NULL && nd_db_count(db) > 0)
            write_db_slots(w, db, slots);
    }
    return end_writer(w);
}
