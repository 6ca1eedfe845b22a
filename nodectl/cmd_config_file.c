/* nodectl config check, nodectl config diff. */
#include "nodectl/tree.h"

#include "nodectl/asking.h"
#include "nodectl/config_diff.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <string.h>

/* ---- check ---- */

static void print_check(enum output_format format, const char *path, const struct sentineld_config *c,
                        struct slice problems)
{
    json_t *o = json_object();
    json_object_set_new(o, "file", json_text(path, strlen(path)));
    json_object_set_new(o, "good", json_boolean(c != NULL));
    json_object_set_new(o, "groups", c != NULL ? json_integer((json_int_t)c->group_count) : json_null());
    json_object_set_new(o, "problems", output_lines(problems));
    output_document(format, o);
    json_decref(o);
}

/* What is wrong goes to standard error, a line each, as sentineld --check has it. */
static int check(const struct command_call *call)
{
    struct conf_problems problems = {.count = 0};
    enum output_format format;
    if (output_format(call, &format) != EXIT_OK)
        return EXIT_USAGE;
    struct sentineld_config *c = config_load(call->argv[0], &problems);
    if (c == NULL)
        fputs(buf_str(&problems.text), stderr);
    if (output_is_document(format))
        print_check(format, call->argv[0], c, buf_slice(&problems.text));
    else if (c != NULL)
        printf("%s: good; %zu group%s, %zu cluster%s\n", call->argv[0], c->group_count, c->group_count == 1 ? "" : "s",
               c->cluster_count, c->cluster_count == 1 ? "" : "s");
    int code = c != NULL ? EXIT_OK : EXIT_USAGE;
    buf_free(&problems.text);
    config_free(c);
    return code;
}

static const struct command_option check_options[] = {
    OUTPUT_OPTION,
    {NULL, NULL, NULL, NULL},
};

const struct command command_config_check = {
    .name = "check",
    .arguments = "FILE",
    .summary = "Check a sentineld.conf, as sentineld --check does.",
    .text =
        "Every mistake is named with its file, line and key. Addresses of this host are looked at, and whether "
        "scripts\n"
        "and hooks can be run, so it is best run where the supervisor will be.\n"
        "\n"
        "Example:\n"
        "  nodectl config check /etc/sentineld/sentineld.conf\n"
        "\n"
        "Exit status: 0 good; 2 something is wrong in the file, or it cannot be read, or the command line is wrong.",
    .options = check_options,
    .min_args = 1,
    .max_args = 1,
    .run = check,
};

/* ---- diff ---- */

enum { MASTERS, GLOBALS, OVERRIDES, QUESTIONS };

/* NULL: what is wrong was printed. */
static struct sentineld_config *load(const char *path, enum output_format format)
{
    struct conf_problems problems = {.count = 0};
    struct sentineld_config *c = config_load(path, &problems);
    if (c == NULL) {
        fputs(buf_str(&problems.text), stderr);
        if (output_is_document(format))
            output_problems(format, buf_slice(&problems.text));
    }
    buf_free(&problems.text);
    return c;
}

static void ask(const struct asking *a, struct fleet *f)
{
    static const char *const masters[] = {"SENTINEL", "MASTERS"};
    static const char *const globals[] = {"SENTINEL", "CONFIG", "GET", "*"};
    static const char *const overrides[] = {"SENTINEL", "OVERRIDES"};
    for (size_t i = 0; i < f->n; i++) {
        asking_login(a, f->members[i]);
        fleet_ask(f->members[i], 2, masters);
        fleet_ask(f->members[i], 4, globals);
        fleet_ask(f->members[i], 2, overrides);
    }
    fleet_run(f);
}

/* Returns how many differences were added. */
static size_t compare(const struct asking *a, struct fleet_member *m, const struct sentineld_config *file, json_t *rows)
{
    size_t first = a->password[0] != '\0' ? 1 : 0;
    for (size_t i = 0; i < first + GLOBALS && m->error == NULL; i++)
        if (m->replies[i]->type == REDIS_REPLY_ERROR)
            fleet_fail(m, "%s", m->replies[i]->str);
    if (m->error != NULL)
        return 0;
    char address[ADDR_TEXT_MAX];
    const redisReply *overrides = m->replies[first + OVERRIDES];
    json_t *masters = reply_objects(m->replies[first + MASTERS]), *globals = reply_object(m->replies[first + GLOBALS]);
    json_t *changed = overrides->type == REDIS_REPLY_ARRAY ? reply_objects(overrides) : NULL;
    struct diff_view view = {addr_text(&m->addr, address), masters, globals, changed};
    size_t n = config_diff(file, &view, rows);
    json_decref(masters);
    json_decref(globals);
    json_decref(changed);
    return n;
}

