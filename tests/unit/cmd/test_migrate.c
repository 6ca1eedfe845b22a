#include "noded/cmd/migrate.h"

#include "noded/cmd/block.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OK "+OK\r\n"

static const struct slice no_error = {NULL, 0};

/* A client whose MIGRATE is under way. */
static struct client *moving(struct fixture *f, const char *command)
{
    struct client *c = fixture_client(f);
    f->migrating = NULL;
    assert_string_equal(client_run(c, command), "");
    assert_int_equal(c->ran, ND_BLOCKED);
    assert_non_null(f->migrating);
    return c;
}

static void end(struct fixture *f, enum nd_migrate_end how)
{
    if (f->migrating == NULL) {
        fail_msg("no migration is under way");
        return;
    }
    struct nd_migration *m = f->migrating->migration;
    f->migrating = NULL;
    nd_migrate_ended(m, how);
}

/* `requests` as a text without what no text can show. */
static bool sent(const struct fixture *f, const char *text)
{
    if (f->migrating == NULL)
        return false;
    struct slice all = f->migrating->requests;
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= all.n; i++) {
        if (memcmp(all.p + i, text, n) == 0)
            return true;
    }
    return false;
}

static void what_is_sent(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MSET a 1 b 2");
    run(f, "SET t v PX 5000");
    run(f, "SET over v PX 10");
    f->unix_ms += 1000;
    f->mono_us += 1000000;
    nd_engine_time(f->e, f->unix_ms, f->mono_us);
    moving(f, "MIGRATE h.example 7000 \"\" 3 0 REPLACE AUTH2 me pass KEYS a none t over b");
    const struct nd_migrate_spec *spec = f->migrating;
    if (spec == NULL) {
        fail_msg("nothing was asked of the host");
        return;
    }
    assert_string_equal(spec->host, "h.example");
    assert_int_equal(spec->port, 7000);
    assert_int_equal(spec->db, 3);
    assert_int_equal(spec->timeout_ms, 1000);
    assert_true(slice_is(spec->user, "me"));
    assert_true(slice_is(spec->password, "pass"));
    assert_int_equal(spec->count, 3);
    assert_true(sent(f, "*5\r\n$7\r\nRESTORE\r\n$1\r\na\r\n$1\r\n0\r\n"));
    assert_true(sent(f, "$1\r\nt\r\n$4\r\n4000\r\n"));
    assert_false(sent(f, "over"));
    end(f, ND_MIGRATE_NO_READ);
    fixture_free(f);
}

static void a_cluster_asks(void **state)
{
    (void)state;
    struct nd_config config;
    nd_config_init(&config);
    config.cluster_enabled = true;
    struct fixture *f = fixture_new_with(&config);
    nd_config_free(&config);
    run(f, "SET a 1");
    moving(f, "MIGRATE h 7000 a 0 100");
    assert_true(sent(f, "*4\r\n$14\r\nRESTORE-ASKING\r\n$1\r\na\r\n"));
    if (f->migrating != NULL)
        assert_null(f->migrating->password.p);
    end(f, ND_MIGRATE_NO_READ);
    fixture_free(f);
}

static void what_was_taken_is_one_effect(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MSET a 1 b 2 c 3 d 4");
    struct client *c = moving(f, "MIGRATE h 7000 \"\" 0 100 KEYS a b c d");
    fixture_effects(f);
    nd_migrate_answered(f->migrating->migration, no_error);
    nd_migrate_answered(f->migrating->migration, slice_of("BUSYKEY is there"));
    nd_migrate_answered(f->migrating->migration, no_error);
    end(f, ND_MIGRATE_NO_READ);
    assert_string_equal(client_read(c), "-ERR Target instance replied with error: BUSYKEY is there\r\n");
    assert_int_equal(c->resumes, 1);
    assert_string_equal(fixture_effects(f), "0 DEL a c\n");
    assert_string_equal(run(f, "EXISTS a b c d"), ":2\r\n");
    assert_int_equal(f->e->locked.used, 0);
    fixture_assert_copied(f);
    fixture_free(f);
}

static void a_copy_changes_and_locks_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET a 1");
    struct client *c = moving(f, "MIGRATE h 7000 a 0 100 COPY");
    fixture_effects(f);
    assert_string_equal(run(f, "INCR a"), ":2\r\n");
    fixture_effects(f);
    nd_migrate_answered(f->migrating->migration, no_error);
    end(f, ND_MIGRATE_DONE);
    assert_string_equal(client_read(c), OK);
    assert_string_equal(fixture_effects(f), "");
    assert_string_equal(run(f, "GET a"), "$1\r\n2\r\n");
    fixture_free(f);
}

static void keys_wait_until_it_is_over(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET a 1");
    struct client *c = moving(f, "MIGRATE h 7000 a 0 100"), *writer = fixture_client(f), *all = fixture_client(f);
    client_run(writer, "SELECT 5");
    client_read(writer);
    assert_string_equal(client_run(writer, "INCR a"), "");
    assert_int_equal(writer->ran, ND_POSTPONED);
    client_run(all, "FLUSHALL");
    assert_int_equal(all->ran, ND_POSTPONED);
    assert_string_equal(run(f, "SET b 1"), OK);
    assert_false(nd_unblock(c->s, NULL));
    nd_migrate_refused(f->migrating->migration, slice_of("NOAUTH first"));
    end(f, ND_MIGRATE_DONE);
    assert_string_equal(client_read(c), "-ERR Target instance replied with error: NOAUTH first\r\n");
    assert_int_equal(writer->resumes, 1);
    assert_int_equal(all->resumes, 1);
    assert_string_equal(client_run(writer, "INCR a"), ":1\r\n");
    assert_string_equal(run(f, "GET a"), "$1\r\n1\r\n");
    fixture_free(f);
}

