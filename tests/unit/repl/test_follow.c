/* The replica's side of replication against a master that is a script: its bytes arrive in any pieces, its link breaks
 * anywhere, and what it sends may be wrong. */
#include "noded/repl/follow.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/repl/extension.h"
#include "noded/repl/rdb_write.h"
#include "noded/repl/serve.h"
#include "noded/repl/stream.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MARK "0123456789012345678901234567890123456789"

struct world {
    struct fixture *f;
    struct nd_repl *r;
    int connects, closes;
    bool linked; /* between connect and close */
    struct buf sent;
    /* The file. */
    struct buf file;
    size_t file_read;
    bool file_is_open, flushing;
    int kept;
    bool disk_full;
};

static void host_connect(void *owner, const char *host, int port)
{
    struct world *w = owner;
    assert_string_equal(host, "master");
    assert_int_equal(port, 6379);
    w->connects++;
    w->linked = true;
}

static void host_send(void *owner, const char *p, size_t n)
{
    struct world *w = owner;
    assert_true(w->linked);
    buf_put(&w->sent, p, n);
}

static void host_close(void *owner)
{
    struct world *w = owner;
    w->linked = false;
    w->closes++;
}

static bool host_file_open(void *owner, struct buf *why)
{
    struct world *w = owner;
    (void)why;
    assert_false(w->file_is_open);
    w->file_is_open = true;
    w->file_read = 0;
    buf_clear(&w->file);
    return true;
}

static bool host_file_write(void *owner, const char *p, size_t n, struct buf *why)
{
    struct world *w = owner;
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
    ((struct world *)owner)->flushing = true;
}

static ptrdiff_t host_file_read(void *owner, char *p, size_t n)
{
    struct world *w = owner;
    size_t left = w->file.n - w->file_read;
    if (n > left)
        n = left;
    memcpy(p, w->file.p + w->file_read, n);
    w->file_read += n;
    return (ptrdiff_t)n;
}

static void host_file_keep(void *owner)
{
    struct world *w = owner;
    assert_true(w->file_is_open);
    w->file_is_open = false;
    w->kept++;
}

static void host_file_drop(void *owner)
{
    ((struct world *)owner)->file_is_open = false;
}

static struct world *world_new(void)
{
    struct world *w = mem_zalloc(sizeof *w);
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
        .file_keep = host_file_keep,
        .file_drop = host_file_drop,
    };
    nd_follow_new(w->r, &host);
    return w;
}

static void world_free(struct world *w)
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
static void settle(struct world *w)
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

static void forward(struct world *w, int64_t ms)
{
    w->f->mono_us += ms * 1000;
    w->f->unix_ms += ms;
    nd_engine_time(w->f->e, w->f->unix_ms, w->f->mono_us);
    settle(w);
}

/* Bytes of the master arrive. What the machine does not take at once is shown again, with what comes then. */
static void arrive(struct world *w, const char *p, size_t n)
{
    struct slice in = {p, n};
    for (int i = 0; i < 10000 && w->linked && in.n > 0; i++) {
        if (nd_follow_wants_bytes(w->r) && !nd_follow_bytes(w->r, &in, 0) && nd_follow_wants_bytes(w->r))
            return;
        settle(w);
    }
}

/* In pieces, as the shell does it: what was not taken stays in front of what comes. */
static void arrive_in_pieces(struct world *w, struct slice all, const size_t *cuts, size_t n)
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
            settle(w);
        }
        buf_drop(&kept, kept.n - in.n);
    }
    buf_free(&kept);
}

static void connect_to_master(struct world *w)
{
    settle(w);
    assert_true(w->linked);
    nd_follow_connected(w->r);
}

static bool put_sink(void *owner, const char *p, size_t n)
{
    buf_put(owner, p, n);
    return true;
}

