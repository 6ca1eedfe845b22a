#include "sentineld/core/cluster_nodes.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/view.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct sn_nodes *nodes;
    size_t cap_lines, cap_ranges;
    size_t selves;
};

void sn_nodes_free(struct sn_nodes *n)
{
    free(n->lines);
    free(n->ranges);
    *n = (struct sn_nodes){0};
}

const struct sn_nodes_line *sn_nodes_find(const struct sn_nodes *n, const char *id)
{
    for (size_t k = 0; k < n->nlines; k++)
        if (runid_cmp(n->lines[k].id, id) == 0)
            return &n->lines[k];
    return NULL;
}

static uint64_t id_view(const char *id)
{
    uint64_t x = 0;
    text_hex_u64((struct slice){id, *id ? 16 : 0}, &x);
    return x;
}

static uint64_t slots_view(const struct sn_nodes *n, const struct sn_nodes_line *l)
{
    uint64_t x = 0;
    for (size_t k = 0; k < l->nranges; k++) {
        const struct sn_slot_range *r = &n->ranges[l->range + k];
        for (unsigned slot = r->first; slot <= r->last; slot++)
            x ^= view_slot(slot);
    }
    return x;
}

uint64_t sn_nodes_view(const struct sn_nodes *n)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < n->nlines; k++) {
        const struct sn_nodes_line *l = &n->lines[k];
        if (l->flags & SN_NODES_HANDSHAKE)
            continue;
        sum += view_of_node(&(struct view_node){.id = id_view(l->id),
                                                .follows = id_view(l->master),
                                                .master = l->flags & SN_NODES_MASTER,
                                                .epoch = l->epoch,
                                                .slots = slots_view(n, l)});
    }
    return view_end(sum);
}

/* "shard-id=<40 hex digits>"; of the others, and of the host name before them, nothing is decided by. */
static void read_aux(struct slice more, struct sn_nodes_line *l)
{
    slice_cut(&more, ','); /* the host name, or nothing */
    while (more.p != NULL) {
        struct slice value = slice_cut(&more, ',');
        struct slice name = slice_cut(&value, '=');
        if (slice_is(name, "shard-id"))
            runid_parse(value, l->shard);
    }
}

/* "ip:port@bus-port[,hostname[,name=value]...]"; the ip may hold colons, be empty or "?", or the port 0. */
static bool read_address(struct slice text, struct sn_nodes_line *l)
{
    struct slice more = text;
    struct slice own = slice_cut(&more, ',');
    struct slice host = slice_cut(&own, '@'), port_text;
    int64_t port;
    size_t colon = host.n;
    while (colon > 0 && host.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    port_text = (struct slice){host.p + colon, host.n - colon};
    host.n = colon - 1;
    if (!text_range(port_text, 0, 65535, &port))
        return false;
    memset(&l->addr, 0, sizeof l->addr);
    if (port > 0 && host.n > 0 && !slice_is(host, "?") && !addr_set(&l->addr, host, port))
        return false;
    l->addr.port = (int)port;
    l->bus_port = (uint16_t)(text_range(own, 1, 65535, &port) ? port : 0);
    read_aux(more, l);
    return true;
}

static bool read_flags(struct slice text, struct sn_nodes_line *l)
{
    static const struct {
        const char *name;
        unsigned flag;
    } names[] = {
        {"myself", SN_NODES_MYSELF},       {"master", SN_NODES_MASTER}, {"slave", SN_NODES_REPLICA},
        {"replica", SN_NODES_REPLICA},     {"fail?", SN_NODES_PFAIL},   {"fail", SN_NODES_FAIL},
        {"handshake", SN_NODES_HANDSHAKE}, {"noaddr", SN_NODES_NOADDR}, {"nofailover", SN_NODES_NOFAILOVER},
    };
    while (text.p != NULL) {
        struct slice word = slice_cut(&text, ',');
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (slice_is(word, names[k].name))
                l->flags |= names[k].flag;
    }
    return (l->flags & SN_NODES_MASTER) == 0 || (l->flags & SN_NODES_REPLICA) == 0;
}

static void add_range(struct reading *r, struct sn_nodes_line *l, int64_t first, int64_t last)
{
    struct sn_nodes *n = r->nodes;
    n->ranges = mem_grow(n->ranges, n->nranges, &r->cap_ranges, sizeof *n->ranges);
    n->ranges[n->nranges++] = (struct sn_slot_range){(uint16_t)first, (uint16_t)last};
    l->nranges++;
    l->nslots += (unsigned)(last - first + 1);
}

/* "12", "0-5460", "[77->-<id>]". A text in which slots overlap was made by nobody; the count then stays within bounds
 * by what the caller makes of the ranges, so it is not looked for here. */
static bool read_slots(struct reading *r, struct sn_nodes_line *l, struct slice text)
{
    while (text.p != NULL) {
        struct slice word = slice_cut(&text, ' ');
        int64_t first, last;
        if (word.n == 0)
            continue;
        if (word.p[0] == '[') {
            l->nopen++;
            continue;
        }
        struct slice rest = word;
        struct slice from = slice_cut(&rest, '-');
        if (!text_range(from, 0, SN_SLOTS - 1, &first))
            return false;
        last = first;
        if (rest.p != NULL && !text_range(rest, first, SN_SLOTS - 1, &last))
            return false;
        if (l->nslots + (unsigned)(last - first + 1) > SN_SLOTS)
            return false;
        add_range(r, l, first, last);
    }
    return true;
}

static bool read_fields(struct reading *r, struct slice text, struct sn_nodes_line *l)
{
    struct slice id = slice_cut(&text, ' ');
    if (!runid_parse(id, l->id) || !read_address(slice_cut(&text, ' '), l) || !read_flags(slice_cut(&text, ' '), l))
        return false;
    struct slice master = slice_cut(&text, ' ');
    if (!slice_is(master, "-") && !runid_parse(master, l->master))
        return false;
    slice_cut(&text, ' '); /* when a ping was sent, and a pong came */
    slice_cut(&text, ' ');
    if (!text_u64(slice_cut(&text, ' '), &l->epoch))
        return false;
    struct slice link = slice_cut(&text, ' ');
    l->connected = slice_is(link, "connected");
    if (!l->connected && !slice_is(link, "disconnected"))
        return false;
    l->range = r->nodes->nranges;
    return read_slots(r, l, text);
}

static void read_line(struct reading *r, struct slice text)
{
    struct sn_nodes *n = r->nodes;
    struct sn_nodes_line line = {.nslots = 0};
    if (n->nlines >= SN_NODES_LINES_MAX)
        return;
    size_t ranges_before = n->nranges;
    if (!read_fields(r, text, &line)) {
        n->nranges = ranges_before;
        return;
    }
    if (line.flags & SN_NODES_MYSELF) {
        n->self = n->nlines;
        r->selves++;
    }
    n->lines = mem_grow(n->lines, n->nlines, &r->cap_lines, sizeof *n->lines);
    n->lines[n->nlines++] = line;
}

bool sn_nodes_parse(struct sn_nodes *out, struct slice text)
{
    struct reading r = {.nodes = out};
    *out = (struct sn_nodes){0};
    while (text.n > 0) {
        struct slice line = slice_cut_line(&text);
        if (line.n > 0)
            read_line(&r, line);
    }
    if (r.selves == 1)
        return true;
    sn_nodes_free(out);
    return false;
}
