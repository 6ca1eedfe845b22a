#include "noded/store/set.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/store/bucket.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- members of a table: a length of one byte, or 255 and the length in eight, then the bytes ---- */

#define LONG_LENGTH 255

static struct slice member_key(const void *element)
{
    const unsigned char *p = element;
    size_t n = p[0];
    if (n < LONG_LENGTH)
        return (struct slice){(const char *)p + 1, n};
    memcpy(&n, p + 1, sizeof n);
    return (struct slice){(const char *)p + 1 + sizeof n, n};
}

static void *member_new(struct slice s)
{
    unsigned char *p;
    if (s.n < LONG_LENGTH) {
        p = mem_alloc(1 + s.n);
        p[0] = (unsigned char)s.n;
        if (s.n > 0)
            memcpy(p + 1, s.p, s.n);
        return p;
    }
    p = mem_alloc(1 + sizeof s.n + s.n);
    p[0] = LONG_LENGTH;
    memcpy(p + 1, &s.n, sizeof s.n);
    memcpy(p + 1 + sizeof s.n, s.p, s.n);
    return p;
}

static const struct nd_table_kind member_kind = {.key = member_key, .free = free};

static struct nd_table *table_of(const struct nd_value *v)
{
    return &((struct nd_set_table *)v->ptr)->t;
}

static struct slice number_text(int64_t n, char text[ND_MEMBER_TEXT])
{
    return (struct slice){text, (size_t)snprintf(text, ND_MEMBER_TEXT, "%lld", (long long)n)};
}

/* ---- making and changing ---- */

static struct nd_value new_table(const uint64_t seed[2], size_t reserve)
{
    struct nd_set_table *s = mem_alloc(sizeof *s);
    nd_table_init(&s->t, &member_kind, seed);
    if (reserve > 0)
        nd_table_reserve(&s->t, reserve);
    return (struct nd_value){.type = ND_SET, .enc = ND_ENC_HASHTABLE, .ptr = s};
}

struct nd_value nd_set_new_intset(void)
{
    return (struct nd_value){.type = ND_SET, .enc = ND_ENC_INTSET, .ptr = nd_intset_new()};
}

struct nd_value nd_set_new(struct slice first, const struct nd_limits *limits)
{
    int64_t number;
    return text_i64(first, &number) ? nd_set_new_intset() : new_table(limits->seed, 0);
}

/* A limit beyond this would let an intset become so large that moving its numbers costs too much. */
#define INTSET_ENTRIES_MAX (1 << 30)

static bool beyond(const struct nd_intset *numbers, const struct nd_limits *limits)
{
    int64_t max = limits->set_max_intset_entries;
    return nd_intset_count(numbers) > (uint64_t)(max < INTSET_ENTRIES_MAX ? max : INTSET_ENTRIES_MAX);
}

struct nd_value nd_set_from_intset(struct nd_intset *numbers, const struct nd_limits *limits)
{
    struct nd_value v = {.type = ND_SET, .enc = ND_ENC_INTSET, .ptr = numbers};
    if (beyond(numbers, limits))
        nd_set_to_table(&v, limits->seed, 0);
    return v;
}

void nd_set_to_table(struct nd_value *v, const uint64_t seed[2], size_t reserve)
{
    if (v->enc == ND_ENC_HASHTABLE)
        return;
    struct nd_intset *numbers = v->ptr;
    size_t count = nd_intset_count(numbers);
    struct nd_value made = new_table(seed, reserve > count ? reserve : count);
    char text[ND_MEMBER_TEXT];
    for (size_t i = 0; i < count; i++)
        nd_table_add(table_of(&made), member_new(number_text(nd_intset_get(numbers, i), text)));
    free(numbers);
    v->enc = ND_ENC_HASHTABLE;
    v->ptr = made.ptr;
}

bool nd_set_add(struct nd_value *v, struct slice member, const struct nd_limits *limits)
{
    if (v->enc == ND_ENC_INTSET) {
        int64_t number;
        if (text_i64(member, &number)) {
            bool added;
            v->ptr = nd_intset_add(v->ptr, number, &added);
            if (added && beyond(v->ptr, limits))
                nd_set_to_table(v, limits->seed, 0);
            return added;
        }
        nd_set_to_table(v, limits->seed, nd_intset_count(v->ptr) + 1);
    }
    struct nd_table *t = table_of(v);
    uint64_t hash = nd_table_hash(t, member);
    if (nd_table_slot(t, hash, member, member_key) != NULL)
        return false;
    nd_table_add_hashed(t, hash, member_new(member));
    return true;
}

bool nd_set_remove(struct nd_value *v, struct slice member)
{
    if (v->enc == ND_ENC_INTSET) {
        int64_t number;
        bool removed = false;
        if (text_i64(member, &number))
            v->ptr = nd_intset_remove(v->ptr, number, &removed);
        return removed;
    }
    void *element = nd_table_take(table_of(v), member);
    if (element == NULL)
        return false;
    free(element);
    return true;
}

