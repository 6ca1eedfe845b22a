#include "noded/shell/clients.h"

#include "common/base/mem.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/multi.h"
#include "noded/repl/serve.h"
#include "noded/shell/client.h"
#include "noded/shell/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INLINE_BYTES ((size_t)64 * 1024)
#define UNAUTHENTICATED_ARGS 10
#define UNAUTHENTICATED_BULK ((size_t)16 * 1024)
#define LINGER_MS 10000 /* for the last answers of a client that is closed */
#define HOUSEKEEPING_S 1.0

/* ---- queues of the turn ---- */

static void queue(struct client *c, struct client_link *link, struct client ***last)
{
    if (link->place != NULL)
        return;
    link->next = NULL;
    link->place = *last;
    **last = c;
    *last = &link->next;
}

static void unqueue(struct client_link *link, struct client ***last, struct client_link *(*of)(struct client *))
{
    if (link->place == NULL)
        return;
    *link->place = link->next;
    if (link->next != NULL)
        of(link->next)->place = link->place;
    else
        *last = link->place;
    *link = (struct client_link){NULL, NULL};
}

static struct client_link *link_to_run(struct client *c)
{
    return &c->to_run;
}

static struct client_link *link_to_send(struct client *c)
{
    return &c->to_send;
}

static struct client_link *link_run_later(struct client *c)
{
    return &c->run_later;
}

static struct client_link *link_held(struct client *c)
{
    return &c->held;
}

void clients_queue_run(struct client *c)
{
    queue(c, &c->to_run, &c->all->last_to_run);
    node_touch(c->all->node);
}

/* Not in what is left of this turn: the loop looks at all sockets before. */
void clients_queue_later(struct client *c)
{
    queue(c, &c->run_later, &c->all->last_later);
    if (!ev_is_active(&c->all->next_turn))
        ev_timer_start(c->all->ev, &c->all->next_turn);
}

static void on_next_turn(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct clients *all = w->data;
    node_time(all->node);
    while (all->first_later != NULL) {
        struct client *c = all->first_later;
        unqueue(&c->run_later, &all->last_later, link_run_later);
        clients_queue_run(c);
    }
}

void clients_queue_send(struct client *c)
{
    queue(c, &c->to_send, &c->all->last_to_send);
    node_touch(c->all->node);
}

void clients_queue_held(struct client *c)
{
    queue(c, &c->held, &c->all->last_held);
    node_touch(c->all->node);
}

void client_unhold(struct client *c)
{
    unqueue(&c->held, &c->all->last_held, link_held);
    c->free = c->in_flight = c->later = 0;
}

void client_unqueue(struct client *c)
{
    unqueue(&c->to_run, &c->all->last_to_run, link_to_run);
    unqueue(&c->to_send, &c->all->last_to_send, link_to_send);
    unqueue(&c->run_later, &c->all->last_later, link_run_later);
}

void clients_run(struct clients *all)
{
    while (all->first_to_run != NULL) {
        struct client *c = all->first_to_run;
        unqueue(&c->to_run, &all->last_to_run, link_to_run);
        client_run_kept(c);
    }
}

void clients_send(struct clients *all)
{
    while (all->first_to_send != NULL) {
        struct client *c = all->first_to_send;
        unqueue(&c->to_send, &all->last_to_send, link_to_send);
        client_flush(c);
    }
}

/* ---- answers that wait for the disk ---- */

void clients_flush_begins(struct clients *all)
{
    for (struct client *c = all->first_held; c != NULL; c = c->held.next) {
        c->in_flight += c->later;
        c->later = 0;
    }
}

static void let_go(struct client *c, size_t n)
{
    c->free += n; /* it stays in the queue until that is sent: it waits for no other flush */
    if (n > 0 || (c->flags & CLIENT_CLOSING) != 0)
        clients_queue_send(c);
}

