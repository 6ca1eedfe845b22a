/* Replicas that follow: silence, acknowledgements, WAIT, min-replicas, the end of the backlog, FAILOVER. */
#include "tests/unit/repl/serve_world.h"

#include "common/base/heap.h"
#include "noded/cmd/migrate.h"
#include "noded/cmd/pause.h"
#include "noded/repl/failover.h"
#include "noded/repl/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void silence_and_pings(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.repl_timeout_s = 15;
    struct client *a = replica_online(w), *b = replica_online(w);
    int64_t before = w->r->offset;
    for (int s = 0; s < 11; s++) {
        world_forward_ms(w, 1000);
        replica_acks(a, w->r->offset);
    }
    replica_expects(a, "*1\r\n$4\r\nPING\r\n");
    assert_int_equal(w->r->offset, before + 14);
    assert_int_equal(nd_serve_lag_s(b->s->replica), 11);
    for (int s = 0; s < 6; s++) {
        world_forward_ms(w, 1000);
        replica_acks(a, w->r->offset);
    }
    assert_int_equal(b->kills, 1);
    assert_int_equal(a->kills, 0);
    assert_int_equal(w->v->count, 1);
    world_free(w);
}

static void backlog_goes_after_its_time(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.repl_backlog_ttl_s = 5;
    assert_int_equal(nd_serve_deadline(w->r), HEAP_NEVER);
    struct client *a = replica_online(w);
    char id[41];
    memcpy(id, w->r->id, sizeof id);
    client_close(a);
    assert_int_equal(nd_serve_deadline(w->r), w->f->e->now_us + 5000000);
    run(w->f, "SET a 1");
    assert_true(w->r->offset > 0);
    world_forward_ms(w, 4500);
    assert_non_null(w->r->backlog);
    world_forward_ms(w, 1000);
    assert_null(w->r->backlog);
    assert_string_not_equal(w->r->id, id);
    assert_string_equal(world_info(w, "repl_backlog_active"), "repl_backlog_active:0");
    int64_t offset = w->r->offset;
    run(w->f, "SET a 2");
    assert_int_equal(w->r->offset, offset);
    assert_int_equal(nd_serve_deadline(w->r), HEAP_NEVER);
    world_free(w);
}

static void too_few_replicas(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.min_replicas_to_write = 1;
    w->f->e->config.min_replicas_max_lag_s = 2;
    nd_serve_settings(w->r);
    assert_string_equal(run(w->f, "SET a 1"), "-NOREPLICAS Not enough good replicas to write.\r\n");
    struct client *a = replica_online(w);
    assert_string_equal(run(w->f, "SET a 1"), "+OK\r\n");
    assert_string_equal(world_info(w, "min_slaves_good_slaves"), "min_slaves_good_slaves:1");
    world_forward_ms(w, 4000);
    assert_memory_equal(run(w->f, "SET a 1"), "-NOREPLICAS", 11);
    replica_acks(a, w->r->offset);
    assert_string_equal(run(w->f, "SET a 1"), "+OK\r\n");
    client_close(a);
    assert_memory_equal(run(w->f, "SET a 1"), "-NOREPLICAS", 11);
    world_free(w);
}

#define GETACK "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"

static void wait_for_replicas(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_online(w), *b = replica_online(w), *writer = fixture_client(w->f);
    assert_string_equal(client_run(writer, "WAIT 2 0"), ":2\r\n"); /* it wrote nothing */
    client_run(writer, "SET a 1");
    int64_t wrote = w->r->offset;
    world_turn(w);
    struct buf drop = {0};
    replica_reads(a, &drop);
    buf_free(&drop);
    assert_string_equal(client_run(writer, "WAIT 1 0"), "");
    assert_int_equal(writer->ran, ND_BLOCKED);
    world_turn(w);
    replica_expects(a, GETACK);
    replica_acks(a, wrote - 1);
    world_turn(w);
    assert_string_equal(client_read(writer), "");
    replica_acks(a, wrote);
    world_turn(w);
    assert_string_equal(client_read(writer), ":1\r\n");
    assert_int_equal(writer->resumes, 1);
    /* A timeout, inside of a transaction, ended by another client, and a client that goes away. */
    client_run(writer, "SET a 2");
    client_run(writer, "WAIT 2 500");
    world_turn(w);
    world_forward_ms(w, 750);
    assert_string_equal(client_read(writer), ":0\r\n");
    client_run(writer, "MULTI");
    client_run(writer, "WAIT 2 0");
    assert_string_equal(client_run(writer, "EXEC"), "*1\r\n:0\r\n");
    client_run(writer, "WAIT 2 0");
    char command[64];
    snprintf(command, sizeof command, "CLIENT UNBLOCK %d ERROR", (int)writer->s->id);
    assert_string_equal(run(w->f, command), ":1\r\n");
    assert_memory_equal(client_read(writer), "-UNBLOCKED", 10);
    client_run(writer, "BLPOP nothing 0");
    replica_acks(a, w->r->offset);
    replica_acks(b, w->r->offset);
    world_turn(w);
    assert_string_equal(client_read(writer), "");
    struct client *leaver = fixture_client(w->f);
    client_run(leaver, "SET a 3");
    client_run(leaver, "WAIT 2 0");
    client_close(leaver);
    replica_acks(a, w->r->offset);
    replica_acks(b, w->r->offset);
    world_turn(w);
    world_free(w);
}

