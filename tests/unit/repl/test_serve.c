/* How replicas come in: with what they lack of the stream, or with a snapshot over their socket or from a file. */
#include "tests/unit/repl/serve_world.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void snapshot_over_sockets(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *c = replica_new(w, MODERN);
    run(w->f, "SET before 1");
    assert_int_equal(w->r->offset, 0); /* nobody follows: nothing is kept */
    assert_string_equal(client_run(c, "PSYNC ? -1"), "");
    assert_int_equal(c->s->kind, ND_REPLICA);
    world_turn(w);
    assert_true(w->child);
    assert_int_equal(w->fd_count, 1);
    assert_int_equal(w->fds[0], (int)c->s->id);
    char expected[100];
    snprintf(expected, sizeof expected, "+FULLRESYNC %s 0\r\n", w->r->id);
    assert_string_equal(client_read(c), expected);
    assert_memory_equal(w->head, "$EOF:", 5);
    assert_int_equal(strlen(w->tail), 40);
    assert_memory_equal(w->head + 5, w->tail, 40);
    assert_string_equal(world_info(w, "slave0:"), "slave0:ip=10.0.0.1,port=7001,state=wait_bgsave,offset=0,lag=0");
    run(w->f, "SET a 1");
    world_turn(w);
    assert_null(nd_serve_cursor(c->s));
    assert_int_equal(nd_serve_unread(c->s), strlen(SELECT_0 SET_A));
    world_child_ends(w, true, NULL);
    assert_string_equal(world_info(w, "slave0:"), "slave0:ip=10.0.0.1,port=7001,state=online,offset=0,lag=0");
    assert_null(nd_serve_cursor(c->s)); /* it still reads the snapshot, for all that is known */
    int wakes = c->wakes;
    replica_acks(c, 0);
    world_turn(w);
    assert_true(c->wakes > wakes);
    replica_expects(c, SELECT_0 SET_A);
    run(w->f, "SET a 1");
    replica_expects(c, SET_A);
    assert_int_equal(w->r->offset, strlen(SELECT_0 SET_A SET_A));
    replica_acks(c, w->r->offset);
    assert_true(nd_serve_caught_up(w->r));
    world_free(w);
}

static void acknowledged_while_the_child_ended(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    world_turn(w);
    replica_acks(c, 0);
    world_child_ends(w, true, NULL);
    assert_non_null(nd_serve_cursor(c->s));
    world_free(w);
}

static void partial(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *first = replica_online(w);
    run(w->f, "SET a 1");
    client_close(first);
    char command[100], expected[100];
    struct client *c = replica_new(w, MODERN);
    snprintf(command, sizeof command, "PSYNC %s 1", w->r->id);
    snprintf(expected, sizeof expected, "+CONTINUE %s\r\n", w->r->id);
    assert_string_equal(client_run(c, command), expected);
    replica_expects(c, SELECT_0 SET_A);
    struct client *plain = replica_new(w, NULL);
    snprintf(command, sizeof command, "PSYNC %s %d", w->r->id, (int)w->r->offset + 1);
    assert_string_equal(client_run(plain, command), "+CONTINUE\r\n");
    replica_expects(plain, "");
    assert_int_equal(w->f->e->stats.sync_partial_ok, 2);
    assert_int_equal(w->f->e->stats.sync_full, 1);
    struct client *ahead = replica_new(w, MODERN);
    snprintf(command, sizeof command, "PSYNC %s %d", w->r->id, (int)w->r->offset + 2);
    assert_string_equal(client_run(ahead, command), "");
    assert_int_equal(w->f->e->stats.sync_partial_err, 1);
    assert_int_equal(w->f->e->stats.sync_full, 2);
    world_free(w);
}

/* After a promotion the old name is good up to where the histories part. */
static void partial_by_the_second_id(void **state)
{
    (void)state;
    struct world *w = world_new();
    replica_online(w);
    run(w->f, "SET a 1");
    char old[41], command[100];
    memcpy(old, w->r->id, sizeof old);
    int64_t parted = w->r->offset;
    nd_repl_fork_history(w->r);
    nd_serve_drop_all(w->r, "test");
    assert_int_equal(w->v->count, 0);
    run(w->f, "SET a 1");
    struct client *c = replica_new(w, MODERN);
    snprintf(command, sizeof command, "PSYNC %s %d", old, (int)parted + 1);
    assert_memory_equal(client_run(c, command), "+CONTINUE ", 10);
    replica_expects(c, SELECT_0 SET_A);
    c = replica_new(w, MODERN);
    snprintf(command, sizeof command, "PSYNC %s %d", old, (int)parted + 2);
    assert_string_equal(client_run(c, command), "");
    world_free(w);
}

