/* nodectl supervisor list. */
#include "nodectl/supervisor/verbs.h"

#include "nodectl/note_text.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/supervisor/roll.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CLOCK_WARN_MS 1000

static bool is_well(const json_t *s)
{
    return field_text(s, "error")[0] == '\0' && json_array_size(json_object_get(s, "disagrees")) == 0;
}

static void clock_cell(struct table *t, const json_t *s)
{
    int64_t ahead = json_int(s, "clock_ms", 0), error = json_int(s, "clock_error_ms", -1);
    bool far = ahead > CLOCK_WARN_MS + error || -ahead > CLOCK_WARN_MS + error;
    if (error < 0)
        table_cell(t, PAINT_NONE, "-");
    else if (ahead <= error && -ahead <= error)
        table_cell(t, PAINT_NONE, "same"); /* not to be told from ours */
    else
        table_cell(t, far ? PAINT_WARN : PAINT_NONE, "%+" PRId64 " ms", ahead);
}

static void list_cell(struct table *t, const json_t *s)
{
    int64_t version = json_int(s, "list_version", 0);
    if (version == 0)
        table_cell(t, PAINT_NONE, "-");
    else
        table_cell(t, json_yes(s, "list_counted") ? PAINT_NONE : PAINT_WARN, "%" PRId64 "%s", version,
                   json_yes(s, "list_counted") ? "" : ", not counted");
}

static void paused_cell(struct table *t, const json_t *s)
{
    struct buf text = {0};
    size_t i;
    const json_t *p;
    json_array_foreach(json_object_get(s, "paused"), i, p)
    {
        const char *name = field_text(p, "failover-paused");
        buf_printf(&text, "%s%s", i > 0 ? "," : "", strcmp(name, "*") == 0 ? "all" : name);
    }
    table_cell(t, i > 0 ? PAINT_WARN : PAINT_NONE, "%s", i > 0 ? buf_str(&text) : "-");
    buf_free(&text);
}

static void row(struct table *t, const json_t *s)
{
    size_t wrong = json_array_size(json_object_get(s, "disagrees"));
    table_cell(t, PAINT_NONE, "%s", field_text(s, "address"));
    if (field_text(s, "error")[0] != '\0') {
        table_cell(t, PAINT_NONE, "-");
        table_cell(t, PAINT_BAD, "no answer");
        for (int i = 0; i < 7; i++)
            table_cell(t, PAINT_NONE, "-");
        return;
    }
    table_cell(t, PAINT_NONE, "%s", id_text(field_text(s, "id")));
    table_cell(t, PAINT_NONE, "%s %s", field_text(s, "kind"), field_text(s, "version"));
    table_cell(t, PAINT_NONE, "%" PRId64, json_int(s, "epoch", 0));
    table_cell(t, PAINT_NONE, "%zu", json_array_size(json_object_get(s, "groups")));
    table_cell(t, PAINT_NONE, "%" PRId64, json_int(s, "leases", 0));
    list_cell(t, s);
    clock_cell(t, s);
    paused_cell(t, s);
    table_cell(t, wrong > 0 ? PAINT_BAD : PAINT_GOOD, wrong > 0 ? "no" : "yes");
}

static void print_table(const json_t *list)
{
    static const char *const titles[] = {"ADDRESS", "~ID",   "~VERSION", "~EPOCH", "MASTERS", "LEASES",
                                         "LIST",    "CLOCK", "PAUSED",   "AGREES", NULL};
    struct table *t = table_new(titles);
    size_t i, k;
    const json_t *s, *line;
    json_array_foreach(list, i, s)
    {
        row(t, s);
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
    json_array_foreach(list, i, s)
    {
        if (field_text(s, "error")[0] != '\0')
            print_line(stdout, false, PAINT_NONE, "%s cannot be asked: %s", field_text(s, "address"),
                       field_text(s, "error"));
        json_array_foreach(json_object_get(s, "disagrees"), k, line)
        {
            print_line(stdout, false, PAINT_NONE, "%s: %s", field_text(s, "address"), json_string_value(line));
        }
    }
}

static int show(const struct asking *a, const json_t *list)
{
    size_t i;
    const json_t *s;
    bool ok = true;
    json_array_foreach(list, i, s)
    {
        ok = ok && is_well(s);
    }
    if (a->document) {
        json_t *document = json_pack("{s:b, s:O}", "ok", ok, "supervisors", list);
        output_document(a->format, document);
        json_decref(document);
    } else {
        print_table(list);
    }
    return ok ? EXIT_OK : EXIT_FAILED;
}

static int run(const struct command_call *call)
{
    struct asking a;
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        struct roll r;
        code = roll_take(&r, call, &a);
        if (code == EXIT_OK)
            code = show(&a, r.list);
        roll_free(&r);
    }
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {ASKING_OPTIONS, {NULL, NULL, NULL, NULL}};

const struct command supervisor_list = {
    .name = "list",
    .arguments = "",
    .summary =
        "Show the supervisors: version, epoch, leases, list of supervisors, clock, pauses, and whether they agree.",
    .text = ASKING_TEXT
    "\n"
    "EPOCH is the greatest config epoch that it knows, LEASES how many masters hold a grant of it, LIST the version "
    "of\n"
    "`supervisors` that it speaks under (-: no leases), CLOCK how far its wall clock is ahead of this machine's, "
    "PAUSED\n"
    "what it does not fail over by itself (nodectl supervisor pause).\n"
    "\n"
    "Example:\n"
    "  nodectl supervisor list --fleet orders\n"
    "\n"
    "Exit status: 0 all answer and agree; 1 one of them cannot be asked, or disagrees; 2 the command line or the\n"
    "configuration file is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
