/* Clusters as a whole: SENTINEL CLUSTERS, CLUSTER <name>, CLUSTER RELEASE, ADOPT and ENTRY <name>. */
#include "sentineld/shell/cmd_sentinel.h"

#include <string.h>

#include "common/io/clock.h"
#include "sentineld/core/fleet.h"
#include "sentineld/shell/info_sums.h"
#include "sentineld/shell/links.h"
#include "sentineld/shell/map_out.h"
#include "sentineld/shell/reload.h"
#include "sentineld/shell/user.h"

#define LOOK_AFTER_US 1000000 /* facts older than this are asked for anew by whoever looks */

struct sn_fleet *cmd_fleet(struct call *call, struct slice name)
{
    struct sn_fleet *f = sn_fleet_find(call->d->core, name);
    if (f == NULL)
        reply_error(call->r, "ERR No such cluster with that name");
    return f;
}

/* ---- states ---- */

static const char *shard_state(const struct sn_group *g)
{
    if (g->fo.state != SN_FO_NONE)
        return "failover";
    if (g->o_down)
        return "o_down";
    return g->master->s_down ? "s_down" : "ok";
}

static bool any_replica_down(const struct sn_group *g)
{
    for (size_t k = 0; k < g->ninsts; k++)
        if (g->insts[k] != g->master && g->insts[k]->listed && g->insts[k]->s_down)
            return true;
    return false;
}

/* One word: what an operator has to do with it. A slot that nobody has is worse than one that is about to be somebody
 * else's. */
static const char *fleet_state(const struct sn_fleet *f)
{
    unsigned assigned, covered = sn_fleet_covered(f, &assigned);
    bool failing_over = false, replica_down = false;
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *g = f->shards[k]->group;
        failing_over = failing_over || g->fo.state != SN_FO_NONE;
        replica_down = replica_down || any_replica_down(g);
    }
    if (f->state == SN_FLEET_RELEASING)
        return "releasing";
    if (f->told_us == 0)
        return "unknown";
    if (covered < assigned)
        return "down";
    if (assigned < SN_SLOTS)
        return "incomplete";
    return failing_over ? "failover" : replica_down ? "degraded" : "ok";
}

/* ---- maps ---- */

/* version 0: without leases */
static void put_leases(struct map_out *m, const struct sn_fleet *f)
{
    bool leases = f->lease_us > 0 && *f->core->ours.list != '\0';
    map_number(m, "lease-milliseconds", leases ? f->lease_us / 1000 : 0);
    map_number(m, "supervisors-version", leases ? (int64_t)f->core->ours.version : 0);
    map_number(m, "supervisors-counted", leases && f->core->ours.counted);
}

static void put_fleet_head(struct map_out *m, const struct sn_fleet *f)
{
    unsigned assigned, covered = sn_fleet_covered(f, &assigned);
    map_text(m, "name", f->name);
    map_text(m, "state", fleet_state(f));
    map_number(m, "epoch", (int64_t)f->epoch);
    map_number(m, "agreed", sn_fleet_agrees(f));
    map_number(m, "slots-assigned", assigned);
    map_number(m, "slots-covered", covered);
    map_number(m, "num-shards", (int64_t)f->nshards);
    map_number(m, "num-nodes", (int64_t)f->nmembers);
    map_number(m, "quorum", f->set.quorum);
    map_number(m, "down-after-milliseconds", f->set.down_after_ms);
    put_leases(m, f);
    cmd_put_pause(m, sn_pauses_find(&f->core->pauses, NULL, f->name, f->core->now_us));
}

/* "0-5460 5462" */
static void put_ranges(struct map_out *m, const struct sn_slots *s)
{
    struct buf text = {.n = 0};
    for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
        unsigned first = slot;
        if (!sn_slots_has(s, slot))
            continue;
        while (slot + 1 < SN_SLOTS && sn_slots_has(s, slot + 1))
            slot++;
        buf_printf(&text, "%s%u", text.n > 0 ? " " : "", first);
        if (slot > first)
            buf_printf(&text, "-%u", slot);
    }
    map_text(m, "slot-ranges", buf_str(&text));
    buf_free(&text);
}