void clients_flush_ended(struct clients *all, bool ok)
{
    for (struct client *c = all->first_held, *next; c != NULL; c = next) {
        next = c->held.next;
        size_t n = c->in_flight;
        c->in_flight = 0;
        if (ok)
            let_go(c, n);
        else
            c->later += n;
    }
}

void clients_unsaved(struct clients *all)
{
    for (struct client *c = all->first_held, *next; c != NULL; c = next) {
        next = c->held.next;
        size_t n = c->later > 0 ? client_unsaved(c, c->later) : 0;
        c->later = 0;
        if (c->in_flight > 0)
            c->in_flight += n; /* still behind what waits for the flush under way */
        else
            let_go(c, n);
    }
}

void clients_hold_nothing(struct clients *all)
{
    for (struct client *c = all->first_held, *next; c != NULL; c = next) {
        next = c->held.next;
        size_t n = c->in_flight + c->later;
        c->in_flight = c->later = 0;
        let_go(c, n);
    }
}

/* ---- what the engine asks for ---- */

void clients_wake(struct clients *all, struct nd_session *s)
{
    (void)all;
    struct client *c = s->shell;
    client_check_output(c);
    clients_queue_send(c);
}

/* What it comes to is the word of the core of the bus, which says no more than what holds, whatever becomes of a lease.
 */
static bool decides_by_core(const struct nd_command *cmd)
{
    return strcmp(cmd->group, "cluster") == 0 || strcmp(cmd->name, "swapdb") == 0;
}

void clients_resume(struct clients *all, struct nd_session *s)
{
    (void)all;
    struct client *c = s->shell;
    if ((c->flags & CLIENT_BLOCKED) != 0 && s->last->run != nd_cluster_lease) {
        c->flags |= CLIENT_WROTE; /* it was served: what it popped is gone */
        if (!decides_by_core(s->last))
            client_wrote_leased(c);
    }
    c->flags &= ~(unsigned)(CLIENT_BLOCKED | CLIENT_POSTPONED);
    if ((s->flags & ND_S_CLOSING) != 0)
        c->flags |= CLIENT_CLOSING;
    clients_queue_run(c);
    clients_queue_send(c);
}

void clients_kill(struct clients *all, struct nd_session *s, const char *why)
{
    (void)all;
    client_kill(s->shell, why);
}

void client_kill(struct client *c, const char *why)
{
    if (c->flags & CLIENT_DYING)
        return;
    c->flags |= CLIENT_DYING;
    if (why != NULL)
        io_log(IO_VERBOSE, "Client id=%" PRIu64 " addr=%s is closed: %s", c->session->id, c->session->addr, why);
    clients_queue_send(c);
}

void clients_buffers(struct clients *all, const struct nd_session *s, struct nd_client_buffers *out)
{
    (void)all;
    const struct client *c = s->shell;
    size_t query = c->in.n - c->in_used;
    *out = (struct nd_client_buffers){
        .query = query,
        .query_free = c->in.cap - query,
        .output = c->out.n > c->sent || c->chain != NULL ? c->out.n : 0,
        .output_list = c->chain_count,
        .total = sizeof *c + sizeof *s + c->in.cap + c->out.cap + c->chain_bytes + nd_serve_unread(s),
        .events = ev_is_active(&c->writer) ? "rw" : "r",
    };
}

/* ---- memory ---- */

int client_class(const struct client *c)
{
    if (c->session->kind == ND_REPLICA)
        return ND_CLASS_REPLICA;
    return nd_session_subscribed(c->session) ? ND_CLASS_PUBSUB : ND_CLASS_NORMAL;
}

static size_t memory_limit(const struct nd_config *config)
{
    if (config->maxmemory_clients >= 0)
        return (size_t)config->maxmemory_clients;
    return (size_t)((double)config->maxmemory * (double)-config->maxmemory_clients / 100.);
}

