/* The hash table of the node: of keys, expiring keys, members, fields. It holds pointers to elements; where the key is
 * in an element its kind says. Buckets are one cache line: seven elements with a byte of their hash each, and a link to
 * another bucket when seven are not enough. So a lookup that misses costs one cache miss, one that hits two.
 *
 * Grows and shrinks by steps: each change moves a bucket or two, no call ever moves, allocates, clears or gives back
 * all of them. Seeded SipHash, so that nobody can choose keys that fall together. */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include "common/base/bytes.h"
#include "common/base/rng.h"

struct nd_table_kind {
    struct slice (*key)(const void *element);
    void (*free)(void *element); /* may be NULL: the elements are another's */
};

struct nd_table {
    const struct nd_table_kind *kind;
    void *buckets[2]; /* as bucket.h has them; [1] while it is being resized */
    uint8_t bits[2];  /* log2 of the number of buckets; nothing is allocated before the first element */
    uint8_t paused;   /* > 0: no resizing step (somebody iterates) */
    bool still;       /* no resizing before it is much too full: a child process shares the memory */
    uint32_t chained; /* buckets behind others */
    size_t used[2];
    size_t moved;         /* next bucket of [0] to be moved to [1] */
    const uint64_t *seed; /* two words, the owner's; outlive the table */
};

void nd_table_init(struct nd_table *t, const struct nd_table_kind *kind, const uint64_t seed[2]);
void nd_table_clear(struct nd_table *t); /* frees elements (kind->free) and buckets; ready for use again */
static inline size_t nd_table_count(const struct nd_table *t)
{
    return t->used[0] + t->used[1];
}

uint64_t nd_table_hash(const struct nd_table *t, struct slice key);
void *nd_table_find(struct nd_table *t, struct slice key); /* NULL: not there */
/* The place of the element, to put a moved element there: *place = new. Good until the table changes. */
void **nd_table_place(struct nd_table *t, struct slice key);
void nd_table_add(struct nd_table *t, void *element);         /* its key is not there yet */
void *nd_table_take(struct nd_table *t, struct slice key);    /* takes out and returns it; not freed */
void nd_table_reserve(struct nd_table *t, size_t elements);   /* room at once, before many are added */
bool nd_table_step(struct nd_table *t, size_t buckets);       /* resizing work in idle time; false: nothing to do */
void nd_table_prefetch(struct nd_table *t, struct slice key); /* for a key that is looked for soon */

/* SCAN's guarantees: an element that is there from the first call to the last is shown at least once, however the table
 * was resized between. Start with 0; 0 comes back at the end. fn may take out the element it is shown. */
typedef void nd_table_fn(void *owner, void *element);
uint64_t nd_table_scan(struct nd_table *t, uint64_t cursor, nd_table_fn *fn, void *owner);
/* A random element, fair enough (uniform over buckets that have one, then inside); NULL when empty. */
void *nd_table_random(struct nd_table *t, struct rng *rng);
/* Up to `want` elements from near one random place, for sampling: cheap, not uniform. Returns how many. */
size_t nd_table_sample(struct nd_table *t, struct rng *rng, void **out, size_t want);

/* for (nd_table_iterate(t, &it); (e = nd_table_next(&it)) != NULL;) The element shown may be taken out; nothing else
 * may change, and no resizing happens meanwhile. Ends by itself, or by nd_table_stop(). */
struct nd_bucket;
struct nd_table_iter {
    struct nd_table *t;
    struct nd_bucket *bucket;
    size_t index;
    uint8_t side, slot, began;
};
void nd_table_iterate(struct nd_table *t, struct nd_table_iter *it);
void *nd_table_next(struct nd_table_iter *it);
void nd_table_stop(struct nd_table_iter *it);

size_t nd_table_memory(const struct nd_table *t); /* bytes of the buckets */
/* For DEBUG HTSTATS and tests. */
struct nd_table_stats {
    size_t buckets, chained, elements, longest;
};
void nd_table_stats(const struct nd_table *t, struct nd_table_stats *out);

#endif
