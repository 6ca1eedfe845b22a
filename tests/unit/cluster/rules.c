#include "tests/unit/cluster/rules.h"

#include "common/base/mem.h"
#include "noded/cluster/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 64

struct told_vote {
    struct cl_id voter, candidate;
    uint64_t epoch;
};

struct won {
    struct cl_id winner;
    uint64_t epoch;
};

struct rules {
    struct told_vote *votes;
    size_t nvotes, cap_votes;
    struct won *won;
    size_t nwon, cap_won;
    struct {
        unsigned life;
        bool failed[WORLD_NODES]; /* whom this node held for failed */
        struct cl_id owner[SAMPLES];
        uint64_t epoch[SAMPLES];
        bool ok;
    } seen[WORLD_NODES];
};

static void broken(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void broken(struct world *w, const char *fmt, ...)
{
    va_list ap;
    struct buf text = {NULL, 0, 0};
    if (w->broken != NULL)
        return;
    buf_printf(&text, "%.3f s: ", (double)w->now_us / 1e6);
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    w->broken = mem_strdup(buf_str(&text));
    buf_free(&text);
}

static const struct cl_node *receiver_of(const struct world_node *n, cl_link link)
{
    const struct cl_node *to;
    for (size_t it = 0; (to = cl_each(n->core, &it)) != NULL;)
        if (to->link == link || to->incoming == link)
            return to;
    return NULL;
}

/* B1: one vote for each node and epoch, restarts included, and on disk before it is told. */
static void check_vote(struct rules *r, struct world *w, const struct world_node *n, const struct cl_message *m,
                       cl_link link)
{
    const struct cl_node *to = receiver_of(n, link);
    if (to == NULL)
        return;
    if (n->disk_vote < m->head.current_epoch)
        broken(w, "B1: node %d told its vote of epoch %llu before it was on disk", n->number,
               (unsigned long long)m->head.current_epoch);
    for (size_t i = 0; i < r->nvotes; i++)
        if (r->votes[i].epoch == m->head.current_epoch && cl_id_eq(&r->votes[i].voter, &m->head.sender) &&
            !cl_id_eq(&r->votes[i].candidate, &to->id))
            broken(w, "B1: node %d voted twice in epoch %llu", n->number, (unsigned long long)m->head.current_epoch);
    r->votes = mem_grow(r->votes, r->nvotes, &r->cap_votes, sizeof *r->votes);
    r->votes[r->nvotes++] = (struct told_vote){m->head.sender, to->id, m->head.current_epoch};
}

/* A claim that was told is read back after a crash. */
static void check_claim(struct world *w, const struct world_node *n, const struct cl_message *m)
{
    if (n->disk_epoch < m->head.current_epoch)
        broken(w, "node %d told epoch %llu before it was on disk", n->number,
               (unsigned long long)m->head.current_epoch);
}

static int votes_of(const struct rules *r, const struct cl_id *candidate, uint64_t epoch)
{
    int count = 0;
    for (size_t i = 0; i < r->nvotes; i++)
        count += r->votes[i].epoch == epoch && cl_id_eq(&r->votes[i].candidate, candidate) ? 1 : 0;
    return count;
}

/* B2: one winner for each epoch, by the votes of a majority. */
static void check_promotion(struct rules *r, struct world *w, const struct world_node *n)
{
    struct cl_id id = cl_my_id(n->core);
    uint64_t epoch = n->core->me->config_epoch;
    int size = 0;
    const struct cl_node *o;
    for (size_t it = 0; (o = cl_each(n->core, &it)) != NULL;)
        size += cl_votes_here(o) ? 1 : 0;
    for (size_t i = 0; i < r->nwon; i++)
        if (r->won[i].epoch == epoch && !cl_id_eq(&r->won[i].winner, &id))
            broken(w, "B2: two winners in epoch %llu", (unsigned long long)epoch);
    if (votes_of(r, &id, epoch) < size / 2) /* the winner's own shard may have lost or won a master meanwhile */
        broken(w, "B2: node %d was promoted by %d votes of %d masters", n->number, votes_of(r, &id, epoch), size);
    r->won = mem_grow(r->won, r->nwon, &r->cap_won, sizeof *r->won);
    r->won[r->nwon++] = (struct won){id, epoch};
}

/* B3: on every node a slot goes from one owner to another only by a higher config epoch. */
static void check_slots(struct rules *r, struct world *w, const struct world_node *n)
{
    bool fresh = r->seen[n->number].life != n->life;
    for (int i = 0; i < SAMPLES; i++) {
        const struct cl_node *owner = cl_owner(n->core, i * (CL_SLOTS / SAMPLES));
        struct cl_id *before = &r->seen[n->number].owner[i];
        uint64_t *epoch = &r->seen[n->number].epoch[i];
        if (owner == NULL)
            continue;
        /* An owner that says that a slot is not its own gives it to whoever claims it. */
        if (cl_bit(n->core->unclaimed, i * (CL_SLOTS / SAMPLES)))
            *epoch = 0;
        else if (!fresh && !cl_id_is_none(before) && !cl_id_eq(before, &owner->id) && owner->config_epoch <= *epoch)
            broken(w, "B3: node %d gave slot %d from epoch %llu to %llu", n->number, i * (CL_SLOTS / SAMPLES),
                   (unsigned long long)*epoch, (unsigned long long)owner->config_epoch);
        *before = owner->id;
        if (!cl_bit(n->core->unclaimed, i * (CL_SLOTS / SAMPLES)))
            *epoch = owner->config_epoch;
    }
    r->seen[n->number].life = n->life;
}

/* FAIL is told only by somebody who counted a majority. */
static void check_fail(struct world *w, const struct world_node *n, const struct cl_message *m)
{
    struct cl_core *c = n->core;
    struct cl_node *failed = cl_node_find(c, &m->node), *o;
    int size = 0;
    for (size_t it = 0; (o = cl_each(c, &it)) != NULL;)
        size += cl_votes_here(o) ? 1 : 0;
    if (failed != NULL && failed->failed_us == c->now_us &&
        cl_reports_count(c, failed) + (cl_votes_here(c->me) ? 1 : 0) < size / 2 + 1 && failed->nreports > 0)
        broken(w, "node %d told FAIL without a majority", n->number);
}

static void watch(struct world *w, struct world_node *n, const struct cl_effects *fx)
{
    struct rules *r = w->watcher;
    for (size_t i = 0; i < fx->n; i++) {
        const struct cl_effect *e = &fx->v[i];
        struct cl_message m;
        const char *why = NULL;
        struct slice text = cl_effect_text(e);
        if (e->kind == CL_FX_PROMOTE && cl_is_master(n->core))
            check_promotion(r, w, n);
        if (e->kind != CL_FX_SEND || cl_wire_read(text.p, text.n, &m, &why) != CL_READ_OK)
            continue;
        if (m.head.type == CL_AUTH_ACK)
            check_vote(r, w, n, &m, e->link);
        else
            check_claim(w, n, &m);
        if (m.head.type == CL_FAIL && n->core->election.stand != CL_STAND_ASKING)
            check_fail(w, n, &m);
    }
    check_slots(r, w, n);
}

struct rules *rules_watch(struct world *w)
{
    struct rules *r = mem_zalloc(sizeof *r);
    w->watch = watch;
    w->watcher = r;
    return r;
}

void rules_free(struct rules *r)
{
    free(r->votes);
    free(r->won);
    free(r);
}

bool rules_epochs_differ(const struct world *w)
{
    for (int i = 0; i < w->nnodes; i++)
        for (int k = 0; k < i; k++) {
            const struct cl_core *a = w->nodes[i].core, *b = w->nodes[k].core;
            if (a != NULL && b != NULL && cl_votes_here(a->me) && cl_votes_here(b->me) &&
                a->me->config_epoch == b->me->config_epoch)
                return false;
        }
    return true;
}