static struct client *largest(struct clients *all)
{
    struct client *found = NULL;
    for (struct nd_session *s = all->engine->sessions; s != NULL; s = s->next) {
        struct client *c = s->kind == ND_CLIENT ? s->shell : NULL;
        if (c == NULL || !c->counted_evictable || (c->flags & CLIENT_DYING) != 0)
            continue;
        if (found == NULL || c->counted > found->counted)
            found = c;
    }
    return found;
}

/* Closes the clients that use most until the rest is within maxmemory-clients. */
static void evict(struct clients *all, size_t limit)
{
    struct client *c;
    while (all->evictable > limit && (c = largest(all)) != NULL) {
        io_log(IO_NOTICE,
               "Client id=%" PRIu64 " addr=%s is closed: it has %zu bytes of buffers, the most of all, and "
               "together they are past maxmemory-clients",
               c->session->id, c->session->addr, c->counted);
        all->engine->stats.evicted_clients++;
        client_uncount(c);
        client_kill(c, NULL);
    }
}

void client_uncount(struct client *c)
{
    c->all->memory[c->counted_class] -= c->counted;
    if (c->counted_evictable)
        c->all->evictable -= c->counted;
    c->counted = 0;
    c->counted_evictable = false;
}

void client_count(struct client *c)
{
    struct clients *all = c->all;
    if (c->flags & CLIENT_DYING)
        return;
    const struct nd_multi *multi = c->session->multi;
    size_t now = sizeof *c + sizeof *c->session + c->in.cap + c->out.cap + c->chain_bytes;
    now += multi != NULL ? multi->memory : 0;
    int class = client_class(c);
    bool evictable = c->session->kind == ND_CLIENT && (c->session->flags & (ND_S_NO_EVICT | ND_S_SUPERVISOR)) == 0;
    if (now == c->counted && class == c->counted_class && evictable == c->counted_evictable)
        return;
    client_uncount(c);
    c->counted = now;
    c->counted_class = class;
    c->counted_evictable = evictable;
    all->memory[class] += now;
    if (evictable)
        all->evictable += now;
    size_t limit = memory_limit(&all->engine->config);
    if (limit > 0 && all->evictable > limit)
        evict(all, limit);
}

size_t clients_memory(const struct clients *all)
{
    return all->memory[ND_CLASS_NORMAL] + all->memory[ND_CLASS_PUBSUB];
}

size_t clients_memory_replicas(const struct clients *all)
{
    return all->memory[ND_CLASS_REPLICA];
}

/* ---- coming in ---- */

static bool is_local(const char *peer)
{
    return strncmp(peer, "127.", 4) == 0 || strncmp(peer, "[::1]", 5) == 0;
}

static void refuse(int fd, const char *text)
{
    ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n; /* it is closed whether or not it got the reason */
    close(fd);
}

static const char denied[] =
    "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    "default user. In this mode connections are only accepted from the loopback interface. To let others in, do one "
    "of these: 1) give the server a password, with the setting requirepass; 2) have it listen only where nobody but "
    "those you trust can reach it, and switch this mode off: CONFIG SET protected-mode no from the host itself, or "
    "protected_mode = false in its file, or --protected-mode no when it is started.\r\n";

void clients_accept(struct clients *all, int fd, const char *peer, bool on_unix)
{
    struct nd_engine *e = all->engine;
    if (all->count >= (size_t)e->config.maxclients) {
        e->stats.rejected_connections++;
        refuse(fd, "-ERR max number of clients reached\r\n");
        return;
    }
    if (e->config.protected_mode && e->config.requirepass[0] == '\0' && !on_unix && !is_local(peer)) {
        e->stats.rejected_connections++;
        refuse(fd, denied);
        return;
    }
    node_time(all->node);
    e->stats.connections++;
    struct client *c = client_new(all, fd, peer, on_unix);
    io_log(IO_VERBOSE, "Accepted %s as client id=%" PRIu64, peer, c->session->id);
    client_count(c);
    if (e->config.timeout_s > 0)
        clients_settings(all);
}

