/* Answers on their way out. */
#include "noded/shell/client.h"

#include "common/base/mem.h"
#include "common/io/log.h"
#include "noded/cmd/cluster.h"
#include "noded/shell/aof.h"
#include "noded/shell/node.h"
#include "noded/shell/replica_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SPARE_MAX 64
#define PIECES 16                                      /* of one system call */
#define TURN_BYTES ((size_t)1024 * 1024)               /* sent to one client in one turn: others want theirs too */
#define SPARE_BYTES_MAX ((size_t)2 * CLIENT_OUT_BYTES) /* a larger buffer is not kept */

size_t client_unsent(const struct client *c)
{
    return c->chain_bytes + c->out.n - c->sent;
}

void client_take_buffer(struct client *c)
{
    struct clients *all = c->all;
    if (c->out.p != NULL)
        return;
    if (all->spare_count > 0)
        c->out = all->spare[--all->spare_count];
    else
        buf_reserve(&c->out, CLIENT_OUT_BYTES);
}

static void give_buffer_back(struct client *c)
{
    struct clients *all = c->all;
    if (all->spare == NULL)
        all->spare = mem_array(NULL, SPARE_MAX, sizeof *all->spare);
    if (c->out.cap < CLIENT_OUT_BYTES || c->out.cap > SPARE_BYTES_MAX || all->spare_count == SPARE_MAX) {
        buf_free(&c->out);
        return;
    }
    buf_clear(&c->out);
    all->spare[all->spare_count++] = c->out;
    c->out = (struct buf){0};
}

/* A full buffer gets in line and stays as it is until it is sent: the session goes on in a new one, and no reply is
 * ever copied because others stand before it. */
static void put_in_line(struct client *c)
{
    struct client_chunk *k = mem_alloc(sizeof *k);
    *k = (struct client_chunk){.bytes = c->out};
    *c->chain_end = k;
    c->chain_end = &k->next;
    c->chain_bytes += k->bytes.n;
    c->chain_count++;
    c->out = (struct buf){0};
}

static void drop_first(struct client *c)
{
    struct client_chunk *k = c->chain;
    c->chain = k->next;
    if (c->chain == NULL)
        c->chain_end = &c->chain;
    c->chain_bytes -= k->bytes.n;
    c->chain_count--;
    buf_free(&k->bytes);
    free(k);
}

void client_free_output(struct client *c)
{
    while (c->chain != NULL)
        drop_first(c);
    buf_free(&c->out);
    c->sent = 0;
    client_unhold(c);
}

/* ---- limits ---- */

static void over_limit(struct client *c, const char *which)
{
    c->all->engine->stats.output_limit_closed++;
    io_log(IO_WARNING,
           "Client id=%" PRIu64 " addr=%s has %zu bytes of answers unread, past the %s limit of its class "
           "(client-output-buffer-limit)",
           c->session->id, c->session->addr, client_unsent(c) + replica_out_unread(c), which);
    client_kill(c, NULL);
}

static void check_soft(struct client *c, const struct nd_output_limit *limit, size_t unsent)
{
    struct clients *all = c->all;
    bool over = limit->soft_bytes > 0 && unsent >= (size_t)limit->soft_bytes;
    int64_t now_ms = all->engine->now_ms;
    if (!over) {
        all->over_soft -= c->over_soft_since_ms != 0;
        c->over_soft_since_ms = 0;
    } else if (c->over_soft_since_ms == 0) {
        c->over_soft_since_ms = now_ms;
        all->over_soft++;
        clients_settings(all); /* somebody has to look at it again */
    } else if (now_ms - c->over_soft_since_ms > limit->soft_seconds * 1000) {
        over_limit(c, "soft");
    }
}

/* A replica that may lack as much as the backlog keeps is not sent away for it: it would come back for just that. */
static struct nd_output_limit limit_of(const struct client *c)
{
    const struct nd_config *config = &c->all->engine->config;
    int class = client_class(c);
    struct nd_output_limit limit = config->output[class];
    if (class != ND_CLASS_REPLICA)
        return limit;
    if (limit.hard_bytes > 0 && limit.hard_bytes < config->repl_backlog_size)
        limit.hard_bytes = config->repl_backlog_size;
    if (limit.soft_bytes > 0 && limit.soft_bytes < config->repl_backlog_size)
        limit.soft_bytes = config->repl_backlog_size;
    return limit;
}

void client_check_output(struct client *c)
{
    if (c->flags & CLIENT_DYING) {
        client_free_output(c);
        return;
    }
    if (c->out.n > CLIENT_OUT_BYTES)
        put_in_line(c);
    if ((c->session->flags & ND_S_SUPERVISOR) != 0)
        return;
    size_t unsent = client_unsent(c) + replica_out_unread(c);
    struct nd_output_limit limit = limit_of(c);
    if (limit.hard_bytes > 0 && unsent >= (size_t)limit.hard_bytes)
        over_limit(c, "hard");
    else if (limit.soft_bytes > 0 || c->over_soft_since_ms != 0)
        check_soft(c, &limit, unsent);
}

/* ---- sending ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What a supervisor is told depends on no disk: it wants to know that this node lives. */
static bool says_lease_only(const struct client *c)
{
    const struct nd_session *s = c->session;
    return (s->flags & ND_S_SUPERVISOR) != 0 && s->last->run == nd_cluster_lease && (c->flags & CLIENT_WROTE) == 0 &&
           c->held.place == NULL;
}

/* Bytes that may leave now. What was written since the last look waits for what the append-only file says, and always
 * behind what waits already. */
