#include "noded/cluster/describe.h"
#include "noded/cluster/state.h"

#include "common/base/view.h"

#include <inttypes.h>
#include <string.h>

uint64_t cl_version(const struct cl_core *c)
{
    return c->version;
}

/* ---- lines ---- */

static void flags_put(struct buf *out, const struct cl_node *n)
{
    static const struct {
        uint16_t flag;
        const char *name;
    } names[] = {{CL_MYSELF, "myself"}, {CL_MASTER, "master"},        {CL_REPLICA, "slave"},
                 {CL_PFAIL, "fail?"},   {CL_FAILED, "fail"},          {CL_HANDSHAKE, "handshake"},
                 {CL_NOADDR, "noaddr"}, {CL_NOFAILOVER, "nofailover"}};
    size_t before = out->n;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!cl_has(n, names[i].flag))
            continue;
        if (out->n > before)
            buf_putc(out, ',');
        buf_puts(out, names[i].name);
    }
    if (out->n == before)
        buf_puts(out, "noflags");
}

static void ranges_put(struct buf *out, const uint8_t *slots)
{
    for (int first = cl_bit_next(slots, 0, true); first < CL_SLOTS;) {
        int end = cl_bit_next(slots, first, false);
        if (end - 1 == first)
            buf_printf(out, " %d", first);
        else
            buf_printf(out, " %d-%d", first, end - 1);
        first = cl_bit_next(slots, end, true);
    }
}

static void open_put(const struct cl_core *c, struct buf *out)
{
    for (int slot = cl_bit_next(c->open_slots, 0, true); slot < CL_SLOTS;
         slot = cl_bit_next(c->open_slots, slot + 1, true)) {
        const struct cl_open *to = cl_open_find(c, slot, false), *from = cl_open_find(c, slot, true);
        buf_printf(out, " [%d-%c-", slot, to != NULL ? '>' : '<');
        cl_id_put(out, to != NULL ? &to->node->id : &from->node->id);
        buf_putc(out, ']');
    }
}

/* What is not on its disk yet a node does not tell: supervisors take what it says of itself for a fact. Beside the new
 * slots of a promotion they would find the config epoch that it had long ago. */
static const struct cl_node *told(const struct cl_core *c, const struct cl_node *n, struct cl_node *own)
{
    if (n != c->me)
        return n;
    *own = *n;
    if (c->claim.config_epoch < n->config_epoch)
        own->config_epoch = c->claim.config_epoch;
    if (cl_has(n, CL_MASTER) && (c->claim.flags & CL_REPLICA) != 0) {
        own->flags = (uint16_t)((n->flags & ~CL_MASTER) | CL_REPLICA);
        own->master = cl_node_find(c, &c->claim.master);
        own->slots = NULL;
        own->slots_view = 0;
    }
    return own;
}

/* A replica's is its master's. */
static uint64_t epoch_of(const struct cl_node *n)
{
    return cl_has(n, CL_REPLICA) && n->master != NULL ? n->master->config_epoch : n->config_epoch;
}

void cl_line_write(const struct cl_core *c, struct buf *out, const struct cl_node *of, bool with_aux)
{
    struct cl_node own;
    const struct cl_node *n = with_aux ? of : told(c, of, &own);
    const char *hostname = n->hostname != NULL ? n->hostname : "";
    cl_id_put(out, &n->id);
    buf_printf(out, " %s:%u@%u", n->ip, (unsigned)n->port, (unsigned)n->bus_port);
    bool aux = with_aux && !cl_id_is_none(&n->shard);
    if (hostname[0] != '\0' || aux)
        buf_printf(out, ",%s", hostname);
    if (aux) {
        buf_puts(out, ",shard-id=");
        cl_id_put(out, &n->shard);
    }
    buf_putc(out, ' ');
    flags_put(out, n);
    buf_putc(out, ' ');
    if (n->master != NULL)
        cl_id_put(out, &n->master->id);
    else
        buf_putc(out, '-');
    buf_printf(out, " %" PRId64 " %" PRId64 " %" PRIu64 " %s", n->ping_ms, n->pong_ms, epoch_of(n),
               of == c->me || n->link_state == CL_LINK_UP ? "connected" : "disconnected");
    if (n->slots != NULL)
        ranges_put(out, n->slots);
    if (of == c->me)
        open_put(c, out);
}

void cl_nodes_text(const struct cl_core *c, struct buf *out)
{
    const struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        cl_line_write(c, out, n, false);
        buf_putc(out, '\n');
    }
}

static uint64_t id_view(const struct cl_id *id)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x = x << 8 | id->b[i];
    return x;
}

uint64_t cl_view(const struct cl_core *c)
{
    uint64_t sum = 0;
    const struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (cl_has(n, CL_HANDSHAKE))
            continue;
        struct cl_node own;
        const struct cl_node *as = told(c, n, &own);
        sum += view_of_node(&(struct view_node){.id = id_view(&as->id),
                                                .follows = as->master != NULL ? id_view(&as->master->id) : 0,
                                                .master = cl_has(as, CL_MASTER),
                                                .epoch = epoch_of(as),
                                                .slots = as->slots_view});
    }
    return view_end(sum);
}

bool cl_next_replica_line(const struct cl_core *c, const struct cl_id *master, size_t *it, struct buf *out)
{
    const struct cl_node *n, *of = cl_node_find(c, master);
    while (of != NULL && (n = cl_each(c, it)) != NULL) {
        if (!cl_has(n, CL_REPLICA) || n->master != of)
            continue;
        cl_line_write(c, out, n, false);
        return true;
    }
    return false;
}

