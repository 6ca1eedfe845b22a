#include "nodectl/view/topology.h"

#include "common/base/addr.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_cluster.h"
#include "nodectl/status_node.h"

#include <string.h>

/* ---- hosts ---- */

static void host_of(const char *address, char host[ADDR_TEXT_MAX])
{
    struct addr a;
    bool known = addr_parse(slice_of(address), &a);
    snprintf(host, ADDR_TEXT_MAX, "%s", known ? a.host : address);
}

/* "" where it is not known. */
static const char *zone_of(const json_t *zones, const char *address)
{
    char host[ADDR_TEXT_MAX];
    host_of(address, host);
    return json_word(zones, host);
}

static void put_at_host(json_t *hosts, const json_t *zones, const char *address, const char *part, const char *what)
{
    char host[ADDR_TEXT_MAX];
    host_of(address, host);
    if (host[0] == '\0')
        return;
    json_t *o = json_find(hosts, "host", host);
    if (o == NULL) {
        o = json_pack("{s:s, s:s, s:[], s:[], s:[]}", "host", host, "zone", zone_of(zones, address), "masters",
                      "replicas", "supervisors");
        json_array_append_new(hosts, o);
    }
    json_array_append_new(json_object_get(o, part), json_text(what, strlen(what)));
}

static void place(json_t *hosts, const json_t *status, const json_t *zones)
{
    size_t i, k;
    const json_t *g, *r, *s;
    json_array_foreach(json_object_get(status, "groups"), i, g)
    {
        const char *name = field_text(g, "name");
        put_at_host(hosts, zones, field_text(json_object_get(g, "master"), "address"), "masters", name);
        json_array_foreach(json_object_get(g, "replicas"), k, r)
        {
            put_at_host(hosts, zones, field_text(r, "address"), "replicas", name);
        }
    }
    json_array_foreach(json_object_get(status, "supervisors"), i, s)
    {
        put_at_host(hosts, zones, field_text(s, "address"), "supervisors", field_text(s, "address"));
    }
}

/* Where it is, as far as failing together goes: its zone, else its host. */
static void place_of(const json_t *zones, const char *address, char place[ADDR_TEXT_MAX])
{
    const char *zone = zone_of(zones, address);
    if (zone[0] != '\0')
        snprintf(place, ADDR_TEXT_MAX, "zone %s", zone);
    else
        host_of(address, place);
}

static bool shares_one_place(const json_t *group, const json_t *zones, char place[ADDR_TEXT_MAX])
{
    char other[ADDR_TEXT_MAX];
    size_t i;
    const json_t *r;
    const json_t *replicas = json_object_get(group, "replicas");
    place_of(zones, field_text(json_object_get(group, "master"), "address"), place);
    json_array_foreach(replicas, i, r)
    {
        place_of(zones, field_text(r, "address"), other);
        if (strcmp(place, other) != 0)
            return false;
    }
    return json_array_size(replicas) > 0;
}

static json_t *notes_of(const json_t *status, const json_t *zones, const json_t *hosts)
{
    json_t *notes = json_deep_copy(json_object_get(status, "notes"));
    char place[ADDR_TEXT_MAX];
    size_t i;
    const json_t *g;
    json_array_foreach(json_object_get(status, "groups"), i, g)
    {
        if (json_array_size(hosts) > 1 && shares_one_place(g, zones, place))
            add_line(notes, "%s: its master and all of its replicas are in %s", field_text(g, "name"), place);
    }
    return notes;
}

/* ---- the tree ---- */

static json_t *shard_of(const json_t *group)
{
    static const char *const fields[] = {"name",  "state",       "agreed", "config_epoch",
                                         "slots", "slot_ranges", "master", "replicas"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_object_set(o, fields[i], json_object_get(group, fields[i]));
    return o;
}

static json_t *shards_of(const json_t *status, const char *cluster)
{
    json_t *list = json_array();
    size_t i;
    const json_t *g;
    json_array_foreach(json_object_get(status, "groups"), i, g)
    {
        if (status_means(cluster, field_text(g, "name")))
            json_array_append_new(list, shard_of(g));
    }
    return list;
}

static bool is_in_a_cluster(const json_t *status, const char *group)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(status, "clusters"), i, c)
    {
        if (status_means(field_text(c, "name"), group))
            return true;
    }
    return false;
}

/* The grants of one supervisor: how many masters under leases have one of its. */
static json_t *supervisor_of(const json_t *status, const json_t *supervisor)
{
    const char *address = field_text(supervisor, "address");
    json_int_t grants = 0, of = 0;
    size_t i;
    const json_t *g;
    json_array_foreach(json_object_get(status, "groups"), i, g)
    {
        const json_t *seat = json_find(json_object_get(g, "supervisors"), "address", address);
        int64_t ms = json_int(json_object_get(seat, "says"), "grant_ms", -1);
        of += ms >= 0;
        grants += ms > 0;
    }
    return json_pack("{s:s, s:s, s:O, s:I, s:I}", "address", address, "id", field_text(supervisor, "id"), "reachable",
                     json_object_get(supervisor, "reachable"), "grants", grants, "of", of);
}

json_t *topology_document(const json_t *status, const json_t *zones)
{
    json_t *clusters = json_array(), *groups = json_array(), *supervisors = json_array(), *hosts = json_array();
    size_t i;
    const json_t *o;
    json_array_foreach(json_object_get(status, "clusters"), i, o)
    {
        json_t *c = json_copy((json_t *)(uintptr_t)o);
        json_object_set_new(c, "shards", shards_of(status, field_text(o, "name")));
        json_array_append_new(clusters, c);
    }
    json_array_foreach(json_object_get(status, "groups"), i, o)
    {
        if (!is_in_a_cluster(status, field_text(o, "name")))
            json_array_append_new(groups, shard_of(o));
    }
    json_array_foreach(json_object_get(status, "supervisors"), i, o)
    {
        json_array_append_new(supervisors, supervisor_of(status, o));
    }
    place(hosts, status, zones);
    json_t *notes = notes_of(status, zones, hosts);
    return json_pack("{s:O, s:o, s:o, s:o, s:o, s:O, s:o}", "ok", json_object_get(status, "ok"), "clusters", clusters,
                     "groups", groups, "supervisors", supervisors, "hosts", hosts, "problems",
                     json_object_get(status, "problems"), "notes", notes);
}
