#include "noded/store/keyspace.h"

#include "common/base/mem.h"
#include "noded/store/db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DBS 64

static size_t page_count(const struct nd_keyspace *k)
{
    return ((size_t)k->db_count + PAGE_DBS - 1) / PAGE_DBS;
}

void nd_keyspace_init(struct nd_keyspace *k, int databases, bool slots, const uint64_t seed[2])
{
    assert(databases > 0);
    *k = (struct nd_keyspace){.db_count = databases, .slots = slots, .seed = {seed[0], seed[1]}};
    k->pages = mem_zalloc(page_count(k) * sizeof(struct nd_db **));
}

static void clear_slot(struct nd_slot *s)
{
    if (s->expires != NULL) {
        nd_table_clear(s->expires);
        free(s->expires);
        s->expires = NULL;
    }
    nd_table_clear(&s->keys);
}

static void free_tables(struct nd_content *c)
{
    clear_slot(&c->one);
    for (size_t p = 0; c->pages != NULL && p < ND_SLOT_PAGES; p++) {
        for (size_t i = 0; c->pages[p] != NULL && i < ND_PAGE_SLOTS; i++) {
            if (c->pages[p]->slots[i] == NULL)
                continue;
            clear_slot(c->pages[p]->slots[i]);
            free(c->pages[p]->slots[i]);
        }
        free(c->pages[p]);
    }
    free(c->pages);
}

void nd_content_free(struct nd_content *c)
{
    if (c == NULL)
        return;
    free_tables(c);
    free(c);
}

void nd_keyspace_free(struct nd_keyspace *k)
{
    for (size_t p = 0; p < page_count(k); p++) {
        for (size_t i = 0; k->pages[p] != NULL && i < PAGE_DBS; i++) {
            if (k->pages[p][i] == NULL)
                continue;
            free_tables(&k->pages[p][i]->in); /* one without keys may have tables too */
            free(k->pages[p][i]);
        }
        free(k->pages[p]);
    }
    free(k->pages);
    *k = (struct nd_keyspace){.db_count = 0};
}

