/* nodectl shard candidates and list. */
#include "nodectl/shard/shard_commands.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/shard/candidates.h"
#include "nodectl/shard/failover_run.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <string.h>

static const struct command_option options[] = {ASKING_OPTIONS, {NULL, NULL, NULL, NULL}};

/* ---- candidates ---- */

static void show(const struct asking *a, const json_t *document)
{
    if (a->document)
        output_document(a->format, document);
    else
        candidates_print(document, stdout, colour_wanted(stdout));
}

static int run_candidates(const struct command_call *call)
{
    struct asking a;
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        struct failover_run r = {.call = call, .asking = &a, .wish = {.group = call->argv[0]}};
        json_t *document = failover_run_candidates(&r, &code);
        if (document != NULL)
            show(&a, document);
        if (code == EXIT_FAILED)
            command_fail_lines(call, buf_slice(&r.watch.failure));
        if (document != NULL && json_array_size(json_object_get(document, "candidates")) == 0)
            code = EXIT_FAILED;
        json_decref(document);
        failover_run_free(&r);
    }
    asking_free(&a);
    return code;
}

const struct command command_shard_candidates = {
    .name = "candidates",
    .arguments = "SHARD",
    .summary = "Show which replicas could be the master, in which order, why not the others, and what would be lost.",
    .text = ASKING_TEXT
    "\n"
    "The order is that of the supervisor that would choose (SENTINEL RANKING); of redis-sentinel it is worked out\n"
    "from what it tells. What would be lost is what the master has and the replica has not, were it promoted at once.\n"
    "\n"
    "Example:\n"
    "  nodectl shard candidates orders/1a2b3c4d\n"
    "\n"
    "Exit status: 0 shown; 1 there is no such shard, or no replica in it; 2 the command line or the configuration\n"
    "file is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_candidates,
};

/* ---- list ---- */

static json_t *list_of(const json_t *groups)
{
    json_t *list = json_array();
    size_t i, k;
    const json_t *g, *r;
    json_array_foreach(groups, i, g)
    {
        json_t *replicas = json_array();
        json_array_foreach(json_object_get(g, "replicas"), k, r)
        {
            json_array_append(replicas, json_object_get(r, "address"));
        }
        json_array_append_new(list, json_pack("{s:O, s:O, s:O, s:o, s:O, s:O, s:O}", "name", json_object_get(g, "name"),
                                              "state", json_object_get(g, "state"), "master",
                                              json_object_get(json_object_get(g, "master"), "address"), "replicas",
                                              replicas, "slots", json_object_get(g, "slots"), "slot_ranges",
                                              json_object_get(g, "slot_ranges"), "config_epoch",
                                              json_object_get(g, "config_epoch")));
    }
    return list;
}

static void print_list(const json_t *list)
{
    static const char *const titles[] = {"SHARD", "STATE", "MASTER", "REPLICAS", "SLOTS", NULL};
    struct table *t = table_new(titles);
    size_t i, k;
    const json_t *g, *r;
    json_array_foreach(list, i, g)
    {
        const char *ranges = field_text(g, "slot_ranges");
        struct buf replicas = {0};
        json_array_foreach(json_object_get(g, "replicas"), k, r)
        {
            buf_printf(&replicas, "%s%s", k > 0 ? "," : "", json_string_value(r));
        }
        bool ok = strcmp(field_text(g, "state"), "ok") == 0;
        table_cell(t, PAINT_NONE, "%s", field_text(g, "name"));
        table_cell(t, ok ? PAINT_GOOD : PAINT_WARN, "%s", field_text(g, "state"));
        table_cell(t, PAINT_NONE, "%s", field_text(g, "master"));
        table_cell(t, PAINT_NONE, "%s", replicas.n > 0 ? buf_str(&replicas) : "-");
        if (json_int(g, "slots", -1) >= 0)
            table_cell(t, PAINT_NONE, "%s (%lld)", ranges[0] != '\0' ? ranges : "none",
                       (long long)json_int(g, "slots", 0));
        else
            table_cell(t, PAINT_NONE, "-");
        buf_free(&replicas);
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
}

static int run_list(const struct command_call *call)
{
    struct asking a;
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        struct overview l;
        overview_take(&l, &a, (const char *const *)call->argv, (size_t)call->argc);
        json_t *list = list_of(json_object_get(l.document, "groups"));
        if (asking_nobody(call, &a, &l.fleet))
            code = EXIT_NOBODY;
        else if (call->argc > 0 && json_array_size(list) == 0)
            code = command_fail(call, EXIT_FAILED, "no supervisor that answers watches a group of this name");
        else if (a.document)
            output_document(a.format, list);
        else
            print_list(list);
        json_decref(list);
        overview_free(&l);
    }
    asking_free(&a);
    return code;
}

const struct command command_shard_list = {
    .name = "list",
    .arguments = "[GROUP...]",
    .summary = "List the shards of clusters, and groups that are none, with master, replicas and slots.",
    .text = ASKING_TEXT
    "\n"
    "Example:\n"
    "  nodectl shard list\n"
    "  nodectl shard list orders -o json | jq -r '.[].master'\n"
    "\n"
    "Exit status: 0 listed, whatever their state; 1 there is no such group; 2 the command line or the configuration\n"
    "file is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = -1,
    .run = run_list,
};
