/* nodectl fleet plan and apply: a fleet as a file declares it. */
#include "nodectl/apply/apply_commands.h"

#include "nodectl/apply/steps.h"

#include <string.h>

static int read_spec(const struct command_call *call, struct apply *a)
{
    struct conf_problems problems = {.count = 0};
    bool good = spec_load(&a->spec, call->argv[0], &problems);
    if (!good)
        command_fail_lines(call, buf_slice(&problems.text));
    buf_free(&problems.text);
    return good ? EXIT_OK : EXIT_USAGE;
}

static int perform(const struct command_call *call)
{
    struct apply a = {.nadds = 0};
    struct node_work *w = &a.work;
    int code = node_read(w, call);
    if (code == EXIT_OK)
        code = read_spec(call, &a);
    if (code == EXIT_OK)
        code = mover_options(call, &a.how);
    if (code == EXIT_OK)
        code = node_begin(w, true);
    if (code == EXIT_OK) {
        (void)apply_plan(&a);
        if (change_agreed(&w->change, "The fleet as the file has it", "Change the fleet now?"))
            (void)apply_run(&a);
    }
    json_t *extra = json_pack("{s:s?, s:I, s:I}", "fleet", a.spec.name, "shards", (json_int_t)a.spec.shards, "replicas",
                              (json_int_t)a.spec.replicas);
    code = node_end(w, code, extra);
    apply_free(&a);
    return code;
}

#define OPTIONS MOVER_OPTIONS, CHANGE_OPTIONS, ASKING_OPTIONS, ASKING_NODES_OPTIONS

static const struct command_option options[] = {OPTIONS, {NULL, NULL, NULL, NULL}};

/* A plan is an apply that is not done. */
static int run_plan(const struct command_call *call)
{
    struct command_call dry = *call;
    for (size_t i = 0; options[i].name != NULL; i++)
        if (strcmp(options[i].name, "--dry-run") == 0)
            dry.values[i] = "";
    return perform(&dry);
}

#define FILE_TEXT                                                                             \
    "FILE has, in libconfig's syntax:\n"                                                      \
    "  name = \"orders\";                          of the fleet, and of its cluster\n"        \
    "  shards = 4;  replicas = 1;                 masters with slots, and replicas of each\n" \
    "  databases = 16;                            (optional) that can be selected\n"          \
    "  options = { maxmemory = \"1gb\"; };          (optional) settings of all nodes\n"       \
    "  spare = [ \"10.0.0.14:7001\" ];              (optional) empty nodes that run, taken in this order\n"

const struct command command_fleet_plan = {
    .name = "plan",
    .arguments = "FILE",
    .summary = "What fleet apply would do to make the fleet as a file has it.",
    .text = FILE_TEXT
    "\n"
    "Nothing is done.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders fleet plan orders.fleet\n"
    "\n"
    "Exit status: 0 shown; 1 it can't be done; 2 the command line, FILE or the configuration file is\n"
    "wrong; 3 no node of a cluster answers.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_plan,
};

const struct command command_fleet_apply = {
    .name = "apply",
    .arguments = "FILE",
    .summary = "Make the fleet as a file has it: shards, replicas, settings; shows the difference first.",
    .text = FILE_TEXT
    "\n"
    "New nodes are started where fleet create made the fleet on this host, else taken from spare. New masters get "
    "their\n"
    "replicas, and then their share of the slots. Masters that are too many (those with the fewest slots) give theirs\n"
    "away with all keys, and are removed as by node remove, like replicas that are too many. Settings that a node "
    "reads\n"
    "only when it starts, and the number of databases, are written into the configuration files, and the nodes are\n"
    "started again one after the other, as by fleet restart --rolling; for files of other hosts it says what to write\n"
    "where. Nothing is begun where a node is down, slots are nobody's, or a key is in a database that is to go.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders fleet apply orders.fleet\n"
    "\n"
    "Exit status: 0 done, or nothing was to be done; 1 it failed, was refused or not confirmed, as standard error\n"
    "says; 2 the command line, FILE or the configuration file is wrong, or nobody can be asked and --yes is not\n"
    "given; 3 no node of a cluster answers; 130 interrupted. The same command, given again, finds what is done\n"
    "and goes on.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = perform,
};
