#include "nodectl/failover_plan.h"

#include "common/base/mem.h"
#include "nodectl/failover_ranking.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_DEFAULT_MS 180000

static int64_t number(const json_t *o, const char *name, int64_t absent)
{
    const json_t *n = json_object_get(o, name);
    return json_is_integer(n) ? json_integer_value(n) : absent;
}

/* ---- which replica ---- */

const char *failover_objection(const json_t *r)
{
    const json_t *connected = json_object_get(r, "connected");
    if (strcmp(field_text(r, "state"), "ok") != 0)
        return "it is down";
    if (json_is_false(connected))
        return "the supervisors have no connection to it";
    if (number(r, "priority", 100) == 0)
        return "its priority is 0, which means never";
    return NULL;
}

/* The order of stock: priority, offset, run id. */
static bool is_better(const json_t *a, const json_t *b)
{
    int64_t pa = number(a, "priority", 100), pb = number(b, "priority", 100);
    int64_t oa = number(a, "offset", 0), ob = number(b, "offset", 0);
    if (pa != pb)
        return pa < pb;
    if (oa != ob)
        return oa > ob;
    return strcmp(field_text(a, "run_id"), field_text(b, "run_id")) < 0;
}

const json_t *failover_preferred(const json_t *replicas)
{
    const json_t *best = NULL, *r;
    size_t i;
    json_array_foreach(replicas, i, r)
    {
        if (failover_objection(r) == NULL && (best == NULL || is_better(r, best)))
            best = r;
    }
    return best;
}

static const json_t *find_replica(const json_t *replicas, const char *to, struct buf *why)
{
    struct addr wanted, own;
    const json_t *r;
    size_t i;
    if (!addr_parse(slice_of(to), &wanted)) {
        buf_printf(why, "--to is '%s', which is not host:port", to);
        return NULL;
    }
    json_array_foreach(replicas, i, r)
    {
        if (addr_parse(slice_of(field_text(r, "address")), &own) && addr_eq(&own, &wanted))
            return r;
    }
    buf_printf(why, "%s is no replica of this group. Its replicas are:", to);
    json_array_foreach(replicas, i, r)
    {
        buf_printf(why, " %s", field_text(r, "address"));
    }
    if (json_array_size(replicas) == 0)
        buf_puts(why, " none");
    return NULL;
}

static bool choose_best(const json_t *replicas, const json_t *ranking, struct failover_plan *plan)
{
    if (ranking == NULL) {
        plan->replica = failover_preferred(replicas);
        if (plan->replica != NULL)
            plan->to = mem_strdup(field_text(plan->replica, "address"));
        return plan->replica != NULL;
    }
    const json_t *best = failover_ranking_best(ranking);
    if (best == NULL)
        return false;
    struct buf none = {0};
    plan->to = mem_strdup(field_text(best, "name"));
    plan->replica = find_replica(replicas, plan->to, &none); /* NULL: the others have not heard of it yet */
    plan->impaired = failover_ranking_impaired(best);
    plan->by_force = failover_ranking_by_force(best);
    buf_free(&none);
    return true;
}

static void tell_none(const json_t *ranking, struct buf *why)
{
    size_t i;
    const json_t *row;
    buf_puts(why, "no replica can be promoted");
    json_array_foreach(ranking, i, row)
    {
        const char *against = failover_ranking_against(row);
        buf_printf(why, "%s %s: %s", i == 0 ? ":" : ";", field_text(row, "name"),
                   against != NULL ? against : "suitable");
    }
}

static bool choose(const json_t *group, const struct failover_wish *wish, const json_t *ranking,
                   struct failover_plan *plan, struct buf *why)
{
    const json_t *replicas = json_object_get(group, "replicas");
    if (wish->to == NULL) {
        bool found = choose_best(replicas, ranking, plan);
        if (!found)
            tell_none(ranking, why);
        return found;
    }
    plan->replica = find_replica(replicas, wish->to, why);
    if (plan->replica == NULL)
        return false;
    plan->to = mem_strdup(field_text(plan->replica, "address"));
    const json_t *row = failover_ranking_row(ranking, plan->to);
    const char *against = failover_objection(plan->replica);
    plan->by_force = row != NULL && failover_ranking_by_force(row);
    if (against == NULL && row != NULL && !plan->by_force)
        against = failover_ranking_against(row);
    if (against != NULL)
        buf_printf(why, "%s cannot be promoted: %s", wish->to, against);
    plan->impaired = row != NULL && failover_ranking_impaired(row);
    return against == NULL;
}