static void hostile_replica(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_online(w);
    replica_acks(a, -5);
    replica_acks(a, INT64_MAX);
    assert_true(nd_serve_caught_up(w->r));
    assert_int_equal(nd_serve_count_acked(w->v, w->r->offset + 1), 0);
    client_run(a, "PSYNC ? -1");
    client_run(a, "SYNC");
    assert_int_equal(a->ran, ND_RAN);
    client_run(a, "REPLCONF ACK");
    assert_int_equal(a->ran, ND_CLOSE); /* nobody is answered in the middle of the stream */
    struct client *b = replica_online(w);
    client_run(b, "GET a");
    assert_int_equal(b->ran, ND_CLOSE);
    struct client *c = fixture_client(w->f);
    assert_memory_equal(client_run(c, "PSYNC ? -1 FAILOVER"), "-ERR PSYNC FAILOVER can't", 25);
    assert_memory_equal(client_run(c, "PSYNC ? x"), "-ERR value is not", 17);
    assert_memory_equal(client_run(c, "REPLCONF ip-address \"a,b\""), "-ERR REPLCONF ip-address", 24);
    assert_string_equal(client_run(c, "REPLCONF ack 5"), "");
    assert_null(nd_serve_cursor(c->s));
    world_free(w);
}

static void failover_waits_for_the_replica(void **state)
{
    (void)state;
    struct world *w = world_new();
    assert_string_equal(run(w->f, "FAILOVER"), "-ERR FAILOVER requires connected replicas.\r\n");
    struct client *a = replica_online(w);
    run(w->f, "SET a 1");
    assert_string_equal(run(w->f, "FAILOVER TO 10.0.0.1 7002"),
                        "-ERR FAILOVER target HOST and PORT is not a replica.\r\n");
    assert_string_equal(run(w->f, "FAILOVER TO 10.0.0.1 7001 FORCE"),
                        "-ERR FAILOVER with force option requires both a timeout and target HOST and IP.\r\n");
    assert_string_equal(run(w->f, "FAILOVER TO 10.0.0.1 7001 TIMEOUT 3000"), "+OK\r\n");
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    assert_string_equal(run(w->f, "FAILOVER"), "-ERR FAILOVER already in progress.\r\n");
    struct client *writer = fixture_client(w->f), *late = fixture_client(w->f);
    client_run(writer, "SET a 2");
    assert_int_equal(writer->ran, ND_POSTPONED);
    run(w->f, "CLIENT UNPAUSE");
    client_run(writer, "SET a 2");
    assert_int_equal(writer->ran, ND_POSTPONED);
    assert_memory_equal(client_run(late, "PSYNC ? -1"), "-NOMASTERLINK", 13);
    replica_acks(a, w->r->offset - 1);
    world_turn(w);
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    int resumes = writer->resumes;
    world_forward_ms(w, 3250);
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:no-failover");
    assert_true(writer->resumes > resumes);
    assert_string_equal(run(w->f, "FAILOVER"), "+OK\r\n");
    assert_string_equal(run(w->f, "FAILOVER ABORT"), "+OK\r\n");
    assert_string_equal(run(w->f, "FAILOVER ABORT"), "-ERR No failover in progress.\r\n");
    assert_string_equal(run(w->f, "SET a 3"), "+OK\r\n");
    world_free(w);
}

/* The end of a MIGRATE is a write that nothing holds back: the replica has to have it too. */
static void failover_waits_for_a_migration(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_online(w), *mover = fixture_client(w->f);
    run(w->f, "SET a 1");
    client_run(mover, "MIGRATE 127.0.0.1 7777 a 0 1000");
    assert_int_equal(mover->ran, ND_BLOCKED);
    assert_string_equal(run(w->f, "FAILOVER"), "+OK\r\n");
    replica_acks(a, w->r->offset);
    world_turn(w);
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    int64_t before = w->r->offset;
    nd_migrate_answered(w->f->migrating->migration, (struct slice){NULL, 0});
    nd_migrate_ended(w->f->migrating->migration, ND_MIGRATE_DONE);
    world_turn(w);
    assert_true(w->r->offset > before);
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    assert_string_equal(run(w->f, "FAILOVER ABORT"), "+OK\r\n");
    world_free(w);
}

