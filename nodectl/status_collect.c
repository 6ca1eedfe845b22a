#include "nodectl/status_collect.h"

#include "common/base/text.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_cluster.h"
#include "sentineld/core/info.h"

#include <string.h>

/* The questions about one group, in this order. */
enum { ASK_REPLICAS, ASK_SENTINELS, ASK_CKQUORUM, ASK_ADDRESS, QUESTIONS };
static const char *const questions[QUESTIONS] = {
    [ASK_REPLICAS] = "REPLICAS",
    [ASK_SENTINELS] = "SENTINELS",
    [ASK_CKQUORUM] = "CKQUORUM",
    [ASK_ADDRESS] = "GET-MASTER-ADDR-BY-NAME",
};

static void ask(struct fleet_member *m, const char *verb, const char *group)
{
    const char *argv[] = {"SENTINEL", verb, group};
    fleet_ask(m, group != NULL ? 3 : 2, argv);
}

static bool is_wanted(const struct status_query *q, const char *group)
{
    for (size_t i = 0; i < q->ngroups; i++)
        if (status_means(q->groups[i], group))
            return true;
    return q->ngroups == 0;
}

static bool is_wanted_cluster(const struct status_query *q, const char *cluster)
{
    size_t n = strlen(cluster);
    for (size_t i = 0; i < q->ngroups; i++)
        if (strncmp(q->groups[i], cluster, n) == 0 && (q->groups[i][n] == '\0' || q->groups[i][n] == '/'))
            return true;
    return q->ngroups == 0;
}

static bool begins(const redisReply *r, const char *with)
{
    return r->type == REDIS_REPLY_ERROR && strncmp(r->str, with, strlen(with)) == 0;
}

/* The answers to AUTH (when a password was given), MYID and MASTERS. Whoever does not
 * answer as a supervisor fails. */
static void read_greeting(struct fleet_member *m, const struct status_query *q, json_t *view)
{
    size_t first = q->password[0] != '\0';
    if (m->error != NULL)
        return;
    const redisReply *auth = first ? m->replies[0] : NULL;
    const redisReply *id = m->replies[first], *masters = m->replies[first + 1];
    if (auth != NULL && auth->type == REDIS_REPLY_ERROR && id->type == REDIS_REPLY_ERROR)
        fleet_fail(m, "it refuses the password (%s)", auth->str);
    else if (begins(id, "NOAUTH"))
        fleet_fail(m, "it asks for a password: give --password-file, or NODECTL_PASSWORD");
    else if (id->type == REDIS_REPLY_ERROR)
        fleet_fail(m, "it does not answer as a supervisor (%s)", id->str);
    else if (id->type != REDIS_REPLY_STRING || masters->type != REDIS_REPLY_ARRAY)
        fleet_fail(m, "it does not answer as a supervisor");
    if (m->error != NULL)
        return;
    json_object_set_new(view, "id", json_text(id->str, (size_t)id->len));
    json_t *groups = json_object_get(view, "groups");
    for (size_t i = 0; i < masters->elements; i++) {
        json_t *master = reply_object(masters->element[i]);
        const char *name = field_text(master, "name");
        if (name[0] != '\0' && is_wanted(q, name))
            json_object_set_new(groups, name, json_pack("{s:O}", "master", master));
        json_decref(master);
    }
}

static json_t *read_address(const redisReply *r)
{
    struct addr a;
    int64_t port;
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING ||
        r->element[1]->type != REDIS_REPLY_STRING)
        return json_string("");
    struct slice host = {r->element[0]->str, (size_t)r->element[0]->len};
    struct slice port_text = {r->element[1]->str, (size_t)r->element[1]->len};
    return text_i64(port_text, &port) && addr_set(&a, host, port) ? json_addr(&a) : json_string("");
}

