#include "nodectl/tree.h"

#include "common/base/text.h"
#include "nodectl/fleet.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_merge.h"
#include "nodectl/status_print.h"
#include "nodectl/table.h"
#include "nodectl/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beside those of every command: EXIT_FAILED says that something is wrong in what was shown. */
enum { EXIT_NOBODY = 3 };

#define TIMEOUT_MS 2000

struct settings {
    bool json;
    int timeout_ms;
    struct status_query query;
    struct targets targets;
};

static const char *value_or(const struct command_call *call, const char *option, const char *otherwise)
{
    const char *value = command_value(call, option);
    return value != NULL ? value : otherwise != NULL ? otherwise : "";
}

static int read_settings(const struct command_call *call, struct settings *s)
{
    const char *format = value_or(call, "--output", "table"), *timeout = command_value(call, "--timeout-ms");
    int64_t ms = TIMEOUT_MS;
    s->json = strcmp(format, "json") == 0;
    if (!s->json && strcmp(format, "table") != 0)
        return command_fail(call, EXIT_USAGE, "--output is '%s', but must be table or json", format);
    if (timeout != NULL && !text_range(slice_of(timeout), 1, 600000, &ms))
        return command_fail(call, EXIT_USAGE, "--timeout-ms is '%s', but must be a number from 1 to 600000", timeout);
    s->timeout_ms = (int)ms;
    s->query = (struct status_query){
        .user = value_or(call, "--user", NULL),
        .password = value_or(call, "--password", getenv("NODECTL_PASSWORD")),
        .groups = (const char *const *)call->argv,
        .ngroups = (size_t)call->argc,
    };
    if (s->query.user[0] != '\0' && s->query.password[0] == '\0')
        return command_fail(call, EXIT_USAGE, "--user needs a password: give --password, or NODECTL_PASSWORD");
    struct buf error = {0};
    bool found = targets_find(&s->targets, command_value(call, "--supervisor"), command_value(call, "--config"),
                              &error);
    if (!found) {
        if (error.n > 0 && error.p[error.n - 1] == '\n')
            error.n--;
        command_fail(call, EXIT_USAGE, "%s", buf_str(&error));
    }
    buf_free(&error);
    return found ? EXIT_OK : EXIT_USAGE;
}

static bool anybody(const struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->members[i]->error == NULL)
            return true;
    return false;
}

static void tell_nobody(const struct fleet *f, const char *source)
{
    fprintf(stderr, "nodectl status: no supervisor can be asked (they are named by %s):\n", source);
    for (size_t i = 0; i < f->n; i++) {
        char text[ADDR_TEXT_MAX];
        fprintf(stderr, "  %s: ", addr_text(&f->members[i]->addr, text));
        print_painted(stderr, false, PAINT_NONE, f->members[i]->error);
        fputc('\n', stderr);
    }
}

static int show(const struct settings *s, const struct fleet *f, const json_t *document)
{
    bool ok = json_is_true(json_object_get(document, "ok"));
    if (s->json) {
        json_dumpf(document, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    }
    if (!anybody(f)) {
        tell_nobody(f, s->targets.source);
        return EXIT_NOBODY;
    }
    if (!s->json)
        status_print(document, stdout, colour_wanted(stdout));
    return ok ? EXIT_OK : EXIT_FAILED;
}

static int run(const struct command_call *call)
{
    struct settings s = {0};
    int code = read_settings(call, &s);
    if (code != EXIT_OK)
        return code;
    struct fleet f;
    fleet_init(&f, s.timeout_ms);
    for (size_t i = 0; i < s.targets.supervisors.n; i++) {
        bool added;
        fleet_add(&f, &s.targets.supervisors.v[i], true, &added);
    }
    json_t *views = status_collect(&f, &s.query);
    json_t *document = status_merge(views, s.query.groups, s.query.ngroups);
    code = show(&s, &f, document);
    json_decref(document);
    json_decref(views);
    fleet_free(&f);
    targets_free(&s.targets);
    return code;
}

static const struct command_option options[] = {
    {"--supervisor", "-s", "ADDRESS", "host:port of a supervisor; several are separated by commas"},
    {"--config", "-c", "FILE", "where supervisors are listed (default ~/.config/nodectl.conf, /etc/nodectl.conf)"},
    {"--output", "-o", "FORMAT", "table or json (default table)"},
    {"--user", NULL, "NAME", "user at the supervisors"},
    {"--password", NULL, "WORD", "password at the supervisors; NODECTL_PASSWORD keeps it out of the process list"},
    {"--timeout-ms", NULL, "MS", "how long a supervisor is waited for (default 2000)"},
    {NULL, NULL, NULL, NULL},
};

const struct command command_status = {
    .name = "status",
    .arguments = "[GROUP...]",
    .summary =
        "Show what the supervisors see: groups, masters, replicas with their lag, supervisors, and what is wrong.",
    .text =
        "The supervisors are those of --supervisor, else of the variable NODECTL_SUPERVISORS, else of the "
        "configuration\n"
        "file. The others that they know are found and asked too. redis-sentinel answers as well as sentineld.\n"
        "\n"
        "Exit status: 0 all is well; 1 something is down, cannot be reached, fails over, or the supervisors disagree;\n"
        "2 the command line or the configuration file is wrong; 3 no supervisor can be reached.\n"
        "\n"
        "Colours are used on a terminal only, and not when NO_COLOR is set.",
    .options = options,
    .min_args = 0,
    .max_args = -1,
    .run = run,
};
