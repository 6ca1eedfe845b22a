#include "noded/store/table.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "noded/store/bucket.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct element {
    uint32_t number;
    uint32_t n; /* bytes of the key */
    char key[24];
};

static struct slice key_of(const void *element)
{
    const struct element *e = element;
    return (struct slice){e->key, e->n};
}

static size_t freed;

static void free_element(void *element)
{
    freed++;
    free(element);
}

static const struct nd_table_kind owning = {key_of, free_element};
static const struct nd_table_kind borrowing = {key_of, NULL};
static const uint64_t seed[2] = {0x0123456789abcdef, 42};

/* Keys of different lengths, also such with more than one word of the hash. */
static void name(struct element *e, uint32_t number)
{
    e->number = number;
    e->n = (uint32_t)snprintf(e->key, sizeof e->key, "%u:%.*s", number, (int)(number % 9), "abcdefghi");
}

static struct element *made(uint32_t number)
{
    struct element *e = mem_alloc(sizeof *e);
    name(e, number);
    return e;
}

static struct element *find(struct nd_table *t, uint32_t number)
{
    struct element wanted;
    name(&wanted, number);
    return nd_table_find(t, key_of(&wanted));
}

static struct element *take(struct nd_table *t, uint32_t number)
{
    struct element wanted;
    name(&wanted, number);
    return nd_table_take(t, key_of(&wanted));
}

/* ---- a model: which numbers are in the table ---- */

struct model {
    struct nd_table t;
    struct element **at;
    size_t n, used;
    struct rng rng;
};

static void model_init(struct model *m, size_t n, uint64_t chance)
{
    *m = (struct model){.n = n};
    nd_table_init(&m->t, &owning, seed);
    m->at = mem_zalloc(n * sizeof *m->at);
    rng_seed(&m->rng, chance);
}

static void model_free(struct model *m)
{
    size_t before = freed;
    nd_table_clear(&m->t);
    assert_int_equal(freed - before, m->used);
    assert_int_equal(nd_table_count(&m->t), 0);
    assert_int_equal(nd_table_memory(&m->t), 0);
    free(m->at);
}

static void add(struct model *m, uint32_t number)
{
    m->at[number] = made(number);
    nd_table_add(&m->t, m->at[number]);
    m->used++;
}

static void take_out(struct model *m, uint32_t number)
{
    assert_ptr_equal(take(&m->t, number), m->at[number]);
    free(m->at[number]);
    m->at[number] = NULL;
    m->used--;
}

/* One random change or question; put: how likely an absent one is added, in a thousand. */
static void step(struct model *m, unsigned put)
{
    uint32_t number = (uint32_t)rng_below(&m->rng, m->n);
    assert_ptr_equal(find(&m->t, number), m->at[number]);
    if (m->at[number] == NULL && rng_below(&m->rng, 1000) < put) {
        add(m, number);
    } else if (m->at[number] != NULL && rng_below(&m->rng, 1000) >= put) {
        take_out(m, number);
    } else if (m->at[number] != NULL && rng_below(&m->rng, 16) == 0) {
        /* It moves, as an entry does when it changes its size. */
        struct element *moved = made(number);
        void **place = nd_table_place(&m->t, key_of(moved));
        assert_ptr_equal(*place, m->at[number]);
        free(m->at[number]);
        *place = m->at[number] = moved;
    }
    assert_int_equal(nd_table_count(&m->t), m->used);
}

struct seen {
    struct model *m;
    unsigned char *times; /* by number */
    size_t n;
    unsigned take_one_in; /* > 0: the walk takes out what it is shown, now and then */
};

static void see(void *owner, void *element)
{
    struct seen *s = owner;
    const struct element *e = element;
    uint32_t number = e->number;
    assert_ptr_equal(s->m->at[number], e);
    s->times[number] += s->times[number] < 255;
    s->n++;
    if (s->take_one_in > 0 && rng_below(&s->m->rng, s->take_one_in) == 0)
        take_out(s->m, number);
}

static void check_all(struct model *m)
{
    struct seen s = {.m = m, .times = mem_zalloc(m->n)};
    struct nd_table_iter it;
    nd_table_iterate(&m->t, &it);
    for (void *e; (e = nd_table_next(&it)) != NULL;)
        see(&s, e);
    assert_null(nd_table_next(&it));
    for (uint32_t i = 0; i < m->n; i++) {
        assert_int_equal(s.times[i], m->at[i] != NULL);
        assert_ptr_equal(find(&m->t, i), m->at[i]);
    }
    struct nd_table_stats stats;
    nd_table_stats(&m->t, &stats);
    assert_int_equal(stats.elements, m->used);
    if (m->t.buckets[1] == NULL)
        assert_in_range(nd_table_memory(&m->t), (stats.buckets + stats.chained) * 64,
                        (stats.buckets + stats.chained) * 65);
    free(s.times);
}

