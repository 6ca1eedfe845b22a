#include "noded/cluster/wire.h"

#include "common/base/addr.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* Bytes only: no field has an alignment, so the layout is the same on every machine. */
struct wire_head {
    uint8_t signature[4], length[4], version[2], port[2], type[2], gossip[2];
    uint8_t current_epoch[8], config_epoch[8], offset[8];
    uint8_t sender[40], slots[CL_SLOT_BYTES], master[40], ip[46], extensions[2], own[4], supervised[1], unused[25];
    uint8_t other_port[2], bus_port[2], flags[2], state, message_flags[3];
};

struct wire_gossip {
    uint8_t id[40], ping_s[4], pong_s[4], ip[46], port[2], bus_port[2], flags[2], other_port[2], unused[2];
};

struct wire_extension {
    uint8_t length[4], type[2], unused[2];
};

struct wire_update {
    uint8_t epoch[8], id[40], slots[CL_SLOT_BYTES];
};

struct wire_handover {
    uint8_t say, flags, records[2], version[8], required[8], database_a[4], database_b[4], swap_epoch[8], slot[4];
    uint8_t question[8], keys[8], swap_ballot[8];
};

struct wire_record {
    uint8_t job[20], source[20], target[20], flags[4], epoch[8], slots[CL_SLOT_BYTES];
};

struct wire_state {
    uint8_t version[8], required[8], flags, unused[3], for_ms[4], stamp[8];
};

enum { FLAG_ABORTED = 1 };
enum { FLAG_TAKING = 1 };
enum { FLAG_COUNTED = 1, FLAG_LEASED = 2 };

#define AT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
AT(wire_head, signature, 0);
AT(wire_head, length, 4);
AT(wire_head, version, 8);
AT(wire_head, port, 10);
AT(wire_head, type, 12);
AT(wire_head, gossip, 14);
AT(wire_head, current_epoch, 16);
AT(wire_head, config_epoch, 24);
AT(wire_head, offset, 32);
AT(wire_head, sender, 40);
AT(wire_head, slots, 80);
AT(wire_head, master, 2128);
AT(wire_head, ip, 2168);
AT(wire_head, extensions, 2214);
AT(wire_head, own, 2216);
AT(wire_head, other_port, 2246);
AT(wire_head, bus_port, 2248);
AT(wire_head, flags, 2250);
AT(wire_head, state, 2252);
AT(wire_head, message_flags, 2253);
_Static_assert(sizeof(struct wire_head) == CL_WIRE_HEADER, "header");
AT(wire_gossip, id, 0);
AT(wire_gossip, ping_s, 40);
AT(wire_gossip, pong_s, 44);
AT(wire_gossip, ip, 48);
AT(wire_gossip, port, 94);
AT(wire_gossip, bus_port, 96);
AT(wire_gossip, flags, 98);
AT(wire_gossip, other_port, 100);
_Static_assert(sizeof(struct wire_gossip) == 104, "gossip entry");
AT(wire_extension, type, 4);
_Static_assert(sizeof(struct wire_extension) == 8, "extension");
AT(wire_update, id, 8);
AT(wire_update, slots, 48);
_Static_assert(sizeof(struct wire_update) == 2096, "update");
_Static_assert(sizeof(struct wire_handover) == 64 && sizeof(struct wire_record) == 2120, "hand-over");
_Static_assert(sizeof(struct wire_state) == 32, "state");

static const char signature[4] = {'R', 'C', 'm', 'b'};

