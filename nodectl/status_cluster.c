#include "nodectl/status_cluster.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_node.h"
#include "nodectl/table.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 16384

bool status_means(const char *word, const char *group)
{
    size_t n = strlen(word);
    return strncmp(word, group, n) == 0 && (group[n] == '\0' || group[n] == '/');
}

static bool is_wanted(const char *name, const char *const *wanted, size_t nwanted)
{
    for (size_t i = 0; i < nwanted; i++)
        if (strcmp(wanted[i], name) == 0)
            return true;
    return nwanted == 0;
}

static void judge(const json_t *map, const char *name, json_t *problems)
{
    const char *state = field_text(map, "state");
    long long assigned = (long long)field_number(map, "slots-assigned", 0);
    long long covered = (long long)field_number(map, "slots-covered", 0);
    if (strcmp(state, "unknown") == 0)
        add_line(problems, "cluster %s: none of its nodes has answered yet", name);
    else if (assigned < SLOTS)
        add_line(problems, "cluster %s: %lld slots belong to nobody", name, SLOTS - assigned);
    if (covered < assigned)
        add_line(problems, "cluster %s: the master of %lld slots is down", name, assigned - covered);
}

/* Summed over the masters; null: nobody told it. */
static json_t *keys_of(const json_t *told)
{
    const json_t *databases = json_object_get(told, "databases"), *d;
    json_int_t keys = 0;
    size_t i;
    json_array_foreach(databases, i, d)
    {
        keys += (json_int_t)field_number(d, "keys", 0);
    }
    return databases != NULL ? json_integer(keys) : json_null();
}

static json_t *merge_cluster(const json_t *views, const char *name, json_t *problems)
{
    const json_t *view;
    const json_t *teller = json_array_get(views, status_teller(views, name));
    const json_t *best = json_named(json_object_get(teller, "clusters"), name);
    size_t i, watched = 0;
    json_array_foreach(views, i, view)
    {
        watched += json_named(json_object_get(view, "clusters"), name) != NULL;
    }
    judge(best, name, problems);
    return json_pack(
        "{s:s, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:s}", "name", name, "state",
        field_text(best, "state"), "epoch", (json_int_t)field_number(best, "epoch", 0), "agreed",
        field_number(best, "agreed", 0) != 0, "slots_assigned", (json_int_t)field_number(best, "slots-assigned", 0),
        "slots_covered", (json_int_t)field_number(best, "slots-covered", 0), "shards",
        (json_int_t)field_number(best, "num-shards", 0), "nodes", (json_int_t)field_number(best, "num-nodes", 0),
        "lease_ms", (json_int_t)field_number(best, "lease-milliseconds", 0), "keys",
        keys_of(json_object_get(json_object_get(teller, "told"), name)), "watched_by", (json_int_t)watched, "told_by",
        field_text(teller, "address"));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *status_clusters(const json_t *views, const char *const *wanted, size_t nwanted, json_t *problems)
{
    json_t *clusters = json_array();
    const char **names = NULL;
    size_t i, k, n = 0, cap = 0;
    const json_t *view, *map;
    json_array_foreach(views, i, view)
    {
        json_array_foreach(json_object_get(view, "clusters"), k, map)
        {
            const char *name = field_text(map, "name");
            if (name[0] == '\0' || !is_wanted(name, wanted, nwanted))
                continue;
            names = mem_grow(names, n, &cap, sizeof *names);
            names[n++] = name;
        }
    }
    if (n > 0)
        qsort(names, n, sizeof *names, by_name);
    for (i = 0; i < n; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            json_array_append_new(clusters, merge_cluster(views, names[i], problems));
    free(names);
    return clusters;
}

static bool is_leased(const json_t *group)
{
    return json_is_integer(json_object_get(json_object_get(group, "master"), "lease_ms"));
}

static void judge_leases(json_t *cluster, const json_t *groups, json_t *problems)
{
    const char *name = field_text(cluster, "name");
    json_int_t leased = 0;
    size_t i;
    const json_t *g;
    json_array_foreach(groups, i, g)
    {
        leased += status_means(name, field_text(g, "name")) && is_leased(g);
    }
    json_object_set_new(cluster, "leased_shards", json_integer(leased));
    json_array_foreach(groups, i, g)
    {
        if (leased > 0 && status_means(name, field_text(g, "name")) && !is_leased(g) &&
            strcmp(field_text(g, "state"), "ok") == 0)
            add_line(problems,
                     "%s: its master %s is no noded and takes writes without a lease: nothing would keep a second "
                     "master from taking some too. 'nodectl shard switchover' to a noded of the shard mends that",
                     field_text(g, "name"), field_text(json_object_get(g, "master"), "address"));
    }
}

void status_leases(json_t *clusters, const json_t *groups, json_t *problems)
{
    size_t i;
    json_t *cluster;
    json_array_foreach(clusters, i, cluster)
    {
        judge_leases(cluster, groups, problems);
    }
}

static enum paint paint_of(const char *state)
{
    if (strcmp(state, "ok") == 0)
        return PAINT_GOOD;
    return strcmp(state, "down") == 0 || strcmp(state, "incomplete") == 0 ? PAINT_BAD : PAINT_WARN;
}

static long long number(const json_t *o, const char *name)
{
    return (long long)json_integer_value(json_object_get(o, name));
}

void status_print_clusters(const json_t *clusters, FILE *out, bool colour)
{
    static const char *const titles[] = {"CLUSTER", "STATE", "EPOCH", "SLOTS", "SHARDS", "NODES", NULL};
    size_t i;
    const json_t *c;
    if (json_array_size(clusters) == 0)
        return;
    struct table *t = table_new(titles);
    json_array_foreach(clusters, i, c)
    {
        long long covered = number(c, "slots_covered");
        bool agreed = json_is_true(json_object_get(c, "agreed"));
        table_cell(t, PAINT_NONE, "%s", field_text(c, "name"));
        table_cell(t, paint_of(field_text(c, "state")), "%s%s", field_text(c, "state"),
                   agreed ? "" : ", nodes do not agree yet");
        table_cell(t, PAINT_NONE, "%lld", number(c, "epoch"));
        table_cell(t, covered < SLOTS ? PAINT_BAD : PAINT_NONE, "%lld of %d", covered, SLOTS);
        table_cell(t, PAINT_NONE, "%lld", number(c, "shards"));
        table_cell(t, PAINT_NONE, "%lld", number(c, "nodes"));
    }
    table_print(t, out, "", colour);
    table_free(t);
    fputc('\n', out);
}
