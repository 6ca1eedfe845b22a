/* The mover's loop: which pairs may go now, one round of questions and answers for all that do, and the end. */
#include "nodectl/slots/move.h"

#include "common/base/mem.h"
#include "nodectl/progress.h"
#include "nodectl/slots/pair.h"
#include "nodectl/slots/moving.h"
#include "nodectl/table.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 15000 /* MIGRATE and SETSLOT may take that long */
#define TURN_MS 5
#define TAKES_MAX 2
#define LOST_MS 250
#define LOST_MAX_MS 15000
#define AGREE_MS 15000

struct moving {
    struct change *c;
    struct picture *p;
    const struct slot_moves *moves;
    const struct mover *how;
    struct key_counts *counts; /* in the order of the moves */
    struct key_parts *parts;   /* the same by database */
    struct pair *pairs;
    struct progress bar;
    int timeout_ms;                  /* the operator's */
    int64_t keys, begun_ms, lost_ms; /* lost_ms: an end is looked for since then; 0: none is */
    double bytes_a_slot;
    unsigned slots, given; /* given: slots that were let begin, for the rate */
};

static bool is_over(const struct pair *l)
{
    return l->phase == PAIR_DONE || l->phase == PAIR_FAILED || l->phase == PAIR_STOPPED;
}

static void wait_ms(int ms)
{
    poll(NULL, 0, ms); /* a Ctrl-C may cut it short; what is under way goes on */
}

/* ---- the rate ---- */

/* How many slots may be begun now. One second's worth may be ahead, so that there are fewer and larger pieces. */
static unsigned budget(const struct moving *m)
{
    double rate = m->how->rate_slots;
    if (m->how->rate_bytes > 0 && m->bytes_a_slot > 0)
        rate = (double)m->how->rate_bytes / m->bytes_a_slot;
    if (rate <= 0)
        return SN_SLOTS;
    double due = rate * (double)(fleet_now_ms() - m->begun_ms) / 1000 + (rate < 1 ? 1 : rate / 4 + 1);
    return due > m->given ? (unsigned)(due - m->given) : 0;
}

static void measure(struct moving *m)
{
    double bytes = 0;
    for (size_t i = 0; i < m->moves->n; i++) {
        const struct key_counts *c = &m->counts[i];
        int64_t keys = 0;
        for (unsigned s = 0; s < SN_SLOTS; s++)
            keys += c->keys[s];
        m->keys += keys;
        if (c->all > 0)
            bytes += (double)c->bytes * (double)keys / (double)c->all;
    }
    m->slots = slot_moves_count(m->moves);
    m->bytes_a_slot = m->slots > 0 ? bytes / m->slots : 0;
}

/* ---- how far it is ---- */

static int64_t done_of(const struct moving *m, const struct pair *l, size_t i)
{
    const struct slot_set *all = &l->move->slots;
    int64_t done = 0;
    if (l->phase == PAIR_STANDS || !l->looked)
        return 0;
    for (unsigned s = slot_set_next(all, 0); s < SN_SLOTS; s = slot_set_next(all, s + 1)) {
        bool gone = l->phase == PAIR_DONE || !slot_set_has(&l->left, s);
        done += gone ? (m->keys > 0 ? m->counts[i].keys[s] : 1) : 0;
    }
    return done + (m->keys > 0 && l->phase != PAIR_DONE ? l->in_job + l->sent : 0);
}

static void note(struct moving *m)
{
    struct buf text = {0};
    struct slot_set *left = mem_zalloc((m->moves->n + 1) * sizeof *left);
    for (size_t i = 0; i < m->moves->n; i++) {
        const struct pair *l = &m->pairs[i];
        if (l->phase != PAIR_DONE)
            left[i] = l->looked ? l->left : l->move->slots;
    }
    moving_note(m->moves, m->parts, left, &text);
    progress_note(&m->bar, buf_str(&text));
    buf_free(&text);
    free(left);
}

static void show(struct moving *m)
{
    if (progress_due(&m->bar))
        note(m);
    int64_t done = 0, total = m->keys > 0 ? m->keys : m->slots;
    for (size_t i = 0; i < m->moves->n; i++)
        done += done_of(m, &m->pairs[i], i);
    progress_at(&m->bar, done < total ? done : total);
}

/* ---- pairs ---- */

