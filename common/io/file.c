#include "common/io/file.h"

#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_all(int fd, const char *path, size_t max, struct buf *out, struct buf *error)
{
    size_t start = out->n;
    for (;;) {
        size_t room = 64 * 1024;
        buf_reserve(out, room);
        ssize_t n = read(fd, out->p + out->n, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            buf_printf(error, "%s cannot be read: %s", path, strerror(errno));
            break;
        }
        if (n == 0)
            return true;
        out->n += (size_t)n;
        if (out->n - start > max) {
            buf_printf(error, "%s is too large: more than %zu bytes", path, max);
            break;
        }
    }
    out->n = start;
    return false;
}

bool io_file_read(const char *path, size_t max, struct buf *out, struct buf *error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        buf_printf(error, "%s cannot be opened: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ok = false;
    if (S_ISDIR(st.st_mode))
        buf_printf(error, "%s is a folder, not a file", path);
    else
        ok = read_all(fd, path, max, out, error);
    close(fd);
    return ok;
}

bool io_write_all(int fd, struct slice bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC;
        if (n <= 0)
            return false;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return true;
}

bool io_folder_flush(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return ok;
}

bool io_name_flush(const char *path)
{
    char *folder = io_path_folder(path);
    bool ok = io_folder_flush(folder);
    int why = errno;
    free(folder);
    errno = why;
    return ok;
}

char *io_path_absolute(const char *path)
{
    struct buf b = {0};
    if (*path != '/') {
        char *here = getcwd(NULL, 0);
        if (here == NULL)
            return NULL;
        if (strcmp(here, "/") != 0)
            buf_puts(&b, here);
        free(here);
    }
    struct slice rest = slice_of(path);
    while (rest.n > 0) {
        struct slice part = slice_cut(&rest, '/');
        if (part.n == 0 || slice_is(part, "."))
            continue;
        if (slice_is(part, "..")) {
            while (b.n > 0 && b.p[--b.n] != '/')
                ;
            continue;
        }
        buf_putc(&b, '/');
        buf_put(&b, part.p, part.n);
    }
    if (b.n == 0)
        buf_putc(&b, '/');
    char *out = mem_strndup(b.p, b.n);
    buf_free(&b);
    return out;
}

char *io_path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}
