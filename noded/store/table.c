#include "noded/store/table.h"

#include "common/base/mem.h"
#include "noded/store/bucket.h"

#include <assert.h>
#include <stdlib.h>

/* Elements to a bucket, in the mean, above which the table grows, and in 1/4 below which it shrinks. At eight, before
 * it grows, half of the buckets have a second one and every fourth element is in it, for a quarter of a cache miss more
 * to a lookup; at four, after it grew, nearly none. So a table costs 10 to 16 bytes an element and a bit. */
#define GROW_ABOVE 8
#define SHRINK_BELOW_QUARTERS 3
#define GROW_STILL_ABOVE 16 /* the same while the table is to keep still */
#define MOVED_BY_A_CHANGE 2 /* buckets */
#define BITS_MAX 48

void nd_table_init(struct nd_table *t, const struct nd_table_kind *kind, const uint64_t seed[2])
{
    *t = (struct nd_table){.kind = kind, .seed = seed};
}

uint64_t nd_table_hash(const struct nd_table *t, struct slice key)
{
    return nd_siphash(t->seed, key.p, key.n);
}

static uint64_t hash_of(const struct nd_table *t, const void *element)
{
    return nd_table_hash(t, t->kind->key(element));
}

/* ---- one chain ---- */

static void put(struct nd_bucket *b, unsigned i, uint8_t tag, void *element)
{
    b->used = (uint8_t)(b->used | 1U << i);
    b->tag[i] = tag;
    b->slot[i] = element;
}

static void chain_add(struct nd_table *t, struct nd_bucket *b, uint8_t tag, void *element)
{
    for (;;) {
        /* In a linked bucket the last slot is no place for an element. */
        unsigned taken = b->used & ND_BUCKET_LINKED ? b->used | 1U << ND_BUCKET_LINK : b->used;
        unsigned i = (unsigned)__builtin_ctz(~taken);
        if (i < ND_BUCKET_SLOTS) {
            put(b, i, tag, element);
            return;
        }
        if (!(b->used & ND_BUCKET_LINKED)) {
            struct nd_bucket *more = mem_zalloc(sizeof *more);
            put(more, 0, b->tag[ND_BUCKET_LINK], b->slot[ND_BUCKET_LINK]);
            b->used = (uint8_t)((b->used & ~(1U << ND_BUCKET_LINK)) | ND_BUCKET_LINKED);
            b->slot[ND_BUCKET_LINK] = more;
            t->chained++;
        }
        b = b->slot[ND_BUCKET_LINK];
    }
}

/* Takes the last element of the last bucket of the chain behind `b` out, and the bucket too when it stands empty.
 * false: nothing was behind it. */
static bool chain_pop(struct nd_table *t, struct nd_bucket *b, uint8_t *tag, void **element)
{
    while (b->used & ND_BUCKET_LINKED) {
        struct nd_bucket *before = b, *last = b->slot[ND_BUCKET_LINK];
        for (; last->used & ND_BUCKET_LINKED; last = last->slot[ND_BUCKET_LINK])
            before = last;
        bool found = last->used != 0;
        if (found) {
            unsigned i = 31 - (unsigned)__builtin_clz(last->used);
            *tag = last->tag[i];
            *element = last->slot[i];
            last->used = (uint8_t)(last->used & ~(1U << i));
        }
        if (last->used == 0) {
            before->used = (uint8_t)(before->used & ~ND_BUCKET_LINKED);
            free(last);
            t->chained--;
        }
        if (found)
            return true;
    }
    return false;
}

/* Fills the holes of a chain from its end, so that it has no more buckets than it needs. */
void nd_table_compact(struct nd_table *t, struct nd_bucket *head)
{
    for (struct nd_bucket *b = head; b != NULL; b = nd_bucket_next(b)) {
        uint8_t tag;
        void *element;
        while ((b->used & ND_BUCKET_LINKED) && (b->used & ND_BUCKET_FULL) != (ND_BUCKET_FULL >> 1) &&
               chain_pop(t, b, &tag, &element))
            chain_add(t, b, tag, element);
        /* A second bucket for one element is none: it stands where the link was. */
        struct nd_bucket *next = nd_bucket_next(b);
        if (next != NULL && !(next->used & ND_BUCKET_LINKED) && (next->used & (next->used - 1)) == 0 &&
            chain_pop(t, b, &tag, &element))
            put(b, ND_BUCKET_LINK, tag, element);
    }
}

