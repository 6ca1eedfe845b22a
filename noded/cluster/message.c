/* What comes in on the bus: which node said it, what it claims, and what follows from that. */
#include "noded/cluster/state.h"

#include <string.h>

/* The reasons to hold a sender for known: its id is in the table, and not as one of those that are only being met. */
static struct cl_node *sender_of(const struct cl_core *c, const struct cl_message *m)
{
    struct cl_node *n = cl_node_find(c, &m->head.sender);
    return n != NULL && n != c->me && !cl_has(n, CL_HANDSHAKE) ? n : NULL;
}

/* The epochs, offset and abilities that each header carries. */
static void head_learn(struct cl_core *c, struct cl_node *n, const struct cl_header *h)
{
    cl_epoch_heard(c, h->current_epoch);
    /* A replica tells the epoch of its master, which would stay with it when it becomes a master of its own. */
    if (cl_id_is_none(&h->master) && h->config_epoch > n->config_epoch && h->config_epoch < CL_EPOCH_MAX) {
        n->config_epoch = h->config_epoch;
        c->version++;
        cl_saved_later(c);
    }
    n->offset = h->offset;
    n->offset_us = c->now_us;
    n->ours = h->ours;
    n->supervised = h->supervised;
    n->extends = h->ours || (h->flags & CL_EXTENSIONS) != 0;
    cl_manual_offset(c, h, n);
}

static const char *ip_of(const struct cl_core *c, cl_link link, const struct cl_header *h)
{
    const struct cl_incoming *in = cl_incoming_find(c, link);
    return h->ip[0] != '\0' ? h->ip : in != NULL ? in->ip : "";
}

/* Where a known node says that it is now; told on its own link to us, so the address of that is its own. */
static void address_learn(struct cl_core *c, struct cl_node *n, cl_link link, const struct cl_header *h)
{
    const char *ip = ip_of(c, link, h);
    if ((link & CL_INCOMING) == 0 || ip[0] == '\0' || h->port == 0 || h->bus_port == 0)
        return;
    char copy[CL_IP_MAX];
    memcpy(copy, ip, strlen(ip) + 1);
    bool moved = strcmp(n->ip, copy) != 0 || n->bus_port != h->bus_port;
    cl_node_address(c, n, copy, h->port, h->bus_port, h->other_port);
    if (moved)
        CL_LOG(c, NOTICE, "A node is at another address now: %s:%u", copy, (unsigned)h->port);
}

/* A master that has become a replica speaks of the claim of the one that replaced it: taken at its word, like UPDATE,
 * so that its slots are without owner at no time. */
static void successor_learn(struct cl_core *c, struct cl_node *master, const struct cl_header *h)
{
    if (master == c->me || h->config_epoch <= master->config_epoch || h->config_epoch >= CL_EPOCH_MAX)
        return;
    if (!cl_has(master, CL_MASTER))
        cl_role_set(c, master, NULL);
    master->config_epoch = h->config_epoch;
    c->version++;
    cl_saved_later(c);
    cl_slots_claimed(c, master, h->config_epoch, h->slots);
}

static void role_learn(struct cl_core *c, struct cl_node *n, const struct cl_header *h)
{
    struct cl_node *master = cl_node_find(c, &h->master);
    n->follows = (struct cl_id){{0}};
    if (cl_id_is_none(&h->master)) {
        if (!cl_has(n, CL_MASTER))
            cl_role_set(c, n, NULL);
        return;
    }
    if (master == n)
        return;
    if (master == NULL)
        n->follows = h->master;
    if (master != NULL) {
        if (cl_has(n, CL_MASTER) && n->nslots > 0 && h->config_epoch > n->config_epoch)
            successor_learn(c, master, h);
        cl_role_set(c, n, master);
    } else if (cl_has(n, CL_MASTER) || n->master != NULL) {
        /* A replica of somebody whom we don't know: it owns nothing, whoever that is. */
        cl_slots_yield(c, n);
        n->master = NULL;
        cl_flags_set(c, n, CL_REPLICA, CL_MASTER);
        cl_saved_later(c);
    }
}

