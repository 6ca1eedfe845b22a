/* The master's side of replication with a program that does nothing by itself: the test is the child, the sockets and
 * the replicas. */
#include "noded/repl/serve.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/cmd/migrate.h"
#include "noded/repl/extension.h"
#include "noded/repl/failover.h"
#include "noded/repl/persist.h"
#include "noded/repl/rdb_write.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FDS_MAX 64

struct world {
    struct fixture *f;
    struct nd_repl *r;
    struct nd_serving *v;
    struct nd_persist *p;
    /* What the child was told. */
    bool child, stopped, refuse;
    char *path, *head, *tail;
    int fds[FDS_MAX];
    size_t fd_count;
    /* What was asked for a replica's socket. */
    struct nd_session *file_for[FDS_MAX];
    size_t files, removed;
    bool stuck; /* nothing can be sent */
};

static bool host_start(void *owner, const struct nd_child_spec *spec, int64_t *fork_us, struct buf *why)
{
    struct world *w = owner;
    if (w->refuse) {
        buf_puts(why, "no memory");
        return false;
    }
    assert_false(w->child);
    free(w->path);
    free(w->head);
    free(w->tail);
    w->path = spec->path != NULL ? mem_strdup(spec->path) : NULL;
    w->head = slice_dup(spec->head);
    w->tail = slice_dup(spec->tail);
    w->fd_count = spec->fd_count;
    for (size_t i = 0; i < spec->fd_count; i++)
        w->fds[i] = spec->fds[i];
    w->child = true;
    w->stopped = false;
    *fork_us = 10;
    return true;
}

static void host_stop(void *owner)
{
    ((struct world *)owner)->stopped = true;
}

static bool host_save(void *owner, const char *path, struct buf *why)
{
    (void)owner;
    (void)path;
    (void)why;
    return true;
}

static bool host_flush(void *owner, struct nd_session *s)
{
    (void)s;
    return !((struct world *)owner)->stuck;
}

static int host_socket(void *owner, const struct nd_session *s)
{
    (void)owner;
    return (int)s->id;
}

static void host_lend(void *owner, struct nd_session *s, bool lent)
{
    (void)owner;
    (void)s;
    (void)lent;
}

static bool host_send_file(void *owner, struct nd_session *s, const char *path, struct buf *why)
{
    struct world *w = owner;
    (void)why;
    assert_string_equal(path, "dump.rdb");
    w->file_for[w->files++] = s;
    return true;
}

static void host_remove_file(void *owner, const char *path)
{
    (void)path;
    ((struct world *)owner)->removed++;
}

static void host_delay(void *owner, struct nd_session *s)
{
    (void)owner;
    (void)s;
}

static void feed(void *owner, const struct nd_effect_row *rows, size_t n)
{
    nd_repl_feed(owner, rows, n);
}

static struct world *world_new(void)
{
    struct world *w = mem_zalloc(sizeof *w);
    struct nd_config config;
    nd_config_init(&config);
    w->f = fixture_new_extended(&config, &nd_repl_extension);
    nd_config_free(&config);
    w->f->e->config.repl_diskless_sync_delay_s = 0;
    w->r = nd_repl_new(w->f->e);
    struct nd_persist_host persist = {.owner = w, .start = host_start, .stop = host_stop, .save = host_save};
    w->p = nd_persist_new(w->f->e, &persist);
    struct nd_serve_host serve = {.owner = w,
                                  .flush = host_flush,
                                  .socket = host_socket,
                                  .lend = host_lend,
                                  .send_file = host_send_file,
                                  .remove_file = host_remove_file,
                                  .delay_packets = host_delay};
    w->v = nd_serve_new(w->r, &serve);
    w->f->also = feed;
    w->f->also_owner = w->r;
    return w;
}

static void world_free(struct world *w)
{
    nd_serve_free(w->r);
    nd_persist_free(w->p);
    nd_repl_free(w->r);
    fixture_free(w->f);
    free(w->path);
    free(w->head);
    free(w->tail);
    free(w);
}

