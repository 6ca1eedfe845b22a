#include "noded/cmd/evict.h"

#include "noded/cmd/pause.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OOM "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

/* 1,000 keys of which the odd ones have an expiry; each counts 1,000 bytes. Memory for `room` of them. */
static struct fixture *full(enum nd_maxmemory_policy policy, int room)
{
    struct fixture *f = fixture_new();
    f->e->config.maxmemory_policy = policy;
    f->e->config.maxmemory_samples = 10;
    f->memory_per_key = 1000;
    char command[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(command, sizeof command, i % 2 != 0 ? "SET k%d v EX %d" : "SET k%d v", i, 10000 - i);
        run(f, command);
    }
    f->e->config.maxmemory = room * 1000;
    return f;
}

static bool there(struct fixture *f, int i)
{
    char name[16];
    snprintf(name, sizeof name, "k%d", i);
    return nd_db_find(nd_keyspace_db(&f->e->keys, 0), slice_of(name)) != NULL;
}

static int64_t keys(struct fixture *f)
{
    return (int64_t)nd_db_count(nd_keyspace_db(&f->e->keys, 0));
}

static void without_a_policy_writes_are_refused(void **state)
{
    (void)state;
    struct fixture *f = full(ND_NOEVICTION, 999);
    assert_string_equal(run(f, "SET k1 2"), OOM);
    assert_string_equal(run(f, "GET k0"), "$1\r\nv\r\n");
    assert_string_equal(run(f, "MULTI"), "+OK\r\n");
    assert_string_equal(run(f, "GET k0"), OOM); /* queueing takes memory */
    assert_string_equal(run(f, "EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_string_equal(run(f, "DEL k1"), ":1\r\n");
    assert_string_equal(run(f, "SET k2 2"), "+OK\r\n");
    /* Memory that ran short between MULTI and EXEC. */
    run(f, "MULTI");
    run(f, "SET k2 2");
    f->e->config.maxmemory = 1000;
    assert_string_equal(run(f, "EXEC"),
                        "-EXECABORT Transaction discarded because of: OOM command not allowed when used "
                        "memory > 'maxmemory'.\r\n");
    f->e->is_replica = true;
    f->e->config.replica_read_only = false;
    assert_string_equal(run(f, "SET k2 2"), "+OK\r\n"); /* a replica follows its master in that */
    assert_int_equal(keys(f), 999);
    fixture_assert_copied(f);
    fixture_free(f);
}

static void each_policy_takes_its_own(void **state)
{
    (void)state;
    for (int policy = ND_ALLKEYS_LRU; policy <= ND_VOLATILE_TTL; policy++) {
        bool is_volatile = policy >= ND_VOLATILE_LRU;
        struct fixture *f = full((enum nd_maxmemory_policy)policy, 700);
        assert_string_equal(run(f, "GET nosuch"), "$-1\r\n");
        assert_int_equal(keys(f), 700);
        assert_int_equal(f->e->stats.evicted, 300);
        for (int i = 0; i < 1000 && is_volatile; i += 2)
            assert_true(there(f, i));
        fixture_assert_copied(f);
        if (is_volatile) {
            f->e->config.maxmemory = 400 * 1000;
            assert_string_equal(run(f, "SET new 1"), OOM);
            assert_int_equal(keys(f), 500);
        }
        fixture_free(f);
    }
}

static void the_least_lately_used_go_first(void **state)
{
    (void)state;
    struct fixture *f = full(ND_ALLKEYS_LRU, 1000);
    char command[64];
    for (int i = 0; i < 1000; i++) {
        f->unix_ms += 1000;
        snprintf(command, sizeof command, "GET k%d", i);
        run(f, command);
    }
    f->e->config.maxmemory = 500 * 1000;
    run(f, "PING");
    int old = 0;
    for (int i = 0; i < 300; i++)
        old += there(f, i);
    int young = 0;
    for (int i = 700; i < 1000; i++)
        young += there(f, i);
    assert_true(old < 10);
    assert_true(young > 290);
    fixture_free(f);
}

static void the_least_often_used_go_first(void **state)
{
    (void)state;
    struct fixture *f = full(ND_VOLATILE_LFU, 1000);
    char command[64];
    for (int round = 0; round < 100; round++) {
        for (int i = 1; i < 500; i += 2) {
            snprintf(command, sizeof command, "GET k%d", i);
            run(f, command);
        }
    }
    f->e->config.maxmemory = 850 * 1000;
    run(f, "PING");
    int often = 0;
    for (int i = 1; i < 500; i += 2)
        often += there(f, i);
    assert_true(often > 240);
    fixture_free(f);
}

static void the_next_to_expire_go_first(void **state)
{
    (void)state;
    struct fixture *f = full(ND_VOLATILE_TTL, 900);
    run(f, "PING");
    int late = 0;
    for (int i = 1; i < 500; i += 2)
        late += there(f, i);
    assert_true(late > 240);
    fixture_free(f);
}

static void counters_of_use(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->e->config.maxmemory_policy = ND_ALLKEYS_LFU;
    run(f, "SET k 1");
    struct nd_entry *entry = nd_db_find(nd_keyspace_db(&f->e->keys, 0), slice_of("k"));
    assert_int_equal(nd_age_frequency(f->e, &entry->v), 5);
    for (int i = 0; i < 1000; i++)
        run(f, "GET k");
    unsigned used = nd_age_frequency(f->e, &entry->v);
    assert_true(used > 10 && used < 40);
    /* One less for each minute. */
    f->unix_ms += 3 * 60000;
    run(f, "PING");
    assert_int_equal(nd_age_frequency(f->e, &entry->v), used - 3);
    f->unix_ms += 1000 * 60000;
    run(f, "PING");
    assert_int_equal(nd_age_frequency(f->e, &entry->v), 0);
    f->e->config.lfu_log_factor = 0;
    for (int i = 0; i < 300; i++)
        run(f, "GET k");
    assert_int_equal(nd_age_frequency(f->e, &entry->v), 255);
    f->e->config.maxmemory_policy = ND_ALLKEYS_LRU;
    run(f, "GET k");
    f->unix_ms += 42000;
    run(f, "PING");
    assert_int_equal(nd_age_idle_s(f->e, &entry->v), 42);
    run(f, "TTL k");
    run(f, "EXISTS k");
    assert_int_equal(nd_age_idle_s(f->e, &entry->v), 42);
    run(f, "TOUCH k");
    assert_int_equal(nd_age_idle_s(f->e, &entry->v), 0);
    entry->v.age = nd_age_of_idle(f->e, 1000);
    assert_int_equal(nd_age_idle_s(f->e, &entry->v), 1000);
    fixture_free(f);
}

static void nothing_goes_while_paused_and_a_new_limit_acts_at_once(void **state)
{
    (void)state;
    struct fixture *f = full(ND_ALLKEYS_RANDOM, 500);
    nd_pause(f->e, f->unix_ms + 1000, false);
    run(f, "PING");
    assert_int_equal(keys(f), 1000);
    fixture_forward_ms(f, 1000);
    nd_evict_soon(f->e);
    assert_true(nd_engine_deadline(f->e) <= f->e->now_us);
    fixture_forward_ms(f, 1);
    assert_int_equal(keys(f), 500);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_policy_writes_are_refused),
        cmocka_unit_test(each_policy_takes_its_own),
        cmocka_unit_test(the_least_lately_used_go_first),
        cmocka_unit_test(the_least_often_used_go_first),
        cmocka_unit_test(the_next_to_expire_go_first),
        cmocka_unit_test(counters_of_use),
        cmocka_unit_test(nothing_goes_while_paused_and_a_new_limit_acts_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
