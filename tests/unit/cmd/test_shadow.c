/* Commands in shadow databases, which no client reaches, and swaps of databases with an epoch. */
#include "noded/cmd/database.h"

#include "tests/unit/cmd/engine_fixture.h"

#include "noded/cmd/run.h"
#include "noded/store/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fixture *node(bool cluster)
{
    struct nd_config config;
    nd_config_init(&config);
    config.cluster_enabled = cluster;
    struct fixture *f = fixture_new_with(&config);
    nd_config_free(&config);
    return f;
}

/* A session as that of a stream, but with answers. */
struct master {
    struct fixture *f;
    struct nd_session *s;
};

static const char *say(struct master *m, const char *text)
{
    static char answer[256];
    char words[128];
    struct slice argv[8];
    size_t argc = 0;
    snprintf(words, sizeof words, "%s", text);
    for (char *at = words; *at != '\0';) {
        size_t n = strcspn(at, " ");
        argv[argc++] = (struct slice){at, n};
        at += n + (at[n] == ' ');
    }
    nd_session_run(m->s, argc, argv);
    snprintf(answer, sizeof answer, "%s", buf_str(&m->f->e->dropped));
    return answer;
}

static struct master master_of(struct fixture *f)
{
    return (struct master){.f = f, .s = nd_session_new(f->e, ND_MASTER, NULL, NULL)};
}

struct step {
    const char *request, *answer, *effects;
};

static void follow(struct master *m, const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fixture_effects(m->f);
        const char *answer = say(m, steps[i].request);
        if (strcmp(answer, steps[i].answer) != 0)
            fail_msg("%s answers %s instead of %s", steps[i].request, answer, steps[i].answer);
        const char *effects = fixture_effects(m->f);
        if (strcmp(effects, steps[i].effects) != 0)
            fail_msg("%s has the effects %s instead of %s", steps[i].request, effects, steps[i].effects);
    }
}

#define RANGE "-ERR DB index is out of range\r\n"

static void numbers_in_a_shadow(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SELECT 32", RANGE, ""},
        {"SELECT -1", RANGE, ""},
        {"SELECT 31", "+OK\r\n", ""},
        {"SET k 1", "+OK\r\n", "31 SET k 1\n"},
        {"MOVE k 3", ":1\r\n", "31 MOVE k 3\n"},
        {"MOVE k 16", RANGE, ""},
        {"SELECT 19", "+OK\r\n", ""},
        {"GET k", "$1\r\n1\r\n", ""},
        {"COPY k k DB 0", ":1\r\n", "19 COPY k k DB 0\n"},
        {"COPY k k DB 16", RANGE, ""},
        {"MOVE k 3", "-ERR source and destination objects are the same\r\n", ""},
        {"SELECT 16", "+OK\r\n", ""},
        {"GET k", "$1\r\n1\r\n", ""},
        {"SELECT 3", "+OK\r\n", ""},
        {"EXISTS k", ":0\r\n", ""},
        {"MOVE k 16", RANGE, ""},
    };
    struct fixture *f = node(true);
    struct master m = master_of(f);
    follow(&m, steps, sizeof steps / sizeof *steps);
    nd_session_free(m.s);
    fixture_free(f);
}

/* Whatever a client says, it neither comes into a shadow nor sees that there is something in one. */
static void no_client_sees_it(void **state)
{
    (void)state;
    static const char *const ways[] = {"SELECT 19", "SELECT 31", "MOVE seen 19", "COPY seen k DB 19"};
    struct fixture *f = node(true);
    struct master m = master_of(f);
    run(f, "SET seen 1");
    run(f, "CONFIG SET notify-keyspace-events KEA");
    struct client *listener = fixture_client(f);
    client_run(listener, "PSUBSCRIBE *");
    client_read(listener);
    say(&m, "SELECT 19");
    say(&m, "SET k 1 PXAT 1000");
    say(&m, "RPUSH l a");
    say(&m, "DEL l");
    assert_string_equal(client_read(listener), "");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        assert_string_equal(run(f, ways[i]), RANGE);
    assert_string_equal(run(f, "SELECT 3"), "+OK\r\n");
    assert_string_equal(run(f, "DBSIZE"), ":0\r\n");
    assert_string_equal(run(f, "RANDOMKEY"), "$-1\r\n");
    assert_null(strstr(run(f, "INFO keyspace"), "db3"));
    assert_string_equal(run(f, "FLUSHALL"), "+OK\r\n");
    fixture_forward_ms(f, 10000);
    /* Neither is it expired, though its time is over: whose it still is says when it goes. */
    assert_int_equal(nd_db_count(nd_keyspace_shadow(&f->e->keys, 3)), 1);
    fixture_effects(f);
    assert_string_equal(say(&m, "GET k"), "$1\r\n1\r\n");
    assert_string_equal(say(&m, "PEXPIREAT k 2000"), ":1\r\n");
    assert_string_equal(say(&m, "APPEND k 2"), ":2\r\n");
    assert_string_equal(fixture_effects(f), "19 PEXPIREAT k 2000\n19 APPEND k 2\n");
    nd_session_free(m.s);
    fixture_free(f);
}

/* Nor its number, where somebody works in it. */
static void its_number_is_shown_as_the_seen_one(void **state)
{
    (void)state;
    struct fixture *f = node(true);
    struct client *works = fixture_client(f), *looks = fixture_client(f);
    works->s->db = nd_keyspace_shadow(&f->e->keys, 3);
    client_run(looks, "MONITOR");
    client_read(looks);
    client_run(works, "SET a 1");
    const char *line = client_read(looks);
    if (strstr(line, " [3 ") == NULL)
        fail_msg("MONITOR: %s", line);
    line = run(f, "CLIENT LIST");
    assert_non_null(strstr(line, " db=3 "));
    assert_null(strstr(line, " db=19 "));
    fixture_free(f);
}

