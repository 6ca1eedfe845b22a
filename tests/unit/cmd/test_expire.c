#include "noded/cmd/expire.h"

#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_key_is_gone_when_its_time_is_over(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET k 1 PX 100");
    run(f, "HSET h f v");
    assert_string_equal(run(f, "PEXPIRE h 100"), ":1\r\n");
    fixture_effects(f);
    f->unix_ms += 100; /* the last millisecond is its own */
    assert_string_equal(run(f, "GET k"), "$1\r\n1\r\n");
    assert_string_equal(run(f, "PTTL k"), ":0\r\n");
    f->unix_ms += 1;
    assert_string_equal(run(f, "GET k"), "$-1\r\n");
    assert_string_equal(fixture_effects(f), "0 DEL k\n");
    assert_string_equal(run(f, "HSET h f w"), ":1\r\n");
    assert_string_equal(fixture_effects(f), "{\n0 DEL h\n0 HSET h f w\n}\n");
    assert_string_equal(run(f, "TTL h"), ":-1\r\n");
    assert_int_equal(f->e->stats.expired, 2);
    f->e->config.lazyfree_lazy_expire = true;
    run(f, "PEXPIRE h 1");
    fixture_effects(f);
    f->unix_ms += 2;
    assert_string_equal(run(f, "EXISTS h"), ":0\r\n");
    assert_string_equal(fixture_effects(f), "0 UNLINK h\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void commands_that_meet_expired_keys(void **state)
{
    (void)state;
    static const char *const asks[][2] = {
        {"KEYS *", "*1\r\n$1\r\nb\r\n"},
        {"SCAN 0 COUNT 100", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n"},
        {"RANDOMKEY", "$1\r\nb\r\n"},
        {"TYPE a", "+none\r\n"},
        {"DEL a", ":0\r\n"},
        {"UNLINK a b", ":1\r\n"},
        {"TOUCH a b", ":1\r\n"},
        {"RENAME a c", "-ERR no such key\r\n"},
        {"RENAMENX b a", ":1\r\n"},
        {"COPY b a", ":1\r\n"},
        {"COPY a b REPLACE", ":0\r\n"},
        {"MOVE a 1", ":0\r\n"},
        {"PERSIST a", ":0\r\n"},
        {"EXPIRE a 100", ":0\r\n"},
        {"TTL a", ":-2\r\n"},
        {"PEXPIRETIME a", ":-2\r\n"},
        {"SETNX a 1", ":1\r\n"},
        {"INCR a", ":1\r\n"},
        {"DBSIZE", ":2\r\n"},
    };
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct fixture *f = fixture_new();
        f->e->active_expire = false;
        run(f, "SET a 5 PX 10");
        run(f, "SET b 6");
        f->unix_ms += 11;
        assert_string_equal(run(f, asks[i][0]), asks[i][1]);
        fixture_assert_copied(f);
        fixture_free(f);
    }
}

static void times_to_live(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static const char *const steps[][3] = {
        /* command, answer, effect ("" none); now is 1700000000000 */
        {"SET k v", "+OK\r\n", "0 SET k v\n"},
        {"TTL k", ":-1\r\n", ""},
        {"EXPIRE k 100 XX", ":0\r\n", ""},
        {"EXPIRE k 100 GT", ":0\r\n", ""},
        {"EXPIRE k 100 LT", ":1\r\n", "0 PEXPIREAT k 1700000100000 LT\n"},
        {"EXPIRE k 200 LT", ":0\r\n", ""},
        {"EXPIRE k 100 LT", ":0\r\n", ""},
        {"EXPIRE k 100 NX", ":0\r\n", ""},
        {"EXPIRE k 200 XX GT", ":1\r\n", "0 PEXPIREAT k 1700000200000 XX GT\n"},
        {"EXPIRETIME k", ":1700000200\r\n", ""},
        {"PEXPIRE k 1500", ":1\r\n", "0 PEXPIREAT k 1700000001500\n"},
        {"TTL k", ":2\r\n", ""},
        {"PTTL k", ":1500\r\n", ""},
        {"PEXPIREAT k 1700000009999", ":1\r\n", "0 PEXPIREAT k 1700000009999\n"},
        {"PEXPIRETIME k", ":1700000009999\r\n", ""},
        {"EXPIREAT k 1700000009", ":1\r\n", "0 PEXPIREAT k 1700000009000\n"},
        {"PERSIST k", ":1\r\n", "0 PERSIST k\n"},
        {"PERSIST k", ":0\r\n", ""},
        {"EXPIRE k 1 FOO", "-ERR Unsupported option FOO\r\n", ""},
        {"EXPIRE k x", "-ERR value is not an integer or out of range\r\n", ""},
        {"EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n", ""},
        {"EXPIRE k -9223372036854775808", "-ERR invalid expire time in 'expire' command\r\n", ""},
        {"PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n", ""},
        {"EXPIRE k 1 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n", ""},
        {"EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n", ""},
        {"EXPIRE k 1000", ":1\r\n", "0 PEXPIREAT k 1700001000000\n"},
        {"EXPIREAT k 1 GT", ":0\r\n", ""},
        {"EXPIRE k 0", ":1\r\n", "0 DEL k\n"},
        {"EXPIRE k 100", ":0\r\n", ""},
        {"SET k v", "+OK\r\n", "0 SET k v\n"},
        {"EXPIREAT k -5", ":1\r\n", "0 DEL k\n"},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_string_equal(run(f, steps[i][0]), steps[i][1]);
        assert_string_equal(fixture_effects(f), steps[i][2]);
    }
    fixture_assert_copied(f);
    fixture_free(f);
}

static void a_replica_hides_and_waits(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET k 1 PX 10");
    f->e->is_replica = true;
    f->unix_ms += 11;
    fixture_effects(f);
    assert_string_equal(run(f, "GET k"), "$-1\r\n");
    assert_string_equal(run(f, "KEYS *"), "*0\r\n");
    assert_string_equal(run(f, "SCAN 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
    assert_string_equal(run(f, "DBSIZE"), ":1\r\n");
    fixture_forward_ms(f, 5000);
    assert_string_equal(run(f, "DBSIZE"), ":1\r\n");
    assert_string_equal(fixture_effects(f), "");
    /* Its master's stream finds what the master found. */
    struct nd_session *master = nd_session_new(f->e, ND_MASTER, &f->copy_out, NULL);
    struct slice append[] = {slice_of("APPEND"), slice_of("k"), slice_of("2")};
    nd_session_run(master, 3, append);
    f->e->is_replica = false;
    f->e->active_expire = false;
    f->unix_ms -= 1000000;
    assert_string_equal(run(f, "GET k"), "$2\r\n12\r\n");
    fixture_free(f);
}

static void keys_go_although_nobody_asks(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    char command[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(command, sizeof command, "SELECT %d", i % 16);
        run(f, command);
        snprintf(command, sizeof command, "SET k%d %d PX %d", i, i, 1 + i % 1000);
        run(f, command);
        snprintf(command, sizeof command, "SET stays%d %d PX 10000000", i, i);
        run(f, command);
    }
    for (int ms = 0; ms < 10000; ms += 100)
        fixture_forward_ms(f, 100);
    assert_int_equal(f->e->stats.expired, 5000);
    for (int i = 0; i < 16; i++)
        assert_true(nd_db_average_ttl(nd_keyspace_peek(&f->e->keys, i)) > 9000000);
    fixture_assert_copied(f);
    /* Nothing has changed and nothing is due: the node sleeps until the first of them. */
    for (int i = 0; i < 100; i++)
        fixture_forward_ms(f, 100);
    int64_t sleeps_us = nd_engine_deadline(f->e) - f->e->now_us;
    assert_true(sleeps_us > 9000 * INT64_C(1000000) && sleeps_us < 10000 * INT64_C(1000000));
    fixture_forward_ms(f, sleeps_us / 1000);
    assert_true(f->e->stats.expired > 5000);
    fixture_free(f);
}

static void an_idle_node_sleeps(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_forward_ms(f, 100);
    run(f, "SET k 1");
    for (int i = 0; i < 30; i++) {
        assert_true(nd_engine_deadline(f->e) - f->e->now_us <= 100000);
        fixture_forward_ms(f, 100);
        if (nd_engine_deadline(f->e) == HEAP_NEVER)
            break;
    }
    assert_true(nd_engine_deadline(f->e) == HEAP_NEVER);
    /* One key with an expiry: the node wakes for it, and it is gone in its time. */
    run(f, "SET k 1 PX 5000");
    int ticks = 0;
    while (f->e->stats.expired == 0) {
        int64_t left_ms = (nd_engine_deadline(f->e) - f->e->now_us) / 1000;
        assert_true(left_ms < 10000);
        fixture_forward_ms(f, left_ms > 0 ? left_ms : 1);
        ticks++;
    }
    assert_true(ticks < 40);
    fixture_free(f);
}

static void while_switched_off_nothing_goes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->e->active_expire = false;
    run(f, "SET k 1 PX 10");
    fixture_forward_ms(f, 1000);
    assert_string_equal(run(f, "DBSIZE"), ":1\r\n");
    f->e->active_expire = true;
    fixture_forward_ms(f, 1000);
    assert_string_equal(run(f, "DBSIZE"), ":0\r\n");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_gone_when_its_time_is_over),
        cmocka_unit_test(commands_that_meet_expired_keys),
        cmocka_unit_test(times_to_live),
        cmocka_unit_test(a_replica_hides_and_waits),
        cmocka_unit_test(keys_go_although_nobody_asks),
        cmocka_unit_test(an_idle_node_sleeps),
        cmocka_unit_test(while_switched_off_nothing_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
