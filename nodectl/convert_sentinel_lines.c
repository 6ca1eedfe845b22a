/* sentinel.conf: the lines that begin with "sentinel". */
#include "nodectl/convert_sentinel.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "sentineld/shell/config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SETTING_MAX INT32_MAX /* of milliseconds and counts in sentineld.conf */

static struct found_group *group_named(struct found_sentinel *f, struct slice name)
{
    for (size_t i = 0; i < f->group_count; i++) {
        if (slice_eq(f->groups[i].name, name))
            return &f->groups[i];
    }
    return NULL;
}

void found_monitor_line(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    struct found_group g = {
        .down_after_ms = -1,
        .failover_timeout_ms = -1,
        .parallel_syncs = -1,
        .reboot_down_after_ms = -1,
        .config_epoch = -1,
        .leader_epoch = -1,
        .master_at = d,
    };
    int64_t port;
    const char *why;
    if (d->argc != 6) {
        convert_error(c, d, "expected: sentinel monitor NAME HOST PORT QUORUM");
        return;
    }
    g.name = d->argv[2];
    if (!text_range(d->argv[4], 1, 65535, &port) || !addr_set(&g.master, d->argv[3], port))
        convert_error(c, d, "the address of the master is wrong: expected a host and a port from 1 to 65535");
    if (!text_range(d->argv[5], 1, SETTING_MAX, &g.quorum))
        convert_error(c, d, "the quorum is wrong: expected 1 or more");
    if (group_named(f, g.name) != NULL) {
        convert_error(c, d, "there are two masters of this name");
        return;
    }
    if (!config_group_name_ok(g.name, &why)) {
        convert_leave(c, d, "not carried over, nor its other lines: %s", why);
        g.left_out = true;
    }
    f->groups = mem_array(f->groups, f->group_count + 1, sizeof *f->groups);
    f->groups[f->group_count++] = g;
}

/* --- options of a group; d->argv: sentinel OPTION NAME VALUE... ------------------------------------------------------
 */

static void take_known_replica(struct convert *c, struct found_group *g, const struct directive *d)
{
    struct addr a;
    int64_t port;
    if (!text_range(d->argv[4], 1, 65535, &port) || !addr_set(&a, d->argv[3], port)) {
        convert_error(c, d, "expected a host and a port from 1 to 65535");
        return;
    }
    for (size_t i = 0; i < g->replica_count; i++) {
        if (addr_eq(&g->replicas[i], &a)) {
            convert_leave(c, d, "not carried over: this replica is listed already");
            return;
        }
    }
    g->replicas = mem_array(g->replicas, g->replica_count + 1, sizeof *g->replicas);
    g->replicas[g->replica_count++] = a;
}

static void take_known_sentinel(struct convert *c, struct found_group *g, const struct directive *d)
{
    struct found_peer p = {0};
    int64_t port;
    if (!text_range(d->argv[4], 1, 65535, &port) || !addr_set(&p.address, d->argv[3], port)) {
        convert_error(c, d, "expected a host and a port from 1 to 65535");
        return;
    }
    if (d->argc < 6 || !runid_parse(d->argv[5], p.id)) {
        convert_leave(c, d,
                      "not carried over: it has no id of 40 hexadecimal digits; it will be found again by its hello");
        return;
    }
    for (size_t i = 0; i < g->peer_count; i++) {
        if (strcmp(g->peers[i].id, p.id) == 0) {
            convert_leave(c, d, "not carried over: a sentinel with this id is listed already");
            return;
        }
    }
    g->peers = mem_array(g->peers, g->peer_count + 1, sizeof *g->peers);
    g->peers[g->peer_count++] = p;
}

static void take_rename(struct convert *c, struct found_group *g, const struct directive *d)
{
    if (!convert_text_ok(c, d, d->argv[3]) || !convert_text_ok(c, d, d->argv[4]))
        return;
    if (d->argv[3].n == 0 || d->argv[4].n == 0) {
        convert_leave(c, d, "not carried over: a command cannot be renamed to nothing");
        return;
    }
    for (size_t i = 0; i < g->rename_count; i++) {
        if (strcasecmp(g->renames[i].from.p, d->argv[3].p) == 0) {
            convert_error(c, d, "this command is renamed twice");
            return;
        }
    }
    g->renames = mem_array(g->renames, g->rename_count + 1, sizeof *g->renames);
    g->renames[g->rename_count++] = (struct found_rename){d->argv[3], d->argv[4]};
}

static void take_user(struct convert *c, struct found_group *g, const struct directive *d)
{
    (void)c;
    g->user = d->argv[3];
    g->user_at = d;
}

enum value_kind { MILLISECONDS, COUNT, EPOCH, TEXT, OTHER };

#define AT(member) offsetof(struct found_group, member)

