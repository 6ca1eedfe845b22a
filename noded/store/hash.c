#include "noded/store/hash.h"

#include "common/base/mem.h"
#include "noded/store/bucket.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct field {
    uint32_t field_n, value_n;
    char bytes[]; /* the field, then its value */
};

struct nd_hash_table {
    struct nd_table t;
    uint64_t seed[2];
};

static struct slice field_key(const void *element)
{
    const struct field *f = element;
    return (struct slice){.p = f->bytes, .n = f->field_n};
}

static struct slice field_value(const struct field *f)
{
    return (struct slice){.p = f->bytes + f->field_n, .n = f->value_n};
}

static const struct nd_table_kind field_kind = {.key = field_key, .free = free};

static struct field *field_new(struct slice field, struct slice value)
{
    assert(field.n <= ND_HASH_BYTES_MAX && value.n <= ND_HASH_BYTES_MAX);
    struct field *f = mem_alloc(sizeof *f + field.n + value.n);
    f->field_n = (uint32_t)field.n;
    f->value_n = (uint32_t)value.n;
    if (field.n > 0)
        memcpy(f->bytes, field.p, field.n);
    if (value.n > 0)
        memcpy(f->bytes + field.n, value.p, value.n);
    return f;
}

/* The element with another value; it may move. */
static struct field *field_assign(struct field *f, struct slice value)
{
    assert(value.n <= ND_HASH_BYTES_MAX);
    if (value.n != f->value_n) {
        size_t need = sizeof *f + f->field_n + value.n, has = malloc_usable_size(f);
        if (need > has || has > 2 * need + 32)
            f = mem_realloc(f, need);
        f->value_n = (uint32_t)value.n;
    }
    if (value.n > 0)
        memcpy(f->bytes + f->field_n, value.p, value.n);
    return f;
}

static bool is_pack(const struct nd_value *v)
{
    return v->enc == ND_ENC_LISTPACK;
}

struct nd_table *nd_hash_table_of(const struct nd_value *v)
{
    return is_pack(v) ? NULL : &((struct nd_hash_table *)v->ptr)->t;
}

static struct nd_value around_pack(struct nd_pack *p)
{
    return (struct nd_value){.type = ND_HASH, .enc = ND_ENC_LISTPACK, .ptr = p};
}

struct nd_value nd_hash_new(void)
{
    return around_pack(nd_pack_new(0));
}

/* ---- from pack to table ---- */

static struct nd_hash_table *table_new(const uint64_t seed[2], size_t fields)
{
    struct nd_hash_table *h = mem_alloc(sizeof *h);
    h->seed[0] = seed[0];
    h->seed[1] = seed[1];
    nd_table_init(&h->t, &field_kind, h->seed);
    if (fields > 0)
        nd_table_reserve(&h->t, fields);
    return h;
}

static void table_free(struct nd_hash_table *h)
{
    nd_table_clear(&h->t);
    free(h);
}

/* false: a field twice; what was added so far stays. */
static bool table_add_pack(struct nd_hash_table *h, const struct nd_pack *p)
{
    char tmp[2][ND_PACK_INT_TEXT];
    for (nd_pack_at at = nd_pack_first(p); at != NULL;) {
        nd_pack_at value = nd_pack_next(p, at);
        struct slice field = nd_pack_get(at, tmp[0]);
        uint64_t hash = nd_table_hash(&h->t, field);
        if (nd_table_slot(&h->t, hash, field, field_key) != NULL)
            return false;
        nd_table_add_hashed(&h->t, hash, field_new(field, nd_pack_get(value, tmp[1])));
        at = nd_pack_next(p, value);
    }
    return true;
}

void nd_hash_to_table(struct nd_value *v, const struct nd_limits *limits, size_t fields)
{
    if (!is_pack(v))
        return;
    struct nd_pack *p = v->ptr;
    size_t count = nd_pack_count(p) / 2;
    struct nd_hash_table *h = table_new(limits->seed, fields > count ? fields : count);
    bool unique = table_add_pack(h, p);
    assert(unique);
    (void)unique;
    free(p);
    v->enc = ND_ENC_HASHTABLE;
    v->ptr = h;
}

#define COMPARE_ALL 32 /* so many fields are compared one with another rather than hashed */

static bool has_doubles(const struct nd_pack *p)
{
    char tmp[ND_PACK_INT_TEXT];
    for (nd_pack_at at = nd_pack_first(p); at != NULL;) {
        nd_pack_at next = nd_pack_next(p, nd_pack_next(p, at));
        if (next != NULL && nd_pack_find(p, next, nd_pack_get(at, tmp), 1) != NULL)
            return true;
        at = next;
    }
    return false;
}

