/* The mover looks who has which of a pair's slots and what is under way, and decides what comes next. So there is one
 * way on from everything: the beginning, a migration that has ended well or badly, slots that a crash left open, a
 * migration that somebody else began. */
#include "nodectl/slots/pair.h"

#include "nodectl/reply_json.h"
#include "nodectl/slots/ask.h"
#include "nodectl/slots/jobs.h"

#include <string.h>

/* In one migration: a failed one is not too much work then, nor its copy-on-write too much memory. */
#define CHUNK_BYTES (256.0 * 1024 * 1024)
#define POLL_MS 25
#define NO_BUDGET_MS 50
#define STILL_MS 3000  /* so long without a step is told */
#define CANCEL_MS 2000 /* after an interrupt a migration may end by itself for so long */

struct look {
    struct own_slots from, to;
    struct slot_set open;           /* of left */
    struct slot_jobs jobs, to_jobs; /* of the source and of the target */
    const struct slot_job *live;    /* the migration of our slots that is under way */
    const struct slot_job *last;    /* the newest that is over */
};

static void find_jobs(struct look *k, const struct slot_set *slots)
{
    for (size_t i = 0; i < k->jobs.n; i++) {
        const struct slot_job *j = &k->jobs.v[i];
        if (!j->exports || !slot_sets_touch(&j->slots, slots))
            continue;
        if (slot_job_is_over(j))
            k->last = k->last != NULL ? k->last : j;
        else
            k->live = k->live != NULL ? k->live : j;
    }
}

void look_ask(struct pair *l)
{
    struct picture_node *from = pair_from(l), *to = pair_to(l);
    if (from == NULL || to == NULL)
        return;
    l->place[0] = ask_words(from->member, "CLUSTER NODES");
    l->place[1] = ask_words(to->member, "CLUSTER NODES");
    if (picture_migrates(from))
        l->place[2] = ask_words(from->member, "CLUSTER GETSLOTMIGRATIONS");
    if (picture_migrates(to))
        l->place[3] = ask_words(to->member, "CLUSTER GETSLOTMIGRATIONS");
}

/* The node at the other end of an open slot, which says so for as long as the slot is open, is this end: or was, before
 * it was replaced. */
static bool is_end(const struct pair *l, const char *other, const char *end, const char *first)
{
    const struct picture_node *n = picture_by_id(l->p, other);
    return runid_cmp(other, end) == 0 || runid_cmp(other, first) == 0 ||
           (n != NULL && runid_cmp(n->master_id, end) == 0);
}

/* Slots that are open to somebody else are not ours to finish. */
static bool sort_open(struct pair *l, struct look *k)
{
    for (unsigned s = slot_set_next(&l->left, 0); s < SN_SLOTS; s = slot_set_next(&l->left, s + 1)) {
        const struct open_slot *out = own_slots_open(&k->from, s, false), *in = own_slots_open(&k->to, s, true);
        if (out != NULL && !is_end(l, out->other, l->to, l->move->to))
            pair_fail(l, "slot %u is open: it is on its way to node %s. `nodectl slots fix` ends that", s, out->other);
        else if (in != NULL && !is_end(l, in->other, l->from, l->move->from))
            pair_fail(l, "slot %u is open: the target imports it from node %s. `nodectl slots fix` ends that", s,
                      in->other);
        if (l->phase == PAIR_FAILED)
            return false;
        if ((out != NULL || in != NULL) && !slot_set_has(&l->stuck, s))
            slot_set_add(&k->open, s);
    }
    return true;
}

static bool see_slots(struct pair *l, struct look *k)
{
    unsigned strange = SN_SLOTS;
    l->left = (struct slot_set){{0}};
    for (unsigned s = slot_set_next(&l->move->slots, 0); s < SN_SLOTS; s = slot_set_next(&l->move->slots, s + 1)) {
        if (slot_set_has(&k->from.slots, s))
            slot_set_add(&l->left, s);
        else if (!slot_set_has(&k->to.slots, s))
            strange = s;
    }
    l->looked = true;
    if (strange == SN_SLOTS || k->live != NULL)
        return true;
    buf_clear(&l->why);
    buf_printf(&l->why, "slot %u is neither at the source nor at the target", strange);
    pair_again(l);
    return false;
}

/* What the target says of the same slots. */
static const char *target_says(const struct pair *l, const struct look *k)
{
    for (size_t i = 0; i < k->to_jobs.n; i++) {
        const struct slot_job *j = &k->to_jobs.v[i];
        if (!j->exports && !slot_job_is_over(j) && slot_sets_touch(&j->slots, &l->move->slots))
            return j->message;
    }
    return "";
}

/* Why a job that has stood still for a while does so. */
static void watch_job(struct pair *l, const struct look *k)
{
    const struct slot_job *j = k->live;
    int64_t now_ms = fleet_now_ms();
    const char *why = j->message[0] != '\0' ? j->message : target_says(l, k);
    bool same = l->moved_ms != 0 && l->in_job == j->keys && strcmp(l->job_state, j->state) == 0 &&
                (why[0] != '\0' || l->job_bytes == j->left_bytes);
    if (!same)
        l->moved_ms = now_ms;
    l->in_job = j->keys;
    l->job_bytes = j->left_bytes;
    memcpy(l->job_state, j->state, sizeof l->job_state);
    buf_clear(&l->waits);
    if (now_ms - l->moved_ms >= STILL_MS)
        buf_printf(&l->waits, "the migration is %s and does not go on: %s", j->state,
                   why[0] != '\0' ? why : "neither end tells why");
}

/* Only when all that the source sends away is ours: they are cancelled together. */
static bool may_cancel(const struct pair *l, const struct look *k)
{
    for (size_t i = 0; i < k->jobs.n; i++)
        if (k->jobs.v[i].exports && !slot_job_is_over(&k->jobs.v[i]) &&
            !slot_sets_touch(&k->jobs.v[i].slots, &l->move->slots))
            return false;
    return true;
}

