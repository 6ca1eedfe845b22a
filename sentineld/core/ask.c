/* What supervisors ask each other. To one of ours everything that a step has to ask goes in one BALLOT request, and
 * while a few are under way the rest gathers for the next: a hundred masters that die together cost a few requests. A
 * stock peer gets one IS-MASTER-DOWN-BY-ADDR per master, pipelined. */
#include "sentineld/core/inner.h"

#define BATCHES_MAX 4    /* requests under way to one peer */
#define BALLOTS_MAX 1024 /* masters in one request */

void sn_want(struct sn_seat *s)
{
    struct sn_peer *p = s->peer;
    if (s->wanting)
        return;
    s->wanting = true;
    s->next_wanting = NULL;
    if (p->wants)
        p->wants_last->next_wanting = s;
    else
        p->wants = s;
    p->wants_last = s;
    p->core->any_wants = true;
}

static struct sn_seat *take(struct sn_peer *p)
{
    struct sn_seat *s = p->wants;
    p->wants = s->next_wanting;
    if (!p->wants)
        p->wants_last = NULL;
    s->wanting = false;
    return s;
}

static void drop_wants(struct sn_seat *s)
{
    s->want_ask = s->want_vote = s->want_up = s->want_returned = false;
    s->want_cancel = 0;
}

void sn_ask_forget(struct sn_peer *p)
{
    while (p->wants)
        drop_wants(take(p));
    p->batches = 0;
    p->pending = 0;
}

static void fill(struct sn_ballot *b, const struct sn_seat *s, enum sn_ballot_verb verb, uint64_t epoch)
{
    const struct sn_group *g = s->group;
    b->verb = verb;
    b->asked_us = g->core->now_us;
    b->down = g->master->s_down;
    b->group = mem_strdup(g->name);
    b->master = sn_shown_addr(g->core, g->master->node);
    b->epoch = epoch;
    b->ordered = verb == SN_BALLOT_VOTE && g->fo.forced && !g->fo.inherited;
    if ((verb == SN_BALLOT_VOTE || verb == SN_BALLOT_RETURNED) && g->fo.candidate)
        b->candidate = sn_shown_addr(g->core, g->fo.candidate->node);
}

static struct sn_effect *question(struct sn_peer *p, enum sn_command command, size_t room)
{
    struct sn_effect *e = sn_send(p->core, &p->cmd, command);
    e->text = mem_strdup(p->core->id);
    e->epoch = p->core->told_epoch;
    e->ballots = mem_zalloc(room * sizeof *e->ballots);
    return e;
}

/* In tilt nobody is told that we hold S_DOWN, by a vote that is asked for neither. */
static bool asks_vote(const struct sn_seat *s)
{
    const struct sn_group *g = s->group;
    bool tilted = g->core->tilt && g->master->s_down;
    return s->want_vote && g->fo.state == SN_FO_WAIT_START && g->fo.own_vote && !tilted;
}

static void ask_stock(struct sn_peer *p)
{
    while (p->wants) {
        struct sn_seat *s = take(p);
        bool vote = asks_vote(s);
        if (vote || s->want_ask) {
            struct sn_effect *e = question(p, SN_CMD_ASK, 1);
            fill(&e->ballots[0], s, vote ? SN_BALLOT_VOTE : SN_BALLOT_DOWN, vote ? s->group->fo.epoch : 0);
            e->count = 1;
            p->pending++;
            s->asked_us = p->core->now_us;
        }
        drop_wants(s);
    }
}

static void ask_ours(struct sn_peer *p)
{
    while (p->wants && p->batches < BATCHES_MAX) {
        size_t seats = 0;
        for (struct sn_seat *s = p->wants; s && seats < BALLOTS_MAX; s = s->next_wanting)
            seats++;
        struct sn_effect *e = question(p, SN_CMD_BALLOT, seats * 3);
        while (seats--) {
            struct sn_seat *s = take(p);
            if (s->want_returned && s->group->fo.step == SN_SWITCH_CATCH)
                fill(&e->ballots[e->count++], s, SN_BALLOT_RETURNED, s->group->fo.epoch);
            if (s->want_cancel)
                fill(&e->ballots[e->count++], s, SN_BALLOT_CANCEL, s->want_cancel);
            if (asks_vote(s))
                fill(&e->ballots[e->count++], s, SN_BALLOT_VOTE, s->group->fo.epoch);
            else if (s->want_ask)
                fill(&e->ballots[e->count++], s, SN_BALLOT_DOWN, 0);
            else if (s->want_up)
                fill(&e->ballots[e->count++], s, SN_BALLOT_UP, 0);
            s->asked_us = p->core->now_us;
            drop_wants(s);
        }
        if (!e->count) { /* what was wanted is no longer: nothing to send */
            sn_effect_free(e);
            p->core->out->n--;
            continue;
        }
        p->pending++;
        p->batches++;
    }
}

void sn_ask_flush(struct sn_core *c)
{
    if (!c->any_wants)
        return;
    c->any_wants = false;
    for (size_t k = 0; k < c->npeers; k++) {
        struct sn_peer *p = c->peers[k];
        if (!p->wants)
            continue;
        if (p->cmd.state != SN_CONN_UP)
            while (p->wants)
                drop_wants(take(p)); /* asked again when the link comes up */
        else if (p->kind == SN_PEER_OURS)
            ask_ours(p);
        else
            ask_stock(p);
        c->any_wants = c->any_wants || p->wants; /* as many as may be are under way: the rest goes after an answer */
    }
}

static void opinion(struct sn_peer *p, const struct sn_opinion *o)
{
    struct sn_core *c = p->core;
    struct sn_group *g = o->group ? sn_group_find(c, slice_of(o->group)) : NULL;
    struct sn_seat *s = g ? sn_seat_find(g, p) : NULL;
    if (!s || !sn_node_is(g->master->node, &o->master))
        return;
    /* Its own word and its answers come over two connections. Of an answer to what was asked before that word came
     * nobody knows which of them is the older one: where they differ it is asked anew. */
    bool crossed = o->asked_us < s->word_us;
    if (!crossed) {
        s->down = o->down && !c->tilt; /* in tilt it may be from before the stall */
        s->down_us = c->now_us;
    } else if (o->down != s->down) {
        s->asked_us = 0;
    }
    if (*o->leader) {
        memcpy(s->vote_leader, o->leader, sizeof s->vote_leader);
        s->vote_epoch = o->leader_epoch;
        memcpy(s->grant, o->grant, sizeof s->grant);
        s->regranted = g->fo.step == SN_SWITCH_CATCH && *o->grant;
    }
    if (o->asked_epoch && (o->leader_epoch != o->asked_epoch || runid_cmp(o->leader, c->id) != 0))
        s->refused_epoch = o->asked_epoch;
    sn_touch_group(g);
}

void sn_opinions(struct sn_peer *p, const struct sn_opinion *o, size_t n)
{
    if (p->pending)
        p->pending--;
    if (p->batches)
        p->batches--;
    for (size_t k = 0; k < n; k++)
        opinion(p, &o[k]);
}
