#include "nodectl/past.h"

#include "nodectl/reply_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_row(const redisReply *r, const char *types)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements != strlen(types))
        return false;
    for (size_t i = 0; i < r->elements; i++)
        if (r->element[i]->type != (types[i] == 'n' ? REDIS_REPLY_INTEGER : REDIS_REPLY_STRING))
            return false;
    return true;
}

static json_t *text_of(const redisReply *r)
{
    return json_text(r->str, (size_t)r->len);
}

json_t *past_notes(const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < r->elements; i++) {
        if (!is_row(r->element[i], "nnssns"))
            continue;
        redisReply *const *e = r->element[i]->element;
        json_t *note = json_loadb(e[5]->str, (size_t)e[5]->len, 0, NULL);
        if (!json_is_object(note)) {
            json_decref(note);
            note = json_object();
        }
        json_array_append_new(list, json_pack("{s:I, s:I, s:o, s:o, s:I, s:o}", "number", (json_int_t)e[0]->integer,
                                              "wall_ms", (json_int_t)e[1]->integer, "kind", text_of(e[2]), "group",
                                              text_of(e[3]), "epoch", (json_int_t)e[4]->integer, "note", note));
    }
    return list;
}

json_t *past_events(const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < r->elements; i++) {
        if (!is_row(r->element[i], "nnsss"))
            continue;
        redisReply *const *e = r->element[i]->element;
        json_array_append_new(list, json_pack("{s:I, s:I, s:o, s:o, s:o}", "number", (json_int_t)e[0]->integer,
                                              "wall_ms", (json_int_t)e[1]->integer, "event", text_of(e[2]), "text",
                                              text_of(e[3]), "group", text_of(e[4])));
    }
    return list;
}

/* false: there is no such time. */
static bool put_time(int64_t wall_ms, const char *how, char text[WALL_TEXT_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t;
    bool ok = wall_ms > 0 && localtime_r(&seconds, &t) != NULL && strftime(text, WALL_TEXT_MAX, how, &t) > 0;
    if (!ok)
        snprintf(text, WALL_TEXT_MAX, "-");
    return ok;
}

const char *wall_text(int64_t wall_ms, char text[WALL_TEXT_MAX])
{
    if (put_time(wall_ms, "%Y-%m-%d %H:%M:%S", text)) {
        size_t n = strlen(text);
        snprintf(text + n, WALL_TEXT_MAX - n, ".%03d", (int)(wall_ms % 1000));
    }
    return text;
}

const char *clock_text(int64_t wall_ms, char text[WALL_TEXT_MAX])
{
    put_time(wall_ms, "%H:%M:%S", text);
    return text;
}

int64_t json_int(const json_t *o, const char *name, int64_t absent)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : absent;
}

const char *json_word(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "";
}

bool json_yes(const json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}
