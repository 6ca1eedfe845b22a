#include "noded/shell/rdb_file.h"

#include "common/base/text.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "noded/repl/aof_base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So much is handed to the disk at a time, so that the flush at the end has little left to do. */
#define FLUSH_BYTES ((uint64_t)8 * 1024 * 1024)
#define TEMP_BEGINS "temp-"
#define TEMP_ENDS ".rdb"

/* ---- names ---- */

void rdb_temp_name(const char *path, int64_t pid, struct buf *out)
{
    const char *slash = strrchr(path, '/');
    if (slash != NULL)
        buf_put(out, path, (size_t)(slash - path) + 1);
    buf_printf(out, TEMP_BEGINS "%" PRId64 TEMP_ENDS, pid);
}

/* The writer of this file; -1: it is another file. */
static int64_t writer_of(const char *name)
{
    struct slice s = slice_of(name);
    const size_t head = sizeof TEMP_BEGINS - 1, tail = sizeof TEMP_ENDS - 1;
    int64_t pid;
    if (s.n <= head + tail || strncmp(s.p, TEMP_BEGINS, head) != 0 || strcmp(s.p + s.n - tail, TEMP_ENDS) != 0)
        return -1;
    return text_i64((struct slice){s.p + head, s.n - head - tail}, &pid) && pid > 0 && pid <= INT32_MAX ? pid : -1;
}

/* A process that is dead and not buried writes nothing either. */
static bool lives(int64_t pid)
{
    char path[64], text[512];
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return false;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end == NULL || strncmp(name_end, ") Z", 3) != 0;
}

void rdb_temp_tidy(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        int64_t pid = writer_of(d->d_name);
        if (pid < 0 || lives(pid))
            continue;
        if (unlinkat(dirfd(dir), d->d_name, 0) == 0)
            io_log(IO_NOTICE, "%s was removed: it was left by process %" PRId64 ", which is no more", d->d_name, pid);
    }
    closedir(dir);
}

/* ---- writing ---- */

bool rdb_writing_put(void *writing, const char *p, size_t n)
{
    struct rdb_writing *w = writing;
    if (!io_write_all(w->fd, (struct slice){p, n}))
        return false;
    w->written += n;
    if (w->written - w->begun >= FLUSH_BYTES) {
        /* What cannot be begun now is done by the flush at the end, which tells when it fails. */
        (void)sync_file_range(w->fd, (off_t)w->begun, (off_t)(w->written - w->begun), SYNC_FILE_RANGE_WRITE);
        w->begun = w->written;
    }
    if (w->pulse != NULL)
        w->pulse(w->owner);
    return true;
}

static bool fail(struct buf *why, const char *deed, const char *path)
{
    buf_printf(why, "%s cannot be %s: %s", path, deed, strerror(errno));
    return false;
}

static bool write_out(const struct nd_keyspace *keys, const struct nd_rdb_facts *facts, const char *temp, size_t *count,
                      struct rdb_writing *w, struct buf *why)
{
    w->fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (w->fd < 0)
        return fail(why, "made", temp);
    struct nd_rdb_sink sink = {.owner = w, .put = rdb_writing_put};
    bool ok = facts->as_requests ? nd_aof_base_write(keys, facts->stamp_s, &sink, count)
                                 : nd_rdb_write(keys, facts, &sink, count);
    ok = ok || fail(why, "written", temp);
    ok = ok && (fdatasync(w->fd) == 0 || fail(why, "flushed", temp));
    return (close(w->fd) == 0 || !ok || fail(why, "closed", temp)) && ok;
}

bool rdb_file_write(const struct nd_keyspace *keys, const struct nd_rdb_facts *facts, const char *path, size_t *count,
                    void (*pulse)(void *owner), void *owner, struct buf *why)
{
    struct buf name = {0};
    struct rdb_writing w = {.pulse = pulse, .owner = owner};
    rdb_temp_name(path, getpid(), &name);
    const char *temp = buf_str(&name);
    bool ok = write_out(keys, facts, temp, count, &w, why);
    ok = ok && (rename(temp, path) == 0 || fail(why, "put in its place", path));
    if (!ok)
        unlink(temp);
    ok = ok && (io_name_flush(path) || fail(why, "flushed (its folder)", path));
    buf_free(&name);
    return ok;
}

bool rdb_file_save(void *owner, const char *path, struct buf *why)
{
    struct node *n = owner;
    struct nd_rdb_facts facts;
    nd_rdb_facts_now(n->engine, &facts);
    return rdb_file_write(&n->engine->keys, &facts, path, NULL, NULL, NULL, why);
}
