/* nodectl drill: harm that is done on purpose, while canaries watch, and its way back. */
#include "nodectl/tree.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/asking.h"
#include "nodectl/drill/records.h"
#include "nodectl/drill/report.h"
#include "nodectl/explain.h"
#include "nodectl/output.h"
#include "nodectl/past.h"
#include "nodectl/table.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_TRIES 3
#define HISTORY_AGAIN_MS 500

/* The order of that name, out of all; the others are freed. EXIT_OK, or another exit status, said why. */
static int find_order(const struct command_call *call, const char *name, struct drill_order *out)
{
    struct drill_order *list;
    size_t n, found = SIZE_MAX;
    struct buf error = {0};
    int code = EXIT_OK;
    bool ok = orders_read(command_value(call, "--file"), &list, &n, &error);
    const char **names = mem_zalloc((n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++) {
        names[i] = list[i].name;
        if (strcmp(list[i].name, name) == 0)
            found = i;
    }
    if (!ok) {
        code = command_fail(call, EXIT_USAGE, "the file of drills is wrong:\n%s", buf_str(&error));
    } else if (found == SIZE_MAX) {
        const char *near = text_nearest(name, names, n);
        code = command_fail(call, EXIT_USAGE, "there is no drill '%s'%s%s%s", name,
                            near != NULL ? " (did you mean '" : "", near != NULL ? near : "",
                            near != NULL ? "'?)" : "; nodectl drill plan names them");
    }
    for (size_t i = 0; i < n; i++) {
        if (code == EXIT_OK && i == found)
            *out = list[i];
        else
            order_free(&list[i]);
    }
    free(names);
    free(list);
    buf_free(&error);
    return code;
}

static int begin(const struct command_call *call, struct drill_run *r)
{
    *r = (struct drill_run){.call = call, .steps = json_array(), .reasons = json_array()};
    r->harm.process.fd = r->harm.guard_fd = -1;
    int code = asking_read(call, &r->asking);
    if (code == EXIT_OK)
        code = find_order(call, call->argv[0], &r->order);
    if (code == EXIT_OK)
        code = order_options(call, &r->asking, &r->order);
    if (code == EXIT_OK)
        code = drill_prepare(r);
    return code;
}

static int end(struct drill_run *r, int code)
{
    drill_run_free(r);
    order_free(&r->order);
    asking_free(&r->asking);
    return code;
}

/* ---- run ---- */

/* The supervisor that led may be slow to answer: it is asked again then. */
static json_t *ask_phases(const struct drill_run *r)
{
    char old[ADDR_TEXT_MAX];
    const struct target_shard *shard = &r->target.shard;
    json_t *phases = NULL;
    addr_text(&shard->nodes[0], old);
    for (int i = 0; i < HISTORY_TRIES; i++) {
        struct fleet f;
        asking_begin(&r->asking, &f);
        json_t *collected = explain_collect(&r->asking, &f, shard->name);
        json_decref(phases);
        phases = report_phases(collected, shard->name, old, shard->epoch);
        json_decref(collected);
        fleet_free(&f);
        if (!addr_is_set(&r->to) || json_int(phases, "total", -1) >= 0)
            break;
        drill_pause(HISTORY_AGAIN_MS);
    }
    return phases;
}

/* The report is kept by the supervisors, and shown; who does not keep it is told of on standard error. */
static int tell(struct drill_run *r)
{
    struct buf why = {0};
    json_t *document = report_document(r, ask_phases(r));
    size_t kept = records_put(&r->asking, document, &why);
    if (r->asking.document) {
        output_document(r->asking.format, document);
    } else {
        fputc('\n', stdout);
        report_print(document, stdout, colour_wanted(stdout));
    }
    fflush(stdout);
    if (kept == 0)
        command_fail(r->call, EXIT_FAILED, "no supervisor keeps the report:");
    print_lines(stderr, "", buf_slice(&why));
    bool pass = strcmp(json_word(document, "verdict"), "PASS") == 0;
    json_decref(document);
    buf_free(&why);
    return pass ? EXIT_OK : EXIT_FAILED;
}

static int show_plan(const struct drill_run *r)
{
    if (r->asking.document) {
        json_t *document = drill_plan_document(r);
        output_document(r->asking.format, document);
        json_decref(document);
    } else {
        drill_show_plan(r, stdout);
    }
    return EXIT_OK;
}

static int run_drill(const struct command_call *call)
{
    struct drill_run r;
    bool yes = command_value(call, "--yes") != NULL, dry = command_value(call, "--dry-run") != NULL;
    if (!dry && asking_can_confirm(call, yes) != EXIT_OK)
        return EXIT_USAGE;
    /* Whoever reads this may go (`| head`): the way back, the keys and the report matter more than being heard. */
    (void)signal(SIGPIPE, SIG_IGN);
    int code = begin(call, &r);
    if (code == EXIT_OK && dry)
        return end(&r, show_plan(&r));
    if (code == EXIT_OK) {
        if (!yes || !r.asking.document)
            drill_show_plan(&r, asking_people(&r.asking));
        if (!yes && !asking_confirmed(&r.asking, "Do it now?"))
            code = command_fail(call, EXIT_USAGE, "nothing was done: it was not confirmed");
        else
            code = drill_perform(&r);
        if (code == EXIT_OK)
            code = tell(&r);
    }
    return end(&r, code);
}

/* ---- plan ---- */

static int name_drills(const struct command_call *call)
{
    static const char *const titles[] = {"DRILL", "WHAT IT DOES", NULL};
    struct drill_order *list;
    size_t n;
    struct buf error = {0};
    enum output_format format;
    if (output_format(call, &format) != EXIT_OK)
        return EXIT_USAGE;
    bool ok = orders_read(command_value(call, "--file"), &list, &n, &error);
    struct table *t = table_new(titles);
    json_t *document = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(
            document, json_pack("{s:s, s:s}", "drill", list[i].name, "kind",
                                list[i].kind < DRILL_KINDS ? drill_kind_name((enum drill_kind)list[i].kind) : ""));
        table_cell(t, PAINT_NONE, "%s", list[i].name);
        table_cell(t, PAINT_NONE, "%s",
                   list[i].kind < DRILL_KINDS ? drill_kind_text((enum drill_kind)list[i].kind) : "");
        order_free(&list[i]);
    }
    if (ok && output_is_document(format))
        output_document(format, document);
    else if (ok)
        table_print(t, stdout, "", colour_wanted(stdout));
    else
        command_fail(call, EXIT_USAGE, "the file of drills is wrong:\n%s", buf_str(&error));
    table_free(t);
    json_decref(document);
    free(list);
    buf_free(&error);
    return ok ? EXIT_OK : EXIT_USAGE;
}

