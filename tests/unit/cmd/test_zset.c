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
    answers_check("tests/unit/cmd/answers/zset.txt");
}

static void ranges(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/zset_range.txt");
}

static void from_the_ends(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/zset_pop.txt");
}

static void several_sorted_sets(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/zset_combine.txt");
}

/* ---- waiting ---- */

static void the_first_who_waits_is_served_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *a = fixture_client(f), *b = fixture_client(f), *c = fixture_client(f);
    assert_string_equal(client_run(a, "BZPOPMAX k 0"), "");
    assert_int_equal(a->ran, ND_BLOCKED);
    assert_string_equal(client_run(b, "BZMPOP 0 2 other k MIN COUNT 5"), "");
    assert_string_equal(client_run(c, "BZPOPMIN k 0"), "");
    assert_string_equal(run(f, "ZADD k 1 a 2 b 3 c"), ":3\r\n");
    assert_string_equal(client_read(a), "*3\r\n$1\r\nk\r\n$1\r\nc\r\n$1\r\n3\r\n");
    assert_string_equal(client_read(b),
                        "*2\r\n$1\r\nk\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
    assert_string_equal(client_read(c), "");
    assert_int_equal(a->resumes + b->resumes, 2);
    assert_int_equal(c->resumes, 0);
    assert_string_equal(run(f, "EXISTS k"), ":0\r\n");
    assert_string_equal(fixture_effects(f), "0 ZADD k 1 a 2 b 3 c\n0 ZPOPMAX k\n0 ZPOPMIN k 2\n");
    assert_string_equal(run(f, "ZINCRBY k 4 d"), "$1\r\n4\r\n");
    assert_string_equal(client_read(c), "*3\r\n$1\r\nk\r\n$1\r\nd\r\n$1\r\n4\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void only_a_sorted_set_wakes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *a = fixture_client(f);
    assert_string_equal(client_run(a, "BZPOPMIN x k 0"), "");
    run(f, "LPUSH k 1");
    assert_string_equal(client_read(a), "");
    /* A key that gets another value is not a new key. */
    run(f, "ZADD z 1 m");
    run(f, "ZUNIONSTORE k 1 z");
    assert_string_equal(client_read(a), "");
    run(f, "DEL k");
    run(f, "ZRANGESTORE k z 0 -1");
    assert_string_equal(client_read(a), "*3\r\n$1\r\nk\r\n$1\r\nm\r\n$1\r\n1\r\n");
    fixture_assert_copied(f);
    /* What was there and is gone at the end of a transaction was never there. */
    assert_string_equal(client_run(a, "BZMPOP 0 1 k MAX"), "");
    run(f, "MULTI");
    run(f, "ZADD k 1 a");
    run(f, "DEL k");
    run(f, "EXEC");
    assert_string_equal(client_read(a), "");
    run(f, "MULTI");
    run(f, "DEL k");
    run(f, "ZADD k 1 a 2 b");
    run(f, "EXEC");
    assert_string_equal(client_read(a), "*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void waiting_ends(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *a = fixture_client(f), *b = fixture_client(f);
    client_run(b, "HELLO 3");
    assert_string_equal(client_run(a, "BZPOPMIN k 0.5"), "");
    assert_string_equal(client_run(b, "BZMPOP 0.5 1 k MIN"), "");
    fixture_forward_ms(f, 499);
    assert_string_equal(client_read(a), "");
    fixture_forward_ms(f, 2);
    assert_string_equal(client_read(a), "*-1\r\n");
    assert_string_equal(client_read(b), "_\r\n");
    /* Inside of a transaction nobody waits. */
    run(f, "MULTI");
    run(f, "BZPOPMIN k 0");
    run(f, "BZMPOP 0 1 k MIN");
    assert_string_equal(run(f, "EXEC"), "*2\r\n*-1\r\n*-1\r\n");
    assert_string_equal(fixture_effects(f), "");
    fixture_free(f);
}

static void served_in_resp3(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *a = fixture_client(f);
    client_run(a, "HELLO 3");
    client_run(a, "BZPOPMIN k 0");
    run(f, "ZADD k 1.5 a");
    assert_string_equal(client_read(a), "*3\r\n$1\r\nk\r\n$1\r\na\r\n,1.5\r\n");
    client_run(a, "BZMPOP 0 1 k MIN");
    run(f, "ZADD k 1.5 a");
    assert_string_equal(client_read(a), "*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n");
    fixture_free(f);
}

/* ---- large ones ---- */

/* Number i has the score i / 4 and the name m<i>. */
static void fill(struct fixture *f, int n)
{
    char command[64];
    for (int i = 0; i < n; i++) {
        int k = (int)((int64_t)i * 7919 % n); /* each once when n has no factor of 7919 */
        snprintf(command, sizeof command, "ZADD z %g m%d", k / 4., k);
        assert_string_equal(run(f, command), ":1\r\n");
    }
}

static int integer(const char *answer)
{
    assert_int_equal(answer[0], ':');
    return atoi(answer + 1);
}

static int lines(const char *answer)
{
    int n = 0;
    for (; (answer = strstr(answer, "\r\n")) != NULL; answer += 2)
        n++;
    return n;
}

static void ranks_of_many(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    char command[80];
    fill(f, 10000);
    assert_string_equal(run(f, "OBJECT ENCODING z"), "$8\r\nskiplist\r\n");
    for (int i = 0; i < 10000; i += 37) {
        snprintf(command, sizeof command, "ZREVRANK z m%d", i);
        int from_high_end = integer(run(f, command));
        snprintf(command, sizeof command, "ZRANK z m%d", i);
        int at = integer(run(f, command));
        assert_int_equal(at + from_high_end, 9999);
        assert_in_range(at, i, i); /* scores rise with the number */
        snprintf(command, sizeof command, "ZCOUNT z -inf (%g", i / 4.);
        assert_int_equal(integer(run(f, command)), i);
        snprintf(command, sizeof command, "ZCOUNT z %g %g", i / 4., (i + 99) / 4.);
        assert_int_equal(integer(run(f, command)), i + 100 <= 10000 ? 100 : 10000 - i);
    }
    assert_string_equal(run(f, "ZRANGE z 5000 5001 REV WITHSCORES"),
                        "*4\r\n$5\r\nm4999\r\n$7\r\n1249.75\r\n$5\r\nm4998\r\n$6\r\n1249.5\r\n");
    assert_string_equal(run(f, "ZRANGE z (2500 0 BYSCORE REV LIMIT 9999 5"), "*1\r\n$2\r\nm0\r\n");
    assert_int_equal(lines(run(f, "ZRANGEBYSCORE z 1 (501 LIMIT 100 1000")), 1 + 2 * 1000);
    assert_int_equal(integer(run(f, "ZREMRANGEBYSCORE z 250 (500")), 1000);
    assert_int_equal(integer(run(f, "ZREMRANGEBYRANK z 100 -101")), 8800);
    assert_string_equal(run(f, "ZPOPMAX z"), "*2\r\n$5\r\nm9999\r\n$7\r\n2499.75\r\n");
    assert_int_equal(integer(run(f, "ZRANK z m9900")), 100);
    fixture_assert_copied(f);
    assert_int_equal(integer(run(f, "ZREMRANGEBYRANK z 0 -1")), 199);
    assert_string_equal(run(f, "EXISTS z"), ":0\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void stored_and_combined(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fill(f, 3000);
    assert_int_equal(integer(run(f, "ZRANGESTORE part z 100 1099")), 1000);
    assert_int_equal(integer(run(f, "ZUNIONSTORE all 2 z part WEIGHTS 1 -1")), 3000);
    assert_int_equal(integer(run(f, "ZCOUNT all 0 0")), 1001); /* and m0 itself */
    assert_int_equal(integer(run(f, "ZDIFFSTORE rest 2 z part")), 2000);
    assert_int_equal(integer(run(f, "ZINTERCARD 2 z part LIMIT 700")), 700);
    assert_int_equal(integer(run(f, "ZINTERSTORE both 2 part rest")), 0);
    assert_int_equal(integer(run(f, "ZINTERSTORE both 2 part z AGGREGATE MAX")), 1000);
    assert_string_equal(run(f, "ZRANGE both -1 -1 WITHSCORES"), "*2\r\n$5\r\nm1099\r\n$6\r\n274.75\r\n");
    assert_int_equal(integer(run(f, "ZRANGESTORE few z 0 9 REV")), 10);
    assert_string_equal(run(f, "OBJECT ENCODING few"), "$8\r\nlistpack\r\n");
    assert_string_equal(run(f, "OBJECT ENCODING both"), "$8\r\nskiplist\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void random_members_are_different(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static const int counts[] = {1, 20, 260, 499, 500, 1000};
    fill(f, 500);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char command[64];
        bool seen[500] = {0};
        int n = 0;
        snprintf(command, sizeof command, "ZRANDMEMBER z %d", counts[i]);
        const char *at = strstr(run(f, command), "\r\n") + 2;
        for (; *at == '$'; at = strstr(strstr(at, "\r\n") + 2, "\r\n") + 2, n++) {
            int k = atoi(strstr(at, "\r\n") + 3);
            assert_false(seen[k]);
            seen[k] = true;
        }
        assert_int_equal(n, counts[i] < 500 ? counts[i] : 500);
    }
    assert_int_equal(lines(run(f, "ZRANDMEMBER z -700 WITHSCORES")), 1 + 2 * 1400);
    fixture_free(f);
}

static void a_walk_sees_every_member(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    bool seen[1000] = {0};
    char command[64], cursor[32] = "0";
    int calls = 0;
    fill(f, 1000);
    do {
        snprintf(command, sizeof command, "ZSCAN z %s COUNT 30", cursor);
        const char *at = strstr(strstr(run(f, command), "\r\n") + 2, "\r\n") + 2;
        snprintf(cursor, sizeof cursor, "%.*s", (int)strcspn(at, "\r"), at);
        at = strstr(strchr(at, '*'), "\r\n") + 2;
        while (*at == '$') {
            int k = atoi(strstr(at, "\r\n") + 3);
            at = strstr(strstr(at, "\r\n") + 2, "\r\n") + 2;
            assert_true(atof(strstr(at, "\r\n") + 2) == k / 4.);
            at = strstr(strstr(at, "\r\n") + 2, "\r\n") + 2;
            seen[k] = true;
        }
        calls++;
    } while (strcmp(cursor, "0") != 0);
    assert_true(calls > 10);
    for (int i = 0; i < 1000; i++)
        assert_true(seen[i]);
    fixture_free(f);
}

/* ---- the copy follows whatever is done ---- */

static void random_commands_are_followed(void **state)
{
    (void)state;
    static const char *const shapes[] = {"ZADD %s %d m%d",
                                         "ZADD %s XX GT %d m%d",
                                         "ZADD %s NX CH %d m%d 5 m5",
                                         "ZADD %s INCR %d.5 m%d",
                                         "ZINCRBY %s -%d m%d",
                                         "ZREM %s m%d m%d",
                                         "ZPOPMIN %s",
                                         "ZPOPMAX %s 3",
                                         "ZMPOP 2 none %s MAX COUNT %d0",
                                         "ZREMRANGEBYRANK %s -2 -1",
                                         "ZREMRANGEBYSCORE %s %d (%d",
                                         "ZRANGESTORE a %s %d 20",
                                         "ZUNIONSTORE b 2 a %s WEIGHTS %d 2",
                                         "ZINTERSTORE c 2 %s a",
                                         "ZDIFFSTORE a 2 b %s",
                                         "SADD s%s %d m%d",
                                         "SMOVE s%s sa m%d",
                                         "SPOP s%s",
                                         "SPOP s%s %d",
                                         "SUNIONSTORE sb s%s sa",
                                         "SDIFFSTORE sc s%s sb",
                                         "SREM s%s %d",
                                         "BZPOPMIN %s 1",
                                         "BZMPOP 1 2 %s a MIN",
                                         "CONFIG SET zset-max-listpack-entries 128"};
    struct fixture *f = fixture_new();
    struct rng rng;
    rng_seed(&rng, 31);
    run(f, "ZADD a 1 m1"); /* BZPOPMIN must not wait in this test: keys are there or come */
    for (int i = 0; i < 20000; i++) {
        char command[96];
        const char *key = (const char *[]){"a", "b", "c"}[rng_below(&rng, 3)];
        int x = (int)rng_below(&rng, 30), y = (int)rng_below(&rng, 300);
        const char *shape = shapes[rng_below(&rng, sizeof shapes / sizeof shapes[0])];
        if (shape[0] == 'B' && integer(run(f, "EXISTS a")) == 0)
            run(f, "ZADD a 3 m3");
        if (strncmp(shape, "BZPOP", 5) == 0)
            key = "a";
        snprintf(command, sizeof command, shape, key, x, y);
        run(f, command);
        assert_int_equal(f->clients[0].ran, ND_RAN);
        if (i % 1000 == 0)
            fixture_assert_copied(f);
    }
    fixture_assert_copied(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(ranges),
        cmocka_unit_test(from_the_ends),
        cmocka_unit_test(several_sorted_sets),
        cmocka_unit_test(the_first_who_waits_is_served_first),
        cmocka_unit_test(only_a_sorted_set_wakes),
        cmocka_unit_test(waiting_ends),
        cmocka_unit_test(served_in_resp3),
        cmocka_unit_test(ranks_of_many),
        cmocka_unit_test(stored_and_combined),
        cmocka_unit_test(random_members_are_different),
        cmocka_unit_test(a_walk_sees_every_member),
        cmocka_unit_test(random_commands_are_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
