/* Keys of a database: looking up, adding, changing, deleting. */
#include "noded/store/db.h"

#include "common/base/mem.h"
#include "noded/store/bucket.h"
#include "noded/store/string.h"

#include <assert.h>
#include <stdlib.h>

/* Entries are allocated in these steps, so that a string that keeps about its length stays where it is. */
#define ENTRY_STEP 16

static struct slice entry_key(const void *element)
{
    return nd_entry_key(element);
}

static void entry_free(void *element)
{
    struct nd_entry *e = element;
    nd_value_free(&e->v);
    free(e);
}

const struct nd_table_kind nd_keys_kind = {.key = entry_key, .free = entry_free};
const struct nd_table_kind nd_expires_kind = {.key = entry_key, .free = NULL};

static size_t entry_bytes(size_t key_len, bool expires, size_t embedded)
{
    size_t n = sizeof(struct nd_entry) + (expires ? sizeof(int64_t) : 0) + key_len + embedded;
    return (n + ENTRY_STEP - 1) / ENTRY_STEP * ENTRY_STEP;
}

static size_t embedded_bytes(const struct nd_entry *e)
{
    return e->v.embedded ? e->v.len : 0;
}

/* The chain that the key of this hash is in, if it is anywhere, or NULL. */
static struct nd_bucket *chain_of(const struct nd_db *db, struct slice key, uint64_t hash)
{
    if (!db->k->slots)
        return nd_tables_bucket(&db->in.one, hash);
    const nd_slot_ref *ref = nd_content_ref(&db->in, nd_keyspace_slot(db->k, key));
    return ref != NULL ? nd_ref_bucket(*ref, hash) : NULL;
}

struct nd_entry *nd_db_find(struct nd_db *db, struct slice key)
{
    if (db->in.count == 0)
        return NULL;
    uint64_t hash = nd_db_hash(db, key);
    void **slot = nd_chain_slot(chain_of(db, key, hash), hash, key, entry_key);
    return slot != NULL ? *slot : NULL;
}

void nd_db_prefetch(struct nd_db *db, struct slice key)
{
    if (db->in.count > 0)
        __builtin_prefetch(chain_of(db, key, nd_db_hash(db, key)));
}

static void release(const struct nd_db *db, struct nd_value v)
{
    if (v.type == ND_STRING || db->k->release == NULL)
        nd_value_free(&v);
    else
        db->k->release(db->k->release_owner, v);
}

/* ---- shape ---- */

/* Gives an entry, wherever it then is, room for an expiry (or takes it away) and for a string of `embedded` bytes, of
 * which the first `kept` are what they were. The tables follow. */
static struct nd_entry *reshape(struct nd_db *db, struct nd_entry *e, int64_t expire_ms, size_t embedded, size_t kept)
{
    bool had = e->v.has_expire, has = expire_ms != ND_NO_EXPIRE;
    size_t key_len = e->v.key_len;
    size_t from = entry_bytes(key_len, had, embedded_bytes(e)), to = entry_bytes(key_len, has, embedded);
    if (from != to || had != has) {
        uint64_t hash = nd_db_hash(db, nd_entry_key(e));
        int slot = nd_db_slot_of(db, nd_entry_key(e));
        const struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
        struct nd_bucket *chain = s != NULL ? nd_table_bucket(&s->keys, hash)
                                            : nd_ref_chain(nd_content_few(&db->in, true, slot));
        void **key_slot = nd_chain_slot_of(chain, e);
        void **expire_slot = s != NULL && had && has ? nd_table_slot_of(s->expires, hash, e) : NULL;
        if (had && !has)
            nd_slot_expires_remove(db, slot, hash, e);
        if (to > from)
            e = mem_realloc(e, to);
        char *bytes = (char *)(e + 1);
        if (had != has)
            memmove(bytes + (has ? sizeof expire_ms : 0), bytes + (had ? sizeof expire_ms : 0), key_len + kept);
        if (to < from)
            e = mem_realloc(e, to);
        e->v.has_expire = has;
        *key_slot = e;
        if (expire_slot != NULL)
            *expire_slot = e;
        if (has && !had)
            nd_slot_expires_add(db, slot, hash, e);
    }
    if (has)
        memcpy(e + 1, &expire_ms, sizeof expire_ms);
    return e;
}

/* What an entry is to hold: a value, and when it is a short string its bytes, which go into the entry. */
struct content {
    struct nd_value v;
    struct slice bytes;
    bool embed;
};

static struct content content_of_bytes(struct slice bytes, bool try_number)
{
    struct content c = {.v = nd_string_header(bytes, try_number)};
    if (c.v.enc == ND_ENC_INT)
        return c;
    if (bytes.n <= ND_EMBED_MAX) {
        c.embed = true;
        c.bytes = bytes;
    } else {
        c.v.ptr = nd_string_make(bytes, false).ptr;
    }
    return c;
}

