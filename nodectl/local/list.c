/* nodectl fleet list: the fleets of the configuration file, where they are, and whether they answer. */
#include "nodectl/local/fleet_commands.h"

#include "nodectl/asking.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 1000

/* PING of everybody that the list names, in one go: "NOAUTH ..." is an answer too. */
static void ask_all(struct fleet *f, const struct targets *list, size_t n)
{
    static const char *const ping[] = {"PING"};
    for (size_t i = 0; i < n; i++) {
        const struct conf_addresses *both[] = {&list[i].supervisors, &list[i].seeds};
        for (size_t k = 0; k < 2; k++)
            for (size_t a = 0; a < both[k]->n; a++) {
                bool added;
                struct fleet_member *m = fleet_add(f, &both[k]->v[a], true, &added);
                if (added)
                    fleet_ask(m, 1, ping);
            }
    }
    fleet_run(f);
}

static size_t answering(const struct fleet *f, const struct conf_addresses *list)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        char text[ADDR_TEXT_MAX];
        const struct fleet_member *m = fleet_at(f, addr_text(&list->v[i], text));
        n += m != NULL && fleet_answer(m) != NULL;
    }
    return n;
}

static json_t *describe(const struct fleet *f, const struct targets *t)
{
    size_t supervisors = answering(f, &t->supervisors), nodes = answering(f, &t->seeds);
    const char *state = t->wrong != NULL                                         ? "wrong"
                        : supervisors == t->supervisors.n && nodes == t->seeds.n ? "answers"
                        : supervisors + nodes > 0                                ? "partly"
                                                                                 : "silent";
    const char *dir = t->dir != NULL ? t->dir : "", *wrong = t->wrong != NULL ? t->wrong : "";
    return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "name", json_text(t->fleet, strlen(t->fleet)), "state",
                     state, "supervisors", (json_int_t)t->supervisors.n, "supervisors_answering",
                     (json_int_t)supervisors, "nodes", (json_int_t)t->seeds.n, "nodes_answering", (json_int_t)nodes,
                     "dir", json_text(dir, strlen(dir)), "problem", json_text(wrong, strlen(wrong)));
}

static void print_table(const json_t *fleets)
{
    static const char *const titles[] = {"FLEET", "STATE", "SUPERVISORS", "NODES", "DIR", NULL};
    struct table *t = table_new(titles);
    size_t i;
    const json_t *o;
    json_array_foreach(fleets, i, o)
    {
        const char *state = field_text(o, "state"), *dir = field_text(o, "dir");
        enum paint paint = strcmp(state, "answers") == 0  ? PAINT_GOOD
                           : strcmp(state, "partly") == 0 ? PAINT_WARN
                                                          : PAINT_BAD;
        table_cell(t, PAINT_NONE, "%s", field_text(o, "name"));
        table_cell(t, paint, "%s", state);
        table_cell(t, PAINT_NONE, "%lld of %lld",
                   (long long)json_integer_value(json_object_get(o, "supervisors_answering")),
                   (long long)json_integer_value(json_object_get(o, "supervisors")));
        table_cell(t, PAINT_NONE, "%lld of %lld", (long long)json_integer_value(json_object_get(o, "nodes_answering")),
                   (long long)json_integer_value(json_object_get(o, "nodes")));
        table_cell(t, PAINT_NONE, "%s", dir[0] != '\0' ? dir : "-");
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
}

static void print(enum output_format format, const struct targets *list, size_t n, int timeout_ms)
{
    struct fleet f;
    json_t *fleets = json_array();
    fleet_init(&f, timeout_ms);
    ask_all(&f, list, n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(fleets, describe(&f, &list[i]));
    if (output_is_document(format)) {
        json_t *o = json_pack("{s:O}", "fleets", fleets);
        output_document(format, o);
        json_decref(o);
    } else if (n > 0) {
        print_table(fleets);
        for (size_t i = 0; i < n; i++)
            if (list[i].wrong != NULL)
                print_lines(stdout, "! ", slice_of(list[i].wrong));
    } else {
        puts("No fleet is recorded. nodectl fleet create NAME makes one.");
    }
    json_decref(fleets);
    fleet_free(&f);
}

static int run(const struct command_call *call)
{
    struct asking a;
    struct targets *list;
    struct buf error = {0};
    size_t n;
    int code = asking_read_format(call, &a);
    if (code != EXIT_OK)
        return code;
    if (targets_all(command_value(call, "--config"), &list, &n, &error)) {
        print(a.format, list, n, command_value(call, "--timeout") != NULL ? a.timeout_ms : TIMEOUT_MS);
        targets_free_all(list, n);
    } else {
        command_fail_lines(call, buf_slice(&error));
        if (a.document)
            output_problems(a.format, buf_slice(&error));
        code = EXIT_USAGE;
    }
    asking_free(&a);
    buf_free(&error);
    return code;
}

static const struct command_option options[] = {
    {"--config", "-c", "FILE", "where fleets are recorded (default ~/.config/nodectl.conf, /etc/nodectl.conf)"},
    OUTPUT_OPTION,
    {"--timeout", "-t", "TIME", "how long an answer is waited for (default 1s)"},
    {NULL, NULL, NULL, NULL},
};

const struct command command_fleet_list = {
    .name = "list",
    .arguments = "",
    .summary = "List the recorded fleets, where they are, and whether they answer.",
    .text =
        "Supervisors and nodes are those of the record; others that have come since are not counted.\n"
        "A fleet whose entry in the file is wrong is listed with what is wrong; fleet destroy takes it out.\n"
        "\n"
        "Example:\n"
        "  nodectl fleet list\n"
        "\n"
        "Exit status: 0 they were listed, whether or not they answer; 2 the command line or the configuration file is\n"
        "wrong.",
    .options = options,
    .run = run,
};
