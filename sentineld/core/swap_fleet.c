/* The course of an attempt to swap two databases over a cluster: who leads, and when what is open is ended by somebody
 * else (SAFETY W1 to W3). */
#include "sentineld/core/swap_inner.h"

#include <inttypes.h>
#include <stdio.h>

#define ROUND_MAX MS(2000)   /* for votes, or for a majority that accepts: then it is tried anew */
#define PREPARE_MAX MS(1000) /* both databases wait meanwhile */
#define SILENCE MS(1500)     /* of an attempt's leader, who says something four times a second */
#define GONE MS(100)         /* its link broke: that of others may have not, so it may still come through */
#define RANK_STEP MS(250)
#define HURRY_STEP MS(60) /* a leader that is there ends it at once, so others stand only where that fails */

int sn_swap_needed(const struct sn_fleet *f)
{
    return ((int)f->swap.nvoters + 1) / 2 + 1;
}

static void find_voters(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    const struct sn_core *c = f->core;
    if (s->voters)
        return;
    s->voters = mem_zalloc((c->npeers + 1) * sizeof *s->voters);
    for (size_t k = 0; k < c->npeers && s->nvoters + 1 < SN_SWAP_VOTERS_MAX; k++)
        if (c->peers[k]->declared) {
            int place = (int)s->nvoters; /* peers are in the order of the list, without ourselves */
            s->voters[s->nvoters++] = (struct sn_swap_voter){.peer = c->peers[k],
                                                             .place = place + (place >= c->ours.position)};
        }
}

struct sn_swap_voter *sn_swap_voter_of(struct sn_fleet *f, const struct sn_peer *p)
{
    find_voters(f);
    for (size_t k = 0; k < f->swap.nvoters; k++)
        if (f->swap.voters[k].peer == p)
            return &f->swap.voters[k];
    return NULL;
}

void sn_swap_free(struct sn_fleet *f)
{
    sn_swap_forget_order(f);
    for (size_t k = 0; k < f->swap.nvoters; k++)
        free(f->swap.voters[k].lists);
    free(f->swap.voters);
    free(f->swap.masters);
    free(f->swap.lists);
}

void sn_swap_restore(struct sn_fleet *f, const struct sn_swap *has, const char *lists)
{
    f->swap.has = *has;
    f->swap.heard_us = f->core->now_us;
    sn_swap_lists_restore(f, lists);
    if (has->promised > f->vote_epoch)
        f->vote_epoch = has->promised;
}

bool sn_swap_durable(const struct sn_fleet *f)
{
    return f->swap.seq <= f->core->persisted;
}

/* Where leases were switched off meanwhile nobody will end it, and no failover is to wait for that. */
static bool decides(const struct sn_fleet *f)
{
    return f->lease_us && *f->core->ours.list && f->state == SN_FLEET_WATCHED;
}

bool sn_swap_under_way(const struct sn_fleet *f)
{
    return decides(f) && (sn_swap_is_open(&f->swap.has) || f->swap.lead.phase > SN_SWAP_STANDING);
}

void sn_swap_hurry(struct sn_fleet *f)
{
    if (f->swap.hurry)
        return;
    f->swap.hurry = true;
    f->swap.heard_us = f->core->now_us;
    sn_touch_fleet(f);
}

/* Those who wait for the end of it look again. */
static void touch_shards(struct sn_fleet *f)
{
    for (size_t k = 0; k < f->nshards; k++)
        sn_touch_group(f->shards[k]->group);
}

void sn_swap_changed(struct sn_fleet *f)
{
    f->swap.dirty = f->core->any_dirty = true;
    f->swap.seq = sn_persist_next(f->core);
    sn_touch_fleet(f);
}

/* ---- what is told of it ---- */

