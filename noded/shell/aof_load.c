/* Loading the append-only file: at the start turn by turn, while clients get -LOADING; at once for DEBUG LOADAOF.
 *
 * Files are only read, until all of them are known to be good: then a torn end is cut off the last one, and the single
 * file of an old Redis becomes the base of a set. */
#include "noded/shell/aof_inner.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/cmd/expire.h"
#include "noded/repl/aof_read.h"
#include "noded/repl/persist.h"
#include "noded/repl/rdb_read.h"
#include "noded/shell/node.h"
#include "noded/shell/rdb_file.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)
#define FEED_BYTES ((size_t)32 * 1024) /* between looks at the clock */
#define STEP_US 2000

struct part {
    char *path;
    uint64_t bytes;
};

struct aof_load {
    struct aof *a;
    struct part *parts;
    size_t n, cap, at;
    struct nd_aof_reader *reader;
    int fd; /* of parts[at]; -1 */
    struct buf in;
    size_t used;     /* of in */
    uint64_t before; /* bytes of the parts before */
    char *old_path;  /* a single file that becomes the base; NULL */
    char *rdb_path;  /* there is no append-only file yet, and a copy of this one becomes its base; NULL */
    bool cuts;       /* a torn end may be cut off the file */
    struct ev_timer step;
    int64_t began_us;
};

void aof_load_free(struct aof_load *l)
{
    if (l == NULL)
        return;
    ev_timer_stop(io_loop_ev(l->a->node->loop), &l->step);
    nd_aof_reader_free(l->reader);
    if (l->fd >= 0)
        close(l->fd);
    for (size_t i = 0; i < l->n; i++)
        free(l->parts[i].path);
    free(l->parts);
    free(l->old_path);
    free(l->rdb_path);
    buf_free(&l->in);
    free(l);
}

/* ---- what there is to load ---- */

static bool is_file(const char *path, uint64_t *bytes)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *bytes = (uint64_t)st.st_size;
    return true;
}

/* Takes path over. */
static bool add_part(struct aof_load *l, char *path, struct buf *why)
{
    struct part part = {.path = path};
    bool ok = is_file(path, &part.bytes);
    l->parts = mem_grow(l->parts, l->n, &l->cap, sizeof *l->parts);
    l->parts[l->n++] = part;
    if (!ok)
        buf_printf(why, "the manifest of the append-only file names %s, which is not there", path);
    return ok;
}

/* The single file of a Redis before 7, in the working directory. It also counts when the manifest already names it and
 * nothing else: then somebody was interrupted between writing that and moving the file. */
static bool find_old(struct aof_load *l, bool manifest_found)
{
    struct aof *a = l->a;
    const struct nd_aof_file *base = nd_aof_manifest_base(&a->manifest);
    char *old = aof_path(a->node->engine->config.dir, a->prefix);
    uint64_t bytes;
    bool moving = manifest_found && a->manifest.n == 1 && base != NULL && strcmp(base->name, a->prefix) == 0 &&
                  aof_file_bytes(a->folder, base->name) < 0;
    if ((!manifest_found || moving) && is_file(old, &bytes))
        l->old_path = old;
    else
        free(old);
    return l->old_path != NULL;
}

/* Whoever switches the file on in the settings of a server that had snapshots so far wants to keep his data. */
static bool find_snapshot(struct aof_load *l)
{
    const struct nd_config *config = &l->a->node->engine->config;
    char *path = aof_path(config->dir, config->dbfilename);
    struct stat st;
    if (l->cuts && (stat(path, &st) == 0 || errno != ENOENT))
        l->rdb_path = path;
    else
        free(path);
    return l->rdb_path != NULL;
}

