#include "nodectl/slots/repair.h"

#include "common/base/mem.h"
#include "nodectl/slots/findings.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

struct finder {
    const struct picture *p;
    const struct survey *s;
    struct repairs *out;
    struct slot_set busy; /* slots of migrations that are under way: not ours to touch */
    struct slot_set kept; /* ... and those that are decided on */
    struct slot_set lost; /* slots of masters that are lost, and whose keys are given up */
    bool give_up;
};

void repair_refuse(struct repairs *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&out->refused, fmt, ap);
    va_end(ap);
    buf_putc(&out->refused, '\n');
    out->nrefused++;
}

/* Slots of one kind between the same nodes are one repair. */
static void add(struct finder *f, enum repair_kind kind, size_t at, size_t to, unsigned slot)
{
    const char *a = f->p->v[at].id, *b = to != NONE ? f->p->v[to].id : "";
    struct repairs *out = f->out;
    size_t i = 0;
    while (i < out->n && (out->v[i].kind != kind || strcmp(out->v[i].at, a) != 0 || strcmp(out->v[i].to, b) != 0))
        i++;
    if (i == out->n) {
        out->v = mem_grow(out->v, out->n, &out->cap, sizeof *out->v);
        out->v[out->n] = (struct repair){.kind = kind};
        memcpy(out->v[out->n].at, a, strlen(a));
        memcpy(out->v[out->n++].to, b, strlen(b));
    }
    slot_set_add(&out->v[i].slots, slot);
    out->v[i].keys += survey_keys(f->s, at, slot);
    slot_set_add(&f->kept, slot);
}

static const char *name_of(const struct finder *f, size_t node, char text[ADDR_TEXT_MAX])
{
    return addr_text(&f->p->v[node].addr, text);
}

static size_t index_of(const struct finder *f, const char *id)
{
    const struct picture_node *n = picture_by_id(f->p, id);
    return n != NULL ? (size_t)(n - f->p->v) : NONE;
}

/* ---- open slots ---- */

static const struct picture_open *open_at(const struct finder *f, size_t node, unsigned slot, bool importing)
{
    for (size_t o = 0; o < f->p->v[node].nopen; o++)
        if (f->p->v[node].open[o].slot == slot && f->p->v[node].open[o].importing == importing)
            return &f->p->v[node].open[o];
    return NULL;
}

/* Where the owner sends the slot, or who alone takes it from the owner; NONE: nobody. */
static size_t other_end(const struct finder *f, size_t owner, unsigned slot)
{
    const struct picture_open *out = open_at(f, owner, slot, false);
    size_t found = NONE;
    if (out != NULL)
        return index_of(f, out->other);
    for (size_t i = 0; i < f->p->n; i++) {
        const struct picture_open *in = i != owner ? open_at(f, i, slot, true) : NULL;
        if (in != NULL && strcmp(in->other, f->p->v[owner].id) == 0)
            found = i;
    }
    return found;
}

/* Everybody who has it open and is not one of the two. */
static void close_rest(struct finder *f, unsigned slot, size_t owner, size_t target)
{
    for (size_t i = 0; i < f->p->n; i++) {
        const struct picture_open *in = open_at(f, i, slot, true);
        if (i == target || (in == NULL && (i == owner || open_at(f, i, slot, false) == NULL)))
            continue;
        if (i != owner && owner != NONE && survey_keys(f->s, i, slot) > 0)
            add(f, REPAIR_HOME, i, owner, slot);
        else
            add(f, REPAIR_CLOSE, i, NONE, slot);
    }
}