/* ---- looking after them ---- */

static bool idle_too_long(const struct client *c, int64_t now_ms)
{
    const struct nd_config *config = &c->all->engine->config;
    const struct nd_session *s = c->session;
    return config->timeout_s > 0 && s->kind == ND_CLIENT && (c->flags & CLIENT_WAITS) == 0 &&
           !nd_session_subscribed(s) && (s->flags & (ND_S_IMPORT | ND_S_SUPERVISOR)) == 0 &&
           now_ms - s->active_ms > config->timeout_s * 1000;
}

static void on_housekeeping(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct clients *all = w->data;
    node_time(all->node);
    int64_t now_ms = all->engine->now_ms;
    for (struct nd_session *s = all->engine->sessions; s != NULL; s = s->next) {
        struct client *c = s->shell;
        if (c == NULL || (s->kind != ND_CLIENT && s->kind != ND_REPLICA))
            continue;
        if (c->over_soft_since_ms != 0)
            client_check_output(c);
        if (c->closing_since_ms != 0 && now_ms - c->closing_since_ms > LINGER_MS)
            client_kill(c, "it did not read its last answers");
        else if (idle_too_long(c, now_ms))
            client_kill(c, "it was idle for longer than the setting timeout");
    }
    clients_settings(all);
}

void clients_settings(struct clients *all)
{
    const struct nd_config *config = &all->engine->config;
    all->limits = (struct resp_limits){.max_args = INT32_MAX,
                                       .max_bulk = (size_t)config->proto_max_bulk_len,
                                       .max_query = (size_t)config->client_query_buffer_limit,
                                       .max_inline = INLINE_BYTES};
    all->limits_unauthenticated = all->limits;
    all->limits_unauthenticated.max_args = UNAUTHENTICATED_ARGS;
    all->limits_unauthenticated.max_bulk = UNAUTHENTICATED_BULK;
    all->limits_unauthenticated.unauthenticated = true;
    bool needed = (config->timeout_s > 0 && all->count > 0) || all->over_soft > 0 || all->closing > 0;
    if (needed == (bool)ev_is_active(&all->housekeeping))
        return;
    if (needed) {
        ev_now_update(all->ev);
        ev_timer_again(all->ev, &all->housekeeping);
    } else {
        ev_timer_stop(all->ev, &all->housekeeping);
    }
}

struct clients *clients_open(struct node *node)
{
    struct clients *all = mem_zalloc(sizeof *all);
    all->node = node;
    all->engine = node->engine;
    all->ev = io_loop_ev(node->loop);
    all->last_to_run = &all->first_to_run;
    all->last_to_send = &all->first_to_send;
    all->last_held = &all->first_held;
    all->last_later = &all->first_later;
    ev_timer_init(&all->next_turn, on_next_turn, 0., 0.);
    all->next_turn.data = all;
    all->shared = mem_alloc(NODE_READ_BYTES);
    ev_timer_init(&all->housekeeping, on_housekeeping, 0., HOUSEKEEPING_S);
    all->housekeeping.data = all;
    clients_settings(all);
    all->parser = resp_parser_new(&all->limits);
    return all;
}

void clients_close(struct clients *all)
{
    if (all == NULL)
        return;
    for (struct nd_session *s = all->engine->sessions, *next; s != NULL; s = next) {
        next = s->next;
        struct client *c = s->shell;
        if (c == NULL || (s->kind != ND_CLIENT && s->kind != ND_REPLICA))
            continue;
        if (client_flush(c))
            client_free(c);
    }
    ev_timer_stop(all->ev, &all->housekeeping);
    ev_timer_stop(all->ev, &all->next_turn);
    while (all->spare_count > 0)
        buf_free(&all->spare[--all->spare_count]);
    free(all->spare);
    free(all->shared);
    resp_parser_free(all->parser);
    free(all);
}
