#include "nodectl/view/topology.h"

#include "common/base/bytes.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <string.h>

/* The branches of a tree, with lines of the character set that the terminal has. */
struct pen {
    const struct topology_style *style;
    FILE *out;
    char stem[64]; /* what stands before the branch of a line */
};

static const char *const branches[2][4] = {
    {"|- ", "`- ", "|  ", "   "},
    {"\xe2\x94\x9c\xe2\x94\x80 ", "\xe2\x94\x94\xe2\x94\x80 ", "\xe2\x94\x82  ", "   "},
};

static void put(const struct pen *p, enum paint paint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void put(const struct pen *p, enum paint paint, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    print_painted(p->out, p->style->colour, paint, buf_str(&text));
    buf_free(&text);
}

static void put_branch(const struct pen *p, bool last)
{
    fputs(p->stem, p->out);
    fputs(branches[p->style->utf8][last], p->out);
}

static struct pen below(const struct pen *p, bool last)
{
    struct pen under = {.style = p->style, .out = p->out};
    snprintf(under.stem, sizeof under.stem, "%s%s", p->stem, branches[p->style->utf8][2 + last]);
    return under;
}

static enum paint paint_of(const char *state)
{
    if (strcmp(state, "ok") == 0 || strcmp(state, "up") == 0)
        return PAINT_GOOD;
    bool bad = strcmp(state, "s_down") == 0 || strcmp(state, "o_down") == 0 || strcmp(state, "down") == 0 ||
               strcmp(state, "incomplete") == 0;
    return bad ? PAINT_BAD : PAINT_WARN;
}

static void put_node(const struct pen *p, const json_t *node, bool master, bool last)
{
    const char *state = field_text(node, "state"), *link = field_text(node, "master_link");
    int64_t lag = json_int(node, "lag_bytes", -1), lease_ms = json_int(node, "lease_ms", -1);
    put_branch(p, last);
    put(p, PAINT_NONE, "%-21s  %-7s  ", field_text(node, "address"), master ? "master" : "replica");
    put(p, paint_of(state), "%s", state);
    if (master && lease_ms >= 0)
        put(p, lease_ms > 0 ? PAINT_NONE : PAINT_BAD, "  leased by %lld for %lld ms",
            (long long)json_int(node, "lease_grants", 0), (long long)lease_ms);
    if (master && json_int(node, "ops_per_s", -1) >= 0)
        put(p, PAINT_NONE, "  %lld ops/s", (long long)json_int(node, "ops_per_s", 0));
    if (!master && strcmp(link, "ok") != 0)
        put(p, PAINT_BAD, "  no link to its master");
    else if (!master && lag >= 0)
        put(p, PAINT_NONE, "  %lld bytes behind", (long long)lag);
    fputc('\n', p->out);
}

static void put_shard(const struct pen *p, const json_t *shard, bool last)
{
    const char *state = field_text(shard, "state"), *ranges = field_text(shard, "slot_ranges");
    const json_t *replicas = json_object_get(shard, "replicas"), *r;
    size_t i, n = json_array_size(replicas);
    put_branch(p, last);
    put(p, PAINT_HEAD, "%s", field_text(shard, "name"));
    put(p, paint_of(state), "  %s", state);
    if (json_int(shard, "slots", -1) > 0)
        put(p, PAINT_NONE, "  slots %s (%lld)", ranges, (long long)json_int(shard, "slots", 0));
    else if (json_int(shard, "slots", -1) == 0)
        put(p, PAINT_WARN, "  no slots");
    put(p, PAINT_NONE, "  epoch %lld", (long long)json_int(shard, "config_epoch", 0));
    fputc('\n', p->out);
    struct pen under = below(p, last);
    put_node(&under, json_object_get(shard, "master"), true, n == 0);
    json_array_foreach(replicas, i, r)
    {
        put_node(&under, r, false, i + 1 == n);
    }
}

static void put_shards(const struct pen *p, const json_t *shards)
{
    size_t i;
    const json_t *shard;
    json_array_foreach(shards, i, shard)
    {
        put_shard(p, shard, i + 1 == json_array_size(shards));
    }
}

static void put_cluster(const struct pen *p, const json_t *c)
{
    const char *state = field_text(c, "state");
    put(p, PAINT_HEAD, "%s", field_text(c, "name"));
    put(p, paint_of(state), "  %s", state);
    put(p, PAINT_NONE, "  epoch %lld  %lld of 16384 slots", (long long)json_int(c, "epoch", 0),
        (long long)json_int(c, "slots_covered", 0));
    if (json_int(c, "lease_ms", 0) > 0 && json_int(c, "leased_shards", 0) == 0)
        put(p, PAINT_WARN, "  no leases: no master is a noded");
    else if (json_int(c, "lease_ms", 0) > 0)
        put(p, PAINT_NONE, "  leases of %lld ms", (long long)json_int(c, "lease_ms", 0));
    fputc('\n', p->out);
    put_shards(p, json_object_get(c, "shards"));
}

static void put_supervisors(const struct pen *p, const json_t *supervisors)
{
    size_t i;
    const json_t *s;
    put(p, PAINT_HEAD, "supervisors");
    fputc('\n', p->out);
    json_array_foreach(supervisors, i, s)
    {
        bool up = json_yes(s, "reachable");
        int64_t of = json_int(s, "of", 0), grants = json_int(s, "grants", 0);
        put_branch(p, i + 1 == json_array_size(supervisors));
        put(p, PAINT_NONE, "%-21s  %.8s  ", field_text(s, "address"), field_text(s, "id"));
        put(p, up ? PAINT_GOOD : PAINT_BAD, "%s", up ? "up" : "does not answer");
        if (of > 0)
            put(p, grants < of ? PAINT_WARN : PAINT_NONE, "  grants leases to %lld of %lld masters", (long long)grants,
                (long long)of);
        fputc('\n', p->out);
    }
}

static void put_carried(const struct pen *p, const char *what, const json_t *names, bool last)
{
    size_t i;
    const json_t *name;
    put_branch(p, last);
    put(p, PAINT_NONE, "%zu %s%s", json_array_size(names), what, json_array_size(names) > 0 ? ":" : "");
    json_array_foreach(names, i, name)
    {
        put(p, PAINT_NONE, " %s", json_string_value(name));
    }
    fputc('\n', p->out);
}

static void put_hosts(const struct pen *p, const json_t *hosts)
{
    size_t i;
    const json_t *h;
    json_array_foreach(hosts, i, h)
    {
        const char *zone = field_text(h, "zone");
        put(p, PAINT_HEAD, "host %s", field_text(h, "host"));
        if (zone[0] != '\0')
            put(p, PAINT_NONE, "  zone %s", zone);
        fputc('\n', p->out);
        put_carried(p, "masters", json_object_get(h, "masters"), false);
        put_carried(p, "replicas", json_object_get(h, "replicas"), false);
        put_carried(p, "supervisors", json_object_get(h, "supervisors"), true);
    }
}

static void put_lines(const struct pen *p, const json_t *lines, const char *title, enum paint paint)
{
    size_t i;
    const json_t *line;
    if (json_array_size(lines) == 0)
        return;
    fputc('\n', p->out);
    put(p, PAINT_HEAD, "%s", title);
    fputc('\n', p->out);
    json_array_foreach(lines, i, line)
    {
        fputs("  ", p->out);
        put(p, paint, "%s", json_string_value(line));
        fputc('\n', p->out);
    }
}

void topology_print(const json_t *topology, const struct topology_style *style, FILE *out)
{
    struct pen pen = {.style = style, .out = out};
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(topology, "clusters"), i, c)
    {
        put_cluster(&pen, c);
    }
    const json_t *groups = json_object_get(topology, "groups");
    if (json_array_size(groups) > 0) {
        put(&pen, PAINT_HEAD, "groups");
        fputc('\n', out);
        put_shards(&pen, groups);
    }
    put_supervisors(&pen, json_object_get(topology, "supervisors"));
    if (style->hosts)
        put_hosts(&pen, json_object_get(topology, "hosts"));
    put_lines(&pen, json_object_get(topology, "problems"), "Problems", PAINT_BAD);
    put_lines(&pen, json_object_get(topology, "notes"), "Notes", PAINT_NONE);
}