/* Looks with the operator's patience, not with that of a MIGRATE. */
static bool look(struct moving *m, struct buf *why)
{
    m->p->fleet.timeout_ms = m->timeout_ms;
    bool seen = picture_again(m->p, why);
    m->p->fleet.timeout_ms = m->timeout_ms > PATIENCE_MS ? m->timeout_ms : PATIENCE_MS;
    return seen;
}

/* A source gives to one target at a time, and nobody gives and takes at once. A target may take from two: while one of
 * them forks or waits for a disk the other's keys come. */
static bool is_free(const struct moving *m, const struct pair *l)
{
    size_t takes = 0;
    for (size_t i = 0; i < m->moves->n; i++) {
        const struct pair *other = &m->pairs[i];
        if (other == l || other->phase == PAIR_STANDS || is_over(other))
            continue;
        if (runid_cmp(l->from, other->from) == 0 || runid_cmp(l->from, other->to) == 0 ||
            runid_cmp(l->to, other->from) == 0)
            return false;
        takes += runid_cmp(l->to, other->to) == 0;
    }
    return takes < TAKES_MAX;
}

static void begin_pairs(struct moving *m, bool stopping)
{
    for (size_t i = 0; i < m->moves->n; i++) {
        struct pair *l = &m->pairs[i];
        if (l->phase != PAIR_STANDS)
            continue;
        if (stopping) {
            l->phase = PAIR_STOPPED;
        } else if (is_free(m, l)) {
            struct picture_node *from = pair_from(l), *to = pair_to(l);
            l->in_pieces = from == NULL || to == NULL || moving_in_pieces(m->p, from, to, m->how);
            l->phase = PAIR_LOOKS;
        }
    }
}

/* ---- masters that were replaced ---- */

/* Who has taken the place of this one, as the picture is now: whom it follows, else who has a slot that was its own.
 * NULL: nobody yet. */
static struct picture_node *successor(struct moving *m, const char *id, unsigned slot)
{
    struct picture_node *n = picture_by_id(m->p, id);
    if (n != NULL && n->answers && n->master)
        return n;
    if (n != NULL && n->answers)
        n = picture_by_id(m->p, n->master_id);
    else
        n = slot < SN_SLOTS && m->p->owner[slot] >= 0 ? &m->p->v[m->p->owner[slot]] : NULL;
    return n != NULL && n->answers && n->master ? n : NULL;
}

/* A source that has given its last slot away follows the target. */
static bool has_all(const struct moving *m, const struct picture_node *n, const struct slot_set *slots)
{
    for (unsigned s = slot_set_next(slots, 0); s < SN_SLOTS; s = slot_set_next(slots, s + 1))
        if (!picture_is_mine(m->p, s, n))
            return false;
    return true;
}

static void find_ends(struct moving *m)
{
    struct buf why = {0};
    bool seen = look(m, &why), lost = false;
    int64_t now_ms = fleet_now_ms();
    m->lost_ms = m->lost_ms != 0 ? m->lost_ms : now_ms;
    for (size_t i = 0; i < m->moves->n; i++) {
        struct pair *l = &m->pairs[i];
        if (l->phase != PAIR_LOST)
            continue;
        struct picture_node *from = seen ? successor(m, l->from, slot_set_next(&l->left, 0)) : NULL;
        struct picture_node *to = seen ? successor(m, l->to, l->to_slot) : NULL;
        if (from != NULL && from == to && has_all(m, to, &l->move->slots)) {
            l->left = (struct slot_set){{0}};
            l->phase = PAIR_DONE;
        } else if (from != NULL && to != NULL && from != to) {
            memcpy(l->from, from->id, sizeof(runid));
            memcpy(l->to, to->id, sizeof(runid));
            l->phase = PAIR_LOOKS;
        } else if (now_ms - m->lost_ms > LOST_MAX_MS) {
            const char *id = from == NULL ? l->from : l->to;
            const struct picture_node *gone = picture_by_id(m->p, id);
            pair_fail(l, "the %s %.8s is no master any more or does not answer, and nobody has taken its place: %s",
                      from == NULL ? "source" : "target", id,
                      gone == NULL                                          ? "no node knows it"
                      : gone->answers                                       ? "it says that it is a replica"
                      : gone->member != NULL && gone->member->error != NULL ? gone->member->error
                                                                            : "its address is not known");
        } else {
            lost = true;
        }
    }
    buf_free(&why);
    if (lost)
        wait_ms(LOST_MS);
    else
        m->lost_ms = 0;
}

/* ---- turns ---- */

