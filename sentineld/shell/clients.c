#include "sentineld/shell/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/client.h"
#include "sentineld/shell/client_inner.h"
#include "sentineld/shell/cmd_acl_log.h"
#include "sentineld/shell/pubsub.h"

#define CRON_S 1.0

static void on_accept(void *owner, int fd, const char *peer)
{
    struct clients *all = owner;
    if (all->count >= all->max) {
        static const char refusal[] = "-ERR max number of clients reached\r\n";
        /* Best effort: the socket is new, so its buffer takes the line, and whoever reads it knows why. */
        ssize_t n = send(fd, refusal, sizeof refusal - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)n;
        close(fd);
        if (all->rejected_connections++ % 1000 == 0)
            io_log(IO_WARNING, "Connection from %s refused: %zu clients are connected, which is the limit. Close some.",
                   peer, all->max);
        return;
    }
    all->total_connections++;
    client_new(all, fd, peer);
}

/* What a client may not do for long: keep us waiting for the rest of a request, stay without a login where one is asked
 * for, or leave more than the soft limit of its messages unread. */
static const char *overdue(const struct client *c, int64_t now_us)
{
    if (c->begun_us != 0 && now_us - c->begun_us > CLIENT_STALL_US)
        return "its request was begun a minute ago and is not whole";
    if (!c->authenticated && now_us - c->created_us > CLIENT_STALL_US && now_us - c->active_us > CLIENT_STALL_US)
        return "it did not authenticate";
    if (c->soft_us != 0 && now_us - c->soft_us > CLIENT_OUT_SOFT_US)
        return "it does not read the messages that it subscribed to";
    return NULL;
}

static void check_times(struct clients *all, int64_t now_us)
{
    for (struct client *c = all->first; c != NULL; c = c->next) {
        if (c->closing)
            continue;
        bool above = client_is_subscriber(c) && client_unsent(c) > CLIENT_OUT_SOFT;
        c->soft_us = !above ? 0 : c->soft_us != 0 ? c->soft_us : now_us;
        const char *why = overdue(c, now_us);
        if (why != NULL) {
            io_log(IO_NOTICE, "Client id=%lld %s closed: %s.", (long long)c->id, c->addr, why);
            client_close(c, false);
        }
    }
}

static void on_cron(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)revents;
    struct clients *all = w->data;
    all->rate_commands = all->total_commands - all->seen_commands;
    all->rate_input = all->net_input - all->seen_input;
    all->rate_output = all->net_output - all->seen_output;
    all->seen_commands = all->total_commands;
    all->seen_input = all->net_input;
    all->seen_output = all->net_output;
    check_times(all, io_now_us());
}

static void on_backlog(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)revents;
    struct clients *all = w->data;
    ev_timer_stop(ev, w);
    for (struct client *c = all->first; c != NULL; c = c->next) {
        if (c->in_backlog) {
            c->in_backlog = false;
            client_go_on(c);
        }
    }
}

static void on_pause_over(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)revents;
    clients_pause(w->data, 0);
}

void clients_pause(struct clients *all, int64_t ms)
{
    ev_timer_stop(io_loop_ev(all->loop), &all->pause);
    if (ms > 0) {
        all->pause_end_us = io_now_us() + ms * 1000;
        ev_now_update(io_loop_ev(all->loop));
        ev_timer_set(&all->pause, (double)ms / 1000., 0.);
        ev_timer_start(io_loop_ev(all->loop), &all->pause);
        return;
    }
    all->pause_end_us = 0;
    for (struct client *c = all->first; c != NULL; c = c->next)
        client_go_on(c);
}

static void start_timer(struct clients *all, ev_timer *t, void (*cb)(struct ev_loop *, ev_timer *, int), double repeat)
{
    ev_init(t, cb);
    t->data = all;
    t->repeat = repeat;
    if (repeat > 0.)
        ev_timer_again(io_loop_ev(all->loop), t);
}

static bool listen_all(struct clients *all, struct buf *error)
{
    const struct conf_addresses *at = &all->d->config->listen;
    all->listeners = mem_zalloc((at->n + 1) * sizeof *all->listeners);
    for (size_t i = 0; i < at->n; i++) {
        struct io_listener *l = io_listener_open(all->loop, &at->v[i], on_accept, all, error);
        if (l == NULL)
            return false;
        all->listeners[all->nlisteners++] = l;
    }
    return true;
}

/* Clients never take more than half of the descriptors: links, the state and scripts need theirs. */
static size_t clients_allowed(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur / 2 >= CLIENTS_MAX)
        return CLIENTS_MAX;
    return files.rlim_cur / 2 > 0 ? (size_t)files.rlim_cur / 2 : 1;
}

struct clients *clients_open(struct daemon *d, char *text, size_t text_size)
{
    struct clients *all = mem_zalloc(sizeof *all);
    all->d = d;
    all->loop = d->loop;
    all->max = clients_allowed();
    if (getrandom(all->seed, sizeof all->seed, 0) != (ssize_t)sizeof all->seed)
        all->seed[0] = (uint64_t)io_now_us(); /* only spreads hash tables; never fails on the kernels we run on */
    map_init(&all->waiting, all->seed[0], all->seed[1]);
    all->pubsub = pubsub_new(all->seed);
    all->acl_log = acl_log_new();
    start_timer(all, &all->cron, on_cron, CRON_S);
    start_timer(all, &all->backlog, on_backlog, 0.);
    start_timer(all, &all->pause, on_pause_over, 0.);
    all->sweep.run = clients_sweep;
    struct buf error = {0};
    bool ok = listen_all(all, &error);
    if (!ok) {
        snprintf(text, text_size, "%s", buf_str(&error));
        clients_close(all);
        all = NULL;
    } else if (d->port == 0) {
        d->port = io_listener_port(all->listeners[0]);
    }
    buf_free(&error);
    return all;
}

void clients_close(struct clients *all)
{
    if (all == NULL)
        return;
    for (size_t i = 0; i < all->nlisteners; i++)
        io_listener_close(all->listeners[i]);
    free(all->listeners);
    while (all->first != NULL)
        client_free(all->first);
    io_turn_end_cancel(all->loop, &all->sweep);
    ev_timer_stop(io_loop_ev(all->loop), &all->cron);
    ev_timer_stop(io_loop_ev(all->loop), &all->backlog);
    ev_timer_stop(io_loop_ev(all->loop), &all->pause);
    pubsub_free(all->pubsub);
    acl_log_free(all->acl_log);
    map_free(&all->waiting);
    buf_free(&all->scratch);
    free(all);
}

size_t clients_publish(struct clients *all, const char *channel, struct slice payload)
{
    return pubsub_publish(all->pubsub, slice_of(channel), payload);
}

size_t clients_count(const struct clients *all)
{
    return all->count;
}

struct client *client_by_id(const struct clients *all, int64_t id)
{
    for (struct client *c = all->first; c != NULL; c = c->next)
        if (c->id == id && !c->doomed)
            return c;
    return NULL;
}

bool clients_need_auth(const struct clients *all)
{
    const struct user *user = users_default(all->d->users);
    return !user->on || !user->nopass;
}
