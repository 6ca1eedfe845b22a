#include "noded/repl/aof_read.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/resp/request.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/table.h"
#include "noded/repl/aof_base.h"
#include "noded/repl/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_MAX 1024 /* bytes of an annotation: a line that begins with # */
#define NAME_SHOWN 64

/* What stands in our own file was taken from a client once: its limits don't count again. */
static const struct resp_limits limits = {
    .max_args = INT32_MAX,
    .max_bulk = (size_t)1 << 40,
    .max_query = (size_t)1 << 41,
    .max_inline = 64,
};

enum part { PART_UNKNOWN, PART_RDB, PART_REQUESTS };

struct nd_aof_reader {
    struct nd_engine *e;
    struct nd_session *s;
    struct resp_parser *parser;
    struct nd_load load;
    struct nd_rdb_reader *rdb;
    enum part part;
    int databases;   /* shadows begin behind so many, in requests */
    uint64_t offset; /* in the file, of what comes next */
    uint64_t whole;
    uint64_t units;
    size_t wanted;
    struct buf error;
    struct buf nowhere;
};

struct nd_aof_reader *nd_aof_reader_new(struct nd_engine *e)
{
    struct nd_aof_reader *r = mem_zalloc(sizeof *r);
    r->e = e;
    r->databases = e->keys.db_count; /* as long as the files do not say */
    r->s = nd_session_new(e, ND_MASTER, &r->nowhere, NULL);
    return r;
}

static void end_file(struct nd_aof_reader *r)
{
    resp_parser_free(r->parser);
    nd_rdb_reader_free(r->rdb);
    r->parser = NULL;
    r->rdb = NULL;
    nd_multi_discard(r->s);
}

void nd_aof_reader_free(struct nd_aof_reader *r)
{
    if (r == NULL)
        return;
    end_file(r);
    nd_session_free(r->s);
    buf_free(&r->error);
    buf_free(&r->nowhere);
    free(r);
}

void nd_aof_reader_begin(struct nd_aof_reader *r, uint64_t bytes)
{
    end_file(r);
    r->parser = resp_parser_new(&limits);
    nd_load_init(&r->load, r->e, NULL);
    r->load.drop_expired = false; /* the requests behind it count on what was there */
    r->load.bytes = bytes;
    r->part = PART_UNKNOWN;
    r->offset = r->whole = 0;
    r->wanted = 1;
    r->s->db = nd_keyspace_db(&r->e->keys, 0);
    buf_clear(&r->error);
}

static enum nd_aof_read bad(struct nd_aof_reader *r, const char *what)
{
    buf_clear(&r->error);
    buf_printf(&r->error, "offset %" PRIu64 ": %s", r->offset, what);
    return ND_AOF_BAD;
}

static void take(struct nd_aof_reader *r, struct slice *in, size_t n)
{
    in->p += n;
    in->n -= n;
    r->offset += n;
}

/* ---- the snapshot at the front ---- */

static enum nd_aof_read feed_rdb(struct nd_aof_reader *r, struct slice *in, size_t budget)
{
    size_t before = in->n;
    enum nd_rdb_status st = nd_rdb_feed(r->rdb, in, budget);
    r->offset += before - in->n;
    if (st == ND_RDB_BAD) {
        buf_clear(&r->error);
        buf_puts(&r->error, nd_rdb_error(r->rdb));
        return ND_AOF_BAD;
    }
    if (st == ND_RDB_MORE) {
        r->wanted = 1;
        return in->n > 0 ? ND_AOF_BUSY : ND_AOF_MORE;
    }
    nd_load_take_epoch(&r->load);
    if (r->load.databases > 0)
        r->databases = r->load.databases;
    r->units += nd_rdb_keys(r->rdb);
    nd_rdb_reader_free(r->rdb);
    r->rdb = NULL;
    r->part = PART_REQUESTS;
    r->whole = r->offset;
    return ND_AOF_BUSY;
}

/* false: the file is not that long yet. */
static bool find_part(struct nd_aof_reader *r, struct slice in)
{
    bool snapshot = nd_rdb_begins(in);
    if (in.n == 0 || (in.n < ND_RDB_BEGIN_BYTES && snapshot)) {
        r->wanted = ND_RDB_BEGIN_BYTES;
        return false;
    }
    if (snapshot) {
        r->rdb = nd_load_reader(&r->load);
        r->part = PART_RDB;
    } else {
        r->part = PART_REQUESTS;
    }
    return true;
}