static void turn(struct world *w)
{
    nd_serve_turn_end(w->r);
}

static void forward_ms(struct world *w, int64_t ms)
{
    for (; ms > 0; ms -= 250) {
        fixture_forward_ms(w->f, ms < 250 ? ms : 250);
        nd_serve_tick(w->r);
        turn(w);
    }
}

/* The child ends; NULL: every replica got all. */
static void child_ends(struct world *w, bool ok, const bool *got)
{
    bool all[FDS_MAX];
    for (size_t i = 0; i < FDS_MAX; i++)
        all[i] = ok;
    struct nd_child_end end = {.ok = ok,
                               .why = "it was killed",
                               .got = w->path != NULL ? NULL
                                      : got != NULL   ? got
                                                      : all};
    w->child = false;
    nd_persist_child_ended(w->p, &end);
    turn(w);
}

static struct client *replica_new(struct world *w, const char *capa)
{
    struct client *c = fixture_client(w->f);
    snprintf(c->s->addr, sizeof c->s->addr, "10.0.0.1:5%d", (int)c->s->id);
    if (capa != NULL)
        assert_string_equal(client_run(c, capa), "+OK\r\n");
    return c;
}

#define MODERN "REPLCONF capa eof capa psync2 listening-port 7001"

/* What the shell would send it now. */
static void read_stream(struct client *c, struct buf *out)
{
    struct nd_backlog_cursor *cursor = nd_serve_cursor(c->s);
    struct slice pieces[4];
    size_t n;
    while (cursor != NULL && (n = nd_backlog_peek(cursor, pieces, 4)) > 0) {
        size_t bytes = 0;
        for (size_t i = 0; i < n; i++) {
            buf_put(out, pieces[i].p, pieces[i].n);
            bytes += pieces[i].n;
        }
        nd_backlog_pass(cursor, bytes);
    }
}

static void expect_stream(struct client *c, const char *text)
{
    struct buf got = {0};
    read_stream(c, &got);
    assert_string_equal(buf_str(&got), text);
    buf_free(&got);
}

static void ack(struct client *c, int64_t offset)
{
    char command[64];
    snprintf(command, sizeof command, "REPLCONF ACK %lld", (long long)offset);
    client_run(c, command);
    assert_int_equal(c->ran, ND_RAN);
}

static struct client *online(struct world *w)
{
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    turn(w);
    assert_true(w->child);
    child_ends(w, true, NULL);
    ack(c, w->r->offset);
    turn(w);
    assert_non_null(nd_serve_cursor(c->s));
    client_read(c);
    return c;
}

static const char *info(struct world *w, const char *field)
{
    static char line[200];
    const char *text = run(w->f, "INFO replication"), *at = strstr(text, field);
    if (at == NULL)
        return "";
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\r"), at);
    return line;
}

#define SET_A "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#define SELECT_0 "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"

static void snapshot_over_sockets(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *c = replica_new(w, MODERN);
    run(w->f, "SET before 1");
    assert_int_equal(w->r->offset, 0); /* nobody follows: nothing is kept */
    assert_string_equal(client_run(c, "PSYNC ? -1"), "");
    assert_int_equal(c->s->kind, ND_REPLICA);
    turn(w);
    assert_true(w->child);
    assert_int_equal(w->fd_count, 1);
    assert_int_equal(w->fds[0], (int)c->s->id);
    char expected[100];
    snprintf(expected, sizeof expected, "+FULLRESYNC %s 0\r\n", w->r->id);
    assert_string_equal(client_read(c), expected);
    assert_memory_equal(w->head, "$EOF:", 5);
    assert_int_equal(strlen(w->tail), 40);
    assert_memory_equal(w->head + 5, w->tail, 40);
    assert_string_equal(info(w, "slave0:"), "slave0:ip=10.0.0.1,port=7001,state=wait_bgsave,offset=0,lag=0");
    run(w->f, "SET a 1");
    turn(w);
    assert_null(nd_serve_cursor(c->s));
    assert_int_equal(nd_serve_unread(c->s), strlen(SELECT_0 SET_A));
    child_ends(w, true, NULL);
    assert_string_equal(info(w, "slave0:"), "slave0:ip=10.0.0.1,port=7001,state=online,offset=0,lag=0");
    assert_null(nd_serve_cursor(c->s)); /* it still reads the snapshot, for all that is known */
    int wakes = c->wakes;
    ack(c, 0);
    turn(w);
    assert_true(c->wakes > wakes);
    expect_stream(c, SELECT_0 SET_A);
    run(w->f, "SET a 1");
    expect_stream(c, SET_A);
    assert_int_equal(w->r->offset, strlen(SELECT_0 SET_A SET_A));
    ack(c, w->r->offset);
    assert_true(nd_serve_caught_up(w->r));
    world_free(w);
}

