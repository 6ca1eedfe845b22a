/* What replicas, or those who claim to be some, say to a master in any order, while writes, time and children of
 * snapshots go on. The input is lines: "0" to "5" and a request is what that connection says (words with spaces
 * between; $ stands for the history's id, @ for the offset); other letters are what happens around it. Whatever
 * comes, who is online has every byte of the stream from its place on.
 * fuzz.sh: at most 3000 inputs. */
#include "noded/repl/serve.h"

#include "common/base/mem.h"
#include "noded/repl/extension.h"
#include "noded/repl/follow.h"
#include "noded/repl/persist.h"
#include "tests/fuzz/engine_host.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 6
#define WORDS_MAX 12
#define LINES_MAX 60

struct world;

struct connection {
    struct world *w;
    struct nd_session *s; /* NULL: closed */
    struct buf out;
    bool blocked, killed, sends_file;
};

struct world {
    int64_t now_us;
    struct nd_engine *e;
    struct nd_repl *r;
    struct nd_persist *p;
    struct connection c[CLIENTS];
    bool child, to_sockets;
    struct buf all; /* the stream since the backlog is there */
    int64_t begin;  /* offset before its first byte; -1: nothing was seen */
    struct nd_backlog_cursor witness;
    const struct nd_backlog *of; /* the backlog that the witness reads */
};

static struct connection *connection_of(const struct nd_session *s)
{
    assert(s->shell != NULL);
    return s->shell;
}

/* ---- the engine's host ---- */

static int64_t clock_us(void *owner)
{
    return ((struct world *)owner)->now_us;
}

static void wake(void *owner, struct nd_session *s)
{
    (void)owner;
    (void)connection_of(s);
}

static void resume(void *owner, struct nd_session *s)
{
    (void)owner;
    connection_of(s)->blocked = false;
}

static void kill_session(void *owner, struct nd_session *s, const char *why)
{
    (void)owner;
    (void)why;
    connection_of(s)->killed = true;
}

static void effects(void *owner, const struct nd_effect_row *rows, size_t n)
{
    nd_repl_feed(((struct world *)owner)->r, rows, n);
}

static bool setting(void *owner, const char *name, struct buf *why)
{
    (void)name;
    (void)why;
    nd_serve_settings(((struct world *)owner)->r);
    return true;
}

static void facts(void *owner, struct nd_facts *out)
{
    (void)owner;
    memset(out, 0, sizeof *out);
    out->os = out->arch_bits = out->gcc_version = out->allocator = out->executable = out->config_file = "";
}

static void buffers(void *owner, const struct nd_session *s, struct nd_client_buffers *out)
{
    (void)owner;
    *out = (struct nd_client_buffers){.output = s->r.out->n, .events = "r"};
}

/* ---- snapshots and sockets ---- */

static bool start_child(void *owner, const struct nd_child_spec *spec, int64_t *fork_us, struct buf *why)
{
    struct world *w = owner;
    (void)why;
    assert(!w->child);
    w->child = true;
    w->to_sockets = spec->path == NULL;
    *fork_us = 1;
    return true;
}

static void stop_child(void *owner)
{
    assert(((struct world *)owner)->child);
}

static bool flush(void *owner, struct nd_session *s)
{
    (void)owner;
    buf_clear(&connection_of(s)->out);
    return true;
}

static int socket_of(void *owner, const struct nd_session *s)
{
    (void)owner;
    return (int)s->id;
}

static void lend(void *owner, struct nd_session *s, bool lent)
{
    (void)owner;
    (void)lent;
    (void)connection_of(s);
}

static bool send_file(void *owner, struct nd_session *s, const char *path, struct buf *why)
{
    (void)owner;
    (void)path;
    (void)why;
    connection_of(s)->sends_file = true;
    return true;
}

static void remove_file(void *owner, const char *path)
{
    (void)owner;
    (void)path;
}

static void delay(void *owner, struct nd_session *s)
{
    (void)owner;
    (void)s;
}

/* ---- the link to whoever is the master after FAILOVER ---- */

