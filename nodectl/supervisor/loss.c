#include "nodectl/supervisor/loss.h"

#include "nodectl/reply_json.h"

#include <string.h>

/* What is taken away: all on one of the hosts, or the one process of that address. */
struct lost {
    const char *kind, *name;
    const json_t *hosts; /* of a zone */
};

static bool is_lost(const struct lost *l, const json_t *process)
{
    size_t i;
    const json_t *host;
    if (strcmp(l->kind, "host") == 0)
        return strcmp(field_text(process, "host"), l->name) == 0;
    json_array_foreach(l->hosts, i, host)
    {
        if (strcmp(field_text(process, "host"), json_string_value(host)) == 0)
            return true;
    }
    return strcmp(field_text(process, "address"), l->name) == 0;
}

static bool is_left(const struct lost *l, const json_t *process)
{
    return json_is_true(json_object_get(process, "up")) && !is_lost(l, process);
}

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(json_string_value(one), text) == 0)
            return true;
    }
    return false;
}

/* What is left of one shard. */
struct left {
    size_t voters, voters_known, needed; /* needed: for a failover */
    size_t replicas, promotable, nodes_lost;
    bool master;
};

static struct left count(const struct lost *l, const json_t *fleet, const json_t *shard)
{
    struct left n = {.master = false};
    size_t i;
    const json_t *one, *watchers = json_object_get(shard, "supervisors");
    json_array_foreach(json_object_get(fleet, "supervisors"), i, one)
    {
        if (!has_text(watchers, field_text(one, "address")))
            continue;
        n.voters_known++;
        n.voters += is_left(l, one);
    }
    json_array_foreach(json_object_get(shard, "nodes"), i, one)
    {
        bool master = json_is_true(json_object_get(one, "master")), left = is_left(l, one);
        n.nodes_lost += !left;
        n.master = n.master || (master && left);
        n.replicas += !master && left;
        n.promotable += !master && left && field_text(one, "against")[0] == '\0';
    }
    size_t majority = n.voters_known / 2 + 1, quorum = (size_t)json_integer_value(json_object_get(shard, "quorum"));
    n.needed = quorum > majority ? quorum : majority;
    return n;
}

/* Why nobody can be promoted, when that is so. */
static void put_nobody(const struct lost *l, const json_t *shard, const struct left *n, struct buf *why)
{
    const char *before = "no replica that is left can be promoted (";
    size_t i;
    const json_t *one;
    if (n->replicas == 0)
        buf_puts(why, "no replica is left");
    json_array_foreach(json_object_get(shard, "nodes"), i, one)
    {
        if (json_is_true(json_object_get(one, "master")) || !is_left(l, one))
            continue;
        buf_printf(why, "%s%s: %s", before, field_text(one, "address"), field_text(one, "against"));
        before = "; ";
    }
    if (n->replicas > 0)
        buf_puts(why, ")");
}

/* A master that is up and holds no lease gets none by the loss of something else. */
static const char *state_of(const struct lost *l, const json_t *shard, const struct left *n, struct buf *why)
{
    bool leases = json_is_true(json_object_get(shard, "leases")),
         leased = !json_is_false(json_object_get(shard, "leased"));
    bool elects = n->voters >= n->needed, renewed = n->voters >= n->voters_known / 2 + 1;
    if (n->master && leases && (!renewed || !leased)) {
        buf_puts(why, renewed ? "it holds no lease of a majority of the supervisors now"
                              : "too few supervisors are left to renew its lease");
        return "no-lease";
    }
    if (n->promotable > 0 && elects)
        return n->master ? "kept" : "failover";
    if (!elects && (n->master || n->replicas > 0))
        buf_puts(why, "too few supervisors are left for a failover");
    else
        put_nobody(l, shard, n, why);
    return !n->master ? "lost" : elects ? "alone" : "unwatched";
}

