#include "noded/store/zset.h"

#include "noded/store/zset_make.h"
#include "noded/store/zset_pack.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the large encoding ---- */

static struct nd_zmember *find(const struct nd_value *v, struct slice member)
{
    struct nd_table *t = &((struct nd_zset *)v->ptr)->table;
    void **slot = nd_table_slot(t, nd_table_hash(t, member), member, zmember_key);
    return slot != NULL ? *slot : NULL;
}

static void remove_member(struct nd_zset *z, struct nd_zmember *m)
{
    nd_table_take(&z->table, nd_zmember_slice(m));
    nd_ztree_remove(&z->tree, m);
    free(m);
}

/* ---- changing ---- */

/* What the flags make of a member that is there: the score it gets is *score. */
static enum nd_zput decide(double has, double *score, unsigned flags)
{
    if (flags & ND_Z_NX)
        return ND_ZPUT_HELD;
    double wanted = flags & ND_Z_INCR ? has + *score : *score;
    if (isnan(wanted))
        return ND_ZPUT_NAN;
    if (((flags & ND_Z_GT) && wanted <= has) || ((flags & ND_Z_LT) && wanted >= has))
        return ND_ZPUT_HELD;
    *score = wanted;
    return wanted == has ? ND_ZPUT_SAME : ND_ZPUT_CHANGED;
}

static enum nd_zput put_in_tree(struct nd_value *v, struct slice member, double *score, unsigned flags)
{
    struct nd_zset *z = v->ptr;
    uint64_t hash = nd_table_hash(&z->table, member);
    void **slot = nd_table_slot(&z->table, hash, member, zmember_key);
    if (slot == NULL) {
        if (flags & ND_Z_XX)
            return ND_ZPUT_HELD;
        zset_add(z, hash, member, *score);
        return ND_ZPUT_ADDED;
    }
    struct nd_zmember *m = *slot;
    enum nd_zput done = decide(m->score, score, flags);
    if (done == ND_ZPUT_CHANGED)
        nd_ztree_move(&z->tree, m, *score);
    return done;
}

enum nd_zput nd_zset_put(struct nd_value *v, struct slice member, double *score, unsigned flags,
                         const struct nd_limits *limits)
{
    if (isnan(*score))
        return ND_ZPUT_NAN;
    if (v->enc == ND_ENC_SKIPLIST)
        return put_in_tree(v, member, score, flags);
    struct nd_pack *pack = v->ptr;
    nd_pack_at at = zpack_find(pack, member);
    if (at != NULL) {
        enum nd_zput done = decide(zpack_score(nd_pack_next(pack, at)), score, flags);
        if (done == ND_ZPUT_CHANGED)
            v->ptr = zpack_change(pack, at, member, *score);
        return done;
    }
    if (flags & ND_Z_XX)
        return ND_ZPUT_HELD;
    if (!zset_pack_takes(pack, member, limits)) {
        zset_to_tree(v, limits->seed);
        return put_in_tree(v, member, score, flags);
    }
    v->ptr = zpack_insert(pack, member, *score);
    return ND_ZPUT_ADDED;
}

bool nd_zset_remove(struct nd_value *v, struct slice member)
{
    if (v->enc == ND_ENC_SKIPLIST) {
        struct nd_zmember *m = find(v, member);
        if (m != NULL)
            remove_member(v->ptr, m);
        return m != NULL;
    }
    nd_pack_at at = zpack_find(v->ptr, member);
    if (at == NULL)
        return false;
    v->ptr = nd_pack_remove(v->ptr, &at, 2);
    return true;
}

void nd_zset_remove_range(struct nd_value *v, size_t from, size_t to)
{
    if (v->enc == ND_ENC_LISTPACK) {
        v->ptr = zpack_remove_range(v->ptr, from, to);
        return;
    }
    struct nd_zset *z = v->ptr;
    if (from == 0 && to == z->tree.count) {
        nd_ztree_free(&z->tree);
        nd_table_clear(&z->table);
        return;
    }
    for (; from < to; to--)
        remove_member(z, nd_ztree_get(nd_ztree_index(&z->tree, from)));
}

