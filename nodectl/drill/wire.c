#include "nodectl/drill/wire.h"

#include "common/base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void wire_init(struct wire *w)
{
    *w = (struct wire){.fd = -1};
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->reader != NULL)
        redisReaderFree(w->reader);
    buf_free(&w->out);
    w->fd = -1;
    w->reader = NULL;
    w->connected = false;
    w->npending = 0;
}

static bool fail(struct wire *w, const char *why)
{
    snprintf(w->error, sizeof w->error, "%s", why);
    wire_close(w);
    return false;
}

static bool begin_connect(struct wire *w, const struct addrinfo *a)
{
    w->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0)
        return fail(w, strerror(errno));
    (void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* only slower without */
    if (connect(w->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        return fail(w, strerror(errno));
    return true;
}

void wire_open(struct wire *w, const struct addr *a, int64_t now_us)
{
    char port[8];
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    wire_close(w);
    w->addr = *a;
    w->error[0] = '\0';
    snprintf(port, sizeof port, "%d", a->port);
    int code = getaddrinfo(a->host, port, &hints, &found);
    if (code != 0) {
        fail(w, gai_strerror(code));
        return;
    }
    if (begin_connect(w, found)) {
        w->since_us = now_us;
        w->reader = redisReaderCreate();
        if (w->reader == NULL)
            mem_fail(sizeof *w->reader);
    }
    freeaddrinfo(found);
}

bool wire_ask(struct wire *w, int what, int argc, const char *const *argv, int64_t now_us)
{
    if (w->fd < 0 || w->npending == WIRE_PENDING_MAX)
        return false;
    buf_printf(&w->out, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++)
        buf_printf(&w->out, "$%zu\r\n%s\r\n", strlen(argv[i]), argv[i]);
    if (w->npending == 0)
        w->since_us = now_us;
    w->pending[w->npending++] = what;
    return true;
}

short wire_events(const struct wire *w)
{
    return (short)(POLLIN | (!w->connected || w->out.n > 0 ? POLLOUT : 0));
}

static bool check_connected(struct wire *w)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error != 0)
        return fail(w, strerror(error));
    w->connected = true;
    return true;
}

static bool send_some(struct wire *w)
{
    ssize_t n = send(w->fd, w->out.p, w->out.n, MSG_NOSIGNAL);
    if (n >= 0)
        buf_drop(&w->out, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        return fail(w, strerror(errno));
    return true;
}

static bool receive_some(struct wire *w)
{
    char part[16384];
    ssize_t n = recv(w->fd, part, sizeof part, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n < 0)
        return fail(w, strerror(errno));
    if (n == 0)
        return fail(w, "it closed the connection");
    redisReaderFeed(w->reader, part, (size_t)n); /* a failure is told by the next reply */
    return true;
}

bool wire_serve(struct wire *w, short events, int64_t now_us)
{
    if (events == 0 || w->fd < 0)
        return w->fd >= 0;
    if (!w->connected) {
        if (!check_connected(w))
            return false;
        w->since_us = now_us;
    }
    if (w->out.n > 0 && !send_some(w))
        return false;
    return !(events & (POLLIN | POLLHUP | POLLERR)) || receive_some(w);
}

redisReply *wire_answer(struct wire *w, int *what, int64_t now_us)
{
    void *reply = NULL;
    if (w->fd < 0 || w->npending == 0)
        return NULL;
    if (redisReaderGetReply(w->reader, &reply) != REDIS_OK) {
        fail(w, "it does not speak the Redis protocol");
        return NULL;
    }
    if (reply == NULL)
        return NULL;
    *what = w->pending[0];
    memmove(w->pending, w->pending + 1, --w->npending * sizeof *w->pending);
    w->since_us = now_us;
    return reply;
}
