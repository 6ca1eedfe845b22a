/* Walks over a database: SCAN, iteration, chance. */
#include "noded/store/db.h"

#include <assert.h>

/* A cursor over slots: the slot in the low bits, the cursor of its table above. */
#define SLOT_BITS 14
_Static_assert(1 << SLOT_BITS == ND_SLOTS, "a slot's number fills its bits");

struct shown {
    nd_entry_fn *fn;
    void *owner;
};

static void show(void *owner, void *element)
{
    const struct shown *to = owner;
    to->fn(to->owner, element);
}

static uint64_t scan(struct nd_db *db, uint64_t cursor, bool expires, struct shown *to)
{
    if (!db->k->slots) {
        struct nd_table *t = expires ? db->in.one.expires : &db->in.one.keys;
        return t != NULL ? nd_table_scan(t, cursor, show, to) : 0;
    }
    int at = (int)(cursor % ND_SLOTS), slot = nd_db_next_slot(db, at);
    uint64_t inner = slot == at ? cursor >> SLOT_BITS : 0;
    /* A slot without expiring keys shows nothing: the next is taken at once, as there may be thousands of them. */
    for (; slot >= 0; slot = nd_db_next_slot(db, slot + 1), inner = 0) {
        struct nd_slot *s = nd_content_slot(&db->in, true, slot);
        struct nd_table *t = expires ? s->expires : &s->keys;
        if (t == NULL || nd_table_count(t) == 0)
            continue;
        inner = nd_table_scan(t, inner, show, to);
        nd_db_tidy_slot(db, slot);
        if (inner != 0)
            return inner << SLOT_BITS | (uint64_t)slot;
        slot = nd_db_next_slot(db, slot + 1);
        return slot >= 0 ? (uint64_t)slot : 0;
    }
    return 0;
}

uint64_t nd_db_scan(struct nd_db *db, uint64_t cursor, nd_entry_fn *fn, void *owner)
{
    struct shown to = {fn, owner};
    return scan(db, cursor, false, &to);
}

uint64_t nd_db_scan_expires(struct nd_db *db, uint64_t cursor, nd_entry_fn *fn, void *owner)
{
    struct shown to = {fn, owner};
    return scan(db, cursor, true, &to);
}

/* ---- chance ---- */

/* A slot by chance, each as likely as it has keys. There are keys. */
static int random_slot(const struct nd_db *db, struct rng *rng)
{
    if (!db->k->slots)
        return 0;
    size_t at = rng_below(rng, db->in.count);
    for (int p = 0; p < ND_SLOT_PAGES; p++) {
        const struct nd_slot_page *page = db->in.pages[p];
        if (page == NULL || at >= page->count) {
            at -= page != NULL ? page->count : 0;
            continue;
        }
        for (int i = 0; i < ND_PAGE_SLOTS; i++) {
            size_t n = page->slots[i] != NULL ? nd_table_count(&page->slots[i]->keys) : 0;
            if (at < n)
                return p * ND_PAGE_SLOTS + i;
            at -= n;
        }
    }
    assert(!"a page counts its keys");
    return 0;
}

struct nd_entry *nd_db_random(struct nd_db *db, struct rng *rng)
{
    if (db->in.count == 0)
        return NULL;
    struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, random_slot(db, rng));
    return nd_table_random(&s->keys, rng);
}

size_t nd_db_sample(struct nd_db *db, struct rng *rng, bool expiring, struct nd_entry **out, size_t want)
{
    size_t got = 0;
    if (want == 0 || (expiring ? db->in.expires : db->in.count) == 0)
        return 0;
    int first = random_slot(db, rng), slot = first;
    do {
        struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
        struct nd_table *t = expiring ? s->expires : &s->keys;
        void *found[16];
        while (t != NULL && got < want) {
            size_t n = nd_table_sample(t, rng, found, want - got < 16 ? want - got : 16);
            for (size_t i = 0; i < n; i++)
                out[got++] = found[i];
            if (db->k->slots || n < 16)
                break;
        }
        slot = nd_db_next_slot(db, slot + 1);
        if (slot < 0)
            slot = nd_db_next_slot(db, 0);
    } while (got < want && slot != first);
    return got;
}

/* ---- iteration ---- */

void nd_db_iterate(struct nd_db *db, struct nd_db_iter *it)
{
    *it = (struct nd_db_iter){.db = db, .slot = nd_db_next_slot(db, 0)};
    if (it->slot >= 0)
        nd_table_iterate(&nd_content_slot(&db->in, db->k->slots, it->slot)->keys, &it->at);
}

struct nd_entry *nd_db_next(struct nd_db_iter *it)
{
    struct nd_db *db = it->db;
    while (it->slot >= 0) {
        struct nd_entry *e = nd_table_next(&it->at);
        if (e != NULL)
            return e;
        int left = it->slot;
        it->slot = nd_db_next_slot(db, left + 1);
        nd_db_tidy_slot(db, left);
        if (it->slot >= 0)
            nd_table_iterate(&nd_content_slot(&db->in, db->k->slots, it->slot)->keys, &it->at);
    }
    return NULL;
}

void nd_db_iterate_stop(struct nd_db_iter *it)
{
    if (it->slot >= 0) {
        nd_table_stop(&it->at);
        nd_db_tidy_slot(it->db, it->slot);
    }
    it->slot = -1;
}
