/* Voting for others, and answering what they ask. */
#include "sentineld/core/swap_inner.h"

/* An earlier vote that another one came after, for the same candidate. */
static bool is_in_doubt(const struct sn_group *g)
{
    return g->doubt_epoch > g->config_epoch && g->core->now_us < g->doubt_lock_us;
}

/* A vote that may still become a promotion. */
bool sn_vote_locked(const struct sn_group *g)
{
    return sn_vote_lock_end(g) > g->core->now_us;
}

int64_t sn_vote_lock_end(const struct sn_group *g)
{
    int64_t vote_us = g->vote_free ? 0 : g->vote_lock_us, doubt_us = is_in_doubt(g) ? g->doubt_lock_us : 0;
    return vote_us > doubt_us ? vote_us : doubt_us;
}

/* Ourselves: the vote is from a former life. Somebody who was not heard in this life: none of those that are linked. */
static bool leader_is_gone(const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    if (runid_cmp(g->vote_leader, c->id) == 0)
        return g->fo.state == SN_FO_NONE;
    const struct sn_peer *p = map_gets(&c->by_id, g->vote_leader);
    if (p)
        return sn_conn_gone(&p->cmd);
    for (size_t k = 0; k < c->npeers; k++) {
        const struct sn_peer *o = c->peers[k];
        if (o->cmd.state == SN_CONN_UP ? !*o->id : !sn_conn_gone(&o->cmd))
            return false;
    }
    return true;
}

/* SAFETY E9. Whether its promotion was sent, nobody knows. A second one of the same node at a higher epoch takes
 * nothing from the first, which it compares itself with; one of any other node would. */
struct sn_inst *sn_vote_heir(const struct sn_group *g)
{
    if (!sn_vote_locked(g) || (!g->vote_free && !leader_is_gone(g)))
        return NULL;
    for (size_t k = 0; k < g->ninsts; k++) {
        struct sn_inst *i = g->insts[k];
        if (i->member && runid_cmp(i->member->id, g->lease.grantee) == 0)
            return sn_lease_promotes(i) ? i : NULL;
    }
    return NULL;
}

void sn_vote_give(struct sn_group *g, const char *leader, uint64_t epoch, int64_t lock_us)
{
    struct sn_core *c = g->core;
    if (!g->vote_void && !g->vote_same && *g->vote_leader && g->vote_epoch > g->doubt_epoch) {
        g->doubt_epoch = g->vote_epoch;
        g->doubt_lock_us = sn_lease_ttl(g) && !g->vote_free ? g->vote_lock_us : 0;
    }
    memcpy(g->vote_leader, leader, sizeof g->vote_leader);
    g->vote_epoch = epoch;
    g->vote_candidate = (struct addr){.port = 0};
    g->vote_lock_us = c->now_us + lock_us;
    g->vote_free = g->vote_planned = false;
    if (g->fleet && epoch > g->fleet->vote_epoch) { /* SAFETY E1 */
        g->fleet->vote_epoch = epoch;
        g->fleet->dirty = true;
    }
    if (g->fleet && runid_cmp(leader, c->id) != 0) {
        memcpy(g->fleet->led_by, leader, sizeof g->fleet->led_by);
        g->fleet->led_us = c->now_us;
    }
    g->vote_seq = sn_persist_next(c);
    sn_dirty(g);
    sn_touch_group(g);
}

/* SAFETY E3: who does not reach the named replica does not vote for its promotion. */
static bool reaches(const struct sn_group *g, const struct addr *candidate)
{
    if (!addr_is_set(candidate))
        return true; /* a stock peer names none */
    const struct sn_inst *i = sn_inst_find(g, candidate);
    return i && i->node->cmd.state == SN_CONN_UP && !i->s_down;
}

/* A peer knows a replica that we do not (RESET, or we have missed the moment at which the master listed it). */
static void learn(struct sn_group *g, const struct addr *candidate)
{
    const struct sn_core *c = g->core;
    if (!addr_is_set(candidate) || sn_inst_find(g, candidate))
        return;
    if (g->fleet) {
        sn_fleet_doubt(g->fleet); /* which node of the cluster it is, the cluster tells */
        return;
    }
    if (!addr_is_ip(candidate->host) && !c->globals.resolve_hostnames)
        return;
    struct sn_inst *i = sn_inst_add(g, sn_node_get(g->core, candidate));
    sn_dirty_members(g);
    sn_publish_inst(i, SN_LOG_NOTICE, "+slave", NULL);
}

