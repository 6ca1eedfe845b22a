/* Standing for election. First a replica is selected, then a ballot is held that names it; so nobody is elected who
 * could not promote.
 *
 * Who stands is a matter of rank, not of luck: the supervisors of a group stand in the order of their ids, milliseconds
 * apart; one that does not answer is left out, one that failed goes to the end. */
#include "sentineld/core/fleet.h"
#include "sentineld/core/plant.h"
#include "sentineld/core/select.h"
#include "sentineld/core/swap_inner.h"

#define FRESH_WAIT MS(100)  /* how long O_DOWN waits for the replicas' own word about their offsets */
#define RANK_STEP MS(20)    /* between two ranks, on a fast network and disk */
#define LED_LIFE MS(300)    /* so long somebody who leads other shards is thought to come to this one too, */
#define LED_WAIT MS(100)    /* and is given so much time for it */
#define FORCED_WAIT MS(500) /* an operator's failover waits this long for votes that nobody refuses */
#define LEASES 4            /* the life of a ballot under leases: so many of theirs, */
#define LIFE_LEAST MS(1000) /* and not less: two disks may be slow */
#define LOST_MAX 10
#define LIST_LOOK MS(50) /* a list that no node counts is looked at again */
#define ALONE_MIN 1000   /* epochs that a failover without votes skips */
#define ALONE_MAX 1000000

/* A ballot that is not won in this time is lost, and a promotion that has not been sent by its end never is. Under
 * leases its grants are over with the lease, so nothing is won by more than some of their times. */
int64_t sn_ballot_life_us(const struct sn_core *c, const struct sn_group *g)
{
    int64_t life = MS(2000);
    EARLIER(life, MS(c->params.election_timeout_ms));
    EARLIER(life, MS(g->set.failover_timeout_ms));
    int64_t leases = LEASES * sn_lease_ttl(g);
    if (leases)
        EARLIER(life, leases > LIFE_LEAST ? leases : LIFE_LEAST);
    return life;
}

/* As long as the ballot lives, and as long again for what is under way; a promotion that comes late gets no lease by
 * what was granted with the vote. */
int64_t sn_vote_life_us(const struct sn_core *c, const struct sn_group *g)
{
    return sn_ballot_life_us(c, g) * (sn_lease_ttl(g) ? 1 : 2);
}

/* How many stand before me: lower failure, then lower id. Steps are as long as a vote takes: two trips and two disks.
 */
static int64_t rank_delay(const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    int64_t step = RANK_STEP, rank = 0;
    for (size_t k = 0; k < g->nseats; k++) {
        const struct sn_seat *s = g->seats[k];
        const struct sn_peer *p = s->peer;
        if (p->cmd.state != SN_CONN_UP || s->s_down)
            continue;
        if (p->probe.rtt_us * 2 + c->disk_us * 2 > step)
            step = p->probe.rtt_us * 2 + c->disk_us * 2;
        bool i_failed = g->lost_rounds > 0;
        if (s->failed != i_failed ? i_failed : runid_cmp(p->id, c->id) < 0)
            rank++;
    }
    if (step > MS(500))
        step = MS(500);
    return rank * step;
}

static void tell_no_good(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    if (g->no_good_us && c->now_us < g->no_good_us + MS(g->set.failover_timeout_ms))
        return;
    g->no_good_us = c->now_us;
    sn_publish_inst(g->master, SN_LOG_WARNING, "-failover-abort-no-good-slave", NULL);
    if (sn_needs_operator(g))
        sn_publish_inst(g->master, SN_LOG_WARNING, "-failover-needs-operator",
                        "#its replicas may not know what it has promised last; SENTINEL FAILOVER %s promotes the best "
                        "of them by force",
                        g->name);
}