/* A target that was replaced is in what is under way by the name that it had. */
static void wait_for_job(struct pair *l, const struct look *k, bool stopping)
{
    if (runid_cmp(k->live->target, l->to) != 0 && runid_cmp(k->live->target, l->move->to) != 0) {
        pair_fail(
            l,
            "a migration of some of these slots to node %s is under way already: wait for its end, or end it with "
            "CLUSTER CANCELSLOTMIGRATIONS",
            k->live->target);
        return;
    }
    int64_t now_ms = fleet_now_ms();
    watch_job(l, k);
    if (stopping && interrupted() && l->cancel_ms == 0)
        l->cancel_ms = now_ms + CANCEL_MS;
    if (l->cancel_ms != 0 && now_ms >= l->cancel_ms && may_cancel(l, k)) {
        l->cancel_ms = now_ms + CANCEL_MS; /* one that cannot be cancelled any more is about to end */
        l->phase = PAIR_CANCELS;
        return;
    }
    l->phase = PAIR_WAITS;
    l->until_ms = now_ms + POLL_MS;
}

/* A migration that is over and left some of its slots where they were has failed. */
static bool job_has_failed(struct pair *l, const struct look *k)
{
    unsigned stayed = 0;
    l->in_job = l->moved_ms = 0;
    buf_clear(&l->waits);
    for (unsigned s = slot_set_next(&l->chunk, 0); s < SN_SLOTS; s = slot_set_next(&l->chunk, s + 1))
        stayed += slot_set_has(&l->left, s);
    l->chunk = (struct slot_set){{0}};
    if (stayed == 0) {
        l->failures = 0;
        return false;
    }
    bool cancelled = k->last != NULL && strcmp(k->last->state, "cancelled") == 0;
    buf_clear(&l->why);
    buf_printf(&l->why, "the migration has %s: %s", cancelled ? "been cancelled" : "failed",
               k->last != NULL ? k->last->message : "the source does not tell why");
    pair_again(l);
    if (cancelled)
        l->phase = l->cancelled ? PAIR_STOPPED : PAIR_FAILED;
    return true;
}

static double bytes_of(const struct pair *l, unsigned slot)
{
    const struct key_counts *c = l->counts;
    return c->all > 0 ? (double)c->keys[slot] * (double)c->bytes / (double)c->all : 0;
}

static void begin_some(struct pair *l, unsigned *budget)
{
    double bytes = 0;
    unsigned n = 0, most = l->in_pieces && *budget > PAIR_WINDOW ? PAIR_WINDOW : *budget;
    l->chunk = (struct slot_set){{0}};
    for (unsigned s = slot_set_next(&l->left, 0); s < SN_SLOTS && n < most && (n == 0 || bytes < CHUNK_BYTES);
         s = slot_set_next(&l->left, s + 1)) {
        if (slot_set_has(&l->stuck, s))
            continue;
        slot_set_add(&l->chunk, s);
        bytes += bytes_of(l, s);
        n++;
    }
    if (n == 0) {
        l->phase = PAIR_WAITS;
        l->until_ms = fleet_now_ms() + NO_BUDGET_MS;
        return;
    }
    *budget -= n;
    if (l->in_pieces)
        pieces_begin(l, &l->chunk, true);
    else
        l->phase = PAIR_BEGINS;
}

static void decide(struct pair *l, struct look *k, bool stopping, unsigned *budget)
{
    if (k->live != NULL) {
        wait_for_job(l, k, stopping);
        return;
    }
    if (slot_set_count(&l->chunk) > 0 && job_has_failed(l, k))
        return;
    if (!sort_open(l, k))
        return;
    if (slot_set_count(&l->unmoved) > 0) { /* what is refused is as it was, whatever comes next */
        pieces_close(l);
        return;
    }
    bool only_stuck = slot_set_count(&l->left) == slot_set_count(&l->stuck);
    if (slot_set_count(&l->left) == 0)
        l->phase = PAIR_DONE;
    else if (only_stuck)
        pair_fail(l, "%s", buf_str(&l->stuck_why));
    else if (stopping)
        l->phase = PAIR_STOPPED;
    else if (slot_set_count(&k->open) > 0)
        pieces_begin(l, &k->open, false);
    else
        begin_some(l, budget);
}

void look_take(struct pair *l, bool stopping, unsigned *budget)
{
    struct picture_node *from = pair_from(l), *to = pair_to(l);
    struct look k = {.live = NULL};
    if (from == NULL || to == NULL || from->member->error != NULL || to->member->error != NULL) {
        l->phase = PAIR_LOST;
        return;
    }
    bool read = own_slots_read(&k.from, reply_text(ask_answer(from->member, l->place[0])));
    read = own_slots_read(&k.to, reply_text(ask_answer(to->member, l->place[1]))) && read;
    if (!read || k.from.master[0] != '\0' || k.to.master[0] != '\0' || runid_cmp(k.from.id, l->from) != 0 ||
        runid_cmp(k.to.id, l->to) != 0) {
        l->phase = PAIR_LOST;
    } else {
        if (picture_migrates(from))
            slot_jobs_read(&k.jobs, ask_answer(from->member, l->place[2]));
        if (picture_migrates(to))
            slot_jobs_read(&k.to_jobs, ask_answer(to->member, l->place[3]));
        find_jobs(&k, &l->move->slots);
        if (see_slots(l, &k))
            decide(l, &k, stopping, budget);
    }
    own_slots_free(&k.from);
    own_slots_free(&k.to);
    slot_jobs_free(&k.jobs);
    slot_jobs_free(&k.to_jobs);
}
