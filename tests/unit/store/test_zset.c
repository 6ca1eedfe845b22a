#include "noded/store/zset.h"

#include "common/base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the tree ---- */

static struct nd_zmember *member(const char *name, double score)
{
    size_t n = strlen(name);
    struct nd_zmember *m = mem_alloc(sizeof *m + n);
    m->score = score;
    m->n = (uint32_t)n;
    memcpy(m->p, name, n);
    return m;
}

static int by_order(const void *a, const void *b)
{
    const struct nd_zmember *x = *(struct nd_zmember *const *)a, *y = *(struct nd_zmember *const *)b;
    return nd_zmember_compare(x->score, nd_zmember_slice(x), y->score, nd_zmember_slice(y));
}

enum shape { RISING, FALLING, EQUAL, FEW, ANY, SHAPES };

static double draw_score(struct rng *rng, enum shape shape, unsigned step)
{
    switch (shape) {
    case RISING: return step;
    case FALLING: return -(double)step;
    case EQUAL: return 0;
    case FEW: return (double)rng_below(rng, 5);
    default: return (double)(int64_t)rng_u64(rng) / 1e15;
    }
}

/* The tree holds what the sorted array holds: every rank, both ways, and the edges of scores. */
static void compare_tree(const struct nd_ztree *t, struct nd_zmember **model, size_t n, struct rng *rng)
{
    assert_true(nd_ztree_check(t));
    assert_int_equal(t->count, n);
    qsort(model, n, sizeof *model, by_order);
    struct nd_ztree_at at = nd_ztree_index(t, 0);
    for (size_t i = 0; i < n; i++, nd_ztree_next(&at))
        assert_ptr_equal(nd_ztree_get(at), model[i]);
    assert_null(nd_ztree_get(at));
    if (n == 0)
        return;
    at = nd_ztree_index(t, n - 1);
    for (size_t i = n; i-- > 0; nd_ztree_prev(&at))
        assert_ptr_equal(nd_ztree_get(at), model[i]);
    assert_null(nd_ztree_get(at));
    for (int i = 0; i < 20; i++) {
        size_t rank = rng_below(rng, n), below = 0, up_to = 0;
        double score = model[rank]->score;
        assert_int_equal(nd_ztree_rank(t, score, nd_zmember_slice(model[rank])), rank);
        assert_ptr_equal(nd_ztree_get(nd_ztree_index(t, rank)), model[rank]);
        while (below < n && model[below]->score < score)
            below++;
        for (up_to = below; up_to < n && model[up_to]->score == score;)
            up_to++;
        assert_int_equal(nd_ztree_below_score(t, score, false), below);
        assert_int_equal(nd_ztree_below_score(t, score, true), up_to);
    }
}

static void grow_and_shrink(enum shape shape, size_t most, struct rng *rng)
{
    struct nd_ztree t = {0};
    struct nd_zmember **model = mem_array(NULL, most, sizeof *model);
    size_t n = 0;
    unsigned step = 0;
    for (int wave = 0; wave < 4; wave++) {
        size_t goal = wave % 2 == 0 ? most : rng_below(rng, most / 4);
        while (n != goal) {
            bool add = n == 0 || (n < most && rng_below(rng, 10) < (n < goal ? 7 : 3));
            if (add) {
                char name[32];
                snprintf(name, sizeof name, "%u", ++step);
                model[n] = member(name, draw_score(rng, shape, step));
                nd_ztree_insert(&t, model[n++]);
            } else {
                size_t i = shape == FALLING || shape == RISING ? n - 1 : rng_below(rng, n);
                nd_ztree_remove(&t, model[i]);
                free(model[i]);
                model[i] = model[--n];
            }
            if (n > 0 && rng_below(rng, 4) == 0) {
                struct nd_zmember *m = model[rng_below(rng, n)];
                nd_ztree_move(&t, m, rng_below(rng, 2) == 0 ? draw_score(rng, shape, step) : m->score + 0.25);
            }
            if (rng_below(rng, most / 4) == 0)
                compare_tree(&t, model, n, rng);
        }
        compare_tree(&t, model, n, rng);
    }
    assert_true(nd_ztree_memory(&t) >= t.count * sizeof(double));
    while (n > 0) {
        nd_ztree_remove(&t, model[--n]);
        free(model[n]);
        if (n % 64 == 0)
            assert_true(nd_ztree_check(&t));
    }
    assert_null(t.root);
    nd_ztree_free(&t);
    free(model);
}

