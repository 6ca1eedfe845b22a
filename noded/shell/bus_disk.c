/* nodes.conf. It is written beside and put in place of the old one when it is on the disk, so that a crash leaves the
 * old or the new one and never a part. The file in place is locked: two processes with one identity would vote twice.
 * The lock belongs to the file and not to its name, so the new one is locked before it gets the name, and who has just
 * locked looks whether what he locked still has it. */
#include "common/base/mem.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "noded/shell/aof_thread.h"
#include "noded/shell/bus_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct bus_disk {
    struct aof_job job; /* first */
    struct bus *bus;
    struct aof_thread *thread;
    char *path, *beside;
    int fd; /* of the file in place, locked */
    /* The job under way. */
    bool busy;
    uint64_t seq;
    struct buf text;
    int new_fd; /* what it made; -1: it failed */
    char why[200];
};

/* 1: the locked file has the name; 0: another one has it by now; -1: it cannot be locked, errno says why. */
static int lock(int fd, const char *path)
{
    struct stat ours, named;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return -1;
    if (fstat(fd, &ours) != 0)
        return -1;
    if (stat(path, &named) != 0)
        return errno == ENOENT ? 0 : -1;
    return ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

static int open_locked(const char *path, struct buf *error)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        int got = fd >= 0 ? lock(fd, path) : -1;
        if (got == 1)
            return fd;
        int why = errno;
        if (fd >= 0)
            close(fd);
        if (got == 0)
            continue;
        if (fd >= 0 && why == EWOULDBLOCK)
            buf_printf(error,
                       "the cluster's file %s is in use by another process: every node needs its own "
                       "(cluster-config-file, dir)",
                       path);
        else
            buf_printf(error, "the cluster's file %s cannot be %s: %s", path, fd >= 0 ? "locked" : "opened",
                       strerror(why));
        return -1;
    }
}

/* ---- in the thread ---- */

static int failed(struct bus_disk *d, int fd, const char *deed)
{
    snprintf(d->why, sizeof d->why, "%s failed: %s", deed, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int put_in_place(struct bus_disk *d)
{
    int fd = open(d->beside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return failed(d, fd, "opening a file beside it");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return failed(d, fd, "locking the new file");
    if (!io_write_all(fd, buf_slice(&d->text)))
        return failed(d, fd, "writing");
    if (fdatasync(fd) != 0)
        return failed(d, fd, "flushing");
    if (rename(d->beside, d->path) != 0)
        return failed(d, fd, "renaming");
    if (!io_name_flush(d->path)) {
        /* The name may be the new one's: that is the file to hold. What was promised is not on the disk for sure. */
        snprintf(d->why, sizeof d->why, "flushing the folder failed: %s", strerror(errno));
    }
    return fd;
}

static void work(struct aof_job *job)
{
    struct bus_disk *d = (struct bus_disk *)job;
    d->why[0] = '\0';
    d->new_fd = put_in_place(d);
}

/* ---- in the loop ---- */

static void done(struct aof_job *job)
{
    struct bus_disk *d = (struct bus_disk *)job;
    d->busy = false;
    buf_free(&d->text);
    if (d->new_fd >= 0) {
        close(d->fd);
        d->fd = d->new_fd;
    }
    bool ok = d->why[0] == '\0';
    if (!ok)
        io_log(IO_WARNING, "The cluster's file %s cannot be written: %s", d->path, d->why);
    struct cl_event e = {
        .kind = ok ? CL_EV_PERSISTED : CL_EV_PERSIST_FAILED,
        .seq = d->seq,
        .bytes = slice_of(d->why),
    };
    if (d->bus != NULL)
        bus_step(d->bus, &e);
}

void bus_disk_write(struct bus_disk *d, uint64_t seq, struct slice text)
{
    d->busy = true;
    d->seq = seq;
    buf_put(&d->text, text.p, text.n);
    d->job = (struct aof_job){.work = work, .done = done};
    aof_thread_give(d->thread, &d->job);
}

struct bus_disk *bus_disk_open(struct bus *b, const char *path, struct buf *text, struct buf *error)
{
    char *absolute = io_path_absolute(path);
    if (absolute == NULL) {
        buf_puts(error, "the working folder is not known");
        return NULL;
    }
    int fd = open_locked(absolute, error);
    if (fd < 0 || !io_file_read(absolute, FILE_BYTES_MAX, text, error)) {
        if (fd >= 0)
            close(fd);
        free(absolute);
        return NULL;
    }
    struct bus_disk *d = mem_zalloc(sizeof *d);
    struct buf beside = {0};
    buf_printf(&beside, "%s.new-%ld", absolute, (long)getpid());
    *d = (struct bus_disk){
        .bus = b,
        .thread = aof_thread_new(io_loop_ev(b->node->loop)),
        .path = absolute,
        .beside = slice_dup(buf_slice(&beside)),
        .fd = fd,
    };
    buf_free(&beside);
    return d;
}

const char *bus_disk_path(const struct bus_disk *d)
{
    return d->path;
}

void bus_disk_close(struct bus_disk *d, struct slice last)
{
    if (d == NULL)
        return;
    d->bus = NULL; /* nobody is told any more */
    aof_thread_wait(d->thread);
    if (last.n > 0) {
        bus_disk_write(d, d->seq + 1, last);
        aof_thread_wait(d->thread);
    }
    aof_thread_free(d->thread);
    close(d->fd);
    buf_free(&d->text);
    free(d->path);
    free(d->beside);
    free(d);
}
