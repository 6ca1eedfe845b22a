/* nodectl fleet stop and destroy: the processes end in an order in which nothing fails over, and then, for destroy, all
 * that fleet create has made goes. */
#include "nodectl/change.h"
#include "nodectl/local/fleet_commands.h"
#include "nodectl/local/recorded.h"
#include "nodectl/local/registry.h"
#include "nodectl/local/remove.h"
#include "nodectl/local/run.h"
#include "nodectl/local/units.h"
#include "nodectl/reply_json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 30000

enum step { SUPERVISORS, REPLICAS, MASTERS, UNITS, FILES, RECORD, STEPS };

struct stop {
    const struct command_call *call;
    struct recorded fleet;
    struct change change;
    bool destroys, force;
    char *registry; /* the file that has its record; NULL: it was named by its folder */
    bool planned[STEPS];
    size_t steps[STEPS];
};

static void add(struct stop *s, enum step step, size_t number)
{
    s->planned[step] = true;
    s->steps[step] = number;
}

static void plan_ends(struct stop *s)
{
    static const enum run_class classes[] = {
        [SUPERVISORS] = RUN_SUPERVISORS, [REPLICAS] = RUN_REPLICAS, [MASTERS] = RUN_MASTERS};
    static const char *const names[] = {[SUPERVISORS] = "supervisor", [REPLICAS] = "replica", [MASTERS] = "master"};
    for (int step = SUPERVISORS; step <= MASTERS; step++) {
        struct run_count n = run_count(&s->fleet.layout, &s->fleet.asking, classes[step]);
        if (n.running > 0)
            add(s, (enum step)step, change_step(&s->change, "end %zu %s%s", n.running, names[step], PLURAL(n.running)));
    }
}

static void plan(struct stop *s)
{
    const struct layout *l = &s->fleet.layout;
    if (l->dir != NULL)
        plan_ends(s);
    if (!s->destroys)
        return;
    if (l->dir != NULL && l->runner != RUN_BY_NODECTL)
        add(s, UNITS, change_step(&s->change, "take its units away from systemd"));
    if (l->dir != NULL)
        add(s, FILES, change_step(&s->change, "remove %s with all data of %zu processes", l->dir, l->n));
    if (s->registry != NULL)
        add(s, RECORD, change_step(&s->change, "take fleet %s out of %s", s->fleet.asking.targets.fleet, s->registry));
    if (l->dir == NULL && s->fleet.asking.targets.dir != NULL)
        change_warn(&s->change, "%s is no folder of a fleet any more: nothing is ended or removed there",
                    s->fleet.asking.targets.dir);
    else if (l->dir == NULL)
        change_warn(&s->change, "fleet create did not make it on this host: its nodes and supervisors run on");
}

static bool do_step(struct stop *s, enum step step, struct buf *why)
{
    const struct layout *l = &s->fleet.layout;
    const struct asking *a = &s->fleet.asking;
    switch (step) {
    case SUPERVISORS: return run_stop(l, a, RUN_SUPERVISORS, s->fleet.limit_ms, s->force, why);
    case REPLICAS: return run_stop(l, a, RUN_REPLICAS, s->fleet.limit_ms, s->force, why);
    case MASTERS: return run_stop(l, a, RUN_MASTERS, s->fleet.limit_ms, s->force, why);
    case UNITS: return units_remove(l, NULL, why);
    case FILES: return remove_fleet(l, why);
    case RECORD:
    case STEPS: break;
    }
    return registry_remove(s->registry, a->targets.fleet, why);
}

static void do_steps(struct stop *s)
{
    struct buf why = {0};
    int lock = s->fleet.layout.dir != NULL ? layout_lock(&s->fleet.layout, &why) : -1;
    if (why.n > 0)
        change_failed(&s->change, "%s", buf_str(&why));
    for (int step = SUPERVISORS; step < STEPS && s->change.failure.n == 0; step++) {
        if (!s->planned[step])
            continue;
        if (!change_now(&s->change, s->steps[step]))
            break;
        if (!do_step(s, (enum step)step, &why)) {
            change_failed(&s->change, "%s", buf_str(&why));
            break;
        }
        change_did(&s->change, s->steps[step]);
    }
    if (lock >= 0)
        close(lock);
    buf_free(&why);
}

