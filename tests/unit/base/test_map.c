#include "common/base/map.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What CPython 3.11 answers for hash() of these bytes with PYTHONHASHSEED=0: SipHash-1-3 with a key of zeros. */
static void the_hash_is_siphash_1_3(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"a", 0x407448d2b89b1813U},
        {"abcdefg", 0x6db12aae9070f506U},
        {"abcdefgh", 0x3f7b849c0b8e35eaU},
        {"abcdefghi", 0xf89b34a3d11eb6e5U},
        {"0123456789abcdef", 0x1d42b30f7e060c24U},
    };
    const uint64_t zero[2] = {0, 0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(map_hash(zero, rows[i].text, strlen(rows[i].text)) == rows[i].hash);
    const uint64_t first[2] = {1, 0}, second[2] = {0, 1};
    assert_true(map_hash(first, "a", 1) != map_hash(zero, "a", 1));
    assert_true(map_hash(second, "a", 1) != map_hash(zero, "a", 1));
    assert_true(map_hash(second, "a", 1) != map_hash(first, "a", 1));
}

static void an_empty_map_answers(void **state)
{
    (void)state;
    struct map m;
    size_t it = 0;
    map_init(&m, 1, 2);
    assert_null(map_gets(&m, "x"));
    assert_null(map_dels(&m, "x"));
    assert_null(map_next(&m, &it, NULL));
    map_free(&m);
    map_free(&m);
}

static void values_are_put_replaced_and_deleted(void **state)
{
    (void)state;
    struct map m;
    int a, b;
    char key[] = "mymaster";
    map_init(&m, 1, 2);
    assert_null(map_puts(&m, key, &a));
    key[0] = 'x'; /* the map has its own copy */
    assert_ptr_equal(map_gets(&m, "mymaster"), &a);
    assert_null(map_gets(&m, key));
    assert_ptr_equal(map_puts(&m, "mymaster", &b), &a);
    assert_int_equal(m.used, 1);
    assert_ptr_equal(map_dels(&m, "mymaster"), &b);
    assert_null(map_dels(&m, "mymaster"));
    assert_null(map_gets(&m, "mymaster"));
    assert_int_equal(m.used, 0);
    map_free(&m);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct map m;
    int a, b, c;
    map_init(&m, 1, 2);
    map_put(&m, (struct slice){NULL, 0}, &a);
    map_put(&m, (struct slice){"\0", 1}, &b);
    map_put(&m, (struct slice){"\0\0", 2}, &c);
    assert_ptr_equal(map_gets(&m, ""), &a);
    assert_ptr_equal(map_get(&m, (struct slice){"\0", 1}), &b);
    assert_ptr_equal(map_get(&m, (struct slice){"\0\0", 2}), &c);
    assert_int_equal(m.used, 3);
    map_free(&m);
}

enum { KEYS = 400 };

/* Every key is where the model says, and iteration shows each one once. */
static void check_against(const struct map *m, void *const model[KEYS])
{
    size_t used = 0, seen = 0, it = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", k);
        assert_ptr_equal(map_gets(m, key), model[k]);
        used += model[k] != NULL;
    }
    assert_int_equal(m->used, used);
    struct slice key;
    bool shown[KEYS] = {false};
    for (void *v; (v = map_next(m, &it, &key)) != NULL; seen++) {
        unsigned k = 0;
        for (size_t i = 1; i < key.n; i++)
            k = k * 10 + (unsigned)(key.p[i] - '0');
        assert_true(k < KEYS);
        assert_false(shown[k]);
        shown[k] = true;
        assert_ptr_equal(v, model[k]);
    }
    assert_int_equal(seen, used);
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    static int values[64];
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rng r;
        struct map m;
        void *model[KEYS] = {NULL};
        rng_seed(&r, seed);
        map_init(&m, seed, ~seed);
        for (int i = 0; i < 6000; i++) {
            /* Phases that grow and phases that shrink. */
            uint32_t put = i / 1000 % 2 == 0 ? 700000 : 250000;
            size_t k = rng_below(&r, KEYS);
            char key[16];
            snprintf(key, sizeof key, "k%zu", k);
            if (rng_chance(&r, put)) {
                void *v = &values[rng_below(&r, 64)];
                assert_ptr_equal(map_puts(&m, key, v), model[k]);
                model[k] = v;
            } else {
                assert_ptr_equal(map_dels(&m, key), model[k]);
                model[k] = NULL;
            }
            if (i % 100 == 0)
                check_against(&m, model);
        }
        check_against(&m, model);
        map_free(&m);
    }
}

static void the_same_history_gives_the_same_order(void **state)
{
    (void)state;
    struct map a, b;
    int v;
    map_init(&a, 3, 4);
    map_init(&b, 3, 4);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        map_puts(&a, key, &v);
        map_puts(&b, key, &v);
        if (i % 3 == 0) {
            map_dels(&a, key);
            map_dels(&b, key);
        }
    }
    size_t i = 0, j = 0;
    struct slice x, y;
    while (map_next(&a, &i, &x) != NULL) {
        assert_non_null(map_next(&b, &j, &y));
        assert_true(slice_eq(x, y));
    }
    assert_null(map_next(&b, &j, NULL));
    map_free(&a);
    map_free(&b);
}

/* Deleting leaves no marks: a map through which a million keys went stays small and quick. */
static void it_gives_memory_back(void **state)
{
    (void)state;
    struct map m;
    int v;
    map_init(&m, 5, 6);
    for (int i = 0; i < 1000000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        map_puts(&m, key, &v);
        if (i >= 10) {
            snprintf(key, sizeof key, "%d", i - 10);
            assert_ptr_equal(map_dels(&m, key), &v);
        }
    }
    assert_int_equal(m.used, 10);
    assert_true(m.cap <= 32);
    map_free(&m);
    for (int i = 0; i < 10000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        map_puts(&m, key, &v);
    }
    for (int i = 0; i < 10000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        map_dels(&m, key);
    }
    assert_true(m.cap <= 32);
    map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_1_3),
        cmocka_unit_test(an_empty_map_answers),
        cmocka_unit_test(values_are_put_replaced_and_deleted),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(random_operations_agree_with_an_array),
        cmocka_unit_test(the_same_history_gives_the_same_order),
        cmocka_unit_test(it_gives_memory_back),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
