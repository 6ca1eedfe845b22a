#include "sentineld/core/swap.h"

#include "sentineld/core/plant.h"

#include <stddef.h>
#include <string.h>

#define LIMIT (UINT64_C(1) << 62)

const char *sn_swap_value_name(enum sn_swap_value v)
{
    static const char *const names[] = {"none", "begun", "commit", "abort"};
    return names[v];
}

static bool is_open(const struct sn_swap_entry *e)
{
    return e->value != SN_SWAP_NONE && !e->decided;
}

bool sn_swap_is_open(const struct sn_swap *s)
{
    return is_open(&s->entry);
}

struct sn_swap_step sn_swap_mapping(const struct sn_swap_entry *e)
{
    return e->value == SN_SWAP_COMMIT && e->decided ? e->step : e->before;
}

static bool is_step(const struct sn_swap_step *s)
{
    return s->version < LIMIT && s->begun < LIMIT && s->a >= 0 && s->b >= 0 && (s->begun == 0 || s->a != s->b);
}

bool sn_swap_is_sane(const struct sn_swap *s)
{
    const struct sn_swap_entry *e = &s->entry;
    if (s->promised >= LIMIT || s->accepted >= LIMIT || !is_step(&e->step) || !is_step(&e->before))
        return false;
    if (e->value == SN_SWAP_NONE)
        return s->accepted == 0 && e->step.version == 0 && !e->decided;
    return s->accepted > 0 && e->step.begun > 0 && e->step.begun <= s->accepted && s->promised >= s->accepted &&
           e->step.version == e->before.version + 1 && !(e->decided && e->value == SN_SWAP_BEGUN);
}

/* ---- a voter ---- */

bool sn_swap_promise(struct sn_swap *s, uint64_t epoch)
{
    if (epoch <= s->promised)
        return false;
    s->promised = epoch;
    return true;
}

/* One leader proposes twice at most: the attempt, and then its end. What it said first may come last. */
bool sn_swap_accept(struct sn_swap *s, uint64_t epoch, const struct sn_swap_entry *e)
{
    if (epoch < s->promised || e->value == SN_SWAP_NONE)
        return false;
    bool again = epoch == s->accepted && s->entry.value != SN_SWAP_BEGUN;
    if (again)
        return s->entry.value == e->value;
    s->promised = s->accepted = epoch;
    s->entry = *e;
    s->entry.decided = false;
    return true;
}

static bool is_later(const struct sn_swap *a, const struct sn_swap *b)
{
    if (a->accepted != b->accepted)
        return a->accepted > b->accepted;
    bool a_ends = a->entry.value > SN_SWAP_BEGUN, b_ends = b->entry.value > SN_SWAP_BEGUN;
    return a_ends != b_ends ? a_ends : a->entry.decided && !b->entry.decided;
}

bool sn_swap_merge(struct sn_swap *s, const struct sn_swap *theirs)
{
    bool later = is_later(theirs, s), above = theirs->promised > s->promised;
    if (above)
        s->promised = theirs->promised;
    if (later) {
        s->accepted = theirs->accepted;
        s->entry = theirs->entry;
    }
    return later || above;
}

bool sn_swap_learn(struct sn_swap *s, const struct sn_swap *theirs)
{
    const struct sn_swap_entry *e = &theirs->entry;
    if (!e->decided || theirs->accepted < s->accepted || (theirs->accepted == s->accepted && s->entry.decided))
        return false;
    s->accepted = theirs->accepted;
    s->entry = *e;
    if (s->promised < s->accepted)
        s->promised = s->accepted;
    return true;
}

/* ---- a leader ---- */

static void propose(struct sn_swap_lead *l, enum sn_swap_phase phase)
{
    l->phase = phase;
    l->yes = 0;
}

void sn_swap_stand(struct sn_swap_lead *l, uint64_t epoch, int needed, const struct sn_swap_entry *want)
{
    *l = (struct sn_swap_lead){.phase = SN_SWAP_STANDING, .epoch = epoch, .needed = needed, .wants = want != NULL};
    if (want != NULL)
        l->want = *want;
}

static int yeses(const struct sn_swap_lead *l)
{
    int n = 0;
    for (uint64_t left = l->yes; left != 0; left &= left - 1)
        n++;
    return n;
}

static void begin(struct sn_swap_lead *l)
{
    l->proposal = l->want;
    l->proposal.value = SN_SWAP_BEGUN;
    l->proposal.decided = false;
    l->proposal.step.begun = l->epoch;
    struct sn_swap_step mapping = sn_swap_mapping(&l->latest.entry);
    if (l->want.before.version <= mapping.version)
        l->proposal.before = mapping;
    l->proposal.step.version = l->proposal.before.version + 1;
    propose(l, SN_SWAP_BEGINNING);
}

static void finish(struct sn_swap_lead *l)
{
    l->proposal = l->latest.entry;
    if (l->proposal.value == SN_SWAP_BEGUN)
        l->proposal.value = SN_SWAP_ABORT;
    propose(l, SN_SWAP_DECIDING);
}

bool sn_swap_promised(struct sn_swap_lead *l, int voter, const struct sn_swap *has)
{
    if (l->phase != SN_SWAP_STANDING)
        return false;
    l->yes |= UINT64_C(1) << voter;
    if (PLANTED(117, is_later(has, &l->latest), false))
        l->latest = *has;
    if (yeses(l) < l->needed)
        return false;
    if (is_open(&l->latest.entry))
        finish(l);
    else if (l->wants)
        begin(l);
    else
        l->phase = SN_SWAP_IDLE;
    return true;
}

bool sn_swap_accepted(struct sn_swap_lead *l, int voter, enum sn_swap_value value)
{
    bool proposes = l->phase == SN_SWAP_BEGINNING || l->phase == SN_SWAP_DECIDING;
    if (!proposes || value != l->proposal.value)
        return false;
    l->yes |= UINT64_C(1) << voter;
    if (yeses(l) < l->needed)
        return false;
    l->proposal.decided = l->phase == SN_SWAP_DECIDING;
    l->phase = l->phase == SN_SWAP_DECIDING ? SN_SWAP_IDLE : SN_SWAP_PREPARING;
    return true;
}

void sn_swap_decide(struct sn_swap_lead *l, bool commit)
{
    l->proposal.value = commit ? SN_SWAP_COMMIT : SN_SWAP_ABORT;
    propose(l, SN_SWAP_DECIDING);
}
