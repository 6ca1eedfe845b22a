#include "sentineld/shell/client.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/client_inner.h"
#include "sentineld/shell/command.h"
#include "sentineld/shell/pubsub.h"

/* Before the login: enough for AUTH and HELLO, too little to fill the memory with. */
static const struct resp_limits limits_before_auth = {
    .max_args = 10,
    .max_bulk = (size_t)16 * 1024,
    .max_query = (size_t)256 * 1024,
    .max_inline = (size_t)64 * 1024,
};

static void on_data(void *owner, struct io_stream *s);
static void on_closed(void *owner, struct io_stream *s, enum io_stream_end why, const char *text);

static const struct io_stream_events stream_events = {.data = on_data, .closed = on_closed};

static void local_address(int fd, char *out, size_t room)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0 ||
        getnameinfo((struct sockaddr *)&sa, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) !=
            0)
        snprintf(out, room, "?:0");
    else
        snprintf(out, room, strchr(host, ':') != NULL ? "[%.60s]:%.8s" : "%.60s:%.8s", host, port);
}

void client_login(struct client *c, const struct user *user)
{
    c->user = user;
    c->authenticated = true;
    c->limits = resp_limits_control;
}

static void start_session(struct client *c)
{
    c->proto = 2;
    c->user = users_default(c->all->d->users);
    c->authenticated = !clients_need_auth(c->all);
    c->limits = c->authenticated ? resp_limits_control : limits_before_auth;
}

struct client *client_new(struct clients *all, int fd, const char *peer)
{
    struct client *c = mem_zalloc(sizeof *c);
    c->all = all;
    c->id = ++all->next_id;
    c->fd = fd;
    snprintf(c->addr, sizeof c->addr, "%s", peer);
    local_address(fd, c->laddr, sizeof c->laddr);
    start_session(c);
    c->created_us = c->active_us = io_now_us();
    c->parser = resp_parser_new(&c->limits);
    map_init(&c->channels, all->seed[0], all->seed[1]);
    map_init(&c->patterns, all->seed[0], all->seed[1]);
    struct io_stream_limits limits = {
        .in_max = resp_limits_control.max_query + (size_t)128 * 1024,
        .out_max = CLIENT_OUT_MAX,
    };
    c->stream = io_stream_new(all->loop, fd, &limits, &stream_events, c);
    c->prev = all->last;
    if (all->last != NULL)
        all->last->next = c;
    else
        all->first = c;
    all->last = c;
    all->count++;
    return c;
}

static void clear_tracking(struct client_tracking *t)
{
    for (size_t i = 0; i < t->nprefixes; i++)
        free(t->prefixes[i]);
    free(t->prefixes);
    *t = (struct client_tracking){.on = false};
}

void client_free(struct client *c)
{
    struct clients *all = c->all;
    pubsub_forget(all->pubsub, c);
    client_slots_free(c);
    io_stream_free(c->stream);
    resp_parser_free(c->parser);
    clear_tracking(&c->tracking);
    map_free(&c->channels);
    map_free(&c->patterns);
    free(c->name);
    free(c->lib_name);
    free(c->lib_ver);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        all->first = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    else
        all->last = c->prev;
    all->count--;
    free(c);
}

void clients_sweep(struct io_turn_end *t)
{
    struct clients *all = (struct clients *)((char *)t - offsetof(struct clients, sweep));
    for (struct client *c = all->first, *next; c != NULL; c = next) {
        next = c->next;
        if (c->doomed)
            client_free(c);
    }
}

void client_close(struct client *c, bool after_output)
{
    if (c->doomed || (c->closing && after_output))
        return;
    c->closing = true;
    if (!after_output) {
        /* Not taken out of its subscriptions now: a message may just be on its way to all subscribers. */
        c->doomed = true;
        io_at_turn_end(c->all->loop, &c->all->sweep);
        return;
    }
    pubsub_forget(c->all->pubsub, c);
    if (c->first_slot != NULL)
        c->close_drained = true;
    else if (c->stream != NULL)
        io_stream_close_written(c->stream, 0);
}

static void on_closed(void *owner, struct io_stream *s, enum io_stream_end why, const char *text)
{
    (void)s;
    struct client *c = owner;
    bool limit = why == IO_STREAM_INPUT_LIMIT || why == IO_STREAM_OUTPUT_LIMIT;
    if (limit)
        io_log(IO_WARNING, "Client id=%lld %s closed: %s.", (long long)c->id, c->addr, text);
    c->stream = NULL; /* freed by itself when we return */
    client_free(c);
}

static void hold(struct client *c, bool held)
{
    if (c->held == held || c->stream == NULL)
        return;
    c->held = held;
    io_stream_pause(c->stream, held);
}