static json_t *shard_after(const struct lost *l, const json_t *fleet, const json_t *shard, bool *writes, bool *touched)
{
    struct left n = count(l, fleet, shard);
    struct buf why = {0};
    const char *state = state_of(l, shard, &n, &why);
    *writes = strcmp(state, "lost") != 0 && strcmp(state, "no-lease") != 0;
    *touched = n.nodes_lost > 0 || strcmp(state, "kept") != 0;
    json_t *o = json_pack("{s:s, s:s, s:b, s:I, s:s}", "name", field_text(shard, "name"), "state", state, "writes",
                          *writes, "replicas", (json_int_t)n.replicas, "why", buf_str(&why));
    buf_free(&why);
    return o;
}

static json_t *after(const struct lost *l, const json_t *fleet)
{
    json_t *shards = json_array();
    size_t i, left = 0, known = 0;
    const json_t *one;
    bool ok = true;
    json_array_foreach(json_object_get(fleet, "shards"), i, one)
    {
        bool writes, touched;
        json_t *o = shard_after(l, fleet, one, &writes, &touched);
        ok = ok && writes;
        if (touched)
            json_array_append(shards, o);
        json_decref(o);
    }
    json_array_foreach(json_object_get(fleet, "supervisors"), i, one)
    {
        known++;
        left += is_left(l, one);
    }
    return json_pack("{s:s, s:s, s:b, s:I, s:I, s:o}", "kind", l->kind, "name", l->name, "ok", ok, "supervisors",
                     (json_int_t)left, "supervisors_known", (json_int_t)known, "shards", shards);
}

/* All hosts, each once, in the order in which they come. */
static void add_host(json_t *hosts, const json_t *process)
{
    if (!has_text(hosts, field_text(process, "host")))
        json_array_append(hosts, json_object_get(process, "host"));
}

static json_t *hosts_of(const json_t *fleet)
{
    json_t *hosts = json_array();
    size_t i, k;
    const json_t *one, *node;
    json_array_foreach(json_object_get(fleet, "supervisors"), i, one)
    {
        add_host(hosts, one);
    }
    json_array_foreach(json_object_get(fleet, "shards"), i, one)
    {
        json_array_foreach(json_object_get(one, "nodes"), k, node)
        {
            add_host(hosts, node);
        }
    }
    return hosts;
}

static void add_processes(json_t *losses, const json_t *fleet)
{
    size_t i, k;
    const json_t *one, *node;
    json_array_foreach(json_object_get(fleet, "supervisors"), i, one)
    {
        struct lost l = {.kind = "supervisor", .name = field_text(one, "address")};
        json_array_append_new(losses, after(&l, fleet));
    }
    json_array_foreach(json_object_get(fleet, "shards"), i, one)
    {
        json_array_foreach(json_object_get(one, "nodes"), k, node)
        {
            struct lost l = {.kind = "node", .name = field_text(node, "address")};
            json_array_append_new(losses, after(&l, fleet));
        }
    }
}

json_t *loss_document(const json_t *fleet)
{
    json_t *losses = json_array(), *hosts = hosts_of(fleet), *one;
    const char *zone;
    size_t i;
    struct lost nothing = {.kind = "now", .name = ""};
    json_array_append_new(losses, after(&nothing, fleet));
    json_object_foreach(json_object_get(fleet, "zones"), zone, one)
    {
        struct lost l = {.kind = "zone", .name = zone, .hosts = one};
        json_array_append_new(losses, after(&l, fleet));
    }
    json_array_foreach(hosts, i, one)
    {
        struct lost l = {.kind = "host", .name = json_string_value(one)};
        json_array_append_new(losses, after(&l, fleet));
    }
    add_processes(losses, fleet);
    bool one_host = json_array_size(hosts) == 1, ok = true;
    json_array_foreach(losses, i, one)
    {
        ok = ok &&
             (json_is_true(json_object_get(one, "ok")) || (one_host && strcmp(field_text(one, "kind"), "host") == 0));
    }
    json_decref(hosts);
    return json_pack("{s:b, s:b, s:o}", "ok", ok, "one_host", one_host, "losses", losses);
}

const json_t *loss_named(const json_t *document, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(document, "losses"), i, one)
    {
        if (strcmp(field_text(one, "name"), name) == 0)
            return one;
    }
    return NULL;
}