/* A snapshot of what the commands make. */
static void put_snapshot(struct buf *out, const char *const *commands, bool checksum)
{
    struct fixture *f = fixture_new();
    for (; *commands != NULL; commands++)
        run(f, *commands);
    struct nd_rdb_facts facts = {.checksum = checksum, .compress = true, .repl_id = ID_A, .repl_stream_db = 2};
    struct nd_rdb_sink sink = {.owner = out, .put = put_sink};
    assert_true(nd_rdb_write(&f->e->keys, &facts, &sink, NULL));
    fixture_free(f);
}

static const char *const some[] = {"SET a 1", "RPUSH l a b c", "SELECT 3", "HSET h f v", "SET e x EX 1000", NULL};
static const char *const none[] = {NULL};

static void put_greeting(struct buf *out)
{
    buf_puts(out, "+PONG\r\n+OK\r\n+OK\r\n");
}

/* All that a master says: greeting, snapshot, stream. */
static void put_transcript(struct buf *out, const char *const *commands, bool marked, const char *stream)
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

static const char stream[] =
    "*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n"
    "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
    "*1\r\n$4\r\nEXEC\r\n*1\r\n$4\r\nPING\r\n*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"
    "\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";

static void assert_followed(struct world *w)
{
    assert_int_equal(nd_follow_state(w->r), ND_FOLLOW_STREAMING);
    assert_string_equal(w->r->id, ID_A);
    assert_int_equal(w->r->offset, 1000 + (int64_t)strlen(stream));
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
    assert_string_equal(buf_str(&all), stream);
    buf_free(&all);
    nd_backlog_close(&c);
}

static const int modes[] = {ND_DISKLESS_DISABLED, ND_DISKLESS_EMPTY, ND_DISKLESS_SWAPDB};

static void follow_pieces(int mode, struct slice all, const size_t *cuts, size_t n)
{
    struct world *w = world_new();
    w->f->e->config.repl_diskless_load = mode;
    assert_true(nd_follow_set(w->r, "master", 6379, false));
    connect_to_master(w);
    arrive_in_pieces(w, all, cuts, n);
    assert_followed(w);
    assert_int_equal(w->kept, mode == ND_DISKLESS_DISABLED);
    assert_false(w->f->e->loading || w->f->e->async_loading);
    world_free(w);
}

static void test_every_boundary(void **state)
{
    (void)state;
    for (size_t mode = 0; mode < 3; mode++) {
        for (int marked = 0; marked < 2; marked++) {
            struct buf all = {0};
            put_transcript(&all, some, marked, stream);
            for (size_t at = 1; at < all.n; at++)
                follow_pieces(modes[mode], buf_slice(&all), &at, 1);
            size_t *cuts = mem_array(NULL, all.n, sizeof *cuts);
            for (size_t i = 0; i + 1 < all.n; i++)
                cuts[i] = i + 1;
            follow_pieces(modes[mode], buf_slice(&all), cuts, all.n - 1);
            free(cuts);
            buf_free(&all);
        }
    }
}