/* One that claims what somebody else owns by a newer epoch has missed something, and is told it. */
static void claim_correct(struct cl_core *c, struct cl_node *n, cl_link link, const struct cl_header *h)
{
    const struct cl_node *master = cl_has(n, CL_MASTER) ? n : n->master;
    const uint8_t *known = master != NULL ? master->slots : NULL;
    if (known != NULL && memcmp(known, h->slots, CL_SLOT_BYTES) == 0)
        return;
    for (int slot = cl_bit_next(h->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(h->slots, slot + 1, true)) {
        const struct cl_node *owner = cl_owner(c, slot);
        /* Whoever has inherited a hand-over may know no owner of its slots. */
        if ((owner == NULL || owner == c->me) && cl_handover_correct(c, n, slot, h->config_epoch))
            return;
        if (owner == NULL || owner == n || owner == master || cl_bit(c->unclaimed, slot))
            continue;
        if (owner->config_epoch > h->config_epoch) {
            /* One owner is told; with the next message it is the turn of the next, if it is wrong about more. */
            cl_send_update(c, link, owner);
            return;
        }
    }
}

static void claim_learn(struct cl_core *c, struct cl_node *n, cl_link link, const struct cl_message *m)
{
    const struct cl_header *h = &m->head;
    /* There are two links between two nodes: what comes on the one may be older than what came on the other. */
    bool overtaken = h->current_epoch < n->seen_epoch || (cl_has(n, CL_MASTER) && h->current_epoch < n->config_epoch);
    if (overtaken || h->current_epoch >= CL_EPOCH_MAX)
        return;
    enum cl_order order = cl_state_order(c, m, n);
    if (order == CL_ORDER_OLD)
        return;
    n->seen_epoch = h->current_epoch;
    role_learn(c, n, h);
    if (cl_has(n, CL_MASTER)) {
        bool same = n->slots != NULL ? memcmp(n->slots, h->slots, CL_SLOT_BYTES) == 0
                                     : cl_bit_next(h->slots, 0, true) == CL_SLOTS;
        if ((!same || c->some_unclaimed) && order != CL_ORDER_UNSAID)
            cl_slots_not_claimed(c, n, h->slots);
        if (!same)
            cl_slots_claimed(c, n, h->config_epoch, h->slots);
        n->claim_epoch = n->slots_epoch = h->config_epoch;
    }
    claim_correct(c, n, link, h);
    if (cl_has(n, CL_MASTER) && cl_has(c->me, CL_MASTER) && h->config_epoch == c->me->config_epoch)
        cl_collision(c, n);
}

/* A stranger may introduce itself by MEET. Until it has answered on a link of ours, it is nobody. */
static void stranger_met(struct cl_core *c, cl_link link, const struct cl_header *h)
{
    const struct cl_incoming *in = cl_incoming_find(c, link);
    const char *ip = ip_of(c, link, h);
    if (in == NULL || ip[0] == '\0' || h->port == 0 || h->bus_port == 0)
        return;
    cl_handshake(c, ip, h->port, h->bus_port, false);
}

/* Others tell us where we are: it is the address that they reached us at. */
static void own_address_learn(struct cl_core *c, cl_link link, enum cl_type type)
{
    const struct cl_incoming *in = cl_incoming_find(c, link);
    if (c->set.announce_ip[0] != '\0' || in == NULL || in->local_ip[0] == '\0')
        return;
    if (type == CL_MEET || c->me->ip[0] == '\0')
        cl_node_address(c, c->me, in->local_ip, c->me->port, c->me->bus_port, c->me->other_port);
}

/* The answer to a handshake says who answers there. false: that node is gone (it was known, or is ourselves). */
static bool handshake_end(struct cl_core *c, struct cl_node *n, const struct cl_message *m)
{
    const struct cl_header *h = &m->head;
    struct cl_node *known = cl_node_find(c, &h->sender);
    if (known != NULL) {
        if (known != c->me && !cl_has(known, CL_HANDSHAKE)) {
            char ip[CL_IP_MAX];
            memcpy(ip, n->ip, sizeof ip);
            uint16_t port = n->port, bus_port = n->bus_port, other = n->other_port;
            cl_node_remove(c, n);
            cl_node_address(c, known, ip, port, bus_port, other);
        } else {
            cl_node_remove(c, n);
        }
        return false;
    }
    if (cl_has(n, CL_MEETING))
        cl_ban_end(c, &h->sender);
    cl_node_rename(c, n, &h->sender);
    cl_incoming_adopt(c, n);
    cl_flags_set(c, n, cl_id_is_none(&h->master) ? CL_MASTER : CL_REPLICA,
                 CL_HANDSHAKE | CL_MEETING | CL_MASTER | CL_REPLICA);
    n->config_epoch = 0;
    n->heard_us = c->now_us;
    if (h->port != 0)
        cl_node_address(c, n, n->ip, h->port, n->bus_port, h->other_port);
    char text[CL_ID_DIGITS + 1];
    cl_master_known(c, n);
    CL_LOG(c, NOTICE, "Met %s at %s:%u", cl_id_text(&n->id, text), n->ip, (unsigned)n->port);
    return true;
}

/* Newcomers are told about at once to some; the rest hears it from them, or from the newcomer itself. */
static void newcomer_tell(struct cl_core *c, const struct cl_node *newcomer)
{
    int left = 5;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL && left > 0;) {
        if (n == c->me || n == newcomer || n->link_state != CL_LINK_UP || cl_has(n, CL_HANDSHAKE))
            continue;
        cl_send_greeting(c, n->link, n, CL_PONG, newcomer);
        left--;
    }
}

