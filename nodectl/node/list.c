#include "nodectl/node/verbs.h"

#include "nodectl/node/survey.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- order ---- */

static const char *master_address(const json_t *o)
{
    const char *master = field_text(o, "master");
    return master[0] != '\0' ? master : field_text(o, "address");
}

/* Shard by shard, its master first. */
static int by_shard(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int c = strcmp(field_text(x, "shard"), field_text(y, "shard"));
    if (c == 0)
        c = strcmp(master_address(x), master_address(y));
    if (c == 0)
        c = strcmp(field_text(x, "role"), field_text(y, "role"));
    return c != 0 ? c : strcmp(field_text(x, "address"), field_text(y, "address"));
}

static json_t *sorted(json_t *nodes)
{
    size_t n = json_array_size(nodes);
    json_t **v = calloc(n + 1, sizeof *v), *out = json_array();
    for (size_t i = 0; v != NULL && i < n; i++)
        v[i] = json_array_get(nodes, i);
    if (v != NULL)
        qsort(v, n, sizeof *v, by_shard);
    for (size_t i = 0; v != NULL && i < n; i++)
        json_array_append(out, v[i]);
    free(v);
    json_decref(nodes);
    return out;
}

/* ---- the table ---- */

static void cell_text(struct table *t, const json_t *o, const char *name)
{
    const char *text = field_text(o, name);
    table_cell(t, PAINT_NONE, "%s", text[0] != '\0' ? text : "-");
}

static void cell_number(struct table *t, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (json_is_integer(v))
        table_cell(t, PAINT_NONE, "%lld", (long long)json_integer_value(v));
    else
        table_cell(t, PAINT_NONE, "-");
}

static void cell_state(struct table *t, const json_t *o)
{
    const char *state = field_text(o, "state");
    table_cell(t,
               strcmp(state, "ok") == 0     ? PAINT_GOOD
               : strcmp(state, "down") == 0 ? PAINT_BAD
                                            : PAINT_WARN,
               "%s", state);
}

static void print_table(const json_t *nodes, bool wide)
{
    static const char *const titles[] = {"NODE",  "ROLE", "STATE",     "SHARD", "~MASTER",
                                         "SLOTS", "LAG",  "~PRIORITY", "~KEYS", NULL};
    static const char *const wider[] = {"NODE", "ROLE",    "STATE",  "SHARD",  "MASTER", "SLOTS", "LAG", "PRIORITY",
                                        "KEYS", "VERSION", "MEMORY", "UPTIME", "EPOCH",  "ID",    NULL};
    struct table *t = table_new(wide ? wider : titles);
    const json_t *o;
    size_t i;
    json_array_foreach(nodes, i, o)
    {
        cell_text(t, o, "address");
        cell_text(t, o, "role");
        cell_state(t, o);
        cell_text(t, o, "shard");
        cell_text(t, o, "master");
        cell_number(t, o, "slots");
        cell_number(t, o, "lag_bytes");
        cell_number(t, o, "priority");
        cell_number(t, o, "keys");
        if (!wide)
            continue;
        table_cell(t, PAINT_NONE, "%s %s", field_text(o, "server"), field_text(o, "version"));
        cell_number(t, o, "memory");
        cell_number(t, o, "uptime_s");
        cell_number(t, o, "epoch");
        cell_text(t, o, "id");
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
}

static bool any_down(const json_t *nodes)
{
    const json_t *o;
    size_t i;
    bool down = false;
    json_array_foreach(nodes, i, o) down = down || strcmp(field_text(o, "state"), "down") == 0;
    return down;
}

int node_list(const struct command_call *call)
{
    struct node_work w;
    int code = node_read(&w, call);
    if (code == EXIT_OK)
        code = node_begin(&w, false);
    if (code == EXIT_OK) {
        json_t *nodes = sorted(survey_nodes(&w));
        if (w.asking.document) {
            json_t *o = json_pack("{s:s?, s:i, s:O}", "cluster", w.by.cluster, "supervisors",
                                  (int)supervision_watching(&w.by), "nodes", nodes);
            output_document(w.asking.format, o);
            json_decref(o);
        } else {
            print_table(nodes, w.asking.format == OUTPUT_WIDE);
        }
        code = any_down(nodes) ? EXIT_FAILED : EXIT_OK;
        json_decref(nodes);
    }
    return node_end(&w, code, NULL);
}

/* ---- one of them ---- */

static void print_one(const json_t *o)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)o, name, v)
    {
        if (json_is_string(v))
            print_line(stdout, false, PAINT_NONE, "%-12s  %s", name, json_string_value(v));
        else if (json_is_integer(v))
            print_line(stdout, false, PAINT_NONE, "%-12s  %lld", name, (long long)json_integer_value(v));
    }
}

int node_info(const struct command_call *call)
{
    struct node_work w;
    int code = node_read(&w, call);
    if (code == EXIT_OK)
        code = node_begin(&w, false);
    const struct picture_node *n = code == EXIT_OK ? picture_find(&w.picture, call->argv[0], &w.why) : NULL;
    if (code == EXIT_OK && n == NULL)
        code = command_fail(call, EXIT_FAILED, "%s", buf_str(&w.why));
    if (n != NULL) {
        json_t *nodes = survey_nodes(&w);
        const json_t *o = json_find(nodes, "id", n->id);
        if (w.asking.document)
            output_document(w.asking.format, o);
        else
            print_one(o);
        code = strcmp(field_text(o, "state"), "down") == 0 ? EXIT_FAILED : EXIT_OK;
        json_decref(nodes);
    }
    return node_end(&w, code, NULL);
}
