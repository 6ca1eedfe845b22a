#include "nodectl/supervisor/roll.h"

#include "common/io/clock.h"
#include "common/base/mem.h"
#include "nodectl/info.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_node.h"

#include <stdlib.h>
#include <string.h>

/* ---- INFO ---- */

static void set_field(json_t *o, const char *as, const redisReply *r, const char *name)
{
    struct slice s = slice_trim(info_field(reply_text(r), name));
    json_object_set_new(o, as, json_text(s.n > 0 ? s.p : "", s.n));
}

static void read_info(json_t *o, const redisReply *r, int64_t before_ms, int64_t after_ms)
{
    bool ours = info_field(reply_text(r), "sentineld_version").n > 0;
    json_object_set_new(o, "kind", json_string(ours ? "sentineld" : "redis-sentinel"));
    set_field(o, "version", r, ours ? "sentineld_version" : "redis_version");
    set_field(o, "executable", r, "executable");
    set_field(o, "config_file", r, "config_file");
    set_field(o, "pid", r, "process_id");
    set_field(o, "clock", r, "server_time_usec");
    int64_t clock_us = field_number(o, "clock", 0);
    json_object_del(o, "clock");
    if (clock_us > 0) {
        json_object_set_new(o, "clock_ms", json_integer(clock_us / 1000 - (before_ms + after_ms) / 2));
        json_object_set_new(o, "clock_error_ms", json_integer((after_ms - before_ms) / 2 + 1));
    }
}

/* ---- what the view has ---- */

static void read_view(json_t *o, const json_t *view)
{
    json_t *groups = json_array(), *clusters = json_array(), *map, *group;
    const char *name;
    size_t i;
    int64_t epoch = 0, leases = 0, version = 0, counted = 0;
    json_object_foreach(json_object_get(view, "groups"), name, group)
    {
        map = json_object_get(group, "master");
        json_array_append_new(groups, json_string(name));
        int64_t of_group = field_number(map, "config-epoch", 0);
        epoch = of_group > epoch ? of_group : epoch;
        leases += field_number(map, "lease-granted-ms", 0) > 0;
    }
    json_array_foreach(json_object_get(view, "clusters"), i, map)
    {
        json_array_append(clusters, json_object_get(map, "name"));
        int64_t of_cluster = field_number(map, "epoch", 0), of_list = field_number(map, "supervisors-version", 0);
        epoch = of_cluster > epoch ? of_cluster : epoch;
        version = of_list > version ? of_list : version;
        counted = counted > 0 || field_number(map, "supervisors-counted", 0) > 0;
    }
    json_object_set_new(o, "groups", groups);
    json_object_set_new(o, "clusters", clusters);
    json_object_set_new(o, "epoch", json_integer(epoch));
    json_object_set_new(o, "leases", json_integer(leases));
    json_object_set_new(o, "list_version", json_integer(version));
    json_object_set_new(o, "list_counted", json_boolean(counted > 0));
}

/* ---- agreement ---- */

static const char *says(const json_t *view, const char *group)
{
    return field_text(json_object_get(json_object_get(view, "groups"), group), "address");
}

/* What most of them call the master; "": nobody watches the group, or no two agree. */
static const char *most_say(const json_t *views, const char *group)
{
    size_t i, k, best = 1;
    const json_t *view, *other;
    const char *most = "";
    json_array_foreach(views, i, view)
    {
        size_t same = 0;
        json_array_foreach(views, k, other)
        {
            same += *says(view, group) != '\0' && strcmp(says(view, group), says(other, group)) == 0;
        }
        if (same > best) {
            best = same;
            most = says(view, group);
        }
    }
    return most;
}

