/* nodes.conf, as stock nodes write and read it. It is written whole and in one piece by the shell, so a file without
 * its last line, or with anything strange in it, is a damaged one: it is refused with the line and the reason, because
 * a node that forgets a vote or its slots is worse than one that does not start. */
#include "noded/cluster/state.h"

#include "common/base/addr.h"
#include "common/base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void cl_config_write(struct cl_core *c, struct buf *out)
{
    const struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (cl_has(n, CL_HANDSHAKE))
            continue;
        cl_line_write(c, out, n, true);
        buf_putc(out, '\n');
    }
    buf_printf(out, "vars currentEpoch %" PRIu64 " lastVoteEpoch %" PRIu64, c->current_epoch, c->last_vote_epoch);
    cl_config_state_write(c, out);
    buf_putc(out, '\n');
}

/* ---- reading ---- */

struct reader {
    struct cl_core *c;
    struct cl_node *me; /* the line of `myself`; NULL: not yet seen */
    const char *error;
    bool vars;
};

static struct slice word(struct slice *rest)
{
    return slice_cut(rest, ' ');
}

static struct cl_node *node_of(struct reader *r, struct slice text)
{
    struct cl_id id;
    struct cl_node *n = cl_id_parse(text, &id) && !cl_id_is_none(&id) ? cl_node_find(r->c, &id) : NULL;
    if (n == NULL)
        r->error = "a node is named that has no line";
    return n;
}

/* All nodes are there before the first line is read whole: a replica may stand before its master. */
static void node_announce(struct reader *r, struct slice rest)
{
    struct cl_id id;
    if (!cl_id_parse(word(&rest), &id) || cl_id_is_none(&id))
        r->error = "not a node id";
    else if (cl_node_find(r->c, &id) != NULL)
        r->error = "a node stands there twice";
    else if (cl_node_new(r->c, &id, 0) == NULL)
        r->error = "too many nodes";
}

static bool port_read(struct slice s, uint16_t *out)
{
    int64_t port;
    bool good = text_range(s, 0, 65535, &port);
    *out = good ? (uint16_t)port : 0;
    return good;
}

/* What stands behind the host name; fields that are not known are left out when the file is written again. */
static void aux_read(struct reader *r, struct cl_node *n, struct slice rest)
{
    while (rest.n > 0 && r->error == NULL) {
        struct slice value = slice_cut(&rest, ','), name = slice_cut(&value, '=');
        if (slice_is(name, "shard-id") && !cl_id_parse(value, &n->shard))
            r->error = "bad shard id";
    }
}

static void address_read(struct reader *r, struct cl_node *n, struct slice text)
{
    struct slice address = slice_cut(&text, ','), hostname = slice_cut(&text, ',');
    struct slice bus = address, where = slice_cut(&bus, '@');
    size_t colon = where.n;
    while (colon > 0 && where.p[colon - 1] != ':')
        colon--;
    bool good = colon > 0 && colon <= CL_IP_MAX &&
                port_read((struct slice){where.p + colon, where.n - colon}, &n->port);
    if (good && bus.n > 0)
        good = port_read(bus, &n->bus_port);
    else if (good)
        n->bus_port = (uint16_t)(n->port + 10000);
    if (!good) {
        r->error = "bad address";
        return;
    }
    memset(n->ip, 0, sizeof n->ip);
    memcpy(n->ip, where.p, colon - 1);
    if (n->ip[0] != '\0' && !addr_is_ip(n->ip))
        r->error = "bad address";
    if (hostname.n >= CL_HOSTNAME_MAX)
        r->error = "host name too long";
    else
        cl_hostname_set(r->c, n, hostname);
    aux_read(r, n, text);
}

