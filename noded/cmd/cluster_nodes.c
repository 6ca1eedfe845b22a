/* CLUSTER, nodes: who is in, who follows whom, epochs. */
#include "noded/cmd/cluster_rows.h"

#include "common/base/text.h"

/* The core decides a command that has no arguments, or the one of a node's id. */
static void ask_simply(struct nd_call *c, enum cl_verb verb)
{
    struct cl_command command = {.verb = verb};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (c->argc > 2)
        command.node = c->argv[2];
    nd_cluster_ask(c, &command);
}

void nd_cluster_forget(struct nd_call *c)
{
    ask_simply(c, CL_FORGET);
}

void nd_cluster_replicate(struct nd_call *c)
{
    ask_simply(c, CL_REPLICATE);
}

void nd_cluster_bumpepoch(struct nd_call *c)
{
    ask_simply(c, CL_BUMPEPOCH);
}

void nd_cluster_saveconfig(struct nd_call *c)
{
    ask_simply(c, CL_SAVECONFIG);
}

static bool port_arg(struct nd_call *c, size_t i, const char *which, int64_t *out)
{
    if (text_i64(c->argv[i], out))
        return true;
    nd_error(c, "ERR Invalid TCP %s port specified: %.*s", which, (int)(c->argv[i].n < 128 ? c->argv[i].n : 128),
             c->argv[i].p);
    return false;
}

void nd_cluster_meet(struct nd_call *c)
{
    struct cl_command command = {.verb = CL_MEET_NODE};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (c->argc > 5) {
        nd_subcommand_syntax(c);
        return;
    }
    command.ip = c->argv[2];
    if (!port_arg(c, 3, "base", &command.port) || (c->argc == 5 && !port_arg(c, 4, "bus", &command.bus_port)))
        return;
    if (c->argc == 5 && command.bus_port == 0)
        command.bus_port = -1; /* said, and no port: not the default */
    nd_cluster_ask(c, &command);
}

void nd_cluster_failover(struct nd_call *c)
{
    struct cl_command command = {.verb = CL_FAILOVER};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (c->argc > 3 && nd_arg_is(c, 2, "takeover")) {
        nd_cluster_takeover(c);
        return;
    }
    if (c->argc > 3) {
        nd_subcommand_syntax(c);
        return;
    }
    command.force = nd_arg_is(c, 2, "force");
    command.takeover = nd_arg_is(c, 2, "takeover");
    if (c->argc == 3 && !command.force && !command.takeover) {
        nd_syntax_error(c);
        return;
    }
    nd_cluster_ask(c, &command);
}

void nd_cluster_reset(struct nd_call *c)
{
    struct cl_command command = {.verb = CL_RESET};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (c->argc > 3) {
        nd_subcommand_syntax(c);
        return;
    }
    command.hard = nd_arg_is(c, 2, "hard");
    if (c->argc == 3 && !command.hard && !nd_arg_is(c, 2, "soft")) {
        nd_syntax_error(c);
        return;
    }
    nd_cluster_ask(c, &command);
}

void nd_cluster_set_config_epoch(struct nd_call *c)
{
    struct cl_command command = {.verb = CL_SET_CONFIG_EPOCH};
    if (nd_cluster_reply(c) || !nd_cluster_on(c) || !nd_arg_i64(c, 2, &command.number))
        return;
    nd_cluster_ask(c, &command);
}
