#include "nodectl/drill/survey.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/info.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- supervisors ---- */

static json_t *shards_of(const redisReply *r)
{
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2)
        if (r->element[i]->type == REDIS_REPLY_STRING && strcmp(r->element[i]->str, "shards") == 0)
            return reply_objects(r->element[i + 1]);
    return NULL;
}

static json_t *ask_shards(struct fleet *f, const char *cluster)
{
    json_t *list = NULL;
    fleet_forget(f);
    for (size_t i = 0; i < f->n; i++)
        fleet_ask(f->members[i], 3, (const char *[]){"SENTINEL", "CLUSTER", cluster});
    fleet_run(f);
    for (size_t i = 0; i < f->n && list == NULL; i++)
        if (f->members[i]->error == NULL && f->members[i]->nreplies == 1)
            list = shards_of(f->members[i]->replies[0]);
    return list != NULL ? list : json_array();
}

json_t *survey_status(const struct command_call *call, const struct asking *a, const char *scope, json_t **shards)
{
    struct status_query q = {.user = a->user, .password = a->password, .groups = &scope, .ngroups = scope != NULL};
    struct fleet f;
    size_t answered = 0;
    asking_begin(a, &f);
    json_t *views = status_collect(&f, &q), *document = status_merge(views, q.groups, q.ngroups);
    for (size_t i = 0; i < f.n; i++)
        answered += f.members[i]->error == NULL;
    if (answered == 0) {
        if (call != NULL)
            asking_nobody(call, a, &f);
        json_decref(document);
        document = NULL;
    } else if (shards != NULL) {
        *shards = ask_shards(&f, scope);
    }
    json_decref(views);
    fleet_free(&f);
    return document;
}

static struct fleet_member *add_supervisor(const struct asking *a, struct fleet *f, const struct addr *at)
{
    bool added;
    struct fleet_member *m = fleet_add(f, at, true, &added);
    asking_login(a, m);
    return m;
}

static bool read_address(const redisReply *r, struct addr *out)
{
    int64_t port;
    return r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[0]->type == REDIS_REPLY_STRING &&
           r->element[1]->type == REDIS_REPLY_STRING && text_i64(slice_of(r->element[1]->str), &port) &&
           addr_set(out, slice_of(r->element[0]->str), port);
}

bool survey_master(const struct asking *a, const struct addr *supervisors, size_t n, const char *group,
                   struct addr *master)
{
    struct fleet f;
    struct addr said;
    size_t told = 0;
    bool same = true;
    fleet_init(&f, a->timeout_ms);
    for (size_t i = 0; i < n; i++)
        fleet_ask(add_supervisor(a, &f, &supervisors[i]), 3,
                  (const char *[]){"SENTINEL", "GET-MASTER-ADDR-BY-NAME", group});
    fleet_run(&f);
    for (size_t i = 0; i < f.n; i++) {
        if (!read_address(fleet_answer(f.members[i]), &said))
            continue;
        same = same && (told == 0 || addr_eq(master, &said));
        *master = said;
        told++;
    }
    fleet_free(&f);
    return same && told > 0;
}

bool survey_switch(const struct asking *a, const struct addr *supervisors, size_t n, const char *group,
                   const struct addr *to, struct buf *why)
{
    const char *argv[7] = {"SENTINEL", "FAILOVER", group, "COORDINATED"};
    char port[8], text[ADDR_TEXT_MAX];
    int argc = 4;
    bool taken = false, refused = false;
    if (to != NULL) {
        snprintf(port, sizeof port, "%d", to->port);
        argv[argc++] = "TO";
        argv[argc++] = to->host;
        argv[argc++] = port;
    }
    for (size_t i = 0; i < n && !taken && !refused; i++) {
        struct fleet f;
        fleet_init(&f, a->timeout_ms);
        struct fleet_member *m = add_supervisor(a, &f, &supervisors[i]);
        fleet_ask(m, argc, argv);
        fleet_run(&f);
        const redisReply *r = fleet_answer(m);
        taken = r != NULL && r->type == REDIS_REPLY_STATUS;
        refused = r != NULL && !taken;
        if (!taken) {
            buf_clear(why);
            buf_printf(why, "%s: %s", addr_text(&supervisors[i], text),
                       r == NULL                      ? m->error
                       : r->type == REDIS_REPLY_ERROR ? r->str
                                                      : "an answer that is none");
        }
        fleet_free(&f);
    }
    return taken;
}

/* ---- nodes ---- */