static void account(struct sn_fleet *f, const char *what, const char *why)
{
    const struct sn_swapping *s = &f->swap;
    const struct sn_swap_entry *e = &s->has.entry;
    struct sn_effect *fx = sn_emit(f->core, SN_FX_NOTE);
    fx->group = mem_strdup(f->name);
    fx->note = sn_note_new(SN_NOTE_SWAPDB, e->step.begun);
    sn_note_text(fx->note, "what", what);
    sn_note_int(fx->note, "first", e->step.a);
    sn_note_int(fx->note, "second", e->step.b);
    sn_note_int(fx->note, "mapping_epoch", (int64_t)e->step.version);
    sn_note_text(fx->note, "asker", *e->asker ? e->asker : "operator");
    sn_note_text(fx->note, "why", why);
    sn_note_int(fx->note, "took_ms", s->lead_us ? (f->core->now_us - s->lead_us) / 1000 : -1);
    sn_note_int(fx->note, "masters", (int64_t)s->nmasters);
}

static void tell(struct sn_fleet *f, const char *event, const char *what, const char *why)
{
    const struct sn_swap_entry *e = &f->swap.has.entry;
    sn_publish_core(f->core, SN_LOG_WARNING, event, "%s %d %d epoch %" PRIu64 " ballot %" PRIu64 "%s%s", f->name,
                    e->step.a, e->step.b, e->step.version, e->step.begun, *why ? " #" : "", why);
    account(f, what, why);
}

static bool crashes(struct sn_core *c, enum sn_crash when)
{
    if (!(c->crash & when))
        return false;
    sn_emit(c, SN_FX_EXIT)->number = 99;
    return true;
}

/* ---- the lead ---- */

static void phase_began(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    s->phase_us = f->core->now_us;
    for (size_t k = 0; k < s->nvoters; k++) {
        s->voters[k].asked_us = 0;
        s->voters[k].refused = false;
    }
}

void sn_swap_superseded(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    if (s->lead.phase == SN_SWAP_IDLE)
        return;
    s->lead.phase = SN_SWAP_IDLE;
    s->heard_us = f->core->now_us;
    s->again_us = f->core->now_us + RANK_STEP;
}

/* Known to be that of a majority. */
static void decided(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    bool commit = s->has.entry.value == SN_SWAP_COMMIT;
    s->decided_us = f->core->now_us;
    s->telling = commit;
    s->hurry = false;
    s->again_us = 0; /* whoever had our vote is through */
    for (size_t k = 0; k < s->nvoters; k++) {
        s->voters[k].knows = false;
        s->voters[k].told_us = 0;
    }
    for (size_t k = 0; k < f->nmembers; k++)
        if (f->members[k]->node)
            f->members[k]->node->swap_sent_us = 0;
    tell(f, commit ? "+swapdb-commit" : "+swapdb-abort", commit ? "commit" : "abort", commit ? "" : s->why);
    sn_swap_changed(f);
    touch_shards(f);
}

void sn_swap_learned(struct sn_fleet *f, const struct sn_swap *theirs)
{
    struct sn_swapping *s = &f->swap;
    bool news = s->has.entry.step.begun != theirs->entry.step.begun || !s->has.entry.decided;
    if (!sn_swap_learn(&s->has, theirs))
        return;
    if (s->lead.phase != SN_SWAP_IDLE && s->lead.epoch <= theirs->accepted)
        sn_swap_superseded(f);
    if (s->has.promised > f->vote_epoch)
        f->vote_epoch = s->has.promised;
    if (!news) {
        sn_swap_changed(f);
        return;
    }
    if (s->lead.phase == SN_SWAP_IDLE)
        snprintf(s->why, sizeof s->why, "%s", *theirs->entry.why ? theirs->entry.why : SN_SWAP_UNKNOWN);
    s->lead_us = 0;
    decided(f);
}

/* Our own voice counts when it is on disk, as everybody's. */
static void propose(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    phase_began(f);
    if (sn_swap_accept(&s->has, s->lead.epoch, &s->lead.proposal))
        sn_swap_changed(f);
    else
        sn_swap_superseded(f);
}