static void acknowledged_while_the_child_ended(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    turn(w);
    ack(c, 0);
    child_ends(w, true, NULL);
    assert_non_null(nd_serve_cursor(c->s));
    world_free(w);
}

static void partial(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *first = online(w);
    run(w->f, "SET a 1");
    client_close(first);
    char command[100], expected[100];
    struct client *c = replica_new(w, MODERN);
    snprintf(command, sizeof command, "PSYNC %s 1", w->r->id);
    snprintf(expected, sizeof expected, "+CONTINUE %s\r\n", w->r->id);
    assert_string_equal(client_run(c, command), expected);
    expect_stream(c, SELECT_0 SET_A);
    struct client *plain = replica_new(w, NULL);
    snprintf(command, sizeof command, "PSYNC %s %d", w->r->id, (int)w->r->offset + 1);
    assert_string_equal(client_run(plain, command), "+CONTINUE\r\n");
    expect_stream(plain, "");
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
    online(w);
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
    expect_stream(c, SELECT_0 SET_A);
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
    turn(w);
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
    child_ends(w, true, NULL);
    assert_int_equal(w->files, 3);
    assert_ptr_equal(w->file_for[0], a->s);
    assert_string_equal(info(w, "slave0:"), "slave0:ip=10.0.0.1,port=0,state=send_bulk,offset=0,lag=0");
    nd_serve_file_sent(a->s);
    nd_serve_file_sent(b->s);
    nd_serve_file_sent(old->s);
    expect_stream(a, SELECT_0 SET_A);
    expect_stream(b, SELECT_0 SET_A);
    expect_stream(old, SELECT_0 SET_A);
    assert_true(w->child); /* the next one, for c */
    child_ends(w, true, NULL);
    nd_serve_file_sent(c->s);
    expect_stream(c, "");
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
    turn(w);
    child_ends(w, true, NULL);
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
    turn(w);
    assert_int_equal(w->fd_count, 2);
    child_ends(w, true, (const bool[]){false, true});
    assert_int_equal(a->kills, 1);
    assert_int_equal(b->kills, 0);
    assert_int_equal(w->v->count, 1);
    /* The child cannot be started. */
    w->refuse = true;
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    turn(w);
    assert_int_equal(c->kills, 1);
    w->refuse = false;
    /* A file that could not be written. */
    struct client *d = replica_new(w, NULL);
    client_run(d, "PSYNC ? -1");
    turn(w);
    child_ends(w, false, NULL);
    assert_int_equal(d->kills, 1);
    assert_int_equal(w->files, 0);
    /* Who does not read what stands before the snapshot is not waited for. */
    w->stuck = true;
    struct client *e = replica_new(w, MODERN);
    client_run(e, "PSYNC ? -1");
    turn(w);
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
    turn(w);
    client_close(a);
    assert_false(w->stopped);
    client_close(b);
    assert_true(w->stopped);
    child_ends(w, false, NULL);
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
    turn(w);
    assert_false(w->child);
    forward_ms(w, 2000);
    assert_string_equal(client_read(a), "\n"); /* a sign of life; the first was not taken yet */
    client_run(b, "PSYNC ? -1");
    turn(w);
    assert_true(nd_serve_deadline(w->r) <= w->f->mono_us + 1000000);
    forward_ms(w, 1500);
    assert_true(w->child);
    assert_int_equal(w->fd_count, 2);
    child_ends(w, true, NULL);
    w->f->e->config.repl_diskless_sync_max_replicas = 1;
    client_run(replica_new(w, MODERN), "PSYNC ? -1");
    turn(w);
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
    turn(w);
    forward_ms(w, 1000);
    assert_string_equal(client_read(a), "\n");
    child_ends(w, true, NULL);
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
    turn(w);
    assert_string_equal(client_read(a), "");
    run(w->f, "SET a 1");
    assert_int_equal(nd_serve_unread(a->s), 0);
    child_ends(w, true, NULL);
    assert_int_equal(a->kills, 1);
    world_free(w);
}

