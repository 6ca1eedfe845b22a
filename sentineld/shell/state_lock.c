#include "sentineld/shell/state_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static void say_who_holds_it(int fd, const char *dir, struct buf *error)
{
    char pid[32] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
    buf_printf(error,
               "%s is in use by another sentineld%s%s. Each supervisor needs a state directory of its own: end the "
               "other one, or "
               "give this one another state_dir",
               dir, pid[0] != '\0' ? ", process " : "", pid);
}

int state_lock(const char *dir, struct buf *error)
{
    struct buf path = {.n = 0};
    buf_printf(&path, "%s/lock", dir);
    int fd = open(buf_str(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        buf_printf(
            error,
            "%s cannot be opened: %s. The state directory must belong to the user that runs sentineld and be writable",
            buf_str(&path), strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            say_who_holds_it(fd, dir, error);
        else
            buf_printf(error, "%s cannot be locked: %s", buf_str(&path), strerror(errno));
        close(fd);
        fd = -1;
    } else {
        /* The number only helps people: a lock on a full disk holds without it. */
        struct buf pid = {.n = 0};
        buf_printf(&pid, "%ld\n", (long)getpid());
        bool written = ftruncate(fd, 0) == 0 && pwrite(fd, pid.p, pid.n, 0) == (ssize_t)pid.n;
        (void)written;
        buf_free(&pid);
    }
    buf_free(&path);
    return fd;
}
