/* What stands for a slot: nothing, a chain of buckets for a few keys, or tables. */
#include "noded/store/db.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>

#define FEW_AGAIN_BITS 4 /* log2 of the number of buckets that are looked at for the last few keys */

/* ---- few keys ---- */

static nd_slot_ref ref_of_slot(struct nd_slot *s)
{
    assert(((nd_slot_ref)s & ND_REF_MARKS) == 0);
    return (nd_slot_ref)s;
}

static nd_slot_ref ref_of_few(struct nd_bucket *chain, bool expiring)
{
    assert(((nd_slot_ref)chain & ND_REF_MARKS) == 0);
    return (nd_slot_ref)chain | ND_REF_FEW | (expiring ? ND_REF_EXPIRING : 0);
}

size_t nd_chain_buckets(const struct nd_bucket *b)
{
    size_t n = 0;
    for (; b != NULL; b = nd_bucket_next(b))
        n++;
    return n;
}

size_t nd_few_entries(nd_slot_ref few, bool expiring, struct nd_entry **out)
{
    size_t n = 0, left = 0;
    if (few == 0 || (expiring && (few & ND_REF_EXPIRING) == 0))
        return 0;
    for (const struct nd_bucket *b = nd_ref_chain(few); b != NULL; b = nd_bucket_next(b)) {
        for (unsigned m = b->used & ND_BUCKET_FULL; m != 0; m &= m - 1) {
            out[n] = b->slot[__builtin_ctz(m)];
            __builtin_prefetch(out[n++]);
        }
    }
    if (!expiring)
        return n;
    for (size_t i = 0; i < n; i++)
        if (out[i]->v.has_expire)
            out[left++] = out[i];
    return left;
}

static void init_expires(const struct nd_db *db, struct nd_slot *s)
{
    s->expires = mem_alloc(sizeof *s->expires);
    nd_table_init(s->expires, &nd_expires_kind, db->k->seed);
    s->expires->still = db->k->still;
}

/* Too many now: the chain becomes the only one of a table. */
static void make_tables(struct nd_db *db, nd_slot_ref *ref)
{
    struct nd_entry *expiring[ND_FEW];
    size_t n = nd_few_entries(*ref, true, expiring);
    struct nd_slot *s = mem_zalloc(sizeof *s);
    db->in.few_buckets -= nd_chain_buckets(nd_ref_chain(*ref));
    db->in.tables++;
    nd_table_of_chain(&s->keys, &nd_keys_kind, db->k->seed, nd_ref_chain(*ref));
    s->keys.still = db->k->still;
    if (n > 0)
        init_expires(db, s);
    for (size_t i = 0; i < n; i++)
        nd_table_add(s->expires, expiring[i]);
    *ref = ref_of_slot(s);
}

static void free_expires(struct nd_slot *s)
{
    if (s->expires != NULL) {
        nd_table_clear(s->expires);
        free(s->expires);
        s->expires = NULL;
    }
}

/* Nobody walks over it, and it has shrunk as far as it does: so it is small. */
static bool is_at_rest(const struct nd_slot *s)
{
    return s->keys.paused == 0 && (s->expires == NULL || s->expires->paused == 0) && s->keys.buckets[1] == NULL &&
           s->keys.bits[0] <= FEW_AGAIN_BITS;
}

/* Few enough again, or none. */
static void drop_tables(struct nd_db *db, nd_slot_ref *ref)
{
    struct nd_slot *s = (struct nd_slot *)*ref;
    bool expiring = s->expires != NULL && nd_table_count(s->expires) > 0;
    *ref = 0;
    if (nd_table_count(&s->keys) > 0) {
        struct nd_bucket *chain = nd_table_to_chain(&s->keys);
        *ref = ref_of_few(chain, expiring);
        db->in.few_buckets += nd_chain_buckets(chain);
    }
    db->in.tables--;
    free_expires(s);
    nd_table_clear(&s->keys);
    free(s);
}

/* ---- adding, removing ---- */

nd_slot_ref *nd_make_ref(struct nd_content *in, int slot)
{
    if (in->pages == NULL)
        in->pages = mem_zalloc(ND_SLOT_PAGES * sizeof *in->pages);
    struct nd_slot_page *page = &in->pages[slot / ND_PAGE_SLOTS];
    if (page->slots == NULL)
        page->slots = mem_zalloc(ND_PAGE_SLOTS * sizeof *page->slots);
    return &page->slots[slot % ND_PAGE_SLOTS];
}

