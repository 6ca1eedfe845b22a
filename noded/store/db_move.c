/* Whole slots leave a database: they are freed, go to another database, or to another thread. */
#include "noded/store/db.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>

struct nd_slot_part nd_slot_cut(struct nd_db *db, int slot)
{
    struct nd_content *in = &db->in;
    assert(db->k->slots);
    struct nd_slot_part part = {.count = nd_db_slot_count(db, slot)};
    if (part.count == 0)
        return part;
    nd_slot_ref *ref = nd_content_ref(in, slot);
    part.ref = *ref;
    if (nd_ref_is_few(*ref)) {
        struct nd_entry *expiring[ND_FEW];
        part.expires = nd_few_entries(*ref, true, expiring);
        part.few_buckets = nd_chain_buckets(nd_ref_chain(*ref));
    } else {
        const struct nd_slot *s = (const struct nd_slot *)*ref;
        assert(s->keys.paused == 0 && (s->expires == NULL || s->expires->paused == 0));
        part.expires = s->expires != NULL ? nd_table_count(s->expires) : 0;
        in->tables--;
    }
    *ref = 0;
    in->count -= part.count;
    in->expires -= part.expires;
    in->few_buckets -= part.few_buckets;
    in->pages[slot / ND_PAGE_SLOTS].count -= part.count;
    nd_tidy_page(in, slot);
    return part;
}

void nd_slot_put(struct nd_content *in, int slot, const struct nd_slot_part *part)
{
    if (part->ref == 0)
        return;
    nd_slot_ref *ref = nd_make_ref(in, slot);
    assert(*ref == 0);
    *ref = part->ref;
    in->count += part->count;
    in->expires += part->expires;
    in->few_buckets += part->few_buckets;
    in->pages[slot / ND_PAGE_SLOTS].count += part->count;
    if (nd_ref_is_few(part->ref))
        return;
    in->tables++;
    in->resizing |= nd_slot_resizing((const struct nd_slot *)part->ref);
}

size_t nd_db_slot_clear(struct nd_db *db, int slot)
{
    if (!db->k->slots)
        return slot == 0 ? nd_db_clear(db) : 0;
    struct nd_slot_part part = nd_slot_cut(db, slot);
    nd_ref_clear(&part.ref);
    return part.count;
}

size_t nd_db_slot_move(struct nd_db *from, struct nd_db *to, int slot)
{
    assert(from->k == to->k && from != to); /* so the seed of the tables is right, and whether they are kept still */
    struct nd_slot_part part = nd_slot_cut(from, slot);
    if (part.count == 0)
        return 0;
    nd_slot_put(&to->in, slot, &part);
    if (to->in.average_ttl == 0)
        to->in.average_ttl = from->in.average_ttl; /* until the expiry cycle has looked at them */
    return part.count;
}

static void detach(struct nd_db *db, int slot, struct nd_content **c)
{
    struct nd_slot_part part = nd_slot_cut(db, slot);
    if (part.count == 0)
        return;
    if (*c == NULL) {
        *c = mem_alloc(sizeof **c);
        nd_content_init(*c, db->k);
    }
    nd_slot_put(*c, slot, &part);
}

struct nd_content *nd_db_slots_detach(struct nd_db *db, const uint8_t *slots)
{
    struct nd_content *c = NULL;
    for (int slot = nd_db_next_slot(db, 0); slot >= 0; slot = nd_db_next_slot(db, slot + 1)) {
        if ((slots[slot / 8] >> slot % 8 & 1) != 0)
            detach(db, slot, &c);
    }
    return c;
}

struct nd_content *nd_db_slot_detach(struct nd_db *db, int slot)
{
    struct nd_content *c = NULL;
    detach(db, slot, &c);
    return c;
}
