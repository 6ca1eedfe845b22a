#include "sentineld/shell/cmd_sentinel.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/text.h"
#include "sentineld/core/fleet.h"

/* What stock checks before it acts is checked here; the rest, and everything that depends on changes that are still on
 * their way to the disk, is checked by the core, which answers with the token. */

static void submit(struct call *call, struct sn_event *e)
{
    e->token = client_defer(call, CLIENT_ANSWER_PLAIN);
    daemon_step(call->d, e);
}

/* The address that MONITOR is given. false: the error is in the reply. */
static bool read_master(struct call *call, struct addr *out)
{
    struct slice host = call->argv[3];
    int64_t port;
    if (!text_range(call->argv[4], INT_MIN, INT_MAX, &port)) {
        reply_error(call->r, "ERR Invalid port");
        return false;
    }
    bool is_name = !addr_set(out, host, 1) || !addr_is_ip(out->host);
    if (!addr_set(out, host, 1) || (is_name && !call->d->core->globals.resolve_hostnames)) {
        reply_error(call->r, "ERR Invalid IP address or hostname specified");
        return false;
    }
    if (!addr_set(out, host, port)) {
        reply_error(call->r, "ERR Invalid port number.");
        return false;
    }
    return true;
}

/* What would make a name ambiguous; the cluster, or NULL. Names of shards are given by their clusters. */
static const struct sn_fleet *fleet_of_name(const struct sn_core *c, struct slice name)
{
    const char *slash = name.n > 0 ? memchr(name.p, '/', name.n) : NULL;
    return sn_fleet_find(c, slash == NULL ? name : (struct slice){name.p, (size_t)(slash - name.p)});
}

void cmd_sentinel_monitor(struct call *call)
{
    struct sn_event e = {.kind = SN_EV_MONITOR, .group = call->argv[2]};
    const char *why = NULL;
    const struct sn_fleet *f = fleet_of_name(call->d->core, e.group);
    if (!text_range(call->argv[5], INT_MIN, INT_MAX, &e.number))
        reply_error(call->r, "ERR Invalid quorum");
    else if (e.number <= 0)
        reply_error(call->r, "ERR Quorum must be 1 or greater.");
    else if (!read_master(call, &e.addr))
        return;
    else if (sn_group_find(call->d->core, e.group) != NULL)
        reply_error(call->r, "ERR Duplicate master name.");
    else if (f != NULL)
        reply_error(call->r,
                    "ERR Names that begin with '%s/' belong to the shards of the cluster '%s', which are found by "
                    "themselves: choose another name",
                    f->name, f->name);
    else if (!config_group_name_ok(e.group, &why))
        reply_error(call->r, "ERR Invalid master name: %s", why);
    else
        submit(call, &e);
}

void cmd_sentinel_remove(struct call *call)
{
    struct sn_event e = {.kind = SN_EV_REMOVE, .group = call->argv[2]};
    const struct sn_group *g = sn_group_find(call->d->core, e.group);
    if (g != NULL && g->fleet != NULL) {
        reply_error(
            call->r,
            "ERR %s is a shard of the cluster '%s' and goes when the cluster gives it up (CLUSTER FORGET at its "
            "nodes). SENTINEL CLUSTER RELEASE %s ends the supervision of the whole cluster",
            g->name, g->fleet->name, g->fleet->name);
        return;
    }
    submit(call, &e);
}

/* ---- SET ---- */

/* What stands against an option that names a script; NULL: nothing, or it is another option. */
static const char *script_problem(const struct daemon *d, struct slice option, struct slice value)
{
    bool notification = slice_ieq(option, "notification-script");
    if (!notification && !slice_ieq(option, "client-reconfig-script"))
        return NULL;
    if (d->config->deny_scripts_reconfig)
        return "Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig "
               "configuration "
               "directive in your Sentinel configuration";
    char *path = slice_dup(value);
    bool missing = value.n > 0 && access(path, X_OK) != 0;
    free(path);
    if (!missing)
        return NULL;
    return notification ? "Notification script seems non existing or non executable"
                        : "Client reconfiguration script seems non existing or non executable";
}

/* Goes through the options as the core will, up to the first that is wrong for the core. */
static const char *first_script_problem(struct call *call, const struct sn_group *g)
{
    struct sn_settings trial;
    if (g != NULL)
        sn_settings_copy(&trial, &g->set);
    else
        sn_settings_init(&trial);
    const char *problem = NULL;
    char text[256];
    for (size_t at = 3; at < call->argc && problem == NULL;) {
        if (at + 1 < call->argc)
            problem = script_problem(call->d, call->argv[at], call->argv[at + 1]);
        size_t took = sn_settings_set(&trial, call->argv + at, call->argc - at, text, sizeof text);
        if (took == 0)
            break;
        at += took;
    }
    sn_settings_free(&trial);
    return problem;
}

void cmd_sentinel_set(struct call *call)
{
    const struct sn_group *g = sn_group_find(call->d->core, call->argv[2]);
    const char *problem = first_script_problem(call, g);
    if (problem != NULL && g == NULL) {
        cmd_group(call); /* says that there is no such master */
        return;
    }
    if (problem != NULL) {
        reply_error(call->r, "ERR %s", problem);
        return;
    }
    struct sn_event e = {.kind = SN_EV_SET, .group = call->argv[2], .argv = call->argv + 3, .count = call->argc - 3};
    submit(call, &e);
}

/* ---- RESET, FAILOVER, FLUSHCONFIG ---- */

void cmd_sentinel_reset(struct call *call)
{
    struct sn_event e = {.kind = SN_EV_RESET, .text = call->argv[2]};
    submit(call, &e);
}

void cmd_sentinel_failover(struct call *call)
{
    struct sn_event e = {.kind = SN_EV_FAILOVER, .group = call->argv[2]};
    for (size_t i = 3; i < call->argc; i++) {
        int64_t port;
        if (slice_ieq(call->argv[i], "coordinated")) {
            e.coordinated = true;
        } else if (slice_ieq(call->argv[i], "to") && i + 2 < call->argc) {
            if (!text_range(call->argv[i + 2], 1, 65535, &port) || !addr_set(&e.addr, call->argv[i + 1], port)) {
                reply_error(call->r, "ERR Invalid replica address after TO: expected <host> <port>");
                return;
            }
            i += 2;
        } else {
            command_wrong_arity(call); /* as stock answers to any further word */
            return;
        }
    }
    submit(call, &e);
}

void cmd_sentinel_flushconfig(struct call *call)
{
    struct sn_event e = {.kind = SN_EV_FLUSH};
    submit(call, &e);
}
