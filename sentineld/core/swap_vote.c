/* What supervisors say to each other about swaps of databases: votes and proposals, what is decided, and that a
 * leader is still there. Every word carries its sender's record, so whoever has an old one learns. */
#include "sentineld/core/swap_inner.h"

#define GIVE_WAY MS(1000) /* whoever has our vote has so long before we want a lead for ourselves */
#define AGAIN MS(250)     /* a question without an answer is asked again; a leader that waits for masters says so */

static bool is_leading(const struct sn_swapping *s)
{
    return s->lead.phase != SN_SWAP_IDLE;
}

static void say(struct sn_fleet *f, struct sn_swap_voter *v, enum sn_swap_verb verb)
{
    struct sn_swapping *s = &f->swap;
    struct sn_core *c = f->core;
    struct sn_effect *e = sn_send(c, &v->peer->cmd, SN_CMD_SWAP);
    v->peer->pending++;
    e->text = mem_strdup(c->id);
    e->epoch = c->told_epoch;
    e->group = mem_strdup(f->name);
    e->swap = mem_alloc(sizeof *e->swap);
    *e->swap = (struct sn_swap_word){
        .verb = verb, .list = c->ours.version, .epoch = s->lead.epoch, .config = f->epoch, .has = s->has};
    e->swap->lists = slice_of(mem_strdup(s->lists));
}

/* Questions of our lead. What they say is on our own disk. */
static int64_t ask(struct sn_fleet *f, struct sn_swap_voter *v, size_t voter)
{
    struct sn_swapping *s = &f->swap;
    const struct sn_core *c = f->core;
    bool asks = is_leading(s) && s->lead.phase != SN_SWAP_PREPARING && (s->lead.yes & 1);
    if (!asks || (s->lead.yes & (UINT64_C(2) << voter)) || v->refused)
        return HEAP_NEVER;
    if (v->asked_us && c->now_us < v->asked_us + AGAIN)
        return v->asked_us + AGAIN;
    v->asked_us = c->now_us;
    say(f, v, s->lead.phase == SN_SWAP_STANDING ? SN_SWAP_STAND : SN_SWAP_ACCEPT);
    return c->now_us + AGAIN;
}

/* Whoever comes up is told what we have; of what was decided all are told until they know; and that we wait for
 * masters. */
static int64_t inform(struct sn_fleet *f, struct sn_swap_voter *v)
{
    struct sn_swapping *s = &f->swap;
    const struct sn_core *c = f->core;
    bool due = (s->has.entry.decided && !v->knows) || s->lead.phase == SN_SWAP_PREPARING || !sn_swap_may_decide(f) ||
               !v->told_us;
    if (!due || !sn_swap_durable(f))
        return HEAP_NEVER;
    if (v->told_us && c->now_us < v->told_us + AGAIN)
        return v->told_us + AGAIN;
    v->told_us = c->now_us;
    say(f, v, SN_SWAP_TELL);
    return c->now_us + AGAIN;
}

int64_t sn_swap_tell(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    int64_t next = HEAP_NEVER;
    for (size_t k = 0; k < s->nvoters; k++) {
        struct sn_swap_voter *v = &s->voters[k];
        if (v->peer->cmd.state != SN_CONN_UP || v->peer->kind != SN_PEER_OURS)
            continue;
        EARLIER(next, ask(f, v, k));
        EARLIER(next, inform(f, v));
    }
    return next;
}

void sn_swap_met(struct sn_peer *p)
{
    struct sn_core *c = p->core;
    for (size_t k = 0; k < c->nfleets; k++) {
        struct sn_swap_voter *v = c->fleets[k]->lease_us ? sn_swap_voter_of(c->fleets[k], p) : NULL;
        if (!v)
            continue;
        v->asked_us = v->told_us = 0;
        sn_touch_fleet(c->fleets[k]);
    }
}

void sn_swap_lost(struct sn_peer *p)
{
    for (size_t k = 0; k < p->core->nfleets; k++)
        if (sn_swap_under_way(p->core->fleets[k]))
            sn_touch_fleet(p->core->fleets[k]);
}

/* ---- a word of somebody else ---- */

static bool has_heard(const struct sn_fleet *f)
{
    for (size_t k = 0; k < f->nshards; k++)
        if (f->shards[k]->group->heard)
            return true;
    return false;
}

/* A failover runs, or a vote may have led to a promotion that we do not know of: the masters are not those that would
 * be asked. */
bool sn_swap_masters_change(const struct sn_fleet *f)
{
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *g = f->shards[k]->group;
        bool runs = g->fo.state != SN_FO_NONE && g->fo.state != SN_FO_RECONF_SLAVES;
        if (runs || sn_lease_in_doubt(g))
            return true;
    }
    return false;
}

/* SAFETY M1: a list that no node counts yet may be one man's. Who is not whole may lack what the list before it has
 * decided. */
static bool may_vote(const struct sn_fleet *f, const struct sn_swap_word *w)
{
    const struct sn_core *c = f->core;
    return w->list == c->ours.version && c->ours.counted && has_heard(f) && !c->broken && sn_swap_may_decide(f) &&
           w->epoch < SN_EPOCH_MAX;
}