/* ---- looking ---- */

bool nd_zset_score(const struct nd_value *v, struct slice member, double *score)
{
    if (v->enc == ND_ENC_SKIPLIST) {
        const struct nd_zmember *m = find(v, member);
        if (m != NULL)
            *score = m->score;
        return m != NULL;
    }
    nd_pack_at at = zpack_find(v->ptr, member);
    if (at != NULL)
        *score = zpack_score(nd_pack_next(v->ptr, at));
    return at != NULL;
}

bool nd_zset_rank(const struct nd_value *v, struct slice member, size_t *rank, double *score)
{
    if (v->enc == ND_ENC_SKIPLIST) {
        const struct nd_zmember *m = find(v, member);
        if (m == NULL)
            return false;
        *score = m->score;
        *rank = nd_ztree_rank(&((struct nd_zset *)v->ptr)->tree, m->score, member);
        return true;
    }
    nd_pack_at at = zpack_find(v->ptr, member);
    if (at == NULL)
        return false;
    *score = zpack_score(nd_pack_next(v->ptr, at));
    *rank = zpack_rank(v->ptr, at);
    return true;
}

void nd_zset_find_scores(const struct nd_value *v, const struct nd_zrange *range, size_t *from, size_t *to)
{
    if (v->enc == ND_ENC_LISTPACK) {
        zpack_find_scores(v->ptr, range, from, to);
        return;
    }
    const struct nd_ztree *t = &((struct nd_zset *)v->ptr)->tree;
    *from = nd_ztree_below_score(t, range->min, range->min_open);
    *to = nd_ztree_below_score(t, range->max, !range->max_open);
    if (*to < *from)
        *to = *from;
}

void nd_zset_find_lex(const struct nd_value *v, const struct nd_zlex *range, bool backwards, size_t *from, size_t *to)
{
    if (v->enc == ND_ENC_LISTPACK) {
        zpack_find_lex(v->ptr, range, backwards, from, to);
        return;
    }
    const struct nd_ztree *t = &((struct nd_zset *)v->ptr)->tree;
    const struct nd_zlex_end *min = &range->min, *max = &range->max;
    *from = min->side < 0 ? 0 : min->side > 0 ? t->count : nd_ztree_below_member(t, min->member, min->open);
    *to = max->side > 0 ? t->count : max->side < 0 ? 0 : nd_ztree_below_member(t, max->member, !max->open);
    if (*to < *from)
        *to = *from;
}

void nd_zset_iterate(const struct nd_value *v, size_t rank, bool backwards, struct nd_zset_iter *it)
{
    it->backwards = backwards;
    it->pack = NULL;
    it->at = (struct nd_ztree_at){0};
    if (v->enc == ND_ENC_LISTPACK) {
        it->pack = v->ptr;
        it->element = nd_pack_index(it->pack, (int64_t)rank * 2);
    } else {
        it->at = nd_ztree_index(&((struct nd_zset *)v->ptr)->tree, rank);
    }
}

static bool next_in_pack(struct nd_zset_iter *it, struct slice *member, double *score)
{
    nd_pack_at at = it->element;
    if (at == NULL)
        return false;
    nd_pack_at its_score = nd_pack_next(it->pack, at);
    if (score != NULL)
        *score = zpack_score(its_score);
    *member = nd_pack_get(at, it->text);
    if (it->backwards) {
        nd_pack_at before = nd_pack_prev(it->pack, at);
        it->element = before != NULL ? nd_pack_prev(it->pack, before) : NULL;
    } else {
        it->element = nd_pack_next(it->pack, its_score);
    }
    return true;
}

