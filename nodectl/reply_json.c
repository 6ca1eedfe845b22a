#include "nodectl/reply_json.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

struct slice reply_text(const redisReply *r)
{
    bool text = r != NULL && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS);
    return text ? (struct slice){r->str, r->len} : (struct slice){NULL, 0};
}

json_t *json_text(const char *p, size_t n)
{
    json_t *t = json_stringn(p, n);
    if (t != NULL)
        return t;
    char *copy = mem_strndup(p, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    t = json_stringn(copy, n);
    free(copy);
    if (t == NULL)
        mem_fail(n);
    return t;
}

json_t *json_addr(const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    return json_string(addr_text(a, text));
}

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

json_t *reply_object(const redisReply *r)
{
    json_t *o = json_object();
    if (r->type != REDIS_REPLY_ARRAY)
        return o;
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        const redisReply *name = r->element[i], *value = r->element[i + 1];
        if (!is_text(name) || strlen(name->str) != (size_t)name->len)
            continue;
        json_t *v = NULL;
        if (is_text(value))
            v = json_text(value->str, (size_t)value->len);
        else if (value->type == REDIS_REPLY_INTEGER)
            v = json_sprintf("%lld", value->integer);
        if (v != NULL)
            json_object_set_new(o, name->str, v); /* a name that is not UTF-8 is left out */
    }
    return o;
}

json_t *reply_objects(const redisReply *r)
{
    json_t *list = json_array();
    if (r->type != REDIS_REPLY_ARRAY)
        return list;
    for (size_t i = 0; i < r->elements; i++)
        json_array_append_new(list, reply_object(r->element[i]));
    return list;
}

const char *field_text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "";
}

json_t *json_find(const json_t *objects, const char *field, const char *text)
{
    size_t i;
    json_t *o;
    json_array_foreach(objects, i, o)
    {
        if (strcmp(field_text(o, field), text) == 0)
            return o;
    }
    return NULL;
}

json_t *json_named(const json_t *objects, const char *name)
{
    return json_find(objects, "name", name);
}

int64_t field_number(const json_t *o, const char *name, int64_t absent)
{
    int64_t v;
    return text_i64(slice_of(field_text(o, name)), &v) ? v : absent;
}

bool field_has(const json_t *o, const char *name, const char *word)
{
    struct slice rest = slice_of(field_text(o, name));
    while (rest.p != NULL)
        if (slice_is(slice_cut(&rest, ','), word))
            return true;
    return false;
}

bool field_addr(const json_t *o, const char *host, const char *port, struct addr *out)
{
    return addr_set(out, slice_of(field_text(o, host)), field_number(o, port, 0));
}