struct nd_db *nd_keyspace_peek(const struct nd_keyspace *k, int n)
{
    assert(n >= 0 && n < k->db_count);
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

void nd_keyspace_swap(struct nd_keyspace *k, int a, int b)
{
    if (a == b || (nd_keyspace_peek(k, a) == NULL && nd_keyspace_peek(k, b) == NULL))
        return;
    struct nd_db *x = nd_keyspace_db(k, a), *y = nd_keyspace_db(k, b);
    struct nd_content kept = x->in;
    x->in = y->in;
    y->in = kept;
}

void nd_keyspace_keep_still(struct nd_keyspace *k, bool still)
{
    k->still = still;
    for (int n = 0; n < k->db_count; n++) {
        struct nd_db *db = nd_keyspace_peek(k, n);
        for (int slot = db != NULL ? nd_db_next_slot(db, 0) : -1; slot >= 0; slot = nd_db_next_slot(db, slot + 1)) {
            struct nd_slot *s = nd_content_slot(&db->in, k->slots, slot);
            s->keys.still = still;
            if (s->expires != NULL)
                s->expires->still = still;
        }
    }
}

/* A content that comes from another keyspace. */
static void take_seed(struct nd_db *db)
{
    const uint64_t *seed = db->k->seed;
    db->in.one.keys.seed = seed;
    if (db->in.one.expires != NULL)
        db->in.one.expires->seed = seed;
    for (int slot = nd_db_next_slot(db, 0); db->k->slots && slot >= 0; slot = nd_db_next_slot(db, slot + 1)) {
        struct nd_slot *s = nd_content_slot(&db->in, true, slot);
        s->keys.seed = seed;
        if (s->expires != NULL)
            s->expires->seed = seed;
    }
}

void nd_keyspace_exchange(struct nd_keyspace *a, struct nd_keyspace *b)
{
    assert(a->db_count == b->db_count && a->slots == b->slots && memcmp(a->seed, b->seed, sizeof a->seed) == 0);
    for (int i = 0; i < a->db_count; i++) {
        if (nd_keyspace_peek(a, i) == NULL && nd_keyspace_peek(b, i) == NULL)
            continue;
        struct nd_db *x = nd_keyspace_db(a, i), *y = nd_keyspace_db(b, i);
        struct nd_content kept = x->in;
        x->in = y->in;
        y->in = kept;
        take_seed(x);
        take_seed(y);
    }
}

int nd_db_number(const struct nd_db *db)
{
    return db->number;
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

/* ---- slots ---- */

int nd_db_next_slot(const struct nd_db *db, int slot)
{
    if (!db->k->slots)
        return slot == 0 && db->in.count > 0 ? 0 : -1;
    if (db->in.pages == NULL)
        return -1;
    while (slot < ND_SLOTS) {
        const struct nd_slot_page *page = db->in.pages[slot / ND_PAGE_SLOTS];
        if (page == NULL)
            slot = (slot / ND_PAGE_SLOTS + 1) * ND_PAGE_SLOTS;
        else if (page->slots[slot % ND_PAGE_SLOTS] == NULL)
            slot++;
        else
            return slot;
    }
    return -1;
}

void nd_db_tidy_slot(struct nd_db *db, int slot)
{
    struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
    if (!db->k->slots || s == NULL || nd_table_count(&s->keys) > 0 || s->keys.paused > 0 ||
        (s->expires != NULL && s->expires->paused > 0))
        return;
    clear_slot(s);
    free(s);
    struct nd_slot_page **page = &db->in.pages[slot / ND_PAGE_SLOTS];
    (*page)->slots[slot % ND_PAGE_SLOTS] = NULL;
    if ((*page)->count == 0) {
        bool used = false;
        for (int i = 0; i < ND_PAGE_SLOTS; i++)
            used = used || (*page)->slots[i] != NULL;
        if (!used) {
            free(*page);
            *page = NULL;
        }
    }
    if (db->in.count == 0 && nd_db_next_slot(db, 0) < 0) {
        free(db->in.pages);
        db->in.pages = NULL;
    }
}

size_t nd_db_slot_count(const struct nd_db *db, int slot)
{
    if (!db->k->slots)
        return slot == 0 ? db->in.count : 0;
    const struct nd_slot *s = nd_content_slot(&db->in, true, slot);
    return s != NULL ? nd_table_count(&s->keys) : 0;
}

size_t nd_db_slot_keys(struct nd_db *db, int slot, struct slice *out, size_t want)
{
    size_t got = 0;
    if (want == 0 || nd_db_slot_count(db, slot) == 0)
        return 0;
    struct nd_table_iter it;
    nd_table_iterate(&nd_content_slot(&db->in, db->k->slots, slot)->keys, &it);
    for (struct nd_entry *e; got < want && (e = nd_table_next(&it)) != NULL;)
        out[got++] = nd_entry_key(e);
    nd_table_stop(&it);
    return got;
}

size_t nd_db_slot_clear(struct nd_db *db, int slot)
{
    size_t n = nd_db_slot_count(db, slot);
    if (n == 0)
        return 0;
    if (!db->k->slots)
        return nd_db_clear(db);
    struct nd_slot *s = nd_content_slot(&db->in, true, slot);
    db->in.count -= n;
    db->in.expires -= s->expires != NULL ? nd_table_count(s->expires) : 0;
    db->in.pages[slot / ND_PAGE_SLOTS]->count -= n;
    clear_slot(s);
    nd_db_tidy_slot(db, slot);
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
        for (int slot = nd_db_next_slot(db, in->step_slot); slot >= 0; slot = nd_db_next_slot(db, slot + 1)) {
            struct nd_slot *s = nd_content_slot(in, db->k->slots, slot);
            if (!nd_slot_resizing(s))
                continue;
            in->step_slot = slot;
            nd_table_step(&s->keys, buckets);
            if (s->expires != NULL)
                nd_table_step(s->expires, buckets);
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
    for (int slot = nd_db_next_slot(db, 0); slot >= 0; slot = nd_db_next_slot(db, slot + 1)) {
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
    size_t sum = 0;
    each_table(db, expires, add_memory, &sum);
    return sum;
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
}
