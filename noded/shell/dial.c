#include "noded/shell/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* NULL: it is no address; errno says so. */
static struct addrinfo *read_address(const char *ip, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *ai = NULL;
    if (getaddrinfo(ip, port, &hints, &ai) == 0)
        return ai;
    errno = EADDRNOTAVAIL;
    return NULL;
}

/* The first of the addresses of bind-source-addr that can be used. false: there are some, and none can. */
static bool bind_source(const struct nd_config *config, int fd)
{
    struct slice rest = slice_of(config->bind_source_addr);
    bool wanted = false;
    while (rest.n > 0) {
        struct slice word = slice_cut(&rest, ' ');
        if (word.n == 0)
            continue;
        wanted = true;
        char *host = slice_dup(word);
        struct addrinfo *ai = read_address(host, NULL);
        bool ok = ai != NULL && bind(fd, ai->ai_addr, ai->ai_addrlen) == 0;
        if (ai != NULL)
            freeaddrinfo(ai);
        free(host);
        if (ok)
            return true;
    }
    return !wanted;
}

int dial(const struct nd_config *config, const char *ip, int port)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%d", port);
    struct addrinfo *ai = read_address(ip, digits);
    if (ai == NULL)
        return -1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    bool ok = fd >= 0 && bind_source(config, fd) &&
              (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS);
    int error = errno;
    freeaddrinfo(ai);
    if (ok) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

int dial_ended(int fd)
{
    int error = 0;
    socklen_t n = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 ? error : errno;
}
