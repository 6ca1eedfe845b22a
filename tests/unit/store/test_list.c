#include "noded/store/list.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nd_value new_list(int64_t fill)
{
    struct nd_limits limits = {.list_max_listpack_size = fill};
    return nd_list_new(&limits);
}

/* ---- against an array of strings ---- */

#define MAX 2000
struct model {
    struct buf v[MAX];
    size_t n;
};

static void model_insert(struct model *m, size_t at, struct slice s)
{
    assert_true(m->n < MAX);
    memmove(m->v + at + 1, m->v + at, (m->n - at) * sizeof m->v[0]);
    m->v[at] = (struct buf){0};
    buf_put(&m->v[at], s.p, s.n);
    m->n++;
}

static void model_remove(struct model *m, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++)
        buf_free(&m->v[i]);
    memmove(m->v + at, m->v + at + count, (m->n - at - count) * sizeof m->v[0]);
    m->n -= count;
}

static char big[70000];

static struct slice draw(struct rng *r)
{
    static char text[32];
    size_t n;
    switch (rng_below(r, 16)) {
    case 0: n = 1000 + rng_below(r, 8000); break;
    case 1: n = rng_chance(r, 100000) ? 60000 : 90; break;
    case 2:
    case 3:
    case 4:
    case 5:
        n = (size_t)snprintf(text, sizeof text, "%lld", (long long)(rng_u64(r) >> rng_below(r, 64)));
        return (struct slice){text, n};
    default: n = rng_below(r, 40); break;
    }
    return (struct slice){big + rng_below(r, 1000), n};
}

struct walk {
    const struct model *m;
    size_t i;
};

static bool visit(void *owner, struct slice a, struct slice b, double score)
{
    struct walk *w = owner;
    (void)score;
    assert_int_equal(b.n, 0);
    assert_true(slice_eq(a, buf_slice(&w->m->v[w->i])));
    w->i++;
    return true;
}

static void compare(const struct nd_value *v, const struct model *m)
{
    assert_int_equal(nd_list_length(v), m->n);
    struct walk w = {m, 0};
    nd_list_visit(v, visit, &w);
    assert_int_equal(w.i, m->n);
    struct nd_list_at at;
    char tmp[ND_PACK_INT_TEXT];
    size_t i = m->n;
    for (bool more = nd_list_seek(v, -1, &at); more; more = nd_list_step(&at, true))
        assert_true(slice_eq(nd_list_get(&at, tmp), buf_slice(&m->v[--i])));
    assert_int_equal(i, 0);
}

/* Nodes are listpacks within their limit, or hold one element. Returns how many elements they have. */
static size_t check_nodes(const struct nd_value *v, size_t limit, size_t elements)
{
    size_t nodes = 0, count = 0;
    for (const struct nd_list_node *n = nd_list_node_first(v); n != NULL; n = nd_list_node_next(n)) {
        bool packed;
        struct slice bytes = nd_list_node_bytes(n, &packed);
        nodes++;
        if (!packed) {
            count++;
            continue;
        }
        struct nd_pack *p = nd_pack_load(bytes);
        assert_non_null(p);
        size_t in = nd_pack_count(p);
        assert_true(in == 1 || (in > 1 && bytes.n <= limit && in <= elements));
        count += in;
        free(p);
    }
    assert_int_equal(nodes, nd_list_nodes(v));
    assert_int_equal(nodes, nd_list_effort(v));
    return count;
}

static void reload(const struct nd_value *v, const struct model *m)
{
    struct nd_value again = new_list(-2);
    for (const struct nd_list_node *n = nd_list_node_first(v); n != NULL; n = nd_list_node_next(n)) {
        bool packed;
        struct slice bytes = nd_list_node_bytes(n, &packed);
        assert_true(nd_list_load_node(&again, bytes, packed));
    }
    assert_int_equal(nd_list_nodes(&again), nd_list_nodes(v));
    compare(&again, m);
    nd_list_free(&again);
}

static void at_the_ends(struct nd_value *v, struct model *m, struct rng *r)
{
    bool front = rng_chance(r, 500000);
    size_t place = front ? 0 : m->n;
    char tmp[ND_PACK_INT_TEXT];
    if (m->n < MAX && rng_chance(r, 550000)) {
        struct slice s = draw(r);
        model_insert(m, place, s);
        nd_list_push(v, front, s);
    } else if (m->n > 0) {
        place = front ? 0 : m->n - 1;
        assert_true(slice_eq(nd_list_end(v, front, tmp), buf_slice(&m->v[place])));
        nd_list_drop(v, front);
        model_remove(m, place, 1);
    }
}