/* An operator's failover waits for nothing but the replicas' own word about their offsets. */
static int64_t obey(struct sn_group *g)
{
    struct sn_core *c = g->core;
    if (!sn_select_fresh(g, g->order.since_us) && c->now_us < g->order.since_us + FRESH_WAIT)
        return g->order.since_us + FRESH_WAIT;
    struct sn_inst *candidate = sn_select(g, &g->order.wanted);
    struct addr wanted = g->order.wanted;
    bool coordinated = g->order.coordinated;
    memset(&g->order, 0, sizeof g->order);
    if (!candidate) {
        sn_publish_inst(g->master, SN_LOG_WARNING, "-failover-abort-no-good-slave", NULL);
        sn_account_no_replica(g, &wanted);
        return HEAP_NEVER;
    }
    g->fo.forced = true;
    g->fo.coordinated = coordinated;
    g->fo.wanted = wanted;
    sn_election_start(g, candidate);
    return HEAP_NEVER;
}

/* As sn_vote_heir(), if it can be promoted now: the master only as what it is. One that refuses is waited for. */
static struct sn_inst *find_heir(struct sn_group *g)
{
    struct sn_inst *heir = sn_vote_heir(g);
    if (heir && heir->refused_us && g->core->now_us < heir->refused_us + sn_vote_life_us(g->core, g))
        return NULL;
    if (!heir || sn_is_master(heir))
        return heir && !heir->s_down ? heir : NULL;
    struct addr wanted = sn_shown_addr(g->core, heir->node);
    return sn_select(g, &wanted);
}

/* *until: when that may be over; HEAP_NEVER: the group is touched then. heir: who is to be promoted, if a vote that
 * binds us does not stand against it; NULL: anybody. */
static bool hindered(struct sn_group *g, const struct sn_inst *heir, int64_t *until)
{
    const struct sn_core *c = g->core;
    *until = HEAP_NEVER;
    if (sn_list_waits(g)) {
        g->stand_us = 0;
        *until = c->now_us + LIST_LOOK;
        sn_account_waiting(g, SN_WAITING_LIST, *until);
    } else if (!g->heard || c->broken || c->tilt) {
        sn_account_waiting(g, c->broken ? SN_WAITING_DISK : c->tilt ? SN_WAITING_TILT : SN_WAITING_HEARD, 0);
    } else if (!sn_has_met_others(g)) {
        *until = g->meet_us;
        sn_account_waiting(g, SN_WAITING_MEET, *until);
    } else if (sn_vote_locked(g) && !heir) {
        g->stand_us = 0;
        *until = sn_vote_lock_end(g);
        sn_account_waiting(g, SN_WAITING_VOTE, *until);
    } else if (c->now_us < g->next_attempt_us) {
        *until = g->next_attempt_us;
        sn_account_waiting(g, SN_WAITING_ATTEMPT, *until);
    } else {
        return false;
    }
    return true;
}

/* Until when the operator wants no automatic failover; 0: no such time. */
static int64_t paused(struct sn_group *g)
{
    const struct sn_pause *p = sn_pause_of(g);
    if (!p)
        return 0;
    g->stand_us = 0;
    sn_account_waiting(g, SN_WAITING_PAUSED, p->until_us);
    return p->until_us;
}

/* When many shards of a cluster fail together, whoever stands first leads them all, if it is given the time: two that
 * lead at once take each other's votes, as no two ballots of a cluster have one epoch. */
static int64_t leader_delay(const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    const struct sn_fleet *f = g->fleet;
    if (!f || !f->led_us || c->now_us >= f->led_us + LED_LIFE || runid_cmp(f->led_by, c->id) >= 0)
        return 0;
    const struct sn_peer *p = map_gets(&c->by_id, f->led_by);
    return p && p->cmd.state == SN_CONN_UP ? LED_WAIT : 0;
}

/* Until when others are given the time to stand; 0: it is our turn. */
static int64_t others_stand_first(struct sn_group *g)
{
    if (!g->stand_us)
        g->stand_us = g->core->now_us + rank_delay(g);
    int64_t until = g->stand_us + leader_delay(g);
    if (g->core->now_us >= until) {
        g->stand_us = 0;
        return 0;
    }
    sn_account_waiting(g, SN_WAITING_RANK, until);
    return until;
}