static void flags_read(struct reader *r, struct cl_node *n, struct slice text)
{
    static const struct {
        const char *name;
        uint16_t flag;
    } names[] = {{"myself", CL_MYSELF}, {"master", CL_MASTER},         {"slave", CL_REPLICA},
                 {"fail?", CL_PFAIL},   {"fail", CL_FAILED},           {"handshake", CL_HANDSHAKE},
                 {"noaddr", CL_NOADDR}, {"nofailover", CL_NOFAILOVER}, {"noflags", 0}};
    n->flags = 0;
    while (text.n > 0) {
        struct slice flag = slice_cut(&text, ',');
        size_t i = 0;
        while (i < sizeof names / sizeof *names && !slice_is(flag, names[i].name))
            i++;
        if (i == sizeof names / sizeof *names) {
            r->error = "unknown flag";
            return;
        }
        n->flags |= names[i].flag;
    }
    if (cl_has(n, CL_MASTER) && cl_has(n, CL_REPLICA))
        r->error = "both master and replica";
    if (cl_has(n, CL_FAILED))
        n->failed_us = r->c->now_us;
}

static bool slot_number(struct slice s, int *out)
{
    int64_t v;
    bool good = text_range(s, 0, CL_SLOTS - 1, &v);
    *out = good ? (int)v : -1;
    return good;
}

/* [slot->-id] or [slot-<-id] */
static void open_read(struct reader *r, struct slice text)
{
    size_t dash = 0;
    int slot;
    while (dash < text.n && text.p[dash] != '-')
        dash++;
    bool shaped = text.n == dash + 3 + CL_ID_DIGITS + 1 && text.p[text.n - 1] == ']' && text.p[dash + 2] == '-' &&
                  (text.p[dash + 1] == '>' || text.p[dash + 1] == '<');
    if (!shaped || !slot_number((struct slice){text.p + 1, dash - 1}, &slot)) {
        r->error = "bad open slot";
        return;
    }
    struct cl_node *n = node_of(r, (struct slice){text.p + dash + 3, CL_ID_DIGITS});
    bool importing = text.p[dash + 1] == '<', mine = r->me != NULL && cl_owner(r->c, slot) == r->me;
    if (n != NULL && !(importing && mine)) /* stock nodes may have imported what is their own since */
        cl_open_set(r->c, slot, importing, n);
}

static void slots_read(struct reader *r, struct cl_node *n, struct slice text)
{
    int first, last;
    if (text.p[0] == '[') {
        open_read(r, text);
        return;
    }
    struct slice end = text, begin = slice_cut(&end, '-');
    if (!slot_number(begin, &first) || !slot_number(end.p != NULL ? end : begin, &last) || last < first) {
        r->error = "bad slot";
        return;
    }
    for (int slot = first; slot <= last; slot++) {
        if (cl_owner(r->c, slot) != NULL) {
            r->error = "a slot has two owners";
            return;
        }
        cl_slot_give(r->c, slot, n);
    }
}

static void vars_read(struct reader *r, struct slice rest)
{
    while (rest.n > 0) {
        struct slice name = word(&rest), value = word(&rest);
        const char *why = cl_config_state_read(r->c, name, value);
        uint64_t v = 0;
        if (why == NULL)
            continue;
        if (why[0] != '\0' || !text_u64(value, &v) || v >= CL_EPOCH_MAX) {
            r->error = why[0] != '\0' ? why : "bad epoch";
            return;
        }
        if (slice_is(name, "currentEpoch"))
            r->c->current_epoch = v;
        else if (slice_is(name, "lastVoteEpoch"))
            r->c->last_vote_epoch = r->c->vote_floor = v;
    }
}

