/* nodectl fleet start. */
#include "common/base/mem.h"
#include "nodectl/change.h"
#include "nodectl/cluster/form.h"
#include "nodectl/local/fleet_commands.h"
#include "nodectl/local/ready.h"
#include "nodectl/local/recorded.h"
#include "nodectl/local/run.h"
#include "nodectl/local/well.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <string.h>
#include <unistd.h>

#define LIMIT_MS 60000
#define LOOK_MS 50

enum step { NODES, CLUSTER, SUPERVISORS, WELL, STEPS };

struct start {
    struct recorded fleet;
    struct change change;
    size_t steps[STEPS];
    bool planned[STEPS], wait;
};

static bool any_supervisors(const struct layout *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].supervisor)
            return true;
    return false;
}

/* ---- a fleet whose creation is not finished on another host ---- */

/* By the word of this host's nodes; where it has none, by that of all. */
static bool is_made(const struct start *s)
{
    const struct layout *l = &s->fleet.layout;
    struct form f;
    struct form_node *v = mem_zalloc((l->n + 1) * sizeof *v);
    struct buf why = {0};
    size_t asked = 0, all = 0, here = run_count(l, &s->fleet.asking, RUN_NODES).here;
    bool waits;
    for (size_t i = 0; i < l->n; i++) {
        all += !l->v[i].supervisor;
        if (!l->v[i].supervisor && (here == 0 || layout_is_here(&l->v[i])))
            v[asked++] = (struct form_node){.addr = l->v[i].addr, .bus_port = l->v[i].bus_port};
    }
    form_init(&f, &s->fleet.asking, v, asked, (size_t)l->shards);
    bool made = form_look(&f, &waits, &why) && form_sees_whole(&f, all);
    form_free(&f);
    buf_free(&why);
    return made;
}

/* Supervisors that came before the cluster is made would take its nodes for what they are not yet. */
static bool wait_made(struct start *s, int left_ms, struct buf *why)
{
    int64_t end_ms = fleet_now_ms() + left_ms;
    while (!is_made(s)) {
        if (!s->wait || fleet_now_ms() >= end_ms) {
            buf_printf(why,
                       "the nodes run, but are no cluster yet: nodectl fleet create makes it on the host where it was "
                       "begun. The supervisors are started when this command is given again");
            return false;
        }
        if (!interrupt_sleep(LOOK_MS)) {
            buf_puts(why, "interrupted; what was started runs on");
            return false;
        }
    }
    s->fleet.layout.complete = true;
    return layout_save(&s->fleet.layout, why);
}

/* ---- the plan and its steps ---- */

static void add(struct start *s, enum step step, size_t number)
{
    s->planned[step] = true;
    s->steps[step] = number;
}

static struct well_wish wish_of(const struct layout *l)
{
    struct well_wish wish = {.cluster = l->name, .leases = true};
    for (size_t i = 0; i < l->n; i++)
        wish.supervisors += l->v[i].supervisor;
    return wish;
}

/* One look, where nothing is to be started. */
static bool is_well(const struct start *s)
{
    struct well_wish wish = wish_of(&s->fleet.layout);
    struct buf ignored = {0};
    bool well = well_wait(&s->fleet.asking, &wish, 0, &ignored) &&
                ready_wait(&s->fleet.layout, &s->fleet.asking, 0, &ignored);
    buf_free(&ignored);
    return well;
}

static void plan(struct start *s)
{
    const struct layout *l = &s->fleet.layout;
    struct run_count nodes = run_count(l, &s->fleet.asking, RUN_NODES);
    struct run_count supervisors = run_count(l, &s->fleet.asking, RUN_SUPERVISORS);
    size_t idle_nodes = nodes.here - nodes.running, idle_supervisors = supervisors.here - supervisors.running;
    bool all_run = l->complete && idle_nodes + idle_supervisors == 0;
    if (idle_nodes > 0)
        add(s, NODES,
            change_step(&s->change, "start %zu node%s (%zu run)", idle_nodes, PLURAL(idle_nodes), nodes.running));
    else if (all_run && !any_supervisors(l) && !is_made(s))
        add(s, NODES, change_step(&s->change, "wait until %zu node%s answer", nodes.running, PLURAL(nodes.running)));
    if (!l->complete)
        add(s, CLUSTER, change_step(&s->change, "wait until nodectl fleet create has made the cluster"));
    if (idle_supervisors > 0)
        add(s, SUPERVISORS,
            change_step(&s->change, "start %zu supervisor%s (%zu run)", idle_supervisors, PLURAL(idle_supervisors),
                        supervisors.running));
    if (s->wait && any_supervisors(l) && !(all_run && is_well(s)))
        add(s, WELL, change_step(&s->change, "wait until all is well and every master has its lease"));
}