/* A message on a link of ours comes from the node that the link was made for, or something is wrong with it. */
static struct cl_node *own_link_check(struct cl_core *c, struct cl_node *n, const struct cl_message *m)
{
    if (cl_has(n, CL_HANDSHAKE)) {
        if (!handshake_end(c, n, m))
            return NULL;
        newcomer_tell(c, n);
        return n;
    }
    if (cl_id_eq(&n->id, &m->head.sender))
        return n;
    CL_LOG(c, NOTICE, "Another node than before answers at %s:%u", n->ip, (unsigned)n->port);
    cl_flags_set(c, n, CL_NOADDR, 0);
    n->ip[0] = '\0';
    n->port = n->bus_port = 0;
    cl_link_close(c, n);
    return NULL;
}

static void greeting_received(struct cl_core *c, const struct cl_message *m, cl_link link, struct cl_node *owner)
{
    const struct cl_header *h = &m->head;
    struct cl_node *n = sender_of(c, m);
    if (h->type != CL_PONG)
        own_address_learn(c, link, h->type);
    if (h->type == CL_MEET && n == NULL && !cl_id_eq(&h->sender, &c->me->id))
        stranger_met(c, link, h);
    if (h->type != CL_PONG)
        cl_send_greeting(c, link, n, CL_PONG, NULL);
    bool own = owner != NULL;
    if (own && (n = own_link_check(c, owner, m)) == NULL)
        return;
    if (n == NULL) {
        if (h->type == CL_MEET)
            cl_gossip_read(c, m, NULL);
        return;
    }
    if (own)
        head_learn(c, n, h);
    bool asked_since = own && h->type == CL_PONG && n->asking && n->left_us != 0 && n->asked_us > n->left_us;
    cl_exchanged(c, n, own && h->type == CL_PONG);
    cl_heard(c, n);
    bool stays = (h->flags & CL_NOFAILOVER) != 0;
    cl_flags_set(c, n, stays ? CL_NOFAILOVER : 0, stays ? 0 : CL_NOFAILOVER);
    if (h->type != CL_PONG)
        address_learn(c, n, link, h);
    claim_learn(c, n, link, m);
    cl_gossip_read(c, m, n);
    cl_extensions_read(c, m, n);
    if (asked_since)
        cl_state_left(c, n);
    /* A replica that does not know whether it counts says something unasked. */
    n->welcome = n->welcome && own;
    cl_state_welcome(c, n);
}