/* None can come back while writes wait for it. */
static void failover_whose_replica_goes(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_online(w), *b = replica_online(w), *writer = fixture_client(w->f);
    client_run(b, "REPLCONF listening-port 7002");
    run(w->f, "SET a 1");
    assert_string_equal(run(w->f, "FAILOVER TO 10.0.0.1 7001"), "+OK\r\n");
    client_run(writer, "SET a 2");
    assert_int_equal(writer->ran, ND_POSTPONED);
    client_close(a);
    world_turn(w);
    assert_int_equal(writer->resumes, 1);
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:no-failover");
    assert_string_equal(run(w->f, "FAILOVER"), "+OK\r\n");
    world_turn(w);
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    client_close(b);
    world_turn(w);
    assert_string_equal(world_info(w, "master_failover_state"), "master_failover_state:no-failover");
    world_free(w);
}

/* Writes wait for the end, too: what ends the one does not let them go while the other holds them. */
static void failover_beside_the_end(void **state)
{
    (void)state;
    struct world *w = world_new();
    replica_online(w);
    struct client *writer = fixture_client(w->f);
    nd_hold_writes(w->f->e, ND_HOLD_SHUTDOWN, true);
    assert_string_equal(run(w->f, "FAILOVER"), "+OK\r\n");
    assert_string_equal(run(w->f, "FAILOVER ABORT"), "+OK\r\n");
    client_run(writer, "SET a 2");
    assert_int_equal(writer->ran, ND_POSTPONED);
    nd_hold_writes(w->f->e, ND_HOLD_SHUTDOWN, false);
    assert_int_equal(writer->resumes, 1);
    assert_string_equal(client_run(writer, "SET a 2"), "+OK\r\n");
    world_free(w);
}

/* A replica that has run for long and is promoted: the others find the old name of the history still. */
static void promotion_after_a_long_time(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.repl_backlog_ttl_s = 5;
    w->f->e->is_replica = true;
    nd_repl_open_backlog(w->r, false);
    world_forward_ms(w, 20000);
    char old[41];
    memcpy(old, w->r->id, sizeof old);
    nd_repl_fork_history(w->r);
    w->f->e->is_replica = false;
    nd_serve_history_changed(w->r);
    world_forward_ms(w, 4500);
    assert_non_null(w->r->backlog);
    assert_string_equal(w->r->id2, old);
    world_forward_ms(w, 1000);
    assert_null(w->r->backlog);
    world_free(w);
}

/* Nobody can follow while the file is loaded, however long that takes. */
static void start_that_takes_long(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct nd_load load;
    w->f->e->config.repl_backlog_ttl_s = 5;
    nd_load_init(&load, w->f->e, NULL);
    load.at_start = load.begun = true;
    w->f->e->loading = true;
    nd_repl_open_backlog(w->r, false);
    world_forward_ms(w, 20000);
    assert_non_null(w->r->backlog);
    nd_load_end(&load);
    w->f->e->loading = false;
    world_forward_ms(w, 4500);
    assert_non_null(w->r->backlog);
    world_forward_ms(w, 1000);
    assert_null(w->r->backlog);
    world_free(w);
}

/* Nobody is woken for a snapshot that cannot begin before something else has been loaded. */
static void snapshot_waits_for_the_loading(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_new(w, MODERN);
    client_run(a, "PSYNC ? -1");
    w->f->e->loading = true;
    world_turn(w);
    assert_false(w->child);
    assert_true(nd_serve_deadline(w->r) > w->f->e->now_us);
    w->f->e->loading = false;
    world_turn(w);
    assert_true(w->child);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_and_pings),
        cmocka_unit_test(backlog_goes_after_its_time),
        cmocka_unit_test(too_few_replicas),
        cmocka_unit_test(wait_for_replicas),
        cmocka_unit_test(hostile_replica),
        cmocka_unit_test(failover_waits_for_the_replica),
        cmocka_unit_test(failover_waits_for_a_migration),
        cmocka_unit_test(failover_beside_the_end),
        cmocka_unit_test(failover_whose_replica_goes),
        cmocka_unit_test(promotion_after_a_long_time),
        cmocka_unit_test(snapshot_waits_for_the_loading),
        cmocka_unit_test(start_that_takes_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
