/* All databases of a node. A database costs nothing until its first key, and in cluster mode a slot costs nothing until
 * its first key, and a bucket or two for few keys.
 *
 * In cluster mode each database n has a shadow, whose number is db_count + n: slots that are on their way to this node
 * are gathered there, and move over as they are when they become this node's. Shadows belong to the dataset, and no
 * client sees them: what counts or walks for a client stops at db_count.
 *
 * Nothing here knows the time or what an expired key means: that is the commands' side (cmd/lookup.h). */
#ifndef STORE_KEYSPACE_H
#define STORE_KEYSPACE_H

#include "noded/store/entry.h"
#include "noded/store/table.h"

#define ND_SLOTS 16384
#define ND_FEW 13 /* keys that a slot holds without a table: as many as fit into two buckets */

struct nd_db;

/* Told of an aggregate that is no longer in the keyspace; it frees it (nd_value_free) now or in another thread. */
typedef void nd_release_fn(void *owner, struct nd_value v);

/* What is known of a key whose command runs soon. */
struct nd_ahead {
    struct slice key;
    uint64_t hash;
    int slot;
};
#define ND_PREFETCH_MAX 32

struct nd_keyspace {
    struct nd_db ***pages; /* pointers to databases, in pages that exist only when used; use nd_keyspace_db() */
    int db_count;          /* that clients see */
    int shadows;           /* as many more behind them, or none */
    bool slots;            /* one table for each slot (cluster mode), else one in all */
    uint64_t seed[2];
    uint64_t mapping_epoch; /* swaps of databases that the whole cluster made, and this dataset with it (SWAPDB a b
                               EPOCH n) */
    bool lived;             /* it has had keys since it was loaded: when it has none now, somebody took them out */
    nd_release_fn *release; /* NULL: values are freed at once */
    void *release_owner;
    size_t expired_rounds;      /* for the expiry cycle: free for its use */
    bool still;                 /* nd_keyspace_keep_still() */
    unsigned ahead_n, ahead_at; /* nd_db_look_ahead() */
    struct nd_ahead ahead[ND_PREFETCH_MAX];
};

/* With slots there are shadows. */
void nd_keyspace_init(struct nd_keyspace *k, int databases, bool slots, const uint64_t seed[2]);
void nd_keyspace_free(struct nd_keyspace *k);
/* All of them: what a dataset is made of, and not only what clients see. */
static inline int nd_keyspace_all(const struct nd_keyspace *k)
{
    return k->db_count + k->shadows;
}
size_t nd_keyspace_count(const struct nd_keyspace *k); /* keys of all of them */
/* It has no keys, and had some since it was loaded: it is empty because it was emptied, and not because it was lost. */
bool nd_keyspace_emptied(const struct nd_keyspace *k);
/* It is loaded now: what it was before says nothing of it. */
void nd_keyspace_loaded(struct nd_keyspace *k);
/* What is database n in a dataset whose shadows begin behind `databases` (0: it has none): its number here, or -1 when
 * there is nothing like it here. */
int nd_keyspace_number(const struct nd_keyspace *k, uint64_t n, int databases);
/* The number of the shadow of database n, in cluster mode. */
static inline int nd_shadow_number(const struct nd_keyspace *k, int n)
{
    return k->db_count + n;
}
/* The database, made when it is not there yet. 0 <= n < nd_keyspace_all(). Its address is good for the life of the
 * keyspace: an emptied database stays, a few hundred bytes at most. */
struct nd_db *nd_keyspace_db(struct nd_keyspace *k, int n);
struct nd_db *nd_keyspace_peek(const struct nd_keyspace *k, int n); /* NULL: nobody has used it yet */
struct nd_db *nd_keyspace_shadow(struct nd_keyspace *k, int n);     /* of database n; made when it is not there yet */
/* Exchanges the contents of two databases, below db_count, and those of their shadows; the struct nd_db keep their
 * numbers and addresses. */
void nd_keyspace_swap(struct nd_keyspace *k, int a, int b);
/* The same for all databases of two keyspaces, which have as many and the same seed, mapping epochs and pasts. */
void nd_keyspace_exchange(struct nd_keyspace *a, struct nd_keyspace *b);

/* While a child process shares the memory, every page that is written is copied: tables are not resized for the
 * benefit of order, only when they are much too full. */
void nd_keyspace_keep_still(struct nd_keyspace *k, bool still);

int nd_db_number(const struct nd_db *db);
bool nd_db_is_shadow(const struct nd_db *db);
int nd_db_seen_number(const struct nd_db *db); /* its number, or that of the database whose shadow it is */
size_t nd_db_count(const struct nd_db *db);
size_t nd_db_expires(const struct nd_db *db); /* keys that have an expiry */
/* Mean of the time to live, kept by the expiry cycle; 0 unknown. */
int64_t nd_db_average_ttl(const struct nd_db *db);
void nd_db_set_average_ttl(struct nd_db *db, int64_t ms);

/* Looks up whether or not it has expired. The entry is good until the next change of the same key. */
struct nd_entry *nd_db_find(struct nd_db *db, struct slice key);
void nd_db_prefetch(struct nd_db *db, struct slice key);
/* The same for keys that are looked for one after the other soon: their buckets are asked for together, and then the
 * entries in them. At most ND_PREFETCH_MAX. */
void nd_db_prefetch_all(struct nd_db *db, const struct slice *keys, size_t n);
/* The same, and what was computed of them is remembered by their addresses until nd_keyspace_look_away(): their bytes
 * must stay and be the same for so long. So each key is hashed once for all that its command does with it. */