static void node_read(struct reader *r, struct slice rest)
{
    struct cl_core *c = r->c;
    struct cl_node *n = node_of(r, word(&rest));
    if (n == NULL)
        return;
    struct slice address = word(&rest), flags = word(&rest), master = word(&rest);
    struct slice ping = word(&rest), pong = word(&rest), epoch = word(&rest), state = word(&rest);
    if (state.p == NULL) {
        r->error = "fields are missing";
        return;
    }
    address_read(r, n, address);
    if (r->error == NULL)
        flags_read(r, n, flags);
    if (r->error == NULL && !slice_is(master, "-"))
        n->master = node_of(r, master);
    bool times = text_i64(ping, &n->ping_ms) && text_i64(pong, &n->pong_ms);
    if (r->error == NULL && (!times || !text_u64(epoch, &n->config_epoch) || n->config_epoch >= CL_EPOCH_MAX))
        r->error = "bad number";
    n->slots_epoch = n->config_epoch;
    if (r->error == NULL && cl_has(n, CL_MYSELF)) {
        r->error = r->me != NULL ? "two lines are myself" : NULL;
        r->me = n;
    }
    n->heard_us = n->created_us = c->now_us;
    while (rest.n > 0 && r->error == NULL)
        slots_read(r, n, word(&rest));
}

/* What must be true of the whole, once each line is good by itself. */
static const char *whole_check(const struct reader *r)
{
    const struct cl_node *n;
    if (!r->vars)
        return "the last line is missing: the file is torn";
    if (r->me == NULL)
        return "no line is myself";
    for (size_t it = 0; (n = cl_each(r->c, &it)) != NULL;) {
        if (!cl_has(n, CL_MASTER | CL_REPLICA) && n == r->me)
            return "myself is neither master nor replica";
        if (cl_has(n, CL_REPLICA) && n->nslots > 0)
            return "a replica has slots";
        if (n->master == n)
            return "a node is its own master";
    }
    return NULL;
}

static void loaded(struct cl_core *c)
{
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (n->master != NULL)
            n->master->had_replicas = true;
        /* A replica's line shows the epoch of its master, which is not its own when it becomes a master. */
        if (n != c->me && cl_has(n, CL_REPLICA))
            n->config_epoch = 0;
        if (n != c->me && !cl_has(n, CL_HANDSHAKE))
            cl_tick_soon(c, n);
    }
    c->restarted = c->me->nslots > 0;
    cl_claim_loaded(c);
    cl_own_address(c);
}

static bool is_vars(struct slice line)
{
    return line.n >= 5 && memcmp(line.p, "vars ", 5) == 0;
}

/* One pass over the lines; *number ends as that of the line with the error. */
static void lines_read(struct reader *r, struct slice text, bool all, size_t *number)
{
    for (*number = 0; text.n > 0 && r->error == NULL;) {
        const char *end = memchr(text.p, '\n', text.n);
        ++*number;
        if (end == NULL || r->vars) {
            r->error = end == NULL ? "no line end: the file is torn" : "something stands behind the last line";
            return;
        }
        struct slice line = {text.p, (size_t)(end - text.p)}, rest = line;
        text = (struct slice){end + 1, text.n - line.n - 1};
        if (is_vars(line)) {
            word(&rest);
            r->vars = true;
            if (all) /* once: each job and each record is one more */
                vars_read(r, rest);
        } else if (all) {
            node_read(r, line);
        } else {
            node_announce(r, line);
        }
    }
}

bool cl_core_load(struct cl_core *c, struct slice text, struct buf *why)
{
    struct reader r = {.c = c};
    size_t number;
    struct cl_node *drawn = c->me;
    /* The node of chance that stood for us gives way to the one of the file. */
    c->me = NULL;
    cl_node_remove(c, drawn);
    lines_read(&r, text, false, &number);
    r.vars = r.error != NULL && r.vars;
    if (r.error == NULL)
        lines_read(&r, text, true, &number);
    if (r.error == NULL)
        r.error = whole_check(&r);
    if (r.error != NULL) {
        buf_printf(why, "line %zu: %s", number, r.error);
        return false;
    }
    assert(r.me != NULL); /* whole_check() */
    c->me = r.me;
    c->me->ours = c->me->heard = true;
    loaded(c);
    return true;
}
