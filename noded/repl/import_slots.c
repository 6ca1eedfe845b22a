/* What becomes of slots that were gathered: whole tables move over to where clients see them, or go. */
#include "noded/repl/import_state.h"

#include "common/base/mem.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/expire.h"
#include "noded/cmd/watch.h"
#include "noded/repl/aof_state.h"
#include "noded/repl/persist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nd_db *shadow(struct nd_engine *e, int n)
{
    struct nd_db *db = e->keys.shadows > 0 ? nd_keyspace_peek(&e->keys, nd_shadow_number(&e->keys, n)) : NULL;
    return db != NULL && nd_db_count(db) > 0 ? db : NULL;
}

/* Of these slots those in which some shadow has keys. false: none has. */
static bool find_imported(struct nd_engine *e, const uint8_t *slots, uint8_t out[CL_SLOT_BYTES])
{
    bool some = false;
    memset(out, 0, CL_SLOT_BYTES);
    for (int n = 0; n < e->keys.db_count; n++) {
        const struct nd_db *db = shadow(e, n);
        for (int slot = db != NULL ? cl_bit_next(slots, 0, true) : CL_SLOTS; slot < CL_SLOTS;
             slot = cl_bit_next(slots, slot + 1, true)) {
            if (nd_db_slot_count(db, slot) == 0)
                continue;
            cl_bit_set(out, slot);
            some = true;
        }
    }
    return some;
}

size_t nd_import_keys(struct nd_engine *e, const uint8_t *slots)
{
    size_t keys = 0;
    for (int n = 0; n < e->keys.db_count; n++) {
        const struct nd_db *db = shadow(e, n);
        for (int slot = db != NULL ? cl_bit_next(slots, 0, true) : CL_SLOTS; slot < CL_SLOTS;
             slot = cl_bit_next(slots, slot + 1, true))
            keys += nd_db_slot_count(db, slot);
    }
    return keys;
}

/* ---- here ---- */

static void show_slot(struct nd_engine *e, struct nd_db *from, struct nd_db *to, int slot)
{
    struct nd_content *old = nd_db_slot_detach(to, slot);
    if (old != NULL)
        e->host.release_content(e->host.owner, old);
    nd_db_slot_move(from, to, slot);
}

size_t nd_import_show_here(struct nd_engine *e, const uint8_t *slots)
{
    size_t keys = 0;
    for (int n = 0; n < e->keys.db_count; n++) {
        struct nd_db *from = shadow(e, n), *to = from != NULL ? nd_keyspace_db(&e->keys, n) : NULL;
        if (from == NULL)
            continue;
        size_t before = nd_db_count(from);
        if (e->watches->keys.used > 0)
            nd_watch_slots_changed(e, to, from, slots);
        for (int slot = cl_bit_next(slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(slots, slot + 1, true))
            if (nd_db_slot_count(from, slot) > 0)
                show_slot(e, from, to, slot);
        keys += before - nd_db_count(from);
    }
    if (keys > 0)
        nd_expiry_wake(e); /* it has not seen them, and their time may be over */
    if (e->persist != NULL && e->persist->aof != NULL)
        nd_aof_put_off(e->persist->aof);
    return keys;
}

size_t nd_import_forget_here(struct nd_engine *e, const uint8_t *slots)
{
    size_t keys = 0;
    for (int n = 0; n < e->keys.db_count; n++) {
        struct nd_db *db = shadow(e, n);
        struct nd_content *content = db != NULL ? nd_db_slots_detach(db, slots) : NULL;
        keys += nd_content_count(content);
        if (content != NULL)
            e->host.release_content(e->host.owner, content);
    }
    return keys;
}

size_t nd_slots_drop_here(struct nd_engine *e, const uint8_t *slots)
{
    size_t keys = 0;
    for (int n = 0; n < e->keys.db_count; n++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, n);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        if (e->watches->keys.used > 0)
            nd_watch_slots_changed(e, db, NULL, slots);
        struct nd_content *content = nd_db_slots_detach(db, slots);
        keys += nd_content_count(content);
        if (content != NULL)
            e->host.release_content(e->host.owner, content);
    }
    return keys;
}

/* ---- here and on every copy ---- */

/* CLUSTER SYNCSLOTS SHOW|FORGET|DROP <s> <e> ...: one unit. */
static void tell(struct nd_engine *e, int db, const char *verb, const uint8_t *slots)
{
    struct slice *words = NULL;
    size_t n = 0, cap = 0;
    const char *const head[] = {"CLUSTER", "SYNCSLOTS", verb};
    for (; n < 3; n++) {
        words = mem_grow(words, n, &cap, sizeof *words);
        words[n] = slice_of(head[n]);
    }
    for (int from = cl_bit_next(slots, 0, true); from < CL_SLOTS;) {
        int end = cl_bit_next(slots, from, false), ends[] = {from, end - 1};
        for (size_t i = 0; i < 2; i++) {
            char digits[16];
            size_t bytes = (size_t)snprintf(digits, sizeof digits, "%d", ends[i]);
            words = mem_grow(words, n, &cap, sizeof *words);
            words[n++] = (struct slice){slice_dup((struct slice){digits, bytes}), bytes};
        }
        from = end < CL_SLOTS ? cl_bit_next(slots, end, true) : CL_SLOTS;
    }
    nd_effects_copy(e->effects, db, n, words);
    nd_effects_flush(e);
    for (size_t i = 3; i < n; i++)
        free((char *)words[i].p);
    free(words);
}

void nd_import_show(struct nd_repl *r, const uint8_t *slots)
{
    struct nd_engine *e = r->e;
    uint8_t imported[CL_SLOT_BYTES];
    if (!find_imported(e, slots, imported))
        return;
    /* What is seen of them is left over from an earlier time as their owner. Of the others it is not: slots are shown
     * once more after a restart. */
    nd_slots_drop(r, imported);
    e->changes += (int64_t)nd_import_show_here(e, slots);
    tell(e, 0, "SHOW", slots);
}

void nd_import_forget(struct nd_repl *r, const uint8_t *slots)
{
    struct nd_engine *e = r->e;
    size_t keys = nd_import_forget_here(e, slots);
    if (keys == 0)
        return;
    e->changes += (int64_t)keys;
    tell(e, 0, "FORGET", slots);
}

/* It is said in another database than 0, so that nobody who knows that one only goes on from before it. */
size_t nd_slots_drop(struct nd_repl *r, const uint8_t *slots)
{
    struct nd_engine *e = r->e;
    if (nd_cluster_one_database(e->cluster))
        return nd_cluster_drop_slots(e, slots);
    size_t keys = nd_slots_drop_here(e, slots);
    if (keys == 0)
        return 0;
    e->changes += (int64_t)keys;
    tell(e, e->keys.db_count > 1 ? 1 : 0, "DROP", slots);
    return keys;
}
