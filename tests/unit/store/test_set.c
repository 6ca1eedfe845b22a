#include "noded/store/set.h"

#include "common/base/mem.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 700
struct model {
    char name[NAMES][400];
    size_t length[NAMES];
    bool in[NAMES];
    unsigned seen[NAMES];
    size_t n;
};

static struct slice name_of(const struct model *m, size_t i)
{
    return (struct slice){m->name[i], m->length[i]};
}

static void count_in(void *owner, struct slice s)
{
    struct model *m = owner;
    for (size_t i = 0; i < NAMES; i++) {
        if (slice_eq(s, name_of(m, i))) {
            m->seen[i]++;
            return;
        }
    }
    fail_msg("a member that nobody added: %.*s", (int)s.n, s.p);
}

static bool visit(void *owner, struct slice a, struct slice b, double score)
{
    (void)b;
    (void)score;
    count_in(owner, a);
    return true;
}

static void all_seen_once(struct model *m)
{
    for (size_t i = 0; i < NAMES; i++)
        assert_int_equal(m->seen[i], m->in[i]);
    memset(m->seen, 0, sizeof m->seen);
}

static void compare(const struct nd_value *v, struct model *m, struct rng *rng)
{
    assert_int_equal(nd_set_length(v), m->n);
    struct nd_set_iter it;
    struct slice member;
    nd_set_iterate(v, &it);
    while (nd_set_next(&it, &member))
        count_in(m, member);
    all_seen_once(m);
    nd_set_visit(v, visit, m);
    all_seen_once(m);
    uint64_t cursor = 0;
    do
        cursor = nd_set_scan(v, cursor, count_in, m);
    while (cursor != 0);
    all_seen_once(m);
    if (m->n > 0) {
        char text[ND_MEMBER_TEXT];
        assert_true(nd_set_has(v, nd_set_random(v, rng, text)));
        nd_set_iterate(v, &it);
        assert_true(nd_set_next(&it, &member));
        nd_set_stop(&it);
    }
    assert_true(nd_set_memory(v, 0) >= m->n);
    assert_true(nd_set_memory(v, 5) >= m->n);
}

static void name_all(struct model *m, bool numbers)
{
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < NAMES; i++) {
        int n = numbers      ? snprintf(m->name[i], sizeof m->name[i], "%lld", (long long)i * (i % 2 ? 1 : -99999999))
                : i % 4 == 0 ? snprintf(m->name[i], sizeof m->name[i], "%zu", i)
                : i % 4 == 1 ? snprintf(m->name[i], sizeof m->name[i], "0%zu", i)
                : i % 4 == 2 ? snprintf(m->name[i], sizeof m->name[i], "element:%zu", i)
                             : snprintf(m->name[i], sizeof m->name[i], "%0*zu", (int)(250 + i % 10), i);
        m->length[i] = (size_t)n;
    }
    if (!numbers)
        m->length[1] = 0;
}

static void random_operations(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 21);
    struct model *m = mem_alloc(sizeof *m);
    for (int round = 0; round < 4; round++) {
        struct nd_limits limits = nd_limits_default;
        limits.set_max_intset_entries = round < 2 ? 512 : 20000;
        name_all(m, round % 2 == 0);
        struct nd_value v = nd_set_new_intset();
        for (int i = 0; i < 20000; i++) {
            size_t k = rng_below(&rng, NAMES), full = i % 8000 < 4000 ? 9 : 2;
            if (rng_below(&rng, 10) < full) {
                assert_int_equal(nd_set_add(&v, name_of(m, k), &limits), !m->in[k]);
                m->n += !m->in[k];
                m->in[k] = true;
            } else {
                assert_int_equal(nd_set_remove(&v, name_of(m, k)), m->in[k]);
                m->n -= m->in[k];
                m->in[k] = false;
            }
            k = rng_below(&rng, NAMES);
            assert_int_equal(nd_set_has(&v, name_of(m, k)), m->in[k]);
            if (i % 2000 == 0) {
                struct nd_value copy = nd_set_dup(&v);
                assert_int_equal(copy.enc, v.enc);
                nd_set_free(&v);
                v = copy;
                compare(&v, m, &rng);
            }
        }
        assert_int_equal(v.enc, round == 2 ? ND_ENC_INTSET : ND_ENC_HASHTABLE);
        nd_set_free(&v);
    }
    free(m);
}

static void the_encoding_follows_the_limits(void **state)
{
    (void)state;
    char text[24];
    struct nd_limits limits = nd_limits_default;
    struct nd_value v = nd_set_new(slice_of("12"), &limits);
    assert_int_equal(v.enc, ND_ENC_INTSET);
    for (int i = 0; i < 512; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_true(nd_set_add(&v, slice_of(text), &limits));
    }
    assert_int_equal(v.enc, ND_ENC_INTSET);
    assert_int_equal(nd_set_effort(&v), 1);
    assert_false(nd_set_add(&v, slice_of("511"), &limits));
    assert_int_equal(v.enc, ND_ENC_INTSET);
    assert_true(nd_set_add(&v, slice_of("512"), &limits));
    assert_int_equal(v.enc, ND_ENC_HASHTABLE);
    assert_int_equal(nd_set_effort(&v), 513);
    nd_set_free(&v);
    v = nd_set_new(slice_of("012"), &limits);
    assert_int_equal(v.enc, ND_ENC_HASHTABLE);
    nd_set_free(&v);
    v = nd_set_new_intset();
    assert_true(nd_set_add(&v, slice_of("5"), &limits));
    assert_false(nd_set_remove(&v, slice_of("05")));
    assert_false(nd_set_has(&v, slice_of("+5")));
    assert_true(nd_set_add(&v, slice_of("05"), &limits));
    assert_int_equal(v.enc, ND_ENC_HASHTABLE);
    assert_true(nd_set_has(&v, slice_of("5")));
    nd_set_free(&v);
    struct nd_intset *numbers = nd_intset_new();
    bool added;
    for (int i = 0; i < 600; i++)
        numbers = nd_intset_add(numbers, i, &added);
    v = nd_set_from_intset(numbers, &limits);
    assert_int_equal(v.enc, ND_ENC_HASHTABLE);
    assert_int_equal(nd_set_length(&v), 600);
    nd_set_free(&v);
}

static void chance_is_fair_enough(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 22);
    struct nd_limits limits = nd_limits_default;
    for (int large = 0; large < 2; large++) {
        struct nd_value v = nd_set_new(slice_of(large ? "x" : "1"), &limits);
        char text[ND_MEMBER_TEXT];
        unsigned hits[100] = {0};
        for (int i = 0; i < 100; i++) {
            snprintf(text, sizeof text, "%d", i);
            nd_set_add(&v, slice_of(text), &limits);
        }
        for (int i = 0; i < 100000; i++) {
            struct slice s = nd_set_random(&v, &rng, text);
            hits[s.n == 1 ? s.p[0] - '0' : (s.p[0] - '0') * 10 + s.p[1] - '0']++;
        }
        for (int i = 0; i < 100; i++)
            assert_in_range(hits[i], large ? 200 : 800, large ? 5000 : 1200);
        nd_set_free(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),
        cmocka_unit_test(the_encoding_follows_the_limits),
        cmocka_unit_test(chance_is_fair_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
