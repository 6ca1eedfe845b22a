/* nodectl hook ... */
#include "nodectl/tree.h"

#include "common/io/clock.h"
#include "nodectl/asking.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"
#include "sentineld/shell/hooks_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_ID "0000000000000000000000000000000000000000"
#define TIMEOUT_MS "70000" /* a hook has a minute by default */

/* ---- results, wherever the hooks were run ---- */

static void add_result(json_t *rows, const char *where, const char *program, const char *result, int64_t code,
                       int64_t time_us, struct slice output)
{
    json_t *row = json_object();
    json_object_set_new(row, "where", json_string(where));
    json_object_set_new(row, "run", json_text(program, strlen(program)));
    json_object_set_new(row, "result", json_text(result, strlen(result)));
    json_object_set_new(row, "exit_status", json_integer(code));
    json_object_set_new(row, "time_us", json_integer(time_us));
    json_object_set_new(row, "output", json_text(output.n > 0 ? output.p : "", output.n));
    json_array_append_new(rows, row);
}

static void print_rows(const json_t *rows, const char *event)
{
    size_t i;
    const json_t *row;
    bool colour = colour_wanted(stdout);
    if (json_array_size(rows) == 0)
        printf("no hook wants the event %s\n", event);
    json_array_foreach(rows, i, row)
    {
        bool good = json_integer_value(json_object_get(row, "exit_status")) == 0;
        printf("%s: ", field_text(row, "where"));
        print_painted(stdout, false, PAINT_NONE, field_text(row, "run"));
        fputs(": ", stdout);
        print_painted(stdout, colour, good ? PAINT_GOOD : PAINT_BAD, field_text(row, "result"));
        printf(", %.1f ms\n", (double)json_integer_value(json_object_get(row, "time_us")) / 1000);
        print_lines(stdout, "    ", slice_of(field_text(row, "output")));
    }
}

static int show(const json_t *rows, const char *event, enum output_format format)
{
    bool good = json_array_size(rows) > 0;
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) good = good && json_integer_value(json_object_get(row, "exit_status")) == 0;
    if (output_is_document(format)) {
        output_document(format, rows);
    } else {
        print_rows(rows, event);
    }
    return good ? EXIT_OK : EXIT_FAILED;
}

/* ---- here, from a file ---- */

struct local {
    json_t *rows;
    const struct config_hook *hook;
    int64_t start_us;
    bool ended;
};

static void on_end(void *owner, struct io_process *p, const struct io_process_exit *end)
{
    struct local *l = owner;
    struct buf how = {.n = 0};
    (void)p;
    hook_outcome(&how, end, l->hook->timeout_ms);
    add_result(l->rows, "here", l->hook->run.v[0], buf_str(&how), end->code, io_now_us() - l->start_us, end->output);
    buf_free(&how);
    l->ended = true;
}

static void run_one(struct io_loop *loop, const struct config_hook *h, const struct hook_event *e, json_t *rows)
{
    struct local l = {.rows = rows, .hook = h, .start_us = io_now_us()};
    struct buf error = {.n = 0};
    if (hook_run(loop, h, e, 1, h->timeout_ms, on_end, &l, &error) == NULL)
        add_result(rows, "here", h->run.v[0], buf_str(&error), -1, 0, slice_of(""));
    else
        while (!l.ended)
            io_loop_once(loop);
    buf_free(&error);
}

static struct hook_event *sample(const struct sentineld_config *c, const char *event, const char *group)
{
    struct addr master, replica;
    addr_set(&master, slice_of("127.0.0.1"), 6379);
    if (group == NULL)
        group = c->group_count > 0 ? c->groups[0].name : "mymaster";
    for (size_t i = 0; i < c->group_count; i++)
        if (strcmp(c->groups[i].name, group) == 0)
            master = c->groups[i].master;
    addr_set(&replica, slice_of(master.host), master.port < 65535 ? master.port + 1 : master.port - 1);
    struct hook_event *e = hook_event_sample(event, group, &master, &replica);
    e->wall_ms = e->started_ms = io_wall_ms();
    e->number = 1;
    e->config_epoch = e->current_epoch = 1;
    runid_parse(slice_of(NO_ID), e->supervisor);
    e->port = c->listen.v[0].port;
    return e;
}

static int test_here(const struct command_call *call, const char *path, const char *event, const char *group)
{
    enum output_format format;
    if (output_format(call, &format) != EXIT_OK)
        return EXIT_USAGE;
    struct conf_problems problems = {.count = 0};
    struct sentineld_config *c = config_load(path, &problems);
    if (c == NULL) {
        fputs(buf_str(&problems.text), stderr);
        if (output_is_document(format))
            output_problems(format, buf_slice(&problems.text));
    }
    buf_free(&problems.text);
    struct io_loop *loop = c != NULL ? io_loop_new() : NULL;
    if (loop == NULL) {
        config_free(c);
        return EXIT_USAGE;
    }
    if (chdir(c->state_dir) != 0)
        fprintf(stderr, "nodectl hook test: %s cannot be entered, so hooks are run from here\n", c->state_dir);
    json_t *rows = json_array();
    struct hook_event *e = sample(c, event, group);
    for (size_t i = 0; i < c->hook_count; i++)
        if (config_hook_wants(&c->hooks[i], e->name, e->group))
            run_one(loop, &c->hooks[i], e, rows);
    int code = show(rows, event, format);
    hook_event_drop(e);
    json_decref(rows);
    io_loop_free(loop);
    config_free(c);
    return code;
}