static void stand(struct sn_fleet *f, bool wanted)
{
    struct sn_swapping *s = &f->swap;
    struct sn_core *c = f->core;
    struct sn_swap_entry want;
    if (c->current_epoch < f->vote_epoch)
        c->current_epoch = f->vote_epoch;
    c->dirty_meta = true;
    sn_publish_core(c, SN_LOG_WARNING, "+new-epoch", "%" PRIu64, ++c->current_epoch);
    if (wanted)
        sn_swap_want(f, &want);
    sn_swap_stand(&s->lead, c->current_epoch, sn_swap_needed(f), wanted ? &want : NULL);
    s->lead_us = c->now_us;
    s->why[0] = '\0';
    phase_began(f);
    if (!sn_swap_promise(&s->has, s->lead.epoch)) { /* a record that came from elsewhere is ahead of our epochs */
        c->current_epoch = s->has.promised;
        sn_swap_superseded(f);
        return;
    }
    memcpy(s->promised_to, c->id, sizeof s->promised_to);
    f->vote_epoch = s->lead.epoch;
    f->dirty = true;
    sn_swap_changed(f);
}

/* Of what is proposed to be given up: for us, and for those who accept it. */
static void explain(struct sn_fleet *f, const char *why)
{
    struct sn_swapping *s = &f->swap;
    struct sn_swap_entry *e = &s->lead.proposal;
    if (why != s->why)
        snprintf(s->why, sizeof s->why, "%s", why);
    if (why != e->why)
        snprintf(e->why, sizeof e->why, "%.*s", (int)sizeof e->why - 1, why);
}

/* A majority has promised: what it told says how to go on. */
static void elected(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    if (s->lead.phase == SN_SWAP_IDLE) {
        sn_swap_learned(f, &s->lead.latest);
        return;
    }
    if (s->lead.phase == SN_SWAP_BEGINNING && sn_swap_masters_change(f)) {
        sn_swap_superseded(f);
        return;
    }
    if (s->lead.phase == SN_SWAP_BEGINNING)
        sn_swap_begun(f);
    else if (s->lead.proposal.value == SN_SWAP_ABORT)
        explain(f, *s->lead.proposal.why ? s->lead.proposal.why
                                         : "the supervisor that led it did not end it, and another one did");
    propose(f);
}

static void give_up(struct sn_fleet *f, const char *why)
{
    sn_swap_decide(&f->swap.lead, false);
    explain(f, why);
    propose(f);
}

static void accepted(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    if (s->lead.phase == SN_SWAP_IDLE) {
        s->has.entry.decided = true;
        decided(f);
        if (s->has.entry.value == SN_SWAP_COMMIT)
            crashes(f->core, SN_CRASH_AFTER_SWAP_COMMIT);
        return;
    }
    phase_began(f);
    tell(f, "+swapdb-begin", "begin", "");
    if (!crashes(f->core, SN_CRASH_AFTER_SWAP_BEGIN))
        sn_swap_prepare(f);
}

void sn_swap_voted(struct sn_fleet *f, int voter, const struct sn_swap *has)
{
    struct sn_swap_lead *l = &f->swap.lead;
    if (l->phase == SN_SWAP_STANDING) {
        if (has->promised == l->epoch && sn_swap_promised(l, voter, has))
            elected(f);
    } else if (has->accepted == l->epoch && sn_swap_accepted(l, voter, has->entry.value)) {
        accepted(f);
    }
}

/* Our own vote or voice, once it is on disk. */
static bool count_oneself(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    if ((s->lead.yes & 1) || !sn_swap_durable(f))
        return false;
    if (s->has.promised != s->lead.epoch)
        sn_swap_superseded(f);
    else
        sn_swap_voted(f, 0, &s->has);
    return true;
}

static bool refused_by_too_many(const struct sn_fleet *f)
{
    int open = 1;
    for (size_t k = 0; k < f->swap.nvoters; k++)
        open += !f->swap.voters[k].refused;
    return open < f->swap.lead.needed;
}

/* Masters have been asked. */
static int64_t await_masters(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    char why[SN_SWAP_WHY];
    const char *broken = sn_swap_broken(f, why);
    if (broken) {
        give_up(f, broken);
    } else if (s->hurry) {
        give_up(f, "a failover goes first");
    } else if (sn_swap_all_said_yes(f)) {
        if (crashes(f->core, SN_CRASH_AFTER_SWAP_PREPARE))
            return HEAP_NEVER;
        sn_swap_decide(&s->lead, true);
        propose(f);
    } else if (f->core->now_us >= s->phase_us + PREPARE_MAX) {
        give_up(f, sn_swap_silent(f, why));
    } else {
        return s->phase_us + PREPARE_MAX;
    }
    return f->core->now_us;
}