/* ---- looking ---- */

bool nd_set_has(const struct nd_value *v, struct slice member)
{
    if (v->enc == ND_ENC_INTSET) {
        int64_t number;
        return text_i64(member, &number) && nd_intset_has(v->ptr, number);
    }
    struct nd_table *t = table_of(v);
    return nd_table_slot(t, nd_table_hash(t, member), member, member_key) != NULL;
}

struct slice nd_set_random(const struct nd_value *v, struct rng *rng, char text[ND_MEMBER_TEXT])
{
    if (v->enc == ND_ENC_HASHTABLE)
        return member_key(nd_table_random(table_of(v), rng));
    size_t index = (size_t)rng_below(rng, nd_intset_count(v->ptr));
    return number_text(nd_intset_get(v->ptr, index), text);
}

void nd_set_iterate(const struct nd_value *v, struct nd_set_iter *it)
{
    it->v = v;
    it->index = 0;
    if (v->enc == ND_ENC_HASHTABLE)
        nd_table_iterate(table_of(v), &it->at);
}

bool nd_set_next(struct nd_set_iter *it, struct slice *member)
{
    if (it->v->enc == ND_ENC_HASHTABLE) {
        void *element = nd_table_next(&it->at);
        if (element == NULL)
            return false;
        *member = member_key(element);
        return true;
    }
    if (it->index >= nd_intset_count(it->v->ptr))
        return false;
    *member = number_text(nd_intset_get(it->v->ptr, it->index++), it->text);
    return true;
}

void nd_set_stop(struct nd_set_iter *it)
{
    if (it->v->enc == ND_ENC_HASHTABLE)
        nd_table_stop(&it->at);
}

struct scanning {
    nd_set_scan_fn *fn;
    void *owner;
};

static void scanned(void *owner, void *element)
{
    struct scanning *s = owner;
    s->fn(s->owner, member_key(element));
}

uint64_t nd_set_scan(const struct nd_value *v, uint64_t cursor, nd_set_scan_fn *fn, void *owner)
{
    if (v->enc == ND_ENC_HASHTABLE)
        return nd_table_scan(table_of(v), cursor, scanned, &(struct scanning){fn, owner});
    char text[ND_MEMBER_TEXT];
    for (size_t i = 0, n = nd_intset_count(v->ptr); i < n; i++)
        fn(owner, number_text(nd_intset_get(v->ptr, i), text));
    return 0;
}

/* ---- what every type can do ---- */

void nd_set_free(struct nd_value *v)
{
    if (v->enc == ND_ENC_HASHTABLE)
        nd_table_clear(table_of(v));
    free(v->ptr);
    v->ptr = NULL;
}

struct nd_value nd_set_dup(const struct nd_value *v)
{
    if (v->enc == ND_ENC_INTSET)
        return (struct nd_value){.type = ND_SET, .enc = ND_ENC_INTSET, .ptr = nd_intset_dup(v->ptr)};
    struct nd_table *from = table_of(v);
    struct nd_value copy = new_table(from->seed, nd_table_count(from));
    struct nd_table_iter it;
    nd_table_iterate(from, &it);
    for (void *element; (element = nd_table_next(&it)) != NULL;)
        nd_table_add(table_of(&copy), member_new(member_key(element)));
    return copy;
}

size_t nd_set_length(const struct nd_value *v)
{
    return v->enc == ND_ENC_INTSET ? nd_intset_count(v->ptr) : nd_table_count(table_of(v));
}

size_t nd_set_memory(const struct nd_value *v, size_t samples)
{
    size_t bytes = malloc_usable_size(v->ptr);
    if (v->enc == ND_ENC_INTSET)
        return bytes;
    struct nd_table *t = table_of(v);
    struct nd_table_iter it;
    size_t looked = 0, sum = 0;
    void *element = NULL;
    nd_table_iterate(t, &it);
    while ((samples == 0 || looked < samples) && (element = nd_table_next(&it)) != NULL) {
        sum += malloc_usable_size(element);
        looked++;
    }
    if (samples != 0 && looked == samples)
        nd_table_stop(&it);
    bytes += nd_table_memory(t);
    return looked > 0 ? bytes + (size_t)((double)sum / (double)looked * (double)nd_table_count(t)) : bytes;
}

size_t nd_set_effort(const struct nd_value *v)
{
    return v->enc == ND_ENC_INTSET ? 1 : nd_table_count(table_of(v));
}

void nd_set_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner)
{
    struct nd_set_iter it;
    struct slice member;
    nd_set_iterate(v, &it);
    while (nd_set_next(&it, &member)) {
        if (!fn(owner, member, (struct slice){0}, 0)) {
            nd_set_stop(&it);
            return;
        }
    }
}
