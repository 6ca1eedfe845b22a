#include "nodectl/view/overview.h"

#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_merge.h"

#include <string.h>

static bool is_cluster(const json_t *views, const char *name)
{
    return status_teller(views, name) != SIZE_MAX;
}

void overview_take(struct overview *l, const struct asking *a, const char *const *groups, size_t ngroups)
{
    struct status_query query = {.user = a->user, .password = a->password, .groups = groups, .ngroups = ngroups};
    const char *fleet = a->targets.fleet;
    asking_begin(a, &l->fleet);
    l->views = status_collect(&l->fleet, &query);
    fleet_forget(&l->fleet);
    bool narrows = ngroups == 0 && fleet != NULL && is_cluster(l->views, fleet);
    if (narrows)
        status_narrow(l->views, fleet);
    l->document = status_merge(l->views, narrows ? &fleet : groups, narrows ? 1 : ngroups);
}

void overview_free(struct overview *l)
{
    json_decref(l->document);
    json_decref(l->views);
    fleet_free(&l->fleet);
    l->document = l->views = NULL;
}

bool overview_nobody(const struct overview *l)
{
    for (size_t i = 0; i < l->fleet.n; i++)
        if (l->fleet.members[i]->error == NULL)
            return false;
    return true;
}

static bool ends_so(const char *name, const char *part)
{
    const char *slash = strchr(name, '/');
    return slash != NULL && strcmp(slash + 1, part) == 0;
}

static bool has_node(const json_t *group, const char *address)
{
    return strcmp(field_text(json_object_get(group, "master"), "address"), address) == 0 ||
           json_find(json_object_get(group, "replicas"), "address", address) != NULL;
}

static bool is_meant(const json_t *group, const char *text, bool address)
{
    return address ? has_node(group, text) : ends_so(field_text(group, "name"), text);
}

const json_t *overview_group(const struct overview *l, const char *name, struct buf *why)
{
    const json_t *groups = json_object_get(l->document, "groups"), *found = json_named(groups, name), *g;
    size_t i, n = 0;
    struct addr a;
    bool address = strchr(name, '/') == NULL && addr_parse(slice_of(name), &a);
    if (found != NULL)
        return found;
    json_array_foreach(groups, i, g)
    {
        if (is_meant(g, name, address)) {
            found = g;
            n++;
        }
    }
    if (n == 1)
        return found;
    if (n == 0 && address)
        buf_printf(why, "no supervisor that answers knows a node %s. There are:", name);
    else if (n == 0)
        buf_printf(why, "no supervisor that answers watches a group named '%s'. There are:", name);
    else if (address)
        buf_printf(why, "%s is a node of several groups: give the name of one. There are:", name);
    else
        buf_printf(why, "several shards are named '%s': give the name of the cluster too. There are:", name);
    json_array_foreach(groups, i, g)
    {
        if (n == 0 || is_meant(g, name, address))
            buf_printf(why, " %s", field_text(g, "name"));
    }
    if (json_array_size(groups) == 0)
        buf_puts(why, " none");
    return NULL;
}
