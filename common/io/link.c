#include "common/io/link.h"

#include "common/base/mem.h"
#include "common/io/link_command.h"
#include "common/io/link_guard.h"
#include "common/io/link_pending.h"
#include "common/io/link_ping.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <hiredis/adapters/libev.h>
#include <hiredis/sds.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TIMEOUT_DEFAULT_US 5000000
#define REPLY_MAX_DEFAULT ((size_t)16 * 1024 * 1024)
#define UNSENT_MAX ((size_t)16 * 1024 * 1024)
#define COMMAND_ARGS_MAX 16 /* of io_link_command() */
#define KEPT 512            /* bytes of memory that a connection keeps for reading when all is read; for writing too */

enum link_state { OPENING, UP, DOWN };

struct io_link {
    struct io_loop *loop;
    struct io_resolver *resolver;
    struct io_resolve *resolving;
    char *host;
    int port;
    char *user, *password, *client_name, *source_ip;
    bool names_allowed;
    size_t reply_max;
    const struct io_link_events *events;
    void *owner;

    enum link_state state;
    redisAsyncContext *ac; /* NULL without a connection */
    struct link_guard guard;
    ev_timer timer;              /* until up: the connection's time; or at once, for a failure that was found early */
    struct io_turn_end turn_end; /* writes */
    bool flushing;               /* in turn_end: what is left then waits for the socket */
    bool dying;                  /* hiredis has begun to end the connection: nothing can be sent any more */
    bool connected;              /* hiredis said so; told to the owner outside of hiredis */
    int depth;                   /* > 0 inside one of our loop callbacks: freeing waits */
    bool freed;
    struct link_pendings pending;
    enum link_ping ping;
    char (*ips)[IO_IP_MAX]; /* that the host stands for */
    size_t ip_count, ip_at;
    enum io_link_down why; /* valid when why_text is not NULL */
    char *why_text;
};

static void connect_next(struct io_link *l);

const char *io_link_down_name(enum io_link_down why)
{
    static const char *const names[] = {"resolve", "refused", "unreached", "timeout", "closed", "protocol"};
    return names[why];
}

/* The first reason counts: what follows is its consequence. */
__attribute__((format(printf, 3, 4))) static void because(struct io_link *l, enum io_link_down why, const char *fmt,
                                                          ...)
{
    if (l->why_text != NULL)
        return;
    char where[ADDR_TEXT_MAX];
    struct addr address = io_link_addr(l);
    struct buf text = {.n = 0};
    l->why = why;
    buf_printf(&text, "%s: ", addr_text(&address, where));
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    l->why_text = mem_strdup(buf_str(&text));
    buf_free(&text);
}

static void answer_first(struct io_link *l, const redisReply *reply)
{
    io_reply_fn *fn;
    void *arg;
    if (link_pending_take(&l->pending, &fn, &arg) && fn != NULL)
        fn(l->owner, l, reply, arg);
}

static void drop_connection(struct io_link *l)
{
    if (l->ac != NULL)
        redisAsyncFree(l->ac); /* on_cleanup() clears l->ac; may be put off inside a callback of hiredis */
}

static void destroy(struct io_link *l)
{
    drop_connection(l);
    for (size_t i = 0; i < LINK_CHANNELS_MAX; i++)
        buf_free(&l->guard.channels[i]);
    free(l->user);
    free(l->password);
    free(l->client_name);
    free(l->source_ip);
    free(l->host);
    free(l->ips);
    free(l->why_text);
    free(l);
}

static void go_down(struct io_link *l)
{
    l->state = DOWN;
    ev_timer_stop(io_loop_ev(l->loop), &l->timer);
    io_turn_end_cancel(l->loop, &l->turn_end);
    drop_connection(l);
    while (!l->freed && l->pending.count > 0)
        answer_first(l, NULL);
    if (!l->freed)
        l->events->down(l->owner, l, l->why, l->why_text);
}

/* Every loop callback is between enter() and leave(): inside, hiredis may hold the connection and the owner may free
 * the link; what that asks for is done here, when nobody looks any more. */
static void enter(struct io_link *l)
{
    l->depth++;
}

