#include "nodectl/local/remove.h"

#include "nodectl/local/notes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 16 /* of what noded and sentineld make there: three at most */

static bool remove_to(int at, const char *name, int depth)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return true;
    if ((errno != EISDIR && errno != EPERM) || depth == 0)
        return false;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ok = true;
    for (struct dirent *e = readdir(d); e != NULL && ok; e = readdir(d))
        ok = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || remove_to(fd, e->d_name, depth - 1);
    int error = errno;
    (void)closedir(d);
    errno = error;
    return ok && unlinkat(at, name, AT_REMOVEDIR) == 0;
}

bool remove_below(int at, const char *name)
{
    return remove_to(at, name, DEPTH_MAX);
}

/* "10.0.0.2" above "10.0.0.2/node-7001", when it is empty. */
static void remove_above(int dir, const char *folder)
{
    const char *slash = strchr(folder, '/');
    char *above = slash != NULL ? strndup(folder, (size_t)(slash - folder)) : NULL;
    if (above != NULL)
        (void)unlinkat(dir, above, AT_REMOVEDIR);
    free(above);
}

bool remove_fleet(const struct layout *l, struct buf *why)
{
    int dir = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *what = l->dir;
    bool ok = dir >= 0;
    for (size_t i = 0; i < l->n + l->nleft && ok; i++) {
        what = i < l->n ? l->v[i].folder : l->left[i - l->n];
        ok = remove_below(dir, what);
        if (ok)
            remove_above(dir, what);
    }
    if (ok)
        (void)unlinkat(dir, NOTES_FILE, 0);
    /* Last of all what says that the folder is a fleet's. */
    if (ok)
        ok = unlinkat(dir, "fleet.json", 0) == 0 || errno == ENOENT;
    if (!ok)
        buf_printf(why, "%s%s%s cannot be removed: %s", what == l->dir ? "" : l->dir, what == l->dir ? "" : "/", what,
                   strerror(errno));
    if (dir >= 0)
        close(dir);
    if (ok && rmdir(l->dir) != 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT && errno != EACCES) {
        buf_printf(why, "%s cannot be removed: %s", l->dir, strerror(errno));
        ok = false;
    }
    return ok;
}