bool nd_hash_from_pack(struct nd_pack *p, const struct nd_limits *limits, struct nd_value *out)
{
    size_t count = nd_pack_count(p);
    if (count == 0 || count % 2 != 0)
        return false;
    bool small = (int64_t)(count / 2) <= limits->hash_max_listpack_entries;
    if (small && count / 2 <= COMPARE_ALL) {
        if (has_doubles(p))
            return false;
        *out = around_pack(p);
        return true;
    }
    struct nd_hash_table *h = table_new(limits->seed, count / 2);
    bool unique = table_add_pack(h, p);
    if (!unique || small)
        table_free(h);
    if (!unique)
        return false;
    if (small) {
        *out = around_pack(p);
    } else {
        free(p);
        *out = (struct nd_value){.type = ND_HASH, .enc = ND_ENC_HASHTABLE, .ptr = h};
    }
    return true;
}

/* ---- fields ---- */

bool nd_hash_get(const struct nd_value *v, struct slice field, struct slice *out, char tmp[ND_PACK_INT_TEXT])
{
    if (is_pack(v)) {
        nd_pack_at at = nd_pack_find(v->ptr, nd_pack_first(v->ptr), field, 1);
        if (at != NULL)
            *out = nd_pack_get(nd_pack_next(v->ptr, at), tmp);
        return at != NULL;
    }
    struct nd_table *t = nd_hash_table_of(v);
    void **slot = nd_table_slot(t, nd_table_hash(t, field), field, field_key);
    if (slot != NULL)
        *out = field_value(*slot);
    return slot != NULL;
}

static bool set_in_pack(struct nd_value *v, const struct nd_limits *limits, struct slice field, struct slice value)
{
    nd_pack_at at = nd_pack_find(v->ptr, nd_pack_first(v->ptr), field, 1);
    if (at != NULL) {
        at = nd_pack_next(v->ptr, at);
        v->ptr = nd_pack_replace(v->ptr, &at, value);
        return false;
    }
    v->ptr = nd_pack_append(v->ptr, field);
    v->ptr = nd_pack_append(v->ptr, value);
    if ((int64_t)(nd_pack_count(v->ptr) / 2) > limits->hash_max_listpack_entries)
        nd_hash_to_table(v, limits, 0);
    return true;
}

#define OVERHEAD 10 /* bytes that an element of a pack takes beside its own */

static bool fits_pack(const struct nd_value *v, const struct nd_limits *limits, size_t field_n, size_t value_n)
{
    int64_t max = limits->hash_max_listpack_value;
    return (int64_t)field_n <= max && (int64_t)value_n <= max && nd_pack_room(v->ptr, field_n + value_n + 2 * OVERHEAD);
}

bool nd_hash_set(struct nd_value *v, const struct nd_limits *limits, struct slice field, struct slice value)
{
    if (is_pack(v)) {
        if (fits_pack(v, limits, field.n, value.n))
            return set_in_pack(v, limits, field, value);
        nd_hash_to_table(v, limits, 0);
    }
    struct nd_table *t = nd_hash_table_of(v);
    uint64_t hash = nd_table_hash(t, field);
    void **slot = nd_table_slot(t, hash, field, field_key);
    if (slot != NULL)
        *slot = field_assign(*slot, value);
    else
        nd_table_add_hashed(t, hash, field_new(field, value));
    return slot == NULL;
}

bool nd_hash_remove(struct nd_value *v, struct slice field)
{
    if (is_pack(v)) {
        nd_pack_at at = nd_pack_find(v->ptr, nd_pack_first(v->ptr), field, 1);
        if (at == NULL)
            return false;
        v->ptr = nd_pack_remove(v->ptr, &at, 2);
        return true;
    }
    void *f = nd_table_take(nd_hash_table_of(v), field);
    free(f);
    return f != NULL;
}

/* ---- scan and chance ---- */

struct showing {
    nd_hash_fn *fn;
    void *owner;
};

static void show_field(void *owner, void *element)
{
    struct showing *s = owner;
    s->fn(s->owner, field_key(element), field_value(element));
}

/* Shows the field at `at`; returns where its value is. */
static nd_pack_at show_in_pack(const struct nd_pack *p, nd_pack_at at, nd_hash_fn *fn, void *owner)
{
    char tmp[2][ND_PACK_INT_TEXT];
    nd_pack_at value = nd_pack_next(p, at);
    fn(owner, nd_pack_get(at, tmp[0]), nd_pack_get(value, tmp[1]));
    return value;
}

uint64_t nd_hash_scan(const struct nd_value *v, uint64_t cursor, nd_hash_fn *fn, void *owner)
{
    struct showing s = {fn, owner};
    if (!is_pack(v))
        return nd_table_scan(nd_hash_table_of(v), cursor, show_field, &s);
    for (nd_pack_at at = nd_pack_first(v->ptr); at != NULL; at = nd_pack_next(v->ptr, at))
        at = show_in_pack(v->ptr, at, fn, owner);
    return 0;
}

void nd_hash_random(const struct nd_value *v, struct rng *rng, nd_hash_fn *fn, void *owner)
{
    struct showing s = {fn, owner};
    if (!is_pack(v)) {
        show_field(&s, nd_table_random(nd_hash_table_of(v), rng));
        return;
    }
    uint64_t i = rng_below(rng, nd_hash_length(v));
    show_in_pack(v->ptr, nd_pack_index(v->ptr, (int64_t)(2 * i)), fn, owner);
}