static void leave(struct io_link *l)
{
    if (l->state == UP && l->ac == NULL)
        because(l, IO_LINK_CLOSED, "the connection ended");
    if (l->depth == 1 && !l->freed && l->state != DOWN && l->why_text != NULL)
        go_down(l);
    if (--l->depth == 0 && l->freed)
        destroy(l);
}

static bool is_connected(const struct io_link *l)
{
    return l->ac != NULL && (l->ac->c.flags & REDIS_CONNECTED) != 0;
}

/* --- hooks of hiredis ------------------------------------------------------------------------------------------- */

static struct io_link *link_of(const redisLibevEvents *e)
{
    return e->context->data;
}

/* hiredis wants to write. Once connected, that is done at the end of the turn for all commands of the turn together,
 * and the loop watches the socket only when it does not take all. */
static void on_add_write(void *privdata)
{
    redisLibevEvents *e = privdata;
    struct io_link *l = link_of(e);
    if (is_connected(l) && !l->flushing)
        io_at_turn_end(l->loop, &l->turn_end);
    else
        redisLibevAddWrite(privdata);
}

static void on_cleanup(void *privdata)
{
    redisLibevEvents *e = privdata;
    struct io_link *l = link_of(e);
    io_turn_end_cancel(l->loop, &l->turn_end);
    l->ac->ev.data = NULL; /* hiredis calls this a second time on some paths */
    l->ac->ev.cleanup = NULL;
    l->ac->ev.addRead = l->ac->ev.delRead = l->ac->ev.addWrite = l->ac->ev.delWrite = NULL;
    l->ac = NULL;
    redisLibevCleanup(privdata);
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct io_link *l = ac->data;
    if (status == REDIS_OK)
        l->connected = true;
    else
        because(l, IO_LINK_UNREACHED, "%s", ac->c.errstr);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct io_link *l = ac->data;
    if (status == REDIS_OK)
        return; /* our own doing */
    if (l->guard.why != NULL)
        because(l, IO_LINK_PROTOCOL, "%s", l->guard.why);
    else if (ac->err == REDIS_ERR_PROTOCOL || ac->err == REDIS_ERR_OOM)
        because(l, IO_LINK_PROTOCOL, "%s", ac->errstr);
    else if (ac->err == REDIS_ERR_EOF)
        because(l, IO_LINK_CLOSED, "the other side closed the connection");
    else
        because(l, IO_LINK_CLOSED, "%s", ac->errstr);
}

static void on_reply(redisAsyncContext *ac, void *reply, void *privdata)
{
    struct io_link *l = ac->data;
    (void)privdata;
    if (l->freed)
        return;
    if (reply == NULL)
        l->dying = true;
    answer_first(l, reply);
}

static void on_push(redisAsyncContext *ac, void *reply, void *privdata)
{
    struct io_link *l = ac->data;
    const redisReply *r = reply;
    (void)privdata;
    if (l->freed || r == NULL || l->state != UP)
        return;
    struct slice channel = {r->element[1]->str, r->element[1]->len};
    if (r->element[2]->type == REDIS_REPLY_STRING) {
        if (l->events->message != NULL)
            l->events->message(l->owner, l, channel, (struct slice){r->element[2]->str, r->element[2]->len});
    } else if (l->events->subscribed != NULL) {
        l->events->subscribed(l->owner, l, channel);
    }
}

/* --- coming up -------------------------------------------------------------------------------------------------- */

static void on_auth(void *owner, struct io_link *l, const redisReply *reply, void *arg)
{
    (void)arg;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR && l->events->auth_refused != NULL)
        l->events->auth_refused(owner, l, reply->str);
}

/* A connection to a port nobody listens on can, on the local host, meet itself. */
static bool met_itself(int fd)
{
    struct sockaddr_storage a = {0}, b = {0};
    socklen_t an = sizeof a, bn = sizeof b;
    return getsockname(fd, (struct sockaddr *)&a, &an) == 0 && getpeername(fd, (struct sockaddr *)&b, &bn) == 0 &&
           an == bn && memcmp(&a, &b, an) == 0;
}

