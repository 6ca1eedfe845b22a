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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyspaces_are_exchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