static struct fleet_member *add_node(const struct drill_order *o, struct fleet *f, const struct addr *at)
{
    bool added;
    struct fleet_member *m = fleet_add(f, at, true, &added);
    if (o->node_user != NULL)
        fleet_ask(m, 3, (const char *[]){"AUTH", o->node_user, o->node_password});
    else if (o->node_password != NULL)
        fleet_ask(m, 2, (const char *[]){"AUTH", o->node_password});
    return m;
}

static void read_info(const redisReply *r, struct survey_node *out)
{
    struct slice info = reply_text(r), file = info_field(info, "config_file");
    (void)text_i64(info_field(info, "process_id"), &out->process_id);
    out->replica = slice_is(info_field(info, "role"), "slave");
    out->follows = slice_is(info_field(info, "master_link_status"), "up");
    out->loading = slice_is(info_field(info, "loading"), "1");
    if (file.n > 0)
        snprintf(out->config_file, sizeof out->config_file, "%.*s", (int)file.n, file.p);
}

/* A cluster of stock nodes has one database, whatever its configuration says. */
static int64_t databases_of(const redisReply *config, const redisReply *select)
{
    int64_t n = 1;
    if (select->type == REDIS_REPLY_ERROR)
        return 1;
    if (config->type == REDIS_REPLY_ARRAY && config->elements == 2 && config->element[1]->type == REDIS_REPLY_STRING)
        (void)text_range(slice_of(config->element[1]->str), 1, INT32_MAX, &n);
    return n;
}

bool survey_node(const struct asking *a, const struct drill_order *o, const struct addr *at, bool for_supervisor,
                 struct survey_node *out, struct buf *why)
{
    struct fleet f;
    char text[ADDR_TEXT_MAX];
    fleet_init(&f, a->timeout_ms);
    *out = (struct survey_node){.databases = 1};
    struct fleet_member *m = for_supervisor ? add_supervisor(a, &f, at) : add_node(o, &f, at);
    fleet_ask(m, 1, (const char *[]){"INFO"});
    if (!for_supervisor) {
        fleet_ask(m, 2, (const char *[]){"SELECT", "1"});
        fleet_ask(m, 3, (const char *[]){"CONFIG", "GET", "databases"});
    }
    fleet_run(&f);
    size_t info = m->nreplies - (for_supervisor ? 1 : 3);
    const redisReply *r = m->error == NULL ? m->replies[info] : NULL;
    bool ok = r != NULL && r->type == REDIS_REPLY_STRING;
    if (ok) {
        read_info(r, out);
        if (!for_supervisor)
            out->databases = databases_of(m->replies[info + 2], m->replies[info + 1]);
    } else {
        bool login = r != NULL && r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOAUTH", 6) == 0;
        buf_printf(why, "%s: %s%s", addr_text(at, text), r == NULL ? m->error : r->str,
                   login ? " Give --node-password-file, or NODECTL_NODE_PASSWORD" : "");
    }
    fleet_free(&f);
    return ok;
}

static void read_numbers(const redisReply *r, int64_t **numbers, size_t *count)
{
    *numbers = mem_array(NULL, r->elements + 1, sizeof **numbers);
    for (size_t i = 0; i < r->elements; i++)
        if (r->element[i]->type == REDIS_REPLY_STRING &&
            text_i64((struct slice){r->element[i]->str, (size_t)r->element[i]->len}, &(*numbers)[*count]))
            (*count)++;
}

bool survey_rows(const struct asking *a, const struct drill_order *o, const struct addr *at, int database,
                 const char *key, bool remove, int64_t **numbers, size_t *count, struct buf *why)
{
    struct fleet f;
    char number[16], text[ADDR_TEXT_MAX];
    *numbers = NULL;
    *count = 0;
    fleet_init(&f, a->timeout_ms);
    struct fleet_member *m = add_node(o, &f, at);
    snprintf(number, sizeof number, "%d", database);
    if (database > 0)
        fleet_ask(m, 2, (const char *[]){"SELECT", number});
    fleet_ask(m, 4, (const char *[]){"LRANGE", key, "0", "-1"});
    fleet_run(&f);
    const redisReply *r = fleet_answer(m);
    bool ok = r != NULL && r->type == REDIS_REPLY_ARRAY;
    if (ok) {
        read_numbers(r, numbers, count);
        fleet_forget(&f);
        if (remove)
            fleet_ask(m, 2, (const char *[]){"DEL", key});
        fleet_run(&f);
    } else {
        buf_printf(why, "%s: %s", addr_text(at, text),
                   r == NULL                      ? m->error
                   : r->type == REDIS_REPLY_ERROR ? r->str
                                                  : "an answer that is none");
    }
    fleet_free(&f);
    return ok;
}