/* SAFETY E5: the master again. A planned switch whose leader is gone is finished instead (E9). */
static int64_t stand_for_incumbent(struct sn_group *g)
{
    int64_t until;
    struct sn_inst *heir = find_heir(g);
    if (hindered(g, heir, &until))
        return until;
    if ((until = others_stand_first(g)) != 0)
        return until;
    g->fo.inherited = g->fo.forced = g->fo.coordinated = heir && !sn_is_master(heir);
    sn_election_start(g, heir ? heir : g->master);
    return HEAP_NEVER;
}

int64_t sn_election_consider(struct sn_group *g)
{
    struct sn_core *c = g->core;
    int64_t until;
    if (g->fleet && g->fo.state == SN_FO_NONE && sn_swap_under_way(g->fleet)) { /* SAFETY W1 */
        if (g->order.since_us || g->o_down) {
            sn_swap_hurry(g->fleet);
            sn_account_waiting(g, SN_WAITING_SWAPDB, 0);
        }
        g->stand_us = 0;
        return HEAP_NEVER;
    }
    if (g->order.since_us && g->fo.state == SN_FO_NONE)
        return obey(g);
    until = g->fo.state == SN_FO_NONE ? sn_lease_wants_ballot(g) : HEAP_NEVER;
    if (until <= c->now_us)
        return stand_for_incumbent(g);
    if (!g->o_down || g->fo.state != SN_FO_NONE) {
        g->stand_us = 0;
        return until;
    }
    if ((until = paused(g)) != 0)
        return until;
    struct sn_inst *heir = find_heir(g);
    if (hindered(g, heir, &until))
        return until;
    int64_t since = g->master->node->probe.silent_us ? g->master->node->probe.silent_us : g->master->s_down_us;
    if (!sn_select_fresh(g, since) && c->now_us < g->o_down_us + FRESH_WAIT) {
        sn_account_waiting(g, SN_WAITING_OFFSETS, g->o_down_us + FRESH_WAIT);
        return g->o_down_us + FRESH_WAIT;
    }
    struct sn_inst *candidate = heir ? heir : sn_select(g, NULL);
    if (!candidate) {
        g->stand_us = 0;
        tell_no_good(g);
        sn_account_waiting(g, sn_needs_operator(g) ? SN_WAITING_OPERATOR : SN_WAITING_REPLICA, 0);
        return c->now_us + MS(1000); /* and whenever a replica says something new */
    }
    if ((until = others_stand_first(g)) != 0)
        return until;
    sn_election_start(g, candidate);
    return HEAP_NEVER;
}

/* All ballots that start in one step share an epoch: a stock voter that granted a higher one would refuse the lower
 * ones of the same batch (SAFETY E8). Votes are counted by master and epoch, so one number serves many masters. Under
 * leases it becomes the config epoch of the one that is promoted, so each has its own, and all voters are ours. */
static uint64_t raise_epoch(struct sn_group *g)
{
    struct sn_core *c = g->core;
    if (g->fleet) { /* no two masters of a cluster have one epoch */
        c->dirty_meta = true;
        sn_publish_group(g, SN_LOG_WARNING, "+new-epoch", "%llu", (unsigned long long)++c->current_epoch);
        return c->current_epoch;
    }
    if (!c->stand_epoch) {
        c->stand_epoch = ++c->current_epoch;
        c->dirty_meta = true;
        sn_publish_group(g, SN_LOG_WARNING, "+new-epoch", "%llu", (unsigned long long)c->current_epoch);
    }
    return c->stand_epoch;
}

/* Our own vote; the others are asked for theirs when it is on disk. */
static void vote_for_oneself(struct sn_group *g)
{
    struct sn_core *c = g->core;
    g->fo.own_vote = false;
    sn_vote_give(g, c->id, g->fo.epoch, sn_ballot_life_us(c, g));
    sn_lease_vote(g, g->fo.candidate);
    struct sn_pending *w = sn_wait(c, g->vote_seq);
    w->is_stand = true;
    w->group = g;
    w->fx.epoch = g->fo.epoch;
    sn_touch_group(g);
}