/* ---- by the supervisors ---- */

/* false: it refuses, for a reason that was told. */
static bool take_results(const struct command_call *call, const struct asking *a, struct fleet_member *m, json_t *rows)
{
    size_t first = a->password[0] != '\0' ? 1 : 0, i;
    char address[ADDR_TEXT_MAX];
    if (m->error == NULL && first > 0 && m->replies[0]->type == REDIS_REPLY_ERROR)
        fleet_fail(m, "%s", m->replies[0]->str);
    if (m->error != NULL)
        return true; /* told with all those that are left out */
    if (m->replies[first]->type == REDIS_REPLY_ERROR) {
        command_fail(call, EXIT_FAILED, "%s refuses: %s", addr_text(&m->addr, address), m->replies[first]->str);
        return false;
    }
    json_t *results = reply_objects(m->replies[first]);
    const json_t *o;
    addr_text(&m->addr, address);
    for (i = 0; i < json_array_size(results); i++) {
        o = json_array_get(results, i);
        add_result(rows, address, field_text(o, "run"), field_text(o, "result"), field_number(o, "exit-status", -1),
                   field_number(o, "time-us", 0), slice_of(field_text(o, "output")));
    }
    json_decref(results);
    return true;
}

static int test_there(const struct command_call *call, const char *event, const char *group)
{
    struct asking a;
    struct fleet f;
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        const char *argv[] = {"SENTINEL", "HOOK", "TEST", "EVENT", event, "GROUP", group};
        json_t *rows = json_array();
        if (command_value(call, "--timeout") == NULL)
            a.timeout_ms = atoi(TIMEOUT_MS);
        asking_begin(&a, &f);
        for (size_t i = 0; i < f.n; i++) {
            asking_login(&a, f.members[i]);
            fleet_ask(f.members[i], group != NULL ? 7 : 5, argv);
        }
        fleet_run(&f);
        bool taken = true;
        for (size_t i = 0; i < f.n; i++)
            taken = take_results(call, &a, f.members[i], rows) && taken;
        if (asking_nobody(call, &a, &f)) {
            code = EXIT_NOBODY;
        } else {
            code = taken || json_array_size(rows) > 0 || a.document ? show(rows, event, a.format) : EXIT_FAILED;
            code = taken ? code : EXIT_FAILED;
            for (size_t i = 0; i < f.n; i++) {
                char text[ADDR_TEXT_MAX];
                if (f.members[i]->error != NULL)
                    code = command_fail(call, EXIT_FAILED, "%s is left out: %s", addr_text(&f.members[i]->addr, text),
                                        f.members[i]->error);
            }
        }
        json_decref(rows);
        fleet_free(&f);
    }
    asking_free(&a);
    return code;
}

static int test(const struct command_call *call)
{
    const char *event = command_value(call, "--event"), *file = command_value(call, "--file");
    const char *group = command_value(call, "--group");
    if (event == NULL)
        event = "+switch-master";
    return file != NULL ? test_here(call, file, event, group) : test_there(call, event, group);
}

static const struct command_option test_options[] = {
    {"--event", "-e", "EVENT", "the event that is made up (default +switch-master)"},
    {"--group", "-g", "GROUP", "the group that it is about (default: the first one)"},
    {"--file", "-f", "FILE", "run the hooks of this sentineld.conf here, without a supervisor"},
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_hook_test = {
    .name = "test",
    .arguments = "",
    .summary = "Run the hooks that want an event with a made-up one, and show how it went.",
    .text = "The hooks are run by the supervisors that are named, as the user and with the rights that real events "
            "meet, once\n"
            "and without retries. They can tell by \"test\": true and SENTINELD_TEST=1. A hook of pre-failover is run "
            "and its\n"
            "answer shown; nothing fails over.\n"
            "\n"
            "Example:\n"
            "  nodectl hook test --event +switch-master\n"
            "\n"
            "Exit status: 0 every hook exited with 0; 1 one did not, or no hook wants the event, or a supervisor could "
            "not be\n"
            "asked or refuses; 2 the command line or a file is wrong; 3 no supervisor can be reached.",
    .options = test_options,
    .min_args = 0,
    .max_args = 0,
    .run = test,
};

static const struct command *const commands[] = {&command_hook_test, NULL};

const struct command command_hook = {
    .name = "hook",
    .summary = "Work with hooks: programs that sentineld runs on events.",
    .commands = commands,
};