/* ---- segments ---- */

static size_t segments_of(const struct nd_table *t, int side)
{
    return t->bits[side] > ND_SEGMENT_BITS ? (size_t)1 << (t->bits[side] - ND_SEGMENT_BITS) : 0;
}

/* The buckets of a side, or only the directory of their segments. */
static void new_side(struct nd_table *t, int side, unsigned bits)
{
    t->bits[side] = (uint8_t)bits;
    size_t segments = segments_of(t, side);
    t->buckets[side] = segments > 0 ? mem_zalloc(segments * sizeof(struct nd_bucket *))
                                    : mem_zalloc(sizeof(struct nd_bucket) << bits);
}

static void open_segment(struct nd_table *t, int side, size_t segment)
{
    struct nd_bucket **at = (struct nd_bucket **)t->buckets[side] + segment;
    if (*at == NULL)
        *at = mem_zalloc(sizeof **at << ND_SEGMENT_BITS);
}

static void free_side(struct nd_table *t, int side)
{
    for (size_t i = 0; t->buckets[side] != NULL && i < segments_of(t, side); i++)
        free(((struct nd_bucket **)t->buckets[side])[i]);
    free(t->buckets[side]);
    t->buckets[side] = NULL;
}

/* All buckets at once, for the first element. */
static void first_buckets(struct nd_table *t, unsigned bits)
{
    new_side(t, 0, bits);
    for (size_t i = 0; i < segments_of(t, 0); i++)
        open_segment(t, 0, i);
}

/* ---- resizing ---- */

/* Before the first bucket of a segment of the old table is moved: all segments that its elements may come to. */
static void open_targets(struct nd_table *t)
{
    size_t from = segments_of(t, 0), to = segments_of(t, 1), segment = t->moved >> ND_SEGMENT_BITS;
    if (from == 0 || from >= to) {
        for (size_t i = 0; i < to && from == 0; i++)
            open_segment(t, 1, i);
        if (from > 0 && to > 0)
            open_segment(t, 1, segment & (to - 1));
        return;
    }
    for (; segment < to; segment += from)
        open_segment(t, 1, segment);
}

static void begin_resize(struct nd_table *t, unsigned bits)
{
    assert(t->buckets[1] == NULL && bits <= BITS_MAX);
    new_side(t, 1, bits);
    t->moved = 0;
    open_targets(t);
}

static void end_resize(struct nd_table *t)
{
    assert(t->used[0] == 0);
    free_side(t, 0);
    t->buckets[0] = t->buckets[1];
    t->bits[0] = t->bits[1];
    t->used[0] = t->used[1];
    t->buckets[1] = NULL;
    t->used[1] = 0;
    t->moved = 0;
}

/* A bucket of the old table is empty for good; when it was the last of its segment, that is given back. */
static void pass_bucket(struct nd_table *t)
{
    t->moved++;
    if (segments_of(t, 0) == 0 || t->moved % ND_SEGMENT_BUCKETS != 0)
        return;
    struct nd_bucket **at = (struct nd_bucket **)t->buckets[0] + (t->moved / ND_SEGMENT_BUCKETS - 1);
    free(*at);
    *at = NULL;
    if (t->moved < (size_t)1 << t->bits[0])
        open_targets(t);
}

/* Moves the elements of one chain of the old table. Growing needs their hashes, so their keys: all are asked for before
 * the first is read. Shrinking needs only the tags. */
static void move_chain(struct nd_table *t, size_t index)
{
    struct nd_bucket *head = nd_bucket_at(t, 0, index);
    bool grows = t->bits[1] > t->bits[0];
    size_t mask = ((size_t)1 << t->bits[1]) - 1;
    if (grows)
        for (unsigned m = head->used & ND_BUCKET_FULL; m != 0; m &= m - 1)
            __builtin_prefetch(head->slot[__builtin_ctz(m)]);
    struct nd_bucket *b = head;
    do {
        for (unsigned m = b->used & ND_BUCKET_FULL; m != 0; m &= m - 1) {
            unsigned i = (unsigned)__builtin_ctz(m);
            size_t to = (grows ? hash_of(t, b->slot[i]) : index) & mask;
            chain_add(t, nd_bucket_at(t, 1, to), b->tag[i], b->slot[i]);
            t->used[0]--;
            t->used[1]++;
        }
        struct nd_bucket *next = nd_bucket_next(b);
        if (b != head) {
            free(b);
            t->chained--;
        }
        b = next;
    } while (b != NULL);
    head->used = 0;
}