static void begin_link(void *owner, const char *host, int port)
{
    (void)owner;
    (void)host;
    (void)port;
}

static void take_bytes(void *owner, const char *p, size_t n)
{
    (void)owner;
    (void)p;
    (void)n;
}

static void nothing(void *owner)
{
    (void)owner;
}

/* ---- the world ---- */

static void world_open(struct world *w)
{
    struct nd_config config;
    struct nd_host host = fuzz_engine_host(w);
    struct nd_persist_host persist = {.owner = w, .start = start_child, .stop = stop_child};
    struct nd_serve_host serve = {.owner = w,
                                  .flush = flush,
                                  .socket = socket_of,
                                  .lend = lend,
                                  .send_file = send_file,
                                  .remove_file = remove_file,
                                  .delay_packets = delay};
    struct nd_follow_host follow = {
        .owner = w, .connect = begin_link, .send = take_bytes, .close = nothing, .file_drop = nothing};
    host.extension = &nd_repl_extension;
    host.clock_us = clock_us;
    host.wake = wake;
    host.resume = resume;
    host.kill = kill_session;
    host.effects = effects;
    host.setting = setting;
    host.facts = facts;
    host.client_buffers = buffers;
    nd_config_init(&config);
    w->now_us = 1000000;
    w->begin = -1;
    w->e = nd_engine_new(&host, &config, 1);
    nd_config_free(&config);
    w->e->config.repl_diskless_sync_delay_s = 1;
    w->e->config.repl_backlog_size = 2000;
    w->e->config.repl_timeout_s = 20;
    nd_engine_time(w->e, 1000, w->now_us);
    w->r = nd_repl_new(w->e);
    w->p = nd_persist_new(w->e, &persist);
    nd_serve_new(w->r, &serve);
    nd_follow_new(w->r, &follow);
}

static void hang_up(struct connection *c)
{
    if (c->s != NULL)
        nd_session_free(c->s);
    c->s = NULL;
    buf_free(&c->out);
    c->blocked = c->killed = c->sends_file = false;
}

static void world_close(struct world *w)
{
    nd_backlog_close(&w->witness);
    for (size_t i = 0; i < CLIENTS; i++)
        hang_up(&w->c[i]);
    nd_follow_free(w->r);
    nd_serve_free(w->r);
    nd_persist_free(w->p);
    nd_repl_free(w->r);
    nd_engine_free(w->e);
    buf_free(&w->all);
}

/* Everything that was put into the stream, in the order in which it was. */
static void watch_stream(struct world *w)
{
    if (w->of == NULL && w->r->backlog != NULL) {
        buf_clear(&w->all);
        w->of = w->r->backlog;
        w->begin = nd_backlog_first(w->of) - 1;
        if (!nd_backlog_open(w->r->backlog, w->begin + 1, &w->witness))
            abort();
    }
    struct slice piece;
    while (w->of != NULL && nd_backlog_peek(&w->witness, &piece, 1) > 0) {
        buf_put(&w->all, piece.p, piece.n);
        nd_backlog_pass(&w->witness, piece.n);
    }
    if (w->of != NULL && w->begin + (int64_t)w->all.n != w->r->offset)
        abort();
}

static void read_stream(struct world *w, const struct nd_session *s)
{
    struct nd_backlog_cursor *cursor = nd_serve_cursor(s);
    struct slice piece;
    while (cursor != NULL && nd_backlog_peek(cursor, &piece, 1) > 0) {
        size_t at = (size_t)(cursor->offset - 1 - w->begin);
        if (at + piece.n > w->all.n || memcmp(w->all.p + at, piece.p, piece.n) != 0)
            abort();
        nd_backlog_pass(cursor, piece.n);
    }
    if (cursor != NULL && cursor->offset != w->r->offset + 1)
        abort();
}

