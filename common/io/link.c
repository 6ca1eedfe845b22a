#include "common/io/link.h"

#include "common/base/mem.h"
#include "common/io/link_command.h"
#include "common/io/link_inner.h"

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

static void connect_next(struct io_link *l);

const char *io_link_down_name(enum io_link_down why)
{
    static const char *const names[] = {"resolve", "refused", "unreached", "timeout", "closed", "protocol"};
    return names[why];
}

void link_because(struct io_link *l, enum io_link_down why, const char *fmt, ...)
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

void link_answer(struct io_link *l, const redisReply *reply)
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
    l->state = LINK_DOWN;
    ev_timer_stop(io_loop_ev(l->loop), &l->timer);
    io_turn_end_cancel(l->loop, &l->turn_end);
    drop_connection(l);
    while (!l->freed && l->pending.count > 0)
        link_answer(l, NULL);
    if (!l->freed)
        l->events->down(l->owner, l, l->why, l->why_text);
}

void link_enter(struct io_link *l)
{
    l->depth++;
}

void link_leave(struct io_link *l)
{
    if (l->state == LINK_UP && l->ac == NULL)
        link_because(l, IO_LINK_CLOSED, "the connection ended");
    if (l->depth == 1 && !l->freed && l->state != LINK_DOWN && l->why_text != NULL)
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
        link_because(l, IO_LINK_UNREACHED, "%s", ac->c.errstr);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct io_link *l = ac->data;
    if (status == REDIS_OK)
        return; /* our own doing */
    if (l->guard.why != NULL)
        link_because(l, IO_LINK_PROTOCOL, "%s", l->guard.why);
    else if (ac->err == REDIS_ERR_PROTOCOL || ac->err == REDIS_ERR_OOM)
        link_because(l, IO_LINK_PROTOCOL, "%s", ac->errstr);
    else if (ac->err == REDIS_ERR_EOF)
        link_because(l, IO_LINK_CLOSED, "the other side closed the connection");
    else
        link_because(l, IO_LINK_CLOSED, "%s", ac->errstr);
}

void link_on_reply(redisAsyncContext *ac, void *reply, void *privdata)
{
    struct io_link *l = ac->data;
    (void)privdata;
    if (l->freed)
        return;
    if (reply == NULL)
        l->dying = true;
    link_answer(l, reply);
}

static void on_push(redisAsyncContext *ac, void *reply, void *privdata)
{
    struct io_link *l = ac->data;
    const redisReply *r = reply;
    (void)privdata;
    if (l->freed || r == NULL || l->state != LINK_UP)
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
        link_because(l, IO_LINK_REFUSED, "%s", strerror(ECONNREFUSED));
        return;
    }
    ev_timer_stop(io_loop_ev(l->loop), &l->timer);
    l->state = LINK_UP;
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
    link_because(l, why == ECONNREFUSED ? IO_LINK_REFUSED : IO_LINK_UNREACHED, "%s", strerror(why));
}

static void on_writable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_link *l = w->data;
    link_enter(l);
    int why = 0;
    socklen_t n = sizeof why;
    /* hiredis would tell a failed connection by its text only. */
    if (!is_connected(l) && getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why != 0)
        not_connected(l, why);
    else
        redisAsyncHandleWrite(l->ac);
    if (l->connected && l->ac != NULL)
        come_up(l);
    link_leave(l);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_link *l = w->data;
    link_enter(l);
    if (l->resolving != NULL) {
        io_resolve_cancel(l->resolver, l->resolving);
        l->resolving = NULL;
        link_because(l, IO_LINK_RESOLVE, "the name server did not answer in time");
    }
    link_because(l, IO_LINK_TIMEOUT, "no connection in time");
    link_leave(l);
}

static void attach(struct io_link *l)
{
    struct ev_loop *ev = io_loop_ev(l->loop);
    l->ac->data = l;
    redisLibevAttach(ev, l->ac);
    redisLibevEvents *e = l->ac->ev.data;
    ev_set_cb(&e->rev, link_on_readable);
    ev_set_cb(&e->wev, on_writable);
    e->rev.data = e->wev.data = l;
    l->ping = (struct link_ping){.fd = l->ac->c.fd};
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
            link_because(l, IO_LINK_UNREACHED, "no memory for a connection");
            return;
        }
        if (l->ac->err == 0)
            break;
        int why = errno;
        if (l->ip_at + 1 >= l->ip_count)
            link_because(l, why == ECONNREFUSED ? IO_LINK_REFUSED : IO_LINK_UNREACHED, "%s", l->ac->errstr);
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
    link_enter(l);
    l->resolving = NULL;
    if (answer->error != NULL) {
        link_because(l, IO_LINK_RESOLVE, "the name cannot be resolved: %s", answer->error);
    } else {
        l->ip_count = answer->n;
        l->ips = mem_array(l->ips, answer->n, sizeof *l->ips);
        memcpy(l->ips, answer->ips, answer->n * sizeof *l->ips);
        connect_next(l);
    }
    link_leave(l);
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
        link_because(l, IO_LINK_RESOLVE, "this is a name, and names are resolved only with resolve_hostnames = true");
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
    l->turn_end.run = link_on_turn_end;
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
    l->state = LINK_DOWN;
    ev_timer_stop(io_loop_ev(l->loop), &l->timer);
    io_turn_end_cancel(l->loop, &l->turn_end);
    if (l->resolving != NULL)
        io_resolve_cancel(l->resolver, l->resolving);
    l->resolving = NULL;
    while (l->pending.count > 0)
        link_answer(l, NULL);
    if (l->depth == 0)
        destroy(l);
}

bool io_link_is_up(const struct io_link *l)
{
    return l->state == LINK_UP && !l->dying && l->why_text == NULL && l->ac != NULL;
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
    return l->state == LINK_OPENING ? "" : l->ips[l->ip_at];
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
    link_ping_hand_over(&l->ping, l->ac, link_on_reply);
    if (!link_command_append(l->ac, link_on_reply, argc, argv))
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
    if (!io_link_is_up(l) || !link_is_quiet(&l->ping, l->ac) || l->guard.channel_count > 0)
        return io_link_command(l, fn, arg, "PING", NULL);
    l->ping.state = LINK_PING_DUE;
    link_pending_add(&l->pending, fn, arg);
    io_at_turn_end(l->loop, &l->turn_end);
    return true;
}

bool io_link_subscribe(struct io_link *l, const char *channel)
{
    if (!io_link_is_up(l) || l->guard.channel_count == LINK_CHANNELS_MAX)
        return false;
    link_ping_hand_over(&l->ping, l->ac, link_on_reply);
    const char *argv[] = {"SUBSCRIBE", channel};
    size_t n[] = {9, strlen(channel)};
    if (redisAsyncCommandArgv(l->ac, on_push, NULL, 2, argv, n) != REDIS_OK)
        return false;
    buf_puts(&l->guard.channels[l->guard.channel_count++], channel);
    return true;
}
