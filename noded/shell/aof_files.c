/* Files and folders of the append-only file, without any state: the thread runs these too. */
#include "noded/shell/aof_inner.h"

#include "common/base/mem.h"
#include "common/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

char *aof_path(const char *folder, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", folder, name);
    char *path = mem_strndup(b.p, b.n);
    buf_free(&b);
    return path;
}

static bool failed(struct buf *why, const char *path, const char *what)
{
    buf_printf(why, "%s cannot be %s: %s", path, what, strerror(errno));
    return false;
}

bool aof_folder_flush(const char *folder, struct buf *why)
{
    return io_folder_flush(folder) || failed(why, folder, "flushed");
}

bool aof_folder_make(const char *folder, struct buf *why)
{
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return failed(why, folder, "made");
    struct stat st;
    if (stat(folder, &st) == 0 && !S_ISDIR(st.st_mode)) {
        buf_printf(why, "%s is a file and not a folder", folder);
        return false;
    }
    char *above = io_path_folder(folder);
    bool ok = aof_folder_flush(above, why);
    free(above);
    return ok;
}

static char *manifest_path(const char *folder, const char *prefix, const char *before)
{
    struct buf name = {0};
    buf_printf(&name, "%s%s.manifest", before, prefix);
    char *path = aof_path(folder, buf_str(&name));
    buf_free(&name);
    return path;
}

static bool write_new(const char *path, struct slice text, struct buf *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && io_write_all(fd, text) && fsync(fd) == 0;
    if (!ok)
        failed(why, path, "written");
    if (fd >= 0 && close(fd) != 0 && ok)
        ok = failed(why, path, "closed");
    return ok;
}

bool aof_manifest_save(const char *folder, const char *prefix, const struct nd_aof_manifest *m, bool *replaced,
                       struct buf *why)
{
    struct buf text = {0};
    char *path = manifest_path(folder, prefix, ""), *temp = manifest_path(folder, prefix, "temp-");
    nd_aof_manifest_write(m, &text);
    bool ok = write_new(temp, buf_slice(&text), why);
    if (ok && rename(temp, path) != 0)
        ok = failed(why, path, "replaced");
    if (!ok)
        unlink(temp);
    if (replaced != NULL)
        *replaced = ok;
    ok = ok && aof_folder_flush(folder, why);
    free(path);
    free(temp);
    buf_free(&text);
    return ok;
}

bool aof_manifest_read(const char *folder, const char *prefix, struct nd_aof_manifest *m, bool *found, struct buf *why)
{
    struct buf text = {0}, reason = {0};
    char *path = manifest_path(folder, prefix, "");
    *m = (struct nd_aof_manifest){0};
    *found = access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    bool ok = true;
    if (*found)
        ok = io_file_read(path, ND_AOF_MANIFEST_MAX, &text, why);
    if (*found && ok) {
        ok = nd_aof_manifest_parse(m, buf_slice(&text), &reason);
        if (!ok)
            buf_printf(why, "the manifest %s is damaged: %s", path, buf_str(&reason));
    }
    free(path);
    buf_free(&text);
    buf_free(&reason);
    return ok;
}

int aof_increment_create(const char *folder, const char *name, struct buf *why)
{
    char *path = aof_path(folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        failed(why, path, "made");
    free(path);
    return fd;
}

int aof_folder_lock(const char *folder, struct buf *why)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (errno == EWOULDBLOCK)
        buf_printf(why, "%s is in use: another process has its append-only file there", folder);
    close(fd);
    return -1;
}

static bool copy_all(int from, int to)
{
    for (;;) {
        ssize_t n = sendfile(to, from, NULL, (size_t)1 << 24);
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

bool aof_file_copy(const char *from, const char *temp, const char *to, struct buf *why)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return failed(why, from, "opened");
    int out = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = out >= 0 && copy_all(in, out) && fdatasync(out) == 0 && rename(temp, to) == 0;
    if (!ok) {
        failed(why, to, "made");
        unlink(temp);
    }
    close(in);
    if (out >= 0)
        close(out);
    char *folder = io_path_folder(to);
    ok = ok && aof_folder_flush(folder, why);
    free(folder);
    return ok;
}

int64_t aof_file_bytes(const char *folder, const char *name)
{
    struct stat st;
    char *path = aof_path(folder, name);
    int64_t bytes = stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
    free(path);
    return bytes;
}

void aof_history_delete(const char *folder, const struct nd_aof_manifest *m, struct buf *why)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->files[i].kind != ND_AOF_HISTORY)
            continue;
        char *path = aof_path(folder, m->files[i].name);
        if (unlink(path) != 0 && errno != ENOENT)
            failed(why, path, "deleted");
        free(path);
    }
}