static bool find_parts(struct aof_load *l, struct buf *why)
{
    struct aof *a = l->a;
    bool found;
    nd_aof_manifest_free(&a->manifest);
    if (!aof_manifest_read(a->folder, a->prefix, &a->manifest, &found, why))
        return false;
    if (find_old(l, found))
        return add_part(l, mem_strdup(l->old_path), why);
    if (!found && find_snapshot(l)) {
        struct buf unread = {0}; /* what cannot be read says so when it is opened */
        add_part(l, mem_strdup(l->rdb_path), &unread);
        buf_free(&unread);
        return true;
    }
    for (size_t i = 0; i < a->manifest.n; i++) {
        const struct nd_aof_file *file = &a->manifest.files[i];
        if (file->kind != ND_AOF_HISTORY && !add_part(l, aof_path(a->folder, file->name), why))
            return false;
    }
    return true;
}

/* ---- reading ---- */

static uint64_t total_bytes(const struct aof_load *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->n; i++)
        sum += l->parts[i].bytes;
    return sum;
}

static bool is_snapshot(int fd)
{
    char head[ND_RDB_BEGIN_BYTES];
    return pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head && nd_rdb_begins((struct slice){head, sizeof head});
}

static bool begin_part(struct aof_load *l, struct buf *why)
{
    const struct part *p = &l->parts[l->at];
    l->fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0) {
        buf_printf(why, "%s cannot be opened: %s", p->path, strerror(errno));
        return false;
    }
    if (l->rdb_path != NULL && !is_snapshot(l->fd)) {
        buf_printf(why, "%s is refused: it is no RDB file", p->path);
        return false;
    }
    (void)posix_fadvise(l->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint: the file can be read without it */
    buf_clear(&l->in);
    l->used = 0;
    nd_aof_reader_begin(l->reader, p->bytes);
    return true;
}

/* The single file of an old Redis loads to the same dataset from here on as part of a set. */
static bool move_old(struct aof_load *l, struct buf *why)
{
    struct aof *a = l->a;
    char *path = aof_path(a->folder, a->prefix);
    if (nd_aof_manifest_base(&a->manifest) == NULL)
        nd_aof_manifest_add_base(&a->manifest, a->prefix);
    bool ok = aof_folder_make(a->folder, why) && aof_manifest_save(a->folder, a->prefix, &a->manifest, NULL, why);
    if (ok && rename(l->old_path, path) != 0) {
        buf_printf(why, "%s cannot be moved to %s: %s", l->old_path, path, strerror(errno));
        ok = false;
    }
    ok = ok && aof_folder_flush(a->folder, why) && aof_folder_flush(a->node->engine->config.dir, why);
    if (ok)
        io_log(IO_NOTICE, "%s is the base of the append-only file from now on: %s", l->old_path, path);
    free(path);
    return ok;
}

