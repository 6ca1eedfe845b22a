/* Whether an attempt that has been voted for may go on: asked of the operator's hooks, where there are any that may
 * veto, between the election and the promotion. Nothing has been sent then, so an attempt that is vetoed costs nothing
 * but time. The question is bounded by the ballot's life, after which a promotion must not leave (SAFETY E7); how a
 * hook that fails is to be taken is the shell's to say, in time. */
#include "sentineld/core/inner.h"

/* Kept free between the last moment for a verdict and the end of the ballot, so that the promotion leaves in time. */
static int64_t margin_us(const struct sn_group *g)
{
    return sn_ballot_life_us(g->core, g) / 8;
}

static int64_t end_us(const struct sn_group *g)
{
    return g->fo.start_us + sn_ballot_life_us(g->core, g) - margin_us(g);
}

void sn_consent_ask(struct sn_group *g)
{
    struct sn_core *c = g->core;
    /* The shell gets half of the margin less: a hook that runs into its limit is judged by it, not by the end here. */
    int64_t limit_us = end_us(g) - margin_us(g) / 2 - c->now_us;
    if (limit_us < MS(1)) {
        sn_election_lose(g, "-failover-abort-not-elected");
        return;
    }
    struct addr from = g->fo.from, to = sn_shown_addr(c, g->fo.candidate->node);
    struct buf text = {0};
    buf_printf(&text, "%s %s %d %s %d", g->name, from.host, from.port, to.host, to.port);
    struct sn_effect *e = sn_emit(c, SN_FX_VETO);
    e->group = mem_strdup(g->name);
    e->epoch = g->fo.epoch;
    e->number = limit_us / 1000;
    e->text = mem_strdup(buf_str(&text));
    buf_free(&text);
    g->fo.asking = true;
    sn_touch_group(g);
}

/* What has to hold for a promotion to leave now as it did when the votes came. */
static bool still_wanted(const struct sn_group *g)
{
    const struct sn_inst *i = g->fo.candidate;
    bool wanted = (g->fo.forced || g->o_down) && g->vote_epoch == g->fo.epoch;
    return wanted && i->node->cmd.state == SN_CONN_UP && !i->node->cmd.auth_failed && !i->s_down;
}

int64_t sn_consent_advance(struct sn_group *g)
{
    if (still_wanted(g) && g->core->now_us < end_us(g))
        return end_us(g);
    g->fo.asking = false;
    sn_election_lose(g, "-failover-abort-not-elected");
    return HEAP_NEVER;
}

static void vetoed(struct sn_group *g, struct slice reason)
{
    struct buf text = {0}, why = {0};
    buf_printf(&text, "%.*s", (int)reason.n, reason.n ? reason.p : "");
    buf_printf(&why, "vetoed: %s", buf_str(&text));
    sn_publish_inst(g->master, SN_LOG_WARNING, "-failover-abort-vetoed", "%s", buf_str(&text));
    sn_account_aborted(g, buf_str(&why));
    if (!g->fo.forced)
        g->next_attempt_us = g->core->now_us + MS(g->set.failover_timeout_ms);
    sn_failover_drop(g);
    buf_free(&text);
    buf_free(&why);
}

void sn_consent_verdict(struct sn_core *c, const struct sn_event *e)
{
    struct sn_group *g = sn_group_find(c, e->group);
    if (!g || !g->fo.asking || g->fo.epoch != e->epoch)
        return;
    g->fo.asking = false;
    if (!e->ok)
        vetoed(g, e->text);
    else if (still_wanted(g) && c->now_us < end_us(g))
        sn_failover_go_on(g);
    else
        sn_election_lose(g, "-failover-abort-not-elected");
    sn_touch_group(g);
}
