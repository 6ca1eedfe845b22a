#include "nodectl/local/replace_file.h"

#include "common/base/mem.h"
#include "common/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fill(int fd, struct slice text, const struct stat *old, mode_t mode)
{
    /* Giving it to its old owner is for root; whoever else edits it may own it afterwards. */
    if (old != NULL && (old->st_uid != geteuid() || old->st_gid != getegid()) &&
        fchown(fd, old->st_uid, old->st_gid) != 0 && errno != EPERM)
        return false;
    return fchmod(fd, mode) == 0 && io_write_all(fd, text) && fsync(fd) == 0;
}

static bool write_beside(const char *target, struct slice text, const struct stat *old, mode_t mode)
{
    struct buf beside = {0};
    buf_printf(&beside, "%s.new-%ld", target, (long)getpid());
    int fd = open(buf_str(&beside), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && fill(fd, text, old, mode);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (ok && rename(buf_str(&beside), target) != 0) {
        error = errno;
        ok = false;
    }
    if (!ok && fd >= 0)
        unlink(buf_str(&beside));
    buf_free(&beside);
    if (ok && !io_name_flush(target)) {
        error = errno;
        ok = false;
    }
    errno = error;
    return ok;
}

bool replace_file(const char *path, struct slice text, mode_t mode, struct buf *why)
{
    struct stat old;
    bool there = stat(path, &old) == 0;
    char *target = there ? realpath(path, NULL) : mem_strdup(path);
    bool ok = target != NULL && write_beside(target, text, there ? &old : NULL, there ? old.st_mode & 07777 : mode);
    if (!ok)
        buf_printf(why, "%s cannot be written: %s", path, strerror(errno));
    free(target);
    return ok;
}

bool make_folders(const char *path, mode_t mode, struct buf *why)
{
    char *part = mem_strdup(path);
    bool ok = true;
    for (char *p = part + 1; ok; p++) {
        char mark = *p;
        if (mark != '/' && mark != '\0')
            continue;
        *p = '\0';
        ok = mkdir(part, mark == '\0' ? mode : 0755) == 0 || errno == EEXIST;
        if (!ok)
            buf_printf(why, "folder %s cannot be made: %s", part, strerror(errno));
        *p = mark;
        if (mark == '\0')
            break;
    }
    struct stat st;
    if (ok && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) {
        buf_printf(why, "%s is in the way: it is no folder", path);
        ok = false;
    }
    free(part);
    return ok;
}