static bool cut_end(struct aof_load *l, struct buf *why)
{
    struct aof *a = l->a;
    const struct part *p = &l->parts[l->at];
    uint64_t whole = nd_aof_whole(l->reader);
    if (!a->node->engine->config.aof_load_truncated) {
        buf_printf(why,
                   "%s ends in the middle of a request, behind offset %" PRIu64
                   ", and aof-load-truncated does not allow to cut that off. Allow it, or repair the file with "
                   "redis-check-aof --fix",
                   p->path, whole);
        return false;
    }
    if (!l->cuts)
        return true;
    int fd = open(p->path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && ftruncate(fd, (off_t)whole) == 0 && fsync(fd) == 0;
    if (!ok)
        buf_printf(why, "the torn end of %s cannot be cut off: %s", p->path, strerror(errno));
    else
        io_log(IO_WARNING,
               "%s ended in the middle of a request, as after a crash: its last %" PRIu64
               " bytes were cut off, behind offset %" PRIu64,
               p->path, p->bytes - whole, whole);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Files behind this one, if there are any, have nothing in them. */
static bool is_last(const struct aof_load *l)
{
    for (size_t i = l->at + 1; i < l->n; i++) {
        if (l->parts[i].bytes > 0)
            return false;
    }
    return true;
}

static bool end_part(struct aof_load *l, struct buf *why)
{
    const struct part *p = &l->parts[l->at];
    struct slice rest = {l->in.p + l->used, l->in.n - l->used};
    enum nd_aof_end end = nd_aof_reader_end(l->reader, rest);
    close(l->fd);
    l->fd = -1;
    if (end == ND_AOF_END_BAD) {
        buf_printf(why, "%s is damaged, %s", p->path, nd_aof_error(l->reader));
        return false;
    }
    if (end == ND_AOF_END_TORN && l->rdb_path != NULL) {
        buf_printf(why, "%s is refused: something else follows, behind offset %" PRIu64, p->path,
                   nd_aof_whole(l->reader));
        return false;
    }
    if (end == ND_AOF_END_TORN && !is_last(l)) {
        buf_printf(why, "%s ends in the middle of a request, behind offset %" PRIu64 ", and is not the last file",
                   p->path, nd_aof_whole(l->reader));
        return false;
    }
    if (end == ND_AOF_END_TORN && !cut_end(l, why))
        return false;
    l->before += p->bytes;
    l->at++;
    return true;
}

enum step { STEP_MORE, STEP_OVER, STEP_FAILED };

/* More of the file in front of the reader: at least what it says it needs. */
static ssize_t fill(struct aof_load *l)
{
    size_t have = l->in.n - l->used, wanted = nd_aof_wanted(l->reader);
    size_t room = wanted > have && wanted - have > READ_BYTES ? wanted - have : READ_BYTES;
    uint64_t bytes = l->parts[l->at].bytes; /* a length in a damaged file may say anything */
    if (room > READ_BYTES && room > bytes)
        room = (size_t)bytes + 1;
    buf_drop(&l->in, l->used);
    l->used = 0;
    buf_reserve(&l->in, room);
    ssize_t n;
    do {
        n = read(l->fd, l->in.p + l->in.n, room);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        l->in.n += (size_t)n;
    return n;
}

static enum step work(struct aof_load *l, struct buf *why)
{
    if (l->at == l->n)
        return STEP_OVER;
    if (l->fd < 0 && !begin_part(l, why))
        return STEP_FAILED;
    struct slice in = {l->in.p + l->used, l->in.n - l->used};
    enum nd_aof_read st = in.n > 0 ? nd_aof_read_some(l->reader, &in, FEED_BYTES) : ND_AOF_MORE;
    l->used = l->in.n - in.n;
    l->a->node->engine->persist->loading.loaded_bytes = l->before + nd_aof_whole(l->reader);
    if (st == ND_AOF_BAD) {
        buf_printf(why, "%s is damaged, %s. Nothing was changed; redis-check-aof tells more about the file",
                   l->parts[l->at].path, nd_aof_error(l->reader));
        return STEP_FAILED;
    }
    if (st == ND_AOF_BUSY)
        return STEP_MORE;
    ssize_t n = fill(l);
    if (n < 0) {
        buf_printf(why, "%s cannot be read: %s", l->parts[l->at].path, strerror(errno));
        return STEP_FAILED;
    }
    return n > 0 || end_part(l, why) ? STEP_MORE : STEP_FAILED;
}

/* ---- the beginning and the end ---- */

static struct aof_load *new_load(struct aof *a)
{
    struct aof_load *l = mem_zalloc(sizeof *l);
    l->a = a;
    l->fd = -1;
    l->began_us = io_now_us();
    ev_init(&l->step, NULL);
    return l;
}

static void set_loading(struct aof_load *l)
{
    struct nd_engine *e = l->a->node->engine;
    e->loading = true;
    e->persist->loading = (struct nd_loading){.since_ms = e->now_ms, .total_bytes = total_bytes(l)};
}

static void say_loaded(const struct aof_load *l)
{
    if (l->n > 0)
        io_log(IO_NOTICE, "The append-only file was loaded in %.3f seconds: %" PRIu64 " keys and requests of %zu files",
               (double)(io_now_us() - l->began_us) / 1e6, nd_aof_units(l->reader), l->n);
}

/* The files become what goes on from here. why: empty when all is well. */
static void settle(struct aof *a, struct buf *why)
{
    struct node *n = a->node;
    struct aof_load *l = a->load;
    bool ok = why->n == 0 && (l->old_path == NULL || move_old(l, why)) && aof_go_on(a, why);
    aof_load_free(l);
    a->load = NULL;
    if (ok)
        nd_keyspace_loaded(&n->engine->keys);
    if (ok)
        nd_persist_loaded(n->engine->persist, n->engine->persist->loaded_keys, 0);
    nd_expiry_wake(n->engine);
    node_loaded(n, ok ? NULL : buf_str(why));
}

struct copy {
    struct aof_job job;
    struct aof *a;
    char *from, *temp, *to;
    char *name;
    struct buf why;
};

static void work_copy(struct aof_job *job)
{
    struct copy *c = (struct copy *)job;
    aof_file_copy(c->from, c->temp, c->to, &c->why);
}

static void copy_done(struct aof_job *job)
{
    struct copy *c = (struct copy *)job;
    struct aof *a = c->a;
    node_time(a->node);
    if (c->why.n == 0) {
        nd_aof_manifest_add_base(&a->manifest, c->name);
        io_log(IO_NOTICE, "There was no append-only file: it begins with a copy of %s", c->from);
    }
    if (!a->node->ending) /* else the next start does it again: no manifest names the copy */
        settle(a, &c->why);
    free(c->from);
    free(c->temp);
    free(c->to);
    free(c->name);
    buf_free(&c->why);
    free(c);
}

/* By the thread: it may be a great file. Clients are told to wait until it is over. */
static void copy_snapshot(struct aof *a)
{
    struct aof_load *l = a->load;
    struct copy *c = mem_zalloc(sizeof *c);
    struct buf temp = {0};
    c->job.work = work_copy;
    c->job.done = copy_done;
    c->a = a;
    c->from = mem_strdup(l->rdb_path);
    c->name = nd_aof_next_base(&a->manifest, a->prefix, true);
    c->to = aof_path(a->folder, c->name);
    rdb_temp_name(c->to, getpid(), &temp);
    c->temp = mem_strdup(buf_str(&temp));
    buf_free(&temp);
    aof_thread_give(aof_worker(a), &c->job);
}

static void over(struct aof *a, struct buf *why)
{
    bool ok = why->n == 0;
    if (ok)
        say_loaded(a->load);
    if (ok && a->load->rdb_path != NULL && aof_folder_make(a->folder, why) && aof_take_folder(a, why))
        copy_snapshot(a);
    else
        settle(a, why);
}

static void on_step(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)events;
    struct aof_load *l = w->data;
    struct aof *a = l->a;
    struct node *n = a->node;
    struct buf why = {0};
    enum step st;
    node_time(n);
    int64_t end_us = io_now_us() + STEP_US;
    do {
        st = work(l, &why);
    } while (st == STEP_MORE && io_now_us() < end_us);
    if (st == STEP_MORE) {
        ev_timer_set(w, 0., 0.);
        ev_timer_start(ev, w);
    } else {
        over(a, &why);
    }
    buf_free(&why);
    node_touch(n);
}

void aof_load_start(struct aof *a)
{
    struct buf why = {0};
    struct aof_load *l = a->load = new_load(a);
    l->cuts = true;
    l->reader = nd_aof_reader_new(a->node->engine);
    if (!aof_take_folder(a, &why) || !find_parts(l, &why) || l->n == 0) {
        over(a, &why);
    } else {
        set_loading(l);
        ev_timer_init(&l->step, on_step, 0., 0.);
        l->step.data = l;
        ev_timer_start(io_loop_ev(a->node->loop), &l->step);
    }
    buf_free(&why);
}

bool aof_load_whole(struct aof *a, struct buf *error)
{
    struct nd_engine *e = a->node->engine;
    struct aof_load *l = new_load(a);
    enum step st = STEP_FAILED;
    l->reader = nd_aof_reader_new(e);
    if (find_parts(l, error)) {
        set_loading(l);
        do {
            st = work(l, error);
        } while (st == STEP_MORE);
        e->loading = false;
    }
    if (st == STEP_OVER)
        say_loaded(l);
    aof_load_free(l);
    nd_expiry_wake(e);
    return st == STEP_OVER;
}
