/* Reading, and running what was read. */
#include "noded/shell/client.h"

#include "common/base/mem.h"
#include "common/io/listener.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "noded/repl/import.h"
#include "noded/shell/aof.h"
#include "noded/shell/bus.h"
#include "noded/shell/node.h"
#include "noded/shell/replica_out.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AHEAD 16                           /* requests that are parsed before the first of them runs */
#define AHEAD_KEYS 4096                    /* a database with fewer keys is in the processor's cache anyway */
#define OWN_READ ((size_t)16 * 1024)       /* the least that is read into memory of the client's own */
#define OWN_READ_MAX ((size_t)1024 * 1024) /* and the most in one turn: others want to be read too */
#define OWN_AT_ONCE ((size_t)8 * 1024 * 1024)
#define OWN_GROWTH 16

_Static_assert(AHEAD <= ND_PREFETCH_MAX, "what is seen ahead can be prefetched");

/* ---- input ---- */

/* What follows in the log when a client breaks the protocol. */
static void protocol_error(struct client *c, const char *text)
{
    struct buf line = {0};
    io_log(IO_VERBOSE, "Client id=%" PRIu64 " addr=%s: %s", c->session->id, c->session->addr, text);
    buf_printf(&line, "-ERR %s\r\n", text);
    buf_put(&c->out, line.p, line.n);
    buf_free(&line);
    c->flags |= CLIENT_CLOSING;
}

static struct resp_parser *parser_of(struct client *c)
{
    if (c->parser != NULL)
        return c->parser;
    struct clients *all = c->all;
    bool known = c->session->flags & ND_S_AUTHENTICATED;
    resp_parser_limit(all->parser, known ? &all->limits : &all->limits_unauthenticated);
    return all->parser;
}

/* In the middle of a request the parser stays with its client, and the others get a new one. */
static void keep_parser(struct client *c)
{
    if (c->parser != NULL)
        return;
    c->parser = c->all->parser;
    c->all->parser = resp_parser_new(&c->all->limits);
}

static void drop_parser(struct client *c)
{
    resp_parser_free(c->parser);
    c->parser = NULL;
}

static enum nd_ran run_request(struct client *c, const struct resp_request *q)
{
    struct nd_session *s = c->session;
    s->input += q->consumed;
    return (s->flags & ND_S_IMPORT) == 0 ? nd_session_run(s, q->argc, q->argv) : nd_import_run(s, q->argc, q->argv);
}

static void follow(struct client *c, enum nd_ran ran, size_t *used, size_t consumed)
{
    if (ran != ND_POSTPONED)
        *used += consumed;
    else
        c->session->input -= consumed; /* it comes again */
    if (ran == ND_BLOCKED)
        c->flags |= CLIENT_BLOCKED;
    else if (ran == ND_POSTPONED)
        c->flags |= CLIENT_POSTPONED;
    else if (ran == ND_CLOSE)
        c->flags |= CLIENT_CLOSING;
}

/* The keys of a pipeline are brought near before the first of its requests runs: so their cache misses come together
 * and not one after the other. Where the key is not the first argument it is in vain, and costs next to nothing. */
static void look_ahead(struct client *c, const struct resp_request *q, size_t n)
{
    struct slice keys[AHEAD];
    size_t count = 0;
    if (n < 2 || nd_db_count(c->session->db) < AHEAD_KEYS)
        return;
    for (size_t i = 0; i < n; i++) {
        if (q[i].argc > 1)
            keys[count++] = q[i].argv[1];
    }
    nd_db_look_ahead(c->session->db, keys, count);
}

/* Requests that are whole and plain, as nearly all are. Returns how many bytes are done with. */
static size_t run_ahead(struct client *c, struct resp_parser *parser, const char *data, size_t n)
{
    struct resp_request q[AHEAD];
    size_t got = resp_parse_ahead(parser, data, n, q, AHEAD), used = 0;
    look_ahead(c, q, got);
    for (size_t i = 0; i < got && (c->flags & CLIENT_WAITS) == 0; i++) {
        follow(c, run_request(c, &q[i]), &used, q[i].consumed);
        if (c->out.n > CLIENT_OUT_BYTES)
            client_check_output(c);
    }
    nd_keyspace_look_away(&c->all->engine->keys);
    return used;
}