/* ---- tests ---- */

static void the_hash_is_that_of_maps(void **state)
{
    (void)state;
    char bytes[80];
    struct nd_table t;
    nd_table_init(&t, &borrowing, seed);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 37 + 5);
    for (size_t from = 0; from < 8; from++)
        for (size_t n = 0; n + from <= sizeof bytes; n++)
            assert_true(nd_table_hash(&t, (struct slice){bytes + from, n}) == map_hash(seed, bytes + from, n));
    assert_true(nd_table_hash(&t, (struct slice){NULL, 0}) == map_hash(seed, "", 0));
}

static void an_empty_table_answers(void **state)
{
    (void)state;
    struct nd_table t;
    struct rng rng;
    struct nd_table_iter it;
    void *out[4];
    rng_seed(&rng, 1);
    nd_table_init(&t, &owning, seed);
    for (int round = 0; round < 2; round++) {
        assert_null(find(&t, 1));
        assert_null(take(&t, 1));
        assert_null(nd_table_random(&t, &rng));
        assert_int_equal(nd_table_sample(&t, &rng, out, 4), 0);
        assert_int_equal(nd_table_scan(&t, 77, see, NULL), 0);
        assert_false(nd_table_step(&t, 10));
        nd_table_iterate(&t, &it);
        assert_null(nd_table_next(&it));
        nd_table_stop(&it);
        nd_table_prefetch(&t, slice_of("x"));
        assert_int_equal(nd_table_memory(&t), 0);
        /* Once more when it has had an element. */
        nd_table_add(&t, made(1));
        free(take(&t, 1));
    }
    nd_table_clear(&t);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct nd_table t;
    struct element empty = {.n = 0}, zero = {.n = 1}, zeros = {.n = 2};
    nd_table_init(&t, &borrowing, seed);
    nd_table_add(&t, &empty);
    nd_table_add(&t, &zero);
    nd_table_add(&t, &zeros);
    assert_ptr_equal(nd_table_find(&t, (struct slice){NULL, 0}), &empty);
    assert_ptr_equal(nd_table_find(&t, (struct slice){"\0", 1}), &zero);
    assert_ptr_equal(nd_table_find(&t, (struct slice){"\0\0", 2}), &zeros);
    nd_table_clear(&t); /* the elements are not the table's */
}

/* Sizes from a few elements to some ten thousand, phases of growth and of shrinking, four million changes in all. */
static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    static const struct {
        size_t keys;
        int changes, rounds;
    } rows[] = {{4, 2000, 60}, {30, 10000, 30}, {700, 100000, 8}, {30000, 800000, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int round = 0; round < rows[i].rounds; round++) {
            struct model m;
            model_init(&m, rows[i].keys, (uint64_t)round + 1);
            for (int n = 0; n < rows[i].changes; n++) {
                step(&m, n / (rows[i].changes / 4) % 2 == 0 ? 900 : 60);
                if (n % (rows[i].changes / 16) == 0)
                    check_all(&m);
            }
            check_all(&m);
            model_free(&m);
        }
    }
}

/* While the table grows and shrinks between the calls: what is there all the time is shown, and the walk ends. Some
 * walks take out what they are shown. */
static void a_scan_shows_what_stays(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 400; round++) {
        struct model m;
        size_t stay = 1 + round * 3;
        model_init(&m, stay + 4000, round + 1);
        for (uint32_t i = 0; i < stay; i++)
            add(&m, i);
        /* A walk may begin while the table is being made larger or smaller. */
        for (uint64_t i = 0; i < round % 7 * 40; i++)
            if (m.at[stay + i] == NULL)
                add(&m, (uint32_t)(stay + i));
        struct seen s = {.m = &m, .times = mem_zalloc(m.n)};
        uint64_t cursor = 0;
        size_t calls = 0;
        do {
            cursor = nd_table_scan(&m.t, cursor, see, &s);
            /* Growth in some rounds, then shrinking. */
            for (unsigned i = 0; i < round % 5 * 8; i++) {
                uint32_t number = (uint32_t)(stay + rng_below(&m.rng, 4000));
                bool grow = calls / (20 + round % 13) % 2 == 0;
                if (grow && m.at[number] == NULL)
                    add(&m, number);
                else if (!grow && m.at[number] != NULL)
                    take_out(&m, number);
            }
            assert_true(++calls < 100000);
        } while (cursor != 0);
        for (size_t i = 0; i < stay; i++)
            assert_true(s.times[i] > 0);
        free(s.times);
        check_all(&m);
        model_free(&m);
    }
}

