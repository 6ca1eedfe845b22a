/* Inside of a database: its slots and their tables. For keyspace.c, db.c and db_walk.c; everybody else uses keyspace.h.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "noded/store/keyspace.h"

/* Keys whose tables grow, shrink and are walked over together: all of the database's, or those of a cluster's slot. */
struct nd_slot {
    struct nd_table keys;
    struct nd_table *expires; /* the same entries, those that expire; NULL: there were none yet */
};

#define ND_PAGE_SLOTS 64
#define ND_SLOT_PAGES (ND_SLOTS / ND_PAGE_SLOTS)

struct nd_slot_page {
    size_t count; /* keys */
    struct nd_slot *slots[ND_PAGE_SLOTS];
};

struct nd_content {
    size_t count, expires; /* keys; of them with an expiry */
    int64_t average_ttl;
    bool resizing;               /* some table may be */
    int step_slot;               /* where nd_db_step() goes on */
    struct nd_slot one;          /* without slots */
    struct nd_slot_page **pages; /* with slots: ND_SLOT_PAGES of them; NULL until the first key */
};

struct nd_db {
    struct nd_keyspace *k;
    int number;
    struct nd_content in;
};

extern const struct nd_table_kind nd_keys_kind, nd_expires_kind;

/* The slot's tables, or NULL when it has none. Without slots all keys are in slot 0. */
static inline struct nd_slot *nd_content_slot(const struct nd_content *in, bool slots, int slot)
{
    if (!slots)
        return (struct nd_slot *)&in->one;
    struct nd_slot_page *page = in->pages != NULL ? in->pages[slot / ND_PAGE_SLOTS] : NULL;
    return page != NULL ? page->slots[slot % ND_PAGE_SLOTS] : NULL;
}

static inline int nd_db_slot_of(const struct nd_db *db, struct slice key)
{
    return db->k->slots ? nd_key_slot(key) : 0;
}

/* The first slot from `slot` on that has keys, or -1. */
int nd_db_next_slot(const struct nd_db *db, int slot);
/* Frees the tables of a slot that lost its last key, unless somebody is walking over them. */
void nd_db_tidy_slot(struct nd_db *db, int slot);
/* An empty content; also what a database becomes whose content was taken away. */
void nd_content_init(struct nd_content *in, const struct nd_keyspace *k);

static inline bool nd_slot_resizing(const struct nd_slot *s)
{
    return s->keys.buckets[1] != NULL || (s->expires != NULL && s->expires->buckets[1] != NULL);
}

#endif
