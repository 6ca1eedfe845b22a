/* Who wants two databases swapped: an operator at this supervisor, who is told what came of it, or a client of a
 * master, who is told by that master. */
#include "sentineld/core/swap_inner.h"

#include <inttypes.h>
#include <stdio.h>

#define PATIENCE MS(3000)      /* to begin it */
#define PATIENCE_ALL MS(10000) /* until every master has it */
#define RANK_STEP MS(150)      /* a wish is told to all: one takes it up, the next where that one does not */
#define TRY_AGAIN MS(500)
#define LOOK MS(50)

static void answer(struct sn_core *c, sn_token token, const char *error)
{
    struct sn_effect *e = sn_emit(c, SN_FX_ANSWER);
    e->token = token;
    e->answer = error ? SN_ANSWER_ERROR : SN_ANSWER_OK;
    e->text = error ? mem_strdup(error) : NULL;
}

void sn_swap_order(struct sn_core *c, const struct sn_event *e)
{
    struct sn_fleet *f = sn_fleet_find(c, e->group);
    const char *error = NULL;
    if (!f)
        error = "ERR No such cluster with that name";
    else if (f->state != SN_FLEET_WATCHED || !f->lease_us || !*c->ours.list)
        error = "ERR Databases are swapped under leases only: this cluster has none (lease_ms, supervisors)";
    else if (e->databases[0] < 0 || e->databases[1] < 0)
        error = "ERR DB index is out of range";
    else if (e->databases[0] == e->databases[1])
        error = "ERR A database can't be exchanged with itself";
    else if (f->swap.order.token)
        error =
            "ERR Another swap of databases of this cluster is under way at this supervisor: try again when it is over";
    if (error) {
        answer(c, e->token, error);
        return;
    }
    f->swap.order.token = e->token;
    f->swap.order.a = e->databases[0];
    f->swap.order.b = e->databases[1];
    f->swap.order.since_us = c->now_us;
    f->swap.order.begun = 0;
    sn_touch_fleet(f);
}

void sn_swap_forget_order(struct sn_fleet *f)
{
    if (f->swap.order.token)
        answer(f->core, f->swap.order.token,
               "ERR The cluster is not supervised here any more: what became of the swap the other supervisors know");
    f->swap.order.token = 0;
}

/* ---- wanting ---- */

static int before_us(const struct sn_fleet *f)
{
    int n = 0;
    for (size_t k = 0; k < f->swap.nvoters; k++) {
        const struct sn_peer *p = f->swap.voters[k].peer;
        n += p->cmd.state == SN_CONN_UP && runid_cmp(p->id, f->core->id) < 0;
    }
    return n;
}

/* A wish is known by its number. One that an attempt was made for is none any more, unless that was given up before its
 * master heard of it: else it would not wish for it still. */
static int64_t wish_at(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    const struct sn_node *n = sn_swap_wished(f);
    const struct sn_swap_entry *e = &s->has.entry;
    bool tried = n && e->request == n->told->swap_request && runid_cmp(e->asker, n->told->node) == 0;
    bool taken = tried && !(e->decided && e->value == SN_SWAP_ABORT);
    uint64_t wish = n && !taken ? n->told->swap_request : 0;
    if (wish != s->wish) {
        s->wish = wish;
        s->wish_us = f->core->now_us + (tried ? TRY_AGAIN : 0);
    }
    return wish ? s->wish_us + before_us(f) * RANK_STEP : HEAP_NEVER;
}

int64_t sn_swap_wants(struct sn_fleet *f, bool *now)
{
    struct sn_swapping *s = &f->swap;
    const struct sn_core *c = f->core;
    int64_t at = wish_at(f);
    if (s->order.token && !s->order.begun)
        at = c->now_us;
    if (at > c->now_us)
        return at;
    char why[SN_SWAP_WHY];
    *now = !sn_swap_hindered(f, why);
    return *now ? c->now_us : c->now_us + LOOK;
}

