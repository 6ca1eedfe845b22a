/* Inside of the hash table: the cache line that holds seven elements, and the lookup, made to be compiled anew for each
 * kind of element (table.c calls the kind's function, db.c reads the key of an entry directly).
 *
 * Where an element stands follows from its hash alone, also while the table is being resized: the old bucket that it
 * belongs to has either been moved, then it is in the new table, or it has not, then it is in the old one, and new
 * elements go there too.
 *
 * Up to ND_SEGMENT_BUCKETS buckets are one array. More of them are arrays of that size and a directory of these: so a
 * table that grows to gigabytes is allocated, cleared and given back piece by piece while its buckets are moved, and
 * what is given back is of a size that the allocator uses again. */
#ifndef STORE_BUCKET_H
#define STORE_BUCKET_H

#include "noded/store/siphash.h"
#include "noded/store/table.h"

#include <string.h>

#define ND_BUCKET_SLOTS 7
#define ND_BUCKET_LINK 6      /* the slot that holds the next bucket of a chain */
#define ND_BUCKET_LINKED 0x80 /* bit of `used`: it does */
#define ND_BUCKET_FULL 0x7f
#define ND_SEGMENT_BITS 10
#define ND_SEGMENT_BUCKETS ((size_t)1 << ND_SEGMENT_BITS) /* 64 KiB */

struct nd_bucket {
    uint8_t used;                 /* bit i: slot i has an element */
    uint8_t tag[ND_BUCKET_SLOTS]; /* the upper byte of the element's hash */
    void *slot[ND_BUCKET_SLOTS];
};
_Static_assert(sizeof(void *) != 8 || sizeof(struct nd_bucket) == 64, "a bucket is a cache line");

#define ND_ALWAYS_INLINE static inline __attribute__((always_inline))

ND_ALWAYS_INLINE uint8_t nd_hash_tag(uint64_t hash)
{
    return (uint8_t)(hash >> 56);
}

static inline size_t nd_table_buckets(const struct nd_table *t, int side)
{
    return t->buckets[side] != NULL ? (size_t)1 << t->bits[side] : 0;
}

static inline struct nd_bucket *nd_bucket_next(const struct nd_bucket *b)
{
    return b->used & ND_BUCKET_LINKED ? b->slot[ND_BUCKET_LINK] : NULL;
}

/* Elements of this bucket alone. */
static inline unsigned nd_bucket_count(const struct nd_bucket *b)
{
    unsigned x = b->used & ND_BUCKET_FULL;
    x -= x >> 1 & 0x55;
    x = (x & 0x33) + (x >> 2 & 0x33);
    return (x + (x >> 4)) & 0x0f;
}

/* A byte of 0x80 for each slot whose tag is this one, among them slots that are free. Slot i is byte i + 1. */
ND_ALWAYS_INLINE uint64_t nd_bucket_matches(const struct nd_bucket *b, uint8_t tag)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fU;
    uint64_t x = nd_sip_load((const unsigned char *)b) ^ (tag * UINT64_C(0x0101010101010101));
    return ~(((x & low) + low) | x | low) & ~UINT64_C(0xff);
}

/* Bucket i of a side. Its segment is there. */
ND_ALWAYS_INLINE struct nd_bucket *nd_bucket_at(const struct nd_table *t, int side, size_t i)
{
    if (t->bits[side] <= ND_SEGMENT_BITS)
        return (struct nd_bucket *)t->buckets[side] + i;
    return ((struct nd_bucket **)t->buckets[side])[i >> ND_SEGMENT_BITS] + (i & (ND_SEGMENT_BUCKETS - 1));
}

/* The same, or NULL when its segment is not there yet, or no longer, because the table is being resized. */
static inline struct nd_bucket *nd_bucket_peek(const struct nd_table *t, int side, size_t i)
{
    if (t->bits[side] > ND_SEGMENT_BITS && ((struct nd_bucket **)t->buckets[side])[i >> ND_SEGMENT_BITS] == NULL)
        return NULL;
    return nd_bucket_at(t, side, i);
}

/* The head of the chain that an element of this hash is in. The table has had an element. */
ND_ALWAYS_INLINE struct nd_bucket *nd_table_bucket(const struct nd_table *t, uint64_t hash)
{
    size_t i = hash & (((size_t)1 << t->bits[0]) - 1);
    if (__builtin_expect(i < t->moved, 0))
        return nd_bucket_at(t, 1, hash & (((size_t)1 << t->bits[1]) - 1));
    return nd_bucket_at(t, 0, i);
}

/* The slot of the element with this key in the chain that begins with b (which may be NULL), or NULL. key_of is a
 * constant where this is inlined. */
ND_ALWAYS_INLINE void **nd_chain_slot(struct nd_bucket *b, uint64_t hash, struct slice key,
                                      struct slice (*key_of)(const void *element))
{
    uint8_t tag = nd_hash_tag(hash);
    for (; b != NULL; b = nd_bucket_next(b)) {
        for (uint64_t m = nd_bucket_matches(b, tag); m != 0; m &= m - 1) {
            unsigned i = (unsigned)__builtin_ctzll(m) / 8 - 1;
            if (!(b->used >> i & 1))
                continue;
            struct slice k = key_of(b->slot[i]);
            if (k.n == key.n && (k.n == 0 || memcmp(k.p, key.p, k.n) == 0))
                return &b->slot[i];
        }
    }
    return NULL;
}

/* The same in the chain of a table that belongs to the hash. */
ND_ALWAYS_INLINE void **nd_table_slot(const struct nd_table *t, uint64_t hash, struct slice key,
                                      struct slice (*key_of)(const void *element))
{
    return t->buckets[0] != NULL ? nd_chain_slot(nd_table_bucket(t, hash), hash, key, key_of) : NULL;
}

/* The same for an element that is known to be there, whose key need not be read. */
void **nd_chain_slot_of(struct nd_bucket *b, const void *element);
void **nd_table_slot_of(const struct nd_table *t, uint64_t hash, const void *element);
void nd_table_add_hashed(struct nd_table *t, uint64_t hash, void *element);
/* The same without resizing: a table of one bucket becomes a longer chain. */
void nd_table_put_hashed(struct nd_table *t, uint64_t hash, void *element);

/* A table of one chain, for as long as it takes to change it: nothing but the chain (NULL: none) need be kept, which
 * is t->buckets[0] then. */
void nd_table_of_chain(struct nd_table *t, const struct nd_table_kind *kind, const uint64_t seed[2],
                       struct nd_bucket *chain);
/* All elements in one chain, which is returned; the table is as after nd_table_init(). It has elements, and is not
 * being resized or walked over. */
struct nd_bucket *nd_table_to_chain(struct nd_table *t);
/* Frees the slot; the element is the caller's. */
void nd_table_remove_slot(struct nd_table *t, uint64_t hash, void **slot);

/* For walks (table_walk.c): while a table is paused its elements keep their slots, and no bucket is freed. */
void nd_table_compact(struct nd_table *t, struct nd_bucket *head);
static inline void nd_table_pause(struct nd_table *t)
{
    t->paused++;
}
void nd_table_resume(struct nd_table *t);

#endif