static bool any(const struct moving *m, enum pair_phase phase)
{
    for (size_t i = 0; i < m->moves->n; i++)
        if (m->pairs[i].phase == phase)
            return true;
    return false;
}

static bool all_over(const struct moving *m)
{
    for (size_t i = 0; i < m->moves->n; i++)
        if (!is_over(&m->pairs[i]))
            return false;
    return true;
}

static bool all_wait(const struct moving *m)
{
    for (size_t i = 0; i < m->moves->n; i++)
        if (!is_over(&m->pairs[i]) && m->pairs[i].phase != PAIR_WAITS && m->pairs[i].phase != PAIR_STANDS)
            return false;
    return true;
}

static const char open_advice[] = ". Slots may be open at both ends: the same command goes on with them, and `nodectl "
                                  "slots fix` ends that";

/* Atomic migrations leave nothing open. */
static bool says_what_to_do(struct pair *l)
{
    return !l->in_pieces || strstr(buf_str(&l->why), "slots fix") != NULL ||
           strstr(buf_str(&l->why), "same command") != NULL;
}

/* A step begins when there is something to do; several may be under way side by side. */
static void tell(struct moving *m, struct pair *l)
{
    unsigned all = slot_set_count(&l->move->slots), left = slot_set_count(&l->left);
    if (!l->shown && l->phase != PAIR_STANDS && l->phase != PAIR_LOOKS && !is_over(l)) {
        progress_end(&m->bar);
        l->shown = true;
        l->began_ms = fleet_now_ms();
        change_now(m->c, l->step);
    }
    if (l->told || !is_over(l))
        return;
    l->told = true;
    progress_end(&m->bar);
    m->c->began_ms = l->began_ms;
    if (l->phase == PAIR_DONE && !l->shown)
        change_skipped(m->c, l->step);
    else if (l->phase == PAIR_DONE)
        change_did(m->c, l->step);
    else if (l->phase == PAIR_FAILED)
        change_failed(m->c, "%u of %u slots are moved, and then: %s%s", l->looked ? all - left : 0, all,
                      buf_str(&l->why), says_what_to_do(l) ? "" : open_advice);
}

static void tell_waiting(struct moving *m, struct pair *l)
{
    FILE *out = asking_people(m->p->asking);
    if (l->waits.n == 0 || slice_eq(buf_slice(&l->waits), buf_slice(&l->waits_told)))
        return;
    buf_clear(&l->waits_told);
    buf_put(&l->waits_told, l->waits.p, l->waits.n);
    progress_end(&m->bar);
    print_line(out, false, PAINT_NONE, "[%zu/%zu] %s. It is waited for; Ctrl-C takes it back.", l->step + 1,
               json_array_size(m->c->steps), buf_str(&l->waits));
    fflush(out);
}

static void turn(struct moving *m)
{
    bool stopping = interrupted() || any(m, PAIR_FAILED);
    unsigned room = budget(m), before = room;
    begin_pairs(m, stopping);
    if (any(m, PAIR_LOST))
        find_ends(m);
    fleet_forget(&m->p->fleet);
    for (size_t i = 0; i < m->moves->n; i++)
        pair_ask(&m->pairs[i]);
    fleet_run(&m->p->fleet);
    for (size_t i = 0; i < m->moves->n; i++)
        pair_take(&m->pairs[i], stopping, &room);
    for (size_t i = 0; i < m->moves->n; i++)
        tell(m, &m->pairs[i]);
    for (size_t i = 0; i < m->moves->n; i++)
        tell_waiting(m, &m->pairs[i]);
    m->given += before - room;
    show(m);
    if (all_wait(m))
        wait_ms(TURN_MS);
}

/* ---- the end ---- */

static bool sees_all(const struct moving *m, const struct picture_node *n)
{
    for (size_t i = 0; i < m->moves->n; i++) {
        const struct pair *l = &m->pairs[i];
        const struct sn_nodes_line *line = l->phase == PAIR_DONE ? sn_nodes_find(&n->view, l->to) : NULL;
        struct slot_set has = {{0}};
        for (size_t r = 0; line != NULL && r < line->nranges; r++)
            for (unsigned s = n->view.ranges[line->range + r].first; s <= n->view.ranges[line->range + r].last; s++)
                slot_set_add(&has, s);
        for (unsigned s = slot_set_next(&l->move->slots, 0); l->phase == PAIR_DONE && s < SN_SLOTS;
             s = slot_set_next(&l->move->slots, s + 1))
            if (!slot_set_has(&has, s))
                return false;
    }
    return true;
}