static void silence_and_pings(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->f->e->config.repl_timeout_s = 15;
    struct client *a = online(w), *b = online(w);
    int64_t before = w->r->offset;
    for (int s = 0; s < 11; s++) {
        forward_ms(w, 1000);
        ack(a, w->r->offset);
    }
    expect_stream(a, "*1\r\n$4\r\nPING\r\n");
    assert_int_equal(w->r->offset, before + 14);
    assert_int_equal(nd_serve_lag_s(b->s->replica), 11);
    for (int s = 0; s < 6; s++) {
        forward_ms(w, 1000);
        ack(a, w->r->offset);
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
    struct client *a = online(w);
    char id[41];
    memcpy(id, w->r->id, sizeof id);
    client_close(a);
    assert_int_equal(nd_serve_deadline(w->r), w->f->e->now_us + 5000000);
    run(w->f, "SET a 1");
    assert_true(w->r->offset > 0);
    forward_ms(w, 4500);
    assert_non_null(w->r->backlog);
    forward_ms(w, 1000);
    assert_null(w->r->backlog);
    assert_string_not_equal(w->r->id, id);
    assert_string_equal(info(w, "repl_backlog_active"), "repl_backlog_active:0");
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
    struct client *a = online(w);
    assert_string_equal(run(w->f, "SET a 1"), "+OK\r\n");
    assert_string_equal(info(w, "min_slaves_good_slaves"), "min_slaves_good_slaves:1");
    forward_ms(w, 4000);
    assert_memory_equal(run(w->f, "SET a 1"), "-NOREPLICAS", 11);
    ack(a, w->r->offset);
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
    struct client *a = online(w), *b = online(w), *writer = fixture_client(w->f);
    assert_string_equal(client_run(writer, "WAIT 2 0"), ":2\r\n"); /* it wrote nothing */
    client_run(writer, "SET a 1");
    int64_t wrote = w->r->offset;
    turn(w);
    struct buf drop = {0};
    read_stream(a, &drop);
    buf_free(&drop);
    assert_string_equal(client_run(writer, "WAIT 1 0"), "");
    assert_int_equal(writer->ran, ND_BLOCKED);
    turn(w);
    expect_stream(a, GETACK);
    ack(a, wrote - 1);
    turn(w);
    assert_string_equal(client_read(writer), "");
    ack(a, wrote);
    turn(w);
    assert_string_equal(client_read(writer), ":1\r\n");
    assert_int_equal(writer->resumes, 1);
    /* A timeout, inside of a transaction, ended by another client, and a client that goes away. */
    client_run(writer, "SET a 2");
    client_run(writer, "WAIT 2 500");
    turn(w);
    forward_ms(w, 750);
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
    ack(a, w->r->offset);
    ack(b, w->r->offset);
    turn(w);
    assert_string_equal(client_read(writer), "");
    struct client *leaver = fixture_client(w->f);
    client_run(leaver, "SET a 3");
    client_run(leaver, "WAIT 2 0");
    client_close(leaver);
    ack(a, w->r->offset);
    ack(b, w->r->offset);
    turn(w);
    world_free(w);
}

static void hostile_replica(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct client *a = online(w);
    ack(a, -5);
    ack(a, INT64_MAX);
    client_run(a, "PSYNC ? -1");
    client_run(a, "SYNC");
    assert_int_equal(a->ran, ND_RAN);
    client_run(a, "REPLCONF ACK");
    assert_int_equal(a->ran, ND_CLOSE); /* nobody is answered in the middle of the stream */
    struct client *b = online(w);
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
    struct client *a = online(w);
    run(w->f, "SET a 1");
    assert_string_equal(run(w->f, "FAILOVER TO 10.0.0.1 7002"),
                        "-ERR FAILOVER target HOST and PORT is not a replica.\r\n");
    assert_string_equal(run(w->f, "FAILOVER TO 10.0.0.1 7001 FORCE"),
                        "-ERR FAILOVER with force option requires both a timeout and target HOST and IP.\r\n");
    assert_string_equal(run(w->f, "FAILOVER TO 10.0.0.1 7001 TIMEOUT 3000"), "+OK\r\n");
    assert_string_equal(info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    assert_string_equal(run(w->f, "FAILOVER"), "-ERR FAILOVER already in progress.\r\n");
    struct client *writer = fixture_client(w->f), *late = fixture_client(w->f);
    client_run(writer, "SET a 2");
    assert_int_equal(writer->ran, ND_POSTPONED);
    run(w->f, "CLIENT UNPAUSE");
    client_run(writer, "SET a 2");
    assert_int_equal(writer->ran, ND_POSTPONED);
    assert_memory_equal(client_run(late, "PSYNC ? -1"), "-NOMASTERLINK", 13);
    ack(a, w->r->offset - 1);
    turn(w);
    assert_string_equal(info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    int resumes = writer->resumes;
    forward_ms(w, 3250);
    assert_string_equal(info(w, "master_failover_state"), "master_failover_state:no-failover");
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
    struct client *a = online(w), *mover = fixture_client(w->f);
    run(w->f, "SET a 1");
    client_run(mover, "MIGRATE 127.0.0.1 7777 a 0 1000");
    assert_int_equal(mover->ran, ND_BLOCKED);
    assert_string_equal(run(w->f, "FAILOVER"), "+OK\r\n");
    ack(a, w->r->offset);
    turn(w);
    assert_string_equal(info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    int64_t before = w->r->offset;
    nd_migrate_answered(w->f->migrating->migration, (struct slice){NULL, 0});
    nd_migrate_ended(w->f->migrating->migration, ND_MIGRATE_DONE);
    turn(w);
    assert_true(w->r->offset > before);
    assert_string_equal(info(w, "master_failover_state"), "master_failover_state:waiting-for-sync");
    assert_string_equal(run(w->f, "FAILOVER ABORT"), "+OK\r\n");
    world_free(w);
}

/* ---- anything in any order ---- */

struct follower {
    struct client *c;
    struct buf got; /* bytes of the stream since `from` */
    int64_t from;   /* -1: not known yet */
    bool full;      /* asked for a snapshot */
};

struct chaos {
    struct world *w;
    struct rng rng;
    struct buf all; /* the whole stream, read by a cursor that the test has */
    struct nd_backlog_cursor witness;
    struct follower followers[8];
};

static void read_all(struct chaos *x)
{
    struct slice pieces[4];
    size_t n;
    while ((n = nd_backlog_peek(&x->witness, pieces, 4)) > 0)
        for (size_t i = 0; i < n; i++) {
            buf_put(&x->all, pieces[i].p, pieces[i].n);
            nd_backlog_pass(&x->witness, pieces[i].n);
        }
    assert_int_equal(x->all.n, x->w->r->offset);
}

/* It has what the stream was from its place on, without a gap. */
static void check_follower(struct chaos *x, struct follower *q)
{
    const struct nd_replica *p = q->c->s->replica;
    if (p == NULL || nd_serve_cursor(q->c->s) == NULL)
        return;
    if (q->from < 0)
        q->from = p->cursor.offset - 1;
    if (q->full)
        assert_int_equal(q->from, p->snapshot_offset);
    read_stream(q->c, &q->got);
    assert_int_equal(q->from + (int64_t)q->got.n, x->w->r->offset);
    assert_memory_equal(q->got.p != NULL ? q->got.p : "", x->all.p + q->from, q->got.n);
}

static void follower_goes(struct follower *q)
{
    client_close(q->c);
    buf_free(&q->got);
    *q = (struct follower){.c = NULL};
}

static void follower_comes(struct chaos *x, struct follower *q)
{
    struct world *w = x->w;
    static const char *const capas[] = {MODERN, "REPLCONF capa psync2", NULL};
    *q = (struct follower){.c = replica_new(w, capas[rng_below(&x->rng, 3)]), .from = -1};
    char command[100];
    int64_t offset = rng_range(&x->rng, -1, w->r->offset + 2);
    uint64_t how = rng_below(&x->rng, 3);
    if (how == 0)
        snprintf(command, sizeof command, "SYNC");
    else
        snprintf(command, sizeof command, "PSYNC %s %lld", how == 1 ? w->r->id : "?", (long long)offset);
    q->full = memcmp(client_run(q->c, command), "+CONTINUE", 9) != 0;
    if (!q->full)
        q->from = offset - 1;
}

static void chaos_step(struct chaos *x)
{
    struct world *w = x->w;
    struct follower *q = &x->followers[rng_below(&x->rng, 8)];
    char command[100];
    switch (rng_below(&x->rng, 8)) {
    case 0:
        if (q->c == NULL && w->f->client_count < FIXTURE_CLIENTS)
            follower_comes(x, q);
        break;
    case 1:
        if (q->c != NULL && (q->c->kills > 0 || rng_below(&x->rng, 8) == 0))
            follower_goes(q);
        break;
    case 2:
        if (q->c != NULL)
            ack(q->c, rng_range(&x->rng, 0, w->r->offset));
        break;
    case 3:
        if (w->child) {
            bool got[FDS_MAX];
            for (size_t i = 0; i < FDS_MAX; i++)
                got[i] = rng_below(&x->rng, 5) > 0;
            child_ends(w, w->stopped ? false : rng_below(&x->rng, 5) > 0, got);
        }
        break;
    case 4:
        while (w->files > 0) {
            struct nd_session *s = w->file_for[--w->files];
            for (size_t i = 0; i < 8; i++)
                if (x->followers[i].c != NULL && x->followers[i].c->s == s)
                    nd_serve_file_sent(s);
        }
        break;
    case 5: forward_ms(w, (int64_t)rng_below(&x->rng, 700)); break;
    default:
        snprintf(command, sizeof command, "SET k%d %d", (int)rng_below(&x->rng, 50), (int)rng_below(&x->rng, 50));
        run(w->f, command);
    }
}

static void random_run(uint64_t seed)
{
    struct chaos x = {.w = world_new()};
    rng_seed(&x.rng, seed);
    nd_repl_open_backlog(x.w->r, true);
    assert_true(nd_backlog_open(x.w->r->backlog, 1, &x.witness));
    x.w->f->e->config.repl_diskless_sync_delay_s = 1;
    for (int n = 0; n < 2000; n++) {
        chaos_step(&x);
        turn(x.w);
        read_all(&x);
        for (size_t i = 0; i < 8; i++)
            if (x.followers[i].c != NULL && x.followers[i].c->kills == 0)
                check_follower(&x, &x.followers[i]);
    }
    assert_true(x.w->f->e->stats.sync_full > 5);
    for (size_t i = 0; i < 8; i++)
        if (x.followers[i].c != NULL)
            follower_goes(&x.followers[i]);
    nd_backlog_close(&x.witness);
    buf_free(&x.all);
    world_free(x.w);
}

static void random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(silence_and_pings),
        cmocka_unit_test(backlog_goes_after_its_time),
        cmocka_unit_test(too_few_replicas),
        cmocka_unit_test(wait_for_replicas),
        cmocka_unit_test(hostile_replica),
        cmocka_unit_test(failover_waits_for_the_replica),
        cmocka_unit_test(failover_waits_for_a_migration),
        cmocka_unit_test(random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
