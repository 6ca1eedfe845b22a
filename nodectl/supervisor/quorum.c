/* nodectl supervisor quorum: what would still work without some of the processes. */
#include "nodectl/supervisor/verbs.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/supervisor/loss.h"
#include "nodectl/supervisor/placement_of.h"
#include "nodectl/supervisor/roll.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "east=10.0.0.1,10.0.0.2;west=10.0.0.3". NULL: it is not of that form. */
static json_t *read_zones(const char *text)
{
    json_t *zones = json_object();
    struct slice rest = slice_of(text);
    while (rest.n > 0) {
        struct slice hosts = slice_cut(&rest, ';'), name = slice_trim(slice_cut(&hosts, '='));
        json_t *list = json_array();
        while (hosts.n > 0) {
            struct slice host = slice_trim(slice_cut(&hosts, ','));
            json_array_append_new(list, json_text(host.p, host.n));
        }
        char *key = slice_dup(name);
        bool good = name.n > 0 && json_array_size(list) > 0 && json_object_set(zones, key, list) == 0;
        free(key);
        json_decref(list);
        if (!good) {
            json_decref(zones);
            return NULL;
        }
    }
    return zones;
}

/* ---- for people ---- */

static bool is_process(const json_t *loss)
{
    const char *kind = field_text(loss, "kind");
    return strcmp(kind, "supervisor") == 0 || strcmp(kind, "node") == 0;
}

static void shards_cell(struct table *t, const json_t *loss, const char *state, enum paint paint)
{
    struct buf text = {0};
    size_t i, n = 0;
    const json_t *s;
    json_array_foreach(json_object_get(loss, "shards"), i, s)
    {
        if (strcmp(field_text(s, "state"), state) != 0)
            continue;
        if (n < 3)
            buf_printf(&text, "%s%s", n > 0 ? ", " : "", field_text(s, "name"));
        n++;
    }
    if (n > 3)
        buf_printf(&text, " and %zu more", n - 3);
    table_cell(t, n > 0 ? paint : PAINT_NONE, "%s", n > 0 ? buf_str(&text) : "-");
    buf_free(&text);
}

static void row(struct table *t, const json_t *loss)
{
    static const struct {
        const char *state;
        enum paint paint;
    } columns[] = {{"failover", PAINT_NONE},
                   {"alone", PAINT_WARN},
                   {"unwatched", PAINT_WARN},
                   {"no-lease", PAINT_BAD},
                   {"lost", PAINT_BAD}};
    const char *kind = field_text(loss, "kind");
    bool ok = json_yes(loss, "ok");
    if (strcmp(kind, "now") == 0)
        table_cell(t, PAINT_NONE, "nothing (as it is now)");
    else
        table_cell(t, PAINT_NONE, "%s %s", kind, field_text(loss, "name"));
    table_cell(t, ok ? PAINT_GOOD : PAINT_BAD, ok ? "go on" : "stop");
    table_cell(t, PAINT_NONE, "%lld of %lld", (long long)json_int(loss, "supervisors", 0),
               (long long)json_int(loss, "supervisors_known", 0));
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        shards_cell(t, loss, columns[i].state, columns[i].paint);
}

static void print_table(const json_t *document, const char *only, bool wide)
{
    static const char *const titles[] = {"LOST",      "WRITES",   "SUPERVISORS", "FAILS OVER", "NOBODY TO PROMOTE",
                                         "UNWATCHED", "NO LEASE", "LOST SHARDS", NULL};
    bool one_host = json_yes(document, "one_host");
    struct table *t = table_new(titles);
    size_t i;
    const json_t *loss;
    json_array_foreach(json_object_get(document, "losses"), i, loss)
    {
        bool shown = only != NULL ? strcmp(field_text(loss, "name"), only) == 0
                                  : !is_process(loss) || wide || one_host || !json_yes(loss, "ok");
        if (shown)
            row(t, loss);
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
    if (one_host)
        puts("All of it is on one host: when that is lost, everything is.");
}

static int show(const struct command_call *call, const struct asking *a, const struct roll *r, json_t *zones)
{
    const char *only = call->argc > 0 ? call->argv[0] : NULL;
    json_t *fleet = placement_of(r, zones), *document = loss_document(fleet);
    const json_t *named = only != NULL ? loss_named(document, only) : NULL;
    int code = json_yes(only != NULL ? named : document, "ok") ? EXIT_OK : EXIT_FAILED;
    if (only != NULL && named == NULL)
        code = command_fail(call, EXIT_FAILED, "'%s' is neither a zone nor a host, supervisor or node of this fleet",
                            only);
    else if (a->document)
        output_document(a->format, named != NULL ? named : document);
    else
        print_table(document, only, a->format == OUTPUT_WIDE);
    json_decref(document);
    json_decref(fleet);
    return code;
}

static int run(const struct command_call *call)
{
    struct asking a;
    const char *text = command_value(call, "--zones");
    json_t *zones = read_zones(text != NULL ? text : "");
    int code = asking_read(call, &a);
    if (code == EXIT_OK && zones == NULL)
        code = command_fail(call, EXIT_USAGE, "--zones is '%s', but must be ZONE=HOST,HOST;ZONE=HOST", text);
    if (code == EXIT_OK) {
        struct roll r;
        code = roll_take(&r, call, &a);
        if (code == EXIT_OK)
            code = show(call, &a, &r, zones);
        roll_free(&r);
    }
    json_decref(zones);
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {
    ASKING_OPTIONS,
    {"--zones", NULL, "ZONES", "which hosts fail together: 'ZONE=HOST,HOST;ZONE=HOST'"},
    {NULL, NULL, NULL, NULL},
};

const struct command supervisor_quorum = {
    .name = "quorum",
    .arguments = "[ZONE|HOST|ADDRESS]",
    .summary = "Tell what would still work if a zone, a host or a single process were lost.",
    .text = ASKING_TEXT
    "\n"
    "For each: do writes go on to every shard, once failovers are over; how many supervisors are left; which shards "
    "fail\n"
    "over, have no replica left that would be promoted (one with priority 0 would not), are not failed over any more\n"
    "(unwatched), get no lease or have none now (no writes), or are lost.\n"
    "Single processes are shown with -o wide, when all is on one host, and when their loss stops writes. What is down\n"
    "already counts as lost.\n"
    "\n"
    "Example:\n"
    "  nodectl supervisor quorum --zones 'east=10.0.0.1,10.0.0.2;west=10.0.0.3'\n"
    "\n"
    "Exit status: 0 writes go on whatever single zone, host or process is lost (or the one that was named; one host "
    "with\n"
    "everything on it does not count); 1 they do not; 2 the command line or the configuration file is wrong; 3 no\n"
    "supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