static const struct group_option {
    const char *name;
    size_t min_words, max_words;
    enum value_kind kind;
    int64_t min;
    size_t at;
    void (*take)(struct convert *c, struct found_group *g, const struct directive *d);
} group_options[] = {
    {"down-after-milliseconds", 4, 4, MILLISECONDS, 1, AT(down_after_ms), NULL},
    {"failover-timeout", 4, 4, MILLISECONDS, 1, AT(failover_timeout_ms), NULL},
    {"parallel-syncs", 4, 4, COUNT, 1, AT(parallel_syncs), NULL},
    {"master-reboot-down-after-period", 4, 4, MILLISECONDS, 0, AT(reboot_down_after_ms), NULL},
    {"config-epoch", 4, 4, EPOCH, 0, AT(config_epoch), NULL},
    {"leader-epoch", 4, 4, EPOCH, 0, AT(leader_epoch), NULL},
    {"auth-pass", 4, 4, TEXT, 0, AT(password), NULL},
    {"auth-user", 4, 4, OTHER, 0, 0, take_user},
    {"notification-script", 4, 4, TEXT, 0, AT(notification_script), NULL},
    {"client-reconfig-script", 4, 4, TEXT, 0, AT(client_reconfig_script), NULL},
    {"known-replica", 5, 5, OTHER, 0, 0, take_known_replica},
    {"known-slave", 5, 5, OTHER, 0, 0, take_known_replica},
    {"known-sentinel", 5, 6, OTHER, 0, 0, take_known_sentinel},
    {"rename-command", 5, 5, OTHER, 0, 0, take_rename},
};

static void take_number(struct convert *c, struct found_group *g, const struct directive *d,
                        const struct group_option *o)
{
    int64_t *at = (int64_t *)(void *)((char *)g + o->at), v;
    if (!text_range(d->argv[3], o->min, INT64_MAX, &v)) {
        convert_error(c, d, "expected a whole number, %s or more", o->min == 0 ? "0" : "1");
        return;
    }
    if (o->kind != EPOCH && v > SETTING_MAX) {
        convert_leave(c, d, "carried over as %d, the most that sentineld takes", SETTING_MAX);
        v = SETTING_MAX;
    }
    *at = v;
}

static void take_option(struct convert *c, struct found_sentinel *f, const struct directive *d,
                        const struct group_option *o)
{
    if (d->argc < o->min_words || d->argc > o->max_words) {
        convert_error(c, d, "wrong number of words");
        return;
    }
    struct found_group *g = group_named(f, d->argv[2]);
    if (g == NULL) {
        convert_error(c, d, "no 'sentinel monitor' line has this name");
    } else if (g->left_out) {
        convert_leave(c, d, "not carried over, like the line that monitors it");
    } else if (o->kind == TEXT) {
        if (convert_text_ok(c, d, d->argv[3]))
            *(struct slice *)(void *)((char *)g + o->at) = d->argv[3];
    } else if (o->kind == OTHER) {
        o->take(c, g, d);
    } else {
        take_number(c, g, d, o);
    }
}

/* --- options of the sentinel itself; d->argv: sentinel OPTION VALUE --------------------------------------------------
 */

static void take_id(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    if (!runid_parse(d->argv[2], f->id))
        convert_error(c, d, "expected 40 hexadecimal digits");
}

static void take_epoch(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    if (!text_range(d->argv[2], 0, INT64_MAX, &f->current_epoch))
        convert_error(c, d, "expected a whole number, 0 or more");
}

static void take_announce_port(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    if (!text_range(d->argv[2], 0, 65535, &f->announce_port))
        convert_error(c, d, "expected a port from 0 to 65535");
}

static void take_own_option(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    if (directive_is(d, 1, "myid")) {
        take_id(c, f, d);
    } else if (directive_is(d, 1, "current-epoch")) {
        take_epoch(c, f, d);
    } else if (directive_is(d, 1, "announce-port")) {
        take_announce_port(c, f, d);
    } else if (directive_is(d, 1, "deny-scripts-reconfig")) {
        found_yes_no(c, d, 2, &f->deny_scripts_reconfig);
    } else if (directive_is(d, 1, "resolve-hostnames")) {
        found_yes_no(c, d, 2, &f->resolve_hostnames);
    } else if (directive_is(d, 1, "announce-hostnames")) {
        found_yes_no(c, d, 2, &f->announce_hostnames);
    } else if (!convert_text_ok(c, d, d->argv[2])) {
        return;
    } else if (directive_is(d, 1, "announce-ip")) {
        f->announce_ip = d->argv[2];
        f->announce_at = d;
    } else if (directive_is(d, 1, "sentinel-user")) {
        f->peer_user = d->argv[2];
        f->peer_user_at = d;
    } else if (directive_is(d, 1, "sentinel-pass")) {
        f->peer_password = d->argv[2];
    }
}

void found_sentinel_line(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    static const char *const own[] = {"myid",
                                      "current-epoch",
                                      "announce-port",
                                      "announce-ip",
                                      "deny-scripts-reconfig",
                                      "resolve-hostnames",
                                      "announce-hostnames",
                                      "sentinel-user",
                                      "sentinel-pass"};
    for (size_t i = 0; i < sizeof group_options / sizeof *group_options; i++) {
        if (directive_is(d, 1, group_options[i].name)) {
            take_option(c, f, d, &group_options[i]);
            return;
        }
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (!directive_is(d, 1, own[i]))
            continue;
        if (d->argc == 3)
            take_own_option(c, f, d);
        else
            convert_error(c, d, "expected one value");
        return;
    }
    convert_leave(c, d, "not carried over: sentineld has nothing like it");
}
