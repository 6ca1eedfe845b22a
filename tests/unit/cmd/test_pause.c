#include "noded/cmd/pause.h"

#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_postponed(struct client *c, const char *command)
{
    c->resumes = 0;
    assert_string_equal(client_run(c, command), "");
    assert_int_equal(c->ran, ND_POSTPONED);
}

static void writes_wait_for_the_end_of_a_pause(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *c = fixture_client(f), *gone = fixture_client(f);
    run(f, "SET soon 1 PX 50");
    nd_pause(f->e, f->unix_ms + 100, false);
    assert_string_equal(run(f, "GET k"), "$-1\r\n");
    assert_postponed(c, "SET k 1");
    assert_postponed(gone, "PUBLISH a b");
    assert_string_equal(run(f, "MULTI"), "+OK\r\n");
    assert_postponed(&f->clients[0], "SET k 1"); /* Redis lets even what would only be queued wait */
    assert_string_equal(run(f, "GET k"), "+QUEUED\r\n");
    assert_string_equal(run(f, "EXEC"), "*1\r\n$-1\r\n");
    client_close(gone);
    assert_int_equal(f->e->postponed, 1);
    /* Nothing changes meanwhile, also not by itself. */
    fixture_effects(f);
    fixture_forward_ms(f, 60);
    assert_string_equal(run(f, "GET soon"), "$-1\r\n");
    assert_string_equal(run(f, "DBSIZE"), ":1\r\n");
    assert_string_equal(fixture_effects(f), "");
    assert_true(nd_engine_deadline(f->e) <= f->e->now_us + 40000);
    fixture_forward_ms(f, 40);
    assert_int_equal(c->resumes, 1);
    assert_string_equal(client_run(c, "SET k 1"), "+OK\r\n");
    assert_int_equal(c->ran, ND_RAN);
    fixture_forward_ms(f, 100);
    assert_string_equal(run(f, "DBSIZE"), ":1\r\n");
    fixture_free(f);
}

static void a_pause_of_all(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *c = fixture_client(f);
    nd_pause(f->e, f->unix_ms + 100, true);
    assert_postponed(c, "GET k");
    assert_postponed(c, "PING");
    assert_string_equal(client_run(c, "NOSUCH"), "-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
    /* Another one neither shortens nor weakens it. */
    nd_pause(f->e, f->unix_ms + 10, false);
    fixture_forward_ms(f, 20);
    assert_postponed(c, "PING");
    nd_pause(f->e, f->unix_ms + 1000, false);
    fixture_forward_ms(f, 500);
    assert_postponed(c, "PING");
    nd_unpause(f->e);
    assert_int_equal(c->resumes, 1);
    assert_string_equal(client_run(c, "PING"), "+PONG\r\n");
    assert_int_equal(f->e->postponed, 0);
    fixture_free(f);
}

static void who_touches_a_locked_key_waits(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *c = fixture_client(f);
    nd_lock_key(f->e, slice_of("k"));
    nd_lock_key(f->e, slice_of("k"));
    nd_lock_key(f->e, slice_of("other"));
    static const char *const waiting[] = {
        "GET k",      "SET k 1",           "MGET a b k",   "SORT l STORE k", "ZUNION 2 a k",      "RENAME a k",
        "SWAPDB 0 1", "FLUSHALL",          "FLUSHDB",      "BLPOP a b k 0",  "OBJECT ENCODING k", "LMPOP 2 a k LEFT",
        "COPY a k",   "ZUNIONSTORE k 1 a", "MSET a 1 k 2", "EXISTS other",   "SINTERCARD 1 k",
    };
    static const char *const running[] = {"GET a", "SET a 1", "PING", "KEYS *", "SCAN 0", "MSET a k", "DBSIZE"};
    for (size_t i = 0; i < sizeof waiting / sizeof waiting[0]; i++)
        assert_postponed(c, waiting[i]);
    for (size_t i = 0; i < sizeof running / sizeof running[0]; i++) {
        client_run(c, running[i]);
        assert_int_equal(c->ran, ND_RAN);
    }
    /* A transaction waits as a whole. */
    run(f, "MULTI");
    assert_string_equal(run(f, "SET k 1"), "+QUEUED\r\n");
    assert_postponed(&f->clients[0], "EXEC");
    nd_unlock_key(f->e, slice_of("k"));
    assert_postponed(&f->clients[0], "EXEC");
    assert_postponed(c, "GET k");
    nd_unlock_key(f->e, slice_of("other"));
    assert_postponed(c, "GET k");
    nd_unlock_key(f->e, slice_of("k"));
    assert_int_equal(c->resumes, 1);
    assert_string_equal(run(f, "EXEC"), "*1\r\n+OK\r\n");
    assert_string_equal(client_run(c, "GET k"), "$1\r\n1\r\n");
    assert_int_equal(f->e->postponed, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_wait_for_the_end_of_a_pause),
        cmocka_unit_test(a_pause_of_all),
        cmocka_unit_test(who_touches_a_locked_key_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