static int plan_drill(const struct command_call *call)
{
    struct drill_run r;
    if (call->argc == 0)
        return name_drills(call);
    int code = begin(call, &r);
    return end(&r, code == EXIT_OK ? show_plan(&r) : code);
}

/* ---- list and report ---- */

static int list_drills(const struct command_call *call)
{
    struct asking a;
    int code = asking_read(call, &a);
    json_t *list = code == EXIT_OK ? records_get(call, &a, NULL, &code) : NULL;
    if (list != NULL && a.document)
        output_document(a.format, list);
    else if (list != NULL && json_array_size(list) == 0)
        puts("No drill is recorded.");
    else if (list != NULL)
        report_print_list(list, stdout, colour_wanted(stdout));
    json_decref(list);
    asking_free(&a);
    return code;
}

static int report_drill(const struct command_call *call)
{
    struct asking a;
    const char *id = call->argc > 0 ? call->argv[0] : NULL;
    int code = asking_read(call, &a);
    json_t *list = code == EXIT_OK ? records_get(call, &a, id, &code) : NULL;
    const json_t *document = json_array_get(list, 0);
    if (list != NULL && document == NULL)
        code = command_fail(call, EXIT_FAILED,
                            id != NULL ? "no supervisor has a report of drill %s" : "no drill is recorded%s",
                            id != NULL ? id : "");
    else if (list != NULL && a.document)
        output_document(a.format, document);
    else if (list != NULL)
        report_print(document, stdout, colour_wanted(stdout));
    json_decref(list);
    asking_free(&a);
    return code;
}

/* ---- the commands ---- */

#define DRILLS_TEXT                                                                                                  \
    "Drills:\n" DRILL_LINES "\n"                                                                                     \
    "And your own: drills = ( { name = ...; kind = ...; ... } ) in the file, see nodectl help drill. --node names\n" \
    "the node or supervisor that it is done to (in a switchover also the replica that is to be the master); its\n"   \
    "shard is the one that is drilled. Otherwise one is drawn.\n"