static const struct sn_info_replica *as_its_master_sees_it(const struct sn_inst *i)
{
    const struct sn_info *master = &i->group->master->node->info;
    for (size_t k = 0; k < master->nreplicas; k++)
        if (sn_node_is(i->node, &master->replicas[k].addr))
            return &master->replicas[k];
    return NULL;
}

static void put_address(struct map_out *m, const struct sn_inst *i)
{
    struct addr shown = sn_shown_addr(i->group->core, i->node);
    map_text(m, "ip", shown.host);
    map_number(m, "port", shown.port);
    map_text(m, "node-id", i->member != NULL ? i->member->id : "");
}

/* Offsets of one moment are only those that the master tells; -1: it does not know this replica. */
static void put_replica(struct reply *r, const struct sn_inst *i)
{
    const struct sn_info *info = &i->node->info, *master = &i->group->master->node->info;
    const struct sn_info_replica *seen = as_its_master_sees_it(i);
    bool known = seen != NULL && seen->offset >= 0 && master->repl_offset >= seen->offset;
    struct map_out m = map_begin(r);
    put_address(&m, i);
    map_text(&m, "state", i->s_down ? "s_down" : "ok");
    map_text(&m, "master-link-status", info->master_link_up ? "ok" : "err");
    map_number(&m, "lag-bytes", known ? master->repl_offset - seen->offset : -1);
    map_number(&m, "lag-seconds", seen != NULL ? seen->lag_s : -1);
    map_end(&m);
}

static void put_replicas(struct map_out *m, const struct sn_group *g)
{
    map_field(m, "replicas");
    size_t mark = reply_begin(m->r), n = 0;
    for (size_t k = 0; k < g->ninsts; k++) {
        if (cmd_replica_is_shown(g->insts[k])) {
            put_replica(m->r, g->insts[k]);
            n++;
        }
    }
    reply_end_array(m->r, mark, n);
}

static void put_shard(struct reply *r, const struct sn_shard *s)
{
    const struct sn_group *g = s->group;
    struct map_out m = map_begin(r);
    map_text(&m, "name", g->name);
    map_text(&m, "state", shard_state(g));
    put_address(&m, g->master);
    map_number(&m, "config-epoch", (int64_t)g->config_epoch);
    cmd_put_lease(&m, g);
    map_number(&m, "slots", s->nslots);
    put_ranges(&m, &s->slots);
    put_replicas(&m, g);
    map_end(&m);
}

static void put_databases(struct map_out *m, const struct info_sums *sums)
{
    map_field(m, "databases");
    reply_array(m->r, sums->n);
    for (size_t k = 0; k < sums->n; k++) {
        struct map_out one = map_begin(m->r);
        map_number(&one, "db", sums->databases[k].number);
        map_number(&one, "keys", sums->databases[k].keys);
        map_number(&one, "expires", sums->databases[k].expires);
        map_end(&one);
    }
}

/* The masters' INFO, as it was told last. */
static void put_sums(struct map_out *m, const struct daemon *d, const struct sn_fleet *f, int64_t now_us)
{
    struct info_sums sums = {.stalest_us = -1};
    for (size_t k = 0; k < f->nshards; k++) {
        int64_t when_us = 0;
        struct slice text = links_info(d->links, f->shards[k]->group->master->node, &when_us);
        if (text.n > 0)
            info_sums_add(&sums, text, now_us - when_us);
    }
    put_databases(m, &sums);
    map_number(m, "used-memory", sums.memory);
    map_number(m, "info-shards", (int64_t)sums.servers);
    map_number(m, "info-age", sums.stalest_us < 0 ? -1 : sums.stalest_us / 1000);
    info_sums_free(&sums);
}

/* ---- the commands ---- */

void cmd_sentinel_clusters(struct call *call)
{
    const struct sn_core *core = call->d->core;
    reply_array(call->r, core->nfleets);
    for (size_t k = 0; k < core->nfleets; k++) {
        struct map_out m = map_begin(call->r);
        put_fleet_head(&m, core->fleets[k]);
        map_end(&m);
    }
}

