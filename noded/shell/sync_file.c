#include "noded/shell/sync_file.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "common/io/log.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What is written begins its way to the disk after so many bytes, so that the flush at the end is short. */
#define BEGIN_BYTES ((off_t)8 * 1024 * 1024)

/* What may take long, in a thread of its own: flushing, and the last closing of a file that has no name any more. It
 * has a descriptor of its own, so the file may be given up meanwhile. */
struct flush {
    struct sync_file *f; /* NULL: nobody waits for it */
    struct flush *next, **place;
    bool closes_only;
    struct ev_async done;
    struct ev_loop *loop;
    pthread_t thread;
    int fd;
    int error;     /* errno, or 0 */
    bool threaded; /* there is a thread to be joined */
};

struct sync_file {
    struct node *node;
    void (*flushed)(void *owner, const char *error);
    void *owner;
    int fd; /* -1: none */
    char name[64];
    off_t written, begun, read;
    struct flush *flushes;
};

struct sync_file *sync_file_new(struct node *n, void (*flushed)(void *owner, const char *error), void *owner)
{
    struct sync_file *f = mem_zalloc(sizeof *f);
    f->node = n;
    f->flushed = flushed;
    f->owner = owner;
    f->fd = -1;
    return f;
}

static void reason(struct buf *why, const char *what, const char *name)
{
    buf_printf(why, "%s %s: %s", what, name, strerror(errno));
}

bool sync_file_open(struct sync_file *f, struct buf *why)
{
    sync_file_drop(f);
    snprintf(f->name, sizeof f->name, "temp-%lld.%ld.rdb", (long long)time(NULL), (long)getpid());
    f->fd = open(f->name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    f->written = f->begun = f->read = 0;
    if (f->fd < 0)
        reason(why, "cannot create the file", f->name);
    return f->fd >= 0;
}

bool sync_file_write(struct sync_file *f, const char *p, size_t n, struct buf *why)
{
    if (!io_write_all(f->fd, (struct slice){p, n})) {
        reason(why, "cannot write to the file", f->name);
        return false;
    }
    f->written += (off_t)n;
    if (f->written - f->begun >= BEGIN_BYTES) {
        sync_file_range(f->fd, f->begun, f->written - f->begun, SYNC_FILE_RANGE_WRITE);
        f->begun = f->written;
    }
    return true;
}

/* ---- flushing ---- */

static void end_flush(struct flush *x)
{
    if (x->threaded)
        pthread_join(x->thread, NULL);
    ev_async_stop(x->loop, &x->done);
    *x->place = x->next;
    if (x->next != NULL)
        x->next->place = x->place;
    free(x);
}

static void *run_flush(void *arg)
{
    struct flush *x = arg;
    if (!x->closes_only)
        x->error = fdatasync(x->fd) == 0 ? 0 : errno;
    close(x->fd);
    ev_async_send(x->loop, &x->done);
    return NULL;
}

static void on_flushed(struct ev_loop *ev, ev_async *w, int events)
{
    (void)ev;
    (void)events;
    struct flush *x = w->data;
    struct sync_file *f = x->f;
    int error = x->error;
    end_flush(x);
    if (f == NULL)
        return;
    char text[128];
    snprintf(text, sizeof text, "flushing the file failed: %s", strerror(error));
    f->flushed(f->owner, error == 0 ? NULL : text);
}

/* fd is closed by it. */
static void start_flush(struct sync_file *f, int fd, bool closes_only, bool tells)
{
    if (fd < 0 && !tells)
        return;
    struct flush *x = mem_zalloc(sizeof *x);
    x->f = tells ? f : NULL;
    x->loop = io_loop_ev(f->node->loop);
    x->fd = fd;
    x->closes_only = closes_only;
    x->next = f->flushes;
    x->place = &f->flushes;
    if (x->next != NULL)
        x->next->place = &x->next;
    f->flushes = x;
    ev_async_init(&x->done, on_flushed);
    x->done.data = x;
    ev_async_start(x->loop, &x->done);
    x->threaded = pthread_create(&x->thread, NULL, run_flush, x) == 0;
    if (!x->threaded) /* then it is done here: slower for everybody else, but done */
        run_flush(x);
}

void sync_file_flush(struct sync_file *f)
{
    start_flush(f, fcntl(f->fd, F_DUPFD_CLOEXEC, 0), false, true);
}

/* ---- afterwards ---- */

ptrdiff_t sync_file_read(struct sync_file *f, char *p, size_t n)
{
    ssize_t got;
    do {
        got = pread(f->fd, p, n, f->read);
    } while (got < 0 && errno == EINTR);
    if (got > 0)
        f->read += got;
    return got;
}

void sync_file_rewind(struct sync_file *f)
{
    f->read = 0;
}

/* Nobody wants to load anything from a file later. */
static bool keeps_nothing(const struct nd_config *config)
{
    return config->rdb_del_sync_files && !config->appendonly && config->save[0] == '\0';
}

void sync_file_keep(struct sync_file *f)
{
    const struct nd_config *config = &f->node->engine->config;
    if (keeps_nothing(config)) {
        sync_file_drop(f);
        return;
    }
    int old = open(config->dbfilename, O_RDONLY | O_CLOEXEC);
    bool kept = rename(f->name, config->dbfilename) == 0;
    int error = errno;
    start_flush(f, old, true, false);
    if (!kept) {
        io_log(IO_WARNING, "The snapshot of the master is loaded, but %s cannot become %s: %s", f->name,
               config->dbfilename, strerror(error));
        sync_file_drop(f);
        return;
    }
    start_flush(f, open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), false, false); /* so that the new name lasts */
    close(f->fd);
    f->fd = -1;
}

void sync_file_drop(struct sync_file *f)
{
    for (struct flush *x = f->flushes; x != NULL; x = x->next)
        x->f = NULL;
    if (f->fd < 0)
        return;
    unlink(f->name);
    start_flush(f, f->fd, true, false);
    f->fd = -1;
}

void sync_file_free(struct sync_file *f)
{
    if (f == NULL)
        return;
    sync_file_drop(f);
    while (f->flushes != NULL)
        end_flush(f->flushes);
    free(f);
}
