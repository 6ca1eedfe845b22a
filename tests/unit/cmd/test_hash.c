#include "common/base/rng.h"
#include "noded/store/hash.h"
#include "tests/unit/cmd/answers.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void fields_by_name(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/hash.txt");
}

static void whole_hashes(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/hash_walk.txt");
}

/* ---- answers in no order ---- */

#define FIELDS 2000

/* The hash "h" has the fields 1 to n, each with its double as value. */
static void fill(struct fixture *f, int n, bool table)
{
    char command[64];
    run(f, "DEL h");
    run(f, table ? "CONFIG SET hash-max-listpack-entries 0" : "CONFIG SET hash-max-listpack-entries 100000");
    for (int i = 1; i <= n; i++) {
        snprintf(command, sizeof command, "HSET h %d %d", i, 2 * i);
        run(f, command);
    }
}

/* Counts the bulks of an answer that are fields; with values each is followed by its double. Returns how many. */
static int count_fields(const char *answer, bool values, int seen[FIELDS + 1])
{
    int n = 0;
    for (const char *at = strchr(answer, '$'); at != NULL; at = strchr(at, '$')) {
        int field = atoi(strchr(at, '\n') + 1);
        assert_in_range(field, 1, FIELDS);
        seen[field]++;
        n++;
        at++;
        if (values) {
            at = strchr(at, '$');
            assert_non_null(at);
            assert_int_equal(atoi(strchr(at, '\n') + 1), 2 * field);
            at++;
        }
    }
    return n;
}

static void random_fields_are_fields_of_the_hash(void **state)
{
    (void)state;
    static int seen[FIELDS + 1];
    struct fixture *f = fixture_new();
    for (int kind = 0; kind < 4; kind++) {
        int length = kind < 2 ? 50 : FIELDS;
        fill(f, length, kind % 2 == 1);
        static const int counts[] = {1, 3, 20, 49, 50, 500, 1500, 1999, 2000, 5000};
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            char command[64];
            for (int values = 0; values < 2; values++) {
                memset(seen, 0, sizeof seen);
                snprintf(command, sizeof command, "HRANDFIELD h %d%s", counts[i], values ? " WITHVALUES" : "");
                int n = count_fields(run(f, command), values, seen);
                assert_int_equal(n, counts[i] < length ? counts[i] : length);
                for (int k = 1; k <= FIELDS; k++)
                    assert_in_range(seen[k], 0, 1);
                snprintf(command, sizeof command, "HRANDFIELD h -%d%s", counts[i], values ? " WITHVALUES" : "");
                assert_int_equal(count_fields(run(f, command), values, seen), counts[i]);
            }
        }
    }
    fixture_free(f);
}

static void pairs_are_nested_in_resp3(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "HSET h a 1");
    run(f, "HELLO 3");
    assert_string_equal(run(f, "HRANDFIELD h -2 WITHVALUES"),
                        "*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    assert_string_equal(run(f, "HRANDFIELD h -2"), "*2\r\n$1\r\na\r\n$1\r\na\r\n");
    assert_string_equal(run(f, "HGETALL h"), "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
    fixture_free(f);
}

/* One call of HSCAN; the next cursor, of which 0 is the end. */
static unsigned long long scan(struct fixture *f, unsigned long long cursor, const char *options, int seen[FIELDS + 1],
                               int *n)
{
    char command[128];
    snprintf(command, sizeof command, "HSCAN h %llu%s", cursor, options);
    const char *answer = run(f, command);
    assert_memory_equal(answer, "*2\r\n$", 5);
    const char *text = strchr(answer + 5, '\n') + 1;
    *n = count_fields(strchr(text, '*'), true, seen);
    return strtoull(text, NULL, 10);
}

static void what_is_there_all_the_time_is_scanned(void **state)
{
    (void)state;
    static int seen[FIELDS + 1];
    struct fixture *f = fixture_new();
    char command[64];
    for (int shrink = 0; shrink < 2; shrink++) {
        fill(f, shrink ? FIELDS : 100, true);
        memset(seen, 0, sizeof seen);
        unsigned long long cursor = 0;
        int calls = 0, n;
        do {
            cursor = scan(f, cursor, " COUNT 7", seen, &n);
            assert_in_range(n, 0, 100);
            /* The table grows, or shrinks, by more than all that is looked for while it is walked over. */
            for (int i = 0; i < 60; i++) {
                int field = 101 + (calls * 60 + i) % (FIELDS - 100);
                snprintf(command, sizeof command, shrink ? "HDEL h %d" : "HSET h %d %d", field, 2 * field);
                run(f, command);
            }
            calls++;
        } while (cursor != 0);
        for (int i = 1; i <= 100; i++)
            assert_true(seen[i] >= 1);
        assert_true(calls > 5);
    }
    fixture_free(f);
}

static void a_scan_shows_what_fits(void **state)
{
    (void)state;
    static int seen[FIELDS + 1];
    struct fixture *f = fixture_new();
    for (int table = 0; table < 2; table++) {
        fill(f, 500, table);
        memset(seen, 0, sizeof seen);
        unsigned long long cursor = 0;
        int n;
        do
            cursor = scan(f, cursor, " MATCH *7 COUNT 20", seen, &n);
        while (cursor != 0);
        for (int i = 1; i <= 500; i++)
            assert_int_equal(seen[i] > 0, i % 10 == 7);
    }
    fixture_free(f);
}

/* ---- random commands: the copy that follows the effects has the same hashes ---- */

static void draw_command(struct rng *r, char *out, size_t n)
{
    int k = (int)rng_below(r, 3), a = (int)rng_below(r, 60), b = (int)rng_range(r, -50, 50);
    switch (rng_below(r, 8)) {
    case 0:
    case 1: snprintf(out, n, "HSET k%d f%d %d f%d v%d", k, a, b, a / 2, b); break;
    case 2: snprintf(out, n, "HSETNX k%d f%d %d.5", k, a, b); break;
    case 3: snprintf(out, n, "HDEL k%d f%d f%d f%d", k, a, a + 1, a / 2); break;
    case 4: snprintf(out, n, "HINCRBY k%d f%d %d", k, a, b); break;
    case 5: snprintf(out, n, "HINCRBYFLOAT k%d f%d %d.%d", k, a, b, a); break;
    case 6: snprintf(out, n, "HMSET k%d %d %d", k, a, b); break;
    default: snprintf(out, n, "HINCRBYFLOAT k%d n%d 1e%d", k, a, a); break;
    }
}

static void the_copy_follows_whatever_is_done(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 23);
    for (int64_t entries = 0; entries <= 200; entries += 50) {
        struct fixture *f = fixture_new();
        f->e->config.limits.hash_max_listpack_entries = entries;
        char command[200];
        for (int n = 0; n < 3000; n++) {
            draw_command(&r, command, sizeof command);
            run(f, command);
            if (n % 200 == 0)
                fixture_assert_copied(f);
        }
        fixture_assert_copied(f);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_by_name),
        cmocka_unit_test(whole_hashes),
        cmocka_unit_test(random_fields_are_fields_of_the_hash),
        cmocka_unit_test(pairs_are_nested_in_resp3),
        cmocka_unit_test(what_is_there_all_the_time_is_scanned),
        cmocka_unit_test(a_scan_shows_what_fits),
        cmocka_unit_test(the_copy_follows_whatever_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