static void a_scan_of_a_table_at_rest_shows_each_once(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 3000; n += 1 + n / 3) {
        struct model m;
        model_init(&m, n, n);
        for (uint32_t i = 0; i < n; i++)
            add(&m, i);
        while (nd_table_step(&m.t, 1)) {}
        struct seen s = {.m = &m, .times = mem_zalloc(n)};
        for (uint64_t cursor = 0, first = 1; cursor != 0 || first; first = 0)
            cursor = nd_table_scan(&m.t, cursor, see, &s);
        assert_int_equal(s.n, n);
        free(s.times);
        model_free(&m);
    }
}

static void a_walk_may_take_out_what_it_is_shown(void **state)
{
    (void)state;
    for (unsigned one_in = 1; one_in < 4; one_in++) {
        for (uint32_t n = 1; n < 5000; n = n * 2 + 1) {
            struct model m;
            model_init(&m, n, n);
            for (uint32_t i = 0; i < n; i++)
                add(&m, i);
            struct seen s = {.m = &m, .times = mem_zalloc(n), .take_one_in = one_in};
            for (uint64_t cursor = 0, first = 1; cursor != 0 || first; first = 0)
                cursor = nd_table_scan(&m.t, cursor, see, &s);
            check_all(&m);
            assert_true(m.used < n || one_in > 1);
            struct nd_table_iter it;
            nd_table_iterate(&m.t, &it);
            for (void *e; (e = nd_table_next(&it)) != NULL;)
                see(&s, e);
            check_all(&m);
            /* One that stops in the middle, too. */
            nd_table_iterate(&m.t, &it);
            nd_table_next(&it);
            nd_table_stop(&it);
            assert_int_equal(m.t.paused, 0);
            if (one_in == 1)
                assert_int_equal(nd_table_memory(&m.t), 0);
            free(s.times);
            model_free(&m);
        }
    }
}

/* Any number is a cursor: it comes from a client. */
static void a_cursor_from_anywhere_comes_to_its_end(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, 5000, 1);
    for (uint32_t i = 0; i < 5000; i++) {
        add(&m, i);
        struct seen s = {.m = &m, .times = mem_zalloc(m.n)};
        uint64_t cursor = rng_u64(&m.rng);
        nd_table_scan(&m.t, cursor, see, &s);
        if (i % 500 == 0)
            for (size_t calls = 0; (cursor = nd_table_scan(&m.t, cursor, see, &s)) != 0; calls++)
                assert_true(calls < 5000);
        free(s.times);
    }
    model_free(&m);
}

/* No step of growing or shrinking moves more than a few elements: a table is told by what one call leaves in the old.
 */
static void no_call_moves_many(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, 100000, 1);
    size_t grown = 0;
    for (uint32_t i = 0; i < m.n; i++) {
        size_t before = m.t.buckets[1] != NULL ? m.t.used[0] : nd_table_count(&m.t);
        bool was = m.t.buckets[1] != NULL;
        add(&m, i);
        grown += !was && m.t.buckets[1] != NULL;
        if (m.t.buckets[1] != NULL)
            assert_true(before - m.t.used[0] < 80);
    }
    assert_true(grown > 10);
    struct nd_table_stats stats;
    nd_table_stats(&m.t, &stats);
    assert_true(stats.buckets * 8 >= m.n && stats.chained * 2 < stats.buckets && stats.longest < 30);
    size_t most = nd_table_memory(&m.t);
    for (uint32_t i = 0; i < m.n - 10; i++)
        take_out(&m, i);
    while (nd_table_step(&m.t, 4)) {}
    assert_true(nd_table_memory(&m.t) * 100 < most);
    check_all(&m);
    model_free(&m);
}

static void reserved_room_needs_no_growth(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, 20000, 1);
    nd_table_reserve(&m.t, m.n);
    size_t memory = nd_table_memory(&m.t);
    for (uint32_t i = 0; i < m.n; i++) {
        add(&m, i);
        assert_null(m.t.buckets[1]);
    }
    assert_true(nd_table_memory(&m.t) < memory * 5 / 4);
    /* In a table that has elements the room comes by steps. */
    nd_table_reserve(&m.t, m.n * 8);
    assert_true(nd_table_step(&m.t, 1));
    check_all(&m);
    while (nd_table_step(&m.t, 64)) {}
    assert_true(nd_table_memory(&m.t) > memory * 4);
    check_all(&m);
    model_free(&m);
}