/* ---- requests ---- */

static enum nd_aof_read refuse(struct nd_aof_reader *r, const char *what, struct slice word)
{
    struct buf text = {0};
    buf_printf(&text, "%s '", what);
    text_quote(&text, word, NAME_SHOWN);
    buf_putc(&text, '\'');
    bad(r, buf_str(&text));
    buf_free(&text);
    return ND_AOF_BAD;
}

/* The number that a database of the file has here, as text. */
static bool database_here(const struct nd_aof_reader *r, struct slice word, char text[16], struct slice *out)
{
    uint64_t db;
    int here = text_u64(word, &db) ? nd_keyspace_number(&r->e->keys, db, r->databases) : -1;
    if (here < 0)
        return false;
    *out = (struct slice){text, (size_t)snprintf(text, 16, "%d", here)};
    return true;
}

/* An exchange of databases that was not made, as others before it are missing: what follows would go into databases
 * that it is not meant for. */
static bool is_skipped_swap(const struct nd_aof_reader *r, const struct resp_request *q)
{
    uint64_t epoch;
    bool queued = (r->s->flags & ND_S_MULTI) != 0;
    return !queued && q->argc == 5 && slice_ieq(q->argv[0], "swapdb") && text_u64(q->argv[4], &epoch) &&
           epoch > r->e->keys.mapping_epoch;
}

/* Only what an append-only file can have in it is run: a damaged one must not end the server or change its settings. */
static enum nd_aof_read run(struct nd_aof_reader *r, const struct resp_request *q)
{
    const struct nd_indexed *row = nd_commands_find(r->e->commands, q->argv, q->argc, NULL);
    if (row == NULL)
        return refuse(r, "unknown command", q->argv[0]);
    if (!nd_arity_fits(row, q->argc, true))
        return refuse(r, "wrong number of arguments for", q->argv[0]);
    if ((row->flags & (ND_ADMIN | ND_MAY_REPLICATE)) == ND_ADMIN)
        return refuse(r, "a command that changes no data:", q->argv[0]);
    char number[16];
    struct slice renamed[2] = {q->argv[0]};
    const struct slice *argv = q->argv;
    if (slice_ieq(q->argv[0], "select")) {
        if (!database_here(r, q->argv[1], number, &renamed[1])) /* what follows is not meant for another */
            return refuse(r, "a database that is not there (setting databases):", q->argv[1]);
        argv = renamed;
    }
    nd_session_run(r->s, q->argc, argv);
    if (is_skipped_swap(r, q))
        return refuse(r, "an exchange of databases whose EPOCH is not the next:", q->argv[4]);
    r->units++;
    return ND_AOF_MORE;
}

static bool note_number(struct slice line, const char *name, uint64_t *out)
{
    size_t n = strlen(name);
    if (line.n <= n || memcmp(line.p, name, n) != 0)
        return false;
    return text_u64((struct slice){line.p + n, line.n - n}, out);
}

/* What is not known is for others. */
static void take_note(struct nd_aof_reader *r, struct slice line)
{
    uint64_t v;
    while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (note_number(line, ND_AOF_NOTE_DATABASES, &v) && v > 0 && v <= INT32_MAX)
        r->databases = (int)v;
    else if (note_number(line, ND_AOF_NOTE_MAPPING, &v))
        r->e->keys.mapping_epoch = v;
}

/* A line of its own between requests: the time of what follows, for whoever wants to go back to it, or what its numbers
 * mean. */
static enum nd_aof_read skip_note(struct nd_aof_reader *r, struct slice *in)
{
    const char *end = memchr(in->p, '\n', in->n);
    if (end == NULL && in->n > NOTE_MAX)
        return bad(r, "an annotation without an end");
    r->wanted = in->n + 1;
    if (end == NULL)
        return ND_AOF_MORE;
    take_note(r, (struct slice){in->p, (size_t)(end - in->p) + 1});
    take(r, in, (size_t)(end - in->p) + 1);
    return ND_AOF_BUSY;
}

static enum nd_aof_read feed_request(struct nd_aof_reader *r, struct slice *in)
{
    if (in->p[0] == '#')
        return skip_note(r, in);
    if (in->p[0] != '*')
        return bad(r, "no request begins here: damaged");
    struct resp_request q;
    enum resp_status st = resp_parse(r->parser, in->p, in->n, &q);
    if (st == RESP_MORE) {
        r->wanted = resp_wanted(r->parser);
        return ND_AOF_MORE;
    }
    if (st == RESP_ERROR)
        return bad(r, "a request that is damaged");
    if (q.argc == 0)
        return bad(r, "a request without a word");
    if (run(r, &q) == ND_AOF_BAD)
        return ND_AOF_BAD;
    take(r, in, q.consumed);
    return ND_AOF_BUSY;
}

