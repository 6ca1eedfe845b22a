/* Who may decide swaps of databases behind a change of the list of supervisors (SAFETY M1, M2). What the list before
 * has decided, a majority of it has accepted; and a majority of the new list may have nobody in common with that one.
 * So whoever has a new list neither votes nor stands before a majority of the old one speaks under the new one too, and
 * has told what it has: they accept nothing under the old one any more, and one of them knows whatever was decided
 * there. The same holds of each list under which one of those was before it knew that much of the list before it: any
 * of them may have decided something. A record says which lists that are; who has all that was decided forgets them. */
#include "sentineld/core/plant.h"
#include "sentineld/core/swap_inner.h"

/* The last of them, the others left in *rest; their memory stays where it is. */
static struct slice cut_last(struct slice *rest)
{
    size_t at = rest->n;
    while (at && rest->p[at - 1] != ';')
        at--;
    struct slice last = {rest->p + at, rest->n - at};
    rest->n = at ? at - 1 : 0;
    return last;
}

/* Those before the last one; empty: there is none. */
static struct slice former_of(const char *lists)
{
    struct slice rest = slice_of(lists);
    cut_last(&rest);
    return rest;
}

void sn_swap_lists_restore(struct sn_fleet *f, const char *lists)
{
    struct sn_swapping *s = &f->swap;
    const char *ours = f->core->ours.list;
    struct slice known = slice_of(lists ? lists : ""), before = known;
    bool stored = known.n || s->has.promised || s->has.blank; /* by an earlier version without lists */
    struct buf text = {0};
    buf_puts(&text, known.p);
    bool same = !*ours || slice_is(cut_last(&before), ours);
    if (!same)
        buf_printf(&text, "%s%s", known.n ? ";" : "", ours);
    s->lists = mem_strdup(buf_str(&text));
    buf_free(&text);
    if (!stored)
        s->has.blank = f->core->ndeclared;
    if (same || (!stored && (!f->lease_us || !s->has.blank)))
        return;
    s->dirty = true;
    s->seq = sn_persist_next(f->core); /* under a list nothing is told before it is stored that it was */
}

bool sn_swap_may_decide(const struct sn_fleet *f)
{
    return !f->swap.has.blank && !former_of(f->swap.lists).n;
}

/* What was accepted and may be decided, as of a life that is forgotten or of a list that we are not on. */
static void merge(struct sn_fleet *f, const struct sn_swap *theirs)
{
    struct sn_swapping *s = &f->swap;
    uint64_t promised = s->has.promised;
    if (!sn_swap_merge(&s->has, theirs))
        return;
    if (s->has.promised > promised)
        s->promised_to[0] = '\0'; /* it was not our vote */
    s->heard_us = f->core->now_us;
    sn_swap_changed(f);
}

void sn_swap_hear(struct sn_fleet *f, struct sn_swap_voter *v, const struct sn_swap_word *w)
{
    struct slice rest = w->lists;
    sn_swap_learned(f, &w->has);
    if (!rest.n || !slice_is(cut_last(&rest), f->core->ours.list))
        return;
    free(v->lists);
    v->lists = slice_dup(w->lists);
    v->heard = true;
    v->blank = w->has.blank;
    if (sn_swap_may_decide(f))
        return;
    merge(f, &w->has);
    sn_swap_heard_enough(f);
}

/* ---- whether that is enough ---- */

static int place_of(struct slice list, struct slice address)
{
    for (int k = 0; list.p; k++)
        if (slice_eq(slice_cut(&list, ','), address))
            return k;
    return -1;
}

static bool has_told(const struct sn_fleet *f, int place)
{
    const struct sn_swapping *s = &f->swap;
    if (place == f->core->ours.position)
        return !s->has.blank;
    for (size_t k = 0; k < s->nvoters; k++)
        if (s->voters[k].place == place)
            return s->voters[k].heard && !s->voters[k].blank;
    return false;
}

static bool majority_told(const struct sn_fleet *f, struct slice list)
{
    struct slice ours = slice_of(f->core->ours.list);
    int n = 0, told = 0;
    while (list.p) {
        int place = place_of(ours, slice_cut(&list, ','));
        n++;
        told += place >= 0 && has_told(f, place);
    }
    return PLANTED(119, told > n / 2, true);
}

static bool majorities_told(const struct sn_fleet *f, struct slice former)
{
    while (former.n)
        if (!majority_told(f, cut_last(&former)))
            return false;
    return true;
}

/* SAFETY M2: what a life that is forgotten has accepted, enough of the others know between them; and where some have a
 * record, those who have none are new like us, and know nothing of the list before. */
static bool others_told(const struct sn_swapping *s)
{
    size_t told = 0, known = 0;
    for (size_t k = 0; k < s->nvoters; k++) {
        told += s->voters[k].heard;
        known += s->voters[k].heard && !s->voters[k].blank;
    }
    return told >= (s->nvoters + 2) / 2 && (known || told == s->nvoters);
}

void sn_swap_heard_enough(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    if (sn_swap_may_decide(f) || (s->has.blank && !others_told(s)) || !majorities_told(f, former_of(s->lists)))
        return;
    for (size_t k = 0; k < s->nvoters; k++)
        if (s->voters[k].heard && !majorities_told(f, former_of(s->voters[k].lists)))
            return;
    free(s->lists);
    s->lists = mem_strdup(f->core->ours.list);
    s->has.blank = false;
    sn_swap_changed(f);
}
