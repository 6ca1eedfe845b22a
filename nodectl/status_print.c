#include "nodectl/status_print.h"

#include "nodectl/reply_json.h"
#include "nodectl/status_cluster.h"
#include "nodectl/table.h"

#include <string.h>

#define SHORT_ID 8

static bool is_true(const json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}

static int64_t number(const json_t *o, const char *name)
{
    const json_t *n = json_object_get(o, name);
    return json_is_integer(n) ? json_integer_value(n) : -1;
}

static enum paint paint_of(const char *state)
{
    if (strcmp(state, "ok") == 0 || strcmp(state, "up") == 0)
        return PAINT_GOOD;
    bool down = strcmp(state, "s_down") == 0 || strcmp(state, "o_down") == 0 || strcmp(state, "down") == 0;
    return down ? PAINT_BAD : PAINT_WARN;
}

static void number_cell(struct table *t, int64_t n)
{
    if (n >= 0)
        table_cell(t, PAINT_NONE, "%lld", (long long)n);
    else
        table_cell(t, PAINT_NONE, "-");
}

static void age_cell(struct table *t, int64_t ms)
{
    if (ms >= 0)
        table_cell(t, PAINT_NONE, "%.1f s", (double)ms / 1000);
    else
        table_cell(t, PAINT_NONE, "-");
}

/* ---- one line a group ---- */

static size_t replicas_up(const json_t *group)
{
    size_t i, up = 0;
    const json_t *r;
    json_array_foreach(json_object_get(group, "replicas"), i, r)
    {
        up += strcmp(field_text(r, "state"), "ok") == 0;
    }
    return up;
}

/* How far the replica is behind that is furthest; -1: no one's lag is known. */
static int64_t worst_lag(const json_t *group)
{
    size_t i;
    int64_t worst = -1;
    const json_t *r;
    json_array_foreach(json_object_get(group, "replicas"), i, r)
    {
        worst = number(r, "lag_bytes") > worst ? number(r, "lag_bytes") : worst;
    }
    return worst;
}

static bool is_well(const json_t *group)
{
    size_t i;
    const json_t *seat;
    bool well = strcmp(field_text(group, "state"), "ok") == 0 && is_true(group, "agreed") &&
                is_true(group, "quorum_ok") &&
                replicas_up(group) == json_array_size(json_object_get(group, "replicas"));
    json_array_foreach(json_object_get(group, "supervisors"), i, seat)
    {
        well = well && strcmp(field_text(seat, "state"), "down") != 0;
    }
    return well;
}

static void size_cell(struct table *t, int64_t bytes)
{
    if (bytes < 0)
        table_cell(t, PAINT_NONE, "-");
    else if (bytes < 10000)
        table_cell(t, PAINT_NONE, "%lld B", (long long)bytes);
    else if (bytes < 10000000)
        table_cell(t, PAINT_NONE, "%.1f KB", (double)bytes / 1e3);
    else if (bytes < 10000000000)
        table_cell(t, PAINT_NONE, "%.1f MB", (double)bytes / 1e6);
    else
        table_cell(t, PAINT_NONE, "%.1f GB", (double)bytes / 1e9);
}

static void wide_cells(struct table *t, const json_t *group)
{
    const json_t *master = json_object_get(group, "master");
    const char *ranges = field_text(group, "slot_ranges");
    int64_t lease_ms = number(master, "lease_ms");
    if (ranges[0] != '\0')
        table_cell(t, PAINT_NONE, "%s (%lld)", ranges, (long long)number(group, "slots"));
    else
        table_cell(t, PAINT_NONE, "-");
    if (lease_ms >= 0)
        table_cell(t, lease_ms > 0 ? PAINT_NONE : PAINT_BAD, "%lld ms by %lld", (long long)lease_ms,
                   (long long)number(master, "lease_grants"));
    else
        table_cell(t, PAINT_NONE, "-");
    number_cell(t, number(master, "ops_per_s"));
    size_cell(t, number(master, "used_memory"));
}

static void summary_row(struct table *t, const json_t *g, bool wide)
{
    const char *state = field_text(g, "state");
    size_t replicas = json_array_size(json_object_get(g, "replicas")), up = replicas_up(g);
    bool quorum_ok = is_true(g, "quorum_ok");
    table_cell(t, PAINT_NONE, "%s", field_text(g, "name"));
    if (is_true(g, "agreed"))
        table_cell(t, paint_of(state), "%s", state);
    else
        table_cell(t, PAINT_BAD, "%s, disagreement", state);
    table_cell(t, PAINT_NONE, "%s", field_text(json_object_get(g, "master"), "address"));
    number_cell(t, number(g, "config_epoch"));
    number_cell(t, number(g, "quorum"));
    table_cell(t, quorum_ok ? PAINT_NONE : PAINT_BAD, "%lld of %lld usable%s",
               (long long)number(g, "usable_supervisors"), (long long)number(g, "known_supervisors"),
               quorum_ok ? "" : ", no quorum");
    table_cell(t, up < replicas ? PAINT_WARN : PAINT_NONE, "%zu of %zu up", up, replicas);
    size_cell(t, worst_lag(g));
    if (wide)
        wide_cells(t, g);
}