void client_go_on(struct client *c)
{
    if (!c->in_backlog && !c->fenced && c->waiting < CLIENT_WAITING_MAX && !c->closing)
        hold(c, false);
}

/* A browser was led to send us its request: what it carries must not be run line by line. */
static bool is_web_request(struct client *c, const struct resp_request *q)
{
    if (q->argc == 0 || (!slice_ieq(q->argv[0], "post") && !slice_ieq(q->argv[0], "host:")))
        return false;
    io_log(IO_WARNING,
           "Client id=%lld %s closed: it sent a web request. A web page may have been made to attack this "
           "supervisor through a browser; nothing was executed.",
           (long long)c->id, c->addr);
    client_close(c, false);
    return true;
}

/* The reply goes where the client's next bytes go, unless the client wanted none. */
static void deliver(struct client *c, const struct call *call)
{
    struct buf *reply = call->r->out;
    if (reply->n > 0 && reply->p[0] == '-')
        c->all->total_errors++;
    bool muted = c->reply_mode == CLIENT_REPLY_OFF || c->reply_mode == CLIENT_REPLY_SKIP;
    struct buf *tail = c->doomed || muted ? NULL : client_tail(c);
    if (tail != NULL && reply->n > 0) {
        buf_put(tail, reply->p, reply->n);
        c->all->net_output += (int64_t)reply->n;
        if (c->last_slot != NULL)
            c->queued += reply->n;
        client_check_queue(c);
    }
    if (c->reply_mode == CLIENT_REPLY_SKIP)
        c->reply_mode = CLIENT_REPLY_ON;
    else if (c->reply_mode == CLIENT_REPLY_SKIP_NEXT)
        c->reply_mode = CLIENT_REPLY_SKIP;
}

static void run(struct client *c, const struct resp_request *q)
{
    struct clients *all = c->all;
    buf_clear(&all->scratch);
    struct reply r = {&all->scratch, c->proto};
    struct call call = {.c = c, .d = all->d, .r = &r, .argv = q->argv, .argc = q->argc};
    c->last_bytes = q->consumed;
    c->active_us = io_now_us();
    all->total_commands++;
    command_run(&call);
    deliver(c, &call);
    if (all->scratch.cap > (size_t)1024 * 1024)
        buf_free(&all->scratch);
}

static void protocol_error(struct client *c, const char *error)
{
    struct buf *tail = client_tail(c);
    if (tail != NULL) {
        struct reply r = {tail, c->proto};
        reply_error(&r, "ERR %s", error);
    }
    c->all->total_errors++;
    io_log(IO_VERBOSE, "Client id=%lld %s closed: %s.", (long long)c->id, c->addr, error);
    client_close(c, true);
}

/* Runs the next request, if it is whole and nothing holds it back. false: nothing more to do now. */
static bool run_next(struct client *c)
{
    struct slice in = io_stream_in(c->stream);
    struct resp_request q;
    enum resp_status st = resp_parse(c->parser, in.p, in.n, &q);
    if (st == RESP_MORE) {
        c->begun_us = in.n == 0 ? 0 : c->begun_us != 0 ? c->begun_us : io_now_us();
        return false;
    }
    c->begun_us = 0;
    if (st == RESP_ERROR) {
        protocol_error(c, q.error);
        return false;
    }
    if (is_web_request(c, &q))
        return false;
    if (c->all->pause_end_us != 0 && q.argc > 0 && !command_runs_paused(q.argv, q.argc)) {
        hold(c, true); /* the request stays in the buffer and is read again when the pause is over */
        return false;
    }
    if (q.argc > 0)
        run(c, &q);
    c->all->net_input += (int64_t)q.consumed;
    io_stream_drop(c->stream, q.consumed);
    return true;
}

static void on_data(void *owner, struct io_stream *s)
{
    struct client *c = owner;
    struct clients *all = c->all;
    for (int done = 0; !c->closing && !io_stream_behind(s); done++) {
        if (c->waiting >= CLIENT_WAITING_MAX || c->fenced) {
            hold(c, true);
            return;
        }
        if (done >= CLIENT_COMMANDS_PER_TURN) {
            c->in_backlog = true;
            hold(c, true);
            ev_timer_set(&all->backlog, 0., 0.);
            ev_timer_start(io_loop_ev(all->loop), &all->backlog);
            return;
        }
        if (!run_next(c))
            return;
    }
}

bool client_is_subscriber(const struct client *c)
{
    return c->channels.used + c->patterns.used > 0;
}

bool client_set_text(char **field, struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '!' || text.p[i] > '~')
            return false;
    free(*field);
    *field = text.n > 0 ? slice_dup(text) : NULL;
    return true;
}
