#include "noded/store/keyspace.h"

#include "common/base/mem.h"
#include "noded/store/db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DBS 64

static size_t page_count(const struct nd_keyspace *k)
{
    return ((size_t)nd_keyspace_all(k) + PAGE_DBS - 1) / PAGE_DBS;
}

void nd_keyspace_init(struct nd_keyspace *k, int databases, bool slots, const uint64_t seed[2])
{
    assert(databases > 0);
    *k = (struct nd_keyspace){
        .db_count = databases,
        .shadows = slots ? databases : 0,
        .slots = slots,
        .seed = {seed[0], seed[1]},
    };
    k->pages = mem_zalloc(page_count(k) * sizeof(struct nd_db **));
}

void nd_content_free(struct nd_content *c)
{
    if (c == NULL)
        return;
    nd_content_free_tables(c);
    free(c);
}

void nd_keyspace_free(struct nd_keyspace *k)
{
    for (size_t p = 0; p < page_count(k); p++) {
        for (size_t i = 0; k->pages[p] != NULL && i < PAGE_DBS; i++) {
            if (k->pages[p][i] == NULL)
                continue;
            nd_content_free_tables(&k->pages[p][i]->in); /* one without keys may have tables too */
            free(k->pages[p][i]);
        }
        free(k->pages[p]);
    }
    free(k->pages);
    *k = (struct nd_keyspace){.db_count = 0};
}

struct nd_db *nd_keyspace_peek(const struct nd_keyspace *k, int n)
{
    assert(n >= 0 && n < nd_keyspace_all(k));
    struct nd_db **page = k->pages[n / PAGE_DBS];
    return page != NULL ? page[n % PAGE_DBS] : NULL;
}

struct nd_db *nd_keyspace_db(struct nd_keyspace *k, int n)
{
    struct nd_db *db = nd_keyspace_peek(k, n);
    if (db != NULL)
        return db;
    struct nd_db ***page = &k->pages[n / PAGE_DBS];
    if (*page == NULL)
        *page = mem_zalloc(PAGE_DBS * sizeof **page);
    db = mem_zalloc(sizeof *db);
    db->k = k;
    db->number = n;
    nd_content_init(&db->in, k);
    (*page)[n % PAGE_DBS] = db;
    return db;
}

size_t nd_keyspace_count(const struct nd_keyspace *k)
{
    size_t n = 0;
    for (int i = 0; i < nd_keyspace_all(k); i++) {
        const struct nd_db *db = nd_keyspace_peek(k, i);
        n += db != NULL ? nd_db_count(db) : 0;
    }
    return n;
}

bool nd_keyspace_emptied(const struct nd_keyspace *k)
{
    return k->lived && nd_keyspace_count(k) == 0;
}

void nd_keyspace_loaded(struct nd_keyspace *k)
{
    k->lived = nd_keyspace_count(k) > 0;
}

int nd_keyspace_number(const struct nd_keyspace *k, uint64_t n, int databases)
{
    if (databases == 0 || n < (uint64_t)databases)
        return n < (uint64_t)k->db_count ? (int)n : -1;
    n -= (uint64_t)databases;
    return n < (uint64_t)databases && n < (uint64_t)k->shadows ? nd_shadow_number(k, (int)n) : -1;
}

struct nd_db *nd_keyspace_shadow(struct nd_keyspace *k, int n)
{
    assert(n >= 0 && n < k->shadows);
    return nd_keyspace_db(k, nd_shadow_number(k, n));
}

static void swap_contents(struct nd_keyspace *k, int a, int b)
{
    if (a == b || (nd_keyspace_peek(k, a) == NULL && nd_keyspace_peek(k, b) == NULL))
        return;
    struct nd_db *x = nd_keyspace_db(k, a), *y = nd_keyspace_db(k, b);
    struct nd_content kept = x->in;
    x->in = y->in;
    y->in = kept;
}

void nd_keyspace_swap(struct nd_keyspace *k, int a, int b)
{
    assert(a < k->db_count && b < k->db_count);
    swap_contents(k, a, b);
    if (k->shadows > 0)
        swap_contents(k, nd_shadow_number(k, a), nd_shadow_number(k, b));
}

static void keep_still(struct nd_slot *s, bool still)
{
    s->keys.still = still;
    if (s->expires != NULL)
        s->expires->still = still;
}

void nd_keyspace_keep_still(struct nd_keyspace *k, bool still)
{
    k->still = still;
    for (int n = 0; n < nd_keyspace_all(k); n++) {
        struct nd_db *db = nd_keyspace_peek(k, n);
        if (db == NULL)
            continue;
        keep_still(&db->in.one, still);
        for (int slot = nd_next_tables(db, 0); slot >= 0; slot = nd_next_tables(db, slot + 1))
            keep_still(nd_content_slot(&db->in, k->slots, slot), still);
    }
}

/* A content that comes from another keyspace. */
static void take_seed(struct nd_slot *s, const uint64_t *seed)
{
    s->keys.seed = seed;
    if (s->expires != NULL)
        s->expires->seed = seed;
}

static void take_seeds(struct nd_db *db)
{
    take_seed(&db->in.one, db->k->seed);
    for (int slot = nd_next_tables(db, 0); slot >= 0; slot = nd_next_tables(db, slot + 1))
        take_seed(nd_content_slot(&db->in, db->k->slots, slot), db->k->seed);
}