static void read_details(const struct fleet_member *m, json_t *view)
{
    const char *name;
    json_t *group;
    size_t at = 1;
    if (m->error != NULL) {
        json_object_clear(json_object_get(view, "groups")); /* half a view would be taken for a disagreement */
        return;
    }
    json_object_set_new(view, "clusters", reply_objects(m->replies[0])); /* none: stock answers with an error */
    json_object_foreach(json_object_get(view, "groups"), name, group)
    {
        redisReply *const *r = &m->replies[at];
        const redisReply *quorum = r[ASK_CKQUORUM];
        bool is_text = quorum->type == REDIS_REPLY_STATUS || quorum->type == REDIS_REPLY_ERROR;
        json_object_set_new(group, "replicas", reply_objects(r[ASK_REPLICAS]));
        json_object_set_new(group, "supervisors", reply_objects(r[ASK_SENTINELS]));
        json_object_set_new(group, "quorum_reply",
                            is_text ? json_text(quorum->str, (size_t)quorum->len) : json_string(""));
        json_object_set_new(group, "quorum_ok", json_boolean(quorum->type == REDIS_REPLY_STATUS));
        json_object_set_new(group, "address", read_address(r[ASK_ADDRESS]));
        at += QUESTIONS;
    }
}

static json_t *new_view(const struct fleet_member *m)
{
    return json_pack("{s:o, s:b, s:n, s:s, s:{}}", "address", json_addr(&m->addr), "given", m->given, "error", "id", "",
                     "groups");
}

/* Asks the members from `first` on for all they know, and adds their views. views[i] belongs to members[i]. */
static void ask_members(struct fleet *f, size_t first, const struct status_query *q, json_t *views)
{
    const char *auth[] = {"AUTH", q->user[0] != '\0' ? q->user : q->password, q->password};
    for (size_t i = first; i < f->n; i++) {
        json_array_append_new(views, new_view(f->members[i]));
        if (q->password[0] != '\0')
            fleet_ask(f->members[i], q->user[0] != '\0' ? 3 : 2, auth);
        ask(f->members[i], "MYID", NULL);
        ask(f->members[i], "MASTERS", NULL);
    }
    fleet_run(f);
    for (size_t i = first; i < f->n; i++)
        read_greeting(f->members[i], q, json_array_get(views, i));
    fleet_forget(f);
    for (size_t i = first; i < f->n; i++) {
        const char *name;
        json_t *group;
        ask(f->members[i], "CLUSTERS", NULL);
        json_object_foreach(json_object_get(json_array_get(views, i), "groups"), name, group)
        {
            for (int k = 0; k < QUESTIONS; k++)
                ask(f->members[i], questions[k], name);
        }
    }
    fleet_run(f);
    for (size_t i = first; i < f->n; i++)
        read_details(f->members[i], json_array_get(views, i));
    fleet_forget(f);
}

/* Adds the supervisors that the asked ones know and that were not named by the operator. */
static void add_found(struct fleet *f, const json_t *views)
{
    size_t i, k;
    json_t *view, *peer, *group;
    const char *name;
    json_array_foreach(views, i, view)
    {
        json_object_foreach(json_object_get(view, "groups"), name, group)
        {
            json_array_foreach(json_object_get(group, "supervisors"), k, peer)
            {
                struct addr a;
                bool added;
                const char *id = field_text(peer, "runid");
                if (field_addr(peer, "ip", "port", &a) && (id[0] == '\0' || json_find(views, "id", id) == NULL))
                    fleet_add(f, &a, false, &added);
            }
        }
    }
}

/* A number of an INFO text ("\nname:123"), or null. */
static json_t *info_number(struct slice info, const char *name)
{
    while (info.n > 0) {
        struct slice line = slice_cut_line(&info), key = slice_cut(&line, ':');
        int64_t n;
        if (slice_is(key, name) && text_i64(line, &n))
            return json_integer((json_int_t)n);
    }
    return json_null();
}

/* The master's INFO as the supervisor has it: the only place where its offset and those of its replicas are of one
 * moment. */