void nd_db_look_ahead(struct nd_db *db, const struct slice *keys, size_t n);
void nd_keyspace_look_away(struct nd_keyspace *k);

/* In what follows neither `key` nor `bytes` may be bytes of an entry.
 *
 * The key is not there yet. The value's memory is taken over; a short string is taken into the entry. */
struct nd_entry *nd_db_add(struct nd_db *db, struct slice key, struct nd_value value, int64_t expire_ms);
/* A string for a key that is looked up on the way: NULL when it is there already. For loading: the key is hashed once,
 * and the age is said. Text that is a number becomes one. */
struct nd_entry *nd_db_load_string(struct nd_db *db, struct slice key, struct slice bytes, int64_t expire_ms,
                                   uint32_t age);
/* A string for a key that is there or not: one allocation when it is short. What the key held is released; the age is
 * kept. expire_ms: ND_NO_EXPIRE drops it. old: the entry as found just before, or NULL when the key is not there. */
struct nd_entry *nd_db_set_string(struct nd_db *db, struct nd_entry *old, struct slice key, struct slice bytes,
                                  bool try_number, int64_t expire_ms);
/* Another value for a key that is there; the old one is released. */
struct nd_entry *nd_db_set_value(struct nd_db *db, struct nd_entry *e, struct nd_value value, int64_t expire_ms);
struct nd_entry *nd_db_set_expire(struct nd_db *db, struct nd_entry *e, int64_t expire_ms); /* may move it */
/* An embedded string gets memory of its own, so that it can be changed in place (nd_string_writable). May move it. */
struct nd_entry *nd_db_unembed(struct nd_db *db, struct nd_entry *e);

void nd_db_delete(struct nd_db *db, struct nd_entry *e); /* the value is released */
/* Takes the key out and gives the value to the caller. */
struct nd_value nd_db_take(struct nd_db *db, struct nd_entry *e);

/* Empties it. The whole content is handed to `release` as one piece of work when it is not NULL (FLUSHDB ASYNC): the
 * callee ends it with nd_content_free(). */
struct nd_content;
size_t nd_db_clear(struct nd_db *db);              /* at once; returns how many keys there were */
struct nd_content *nd_db_detach(struct nd_db *db); /* O(tables); NULL when it was empty */
size_t nd_content_count(const struct nd_content *c);
void nd_content_free(struct nd_content *c); /* may run in another thread */

/* SCAN over all slots. fn may delete the entry it is shown. */
typedef void nd_entry_fn(void *owner, struct nd_entry *e);
uint64_t nd_db_scan(struct nd_db *db, uint64_t cursor, nd_entry_fn *fn, void *owner);
struct nd_entry *nd_db_random(struct nd_db *db, struct rng *rng); /* NULL when empty */
/* Samples of all keys, or only of those with an expiry. */
size_t nd_db_sample(struct nd_db *db, struct rng *rng, bool expiring, struct nd_entry **out, size_t want);
/* Keys with an expiry, walked over with a cursor that lives for as long as the caller likes (the expiry cycle). */
uint64_t nd_db_scan_expires(struct nd_db *db, uint64_t cursor, nd_entry_fn *fn, void *owner);

/* Every entry, in no order. Only the entry shown may be deleted. */
struct nd_db_iter {
    struct nd_db *db;
    int slot;
    struct nd_table_iter at;      /* through the slot's table, */
    struct nd_entry *few[ND_FEW]; /* or the entries of a slot that has none because it holds few */
    size_t n, shown;
    bool one_slot;
};
void nd_db_iterate(struct nd_db *db, struct nd_db_iter *it);
void nd_db_iterate_slot(struct nd_db *db, int slot, struct nd_db_iter *it); /* the same of one slot */
struct nd_entry *nd_db_next(struct nd_db_iter *it);
void nd_db_iterate_stop(struct nd_db_iter *it);

/* Slots (cluster mode; without it the one table counts for every question about slot 0). */
int nd_key_slot(struct slice key);                             /* CRC16 mod 16384 of the key or its {tag} */
int nd_keyspace_slot(struct nd_keyspace *k, struct slice key); /* the same, known when it was looked at ahead */
size_t nd_db_slot_count(const struct nd_db *db, int slot);
size_t nd_db_slot_keys(struct nd_db *db, int slot, struct slice *out, size_t want); /* slices into the entries */
size_t nd_db_slot_clear(struct nd_db *db, int slot);
/* All keys of the slot go over to another database of the same keyspace, which has none in this slot: O(1), however
 * many they are. Nobody walks over the slot meanwhile. With slots only. Returns how many they were. */
size_t nd_db_slot_move(struct nd_db *from, struct nd_db *to, int slot);
/* What slots hold is taken out, as nd_db_detach() does it for all: O(slots of them that have keys). slots: bit s % 8 of
 * byte s / 8 is slot s. NULL: they held nothing. Nobody walks over them meanwhile. With slots only. */
struct nd_content *nd_db_slots_detach(struct nd_db *db, const uint8_t *slots);
struct nd_content *nd_db_slot_detach(struct nd_db *db, int slot);

bool nd_db_step(struct nd_db *db, size_t buckets); /* resizing in idle time; false: nothing to do */
void nd_db_reserve(struct nd_db *db, size_t keys);
size_t nd_db_table_memory(const struct nd_db *db, bool expires);
void nd_db_table_stats(struct nd_db *db, bool expires, struct nd_table_stats *out);

#endif