static void come_up(struct io_link *l)
{
    l->connected = false;
    if (met_itself(l->ac->c.fd)) {
        because(l, IO_LINK_REFUSED, "%s", strerror(ECONNREFUSED));
        return;
    }
    ev_timer_stop(io_loop_ev(l->loop), &l->timer);
    l->state = UP;
    if (l->password != NULL && l->user != NULL)
        io_link_command(l, on_auth, NULL, "AUTH", l->user, l->password, NULL);
    else if (l->password != NULL)
        io_link_command(l, on_auth, NULL, "AUTH", l->password, NULL);
    if (l->client_name != NULL)
        io_link_command(l, NULL, NULL, "CLIENT", "SETNAME", l->client_name, NULL);
    l->events->up(l->owner, l, l->ips[l->ip_at]);
}

static void not_connected(struct io_link *l, int why)
{
    if (l->ip_at + 1 < l->ip_count) { /* the name's next address */
        drop_connection(l);
        l->ip_at++;
        connect_next(l);
        return;
    }
    because(l, why == ECONNREFUSED ? IO_LINK_REFUSED : IO_LINK_UNREACHED, "%s", strerror(why));
}

static void on_writable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_link *l = link_of(w->data);
    enter(l);
    int why = 0;
    socklen_t n = sizeof why;
    /* hiredis would tell a failed connection by its text only. */
    if (!is_connected(l) && getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why != 0)
        not_connected(l, why);
    else
        redisAsyncHandleWrite(l->ac);
    if (l->connected && l->ac != NULL)
        come_up(l);
    leave(l);
}

/* An INFO makes the reader grow to twice its size, and thousands of connections would keep that. */
static void shrink_reader(redisReader *r)
{
    if (r->pos != r->len || sdsalloc(r->buf) <= KEPT)
        return;
    sdsfree(r->buf);
    r->buf = sdsempty();
    r->pos = r->len = 0;
}

/* false: hiredis is to read. */
static bool read_pong(struct io_link *l)
{
    static char text[] = "PONG";
    static const redisReply pong = {.type = REDIS_REPLY_STATUS, .str = text, .len = sizeof text - 1};
    switch (link_ping_read(&l->ping, l->ac, on_reply)) {
    case LINK_PING_ANSWERED: answer_first(l, &pong); return true;
    case LINK_PING_WAITS: return true;
    case LINK_PING_BROKEN: because(l, IO_LINK_CLOSED, "%s", strerror(errno)); return true;
    case LINK_PING_OTHER: break;
    }
    return false;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_link *l = link_of(w->data);
    enter(l);
    if (l->ping != LINK_PING_SENT || !read_pong(l))
        redisAsyncHandleRead(l->ac);
    if (l->ac != NULL && !l->freed && !link_guard_check(&l->guard))
        because(l, IO_LINK_PROTOCOL, "%s", l->guard.why);
    if (l->ac != NULL)
        shrink_reader(l->ac->c.reader);
    leave(l);
}

/* As hiredis does it, but the memory of what was sent is kept: hiredis gives it back and asks for new each time. false:
 * hiredis is to write, for it is an error or more than the socket takes. */
static bool send_all(redisContext *c)
{
    if (c->obuf == NULL)
        return false;
    size_t n = sdslen(c->obuf);
    ssize_t sent = n > 0 ? send(c->fd, c->obuf, n, MSG_NOSIGNAL) : 0;
    if (sent < 0)
        return false;
    if ((size_t)sent < n) {
        sdsrange(c->obuf, (int)sent, -1);
        return false;
    }
    sdsclear(c->obuf);
    if (sdsalloc(c->obuf) > KEPT) {
        sdsfree(c->obuf);
        c->obuf = sdsempty();
    }
    return true;
}

static void on_turn_end(struct io_turn_end *t)
{
    struct io_link *l = (struct io_link *)((char *)t - offsetof(struct io_link, turn_end));
    enter(l);
    l->flushing = true;
    if (l->ac != NULL && !(l->ping == LINK_PING_DUE ? link_ping_send(&l->ping, l->ac, on_reply) : send_all(&l->ac->c)))
        redisAsyncHandleWrite(l->ac);
    l->flushing = false;
    leave(l);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_link *l = w->data;
    enter(l);
    if (l->resolving != NULL) {
        io_resolve_cancel(l->resolver, l->resolving);
        l->resolving = NULL;
        because(l, IO_LINK_RESOLVE, "the name server did not answer in time");
    }
    because(l, IO_LINK_TIMEOUT, "no connection in time");
    leave(l);
}

