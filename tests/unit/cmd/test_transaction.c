#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void commands_are_queued_and_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(run(f, "MULTI"), "+OK\r\n");
    assert_string_equal(run(f, "SET a 1"), "+QUEUED\r\n");
    assert_string_equal(run(f, "INCR a"), "+QUEUED\r\n");
    assert_string_equal(run(f, "LPUSH a x"), "+QUEUED\r\n");
    assert_string_equal(run(f, "GET a"), "+QUEUED\r\n");
    assert_string_equal(fixture_effects(f), "");
    assert_string_equal(run(f, "EXEC"),
                        "*4\r\n+OK\r\n:2\r\n"
                        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$1\r\n2\r\n");
    assert_string_equal(fixture_effects(f), "{\n0 SET a 1\n0 INCR a\n}\n");
    assert_string_equal(run(f, "EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_string_equal(run(f, "MULTI"), "+OK\r\n");
    assert_string_equal(run(f, "EXEC"), "*0\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void one_change_is_no_transaction_of_effects(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MULTI");
    run(f, "GET a");
    run(f, "SET a 1");
    assert_string_equal(run(f, "EXEC"), "*2\r\n$-1\r\n+OK\r\n");
    assert_string_equal(fixture_effects(f), "0 SET a 1\n");
    run(f, "MULTI");
    run(f, "GET a");
    run(f, "EXEC");
    assert_string_equal(fixture_effects(f), "");
    fixture_free(f);
}

static void select_inside_counts_from_there_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MULTI");
    run(f, "SET a 1");
    run(f, "SELECT 3");
    run(f, "SET b 2");
    assert_string_equal(run(f, "EXEC"), "*3\r\n+OK\r\n+OK\r\n+OK\r\n");
    assert_string_equal(fixture_effects(f), "{\n0 SET a 1\n3 SET b 2\n}\n");
    assert_string_equal(run(f, "GET b"), "$1\r\n2\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void what_is_refused_spoils_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MULTI");
    run(f, "SET a 1");
    assert_string_equal(run(f, "NOSUCH x"), "-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n");
    assert_string_equal(run(f, "SET b 1"), "+QUEUED\r\n");
    assert_string_equal(run(f, "EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_string_equal(run(f, "EXISTS a b"), ":0\r\n");
    run(f, "MULTI");
    assert_string_equal(run(f, "GET"), "-ERR wrong number of arguments for 'get' command\r\n");
    assert_string_equal(run(f, "DISCARD"), "+OK\r\n");
    assert_string_equal(run(f, "DISCARD"), "-ERR DISCARD without MULTI\r\n");
    assert_string_equal(
        run(f, "EXEC 1"),
        "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n");
    /* These are run at once and are no reason to give up. */
    run(f, "MULTI");
    assert_string_equal(run(f, "MULTI"), "-ERR MULTI calls can not be nested\r\n");
    assert_string_equal(run(f, "WATCH a"), "-ERR WATCH inside MULTI is not allowed\r\n");
    assert_string_equal(run(f, "UNWATCH"), "+QUEUED\r\n");
    assert_string_equal(run(f, "EXEC"), "*1\r\n+OK\r\n");
    fixture_free(f);
}

/* MULTI, SET mine, EXEC of the first client; true: it was run. */
static bool transaction_runs(struct fixture *f)
{
    run(f, "MULTI");
    run(f, "SET mine 1");
    const char *answer = run(f, "EXEC");
    bool ran = strcmp(answer, "*1\r\n+OK\r\n") == 0;
    if (!ran)
        assert_string_equal(answer, "*-1\r\n");
    return ran;
}

static void a_watched_key_that_changed(void **state)
{
    (void)state;
    static const struct {
        const char *watch, *change;
        bool runs;
    } cases[] = {
        {"WATCH k", "SET k 2", false},
        {"WATCH k", "GET k", true},
        {"WATCH k", "SET other 1", true},
        {"WATCH k", "SET k 1", false},
        {"WATCH k", "DEL k", false},
        {"WATCH k", "EXPIRE k 100", false},
        {"WATCH k", "EXPIRE k 100 XX", true},
        {"WATCH k", "RENAME k other", false},
        {"WATCH k", "RENAME l k", false},
        {"WATCH k", "MOVE k 1", false},
        {"WATCH k", "FLUSHDB", false},
        {"WATCH k", "FLUSHALL ASYNC", false},
        {"WATCH none", "FLUSHALL", true},
        {"WATCH none", "SET none 1", false},
        {"WATCH none", "DEL none", true},
        {"WATCH none", "COPY k none", false},
        {"WATCH k", "SWAPDB 0 1", false},
        {"WATCH k", "SWAPDB 1 2", true},
        {"WATCH k", "SWAPDB 0 0", true},
        {"WATCH none", "SWAPDB 0 1", true},
        {"WATCH none k l", "LPUSH l 1", false},
        {"WATCH none none", "LPUSH l 1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_new();
        struct client *other = fixture_client(f);
        run(f, "SET k 1");
        run(f, "RPUSH l a");
        assert_string_equal(run(f, cases[i].watch), "+OK\r\n");
        client_run(other, cases[i].change);
        if (transaction_runs(f) != cases[i].runs)
            fail_msg("%s, %s: should %s", cases[i].watch, cases[i].change, cases[i].runs ? "run" : "not run");
        assert_int_equal(f->clients[0].s->watched, 0);
        assert_true(transaction_runs(f)); /* whatever came, it is over */
        fixture_assert_copied(f);
        fixture_free(f);
    }
}

static void an_own_change_counts_too_and_unwatch_forgives(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "WATCH k");
    run(f, "SET k 1");
    assert_false(transaction_runs(f));
    run(f, "WATCH k");
    run(f, "SET k 2");
    assert_string_equal(run(f, "UNWATCH"), "+OK\r\n");
    assert_true(transaction_runs(f));
    run(f, "WATCH k");
    run(f, "SET k 2");
    run(f, "MULTI");
    run(f, "DISCARD");
    assert_true(transaction_runs(f));
    /* A key of another database is another key. */
    run(f, "WATCH k");
    run(f, "SELECT 1");
    run(f, "SET k 3");
    run(f, "SELECT 0");
    assert_true(transaction_runs(f));
    fixture_free(f);
}

static void a_watched_key_that_expires(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    /* Its time is over before EXEC, whether or not somebody has looked. */
    run(f, "SET k 1 PX 100");
    run(f, "WATCH k");
    f->unix_ms += 101;
    assert_false(transaction_runs(f));
    /* It was over before WATCH: that it goes is no change. */
    f->e->active_expire = false;
    run(f, "SET k 1 PX 100");
    f->unix_ms += 101;
    run(f, "WATCH k");
    run(f, "GET k");
    assert_true(transaction_runs(f));
    run(f, "SET k 1 PX 100");
    f->unix_ms += 101;
    run(f, "WATCH k");
    run(f, "SET k 2");
    assert_false(transaction_runs(f));
    run(f, "SET k 1 PX 100");
    f->unix_ms += 101;
    run(f, "WATCH k");
    run(f, "FLUSHALL");
    assert_true(transaction_runs(f));
    /* SWAPDB brings an expired key: still none to be seen. */
    run(f, "SET k 1 PX 100");
    run(f, "SELECT 1");
    run(f, "WATCH k");
    f->unix_ms += 101;
    run(f, "SWAPDB 0 1");
    assert_true(transaction_runs(f));
    fixture_assert_copied(f);
    fixture_free(f);
}

static void a_client_that_goes_leaves_no_watch(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *other = fixture_client(f);
    client_run(other, "WATCH a b c");
    run(f, "WATCH b");
    client_run(other, "MULTI");
    client_run(other, "SET a 1");
    client_close(other);
    run(f, "SET a 1");
    assert_true(transaction_runs(f));
    fixture_free(f);
}

static void the_clock_stands_still_inside(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET k 1 PX 100");
    run(f, "MULTI");
    run(f, "PTTL k");
    run(f, "PTTL k");
    f->unix_ms += 40;
    assert_string_equal(run(f, "EXEC"), "*2\r\n:60\r\n:60\r\n");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_queued_and_run),
        cmocka_unit_test(one_change_is_no_transaction_of_effects),
        cmocka_unit_test(select_inside_counts_from_there_on),
        cmocka_unit_test(what_is_refused_spoils_it),
        cmocka_unit_test(a_watched_key_that_changed),
        cmocka_unit_test(an_own_change_counts_too_and_unwatch_forgives),
        cmocka_unit_test(a_watched_key_that_expires),
        cmocka_unit_test(a_client_that_goes_leaves_no_watch),
        cmocka_unit_test(the_clock_stands_still_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
