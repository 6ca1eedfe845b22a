#include "tests/unit/repl/follow_world.h"

#include "common/base/mem.h"
#include "noded/repl/rdb_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void host_connect(void *owner, const char *host, int port)
{
    struct follower *w = owner;
    assert_string_equal(host, "master");
    assert_int_equal(port, 6379);
    w->connects++;
    w->linked = true;
}

static void host_send(void *owner, const char *p, size_t n)
{
    struct follower *w = owner;
    assert_true(w->linked);
    buf_put(&w->sent, p, n);
}

static void host_close(void *owner)
{
    struct follower *w = owner;
    w->linked = false;
    w->closes++;
}

static bool host_file_open(void *owner, struct buf *why)
{
    struct follower *w = owner;
    (void)why;
    assert_false(w->file_is_open);
    w->file_is_open = true;
    w->file_read = 0;
    buf_clear(&w->file);
    return true;
}

static bool host_file_write(void *owner, const char *p, size_t n, struct buf *why)
{
    struct follower *w = owner;
    assert_true(w->file_is_open);
    if (w->disk_full) {
        buf_puts(why, "no space left");
        return false;
    }
    buf_put(&w->file, p, n);
    return true;
}

static void host_file_flush(void *owner)
{
    ((struct follower *)owner)->flushing = true;
}

static ptrdiff_t host_file_read(void *owner, char *p, size_t n)
{
    struct follower *w = owner;
    size_t left = w->file.n - w->file_read;
    if (n > left)
        n = left;
    memcpy(p, w->file.p + w->file_read, n);
    w->file_read += n;
    return (ptrdiff_t)n;
}

static void host_file_rewind(void *owner)
{
    ((struct follower *)owner)->file_read = 0;
}

static void host_file_keep(void *owner)
{
    struct follower *w = owner;
    assert_true(w->file_is_open);
    w->file_is_open = false;
    w->kept++;
}

static void host_file_drop(void *owner)
{
    ((struct follower *)owner)->file_is_open = false;
}

struct follower *follower_new(void)
{
    struct follower *w = mem_zalloc(sizeof *w);
    w->f = fixture_new();
    w->r = nd_repl_new(w->f->e);
    struct nd_follow_host host = {
        .owner = w,
        .connect = host_connect,
        .send = host_send,
        .close = host_close,
        .file_open = host_file_open,
        .file_write = host_file_write,
        .file_flush = host_file_flush,
        .file_read = host_file_read,
        .file_rewind = host_file_rewind,
        .file_keep = host_file_keep,
        .file_drop = host_file_drop,
    };
    nd_follow_new(w->r, &host);
    return w;
}

void follower_free(struct follower *w)
{
    nd_follow_free(w->r);
    assert_false(w->file_is_open);
    nd_repl_free(w->r);
    fixture_free(w->f);
    buf_free(&w->sent);
    buf_free(&w->file);
    free(w);
}

/* What is due is done, until nothing is. */
void follower_settle(struct follower *w)
{
    for (int i = 0; i < 1000; i++) {
        if (w->flushing) {
            w->flushing = false;
            nd_follow_flushed(w->r, NULL);
        } else if (nd_follow_deadline(w->r) <= w->f->e->now_us) {
            nd_follow_tick(w->r);
        } else {
            return;
        }
    }
    fail_msg("it does not come to rest");
}

void follower_forward(struct follower *w, int64_t ms)
{
    w->f->mono_us += ms * 1000;
    w->f->unix_ms += ms;
    nd_engine_time(w->f->e, w->f->unix_ms, w->f->mono_us);
    follower_settle(w);
}

/* Bytes of the master arrive. What the machine does not take at once is shown again, with what comes then. */
void follower_gets(struct follower *w, const char *p, size_t n)
{
    struct slice in = {p, n};
    for (int i = 0; i < 10000 && w->linked && in.n > 0; i++) {
        if (nd_follow_wants_bytes(w->r) && !nd_follow_bytes(w->r, &in, 0) && nd_follow_wants_bytes(w->r))
            return;
        follower_settle(w);
    }
}

