#include "nodectl/help/values.h"

#include "common/io/conf.h"
#include "nodectl/asking.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 700

/* ---- fleets ---- */

static bool offer_fleets_of(struct complete *c, const char *path)
{
    struct conf_problems problems = {0};
    struct conf_file *file = access(path, R_OK) == 0 ? conf_load(path, &problems) : NULL;
    const config_setting_t *fleets = file != NULL ? config_setting_get_member(conf_root(file), "fleets") : NULL;
    for (int i = 0; fleets != NULL && i < config_setting_length(fleets); i++) {
        const char *name;
        const config_setting_t *fleet = config_setting_get_elem(fleets, (unsigned)i);
        if (config_setting_is_group(fleet) && config_setting_lookup_string(fleet, "name", &name) == CONFIG_TRUE)
            complete_offer(c, slice_of(name), "");
    }
    bool read = file != NULL;
    if (read)
        conf_free(file);
    buf_free(&problems.text);
    return read;
}

static void offer_fleets(struct complete *c)
{
    struct buf own = {0};
    const char *home = getenv("HOME");
    buf_printf(&own, "%s/.config/nodectl.conf", home != NULL ? home : "");
    if (c->config != NULL)
        offer_fleets_of(c, c->config);
    else if (!offer_fleets_of(c, buf_str(&own)))
        offer_fleets_of(c, "/etc/nodectl.conf");
    buf_free(&own);
}

/* ---- what the supervisors know ---- */

/* As if a command had been called with what was typed so far. */
static const struct command_option options[] = {ASKING_OPTIONS, {NULL, NULL, NULL, NULL}};
static const struct command asker = {.name = "__complete", .options = options};

static struct command_call call_of(const struct complete *c)
{
    struct command_call call = {.command = &asker};
    for (size_t i = 0; options[i].name != NULL; i++) {
        if (strcmp(options[i].name, "--fleet") == 0)
            call.values[i] = c->fleet;
        else if (strcmp(options[i].name, "--supervisor") == 0)
            call.values[i] = c->supervisor;
        else if (strcmp(options[i].name, "--config") == 0)
            call.values[i] = c->config;
    }
    return call;
}

static void offer_address(struct complete *c, const json_t *map, const char *description)
{
    char text[ADDR_TEXT_MAX];
    struct addr a;
    if (field_addr(map, "ip", "port", &a))
        complete_offer(c, slice_of(addr_text(&a, text)), description);
}

static void offer_view(struct complete *c, const json_t *view)
{
    const char *name;
    json_t *group;
    const json_t *replica;
    size_t i;
    json_object_foreach(json_object_get(view, "groups"), name, group)
    {
        const json_t *master = json_object_get(group, "master");
        if (c->kind == COMPLETE_GROUPS) {
            complete_offer(c, slice_of(name), "");
            continue;
        }
        offer_address(c, master, name);
        json_array_foreach(json_object_get(group, "replicas"), i, replica)
        {
            offer_address(c, replica, name);
        }
    }
}

static void offer_known(struct complete *c)
{
    struct asking a;
    struct fleet f;
    struct command_call call = call_of(c);
    if (asking_read(&call, &a) == EXIT_OK) {
        struct status_query query = {.user = a.user, .password = a.password};
        a.timeout_ms = PATIENCE_MS;
        asking_begin(&a, &f);
        json_t *views = status_collect(&f, &query);
        for (size_t i = 0; i < json_array_size(views) && c->lines.n == 0; i++)
            offer_view(c, json_array_get(views, i));
        json_decref(views);
        fleet_free(&f);
    }
    asking_free(&a);
}

void complete_values(struct complete *c)
{
    if (c->kind == COMPLETE_FLEETS)
        offer_fleets(c);
    else if (c->kind == COMPLETE_GROUPS || c->kind == COMPLETE_NODES)
        offer_known(c);
}