/* Who asks again in a moment has the facts of now. */
static void look_again(struct call *call, const struct sn_fleet *f, int64_t now_us)
{
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *g = f->shards[k]->group;
        struct sn_event e = {.kind = SN_EV_LOOK, .group = slice_of(g->name)};
        if (now_us - g->master->node->info_us > LOOK_AFTER_US)
            daemon_step(call->d, &e);
    }
}

static void show_cluster(struct call *call)
{
    const struct sn_fleet *f = cmd_fleet(call, call->argv[2]);
    if (f == NULL)
        return;
    int64_t now_us = io_now_us();
    struct map_out m = map_begin(call->r);
    put_fleet_head(&m, f);
    cmd_put_mapping(&m, f);
    map_field(&m, "shards");
    reply_array(call->r, f->nshards);
    for (size_t k = 0; k < f->nshards; k++)
        put_shard(call->r, f->shards[k]);
    put_sums(&m, call->d, f, now_us);
    map_end(&m);
    look_again(call, f, now_us);
}

/* Whoever may look at a cluster may not give it up, or take it on, by that: it takes what a change of this command
 * takes. */
static bool may(struct call *call, const char *full_name)
{
    const struct command *command = command_by_full_name(slice_of(full_name));
    if (user_may_run(call->c->user, command))
        return true;
    reply_error(call->r, "NOPERM this user has no permissions to run the '%s' command", command->full);
    return false;
}

static void release(struct call *call, bool alone)
{
    if (!may(call, "sentinel|remove") || cmd_fleet(call, call->argv[3]) == NULL)
        return;
    struct sn_event e = {.kind = SN_EV_RELEASE, .group = call->argv[3], .alone = alone};
    e.token = client_defer(call, CLIENT_ANSWER_PLAIN);
    daemon_step(call->d, &e);
}

/* Its entry in the configuration file is taken as a new one. */
static void adopt(struct call *call, bool alone)
{
    if (may(call, "sentinel|reload"))
        reload_adopt(call->d->reload, call->argv[3], alone, client_defer(call, CLIENT_ANSWER_PLAIN));
}

/* Whether the configuration file, as it is now, has an entry of that name: what ADOPT would find. */
static void entry(struct call *call)
{
    const struct daemon *d = call->d;
    struct conf_problems problems = {.count = 0};
    if (!may(call, "sentinel|reload"))
        return;
    struct sentineld_config *c = d->start_dir != NULL ? config_load_from(d->config_path, d->start_dir, &problems)
                                                      : config_load(d->config_path, &problems);
    bool found = false;
    for (size_t i = 0; c != NULL && i < c->cluster_count && !found; i++)
        found = slice_is(call->argv[3], c->clusters[i].name);
    struct slice rest = buf_slice(&problems.text), first = slice_cut_line(&rest);
    if (c == NULL)
        reply_error(call->r, "ERR %.*s", (int)first.n, first.p);
    else if (!found)
        reply_error(call->r, "ERR The configuration file names no such cluster");
    else
        reply_status(call->r, "OK");
    config_free(c);
    buf_free(&problems.text);
}

void cmd_sentinel_cluster(struct call *call)
{
    if (call->argc == 3) {
        show_cluster(call);
        return;
    }
    bool alone = call->argc == 5 && slice_ieq(call->argv[4], "alone");
    if ((call->argc == 4 || alone) && slice_ieq(call->argv[2], "release"))
        release(call, alone);
    else if ((call->argc == 4 || alone) && slice_ieq(call->argv[2], "adopt"))
        adopt(call, alone);
    else if (call->argc == 4 && slice_ieq(call->argv[2], "entry"))
        entry(call);
    else
        reply_error(call->r, "ERR Expected SENTINEL CLUSTER <name>, SENTINEL CLUSTER RELEASE | ADOPT <name> [ALONE] or "
                             "SENTINEL CLUSTER ENTRY <name>");
}
