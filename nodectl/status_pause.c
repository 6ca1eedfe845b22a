#include "nodectl/status_pause.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_node.h"

#include <stdint.h>
#include <string.h>

#define FIELD "failover-paused"

/* Of one supervisor, each once. */
static void add(json_t *own, const json_t *map)
{
    const char *name = field_text(map, FIELD);
    if (name[0] != '\0' && json_find(own, FIELD, name) == NULL)
        json_array_append_new(own, json_pack("{s:s, s:s, s:s, s:s}", FIELD, name, FIELD "-until",
                                             field_text(map, FIELD "-until"), FIELD "-by", field_text(map, FIELD "-by"),
                                             FIELD "-reason", field_text(map, FIELD "-reason")));
}

static json_t *pauses_at(const json_t *view)
{
    json_t *own = json_array();
    size_t i;
    const char *name;
    json_t *map;
    json_object_foreach(json_object_get(view, "groups"), name, map)
    {
        add(own, json_object_get(map, "master"));
    }
    json_array_foreach(json_object_get(view, "clusters"), i, map)
    {
        add(own, map);
    }
    return own;
}

json_t *status_pauses_of(const json_t *views)
{
    json_t *all = json_array();
    size_t i, k;
    const json_t *view;
    json_t *one;
    json_array_foreach(views, i, view)
    {
        json_t *own = pauses_at(view);
        json_array_foreach(own, k, one)
        {
            json_t *known = json_find(all, FIELD, field_text(one, FIELD));
            if (known == NULL) {
                json_array_append(all, one);
                known = one;
            }
            json_object_set_new(known, "at", json_integer(json_int(known, "at", 0) + 1));
        }
        json_decref(own);
    }
    return all;
}

void status_pauses(const json_t *views, json_t *notes)
{
    json_t *all = status_pauses_of(views);
    size_t i;
    const json_t *one;
    json_array_foreach(all, i, one)
    {
        const char *name = field_text(one, FIELD);
        int64_t at = json_int(one, "at", 0), known = (int64_t)json_array_size(views);
        char until[WALL_TEXT_MAX];
        add_line(notes, "automatic failovers of %s are paused until %s at %lld of %lld supervisors%s, by %s: %s",
                 strcmp(name, "*") == 0 ? "everything" : name, wall_text(field_number(one, FIELD "-until", 0), until),
                 (long long)at, (long long)known, at > known / 2 ? "" : " (no majority, so it stops none)",
                 field_text(one, FIELD "-by"), field_text(one, FIELD "-reason"));
    }
    json_decref(all);
}