static int64_t lead(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    if (s->lead.phase == SN_SWAP_IDLE)
        return HEAP_NEVER;
    if (s->lead.phase == SN_SWAP_PREPARING)
        return await_masters(f);
    if (count_oneself(f))
        return f->core->now_us;
    if (f->core->now_us < s->phase_us + ROUND_MAX && !refused_by_too_many(f))
        return s->phase_us + ROUND_MAX;
    sn_swap_superseded(f);
    return f->core->now_us;
}

/* ---- standing ---- */

static int rank(const struct sn_fleet *f)
{
    int before = 0;
    for (size_t k = 0; k < f->swap.nvoters; k++) {
        const struct sn_peer *p = f->swap.voters[k].peer;
        before += p->cmd.state == SN_CONN_UP && !p->probe.silent_us && runid_cmp(p->id, f->core->id) < 0;
    }
    return before;
}

/* With fewer nothing can be won. */
static bool reaches_enough(const struct sn_fleet *f)
{
    int there = 1;
    for (size_t k = 0; k < f->swap.nvoters; k++) {
        const struct sn_peer *p = f->swap.voters[k].peer;
        there += p->cmd.state == SN_CONN_UP && p->kind == SN_PEER_OURS;
    }
    return there >= sn_swap_needed(f);
}

/* An attempt is open, and its leader is silent; or a failover waits for its end. */
static int64_t takeover_at(const struct sn_fleet *f)
{
    const struct sn_swapping *s = &f->swap;
    const struct sn_peer *leader = *s->promised_to ? map_gets(&f->core->by_id, s->promised_to) : NULL;
    if (s->hurry)
        return s->heard_us + (1 + rank(f)) * HURRY_STEP;
    if (leader && leader->cmd.state != SN_CONN_UP && leader->cmd.since_us > s->heard_us)
        return leader->cmd.since_us + GONE + rank(f) * RANK_STEP;
    return s->heard_us + SILENCE + rank(f) * RANK_STEP;
}

static int64_t consider(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    struct sn_core *c = f->core;
    if (s->lead.phase != SN_SWAP_IDLE || c->broken || c->tilt || !sn_swap_may_decide(f) || !c->ours.counted ||
        !f->nshards || !reaches_enough(f))
        return HEAP_NEVER;
    if (sn_swap_is_open(&s->has)) {
        int64_t at = takeover_at(f);
        if (c->now_us < at)
            return at;
        stand(f, false);
        return c->now_us;
    }
    s->hurry = false;
    if (c->now_us < s->again_us)
        return s->again_us;
    bool now = false;
    int64_t at = sn_swap_wants(f, &now);
    if (!now)
        return at;
    stand(f, true);
    return c->now_us;
}

static void notice_done(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    struct sn_swap_step mapping = sn_swap_mapping(&s->has.entry);
    if (s->done >= mapping.version || !sn_swap_everywhere(f, mapping.version))
        return;
    s->done = mapping.version;
    if (s->telling && s->lead_us)
        tell(f, "+swapdb-done", "done", "");
    s->telling = false;
}

int64_t sn_swap_evaluate(struct sn_fleet *f)
{
    struct sn_core *c = f->core;
    int64_t next = HEAP_NEVER;
    if (!decides(f))
        return HEAP_NEVER;
    find_voters(f);
    sn_swap_heard_enough(f);
    for (int turn = 0; turn < 8; turn++) {
        next = lead(f);
        EARLIER(next, consider(f));
        if (next > c->now_us)
            break;
    }
    notice_done(f);
    EARLIER(next, sn_swap_settle(f));
    EARLIER(next, sn_swap_tell(f));
    EARLIER(next, sn_swap_mend(f));
    return next;
}