static void the_tree_is_the_sorted_array(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 11);
    static const size_t sizes[] = {70, 1000, 4000};
    for (enum shape shape = 0; shape < SHAPES; shape++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            grow_and_shrink(shape, sizes[i], &rng);
}

static void members_in_order_fill_the_leaves(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct nd_ztree t = {0};
        for (int i = 0; i < 62 * 100; i++)
            nd_ztree_insert(&t, member("m", sign * i));
        assert_true(nd_ztree_check(&t));
        assert_in_range(nd_ztree_memory(&t), 100 * 1000, 115 * 1024);
        while (t.count > 0) {
            struct nd_zmember *m = nd_ztree_get(nd_ztree_index(&t, t.count / 2));
            nd_ztree_remove(&t, m);
            free(m);
            assert_true(nd_ztree_check(&t));
        }
    }
}

/* ---- the sorted set ---- */

#define NAMES 300
struct row {
    char name[80];
    size_t n;
    double score;
    bool in;
};
struct model {
    struct row rows[NAMES];
    struct row *sorted[NAMES];
    size_t n;
};

static struct slice name_of(const struct row *r)
{
    return (struct slice){r->name, r->n};
}

static int by_row(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    return nd_zmember_compare(x->score, name_of(x), y->score, name_of(y));
}

static void sort_model(struct model *m)
{
    m->n = 0;
    for (size_t i = 0; i < NAMES; i++)
        if (m->rows[i].in)
            m->sorted[m->n++] = &m->rows[i];
    qsort(m->sorted, m->n, sizeof m->sorted[0], by_row);
}

static void compare_set(const struct nd_value *v, struct model *m)
{
    sort_model(m);
    assert_int_equal(nd_zset_length(v), m->n);
    struct nd_zset_iter it;
    struct slice name;
    double score;
    nd_zset_iterate(v, 0, false, &it);
    for (size_t i = 0; i < m->n; i++) {
        assert_true(nd_zset_next(&it, &name, &score));
        assert_true(slice_eq(name, name_of(m->sorted[i])));
        assert_true(score == m->sorted[i]->score);
    }
    assert_false(nd_zset_next(&it, &name, &score));
    if (m->n == 0)
        return;
    nd_zset_iterate(v, m->n - 1, true, &it);
    for (size_t i = m->n; i-- > 0;) {
        assert_true(nd_zset_next(&it, &name, NULL));
        assert_true(slice_eq(name, name_of(m->sorted[i])));
    }
    assert_false(nd_zset_next(&it, &name, NULL));
    if (v->enc == ND_ENC_SKIPLIST)
        assert_true(nd_ztree_check(&((struct nd_zset *)v->ptr)->tree));
}

static void put_random(struct nd_value *v, struct model *m, const struct nd_limits *limits, struct rng *rng)
{
    static const double scores[] = {0, 1, -1, 0.1, 2.5, 1e20, -1e300, (double)INFINITY, -(double)INFINITY, 1e17};
    struct row *r = &m->rows[rng_below(rng, NAMES)];
    unsigned flags = (unsigned)rng_below(rng, 32);
    double given = rng_below(rng, 2) == 0 ? scores[rng_below(rng, 10)] : (double)rng_range(rng, -100, 100) / 4;
    double score = given, wanted = r->in && (flags & ND_Z_INCR) ? r->score + given : given;
    enum nd_zput expected;
    if (!r->in)
        expected = flags & ND_Z_XX ? ND_ZPUT_HELD : ND_ZPUT_ADDED;
    else if (flags & ND_Z_NX)
        expected = ND_ZPUT_HELD;
    else if (isnan(wanted))
        expected = ND_ZPUT_NAN;
    else if (((flags & ND_Z_GT) && wanted <= r->score) || ((flags & ND_Z_LT) && wanted >= r->score))
        expected = ND_ZPUT_HELD;
    else
        expected = wanted == r->score ? ND_ZPUT_SAME : ND_ZPUT_CHANGED;
    assert_int_equal(nd_zset_put(v, name_of(r), &score, flags, limits), expected);
    if (expected == ND_ZPUT_ADDED || expected == ND_ZPUT_CHANGED || expected == ND_ZPUT_SAME) {
        assert_true(score == wanted);
        r->in = true;
        r->score = wanted;
    }
}

