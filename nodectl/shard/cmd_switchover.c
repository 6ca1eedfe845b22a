/* nodectl shard switchover: a planned change of the master that loses no acknowledged write, now or at a given time. */
#include "nodectl/shard/shard_commands.h"

#include "nodectl/change.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/shard/at.h"
#include "nodectl/shard/failover_run.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATE_S 60 /* so long after the time that was given it is not done any more */

struct switchover {
    const struct command_call *call;
    struct asking asking;
    struct change change;
    struct failover_run run;
    bool waits;
    time_t at;
};

static void aim(struct switchover *s)
{
    s->run = (struct failover_run){
        .call = s->call,
        .asking = &s->asking,
        .wish = {.group = s->call->argv[0], .to = command_value(s->call, "--to"), .coordinated = true}};
}

/* ---- the plan ---- */

static void make_steps(struct switchover *s)
{
    const struct failover_plan *plan = &s->run.plan;
    char when[WALL_TEXT_MAX];
    int64_t lag = json_int(plan->replica, "lag_bytes", -1);
    if (s->waits)
        change_step(&s->change, "wait until %.19s, then look again", wall_text((int64_t)s->at * 1000, when));
    change_step(&s->change, "switch %s from %s to %s", s->run.wish.group, plan->from, plan->to);
    failover_run_warn(&s->run, &s->change);
    if (lag > 0)
        change_warn(&s->change, "%s is %lld bytes behind now; writes are paused until it is not", plan->to,
                    (long long)lag);
}

/* ---- waiting ---- */

/* On a terminal a line that counts down. false: Ctrl-C, or the machine slept through it. */
static bool wait_until_then(struct switchover *s)
{
    char left[AT_LEFT_MAX], when[WALL_TEXT_MAX];
    bool terminal = isatty(STDERR_FILENO);
    wall_text((int64_t)s->at * 1000, when);
    time_t now = time(NULL);
    for (; now < s->at && !interrupted(); now = time(NULL)) {
        if (terminal)
            fprintf(stderr, "\r%s to %.19s (Ctrl-C: nothing is done) ", at_left(s->at - now, left), when);
        interrupt_sleep(now + 1 < s->at ? 500 : 50);
    }
    if (terminal)
        fputs("\r\033[K", stderr);
    if (interrupted())
        change_failed(&s->change, "interrupted while it waited: nothing was done");
    else if (now > s->at + LATE_S)
        change_failed(&s->change,
                      "nothing was done: it is %lld s later than %.19s, as the machine was asleep or its clock was set",
                      (long long)(now - s->at), when);
    return s->change.failure.n == 0;
}

/* What was agreed to was a plan from this master: from another one it is another plan. */
static bool look_again(struct switchover *s)
{
    char from[ADDR_TEXT_MAX];
    snprintf(from, sizeof from, "%s", s->run.plan.from);
    failover_run_free(&s->run);
    aim(s);
    if (failover_run_prepare(&s->run, &s->change) == EXIT_OK && strcmp(from, s->run.plan.from) != 0)
        change_failed(&s->change, "nothing was done: the master is %s now; it was %s when this was planned",
                      s->run.plan.from, from);
    return s->change.failure.n == 0;
}

/* ---- the deed ---- */

static void act(struct switchover *s)
{
    size_t step = 0;
    if (s->waits) {
        if (!change_now(&s->change, step) || !wait_until_then(s) || !look_again(s))
            return;
        change_did(&s->change, step++);
    }
    failover_run_perform(&s->run, &s->change, step);
}

static int perform(struct switchover *s)
{
    int code = change_begin(&s->change, s->call, &s->asking);
    if (code != EXIT_OK)
        return code;
    aim(s);
    int prepared = failover_run_prepare(&s->run, &s->change);
    if (prepared == EXIT_OK)
        make_steps(s);
    struct buf title = {0};
    buf_printf(&title, "Switchover of %s, by supervisor %s: writes pause until none that was acknowledged can be lost",
               s->run.wish.group, s->run.plan.by != NULL ? s->run.plan.by : "");
    if (change_agreed(&s->change, buf_str(&title), s->waits ? "Do it then?" : "Switch over now?"))
        act(s);
    buf_free(&title);
    code = change_end(&s->change, failover_run_result(&s->run));
    failover_run_free(&s->run);
    return prepared == EXIT_NOBODY ? EXIT_NOBODY : code;
}

static int run(const struct command_call *call)
{
    struct switchover s = {.call = call};
    const char *at = command_value(call, "--at"), *to = command_value(call, "--to");
    struct addr node;
    s.waits = at != NULL;
    if (at != NULL && !at_parse(at, time(NULL), &s.at))
        return command_fail(call, EXIT_USAGE,
                            "--at is '%s', but must be a time that is to come: 18:30, 2026-11-22T18:30:00 or +10m", at);
    if (to != NULL && !addr_parse(slice_of(to), &node))
        return command_fail(call, EXIT_USAGE, "--to is '%s', but must be host:port", to);
    int code = asking_read(call, &s.asking);
    if (code == EXIT_OK)
        code = perform(&s);
    asking_free(&s.asking);
    return code;
}

static const struct command_option options[] = {
    {"--to", NULL, "NODE", "host:port of the replica that is to be the master (default: the supervisors choose)"},
    {"--at", NULL, "TIME", "when: 18:30, 2026-11-22T18:30:00 (local time) or +10m (default: now)"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_shard_switchover = {
    .name = "switchover",
    .arguments = "SHARD",
    .summary = "Change places of a master and a replica without losing an acknowledged write.",
    .text = ASKING_TEXT
    "\n"
    "Writes are paused on the master until the replica has all of them, then the replica is the master (SENTINEL\n"
    "FAILOVER ... COORDINATED, which sentineld knows). When it does not catch up within half of down_after_ms, it is\n"
    "given up and the old master goes on. A shard may be named without its cluster, or by any node of it.\n"
    "\n"
    "With --at the plan is agreed to now and done then: all is looked at once more, and nothing is done when another\n"
    "node is the master by then, when it is no longer possible, or when the time was slept through.\n"
    "\n"
    "Example:\n"
    "  nodectl shard switchover orders/1a2b3c4d\n"
    "  nodectl shard switchover orders/1a2b3c4d --to 10.0.0.12:6379 --at 03:30 --yes\n"
    "\n"
    "Exit status: 0 done, or the plan was shown; 1 it failed, was refused or was not confirmed, for the reason on\n"
    "standard error; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not\n"
    "given; 3 no supervisor can be reached; 130 interrupted: nothing was done, or it is done to its end.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
