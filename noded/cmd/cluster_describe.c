/* CLUSTER, what it is: the texts and tables that tools and clients ask for. */
#include "noded/cmd/cluster_rows.h"

#include "noded/cluster/describe.h"

#include <inttypes.h>
#include <string.h>

/* Answers that every client asks for are made once. What they say of replicas changes with their offsets too, which are
 * no change of the cluster: after so long they are made anew. */
#define KEPT_MS 100

static struct cl_core *core_of(const struct nd_call *c)
{
    return c->e->cluster->core;
}

static void reply_id(struct reply *r, const struct cl_id *id)
{
    char text[CL_ID_DIGITS + 1];
    reply_bulk(r, cl_id_text(id, text), CL_ID_DIGITS);
}

static void unknown_node(struct nd_call *c)
{
    struct slice id = c->argv[2];
    nd_error(c, "ERR Unknown node %.*s", (int)(id.n < 128 ? id.n : 128), id.p);
}

/* ---- texts ---- */

void nd_cluster_info_command(struct nd_call *c)
{
    struct buf text = {0};
    if (!nd_cluster_on(c))
        return;
    const struct nd_cluster_host *host = &c->e->cluster->host;
    bool ok = cl_ok(core_of(c)) && (!cl_is_master(core_of(c)) || nd_leased(c->e));
    cl_info_text(core_of(c), ok, &text);
    nd_lease_info(c->e, &text);
    buf_printf(&text, "total_cluster_links_buffer_limit_exceeded:%" PRIu64 "\r\n", host->links_over_limit(host->owner));
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

void nd_cluster_nodes(struct nd_call *c)
{
    struct buf text = {0};
    if (!nd_cluster_on(c))
        return;
    cl_nodes_text(core_of(c), &text);
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

void nd_cluster_replicas(struct nd_call *c)
{
    struct cl_member m;
    struct buf line = {0};
    if (!nd_cluster_on(c))
        return;
    if (!cl_find_member(core_of(c), c->argv[2], &m)) {
        unknown_node(c);
        return;
    }
    if (!m.is_master) {
        nd_error(c, "ERR The specified node is not a master");
        return;
    }
    size_t mark = reply_begin(c->r), n = 0;
    for (size_t it = 0; cl_next_replica_line(core_of(c), &m.id, &it, &line); n++) {
        reply_bulk(c->r, line.p, line.n);
        buf_clear(&line);
    }
    reply_end_array(c->r, mark, n);
    buf_free(&line);
}

void nd_cluster_myid(struct nd_call *c)
{
    if (!nd_cluster_on(c))
        return;
    struct cl_id id = cl_my_id(core_of(c));
    reply_id(c->r, &id);
}

static bool find_me(const struct nd_call *c, struct cl_member *out)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_id id = cl_my_id(core_of(c));
    return cl_find_member(core_of(c), slice_of(cl_id_text(&id, text)), out);
}

void nd_cluster_myshardid(struct nd_call *c)
{
    struct cl_member me;
    if (nd_cluster_on(c) && find_me(c, &me))
        reply_id(c->r, &me.shard);
}

void nd_cluster_failure_reports(struct nd_call *c)
{
    if (!nd_cluster_on(c))
        return;
    int64_t n = cl_failure_reports(core_of(c), c->argv[2]);
    if (n < 0)
        unknown_node(c);
    else
        reply_int(c->r, n);
}

/* ---- answers that are kept ---- */

typedef void make_fn(struct nd_cluster *cl, struct reply *r);

static void reply_kept(struct nd_call *c, struct nd_cluster_text both[2], make_fn *make)
{
    struct nd_cluster *cl = c->e->cluster;
    struct nd_cluster_text *text = &both[c->r->proto >= 3];
    uint64_t version = cl_version(cl->core);
    int endpoint = c->e->config.cluster_preferred_endpoint_type;
    if (!text->made || text->version != version || text->endpoint != endpoint ||
        c->e->now_ms >= text->made_ms + KEPT_MS || c->e->now_ms < text->made_ms) {
        struct reply r = {.out = &text->bytes, .proto = c->r->proto};
        buf_clear(&text->bytes);
        make(cl, &r);
        text->made = true;
        text->version = version;
        text->made_ms = c->e->now_ms;
        text->endpoint = endpoint;
    }
    buf_put(c->r->out, text->bytes.p, text->bytes.n);
}

/* A replica that has nothing yet is not shown to clients. */
static uint64_t offset_of(const struct nd_cluster *cl, const struct cl_member *m)
{
    return m->me && cl->e->stream_offset != NULL ? (uint64_t)*cl->e->stream_offset : m->offset;
}

static bool is_available(const struct nd_cluster *cl, const struct cl_member *m)
{
    return !m->failing && offset_of(cl, m) != 0;
}

static enum cl_endpoint endpoint_kind(const struct nd_cluster *cl)
{
    return (enum cl_endpoint)cl->e->config.cluster_preferred_endpoint_type;
}

/* ---- SLOTS ---- */

static void reply_node(struct nd_cluster *cl, struct reply *r, const struct cl_member *m)
{
    enum cl_endpoint kind = endpoint_kind(cl);
    bool ip = kind != CL_ENDPOINT_IP, hostname = kind != CL_ENDPOINT_HOSTNAME && m->hostname[0] != '\0';
    reply_array(r, 4);
    if (kind == CL_ENDPOINT_UNKNOWN) {
        reply_null(r);
    } else {
        struct buf where = {0};
        cl_put_endpoint(cl->core, &where, m);
        reply_bulk(r, where.p, where.n);
        buf_free(&where);
    }
    reply_int(r, m->port);
    reply_id(r, &m->id);
    reply_map(r, (size_t)ip + hostname);
    if (ip) {
        reply_bulks(r, "ip");
        reply_bulks(r, m->ip);
    }
    if (hostname) {
        reply_bulks(r, "hostname");
        reply_bulks(r, m->hostname);
    }
}

static void make_slots(struct nd_cluster *cl, struct reply *r)
{
    struct cl_range range;
    struct cl_member m;
    size_t mark = reply_begin(r), ranges = 0;
    for (int at = 0; cl_next_range(cl->core, &at, &range);) {
        struct cl_member owner;
        if (!cl_member_at(cl->core, range.owner, &owner))
            continue;
        size_t row = reply_begin(r), n = 3;
        reply_int(r, range.first);
        reply_int(r, range.last);
        reply_node(cl, r, &owner);
        for (size_t it = 0; cl_next_member(cl->core, &it, &m);) {
            if (m.is_master || !cl_id_eq(&m.master, &owner.id) || !is_available(cl, &m))
                continue;
            reply_node(cl, r, &m);
            n++;
        }
        reply_end_array(r, row, n);
        ranges++;
    }
    reply_end_array(r, mark, ranges);
}

void nd_cluster_slots(struct nd_call *c)
{
    if (nd_cluster_on(c))
        reply_kept(c, c->e->cluster->slots, make_slots);
}

/* ---- SHARDS ---- */

static void reply_shard_node(struct nd_cluster *cl, struct reply *r, const struct cl_member *m)
{
    struct buf where = {0};
    size_t mark = reply_begin(r), n = 6;
    uint64_t offset = offset_of(cl, m);
    reply_bulks(r, "id");
    reply_id(r, &m->id);
    if (m->port != 0) {
        reply_bulks(r, "port");
        reply_int(r, m->port);
        n++;
    }
    reply_bulks(r, "ip");
    reply_bulks(r, m->ip);
    cl_put_endpoint(cl->core, &where, m);
    reply_bulks(r, "endpoint");
    reply_bulk(r, where.p, where.n);
    buf_free(&where);
    if (m->hostname[0] != '\0') {
        reply_bulks(r, "hostname");
        reply_bulks(r, m->hostname);
        n++;
    }
    reply_bulks(r, "role");
    reply_bulks(r, m->is_master ? "master" : "replica");
    reply_bulks(r, "replication-offset");
    reply_int(r, (int64_t)offset);
    reply_bulks(r, "health");
    reply_bulks(r, m->failing ? "fail" : !m->is_master && offset == 0 ? "loading" : "online");
    reply_end_map(r, mark, n);
}

static void reply_shard(struct nd_cluster *cl, struct reply *r, const struct cl_member *master)
{
    struct cl_range range;
    struct cl_member m;
    reply_map(r, 2);
    reply_bulks(r, "slots");
    size_t mark = reply_begin(r), n = 0;
    for (int at = 0; cl_next_range_of(cl->core, master->number, &at, &range); n += 2) {
        reply_int(r, range.first);
        reply_int(r, range.last);
    }
    reply_end_array(r, mark, n);
    reply_bulks(r, "nodes");
    mark = reply_begin(r);
    n = 1;
    reply_shard_node(cl, r, master);
    for (size_t it = 0; cl_next_member(cl->core, &it, &m);) {
        if (m.is_master || !cl_id_eq(&m.master, &master->id))
            continue;
        reply_shard_node(cl, r, &m);
        n++;
    }
    reply_end_array(r, mark, n);
}

static void make_shards(struct nd_cluster *cl, struct reply *r)
{
    struct cl_member m;
    size_t mark = reply_begin(r), n = 0;
    for (size_t it = 0; cl_next_member(cl->core, &it, &m);) {
        if (!m.is_master || m.handshake)
            continue;
        reply_shard(cl, r, &m);
        n++;
    }
    reply_end_array(r, mark, n);
}

void nd_cluster_shards(struct nd_call *c)
{
    if (nd_cluster_on(c))
        reply_kept(c, c->e->cluster->shards, make_shards);
}

/* ---- LINKS ---- */

void nd_cluster_links(struct nd_call *c)
{
    struct cl_link_row row;
    if (!nd_cluster_on(c))
        return;
    const struct nd_cluster_host *host = &c->e->cluster->host;
    size_t mark = reply_begin(c->r), n = 0;
    for (size_t it = 0; cl_next_link(core_of(c), &it, &row);) {
        size_t used = 0, allocated = 0;
        if (!host->link_buffers(host->owner, row.link, &used, &allocated))
            continue;
        reply_map(c->r, 6);
        reply_bulks(c->r, "direction");
        reply_bulks(c->r, row.outgoing ? "to" : "from");
        reply_bulks(c->r, "node");
        reply_id(c->r, &row.node);
        reply_bulks(c->r, "create-time");
        reply_int(c->r, row.since_ms);
        reply_bulks(c->r, "events");
        reply_bulks(c->r, used > 0 ? "rw" : "r");
        reply_bulks(c->r, "send-buffer-allocated");
        reply_int(c->r, (int64_t)allocated);
        reply_bulks(c->r, "send-buffer-used");
        reply_int(c->r, (int64_t)used);
        n++;
    }
    reply_end_array(c->r, mark, n);
}
