/* nodectl cluster release and adopt: show the plan, ask, act, and tell what came of it. */
#include "common/base/mem.h"
#include "nodectl/asking.h"
#include "nodectl/cluster/adopt.h"
#include "nodectl/cluster/commands.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"
#include "nodectl/table.h"
#include "nodectl/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 15000 /* supervisors wait 5 s for each other, and for their disks */

struct run {
    const struct command_call *call;
    bool adopt;
    const char *name;
    struct asking asking;
    struct fleet fleet;
    json_t *views;
    const json_t *by;    /* the view of the supervisor that is asked; NULL: nobody can be */
    const json_t *known; /* the cluster, as the first one tells it that watches it; NULL: nobody does */
    struct buf failure;  /* empty: it went well */
};

static bool answers(const json_t *view)
{
    return field_text(view, "error")[0] == '\0';
}

static const json_t *cluster_in(const struct run *r, const json_t *view)
{
    return json_named(json_object_get(view, "clusters"), r->name);
}

/* Whom to ask: to release it one that has it; to adopt it one whose file has it, or which does not tell. Those that the
 * operator named come first. */
static void choose(struct run *r)
{
    enum adopt_entry *entries = mem_zalloc((r->fleet.n + 1) * sizeof *entries);
    if (r->adopt)
        adopt_ask_entries(&r->fleet, r->name, entries);
    size_t i;
    const json_t *view;
    json_array_foreach(r->views, i, view)
    {
        const json_t *known = answers(view) ? cluster_in(r, view) : NULL;
        if (r->known == NULL && known != NULL)
            r->known = known;
        bool fit = known != NULL;
        for (size_t k = 0; k < r->fleet.n && r->adopt && !fit; k++)
            fit = r->fleet.members[k] == fleet_at(&r->fleet, field_text(view, "address")) && entries[k] != ADOPT_LACKS;
        if (r->by == NULL && answers(view) && fit)
            r->by = view;
    }
    free(entries);
    if (r->by == NULL && r->adopt)
        buf_printf(&r->failure,
                   "no supervisor that answers has a cluster '%s' in its configuration file. nodectl cluster adopt %s "
                   "--seeds HOST:PORT puts it there: give the address of one of its nodes",
                   r->name, r->name);
    else if (r->by == NULL)
        buf_printf(&r->failure, "no supervisor that answers watches a cluster named '%s'", r->name);
}

/* ---- the plan ---- */

static void show_supervisors(const struct run *r, FILE *out)
{
    size_t i;
    const json_t *view;
    json_array_foreach(r->views, i, view)
    {
        const json_t *known = cluster_in(r, view);
        fprintf(out, "  %-11s %s (", i == 0 ? "supervisors" : "", field_text(view, "address"));
        if (!answers(view))
            print_painted(out, false, PAINT_NONE, field_text(view, "error"));
        else
            fputs(known != NULL ? "watches it" : "does not watch it", out);
        fputs(")\n", out);
    }
}

static void show_plan(const struct run *r)
{
    FILE *out = asking_people(&r->asking);
    fprintf(out, "%s of cluster ", r->adopt ? "Adoption" : "Release");
    print_painted(out, false, PAINT_NONE, r->name);
    fputc('\n', out);
    if (r->known != NULL)
        fprintf(out, "  now         %s, %lld shards, %lld nodes\n", field_text(r->known, "state"),
                (long long)field_number(r->known, "num-shards", 0), (long long)field_number(r->known, "num-nodes", 0));
    else
        fputs("  now         watched by none of those that answer\n", out);
    show_supervisors(r, out);
    fprintf(out, "  by          %s, which tells the others\n", field_text(r->by, "address"));
    fputs(r->adopt ? "  afterwards  the supervisors promote its masters; under leases these take writes only while a "
                     "majority of them grants it\n"
                   : "  afterwards  its nodes elect their masters by themselves, and nobody watches them\n",
          out);
    fflush(out);
}

/* ---- the deed ---- */

static void act(struct run *r)
{
    const char *argv[] = {"SENTINEL", "CLUSTER", r->adopt ? "ADOPT" : "RELEASE", r->name};
    const char *by = field_text(r->by, "address");
    struct fleet_member *m = fleet_at(&r->fleet, by);
    if (m == NULL) {
        buf_printf(&r->failure, "nothing was done: %s is gone", by);
        return;
    }
    if (r->fleet.timeout_ms < PATIENCE_MS)
        r->fleet.timeout_ms = PATIENCE_MS;
    fleet_ask(m, 4, argv);
    fleet_run(&r->fleet);
    if (m->error != NULL)
        buf_printf(&r->failure, "it is not known what came of it: %s: %s. See nodectl status", by, m->error);
    else if (fleet_answer(m)->type == REDIS_REPLY_ERROR)
        buf_printf(&r->failure, "%s says: %s", by, fleet_answer(m)->str);
}

/* ---- afterwards ---- */

static json_t *result(const struct run *r, bool dry, bool done)
{
    json_t *supervisors = json_array();
    size_t i;
    const json_t *view;
    json_array_foreach(r->views, i, view)
    {
        const json_t *known = cluster_in(r, view);
        json_array_append_new(supervisors, json_pack("{s:s, s:b, s:b}", "address", field_text(view, "address"),
                                                     "reachable", answers(view), "watched_before", known != NULL));
    }
    json_t *reason = r->failure.n > 0 ? json_text(r->failure.p, r->failure.n) : json_null();
    json_t *by = r->by != NULL ? json_string(field_text(r->by, "address")) : json_null();
    return json_pack("{s:s, s:o, s:b, s:b, s:o, s:o, s:o}", "action", r->adopt ? "adopt" : "release", "cluster",
                     json_text(r->name, strlen(r->name)), "dry_run", dry, "done", done, "reason", reason, "by", by,
                     "supervisors", supervisors);
}