static void tables_expires_add(struct nd_db *db, struct nd_slot *s, uint64_t hash, struct nd_entry *e)
{
    if (s->expires == NULL)
        init_expires(db, s);
    nd_table_add_hashed(s->expires, hash, e);
    db->in.resizing |= nd_slot_resizing(s);
}

static void tables_add(struct nd_db *db, struct nd_slot *s, uint64_t hash, struct nd_entry *e)
{
    nd_table_add_hashed(&s->keys, hash, e);
    if (e->v.has_expire)
        tables_expires_add(db, s, hash, e);
    db->in.resizing |= nd_slot_resizing(s);
}

static void ref_add(struct nd_db *db, nd_slot_ref *ref, uint64_t hash, struct nd_entry *e)
{
    if (*ref == 0 || nd_ref_is_few(*ref)) {
        struct nd_table t;
        nd_table_of_chain(&t, &nd_keys_kind, db->k->seed, nd_ref_chain(*ref));
        if (nd_table_count(&t) < ND_FEW) {
            size_t before = *ref != 0 ? t.chained + 1 : 0;
            nd_table_put_hashed(&t, hash, e);
            db->in.few_buckets += t.chained + 1 - before;
            *ref = ref_of_few(t.buckets[0], (*ref & ND_REF_EXPIRING) != 0 || e->v.has_expire);
            return;
        }
        make_tables(db, ref);
    }
    tables_add(db, (struct nd_slot *)*ref, hash, e);
}

void nd_slot_add(struct nd_db *db, int slot, uint64_t hash, struct nd_entry *e)
{
    db->in.count++;
    db->in.expires += e->v.has_expire;
    db->k->lived = true;
    if (db->k->slots) {
        ref_add(db, nd_make_ref(&db->in, slot), hash, e);
        db->in.pages[slot / ND_PAGE_SLOTS].count++;
    } else {
        tables_add(db, &db->in.one, hash, e);
    }
}

static void few_remove(struct nd_db *db, nd_slot_ref *ref, struct nd_entry *e)
{
    struct nd_table t;
    nd_table_of_chain(&t, &nd_keys_kind, db->k->seed, nd_ref_chain(*ref));
    size_t before = t.chained + 1;
    /* In the only chain of a table every hash leads to it. */
    nd_table_remove_slot(&t, 0, nd_chain_slot_of(nd_ref_chain(*ref), e));
    db->in.few_buckets -= before - (t.buckets[0] != NULL ? t.chained + 1 : 0);
    *ref = t.buckets[0] != NULL ? ref_of_few(t.buckets[0], (*ref & ND_REF_EXPIRING) != 0) : 0;
}

static void tables_remove(struct nd_db *db, struct nd_slot *s, uint64_t hash, struct nd_entry *e)
{
    if (e->v.has_expire)
        nd_table_remove_slot(s->expires, hash, nd_table_slot_of(s->expires, hash, e));
    nd_table_remove_slot(&s->keys, hash, nd_table_slot_of(&s->keys, hash, e));
    db->in.resizing |= nd_slot_resizing(s);
}

void nd_slot_remove(struct nd_db *db, int slot, uint64_t hash, struct nd_entry *e)
{
    db->in.count--;
    db->in.expires -= e->v.has_expire;
    if (!db->k->slots) {
        tables_remove(db, &db->in.one, hash, e);
        return;
    }
    nd_slot_ref *ref = nd_content_ref(&db->in, slot);
    db->in.pages[slot / ND_PAGE_SLOTS].count--;
    if (nd_ref_is_few(*ref))
        few_remove(db, ref, e);
    else
        tables_remove(db, (struct nd_slot *)*ref, hash, e);
    nd_db_tidy_slot(db, slot);
}

void nd_slot_expires_add(struct nd_db *db, int slot, uint64_t hash, struct nd_entry *e)
{
    db->in.expires++;
    if (nd_content_few(&db->in, db->k->slots, slot) != 0)
        *nd_content_ref(&db->in, slot) |= ND_REF_EXPIRING;
    else
        tables_expires_add(db, nd_content_slot(&db->in, db->k->slots, slot), hash, e);
}

void nd_slot_expires_remove(struct nd_db *db, int slot, uint64_t hash, const struct nd_entry *e)
{
    db->in.expires--;
    if (nd_content_few(&db->in, db->k->slots, slot) != 0)
        return; /* others may expire: the mark stays until somebody looks for them in vain */
    struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
    nd_table_remove_slot(s->expires, hash, nd_table_slot_of(s->expires, hash, e));
    db->in.resizing |= nd_slot_resizing(s);
}

/* ---- giving back ---- */

