/* Loading the RDB file. */
#include "noded/shell/rdb_file.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/cmd/expire.h"
#include "noded/repl/load.h"
#include "noded/repl/persist.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)
#define FEED_BYTES ((size_t)32 * 1024) /* between looks at the clock */
#define STEP_US 2000

struct rdb_load {
    struct node *n;
    char *path;
    int fd;
    char *buffer;
    struct slice in; /* read and not yet taken */
    struct nd_load load;
    struct nd_rdb_reader *reader;
    ev_check turn; /* a step of each turn; */
    ev_idle idle;  /* and no turn waits for events */
    int64_t began_us;
};

/* ---- one file ---- */

enum opened { OPENED, MISSING, FAILED };

static enum opened open_file(struct rdb_load *l, struct buf *why)
{
    struct stat st;
    l->fd = open(l->path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0 && errno == ENOENT)
        return MISSING;
    if (l->fd < 0 || fstat(l->fd, &st) != 0) {
        buf_printf(why, "%s cannot be opened: %s", l->path, strerror(errno));
        return FAILED;
    }
    (void)posix_fadvise(l->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint: the file can be read without it */
    l->load.bytes = (uint64_t)st.st_size;
    l->buffer = mem_alloc(READ_BYTES);
    l->reader = nd_load_reader(&l->load);
    struct nd_persist *p = l->n->engine->persist;
    p->loading = (struct nd_loading){.since_ms = l->n->engine->now_ms, .total_bytes = (uint64_t)st.st_size};
    return OPENED;
}

static void close_file(struct rdb_load *l)
{
    nd_rdb_reader_free(l->reader);
    free(l->buffer);
    if (l->fd >= 0)
        close(l->fd);
    l->reader = NULL;
    l->buffer = NULL;
    l->fd = -1;
}

/* More of the file. false: the reason is appended to why. */
static bool fill(struct rdb_load *l, struct buf *why)
{
    ssize_t k;
    do {
        k = read(l->fd, l->buffer, READ_BYTES);
    } while (k < 0 && errno == EINTR);
    if (k > 0) {
        l->in = (struct slice){l->buffer, (size_t)k};
        return true;
    }
    if (k < 0)
        buf_printf(why, "%s cannot be read: %s", l->path, strerror(errno));
    else
        buf_printf(why, "%s is not whole: it ends at byte %" PRIu64, l->path, nd_rdb_offset(l->reader));
    return false;
}

static enum nd_rdb_status work(struct rdb_load *l, struct buf *why)
{
    if (l->in.n == 0 && !fill(l, why))
        return ND_RDB_BAD;
    enum nd_rdb_status s = nd_rdb_feed(l->reader, &l->in, FEED_BYTES);
    struct nd_loading *loading = &l->n->engine->persist->loading;
    loading->loaded_bytes = nd_rdb_offset(l->reader);
    loading->rdb_used_memory = l->load.used_memory;
    if (s == ND_RDB_BAD)
        buf_printf(why, "%s is refused: %s", l->path, nd_rdb_error(l->reader));
    return s;
}

bool rdb_file_load(void *owner, const char *path, bool replace, struct buf *why)
{
    struct node *n = owner;
    struct rdb_load l = {.n = n, .path = mem_strdup(path), .fd = -1};
    nd_load_init(&l.load, n->engine, NULL);
    l.load.twice = replace ? ND_TWICE_REPLACED : ND_TWICE_REFUSED;
    enum opened opened = open_file(&l, why);
    enum nd_rdb_status s = opened == OPENED ? ND_RDB_MORE : ND_RDB_BAD;
    if (opened == MISSING)
        buf_printf(why, "%s is not there", path);
    while (s == ND_RDB_MORE)
        s = work(&l, why);
    if (s == ND_RDB_DONE)
        nd_load_take_epoch(&l.load);
    close_file(&l);
    free(l.path);
    nd_expiry_wake(n->engine);
    return s == ND_RDB_DONE;
}

/* ---- at the start ---- */

static void forget(struct node *n)
{
    struct rdb_load *l = n->rdb_load;
    if (l == NULL)
        return;
    ev_check_stop(io_loop_ev(n->loop), &l->turn);
    ev_idle_stop(io_loop_ev(n->loop), &l->idle);
    close_file(l);
    free(l->path);
    free(l);
    n->rdb_load = NULL;
}

void rdb_load_stop(struct node *n)
{
    forget(n);
}

static void loaded(struct rdb_load *l)
{
    struct node *n = l->n;
    nd_load_end(&l->load);
    struct nd_load load = l->load;
    io_log(IO_NOTICE, "%s was loaded in %.3f seconds: %" PRId64 " keys, and %" PRId64 " that have expired", l->path,
           (double)(io_now_us() - l->began_us) / 1e6, load.loaded, load.expired);
    forget(n);
    nd_persist_loaded(n->engine->persist, load.loaded, load.expired);
    node_loaded(n, NULL);
}

static void on_idle(struct ev_loop *ev, ev_idle *w, int events)
{
    (void)ev;
    (void)w;
    (void)events;
}

static void on_turn(struct ev_loop *ev, ev_check *w, int events)
{
    (void)ev;
    (void)events;
    struct rdb_load *l = w->data;
    struct node *n = l->n;
    struct buf why = {0};
    enum nd_rdb_status s;
    node_time(n);
    int64_t end_us = io_now_us() + STEP_US;
    do {
        s = work(l, &why);
    } while (s == ND_RDB_MORE && io_now_us() < end_us);
    if (s == ND_RDB_BAD) {
        forget(n);
        node_loaded(n, buf_str(&why));
    } else if (s == ND_RDB_DONE) {
        loaded(l);
    }
    buf_free(&why);
    node_touch(n);
}

void rdb_load_start(struct node *n)
{
    struct buf why = {0};
    struct rdb_load *l = mem_zalloc(sizeof *l);
    n->rdb_load = l;
    l->n = n;
    l->fd = -1;
    l->path = mem_strdup(n->engine->config.dbfilename);
    l->began_us = io_now_us();
    ev_check_init(&l->turn, on_turn);
    ev_idle_init(&l->idle, on_idle);
    l->turn.data = l;
    nd_load_init(&l->load, n->engine, NULL);
    l->load.at_start = true;
    switch (open_file(l, &why)) {
    case OPENED:
        ev_check_start(io_loop_ev(n->loop), &l->turn);
        ev_idle_start(io_loop_ev(n->loop), &l->idle);
        break;
    case MISSING:
        forget(n);
        node_loaded(n, NULL);
        break;
    case FAILED:
        forget(n);
        node_loaded(n, buf_str(&why));
        break;
    }
    buf_free(&why);
}
