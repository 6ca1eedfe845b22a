#include "nodectl/config_diff.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RUN_TIME "run time"
#define NOT_READ "file not read again"
#define FLEET "fleet"

struct diff {
    const struct diff_view *view;
    json_t *rows;
    size_t n;
    const json_t *master; /* of the group that is compared */
    const char *group;
};

static void add(struct diff *d, const char *group, const char *option, const char *file, const char *running,
                const char *from)
{
    json_t *row = json_object();
    json_object_set_new(row, "supervisor", json_string(d->view->address));
    json_object_set_new(row, "group", json_text(group, strlen(group)));
    json_object_set_new(row, "option", json_text(option, strlen(option)));
    json_object_set_new(row, "file", file != NULL ? json_text(file, strlen(file)) : json_null());
    json_object_set_new(row, "running", running != NULL ? json_text(running, strlen(running)) : json_null());
    json_object_set_new(row, "from", json_string(from));
    json_array_append_new(d->rows, row);
    d->n++;
}

static const json_t *override_of(const struct diff *d, const char *group, const char *option)
{
    size_t i;
    const json_t *o;
    json_array_foreach(d->view->overrides, i, o) if (strcmp(field_text(o, "group"), group) == 0 &&
                                                     strcasecmp(field_text(o, "option"), option) == 0) return o;
    return NULL;
}

static bool is_secret(const char *option)
{
    return strcasecmp(option, "auth-pass") == 0 || strcasecmp(option, "sentinel-pass") == 0 ||
           strncmp(option, "user ", strlen("user ")) == 0;
}

/* What was changed at run time. The file of the command line, when it names the option, speaks for itself. */
static void compare_overrides(struct diff *d)
{
    size_t i;
    const json_t *o;
    json_array_foreach(d->view->overrides, i, o)
    {
        const json_t *file = json_object_get(o, "file");
        const char *value = field_text(o, "value"), *option = field_text(o, "option");
        const char *said = json_is_string(file) ? json_string_value(file) : NULL;
        if (said == NULL || strcmp(said, value) != 0 || is_secret(option))
            add(d, field_text(o, "group"), option, said, value, RUN_TIME);
    }
}

/* Fields that a supervisor shows under the name of the option; a text that is empty is not shown. */
static void compare_setting(void *arg, const char *option, const char *value)
{
    struct diff *d = arg;
    static const char *const texts[] = {"notification-script", "client-reconfig-script"};
    const json_t *field = json_object_get(d->master, option);
    bool text = false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        text = text || strcmp(option, texts[i]) == 0;
    const char *running = json_is_string(field) ? json_string_value(field) : text ? "" : NULL;
    if (running == NULL || strcmp(running, value) == 0 || override_of(d, d->group, option) != NULL)
        return;
    add(d, d->group, option, value, running, NOT_READ);
}

static const json_t *master_named(const struct diff_view *v, const char *name)
{
    size_t i;
    const json_t *m;
    json_array_foreach(v->masters, i, m) if (strcmp(field_text(m, "name"), name) == 0) return m;
    return NULL;
}

static void compare_group(struct diff *d, const struct config_group *g)
{
    char said[ADDR_TEXT_MAX], is[ADDR_TEXT_MAX];
    struct addr running;
    d->group = g->name;
    d->master = master_named(d->view, g->name);
    if (d->master == NULL) {
        add(d, g->name, "(group)", "supervised", NULL,
            d->view->overrides != NULL ? RUN_TIME ", or " NOT_READ : RUN_TIME);
        return;
    }
    sn_settings_each(&g->settings, compare_setting, d);
    if (field_addr(d->master, "ip", "port", &running) && addr_is_ip(g->master.host) && !addr_eq(&running, &g->master)) {
        add(d, g->name, "(master)", addr_text(&g->master, said), addr_text(&running, is), FLEET);
        d->n--;
    }
}

static void compare_global(struct diff *d, const char *option, const char *said)
{
    const json_t *field = json_object_get(d->view->globals, option);
    if (json_is_string(field) && strcmp(json_string_value(field), said) != 0 && override_of(d, "", option) == NULL)
        add(d, "", option, said, json_string_value(field), NOT_READ);
}

static void compare_globals(struct diff *d, const struct sentineld_config *c)
{
    char port[24];
    snprintf(port, sizeof port, "%" PRId64, c->announce.port);
    compare_global(d, "announce-ip", c->announce.host);
    compare_global(d, "announce-port", port);
    compare_global(d, "resolve-hostnames", c->resolve_hostnames ? "yes" : "no");
    compare_global(d, "announce-hostnames", c->announce_hostnames ? "yes" : "no");
    compare_global(d, "sentinel-user", c->peer_auth.user);
    compare_global(d, "loglevel", io_log_level_name((enum io_log_level)c->log.level));
}

static bool in_file(const struct sentineld_config *c, const char *name)
{
    for (size_t i = 0; i < c->group_count; i++)
        if (strcmp(c->groups[i].name, name) == 0)
            return true;
    return false;
}

size_t config_diff(const struct sentineld_config *file, const struct diff_view *view, json_t *rows)
{
    struct diff d = {.view = view, .rows = rows};
    compare_overrides(&d);
    if (file == NULL)
        return d.n;
    compare_globals(&d, file);
    for (size_t i = 0; i < file->group_count; i++)
        compare_group(&d, &file->groups[i]);
    size_t i;
    const json_t *m;
    json_array_foreach(view->masters, i, m) if (!in_file(file, field_text(m, "name")))
        add(&d, field_text(m, "name"), "(group)", NULL, "supervised", RUN_TIME ", or " NOT_READ);
    return d.n;
}