static struct content content_of_value(const struct nd_value *v)
{
    struct content c = {.v = *v};
    if (v->type == ND_STRING && v->enc != ND_ENC_INT && nd_string_length(v) <= ND_EMBED_MAX) {
        char unused[ND_INT_TEXT];
        c.embed = true;
        c.bytes = nd_string_slice(v, unused);
    }
    return c;
}

static void fill(struct nd_entry *e, const struct content *c)
{
    e->v.type = c->v.type;
    e->v.enc = c->v.enc;
    e->v.embedded = c->embed;
    e->v.num = c->embed ? (int64_t)c->bytes.n : c->v.num;
    if (c->bytes.n > 0)
        memcpy(nd_entry_embedded(e), c->bytes.p, c->bytes.n);
}

/* hash is the key's. */
static struct nd_entry *create_hashed(struct nd_db *db, struct slice key, uint64_t hash, const struct content *c,
                                      int64_t expire_ms)
{
    bool expires = expire_ms != ND_NO_EXPIRE;
    struct nd_entry *e = mem_alloc(entry_bytes(key.n, expires, c->bytes.n));
    assert(key.n <= ND_KEY_MAX);
    e->v = (struct nd_value){.age = c->v.age, .key_len = (uint32_t)key.n & ND_KEY_MAX, .has_expire = expires};
    if (expires)
        memcpy(e + 1, &expire_ms, sizeof expire_ms);
    if (key.n > 0)
        memcpy(nd_entry_key_bytes(e), key.p, key.n);
    fill(e, c);
    nd_slot_add(db, nd_db_slot_of(db, key), hash, e);
    return e;
}

static struct nd_entry *create(struct nd_db *db, struct slice key, const struct content *c, int64_t expire_ms)
{
    return create_hashed(db, key, nd_db_hash(db, key), c, expire_ms);
}

struct nd_entry *nd_db_load_string(struct nd_db *db, struct slice key, struct slice bytes, int64_t expire_ms,
                                   uint32_t age)
{
    uint64_t hash = nd_db_hash(db, key);
    if (nd_chain_slot(chain_of(db, key, hash), hash, key, entry_key) != NULL)
        return NULL;
    struct content c = content_of_bytes(bytes, true);
    c.v.age = age & 0xffffff;
    return create_hashed(db, key, hash, &c, expire_ms);
}

static struct nd_entry *replace(struct nd_db *db, struct nd_entry *e, const struct content *c, int64_t expire_ms)
{
    struct nd_value gone = e->v;
    e = reshape(db, e, expire_ms, c->bytes.n, 0);
    fill(e, c);
    if (!gone.embedded)
        release(db, gone);
    return e;
}

struct nd_entry *nd_db_add(struct nd_db *db, struct slice key, struct nd_value value, int64_t expire_ms)
{
    struct content c = content_of_value(&value);
    struct nd_entry *e = create(db, key, &c, expire_ms);
    if (c.embed)
        nd_value_free(&value);
    return e;
}

struct nd_entry *nd_db_set_string(struct nd_db *db, struct nd_entry *old, struct slice key, struct slice bytes,
                                  bool try_number, int64_t expire_ms)
{
    struct content c = content_of_bytes(bytes, try_number);
    return old != NULL ? replace(db, old, &c, expire_ms) : create(db, key, &c, expire_ms);
}

struct nd_entry *nd_db_set_value(struct nd_db *db, struct nd_entry *e, struct nd_value value, int64_t expire_ms)
{
    struct content c = content_of_value(&value);
    e = replace(db, e, &c, expire_ms);
    if (c.embed)
        nd_value_free(&value);
    return e;
}

struct nd_entry *nd_db_set_expire(struct nd_db *db, struct nd_entry *e, int64_t expire_ms)
{
    return reshape(db, e, expire_ms, embedded_bytes(e), embedded_bytes(e));
}

struct nd_entry *nd_db_unembed(struct nd_db *db, struct nd_entry *e)
{
    if (!e->v.embedded)
        return e;
    struct nd_value own = nd_string_dup(&e->v);
    e = reshape(db, e, nd_entry_expire(e), 0, 0);
    e->v.embedded = 0;
    e->v.ptr = own.ptr;
    return e;
}

/* ---- deleting ---- */

static void unlink_entry(struct nd_db *db, struct nd_entry *e)
{
    struct slice key = nd_entry_key(e);
    nd_slot_remove(db, nd_db_slot_of(db, key), nd_db_hash(db, key), e);
}

void nd_db_delete(struct nd_db *db, struct nd_entry *e)
{
    unlink_entry(db, e);
    if (!e->v.embedded)
        release(db, e->v);
    free(e);
}

struct nd_value nd_db_take(struct nd_db *db, struct nd_entry *e)
{
    struct nd_value v = e->v.embedded ? nd_string_dup(&e->v) : e->v;
    v.key_len = 0;
    v.has_expire = 0;
    unlink_entry(db, e);
    free(e);
    return v;
}
