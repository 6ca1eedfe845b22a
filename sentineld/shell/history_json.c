#include "sentineld/shell/history_json.h"

#include "common/base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_of(const char *text)
{
    json_t *t = json_string(text);
    if (t != NULL)
        return t;
    char *copy = mem_strdup(text);
    for (char *p = copy; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    t = json_string(copy);
    free(copy);
    return t;
}

static void put_field(json_t *o, const struct sn_note_item *i)
{
    switch (i->type) {
    case SN_ITEM_INT: json_object_set_new(o, i->name, json_integer(i->number)); break;
    case SN_ITEM_BOOL: json_object_set_new(o, i->name, json_boolean(i->number)); break;
    case SN_ITEM_TEXT: json_object_set_new(o, i->name, text_of(i->text)); break;
    default: break;
    }
}

char *history_json(const struct sn_note *n)
{
    json_t *whole = json_object(), *list = NULL, *at = whole;
    for (size_t k = 0; k < n->n; k++) {
        const struct sn_note_item *i = &n->v[k];
        switch (i->type) {
        case SN_ITEM_LIST:
            list = json_array();
            json_object_set_new(whole, i->name, list);
            break;
        case SN_ITEM_ROW:
            at = json_object();
            json_array_append_new(list, at);
            break;
        case SN_ITEM_OBJECT:
            at = json_object();
            json_object_set_new(whole, i->name, at);
            break;
        case SN_ITEM_END:
            at = whole;
            list = NULL;
            break;
        default: put_field(at, i); break;
        }
    }
    char *text = json_dumps(whole, JSON_COMPACT);
    if (text == NULL)
        mem_fail(sizeof *n);
    json_decref(whole);
    return text;
}
