#include "nodectl/tree.h"

#include "nodectl/asking.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_merge.h"
#include "nodectl/status_print.h"
#include "nodectl/table.h"

#include <stdio.h>

static int show(const struct command_call *call, const struct asking *a, const struct fleet *f, const json_t *document)
{
    bool ok = json_is_true(json_object_get(document, "ok"));
    if (a->json) {
        json_dumpf(document, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    }
    if (asking_nobody(call, a, f))
        return EXIT_NOBODY;
    if (!a->json)
        status_print(document, stdout, colour_wanted(stdout));
    return ok ? EXIT_OK : EXIT_FAILED; /* EXIT_FAILED: something is wrong in what was shown */
}

static int run(const struct command_call *call)
{
    struct asking a;
    struct fleet f;
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        struct status_query query = {.user = a.user,
                                     .password = a.password,
                                     .groups = (const char *const *)call->argv,
                                     .ngroups = (size_t)call->argc};
        asking_begin(&a, &f);
        json_t *views = status_collect(&f, &query);
        json_t *document = status_merge(views, query.groups, query.ngroups);
        code = show(call, &a, &f, document);
        json_decref(document);
        json_decref(views);
        fleet_free(&f);
    }
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {ASKING_OPTIONS, {NULL, NULL, NULL, NULL}};

const struct command command_status = {
    .name = "status",
    .arguments = "[GROUP...]",
    .summary = "Show what the supervisors see: clusters, groups, masters, replicas with their lag, supervisors, and "
               "what is wrong.",
    .text = ASKING_TEXT
    "\n"
    "Shards of clusters are groups. The name of a cluster stands for all of its shards.\n"
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