bool nd_zset_next(struct nd_zset_iter *it, struct slice *member, double *score)
{
    if (it->pack != NULL)
        return next_in_pack(it, member, score);
    const struct nd_zmember *m = nd_ztree_get(it->at);
    if (m == NULL)
        return false;
    *member = nd_zmember_slice(m);
    if (score != NULL)
        *score = m->score;
    if (it->backwards)
        nd_ztree_prev(&it->at);
    else
        nd_ztree_next(&it->at);
    return true;
}

struct scanning {
    nd_zset_scan_fn *fn;
    void *owner;
};

static void scanned(void *owner, void *element)
{
    struct scanning *s = owner;
    const struct nd_zmember *m = element;
    s->fn(s->owner, nd_zmember_slice(m), m->score);
}

uint64_t nd_zset_scan(const struct nd_value *v, uint64_t cursor, nd_zset_scan_fn *fn, void *owner)
{
    if (v->enc == ND_ENC_SKIPLIST)
        return nd_table_scan(&((struct nd_zset *)v->ptr)->table, cursor, scanned, &(struct scanning){fn, owner});
    struct nd_zset_iter it;
    struct slice member;
    double score;
    nd_zset_iterate(v, 0, false, &it);
    while (nd_zset_next(&it, &member, &score))
        fn(owner, member, score);
    return 0;
}

/* ---- what every type can do ---- */

void nd_zset_free(struct nd_value *v)
{
    if (v->enc == ND_ENC_SKIPLIST) {
        struct nd_zset *z = v->ptr;
        nd_ztree_free(&z->tree);
        nd_table_clear(&z->table);
    }
    free(v->ptr);
    v->ptr = NULL;
}

struct nd_value nd_zset_dup(const struct nd_value *v)
{
    if (v->enc == ND_ENC_LISTPACK)
        return (struct nd_value){.type = ND_ZSET, .enc = ND_ENC_LISTPACK, .ptr = nd_pack_dup(v->ptr)};
    const struct nd_table *table = &((struct nd_zset *)v->ptr)->table;
    struct nd_value copy = nd_zset_new_tree(table->seed, nd_table_count(table));
    struct nd_zset *z = copy.ptr;
    struct nd_zset_iter it;
    struct slice member;
    double score;
    nd_zset_iterate(v, 0, false, &it);
    while (nd_zset_next(&it, &member, &score))
        zset_add(z, nd_table_hash(&z->table, member), member, score);
    return copy;
}

size_t nd_zset_length(const struct nd_value *v)
{
    return v->enc == ND_ENC_LISTPACK ? nd_pack_count(v->ptr) / 2 : ((struct nd_zset *)v->ptr)->tree.count;
}

size_t nd_zset_memory(const struct nd_value *v, size_t samples)
{
    size_t bytes = malloc_usable_size(v->ptr);
    if (v->enc == ND_ENC_LISTPACK)
        return bytes;
    const struct nd_zset *z = v->ptr;
    struct nd_ztree_at at = nd_ztree_index(&z->tree, 0);
    size_t looked = 0, sum = 0;
    for (struct nd_zmember *m; (m = nd_ztree_get(at)) != NULL && (samples == 0 || looked < samples); looked++) {
        sum += malloc_usable_size(m);
        nd_ztree_next(&at);
    }
    bytes += nd_table_memory(&z->table) + nd_ztree_memory(&z->tree);
    return looked > 0 ? bytes + (size_t)((double)sum / (double)looked * (double)z->tree.count) : bytes;
}

size_t nd_zset_effort(const struct nd_value *v)
{
    return v->enc == ND_ENC_LISTPACK ? 1 : ((struct nd_zset *)v->ptr)->tree.count;
}

void nd_zset_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner)
{
    struct nd_zset_iter it;
    struct slice member;
    double score;
    nd_zset_iterate(v, 0, false, &it);
    while (nd_zset_next(&it, &member, &score))
        if (!fn(owner, member, (struct slice){0}, score))
            return;
}
