#include "nodectl/shard/candidates.h"

#include "common/base/addr.h"
#include "nodectl/failover_plan.h"
#include "nodectl/failover_ranking.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <string.h>

static json_t *copy_of(const json_t *o, const char *name)
{
    json_t *value = json_object_get(o, name);
    return value != NULL ? json_incref(value) : json_null();
}

/* One that the ranking has and the supervisors together do not tell of yet has no numbers. */
static json_t *row_of(const json_t *replica, const char *address, const char *against, bool impaired)
{
    json_t *o = json_object();
    const char *state = field_text(replica, "state");
    json_object_set_new(o, "rank", json_null());
    json_object_set_new(o, "address", json_text(address, strlen(address)));
    json_object_set_new(o, "state", json_string(state[0] != '\0' ? state : "unknown"));
    json_object_set_new(o, "suitable", json_boolean(against == NULL));
    json_object_set_new(o, "reason", against != NULL ? json_text(against, strlen(against)) : json_null());
    json_object_set_new(o, "impaired", json_boolean(impaired));
    json_object_set_new(o, "priority", copy_of(replica, "priority"));
    json_object_set_new(o, "offset", copy_of(replica, "offset"));
    json_object_set_new(o, "lag_bytes", copy_of(replica, "lag_bytes"));
    json_object_set_new(o, "lag_s", copy_of(replica, "lag_s"));
    json_object_set_new(o, "loss_bytes", copy_of(replica, "lag_bytes"));
    return o;
}

static void by_ranking(json_t *rows, const json_t *replicas, const json_t *ranking)
{
    size_t i;
    const json_t *r;
    json_array_foreach(ranking, i, r)
    {
        const char *address = field_text(r, "name");
        const json_t *replica = json_find(replicas, "address", address);
        json_array_append_new(rows,
                              row_of(replica, address, failover_ranking_against(r), failover_ranking_impaired(r)));
    }
}

/* The best first, as failover_plan() itself would take them. */
static void by_rules(json_t *rows, const json_t *replicas)
{
    json_t *left = json_copy((json_t *)(uintptr_t)replicas);
    while (json_array_size(left) > 0) {
        const json_t *best = failover_preferred(left);
        const json_t *next = best != NULL ? best : json_array_get(left, 0);
        size_t i;
        const json_t *r;
        json_array_append_new(rows, row_of(next, field_text(next, "address"), failover_objection(next), false));
        json_array_foreach(left, i, r)
        {
            if (r == next)
                break;
        }
        json_array_remove(left, i);
    }
    json_decref(left);
}

json_t *candidates_document(const json_t *group, const json_t *ranking, const char *by)
{
    json_t *rows = json_array(), *o;
    const json_t *master = json_object_get(group, "master"), *replicas = json_object_get(group, "replicas");
    size_t i;
    json_int_t rank = 0;
    if (ranking != NULL)
        by_ranking(rows, replicas, ranking);
    else
        by_rules(rows, replicas);
    json_array_foreach(rows, i, o)
    {
        if (json_yes(o, "suitable"))
            json_object_set_new(o, "rank", json_integer(++rank));
    }
    json_t *head = json_pack("{s:s, s:s, s:o}", "address", field_text(master, "address"), "state",
                             field_text(master, "state"), "offset", copy_of(master, "offset"));
    return json_pack("{s:s, s:o, s:s, s:s, s:o}", "group", field_text(group, "name"), "master", head, "by", by,
                     "ranked_by", ranking != NULL ? "sentineld" : "rules of redis-sentinel", "candidates", rows);
}

/* ---- for people ---- */

static void number_cell(struct table *t, const json_t *o, const char *name, const char *unit)
{
    int64_t n = json_int(o, name, -1);
    if (n >= 0)
        table_cell(t, PAINT_NONE, "%lld%s", (long long)n, unit);
    else
        table_cell(t, PAINT_NONE, "-");
}

static void verdict_cell(struct table *t, const json_t *o, bool first)
{
    const char *reason = field_text(o, "reason");
    if (!json_yes(o, "suitable"))
        table_cell(t, PAINT_BAD, "never: %s", reason);
    else if (json_yes(o, "impaired"))
        table_cell(t, PAINT_WARN, "only when there is no better one");
    else
        table_cell(t, PAINT_GOOD, first ? "the next master" : "suitable");
}

void candidates_print(const json_t *candidates, FILE *out, bool colour)
{
    static const char *const titles[] = {
        "RANK", "NODE", "STATE", "VERDICT", "~PRIORITY", "~OFFSET", "LAG", "LOST IF PROMOTED NOW", NULL};
    const json_t *rows = json_object_get(candidates, "candidates"), *master = json_object_get(candidates, "master");
    const json_t *o;
    size_t i;
    print_painted(out, colour, PAINT_HEAD, field_text(candidates, "group"));
    print_line(out, false, PAINT_NONE, ": master %s, %s; as %s ranks them", field_text(master, "address"),
               field_text(master, "state"), field_text(candidates, "by"));
    if (json_array_size(rows) == 0) {
        fputs("It has no replica: when its master dies, nothing can be promoted.\n", out);
        return;
    }
    struct table *t = table_new(titles);
    json_array_foreach(rows, i, o)
    {
        int64_t loss = json_int(o, "loss_bytes", -1);
        number_cell(t, o, "rank", "");
        table_cell(t, PAINT_NONE, "%s", field_text(o, "address"));
        table_cell(t, PAINT_NONE, "%s", field_text(o, "state"));
        verdict_cell(t, o, json_int(o, "rank", 0) == 1);
        number_cell(t, o, "priority", "");
        number_cell(t, o, "offset", "");
        number_cell(t, o, "lag_s", " s");
        if (loss == 0)
            table_cell(t, PAINT_GOOD, "nothing");
        else
            number_cell(t, o, "loss_bytes", " bytes");
    }
    table_print(t, out, "", colour);
    table_free(t);
    fputs("\nA switchover loses nothing: writes are paused until the replica has all of them.\n", out);
}
