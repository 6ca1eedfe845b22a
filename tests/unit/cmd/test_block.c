#include "noded/cmd/block.h"

#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct client *blocked(struct fixture *f, const char *command)
{
    struct client *c = fixture_client(f);
    assert_string_equal(client_run(c, command), "");
    assert_int_equal(c->ran, ND_BLOCKED);
    return c;
}

static void assert_served(struct client *c, const char *answer)
{
    assert_string_equal(client_read(c), answer);
    assert_int_equal(c->resumes, 1);
    assert_null(c->s->waiting);
    c->resumes = 0;
}

static void assert_waits(struct client *c)
{
    assert_string_equal(client_read(c), "");
    assert_int_equal(c->resumes, 0);
    assert_non_null(c->s->waiting);
}

static void first_come_first_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *a = blocked(f, "BLPOP l 0"), *b = blocked(f, "BRPOP x l 0"), *c = blocked(f, "BLPOP l 0");
    assert_int_equal(f->e->waits->blocked, 3);
    assert_string_equal(run(f, "RPUSH l 1 2"), ":2\r\n");
    assert_served(a, "*2\r\n$1\r\nl\r\n$1\r\n1\r\n");
    assert_served(b, "*2\r\n$1\r\nl\r\n$1\r\n2\r\n");
    assert_waits(c);
    assert_string_equal(fixture_effects(f), "0 RPUSH l 1 2\n0 LPOP l\n0 RPOP l\n");
    assert_string_equal(run(f, "EXISTS l"), ":0\r\n");
    run(f, "RPUSH x 1");
    assert_waits(c);
    run(f, "RPUSH l 3 4 5");
    assert_served(c, "*2\r\n$1\r\nl\r\n$1\r\n3\r\n");
    assert_string_equal(run(f, "LRANGE l 0 -1"), "*2\r\n$1\r\n4\r\n$1\r\n5\r\n");
    assert_int_equal(f->e->waits->blocked, 0);
    assert_int_equal(f->e->waits->keys.used, 0);
    fixture_assert_copied(f);
    fixture_free(f);
}

static void chains_are_served_to_their_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *last = blocked(f, "BLPOP d 0"), *third = blocked(f, "BLMOVE c d LEFT RIGHT 0"),
                  *second = blocked(f, "BLMOVE b c LEFT RIGHT 0"), *first = blocked(f, "BRPOPLPUSH a b 0");
    run(f, "LPUSH a v");
    assert_served(first, "$1\r\nv\r\n");
    assert_served(second, "$1\r\nv\r\n");
    assert_served(third, "$1\r\nv\r\n");
    assert_served(last, "*2\r\n$1\r\nd\r\n$1\r\nv\r\n");
    assert_string_equal(run(f, "DBSIZE"), ":0\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void a_transaction_is_over_before_anybody_is_served(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *a = blocked(f, "BLPOP l 0");
    run(f, "MULTI");
    run(f, "LPUSH l 1");
    run(f, "DEL l");
    assert_string_equal(run(f, "EXEC"), "*2\r\n:1\r\n:1\r\n");
    assert_waits(a);
    run(f, "MULTI");
    run(f, "LPUSH l 1");
    run(f, "LPUSH l 2");
    run(f, "LLEN l");
    fixture_effects(f);
    assert_string_equal(run(f, "EXEC"), "*3\r\n:1\r\n:2\r\n:2\r\n");
    assert_served(a, "*2\r\n$1\r\nl\r\n$1\r\n2\r\n");
    assert_string_equal(fixture_effects(f), "{\n0 LPUSH l 1\n0 LPUSH l 2\n}\n0 LPOP l\n");
    /* Inside of a transaction nobody waits. */
    run(f, "DEL l");
    run(f, "MULTI");
    run(f, "BLPOP l 0");
    assert_string_equal(run(f, "EXEC"), "*1\r\n*-1\r\n");
    fixture_free(f);
}