enum nd_aof_read nd_aof_read_some(struct nd_aof_reader *r, struct slice *in, size_t budget)
{
    size_t start = in->n;
    if (r->part == PART_UNKNOWN && !find_part(r, *in))
        return ND_AOF_MORE;
    if (r->part == PART_RDB)
        return feed_rdb(r, in, budget);
    while (in->n > 0) {
        enum nd_aof_read st = feed_request(r, in);
        if (st != ND_AOF_BUSY)
            return st;
        if (r->s->multi == NULL && (r->s->flags & ND_S_MULTI) == 0)
            r->whole = r->offset;
        if (budget > 0 && start - in->n >= budget)
            return ND_AOF_BUSY;
    }
    r->wanted = 1;
    return ND_AOF_MORE;
}

size_t nd_aof_wanted(const struct nd_aof_reader *r)
{
    return r->wanted;
}

/* ---- the end ---- */

/* "<mark><number>\r\n" at the front; false: it is not there. */
static bool cut_header(struct slice *in, char mark, struct slice *digits)
{
    const char *end = in->n > 0 ? memchr(in->p, '\n', in->n) : NULL;
    if (end == NULL || in->p[0] != mark || end - in->p < 3 || end[-1] != '\r')
        return false;
    *digits = (struct slice){in->p + 1, (size_t)(end - in->p) - 2};
    in->n -= (size_t)(end + 1 - in->p);
    in->p = end + 1;
    return true;
}

/* With an argument of n bytes at the front of `in` what follows has the shape of more arguments or requests. */
static bool makes_sense(struct slice in, uint64_t n, bool last)
{
    if (n + 2 >= in.n || in.p[n] != '\r' || in.p[n + 1] != '\n')
        return false;
    struct slice behind = {in.p + n + 2, in.n - n - 2}, digits;
    uint64_t v;
    if (!last)
        return cut_header(&behind, '$', &digits) && text_u64(digits, &v);
    return behind.p[0] == '#' || (cut_header(&behind, '*', &digits) && text_u64(digits, &v));
}

static bool other_length_fits(struct slice digits, struct slice in, bool last)
{
    char text[24];
    uint64_t n;
    if (digits.n >= sizeof text)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        memcpy(text, digits.p, digits.n);
        for (const char *d = "0123456789"; *d != '\0'; d++) {
            text[i] = *d;
            if (*d != digits.p[i] && text_u64((struct slice){text, digits.n}, &n) && n < in.n &&
                makes_sense(in, n, last))
                return true;
        }
    }
    return false;
}

bool nd_aof_length_is_damaged(struct slice rest)
{
    struct slice digits;
    uint64_t count, n;
    if (!cut_header(&rest, '*', &digits) || !text_u64(digits, &count))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!cut_header(&rest, '$', &digits) || !text_u64(digits, &n))
            return false;
        if (n > rest.n || rest.n - n < 2)
            return other_length_fits(digits, rest, i + 1 == count);
        rest.p += n + 2;
        rest.n -= n + 2;
    }
    return false;
}

enum nd_aof_end nd_aof_reader_end(struct nd_aof_reader *r, struct slice rest)
{
    bool in_unit = r->whole != r->offset;
    if (r->part == PART_RDB || (r->part == PART_UNKNOWN && rest.n > 0)) {
        bad(r, "the snapshot at the front of the file is not whole");
        return ND_AOF_END_BAD;
    }
    if (rest.n == 0 && !in_unit)
        return ND_AOF_END_WHOLE;
    if (nd_aof_length_is_damaged(rest)) {
        bad(r, "a length that is damaged: with another one the file goes on behind it");
        return ND_AOF_END_BAD;
    }
    nd_multi_discard(r->s);
    return ND_AOF_END_TORN;
}

const char *nd_aof_error(const struct nd_aof_reader *r)
{
    return buf_str((struct buf *)&r->error);
}

uint64_t nd_aof_whole(const struct nd_aof_reader *r)
{
    return r->whole;
}

uint64_t nd_aof_units(const struct nd_aof_reader *r)
{
    return r->units;
}