static void snapshot_by_file(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_new(w, "REPLCONF capa psync2");
    client_run(a, "PSYNC ? -1");
    world_turn(w);
    assert_string_equal(w->path, "dump.rdb");
    assert_memory_equal(client_read(a), "+FULLRESYNC ", 12);
    run(w->f, "SET a 1");
    /* It can have the same file: what came since is kept for the first. */
    struct client *b = replica_new(w, MODERN);
    assert_memory_equal(client_run(b, "PSYNC ? -1"), "+FULLRESYNC ", 12);
    /* It cannot: without psync2 it can do less. */
    struct client *c = replica_new(w, NULL);
    assert_string_equal(client_run(c, "PSYNC ? -1"), "");
    struct client *old = replica_new(w, "REPLCONF capa psync2");
    assert_string_equal(client_run(old, "SYNC"), "");
    world_child_ends(w, true, NULL);
    assert_int_equal(w->files, 3);
    assert_ptr_equal(w->file_for[0], a->s);
    assert_string_equal(world_info(w, "slave0:"), "slave0:ip=10.0.0.1,port=0,state=send_bulk,offset=0,lag=0");
    nd_serve_file_sent(a->s);
    nd_serve_file_sent(b->s);
    nd_serve_file_sent(old->s);
    replica_expects(a, SELECT_0 SET_A);
    replica_expects(b, SELECT_0 SET_A);
    replica_expects(old, SELECT_0 SET_A);
    assert_true(w->child); /* the next one, for c */
    world_child_ends(w, true, NULL);
    nd_serve_file_sent(c->s);
    replica_expects(c, "");
    assert_int_equal(w->removed, 0);
    world_free(w);
}

static void files_only_for_replicas_are_removed(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct nd_config *config = &w->f->e->config;
    config->rdb_del_sync_files = true;
    free(config->save);
    config->save = mem_strdup("");
    struct client *a = replica_new(w, NULL);
    client_run(a, "SYNC");
    world_turn(w);
    world_child_ends(w, true, NULL);
    assert_int_equal(w->removed, 1);
    assert_int_equal(w->files, 1);
    world_free(w);
}

static void snapshots_that_fail(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_new(w, MODERN), *b = replica_new(w, MODERN);
    client_run(a, "PSYNC ? -1");
    client_run(b, "PSYNC ? -1");
    world_turn(w);
    assert_int_equal(w->fd_count, 2);
    world_child_ends(w, true, (const bool[]){false, true});
    assert_int_equal(a->kills, 1);
    assert_int_equal(b->kills, 0);
    assert_int_equal(w->v->count, 1);
    /* The child cannot be started. */
    w->refuse = true;
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    world_turn(w);
    assert_int_equal(c->kills, 1);
    w->refuse = false;
    /* A file that could not be written. */
    struct client *d = replica_new(w, NULL);
    client_run(d, "PSYNC ? -1");
    world_turn(w);
    world_child_ends(w, false, NULL);
    assert_int_equal(d->kills, 1);
    assert_int_equal(w->files, 0);
    /* Who does not read what stands before the snapshot is not waited for. */
    w->stuck = true;
    struct client *e = replica_new(w, MODERN);
    client_run(e, "PSYNC ? -1");
    world_turn(w);
    assert_int_equal(e->kills, 1);
    assert_false(w->child);
    world_free(w);
}

static void child_without_replicas_is_stopped(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_new(w, MODERN), *b = replica_new(w, MODERN);
    client_run(a, "PSYNC ? -1");
    client_run(b, "PSYNC ? -1");
    world_turn(w);
    client_close(a);
    assert_false(w->stopped);
    client_close(b);
    assert_true(w->stopped);
    world_child_ends(w, false, NULL);
    assert_int_equal(w->v->count, 0);
    world_free(w);
}