static void judge(json_t *o, const json_t *views, const json_t *view, const json_t *groups)
{
    json_t *list = json_array();
    size_t i;
    const json_t *name;
    json_array_foreach(groups, i, name)
    {
        const char *group = json_string_value(name), *most = most_say(views, group), *own = says(view, group);
        if (*own == '\0')
            add_line(list, "it does not watch %s", group);
        else if (*most != '\0' && strcmp(own, most) != 0)
            add_line(list, "%s: it calls %s the master, the others %s", group, own, most);
    }
    json_object_set_new(o, "disagrees", list);
}

/* ---- all of it ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *roll_groups(const struct roll *r)
{
    json_t *names = json_object(), *list = json_array();
    size_t i, n = 0;
    const json_t *view;
    json_array_foreach(r->views, i, view)
    {
        json_object_update_missing(names, json_object_get(view, "groups"));
    }
    const char **sorted = mem_zalloc((json_object_size(names) + 1) * sizeof *sorted);
    for (void *at = json_object_iter(names); at != NULL; at = json_object_iter_next(names, at))
        sorted[n++] = json_object_iter_key(at);
    qsort(sorted, n, sizeof *sorted, by_name);
    for (i = 0; i < n; i++)
        json_array_append_new(list, json_string(sorted[i]));
    free(sorted);
    json_decref(names);
    return list;
}

struct fleet_member *roll_member(const struct roll *r, const json_t *supervisor)
{
    struct fleet_member *m = fleet_at(&r->fleet, field_text(supervisor, "address"));
    return m != NULL && m->error == NULL ? m : NULL;
}

static void ask_members(struct roll *r)
{
    const char *info[] = {"INFO", "server"}, *pauses[] = {"SENTINEL", "PAUSES"};
    fleet_forget(&r->fleet);
    for (size_t i = 0; i < r->fleet.n; i++) {
        fleet_ask(r->fleet.members[i], 2, info);
        fleet_ask(r->fleet.members[i], 2, pauses);
    }
}

static json_t *entry(const struct roll *r, const json_t *view, const json_t *groups, int64_t before_ms,
                     int64_t after_ms)
{
    const char *error = field_text(view, "error");
    json_t *o = json_pack("{s:O, s:O, s:O}", "address", json_object_get(view, "address"), "given",
                          json_object_get(view, "given"), "error", json_object_get(view, "error"));
    const struct fleet_member *m = roll_member(r, view);
    if (*error != '\0')
        return o;
    if (m == NULL || m->nreplies < 2) {
        const struct fleet_member *gone = fleet_at(&r->fleet, field_text(view, "address"));
        json_object_set_new(o, "error", json_string(gone != NULL && gone->error != NULL ? gone->error : "it is gone"));
        return o;
    }
    json_object_set(o, "id", json_object_get(view, "id"));
    if (m->replies[0]->type == REDIS_REPLY_STRING)
        read_info(o, m->replies[0], before_ms, after_ms);
    read_view(o, view);
    json_object_set_new(o, "paused", reply_objects(m->replies[1])); /* stock knows none: an error, so an empty list */
    judge(o, r->views, view, groups);
    return o;
}

int roll_take(struct roll *r, const struct command_call *call, const struct asking *a)
{
    struct status_query q = {.user = a->user, .password = a->password};
    *r = (struct roll){.asking = a};
    asking_begin(a, &r->fleet);
    r->views = status_collect(&r->fleet, &q);
    if (asking_nobody(call, a, &r->fleet))
        return EXIT_NOBODY;
    ask_members(r);
    int64_t before_ms = io_wall_ms();
    fleet_run(&r->fleet);
    int64_t after_ms = io_wall_ms();
    json_t *groups = roll_groups(r);
    size_t i;
    const json_t *view;
    r->list = json_array();
    json_array_foreach(r->views, i, view)
    {
        json_array_append_new(r->list, entry(r, view, groups, before_ms, after_ms));
    }
    json_decref(groups);
    fleet_forget(&r->fleet);
    return EXIT_OK;
}

void roll_free(struct roll *r)
{
    json_decref(r->list);
    json_decref(r->views);
    fleet_free(&r->fleet);
}
