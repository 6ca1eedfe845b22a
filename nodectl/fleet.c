#include "nodectl/fleet.h"

#include "common/base/mem.h"
#include "nodectl/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* More than this is no answer of a supervisor, not even of one with thousands of groups. */
#define RECEIVED_MAX ((size_t)512 << 20)

int64_t fleet_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const redisReply *fleet_answer(const struct fleet_member *m)
{
    return m->error == NULL && m->nreplies > 0 ? m->replies[m->nreplies - 1] : NULL;
}

struct fleet_member *fleet_at(const struct fleet *f, const char *address)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(addr_text(&f->members[i]->addr, text), address) == 0)
            return f->members[i];
    return NULL;
}

void fleet_init(struct fleet *f, int timeout_ms)
{
    *f = (struct fleet){.timeout_ms = timeout_ms};
}

static void disconnect(struct fleet_member *m)
{
    if (m->fd >= 0)
        close(m->fd);
    if (m->reader != NULL)
        redisReaderFree(m->reader);
    m->fd = -1;
    m->reader = NULL;
    m->connected = false;
}

static void forget(struct fleet_member *m)
{
    for (size_t i = 0; i < m->nreplies; i++)
        freeReplyObject(m->replies[i]);
    m->nreplies = m->wanted = m->received = 0;
}

void fleet_forget(struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++)
        forget(f->members[i]);
}

void fleet_free(struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct fleet_member *m = f->members[i];
        forget(m);
        disconnect(m);
        free(m->found);
        free(m->replies);
        free(m->error);
        buf_free(&m->to_send);
        free(m);
    }
    free(f->members);
    *f = (struct fleet){0};
}

struct fleet_member *fleet_add(struct fleet *f, const struct addr *a, bool given, bool *added)
{
    *added = false;
    for (size_t i = 0; i < f->n; i++)
        if (addr_eq(&f->members[i]->addr, a))
            return f->members[i];
    struct fleet_member *m = mem_zalloc(sizeof *m);
    m->addr = *a;
    m->given = given;
    m->fd = -1;
    f->members = mem_grow(f->members, f->n, &f->cap, sizeof(struct fleet_member *));
    f->members[f->n++] = m;
    *added = true;
    return m;
}

void fleet_fail(struct fleet_member *m, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    free(m->error);
    m->error = slice_dup(buf_slice(&text));
    buf_free(&text);
    disconnect(m);
}

void fleet_retry(struct fleet_member *m)
{
    disconnect(m);
    forget(m);
    free(m->found);
    free(m->error);
    m->found = NULL;
    m->error = NULL;
    m->next = 0;
    buf_clear(&m->to_send);
}

void fleet_ask_slices(struct fleet_member *m, size_t argc, const struct slice *argv)
{
    if (m->error != NULL)
        return;
    buf_printf(&m->to_send, "*%zu\r\n", argc);
    for (size_t i = 0; i < argc; i++) {
        buf_printf(&m->to_send, "$%zu\r\n", argv[i].n);
        buf_put(&m->to_send, argv[i].p, argv[i].n);
        buf_puts(&m->to_send, "\r\n");
    }
    m->wanted++;
}

void fleet_ask(struct fleet_member *m, int argc, const char *const *argv)
{
    struct slice *words = mem_zalloc((size_t)argc * sizeof *words);
    for (int i = 0; i < argc; i++)
        words[i] = slice_of(argv[i]);
    fleet_ask_slices(m, (size_t)argc, words);
    free(words);
}

static bool waits(const struct fleet_member *m)
{
    return m->error == NULL && m->nreplies < m->wanted;
}

/* A socket on its way to this address; -1 with errno. */
static int begin_connect(const char *ip, int port)
{
    char port_text[8];
    struct addrinfo *a, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    snprintf(port_text, sizeof port_text, "%d", port);
    if (getaddrinfo(ip, port_text, &hints, &a) != 0) {
        errno = EADDRNOTAVAIL; /* a zone that this machine does not have, say */
        return -1;
    }
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        fd = -1;
    }
    freeaddrinfo(a);
    return fd;
}

/* Begins to connect to the next address of the name; when there is none left, the member fails for the reason given. */
static void connect_next(struct fleet_member *m, int error)
{
    disconnect(m);
    while (m->next < m->found->n) {
        m->fd = begin_connect(m->found->ips[m->next++], m->addr.port);
        if (m->fd >= 0) {
            m->reader = redisReaderCreate();
            if (m->reader == NULL)
                mem_fail(sizeof *m->reader);
            return;
        }
        error = errno;
    }
    fleet_fail(m, "%s", strerror(error));
}

/* Looks up the names of all new members in one go and begins to connect to them. */
static void connect_new(struct fleet *f)
{
    struct lookup *list = mem_zalloc(f->n * sizeof *list);
    for (size_t i = 0; i < f->n; i++)
        if (waits(f->members[i]) && f->members[i]->found == NULL)
            list[i].host = f->members[i]->addr.host;
    lookup_run(list, f->n, f->timeout_ms);
    for (size_t i = 0; i < f->n; i++) {
        struct fleet_member *m = f->members[i];
        if (list[i].host == NULL)
            continue;
        m->found = mem_alloc(sizeof *m->found);
        *m->found = list[i];
        if (m->found->n == 0)
            fleet_fail(m, "its name cannot be resolved: %s", m->found->error);
        else
            connect_next(m, 0);
    }
    free(list);
}

