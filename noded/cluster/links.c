/* Links to the others, and when whom is asked. A pair of nodes needs one exchange in half of NT to know each other
 * alive: whoever asks, both have heard. So the node with the smaller id asks first, and the other only when it was not
 * asked in time: half of the packets that each asking each would take. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)
#define TRY_APART (20 * MS)   /* tries of links that were lost, while few are */
#define TRY_ROUND (2000 * MS) /* so long does a round of tries take, however many are lost */

struct cl_incoming *cl_incoming_find(const struct cl_core *c, cl_link link)
{
    return idmap_get(&c->ins, link & ~CL_INCOMING);
}

void cl_tick_soon(struct cl_core *c, struct cl_node *n)
{
    if (n != c->me)
        heap_set(&c->heap, &n->timer, c->now_us);
}

void cl_link_close(struct cl_core *c, struct cl_node *n)
{
    if (n->link_state == CL_LINK_NONE)
        return;
    cl_effect_add(c->fx, CL_FX_DISCONNECT)->link = n->link;
    idmap_del(&c->outs, n->link);
    n->link = 0;
    n->link_state = CL_LINK_NONE;
    n->link_us = c->now_us;
    n->asking = false;
    n->retry_us = c->now_us;
    c->version++;
}

static void connect_to(struct cl_core *c, struct cl_node *n)
{
    n->link = ++c->last_link;
    n->link_state = CL_LINK_CONNECTING;
    n->link_us = c->now_us;
    idmap_put(&c->outs, n->link, n);
    struct cl_effect *e = cl_effect_add(c->fx, CL_FX_CONNECT);
    e->link = n->link;
    memcpy(e->ip, n->ip, sizeof n->ip);
    e->port = n->bus_port;
    if (n->tried_us == 0 && n->exchanged_us + cl_timeout_us(c) / 2 <= c->now_us)
        n->tried_us = c->now_us;
    if (n->ping_ms == 0)
        n->ping_ms = c->unix_ms;
}

/* When half of a large cluster dies at once, all the others try to reach it again. That is not to take the time that
 * they need for more urgent things just then. */
static int64_t in_turn(struct cl_core *c, int64_t at)
{
    size_t there = c->outs.used + 1;
    int64_t lost = c->known > there ? (int64_t)(c->known - there) : 1;
    int64_t apart = TRY_ROUND / lost < TRY_APART ? TRY_ROUND / lost : TRY_APART;
    if (at < c->last_try_us + apart)
        at = c->last_try_us + apart;
    c->last_try_us = at;
    return at;
}

/* The next try waits, the longer the more have failed, but never so long that a node that is back is overlooked. */
static void link_lost(struct cl_core *c, struct cl_node *n)
{
    int64_t most = cl_timeout_us(c) / 4;
    most = most > 1000 * MS ? 1000 * MS : most < 20 * MS ? 20 * MS : most;
    bool was_up = n->link_state == CL_LINK_UP;
    n->backoff_us = was_up || n->backoff_us == 0 ? 10 * MS : n->backoff_us * 2;
    n->backoff_us = n->backoff_us > most ? most : n->backoff_us;
    n->link = 0;
    n->link_state = CL_LINK_NONE;
    n->link_us = c->now_us;
    n->asking = false;
    n->retry_us = in_turn(c, c->now_us + n->backoff_us);
    /* A link that was up and broke is a reason to ask at once. */
    if (was_up && n->tried_us == 0)
        n->tried_us = c->now_us;
    c->version++;
    cl_tick_soon(c, n);
}

void cl_link_up(struct cl_core *c, const struct cl_event *e)
{
    struct cl_node *n = idmap_get(&c->outs, e->link);
    if (n == NULL)
        return;
    n->link_state = CL_LINK_UP;
    n->welcome = false;
    n->link_us = c->now_us;
    n->exchanged_us = c->now_us - 2 * cl_timeout_us(c); /* a new link is tried out at once */
    c->version++;
    cl_tick_soon(c, n);
    cl_election_link_up(c, n);
}

