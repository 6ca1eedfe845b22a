#include "noded/store/intset.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 3000
struct model {
    int64_t v[MAX];
    size_t n;
};

static size_t place(const struct model *m, int64_t v)
{
    size_t i = 0;
    while (i < m->n && m->v[i] < v)
        i++;
    return i;
}

static bool model_has(const struct model *m, int64_t v)
{
    size_t i = place(m, v);
    return i < m->n && m->v[i] == v;
}

static void compare(const struct nd_intset *s, const struct model *m)
{
    assert_int_equal(nd_intset_count(s), m->n);
    for (size_t i = 0; i < m->n; i++)
        assert_true(nd_intset_get(s, i) == m->v[i]);
}

static int64_t draw(struct rng *r, unsigned bits)
{
    uint64_t v = rng_u64(r) >> (64 - rng_below(r, bits) - 1);
    if (rng_chance(r, 20000))
        v = bits > 31 ? INT64_MAX : bits > 15 ? INT32_MAX : INT16_MAX;
    return rng_chance(r, 500000) ? (int64_t)(v >> 1) : -1 - (int64_t)(v >> 1);
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct rng r;
        rng_seed(&r, seed);
        static struct model m;
        m.n = 0;
        struct nd_intset *s = nd_intset_new();
        for (int i = 0; i < 3000; i++) {
            int64_t v = m.n > 0 && rng_chance(&r, 300000) ? m.v[rng_below(&r, m.n)]
                                                          : draw(&r, i < 1000   ? 15
                                                                     : i < 2000 ? 31
                                                                                : 64);
            bool had = model_has(&m, v), changed;
            size_t at = place(&m, v);
            assert_int_equal(nd_intset_has(s, v), had);
            if (rng_chance(&r, 650000)) {
                s = nd_intset_add(s, v, &changed);
                assert_int_equal(changed, !had);
                if (!had) {
                    memmove(m.v + at + 1, m.v + at, (m.n - at) * sizeof m.v[0]);
                    m.v[at] = v;
                    m.n++;
                }
            } else {
                s = nd_intset_remove(s, v, &changed);
                assert_int_equal(changed, had);
                if (had) {
                    m.n--;
                    memmove(m.v + at, m.v + at + 1, (m.n - at) * sizeof m.v[0]);
                }
            }
            if (i % 32 == 0)
                compare(s, &m);
        }
        compare(s, &m);
        struct nd_intset *copy = nd_intset_dup(s), *loaded = nd_intset_load(nd_intset_raw(s));
        compare(copy, &m);
        compare(loaded, &m);
        free(copy);
        free(loaded);
        free(s);
    }
}

static void numbers_take_the_width_of_the_widest(void **state)
{
    (void)state;
    static const struct {
        int64_t v;
        size_t width;
    } cases[] = {{32767, 2},       {-32768, 2},       {32768, 4},         {-32769, 4},    {2147483647, 4},
                 {-2147483648, 4}, {2147483648LL, 8}, {-2147483649LL, 8}, {INT64_MAX, 8}, {INT64_MIN, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool added;
        struct nd_intset *s = nd_intset_add(nd_intset_new(), 5, &added);
        s = nd_intset_add(s, cases[i].v, &added);
        assert_true(added);
        assert_int_equal(nd_intset_bytes(s), 8 + 2 * cases[i].width);
        assert_int_equal((unsigned char)nd_intset_raw(s).p[0], cases[i].width);
        assert_true(nd_intset_get(s, cases[i].v > 5) == cases[i].v);
        assert_true(nd_intset_get(s, cases[i].v < 5) == 5);
        free(s);
    }
}

/* SADD 1 2 -3 and its DUMP in redis-server 7.0.15. */
static void the_bytes_are_those_of_redis(void **state)
{
    (void)state;
    bool added;
    struct nd_intset *s = nd_intset_new();
    s = nd_intset_add(s, 1, &added);
    s = nd_intset_add(s, 2, &added);
    s = nd_intset_add(s, -3, &added);
    static const char expected[] = "\x02\0\0\0\x03\0\0\0\xfd\xff\x01\0\x02\0";
    assert_int_equal(nd_intset_bytes(s), sizeof expected - 1);
    assert_memory_equal(nd_intset_raw(s).p, expected, sizeof expected - 1);
    free(s);
}

static bool loads(const char *bytes, size_t n)
{
    char *copy = mem_alloc(n);
    memcpy(copy, bytes, n);
    struct nd_intset *s = nd_intset_load((struct slice){copy, n});
    free(copy);
    free(s);
    return s != NULL;
}

#define LOADS(s) loads(s, sizeof(s) - 1)

static void what_is_no_intset_is_refused(void **state)
{
    (void)state;
    assert_true(LOADS("\x02\0\0\0\x02\0\0\0\xfd\xff\x01\0"));
    assert_true(LOADS("\x04\0\0\0\x01\0\0\0\x01\0\0\0"));
    assert_false(LOADS("\x02\0\0\0\x02\0\0\0\x01\0\xfd\xff")); /* not sorted */
    assert_false(LOADS("\x02\0\0\0\x02\0\0\0\x01\0\x01\0"));   /* twice */
    assert_false(LOADS("\x02\0\0\0\x03\0\0\0\xfd\xff\x01\0")); /* too short */
    assert_false(LOADS("\x02\0\0\0\x01\0\0\0\xfd\xff\x01\0")); /* too long */
    assert_false(LOADS("\x03\0\0\0\x01\0\0\0\x01\0\0"));       /* width */
    assert_false(LOADS("\x02\0\0\0\0\0\0\0"));                 /* empty */
    assert_false(LOADS("\x08\0\0\0\0\0\0\x20"));               /* 8 * 2^29 wraps in 32 bits */
    assert_false(LOADS("\x02\0\0\0\x01\0\0"));
    assert_false(LOADS(""));
}

static void adding_in_order_and_out_of_order_come_to_the_same(void **state)
{
    (void)state;
    enum { N = 2000 };
    struct nd_intset *up = nd_intset_new(), *down = nd_intset_new();
    bool changed;
    for (int i = 0; i < N; i++) {
        up = nd_intset_add(up, i * 100 - 50000, &changed);
        down = nd_intset_add(down, (N - 1 - i) * 100 - 50000, &changed);
    }
    assert_true(slice_eq(nd_intset_raw(up), nd_intset_raw(down)));
    for (int i = 0; i < N; i++)
        up = nd_intset_remove(up, i * 100 - 50000, &changed);
    assert_int_equal(nd_intset_count(up), 0);
    assert_false(nd_intset_has(up, 0));
    free(up);
    free(down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_an_array),
        cmocka_unit_test(numbers_take_the_width_of_the_widest),
        cmocka_unit_test(the_bytes_are_those_of_redis),
        cmocka_unit_test(what_is_no_intset_is_refused),
        cmocka_unit_test(adding_in_order_and_out_of_order_come_to_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