/* Every element is about as likely, in a table at rest and in one that is being resized, however its buckets are
 * filled. */
static void chance_is_fair(void **state)
{
    (void)state;
    enum { DRAWS = 600 };
    for (uint32_t n = 1; n < 2000; n = n * 3 + 1) {
        struct model m;
        model_init(&m, n, n);
        unsigned *times = mem_zalloc(n * sizeof *times);
        for (uint32_t i = 0; i < n; i++)
            add(&m, i);
        for (uint32_t i = 0; i < n * DRAWS; i++) {
            struct element *e = nd_table_random(&m.t, &m.rng);
            assert_ptr_equal(e, m.at[e->number]);
            times[e->number]++;
        }
        /* About six standard deviations. */
        for (uint32_t i = 0; i < n; i++)
            assert_in_range(times[i], DRAWS * 3 / 4, DRAWS * 5 / 4);
        free(times);
        model_free(&m);
    }
}

static void chance_finds_the_last_ones(void **state)
{
    (void)state;
    struct model m;
    struct nd_table_iter it;
    model_init(&m, 50000, 3);
    for (uint32_t i = 0; i < m.n; i++)
        add(&m, i);
    /* Paused it can't shrink, so that one element is left in ten thousand buckets. */
    nd_table_iterate(&m.t, &it);
    for (struct element *e; (e = nd_table_next(&it)) != NULL;)
        if (e->number != 777)
            take_out(&m, e->number);
    struct element *found[3];
    assert_ptr_equal(nd_table_random(&m.t, &m.rng), m.at[777]);
    assert_int_equal(nd_table_sample(&m.t, &m.rng, (void **)found, 3), 1);
    assert_ptr_equal(found[0], m.at[777]);
    model_free(&m);
}

static void samples_are_different_elements(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, 10000, 3);
    for (uint32_t i = 0; i < m.n; i++) {
        add(&m, i);
        void *out[40];
        size_t want = 1 + rng_below(&m.rng, 40), got = nd_table_sample(&m.t, &m.rng, out, want);
        assert_true(got >= 1 && got <= want);
        assert_true(got == want || m.used < 200);
        for (size_t a = 0; a < got; a++) {
            const struct element *e = out[a];
            assert_ptr_equal(m.at[e->number], e);
            for (size_t b = 0; b < a; b++)
                assert_ptr_not_equal(out[a], out[b]);
        }
    }
    model_free(&m);
}

/* Keys chosen to fall together under one seed do not under another. */
static void a_seed_spreads_what_another_gathers(void **state)
{
    (void)state;
    enum { CHOSEN = 300 };
    static const uint64_t known[2] = {1, 2}, secret[2] = {0xfeedfacecafebeef, 0x0ddba11};
    struct nd_table t[2];
    nd_table_init(&t[0], &borrowing, known);
    nd_table_init(&t[1], &owning, secret);
    for (uint32_t number = 0, chosen = 0; chosen < CHOSEN; number++) {
        struct element *e = made(number);
        if ((nd_table_hash(&t[0], key_of(e)) & 0xfff) != 0) {
            free(e);
            continue;
        }
        nd_table_add(&t[0], e);
        nd_table_add(&t[1], e);
        chosen++;
    }
    struct nd_table_stats stats[2];
    nd_table_stats(&t[0], &stats[0]);
    nd_table_stats(&t[1], &stats[1]);
    assert_int_equal(stats[0].longest, CHOSEN);
    assert_true(stats[1].longest < 20);
    nd_table_clear(&t[0]);
    nd_table_clear(&t[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_that_of_maps),
        cmocka_unit_test(an_empty_table_answers),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(random_changes_agree_with_an_array),
        cmocka_unit_test(a_scan_shows_what_stays),
        cmocka_unit_test(a_scan_of_a_table_at_rest_shows_each_once),
        cmocka_unit_test(a_walk_may_take_out_what_it_is_shown),
        cmocka_unit_test(a_cursor_from_anywhere_comes_to_its_end),
        cmocka_unit_test(no_call_moves_many),
        cmocka_unit_test(reserved_room_needs_no_growth),
        cmocka_unit_test(chance_is_fair),
        cmocka_unit_test(chance_finds_the_last_ones),
        cmocka_unit_test(samples_are_different_elements),
        cmocka_unit_test(a_seed_spreads_what_another_gathers),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
