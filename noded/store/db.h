/* Inside of a database: its slots and their tables. For keyspace.c and db*.c; everybody else uses keyspace.h. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "noded/store/bucket.h"
#include "noded/store/keyspace.h"

/* Keys whose tables grow, shrink and are walked over together: all of the database's, or those of a cluster's slot. */
struct nd_slot {
    struct nd_table keys;
    struct nd_table *expires; /* the same entries, those that expire; NULL: there were none yet */
};

/* With slots there are as many small tables as there are slots times databases, and most hold a key or a few. Those
 * that fit into a chain of two buckets are that chain and nothing else; which of them expire is seen by looking at
 * them. The struct nd_slot is made with the key after ND_FEW, and goes when there are
 * ND_FEW_AGAIN or less. */
#define ND_FEW_AGAIN 6

/* What stands for a slot: 0, no keys; with ND_REF_FEW a chain of buckets; else a struct nd_slot. */
typedef uintptr_t nd_slot_ref;
#define ND_REF_FEW ((nd_slot_ref)1)
#define ND_REF_EXPIRING ((nd_slot_ref)2) /* of a few: one that expires was among them, and may be still */
#define ND_REF_MARKS (ND_REF_FEW | ND_REF_EXPIRING)

#define ND_PAGE_SLOTS 64
#define ND_SLOT_PAGES (ND_SLOTS / ND_PAGE_SLOTS)

struct nd_slot_page {
    size_t count;       /* keys */
    nd_slot_ref *slots; /* ND_PAGE_SLOTS of them; NULL: none has keys */
};

struct nd_content {
    size_t count, expires; /* keys; of them with an expiry */
    int64_t average_ttl;
    bool resizing;              /* some table may be */
    int step_slot;              /* where nd_db_step() goes on */
    struct nd_slot one;         /* without slots */
    struct nd_slot_page *pages; /* with slots: ND_SLOT_PAGES of them; NULL until the first key */
    size_t few_buckets;         /* of all slots with few keys */
    size_t tables;              /* slots that have a struct nd_slot */
};

struct nd_db {
    struct nd_keyspace *k;
    int number;
    struct nd_content in;
};

extern const struct nd_table_kind nd_keys_kind, nd_expires_kind;

/* What stands for the slot, or NULL when its page is not there. */
static inline nd_slot_ref *nd_content_ref(const struct nd_content *in, int slot)
{
    nd_slot_ref *slots = in->pages != NULL ? in->pages[slot / ND_PAGE_SLOTS].slots : NULL;
    return slots != NULL ? slots + slot % ND_PAGE_SLOTS : NULL;
}

static inline bool nd_ref_is_few(nd_slot_ref ref)
{
    return (ref & ND_REF_FEW) != 0;
}

/* Of a few keys. */
static inline struct nd_bucket *nd_ref_chain(nd_slot_ref ref)
{
    return (struct nd_bucket *)(ref & ~ND_REF_MARKS);
}

/* The slot's tables, or NULL when it has none because it holds few keys, or no key. Without slots all keys are in slot
 * 0. */
static inline struct nd_slot *nd_content_slot(const struct nd_content *in, bool slots, int slot)
{
    if (!slots)
        return (struct nd_slot *)&in->one;
    const nd_slot_ref *ref = nd_content_ref(in, slot);
    return ref != NULL && !nd_ref_is_few(*ref) ? (struct nd_slot *)*ref : NULL;
}

/* The slot, when it holds few keys, else 0. */
static inline nd_slot_ref nd_content_few(const struct nd_content *in, bool slots, int slot)
{
    const nd_slot_ref *ref = slots ? nd_content_ref(in, slot) : NULL;
    return ref != NULL && nd_ref_is_few(*ref) ? *ref : 0;
}

/* What is known of a key that was looked at ahead, or NULL. They come in their order, but for a few that are no keys.
 */