static void delay_gathers_replicas(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.repl_diskless_sync_delay_s = 3;
    struct client *a = replica_new(w, MODERN), *b = replica_new(w, MODERN);
    client_run(a, "PSYNC ? -1");
    world_turn(w);
    assert_false(w->child);
    world_forward_ms(w, 2000);
    assert_string_equal(client_read(a), "\n"); /* a sign of life; the first was not taken yet */
    client_run(b, "PSYNC ? -1");
    world_turn(w);
    assert_true(nd_serve_deadline(w->r) <= w->f->mono_us + 1000000);
    world_forward_ms(w, 1500);
    assert_true(w->child);
    assert_int_equal(w->fd_count, 2);
    world_child_ends(w, true, NULL);
    w->f->e->config.repl_diskless_sync_max_replicas = 1;
    client_run(replica_new(w, MODERN), "PSYNC ? -1");
    world_turn(w);
    assert_true(w->child);
    world_free(w);
}

static void other_child_comes_first(void **state)
{
    (void)state;
    struct world *w = world_new();
    run(w->f, "BGSAVE");
    assert_true(w->child);
    struct client *a = replica_new(w, MODERN);
    client_run(a, "PSYNC ? -1");
    world_turn(w);
    world_forward_ms(w, 1000);
    assert_string_equal(client_read(a), "\n");
    world_child_ends(w, true, NULL);
    assert_true(w->child);
    assert_int_equal(w->fd_count, 1);
    world_free(w);
}

static void only_a_snapshot(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = replica_new(w, "REPLCONF rdb-only 1 capa eof");
    client_run(a, "SYNC");
    world_turn(w);
    assert_string_equal(client_read(a), "");
    run(w->f, "SET a 1");
    assert_int_equal(nd_serve_unread(a->s), 0);
    world_child_ends(w, true, NULL);
    assert_int_equal(a->kills, 1);
    world_free(w);
}

/* The file that FLUSHALL leaves is empty, and at the offset of that moment the keys were there still: a replica that
 * stands there must not be able to go on with a master that has loaded it. */
static void flushed_file_says_no_place(void **state)
{
    (void)state;
    struct world *w = world_new();
    replica_online(w);
    run(w->f, "SET a 1");
    assert_string_equal(run(w->f, "SAVE"), "+OK\r\n");
    assert_true(w->placed);
    run(w->f, "FLUSHALL");
    assert_int_equal(w->saves, 2);
    assert_false(w->placed);
    run(w->f, "SAVE");
    assert_true(w->placed);
    world_free(w);
}

/* The file that is sent is the one that was written, whatever the settings say by then. */
static void file_keeps_its_name(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.repl_diskless_sync = false;
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    world_turn(w);
    assert_string_equal(w->path, "dump.rdb");
    free(w->f->e->config.dbfilename);
    w->f->e->config.dbfilename = slice_dup(slice_of("other.rdb"));
    world_child_ends(w, true, NULL);
    assert_int_equal(w->files, 1); /* and host_send_file() has seen its name */
    world_free(w);
}

/* The file of a snapshot and the one that FLUSHALL or SAVE writes have one name. */
static void file_is_not_taken_for_another(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.repl_diskless_sync = false;
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    world_turn(w);
    assert_true(w->child);
    assert_string_equal(run(w->f, "SAVE"), "-ERR Background save already in progress\r\n");
    assert_false(w->stopped);
    struct buf why = {0};
    assert_true(nd_persist_save(w->p, &why)); /* DEBUG RELOAD */
    assert_true(w->stopped);
    world_child_ends(w, false, NULL);
    assert_int_equal(c->kills, 1);
    c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    world_turn(w);
    assert_true(w->child);
    run(w->f, "FLUSHALL");
    assert_true(w->stopped);
    world_child_ends(w, false, NULL);
    assert_int_equal(c->kills, 1);
    assert_int_equal(w->files, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushed_file_says_no_place),
        cmocka_unit_test(file_keeps_its_name),
        cmocka_unit_test(file_is_not_taken_for_another),
        cmocka_unit_test(snapshot_over_sockets),
        cmocka_unit_test(acknowledged_while_the_child_ended),
        cmocka_unit_test(partial),
        cmocka_unit_test(partial_by_the_second_id),
        cmocka_unit_test(snapshot_by_file),
        cmocka_unit_test(files_only_for_replicas_are_removed),
        cmocka_unit_test(snapshots_that_fail),
        cmocka_unit_test(child_without_replicas_is_stopped),
        cmocka_unit_test(delay_gathers_replicas),
        cmocka_unit_test(other_child_comes_first),
        cmocka_unit_test(only_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