static void incoming_forget(struct cl_core *c, cl_link link)
{
    struct cl_incoming *in = idmap_del(&c->ins, link & ~CL_INCOMING);
    if (in == NULL)
        return;
    if (in->node != NULL && in->node->incoming == link)
        in->node->incoming = 0;
    free(in);
    c->version++;
}

void cl_incoming_close(struct cl_core *c, cl_link link)
{
    cl_effect_add(c->fx, CL_FX_DISCONNECT)->link = link;
    incoming_forget(c, link);
}

void cl_incoming_adopt(struct cl_core *c, struct cl_node *n)
{
    struct cl_incoming *in;
    for (size_t it = 0; (in = idmap_next(&c->ins, &it)) != NULL;) {
        if (in->node != NULL || !cl_id_eq(&in->sender, &n->id))
            continue;
        in->node = n;
        n->incoming = in->link;
    }
}

void cl_link_down(struct cl_core *c, const struct cl_event *e)
{
    if ((e->link & CL_INCOMING) != 0) {
        incoming_forget(c, e->link);
        return;
    }
    struct cl_node *n = idmap_del(&c->outs, e->link);
    if (n != NULL)
        link_lost(c, n);
}

static void ip_copy(char out[CL_IP_MAX], const char *ip)
{
    size_t n = ip != NULL ? strlen(ip) : 0;
    if (n < CL_IP_MAX && n > 0)
        memcpy(out, ip, n + 1);
}

void cl_accepted(struct cl_core *c, const struct cl_event *e)
{
    assert((e->link & CL_INCOMING) != 0);
    struct cl_incoming *in = mem_zalloc(sizeof *in);
    in->link = e->link;
    in->since_ms = c->unix_ms;
    ip_copy(in->ip, e->ip);
    ip_copy(in->local_ip, e->local_ip);
    idmap_put(&c->ins, e->link & ~CL_INCOMING, in);
    c->version++;
}

/* How long after the last exchange this side asks. */
static int64_t ask_after_us(const struct cl_core *c, const struct cl_node *n)
{
    int64_t half = cl_timeout_us(c) / 2;
    if (cl_has(n, CL_PFAIL | CL_FAILED))
        return half / 2;
    return cl_id_cmp(&c->me->id, &n->id) < 0 ? half : half + half / 4;
}

void cl_heard(struct cl_core *c, struct cl_node *n)
{
    n->heard = true;
    n->heard_us = c->now_us;
    n->tried_us = n->asking ? c->now_us : 0;
    if (cl_has(n, CL_PFAIL | CL_FAILED))
        cl_works_again(c, n);
}