static void remove_some(struct nd_value *v, struct model *m, struct rng *r, size_t i, struct nd_list_at *at)
{
    bool backwards = rng_chance(r, 500000);
    char tmp[ND_PACK_INT_TEXT];
    for (uint64_t k = 1 + rng_below(r, 3); k > 0; k--) {
        bool more = nd_list_remove(v, at, backwards);
        model_remove(m, i, 1);
        if (backwards ? i == 0 : i == m->n) {
            assert_false(more);
            return;
        }
        i -= backwards;
        assert_true(more);
        assert_true(slice_eq(nd_list_get(at, tmp), buf_slice(&m->v[i])));
    }
}

static void in_the_middle(struct nd_value *v, struct model *m, struct rng *r)
{
    if (m->n == 0 || m->n == MAX)
        return;
    size_t i = rng_below(r, m->n);
    struct nd_list_at at;
    char tmp[ND_PACK_INT_TEXT];
    assert_true(nd_list_seek(v, rng_chance(r, 500000) ? (int64_t)i : (int64_t)i - (int64_t)m->n, &at));
    assert_true(slice_eq(nd_list_get(&at, tmp), buf_slice(&m->v[i])));
    assert_true(nd_list_is(&at, buf_slice(&m->v[i])));
    struct slice s = draw(r);
    assert_int_equal(nd_list_is(&at, s), slice_eq(s, buf_slice(&m->v[i])));
    switch (rng_below(r, 8)) {
    case 0:
    case 1:
    case 2: {
        bool after = rng_chance(r, 500000);
        nd_list_insert(v, &at, after, s);
        model_insert(m, i + after, s);
        break;
    }
    case 3:
    case 4:
        nd_list_replace(v, &at, s);
        model_remove(m, i, 1);
        model_insert(m, i, s);
        break;
    case 5: remove_some(v, m, r, i, &at); break;
    case 6: {
        size_t count = rng_below(r, rng_chance(r, 100000) ? m->n - i + 1 : 2);
        if (count > m->n - i)
            count = m->n - i;
        nd_list_remove_range(v, i, count);
        model_remove(m, i, count);
        break;
    }
    default:
        assert_false(nd_list_seek(v, (int64_t)m->n, &at));
        assert_false(nd_list_seek(v, -(int64_t)m->n - 1, &at));
        break;
    }
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    static const struct {
        int64_t fill;
        size_t limit, elements;
    } kinds[] = {{-1, 4096, SIZE_MAX},
                 {-2, 8192, SIZE_MAX},
                 {-3, 16384, SIZE_MAX},
                 {-4, 32768, SIZE_MAX},
                 {-5, 65536, SIZE_MAX},
                 {-9, 65536, SIZE_MAX},
                 {0, 0, 1},
                 {1, 0, 1},
                 {3, 8192, 3},
                 {128, 8192, 128}};
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)('!' + i * 7919 % 90);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct rng r;
        rng_seed(&r, 100 + k);
        static struct model m;
        m.n = 0;
        struct nd_value v = new_list(kinds[k].fill);
        for (int i = 0; i < 6000; i++) {
            if (rng_chance(&r, 400000))
                at_the_ends(&v, &m, &r);
            else
                in_the_middle(&v, &m, &r);
            if (i % 64 == 0)
                compare(&v, &m);
            if (i % 512 == 0)
                assert_int_equal(check_nodes(&v, kinds[k].limit, kinds[k].elements), m.n);
            if (m.n == MAX) {
                nd_list_remove_range(&v, 100, MAX - 200);
                model_remove(&m, 100, MAX - 200);
            }
        }
        compare(&v, &m);
        reload(&v, &m);
        struct nd_value copy = nd_list_dup(&v);
        assert_int_equal(nd_list_nodes(&copy), nd_list_nodes(&v));
        nd_list_free(&v);
        compare(&copy, &m);
        nd_list_free(&copy);
        model_remove(&m, 0, m.n);
    }
}

/* Plain nodes come only from outside: no element of a client is big enough for one. */
static void plain_nodes_stand_among_packed_ones(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 5);
    static struct model m;
    struct nd_pack *p = nd_pack_new(0);
    p = nd_pack_append(nd_pack_append(p, slice_of("1")), slice_of("two"));
    for (int round = 0; round < 300; round++) {
        m.n = 0;
        struct nd_value v = new_list(-2);
        for (int i = 0; i < 12; i++) {
            if (rng_chance(&r, 600000)) {
                struct slice s = {big, rng_below(&r, 3000)};
                assert_true(nd_list_load_node(&v, s, false));
                model_insert(&m, m.n, s);
            } else {
                assert_true(nd_list_load_node(&v, nd_pack_raw(p), true));
                model_insert(&m, m.n, slice_of("1"));
                model_insert(&m, m.n, slice_of("two"));
            }
        }
        compare(&v, &m);
        for (int i = 0; i < 40; i++) {
            if (rng_chance(&r, 300000))
                at_the_ends(&v, &m, &r);
            else
                in_the_middle(&v, &m, &r);
            compare(&v, &m);
        }
        reload(&v, &m);
        struct nd_value copy = nd_list_dup(&v);
        compare(&copy, &m);
        nd_list_free(&copy);
        nd_list_free(&v);
        model_remove(&m, 0, m.n);
    }
    free(p);
}