static bool is_bound(const struct sn_group *g, const char *from, const struct sn_ballot *b)
{
    if (!sn_vote_locked(g) || (!is_in_doubt(g) && runid_cmp(g->vote_leader, from) == 0))
        return false;
    const struct sn_inst *heir = sn_vote_heir(g);
    return !heir || !sn_node_is(heir->node, &b->candidate);
}

/* Between ours a grant also waits until an earlier one to another has run out or was cancelled, so that there are never
 * two leaders with a promotion to send. Stock knows no cancelling: it gets stock's rule. */
static const char *why_not(const struct sn_group *g, const char *from, const struct sn_ballot *b, bool stock)
{
    const struct sn_core *c = g->core;
    if (!g->heard)
        return "this supervisor has not heard enough epochs since it began";
    if (c->broken)
        return "the state directory cannot be written";
    const struct sn_peer *p = map_gets(&c->by_id, from);
    if (c->ndeclared && !(p && p->declared))
        return "the asker is not on the list of supervisors";
    if (sn_pause_of(g) && !b->ordered && (b->down || stock)) /* what is not for a dead master replaces nobody */
        return "automatic failovers are paused here by an operator";
    if (b->epoch <= g->vote_epoch)
        return "our vote of this epoch, or of a higher one, is given";
    if (g->fleet && b->epoch <= g->fleet->vote_epoch)
        return "our vote of this epoch, or of a higher one, is given in another shard of the cluster";
    if (g->fleet && sn_swap_under_way(g->fleet)) /* SAFETY W1 */
        return "a swap of databases over the cluster is ended first";
    if (b->epoch <= g->config_epoch)
        return "the configuration is as new as the ballot";
    if (b->epoch > SN_EPOCH_MAX)
        return "the epoch is out of bounds";
    if (stock)
        return c->current_epoch <= b->epoch ? NULL : "the epoch is older than the current one";
    if (g->fo.state > SN_FO_WAIT_START && g->fo.state < SN_FO_RECONF_SLAVES)
        return "this supervisor was elected and promotes";
    if (is_bound(g, from, b))
        return "an earlier ballot that has our vote may still lead to a promotion";
    const struct sn_inst *i = addr_is_set(&b->candidate) ? sn_inst_find(g, &b->candidate) : NULL;
    if (g->fleet && i && !sn_is_master(i) && !sn_swap_lets_promote(i->node))
        return "the named replica lacks swaps of databases that nobody can tell it";
    return reaches(g, &b->candidate) ? NULL : "the named replica cannot be reached from here";
}

static void vote(struct sn_group *g, const char *from, const struct sn_ballot *b, bool stock)
{
    struct sn_core *c = g->core;
    sn_heard_epoch(c, g, b->epoch);
    if (!stock)
        learn(g, &b->candidate);
    const char *refused = why_not(g, from, b, stock);
    sn_account_vote(g, from, b, refused);
    if (refused)
        return;
    /* Our own ballot, if we have one open, is over: somebody else stands above it. So is one that we won, as long as
     * nothing was sent. */
    if (g->fo.state == SN_FO_WAIT_START)
        sn_election_lose(g, "-failover-abort-not-elected");
    else if (g->fo.state == SN_FO_SEND_SLAVEOF_NOONE && !g->fo.sent)
        sn_failover_abort(g, "-failover-abort-not-elected");
    int64_t life = stock ? MS(c->params.election_timeout_ms) : sn_vote_life_us(c, g);
    sn_vote_give(g, from, b->epoch, life);
    g->vote_candidate = b->candidate;
    sn_lease_vote(g, addr_is_set(&b->candidate) ? sn_inst_find(g, &b->candidate) : NULL);
    g->vote_planned = !stock && !b->down;
    struct sn_pending *w = sn_wait(c, g->vote_seq);
    w->is_vote = true;
    w->group = g;
    w->fx.text = mem_strdup(from);
    w->fx.epoch = b->epoch;
}

void sn_vote_told(struct sn_group *g, const char *leader, uint64_t epoch)
{
    sn_publish_group(g, SN_LOG_WARNING, "+vote-for-leader", "%s %llu", leader, (unsigned long long)epoch);
}