static void mend_open(struct finder *f, unsigned slot, size_t owner)
{
    size_t target = other_end(f, owner, slot);
    bool leaves = open_at(f, owner, slot, false) != NULL;
    char text[2][ADDR_TEXT_MAX];
    if (target == NONE || !f->p->v[target].master) {
        if (leaves) /* to a node that is no master of this cluster: it cannot go there */
            add(f, REPAIR_CLOSE, owner, NONE, slot);
        close_rest(f, slot, owner, NONE);
        return;
    }
    if (!f->p->v[target].answers || !f->p->v[owner].answers) {
        repair_refuse(
            f->out,
            "slot %u is open between %s and %s, and not both answer: start them, or take out the one that is lost",
            slot, name_of(f, owner, text[0]), name_of(f, target, text[1]));
        return;
    }
    close_rest(f, slot, owner, target);
    if (survey_keys(f->s, target, slot) > 0) { /* an owner that sends nothing away is to have them */
        if (leaves)
            add(f, REPAIR_FINISH, owner, target, slot);
        else
            add(f, REPAIR_HOME, target, owner, slot);
        return;
    }
    if (leaves)
        add(f, REPAIR_CLOSE, owner, NONE, slot);
    if (open_at(f, target, slot, true) != NULL)
        add(f, REPAIR_CLOSE, target, NONE, slot);
}

static bool is_open(const struct finder *f, unsigned slot)
{
    for (size_t i = 0; i < f->p->n; i++)
        if (open_at(f, i, slot, false) != NULL || open_at(f, i, slot, true) != NULL)
            return true;
    return false;
}

/* ---- masters that are lost ---- */

/* One that answers and follows this one; NONE: there is none. */
static size_t replica_of(const struct finder *f, size_t master)
{
    for (size_t i = 0; i < f->p->n; i++)
        if (f->p->v[i].answers && !f->p->v[i].master && runid_cmp(f->p->v[i].master_id, f->p->v[master].id) == 0)
            return i;
    return NONE;
}

/* One that hears it on the bus; NONE: nobody. */
static size_t hearer_of(const struct finder *f, size_t node)
{
    for (size_t i = 0; i < f->p->n; i++) {
        const struct picture_node *n = &f->p->v[i];
        const struct sn_nodes_line *l = n->answers ? sn_nodes_find(&n->view, f->p->v[node].id) : NULL;
        if (l != NULL && l->connected && (l->flags & (SN_NODES_FAIL | SN_NODES_PFAIL)) == 0)
            return i;
    }
    return NONE;
}

/* Neither it nor a replica of it is to be had. */
static bool is_lost(const struct finder *f, size_t node)
{
    return !f->p->v[node].answers && replica_of(f, node) == NONE && hearer_of(f, node) == NONE;
}

static void refuse_silent(struct finder *f, size_t node, unsigned slots)
{
    char text[2][ADDR_TEXT_MAX];
    const struct picture_node *n = &f->p->v[node];
    size_t replica = replica_of(f, node), hearer = hearer_of(f, node);
    name_of(f, node, text[0]);
    if (replica != NONE)
        repair_refuse(
            f->out,
            "%s (%.8s) does not answer and has slots, %u of them, and its replica %s does: start the one again, or "
            "promote the other (CLUSTER FAILOVER FORCE there, TAKEOVER where most masters are down)",
            text[0], n->id, slots, name_of(f, replica, text[1]));
    else if (hearer != NONE)
        repair_refuse(
            f->out,
            "%s (%.8s) does not answer here (%s) and has slots, %u of them, but %s hears it on the bus: see whether "
            "its address and the password are right",
            text[0], n->id, n->member != NULL && n->member->error != NULL ? n->member->error : "", slots,
            name_of(f, hearer, text[1]));
    else
        repair_refuse(
            f->out,
            "%s (%.8s) does not answer and has slots, %u of them, and no replica of it answers: the keys of these "
            "slots are nowhere else. Where they are not lost, start it again, or a replica of it. If all of them are "
            "lost, "
            "`nodectl slots fix --give-up-keys` gives the slots to the other masters, without their keys",
            text[0], n->id, slots);
}

