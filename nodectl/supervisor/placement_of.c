#include "nodectl/supervisor/placement_of.h"

#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_shard.h"

#include <string.h>

static json_t *process(const char *address, bool up)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon != NULL ? (size_t)(colon - address) : strlen(address);
    if (n > 1 && address[0] == '[' && address[n - 1] == ']')
        return json_pack("{s:s, s:s%, s:b}", "address", address, "host", address + 1, n - 2, "up", up);
    return json_pack("{s:s, s:s%, s:b}", "address", address, "host", address, n, "up", up);
}

static json_t *node(const json_t *map, bool master)
{
    struct addr a = {.port = 0};
    char text[ADDR_TEXT_MAX];
    field_addr(map, "ip", "port", &a);
    bool up = !field_has(map, "flags", "s_down") && !field_has(map, "flags", "disconnected") &&
              (master || strcmp(field_text(map, "master-link-status"), "err") != 0);
    json_t *o = process(addr_text(&a, text), up);
    json_object_set_new(o, "master", json_boolean(master));
    return o;
}

static json_t *watchers(const struct roll *r, const char *group)
{
    json_t *list = json_array();
    size_t i, k;
    const json_t *view, *peer;
    json_array_foreach(r->views, i, view)
    {
        if (status_group(r->views, i, group) != NULL)
            json_array_append(list, json_object_get(view, "address"));
    }
    /* Those that cannot be asked from here, and that the others count. */
    size_t best = status_reporter(r->views, group);
    json_array_foreach(json_object_get(status_group(r->views, best, group), "supervisors"), k, peer)
    {
        struct addr a;
        char text[ADDR_TEXT_MAX];
        const json_t *s = field_addr(peer, "ip", "port", &a) ? json_find(r->list, "address", addr_text(&a, text))
                                                             : NULL;
        if (s != NULL && field_text(s, "error")[0] != '\0')
            json_array_append(list, json_object_get(s, "address"));
    }
    return list;
}

static json_t *shard(const struct roll *r, const char *group)
{
    size_t best = status_reporter(r->views, group), i;
    const json_t *g = status_group(r->views, best, group), *map = json_object_get(g, "master"), *replica;
    json_t *nodes = json_array();
    json_array_append_new(nodes, node(map, true));
    enum status_lease lease = status_lease(r->views, group);
    json_array_foreach(json_object_get(g, "replicas"), i, replica)
    {
        const char *against = status_against(g, replica);
        json_t *o = node(replica, false);
        json_object_set_new(o, "against", against != NULL ? json_string(against) : json_null());
        json_array_append_new(nodes, o);
    }
    return json_pack("{s:s, s:I, s:b, s:b, s:o, s:o}", "name", group, "quorum",
                     (json_int_t)field_number(map, "quorum", 1), "leases", lease != LEASE_UNUSED, "leased",
                     lease == LEASE_HELD, "supervisors", watchers(r, group), "nodes", nodes);
}

json_t *placement_of(const struct roll *r, json_t *zones)
{
    json_t *supervisors = json_array(), *shards = json_array(), *groups = roll_groups(r);
    size_t i;
    const json_t *one;
    json_array_foreach(r->list, i, one)
    {
        json_array_append_new(supervisors, process(field_text(one, "address"), field_text(one, "error")[0] == '\0'));
    }
    json_array_foreach(groups, i, one)
    {
        json_array_append_new(shards, shard(r, json_string_value(one)));
    }
    json_decref(groups);
    return json_pack("{s:o, s:o, s:O}", "supervisors", supervisors, "shards", shards, "zones", zones);
}