int nd_db_next_slot(const struct nd_db *db, int slot)
{
    if (!db->k->slots)
        return slot == 0 && db->in.count > 0 ? 0 : -1;
    if (db->in.pages == NULL)
        return -1;
    while (slot < ND_SLOTS) {
        const nd_slot_ref *slots = db->in.pages[slot / ND_PAGE_SLOTS].slots;
        if (slots == NULL)
            slot = (slot / ND_PAGE_SLOTS + 1) * ND_PAGE_SLOTS;
        else if (slots[slot % ND_PAGE_SLOTS] == 0)
            slot++;
        else
            return slot;
    }
    return -1;
}

int nd_next_tables(const struct nd_db *db, int slot)
{
    if (!db->k->slots)
        return slot == 0 ? 0 : -1;
    if (db->in.tables == 0)
        return -1;
    for (slot = nd_db_next_slot(db, slot); slot >= 0; slot = nd_db_next_slot(db, slot + 1))
        if (nd_content_slot(&db->in, true, slot) != NULL)
            return slot;
    return -1;
}

void nd_tidy_page(struct nd_content *in, int slot)
{
    struct nd_slot_page *page = &in->pages[slot / ND_PAGE_SLOTS];
    if (page->count > 0 || page->slots == NULL)
        return;
    for (int i = 0; i < ND_PAGE_SLOTS; i++)
        if (page->slots[i] != 0)
            return; /* somebody walks over what has become empty */
    free(page->slots);
    page->slots = NULL;
    if (in->count > 0)
        return;
    for (int i = 0; i < ND_SLOT_PAGES; i++)
        if (in->pages[i].slots != NULL)
            return;
    free(in->pages);
    in->pages = NULL;
}

void nd_db_tidy_slot(struct nd_db *db, int slot)
{
    nd_slot_ref *ref = db->k->slots ? nd_content_ref(&db->in, slot) : NULL;
    if (ref == NULL)
        return;
    struct nd_slot *s = nd_content_slot(&db->in, true, slot);
    if (s != NULL && nd_table_count(&s->keys) <= ND_FEW_AGAIN && is_at_rest(s))
        drop_tables(db, ref);
    if (*ref == 0)
        nd_tidy_page(&db->in, slot);
}

static void clear_slot(struct nd_slot *s)
{
    free_expires(s);
    nd_table_clear(&s->keys);
}

void nd_ref_clear(nd_slot_ref *ref)
{
    if (nd_ref_is_few(*ref)) {
        struct nd_table t;
        nd_table_of_chain(&t, &nd_keys_kind, NULL, nd_ref_chain(*ref));
        nd_table_clear(&t);
    } else if (*ref != 0) {
        clear_slot((struct nd_slot *)*ref);
        free((struct nd_slot *)*ref);
    }
    *ref = 0;
}

void nd_content_free_tables(struct nd_content *c)
{
    clear_slot(&c->one);
    for (size_t p = 0; c->pages != NULL && p < ND_SLOT_PAGES; p++) {
        for (size_t i = 0; c->pages[p].slots != NULL && i < ND_PAGE_SLOTS; i++)
            nd_ref_clear(&c->pages[p].slots[i]);
        free(c->pages[p].slots);
    }
    free(c->pages);
}

/* ---- a slot's keys ---- */

static size_t chain_count(const struct nd_bucket *b)
{
    size_t n = 0;
    for (; b != NULL; b = nd_bucket_next(b))
        n += nd_bucket_count(b);
    return n;
}

size_t nd_db_slot_count(const struct nd_db *db, int slot)
{
    if (!db->k->slots)
        return slot == 0 ? db->in.count : 0;
    nd_slot_ref few = nd_content_few(&db->in, true, slot);
    if (few != 0)
        return chain_count(nd_ref_chain(few));
    const struct nd_slot *s = nd_content_slot(&db->in, true, slot);
    return s != NULL ? nd_table_count(&s->keys) : 0;
}

size_t nd_db_slot_keys(struct nd_db *db, int slot, struct slice *out, size_t want)
{
    size_t got = 0;
    if (want == 0 || nd_db_slot_count(db, slot) == 0)
        return 0;
    struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
    if (s == NULL) {
        struct nd_entry *few[ND_FEW];
        size_t n = nd_few_entries(nd_content_few(&db->in, true, slot), false, few);
        for (; got < n && got < want; got++)
            out[got] = nd_entry_key(few[got]);
        return got;
    }
    struct nd_table_iter it;
    nd_table_iterate(&s->keys, &it);
    for (struct nd_entry *e; got < want && (e = nd_table_next(&it)) != NULL;)
        out[got++] = nd_entry_key(e);
    nd_table_stop(&it);
    return got;
}