void sn_swap_want(const struct sn_fleet *f, struct sn_swap_entry *out)
{
    const struct sn_swapping *s = &f->swap;
    const struct sn_node *n = sn_swap_wished(f);
    *out = (struct sn_swap_entry){.before.version = sn_swap_version(f)};
    if (s->order.token && !s->order.begun) {
        out->step.a = s->order.a;
        out->step.b = s->order.b;
    } else if (n) {
        out->step.a = (int)n->told->swap_a;
        out->step.b = (int)n->told->swap_b;
        memcpy(out->asker, n->told->node, sizeof out->asker);
        out->request = n->told->swap_request;
    }
}

void sn_swap_begun(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    if (!s->order.token || s->order.begun || *s->lead.proposal.asker)
        return;
    s->order.begun = s->lead.proposal.step.begun;
    s->order.version = s->lead.proposal.step.version;
}

/* ---- the operator's answer ---- */

static void settled(struct sn_fleet *f, const char *error)
{
    answer(f->core, f->swap.order.token, error);
    f->swap.order.token = 0;
}

static void refuse(struct sn_fleet *f, const char *what, const char *why)
{
    char text[640];
    snprintf(text, sizeof text, "ERR %s: %s", what, why);
    settled(f, text);
}

static const char *who_lags(const struct sn_fleet *f, uint64_t version, char *text, size_t size)
{
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_node *n = f->shards[k]->group->master->node;
        if (n->told && n->told->mapping_epoch >= version && n->cmd.state == SN_CONN_UP)
            continue;
        snprintf(text, size, "%s:%d has not said that it has it; it will be told until it has", n->addr.host,
                 n->addr.port);
        return text;
    }
    return "its masters have not said that they have it";
}

static const char *why_not_begun(const struct sn_fleet *f, char out[SN_SWAP_WHY])
{
    const char *why = sn_swap_hindered(f, out);
    if (!sn_swap_may_decide(f))
        return "this supervisor is new to the cluster or to its list of supervisors, and has not heard from enough "
               "others what was decided before";
    if (sn_swap_is_open(&f->swap.has))
        return "another swap is under way";
    return why ? why : "too few supervisors agree";
}

/* Committed: whether all masters have it. */
static int64_t await_all(struct sn_fleet *f, int64_t end_us)
{
    char text[400];
    uint64_t version = f->swap.order.version;
    if (f->swap.done >= version)
        settled(f, NULL);
    else if (f->core->now_us >= end_us)
        refuse(f, "The swap is committed but not applied everywhere yet", who_lags(f, version, text, sizeof text));
    else
        return end_us;
    return HEAP_NEVER;
}

int64_t sn_swap_settle(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    const struct sn_swap_entry *e = &s->has.entry;
    int64_t now = f->core->now_us, end_us = s->order.since_us + PATIENCE_ALL;
    if (!s->order.token)
        return HEAP_NEVER;
    if (!s->order.begun) {
        if (now < s->order.since_us + PATIENCE)
            return s->order.since_us + PATIENCE;
        char why[SN_SWAP_WHY];
        refuse(f, "The swap was not begun, and nothing has changed", why_not_begun(f, why));
        return HEAP_NEVER;
    }
    bool ours = e->step.begun == s->order.begun, passed = e->step.begun > s->order.begun;
    if (passed && e->before.version >= s->order.version)
        return await_all(f, end_us);
    if (passed || (ours && e->decided && e->value == SN_SWAP_ABORT)) {
        refuse(f, "The swap was given up, and nothing has changed", *s->why ? s->why : SN_SWAP_UNKNOWN);
        return HEAP_NEVER;
    }
    if (ours && e->decided)
        return await_all(f, end_us);
    if (now < end_us)
        return end_us;
    refuse(f, "The swap is begun and not decided yet", "too few supervisors answer; it is ended when they do");
    return HEAP_NEVER;
}
