#include "nodectl/drill/target.h"

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/base/text.h"
#include "nodectl/past.h"
#include "nodectl/status_cluster.h"
#include "noded/store/keyspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_STEP_S 1 /* a replica that was heard of by its master so lately */

/* What is drawn for one purpose does not depend on what was drawn for another one. */
enum { DRAW_SHARD, DRAW_BYSTANDER, DRAW_SUPERVISOR, DRAW_KINDS, DRAW_REPLICA };

static size_t draw(uint64_t seed, int purpose, size_t below)
{
    struct rng r;
    rng_seed(&r, seed + (uint64_t)purpose);
    return (size_t)rng_below(&r, below);
}

void target_draw_kinds(uint64_t seed, enum drill_kind kinds[DRILL_RANDOM])
{
    struct rng r;
    rng_seed(&r, seed + DRAW_KINDS);
    for (int i = 0; i < DRILL_RANDOM; i++) {
        int k = (int)rng_below(&r, (uint64_t)i + 1);
        kinds[i] = kinds[k];
        kinds[k] = (enum drill_kind)i;
    }
}

static bool has_slot(const char *ranges, int slot)
{
    for (struct slice rest = slice_of(ranges); rest.n > 0;) {
        struct slice range = slice_cut(&rest, ' '), first = slice_cut(&range, '-');
        int64_t low, high;
        if (!text_range(first, 0, ND_SLOTS - 1, &low))
            continue;
        if (!text_range(range, 0, ND_SLOTS - 1, &high))
            high = low;
        if (slot >= low && slot <= high)
            return true;
    }
    return false;
}

bool target_tag(const char *ranges, char tag[TARGET_TAG_MAX])
{
    for (int i = 0; i < 64 * ND_SLOTS; i++) {
        snprintf(tag, TARGET_TAG_MAX, "%x", (unsigned)i);
        if (has_slot(ranges, nd_key_slot(slice_of(tag))))
            return true;
    }
    tag[0] = '\0';
    return false;
}

static void shard_free(struct target_shard *s)
{
    free(s->name);
    free(s->nodes);
}

void target_free(struct drill_target *t)
{
    free(t->scope);
    shard_free(&t->shard);
    shard_free(&t->bystander);
    free(t->supervisors);
    *t = (struct drill_target){0};
}

const char *target_scope(const json_t *document, const struct drill_order *o, struct buf *why)
{
    const json_t *clusters = json_object_get(document, "clusters");
    if (o->group != NULL || o->cluster != NULL)
        return o->group != NULL ? o->group : o->cluster;
    if (json_array_size(clusters) == 1)
        return json_word(json_array_get(clusters, 0), "name");
    buf_printf(why, "%s: give --cluster NAME, or --group NAME",
               json_array_size(clusters) == 0 ? "no cluster is supervised here"
                                              : "several clusters are supervised here");
    return NULL;
}

static void add_node(struct target_shard *s, const char *address)
{
    struct addr a;
    if (!addr_parse(slice_of(address), &a))
        return;
    s->nodes = mem_array(s->nodes, s->n + 1, sizeof *s->nodes);
    s->nodes[s->n++] = a;
}

static bool in_step(const json_t *replica)
{
    const json_t *lag_s = json_object_get(replica, "lag_s");
    return strcmp(json_word(replica, "state"), "ok") == 0 && strcmp(json_word(replica, "master_link"), "ok") == 0 &&
           (!json_is_integer(lag_s) || json_integer_value(lag_s) <= IN_STEP_S);
}

/* Its place among the nodes; 0: no replica is in step. */
static size_t draw_replica(const json_t *group, const struct target_shard *s, uint64_t seed)
{
    size_t i, good = 0;
    const json_t *o, *replicas = json_object_get(group, "replicas");
    struct addr a;
    json_array_foreach(replicas, i, o)
    {
        good += in_step(o);
    }
    size_t nth = good > 0 ? draw(seed, DRAW_REPLICA, good) : 0;
    json_array_foreach(replicas, i, o)
    {
        if (!in_step(o) || nth-- > 0 || !addr_parse(slice_of(json_word(o, "address")), &a))
            continue;
        for (size_t k = 1; k < s->n; k++)
            if (addr_eq(&s->nodes[k], &a))
                return k;
    }
    return 0;
}

