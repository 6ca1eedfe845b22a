/* The stream of a master: its requests are run, and the bytes of what was run go on to our own replicas.
 *
 * The offset counts what was run. A transaction counts with its EXEC: a link that breaks in the middle of it, or of a
 * request, is asked for all of it again. */
#include "noded/repl/follow_state.h"

#include "common/base/text.h"
#include "noded/cmd/block.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/run.h"
#include "noded/repl/serve.h"
#include "noded/repl/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AHEAD 16
#define SECOND_US INT64_C(1000000)
/* A snapshot costs the master a child and the network all keys: where one does not help, the next one has to wait. */
#define DIVERGED_LATELY_US (60 * SECOND_US)
#define DIVERGED_WAIT_US (10 * SECOND_US)

void nd_stream_begin(struct nd_following *f, int db)
{
    struct nd_repl *r = f->r;
    struct nd_engine *e = r->e;
    nd_repl_open_backlog(r, false);
    f->ask_full = false;
    f->guarded[0] = '\0';
    f->unread = 0;
    f->session = nd_session_new(e, ND_MASTER, NULL, NULL);
    f->session->id = e->next_session++;
    snprintf(f->session->addr, sizeof f->session->addr, "%.50s:%d", f->host_name, f->port);
    if (db >= 0 && db < nd_keyspace_all(&e->keys))
        f->session->db = nd_keyspace_db(&e->keys, db);
    r->stream_db = nd_db_number(f->session->db);
    f->parser = resp_parser_new(&f->limits);
    nd_follow_enter(f, ND_FOLLOW_STREAMING);
    f->say_us = e->now_us + 1000000;
    nd_stream_acknowledge(f); /* so the master knows that we are in step */
}

void nd_stream_end(struct nd_following *f)
{
    if (f->session == NULL)
        return;
    nd_session_free(f->session);
    f->session = NULL;
    resp_parser_free(f->parser);
    f->parser = NULL;
    buf_free(&f->held);
}

void nd_stream_acknowledge(struct nd_following *f)
{
    char offset[24];
    snprintf(offset, sizeof offset, "%" PRId64, f->r->offset);
    const char *words[] = {"REPLCONF", "ACK", offset};
    nd_follow_send(f, 3, words);
}

/* ---- what was run ---- */

/* These bytes were run, or belong to a transaction that has not ended. */
static void count(struct nd_following *f, const char *p, size_t n)
{
    if (n == 0)
        return;
    if (f->other_db)
        nd_serve_leave_database_0(f->r);
    if ((f->session->flags & ND_S_MULTI) != 0) {
        buf_put(&f->held, p, n);
        return;
    }
    if (f->held.n > 0) {
        nd_repl_feed_bytes(f->r, f->held.p, f->held.n);
        buf_free(&f->held);
    }
    nd_repl_feed_bytes(f->r, p, n);
    if (f->other_db)
        f->r->other_db_offset = f->r->offset;
    f->other_db = false;
}

struct batch {
    const char *from; /* what was run and not yet counted */
    size_t n;
};

static void flush(struct nd_following *f, struct batch *b)
{
    count(f, b->from, b->n);
    b->from += b->n;
    b->n = 0;
}

/* As it stands in a line of INFO or of the log. */
static void put_plain(struct buf *out, struct slice text, size_t max)
{
    for (size_t i = 0; i < text.n && i < max; i++)
        buf_putc(out, text.p[i] >= ' ' && text.p[i] <= '~' ? text.p[i] : '?');
}

static void put_failure(const struct nd_following *f, const struct resp_request *q, struct slice error, struct buf *out)
{
    buf_puts(out, "the request ");
    put_plain(out, q->argv[0], 64);
    buf_printf(out, " at offset %" PRId64 " of its stream cannot be run here: ", f->r->offset + (int64_t)f->held.n + 1);
    put_plain(out, error, 200);
}

/* No snapshot would change that. */
static void stop_at(struct nd_following *f, const struct resp_request *q, struct slice error)
{
    struct buf why = {0};
    put_failure(f, q, error, &why);
    nd_follow_stop(f, buf_str(&why));
    buf_free(&why);
}

/* The master could run it and we could not: our dataset is not its dataset any more, by a fault of one of the two (a
 * redis-server does not tell its replicas of everything: not of a key that BITFIELD made without a change, for
 * instance). A snapshot makes them equal again. */
static void diverged_at(struct nd_following *f, const struct resp_request *q, struct slice error)
{
    int64_t now_us = f->r->e->now_us;
    bool lately = f->divergences > 0 && now_us - f->diverged_us < DIVERGED_LATELY_US;
    struct buf why = {0};
    put_failure(f, q, error, &why);
    f->divergences++;
    f->diverged_us = now_us;
    f->ask_full = true;
    nd_follow_log(f, ND_LOG_WARNING,
                  "This node does not hold what its master %s:%d holds: %s. It asks for the whole dataset%s",
                  f->host_name, f->port, buf_str(&why), lately ? " in 10 s, because it has just done so" : "");
    nd_follow_retry(f, lately ? DIVERGED_WAIT_US : 0);
    buf_free(&why);
}

/* What failed depends on the data, not on what this node can do or how it is set up. */
static bool depends_on_data(const struct nd_command *cmd, struct slice answer)
{
    static const char arity[] = "-ERR wrong number of arguments";
    if (cmd == NULL || answer.n == 0)
        return false;
    if (answer.p[0] == '*') /* one of those that EXEC ran */
        return true;
    return (cmd->flags & ND_WRITE) != 0 && (answer.n < sizeof arity || memcmp(answer.p, arity, sizeof arity - 1) != 0);
}

