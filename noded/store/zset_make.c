#include "noded/store/zset_make.h"

#include "common/base/mem.h"
#include "noded/store/zset_pack.h"

#include <stdlib.h>
#include <string.h>

static const struct nd_table_kind member_kind = {.key = zmember_key, .free = free};

struct nd_zmember *nd_zmember_new(struct slice member, double score)
{
    struct nd_zmember *m = mem_alloc(sizeof *m + member.n);
    m->score = score;
    m->n = (uint32_t)member.n;
    if (member.n > 0)
        memcpy(m->p, member.p, member.n);
    return m;
}

static int by_place(const void *a, const void *b)
{
    const struct nd_zmember *x = *(struct nd_zmember *const *)a, *y = *(struct nd_zmember *const *)b;
    return nd_zmember_compare(x->score, nd_zmember_slice(x), y->score, nd_zmember_slice(y));
}

void nd_zmember_sort(struct nd_zmember **members, size_t n)
{
    if (n > 1)
        qsort(members, n, sizeof *members, by_place);
}

/* ---- the large encoding ---- */

struct nd_value nd_zset_new_tree(const uint64_t seed[2], size_t reserve)
{
    struct nd_zset *z = mem_alloc(sizeof *z);
    nd_table_init(&z->table, &member_kind, seed);
    if (reserve > 0)
        nd_table_reserve(&z->table, reserve);
    z->tree = (struct nd_ztree){0};
    return (struct nd_value){.type = ND_ZSET, .enc = ND_ENC_SKIPLIST, .ptr = z};
}

void zset_add(struct nd_zset *z, uint64_t hash, struct slice member, double score)
{
    struct nd_zmember *m = nd_zmember_new(member, score);
    nd_table_add_hashed(&z->table, hash, m);
    nd_ztree_insert(&z->tree, m);
}

static void add_slice(struct nd_zset *z, struct slice member, double score)
{
    zset_add(z, nd_table_hash(&z->table, member), member, score);
}

void zset_to_tree(struct nd_value *v, const uint64_t seed[2])
{
    struct nd_pack *pack = v->ptr;
    struct nd_value made = nd_zset_new_tree(seed, nd_pack_count(pack) / 2 + 1);
    char tmp[ND_PACK_INT_TEXT];
    for (nd_pack_at at = nd_pack_first(pack), score; at != NULL; at = nd_pack_next(pack, score)) {
        score = nd_pack_next(pack, at);
        add_slice(made.ptr, nd_pack_get(at, tmp), zpack_score(score));
    }
    free(pack);
    v->enc = ND_ENC_SKIPLIST;
    v->ptr = made.ptr;
}

/* ---- which encoding ---- */

static bool fits_listpack(size_t count, size_t longest, const struct nd_limits *limits)
{
    return count <= (uint64_t)limits->zset_max_listpack_entries && longest <= (uint64_t)limits->zset_max_listpack_value;
}

bool zset_pack_takes(const struct nd_pack *pack, struct slice member, const struct nd_limits *limits)
{
    return fits_listpack(nd_pack_count(pack) / 2 + 1, member.n, limits) &&
           nd_pack_room(pack, member.n + ND_DOUBLE_TEXT);
}

struct nd_value nd_zset_new(struct slice first, const struct nd_limits *limits)
{
    if (!fits_listpack(1, first.n, limits))
        return nd_zset_new_tree(limits->seed, 0);
    return (struct nd_value){.type = ND_ZSET, .enc = ND_ENC_LISTPACK, .ptr = nd_pack_new(0)};
}

static size_t longest_member(const struct nd_value *v)
{
    struct nd_zset_iter it;
    struct slice member;
    size_t longest = 0;
    nd_zset_iterate(v, 0, false, &it);
    while (nd_zset_next(&it, &member, NULL))
        longest = member.n > longest ? member.n : longest;
    return longest;
}

void nd_zset_settle(struct nd_value *v, const struct nd_limits *limits)
{
    size_t n = nd_zset_length(v);
    /* The count alone first: the members of a large set are not to be walked over for nothing. */
    if (v->enc == ND_ENC_LISTPACK || !fits_listpack(n, 0, limits) || !fits_listpack(n, longest_member(v), limits))
        return;
    struct nd_pack *pack = nd_pack_new(0);
    struct nd_zset_iter it;
    struct slice member;
    double score;
    nd_zset_iterate(v, 0, false, &it);
    while (nd_zset_next(&it, &member, &score)) {
        if (!nd_pack_room(pack, member.n + ND_DOUBLE_TEXT)) {
            free(pack);
            return;
        }
        pack = zpack_append(pack, member, score);
    }
    nd_zset_free(v);
    v->enc = ND_ENC_LISTPACK;
    v->ptr = nd_pack_shrink(pack);
}

/* ---- out of many ---- */

void nd_zset_append(struct nd_value *v, struct slice member, double score, const struct nd_limits *limits)
{
    if (v->enc == ND_ENC_LISTPACK) {
        if (zset_pack_takes(v->ptr, member, limits)) {
            v->ptr = zpack_append(v->ptr, member, score);
            return;
        }
        zset_to_tree(v, limits->seed);
    }
    add_slice(v->ptr, member, score);
}

struct nd_value nd_zset_from_members(struct nd_zmember **members, size_t n, const struct nd_limits *limits)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = members[i]->n > longest ? members[i]->n : longest;
    nd_zmember_sort(members, n);
    if (fits_listpack(n, longest, limits)) {
        struct nd_value v = nd_zset_new((struct slice){0}, limits);
        for (size_t i = 0; i < n; i++) {
            nd_zset_append(&v, nd_zmember_slice(members[i]), members[i]->score, limits);
            free(members[i]);
        }
        return v;
    }
    struct nd_value v = nd_zset_new_tree(limits->seed, n);
    struct nd_zset *z = v.ptr;
    for (size_t i = 0; i < n; i++) {
        nd_table_add(&z->table, members[i]);
        nd_ztree_insert(&z->tree, members[i]);
    }
    return v;
}

static bool has_twice(const struct nd_value *packed, const struct nd_limits *limits)
{
    const struct nd_pack *pack = packed->ptr;
    struct nd_value seen = nd_zset_new_tree(limits->seed, nd_pack_count(pack) / 2);
    struct nd_table *t = &((struct nd_zset *)seen.ptr)->table;
    bool twice = false;
    char tmp[ND_PACK_INT_TEXT];
    for (nd_pack_at at = nd_pack_first(pack); !twice && at != NULL; at = nd_pack_next(pack, nd_pack_next(pack, at))) {
        struct slice member = nd_pack_get(at, tmp);
        uint64_t hash = nd_table_hash(t, member);
        twice = nd_table_slot(t, hash, member, zmember_key) != NULL;
        if (!twice)
            nd_table_add_hashed(t, hash, nd_zmember_new(member, 0));
    }
    nd_zset_free(&seen);
    return twice;
}

bool nd_zset_from_pack(struct nd_pack *pack, const struct nd_limits *limits, struct nd_value *out)
{
    struct nd_value v = {.type = ND_ZSET, .enc = ND_ENC_LISTPACK, .ptr = pack};
    if (!zpack_is_sorted(pack) || has_twice(&v, limits)) {
        free(pack);
        return false;
    }
    if (!fits_listpack(nd_zset_length(&v), longest_member(&v), limits))
        zset_to_tree(&v, limits->seed);
    *out = v;
    return true;
}