static void attach(struct io_link *l)
{
    struct ev_loop *ev = io_loop_ev(l->loop);
    l->ac->data = l;
    redisLibevAttach(ev, l->ac);
    redisLibevEvents *e = l->ac->ev.data;
    ev_set_cb(&e->rev, on_readable);
    ev_set_cb(&e->wev, on_writable);
    ev_set_priority(&e->rev, IO_PRIORITY_LINK);
    ev_set_priority(&e->wev, IO_PRIORITY_LINK);
    l->ac->ev.addWrite = on_add_write;
    l->ac->ev.cleanup = on_cleanup;
    link_guard_attach(&l->guard, l->ac, l->reply_max);
    fcntl(l->ac->c.fd, F_SETFD, FD_CLOEXEC);
    redisEnableKeepAlive(&l->ac->c);
    redisAsyncSetConnectCallback(l->ac, on_connect);
    redisAsyncSetDisconnectCallback(l->ac, on_disconnect);
}

/* Connects to ips[ip_at], an IP literal: hiredis would block on a name. */
static void connect_next(struct io_link *l)
{
    for (;; l->ip_at++) {
        errno = 0;
        l->ac = redisAsyncConnectBind(l->ips[l->ip_at], l->port, l->source_ip);
        if (l->ac == NULL) {
            because(l, IO_LINK_UNREACHED, "no memory for a connection");
            return;
        }
        if (l->ac->err == 0)
            break;
        int why = errno;
        if (l->ip_at + 1 >= l->ip_count)
            because(l, why == ECONNREFUSED ? IO_LINK_REFUSED : IO_LINK_UNREACHED, "%s", l->ac->errstr);
        redisAsyncFree(l->ac);
        l->ac = NULL;
        if (l->ip_at + 1 >= l->ip_count)
            return;
    }
    attach(l);
}

static void on_resolved(void *owner, const struct io_resolved *answer)
{
    struct io_link *l = owner;
    enter(l);
    l->resolving = NULL;
    if (answer->error != NULL) {
        because(l, IO_LINK_RESOLVE, "the name cannot be resolved: %s", answer->error);
    } else {
        l->ip_count = answer->n;
        l->ips = mem_array(l->ips, answer->n, sizeof *l->ips);
        memcpy(l->ips, answer->ips, answer->n * sizeof *l->ips);
        connect_next(l);
    }
    leave(l);
}

static char *copy_set(const char *s)
{
    return s != NULL && *s != '\0' ? mem_strdup(s) : NULL;
}

static void start(struct io_link *l)
{
    if (addr_is_ip(l->host) && strlen(l->host) < IO_IP_MAX) {
        l->ips = mem_array(NULL, 1, sizeof *l->ips);
        memcpy(l->ips[0], l->host, strlen(l->host) + 1);
        l->ip_count = 1;
        connect_next(l);
    } else if (l->names_allowed && l->resolver != NULL) {
        l->resolving = io_resolve(l->resolver, l->host, on_resolved, l);
    } else {
        because(l, IO_LINK_RESOLVE, "this is a name, and names are resolved only with resolve_hostnames = true");
    }
}

struct io_link *io_link_open(struct io_loop *loop, struct io_resolver *resolver, const struct addr *address,
                             const struct io_link_options *options, const struct io_link_events *events, void *owner)
{
    struct io_link *l = mem_zalloc(sizeof *l);
    struct ev_loop *ev = io_loop_ev(loop);
    l->loop = loop;
    l->resolver = resolver;
    l->host = mem_strdup(address->host);
    l->port = address->port;
    l->user = copy_set(options->user);
    l->password = copy_set(options->password);
    l->client_name = copy_set(options->client_name);
    l->source_ip = copy_set(options->source_ip);
    l->names_allowed = options->resolve;
    l->reply_max = options->reply_max > 0 ? options->reply_max : REPLY_MAX_DEFAULT;
    l->events = events;
    l->owner = owner;
    link_pending_init(&l->pending);
    l->turn_end.run = on_turn_end;
    int64_t timeout_us = options->connect_timeout_us > 0 ? options->connect_timeout_us : TIMEOUT_DEFAULT_US;
    start(l);
    if (l->why_text != NULL)
        timeout_us = 0; /* told from the loop, at once */
    ev_now_update(ev);
    ev_timer_init(&l->timer, on_timer, (double)timeout_us / 1e6, 0.);
    ev_set_priority(&l->timer, IO_PRIORITY_LINK);
    l->timer.data = l;
    ev_timer_start(ev, &l->timer);
    return l;
}

