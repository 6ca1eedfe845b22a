#include "nodectl/node/supervision.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- asking ---- */

static void ask_one(const struct supervision *s, struct fleet_member *m, int argc, const char *const *argv)
{
    asking_again(s->asking, m);
    fleet_ask(m, argc, argv);
}

static void ask_all(struct supervision *s, int argc, const char *const *argv)
{
    fleet_forget(&s->fleet);
    for (size_t i = 0; i < s->fleet.n; i++)
        ask_one(s, s->fleet.members[i], argc, argv);
    fleet_run(&s->fleet);
}

static const redisReply *field(const redisReply *map, const char *name)
{
    for (size_t i = 0; i + 1 < map->elements; i += 2)
        if (map->element[i]->type == REDIS_REPLY_STRING && strcmp(map->element[i]->str, name) == 0)
            return map->element[i + 1];
    return NULL;
}

/* SENTINEL CLUSTER as an object, or null. */
static json_t *read_view(const redisReply *r)
{
    if (r == NULL || r->type != REDIS_REPLY_ARRAY)
        return json_null();
    json_t *view = reply_object(r), *shards = json_array();
    const redisReply *list = field(r, "shards");
    for (size_t i = 0; list != NULL && list->type == REDIS_REPLY_ARRAY && i < list->elements; i++) {
        json_t *shard = reply_object(list->element[i]);
        const redisReply *replicas = list->element[i]->type == REDIS_REPLY_ARRAY ? field(list->element[i], "replicas")
                                                                                 : NULL;
        json_object_set_new(shard, "replicas", replicas != NULL ? reply_objects(replicas) : json_array());
        json_array_append_new(shards, shard);
    }
    json_object_set_new(view, "shards", shards);
    return view;
}

void supervision_again(struct supervision *s)
{
    const char *argv[] = {"SENTINEL", "CLUSTER", s->cluster};
    if (s->cluster == NULL)
        return;
    ask_all(s, 3, argv);
    json_decref(s->views);
    s->views = json_array();
    for (size_t i = 0; i < s->fleet.n; i++)
        json_array_append_new(s->views, read_view(fleet_answer(s->fleet.members[i])));
}

static const json_t *shard_in(const json_t *view, const char *node_id)
{
    const json_t *shard;
    size_t i;
    json_array_foreach(json_object_get(view, "shards"), i, shard)
    {
        if (strcmp(field_text(shard, "node-id"), node_id) == 0 ||
            json_find(json_object_get(shard, "replicas"), "node-id", node_id) != NULL)
            return shard;
    }
    return NULL;
}

/* ---- finding ---- */

static bool is_of(const json_t *view, const struct picture *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (shard_in(view, p->v[i].id) != NULL)
            return true;
    return false;
}

/* The names of the clusters that anybody watches, each once. */
static json_t *clusters_of(struct supervision *s)
{
    const char *argv[] = {"SENTINEL", "CLUSTERS"};
    json_t *names = json_object();
    ask_all(s, 2, argv);
    for (size_t i = 0; i < s->fleet.n; i++) {
        const redisReply *r = fleet_answer(s->fleet.members[i]);
        json_t *clusters = r != NULL ? reply_objects(r) : json_array();
        const json_t *c;
        size_t k;
        json_array_foreach(clusters, k, c)
        {
            json_object_set_new(names, field_text(c, "name"), json_true());
        }
        json_decref(clusters);
    }
    return names;
}

static void find_cluster(struct supervision *s, const struct picture *p)
{
    json_t *names = clusters_of(s);
    const char *name;
    json_t *unused;
    json_object_foreach(names, name, unused)
    {
        bool found = false;
        s->cluster = mem_strdup(name);
        supervision_again(s);
        for (size_t i = 0; i < json_array_size(s->views) && !found; i++)
            found = is_of(json_array_get(s->views, i), p);
        if (found)
            break;
        free(s->cluster);
        s->cluster = NULL;
    }
    json_decref(names);
}