static bool stands(struct sn_fleet *f, const char *from, const struct sn_swap_word *w)
{
    struct sn_swapping *s = &f->swap;
    bool ends = sn_swap_is_open(&s->has) || sn_swap_is_open(&w->has);
    if (w->epoch == s->has.promised && runid_cmp(s->promised_to, from) == 0)
        return true; /* asked again */
    /* Who has heard less of the cluster than we have may take a former master for one. */
    if (!ends && (sn_swap_masters_change(f) || f->epoch > w->config))
        return false;
    if (w->epoch <= f->vote_epoch || !sn_swap_promise(&s->has, w->epoch))
        return false;
    memcpy(s->promised_to, from, sizeof s->promised_to);
    f->vote_epoch = w->epoch;
    f->dirty = true;
    s->heard_us = f->core->now_us;
    sn_swap_superseded(f);
    s->again_us = f->core->now_us + GIVE_WAY;
    sn_swap_changed(f);
    return true;
}

static bool accepts(struct sn_fleet *f, const struct sn_swap_word *w)
{
    struct sn_swapping *s = &f->swap;
    struct sn_swap before = s->has;
    if (w->has.entry.value == SN_SWAP_BEGUN && sn_swap_masters_change(f))
        return false;
    if (w->has.accepted != w->epoch || !sn_swap_accept(&s->has, w->epoch, &w->has.entry))
        return false;
    s->heard_us = f->core->now_us;
    if (before.accepted == s->has.accepted && before.entry.value == s->has.entry.value)
        return true; /* said again; and what is known to be decided stays so */
    if (is_leading(s) && s->lead.epoch < w->epoch)
        sn_swap_superseded(f);
    if (w->epoch > f->vote_epoch) {
        f->vote_epoch = w->epoch;
        f->dirty = true;
    }
    sn_swap_changed(f);
    return true;
}

static bool hears(struct sn_fleet *f, const struct sn_swap_word *w)
{
    if (sn_swap_is_open(&w->has) && w->has.accepted >= f->swap.has.accepted)
        f->swap.heard_us = f->core->now_us;
    return true;
}

static bool follow(struct sn_fleet *f, const char *from, const struct sn_swap_word *w)
{
    if (w->verb == SN_SWAP_TELL)
        return hears(f, w);
    if (!may_vote(f, w))
        return false;
    return w->verb == SN_SWAP_STAND ? stands(f, from, w) : accepts(f, w);
}

void sn_swap_asked(struct sn_core *c, const struct sn_event *e)
{
    runid from = "";
    runid_parse(e->text, from);
    struct sn_peer *p = *from ? map_gets(&c->by_id, from) : NULL;
    struct sn_fleet *f = sn_fleet_find(c, e->group);
    struct sn_swap_voter *v = p && f && f->lease_us ? sn_swap_voter_of(f, p) : NULL;
    struct sn_swap_word answer = {.verb = e->swap->verb, .list = c->ours.version, .epoch = e->swap->epoch};
    uint64_t seq = 0;
    sn_heard_epoch(c, NULL, e->epoch);
    if (v) {
        sn_swap_hear(f, v, e->swap);
        answer.yes = follow(f, from, e->swap);
        answer.has = f->swap.has;
        answer.lists = slice_of(mem_strdup(f->swap.lists));
        seq = f->swap.seq;
        sn_heard_epoch(c, NULL, f->swap.has.promised);
        sn_touch_fleet(f);
    }
    struct sn_effect fx = {.kind = SN_FX_ANSWER_SWAP, .token = e->token, .epoch = c->told_epoch};
    fx.text = mem_strdup(c->id);
    fx.group = slice_dup(e->group);
    fx.swap = mem_alloc(sizeof *fx.swap);
    *fx.swap = answer;
    if (seq > c->persisted)
        sn_wait(c, seq)->fx = fx;
    else
        *sn_emit(c, SN_FX_ANSWER_SWAP) = fx;
}

/* ---- an answer ---- */

static void count(struct sn_fleet *f, struct sn_swap_voter *v, const struct sn_swap_word *w)
{
    struct sn_swapping *s = &f->swap;
    struct sn_swap_lead *l = &s->lead;
    int voter = (int)(v - s->voters) + 1;
    bool standing = l->phase == SN_SWAP_STANDING && w->verb == SN_SWAP_STAND;
    bool proposing = (l->phase == SN_SWAP_BEGINNING || l->phase == SN_SWAP_DECIDING) && w->verb == SN_SWAP_ACCEPT;
    if (w->epoch != l->epoch || (!standing && !proposing))
        return;
    if (!w->yes || !w->list) {
        v->refused = true;
        if (w->has.promised > l->epoch)
            sn_swap_superseded(f);
        return;
    }
    sn_swap_voted(f, voter, &w->has);
}

void sn_swap_answered(struct sn_peer *p, const struct sn_event *e)
{
    struct sn_core *c = p->core;
    struct sn_fleet *f = sn_fleet_find(c, e->group);
    struct sn_swap_voter *v = f && f->lease_us ? sn_swap_voter_of(f, p) : NULL;
    if (p->pending)
        p->pending--;
    if (!v)
        return;
    const struct sn_swap_word *w = e->swap;
    count(f, v, w);
    sn_touch_fleet(f);
    if (!w->list)
        return; /* its disk failed: it tells nothing of what it has */
    sn_heard_epoch(c, NULL, w->has.promised);
    sn_swap_hear(f, v, w);
    v->knows = w->has.entry.decided && w->has.accepted >= f->swap.has.accepted;
}
