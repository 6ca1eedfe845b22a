/* Keys that are looked for soon: what they lead to is asked for together, and what is known of them remembered. */
#include "noded/store/db.h"

#include <assert.h>

/* Asks for the elements of a bucket that may be the one. false: none may. */
static bool prefetch_matches(const struct nd_bucket *b, uint8_t tag)
{
    uint64_t matches = nd_bucket_matches(b, tag);
    for (uint64_t m = matches; m != 0; m &= m - 1)
        __builtin_prefetch(b->slot[(unsigned)__builtin_ctzll(m) / 8 - 1]);
    return matches != 0;
}

/* Slots are asked for, then what stands for them. Returns how many buckets it found. */
static size_t prefetch_slots(const struct nd_db *db, const struct nd_ahead *keys, size_t n,
                             const struct nd_bucket **buckets, uint8_t *tags)
{
    const nd_slot_ref *refs[ND_PREFETCH_MAX];
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        refs[i] = nd_content_ref(&db->in, keys[i].slot);
        __builtin_prefetch(refs[i]);
    }
    for (size_t i = 0; i < n; i++)
        if (refs[i] != NULL)
            __builtin_prefetch((const void *)(*refs[i] & ~ND_REF_MARKS));
    for (size_t i = 0; i < n; i++) {
        const struct nd_bucket *b = refs[i] != NULL ? nd_ref_bucket(*refs[i], keys[i].hash) : NULL;
        if (b == NULL)
            continue;
        if (!nd_ref_is_few(*refs[i]))
            __builtin_prefetch(b);
        tags[left] = nd_hash_tag(keys[i].hash);
        buckets[left++] = b;
    }
    return left;
}

static size_t prefetch_table(const struct nd_db *db, const struct nd_ahead *keys, size_t n,
                             const struct nd_bucket **buckets, uint8_t *tags)
{
    if (db->in.one.keys.buckets[0] == NULL)
        return 0;
    for (size_t i = 0; i < n; i++) {
        tags[i] = nd_hash_tag(keys[i].hash);
        buckets[i] = nd_table_bucket(&db->in.one.keys, keys[i].hash);
        __builtin_prefetch(buckets[i]);
    }
    return n;
}

static void know(const struct nd_db *db, const struct slice *keys, size_t n, struct nd_ahead *out)
{
    assert(n <= ND_PREFETCH_MAX);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct nd_ahead){
            .key = keys[i],
            .hash = nd_siphash(db->k->seed, keys[i].p, keys[i].n),
            .slot = db->k->slots ? nd_key_slot(keys[i]) : 0,
        };
}

static void prefetch(const struct nd_db *db, const struct nd_ahead *keys, size_t n)
{
    const struct nd_bucket *buckets[ND_PREFETCH_MAX];
    uint8_t tags[ND_PREFETCH_MAX];
    size_t left = db->k->slots ? prefetch_slots(db, keys, n, buckets, tags)
                               : prefetch_table(db, keys, n, buckets, tags);
    /* Those that are not in the first bucket of a chain are looked for in the second, in a round of their own. */
    while (left > 0) {
        size_t behind = 0;
        for (size_t i = 0; i < left; i++) {
            const struct nd_bucket *next = nd_bucket_next(buckets[i]);
            if (prefetch_matches(buckets[i], tags[i]) || next == NULL)
                continue;
            tags[behind] = tags[i];
            buckets[behind++] = next;
            __builtin_prefetch(next);
        }
        left = behind;
    }
}

void nd_db_prefetch_all(struct nd_db *db, const struct slice *keys, size_t n)
{
    struct nd_ahead known[ND_PREFETCH_MAX];
    if (db->in.count == 0)
        return;
    know(db, keys, n, known);
    prefetch(db, known, n);
}

void nd_db_look_ahead(struct nd_db *db, const struct slice *keys, size_t n)
{
    struct nd_keyspace *k = db->k;
    know(db, keys, n, k->ahead);
    k->ahead_n = (unsigned)n;
    k->ahead_at = 0;
    prefetch(db, k->ahead, n);
}

void nd_keyspace_look_away(struct nd_keyspace *k)
{
    k->ahead_n = k->ahead_at = 0;
}

int nd_keyspace_slot(struct nd_keyspace *k, struct slice key)
{
    const struct nd_ahead *a = nd_ahead_of(k, key);
    return a != NULL && k->slots ? a->slot : nd_key_slot(key);
}