void cl_exchanged(struct cl_core *c, struct cl_node *n, bool answer)
{
    n->exchanged_us = c->now_us;
    n->pong_ms = c->unix_ms;
    if (answer) {
        n->asking = false;
        n->tried_us = 0;
        n->ping_ms = 0;
        /* Until now it may not have listened: a MEET that is lost is said again. */
        cl_flags_set(c, n, 0, CL_MEETING);
    }
    /* Nothing is due before the next PING: a timer that went off earlier would find nothing to do. */
    if (!n->asking && n->link_state == CL_LINK_UP && !cl_has(n, CL_HANDSHAKE | CL_PFAIL | CL_FAILED))
        heap_set(&c->heap, &n->timer, c->now_us + ask_after_us(c, n));
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What the link of a node wants now; returns when to look again. */
static int64_t link_tick(struct cl_core *c, struct cl_node *n)
{
    int64_t now = c->now_us, half = cl_timeout_us(c) / 2;
    bool silent = (n->tried_us != 0 && now - n->tried_us > half) || (n->asking && now - n->asked_us > half);
    if (n->link_state == CL_LINK_UP && silent && now - n->link_us > half) {
        /* Perhaps only the connection is dead: it may be so while the other is well heard on its own. */
        cl_link_close(c, n);
    } else if (n->link_state == CL_LINK_CONNECTING && now - n->link_us > (half < 100 * MS ? 100 * MS : half)) {
        cl_link_close(c, n);
        n->retry_us = now + 10 * MS;
    }
    if (n->link_state == CL_LINK_NONE) {
        if (!c->speaks || cl_has(n, CL_NOADDR) || n->ip[0] == '\0')
            return HEAP_NEVER;
        if (now < n->retry_us)
            return n->retry_us;
        connect_to(c, n);
    }
    if (n->link_state == CL_LINK_CONNECTING)
        return n->link_us + (half < 100 * MS ? 100 * MS : half) + MS;
    int64_t due = n->exchanged_us + ask_after_us(c, n);
    if (!n->asking && now >= due - c->early_us) {
        cl_send_greeting(c, n->link, n, cl_has(n, CL_MEETING) ? CL_MEET : CL_PING, NULL);
        n->asking = true;
        n->asked_us = now;
        if (n->tried_us == 0)
            n->tried_us = now;
        if (n->ping_ms == 0)
            n->ping_ms = c->unix_ms;
        n->sent_ms = c->unix_ms;
    }
    int64_t next = !n->asking ? due : earlier(n->asked_us, n->tried_us != 0 ? n->tried_us : n->asked_us) + half;
    if ((n->tried_us != 0 || n->asking) && next < n->link_us + half)
        next = n->link_us + half;
    return next + MS;
}

/* PFAIL: nothing heard for NT although it was asked. After a time in which we ourselves did not run, silence counts
 * only for a half of NT: the answers may wait in our own buffers. */
static int64_t silence_tick(struct cl_core *c, struct cl_node *n)
{
    if (cl_has(n, CL_PFAIL | CL_FAILED | CL_HANDSHAKE) || !c->speaks)
        return HEAP_NEVER;
    int64_t limit = cl_timeout_us(c), since = n->heard_us;
    if (c->late_us - limit / 2 > since)
        since = c->late_us - limit / 2;
    int64_t due = since + limit;
    bool asked = n->tried_us != 0;
    if (asked && n->tried_us + limit / 4 > due)
        due = n->tried_us + limit / 4;
    /* Nobody can be asked whose address is unknown. */
    bool unreachable = cl_has(n, CL_NOADDR) || n->ip[0] == '\0';
    if (c->now_us < due)
        return due;
    if (!asked && !unreachable)
        return c->now_us + limit / 8;
    cl_suspect(c, n);
    return HEAP_NEVER;
}

/* Waking up costs more than a packet does: whoever is to be asked soon is asked along with those who are due. */
bool cl_ask_early(struct cl_core *c, struct cl_node *n)
{
    int64_t early = cl_timeout_us(c) / 32;
    if (n->asking || n->link_state != CL_LINK_UP || cl_has(n, CL_HANDSHAKE | CL_PFAIL | CL_FAILED) ||
        c->now_us < n->exchanged_us + ask_after_us(c, n) - early)
        return false;
    c->early_us = early;
    cl_node_tick(c, n);
    c->early_us = 0;
    return true;
}

void cl_node_tick(struct cl_core *c, struct cl_node *n)
{
    assert(n != c->me);
    int64_t next = HEAP_NEVER;
    if (cl_has(n, CL_HANDSHAKE)) {
        int64_t life = cl_timeout_us(c) > 1000 * MS ? cl_timeout_us(c) : 1000 * MS;
        if (c->now_us - n->created_us > life) {
            cl_node_remove(c, n);
            return;
        }
        next = n->created_us + life + 1;
    }
    next = earlier(next, link_tick(c, n));
    next = earlier(next, silence_tick(c, n));
    if (next <= c->now_us)
        next = c->now_us + MS;
    heap_set(&c->heap, &n->timer, next);
}
