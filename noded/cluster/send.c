#include "noded/cluster/state.h"

#include <assert.h>
#include <string.h>

#define YOUNG_US (INT64_C(30) * 1000000)

/* What it claims by its own last word. Its other slots are in our table until somebody claims them, but its epoch does
 * not speak for them. */
static const uint8_t *slots_claimed_by(struct cl_core *c, const struct cl_node *n)
{
    static const uint8_t none[CL_SLOT_BYTES];
    if (n->slots == NULL)
        return none;
    if (!c->some_unclaimed)
        return n->slots;
    for (size_t i = 0; i < CL_SLOT_BYTES; i++)
        c->claimed[i] = (uint8_t)(n->slots[i] & ~c->unclaimed[i]);
    return c->claimed;
}

void cl_head(struct cl_core *c, enum cl_type type, struct cl_header *out)
{
    const struct cl_claim *claim = &c->claim;
    const struct cl_node *me = c->me;
    uint16_t port = c->set.announce_port != 0 ? c->set.announce_port : c->set.port;
    uint16_t bus = c->set.announce_bus_port != 0 ? c->set.announce_bus_port : c->set.bus_port;
    *out = (struct cl_header){
        .type = type,
        .current_epoch = claim->current_epoch,
        .config_epoch = claim->config_epoch,
        .offset = (uint64_t)c->facts.offset,
        .sender = claim->id,
        .master = claim->master,
        .slots = claim->slots,
        .port = port,
        .bus_port = bus,
        .flags = (uint16_t)(claim->flags | CL_MYSELF | CL_EXTENSIONS | (cl_has(me, CL_NOFAILOVER) ? CL_NOFAILOVER : 0)),
        .message_flags = CL_MSG_HAS_EXTENSIONS,
        .ok = c->ok,
        .supervised = cl_fenced(c)};
    memcpy(out->ip, c->set.announce_ip, sizeof out->ip);
    if ((claim->flags & CL_REPLICA) != 0) {
        /* A replica speaks of its master's slots and epoch, as far as it knows them. */
        const struct cl_node *master = cl_node_find(c, &claim->master);
        out->slots = master != NULL ? slots_claimed_by(c, master) : NULL;
        out->config_epoch = master != NULL ? master->config_epoch : 0;
    }
    if (c->manual.end_us != 0 && c->manual.replica != NULL)
        out->message_flags |= CL_MSG_PAUSED;
}

static void entry_put(struct buf *out, const struct cl_node *n)
{
    struct cl_gossip g = {
        .id = n->id,
        .ping_s = (uint32_t)(n->ping_ms / 1000),
        .pong_s = (uint32_t)(n->pong_ms / 1000),
        .port = n->port,
        .bus_port = n->bus_port,
        .other_port = n->other_port,
        .flags = (uint16_t)(n->flags & (CL_MASTER | CL_REPLICA | CL_PFAIL | CL_FAILED | CL_NOADDR | CL_NOFAILOVER))};
    memcpy(g.ip, n->ip, sizeof g.ip);
    cl_wire_put_gossip(out, &g);
}

static bool worth_telling(const struct cl_core *c, const struct cl_node *n, const struct cl_node *to)
{
    return n != c->me && n != to && !cl_has(n, CL_HANDSHAKE | CL_NOADDR) && n->ip[0] != '\0';
}

/* Everybody sees everybody by itself, so gossip is for what the receiver can't see: who is new, and whom we hold for
 * failing. Whoever is new gets to know many at once, so that a cluster that forms is whole after a few exchanges. */
static void entries_put(struct cl_core *c, struct buf *out, const struct cl_node *to, const struct cl_node *about)
{
    size_t want = 3, room = 0;
    bool young = to == NULL || c->now_us - to->created_us < YOUNG_US;
    if (young && c->known / 4 > want)
        want = c->known / 4;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL && room < 200;)
        if (cl_has(n, CL_PFAIL) && worth_telling(c, n, to)) {
            entry_put(out, n);
            room++;
        }
    if (about != NULL && !cl_has(about, CL_PFAIL) && worth_telling(c, about, to))
        entry_put(out, about);
    size_t at = c->nnodes > 0 ? rng_below(&c->rng, c->nnodes) : 0;
    for (size_t i = 0; i < c->nnodes && want > 0; i++, at = at + 1 < c->nnodes ? at + 1 : 0) {
        n = c->nodes[at];
        if (n == NULL || n == about || cl_has(n, CL_PFAIL) || !worth_telling(c, n, to))
            continue;
        entry_put(out, n);
        want--;
    }
}

static void extensions_put(struct cl_core *c, struct buf *out, struct cl_node *to)
{
    if (c->set.hostname[0] != '\0')
        cl_wire_put_extension(out, CL_EXT_HOSTNAME, slice_of(c->set.hostname));
    /* Stock 7.0 knows host names only, and logs a warning for each of the others. */
    if (to == NULL || !to->extends)
        return;
    if (!cl_id_is_none(&c->claim.shard)) {
        char text[CL_ID_DIGITS + 1];
        cl_wire_put_extension(out, CL_EXT_SHARD, slice_of(cl_id_text(&c->claim.shard, text)));
    }
    cl_state_put(c, out, to);
    cl_supervised_put(c, out, to);
    for (size_t i = 0; i < c->nbans && i < 16; i++) {
        if (c->bans[i].until_us <= c->now_us || c->bans[i].met)
            continue;
        char body[CL_ID_DIGITS + 9];
        uint64_t seconds = (uint64_t)((c->bans[i].until_us - c->now_us) / 1000000);
        cl_id_text(&c->bans[i].id, body);
        for (int b = 0; b < 8; b++)
            body[CL_ID_DIGITS + b] = (char)(seconds >> 8 * (7 - b));
        cl_wire_put_extension(out, CL_EXT_FORGOTTEN, (struct slice){body, CL_ID_DIGITS + 8});
    }
}

