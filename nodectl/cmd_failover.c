/* nodectl failover: shows the plan, asks, acts, shows progress. */
#include "nodectl/tree.h"

#include "common/base/text.h"
#include "nodectl/shard/failover_run.h"

#define WAIT_MAX_MS 3600000

static void make_steps(const struct failover_run *r, struct change *c)
{
    struct buf about = {0};
    failover_plan_put(&about, r->look.document, &r->wish, &r->plan);
    change_about(c, "%s", buf_str(&about));
    change_step(c, "promote %s in the place of %s", r->plan.to, r->plan.from);
    failover_run_warn(r, c);
    buf_free(&about);
}

static int perform(struct failover_run *r)
{
    struct change c;
    struct buf title = {0};
    int code = change_begin(&c, r->call, r->asking);
    if (code != EXIT_OK)
        return code;
    int prepared = failover_run_prepare(r, &c);
    if (prepared == EXIT_OK)
        make_steps(r, &c);
    buf_printf(&title, "Failover of %s", r->wish.group);
    if (change_agreed(&c, buf_str(&title), "Fail over now?"))
        failover_run_perform(r, &c, 0);
    buf_free(&title);
    code = change_end(&c, failover_run_result(r));
    failover_run_free(r);
    return prepared == EXIT_NOBODY ? EXIT_NOBODY : code;
}

static int run(const struct command_call *call)
{
    struct asking asking;
    struct failover_run r = {.call = call,
                             .asking = &asking,
                             .wish = {.group = call->argv[0],
                                      .to = command_value(call, "--to"),
                                      .coordinated = command_value(call, "--coordinated") != NULL}};
    const char *wait = command_value(call, "--wait-ms");
    struct addr to;
    if (wait != NULL && !text_range(slice_of(wait), 1, WAIT_MAX_MS, &r.wait_ms))
        return command_fail(call, EXIT_USAGE, "--wait-ms is '%s', but must be a number from 1 to %d", wait,
                            WAIT_MAX_MS);
    if (r.wish.to != NULL && !addr_parse(slice_of(r.wish.to), &to))
        return command_fail(call, EXIT_USAGE, "--to is '%s', but must be host:port", r.wish.to);
    int code = asking_read(call, &asking);
    if (code == EXIT_OK)
        code = perform(&r);
    asking_free(&asking);
    return code;
}

static const struct command_option options[] = {
    {"--to", NULL, "NODE", "host:port of the replica to promote (default: the supervisors choose)"},
    {"--coordinated", NULL, NULL, "pause writes and let the replica catch up first, so that none is lost"},
    CHANGE_OPTIONS,
    {"--wait-ms", NULL, "MS", "how long to wait for the end (default: twice the group's failover timeout, and 10 s)"},
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_failover = {
    .name = "failover",
    .arguments = "GROUP",
    .summary = "Make a replica the master: show the plan, ask, act, and show progress until it is done or has failed.",
    .text = ASKING_TEXT
    "\n"
    "A shard may be named without its cluster. One supervisor is asked (SENTINEL FAILOVER) and all are listened to.\n"
    "--to and --coordinated are known to sentineld only; the plain form is done by redis-sentinel too. The replica in\n"
    "the plan is the one that sentineld itself would choose now (SENTINEL RANKING); of redis-sentinel it is worked "
    "out\n"
    "from what it tells.\n"
    "\n"
    "Example:\n"
    "  nodectl shard failover orders/1a2b3c4d --to 10.0.0.12:6379\n"
    "\n"
    "Exit status: 0 done, or the plan was shown; 1 it failed, was refused or was not confirmed, for the reason on\n"
    "standard error; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not\n"
    "given; 3 no supervisor can be reached; 130 interrupted: nothing was done, or its end was not seen.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