static void look_at_random(const struct nd_value *v, struct model *m, struct rng *rng)
{
    struct row *r = &m->rows[rng_below(rng, NAMES)];
    double score = 77;
    size_t rank;
    assert_int_equal(nd_zset_score(v, name_of(r), &score), r->in);
    assert_true(score == (r->in ? r->score : 77));
    assert_int_equal(nd_zset_rank(v, name_of(r), &rank, &score), r->in);
    sort_model(m);
    if (r->in)
        assert_ptr_equal(m->sorted[rank], r);
    struct nd_zrange range = {.min = (double)rng_range(rng, -30, 30),
                              .max = (double)rng_range(rng, -30, 30),
                              .min_open = rng_below(rng, 2),
                              .max_open = rng_below(rng, 2)};
    size_t from, to, first = 0, count = 0;
    nd_zset_find_scores(v, &range, &from, &to);
    for (size_t i = 0; i < m->n; i++) {
        double s = m->sorted[i]->score;
        first += range.min_open ? s <= range.min : s < range.min;
        count += (range.min_open ? s > range.min : s >= range.min) && (range.max_open ? s < range.max : s <= range.max);
    }
    assert_int_equal(to - from, count);
    assert_true(count == 0 || from == first);
}

static void remove_random(struct nd_value *v, struct model *m, struct rng *rng)
{
    if (rng_below(rng, 20) > 0) {
        struct row *r = &m->rows[rng_below(rng, NAMES)];
        assert_int_equal(nd_zset_remove(v, name_of(r)), r->in);
        r->in = false;
        return;
    }
    sort_model(m);
    size_t to = rng_below(rng, m->n + 1), from = rng_below(rng, to + 1);
    nd_zset_remove_range(v, from, to);
    for (size_t i = from; i < to; i++)
        m->sorted[i]->in = false;
}

static void name_rows(struct model *m, size_t longest)
{
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < NAMES; i++) {
        struct row *r = &m->rows[i];
        /* Numbers, text, one that is empty, some that are long and share a beginning. */
        r->n = (size_t)snprintf(r->name, sizeof r->name, i % 3 == 0 ? "%zu" : i % 3 == 1 ? "m%zu" : "%070zu", i);
        if (r->n > longest)
            r->n = (size_t)snprintf(r->name, sizeof r->name, "x%zu", i);
    }
    m->rows[7].n = 0;
}

static void random_operations(void **state)
{
    (void)state;
    static const struct {
        int64_t entries, value;
        size_t longest;
    } limits_tried[] = {{0, 64, 70}, {20, 64, 70}, {128, 64, 20}, {100000, 100000, 70}};
    struct rng rng;
    rng_seed(&rng, 12);
    struct model *m = mem_alloc(sizeof *m);
    for (size_t t = 0; t < sizeof limits_tried / sizeof limits_tried[0]; t++) {
        struct nd_limits limits = nd_limits_default;
        limits.zset_max_listpack_entries = limits_tried[t].entries;
        limits.zset_max_listpack_value = limits_tried[t].value;
        name_rows(m, limits_tried[t].longest);
        struct nd_value v = nd_zset_new(slice_of("a"), &limits);
        for (int i = 0; i < 20000; i++) {
            unsigned what = (unsigned)rng_below(&rng, 100);
            if (what < 50)
                put_random(&v, m, &limits, &rng);
            else if (what < 75)
                remove_random(&v, m, &rng);
            else
                look_at_random(&v, m, &rng);
            if (i % 50 == 0)
                compare_set(&v, m);
            if (i % 500 == 0) {
                struct nd_value copy = nd_zset_dup(&v);
                compare_set(&copy, m);
                assert_int_equal(copy.enc, v.enc);
                assert_true(nd_zset_memory(&copy, 0) > 0);
                assert_int_equal(nd_zset_effort(&copy), v.enc == ND_ENC_LISTPACK ? 1 : m->n);
                nd_zset_free(&v);
                v = copy;
                nd_zset_settle(&v, &limits);
                compare_set(&v, m);
            }
        }
        nd_zset_free(&v);
    }
    free(m);
}