static void nodes_from_outside_are_checked(void **state)
{
    (void)state;
    struct nd_value v = new_list(-2);
    struct nd_pack *p = nd_pack_new(0);
    assert_true(nd_list_load_node(&v, nd_pack_raw(p), true)); /* empty: nothing to add */
    assert_int_equal(nd_list_nodes(&v), 0);
    assert_false(nd_list_load_node(&v, slice_of("no listpack"), true));
    assert_true(nd_list_load_node(&v, slice_of(""), false));
    assert_int_equal(nd_list_length(&v), 1);
    free(p);
    nd_list_free(&v);
}

/* ---- nodes as Redis 7.0.15 makes them (DEBUG OBJECT's ql_nodes) ---- */

static size_t nodes_after(int64_t fill, size_t count, size_t bytes, bool front)
{
    struct nd_value v = new_list(fill);
    for (size_t i = 0; i < count; i++) {
        char text[24];
        if (bytes > 0)
            nd_list_push(&v, front, (struct slice){big, bytes});
        else
            nd_list_push(&v, front, (struct slice){text, (size_t)snprintf(text, sizeof text, "%zu", i)});
    }
    size_t n = nd_list_nodes(&v);
    nd_list_free(&v);
    return n;
}

static void nodes_are_filled_as_in_redis(void **state)
{
    (void)state;
    static const struct {
        int64_t fill;
        size_t count, bytes, nodes;
    } cases[] = {
        {-1, 3000, 3, 4},   {-1, 3000, 100, 77},  {-1, 3000, 0, 3},      {-1, 300, 5000, 300}, {-1, 40, 20000, 40},
        {-2, 3000, 3, 2},   {-2, 3000, 100, 38},  {-2, 3000, 0, 2},      {-2, 300, 5000, 300}, {-2, 40, 20000, 40},
        {-5, 3000, 3, 1},   {-5, 3000, 100, 5},   {-5, 3000, 0, 1},      {-5, 300, 5000, 24},  {-5, 40, 20000, 14},
        {3, 3000, 3, 1000}, {3, 3000, 100, 1000}, {3, 40, 0, 14},        {3, 300, 5000, 300},  {3, 40, 20000, 40},
        {0, 300, 3, 300},   {0, 3000, 0, 3000},   {100, 3000, 3, 30},    {100, 3000, 100, 38}, {100, 300, 0, 3},
        {1000, 3000, 3, 3}, {1000, 3000, 0, 3},   {1000, 3000, 100, 38},
    };
    memset(big, 'x', sizeof big);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t back = nodes_after(cases[i].fill, cases[i].count, cases[i].bytes, false);
        size_t front = nodes_after(cases[i].fill, cases[i].count, cases[i].bytes, true);
        if (back != cases[i].nodes || front != cases[i].nodes)
            fail_msg("fill %d, %zu of %zu bytes: %zu and %zu nodes, not %zu", (int)cases[i].fill, cases[i].count,
                     cases[i].bytes, back, front, cases[i].nodes);
    }
}

/* ---- memory ---- */

static void memory_follows_the_contents(void **state)
{
    (void)state;
    struct nd_value v = new_list(-2);
    nd_list_push(&v, true, slice_of("abc"));
    size_t small = nd_list_memory(&v, 5);
    assert_true(small < 250);
    for (int i = 0; i < 5000; i++)
        nd_list_push(&v, i % 2 == 0, (struct slice){big, 32});
    size_t full = nd_list_memory(&v, 0);
    assert_in_range(full, 5000 * 34, 5000 * 34 * 5 / 4);
    assert_in_range(nd_list_memory(&v, 5), full * 3 / 4, full * 5 / 4);
    while (nd_list_length(&v) > 1)
        nd_list_drop(&v, nd_list_length(&v) % 2 == 0);
    assert_true(nd_list_memory(&v, 0) < 1000);
    nd_list_free(&v);
}

/* A queue: in at one end, out at the other. Its only node must neither grow nor be moved by each element. */
static void a_queue_stays_small(void **state)
{
    (void)state;
    struct nd_value v = new_list(-2);
    for (int i = 0; i < 100; i++)
        nd_list_push(&v, true, slice_of("0123456789"));
    for (int i = 0; i < 100000; i++) {
        nd_list_push(&v, true, slice_of("0123456789"));
        nd_list_drop(&v, false);
    }
    assert_int_equal(nd_list_length(&v), 100);
    assert_true(nd_list_memory(&v, 0) < 5000);
    nd_list_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_an_array), cmocka_unit_test(plain_nodes_stand_among_packed_ones),
        cmocka_unit_test(nodes_from_outside_are_checked),     cmocka_unit_test(nodes_are_filled_as_in_redis),
        cmocka_unit_test(memory_follows_the_contents),        cmocka_unit_test(a_queue_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