void nd_keyspace_exchange(struct nd_keyspace *a, struct nd_keyspace *b)
{
    assert(a->db_count == b->db_count && a->slots == b->slots && memcmp(a->seed, b->seed, sizeof a->seed) == 0);
    uint64_t epoch = a->mapping_epoch;
    a->mapping_epoch = b->mapping_epoch;
    b->mapping_epoch = epoch;
    bool lived = a->lived;
    a->lived = b->lived;
    b->lived = lived;
    for (int i = 0; i < nd_keyspace_all(a); i++) {
        if (nd_keyspace_peek(a, i) == NULL && nd_keyspace_peek(b, i) == NULL)
            continue;
        struct nd_db *x = nd_keyspace_db(a, i), *y = nd_keyspace_db(b, i);
        struct nd_content kept = x->in;
        x->in = y->in;
        y->in = kept;
        take_seeds(x);
        take_seeds(y);
    }
}

int nd_db_number(const struct nd_db *db)
{
    return db->number;
}

bool nd_db_is_shadow(const struct nd_db *db)
{
    return db->number >= db->k->db_count;
}

int nd_db_seen_number(const struct nd_db *db)
{
    return nd_db_is_shadow(db) ? db->number - db->k->db_count : db->number;
}

size_t nd_db_count(const struct nd_db *db)
{
    return db->in.count;
}

size_t nd_db_expires(const struct nd_db *db)
{
    return db->in.expires;
}

int64_t nd_db_average_ttl(const struct nd_db *db)
{
    return db->in.average_ttl;
}

void nd_db_set_average_ttl(struct nd_db *db, int64_t ms)
{
    db->in.average_ttl = ms;
}

/* ---- content ---- */

void nd_content_init(struct nd_content *in, const struct nd_keyspace *k)
{
    *in = (struct nd_content){.count = 0};
    nd_table_init(&in->one.keys, &nd_keys_kind, k->seed);
}

size_t nd_content_count(const struct nd_content *c)
{
    return c != NULL ? c->count : 0;
}

struct nd_content *nd_db_detach(struct nd_db *db)
{
    if (db->in.count == 0)
        return NULL;
    struct nd_content *c = mem_alloc(sizeof *c);
    *c = db->in;
    nd_content_init(&db->in, db->k);
    return c;
}

size_t nd_db_clear(struct nd_db *db)
{
    struct nd_content *c = nd_db_detach(db);
    size_t n = nd_content_count(c);
    nd_content_free(c);
    return n;
}

/* ---- resizing, room, figures ---- */

bool nd_db_step(struct nd_db *db, size_t buckets)
{
    struct nd_content *in = &db->in;
    if (!in->resizing || db->k->still)
        return false;
    /* One round over all slots: from where the last step was to the end, and from the beginning. */
    for (int round = 0; round < 2; round++) {
        for (int slot = nd_next_tables(db, in->step_slot); slot >= 0; slot = nd_next_tables(db, slot + 1)) {
            struct nd_slot *s = nd_content_slot(in, db->k->slots, slot);
            if (!nd_slot_resizing(s))
                continue;
            in->step_slot = slot;
            nd_table_step(&s->keys, buckets);
            if (s->expires != NULL)
                nd_table_step(s->expires, buckets);
            nd_db_tidy_slot(db, slot);
            return true;
        }
        in->step_slot = 0;
    }
    in->resizing = false;
    return false;
}

void nd_db_reserve(struct nd_db *db, size_t keys)
{
    /* With slots nobody can say where the keys will be. */
    if (!db->k->slots)
        nd_table_reserve(&db->in.one.keys, keys);
}

/* Calls fn for each table of the keys, or of those that expire. */
static void each_table(const struct nd_db *db, bool expires, void (*fn)(void *owner, const struct nd_table *t),
                       void *owner)
{
    for (int slot = nd_next_tables(db, 0); slot >= 0; slot = nd_next_tables(db, slot + 1)) {
        const struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
        if (!expires)
            fn(owner, &s->keys);
        else if (s->expires != NULL)
            fn(owner, s->expires);
    }
}

static void add_memory(void *owner, const struct nd_table *t)
{
    size_t *sum = owner;
    *sum += nd_table_memory(t);
}

size_t nd_db_table_memory(const struct nd_db *db, bool expires)
{
    size_t sum = expires ? 0 : db->in.few_buckets * sizeof(struct nd_bucket);
    each_table(db, expires, add_memory, &sum);
    return sum;
}

/* Each slot with few keys is a table of one bucket; of those that expire there is no table. */
static void add_few(const struct nd_db *db, bool expires, struct nd_table_stats *sum)
{
    size_t slots = 0;
    for (int slot = nd_db_next_slot(db, 0); slot >= 0; slot = nd_db_next_slot(db, slot + 1)) {
        struct nd_entry *found[ND_FEW];
        nd_slot_ref few = nd_content_few(&db->in, db->k->slots, slot);
        size_t n = nd_few_entries(few, expires, found);
        sum->elements += n;
        if (n == 0 || expires)
            continue;
        slots++;
        if (n > sum->longest)
            sum->longest = n;
    }
    sum->buckets += slots;
    sum->chained += slots > 0 ? db->in.few_buckets - slots : 0;
}

static void add_stats(void *owner, const struct nd_table *t)
{
    struct nd_table_stats one, *sum = owner;
    nd_table_stats(t, &one);
    sum->buckets += one.buckets;
    sum->chained += one.chained;
    sum->elements += one.elements;
    if (one.longest > sum->longest)
        sum->longest = one.longest;
}

void nd_db_table_stats(struct nd_db *db, bool expires, struct nd_table_stats *out)
{
    *out = (struct nd_table_stats){.buckets = 0};
    each_table(db, expires, add_stats, out);
    add_few(db, expires, out);
}
