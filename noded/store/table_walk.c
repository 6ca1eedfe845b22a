/* Walks over the hash table: SCAN, iteration, chance, statistics. */
#include "noded/store/table.h"

#include "noded/store/bucket.h"

#include <assert.h>

/* ---- SCAN ----
 *
 * The cursor counts with its bits reversed: the upper bits of a bucket's number change first. So the buckets that one
 * bucket is spread over by growing stand next to each other in the order of the walk, and a cursor means the same place
 * in a table of any size. */

static uint64_t reversed(uint64_t v)
{
    v = (v >> 1 & 0x5555555555555555U) | (v & 0x5555555555555555U) << 1;
    v = (v >> 2 & 0x3333333333333333U) | (v & 0x3333333333333333U) << 2;
    v = (v >> 4 & 0x0f0f0f0f0f0f0f0fU) | (v & 0x0f0f0f0f0f0f0f0fU) << 4;
    return __builtin_bswap64(v);
}

/* The next bucket of a table with this mask; bits above the mask are carried into the order, not kept. */
static uint64_t next_cursor(uint64_t cursor, uint64_t mask)
{
    return reversed(reversed(cursor | ~mask) + 1);
}

static void show_chain(struct nd_bucket *head, nd_table_fn *fn, void *owner)
{
    for (struct nd_bucket *b = head; b != NULL; b = nd_bucket_next(b))
        for (unsigned i = 0; i < ND_BUCKET_SLOTS; i++)
            if (b->used >> i & 1) /* looked at anew each time: fn may have taken one out */
                fn(owner, b->slot[i]);
}

static void show_bucket(struct nd_table *t, int side, size_t index, nd_table_fn *fn, void *owner)
{
    struct nd_bucket *head = nd_bucket_peek(t, side, index);
    show_chain(head, fn, owner);
    if (t->paused == 1 && head != NULL && (head->used & ND_BUCKET_LINKED))
        nd_table_compact(t, head);
}

uint64_t nd_table_scan(struct nd_table *t, uint64_t cursor, nd_table_fn *fn, void *owner)
{
    if (nd_table_count(t) == 0)
        return 0;
    nd_table_pause(t);
    int small = t->buckets[1] != NULL && t->bits[1] < t->bits[0];
    uint64_t mask = ((uint64_t)1 << t->bits[small]) - 1;
    show_bucket(t, small, cursor & mask, fn, owner);
    if (t->buckets[1] == NULL) {
        cursor = next_cursor(cursor, mask);
    } else {
        /* All buckets of the larger table that this one is spread over, from the cursor's place on. */
        uint64_t large = ((uint64_t)1 << t->bits[!small]) - 1;
        do {
            show_bucket(t, !small, cursor & large, fn, owner);
            cursor = next_cursor(cursor, large);
        } while ((cursor & (mask ^ large)) != 0);
    }
    nd_table_resume(t);
    return cursor;
}

/* ---- iteration ---- */

void nd_table_iterate(struct nd_table *t, struct nd_table_iter *it)
{
    *it = (struct nd_table_iter){.t = t};
}

/* Leaves the chain that the walk is in for the next one. false: it was the last. */
static bool next_chain(struct nd_table_iter *it)
{
    struct nd_table *t = it->t;
    struct nd_bucket *head = nd_bucket_at(t, it->side, it->index);
    if (t->paused == 1 && (head->used & ND_BUCKET_LINKED))
        nd_table_compact(t, head);
    do {
        if (++it->index == nd_table_buckets(t, it->side)) {
            it->side++;
            it->index = 0;
            if (it->side == 2 || t->buckets[1] == NULL)
                return false;
        }
        it->bucket = nd_bucket_peek(t, it->side, it->index);
    } while (it->bucket == NULL);
    it->slot = 0;
    return true;
}

void *nd_table_next(struct nd_table_iter *it)
{
    struct nd_table *t = it->t;
    if (t == NULL)
        return NULL;
    if (!it->began) {
        if (t->buckets[0] == NULL) {
            it->t = NULL;
            return NULL;
        }
        nd_table_pause(t);
        it->began = 1;
        it->index = t->moved;
        it->bucket = nd_bucket_at(t, 0, it->index);
    }
    for (;;) {
        struct nd_bucket *b = it->bucket;
        unsigned left = (unsigned)(b->used & ND_BUCKET_FULL) >> it->slot;
        if (left != 0) {
            unsigned i = it->slot + (unsigned)__builtin_ctz(left);
            it->slot = (uint8_t)(i + 1);
            return b->slot[i];
        }
        struct nd_bucket *more = nd_bucket_next(b);
        if (more != NULL) {
            it->bucket = more;
            it->slot = 0;
        } else if (!next_chain(it)) {
            nd_table_stop(it);
            return NULL;
        }
    }
}

void nd_table_stop(struct nd_table_iter *it)
{
    if (it->t != NULL && it->began)
        nd_table_resume(it->t);
    it->t = NULL;
}

/* ---- chance ---- */

