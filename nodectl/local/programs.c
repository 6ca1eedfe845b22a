#include "nodectl/local/programs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

char *program_beside(const char *name, struct buf *why)
{
    char own[4096];
    struct buf path = {0};
    ssize_t n = readlink("/proc/self/exe", own, sizeof own);
    while (n > 0 && own[n - 1] != '/')
        n--;
    buf_put(&path, own, n > 0 ? (size_t)n : 0);
    buf_puts(&path, name);
    char *found = access(buf_str(&path), X_OK) == 0 ? slice_dup(buf_slice(&path)) : NULL;
    if (found == NULL)
        buf_printf(why, "%s cannot be run: %s. nodectl starts the programs that lie beside it", buf_str(&path),
                   strerror(errno));
    buf_free(&path);
    return found;
}