static json_t *read_info(const redisReply *r)
{
    const redisReply *list = r->type == REDIS_REPLY_ARRAY && r->elements >= 2 ? r->element[1] : NULL;
    const redisReply *first = list != NULL && list->type == REDIS_REPLY_ARRAY && list->elements > 0 ? list->element[0]
                                                                                                    : NULL;
    if (first == NULL || first->type != REDIS_REPLY_ARRAY || first->elements < 2 ||
        first->element[0]->type != REDIS_REPLY_INTEGER || first->element[1]->type != REDIS_REPLY_STRING)
        return json_null();
    struct sn_info info;
    struct slice text = {first->element[1]->str, (size_t)first->element[1]->len};
    sn_info_init(&info);
    json_t *told = json_null();
    if (sn_info_parse(&info, text) && info.role == SN_ROLE_MASTER) {
        json_t *replicas = json_array();
        for (size_t i = 0; i < info.nreplicas; i++)
            json_array_append_new(replicas,
                                  json_pack("{s:o, s:I, s:I, s:b}", "address", json_addr(&info.replicas[i].addr),
                                            "offset", (json_int_t)info.replicas[i].offset, "lag_s",
                                            (json_int_t)info.replicas[i].lag_s, "online", info.replicas[i].online));
        told = json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "age_ms", (json_int_t)first->element[0]->integer, "offset",
                         (json_int_t)info.repl_offset, "replicas", replicas, "ops_per_s",
                         info_number(text, "instantaneous_ops_per_sec"), "used_memory",
                         info_number(text, "used_memory"), "supervised", info_number(text, "cluster_supervised"));
    }
    sn_info_free(&info);
    return told;
}

/* A field of a map whose values are not all text. */
static const redisReply *nested(const redisReply *map, const char *name)
{
    for (size_t i = 0; map->type == REDIS_REPLY_ARRAY && i + 1 < map->elements; i += 2)
        if (map->element[i]->type == REDIS_REPLY_STRING && strcmp(map->element[i]->str, name) == 0)
            return map->element[i + 1];
    return NULL;
}

static json_t *nested_objects(const redisReply *map, const char *name)
{
    const redisReply *r = nested(map, name);
    return r != NULL ? reply_objects(r) : json_array();
}

/* The clusters that this view is the best teller of, each with what SENTINEL CLUSTER says of it. */
static json_t *told_by(const json_t *views, size_t view)
{
    json_t *found = json_object();
    const json_t *cluster;
    size_t i;
    json_array_foreach(json_object_get(json_array_get(views, view), "clusters"), i, cluster)
    {
        const char *name = field_text(cluster, "name");
        if (status_teller(views, name) == view)
            json_object_set_new(found, name, json_null());
    }
    return found;
}

/* The answers about a group: its INFO, and the ranking of its replicas, which redis-sentinel does not know. */
static void read_group(json_t *group, const redisReply *info, const redisReply *ranking)
{
    json_object_set_new(group, "info", read_info(info));
    if (ranking->type == REDIS_REPLY_ARRAY)
        json_object_set_new(group, "ranking", reply_objects(ranking));
}

/* What only one supervisor is asked: of each group the INFO and the ranking, and the shards of each cluster. */
static void ask_details(struct fleet *f, const struct status_query *q, json_t *views)
{
    const char *name;
    json_t *value;
    for (size_t i = 0; i < f->n; i++) {
        json_t *view = json_array_get(views, i), *clusters = told_by(views, i);
        json_object_foreach(json_object_get(view, "groups"), name, value)
        {
            if (status_reporter(views, name) != i)
                continue;
            ask(f->members[i], "INFO-CACHE", name);
            ask(f->members[i], "RANKING", name);
        }
        json_object_foreach(clusters, name, value)
        {
            if (is_wanted_cluster(q, name))
                ask(f->members[i], "CLUSTER", name);
        }
        json_object_set_new(view, "told", clusters);
    }
    fleet_run(f);
    for (size_t i = 0; i < f->n; i++) {
        const struct fleet_member *m = f->members[i];
        json_t *view = json_array_get(views, i);
        size_t at = 0;
        json_object_foreach(json_object_get(view, "groups"), name, value)
        {
            if (status_reporter(views, name) != i || at + 1 >= m->nreplies)
                continue;
            read_group(value, m->replies[at], m->replies[at + 1]);
            at += 2;
        }
        json_object_foreach(json_object_get(view, "told"), name, value)
        {
            if (is_wanted_cluster(q, name) && at < m->nreplies) {
                const redisReply *r = m->replies[at++];
                json_object_set_new(json_object_get(view, "told"), name,
                                    json_pack("{s:o, s:o}", "shards", nested_objects(r, "shards"), "databases",
                                              nested_objects(r, "databases")));
            }
        }
    }
    fleet_forget(f);
}

