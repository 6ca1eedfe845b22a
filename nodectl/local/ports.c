#include "nodectl/local/ports.h"

#include "common/base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket at that port. With `share` another one may be bound to it that does not listen. -1: errno. */
static int bound(const struct addrinfo *a, bool share)
{
    int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0) &&
              bind(fd, a->ai_addr, a->ai_addrlen) == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    int error = errno;
    if (!ok && fd >= 0)
        close(fd);
    errno = error;
    return ok ? fd : -1;
}

/* Only connections that have ended are left of it, or somebody holds it as we do. */
static bool nobody_listens(const struct addrinfo *a)
{
    int fd = bound(a, true);
    bool ok = fd >= 0 && listen(fd, 1) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return ok;
}

static int hold(const char *host, int port, bool insist)
{
    char text[8];
    struct addrinfo *a, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    snprintf(text, sizeof text, "%d", port);
    if (getaddrinfo(host, text, &hints, &a) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = bound(a, false);
    if (fd < 0 && insist && errno == EADDRINUSE && nobody_listens(a))
        fd = bound(a, true);
    int error = errno;
    freeaddrinfo(a);
    errno = error;
    return fd;
}

static void keep(struct ports *p, int fd)
{
    if (fd < 0)
        return;
    p->fds = mem_grow(p->fds, p->n, &p->cap, sizeof *p->fds);
    p->fds[p->n++] = fd;
}

bool ports_hold(struct ports *p, const char *host, int port, struct buf *why)
{
    int fd = hold(host, port, true);
    if (fd < 0) {
        buf_printf(why, "port %d of %s %s", port, host,
                   errno == EADDRINUSE ? "is taken by another program" : strerror(errno));
        return false;
    }
    keep(p, fd);
    return true;
}

bool ports_hold_free(struct ports *p, const char *host, int port, int beside)
{
    int first = hold(host, port, false), second = first >= 0 && beside > 0 ? hold(host, port + beside, false) : -1;
    if (first >= 0 && beside > 0 && second < 0) {
        close(first);
        return false;
    }
    keep(p, first);
    keep(p, second);
    return first >= 0;
}

void ports_free(struct ports *p)
{
    for (size_t i = 0; i < p->n; i++)
        close(p->fds[i]);
    free(p->fds);
    *p = (struct ports){0};
}