static void send_scratch(struct cl_core *c, cl_link link, enum cl_type type)
{
    struct cl_bytes *b = cl_bytes_new(buf_slice(&c->scratch));
    cl_effect_send(c->fx, link, b);
    cl_bytes_release(b);
    c->sent[type]++;
}

void cl_send_greeting(struct cl_core *c, cl_link link, struct cl_node *to, enum cl_type type,
                      const struct cl_node *about)
{
    struct cl_header h;
    if (!c->speaks)
        return;
    cl_head(c, type, &h);
    buf_clear(&c->scratch);
    cl_wire_begin(&c->scratch, &h);
    entries_put(c, &c->scratch, to, about);
    extensions_put(c, &c->scratch, to);
    cl_wire_end(&c->scratch);
    send_scratch(c, link, type);
}

bool cl_send_to(struct cl_core *c, struct cl_node *to, struct buf *message)
{
    cl_link link = to->link_state == CL_LINK_UP ? to->link : to->incoming;
    if (link == 0 || !c->speaks)
        return false;
    struct cl_bytes *b = cl_bytes_new(buf_slice(message));
    cl_effect_send(c->fx, link, b);
    cl_bytes_release(b);
    return true;
}

/* The same bytes to everybody whom we have a link to. */
static void broadcast(struct cl_core *c, enum cl_type type, const struct cl_node *shard_of)
{
    struct cl_bytes *b = NULL;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (n == c->me || n->link_state != CL_LINK_UP || cl_has(n, CL_HANDSHAKE))
            continue;
        if (shard_of != NULL && n != shard_of && n->master != shard_of)
            continue;
        if (b == NULL)
            b = cl_bytes_new(buf_slice(&c->scratch));
        cl_effect_send(c->fx, n->link, b);
        c->sent[type]++;
    }
    cl_bytes_release(b);
}

static void plain_pong(struct cl_core *c)
{
    struct cl_header h;
    cl_head(c, CL_PONG, &h);
    buf_clear(&c->scratch);
    cl_wire_begin(&c->scratch, &h);
    cl_wire_end(&c->scratch);
}

void cl_tell_all(struct cl_core *c)
{
    if (!c->speaks)
        return;
    plain_pong(c);
    broadcast(c, CL_PONG, NULL);
}

void cl_tell_siblings(struct cl_core *c)
{
    if (!c->speaks || c->me->master == NULL)
        return;
    plain_pong(c);
    broadcast(c, CL_PONG, c->me->master);
}

static void fail_message(struct cl_core *c, const struct cl_node *failed)
{
    struct cl_header h;
    cl_head(c, CL_FAIL, &h);
    buf_clear(&c->scratch);
    cl_wire_fail(&c->scratch, &h, &failed->id);
}

void cl_tell_failed(struct cl_core *c, const struct cl_node *failed)
{
    if (!c->speaks)
        return;
    fail_message(c, failed);
    broadcast(c, CL_FAIL, NULL);
}

void cl_tell_failed_to(struct cl_core *c, const struct cl_node *failed, struct cl_node *to)
{
    fail_message(c, failed);
    if (cl_send_to(c, to, &c->scratch))
        c->sent[CL_FAIL]++;
}

void cl_send_update(struct cl_core *c, cl_link link, const struct cl_node *about)
{
    struct cl_header h;
    const struct cl_claim *claim = &c->claim;
    /* Of one that has not spoken in this life of ours we know what we were told before, and not what it says now. */
    if (!c->speaks || !about->heard)
        return;
    cl_head(c, CL_UPDATE, &h);
    uint8_t own[CL_SLOT_BYTES];
    if (h.slots == c->claimed) /* both need it */
        h.slots = memcpy(own, c->claimed, sizeof own);
    buf_clear(&c->scratch);
    if (about == c->me)
        cl_wire_update(&c->scratch, &h, claim->config_epoch, &claim->id, claim->slots);
    else
        cl_wire_update(&c->scratch, &h, about->config_epoch, &about->id, slots_claimed_by(c, about));
    send_scratch(c, link, CL_UPDATE);
}

void cl_send_handover(struct cl_core *c, struct cl_node *to, const struct cl_handover *h,
                      const struct cl_record *records)
{
    struct cl_header head;
    cl_head(c, CL_HANDOVER, &head);
    buf_clear(&c->scratch);
    cl_wire_handover(&c->scratch, &head, h, records);
    if (cl_send_to(c, to, &c->scratch))
        c->sent[CL_HANDOVER]++;
}

void cl_send_publish(struct cl_core *c, const struct cl_event *e)
{
    struct cl_header h;
    enum cl_type type = e->shard ? CL_PUBLISH_SHARD : CL_PUBLISH;
    if (!c->speaks)
        return;
    cl_head(c, type, &h);
    buf_clear(&c->scratch);
    cl_wire_publish(&c->scratch, &h, e->channel, e->bytes);
    const struct cl_node *master = cl_has(c->me, CL_MASTER) ? c->me : c->me->master;
    if (!e->shard || master != NULL)
        broadcast(c, type, e->shard ? master : NULL);
}