static bool fill_shard(struct target_shard *s, const json_t *group, const json_t *shards, uint64_t seed)
{
    size_t i;
    const json_t *o;
    s->name = mem_strdup(json_word(group, "name"));
    s->epoch = json_int(group, "config_epoch", 0);
    add_node(s, json_word(json_object_get(group, "master"), "address"));
    json_array_foreach(json_object_get(group, "replicas"), i, o)
    {
        add_node(s, json_word(o, "address"));
    }
    s->drawn = draw_replica(group, s, seed);
    json_array_foreach(shards, i, o)
    {
        if (strcmp(json_word(o, "name"), s->name) == 0)
            return target_tag(json_word(o, "slot-ranges"), s->tag);
    }
    return json_array_size(shards) == 0;
}

static bool is_shard(const char *group, const char *wanted)
{
    const char *slash = strrchr(group, '/');
    return strcmp(group, wanted) == 0 || (slash != NULL && strcmp(slash + 1, wanted) == 0);
}

/* The index of the group; SIZE_MAX: there is none. */
static size_t find_group(const json_t *list, const char *wanted)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is_shard(json_word(json_array_get(list, i), "name"), wanted))
            return i;
    return SIZE_MAX;
}

/* The index of the group of which that node is, and its part there; SIZE_MAX: of none. */
static size_t find_node(const json_t *list, const struct addr *node, enum drill_part *part)
{
    struct addr a;
    size_t i, k;
    const json_t *group, *o;
    json_array_foreach(list, i, group)
    {
        *part = PART_MASTER;
        if (addr_parse(slice_of(json_word(json_object_get(group, "master"), "address")), &a) && addr_eq(&a, node))
            return i;
        *part = PART_REPLICA;
        json_array_foreach(json_object_get(group, "replicas"), k, o)
        {
            if (addr_parse(slice_of(json_word(o, "address")), &a) && addr_eq(&a, node))
                return i;
        }
    }
    return SIZE_MAX;
}

/* The victim that the order names. *at: the group of a node; as it is for a supervisor. */
static bool find_named(const json_t *list, const struct drill_order *o, struct drill_target *t, size_t *at,
                       struct buf *why)
{
    struct addr node;
    bool ok = addr_parse(slice_of(o->node), &node);
    size_t group = ok ? find_node(list, &node, &t->part) : SIZE_MAX;
    t->named = true;
    for (size_t i = 0; ok && i < t->nsupervisors; i++)
        if (addr_eq(&t->supervisors[i], &node)) {
            t->part = PART_SUPERVISOR;
            t->drawn = i;
            return true;
        }
    if (group == SIZE_MAX)
        buf_printf(why, "%s is no node of %s, and no supervisor that answers", o->node, t->scope);
    else if (o->shard != NULL && group != *at)
        buf_printf(why, "%s is of %s, and not of %s", o->node, json_word(json_array_get(list, group), "name"),
                   o->shard);
    ok = group != SIZE_MAX && why->n == 0;
    if (ok)
        *at = group;
    return ok;
}

static void take_named(const struct drill_order *o, struct target_shard *s)
{
    struct addr node;
    for (size_t k = 1; addr_parse(slice_of(o->node), &node) && k < s->n; k++)
        if (addr_eq(&s->nodes[k], &node))
            s->drawn = k;
}

static bool choose_shards(const json_t *list, const json_t *shards, const struct drill_order *o, uint64_t seed,
                          struct drill_target *t, struct buf *why)
{
    size_t n = json_array_size(list), i = n > 0 ? draw(seed, DRAW_SHARD, n) : 0;
    if (n > 0 && o->shard != NULL)
        i = find_group(list, o->shard);
    if (n == 0 || i == SIZE_MAX) {
        buf_printf(why, n == 0 ? "no supervisor watches a cluster or group %s" : "%s has no shard %s", t->scope,
                   o->shard != NULL ? o->shard : "");
        return false;
    }
    if (o->node != NULL && !find_named(list, o, t, &i, why))
        return false;
    bool ok = fill_shard(&t->shard, json_array_get(list, i), shards, seed);
    if (o->node != NULL)
        take_named(o, &t->shard);
    if (ok && t->cluster && n > 1)
        ok = fill_shard(&t->bystander, json_array_get(list, (i + 1 + draw(seed, DRAW_BYSTANDER, n - 1)) % n), shards,
                        seed);
    if (!ok || t->shard.n == 0)
        buf_printf(why, "a shard of %s has no slots, or no master that is known", t->scope);
    return ok && t->shard.n > 0;
}

