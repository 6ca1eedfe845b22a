#include "nodectl/supervisor/list_members.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"

#include <string.h>

void list_members_add(struct conf_addresses *to, const struct addr *a)
{
    for (size_t i = 0; i < to->n; i++)
        if (addr_eq(&to->v[i], a))
            return;
    to->v = mem_array(to->v, to->n + 1, sizeof *to->v);
    to->v[to->n++] = *a;
}

static const json_t *view_of(const json_t *views, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    const json_t *view = json_find(views, "address", addr_text(a, text));
    return view != NULL && field_text(view, "error")[0] == '\0' ? view : NULL;
}

static bool is_peer(const json_t *views, const json_t *peer, const struct addr *a)
{
    struct addr told;
    const char *id = field_text(peer, "runid");
    const json_t *view = view_of(views, a);
    return (field_addr(peer, "ip", "port", &told) && addr_eq(&told, a)) ||
           (id[0] != '\0' && view != NULL && strcmp(field_text(view, "id"), id) == 0);
}

static bool has_peer(const json_t *views, const json_t *peers, const struct addr *a)
{
    size_t i;
    const json_t *peer;
    json_array_foreach(peers, i, peer)
    {
        if (is_peer(views, peer, a))
            return true;
    }
    return false;
}

bool list_members_are(const json_t *views, const struct addr *at, const struct addr *list, size_t n)
{
    const json_t *view = view_of(views, at), *groups = json_object_get(view, "groups");
    const char *name;
    json_t *group;
    json_object_foreach((json_t *)(uintptr_t)groups, name, group)
    {
        const json_t *peers = json_object_get(group, "supervisors");
        if (json_array_size(peers) + 1 != n)
            return false;
        for (size_t i = 0; i < n; i++)
            if (!addr_eq(&list[i], at) && !has_peer(views, peers, &list[i]))
                return false;
    }
    return json_object_size(groups) > 0;
}

static bool view_counts(const json_t *views, const json_t *view, const struct addr *who)
{
    const char *name;
    json_t *group;
    json_object_foreach(json_object_get(view, "groups"), name, group)
    {
        if (has_peer(views, json_object_get(group, "supervisors"), who))
            return true;
    }
    return false;
}

bool list_members_count(const json_t *views, const struct addr *by, const struct addr *who)
{
    char text[ADDR_TEXT_MAX];
    size_t i;
    const json_t *view;
    if (by != NULL)
        return view_of(views, by) != NULL && view_counts(views, view_of(views, by), who);
    json_array_foreach(views, i, view)
    {
        bool own = strcmp(field_text(view, "address"), addr_text(who, text)) == 0;
        if (!own && field_text(view, "error")[0] == '\0' && view_counts(views, view, who))
            return true;
    }
    return false;
}

void list_members_all(const json_t *views, struct conf_addresses *list)
{
    size_t i, answering = 0;
    const json_t *view;
    struct addr a;
    json_array_foreach(views, i, view)
    {
        answering += field_text(view, "error")[0] == '\0';
        if (addr_parse(slice_of(field_text(view, "address")), &a) && list_members_count(views, NULL, &a))
            list_members_add(list, &a);
    }
    /* Nobody else answers who could count it. */
    json_array_foreach(views, i, view)
    {
        if (answering == 1 && field_text(view, "error")[0] == '\0' &&
            addr_parse(slice_of(field_text(view, "address")), &a))
            list_members_add(list, &a);
    }
}