static void put(uint8_t *p, size_t bytes, uint64_t v)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static uint64_t get(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

#define PUT(field, v) put(field, sizeof(field), v)
#define GET(field) get(field, sizeof(field))

int64_t cl_wire_length(const char *p, size_t n, const char **why)
{
    size_t seen = n < sizeof signature ? n : sizeof signature;
    if (memcmp(p, signature, seen) != 0) {
        *why = "no signature of the cluster bus";
        return -1;
    }
    if (n < 8)
        return 0;
    uint64_t length = get((const uint8_t *)p + 4, 4);
    if (length < 16 || length > CL_WIRE_MAX) {
        *why = "impossible length";
        return -1;
    }
    return (int64_t)length;
}

/* An address in a field that may lack its terminator, or hold what is no address. A name is as good as none: nodes are
 * reached, and written down, by their addresses. */
static bool ip_read(const uint8_t *p, char out[CL_IP_MAX])
{
    memset(out, 0, CL_IP_MAX);
    for (size_t i = 0; i < CL_IP_MAX - 1 && p[i] != 0; i++) {
        char c = (char)p[i];
        bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
                    c == ':' || c == '%' || c == '-' || c == '_';
        if (!fits)
            return false;
        out[i] = c;
    }
    if (!addr_is_ip(out))
        memset(out, 0, CL_IP_MAX);
    return true;
}

static bool zeros(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static bool id_read(const uint8_t *p, struct cl_id *out)
{
    return cl_id_parse((struct slice){(const char *)p, CL_ID_DIGITS}, out);
}

static const char *head_read(const struct wire_head *w, struct cl_header *h)
{
    *h = (struct cl_header){
        .type = (enum cl_type)GET(w->type),
        .current_epoch = GET(w->current_epoch),
        .config_epoch = GET(w->config_epoch),
        .offset = GET(w->offset),
        .slots = w->slots,
        .port = (uint16_t)GET(w->port),
        .bus_port = (uint16_t)GET(w->bus_port),
        .other_port = (uint16_t)GET(w->other_port),
        .flags = (uint16_t)GET(w->flags),
        .extensions = (uint16_t)GET(w->extensions),
        .gossip = (uint16_t)GET(w->gossip),
        .message_flags = w->message_flags[0],
        .ok = w->state == 0,
        .ours = memcmp(w->own, CL_OWN_MARK, sizeof w->own) == 0,
    };
    h->supervised = h->ours && w->supervised[0] != 0;
    if (!id_read(w->sender, &h->sender) || cl_id_is_none(&h->sender))
        return "the sender's id is none";
    if (!zeros(w->master, sizeof w->master) && !id_read(w->master, &h->master))
        return "the id of the sender's master is none";
    if (!ip_read(w->ip, h->ip))
        return "the sender's address is none";
    return NULL;
}

/* Cuts the extensions off what follows the gossip, checking that each is as long as it says. */
static bool extensions_measure(struct slice all, size_t count, struct slice *out)
{
    size_t at = 0;
    for (; count > 0; count--) {
        if (all.n - at < sizeof(struct wire_extension))
            return false;
        size_t length = get((const uint8_t *)all.p + at, 4);
        if (length < sizeof(struct wire_extension) || length % 8 != 0 || length > all.n - at)
            return false;
        at += length;
    }
    *out = (struct slice){all.p, at};
    return true;
}

static const char *gossip_read(struct slice body, struct cl_message *m)
{
    size_t size = m->head.gossip * sizeof(struct wire_gossip);
    if (body.n < size)
        return "shorter than its gossip";
    m->entries = (struct slice){body.p, size};
    if ((m->head.message_flags & CL_MSG_HAS_EXTENSIONS) == 0)
        return NULL;
    struct slice rest = {body.p + size, body.n - size};
    return extensions_measure(rest, m->head.extensions, &m->extensions) ? NULL : "shorter than its extensions";
}

static const char *publish_read(struct slice body, struct cl_message *m)
{
    if (body.n < 8)
        return "shorter than its lengths";
    uint64_t channel = get((const uint8_t *)body.p, 4), payload = get((const uint8_t *)body.p + 4, 4);
    if (channel + payload > body.n - 8)
        return "shorter than what it publishes";
    m->channel = (struct slice){body.p + 8, channel};
    m->payload = (struct slice){body.p + 8 + channel, payload};
    return NULL;
}

static const char *handover_read(struct slice body, struct cl_message *m)
{
    const struct wire_handover *w = (const void *)body.p;
    if (body.n < sizeof *w)
        return "shorter than what it says of a hand-over";
    struct cl_handover *h = &m->handover;
    *h = (struct cl_handover){
        .say = (enum cl_say)w->say,
        .version = GET(w->version),
        .required = GET(w->required),
        .database_a = (int)(GET(w->database_a) & INT32_MAX),
        .database_b = (int)(GET(w->database_b) & INT32_MAX),
        .swap_epoch = GET(w->swap_epoch),
        .swap_aborted = (w->flags & FLAG_ABORTED) != 0,
        .records = GET(w->records),
        .slot = (int)(GET(w->slot) & INT32_MAX),
        .question = GET(w->question),
        .keys = GET(w->keys),
        .swap_ballot = GET(w->swap_ballot),
    };
    m->records = (struct slice){body.p + sizeof *w, body.n - sizeof *w};
    bool by_hand = h->say == CL_SAY_KEYS_ASK || h->say == CL_SAY_KEYS;
    size_t most = h->say == CL_SAY_STATE ? CL_RECORDS_MAX : by_hand ? 0 : 1;
    size_t least = h->say == CL_SAY_STATE || by_hand ? 0 : 1;
    if (w->say > CL_SAY_KEYS || h->records > most || h->records < least || h->slot >= CL_SLOTS)
        return "says of hand-overs what nobody understands";
    return m->records.n < h->records * sizeof(struct wire_record) ? "shorter than its records" : NULL;
}

static const char *body_read(struct slice body, struct cl_message *m)
{
    switch (m->head.type) {
    case CL_PING:
    case CL_PONG:
    case CL_MEET: return gossip_read(body, m);
    case CL_FAIL:
        if (body.n < CL_ID_DIGITS || !id_read((const uint8_t *)body.p, &m->node))
            return "names no failed node";
        return NULL;
    case CL_UPDATE: {
        const struct wire_update *u = (const void *)body.p;
        if (body.n < sizeof *u || !id_read(u->id, &m->node))
            return "names no node to update";
        m->epoch = GET(u->epoch);
        m->slots = u->slots;
        return NULL;
    }
    case CL_PUBLISH:
    case CL_PUBLISH_SHARD: return publish_read(body, m);
    case CL_HANDOVER: return handover_read(body, m);
    case CL_AUTH_REQUEST:
    case CL_AUTH_ACK:
    case CL_MFSTART:
    case CL_MODULE:
    case CL_TYPES: break;
    }
    return NULL;
}

enum cl_read cl_wire_read(const char *p, size_t n, struct cl_message *out, const char **why)
{
    const struct wire_head *w = (const void *)p;
    assert(n >= 16);
    memset(out, 0, sizeof *out);
    if (GET(w->version) != 1) {
        *why = "another version of the protocol";
        return CL_READ_SKIP;
    }
    uint64_t type = GET(w->type);
    if (type >= CL_TYPES || type == CL_MODULE) {
        *why = "a type that is not for us";
        return CL_READ_SKIP;
    }
    *why = n < CL_WIRE_HEADER ? "shorter than a header" : head_read(w, &out->head);
    if (*why == NULL)
        *why = body_read((struct slice){p + CL_WIRE_HEADER, n - CL_WIRE_HEADER}, out);
    return *why == NULL ? CL_READ_OK : CL_READ_BAD;
}

bool cl_wire_gossip(const struct cl_message *m, size_t i, struct cl_gossip *out)
{
    const struct wire_gossip *w = (const void *)(m->entries.p + i * sizeof *w);
    *out = (struct cl_gossip){.ping_s = (uint32_t)GET(w->ping_s),
                              .pong_s = (uint32_t)GET(w->pong_s),
                              .port = (uint16_t)GET(w->port),
                              .bus_port = (uint16_t)GET(w->bus_port),
                              .other_port = (uint16_t)GET(w->other_port),
                              .flags = (uint16_t)GET(w->flags)};
    return id_read(w->id, &out->id) && !cl_id_is_none(&out->id) && ip_read(w->ip, out->ip);
}

bool cl_wire_extension(struct slice *rest, int *type, struct slice *body)
{
    if (rest->n == 0)
        return false;
    const struct wire_extension *w = (const void *)rest->p;
    size_t length = GET(w->length);
    *type = (int)GET(w->type);
    *body = (struct slice){rest->p + sizeof *w, length - sizeof *w};
    if (*type == CL_EXT_HOSTNAME || *type == CL_EXT_NAME) {
        const char *end = body->n > 0 ? memchr(body->p, 0, body->n) : NULL;
        body->n = end != NULL ? (size_t)(end - body->p) : body->n;
    }
    *rest = (struct slice){rest->p + length, rest->n - length};
    return true;
}

void cl_wire_record(const struct cl_message *m, size_t i, struct cl_record *out)
{
    const struct wire_record *w = (const struct wire_record *)(const void *)m->records.p + i;
    assert(i < m->handover.records);
    memcpy(out->job.b, w->job, sizeof w->job);
    memcpy(out->source.b, w->source, sizeof w->source);
    memcpy(out->target.b, w->target, sizeof w->target);
    out->taking = (GET(w->flags) & FLAG_TAKING) != 0;
    out->epoch = GET(w->epoch);
    memcpy(out->slots, w->slots, sizeof w->slots);
    /* Behind all records: who does not know of them reads the records alone. */
    size_t shards = m->handover.records * sizeof *w;
    out->shard = (struct cl_id){{0}};
    if (m->records.n >= shards + m->handover.records * sizeof out->shard.b)
        memcpy(out->shard.b, m->records.p + shards + i * sizeof out->shard.b, sizeof out->shard.b);
}

bool cl_wire_state(struct slice body, struct cl_state_told *out)
{
    const struct wire_state *w = (const void *)body.p;
    if (body.n < sizeof *w)
        return false;
    *out = (struct cl_state_told){.version = GET(w->version),
                                  .required = GET(w->required),
                                  .counted = (w->flags & FLAG_COUNTED) != 0,
                                  .leased = (w->flags & FLAG_LEASED) != 0,
                                  .for_ms = (uint32_t)GET(w->for_ms),
                                  .stamp = GET(w->stamp)};
    return true;
}

bool cl_wire_supervised(struct slice body, uint64_t *generation, uint64_t *version, struct slice *list)
{
    if (body.n < 16)
        return false;
    *generation = get((const uint8_t *)body.p, 8);
    *version = get((const uint8_t *)body.p + 8, 8);
    const char *text = body.p + 16, *end = memchr(text, 0, body.n - 16);
    *list = (struct slice){text, end != NULL ? (size_t)(end - text) : body.n - 16};
    return true;
}

/* ---- writing ---- */

static void id_write(uint8_t *p, const struct cl_id *id)
{
    char text[CL_ID_DIGITS + 1];
    memcpy(p, cl_id_text(id, text), CL_ID_DIGITS);
}

void cl_wire_begin(struct buf *out, const struct cl_header *head)
{
    assert(out->n == 0);
    buf_reserve(out, CL_WIRE_HEADER);
    struct wire_head *w = (void *)out->p;
    memset(w, 0, sizeof *w);
    memcpy(w->signature, signature, sizeof signature);
    PUT(w->version, 1);
    PUT(w->type, (uint64_t)head->type);
    PUT(w->port, head->port);
    PUT(w->bus_port, head->bus_port);
    PUT(w->other_port, head->other_port);
    PUT(w->current_epoch, head->current_epoch);
    PUT(w->config_epoch, head->config_epoch);
    PUT(w->offset, head->offset);
    PUT(w->flags, head->flags);
    id_write(w->sender, &head->sender);
    if (!cl_id_is_none(&head->master))
        id_write(w->master, &head->master);
    if (head->slots != NULL)
        memcpy(w->slots, head->slots, sizeof w->slots);
    memcpy(w->ip, head->ip, strlen(head->ip));
    memcpy(w->own, CL_OWN_MARK, sizeof w->own);
    w->supervised[0] = head->supervised;
    w->state = head->ok ? 0 : 1;
    w->message_flags[0] = head->message_flags;
    out->n = CL_WIRE_HEADER;
}

void cl_wire_put_gossip(struct buf *out, const struct cl_gossip *g)
{
    struct wire_gossip w;
    memset(&w, 0, sizeof w);
    id_write(w.id, &g->id);
    PUT(w.ping_s, g->ping_s);
    PUT(w.pong_s, g->pong_s);
    memcpy(w.ip, g->ip, strlen(g->ip));
    PUT(w.port, g->port);
    PUT(w.bus_port, g->bus_port);
    PUT(w.other_port, g->other_port);
    PUT(w.flags, g->flags);
    buf_put(out, &w, sizeof w);
    struct wire_head *head = (void *)out->p;
    PUT(head->gossip, GET(head->gossip) + 1);
}

void cl_wire_put_extension(struct buf *out, enum cl_extension type, struct slice body)
{
    static const char padding[8];
    bool text = type == CL_EXT_HOSTNAME || type == CL_EXT_NAME;
    size_t length = sizeof(struct wire_extension) + body.n + (text ? 1 : 0), pad = (8 - length % 8) % 8;
    struct wire_extension w = {{0}, {0}, {0}};
    PUT(w.length, length + pad);
    PUT(w.type, (uint64_t)type);
    buf_put(out, &w, sizeof w);
    buf_put(out, body.p, body.n);
    buf_put(out, padding, pad + (text ? 1 : 0));
    struct wire_head *head = (void *)out->p;
    head->message_flags[0] |= CL_MSG_HAS_EXTENSIONS;
    PUT(head->extensions, GET(head->extensions) + 1);
}

void cl_wire_end(struct buf *out)
{
    struct wire_head *head = (void *)out->p;
    PUT(head->length, out->n);
}

void cl_wire_fail(struct buf *out, const struct cl_header *head, const struct cl_id *node)
{
    cl_wire_begin(out, head);
    cl_id_put(out, node);
    cl_wire_end(out);
}

void cl_wire_update(struct buf *out, const struct cl_header *head, uint64_t epoch, const struct cl_id *node,
                    const uint8_t *slots)
{
    struct wire_update u;
    cl_wire_begin(out, head);
    PUT(u.epoch, epoch);
    id_write(u.id, node);
    memcpy(u.slots, slots, sizeof u.slots);
    buf_put(out, &u, sizeof u);
    cl_wire_end(out);
}

void cl_wire_put_state(struct buf *out, const struct cl_state_told *t)
{
    struct wire_state w = {.flags = (uint8_t)((t->counted ? FLAG_COUNTED : 0) | (t->leased ? FLAG_LEASED : 0))};
    PUT(w.version, t->version);
    PUT(w.required, t->required);
    PUT(w.for_ms, t->for_ms);
    PUT(w.stamp, t->stamp);
    cl_wire_put_extension(out, CL_EXT_STATE, (struct slice){(const char *)&w, sizeof w});
}

void cl_wire_put_supervised(struct buf *out, uint64_t generation, uint64_t version, struct slice list)
{
    uint8_t body[16 + 2048];
    assert(list.n <= sizeof body - 16);
    put(body, 8, generation);
    put(body + 8, 8, version);
    if (list.n > 0)
        memcpy(body + 16, list.p, list.n);
    cl_wire_put_extension(out, CL_EXT_SUPERVISED, (struct slice){(const char *)body, 16 + list.n});
}

void cl_wire_handover(struct buf *out, const struct cl_header *head, const struct cl_handover *h,
                      const struct cl_record *records)
{
    struct wire_handover w = {.say = (uint8_t)h->say, .flags = h->swap_aborted ? FLAG_ABORTED : 0};
    cl_wire_begin(out, head);
    PUT(w.records, h->records);
    PUT(w.version, h->version);
    PUT(w.required, h->required);
    PUT(w.database_a, (uint64_t)h->database_a);
    PUT(w.database_b, (uint64_t)h->database_b);
    PUT(w.swap_epoch, h->swap_epoch);
    PUT(w.slot, (uint64_t)h->slot);
    PUT(w.question, h->question);
    PUT(w.keys, h->keys);
    PUT(w.swap_ballot, h->swap_ballot);
    buf_put(out, &w, sizeof w);
    for (size_t i = 0; i < h->records; i++) {
        struct wire_record r;
        memcpy(r.job, records[i].job.b, sizeof r.job);
        memcpy(r.source, records[i].source.b, sizeof r.source);
        memcpy(r.target, records[i].target.b, sizeof r.target);
        PUT(r.flags, records[i].taking ? FLAG_TAKING : 0);
        PUT(r.epoch, records[i].epoch);
        memcpy(r.slots, records[i].slots, sizeof r.slots);
        buf_put(out, &r, sizeof r);
    }
    for (size_t i = 0; i < h->records; i++)
        buf_put(out, records[i].shard.b, sizeof records[i].shard.b);
    cl_wire_end(out);
}

void cl_wire_publish(struct buf *out, const struct cl_header *head, struct slice channel, struct slice payload)
{
    uint8_t lengths[8];
    cl_wire_begin(out, head);
    put(lengths, 4, channel.n);
    put(lengths + 4, 4, payload.n);
    buf_put(out, lengths, sizeof lengths);
    buf_put(out, channel.p, channel.n);
    buf_put(out, payload.p, payload.n);
    cl_wire_end(out);
}

const char *cl_wire_type_name(enum cl_type type)
{
    static const char *const names[CL_TYPES] = {"ping",     "pong",   "meet",    "fail",   "publish",      "auth-req",
                                                "auth-ack", "update", "mfstart", "module", "publishshard", "handover"};
    return names[type];
}