/* One request of any kind. false: it is not whole, or wrong. */
static bool run_one(struct client *c, struct resp_parser *parser, const char *data, size_t n, size_t *used)
{
    struct resp_request q;
    enum resp_status st = resp_parse(parser, data, n, &q);
    if (st != RESP_READY)
        keep_parser(c); /* it waits for the rest of this request, or is good for nothing else any more */
    if (st == RESP_ERROR)
        protocol_error(c, q.error);
    if (st != RESP_READY)
        return false;
    if (q.argc == 0) {
        c->session->input += q.consumed;
        *used += q.consumed;
    } else {
        follow(c, run_request(c, &q), used, q.consumed);
    }
    if (c->parser != NULL)
        drop_parser(c);
    return true;
}

/* Runs whole requests from the front, until about `most` bytes are done with. Returns how many are. */
static size_t run(struct client *c, const char *data, size_t n, size_t most)
{
    size_t used = 0;
    const struct node *node = c->all->node;
    uint64_t put = aof_put(node->aof), units = node->units;
    client_take_buffer(c);
    c->all->engine->stopwatch = NULL; /* the first of them begins now, whatever was done since its last one */
    while (used < n && used < most && (c->flags & CLIENT_WAITS) == 0) {
        struct resp_parser *parser = parser_of(c);
        size_t done = run_ahead(c, parser, data + used, n - used);
        used += done;
        if (done == 0 && (c->flags & CLIENT_WAITS) == 0 && !run_one(c, parser, data + used, n - used, &used))
            break;
    }
    if (put != aof_put(node->aof))
        c->flags |= CLIENT_WROTE;
    if (units != node->units)
        client_wrote_leased(c);
    return used;
}

/* What supervisors say is read before all that others say, and counts before that runs (SAFETY L7). Their answers leave
 * at once: a clock in them is worth the more the less time it spends here. */
static void serve_supervisor(struct client *c)
{
    if (ev_priority(&c->reader) != IO_PRIORITY_LINK) {
        ev_io_stop(c->all->ev, &c->reader);
        ev_set_priority(&c->reader, IO_PRIORITY_LINK);
        ev_io_start(c->all->ev, &c->reader);
    }
    if ((c->flags & CLIENT_BLOCKED) != 0)
        bus_decide(c->all->node->bus);
    client_send_now(c); /* what does not leave, or an error, is seen to at the end of the turn */
}

static void after_run(struct client *c)
{
    if (c->flags & CLIENT_CLOSING)
        ev_io_stop(c->all->ev, &c->reader);
    client_check_output(c);
    clients_queue_send(c);
    if ((c->session->flags & ND_S_SUPERVISOR) != 0)
        serve_supervisor(c);
}

/* Puts what was not run at the end of what is kept. false: that is too much, and the client is killed. */
static bool keep(struct client *c, const char *data, size_t n)
{
    buf_put(&c->in, data, n);
    if (c->in.n - c->in_used <= (size_t)c->all->engine->config.client_query_buffer_limit)
        return true;
    c->all->engine->stats.query_limit_closed++;
    client_kill(c, "its unread requests are longer than client-query-buffer-limit");
    return false;
}

void client_run_kept(struct client *c)
{
    if ((c->flags & CLIENT_WAITS) != 0 || c->in.n == c->in_used)
        return;
    /* A client that had to wait may have much in store: the others get their turn in between. */
    size_t n = c->in.n - c->in_used, most = n > 2 * OWN_READ_MAX ? OWN_READ_MAX : SIZE_MAX;
    size_t used = run(c, c->in.p + c->in_used, n, most);
    c->in_used += used;
    if (c->in_used == c->in.n) {
        buf_free(&c->in);
        c->in_used = 0;
    }
    after_run(c);
    if (used >= most && c->in.n > 0 && (c->flags & CLIENT_WAITS) == 0)
        clients_queue_later(c);
}

/* A supervisor's requests are not spread over the turn. */
static void run_rest(struct client *c)
{
    while ((c->session->flags & ND_S_SUPERVISOR) != 0 && (c->flags & CLIENT_WAITS) == 0 && c->in_used < c->in.n) {
        size_t left = c->in.n - c->in_used;
        client_run_kept(c);
        if (c->in.n - c->in_used == left)
            return; /* it is not whole */
    }
}

/* ---- reading ---- */

static void closed_by_peer(struct client *c, ssize_t n)
{
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        io_log(IO_VERBOSE, "Client id=%" PRIu64 " addr=%s: reading failed: %s", c->session->id, c->session->addr,
               strerror(errno));
    else
        io_log(IO_DEBUG, "Client id=%" PRIu64 " addr=%s closed the connection", c->session->id, c->session->addr);
    client_free(c);
}