/* What a master's stream is made of. Nothing else that a master may say is obeyed. */
static bool belongs(const struct nd_command *cmd)
{
    return cmd == NULL || (cmd->flags & (ND_WRITE | ND_MAY_REPLICATE)) != 0 || strcmp(cmd->name, "ping") == 0 ||
           strcmp(cmd->name, "select") == 0 || strcmp(cmd->name, "multi") == 0 || strcmp(cmd->name, "exec") == 0;
}

/* SELECT as it is to be run here, where the numbers of shadows may be others. false: there is no such database. */
static bool translate(const struct nd_following *f, struct slice argv[2], char number[16])
{
    const struct nd_keyspace *k = &f->r->e->keys;
    uint64_t n;
    if (k->shadows == 0 || !text_u64(argv[1], &n))
        return true; /* what is no database is found by the command itself */
    int here = nd_keyspace_number(k, n, f->databases);
    if (here < 0)
        return false;
    argv[1] = (struct slice){number, (size_t)snprintf(number, 16, "%d", here)};
    return true;
}

/* false: the link is no more, or has been left. */
static bool run(struct nd_following *f, const struct resp_request *q, struct batch *b)
{
    struct nd_engine *e = f->r->e;
    const struct nd_command *parent;
    const struct nd_command *cmd = nd_command_find(e, q->argv, q->argc, &parent);
    if (!belongs(cmd)) {
        flush(f, b);
        stop_at(f, q, slice_of("it does not belong into a stream"));
        return false;
    }
    bool selects = cmd != NULL && strcmp(cmd->name, "select") == 0 && q->argc == 2;
    struct slice select[2] = {q->argv[0], selects ? q->argv[1] : q->argv[0]};
    char number[16];
    if (selects && !translate(f, select, number)) {
        flush(f, b);
        stop_at(f, q, slice_of("ERR DB index is out of range"));
        return false;
    }
    /* SELECT alone says it of a transaction, which may end where it began. */
    if (nd_db_number(f->session->db) > 0 || (selects && !slice_is(q->argv[1], "0")))
        f->other_db = true;
    uint64_t errors = e->stats.unexpected_errors;
    enum nd_ran ran = nd_session_run(f->session, q->argc, selects ? select : q->argv);
    if (e->stats.unexpected_errors != errors || ran != ND_RAN) {
        flush(f, b); /* what came before it was run */
        struct slice answer = buf_slice(&e->dropped);
        (depends_on_data(cmd, answer) ? diverged_at : stop_at)(f, q, nd_stream_error(answer));
        return false;
    }
    f->r->stream_db = nd_db_number(f->session->db);
    return true;
}

/* ---- the bytes ---- */

static bool take(struct nd_following *f, const struct resp_request *q, struct batch *b)
{
    if (q->argc == 0) {
        b->n += q->consumed;
        return true;
    }
    if (slice_ieq(q->argv[0], "replconf")) {
        flush(f, b);
        if (q->argc == 3 && slice_ieq(q->argv[1], "getack"))
            nd_stream_acknowledge(f); /* says what came before it */
        b->n += q->consumed;
        return true;
    }
    bool held = (f->session->flags & ND_S_MULTI) != 0;
    bool begins = q->argc == 1 && slice_ieq(q->argv[0], "multi");
    if (begins && !held)
        flush(f, b); /* what comes before it is counted, whatever becomes of it */
    if (!run(f, q, b))
        return false;
    b->n += q->consumed;
    if (held || begins)
        flush(f, b);
    return true;
}

/* Requests whose keys are not in the processor's cache: what they will want is asked for together. */
static void look_ahead(struct nd_following *f, const struct resp_request *q, size_t n)
{
    struct slice keys[AHEAD];
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (q[i].argc > 1)
            keys[found++] = q[i].argv[1];
    }
    if (found > 1)
        nd_db_prefetch_all(f->session->db, keys, found);
}

static void broken(struct nd_following *f, const char *why)
{
    nd_follow_log(f, ND_LOG_WARNING, "The stream of the master %s:%d is broken at offset %" PRId64 ": %s", f->host_name,
                  f->port, f->r->offset + (int64_t)f->held.n + 1, why);
    f->ask_full = true;
    nd_follow_retry(f, 1000000);
}

/* false: nothing more can be taken now. */
static bool take_some(struct nd_following *f, struct slice *in)
{
    struct resp_request ahead[AHEAD], one;
    size_t got = resp_parse_ahead(f->parser, in->p, in->n, ahead, AHEAD);
    const struct resp_request *q = ahead;
    if (got == 0) {
        enum resp_status st = resp_parse(f->parser, in->p, in->n, &one);
        if (st == RESP_ERROR)
            broken(f, one.error);
        if (st != RESP_READY)
            return false;
        q = &one;
        got = 1;
    }
    look_ahead(f, q, got);
    struct batch b = {.from = in->p};
    bool ok = true;
    for (size_t i = 0; ok && i < got; i++) {
        ok = take(f, &q[i], &b);
        if (ok)
            *in = (struct slice){in->p + q[i].consumed, in->n - q[i].consumed};
    }
    if (ok)
        flush(f, &b);
    return ok;
}

bool nd_stream_bytes(struct nd_following *f, struct slice *in, int64_t until_us)
{
    struct nd_engine *e = f->r->e;
    bool more = true;
    while (in->n > 0 && more && f->state == ND_FOLLOW_STREAMING) {
        more = take_some(f, in);
        if (more && in->n > 0 && e->host.clock_us(e->host.owner) >= until_us)
            break;
    }
    if (f->state == ND_FOLLOW_STREAMING)
        f->unread = (int64_t)in->n;
    return more && in->n > 0;
}
