#include "nodectl/tree.h"

#include "nodectl/asking.h"
#include "nodectl/status_print.h"
#include "nodectl/table.h"
#include "nodectl/view/overview.h"

#include <stdio.h>

static int run(const struct command_call *call)
{
    struct asking a;
    struct status_wish wish = {.groups = (const char *const *)call->argv, .ngroups = (size_t)call->argc};
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        struct overview l;
        overview_take(&l, &a, wish.groups, wish.ngroups);
        wish.wide = a.format == OUTPUT_WIDE;
        if (a.document)
            output_document(a.format, l.document);
        if (asking_nobody(call, &a, &l.fleet))
            code = EXIT_NOBODY;
        else if (!json_is_true(json_object_get(l.document, "ok")))
            code = EXIT_FAILED; /* something is wrong in what is shown */
        if (!a.document && code != EXIT_NOBODY)
            status_print(l.document, &wish, stdout, colour_wanted(stdout));
        overview_free(&l);
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
    "Shards of clusters are groups. The name of a cluster stands for all of its shards. The nodes of a group are "
    "shown\n"
    "where something is wrong, where the group is named, and with -o wide, which has slots, leases and requests too.\n"
    "\n"
    "Example:\n"
    "  nodectl status\n"
    "  nodectl fleet status orders -o wide\n"
    "  nodectl --fleet orders status -o json | jq .problems\n"
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