void sn_election_start(struct sn_group *g, struct sn_inst *candidate)
{
    struct sn_core *c = g->core;
    g->fo.start_us = g->fo.state_us = c->now_us;
    g->fo.state = SN_FO_WAIT_START;
    g->fo.epoch = raise_epoch(g);
    g->fo.sent = g->fo.unopposed = false;
    g->fo.step = SN_SWITCH_NONE;
    g->fo.candidate = candidate;
    g->fo.incumbent = candidate == g->master;
    g->fo.from = sn_current_master(g);
    const struct sn_inst *m = g->master;
    g->fo.at = (struct sn_phases){.silent_us = m->s_down ? m->s_down_base_us : 0,
                                  .s_down_us = m->s_down ? m->s_down_us : 0,
                                  .o_down_us = g->o_down ? g->o_down_us : 0};
    sn_publish_inst(g->master, SN_LOG_WARNING, g->fo.incumbent ? "+try-confirm-master" : "+try-failover", NULL);
    sn_account_stand(g);
    vote_for_oneself(g);
}

/* Without a majority nothing keeps a supervisor that we do not reach from leading the same epoch. Ours is moved to
 * where nobody gets by counting, drawn so that two operators on two sides of a cut network do not meet there either. */
static void go_alone(struct sn_group *g)
{
    struct sn_core *c = g->core;
    c->current_epoch += (uint64_t)rng_range(&c->rng, ALONE_MIN, ALONE_MAX);
    c->dirty_meta = true;
    g->vote_void = true; /* nothing came of the first one */
    sn_publish_group(g, SN_LOG_WARNING, "+new-epoch", "%llu", (unsigned long long)c->current_epoch);
    sn_account_ballot(g, SN_NOTE_LOST,
                      "nobody to ask answers: the operator's word goes alone, with an epoch far above");
    g->fo.epoch = c->current_epoch;
    g->fo.unopposed = true;
    sn_account_stand(g);
    vote_for_oneself(g);
}

void sn_election_durable(struct sn_group *g, uint64_t epoch)
{
    if (g->fo.state != SN_FO_WAIT_START || g->fo.epoch != epoch)
        return;
    g->fo.own_vote = true;
    sn_vote_told(g, g->core->id, epoch);
    for (size_t k = 0; k < g->nseats; k++) {
        g->seats[k]->want_vote = true;
        sn_want(g->seats[k]);
    }
    sn_touch_group(g);
}

void sn_election_disk_failed(struct sn_group *g, uint64_t epoch)
{
    if (g->fo.state == SN_FO_WAIT_START && g->fo.epoch == epoch)
        sn_election_lose(g, "-failover-abort-not-elected");
}

bool sn_seat_votes_for_us(const struct sn_seat *s)
{
    const struct sn_group *g = s->group;
    return s->vote_epoch == g->fo.epoch && runid_cmp(s->vote_leader, g->core->id) == 0;
}

struct tally {
    int granted, refused, opposed, open;
};

static struct tally count(const struct sn_group *g)
{
    struct tally t = {.granted = g->fo.own_vote};
    for (size_t k = 0; k < g->nseats; k++) {
        const struct sn_seat *s = g->seats[k];
        if (sn_seat_votes_for_us(s))
            t.granted++;
        else if (s->refused_epoch == g->fo.epoch)
            t.refused++, t.opposed += s->vote_epoch >= g->fo.epoch;
        else if (s->peer->cmd.state == SN_CONN_UP && !s->s_down)
            t.open++;
    }
    return t;
}