bool target_choose(const json_t *document, const json_t *shards, const struct drill_order *o, const char *scope,
                   uint64_t seed, struct drill_target *t, struct buf *why)
{
    size_t i;
    const json_t *one;
    json_t *list = json_array();
    *t = (struct drill_target){.scope = mem_strdup(scope), .cluster = o->group == NULL};
    json_array_foreach(json_object_get(document, "groups"), i, one)
    {
        if (status_means(scope, json_word(one, "name")))
            json_array_append(list, (json_t *)(uintptr_t)one);
    }
    json_array_foreach(json_object_get(document, "supervisors"), i, one)
    {
        struct addr a;
        if (!json_yes(one, "reachable") || !addr_parse(slice_of(json_word(one, "address")), &a))
            continue;
        t->supervisors = mem_array(t->supervisors, t->nsupervisors + 1, sizeof *t->supervisors);
        t->supervisors[t->nsupervisors++] = a;
    }
    t->drawn = t->nsupervisors > 0 ? draw(seed, DRAW_SUPERVISOR, t->nsupervisors) : 0;
    bool ok = choose_shards(list, shards, o, seed, t, why);
    json_decref(list);
    if (!ok)
        target_free(t);
    return ok;
}

/* ---- is all well? ---- */

static size_t say(struct buf *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static size_t say(struct buf *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(why, fmt, ap);
    va_end(ap);
    buf_putc(why, '\n');
    return 1;
}

static size_t unfit_group(const json_t *group, size_t supervisors, struct buf *why)
{
    const char *name = json_word(group, "name");
    size_t i, found = 0, good = 0;
    const json_t *replica;
    if (strcmp(json_word(group, "state"), "ok") != 0)
        found += say(why, "%s: its state is %s", name, json_word(group, "state"));
    if (!json_yes(group, "agreed"))
        found += say(why, "%s: the supervisors do not agree on its master", name);
    json_array_foreach(json_object_get(group, "replicas"), i, replica)
    {
        good += in_step(replica);
    }
    if (good == 0)
        found += say(why, "%s: no replica of %s is up and in step", name,
                     json_word(json_object_get(group, "master"), "address"));
    if ((size_t)json_int(group, "watched_by", 0) < supervisors)
        found += say(why, "%s: only %lld of %zu supervisors watch it", name,
                     (long long)json_int(group, "watched_by", 0), supervisors);
    return found;
}

size_t target_unfit(const json_t *document, const char *scope, struct buf *why)
{
    size_t i, found = 0, groups = 0;
    const json_t *o, *supervisors = json_object_get(document, "supervisors");
    json_array_foreach(supervisors, i, o)
    {
        if (!json_yes(o, "reachable"))
            found += say(why, "supervisor %s cannot be asked: %s", json_word(o, "address"), json_word(o, "error"));
    }
    json_array_foreach(json_object_get(document, "groups"), i, o)
    {
        if (!status_means(scope, json_word(o, "name")))
            continue;
        groups++;
        found += unfit_group(o, json_array_size(supervisors), why);
    }
    json_array_foreach(json_object_get(document, "problems"), i, o)
    {
        found += say(why, "%s", json_string_value(o));
    }
    if (groups == 0)
        found += say(why, "no supervisor watches a cluster or group %s", scope);
    return found;
}

bool target_misses(const json_t *document, const char *group, const struct addr *replica)
{
    size_t i, k;
    const json_t *g, *o;
    struct addr a;
    json_array_foreach(json_object_get(document, "groups"), i, g)
    {
        if (strcmp(json_word(g, "name"), group) != 0)
            continue;
        json_array_foreach(json_object_get(g, "replicas"), k, o)
        {
            if (addr_parse(slice_of(json_word(o, "address")), &a) && addr_eq(&a, replica))
                return strcmp(json_word(o, "state"), "ok") != 0;
        }
        return true;
    }
    return false;
}