void io_link_free(struct io_link *l)
{
    if (l == NULL || l->freed)
        return;
    l->freed = true;
    l->state = DOWN;
    ev_timer_stop(io_loop_ev(l->loop), &l->timer);
    io_turn_end_cancel(l->loop, &l->turn_end);
    if (l->resolving != NULL)
        io_resolve_cancel(l->resolver, l->resolving);
    l->resolving = NULL;
    while (l->pending.count > 0)
        answer_first(l, NULL);
    if (l->depth == 0)
        destroy(l);
}

bool io_link_is_up(const struct io_link *l)
{
    return l->state == UP && !l->dying && l->why_text == NULL && is_connected(l);
}

size_t io_link_pending(const struct io_link *l)
{
    return l->pending.count;
}

struct addr io_link_addr(const struct io_link *l)
{
    struct addr a = {.port = l->port};
    snprintf(a.host, sizeof a.host, "%s", l->host);
    return a;
}

const char *io_link_ip(const struct io_link *l)
{
    return l->state == OPENING ? "" : l->ips[l->ip_at];
}

bool io_link_local_ip(const struct io_link *l, char out[IO_IP_MAX])
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    return is_connected(l) && getsockname(l->ac->c.fd, (struct sockaddr *)&sa, &n) == 0 &&
           getnameinfo((struct sockaddr *)&sa, n, out, IO_IP_MAX, NULL, 0, NI_NUMERICHOST) == 0;
}

static size_t unsent(const struct io_link *l)
{
    return l->ac->c.obuf != NULL ? sdslen(l->ac->c.obuf) : 0;
}

bool io_link_send(struct io_link *l, size_t argc, const struct slice *argv, io_reply_fn *fn, void *arg)
{
    if (!io_link_is_up(l) || l->guard.channel_count > 0 || argc == 0 || argc > INT32_MAX ||
        link_command_changes_replies(argv[0]) || unsent(l) > UNSENT_MAX)
        return false;
    link_ping_hand_over(&l->ping, l->ac, on_reply);
    if (!link_command_append(l->ac, on_reply, argc, argv))
        return false;
    link_pending_add(&l->pending, fn, arg);
    return true;
}

bool io_link_command(struct io_link *l, io_reply_fn *fn, void *arg, ...)
{
    struct slice argv[COMMAND_ARGS_MAX];
    size_t n = 0;
    va_list ap;
    va_start(ap, arg);
    for (const char *s; n < COMMAND_ARGS_MAX && (s = va_arg(ap, const char *)) != NULL;)
        argv[n++] = slice_of(s);
    va_end(ap);
    return io_link_send(l, n, argv, fn, arg);
}

bool io_link_ping(struct io_link *l, io_reply_fn *fn, void *arg)
{
    if (!io_link_is_up(l) || l->guard.channel_count > 0 || l->ping != LINK_PING_NONE || !link_ping_may(l->ac))
        return io_link_command(l, fn, arg, "PING", NULL);
    l->ping = LINK_PING_DUE;
    link_pending_add(&l->pending, fn, arg);
    io_at_turn_end(l->loop, &l->turn_end);
    return true;
}

bool io_link_subscribe(struct io_link *l, const char *channel)
{
    if (!io_link_is_up(l) || l->guard.channel_count == LINK_CHANNELS_MAX)
        return false;
    link_ping_hand_over(&l->ping, l->ac, on_reply);
    const char *argv[] = {"SUBSCRIBE", channel};
    size_t n[] = {9, strlen(channel)};
    if (redisAsyncCommandArgv(l->ac, on_push, NULL, 2, argv, n) != REDIS_OK)
        return false;
    buf_puts(&l->guard.channels[l->guard.channel_count++], channel);
    return true;
}