/* ---- which supervisor ---- */

size_t failover_supervisor(const json_t *views, const bool *ours, const struct failover_wish *wish)
{
    size_t best = status_reporter(views, wish->group);
    bool needs_ours = wish->coordinated || wish->to != NULL;
    if (best == SIZE_MAX || !needs_ours || ours[best])
        return best;
    for (size_t i = 0; i < json_array_size(views); i++)
        if (ours[i] && status_group(views, i, wish->group) != NULL)
            return i;
    return SIZE_MAX;
}

bool failover_plan(const json_t *views, const bool *ours, const json_t *document, const struct failover_wish *wish,
                   const json_t *ranking, struct failover_plan *plan, struct buf *why)
{
    *plan = (struct failover_plan){.by_ours = false};
    const json_t *group = json_named(json_object_get(document, "groups"), wish->group);
    if (group == NULL) {
        buf_printf(why, "no supervisor that answers watches a group named '%s'", wish->group);
        return false;
    }
    size_t by = failover_supervisor(views, ours, wish);
    if (by == SIZE_MAX) {
        buf_printf(why, "%s is known to sentineld only, and of the supervisors that answer none is one",
                   wish->coordinated ? "--coordinated" : "--to");
        return false;
    }
    if (!choose(group, wish, ranking, plan, why))
        return false;
    const char *state = field_text(json_object_get(group, "master"), "state");
    if (wish->coordinated && strcmp(state, "ok") != 0) {
        buf_puts(why, "the master is down: a coordinated failover needs it. Without --coordinated it can be done");
        return false;
    }
    if (plan->by_force && strcmp(state, "ok") == 0) {
        buf_printf(why, "%s may not know what its master has promised, which is well: wait until it follows", plan->to);
        return false;
    }
    plan->from = mem_strdup(field_text(json_object_get(group, "master"), "address"));
    plan->by = mem_strdup(field_text(json_array_get(views, by), "address"));
    plan->by_ours = ours[by];
    plan->timeout_ms = field_number(json_object_get(status_group(views, by, wish->group), "master"), "failover-timeout",
                                    TIMEOUT_DEFAULT_MS);
    return true;
}

void failover_plan_free(struct failover_plan *p)
{
    free(p->from);
    free(p->to);
    free(p->by);
    *p = (struct failover_plan){.by_ours = false};
}

/* ---- for people ---- */

static void put_lag(struct buf *out, const json_t *r)
{
    int64_t bytes = number(r, "lag_bytes", -1), seconds = number(r, "lag_s", -1);
    if (bytes >= 0)
        buf_printf(out, ", %lld bytes behind", (long long)bytes);
    else
        buf_puts(out, ", how far behind is not known");
    if (seconds >= 0)
        buf_printf(out, ", last heard of %lld s ago", (long long)seconds);
}

void failover_plan_put(struct buf *out, const json_t *document, const struct failover_wish *wish,
                       const struct failover_plan *plan)
{
    const json_t *group = json_named(json_object_get(document, "groups"), wish->group);
    const char *state = field_text(json_object_get(group, "master"), "state");
    buf_printf(out, "from         %s (master, %s)\nto           %s (replica, priority %lld", plan->from, state,
               plan->to, (long long)number(plan->replica, "priority", 100));
    put_lag(out, plan->replica);
    buf_puts(out, wish->to != NULL ? ")\n" : "; the supervisor chooses, by the rules this one)\n");
    buf_printf(out, "how          %s\n",
               wish->coordinated ? "coordinated: writes are paused, the replica catches up, then they change places"
                                 : "plain: writes that the replica does not have when it is promoted are lost");
    buf_printf(out, "by           %s (%s)\n", plan->by, plan->by_ours ? "sentineld" : "redis-sentinel");
    buf_printf(out, "supervisors  %lld of %lld usable, quorum %lld", (long long)number(group, "usable_supervisors", 0),
               (long long)number(group, "known_supervisors", 0), (long long)number(group, "quorum", 0));
}