static bool check_connected(struct fleet_member *m)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(m->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error != 0)
        connect_next(m, error);
    else
        m->connected = true;
    return error == 0;
}

static void send_some(struct fleet_member *m)
{
    ssize_t n = send(m->fd, m->to_send.p, m->to_send.n, MSG_NOSIGNAL);
    if (n >= 0)
        buf_drop(&m->to_send, (size_t)n);
    else if (errno == EPIPE || errno == ECONNRESET)
        fleet_fail(m, "it closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        fleet_fail(m, "the connection broke: %s", strerror(errno));
}

static void take_replies(struct fleet_member *m)
{
    while (m->nreplies < m->wanted) {
        void *reply = NULL;
        if (redisReaderGetReply(m->reader, &reply) != REDIS_OK) {
            fleet_fail(m, "it does not speak the Redis protocol (%s)", m->reader->errstr);
            return;
        }
        if (reply == NULL)
            return;
        m->replies = mem_grow(m->replies, m->nreplies, &m->cap_replies, sizeof(redisReply *));
        m->replies[m->nreplies++] = reply;
    }
}

static void receive_some(struct fleet_member *m)
{
    char part[65536];
    ssize_t n = recv(m->fd, part, sizeof part, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 && errno != ECONNRESET) {
        fleet_fail(m, "the connection broke: %s", strerror(errno));
    } else if (n <= 0) {
        fleet_fail(m, "it closed the connection");
    } else if ((m->received += (size_t)n) > RECEIVED_MAX) {
        fleet_fail(m, "its answers are too long");
    } else {
        redisReaderFeed(m->reader, part, (size_t)n); /* a failure is told by the next call */
        take_replies(m);
    }
}

static void serve(struct fleet_member *m, short events)
{
    if (events == 0 || (!m->connected && !check_connected(m)))
        return;
    if ((events & POLLOUT) && m->to_send.n > 0)
        send_some(m);
    if ((events & (POLLIN | POLLHUP | POLLERR)) && m->error == NULL)
        receive_some(m);
}

static void give_up(struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct fleet_member *m = f->members[i];
        if (waits(m) && m->connected)
            fleet_fail(m, "it is connected but does not answer within %d ms", f->timeout_ms);
        else if (waits(m))
            fleet_fail(m, "it cannot be connected to within %d ms", f->timeout_ms);
    }
}

void fleet_run(struct fleet *f)
{
    int64_t deadline = fleet_now_ms() + f->timeout_ms;
    connect_new(f);
    struct pollfd *p = mem_zalloc(f->n * sizeof *p);
    for (;;) {
        bool busy = false;
        for (size_t i = 0; i < f->n; i++) {
            struct fleet_member *m = f->members[i];
            bool open = waits(m);
            bool sends = open && (!m->connected || m->to_send.n > 0);
            p[i] = (struct pollfd){.fd = open ? m->fd : -1, .events = (short)(POLLIN | (sends ? POLLOUT : 0))};
            busy |= open;
        }
        int64_t left = deadline - fleet_now_ms();
        if (!busy)
            break;
        if (left <= 0) {
            give_up(f);
            break;
        }
        if (poll(p, f->n, (int)left) <= 0)
            continue;
        for (size_t i = 0; i < f->n; i++)
            serve(f->members[i], p[i].fd >= 0 ? p[i].revents : 0);
    }
    free(p);
}

/* A message that is whole already. */
static struct fleet_member *next_message(struct fleet *f, redisReply **message)
{
    for (size_t i = 0; i < f->n; i++) {
        struct fleet_member *m = f->members[i];
        void *reply = NULL;
        if (m->error != NULL || m->reader == NULL)
            continue;
        if (redisReaderGetReply(m->reader, &reply) != REDIS_OK) {
            fleet_fail(m, "it does not speak the Redis protocol (%s)", m->reader->errstr);
        } else if (reply != NULL) {
            *message = reply;
            m->received = 0;
            return m;
        }
    }
    return NULL;
}

struct fleet_member *fleet_listen(struct fleet *f, int timeout_ms, redisReply **message)
{
    int64_t deadline = fleet_now_ms() + timeout_ms;
    struct pollfd *p = mem_zalloc(f->n * sizeof *p);
    struct fleet_member *from;
    while ((from = next_message(f, message)) == NULL) {
        size_t open = 0;
        for (size_t i = 0; i < f->n; i++) {
            struct fleet_member *m = f->members[i];
            p[i] = (struct pollfd){.fd = m->error == NULL ? m->fd : -1, .events = POLLIN};
            open += p[i].fd >= 0;
        }
        int64_t left = deadline - fleet_now_ms();
        if (open == 0 || left <= 0)
            break;
        if (poll(p, f->n, (int)left) <= 0)
            continue;
        for (size_t i = 0; i < f->n; i++)
            if (p[i].fd >= 0 && p[i].revents != 0)
                receive_some(f->members[i]);
    }
    free(p);
    return from;
}