static inline const struct nd_ahead *nd_ahead_of(struct nd_keyspace *k, struct slice key)
{
    for (unsigned i = k->ahead_at; i < k->ahead_n && i < k->ahead_at + 3; i++) {
        if (k->ahead[i].key.p == key.p && k->ahead[i].key.n == key.n) {
            k->ahead_at = i;
            return &k->ahead[i];
        }
    }
    return NULL;
}

static inline uint64_t nd_db_hash(const struct nd_db *db, struct slice key)
{
    const struct nd_ahead *a = nd_ahead_of(db->k, key);
    return a != NULL ? a->hash : nd_siphash(db->k->seed, key.p, key.n);
}

static inline int nd_db_slot_of(const struct nd_db *db, struct slice key)
{
    return db->k->slots ? nd_keyspace_slot(db->k, key) : 0;
}

/* The chain that a key of this hash is in, if it is anywhere, or NULL. */
ND_ALWAYS_INLINE struct nd_bucket *nd_tables_bucket(const struct nd_slot *s, uint64_t hash)
{
    return s->keys.buckets[0] != NULL ? nd_table_bucket(&s->keys, hash) : NULL;
}

ND_ALWAYS_INLINE struct nd_bucket *nd_ref_bucket(nd_slot_ref ref, uint64_t hash)
{
    return ref == 0 || nd_ref_is_few(ref) ? nd_ref_chain(ref) : nd_tables_bucket((const struct nd_slot *)ref, hash);
}

/* The first slot from `slot` on that has keys, or -1. */
int nd_db_next_slot(const struct nd_db *db, int slot);
/* The first of them that has a struct nd_slot. */
int nd_next_tables(const struct nd_db *db, int slot);
/* The entries of a slot with few keys, at most ND_FEW, or of them those that expire. Returns how many. */
size_t nd_few_entries(nd_slot_ref few, bool expiring, struct nd_entry **out);
/* The entry, whose key has this hash, comes into the slot or leaves it. The counts follow. */
void nd_slot_add(struct nd_db *db, int slot, uint64_t hash, struct nd_entry *e);
void nd_slot_remove(struct nd_db *db, int slot, uint64_t hash, struct nd_entry *e);
/* An entry of the slot is one that expires now, or no longer (which it says of itself, or not yet). */
void nd_slot_expires_add(struct nd_db *db, int slot, uint64_t hash, struct nd_entry *e);
void nd_slot_expires_remove(struct nd_db *db, int slot, uint64_t hash, const struct nd_entry *e);
/* Frees the tables of a slot that lost its last key, or all but a few, unless somebody is walking over them. */
void nd_db_tidy_slot(struct nd_db *db, int slot);
/* What stands for a slot is taken out of a database, whose figures follow, or put into one that has nothing there. With
 * slots only, and nobody walks over the slot. */
struct nd_slot_part {
    nd_slot_ref ref; /* 0: the slot had no keys */
    size_t count, expires, few_buckets;
};
struct nd_slot_part nd_slot_cut(struct nd_db *db, int slot);
void nd_slot_put(struct nd_content *in, int slot, const struct nd_slot_part *part);
void nd_ref_clear(nd_slot_ref *ref); /* frees it with its keys; 0 afterwards */
/* Frees the page of the slot when none of its slots has anything, and all pages when there is no key. */
void nd_tidy_page(struct nd_content *in, int slot);
size_t nd_chain_buckets(const struct nd_bucket *b);
nd_slot_ref *nd_make_ref(struct nd_content *in, int slot);
/* All keys of a content, freed with what holds them. */
void nd_content_free_tables(struct nd_content *c);
/* An empty content; also what a database becomes whose content was taken away. */
void nd_content_init(struct nd_content *in, const struct nd_keyspace *k);

static inline bool nd_slot_resizing(const struct nd_slot *s)
{
    return s->keys.buckets[1] != NULL || (s->expires != NULL && s->expires->buckets[1] != NULL);
}

#endif
