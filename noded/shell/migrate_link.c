#include "noded/shell/migrate_link.h"

#include "common/io/clock.h"
#include "common/io/loop.h"
#include "noded/shell/node.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 16384
#define LINE_MAX_BYTES 65536
#define PRIORITY_TIMER (-2) /* what has arrived is not late */

static void talk(struct migrate_link *l);
static void on_readable(struct ev_loop *ev, ev_io *w, int events);
static void on_writable(struct ev_loop *ev, ev_io *w, int events);

/* ---- time ---- */

static void moved(struct migrate_link *l)
{
    l->moved_us = io_now_us();
}

static void arm(struct migrate_link *l, int64_t wait_us)
{
    ev_timer_stop(l->m->ev, &l->timer);
    ev_now_update(l->m->ev); /* the wait counts from now, not from the start of the turn */
    ev_timer_set(&l->timer, (double)wait_us / 1e6, 0.);
    ev_timer_start(l->m->ev, &l->timer);
}

static enum nd_migrate_end end_of_state(const struct migrate_link *l)
{
    if (l->state <= MIGRATE_CONNECTING)
        return ND_MIGRATE_NO_CONNECT;
    return l->sent < l->out.n ? ND_MIGRATE_NO_WRITE : ND_MIGRATE_NO_READ;
}

static int64_t timeout_us(const struct migrate_link *l)
{
    int64_t ms = l->spec->timeout_ms;
    return ms < INT64_MAX / 2000 ? ms * 1000 : INT64_MAX / 2;
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct migrate_link *l = w->data;
    int64_t left_us = l->moved_us + timeout_us(l) - io_now_us();
    if (left_us > 0)
        arm(l, left_us);
    else
        migrate_link_ended(l, end_of_state(l));
}

/* ---- connecting ---- */

void migrate_link_disconnect(struct migrate_link *l)
{
    if (l->resolve != NULL)
        io_resolve_cancel(l->m->resolver, l->resolve);
    l->resolve = NULL;
    ev_timer_stop(l->m->ev, &l->timer);
    if (l->fd >= 0) {
        ev_io_stop(l->m->ev, &l->reader);
        ev_io_stop(l->m->ev, &l->writer);
        close(l->fd);
    }
    l->fd = -1;
    l->logged_in = false;
    l->selected = false;
    buf_clear(&l->in);
}