static void dispatch(struct cl_core *c, const struct cl_message *m, cl_link link, struct cl_node *n,
                     struct cl_node *owner)
{
    switch (m->head.type) {
    case CL_PING:
    case CL_PONG:
    case CL_MEET: greeting_received(c, m, link, owner); break;
    case CL_FAIL: {
        struct cl_node *failing = cl_node_find(c, &m->node);
        if (n != NULL && failing != NULL && failing != c->me && !cl_has(failing, CL_FAILED | CL_HANDSHAKE))
            cl_failed(c, failing, false);
        break;
    }
    case CL_PUBLISH:
    case CL_PUBLISH_SHARD:
        if (n != NULL) {
            struct cl_effect *e = cl_effect_add(c->fx, CL_FX_PUBLISH);
            buf_clear(&c->scratch);
            buf_put(&c->scratch, m->channel.p, m->channel.n);
            buf_put(&c->scratch, m->payload.p, m->payload.n);
            e->bytes = cl_bytes_new(buf_slice(&c->scratch));
            e->channel_n = (uint32_t)m->channel.n;
            e->shard = m->head.type == CL_PUBLISH_SHARD;
        }
        break;
    case CL_AUTH_REQUEST:
        if (n != NULL)
            cl_vote_asked(c, m, n);
        break;
    case CL_AUTH_ACK:
        if (n != NULL)
            cl_vote_received(c, m, n);
        break;
    case CL_MFSTART:
        if (n != NULL)
            cl_manual_asked(c, n);
        break;
    case CL_UPDATE:
        if (n != NULL)
            cl_update_received(c, m, n);
        break;
    case CL_HANDOVER:
        if (n != NULL && (m->handover.say == CL_SAY_KEYS_ASK || m->handover.say == CL_SAY_KEYS))
            cl_keys_received(c, m, n);
        else if (n != NULL) {
            /* What is no more in the state of our shard is in the claim of its master. */
            if (m->handover.say == CL_SAY_STATE && n == c->me->master)
                claim_learn(c, n, link, m);
            cl_handover_received(c, m, n);
        }
        break;
    case CL_MODULE:
    case CL_TYPES: break;
    }
}

void cl_received(struct cl_core *c, const struct cl_event *e)
{
    struct cl_message m;
    const char *why = NULL;
    struct cl_incoming *in = (e->link & CL_INCOMING) != 0 ? cl_incoming_find(c, e->link) : NULL;
    struct cl_node *owner = (e->link & CL_INCOMING) == 0 ? idmap_get(&c->outs, e->link) : NULL;
    /* Whoever asks one that may not answer yet would wait for half of its node timeout; who has lost its link tries
     * again at once. */
    if (!c->speaks && in != NULL)
        cl_incoming_close(c, e->link);
    if (!c->speaks || (in == NULL && owner == NULL))
        return;
    enum cl_read read = cl_wire_read(e->bytes.p, e->bytes.n, &m, &why);
    if (read == CL_READ_BAD) {
        CL_LOG(c, WARNING, "A message on the bus was refused: %s", why);
        return;
    }
    if (read == CL_READ_SKIP)
        return;
    c->received[m.head.type]++;
    struct cl_node *n = sender_of(c, &m);
    if (n == NULL && in != NULL)
        in->sender = m.head.sender;
    if (n != NULL) {
        if (in != NULL && in->node != n) {
            in->node = n;
            n->incoming = in->link;
            c->version++;
        }
        head_learn(c, n, &m.head);
        if (m.head.type > CL_MEET)
            cl_heard(c, n);
    }
    dispatch(c, &m, e->link, n, owner);
}