/* A supervisor of two names answers both times with the same id: the second view tells nothing new. */
static void drop_doubles(struct fleet *f, json_t *views)
{
    for (size_t i = 0; i < f->n; i++) {
        json_t *view = json_array_get(views, i);
        const char *id = field_text(view, "id");
        for (size_t k = 0; k < i && id[0] != '\0'; k++) {
            if (strcmp(field_text(json_array_get(views, k), "id"), id) == 0) {
                json_object_clear(json_object_get(view, "groups"));
                json_object_del(view, "clusters");
                json_object_set_new(view, "double", json_true());
            }
        }
    }
}

static void finish(const struct fleet *f, json_t *views)
{
    for (size_t i = f->n; i-- > 0;) {
        json_t *view = json_array_get(views, i);
        if (f->members[i]->error != NULL) {
            json_object_set_new(view, "error", json_text(f->members[i]->error, strlen(f->members[i]->error)));
            json_object_clear(json_object_get(view, "groups"));
            json_object_del(view, "clusters");
            json_object_del(view, "told");
        }
        if (json_is_true(json_object_get(view, "double")))
            json_array_remove(views, i);
    }
}

json_t *status_collect(struct fleet *f, const struct status_query *q)
{
    json_t *views = json_array();
    ask_members(f, 0, q, views);
    drop_doubles(f, views);
    size_t named = f->n;
    add_found(f, views);
    ask_members(f, named, q, views);
    drop_doubles(f, views);
    ask_details(f, q, views);
    finish(f, views);
    return views;
}

const json_t *status_shard(const json_t *views, const char *group)
{
    const char *slash = strchr(group, '/');
    struct buf cluster = {0};
    const json_t *found = NULL;
    if (slash != NULL)
        buf_put(&cluster, group, (size_t)(slash - group));
    for (size_t i = 0; slash != NULL && i < json_array_size(views) && found == NULL; i++)
        found = json_named(
            json_object_get(json_object_get(json_object_get(json_array_get(views, i), "told"), buf_str(&cluster)),
                            "shards"),
            group);
    buf_free(&cluster);
    return found;
}

size_t status_teller(const json_t *views, const char *cluster)
{
    size_t best = SIZE_MAX;
    int64_t best_epoch = -1;
    for (size_t i = 0; i < json_array_size(views); i++) {
        const json_t *map = json_named(json_object_get(json_array_get(views, i), "clusters"), cluster);
        if (map != NULL && field_number(map, "epoch", 0) > best_epoch) {
            best = i;
            best_epoch = field_number(map, "epoch", 0);
        }
    }
    return best;
}

void status_narrow(json_t *views, const char *cluster)
{
    size_t i;
    json_t *view, *group;
    const char *name;
    void *next;
    json_array_foreach(views, i, view)
    {
        json_t *groups = json_object_get(view, "groups");
        json_object_foreach_safe(groups, next, name, group)
        {
            if (!status_means(cluster, name))
                json_object_del(groups, name);
        }
    }
}

json_t *status_group(const json_t *views, size_t view, const char *group)
{
    return json_object_get(json_object_get(json_array_get(views, view), "groups"), group);
}

size_t status_reporter(const json_t *views, const char *group)
{
    size_t best = SIZE_MAX;
    int64_t best_epoch = -1;
    bool best_linked = false;
    for (size_t i = 0; i < json_array_size(views); i++) {
        const json_t *master = json_object_get(status_group(views, i, group), "master");
        if (master == NULL)
            continue;
        int64_t epoch = field_number(master, "config-epoch", 0);
        bool linked = !field_has(master, "flags", "disconnected") && !field_has(master, "flags", "s_down");
        if (best == SIZE_MAX || epoch > best_epoch || (epoch == best_epoch && linked && !best_linked)) {
            best = i;
            best_epoch = epoch;
            best_linked = linked;
        }
    }
    return best;
}