static void count_read(struct client *c, ssize_t n)
{
    struct nd_stats *stats = &c->all->engine->stats;
    stats->net_input += (uint64_t)n;
    stats->reads_processed++;
    c->session->active_ms = c->all->engine->now_ms;
}

static void read_shared(struct client *c)
{
    struct clients *all = c->all;
    ssize_t n = recv(c->reader.fd, all->shared, NODE_READ_BYTES, 0);
    if (n <= 0) {
        closed_by_peer(c, n);
        return;
    }
    node_time(all->node);
    count_read(c, n);
    size_t used = (c->flags & CLIENT_WAITS) == 0 ? run(c, all->shared, (size_t)n, SIZE_MAX) : 0;
    if (used < (size_t)n && (c->flags & (CLIENT_CLOSING | CLIENT_DYING)) == 0)
        keep(c, all->shared + used, (size_t)n - used);
    after_run(c);
    run_rest(c);
}

/* Room for what the request wants. Up to some megabytes it is set aside at once, so that nothing is ever copied;
 * whoever announces more must send some of it first. */
static size_t room_wanted(const struct client *c)
{
    size_t have = c->in.n - c->in_used;
    size_t wanted = c->parser != NULL ? resp_wanted(c->parser) : 0;
    size_t room = wanted > have ? wanted - have : 0;
    size_t most = have * OWN_GROWTH > OWN_AT_ONCE ? have * OWN_GROWTH : OWN_AT_ONCE;
    if (room > most)
        room = most;
    return room > OWN_READ ? room : OWN_READ;
}

static void read_own(struct client *c)
{
    if (c->in_used > 0) {
        buf_drop(&c->in, c->in_used);
        c->in_used = 0;
    }
    buf_reserve(&c->in, room_wanted(c));
    size_t room = c->in.cap - c->in.n;
    ssize_t n = recv(c->reader.fd, c->in.p + c->in.n, room < OWN_READ_MAX ? room : OWN_READ_MAX, 0);
    if (n <= 0) {
        closed_by_peer(c, n);
        return;
    }
    node_time(c->all->node);
    count_read(c, n);
    c->in.n += (size_t)n;
    if (!keep(c, NULL, 0))
        return;
    if ((c->flags & CLIENT_WAITS) != 0) {
        client_count(c);
    } else {
        client_run_kept(c);
        run_rest(c);
    }
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct client *c = w->data;
    if (c->run_later.place != NULL)
        return; /* it has sent enough for now */
    if (c->in.n == c->in_used)
        read_shared(c);
    else
        read_own(c);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    clients_queue_send(w->data);
}

/* ---- birth and death ---- */

struct client *client_new(struct clients *all, int fd, const char *peer, bool on_unix)
{
    struct client *c = mem_zalloc(sizeof *c);
    c->all = all;
    c->chain_end = &c->chain;
    c->session = nd_session_new(all->engine, ND_CLIENT, &c->out, c);
    c->session->fd = fd;
    snprintf(c->session->addr, sizeof c->session->addr, "%s", peer);
    if (on_unix) {
        c->session->flags |= ND_S_UNIX;
        snprintf(c->session->laddr, sizeof c->session->laddr, "%s", peer);
    } else {
        io_local_text(fd, c->session->laddr, sizeof c->session->laddr);
    }
    ev_io_init(&c->reader, on_readable, fd, EV_READ);
    ev_io_init(&c->writer, on_writable, fd, EV_WRITE);
    ev_set_priority(&c->reader, IO_PRIORITY_STREAM);
    ev_set_priority(&c->writer, IO_PRIORITY_STREAM);
    c->reader.data = c->writer.data = c;
    ev_io_start(all->ev, &c->reader);
    all->count++;
    return c;
}

void client_free(struct client *c)
{
    struct clients *all = c->all;
    client_unqueue(c);
    ev_io_stop(all->ev, &c->reader);
    ev_io_stop(all->ev, &c->writer);
    replica_out_free(c);
    nd_session_free(c->session); /* may wake and resume others, never this one */
    client_unqueue(c);
    client_free_output(c);
    buf_free(&c->in);
    client_uncount(c);
    all->over_soft -= c->over_soft_since_ms != 0;
    all->closing -= c->closing_since_ms != 0;
    resp_parser_free(c->parser);
    close(c->reader.fd);
    all->count--;
    free(c);
}