static void mend_lost(struct finder *f)
{
    for (size_t i = 0; i < f->p->n; i++) {
        unsigned slots = 0;
        bool gives_up = f->give_up && is_lost(f, i);
        for (unsigned s = 0; s < SN_SLOTS && !f->p->v[i].answers; s++) {
            if (f->p->owner[s] != (int16_t)i)
                continue;
            slots++;
            if (gives_up)
                slot_set_add(&f->lost, s);
        }
        if (slots > 0 && !gives_up)
            refuse_silent(f, i, slots);
    }
}

/* ---- slots of nobody ---- */

/* Nodes that cannot be asked may have the keys. */
static bool all_can_be_asked(struct finder *f)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < f->p->n; i++) {
        const struct picture_node *n = &f->p->v[i];
        bool orphan = !n->master && picture_by_id(f->p, n->master_id) == NULL;
        if (!n->answers && f->give_up && is_lost(f, i))
            continue;
        if (!n->answers)
            repair_refuse(
                f->out,
                "slots are nobody's, and %s does not answer: it may have their keys. Start it, or take it out with "
                "`nodectl node remove`",
                name_of(f, i, text));
        else if (orphan)
            repair_refuse(
                f->out,
                "slots are nobody's, and the master of replica %s is gone: the replica may have their keys. Promote "
                "it with CLUSTER FAILOVER TAKEOVER, or take it out",
                name_of(f, i, text));
        if (!n->answers || orphan)
            return false;
    }
    return true;
}

static size_t with_fewest(const struct finder *f, const unsigned *more)
{
    size_t best = NONE;
    for (size_t i = 0; i < f->p->n; i++)
        if (f->p->v[i].master && f->p->v[i].answers &&
            (best == NONE || f->p->v[i].nslots + more[i] < f->p->v[best].nslots + more[best]))
            best = i;
    return best;
}

static bool is_free(const struct finder *f, unsigned slot)
{
    return f->p->owner[slot] < 0 || slot_set_has(&f->lost, slot);
}

/* What becomes of a slot that is nobody's, or whose master is lost. */
static void assign(struct finder *f, unsigned slot, unsigned *more, size_t *last)
{
    size_t holder = NONE, holders = 0;
    char text[2][ADDR_TEXT_MAX];
    for (size_t i = 0; i < f->p->n; i++) {
        if (survey_keys(f->s, i, slot) == 0)
            continue;
        holders++;
        if (holders == 2)
            repair_refuse(
                f->out,
                "slot %u is nobody's, and both %s (%lld keys) and %s (%lld keys) have keys of it: say which has it "
                "with "
                "CLUSTER ADDSLOTS %u there, then give this command again for the rest",
                slot, name_of(f, holder, text[0]), (long long)survey_keys(f->s, holder, slot), name_of(f, i, text[1]),
                (long long)survey_keys(f->s, i, slot), slot);
        holder = holder == NONE ? i : holder;
    }
    if (holders > 1)
        return;
    /* Neighbours stay together; a new run goes to who has least. */
    bool goes_on = slot > 0 && *last != NONE && is_free(f, slot - 1);
    if (holder == NONE)
        holder = goes_on ? *last : with_fewest(f, more);
    if (holder == NONE)
        return;
    *last = holder;
    more[holder]++;
    if (f->p->owner[slot] < 0)
        add(f, REPAIR_ASSIGN, holder, NONE, slot);
    else
        add(f, REPAIR_ABANDON, holder, (size_t)f->p->owner[slot], slot);
}

static void mend_uncovered(struct finder *f)
{
    unsigned *more = mem_zalloc((f->p->n + 1) * sizeof *more);
    size_t last = NONE;
    bool some = f->p->covered < SN_SLOTS || slot_set_count(&f->lost) > 0;
    if (some && all_can_be_asked(f)) {
        for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
            if (!is_free(f, slot))
                continue;
            if (is_open(f, slot))
                close_rest(f, slot, NONE, NONE);
            assign(f, slot, more, &last);
        }
    }
    free(more);
}

/* ---- all of it ---- */