static const char *why_lost(const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    if (!g->fo.forced && !g->o_down)
        return "the master is no longer objectively down";
    if (!g->fo.forced && !g->fo.incumbent && sn_pause_of(g))
        return "automatic failovers were paused by an operator";
    if (!g->fo.own_vote)
        return c->now_us >= g->fo.start_us + sn_ballot_life_us(c, g) ? "our own vote was not on disk in time"
               : c->broken ? "our own vote cannot be written to the state directory"
                           : "another supervisor stands with a higher epoch";
    if (sn_voters(g) - count(g).refused < sn_votes_needed(g))
        return "too many supervisors refused their vote";
    if (c->now_us >= g->fo.start_us + sn_ballot_life_us(c, g))
        return "too few votes came in time";
    return c->broken ? "the state directory cannot be written" : "another supervisor stands with a higher epoch";
}

/* Nothing was sent: the grants are free again. */
void sn_election_lose(struct sn_group *g, const char *event)
{
    struct sn_core *c = g->core;
    bool again = !g->fo.forced || g->fo.inherited;
    int64_t took = c->now_us - g->fo.start_us;
    if (g->fo.state == SN_FO_WAIT_START)
        sn_account_ballot(g, SN_NOTE_LOST, why_lost(g));
    else
        sn_account_aborted(g, event + strlen("-failover-abort-"));
    sn_publish_inst(g->master, SN_LOG_WARNING, event, NULL);
    sn_failover_drop(g);
    if (again) {
        if (g->lost_rounds < LOST_MAX)
            g->lost_rounds++;
        /* A round that refusals ended is tried again soon; one that nobody answered, after as long as it took and more.
         */
        int64_t base = MS(10) << g->lost_rounds;
        if (took >= sn_ballot_life_us(c, g))
            base = took << (g->lost_rounds < 3 ? g->lost_rounds : 3);
        EARLIER(base, MS(c->params.election_timeout_ms));
        g->next_attempt_us = c->now_us + rng_range(&c->rng, base / 2, base);
    }
    sn_touch_group(g);
}

int64_t sn_election_advance(struct sn_group *g)
{
    struct sn_core *c = g->core;
    if (g->fo.state != SN_FO_WAIT_START)
        return HEAP_NEVER;
    int64_t end = g->fo.start_us + sn_ballot_life_us(c, g);
    bool over = c->now_us >= end;
    /* Nothing has been sent: a master that is well again, or that too few hold for down, stays. */
    bool unwanted = !g->fo.incumbent && (!g->o_down || sn_pause_of(g));
    if (!g->fo.forced && (g->fo.incumbent ? g->master->s_down : unwanted)) {
        sn_election_lose(g, "-failover-abort-not-elected");
        return HEAP_NEVER;
    }
    struct tally t = count(g);
    int needed = PLANTED(2, sn_votes_needed(g), 1);
    if (g->fo.own_vote && t.granted >= needed && !over) {
        g->fo.unopposed = false;
        sn_failover_elected(g);
        return HEAP_NEVER;
    }
    bool alone = g->fo.forced && !g->fo.coordinated;
    if (alone && !g->fo.own_vote && !over)
        return end;
    if (alone && g->fo.own_vote && !t.opposed) {
        /* An operator's word counts where a majority cannot be asked; against somebody else's live ballot it does not.
         */
        int64_t patience = sn_ballot_life_us(c, g) / 2;
        EARLIER(patience, FORCED_WAIT);
        patience += g->fo.start_us;
        if (!over && t.open && c->now_us < patience)
            return patience;
        if (!over && g->fo.unopposed)
            sn_failover_elected(g);
        else if (!over)
            go_alone(g);
        else
            sn_election_lose(g, "-failover-abort-not-elected");
        return HEAP_NEVER;
    }
    /* Somebody else has votes of this round: when those that can be asked are not enough, waiting helps nobody. */
    bool split = t.opposed && t.granted + t.open < needed;
    if (over || split || sn_voters(g) - t.refused < needed) {
        sn_election_lose(g, "-failover-abort-not-elected");
        return HEAP_NEVER;
    }
    return end;
}
