#include "nodectl/drill/records.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"

#include <stdlib.h>
#include <string.h>

#define COUNT "1000" /* reports that are asked of a supervisor */

/* Finds the supervisors that were not named, and logs in. */
static void find_all(const struct asking *a, struct fleet *f)
{
    struct status_query q = {.user = a->user, .password = a->password};
    json_decref(status_collect(f, &q));
    fleet_forget(f);
}

size_t records_put(const struct asking *a, const json_t *document, struct buf *why)
{
    struct fleet f;
    size_t taken = 0;
    char *text = json_dumps(document, JSON_COMPACT), at[ADDR_TEXT_MAX];
    asking_begin(a, &f);
    find_all(a, &f);
    for (size_t i = 0; i < f.n; i++)
        fleet_ask(f.members[i], 6,
                  (const char *[]){"SENTINEL", "DRILL", "RECORD", json_word(document, "id"),
                                   json_word(document, "group"), text});
    fleet_run(&f);
    for (size_t i = 0; i < f.n; i++) {
        const struct fleet_member *m = f.members[i];
        const redisReply *r = fleet_answer(m);
        bool ok = r != NULL && r->type == REDIS_REPLY_STATUS;
        taken += ok;
        if (!ok)
            buf_printf(why, "%s does not keep the report: %s\n", addr_text(&m->addr, at),
                       r == NULL                      ? m->error
                       : r->type == REDIS_REPLY_ERROR ? r->str
                                                      : "an answer that is none");
    }
    free(text);
    fleet_free(&f);
    return taken;
}

/* Where it belongs: the newest first. */
static void insert(json_t *list, json_t *document)
{
    size_t i = 0;
    while (i < json_array_size(list) && json_int(json_array_get(list, i), "at_ms", 0) > json_int(document, "at_ms", 0))
        i++;
    json_array_insert_new(list, i, document);
}

static void take(json_t *list, const redisReply *r)
{
    json_t *rows = past_events(r);
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        json_t *d = json_loads(json_word(row, "text"), 0, NULL);
        if (json_is_object(d) && json_find(list, "id", json_word(d, "id")) == NULL)
            insert(list, d);
        else
            json_decref(d);
    }
    json_decref(rows);
}

json_t *records_get(const struct command_call *call, const struct asking *a, const char *id, int *code)
{
    const char *one[] = {"SENTINEL", "DRILL", "SHOW", id}, *all[] = {"SENTINEL", "DRILL", "LIST", "COUNT", COUNT};
    struct fleet f;
    json_t *list = json_array();
    const redisReply *refusal = NULL;
    size_t answered = 0;
    *code = EXIT_OK;
    asking_begin(a, &f);
    find_all(a, &f);
    for (size_t i = 0; i < f.n; i++)
        fleet_ask(f.members[i], id != NULL ? 4 : 5, id != NULL ? one : all);
    fleet_run(&f);
    for (size_t i = 0; i < f.n; i++) {
        const struct fleet_member *m = f.members[i];
        const redisReply *r = fleet_answer(m);
        if (r != NULL && r->type == REDIS_REPLY_ERROR)
            refusal = r;
        else if (r != NULL)
            take(list, r);
        answered += r != NULL && r->type != REDIS_REPLY_ERROR;
    }
    if (answered == 0 && asking_nobody(call, a, &f))
        *code = EXIT_NOBODY;
    else if (answered == 0)
        *code = command_fail(call, EXIT_FAILED, "no supervisor tells of drills: %s",
                             refusal != NULL ? refusal->str : "they do not answer");
    fleet_free(&f);
    if (*code == EXIT_OK)
        return list;
    json_decref(list);
    return NULL;
}
