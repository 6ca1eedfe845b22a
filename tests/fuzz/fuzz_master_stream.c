/* A replica of a master that says anything: greeting, snapshot and stream, in pieces. The first byte chooses how a
 * snapshot is loaded, how much of a good beginning the input gets in front of it, and how it is cut. Whatever comes,
 * what the replica has stays well formed.
 * fuzz.sh: at most 5000 inputs. */
#include "noded/repl/follow.h"

#include "common/base/mem.h"
#include "noded/cmd/session.h"
#include "noded/repl/rdb_write.h"
#include "noded/store/digest.h"
#include "tests/fuzz/engine_host.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX_BYTES ((size_t)1024 * 1024)
#define TURNS_MAX 10000

struct world {
    int64_t now_us;
    struct nd_engine *e;
    struct nd_repl *r;
    bool linked, flushing;
    struct buf file;
    size_t file_read;
};

/* ---- the engine's host ---- */

static int64_t clock_us(void *owner)
{
    return ((struct world *)owner)->now_us;
}

/* ---- the link ---- */

static void begin_link(void *owner, const char *host, int port)
{
    (void)host;
    (void)port;
    ((struct world *)owner)->linked = true;
}

static void take_bytes(void *owner, const char *p, size_t n)
{
    (void)p;
    (void)n;
    assert(((struct world *)owner)->linked);
}

static void end_link(void *owner)
{
    ((struct world *)owner)->linked = false;
}

static bool file_open(void *owner, struct buf *why)
{
    struct world *w = owner;
    (void)why;
    buf_clear(&w->file);
    w->file_read = 0;
    return true;
}

static bool file_write(void *owner, const char *p, size_t n, struct buf *why)
{
    struct world *w = owner;
    if (w->file.n + n > FILE_MAX_BYTES) {
        buf_puts(why, "full");
        return false;
    }
    buf_put(&w->file, p, n);
    return true;
}

static void file_flush(void *owner)
{
    ((struct world *)owner)->flushing = true;
}

static ptrdiff_t file_read(void *owner, char *p, size_t n)
{
    struct world *w = owner;
    size_t left = w->file.n - w->file_read;
    n = n < left ? n : left;
    if (n > 0)
        memcpy(p, w->file.p + w->file_read, n);
    w->file_read += n;
    return (ptrdiff_t)n;
}

static void file_rewind(void *owner)
{
    ((struct world *)owner)->file_read = 0;
}

static void file_done(void *owner)
{
    (void)owner;
}

/* ---- one run ---- */

static void settle(struct world *w)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (w->flushing) {
            w->flushing = false;
            nd_follow_flushed(w->r, NULL);
        } else if (nd_follow_deadline(w->r) <= w->now_us) {
            nd_follow_tick(w->r);
        } else {
            return;
        }
    }
    assert(false);
}

static void show(struct world *w, struct buf *kept)
{
    struct slice in = buf_slice(kept);
    for (int i = 0; i < TURNS_MAX && w->linked && in.n > 0; i++) {
        if (nd_follow_wants_bytes(w->r) && !nd_follow_bytes(w->r, &in, 0) && nd_follow_wants_bytes(w->r))
            break;
        settle(w);
    }
    buf_drop(kept, kept->n - in.n);
}

static void put_beginning(struct buf *out, unsigned how_much)
{
    static const char greeting[] = "+PONG\r\n+OK\r\n+OK\r\n";
    static const char full[] = "+FULLRESYNC aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 7\r\n";
    /* An empty dataset of version 10 without a checksum. */
    static const char empty[] = "$18\r\nREDIS0010\xff\0\0\0\0\0\0\0\0";
    if (how_much > 0)
        buf_puts(out, greeting);
    if (how_much > 1)
        buf_puts(out, full);
    if (how_much > 2)
        buf_put(out, empty, sizeof empty - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct world w = {.now_us = 1000000};
    struct nd_config config;
    nd_config_init(&config);
    struct nd_host host = fuzz_engine_host(&w);
    struct nd_follow_host follow = {.owner = &w,
                                    .connect = begin_link,
                                    .send = take_bytes,
                                    .close = end_link,
                                    .file_open = file_open,
                                    .file_write = file_write,
                                    .file_flush = file_flush,
                                    .file_read = file_read,
                                    .file_rewind = file_rewind,
                                    .file_keep = file_done,
                                    .file_drop = file_done};
    host.clock_us = clock_us;
    config.repl_diskless_load = data[0] % 3;
    w.e = nd_engine_new(&host, &config, 1);
    nd_engine_time(w.e, 1700000000000, w.now_us);
    w.r = nd_repl_new(w.e);
    nd_follow_new(w.r, &follow);
    nd_follow_set(w.r, "master", 1, false);
    settle(&w);
    nd_follow_connected(w.r);
    struct buf kept = {0};
    put_beginning(&kept, data[0] / 3 % 4);
    size_t piece = data[1] == 0 ? size : data[1];
    for (size_t at = 2; at < size && w.linked; at += piece) {
        buf_put(&kept, data + at, size - at < piece ? size - at : piece);
        show(&w, &kept);
    }
    unsigned char digest[ND_DIGEST_BYTES];
    nd_digest_keyspace(&w.e->keys, digest);
    nd_follow_none(w.r);
    buf_free(&kept);
    buf_free(&w.file);
    nd_follow_free(w.r);
    nd_repl_free(w.r);
    nd_engine_free(w.e);
    nd_config_free(&config);
    return 0;
}