static bool agreed(struct stop *s)
{
    const char *name = s->fleet.asking.targets.fleet;
    struct buf title = {0};
    buf_printf(&title, "%s of fleet %s", s->destroys ? "Destruction" : "Stop", name);
    bool yes = s->destroys ? change_agreed_by_word(&s->change, buf_str(&title), "All of its data is lost.", name)
                           : change_agreed(&s->change, buf_str(&title), "Stop it now?");
    buf_free(&title);
    return yes;
}

static int perform(struct stop *s)
{
    const struct targets *t = &s->fleet.asking.targets;
    if (command_value(s->call, "--dir") == NULL)
        s->registry = strdup(t->source);
    if (!s->destroys && s->fleet.layout.dir == NULL)
        return command_fail(s->call, EXIT_FAILED,
                            "fleet %s was not made by fleet create on this host, so nothing of it can be ended here",
                            t->fleet);
    int code = change_begin(&s->change, s->call, &s->fleet.asking);
    if (code != EXIT_OK)
        return code;
    plan(s);
    if (agreed(s))
        do_steps(s);
    return change_end(&s->change, json_pack("{s:o, s:o}", "fleet", json_text(t->fleet, strlen(t->fleet)), "dir",
                                            t->dir != NULL ? json_text(t->dir, strlen(t->dir)) : json_null()));
}

static int run(const struct command_call *call, bool destroys)
{
    struct stop s = {.call = call, .destroys = destroys, .force = command_value(call, "--force") != NULL};
    int code = recorded_read(call, LIMIT_MS, &s.fleet);
    if (code == EXIT_OK)
        code = perform(&s);
    free(s.registry);
    recorded_free(&s.fleet);
    return code;
}

static int run_stop_command(const struct command_call *call)
{
    return run(call, false);
}

static int run_destroy(const struct command_call *call)
{
    return run(call, true);
}

static const struct command_option options[] = {
    {"--force", NULL, NULL, "kill who has not ended in time"},
    RECORDED_OPTIONS,
    {"--timeout", "-t", "TIME", "how long supervisors, replicas and masters each get to end (default 30s)"},
    CHANGE_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_fleet_stop = {
    .name = "stop",
    .arguments = "[NAME]",
    .summary = "End all processes of a fleet on this host; its data stays.",
    .text =
        "The supervisors end first, so that nothing fails over, then the replicas, then the masters, each by SIGTERM.\n"
        "A process is ended only when it was shown to be the fleet's own. nodectl fleet start starts it again.\n"
        "\n"
        "Example:\n"
        "  nodectl fleet stop orders --yes\n"
        "\n"
        "Exit status: 0 nothing of it runs any more, or the plan was shown; 1 something did not end, or it was not\n"
        "confirmed; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not\n"
        "given; 130 interrupted.",
    .options = options,
    .max_args = 1,
    .run = run_stop_command,
};

const struct command command_fleet_destroy = {
    .name = "destroy",
    .arguments = "[NAME]",
    .summary = "End a fleet and remove all that fleet create has made of it, data included.",
    .text =
        "Its processes end as for stop; then its folders, its units and its record in nodectl.conf go. The name has "
        "to\n"
        "be typed again, unless --yes is given. What else lies in its folder stays, and a folder that is not one of a\n"
        "fleet is refused. Of a fleet that was not made on this host only the record goes.\n"
        "\n"
        "Example:\n"
        "  nodectl --fleet orders fleet destroy\n"
        "\n"
        "Exit status: 0 it is gone, or the plan was shown; 1 something did not end or could not be removed, or it was\n"
        "not confirmed; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is "
        "not\n"
        "given; 130 interrupted.",
    .options = options,
    .max_args = 1,
    .run = run_destroy,
};