bool nd_table_step(struct nd_table *t, size_t buckets)
{
    if (t->buckets[1] == NULL || t->paused > 0)
        return false;
    size_t end = (size_t)1 << t->bits[0];
    /* Empty buckets are cheap to pass, but a table that is nearly empty has very many. */
    for (size_t looks = buckets * 8; looks > 0 && buckets > 0 && t->moved < end; looks--) {
        bool empty = nd_bucket_at(t, 0, t->moved)->used == 0;
        if (!empty)
            move_chain(t, t->moved);
        buckets -= !empty;
        pass_bucket(t);
    }
    if (t->moved < end)
        return true;
    end_resize(t);
    return false;
}

/* The fewest buckets that hold so many elements with room for as many again before the table grows. */
static unsigned bits_for(size_t elements)
{
    unsigned bits = 0;
    while (bits < BITS_MAX && elements > (size_t)GROW_ABOVE / 2 << bits)
        bits++;
    return bits;
}

/* After each change: goes on with a resizing, or begins one. Only what takes elements out makes a table smaller, so
 * that a table with reserved room keeps it. */
static void settle(struct nd_table *t, bool added)
{
    if (t->paused > 0)
        return;
    size_t count = nd_table_count(t);
    if (count == 0) {
        nd_table_clear(t);
        return;
    }
    if (t->still && count <= (size_t)GROW_STILL_ABOVE << t->bits[0])
        return;
    if (t->buckets[1] == NULL) {
        unsigned bits = t->bits[0];
        /* The only bucket is to be full, not to be followed by another. */
        if (added && count > (bits > 0 ? (size_t)GROW_ABOVE << bits : ND_BUCKET_SLOTS)) {
            do
                bits++;
            while (count > (size_t)GROW_ABOVE << bits);
        } else if (!added && bits > 0 && count < ((size_t)SHRINK_BELOW_QUARTERS << bits) / 4) {
            bits = bits_for(count);
        } else {
            return;
        }
        begin_resize(t, bits);
    }
    nd_table_step(t, MOVED_BY_A_CHANGE);
}

void nd_table_resume(struct nd_table *t)
{
    assert(t->paused > 0);
    t->paused--;
    if (t->paused == 0 && nd_table_count(t) == 0)
        nd_table_clear(t);
}

void nd_table_reserve(struct nd_table *t, size_t elements)
{
    unsigned bits = bits_for(elements / 2);
    if (t->buckets[0] == NULL)
        first_buckets(t, bits);
    else if (t->buckets[1] == NULL && bits > t->bits[0] && t->paused == 0)
        begin_resize(t, bits);
}

/* ---- elements ---- */

void **nd_chain_slot_of(struct nd_bucket *b, const void *element)
{
    for (; b != NULL; b = nd_bucket_next(b))
        for (unsigned i = 0; i < ND_BUCKET_SLOTS; i++)
            if (b->slot[i] == element && (b->used >> i & 1))
                return &b->slot[i];
    return NULL;
}

void **nd_table_slot_of(const struct nd_table *t, uint64_t hash, const void *element)
{
    return t->buckets[0] != NULL ? nd_chain_slot_of(nd_table_bucket(t, hash), element) : NULL;
}

static size_t *used_of(struct nd_table *t, uint64_t hash)
{
    return &t->used[(hash & (((size_t)1 << t->bits[0]) - 1)) < t->moved];
}

void nd_table_put_hashed(struct nd_table *t, uint64_t hash, void *element)
{
    if (t->buckets[0] == NULL)
        first_buckets(t, 0);
    chain_add(t, nd_table_bucket(t, hash), nd_hash_tag(hash), element);
    ++*used_of(t, hash);
}

void nd_table_add_hashed(struct nd_table *t, uint64_t hash, void *element)
{
    nd_table_put_hashed(t, hash, element);
    settle(t, true);
}

