#include "nodectl/node/survey.h"

#include "nodectl/node/answers.h"
#include "nodectl/reply_json.h"

#include <string.h>

/* ---- asking ---- */

static void ask(struct node_work *w)
{
    struct picture *p = &w->picture;
    fleet_forget(&p->fleet);
    for (size_t i = 0; i < p->n; i++) {
        struct fleet_member *m = p->v[i].answers ? p->v[i].member : NULL;
        if (m == NULL)
            continue;
        if (m->fd < 0)
            asking_login_node(&w->asking, m);
        fleet_ask(m, 1, (const char *[]){"INFO"});
    }
    fleet_run(&p->fleet);
}

/* The sum of "dbN:keys=K,..." */
static int64_t keys_of(const char *info)
{
    int64_t sum = 0;
    for (const char *at = strstr(info, "\r\ndb"); at != NULL; at = strstr(at + 1, "\r\ndb")) {
        const char *colon = strchr(at, ':');
        int64_t keys = 0;
        if (colon == NULL || strncmp(colon, ":keys=", 6) != 0)
            continue;
        for (const char *d = colon + 6; *d >= '0' && *d <= '9' && keys < INT64_MAX / 10 - 10; d++)
            keys = keys * 10 + (*d - '0');
        sum += keys;
    }
    return sum;
}

/* ---- one node ---- */

static void put_text(json_t *o, const char *name, const char *text)
{
    json_object_set_new(o, name, text[0] != '\0' ? json_text(text, strlen(text)) : json_null());
}

static void put_number(json_t *o, const char *name, int64_t n)
{
    json_object_set_new(o, name, n >= 0 ? json_integer((json_int_t)n) : json_null());
}

/* Of a master of its own name; of a replica that of its master. */
static void put_place(json_t *o, const struct node_work *w, const struct picture_node *n)
{
    char text[ADDR_TEXT_MAX];
    const struct picture_node *master = n->master ? n : picture_by_id(&w->picture, n->master_id);
    const json_t *shard = master != NULL ? supervision_shard(&w->by, master->id) : NULL;
    put_text(o, "address", addr_text(&n->addr, text));
    put_text(o, "id", n->id);
    put_text(o, "role", n->master ? "master" : "replica");
    put_text(o, "shard", field_text(shard, "name"));
    put_text(o, "master", n->master || master == NULL ? "" : addr_text(&master->addr, text));
    json_object_set_new(o, "slots", json_integer(n->nslots));
    json_object_set_new(o, "epoch", json_integer((json_int_t)n->epoch));
    put_text(o, "version", n->version);
    put_text(o, "server", !n->answers ? "" : n->noded ? "noded" : n->valkey ? "valkey" : "redis");
}

static bool is_no_candidate(const struct node_work *w, const struct picture_node *n, int64_t priority)
{
    const struct sn_nodes_line *self = &n->view.lines[n->view.self];
    bool alone = supervision_watching(&w->by) == 0;
    return priority == 0 || (alone && (self->flags & SN_NODES_NOFAILOVER) != 0);
}

static void put_state(json_t *o, const struct node_work *w, const struct picture_node *n, const char *info)
{
    char link[16];
    bool known = answer_field(info, "master_link_status", link, sizeof link);
    int64_t priority = answer_number(info, "slave_priority", -1);
    const char *state = "ok";
    if (n->fails)
        state = "down";
    else if (answer_number(info, "loading", 0) != 0)
        state = "loading";
    else if (is_no_candidate(w, n, priority))
        state = "maintenance";
    else if (known && strcmp(link, "up") != 0)
        state = "syncing";
    put_text(o, "state", state);
    put_text(o, "link", known ? link : "");
    put_number(o, "priority", priority);
}

static void put_told(json_t *o, const char *info)
{
    char file[512];
    (void)answer_field(info, "config_file", file, sizeof file);
    put_number(o, "keys", keys_of(info));
    put_number(o, "memory", answer_number(info, "used_memory", -1));
    put_number(o, "uptime_s", answer_number(info, "uptime_in_seconds", -1));
    put_number(o, "process_id", answer_number(info, "process_id", -1));
    put_text(o, "config_file", file);
    put_number(o, "offset", answer_number(info, "slave_repl_offset", answer_number(info, "master_repl_offset", -1)));
}

static json_t *describe(const struct node_work *w, const struct picture_node *n)
{
    json_t *o = json_object();
    const redisReply *r = n->answers ? fleet_answer(n->member) : NULL;
    const char *error = n->member != NULL && n->member->error != NULL ? n->member->error : "it does not answer";
    put_place(o, w, n);
    if (r != NULL && r->type == REDIS_REPLY_STRING) {
        put_state(o, w, n, r->str);
        put_told(o, r->str);
        error = "";
    } else {
        put_text(o, "state", "down");
        if (r != NULL && r->type == REDIS_REPLY_ERROR)
            error = r->str;
    }
    put_text(o, "error", error);
    return o;
}

/* Bytes that the master is ahead, by what both told in one round of questions. */
static void put_lags(json_t *nodes)
{
    size_t i;
    json_t *o;
    json_array_foreach(nodes, i, o)
    {
        const json_t *master = json_find(nodes, "address", field_text(o, "master"));
        const json_t *mine = json_object_get(o, "offset"), *theirs = json_object_get(master, "offset");
        int64_t lag = json_integer_value(theirs) - json_integer_value(mine);
        bool known = json_is_integer(mine) && json_is_integer(theirs);
        put_number(o, "lag_bytes", !known ? -1 : lag > 0 ? lag : 0);
    }
}

json_t *survey_nodes(struct node_work *w)
{
    json_t *nodes = json_array();
    ask(w);
    for (size_t i = 0; i < w->picture.n; i++)
        json_array_append_new(nodes, describe(w, &w->picture.v[i]));
    put_lags(nodes);
    return nodes;
}