static size_t may_leave(struct client *c)
{
    size_t unsent = client_unsent(c);
    if (says_lease_only(c))
        return unsent;
    enum nd_aof_wait wait = aof_answers(c->all->node->aof, (c->flags & CLIENT_WROTE) != 0);
    c->flags &= ~(unsigned)CLIENT_WROTE;
    if (c->session->kind != ND_CLIENT) { /* a replica's promises are its own */
        client_unhold(c);
        return unsent;
    }
    if (wait == ND_AOF_FREE && c->held.place == NULL)
        return unsent;
    size_t fresh = unsent - c->free - c->in_flight - c->later;
    if (wait == ND_AOF_UNSAVED)
        fresh = client_unsaved(c, fresh);
    if (fresh > 0 && c->held.place == NULL)
        clients_queue_held(c);
    if (wait == ND_AOF_LATER || c->later > 0)
        c->later += fresh;
    else if (wait == ND_AOF_FLIGHT || c->in_flight > 0)
        c->in_flight += fresh;
    else
        c->free += fresh;
    return c->free;
}

static ssize_t send_line(struct client *c, size_t most)
{
    struct iovec v[PIECES];
    int n = 0;
    size_t skip = c->sent;
    for (struct client_chunk *k = c->chain; k != NULL && n < PIECES && most > 0; k = k->next) {
        v[n] = (struct iovec){k->bytes.p + skip, least(k->bytes.n - skip, most)};
        most -= v[n++].iov_len;
        skip = 0;
    }
    if (n < PIECES && c->out.n > 0 && most > 0)
        v[n++] = (struct iovec){c->out.p, least(c->out.n, most)};
    return writev(c->writer.fd, v, n);
}

static ssize_t send_some(struct client *c, size_t most)
{
    if (c->chain == NULL)
        return send(c->writer.fd, c->out.p + c->sent, least(c->out.n - c->sent, most), MSG_NOSIGNAL);
    return send_line(c, most);
}

static void forget_sent(struct client *c, size_t n)
{
    if (c->held.place != NULL)
        c->free -= n;
    c->sent += n;
    while (c->chain != NULL && c->sent >= c->chain->bytes.n) {
        c->sent -= c->chain->bytes.n;
        drop_first(c);
    }
    if (c->chain == NULL && c->sent == c->out.n) {
        buf_clear(&c->out);
        c->sent = 0;
    }
}

static void all_sent(struct client *c)
{
    if (ev_is_active(&c->writer))
        ev_io_stop(c->all->ev, &c->writer);
    if (c->out.p != NULL)
        give_buffer_back(c);
    if (c->over_soft_since_ms != 0) {
        c->over_soft_since_ms = 0;
        c->all->over_soft--;
    }
}

static bool failed(struct client *c)
{
    io_log(IO_VERBOSE, "Client id=%" PRIu64 " addr=%s: writing failed: %s", c->session->id, c->session->addr,
           strerror(errno));
    client_free(c);
    return false;
}

/* Answers, as many as the socket takes of about TURN_BYTES. Returns the bytes that were sent; -1: writing failed. */
static ssize_t send_answers(struct client *c)
{
    struct nd_stats *stats = &c->all->engine->stats;
    size_t done = 0;
    size_t most = may_leave(c);
    if (most > 0 && client_lease_is_over(c))
        most = (c->flags & CLIENT_DYING) != 0 ? 0 : client_unsent(c);
    while (most > 0 && done < TURN_BYTES) {
        ssize_t n = send_some(c, most);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return -1;
        done += (size_t)n;
        most -= (size_t)n;
        forget_sent(c, (size_t)n);
        stats->writes_processed++;
        stats->net_output += (uint64_t)n;
    }
    /* What may leave is whole answers. */
    if (most == 0)
        c->flags &= ~(unsigned)CLIENT_AMIDST;
    else if (done > 0)
        c->flags |= CLIENT_AMIDST;
    if (client_unsent(c) == 0) {
        c->flags &= ~(unsigned)CLIENT_LEASED;
        if (c->held.place != NULL)
            client_unhold(c);
    }
    return (ssize_t)done;
}

bool client_send_now(struct client *c)
{
    return send_answers(c) >= 0 && client_unsent(c) == 0;
}

/* The socket takes no more for now. */
static void wait_to_send(struct client *c)
{
    struct clients *all = c->all;
    ev_io_start(all->ev, &c->writer);
    if (c->flags & CLIENT_CLOSING && c->closing_since_ms == 0) {
        c->closing_since_ms = all->engine->now_ms;
        all->closing++;
        clients_settings(all);
    }
}

bool client_flush(struct client *c)
{
    bool closing = (c->flags & CLIENT_CLOSING) != 0, serves = c->session->kind == ND_REPLICA && !closing;
    bool lent = replica_out_is_lent(c);
    if ((c->flags & CLIENT_DYING) != 0 || (lent && closing)) {
        client_free(c);
        return false;
    }
    if (lent) {
        ev_io_stop(c->all->ev, &c->writer);
        return true;
    }
    ssize_t done = send_answers(c);
    if (done >= 0 && serves && client_unsent(c) == 0 && !replica_out_send(c, TURN_BYTES))
        done = -1;
    if (done < 0)
        return failed(c);
    if (c->held.place != NULL && c->free == 0) {
        ev_io_stop(c->all->ev, &c->writer); /* the disk lets it go on, not the socket */
    } else if (client_unsent(c) > 0 || (serves && replica_out_waits(c))) {
        wait_to_send(c);
    } else {
        all_sent(c);
        if (closing) {
            client_free(c);
            return false;
        }
    }
    client_count(c);
    return true;
}