void nd_table_remove_slot(struct nd_table *t, uint64_t hash, void **slot)
{
    struct nd_bucket *head = nd_table_bucket(t, hash), *b = head;
    while (slot < b->slot || slot >= b->slot + ND_BUCKET_SLOTS) {
        b = nd_bucket_next(b);
        assert(b != NULL);
    }
    b->used = (uint8_t)(b->used & ~(1U << (slot - b->slot)));
    --*used_of(t, hash);
    if (t->paused == 0 && (head->used & ND_BUCKET_LINKED))
        nd_table_compact(t, head);
    settle(t, false);
}

static void **find_slot(const struct nd_table *t, uint64_t hash, struct slice key)
{
    return nd_table_slot(t, hash, key, t->kind->key);
}

void *nd_table_find(struct nd_table *t, struct slice key)
{
    void **slot = nd_table_place(t, key);
    return slot != NULL ? *slot : NULL;
}

void **nd_table_place(struct nd_table *t, struct slice key)
{
    return t->buckets[0] != NULL ? find_slot(t, nd_table_hash(t, key), key) : NULL;
}

void nd_table_add(struct nd_table *t, void *element)
{
    nd_table_add_hashed(t, hash_of(t, element), element);
}

void *nd_table_take(struct nd_table *t, struct slice key)
{
    if (t->buckets[0] == NULL)
        return NULL;
    uint64_t hash = nd_table_hash(t, key);
    void **slot = find_slot(t, hash, key);
    if (slot == NULL)
        return NULL;
    void *element = *slot;
    nd_table_remove_slot(t, hash, slot);
    return element;
}

void nd_table_prefetch(struct nd_table *t, struct slice key)
{
    if (t->buckets[0] != NULL)
        __builtin_prefetch(nd_table_bucket(t, nd_table_hash(t, key)));
}

static void free_chain(const struct nd_table *t, struct nd_bucket *head)
{
    for (struct nd_bucket *b = head; b != NULL;) {
        if (t->kind->free != NULL)
            for (unsigned m = b->used & ND_BUCKET_FULL; m != 0; m &= m - 1)
                t->kind->free(b->slot[__builtin_ctz(m)]);
        struct nd_bucket *next = nd_bucket_next(b);
        if (b != head)
            free(b);
        b = next;
    }
}

void nd_table_clear(struct nd_table *t)
{
    assert(t->paused == 0);
    for (int side = 0; side < 2; side++) {
        size_t n = nd_table_buckets(t, side);
        for (size_t i = side == 0 ? t->moved : 0; i < n; i++)
            free_chain(t, nd_bucket_peek(t, side, i));
        free_side(t, side);
    }
    nd_table_init(t, t->kind, t->seed);
}

/* ---- one chain alone ---- */

void nd_table_of_chain(struct nd_table *t, const struct nd_table_kind *kind, const uint64_t seed[2],
                       struct nd_bucket *chain)
{
    nd_table_init(t, kind, seed);
    t->buckets[0] = chain;
    for (const struct nd_bucket *b = chain; b != NULL; b = nd_bucket_next(b)) {
        t->used[0] += nd_bucket_count(b);
        t->chained += b != chain;
    }
}

struct nd_bucket *nd_table_to_chain(struct nd_table *t)
{
    struct nd_table to;
    assert(nd_table_count(t) > 0 && t->buckets[1] == NULL && t->paused == 0);
    nd_table_of_chain(&to, t->kind, t->seed, mem_zalloc(sizeof(struct nd_bucket)));
    for (size_t i = 0; i < nd_table_buckets(t, 0); i++) {
        struct nd_bucket *head = nd_bucket_at(t, 0, i);
        for (struct nd_bucket *b = head; b != NULL;) {
            for (unsigned m = b->used & ND_BUCKET_FULL; m != 0; m &= m - 1) {
                unsigned at = (unsigned)__builtin_ctz(m);
                chain_add(&to, to.buckets[0], b->tag[at], b->slot[at]);
            }
            struct nd_bucket *next = nd_bucket_next(b);
            if (b != head)
                free(b);
            b = next;
        }
    }
    free_side(t, 0);
    nd_table_init(t, t->kind, t->seed);
    return to.buckets[0];
}