static void say(struct world *w, struct connection *c, struct slice line)
{
    struct slice words[WORDS_MAX];
    char offset[32];
    size_t n = 0;
    if (c->s == NULL) {
        *c = (struct connection){.w = w};
        c->s = nd_session_new(w->e, ND_CLIENT, &c->out, c);
        snprintf(c->s->addr, sizeof c->s->addr, "127.0.0.1:%d", (int)c->s->id);
    }
    while (line.n > 0 && n < WORDS_MAX) {
        struct slice word = slice_cut(&line, ' ');
        if (slice_is(word, "$"))
            word = slice_of(w->r->id);
        if (slice_is(word, "@"))
            word = (struct slice){offset, (size_t)snprintf(offset, sizeof offset, "%" PRId64, w->r->offset + 1)};
        if (word.n > 0)
            words[n++] = word;
    }
    if (n == 0 || c->blocked || c->killed || slice_ieq(words[0], "debug") || slice_ieq(words[0], "shutdown") ||
        slice_ieq(words[0], "migrate") || slice_ieq(words[0], "memory") || slice_ieq(words[0], "config") ||
        slice_ieq(words[0], "replicaof") || slice_ieq(words[0], "slaveof") || slice_ieq(words[0], "save") ||
        slice_ieq(words[0], "bgrewriteaof"))
        return;
    enum nd_ran ran = nd_session_run(c->s, n, words);
    c->blocked = ran == ND_BLOCKED || ran == ND_POSTPONED;
    c->killed = c->killed || ran == ND_CLOSE;
    if (c->out.n > 65536)
        buf_clear(&c->out);
}

static void end_child(struct world *w, bool ok)
{
    bool got[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        got[i] = ok || i % 2 == 0;
    if (!w->child)
        return;
    struct nd_child_end end = {.ok = ok && !w->p->child_is_stopped, .why = "no", .got = w->to_sockets ? got : NULL};
    w->child = false;
    nd_persist_child_ended(w->p, &end);
}

static void files_leave(struct world *w)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (w->c[i].s != NULL && w->c[i].sends_file)
            nd_serve_file_sent(w->c[i].s);
        w->c[i].sends_file = false;
    }
}

static void go_on(struct world *w, int64_t us)
{
    w->now_us += us;
    nd_engine_time(w->e, w->now_us / 1000, w->now_us);
    nd_engine_tick(w->e);
    if (w->r->backlog != NULL && w->r->serving->count == 0) { /* it may be given up: nobody may read it then */
        nd_backlog_close(&w->witness);
        w->of = NULL;
    }
    nd_repl_tick(w->r);
}

static void do_line(struct world *w, struct slice line)
{
    if (line.n == 0)
        return;
    unsigned char what = (unsigned char)line.p[0];
    struct slice rest = {line.p + 1, line.n - 1};
    if (what >= '0' && what < '0' + CLIENTS)
        say(w, &w->c[what - '0'], rest);
    else if (what == 'c' && rest.n > 0)
        hang_up(&w->c[(unsigned char)rest.p[0] % CLIENTS]);
    else if (what == 'e' || what == 'x')
        end_child(w, what == 'e');
    else if (what == 'f')
        files_leave(w);
    else if (what == 't')
        go_on(w, (int64_t)(rest.n > 0 ? (unsigned char)rest.p[0] : 1) * 50000);
    else if (what == 'n')
        nd_repl_fork_history(w->r);
    else if (what == 'o')
        nd_follow_none(w->r);
    else if (what == 'l' && w->e->is_replica)
        nd_follow_lost(w->r, "test");
    else if (what == 'd')
        nd_serve_drop_all(w->r, "test");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    struct slice in = {(const char *)data, size};
    world_open(&w);
    for (int n = 0; n < LINES_MAX && in.n > 0; n++) {
        do_line(&w, slice_cut(&in, '\n'));
        nd_serve_turn_end(w.r);
        for (size_t i = 0; i < CLIENTS; i++)
            if (w.c[i].killed)
                hang_up(&w.c[i]);
        watch_stream(&w);
        for (size_t i = 0; i < CLIENTS; i++)
            if (w.c[i].s != NULL)
                read_stream(&w, w.c[i].s);
    }
    world_close(&w);
    return 0;
}