static const char *text_or(const json_t *row, const char *name, const char *otherwise)
{
    const json_t *v = json_object_get(row, name);
    return json_is_string(v) ? json_string_value(v) : otherwise;
}

static void print_table(const json_t *rows)
{
    static const char *const titles[] = {"SUPERVISOR", "GROUP", "OPTION", "FILE", "RUNNING", "FROM", NULL};
    struct table *t = table_new(titles);
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        table_cell(t, PAINT_NONE, "%s", field_text(row, "supervisor"));
        table_cell(t, PAINT_NONE, "%s", field_text(row, "group")[0] != '\0' ? field_text(row, "group") : "-");
        table_cell(t, PAINT_NONE, "%s", field_text(row, "option"));
        table_cell(t, PAINT_NONE, "%s", text_or(row, "file", "-"));
        table_cell(t, PAINT_WARN, "%s", text_or(row, "running", "-"));
        table_cell(t, PAINT_NONE, "%s", field_text(row, "from"));
    }
    if (json_array_size(rows) > 0)
        table_print(t, stdout, "", colour_wanted(stdout));
    else
        puts("no differences");
    table_free(t);
}

static bool tell_errors(const struct command_call *call, const struct fleet *f, json_t *list)
{
    bool any = false;
    for (size_t i = 0; i < f->n; i++) {
        char text[ADDR_TEXT_MAX];
        const struct fleet_member *m = f->members[i];
        json_t *row = json_object();
        json_object_set_new(row, "address", json_string(addr_text(&m->addr, text)));
        json_object_set_new(row, "error", m->error != NULL ? json_text(m->error, strlen(m->error)) : json_null());
        json_array_append_new(list, row);
        if (m->error == NULL)
            continue;
        any = true;
        command_fail(call, EXIT_FAILED, "%s is left out: %s", text, m->error);
    }
    return any;
}

static int show(const struct command_call *call, const struct asking *a, const struct fleet *f, json_t *rows, size_t n)
{
    if (asking_nobody(call, a, f))
        return EXIT_NOBODY;
    json_t *list = json_array();
    bool left_out = tell_errors(call, f, list);
    if (a->document) {
        json_t *document = json_object();
        json_object_set_new(document, "same", json_boolean(n == 0 && !left_out));
        json_object_set(document, "differences", rows);
        json_object_set(document, "supervisors", list);
        output_document(a->format, document);
        json_decref(document);
    } else {
        print_table(rows);
    }
    json_decref(list);
    return n > 0 || left_out ? EXIT_FAILED : EXIT_OK;
}

static int diff(const struct command_call *call)
{
    struct asking a;
    struct fleet f;
    struct sentineld_config *file = NULL;
    enum output_format format;
    if (output_format(call, &format) != EXIT_OK || (call->argc > 0 && (file = load(call->argv[0], format)) == NULL))
        return EXIT_USAGE;
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        json_t *rows = json_array();
        size_t n = 0;
        asking_begin(&a, &f);
        ask(&a, &f);
        for (size_t i = 0; i < f.n; i++)
            n += compare(&a, f.members[i], file, rows);
        code = show(call, &a, &f, rows, n);
        json_decref(rows);
        fleet_free(&f);
    }
    asking_free(&a);
    config_free(file);
    return code;
}

static const struct command_option diff_options[] = {
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_config_diff = {
    .name = "diff",
    .arguments = "[FILE]",
    .summary = "Show what supervisors do otherwise than their configuration file says.",
    .text =
        "Without FILE: the options that were changed at run time, against the file as each supervisor last read it.\n"
        "With FILE, a sentineld.conf: what is running against that file; its address and its groups too.\n"
        "\n"
        "FROM says where the running value comes from: 'run time' (SENTINEL SET, CONFIG SET, MONITOR, REMOVE: it wins\n"
        "until the file's own value changes), 'file not read again' (SIGHUP or SENTINEL RELOAD reads it), 'fleet' (a\n"
        "failover moved the master; listed, and no difference). Passwords are never shown.\n"
        "The supervisors are those of --supervisor, else of NODECTL_SUPERVISORS, else of nodectl's configuration "
        "file.\n"
        "\n"
        "Example:\n"
        "  nodectl config diff /etc/sentineld/sentineld.conf\n"
        "\n"
        "Exit status: 0 no difference; 1 something differs, or a supervisor could not be asked; 2 the command line or "
        "a\n"
        "file is wrong; 3 no supervisor can be reached.",
    .options = diff_options,
    .min_args = 0,
    .max_args = 1,
    .run = diff,
};
