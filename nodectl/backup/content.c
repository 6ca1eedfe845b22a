#include "nodectl/backup/content.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

static bool on_aux(void *owner, struct slice key, struct slice value, struct buf *why)
{
    struct content *c = owner;
    (void)why;
    if (slice_is(key, "cluster-databases"))
        (void)text_range(value, 1, CONTENT_DATABASES, &c->databases); /* the reader reads it too, and decides */
    else if (slice_is(key, "mapping-epoch"))
        (void)text_range(value, 0, INT64_MAX, &c->mapping_epoch);
    return true;
}

static void count(struct content *c, const struct nd_rdb_entry *entry)
{
    size_t db = (size_t)entry->db;
    if (db >= c->n) {
        c->v = mem_array(c->v, db + 1, sizeof *c->v);
        memset(c->v + c->n, 0, (db + 1 - c->n) * sizeof *c->v);
        c->n = db + 1;
    }
    bool expires = entry->expire_ms != ND_NO_EXPIRE;
    c->v[db].keys++;
    c->v[db].expires += expires;
    c->keys++;
    c->expires += expires;
}

static bool on_entry(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    struct content *c = owner;
    bool aside = entry->db >= c->numbers.db_count;
    bool ours = c->slots == NULL || content_has_slot(c->slots, nd_key_slot(entry->key));
    bool foreign = !aside && !ours;
    c->aside += aside;
    c->unfinished += aside && ours;
    c->foreign += foreign;
    if (!aside && !foreign) {
        count(c, entry);
        if (c->each != NULL)
            return c->each(c->owner, entry, why);
    }
    if (!entry->is_text)
        nd_value_free(&entry->value);
    return true;
}

static const struct nd_rdb_events events = {.aux = on_aux, .entry = on_entry};

void content_begin(struct content *c, const uint8_t *slots)
{
    static const uint64_t seed[2] = {0, 0}; /* nothing is put into the keyspace: it says which numbers there are */
    *c = (struct content){.slots = slots};
    nd_keyspace_init(&c->numbers, CONTENT_DATABASES, true, seed);
    c->reader = nd_rdb_reader_new(&nd_limits_default, &c->numbers, true, &events, c);
}

enum nd_rdb_status content_feed(struct content *c, struct slice *in)
{
    return nd_rdb_feed(c->reader, in, 0);
}

const char *content_error(const struct content *c)
{
    return nd_rdb_error(c->reader);
}

void content_free(struct content *c)
{
    if (c->reader == NULL)
        return;
    nd_rdb_reader_free(c->reader);
    nd_keyspace_free(&c->numbers);
    free(c->v);
    *c = (struct content){.slots = NULL};
}

void content_put_slots(struct buf *out, const uint8_t *slots)
{
    bool any = false;
    for (int s = 0; s < ND_SLOTS; s++) {
        if (!content_has_slot(slots, s))
            continue;
        int first = s;
        while (s + 1 < ND_SLOTS && content_has_slot(slots, s + 1))
            s++;
        buf_printf(out, first == s ? "%s%d" : "%s%d-%d", any ? "," : "", first, s);
        any = true;
    }
}

bool content_read_slots(struct slice text, uint8_t slots[CONTENT_SLOT_BYTES])
{
    memset(slots, 0, CONTENT_SLOT_BYTES);
    while (text.n > 0) {
        struct slice last = slice_cut(&text, ',');
        struct slice first = slice_cut(&last, '-');
        int64_t a, b;
        if (!text_range(first, 0, ND_SLOTS - 1, &a))
            return false;
        b = a;
        if (last.p != NULL && !text_range(last, a, ND_SLOTS - 1, &b))
            return false;
        for (; a <= b; a++)
            slots[a / 8] |= (uint8_t)(1U << a % 8);
    }
    return true;
}