static void wait_agreed(struct moving *m)
{
    int64_t until_ms = fleet_now_ms() + AGREE_MS;
    for (int pause_ms = 10;; pause_ms = pause_ms < 200 ? 2 * pause_ms : pause_ms) {
        struct buf why = {0}, late = {0};
        char text[ADDR_TEXT_MAX];
        bool seen = look(m, &why);
        for (size_t i = 0; seen && i < m->p->n; i++)
            if (m->p->v[i].answers && !sees_all(m, &m->p->v[i]))
                buf_printf(&late, "%s%s", late.n > 0 ? ", " : "", addr_text(&m->p->v[i].addr, text));
        bool agreed = seen && late.n == 0, over = fleet_now_ms() > until_ms;
        if (over && !agreed)
            change_failed(
                m->c,
                "the slots are at their new masters, but not all nodes know it yet: %s. See `nodectl slots check`",
                late.n > 0 ? buf_str(&late) : buf_str(&why));
        buf_free(&why);
        buf_free(&late);
        if (agreed || over)
            return;
        wait_ms(pause_ms);
    }
}

static unsigned moved_of(const struct moving *m)
{
    unsigned moved = 0;
    for (size_t i = 0; i < m->moves->n; i++)
        if (m->pairs[i].looked)
            moved += slot_set_count(&m->pairs[i].move->slots) - slot_set_count(&m->pairs[i].left);
    return moved;
}

static bool finish(struct moving *m)
{
    bool ok = true, some = false, cancelled = false;
    progress_end(&m->bar);
    for (size_t i = 0; i < m->moves->n; i++) {
        some = some || m->pairs[i].phase == PAIR_DONE;
        cancelled = cancelled || m->pairs[i].cancelled;
        ok = ok && m->pairs[i].phase == PAIR_DONE;
    }
    if (some)
        wait_agreed(m);
    if (!ok && interrupted())
        change_failed(m->c, "interrupted: %u of %u slots are moved%s", moved_of(m), m->slots,
                      cancelled ? ", and the migration that was under way is taken back" : "");
    return ok && m->c->failure.n == 0;
}

static void begin(struct moving *m, size_t first_step)
{
    m->pairs = mem_zalloc((m->moves->n + 1) * sizeof *m->pairs);
    for (size_t i = 0; i < m->moves->n; i++) {
        struct pair *l = &m->pairs[i];
        *l = (struct pair){.move = &m->moves->v[i], .how = m->how, .p = m->p, .counts = &m->counts[i]};
        l->step = first_step + i;
        memcpy(l->from, l->move->from, sizeof(runid));
        memcpy(l->to, l->move->to, sizeof(runid));
        const struct picture_node *to = pair_to(l);
        while (l->to_slot < SN_SLOTS && (to == NULL || !picture_is_mine(m->p, l->to_slot, to)))
            l->to_slot++;
    }
    m->begun_ms = fleet_now_ms();
}

static void free_counts(struct moving *m)
{
    for (size_t i = 0; i < m->moves->n; i++)
        free(m->parts[i].v);
    free(m->parts);
    free(m->counts);
}

bool mover_run(struct change *c, struct picture *p, const struct slot_moves *moves, const struct mover *how,
               size_t first_step)
{
    struct buf why = {0};
    struct moving m = {.c = c, .p = p, .moves = moves, .how = how};
    m.parts = mem_zalloc((moves->n + 1) * sizeof *m.parts);
    m.counts = moving_count(p, moves, m.parts, &why);
    if (m.counts == NULL) {
        change_failed(c, "%s", buf_str(&why));
        buf_free(&why);
        free_counts(&m);
        return false;
    }
    m.timeout_ms = p->fleet.timeout_ms;
    p->fleet.timeout_ms = m.timeout_ms > PATIENCE_MS ? m.timeout_ms : PATIENCE_MS;
    measure(&m);
    begin(&m, first_step);
    progress_begin(&m.bar, "moving slots", m.keys > 0 ? "keys" : "slots", m.keys > 0 ? m.keys : m.slots);
    while (!all_over(&m))
        turn(&m);
    bool ok = finish(&m);
    p->fleet.timeout_ms = m.timeout_ms;
    for (size_t i = 0; i < moves->n; i++)
        pair_free(&m.pairs[i]);
    free(m.pairs);
    free_counts(&m);
    return ok;
}