static const json_t *best_view(const struct supervision *s)
{
    const json_t *view, *best = NULL;
    size_t i;
    json_array_foreach(s->views, i, view)
    {
        if (json_is_object(view) && (best == NULL || field_number(view, "epoch", 0) > field_number(best, "epoch", 0)))
            best = view;
    }
    return best;
}

/* The supervisors that the named ones know. */
static void find_others(struct supervision *s)
{
    const json_t *shard = json_array_get(json_object_get(best_view(s), "shards"), 0);
    char *name = mem_strdup(field_text(shard, "name"));
    const char *argv[] = {"SENTINEL", "SENTINELS", name};
    struct addr a;
    if (name[0] != '\0')
        ask_all(s, 3, argv);
    for (size_t i = 0, named = name[0] != '\0' ? s->fleet.n : 0; i < named; i++) {
        const redisReply *r = fleet_answer(s->fleet.members[i]);
        json_t *list = r != NULL ? reply_objects(r) : json_array();
        const json_t *other;
        size_t k;
        json_array_foreach(list, k, other)
        {
            bool added = false;
            if (field_addr(other, "ip", "port", &a))
                fleet_add(&s->fleet, &a, false, &added);
        }
        json_decref(list);
    }
    free(name);
    supervision_again(s);
}

/* Some node that says of itself that it is supervised, or NULL. */
static const struct picture_node *supervised_node(struct picture *p)
{
    struct buf ignored = {0};
    const struct picture_node *found = NULL;
    for (size_t i = 0; i < p->n && found == NULL; i++) {
        const redisReply *r = p->v[i].answers && p->v[i].noded ? picture_askf(p, &p->v[i], &ignored, "CLUSTER INFO")
                                                               : NULL;
        const char *line = r != NULL && r->str != NULL ? strstr(r->str, "cluster_supervised:") : NULL;
        if (line != NULL && strncmp(line, "cluster_supervised:0", strlen("cluster_supervised:0")) != 0)
            found = &p->v[i];
    }
    buf_free(&ignored);
    return found;
}

bool supervision_find(struct supervision *s, const struct asking *a, struct picture *p, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    *s = (struct supervision){.asking = a, .views = json_array()};
    asking_begin(a, &s->fleet);
    find_cluster(s, p);
    if (s->cluster != NULL) {
        find_others(s);
        return true;
    }
    const struct picture_node *n = supervised_node(p);
    if (n == NULL)
        return true;
    buf_printf(why, "%s is supervised, and ", addr_text(&n->addr, text));
    if (s->fleet.n == 0)
        buf_puts(why, "no supervisor is named: give --supervisor or --fleet");
    else
        buf_puts(why, "none of the supervisors that are named can be asked about it");
    for (size_t i = 0; i < s->fleet.n; i++)
        buf_printf(why, "; %s: %s", addr_text(&s->fleet.members[i]->addr, text),
                   s->fleet.members[i]->error != NULL ? s->fleet.members[i]->error : "it does not watch this cluster");
    return false;
}

void supervision_free(struct supervision *s)
{
    if (s->views == NULL)
        return;
    fleet_free(&s->fleet);
    json_decref(s->views);
    free(s->cluster);
    *s = (struct supervision){0};
}

/* ---- what they say ---- */

size_t supervision_watching(const struct supervision *s)
{
    const json_t *view;
    size_t i, n = 0;
    json_array_foreach(s->views, i, view) n += json_is_object(view);
    return s->cluster != NULL ? n : 0;
}

size_t supervision_silent(const struct supervision *s, struct buf *who)
{
    char text[ADDR_TEXT_MAX];
    size_t n = 0;
    for (size_t i = 0; s->cluster != NULL && i < s->fleet.n; i++) {
        const struct fleet_member *m = s->fleet.members[i];
        if (m->error != NULL)
            buf_printf(who, "%s%s (%s)", n++ > 0 ? ", " : "", addr_text(&m->addr, text), m->error);
    }
    return n;
}

const json_t *supervision_shard(const struct supervision *s, const char *node_id)
{
    return shard_in(best_view(s), node_id);
}

