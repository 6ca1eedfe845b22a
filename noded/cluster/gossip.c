/* What others say about others. Whoever is not known yet is learned from it; who is failing is counted by it. */
#include "noded/cluster/state.h"

#include <string.h>

static void newcomer(struct cl_core *c, const struct cl_gossip *g)
{
    if ((g->flags & (CL_NOADDR | CL_HANDSHAKE)) != 0 || g->ip[0] == '\0' || g->bus_port == 0 || cl_banned(c, &g->id))
        return;
    /* MEET, not PING: it may not know us yet, and would not listen to a stranger's PING. */
    uint16_t role = (g->flags & CL_REPLICA) != 0 ? CL_REPLICA : CL_MASTER;
    struct cl_node *n = cl_node_new(c, &g->id, (uint16_t)(role | CL_MEETING));
    if (n == NULL)
        return;
    cl_incoming_adopt(c, n);
    cl_master_known(c, n);
    cl_node_address(c, n, g->ip, g->port, g->bus_port, g->other_port);
    cl_tick_soon(c, n);
    c->looks = true;
    cl_saved_later(c);
}

static void opinion(struct cl_core *c, const struct cl_gossip *g, struct cl_node *n, struct cl_node *by)
{
    if (cl_has(by, CL_MASTER)) {
        if ((g->flags & (CL_PFAIL | CL_FAILED)) != 0)
            cl_report_add(c, n, by);
        else
            cl_report_drop(c, n, by);
    }
    /* Whoever we don't reach may have moved: an address by which somebody else does reach it is worth a try. */
    bool elsewhere = strcmp(n->ip, g->ip) != 0 || n->port != g->port || n->bus_port != g->bus_port;
    if (elsewhere && cl_has(n, CL_PFAIL | CL_FAILED | CL_NOADDR) && g->ip[0] != '\0' && g->bus_port != 0 &&
        (g->flags & (CL_NOADDR | CL_PFAIL | CL_FAILED)) == 0)
        cl_node_address(c, n, g->ip, g->port, g->bus_port, g->other_port);
}

void cl_gossip_read(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    if (sender == NULL)
        return;
    for (size_t i = 0; i < m->head.gossip; i++) {
        struct cl_gossip g;
        if (!cl_wire_gossip(m, i, &g))
            continue;
        struct cl_node *n = cl_node_find(c, &g.id);
        if (n == NULL)
            newcomer(c, &g);
        else if (n != c->me && n != sender && !cl_has(n, CL_HANDSHAKE))
            opinion(c, &g, n, sender);
    }
}

/* Somebody was told to forget a node, and tells it on, so that an operator need not say it to each. */
static void forgotten(struct cl_core *c, struct slice body, const struct cl_node *sender)
{
    struct cl_id id;
    if (body.n < CL_ID_DIGITS + 8 || !cl_id_parse((struct slice){body.p, CL_ID_DIGITS}, &id))
        return;
    struct cl_node *n = cl_node_find(c, &id);
    if (n == NULL || n == c->me || n == c->me->master || n == sender || cl_banned(c, &id) || cl_ban_ended(c, &id))
        return;
    /* No longer than there: bans that begin anew with each who hears of them would never end. */
    uint64_t seconds = 0;
    for (size_t i = 0; i < 8; i++)
        seconds = seconds << 8 | (uint8_t)body.p[CL_ID_DIGITS + i];
    if (seconds == 0)
        return;
    cl_ban(c, &id, seconds < CL_BAN_S ? (int64_t)seconds : CL_BAN_S);
    cl_node_remove(c, n);
}

/* A replica is of its master's shard, which may have got a name since. */
static void shard_learn(struct cl_core *c, struct cl_node *sender, struct slice text)
{
    cl_id_parse(text, &sender->shard);
    if (sender != c->me->master || cl_id_eq(&c->me->shard, &sender->shard))
        return;
    c->me->shard = sender->shard;
    c->version++;
    cl_durable(c);
}

void cl_extensions_read(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    int type;
    struct slice body, name = {NULL, 0};
    /* A node without the extension has no host name any more: whoever has one always tells it. */
    for (struct slice rest = m->extensions; cl_wire_extension(&rest, &type, &body);) {
        if (type == CL_EXT_HOSTNAME && body.n < CL_HOSTNAME_MAX)
            name = body;
        else if (type == CL_EXT_SHARD && body.n >= CL_ID_DIGITS)
            shard_learn(c, sender, (struct slice){body.p, CL_ID_DIGITS});
        else if (type == CL_EXT_STATE)
            cl_state_told(c, body, sender);
        else if (type == CL_EXT_SUPERVISED)
            cl_supervised_told(c, body, sender);
        else if (type == CL_EXT_FORGOTTEN)
            forgotten(c, body, sender);
    }
    if (m->head.gossip > 0 || name.n > 0) /* the short PONG that tells all has no room for it */
        cl_hostname_set(c, sender, name);
}