static int finish(struct run *r, bool dry)
{
    bool failed = r->failure.n > 0, done = !failed && !dry;
    if (r->asking.document) {
        json_t *o = result(r, dry, done);
        output_document(r->asking.format, o);
        json_decref(o);
    } else if (done) {
        printf("%s is %s.\n", r->name,
               r->adopt ? "adopted: its nodes are supervised"
                        : "released: its nodes are on "
                          "their own");
    }
    if (failed) {
        fflush(stdout);
        print_line(stderr, false, PAINT_NONE, "nodectl cluster %s: %s", r->adopt ? "adopt" : "release",
                   buf_str(&r->failure));
    }
    return failed ? EXIT_FAILED : EXIT_OK;
}

static int perform(struct run *r)
{
    bool yes = command_value(r->call, "--yes") != NULL, dry = command_value(r->call, "--dry-run") != NULL;
    if (asking_can_confirm(r->call, yes || dry) != EXIT_OK)
        return EXIT_USAGE;
    struct status_query query = {
        .user = r->asking.user, .password = r->asking.password, .groups = &r->name, .ngroups = 1};
    asking_begin(&r->asking, &r->fleet);
    r->views = status_collect(&r->fleet, &query);
    fleet_forget(&r->fleet);
    if (asking_nobody(r->call, &r->asking, &r->fleet))
        return EXIT_NOBODY;
    choose(r);
    if (r->by != NULL && (!yes || dry || !r->asking.document))
        show_plan(r);
    if (r->by != NULL && !dry) {
        if (yes || asking_confirmed(&r->asking, r->adopt ? "Adopt it now?" : "Release it now?"))
            act(r);
        else
            buf_puts(&r->failure, "nothing was done: it was not confirmed");
    }
    return finish(r, dry);
}

static int run(const struct command_call *call, bool adopt)
{
    struct run r = {.call = call, .adopt = adopt, .name = call->argv[0]};
    int code = asking_read(call, &r.asking);
    if (code == EXIT_OK) {
        code = perform(&r);
        json_decref(r.views);
        buf_free(&r.failure);
        fleet_free(&r.fleet);
    }
    asking_free(&r.asking);
    return code;
}

static int run_release(const struct command_call *call)
{
    return run(call, false);
}

static int run_adopt(const struct command_call *call)
{
    return command_value(call, "--seeds") != NULL ? adopt_with_seeds(call) : run(call, true);
}

#define YES_OPTIONS                                              \
    {"--yes", "-y", NULL, "do not ask"},                         \
    {                                                            \
        "--dry-run", NULL, NULL, "show the plan, and do nothing" \
    }

static const struct command_option options[] = {
    YES_OPTIONS,
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command_option adopt_options[] = {
    {"--seeds", NULL, "ADDRESS",
     "host:port of a node of a cluster that has no entry yet; several are separated by commas"},
    {"--down-after", NULL, "TIME", "with --seeds: silence after which a node is down (default 2s)"},
    {"--wait", NULL, "TIME", "how long an entry is waited for that you write yourself (default 30m)"},
    YES_OPTIONS,
    ASKING_OPTIONS,
    ASKING_LOGIN_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

#define EXITS                                                                                                         \
    "\n"                                                                                                              \
    "Exit status: 0 done, or the plan was shown; 1 it failed, was refused, was not confirmed, or was done by some\n"  \
    "supervisors only, for the reason on standard error; 2 the command line or the configuration file is wrong, or\n" \
    "nobody can be asked and --yes is not given; 3 no supervisor can be reached."

static const struct command command_cluster_release = {
    .name = "release",
    .arguments = "NAME",
    .summary = "Give a cluster up: its nodes elect their masters by themselves again, and take writes without leases.",
    .text = ASKING_TEXT
    "\n"
    "One supervisor is asked (SENTINEL CLUSTER RELEASE) and tells the others of its list; a majority decides. No "
    "write\n"
    "is refused meanwhile. It lasts until the cluster is adopted again, or its entry in the configuration file\n"
    "changes.\n"
    "\n"
    "Example:\n"
    "  nodectl cluster release orders\n" EXITS,
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_release,
};

static const struct command command_cluster_adopt = {
    .name = "adopt",
    .arguments = "NAME",
    .summary = "Put a running cluster under supervision, or take one on again that was released.",
    .text = ASKING_TEXT
    "\n"
    "With --seeds the cluster gets an entry in the configuration file of each of these supervisors: it is written "
    "where\n"
    "nodectl made the supervisor on this host (fleet create), and shown and waited for where it did not. Then each\n"
    "supervisor reads its file and watches the cluster. Given again it goes on with what is not done yet.\n"
    "\n"
    "Without it the cluster must have its entry, as one that was released has: one supervisor is asked (SENTINEL "
    "CLUSTER\n"
    "ADOPT), reads its configuration file again, as for SENTINEL RELOAD, and tells the others of its list. "
    "Supervisors\n"
    "do not know each other by a cluster that is released: name one that has it in its file.\n"
    "\n"
    "No write is refused meanwhile, either way.\n"
    "\n"
    "Examples:\n"
    "  nodectl cluster adopt orders\n"
    "  nodectl --fleet orders cluster adopt carts --seeds 10.0.0.21:7000,10.0.0.22:7000\n" EXITS,
    .options = adopt_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_adopt,
};

static const struct command *const commands[] = {
    &command_cluster_adopt, &command_cluster_release,     &command_cluster_info,
    &command_cluster_call,  &command_cluster_set_timeout, NULL,
};

const struct command command_cluster = {
    .name = "cluster",
    .summary = "A whole cluster: its sizes, a command to all of its nodes, giving it up and taking it on again.",
    .commands = commands,
};