static bool do_step(struct start *s, enum step step, int left_ms, struct buf *why)
{
    const struct layout *l = &s->fleet.layout;
    const struct asking *a = &s->fleet.asking;
    if (step == CLUSTER)
        return wait_made(s, left_ms, why);
    if (step != WELL) {
        int lock = layout_lock(l, why);
        bool ok = lock >= 0 && run_start(l, a, step == NODES ? RUN_NODES : RUN_SUPERVISORS, left_ms, why);
        if (lock >= 0)
            close(lock);
        return ok;
    }
    struct well_wish wish = wish_of(l);
    int64_t end_ms = fleet_now_ms() + left_ms;
    if (!well_wait(a, &wish, left_ms, why))
        return false;
    int64_t rest_ms = end_ms - fleet_now_ms();
    return ready_wait(l, a, rest_ms > 0 ? (int)rest_ms : 0, why);
}

static void do_steps(struct start *s)
{
    int64_t end_ms = fleet_now_ms() + s->fleet.limit_ms;
    struct buf why = {0};
    if (!recorded_programs(&s->fleet, &why))
        change_failed(&s->change, "%s", buf_str(&why));
    for (int step = NODES; step < STEPS && s->change.failure.n == 0; step++) {
        if (!s->planned[step])
            continue;
        int64_t left_ms = end_ms - fleet_now_ms();
        if (!change_now(&s->change, s->steps[step]))
            break;
        if (!do_step(s, (enum step)step, left_ms > 1000 ? (int)left_ms : 1000, &why)) {
            change_failed(&s->change, "%s", buf_str(&why));
            break;
        }
        change_did(&s->change, s->steps[step]);
    }
    buf_free(&why);
}

static int run(const struct command_call *call)
{
    struct start s = {.wait = command_value(call, "--no-wait") == NULL};
    struct buf title = {0};
    int code = recorded_read(call, LIMIT_MS, &s.fleet);
    if (code == EXIT_OK && s.fleet.layout.dir == NULL)
        code = command_fail(call, EXIT_FAILED,
                            "fleet %s was not made by fleet create on this host, so nothing of it can be started here",
                            s.fleet.asking.targets.fleet);
    if (code == EXIT_OK)
        code = change_begin(&s.change, call, &s.fleet.asking);
    if (code == EXIT_OK) {
        plan(&s);
        buf_printf(&title, "Start of fleet %s", s.fleet.layout.name);
        if (change_agreed(&s.change, buf_str(&title), "Start it now?"))
            do_steps(&s);
        code = change_end(&s.change, json_pack("{s:s, s:o}", "fleet", s.fleet.layout.name, "dir",
                                               json_text(s.fleet.layout.dir, strlen(s.fleet.layout.dir))));
    }
    buf_free(&title);
    recorded_free(&s.fleet);
    return code;
}

static const struct command_option options[] = {
    {"--no-wait", NULL, NULL, "return when the processes answer, whatever the cluster's state"},
    RECORDED_OPTIONS,
    {"--timeout", "-t", "TIME", "how long it may take until all is well (default 1m)"},
    CHANGE_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_fleet_start = {
    .name = "start",
    .arguments = "[NAME]",
    .summary = "Start what of a fleet does not run, and wait until all is well.",
    .text =
        "Those of its processes that belong to this host are started, the nodes first; who runs is left alone. A\n"
        "process that ends at once is told with the end of its log. Where the fleet is still being made, the\n"
        "supervisors wait until its cluster is there.\n"
        "\n"
        "Example:\n"
        "  nodectl fleet start orders --yes\n"
        "\n"
        "Exit status: 0 all is well, or the plan was shown; 1 something could not be started, or is not well in time;\n"
        "2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not given;\n"
        "130 interrupted.",
    .options = options,
    .max_args = 1,
    .run = run,
};