static void the_type_of_the_key_decides(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *list = blocked(f, "BLPOP k 0"), *zset = blocked(f, "BZPOPMIN k 0");
    run(f, "SET k 1");
    run(f, "DEL k");
    assert_waits(list);
    run(f, "ZADD k 1 m");
    assert_waits(list);
    assert_served(zset, "*3\r\n$1\r\nk\r\n$1\r\nm\r\n$1\r\n1\r\n");
    run(f, "LPUSH k v");
    assert_served(list, "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    /* The place where the element is to go has another type: an answer too. */
    run(f, "SET d 1");
    struct client *move = blocked(f, "BLMOVE k d LEFT LEFT 0");
    run(f, "LPUSH k v");
    assert_served(move, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_string_equal(run(f, "LLEN k"), ":1\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void keys_get_ready_in_many_ways(void **state)
{
    (void)state;
    static const char *const ways[][3] = {
        {"RPUSH other v", "RENAME other k", NULL},
        {"RPUSH other v", "COPY other k", NULL},
        {"SELECT 1", "RPUSH k v", "MOVE k 0"},
        {"SELECT 1", "RPUSH k v", "SWAPDB 0 1"},
        {"RPUSH other v", "LMOVE other k LEFT LEFT", NULL},
        {"SELECT 1", "RPUSH o v", "COPY o k DB 0"},
        {"RPUSH other v", "SORT other ALPHA STORE k", NULL},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct fixture *f = fixture_new();
        struct client *c = blocked(f, "BLPOP k 0");
        for (size_t j = 0; j < 3 && ways[i][j] != NULL; j++) {
            assert_waits(c);
            run(f, ways[i][j]);
        }
        assert_served(c, "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
        fixture_assert_copied(f);
        fixture_free(f);
    }
}

static void another_database_is_another_key(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *zero = blocked(f, "BLPOP k 0"), *one = fixture_client(f);
    client_run(one, "SELECT 1");
    client_run(one, "BLPOP k 0");
    run(f, "SELECT 1");
    run(f, "RPUSH k a b");
    assert_served(one, "*2\r\n$1\r\nk\r\n$1\r\na\r\n");
    assert_waits(zero);
    run(f, "SWAPDB 0 1");
    assert_served(zero, "*2\r\n$1\r\nk\r\n$1\r\nb\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void time_runs_out(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *late = blocked(f, "BLPOP a 2.5"), *soon = blocked(f, "BLMOVE a b LEFT LEFT 0.1"),
                  *never = blocked(f, "BZPOPMAX a b 0");
    assert_int_equal(nd_waits_deadline(f->e), f->e->now_us + 100 * 1000);
    fixture_forward_ms(f, 99);
    assert_waits(soon);
    fixture_forward_ms(f, 1);
    assert_served(soon, "*-1\r\n");
    assert_waits(late);
    fixture_forward_ms(f, 2400);
    assert_served(late, "*-1\r\n");
    fixture_forward_ms(f, 1000 * 1000);
    assert_waits(never);
    /* Served before its time: nothing is left that could fire. */
    struct client *c = blocked(f, "BLPOP q 1");
    run(f, "RPUSH q 1");
    assert_served(c, "*2\r\n$1\r\nq\r\n$1\r\n1\r\n");
    fixture_forward_ms(f, 5000);
    assert_string_equal(client_read(c), "");
    fixture_free(f);
}

static void who_goes_away_is_forgotten(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *gone = blocked(f, "BLPOP a b a 10"), *stays = blocked(f, "BLPOP b a 0");
    client_close(gone);
    run(f, "RPUSH a 1");
    assert_served(stays, "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    fixture_forward_ms(f, 20000);
    assert_int_equal(f->e->waits->keys.used, 0);
    fixture_free(f);
}

static void unblocked_from_outside(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *a = blocked(f, "BLPOP a 0"), *b = blocked(f, "BZMPOP 0 1 a MIN");
    char command[64];
    snprintf(command, sizeof command, "CLIENT UNBLOCK %llu", (unsigned long long)a->s->id);
    assert_string_equal(run(f, command), ":1\r\n");
    assert_served(a, "*-1\r\n");
    assert_string_equal(run(f, command), ":0\r\n");
    snprintf(command, sizeof command, "CLIENT UNBLOCK %llu ERROR", (unsigned long long)b->s->id);
    assert_string_equal(run(f, command), ":1\r\n");
    assert_served(b, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    fixture_free(f);
}

static void calls_are_counted_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    size_t blpop = nd_command_number(f->e, nd_command_find(f->e, &(struct slice){"blpop", 5}, 1, NULL));
    struct client *c = blocked(f, "BLPOP a 0");
    assert_int_equal(f->e->stats.by_command[blpop].calls, 0);
    run(f, "LPUSH a 1");
    assert_served(c, "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    assert_int_equal(f->e->stats.by_command[blpop].calls, 1);
    fixture_free(f);
}

/* Many clients and keys at random: nobody is forgotten, and order within a key holds. */
static void a_crowd(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct rng rng;
    rng_seed(&rng, 7);
    struct client *crowd[40];
    for (size_t i = 0; i < 40; i++)
        crowd[i] = fixture_client(f);
    for (int round = 0; round < 20000; round++) {
        struct client *c = crowd[rng_below(&rng, 40)];
        char command[128];
        int key = (int)rng_below(&rng, 5), other = (int)rng_below(&rng, 5);
        switch (rng_below(&rng, 7)) {
        case 0: snprintf(command, sizeof command, "BLPOP l%d l%d 1", key, other); break;
        case 1: snprintf(command, sizeof command, "BLMOVE l%d l%d LEFT RIGHT 1", key, other); break;
        case 2: snprintf(command, sizeof command, "RPUSH l%d %d", key, round); break;
        case 3: snprintf(command, sizeof command, "RENAME l%d l%d", key, other); break;
        case 4: snprintf(command, sizeof command, "DEL l%d", key); break;
        case 5: snprintf(command, sizeof command, "SWAPDB 0 1"); break;
        default: snprintf(command, sizeof command, "RPUSH l%d %d %d", key, round, round); break;
        }
        if (c->s->waiting == NULL)
            client_run(c, command);
        if (round % 64 == 0)
            fixture_forward_ms(f, 300);
        /* Whoever waits has reason to: the key is not a list. */
        for (size_t i = 0; i < 40; i++)
            client_read(crowd[i]);
        for (int k = 0; k < 5 && f->e->waits->blocked > 0; k++) {
            char name[16];
            snprintf(name, sizeof name, "l%d", k);
            if (map_gets(&f->e->waits->keys, name) != NULL)
                assert_null(nd_db_find(nd_keyspace_db(&f->e->keys, 0), slice_of(name)));
        }
    }
    fixture_forward_ms(f, 2000);
    assert_int_equal(f->e->waits->blocked, 0);
    assert_int_equal(f->e->waits->keys.used, 0);
    fixture_assert_copied(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(chains_are_served_to_their_end),
        cmocka_unit_test(a_transaction_is_over_before_anybody_is_served),
        cmocka_unit_test(the_type_of_the_key_decides),
        cmocka_unit_test(keys_get_ready_in_many_ways),
        cmocka_unit_test(another_database_is_another_key),
        cmocka_unit_test(time_runs_out),
        cmocka_unit_test(who_goes_away_is_forgotten),
        cmocka_unit_test(unblocked_from_outside),
        cmocka_unit_test(calls_are_counted_once),
        cmocka_unit_test(a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
