/* Two keyspaces give each other what they hold. */
#include "noded/store/keyspace.h"

#include "noded/store/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 3000 };

static const uint64_t seed[2] = {7, 11};

static struct slice key_text(int i, char text[32])
{
    return (struct slice){text, (size_t)snprintf(text, 32, "key:%d", i)};
}

/* The other keyspace is gone then, and what came from it still finds its keys, takes more and forgets them. */
static void keyspaces_are_exchanged(void **state)
{
    (void)state;
    char text[32];
    for (int slots = 0; slots < 2; slots++) {
        struct nd_keyspace k, other;
        nd_keyspace_init(&k, 16, slots, seed);
        nd_keyspace_init(&other, 16, slots, seed);
        struct nd_db *db = nd_keyspace_db(&k, 3);
        nd_db_add(db, slice_of("old"), nd_string_make(slice_of("1"), true), ND_NO_EXPIRE);
        nd_db_add(nd_keyspace_db(&k, 4), slice_of("gone"), nd_string_make(slice_of("1"), true), 5);
        for (int i = 0; i < 2 * KEYS; i++)
            nd_db_add(nd_keyspace_db(&other, i % 2 + 2), key_text(i, text), nd_string_make(slice_of("v"), true),
                      i % 3 == 0 ? 1000 + i : ND_NO_EXPIRE);
        nd_keyspace_exchange(&k, &other);
        assert_non_null(nd_db_find(nd_keyspace_peek(&other, 3), slice_of("old")));
        nd_keyspace_free(&other);
        assert_ptr_equal(nd_keyspace_peek(&k, 3), db);
        assert_int_equal(nd_db_count(nd_keyspace_peek(&k, 4)), 0);
        assert_int_equal(nd_db_count(nd_keyspace_peek(&k, 2)) + nd_db_count(db), 2 * KEYS);
        assert_int_equal(nd_db_expires(nd_keyspace_peek(&k, 2)) + nd_db_expires(db), 2 * KEYS / 3);
        for (int i = 0; i < 4 * KEYS; i++) {
            struct nd_db *of = nd_keyspace_peek(&k, i % 2 + 2);
            struct nd_entry *e = nd_db_find(of, key_text(i, text));
            assert_int_equal(e != NULL, i < 2 * KEYS);
            if (e != NULL && i % 5 == 0)
                nd_db_delete(of, e);
            else if (e == NULL)
                nd_db_add(of, key_text(i, text), nd_string_make(slice_of("w"), true), 7);
        }
        nd_keyspace_free(&k);
    }
}

static void put(struct nd_db *db, const char *key)
{
    nd_db_add(db, slice_of(key), nd_string_make(slice_of("v"), true), ND_NO_EXPIRE);
}

static bool has(struct nd_keyspace *k, int n, const char *key)
{
    struct nd_db *db = nd_keyspace_peek(k, n);
    return db != NULL && nd_db_find(db, slice_of(key)) != NULL;
}

/* Shadows are databases behind the others, and go wherever those go. */
static void shadows_and_the_mapping_go_along(void **state)
{
    (void)state;
    struct nd_keyspace k, other;
    nd_keyspace_init(&k, 100, true, seed);
    nd_keyspace_init(&other, 100, true, seed);
    assert_int_equal(nd_keyspace_all(&k), 200);
    assert_null(nd_keyspace_peek(&k, 199));
    put(nd_keyspace_db(&k, 1), "one");
    put(nd_keyspace_shadow(&k, 1), "shadow");
    put(nd_keyspace_shadow(&k, 99), "last");
    assert_int_equal(nd_db_number(nd_keyspace_shadow(&k, 99)), 199);
    for (int n = 1; n < 200; n += 33) {
        const struct nd_db *db = nd_keyspace_db(&k, n);
        assert_int_equal(nd_db_is_shadow(db), n >= 100);
        assert_int_equal(nd_db_seen_number(db), n % 100);
    }
    nd_keyspace_swap(&k, 1, 99);
    assert_true(has(&k, 99, "one") && has(&k, 199, "shadow") && has(&k, 101, "last"));
    assert_true(!has(&k, 1, "one") && !has(&k, 101, "shadow") && !has(&k, 199, "last"));
    k.mapping_epoch = 7;
    other.mapping_epoch = 3;
    nd_keyspace_exchange(&k, &other);
    assert_true(k.mapping_epoch == 3 && other.mapping_epoch == 7);
    assert_true(has(&other, 99, "one") && has(&other, 199, "shadow") && has(&other, 101, "last"));
    assert_false(has(&k, 99, "one") || has(&k, 199, "shadow") || has(&k, 101, "last"));
    nd_keyspace_free(&k);
    nd_keyspace_free(&other);
}

static void numbers_of_other_datasets(void **state)
{
    (void)state;
    static const struct {
        int own;
        bool slots;
        uint64_t n;
        int databases, here;
    } rows[] = {
        {16, true, 0, 16, 0},    {16, true, 15, 16, 15},         {16, true, 16, 16, 16},        {16, true, 31, 16, 31},
        {16, true, 32, 16, -1},  {16, true, 15, 0, 15},          {16, true, 16, 0, -1},         {16, true, 3, 4, 3},
        {16, true, 4, 4, 16},    {16, true, 7, 4, 19},           {16, true, 8, 4, -1},          {16, true, 20, 32, -1},
        {16, true, 32, 32, 16},  {16, true, 47, 32, 31},         {16, true, 48, 32, -1},        {16, false, 16, 16, -1},
        {32, false, 16, 16, -1}, {16, true, 1ULL << 40, 16, -1}, {16, true, UINT64_MAX, 0, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nd_keyspace k;
        nd_keyspace_init(&k, rows[i].own, rows[i].slots, seed);
        assert_int_equal(nd_keyspace_number(&k, rows[i].n, rows[i].databases), rows[i].here);
        nd_keyspace_free(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyspaces_are_exchanged),
        cmocka_unit_test(shadows_and_the_mapping_go_along),
        cmocka_unit_test(numbers_of_other_datasets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