static void the_client_may_go(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MSET a 1 b 2");
    struct client *c = moving(f, "MIGRATE h 7000 \"\" 0 100 KEYS a b");
    client_close(c);
    fixture_effects(f);
    nd_migrate_answered(f->migrating->migration, no_error);
    nd_migrate_answered(f->migrating->migration, no_error);
    end(f, ND_MIGRATE_DONE);
    assert_string_equal(fixture_effects(f), "0 DEL a b\n");
    assert_string_equal(run(f, "DBSIZE"), ":0\r\n");
    assert_null(f->e->migrations);
    fixture_assert_copied(f);
    fixture_free(f);
}

/* The dataset became another's meanwhile, and perhaps its own again: what has the name of a key that left is not what
 * left. */
static void another_dataset_keeps_its_keys(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MSET a 1 b 2");
    struct client *c = moving(f, "MIGRATE h 7000 \"\" 0 1000 KEYS a b");
    fixture_effects(f);
    nd_migrate_answered(f->migrating->migration, no_error);
    nd_migrations_disown(f->e, NULL);
    nd_migrate_answered(f->migrating->migration, no_error);
    end(f, ND_MIGRATE_DONE);
    assert_non_null(strstr(client_read(c), "-UNBLOCKED "));
    assert_string_equal(run(f, "MGET a b"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    assert_string_equal(fixture_effects(f), "");
    fixture_free(f);
}

static void the_engine_may_go(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "MSET a 1 b 2");
    moving(f, "MIGRATE h 7000 a 0 100 AUTH x");
    client_close(moving(f, "MIGRATE h 7000 b 0 100"));
    fixture_free(f);
}

/* BLMOVE named the key before it was locked, and is served by a push to another one. */
static void who_waited_before_writes_after(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "RPUSH to old");
    struct client *mover = fixture_client(f), *popper = fixture_client(f);
    client_run(mover, "BLMOVE from to LEFT RIGHT 0");
    assert_int_equal(mover->ran, ND_BLOCKED);
    struct client *c = moving(f, "MIGRATE h 7000 to 0 100");
    run(f, "RPUSH from 1");
    assert_string_equal(client_read(mover), "");
    /* Who names no locked key takes what is there at once. */
    assert_string_equal(client_run(popper, "BLPOP other from 0"), "*2\r\n$4\r\nfrom\r\n$1\r\n1\r\n");
    run(f, "RPUSH from 2");
    fixture_effects(f);
    nd_migrate_answered(f->migrating->migration, no_error);
    end(f, ND_MIGRATE_DONE);
    assert_string_equal(client_read(c), OK);
    assert_string_equal(client_read(mover), "$1\r\n2\r\n");
    assert_string_equal(run(f, "LRANGE to 0 -1"), "*1\r\n$1\r\n2\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void what_ran_out_meanwhile(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET a 1 PX 50");
    struct client *c = moving(f, "MIGRATE h 7000 a 0 100");
    fixture_forward_ms(f, 1000);
    fixture_effects(f);
    nd_migrate_answered(f->migrating->migration, no_error);
    end(f, ND_MIGRATE_DONE);
    assert_string_equal(client_read(c), OK);
    assert_string_equal(run(f, "DBSIZE"), ":0\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void refused_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET a 1");
    assert_string_equal(run(f, "MIGRATE h 7000 none 0 100"), "+NOKEY\r\n");
    assert_string_equal(run(f, "MIGRATE \"\" 7000 a 0 100"), "-IOERR error or timeout connecting to the client\r\n");
    assert_string_equal(run(f, "MIGRATE \"h\\x00\" 7000 a 0 100"),
                        "-IOERR error or timeout connecting to the client\r\n");
    assert_string_equal(run(f, "MIGRATE h 65536 a 0 100"), "-IOERR error or timeout writing to target instance\r\n");
    run(f, "MULTI");
    run(f, "MIGRATE h 7000 a 0 100");
    assert_non_null(strstr(run(f, "EXEC"), "inside a transaction"));
    assert_null(f->migrating);
    assert_null(f->e->migrations);
    assert_int_equal(f->e->locked.used, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent),
        cmocka_unit_test(a_cluster_asks),
        cmocka_unit_test(what_was_taken_is_one_effect),
        cmocka_unit_test(a_copy_changes_and_locks_nothing),
        cmocka_unit_test(keys_wait_until_it_is_over),
        cmocka_unit_test(the_client_may_go),
        cmocka_unit_test(another_dataset_keeps_its_keys),
        cmocka_unit_test(the_engine_may_go),
        cmocka_unit_test(who_waited_before_writes_after),
        cmocka_unit_test(what_ran_out_meanwhile),
        cmocka_unit_test(refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