static void print_summary(const json_t *groups, bool wide, FILE *out, bool colour)
{
    static const char *const titles[] = {"GROUP",       "STATE",    "MASTER", "~EPOCH", "~QUORUM",
                                         "SUPERVISORS", "REPLICAS", "LAG",    NULL};
    static const char *const wide_titles[] = {"GROUP",       "STATE",    "MASTER", "~EPOCH", "~QUORUM",
                                              "SUPERVISORS", "REPLICAS", "LAG",    "SLOTS",  "LEASE",
                                              "OPS/S",       "MEMORY",   NULL};
    struct table *t = table_new(wide ? wide_titles : titles);
    size_t i;
    const json_t *g;
    json_array_foreach(groups, i, g)
    {
        summary_row(t, g, wide);
    }
    table_print(t, out, "", colour);
    table_free(t);
}

/* ---- a group with its nodes ---- */

static void flags_cell(struct table *t, const json_t *node)
{
    struct buf text = {0};
    size_t i;
    const json_t *flag;
    json_array_foreach(json_object_get(node, "flags"), i, flag)
    {
        buf_printf(&text, "%s%s", i > 0 ? "," : "", json_string_value(flag));
    }
    table_cell(t, PAINT_NONE, "%s", buf_str(&text));
    buf_free(&text);
}

static void lag_cell(struct table *t, const json_t *replica)
{
    int64_t bytes = number(replica, "lag_bytes"), seconds = number(replica, "lag_s");
    if (bytes < 0)
        table_cell(t, PAINT_NONE, "-");
    else if (seconds < 0)
        table_cell(t, PAINT_NONE, "%lld bytes", (long long)bytes);
    else
        table_cell(t, PAINT_NONE, "%lld bytes, %lld s", (long long)bytes, (long long)seconds);
}

static void node_row(struct table *t, const json_t *node, bool master)
{
    const char *state = field_text(node, "state"), *link = field_text(node, "master_link");
    table_cell(t, PAINT_NONE, "%s", field_text(node, "address"));
    table_cell(t, PAINT_NONE, master ? "master" : "replica");
    table_cell(t, paint_of(state), "%s", state);
    flags_cell(t, node);
    if (master)
        table_cell(t, PAINT_NONE, "-");
    else if (strcmp(link, "ok") == 0)
        table_cell(t, PAINT_GOOD, "up");
    else
        table_cell(t, PAINT_BAD, "down");
    number_cell(t, number(node, "offset"));
    if (master)
        table_cell(t, PAINT_NONE, "-");
    else
        lag_cell(t, node);
    number_cell(t, master ? -1 : number(node, "priority"));
    age_cell(t, number(node, "last_ok_ping_ms"));
}

static void print_nodes(const json_t *group, FILE *out, bool colour)
{
    static const char *const titles[] = {"NODE",    "ROLE", "STATE",    "FLAGS",      "LINK",
                                         "~OFFSET", "LAG",  "PRIORITY", "~LAST PING", NULL};
    struct table *t = table_new(titles);
    size_t i;
    const json_t *r;
    node_row(t, json_object_get(group, "master"), true);
    json_array_foreach(json_object_get(group, "replicas"), i, r)
    {
        node_row(t, r, false);
    }
    table_print(t, out, "  ", colour);
    table_free(t);
}

static void print_seats(const json_t *group, FILE *out, bool colour)
{
    static const char *const titles[] = {"SUPERVISOR", "ID", "STATE", "SAYS", NULL};
    struct table *t = table_new(titles);
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(group, "supervisors"), i, s)
    {
        const char *state = field_text(s, "state"), *why = field_text(s, "why");
        const json_t *says = json_object_get(s, "says");
        table_cell(t, PAINT_NONE, "%s", field_text(s, "address"));
        table_cell(t, PAINT_NONE, "%.*s", SHORT_ID, field_text(s, "id"));
        table_cell(t, paint_of(state), "%s", state);
        if (json_is_object(says))
            table_cell(t, PAINT_NONE, "master %s is %s, epoch %lld", field_text(says, "master"),
                       field_text(says, "state"), (long long)number(says, "config_epoch"));
        else
            table_cell(t, PAINT_NONE, "%s", why[0] != '\0' ? why : "-");
    }
    table_print(t, out, "  ", colour);
    table_free(t);
}

static void print_part(const json_t *lines, const char *title, enum paint paint, FILE *out, bool colour)
{
    size_t i;
    const json_t *line;
    if (json_array_size(lines) == 0)
        return;
    fputc('\n', out);
    print_painted(out, colour, PAINT_HEAD, title);
    fputc('\n', out);
    json_array_foreach(lines, i, line)
    {
        fputs("  ", out);
        print_painted(out, colour, paint, json_string_value(line));
        fputc('\n', out);
    }
}

static bool is_named(const json_t *group, const struct status_wish *wish)
{
    for (size_t i = 0; i < wish->ngroups; i++)
        if (strcmp(wish->groups[i], field_text(group, "name")) == 0)
            return true;
    return false;
}

void status_print(const json_t *document, const struct status_wish *wish, FILE *out, bool colour)
{
    const json_t *groups = json_object_get(document, "groups");
    size_t i;
    const json_t *g;
    bool only = json_array_size(groups) == 1;
    status_print_clusters(json_object_get(document, "clusters"), out, colour);
    if (json_array_size(groups) > 0)
        print_summary(groups, wish->wide, out, colour);
    json_array_foreach(groups, i, g)
    {
        if (!only && !wish->wide && is_well(g) && !is_named(g, wish))
            continue;
        fputc('\n', out);
        print_painted(out, colour, PAINT_HEAD, field_text(g, "name"));
        fputc('\n', out);
        print_nodes(g, out, colour);
        fputc('\n', out);
        print_seats(g, out, colour);
    }
    print_part(json_object_get(document, "problems"), "Problems", PAINT_BAD, out, colour);
    print_part(json_object_get(document, "notes"), "Notes", PAINT_NONE, out, colour);
}
