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

/* All of a slot that holds few keys. They are gathered first, as fn may take them out one by one. */
static bool show_few(struct nd_db *db, int slot, bool expires, struct shown *to)
{
    struct nd_entry *found[ND_FEW];
    size_t n = nd_few_entries(nd_content_few(&db->in, true, slot), expires, found);
    if (n == 0)
        *nd_content_ref(&db->in, slot) &= ~ND_REF_EXPIRING;
    for (size_t i = 0; i < n; i++)
        to->fn(to->owner, found[i]);
    return n > 0;
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
        if (s == NULL) {
            if (!show_few(db, slot, expires, to))
                continue;
            inner = 0;
        } else {
            struct nd_table *t = expires ? s->expires : &s->keys;
            if (t == NULL || nd_table_count(t) == 0)
                continue;
            inner = nd_table_scan(t, inner, show, to);
            nd_db_tidy_slot(db, slot);
        }
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
        const struct nd_slot_page *page = &db->in.pages[p];
        if (at >= page->count) {
            at -= page->count;
            continue;
        }
        for (int i = 0; i < ND_PAGE_SLOTS; i++) {
            size_t n = nd_db_slot_count(db, p * ND_PAGE_SLOTS + i);
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
    int slot = random_slot(db, rng);
    struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
    if (s != NULL)
        return nd_table_random(&s->keys, rng);
    struct nd_entry *few[ND_FEW];
    size_t n = nd_few_entries(nd_content_few(&db->in, true, slot), false, few);
    return few[rng_below(rng, n)];
}

static size_t sample_tables(struct nd_db *db, struct nd_slot *s, struct rng *rng, bool expiring, struct nd_entry **out,
                            size_t want)
{
    struct nd_table *t = expiring ? s->expires : &s->keys;
    void *found[16];
    size_t got = 0;
    while (t != NULL && got < want) {
        size_t n = nd_table_sample(t, rng, found, want - got < 16 ? want - got : 16);
        for (size_t i = 0; i < n; i++)
            out[got++] = found[i];
        if (db->k->slots || n < 16)
            break;
    }
    return got;
}

static size_t sample_few(nd_slot_ref few, struct rng *rng, bool expiring, struct nd_entry **out, size_t want)
{
    struct nd_entry *found[ND_FEW];
    size_t n = nd_few_entries(few, expiring, found), first = n > want ? rng_below(rng, n) : 0, got = 0;
    for (; got < n && got < want; got++)
        out[got] = found[(first + got) % n];
    return got;
}

size_t nd_db_sample(struct nd_db *db, struct rng *rng, bool expiring, struct nd_entry **out, size_t want)
{
    size_t got = 0;
    if (want == 0 || (expiring ? db->in.expires : db->in.count) == 0)
        return 0;
    int first = random_slot(db, rng), slot = first;
    do {
        struct nd_slot *s = nd_content_slot(&db->in, db->k->slots, slot);
        got += s != NULL ? sample_tables(db, s, rng, expiring, out + got, want - got)
                         : sample_few(nd_content_few(&db->in, true, slot), rng, expiring, out + got, want - got);
        slot = nd_db_next_slot(db, slot + 1);
        if (slot < 0)
            slot = nd_db_next_slot(db, 0);
    } while (got < want && slot != first);
    return got;
}

/* ---- iteration ---- */

static void begin_slot(struct nd_db_iter *it, int slot)
{
    it->slot = slot;
    it->shown = it->n = 0;
    if (slot < 0)
        return;
    struct nd_slot *s = nd_content_slot(&it->db->in, it->db->k->slots, slot);
    if (s != NULL)
        nd_table_iterate(&s->keys, &it->at);
    else
        it->n = nd_few_entries(nd_content_few(&it->db->in, true, slot), false, it->few);
}

void nd_db_iterate(struct nd_db *db, struct nd_db_iter *it)
{
    *it = (struct nd_db_iter){.db = db};
    begin_slot(it, nd_db_next_slot(db, 0));
}

void nd_db_iterate_slot(struct nd_db *db, int slot, struct nd_db_iter *it)
{
    *it = (struct nd_db_iter){.db = db, .one_slot = true};
    begin_slot(it, nd_db_slot_count(db, slot) > 0 ? slot : -1);
}

struct nd_entry *nd_db_next(struct nd_db_iter *it)
{
    while (it->slot >= 0) {
        struct nd_entry *e = it->shown < it->n ? it->few[it->shown++] : nd_table_next(&it->at);
        if (e != NULL)
            return e;
        int left = it->slot;
        begin_slot(it, it->one_slot ? -1 : nd_db_next_slot(it->db, left + 1));
        nd_db_tidy_slot(it->db, left);
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
