/* What must hold at every moment. */
#include "noded/cluster/state.h"
#include "tests/fleet/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct given { /* a vote that was told */
    int super;
    uint64_t epoch;
    runid id;
};

struct claimed { /* slots at a config epoch */
    uint64_t epoch;
    struct cl_id id;
};

struct checks {
    struct cl_id ids[IDS_MAX]; /* all that ever were, numbered */
    int nids;
    struct given *votes;
    size_t nvotes, cap_votes;
    struct claimed *claims;
    size_t nclaims, cap_claims;
    struct claimed *given; /* epochs that supervisors have told a node that it has */
    size_t ngiven, cap_given;
};

void check_init(struct world *w)
{
    w->checks = mem_zalloc(sizeof *w->checks);
}

void check_free(struct world *w)
{
    free(w->checks->votes);
    free(w->checks->claims);
    free(w->checks->given);
    free(w->checks);
}

int check_id(struct world *w, const struct cl_id *id)
{
    const struct checks *c = w->checks;
    for (int i = c->nids; i-- > 0;)
        if (cl_id_eq(&c->ids[i], id))
            return i;
    return -1;
}

void check_started(struct world *w, const struct node *n)
{
    struct checks *c = w->checks;
    if (check_id(w, &n->id) >= 0)
        return;
    if (c->nids == IDS_MAX)
        violated(w, "ids", "more than %d ids in one world", IDS_MAX);
    else
        c->ids[c->nids++] = n->id;
}

static void check_alone(struct world *w, const struct node *n, int slot)
{
    if (!node_may_write_slot(w, n, slot))
        return;
    for (int i = 0; i < w->nnodes; i++) {
        const struct node *m = &w->nodes[i];
        if (m != n && node_may_write_slot(w, m, slot))
            violated(w, "S6", "%s (config epoch %llu) and %s (%llu) both execute writes of slot %d", end_name(n->p.end),
                     (unsigned long long)n->core->me->config_epoch, end_name(m->p.end),
                     (unsigned long long)m->core->me->config_epoch, slot);
    }
}

/* S6: whoever would execute a write now is alone with that. */
void check_writers(struct world *w, struct node *n)
{
    if (!w->settled)
        return;
    for (int k = 0; k < w->plan.shards; k++)
        check_alone(w, n, w->shards[k].slot);
    for (int k = 0; moves_slots(w) && k < ledger(w)->nwatched; k++)
        check_alone(w, n, ledger(w)->watched[k]);
}

void check_given(struct world *w, const struct node *n, uint64_t epoch)
{
    struct checks *c = w->checks;
    for (size_t i = c->ngiven; i-- > 0;)
        if (c->given[i].epoch == epoch && cl_id_eq(&c->given[i].id, &n->id))
            return;
    c->given = mem_grow(c->given, c->ngiven, &c->cap_given, sizeof *c->given);
    c->given[c->ngiven++] = (struct claimed){.epoch = epoch, .id = n->id};
}

/* E2: a supervised node has its epochs of its supervisors, who hold ballots for them. */
static void check_own_epoch(struct world *w, const struct node *n, uint64_t epoch)
{
    const struct checks *c = w->checks;
    for (size_t i = c->ngiven; i-- > 0;)
        if (c->given[i].epoch == epoch && cl_id_eq(&c->given[i].id, &n->id))
            return;
    violated(w, "E2", "%s, which is supervised, takes config epoch %llu, and nobody gave it that", end_name(n->p.end),
             (unsigned long long)epoch);
}

/* E10, B2: a config epoch belongs to one node for ever. */
static void check_claim(struct world *w, struct node *n)
{
    struct checks *c = w->checks;
    const struct cl_claim *claim = &n->core->claim;
    uint64_t epoch = claim->config_epoch;
    if (!w->settled || (claim->flags & CL_MASTER) == 0 || epoch == n->claimed_epoch || epoch == 0)
        return;
    if (epoch < n->claimed_epoch)
        violated(w, "S4", "the config epoch of %s goes back from %llu to %llu", end_name(n->p.end),
                 (unsigned long long)n->claimed_epoch, (unsigned long long)epoch);
    bool taken = n->claimed_epoch != 0 && cl_fenced(n->core);
    n->claimed_epoch = epoch;
    if (taken)
        check_own_epoch(w, n, epoch);
    if (n->core->me->nslots == 0)
        return;
    for (size_t i = 0; i < c->nclaims; i++) {
        if (c->claims[i].epoch != epoch)
            continue;
        if (!cl_id_eq(&c->claims[i].id, &n->id))
            violated(w, "E10", "%s claims slots at epoch %llu, at which another node did", end_name(n->p.end),
                     (unsigned long long)epoch);
        return;
    }
    c->claims = mem_grow(c->claims, c->nclaims, &c->cap_claims, sizeof *c->claims);
    c->claims[c->nclaims++] = (struct claimed){.epoch = epoch, .id = n->id};
}

/* L6: what a node once knew of its supervisors it knows after a restart; only an operator's RELEASE ends it. */
static void check_supervision(struct world *w, struct node *n)
{
    bool supervised = cl_lease_list(n->core).n > 0;
    if (supervised && !n->was_supervised) {
        n->was_supervised = true;
        w->counts[COUNT_ADOPTED]++;
    }
    if (!supervised && w->released)
        n->was_supervised = false;
    if (!supervised && n->was_supervised)
        violated(w, "L6", "%s is not supervised any more, and nobody has released it", end_name(n->p.end));
}

void check_step(struct world *w, struct node *n)
{
    if (w->violation != NULL || n->core == NULL)
        return;
    check_supervision(w, n);
    check_writers(w, n);
    check_claim(w, n);
    swap_check(w, n);
}

void check_vote(struct world *w, const struct super *s, uint64_t epoch, const char *id)
{
    struct checks *c = w->checks;
    for (size_t i = 0; i < c->nvotes; i++) {
        if (c->votes[i].super != s->index || c->votes[i].epoch != epoch)
            continue;
        if (runid_cmp(c->votes[i].id, id) != 0)
            violated(w, "E1", "%s votes for two nodes in epoch %llu", end_name(s->p.end), (unsigned long long)epoch);
        return;
    }
    c->votes = mem_grow(c->votes, c->nvotes, &c->cap_votes, sizeof *c->votes);
    struct given *v = &c->votes[c->nvotes++];
    *v = (struct given){.super = s->index, .epoch = epoch};
    memcpy(v->id, id, sizeof v->id);
}

void check_wiped(struct world *w, const struct super *s)
{
    struct checks *c = w->checks;
    size_t kept = 0;
    for (size_t i = 0; i < c->nvotes; i++)
        if (c->votes[i].super != s->index)
            c->votes[kept++] = c->votes[i];
    c->nvotes = kept;
}