static void test_what_is_said(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct nd_config *config = &w->f->e->config;
    free(config->masterauth);
    config->masterauth = mem_strdup("secret");
    free(config->masteruser);
    config->masteruser = mem_strdup("me");
    free(config->replica_announce_ip);
    config->replica_announce_ip = mem_strdup("10.0.0.1");
    config->replica_announce_port = 7;
    nd_follow_set(w->r, "master", 6379, false);
    assert_string_equal(config->replicaof, "master 6379");
    connect_to_master(w);
    assert_string_equal(buf_str(&w->sent), "*1\r\n$4\r\nPING\r\n");
    buf_clear(&w->sent);
    arrive(w, "-NOAUTH x\r\n", 11);
    assert_string_equal(buf_str(&w->sent),
                        "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n"
                        "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$1\r\n7\r\n"
                        "*3\r\n$8\r\nREPLCONF\r\n$10\r\nip-address\r\n$8\r\n10.0.0.1\r\n"
                        "*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n");
    buf_clear(&w->sent);
    arrive(w, "+OK\r\n+OK\r\n-ERR what\r\n+OK\r\n", 26);
    assert_string_equal(buf_str(&w->sent), "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    assert_string_equal(nd_follow_state_name(w->r), "handshake");
    assert_false(nd_follow_set(w->r, "MASTER", 6379, false)); /* the same */
    arrive(w, "-LOADING wait\r\n", 15);
    assert_false(w->linked);
    forward(w, 999);
    assert_int_equal(w->connects, 1);
    forward(w, 1);
    assert_int_equal(w->connects, 2);
    world_free(w);
}

static struct world *in_step(const char *more)
{
    struct world *w = world_new();
    struct buf all = {0};
    put_transcript(&all, some, true, more);
    nd_follow_set(w->r, "master", 6379, false);
    connect_to_master(w);
    arrive(w, all.p, all.n);
    assert_true(nd_follow_is_up(w->r));
    buf_free(&all);
    buf_clear(&w->sent);
    return w;
}

/* The offset counts what was run: half a transaction is asked for again. */
static void test_break_in_a_transaction(void **state)
{
    (void)state;
    static const char first[] = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    static const char half[] = "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEX";
    static const char whole[] = "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n";
    struct world *w = in_step(first);
    int64_t offset = w->r->offset;
    assert_int_equal(offset, 1000 + (int64_t)strlen(first));
    arrive(w, half, strlen(half));
    assert_int_equal(w->r->offset, offset);
    struct buf info = {0};
    nd_follow_info(w->r, &info);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "slave_read_repl_offset:%zu\r\nslave_repl_offset:%" PRId64 "\r\n",
             (size_t)offset + strlen(half), offset);
    assert_non_null(strstr(buf_str(&info), wanted));
    buf_free(&info);
    w->linked = false;
    nd_follow_lost(w->r, "cut");
    forward(w, 1000);
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    arrive(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    snprintf(wanted, sizeof wanted, "$40\r\n" ID_A "\r\n$4\r\n%" PRId64 "\r\n", offset + 1);
    assert_non_null(strstr(buf_str(&w->sent), wanted));
    arrive(w, "+CONTINUE\r\n", 11);
    arrive(w, whole, strlen(whole));
    assert_int_equal(w->r->offset, offset + (int64_t)strlen(whole));
    run(w->f, "SELECT 2"); /* as the snapshot said */
    assert_string_equal(run(w->f, "GET n"), "$1\r\n2\r\n");
    world_free(w);
}

static void test_history_with_a_new_name(void **state)
{
    (void)state;
    struct world *w = in_step("*1\r\n$4\r\nPING\r\n");
    w->linked = false;
    nd_follow_lost(w->r, "cut");
    forward(w, 1000);
    nd_follow_connected(w->r);
    arrive(w, "+PONG\r\n+OK\r\n+OK\r\n+CONTINUE " ID_B "\r\n", 17 + 51 + 2 - 1);
    assert_string_equal(w->r->id, ID_B);
    assert_string_equal(w->r->id2, ID_A);
    assert_int_equal(w->r->id2_offset, w->r->offset + 1);
    nd_follow_none(w->r);
    assert_string_equal(w->r->id2, ID_B);
    assert_false(w->f->e->is_replica);
    assert_string_equal(w->f->e->config.replicaof, "");
    assert_int_equal(nd_follow_deadline(w->r), HEAP_NEVER);
    /* And as the replica of the one that was its replica it goes on from there. */
    nd_follow_set(w->r, "master", 6379, false);
    assert_true(w->f->e->is_replica);
    settle(w);
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    arrive(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    assert_non_null(strstr(buf_str(&w->sent), w->r->id));
    world_free(w);
}

static void test_acknowledgements(void **state)
{
    (void)state;
    struct world *w = in_step("");
    forward(w, 1000);
    assert_string_equal(buf_str(&w->sent), "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1000\r\n");
    buf_clear(&w->sent);
    static const char ask[] = "*1\r\n$4\r\nPING\r\n*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
    arrive(w, ask, strlen(ask));
    assert_string_equal(buf_str(&w->sent), "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1014\r\n");
    assert_int_equal(w->r->offset, 1000 + (int64_t)strlen(ask));
    forward(w, 30000);
    assert_true(w->linked);
    forward(w, 30001);
    assert_false(nd_follow_is_up(w->r));
    world_free(w);
}

static void assert_stopped(const char *request, const char *word)
{
    struct world *w = in_step("");
    int64_t offset = w->r->offset;
    struct buf bytes = {0};
    buf_puts(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nx\r\n");
    size_t good = bytes.n;
    buf_puts(&bytes, request);
    buf_puts(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\ny\r\n");
    arrive(w, bytes.p, bytes.n);
    buf_free(&bytes);
    assert_int_equal(nd_follow_state(w->r), ND_FOLLOW_STOPPED);
    assert_int_equal(w->r->offset, offset + (int64_t)good);
    struct buf info = {0};
    nd_follow_info(w->r, &info);
    assert_non_null(strstr(buf_str(&info), "master_stream_stopped:"));
    assert_non_null(strstr(buf_str(&info), word));
    buf_free(&info);
    run(w->f, "SELECT 2");
    assert_string_equal(run(w->f, "GET b"), "$1\r\nx\r\n");
    forward(w, 100000);
    assert_int_equal(w->connects, 1);
    /* Said again, it begins with a snapshot. */
    assert_true(nd_follow_set(w->r, "master", 6379, false));
    settle(w);
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    arrive(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    assert_non_null(strstr(buf_str(&w->sent), "$1\r\n?\r\n$2\r\n-1\r\n"));
    world_free(w);
}

static void test_what_cannot_be_followed(void **state)
{
    (void)state;
    assert_stopped("*2\r\n$4\r\nXADD\r\n$1\r\ns\r\n", "XADD");
    assert_stopped("*2\r\n$3\r\nGET\r\n$1\r\ns\r\n", "GET");
    assert_stopped("*1\r\n$8\r\nSHUTDOWN\r\n", "SHUTDOWN");
    assert_stopped("*3\r\n$5\r\nRPUSH\r\n$1\r\nb\r\n$1\r\nx\r\n", "WRONGTYPE");
    assert_stopped("*1\r\n$3\r\nSET\r\n", "arguments");
    assert_stopped("*1\r\n$4\r\nEXEC\r\n", "EXEC");
    assert_stopped("*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n", "index");
}

/* The error is inside of the answer of EXEC. */
static void test_transaction_that_fails(void **state)
{
    (void)state;
    struct world *w = in_step("");
    static const char bytes[] = "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nx\r\n"
                                "*3\r\n$5\r\nRPUSH\r\n$1\r\nb\r\n$1\r\nx\r\n*1\r\n$4\r\nEXEC\r\n";
    arrive(w, bytes, strlen(bytes));
    assert_int_equal(nd_follow_state(w->r), ND_FOLLOW_STOPPED);
    assert_int_equal(w->r->offset, 1000);
    world_free(w);
}

/* ---- snapshots that are not let in ---- */

static void begin_with_keys(struct world *w, int mode)
{
    run(w->f, "SET mine 1");
    w->f->e->config.repl_diskless_load = mode;
    nd_follow_set(w->r, "master", 6379, false);
    connect_to_master(w);
}

static void test_guard(void **state)
{
    (void)state;
    for (size_t mode = 0; mode < 3; mode++) {
        struct world *w = world_new();
        struct buf all = {0};
        put_transcript(&all, none, true, "");
        begin_with_keys(w, modes[mode]);
        arrive(w, all.p, all.n);
        assert_false(w->linked);
        assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
        struct buf info = {0};
        nd_follow_info(w->r, &info);
        assert_non_null(strstr(buf_str(&info), "master_sync_guarded:" ID_A));
        buf_free(&info);
        nd_follow_accept(w->r, ID_B);
        forward(w, 1000);
        nd_follow_connected(w->r);
        arrive(w, all.p, all.n);
        assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
        nd_follow_accept(w->r, ID_A);
        settle(w);
        nd_follow_connected(w->r);
        arrive(w, all.p, all.n);
        assert_true(nd_follow_is_up(w->r));
        assert_string_equal(run(w->f, "DBSIZE"), ":0\r\n");
        buf_free(&all);
        world_free(w);
    }
}

/* Whichever byte is wrong or missing, the old dataset is there until a whole one has come. */
static void test_damage(void **state)
{
    (void)state;
    for (int marked = 0; marked < 2; marked++) {
        struct buf all = {0}, greeting = {0};
        put_transcript(&all, some, marked, "");
        put_greeting(&greeting);
        size_t from = greeting.n + strlen("\n\n+FULLRESYNC " ID_A " 1000\r\n\n");
        buf_free(&greeting);
        for (size_t at = from; at < all.n; at++) {
            if (all.p[at] == '\r')
                continue; /* white space at the end of a line either way */
            struct world *w = world_new();
            begin_with_keys(w, ND_DISKLESS_DISABLED);
            struct buf bad = {0};
            buf_put(&bad, all.p, all.n);
            bad.p[at] = (char)(bad.p[at] ^ 4);
            arrive(w, bad.p, bad.n);
            assert_false(nd_follow_is_up(w->r));
            if (w->linked) /* it waits for a mark, or for more bytes */
                nd_follow_lost(w->r, "cut");
            assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
            buf_free(&bad);
            world_free(w);
        }
        buf_free(&all);
    }
}

static void test_disk_full(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct buf all = {0};
    put_transcript(&all, some, true, stream);
    begin_with_keys(w, ND_DISKLESS_DISABLED);
    w->disk_full = true;
    arrive(w, all.p, all.n);
    assert_false(w->linked || w->file_is_open);
    assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
    w->disk_full = false;
    forward(w, 1000);
    nd_follow_connected(w->r);
    arrive(w, all.p, all.n);
    assert_followed(w);
    buf_free(&all);
    world_free(w);
}

/* While a dataset that takes the place of ours is read, ours answers; what would change it has to wait. */
static void test_loading_aside(void **state)
{
    (void)state;
    struct world *w = in_step("");
    w->f->e->config.repl_diskless_load = ND_DISKLESS_SWAPDB;
    w->linked = false;
    nd_follow_lost(w->r, "cut");
    forward(w, 1000);
    nd_follow_connected(w->r);
    struct buf all = {0};
    put_transcript(&all, none, false, stream);
    struct client *watcher = fixture_client(w->f);
    client_run(watcher, "WATCH a");
    struct slice in = {all.p, all.n - strlen(stream) - 20};
    size_t shown = in.n;
    nd_follow_bytes(w->r, &in, 0);
    assert_int_equal(in.n, 0);
    assert_true(nd_follow_loads_aside(w->r) && w->f->e->async_loading && !w->f->e->loading);
    assert_string_equal(run(w->f, "GET a"), "$1\r\n1\r\n");
    assert_string_equal(run(w->f, "PING"), "+PONG\r\n");
    arrive(w, all.p + shown, all.n - shown);
    assert_true(nd_follow_is_up(w->r));
    assert_string_equal(run(w->f, "GET a"), "$-1\r\n");
    client_run(watcher, "MULTI");
    client_run(watcher, "GET a");
    assert_string_equal(client_run(watcher, "EXEC"), "*-1\r\n");
    buf_free(&all);
    world_free(w);
}

/* ---- a master with random writes ---- */

struct master {
    struct fixture *f;
    struct buf stream; /* from offset 1 on */
    int db;
};

static void master_feed(void *owner, const struct nd_effect_row *rows, size_t n)
{
    struct master *m = owner;
    nd_stream_put(&m->stream, &m->db, rows, n, true);
}

static void write_something(struct master *m, struct rng *rng)
{
    static const char *const shapes[] = {"SET k%u %u",     "INCR n%u",    "RPUSH l%u %u",   "LPOP l%u",
                                         "SADD s%u %u",    "SPOP s%u",    "HSET h%u f %u",  "DEL k%u",
                                         "ZADD z%u %u m",  "ZPOPMIN z%u", "SELECT %u",      "APPEND k%u x%u",
                                         "EXPIRE k%u 100", "SWAPDB %u 1", "PUBLISH c%u %u", "SET k%u %u EX 5"};
    char command[64];
    unsigned a = (unsigned)rng_below(rng, 8), b = (unsigned)rng_below(rng, 1000);
    if (rng_below(rng, 8) == 0) {
        run(m->f, "MULTI");
        snprintf(command, sizeof command, "SET k%u %u", a, b);
        run(m->f, command);
        run(m->f, "INCR both");
        run(m->f, "EXEC");
        return;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(command, sizeof command, shapes[rng_below(rng, sizeof shapes / sizeof *shapes)], a, b);
#pragma GCC diagnostic pop
    run(m->f, command);
}

static void begin_again(struct world *w)
{
    if (w->linked) {
        w->linked = false;
        nd_follow_lost(w->r, "cut");
    }
    forward(w, 1000);
    nd_follow_connected(w->r);
    arrive(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
}

static void test_random_stream(void **state)
{
    (void)state;
    struct rng rng;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rng_seed(&rng, seed);
        struct master m = {.f = fixture_new(), .db = -1};
        m.f->also = master_feed;
        m.f->also_owner = &m;
        struct world *w = world_new();
        struct buf all = {0};
        put_greeting(&all);
        buf_puts(&all, "+FULLRESYNC " ID_A " 0\r\n$EOF:" MARK "\r\n");
        put_snapshot(&all, none, true);
        buf_puts(&all, MARK);
        nd_follow_set(w->r, "master", 6379, false);
        connect_to_master(w);
        arrive(w, all.p, all.n);
        buf_free(&all);
        struct buf kept = {0};
        size_t sent = 0;
        for (int i = 0; i < 400; i++) {
            write_something(&m, &rng);
            /* Some of what there is arrives; now and then the link breaks. */
            size_t n = (size_t)rng_below(&rng, m.stream.n - sent + 1);
            buf_put(&kept, m.stream.p + sent, n);
            sent += n;
            struct slice in = buf_slice(&kept);
            while (nd_follow_bytes(w->r, &in, 0)) {}
            buf_drop(&kept, kept.n - in.n);
            if (rng_below(&rng, 20) == 0) {
                begin_again(w);
                arrive(w, "+CONTINUE\r\n", 11);
                sent = (size_t)w->r->offset;
                buf_clear(&kept);
            }
            assert_true(nd_follow_is_up(w->r));
        }
        begin_again(w);
        arrive(w, "+CONTINUE\r\n", 11);
        arrive(w, m.stream.p + w->r->offset, m.stream.n - (size_t)w->r->offset);
        assert_int_equal(w->r->offset, m.stream.n);
        char *mine = fixture_dataset(w->f->e), *theirs = fixture_dataset(m.f->e);
        assert_string_equal(mine, theirs);
        free(mine);
        free(theirs);
        buf_free(&kept);
        buf_free(&m.stream);
        world_free(w);
        fixture_free(m.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_boundary),
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_break_in_a_transaction),
        cmocka_unit_test(test_history_with_a_new_name),
        cmocka_unit_test(test_acknowledgements),
        cmocka_unit_test(test_what_cannot_be_followed),
        cmocka_unit_test(test_transaction_that_fails),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_loading_aside),
        cmocka_unit_test(test_random_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