static unsigned chain_count(const struct nd_bucket *b)
{
    unsigned n = 0;
    for (; b != NULL; b = nd_bucket_next(b))
        n += nd_bucket_count(b);
    return n;
}

static void *chain_at(const struct nd_bucket *b, unsigned at)
{
    for (;; b = nd_bucket_next(b)) {
        unsigned m = b->used & ND_BUCKET_FULL, n = nd_bucket_count(b);
        if (at >= n) {
            at -= n;
            continue;
        }
        while (at-- > 0)
            m &= m - 1;
        return b->slot[__builtin_ctz(m)];
    }
}

/* Buckets that can have elements, numbered through both tables. NULL: one whose segment is not there. */
static size_t live_buckets(const struct nd_table *t)
{
    return nd_table_buckets(t, 0) - t->moved + nd_table_buckets(t, 1);
}

static struct nd_bucket *live_bucket(const struct nd_table *t, size_t i)
{
    size_t old = nd_table_buckets(t, 0) - t->moved;
    return i < old ? nd_bucket_at(t, 0, t->moved + i) : nd_bucket_peek(t, 1, i - old);
}

#define FAIR_CHAIN 20 /* longer chains are so rare that their elements may have a little less luck */
#define FAIR_TRIES 96

/* A bucket by chance, and in it a place by chance, which may be empty: then again. So each element is as likely as any
 * other, however full its bucket is. */
void *nd_table_random(struct nd_table *t, struct rng *rng)
{
    if (nd_table_count(t) == 0)
        return NULL;
    size_t n = live_buckets(t);
    for (int i = 0; i < FAIR_TRIES; i++) {
        const struct nd_bucket *b = live_bucket(t, rng_below(rng, n));
        unsigned count = chain_count(b);
        unsigned at = (unsigned)rng_below(rng, count > FAIR_CHAIN ? count : FAIR_CHAIN);
        if (at < count)
            return chain_at(b, at);
    }
    /* A table that lost nearly all of its elements while it must not shrink. */
    size_t i = rng_below(rng, n);
    while (chain_count(live_bucket(t, i)) == 0)
        i = i + 1 < n ? i + 1 : 0;
    const struct nd_bucket *b = live_bucket(t, i);
    return chain_at(b, (unsigned)rng_below(rng, chain_count(b)));
}

static size_t sample_chain(const struct nd_bucket *b, void **out, size_t want)
{
    size_t got = 0;
    for (; b != NULL; b = nd_bucket_next(b))
        for (unsigned m = b->used & ND_BUCKET_FULL; m != 0 && got < want; m &= m - 1)
            out[got++] = b->slot[__builtin_ctz(m)];
    return got;
}

size_t nd_table_sample(struct nd_table *t, struct rng *rng, void **out, size_t want)
{
    size_t got = 0;
    if (want == 0 || nd_table_count(t) == 0)
        return 0;
    size_t n = nd_table_buckets(t, 0), resized = nd_table_buckets(t, 1), at = rng_below(rng, n);
    /* Each bucket is looked at once; in a table with few elements not all of them. */
    size_t looks = want * 8 < n ? want * 8 : n;
    for (; looks > 0 && got < want; looks--) {
        if (at >= t->moved)
            got += sample_chain(nd_bucket_at(t, 0, at), out + got, want - got);
        /* What was in this bucket before it was moved: in several of a larger table, with that of others in a smaller.
         */
        for (size_t to = at; at < t->moved && to < resized; to += n)
            got += sample_chain(nd_bucket_at(t, 1, to), out + got, want - got);
        at = at + 1 < n ? at + 1 : 0;
    }
    if (got == 0)
        out[got++] = nd_table_random(t, rng);
    return got;
}

/* ---- figures ---- */

/* Bytes of one side: while the table is being resized some of its segments are not there. */
static size_t side_memory(const struct nd_table *t, int side)
{
    size_t n = nd_table_buckets(t, side), bytes = 0;
    if (n <= ND_SEGMENT_BUCKETS)
        return n * sizeof(struct nd_bucket);
    for (size_t i = 0; i < n; i += ND_SEGMENT_BUCKETS)
        bytes += sizeof(void *) +
                 (nd_bucket_peek(t, side, i) != NULL ? ND_SEGMENT_BUCKETS * sizeof(struct nd_bucket) : 0);
    return bytes;
}

size_t nd_table_memory(const struct nd_table *t)
{
    return side_memory(t, 0) + side_memory(t, 1) + t->chained * sizeof(struct nd_bucket);
}

void nd_table_stats(const struct nd_table *t, struct nd_table_stats *out)
{
    *out = (struct nd_table_stats){.buckets = nd_table_buckets(t, 0) + nd_table_buckets(t, 1),
                                   .chained = t->chained,
                                   .elements = nd_table_count(t)};
    for (size_t i = 0, n = live_buckets(t); i < n && t->buckets[0] != NULL; i++) {
        size_t longest = chain_count(live_bucket(t, i));
        if (longest > out->longest)
            out->longest = longest;
    }
}