/* In pieces, as the shell does it: what was not taken stays in front of what comes. */
void follower_gets_pieces(struct follower *w, struct slice all, const size_t *cuts, size_t n)
{
    struct buf kept = {0};
    size_t from = 0;
    for (size_t i = 0; i <= n && w->linked; i++) {
        size_t to = i < n ? cuts[i] : all.n;
        buf_put(&kept, all.p + from, to - from);
        from = to;
        struct slice in = buf_slice(&kept);
        for (int turn = 0; turn < 1000 && w->linked && in.n > 0; turn++) {
            if (nd_follow_wants_bytes(w->r) && !nd_follow_bytes(w->r, &in, 0) && nd_follow_wants_bytes(w->r))
                break;
            follower_settle(w);
        }
        buf_drop(&kept, kept.n - in.n);
    }
    buf_free(&kept);
}

void follower_connects(struct follower *w)
{
    follower_settle(w);
    assert_true(w->linked);
    nd_follow_connected(w->r);
}

static bool put_sink(void *owner, const char *p, size_t n)
{
    buf_put(owner, p, n);
    return true;
}

/* A snapshot of what the commands make. */
void put_snapshot(struct buf *out, const char *const *commands, bool checksum)
{
    struct fixture *f = fixture_new();
    for (; *commands != NULL; commands++)
        run(f, *commands);
    struct nd_rdb_facts facts = {.checksum = checksum, .compress = true, .repl_id = ID_A, .repl_stream_db = 2};
    struct nd_rdb_sink sink = {.owner = out, .put = put_sink};
    assert_true(nd_rdb_write(&f->e->keys, &facts, &sink, NULL));
    fixture_free(f);
}

const char *const some_commands[] = {"SET a 1", "RPUSH l a b c", "SELECT 3", "HSET h f v", "SET e x EX 1000", NULL};
const char *const no_commands[] = {NULL};

void put_greeting(struct buf *out)
{
    buf_puts(out, "+PONG\r\n+OK\r\n+OK\r\n");
}

/* All that a master says: greeting, snapshot, stream. */
void put_transcript(struct buf *out, const char *const *commands, bool marked, const char *stream)
{
    struct buf rdb = {0};
    put_snapshot(&rdb, commands, true);
    put_greeting(out);
    buf_puts(out, "\n\n+FULLRESYNC " ID_A " 1000\r\n\n");
    if (marked)
        buf_puts(out, "$EOF:" MARK "\r\n");
    else
        buf_printf(out, "$%zu\r\n", rdb.n);
    buf_put(out, rdb.p, rdb.n);
    if (marked)
        buf_puts(out, MARK);
    buf_puts(out, stream);
    buf_free(&rdb);
}

const char some_stream[] = "*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n"
                           "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
                           "*1\r\n$4\r\nEXEC\r\n*1\r\n$4\r\nPING\r\n*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"
                           "\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";

void assert_followed(struct follower *w)
{
    assert_int_equal(nd_follow_state(w->r), ND_FOLLOW_STREAMING);
    assert_string_equal(w->r->id, ID_A);
    assert_int_equal(w->r->offset, 1000 + (int64_t)strlen(some_stream));
    assert_int_equal(w->r->stream_db, 5);
    assert_string_equal(run(w->f, "GET a"), "$1\r\n1\r\n");
    run(w->f, "SELECT 5");
    assert_string_equal(run(w->f, "GET n"), "$1\r\n3\r\n");
    run(w->f, "SELECT 0");
    /* Our own replicas get the same bytes. */
    struct nd_backlog_cursor c = {0};
    struct slice pieces[4];
    assert_true(nd_backlog_open(w->r->backlog, 1001, &c));
    struct buf all = {0};
    size_t n = nd_backlog_peek(&c, pieces, 4);
    for (size_t i = 0; i < n; i++)
        buf_put(&all, pieces[i].p, pieces[i].n);
    assert_string_equal(buf_str(&all), some_stream);
    buf_free(&all);
    nd_backlog_close(&c);
}

const int load_modes[3] = {ND_DISKLESS_DISABLED, ND_DISKLESS_EMPTY, ND_DISKLESS_SWAPDB};

struct follower *follower_in_step(const char *more)
{
    struct follower *w = follower_new();
    struct buf all = {0};
    put_transcript(&all, some_commands, true, more);
    nd_follow_set(w->r, "master", 6379, false);
    follower_connects(w);
    follower_gets(w, all.p, all.n);
    assert_true(nd_follow_is_up(w->r));
    buf_free(&all);
    buf_clear(&w->sent);
    return w;
}
