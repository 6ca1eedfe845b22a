#include "tests/unit/cmd/answers.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void members(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/set.txt");
}

static void several_sets(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/set_algebra.txt");
}

static void chance_without_choice(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/set_random.txt");
}

/* Fills "s" with the numbers from 1 to n, behind a member that makes it a table and goes again. */
static void fill(struct fixture *f, int n, bool table)
{
    char command[64];
    run(f, "DEL s");
    if (table)
        run(f, "SADD s x");
    for (int i = 1; i <= n; i++) {
        snprintf(command, sizeof command, "SADD s %d", i);
        run(f, command);
    }
    if (table)
        run(f, "SREM s x");
    fixture_effects(f);
}

/* The bulks of an answer as numbers, each of 1..n at most once. Returns how many. */
static int different_numbers(const char *answer, int n)
{
    bool seen[2000] = {0};
    int count = 0;
    const char *at = strstr(answer, "\r\n") + 2;
    while (*at == '$') {
        int v = atoi(strstr(at, "\r\n") + 2);
        assert_in_range(v, 1, n);
        assert_false(seen[v]);
        seen[v] = true;
        count++;
        at = strstr(strstr(at, "\r\n") + 2, "\r\n") + 2;
    }
    return count;
}

static int scard(struct fixture *f)
{
    return atoi(run(f, "SCARD s") + 1);
}

static void popped_members_are_told_to_the_copies(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static const struct {
        int size, count;
        bool table;
    } rows[] = {{20, 3, false},    {20, 3, true},      {20, 18, false},   {20, 18, true},
                {1500, 700, true}, {1500, 1490, true}, {500, 499, false}, {20, 19, true}};
    char command[64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fill(f, rows[i].size, rows[i].table);
        snprintf(command, sizeof command, "SPOP s %d", rows[i].count);
        assert_int_equal(different_numbers(run(f, command), rows[i].size), rows[i].count);
        assert_int_equal(scard(f), rows[i].size - rows[i].count);
        fixture_assert_copied(f);
        assert_non_null(strstr(fixture_effects(f), "0 SREM s "));
    }
    fixture_free(f);
}

/* Few that stay become a set of their own, with the encoding that they deserve and the expiry of the old one. */
static void what_stays_keeps_its_expiry(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fill(f, 20, true);
    assert_string_equal(run(f, "OBJECT ENCODING s"), "$9\r\nhashtable\r\n");
    run(f, "PEXPIREAT s 99999999999999");
    run(f, "SPOP s 18");
    assert_string_equal(run(f, "OBJECT ENCODING s"), "$6\r\nintset\r\n");
    assert_string_equal(run(f, "PEXPIRETIME s"), ":99999999999999\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void random_members_are_different(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (int table = 0; table < 2; table++) {
        fill(f, 400, table);
        static const int counts[] = {1, 7, 99, 101, 399, 400, 500};
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            char command[64];
            snprintf(command, sizeof command, "SRANDMEMBER s %d", counts[i]);
            assert_int_equal(different_numbers(run(f, command), 400), counts[i] < 400 ? counts[i] : 400);
        }
        assert_memory_equal(run(f, "SRANDMEMBER s -1000"), "*1000\r\n$", 8);
    }
    assert_string_equal(fixture_effects(f), "");
    fixture_free(f);
}

/* Every member comes about as often as any other. */
static void chance_is_fair(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (int table = 0; table < 2; table++) {
        int hits[11] = {0};
        fill(f, 10, table);
        for (int i = 0; i < 3000; i++) {
            const char *at = strstr(run(f, "SRANDMEMBER s 3"), "\r\n") + 2;
            for (; *at == '$'; at = strstr(strstr(at, "\r\n") + 2, "\r\n") + 2)
                hits[atoi(strstr(at, "\r\n") + 2)]++;
        }
        for (int i = 1; i <= 10; i++)
            assert_in_range(hits[i], 750, 1050);
    }
    fixture_free(f);
}

static void an_endless_answer_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static const char refused[] = "-ERR the answer would be longer than proto-max-bulk-len\r\n";
    f->e->config.proto_max_bulk_len = 1 << 20;
    run(f, "SADD s 1 x");
    run(f, "ZADD z 1 m");
    assert_string_equal(run(f, "SRANDMEMBER s -9223372036854775807"), refused);
    assert_string_equal(run(f, "ZRANDMEMBER z -9223372036854775807"), refused);
    assert_string_equal(run(f, "ZRANDMEMBER z -4611686018427387903 WITHSCORES"), refused);
    assert_memory_equal(run(f, "SRANDMEMBER s -100000"), "*100000\r\n$", 10);
    fixture_free(f);
}

static void a_walk_over_a_changing_set(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    char command[64], cursor[32] = "0";
    bool seen[1001] = {0};
    int calls = 0;
    fill(f, 1000, true);
    do {
        snprintf(command, sizeof command, "SSCAN s %s COUNT 20", cursor);
        const char *at = strstr(run(f, command), "\r\n") + 2;
        at = strstr(at, "\r\n") + 2;
        snprintf(cursor, sizeof cursor, "%.*s", (int)strcspn(at, "\r"), at);
        for (at = strchr(at, '*'), at = strstr(at, "\r\n") + 2; *at == '$';
             at = strstr(strstr(at, "\r\n") + 2, "\r\n") + 2)
            seen[atoi(strstr(at, "\r\n") + 2) % 1001] = true;
        /* Half of the members go while the walk is under way, and the table with them. */
        for (int i = calls * 20 + 1; i <= 1000 && i <= (calls + 1) * 20; i++) {
            snprintf(command, sizeof command, "SREM s %d", i % 2 == 0 ? i : i + 2000);
            run(f, command);
        }
        calls++;
    } while (strcmp(cursor, "0") != 0);
    assert_true(calls > 10);
    for (int i = 1; i <= 1000; i += 2)
        assert_true(seen[i]);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(several_sets),
        cmocka_unit_test(chance_without_choice),
        cmocka_unit_test(popped_members_are_told_to_the_copies),
        cmocka_unit_test(what_stays_keeps_its_expiry),
        cmocka_unit_test(random_members_are_different),
        cmocka_unit_test(chance_is_fair),
        cmocka_unit_test(an_endless_answer_is_refused),
        cmocka_unit_test(a_walk_over_a_changing_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