const json_t *supervision_named(const struct supervision *s, const char *name)
{
    const json_t *shard;
    size_t i;
    json_array_foreach(json_object_get(best_view(s), "shards"), i, shard)
    {
        const char *full = field_text(shard, "name"), *slash = strrchr(full, '/');
        if (strcmp(full, name) == 0 || (slash != NULL && strcmp(slash + 1, name) == 0))
            return shard;
    }
    return NULL;
}

/* The first one of whom `differs` is true is named. */
static bool all_say(const struct supervision *s, bool (*says)(const json_t *view, const void *what), const void *what,
                    const char *otherwise, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    const json_t *view;
    size_t i;
    json_array_foreach(s->views, i, view)
    {
        if (json_is_object(view) && !says(view, what)) {
            buf_printf(why, "supervisor %s %s", addr_text(&s->fleet.members[i]->addr, text), otherwise);
            return false;
        }
    }
    return true;
}

static bool says_count(const json_t *view, const void *what)
{
    return field_number(view, "num-nodes", -1) == (int64_t) * (const size_t *)what;
}

bool supervision_count(const struct supervision *s, size_t nodes, struct buf *why)
{
    return all_say(s, says_count, &nodes, "does not count the same nodes yet", why);
}

struct place {
    const char *shard, *node, *master;
};

static bool says_master(const json_t *view, const void *what)
{
    const struct place *p = what;
    const json_t *shard = json_named(json_object_get(view, "shards"), p->shard);
    return shard != NULL && strcmp(field_text(shard, "node-id"), p->node) == 0 &&
           strcmp(field_text(shard, "state"), "ok") == 0;
}

bool supervision_master(const struct supervision *s, const char *shard, const char *node_id, struct buf *why)
{
    struct place p = {.shard = shard, .node = node_id};
    return all_say(s, says_master, &p, "has another node for the master still", why);
}

static bool says_replica(const json_t *view, const void *what)
{
    const struct place *p = what;
    const json_t *shard = shard_in(view, p->node);
    return shard != NULL && strcmp(field_text(shard, "node-id"), p->master) == 0;
}

bool supervision_replica(const struct supervision *s, const char *node_id, const char *master_id, struct buf *why)
{
    struct place p = {.node = node_id, .master = master_id};
    return all_say(s, says_replica, &p, "does not know it as a replica of that master yet", why);
}

static bool says_gone(const json_t *view, const void *what)
{
    const struct place *p = what;
    return shard_in(view, p->node) == NULL;
}

bool supervision_forgot(const struct supervision *s, const char *node_id, struct buf *why)
{
    struct place p = {.node = node_id};
    return all_say(s, says_gone, &p, "still knows it", why);
}

/* ---- switches ---- */

/* The one that answers and watches; the order in which they are asked does not matter. */
static struct fleet_member *anybody(const struct supervision *s)
{
    for (size_t i = 0; i < s->fleet.n; i++)
        if (json_is_object(json_array_get(s->views, i)))
            return s->fleet.members[i];
    return NULL;
}

bool supervision_switch(struct supervision *s, const char *shard, const char *node_id, struct buf *why)
{
    const char *argv[7] = {"SENTINEL", "FAILOVER", shard, "COORDINATED"};
    int argc = 4;
    char text[ADDR_TEXT_MAX];
    struct fleet_member *by = anybody(s);
    const json_t *known = supervision_named(s, shard);
    if (node_id != NULL) {
        const json_t *to = json_find(json_object_get(known, "replicas"), "node-id", node_id);
        argv[argc++] = "TO";
        argv[argc++] = field_text(to, "ip");
        argv[argc++] = field_text(to, "port");
        if (to == NULL)
            by = NULL;
    }
    if (by == NULL) {
        buf_printf(why, "no supervisor that answers knows that replica of %s", shard);
        return false;
    }
    fleet_forget(&s->fleet);
    ask_one(s, by, argc, argv);
    fleet_run(&s->fleet);
    const redisReply *r = fleet_answer(by);
    if (r != NULL && r->type != REDIS_REPLY_ERROR)
        return true;
    buf_printf(why, "supervisor %s: %s", addr_text(&by->addr, text), r != NULL ? r->str : by->error);
    return false;
}
