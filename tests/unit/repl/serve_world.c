#include "tests/unit/repl/serve_world.h"

#include "common/base/mem.h"
#include "noded/repl/extension.h"
#include "noded/repl/rdb_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
    struct world *w = owner;
    struct nd_rdb_facts facts;
    (void)path;
    (void)why;
    nd_rdb_facts_now(w->f->e, &facts);
    w->placed = facts.repl_id != NULL;
    w->saves++;
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

struct world *world_new(void)
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

void world_free(struct world *w)
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

void world_turn(struct world *w)
{
    nd_serve_turn_end(w->r);
}

void world_forward_ms(struct world *w, int64_t ms)
{
    for (; ms > 0; ms -= 250) {
        fixture_forward_ms(w->f, ms < 250 ? ms : 250);
        nd_serve_tick(w->r);
        world_turn(w);
    }
}

void world_child_ends(struct world *w, bool ok, const bool *got)
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
    world_turn(w);
}

struct client *replica_new(struct world *w, const char *capa)
{
    struct client *c = fixture_client(w->f);
    snprintf(c->s->addr, sizeof c->s->addr, "10.0.0.1:5%d", (int)c->s->id);
    if (capa != NULL)
        assert_string_equal(client_run(c, capa), "+OK\r\n");
    return c;
}

void replica_reads(struct client *c, struct buf *out)
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

void replica_expects(struct client *c, const char *text)
{
    struct buf got = {0};
    replica_reads(c, &got);
    assert_string_equal(buf_str(&got), text);
    buf_free(&got);
}

void replica_acks(struct client *c, int64_t offset)
{
    char command[64];
    snprintf(command, sizeof command, "REPLCONF ACK %lld", (long long)offset);
    client_run(c, command);
    assert_int_equal(c->ran, ND_RAN);
}

struct client *replica_online(struct world *w)
{
    struct client *c = replica_new(w, MODERN);
    client_run(c, "PSYNC ? -1");
    world_turn(w);
    assert_true(w->child);
    world_child_ends(w, true, NULL);
    replica_acks(c, w->r->offset);
    world_turn(w);
    assert_non_null(nd_serve_cursor(c->s));
    client_read(c);
    return c;
}

const char *world_info(struct world *w, const char *field)
{
    static char line[200];
    const char *text = run(w->f, "INFO replication"), *at = strstr(text, field);
    if (at == NULL)
        return "";
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\r"), at);
    return line;
}
