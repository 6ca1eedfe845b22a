#include "sentineld/shell/cmd_sentinel.h"

#include "common/io/clock.h"
#include "sentineld/core/select.h"
#include "sentineld/shell/links.h"

#include <stdlib.h>

struct sn_group *cmd_group(struct call *call)
{
    struct sn_group *g = sn_group_find(call->d->core, call->argv[2]);
    if (g == NULL)
        reply_error(call->r, "ERR No such master with that name");
    return g;
}

void cmd_sentinel_help(struct call *call)
{
    command_help(call, "SENTINEL", command_table_sentinel);
}

void cmd_sentinel_myid(struct call *call)
{
    reply_bulks(call->r, call->d->core->id);
}

void cmd_sentinel_masters(struct call *call)
{
    const struct sn_core *core = call->d->core;
    int64_t now_us = io_now_us();
    reply_array(call->r, core->ngroups);
    for (size_t k = 0; k < core->ngroups; k++)
        cmd_put_master(call->r, core->groups[k], now_us);
}

void cmd_sentinel_master(struct call *call)
{
    const struct sn_group *g = cmd_group(call);
    if (g != NULL)
        cmd_put_master(call->r, g, io_now_us());
}

void cmd_sentinel_replicas(struct call *call)
{
    const struct sn_group *g = cmd_group(call);
    if (g == NULL)
        return;
    int64_t now_us = io_now_us();
    size_t mark = reply_begin(call->r), n = 0;
    for (size_t k = 0; k < g->ninsts; k++) {
        if (cmd_replica_is_shown(g->insts[k])) {
            cmd_put_replica(call->r, g->insts[k], now_us);
            n++;
        }
    }
    reply_end_array(call->r, mark, n);
}

/* What a failover would choose from, by the rules of the core itself. The servers are asked for INFO, so that who asks
 * again in a moment has the ranking of now. */
void cmd_sentinel_ranking(struct call *call)
{
    const struct sn_group *g = cmd_group(call);
    size_t n;
    if (g == NULL)
        return;
    struct sn_candidate *v = sn_rank(g, NULL, &n);
    int64_t now_us = io_now_us();
    reply_array(call->r, n);
    for (size_t k = 0; k < n; k++)
        cmd_put_candidate(call->r, &v[k], now_us);
    free(v);
    struct sn_event e = {.kind = SN_EV_LOOK, .group = call->argv[2]};
    daemon_step(call->d, &e);
}

void cmd_sentinel_sentinels(struct call *call)
{
    const struct sn_group *g = cmd_group(call);
    if (g == NULL)
        return;
    int64_t now_us = io_now_us();
    size_t mark = reply_begin(call->r), n = 0;
    for (size_t k = 0; k < g->nseats; k++) {
        if (g->seats[k]->listed) {
            cmd_put_sentinel(call->r, g->seats[k], now_us);
            n++;
        }
    }
    reply_end_array(call->r, mark, n);
}

void cmd_sentinel_master_addr(struct call *call)
{
    const struct sn_group *g = sn_group_find(call->d->core, call->argv[2]);
    if (g == NULL) {
        reply_null_array(call->r);
        return;
    }
    struct addr a = sn_current_master(g);
    reply_array(call->r, 2);
    reply_bulks(call->r, a.host);
    reply_bulk_int(call->r, a.port);
}

void cmd_sentinel_ckquorum(struct call *call)
{
    const struct sn_group *g = cmd_group(call);
    if (g == NULL)
        return;
    int usable = sn_usable_voters(g);
    bool quorum = usable >= g->set.quorum, majority = usable >= sn_voters(g) / 2 + 1;
    if (quorum && majority) {
        struct buf text = {0};
        buf_printf(&text, "OK %d usable Sentinels. Quorum and failover authorization can be reached", usable);
        reply_status(call->r, buf_str(&text));
        buf_free(&text);
        return;
    }
    reply_error(call->r, "NOQUORUM %d usable Sentinels. %s%s%s", usable,
                quorum ? "" : "Not enough available Sentinels to reach the specified quorum for this master",
                quorum || majority ? "" : ". ",
                majority ? "" : "Not enough available Sentinels to reach the majority and authorize a failover");
}

/* ---- INFO-CACHE ---- */

static void put_cached(struct call *call, const struct sn_node *node, int64_t now_us)
{
    int64_t when_us = 0;
    struct slice text = links_info(call->d->links, node, &when_us);
    reply_array(call->r, 2);
    if (text.n == 0) {
        reply_int(call->r, 0);
        reply_null(call->r);
    } else {
        reply_int(call->r, (now_us - when_us) / 1000);
        reply_bulk(call->r, text.p, text.n);
    }
}

static void put_cached_group(struct call *call, const struct sn_group *g, int64_t now_us)
{
    reply_bulks(call->r, g->name);
    size_t mark = reply_begin(call->r), n = 1;
    put_cached(call, g->master->node, now_us);
    for (size_t k = 0; k < g->ninsts; k++) {
        if (g->insts[k] != g->master && g->insts[k]->listed) {
            put_cached(call, g->insts[k]->node, now_us);
            n++;
        }
    }
    reply_end_array(call->r, mark, n);
}

/* A name that is not known is left out, and one that is given twice comes once. */
static bool is_repeated(const struct call *call, size_t at)
{
    for (size_t i = 2; i < at; i++)
        if (slice_eq(call->argv[i], call->argv[at]))
            return true;
    return false;
}

void cmd_sentinel_info_cache(struct call *call)
{
    if (call->argc > 1024) {
        reply_error(call->r, "ERR too many master names: at most 1022 in one request");
        return;
    }
    int64_t now_us = io_now_us();
    size_t mark = reply_begin(call->r), n = 0;
    for (size_t i = 2; i < call->argc; i++) {
        const struct sn_group *g = sn_group_find(call->d->core, call->argv[i]);
        if (g == NULL || is_repeated(call, i))
            continue;
        put_cached_group(call, g, now_us);
        n++;
    }
    reply_end_array(call->r, mark, 2 * n); /* an array in RESP3 too, as in stock */
}