/* Goes over all `left` fields once; each is taken with the chance that makes `count` of them in the end, and every
 * choice of `count` fields equally likely. */
static bool taken(struct rng *rng, size_t *left, size_t *count)
{
    bool take = rng_below(rng, *left) < *count;
    --*left;
    *count -= take;
    return take;
}

/* Draws until there are `count` different ones; for few of many. The set of those seen is open addressing over their
 * addresses. */
static void draw_distinct(struct nd_table *t, struct rng *rng, size_t count, struct showing *s)
{
    size_t bits = 4;
    while ((size_t)1 << bits < 2 * count)
        bits++;
    size_t mask = ((size_t)1 << bits) - 1;
    void **seen = mem_zalloc((mask + 1) * sizeof *seen);
    while (count > 0) {
        void *e = nd_table_random(t, rng);
        size_t i = (size_t)((uintptr_t)e * UINT64_C(0x9E3779B97F4A7C15) >> (64 - bits));
        while (seen[i] != NULL && seen[i] != e)
            i = (i + 1) & mask;
        if (seen[i] == e)
            continue;
        seen[i] = e;
        show_field(s, e);
        count--;
    }
    free(seen);
}

void nd_hash_random_distinct(const struct nd_value *v, struct rng *rng, size_t count, nd_hash_fn *fn, void *owner)
{
    struct showing s = {fn, owner};
    size_t left = nd_hash_length(v);
    if (count > left)
        count = left;
    if (is_pack(v)) {
        for (nd_pack_at at = nd_pack_first(v->ptr); at != NULL && count > 0; at = nd_pack_next(v->ptr, at)) {
            if (taken(rng, &left, &count))
                at = show_in_pack(v->ptr, at, fn, owner);
            else
                at = nd_pack_next(v->ptr, at);
        }
        return;
    }
    struct nd_table *t = nd_hash_table_of(v);
    if (count <= left / 4) {
        draw_distinct(t, rng, count, &s);
        return;
    }
    struct nd_table_iter it;
    nd_table_iterate(t, &it);
    for (void *e; count > 0 && (e = nd_table_next(&it)) != NULL;)
        if (taken(rng, &left, &count))
            show_field(&s, e);
    nd_table_stop(&it);
}

/* ---- for value.c ---- */

void nd_hash_free(struct nd_value *v)
{
    if (is_pack(v))
        free(v->ptr);
    else
        table_free(v->ptr);
    v->ptr = NULL;
}

struct nd_value nd_hash_dup(const struct nd_value *v)
{
    if (is_pack(v))
        return around_pack(nd_pack_dup(v->ptr));
    const struct nd_hash_table *from = v->ptr;
    struct nd_hash_table *h = table_new(from->seed, nd_table_count(&from->t));
    struct nd_table_iter it;
    nd_table_iterate(nd_hash_table_of(v), &it);
    for (struct field *f; (f = nd_table_next(&it)) != NULL;)
        nd_table_add(&h->t, field_new(field_key(f), field_value(f)));
    return (struct nd_value){.type = ND_HASH, .enc = ND_ENC_HASHTABLE, .ptr = h};
}

size_t nd_hash_length(const struct nd_value *v)
{
    return is_pack(v) ? nd_pack_count(v->ptr) / 2 : nd_table_count(nd_hash_table_of(v));
}

size_t nd_hash_memory(const struct nd_value *v, size_t samples)
{
    if (is_pack(v))
        return malloc_usable_size(v->ptr);
    struct nd_table *t = nd_hash_table_of(v);
    size_t seen = 0, bytes = 0, all = nd_table_count(t);
    struct nd_table_iter it;
    nd_table_iterate(t, &it);
    for (void *e; (samples == 0 || seen < samples) && (e = nd_table_next(&it)) != NULL; seen++)
        bytes += malloc_usable_size(e);
    nd_table_stop(&it);
    if (seen > 0 && seen < all)
        bytes = (size_t)((double)bytes / (double)seen * (double)all);
    return malloc_usable_size(v->ptr) + nd_table_memory(t) + bytes;
}

size_t nd_hash_effort(const struct nd_value *v)
{
    return is_pack(v) ? 1 : nd_table_count(nd_hash_table_of(v));
}

void nd_hash_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner)
{
    if (is_pack(v)) {
        char tmp[2][ND_PACK_INT_TEXT];
        for (nd_pack_at at = nd_pack_first(v->ptr); at != NULL;) {
            nd_pack_at value = nd_pack_next(v->ptr, at);
            if (!fn(owner, nd_pack_get(at, tmp[0]), nd_pack_get(value, tmp[1]), 0))
                return;
            at = nd_pack_next(v->ptr, value);
        }
        return;
    }
    struct nd_table_iter it;
    nd_table_iterate(nd_hash_table_of(v), &it);
    for (struct field *f; (f = nd_table_next(&it)) != NULL;)
        if (!fn(owner, field_key(f), field_value(f), 0))
            break;
    nd_table_stop(&it);
}