static int open_socket(const char *ip, int port)
{
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(ip, service, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* The next address that a connection can be begun to. */
static void connect_next(struct migrate_link *l)
{
    while (l->ip_next < l->ip_count) {
        l->fd = open_socket(l->ips[l->ip_next++], l->port);
        if (l->fd < 0)
            continue;
        l->state = MIGRATE_CONNECTING;
        ev_io_init(&l->reader, on_readable, l->fd, EV_READ);
        ev_io_init(&l->writer, on_writable, l->fd, EV_WRITE);
        ev_set_priority(&l->reader, IO_PRIORITY_STREAM);
        ev_set_priority(&l->writer, IO_PRIORITY_STREAM);
        l->reader.data = l->writer.data = l;
        ev_io_start(l->m->ev, &l->writer);
        return;
    }
    migrate_link_ended(l, ND_MIGRATE_NO_WRITE);
}

static void on_resolved(void *owner, const struct io_resolved *answer)
{
    struct migrate_link *l = owner;
    l->resolve = NULL;
    if (answer->error != NULL) {
        migrate_link_ended(l, ND_MIGRATE_NO_CONNECT);
        return;
    }
    l->ip_count = answer->n;
    for (size_t i = 0; i < answer->n; i++)
        memcpy(l->ips[i], answer->ips[i], IO_IP_MAX);
    connect_next(l);
}

static void resolve(struct migrate_link *l)
{
    l->state = MIGRATE_RESOLVING;
    l->ip_count = l->ip_next = 0;
    l->resolve = io_resolve(migrate_resolver(l->m), l->host, on_resolved, l);
}

static void start_timer(struct migrate_link *l)
{
    moved(l);
    ev_timer_stop(l->m->ev, &l->timer);
    ev_timer_init(&l->timer, on_timer, 0., 0.);
    ev_set_priority(&l->timer, PRIORITY_TIMER);
    l->timer.data = l;
    arm(l, timeout_us(l));
}

void migrate_link_begin(struct migrate_link *l)
{
    start_timer(l);
    if (l->fd < 0)
        resolve(l);
    else
        talk(l);
}

static void on_connected(struct migrate_link *l)
{
    int error = 0;
    socklen_t n = sizeof error;
    ev_io_stop(l->m->ev, &l->writer);
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) {
        close(l->fd);
        l->fd = -1;
        connect_next(l);
        return;
    }
    moved(l);
    ev_io_start(l->m->ev, &l->reader);
    talk(l);
}

/* ---- talking ---- */

/* The connection failed. One that was kept may have been closed by the other side since, and then nothing was done. */
static void failed(struct migrate_link *l, enum nd_migrate_end end)
{
    if (l->reused && l->answered == 0) {
        l->reused = false;
        migrate_link_disconnect(l);
        migrate_link_begin(l);
        return;
    }
    migrate_link_ended(l, end);
}

static void put_words(struct buf *out, size_t argc, const struct slice *argv)
{
    struct reply r = {.out = out, .proto = 2};
    reply_array(&r, argc);
    for (size_t i = 0; i < argc; i++)
        reply_bulk(&r, argv[i].p, argv[i].n);
}

static void say_login(struct migrate_link *l)
{
    struct slice words[3] = {slice_of("AUTH")};
    size_t n = 1;
    if (l->spec->user.p != NULL)
        words[n++] = l->spec->user;
    words[n++] = l->spec->password;
    l->state = MIGRATE_LOGIN;
    put_words(&l->first, n, words);
}

static void say_select(struct migrate_link *l)
{
    char db[24];
    int n = snprintf(db, sizeof db, "%" PRId64, l->spec->db);
    struct slice words[2] = {slice_of("SELECT"), {db, (size_t)n}};
    l->state = MIGRATE_SELECT;
    put_words(&l->first, 2, words);
}

/* Says what comes next. Login and database must be right before the first key leaves: else it would be stored where
 * nobody asked for it, and be kept here too. */
static void talk(struct migrate_link *l)
{
    buf_clear(&l->first);
    l->sent = 0;
    if (!l->logged_in && l->spec->password.p != NULL) {
        say_login(l);
        l->out = buf_slice(&l->first);
    } else if (!l->selected || l->db != l->spec->db) {
        say_select(l);
        l->out = buf_slice(&l->first);
    } else {
        l->state = MIGRATE_SENDING;
        l->out = l->spec->requests;
    }
    ev_io_start(l->m->ev, &l->writer);
}

/* One line of the other side's, without its end. false: the migration is over. */
static bool answered(struct migrate_link *l, struct slice line)
{
    bool error = line.n > 0 && line.p[0] == '-';
    if (line.n == 0 || (!error && line.p[0] != '+') || (l->state == MIGRATE_SENDING && l->answered == l->spec->count)) {
        migrate_link_ended(l, ND_MIGRATE_NO_READ);
        return false;
    }
    struct slice text = {line.p + 1, line.n - 1};
    if (l->state == MIGRATE_SENDING) {
        l->answered++;
        nd_migrate_answered(l->spec->migration, error ? text : (struct slice){NULL, 0});
        return true;
    }
    if (error) {
        nd_migrate_refused(l->spec->migration, text);
        migrate_link_ended(l, ND_MIGRATE_DONE);
        return false;
    }
    if (l->state == MIGRATE_LOGIN) {
        l->logged_in = true;
    } else {
        l->selected = true;
        l->db = l->spec->db;
    }
    talk(l);
    return true;
}

/* false: the migration is over. */
static bool take_lines(struct migrate_link *l)
{
    size_t used = 0;
    char *end;
    while (used < l->in.n && (end = memchr(l->in.p + used, '\n', l->in.n - used)) != NULL) {
        struct slice line = {l->in.p + used, (size_t)(end - l->in.p) - used};
        used += line.n + 1;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (!answered(l, line))
            return false;
    }
    if (used > 0)
        buf_drop(&l->in, used);
    if (l->state == MIGRATE_SENDING && l->answered == l->spec->count) {
        migrate_link_ended(l, ND_MIGRATE_DONE);
        return false;
    }
    if (l->in.n > LINE_MAX_BYTES) {
        migrate_link_ended(l, ND_MIGRATE_NO_READ);
        return false;
    }
    return true;
}

/* Reads what is there. false: the migration is over, or the link is gone. */
static bool read_some(struct migrate_link *l, enum nd_migrate_end end)
{
    for (;;) {
        buf_reserve(&l->in, READ_BYTES);
        ssize_t n = recv(l->fd, l->in.p + l->in.n, READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0) {
            failed(l, end);
            return false;
        }
        moved(l);
        l->in.n += (size_t)n;
        if (!take_lines(l))
            return false;
    }
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct migrate_link *l = w->data;
    if (l->state == MIGRATE_IDLE)
        migrate_link_lost(l); /* it was closed, or says what nobody asked for */
    else
        read_some(l, l->sent < l->out.n ? ND_MIGRATE_NO_WRITE : ND_MIGRATE_NO_READ);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct migrate_link *l = w->data;
    if (l->state == MIGRATE_CONNECTING) {
        on_connected(l);
        return;
    }
    while (l->sent < l->out.n) {
        ssize_t n = send(l->fd, l->out.p + l->sent, l->out.n - l->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            /* What it answered before it went away still counts. */
            if (read_some(l, ND_MIGRATE_NO_WRITE))
                failed(l, ND_MIGRATE_NO_WRITE);
            return;
        }
        moved(l);
        l->sent += (size_t)n;
    }
    ev_io_stop(l->m->ev, &l->writer);
}