static void messages_put(struct buf *out, const char *what, const uint64_t counts[CL_TYPES])
{
    uint64_t sum = 0;
    for (int t = 0; t < CL_TYPES; t++) {
        sum += counts[t];
        if (counts[t] != 0)
            buf_printf(out, "cluster_stats_messages_%s_%s:%" PRIu64 "\r\n", cl_wire_type_name((enum cl_type)t), what,
                       counts[t]);
    }
    buf_printf(out, "cluster_stats_messages_%s:%" PRIu64 "\r\n", what, sum);
}

void cl_info_text(const struct cl_core *c, bool ok, struct buf *out)
{
    int pfail = 0, fail = 0;
    const struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (cl_has(n, CL_FAILED))
            fail += n->nslots;
        else if (cl_has(n, CL_PFAIL))
            pfail += n->nslots;
    }
    const struct cl_node *mine = cl_has(c->me, CL_REPLICA) && c->me->master != NULL ? c->me->master : c->me;
    buf_printf(out,
               "cluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\ncluster_slots_pfail:%d\r\n"
               "cluster_slots_fail:%d\r\ncluster_known_nodes:%zu\r\ncluster_size:%d\r\ncluster_current_epoch:%" PRIu64
               "\r\ncluster_my_epoch:%" PRIu64 "\r\n",
               ok ? "ok" : "fail", c->assigned, c->assigned - fail - pfail, pfail, fail, c->known, c->size,
               c->current_epoch, mine->config_epoch);
    messages_put(out, "sent", c->sent);
    messages_put(out, "received", c->received);
}

/* ---- rows ---- */

static void member_fill(const struct cl_core *c, const struct cl_node *n, struct cl_member *out)
{
    *out = (struct cl_member){.id = n->id,
                              .shard = n->shard,
                              .ip = n->ip,
                              .hostname = n->hostname != NULL ? n->hostname : "",
                              .port = n->port,
                              .bus_port = n->bus_port,
                              .me = n == c->me,
                              .is_master = cl_has(n, CL_MASTER),
                              .failing = cl_has(n, CL_FAILED),
                              .suspected = cl_has(n, CL_PFAIL),
                              .handshake = cl_has(n, CL_HANDSHAKE),
                              .offset = n == c->me ? (uint64_t)c->facts.offset : n->offset,
                              .config_epoch = n->config_epoch,
                              .slots = n->nslots,
                              .ping_ms = n->ping_ms,
                              .pong_ms = n->pong_ms,
                              .number = n->index};
    if (n->master != NULL)
        out->master = n->master->id;
}

bool cl_next_member(const struct cl_core *c, size_t *it, struct cl_member *out)
{
    const struct cl_node *n = cl_each(c, it);
    if (n != NULL)
        member_fill(c, n, out);
    return n != NULL;
}

bool cl_find_member(const struct cl_core *c, struct slice id, struct cl_member *out)
{
    const struct cl_node *n = cl_node_find_text(c, id);
    if (n != NULL)
        member_fill(c, n, out);
    return n != NULL;
}

bool cl_member_at(const struct cl_core *c, size_t number, struct cl_member *out)
{
    if (number >= c->nnodes || c->nodes[number] == NULL)
        return false;
    member_fill(c, c->nodes[number], out);
    return true;
}

bool cl_next_range(const struct cl_core *c, int *at, struct cl_range *out)
{
    int slot = *at;
    while (slot < CL_SLOTS && c->owner[slot] == 0)
        slot++;
    if (slot >= CL_SLOTS)
        return false;
    out->first = slot;
    out->owner = c->owner[slot] - 1U;
    while (slot < CL_SLOTS && c->owner[slot] == out->owner + 1)
        slot++;
    out->last = slot - 1;
    *at = slot;
    return true;
}

bool cl_next_range_of(const struct cl_core *c, size_t owner, int *at, struct cl_range *out)
{
    const uint8_t *slots = owner < c->nnodes && c->nodes[owner] != NULL ? c->nodes[owner]->slots : NULL;
    int first = slots != NULL ? cl_bit_next(slots, *at, true) : CL_SLOTS;
    if (first >= CL_SLOTS)
        return false;
    *at = cl_bit_next(slots, first, false);
    *out = (struct cl_range){first, *at - 1, owner};
    return true;
}

bool cl_next_link(const struct cl_core *c, size_t *it, struct cl_link_row *out)
{
    /* First those to others, then those from others: two rows for each node at most. */
    while (*it < 2 * c->nnodes) {
        size_t i = (*it)++;
        const struct cl_node *n = c->nodes[i % c->nnodes];
        bool outgoing = i < c->nnodes;
        const struct cl_incoming *in = n != NULL && n->incoming != 0 ? cl_incoming_find(c, n->incoming) : NULL;
        if (n == NULL || (outgoing ? n->link_state != CL_LINK_UP : in == NULL))
            continue;
        *out = (struct cl_link_row){.link = outgoing ? n->link : n->incoming, .outgoing = outgoing, .node = n->id};
        out->since_ms = outgoing ? c->unix_ms - (c->now_us - n->link_us) / 1000 : in->since_ms;
        return true;
    }
    return false;
}

void cl_put_endpoint(const struct cl_core *c, struct buf *out, const struct cl_member *m)
{
    switch (c->set.endpoint) {
    case CL_ENDPOINT_IP: buf_puts(out, m->ip); break;
    case CL_ENDPOINT_HOSTNAME: buf_puts(out, m->hostname[0] != '\0' ? m->hostname : "?"); break;
    case CL_ENDPOINT_UNKNOWN: break;
    }
}