static const struct command_option run_options[] = {
    ORDER_OPTIONS,
    {"--yes", "-y", NULL, "do not ask"},
    {"--dry-run", NULL, NULL, "show the plan, and do nothing, as nodectl drill plan"},
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command_option plan_options[] = {
    ORDER_OPTIONS,
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command_option asking_options[] = {
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_run = {
    .name = "run",
    .arguments = "DRILL",
    .summary = "Do harm to a live fleet on purpose, watch it through clients, bring it back, and report.",
    .text = DRILLS_TEXT
    "\n"
    "Nothing is done to a fleet that is not well: every shard's master up with a replica in step, all supervisors\n"
    "agreed, no failover under way; nor while another drill runs there: each has a claim at a majority of the\n"
    "supervisors (SENTINEL DRILL CLAIMS shows them), and one that harms a supervisor concerns all that it watches.\n"
    "A claim ends with its drill, and by itself should that and its host have died.\n"
    "\n"
    "Canaries (keys " CANARY_KEYS "...) write and read in every database of the shard; they are deleted at the end. A\n"
    "process of this host gets its signal only after it was shown to be the one that listens at the address; for "
    "nodes\n"
    "of other hosts, and to cut one off, your own commands are run. Ctrl-C ends the drill early and brings the fleet\n"
    "back, as a missed objective does. Where no master is harmed clients should notice nothing: without\n"
    "--max-outage-ms the objective is 1000 ms then.\n"
    "\n" ASKING_TEXT "\n"
    "Example:\n"
    "  nodectl drill run kill-master --shard orders/1a2b3c4d --max-outage-ms 3000\n"
    "\n"
    "Exit status: 0 the objectives were met (PASS); 1 they were not, or it was ended early (FAIL); 2 nothing was "
    "done:\n"
    "the command line or a file is wrong, it was not confirmed, or the fleet is not fit for it; 3 no supervisor can "
    "be\n"
    "reached.",
    .options = run_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_drill,
};

static const struct command command_plan = {
    .name = "plan",
    .arguments = "[DRILL]",
    .summary = "Show what a drill would do now, or, without a name, which drills there are.",
    .text = DRILLS_TEXT "\nExample:\n  nodectl drill plan switchover --cluster orders\n\nExit status: 0 it could be "
                        "done; 2 it could not, for the reason on standard error; 3 no "
                        "supervisor can be reached.",
    .options = plan_options,
    .min_args = 0,
    .max_args = 1,
    .run = plan_drill,
};

static const struct command command_list = {
    .name = "list",
    .arguments = "",
    .summary = "List the drills that the supervisors remember, the newest first.",
    .text = ASKING_TEXT
    "\n"
    "Example:\n"
    "  nodectl drill list\n"
    "\n"
    "Exit status: 0 listed, also when there is none; 1 no supervisor tells of drills (redis-sentinel,\n"
    "or an older sentineld); 2 the command line or the configuration file is wrong; 3 no supervisor\n"
    "can be reached.",
    .options = asking_options,
    .min_args = 0,
    .max_args = 0,
    .run = list_drills,
};

static const struct command command_report = {
    .name = "report",
    .arguments = "[ID]",
    .summary = "Show the report of a drill, or of the last one.",
    .text = ASKING_TEXT
    "\n"
    "Example:\n"
    "  nodectl drill report -o json | jq .verdict\n"
    "\n"
    "Exit status: 0 shown; 1 there is no such report; 2 the command line or the configuration file is\n"
    "wrong; 3 no supervisor can be reached.",
    .options = asking_options,
    .min_args = 0,
    .max_args = 1,
    .run = report_drill,
};

static const struct command *const commands[] = {&command_run, &command_plan, &command_list, &command_report, NULL};

const struct command command_drill = {
    .name = "drill",
    .arguments = "",
    .summary = "Kill, stop, cut off or switch a node on purpose, and measure what clients notice.",
    .text =
        "In every database of the shard (256 at most) a client writes numbers to one key and another one reads them "
        "at\n"
        "a replica, and one more pair does so in another shard, which should notice nothing (--max-bystander-ms). "
        "They\n"
        "follow redirections, or ask the supervisors, as clients do. When each of them works, the harm is done. When "
        "all\n"
        "supervisors that answer name a new master (or hold the replica for down), every database takes writes again\n"
        "and --hold-ms is over, the way back begins: the process is continued or started again, and a master that was\n"
        "replaced is made the master again by a planned switch, when it follows. At last every number that was\n"
        "acknowledged is looked for, the keys are deleted, and all supervisors keep the report.\n"
        "\n"
        "A process is started again with its own arguments, environment, folder, limits and user, by systemd where it\n"
        "is the main process of a unit. Another process brings the fleet back when nodectl itself is killed. A master\n"
        "that was killed stays down until there is a new one even then: it may have lost its data, and its replicas\n"
        "would follow it into that.\n"
        "\n"
        "Drills of your own are in a file, a list `drills` of entries with the keys name, kind, cluster, group, "
        "shard,\n"
        "node, harm_command, heal_command, node_user, node_password, max_outage_ms, max_bystander_ms, max_lost,\n"
        "max_time_s, hold_ms, stale_ms, client_timeout_ms, every_ms, databases and restore_roles; the sample "
        "drills.conf\n"
        "explains each. The commands are run by /bin/sh with NODECTL_DRILL_ACTION (harm or heal), NODECTL_DRILL_NAME,\n"
        "_KIND, _GROUP, _HOST, _PORT and _PID in their environment. The sample drill.nft has rules that cut a host "
        "off.\n"
        "\n"
        "Example:\n"
        "  nodectl drill run kill-master --cluster orders --max-outage-ms 3000\n"
        "  nodectl drill run stop-replica --node 10.0.0.12:7004\n"
        "  systemctl enable --now nodectl-drill@weekly.timer",
    .commands = commands,
};