static void the_encoding_follows_the_limits(void **state)
{
    (void)state;
    char name[80];
    double score;
    struct nd_limits limits = nd_limits_default;
    struct nd_value v = nd_zset_new(slice_of("a"), &limits);
    for (int i = 0; i < 128; i++) {
        snprintf(name, sizeof name, "%d", i);
        score = i;
        assert_int_equal(nd_zset_put(&v, slice_of(name), &score, 0, &limits), ND_ZPUT_ADDED);
    }
    assert_int_equal(v.enc, ND_ENC_LISTPACK);
    score = 5;
    nd_zset_put(&v, slice_of("one more"), &score, 0, &limits);
    assert_int_equal(v.enc, ND_ENC_SKIPLIST);
    nd_zset_remove(&v, slice_of("1"));
    assert_int_equal(v.enc, ND_ENC_SKIPLIST); /* it does not go back by itself */
    nd_zset_settle(&v, &limits);
    assert_int_equal(v.enc, ND_ENC_LISTPACK);
    nd_zset_remove(&v, slice_of("2"));
    memset(name, 'x', 65);
    nd_zset_put(&v, (struct slice){name, 64}, &score, 0, &limits);
    assert_int_equal(v.enc, ND_ENC_LISTPACK);
    nd_zset_put(&v, (struct slice){name, 65}, &score, 0, &limits);
    assert_int_equal(v.enc, ND_ENC_SKIPLIST);
    nd_zset_settle(&v, &limits);
    assert_int_equal(v.enc, ND_ENC_SKIPLIST);
    nd_zset_free(&v);
    v = nd_zset_new((struct slice){name, 65}, &limits);
    assert_int_equal(v.enc, ND_ENC_SKIPLIST);
    nd_zset_free(&v);
}

static struct nd_zlex_end end_of(const char *text)
{
    if (*text == '-' || *text == '+')
        return (struct nd_zlex_end){.side = *text == '-' ? -1 : 1};
    return (struct nd_zlex_end){.open = *text == '(', .member = slice_of(text + 1)};
}

static void ranges_of_members(void **state)
{
    (void)state;
    static const struct {
        const char *min, *max;
        size_t from, to;
    } rows[] = {
        {"-", "+", 0, 26}, {"[c", "[e", 2, 5},  {"(c", "(e", 3, 4}, {"[c", "(c", 0, 0},  {"+", "-", 0, 0},
        {"(z", "+", 0, 0}, {"-", "(a", 0, 0},   {"[zz", "+", 0, 0}, {"[cc", "[e", 3, 5}, {"[e", "[c", 0, 0},
        {"-", "[b", 0, 2}, {"[y", "+", 24, 26}, {"-", "-", 0, 0},   {"+", "+", 0, 0},    {"[", "[a", 0, 1},
    };
    for (int large = 0; large < 2; large++) {
        struct nd_limits limits = nd_limits_default;
        limits.zset_max_listpack_entries = large ? 0 : 128;
        struct nd_value v = nd_zset_new(slice_of("a"), &limits);
        for (char c = 'z'; c >= 'a'; c--) {
            double score = 0;
            nd_zset_put(&v, (struct slice){&c, 1}, &score, 0, &limits);
        }
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct nd_zlex range = {end_of(rows[i].min), end_of(rows[i].max)};
            for (int backwards = 0; backwards < 2; backwards++) {
                size_t from, to;
                nd_zset_find_lex(&v, &range, backwards, &from, &to);
                assert_int_equal(to - from, rows[i].to - rows[i].from);
                if (from != to)
                    assert_int_equal(from, rows[i].from);
            }
        }
        nd_zset_free(&v);
    }
}