static void cancelled(struct sn_group *g, struct sn_seat *s, const char *from, uint64_t epoch)
{
    if (s)
        s->failed = true;
    if (g->vote_epoch == epoch && runid_cmp(g->vote_leader, from) == 0 && !g->vote_void) {
        g->vote_free = g->vote_void = true;
        sn_lease_cancelled(g);
    }
    sn_touch_group(g);
}

/* The leader of a planned switch has the master's own word for it. */
static void returned(struct sn_group *g, const char *from, const struct sn_ballot *b, struct sn_opinion *o)
{
    if (!g->vote_epoch || g->vote_epoch != b->epoch || runid_cmp(g->vote_leader, from) != 0)
        return;
    memcpy(o->leader, g->vote_leader, sizeof o->leader);
    o->leader_epoch = g->vote_epoch;
    if (g->vote_seq > g->core->persisted || !sn_node_is(g->master->node, &b->master))
        return;
    sn_lease_returned_by(g->master);
    sn_lease_vote_text(g, sn_inst_find(g, &b->candidate), o->grant);
}

static void note_opinion(struct sn_group *g, struct sn_seat *s, const struct sn_ballot *b)
{
    bool says = b->verb == SN_BALLOT_DOWN || b->verb == SN_BALLOT_UP || b->down;
    if (!s || !says || !sn_node_is(g->master->node, &b->master))
        return;
    s->down = b->verb != SN_BALLOT_UP && !g->core->tilt;
    s->down_us = s->word_us = g->core->now_us;
    sn_touch_group(g);
}

static struct sn_group *group_of(const struct sn_core *c, const struct sn_ballot *b)
{
    return b->group ? sn_group_find(c, slice_of(b->group)) : sn_group_of_master(c, &b->master);
}

/* Returns what must be on disk before the answer leaves. */
static uint64_t answer_one(struct sn_core *c, const char *from, const struct sn_ballot *b, bool stock,
                           struct sn_opinion *o)
{
    struct sn_group *g = group_of(c, b);
    o->group = b->group ? mem_strdup(b->group) : NULL;
    o->master = b->master;
    if (!g)
        return 0;
    struct sn_peer *p = *from ? map_gets(&c->by_id, from) : NULL;
    struct sn_seat *s = p ? sn_seat_find(g, p) : NULL;
    if (b->verb == SN_BALLOT_CANCEL)
        cancelled(g, s, from, b->epoch);
    else if (b->verb == SN_BALLOT_RETURNED)
        returned(g, from, b, o);
    else
        note_opinion(g, s, b);
    /* A question about a master that is not ours any more finds nothing down; the hello will tell whose view is newer.
     */
    bool same = sn_node_is(g->master->node, &b->master);
    o->down = same && g->master->s_down && !c->tilt;
    if (b->verb != SN_BALLOT_VOTE || !same || !*from)
        return 0;
    vote(g, from, b, stock);
    memcpy(o->leader, g->vote_leader, sizeof o->leader);
    o->leader_epoch = g->vote_epoch;
    if (g->vote_epoch == b->epoch && runid_cmp(g->vote_leader, from) == 0 && addr_is_set(&b->candidate))
        sn_lease_vote_text(g, sn_inst_find(g, &b->candidate), o->grant);
    return g->vote_seq;
}

void sn_ballots(struct sn_core *c, const struct sn_event *e)
{
    runid from = "";
    runid_parse(e->text, from);
    if (*from && runid_cmp(from, c->id) == 0)
        from[0] = '\0'; /* an echo of ourselves does not vote */
    struct sn_peer *p = *from ? map_gets(&c->by_id, from) : NULL;
    if (p && !e->stock) {
        p->heard = true;
        if (e->epoch > p->epoch)
            p->epoch = e->epoch;
        sn_heard_epoch(c, NULL, e->epoch);
    }
    struct sn_opinion *v = mem_zalloc((e->count ? e->count : 1) * sizeof *v);
    uint64_t seq = 0;
    for (size_t k = 0; k < e->count; k++) {
        uint64_t needs = answer_one(c, from, &e->ballots[k], e->stock, &v[k]);
        if (needs > seq)
            seq = needs;
    }
    struct sn_effect fx = {.kind = SN_FX_ANSWER_BALLOTS,
                           .token = e->token,
                           .opinions = v,
                           .count = e->count,
                           .text = mem_strdup(c->id),
                           .epoch = c->told_epoch};
    if (seq > c->persisted)
        sn_wait(c, seq)->fx = fx;
    else
        *sn_emit(c, SN_FX_ANSWER_BALLOTS) = fx;
}