static void find_busy(struct finder *f)
{
    for (size_t i = 0; i < f->s->n; i++)
        for (size_t k = 0; k < f->s->v[i].jobs.n; k++)
            for (unsigned s = 0; s < SN_SLOTS && !slot_job_is_over(&f->s->v[i].jobs.v[k]); s++)
                if (slot_set_has(&f->s->v[i].jobs.v[k].slots, s))
                    slot_set_add(&f->busy, s);
}

static void mend_foreign_keys(struct finder *f)
{
    char text[2][ADDR_TEXT_MAX];
    for (size_t i = 0; i < f->p->n; i++) {
        for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
            int16_t owner = f->p->owner[slot];
            if (owner < 0 || owner == (int16_t)i || slot_set_has(&f->kept, slot) || slot_set_has(&f->busy, slot) ||
                survey_keys(f->s, i, slot) == 0)
                continue;
            if (f->p->v[owner].answers)
                add(f, REPAIR_HOME, i, (size_t)owner, slot);
            else
                repair_refuse(f->out,
                              "%s has %lld keys of slot %u, and its master %s does not answer: start that first",
                              name_of(f, i, text[0]), (long long)survey_keys(f->s, i, slot), slot,
                              name_of(f, (size_t)owner, text[1]));
        }
    }
}

/* Whom this view gives the slot; NONE: nobody, or a node that is not in the picture. */
static size_t owner_in_view(const struct finder *f, const struct picture_node *n, unsigned slot)
{
    for (size_t l = 0; l < n->view.nlines; l++)
        for (size_t r = 0; r < n->view.lines[l].nranges; r++) {
            const struct sn_slot_range *range = &n->view.ranges[n->view.lines[l].range + r];
            if (range->first <= slot && slot <= range->last)
                return index_of(f, n->view.lines[l].id);
        }
    return NONE;
}

/* A node keeps to an owner of a higher epoch, though that one does not claim the slot any more, or to nobody. */
static void mend_views(struct finder *f)
{
    for (size_t i = 0; i < f->p->n; i++) {
        const struct picture_node *n = &f->p->v[i];
        struct slot_set which = {{0}};
        if (!n->answers || findings_differing(f->p, n, &which) == 0)
            continue;
        for (unsigned s = slot_set_next(&which, 0); s < SN_SLOTS; s = slot_set_next(&which, s + 1)) {
            int16_t owner = f->p->owner[s];
            size_t seen = owner_in_view(f, n, s);
            bool known = owner >= 0 && sn_nodes_find(&n->view, f->p->v[owner].id) != NULL;
            bool silent = seen != NONE && !f->p->v[seen].answers;
            if (known && !silent && f->p->v[owner].answers && !slot_set_has(&f->kept, s) && !slot_set_has(&f->busy, s))
                add(f, REPAIR_CLAIM, (size_t)owner, NONE, s);
        }
    }
}

static int by_kind(const void *a, const void *b)
{
    const struct repair *x = a, *y = b;
    int c = (int)x->kind - (int)y->kind;
    c = c != 0 ? c : strcmp(x->at, y->at);
    return c != 0 ? c : strcmp(x->to, y->to);
}

void repairs_find(const struct picture *p, const struct survey *s, bool give_up, struct repairs *out)
{
    struct finder f = {.p = p, .s = s, .out = out, .give_up = give_up};
    *out = (struct repairs){0};
    repairs_find_nodes(p, s, out);
    find_busy(&f);
    mend_lost(&f);
    for (unsigned slot = 0; slot < SN_SLOTS; slot++)
        if (!is_free(&f, slot) && !slot_set_has(&f.busy, slot) && is_open(&f, slot))
            mend_open(&f, slot, (size_t)p->owner[slot]);
    mend_uncovered(&f);
    mend_foreign_keys(&f);
    mend_views(&f);
    if (out->n > 0)
        qsort(out->v, out->n, sizeof *out->v, by_kind);
}

void repairs_free(struct repairs *r)
{
    free(r->v);
    buf_free(&r->refused);
    *r = (struct repairs){0};
}