static struct nd_pack *pack_of(const char *const *words, size_t n)
{
    struct nd_pack *p = nd_pack_new(0);
    for (size_t i = 0; i < n; i++)
        p = nd_pack_append(p, slice_of(words[i]));
    return p;
}

#define REFUSED(...)                                                                                               \
    do {                                                                                                           \
        static const char *const words[] = {__VA_ARGS__};                                                          \
        struct nd_value bad;                                                                                       \
        assert_false(nd_zset_from_pack(pack_of(words, sizeof words / sizeof words[0]), &nd_limits_default, &bad)); \
    } while (0)

static void packs_from_outside(void **state)
{
    (void)state;
    static const char *const good[] = {"b", "-inf", "x", "-1.5", "a", "3", "c", "3", "7", "4e+18"};
    struct nd_limits limits = nd_limits_default;
    for (int large = 0; large < 2; large++) {
        struct nd_value v;
        limits.zset_max_listpack_entries = large ? 2 : 128;
        assert_true(nd_zset_from_pack(pack_of(good, 10), &limits, &v));
        assert_int_equal(v.enc, large ? ND_ENC_SKIPLIST : ND_ENC_LISTPACK);
        assert_int_equal(nd_zset_length(&v), 5);
        double score;
        assert_true(nd_zset_score(&v, slice_of("7"), &score) && score == 4e18);
        nd_zset_free(&v);
    }
    REFUSED("a");
    REFUSED("a", "1", "b");
    REFUSED("a", "2", "b", "1");
    REFUSED("b", "1", "a", "1");
    REFUSED("a", "1", "a", "1");
    REFUSED("a", "1", "a", "2");
    REFUSED("a", "x");
    REFUSED("a", "nan");
    REFUSED("a", "");
}

struct shown {
    size_t n;
    double sum;
};

static void show(void *owner, struct slice m, double score)
{
    (void)m;
    struct shown *s = owner;
    s->n++;
    s->sum += score;
}

static bool visit(void *owner, struct slice a, struct slice b, double score)
{
    (void)b;
    show(owner, a, score);
    return ((struct shown *)owner)->n < 7;
}

static void scans_and_visits(void **state)
{
    (void)state;
    for (int large = 0; large < 2; large++) {
        struct nd_limits limits = nd_limits_default;
        limits.zset_max_listpack_entries = large ? 10 : 1000;
        struct nd_value v = nd_zset_new(slice_of("1"), &limits);
        char name[16];
        for (int i = 1; i <= 500; i++) {
            double score = i;
            snprintf(name, sizeof name, "%d", i);
            nd_zset_put(&v, slice_of(name), &score, 0, &limits);
        }
        struct shown seen = {0}, first = {0};
        uint64_t cursor = 0;
        int calls = 0;
        do {
            cursor = nd_zset_scan(&v, cursor, show, &seen);
            calls++;
        } while (cursor != 0);
        assert_int_equal(seen.n, 500);
        assert_true(seen.sum == 500. * 501 / 2);
        assert_true(large ? calls > 10 : calls == 1);
        nd_zset_visit(&v, visit, &first);
        assert_int_equal(first.n, 7);
        assert_true(first.sum == 28);
        nd_zset_free(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_is_the_sorted_array),
        cmocka_unit_test(members_in_order_fill_the_leaves),
        cmocka_unit_test(random_operations),
        cmocka_unit_test(the_encoding_follows_the_limits),
        cmocka_unit_test(ranges_of_members),
        cmocka_unit_test(packs_from_outside),
        cmocka_unit_test(scans_and_visits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