static void outside_of_a_cluster_there_are_none(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SELECT 16", RANGE, ""},
        {"SWAPDB 0 1 EPOCH 1", "-ERR wrong number of arguments for 'swapdb' command\r\n", ""},
        {"SWAPDB 0 1", "+OK\r\n", "0 SWAPDB 0 1\n"},
    };
    struct fixture *f = node(false);
    struct master m = master_of(f);
    follow(&m, steps, sizeof steps / sizeof *steps);
    assert_string_equal(run(f, "SWAPDB 0 1 EPOCH 1"), "-ERR wrong number of arguments for 'swapdb' command\r\n");
    assert_null(strstr(run(f, "INFO cluster"), "db_mapping_epoch"));
    nd_session_free(m.s);
    fixture_free(f);
}

/* ---- the mapping ---- */

static void only_the_next_epoch_is_taken(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SET a 1", "+OK\r\n", "0 SET a 1\n"},
        {"SELECT 17", "+OK\r\n", ""},
        {"SET b 1", "+OK\r\n", "17 SET b 1\n"},
        {"SELECT 0", "+OK\r\n", ""},
        {"SWAPDB 0 1 EPOCH 1", "+OK\r\n", "0 SWAPDB 0 1 EPOCH 1\n"},
        {"EXISTS a", ":0\r\n", ""},
        {"SWAPDB 0 1 EPOCH 1", "+OK\r\n", ""},
        {"SWAPDB 0 1 EPOCH 0", "+OK\r\n", ""},
        {"SWAPDB 0 1 EPOCH 3", "-ERR the databases are mapped as of epoch 1, and 3 is not the next\r\n", ""},
        {"SWAPDB 0 1 EPOCH x", "-ERR invalid EPOCH\r\n", ""},
        {"SWAPDB 0 1 EPOCH", "-ERR wrong number of arguments for 'swapdb' command\r\n", ""},
        {"SWAPDB 0 1 OTHER 2", "-ERR wrong number of arguments for 'swapdb' command\r\n", ""},
        {"SWAPDB 0 16 EPOCH 2", RANGE, ""},
        {"SELECT 16", "+OK\r\n", ""},
        {"EXISTS b", ":1\r\n", ""},
        {"SELECT 1", "+OK\r\n", ""},
        {"EXISTS a", ":1\r\n", ""},
        {"SWAPDB 3 3 EPOCH 2", "+OK\r\n", "1 SWAPDB 3 3 EPOCH 2\n"},
    };
    struct fixture *f = node(true);
    struct master m = master_of(f);
    follow(&m, steps, sizeof steps / sizeof *steps);
    assert_non_null(strstr(run(f, "INFO cluster"), "db_mapping_epoch:2\r\n"));
    assert_int_equal(f->copy->keys.mapping_epoch, 2);
    assert_int_equal(nd_db_count(nd_keyspace_db(&f->copy->keys, 16)), 1);
    assert_string_equal(run(f, "SWAPDB 0 1 EPOCH 3"), "-ERR wrong number of arguments for 'swapdb' command\r\n");
    assert_string_equal(run(f, "FLUSHALL"), "+OK\r\n");
    assert_int_equal(f->e->keys.mapping_epoch, 2);
    nd_session_free(m.s);
    fixture_free(f);
}

/* Done by the program itself: clients that watch or wait are told as by a SWAPDB of a client. */
static void a_swap_of_the_cluster(void **state)
{
    (void)state;
    struct fixture *f = node(true);
    struct client *waits = fixture_client(f), *watches = fixture_client(f);
    run(f, "SELECT 7");
    run(f, "RPUSH l x");
    client_run(waits, "SELECT 2");
    client_run(waits, "BLPOP l 0");
    client_run(watches, "SELECT 7");
    client_run(watches, "WATCH l");
    client_run(watches, "MULTI");
    client_read(waits);
    fixture_effects(f);
    assert_false(nd_swapdb_epoch(f->e, 2, 7, 2));
    assert_false(nd_swapdb_epoch(f->e, 2, 16, 1));
    assert_false(nd_swapdb_epoch(f->e, -1, 2, 1));
    assert_string_equal(fixture_effects(f), "");
    int64_t changes = f->e->changes;
    assert_true(nd_swapdb_epoch(f->e, 2, 7, 1));
    assert_true(f->e->changes > changes);
    assert_string_equal(fixture_effects(f), "0 SWAPDB 2 7 EPOCH 1\n2 LPOP l\n");
    assert_string_equal(client_read(waits), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
    assert_string_equal(client_run(watches, "EXEC"), "*-1\r\n");
    assert_true(nd_swapdb_epoch(f->e, 2, 7, 1));
    assert_string_equal(fixture_effects(f), "");
    fixture_assert_copied(f);
    assert_int_equal(f->copy->keys.mapping_epoch, 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_a_shadow),          cmocka_unit_test(no_client_sees_it),
        cmocka_unit_test(only_the_next_epoch_is_taken), cmocka_unit_test(outside_of_a_cluster_there_are_none),
        cmocka_unit_test(a_swap_of_the_cluster),        cmocka_unit_test(its_number_is_shown_as_the_seen_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
