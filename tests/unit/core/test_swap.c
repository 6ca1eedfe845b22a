/* The decision log of swaps: examples, and a world of supervisors, disks and masters in which messages are late,
 * doubled and lost, and everybody forgets in a crash what is not on its disk. */
#include "sentineld/core/swap.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sn_swap_entry wanted(int a, int b)
{
    return (struct sn_swap_entry){.step = {.a = a, .b = b}};
}

/* ---- examples ---- */

static void a_voter_keeps_its_promise(void **state)
{
    (void)state;
    struct sn_swap s = {.promised = 0};
    struct sn_swap_entry begun = {.value = SN_SWAP_BEGUN, .step = {.version = 1, .begun = 5, .a = 1, .b = 2}};
    assert_true(sn_swap_promise(&s, 5));
    assert_false(sn_swap_promise(&s, 5));
    assert_true(sn_swap_accept(&s, 5, &begun));
    assert_true(sn_swap_is_open(&s));
    assert_true(sn_swap_is_sane(&s));
    assert_true(sn_swap_promise(&s, 7));
    assert_false(sn_swap_accept(&s, 5, &begun));
    assert_int_equal(s.accepted, 5);
    struct sn_swap_entry ended = begun;
    ended.value = SN_SWAP_ABORT;
    assert_true(sn_swap_accept(&s, 7, &ended));
    assert_false(sn_swap_accept(&s, 7, &begun)); /* said before that, and late */
    assert_true(sn_swap_accept(&s, 7, &ended));
    ended.value = SN_SWAP_COMMIT;
    assert_false(sn_swap_accept(&s, 7, &ended));
    assert_int_equal(s.entry.value, SN_SWAP_ABORT);
}

static void what_is_decided_is_learned(void **state)
{
    (void)state;
    struct sn_swap s = {.promised = 9};
    struct sn_swap theirs = {.promised = 7,
                             .accepted = 7,
                             .entry = {.value = SN_SWAP_COMMIT,
                                       .decided = true,
                                       .step = {.version = 3, .begun = 7, .a = 1, .b = 2},
                                       .before = {.version = 2, .begun = 4, .a = 0, .b = 1}}};
    assert_true(sn_swap_is_sane(&theirs));
    assert_true(sn_swap_learn(&s, &theirs));
    assert_false(sn_swap_learn(&s, &theirs));
    assert_int_equal(s.promised, 9);
    assert_int_equal(sn_swap_mapping(&s.entry).version, 3);
    theirs.entry.decided = false;
    assert_int_equal(sn_swap_mapping(&theirs.entry).version, 2);
    theirs.accepted = 8;
    theirs.promised = 8;
    assert_false(sn_swap_learn(&s, &theirs));
    theirs.entry.step.version = 5;
    assert_false(sn_swap_is_sane(&theirs));
}

static void a_leader_goes_on_from_the_latest(void **state)
{
    (void)state;
    struct sn_swap_lead l;
    struct sn_swap_entry want = wanted(3, 4);
    struct sn_swap none = {.promised = 9},
                   begun = {.promised = 9,
                            .accepted = 5,
                            .entry = {.value = SN_SWAP_BEGUN, .step = {.version = 1, .begun = 5, .a = 1, .b = 2}}};
    sn_swap_stand(&l, 9, 2, &want);
    assert_false(sn_swap_promised(&l, 0, &none));
    assert_false(sn_swap_promised(&l, 0, &none));
    assert_true(sn_swap_promised(&l, 1, &begun));
    assert_int_equal(l.phase, SN_SWAP_DECIDING);
    assert_int_equal(l.proposal.value, SN_SWAP_ABORT);
    assert_int_equal(l.proposal.step.begun, 5);
    assert_false(sn_swap_accepted(&l, 0, SN_SWAP_BEGUN));
    assert_false(sn_swap_accepted(&l, 0, SN_SWAP_ABORT));
    assert_true(sn_swap_accepted(&l, 2, SN_SWAP_ABORT));
    assert_true(l.proposal.decided);
    begun.entry.value = SN_SWAP_COMMIT;
    sn_swap_stand(&l, 10, 1, &want);
    assert_true(sn_swap_promised(&l, 1, &begun));
    assert_int_equal(l.proposal.value, SN_SWAP_COMMIT);
    begun.entry.decided = true;
    sn_swap_stand(&l, 11, 1, NULL);
    assert_true(sn_swap_promised(&l, 1, &begun));
    assert_int_equal(l.phase, SN_SWAP_IDLE);
    sn_swap_stand(&l, 12, 1, &want);
    assert_true(sn_swap_promised(&l, 1, &begun));
    assert_int_equal(l.phase, SN_SWAP_BEGINNING);
    assert_int_equal(l.proposal.step.version, 2);
    assert_int_equal(l.proposal.step.begun, 12);
    assert_int_equal(l.proposal.before.version, 1);
}

static const char unsettled[] = "it does not settle";

/* ---- a world ---- */

#define SUPERVISORS_MAX 5
#define MASTERS 3
#define MESSAGES 256
#define ATTEMPTS 512

enum kind { STAND, ACCEPT, TELL, ANSWER, PREPARE, YES, APPLY, ABORT };

struct message {
    enum kind kind, to; /* to: what an ANSWER answers */
    int from, at;
    uint64_t epoch;
    bool yes;
    struct sn_swap has;
};

struct supervisor {
    struct sn_swap has, disk;
    int promised_to;
    struct sn_swap_lead lead;
    unsigned yes;                  /* of masters */
    struct message held[MESSAGES]; /* what leaves when the disk has it */
    int nheld;
};

struct master { /* all of it is on its disk */
    uint64_t mapping, prepared, ballot;
    uint64_t applied_by[ATTEMPTS]; /* per mapping: the attempt */
};

static struct {
    struct rng rng;
    int n, needed;
    uint64_t epoch;
    struct supervisor s[SUPERVISORS_MAX];
    struct master m[MASTERS];
    struct message queue[MESSAGES];
    int nqueue;
    enum sn_swap_value decided[ATTEMPTS]; /* per attempt, by anybody */
    const char *broken;
    bool calm, forgets_promises, hasty, guesses; /* the last three: planted */
    int first;                                   /* CALM: in rank */
    int commits, aborts;
} w;

static bool chance(int percent)
{
    return !w.calm && rng_below(&w.rng, 100) < (uint64_t)percent;
}

static void broken(const char *what)
{
    if (!w.broken)
        w.broken = what;
}

static void post(const struct message *m)
{
    if (w.nqueue < MESSAGES && !chance(8))
        w.queue[w.nqueue++] = *m;
    if (w.nqueue < MESSAGES && chance(8))
        w.queue[w.nqueue++] = *m;
}

/* Nothing is told before it is on disk. */
static void hold(struct supervisor *s, const struct message *m)
{
    if (s->nheld < MESSAGES)
        s->held[s->nheld++] = *m;
}

static void decided_is(uint64_t begun, enum sn_swap_value v)
{
    enum sn_swap_value *d = &w.decided[begun % ATTEMPTS];
    if (*d != SN_SWAP_NONE && *d != v)
        broken("one attempt is committed and aborted");
    if (*d == SN_SWAP_NONE)
        v == SN_SWAP_COMMIT ? w.commits++ : w.aborts++;
    *d = v;
}

static int on_disk(uint64_t begun, enum sn_swap_value v)
{
    int n = 0;
    for (int i = 0; i < w.n; i++)
        n += (w.s[i].disk.entry.step.begun == begun && w.s[i].disk.entry.value == v) ||
             w.s[i].disk.entry.step.begun > begun;
    return n;
}

static void to_others(int i, enum kind kind)
{
    struct supervisor *s = &w.s[i];
    for (int k = 0; k < w.n; k++)
        if (k != i)
            hold(s, &(struct message){.kind = kind, .from = i, .at = k, .epoch = s->lead.epoch, .has = s->has});
}

static void to_masters(int i, enum kind kind)
{
    struct supervisor *s = &w.s[i];
    for (int k = 0; k < MASTERS; k++)
        hold(s, &(struct message){.kind = kind, .from = i, .at = k, .epoch = s->has.entry.step.begun, .has = s->has});
}

static void told_decided(int i)
{
    struct supervisor *s = &w.s[i];
    decided_is(s->has.entry.step.begun, s->has.entry.value);
    if (s->has.entry.value == SN_SWAP_COMMIT && on_disk(s->has.entry.step.begun, SN_SWAP_COMMIT) < w.needed)
        broken("told as committed without a majority of records");
    to_masters(i, s->has.entry.value == SN_SWAP_COMMIT ? APPLY : ABORT);
    to_others(i, TELL);
}

static void voted(int i, int voter, const struct sn_swap *has);

static void propose(int i)
{
    struct supervisor *s = &w.s[i];
    if (!sn_swap_accept(&s->has, s->lead.epoch, &s->lead.proposal)) {
        s->lead.phase = SN_SWAP_IDLE;
        return;
    }
    hold(s, &(struct message){
                .kind = ANSWER, .to = ACCEPT, .from = i, .at = i, .epoch = s->lead.epoch, .yes = true, .has = s->has});
    to_others(i, ACCEPT);
}

static void voted(int i, int voter, const struct sn_swap *has)
{
    struct supervisor *s = &w.s[i];
    struct sn_swap_lead *l = &s->lead;
    if (l->phase == SN_SWAP_STANDING) {
        if (has->promised == l->epoch && sn_swap_promised(l, voter, has) && l->phase != SN_SWAP_IDLE) {
            if (w.guesses && l->proposal.value == SN_SWAP_COMMIT)
                l->proposal.value = SN_SWAP_ABORT;
            propose(i);
        }
        return;
    }
    if (has->accepted != l->epoch || !sn_swap_accepted(l, voter, has->entry.value))
        return;
    if (l->phase == SN_SWAP_PREPARING) {
        s->yes = 0;
        to_masters(i, PREPARE);
    } else {
        s->has.entry.decided = true;
        told_decided(i);
    }
}

static void stand(int i, bool wants)
{
    struct supervisor *s = &w.s[i];
    struct sn_swap_entry want = wanted(1, 2);
    w.epoch++; /* unique, as epochs of ballots are: nobody stands twice at one */
    sn_swap_stand(&s->lead, w.epoch, w.hasty ? 1 : w.needed, wants ? &want : NULL);
    sn_swap_promise(&s->has, w.epoch);
    s->promised_to = i;
    hold(s, &(struct message){
                .kind = ANSWER, .to = STAND, .from = i, .at = i, .epoch = w.epoch, .yes = true, .has = s->has});
    to_others(i, STAND);
}

/* ---- what arrives ---- */

static void supervisor_hears(const struct message *m)
{
    struct supervisor *s = &w.s[m->at];
    bool yes = true;
    if (m->kind == STAND) {
        yes = sn_swap_promise(&s->has, m->epoch) || (s->has.promised == m->epoch && s->promised_to == m->from);
        if (yes)
            s->promised_to = m->from;
    } else if (m->kind == ACCEPT) {
        if (w.forgets_promises)
            s->has.promised = s->has.accepted;
        yes = sn_swap_accept(&s->has, m->epoch, &m->has.entry);
    } else if (sn_swap_learn(&s->has, &m->has)) {
        told_decided(m->at);
    }
    if (yes && m->kind != TELL && s->lead.phase != SN_SWAP_IDLE && s->lead.epoch < m->epoch)
        s->lead.phase = SN_SWAP_IDLE;
    struct message answer = *m;
    answer.kind = ANSWER;
    answer.to = m->kind;
    answer.from = m->at;
    answer.at = m->from;
    answer.yes = yes;
    answer.has = s->has;
    hold(s, &answer);
}

static void answer_comes(const struct message *m)
{
    struct supervisor *s = &w.s[m->at];
    bool standing = s->lead.phase == SN_SWAP_STANDING, idle = s->lead.phase == SN_SWAP_IDLE;
    if (!idle && m->yes && m->epoch == s->lead.epoch && m->to == (standing ? STAND : ACCEPT))
        voted(m->at, m->from, &m->has);
    if (m->at != m->from && sn_swap_learn(&s->has, &m->has))
        told_decided(m->at);
}

/* The node's half, as noded has it. */
static void master_hears(const struct message *m)
{
    struct master *n = &w.m[m->at];
    const struct sn_swap_step *step = &m->has.entry.step;
    if (m->kind == PREPARE) {
        bool over = step->begun < n->ballot || (step->begun == n->ballot && !n->prepared);
        if (over || step->version != n->mapping + 1)
            return;
        n->prepared = step->version;
        n->ballot = step->begun;
        post(&(struct message){.kind = YES, .from = m->at, .at = m->from, .epoch = step->begun});
    } else if (m->kind == APPLY && step->version == n->mapping + 1) {
        n->mapping = step->version;
        n->applied_by[step->version % ATTEMPTS] = step->begun;
        if (n->prepared <= n->mapping)
            n->prepared = 0;
        if (n->ballot < step->begun)
            n->ballot = step->begun;
    } else if (m->kind == APPLY && step->version > n->mapping + 1) {
        broken("a master has missed a swap for good");
    } else if (m->kind == ABORT && step->begun >= n->ballot) {
        n->ballot = step->begun;
        n->prepared = 0;
    }
}

static void yes_comes(const struct message *m)
{
    struct supervisor *s = &w.s[m->at];
    if (s->lead.phase != SN_SWAP_PREPARING || m->epoch != s->lead.epoch)
        return;
    s->yes |= 1U << m->from;
    if (s->yes != (1U << MASTERS) - 1)
        return;
    sn_swap_decide(&s->lead, true);
    propose(m->at);
}

static void deliver(void)
{
    int k = (int)rng_below(&w.rng, (uint64_t)w.nqueue);
    struct message m = w.queue[k];
    w.queue[k] = w.queue[--w.nqueue];
    switch (m.kind) {
    case STAND:
    case ACCEPT:
    case TELL: supervisor_hears(&m); break;
    case ANSWER: answer_comes(&m); break;
    case YES: yes_comes(&m); break;
    default: master_hears(&m);
    }
}

/* ---- what happens by itself ---- */

static void flush(int i)
{
    struct supervisor *s = &w.s[i];
    s->disk = s->has;
    int n = s->nheld;
    s->nheld = 0;
    for (int k = 0; k < n; k++) {
        const struct message m = s->held[k];
        if (m.kind == ANSWER && m.at == i)
            answer_comes(&m); /* one's own voice */
        else
            post(&m);
    }
}

static void crash(int i)
{
    struct supervisor *s = &w.s[i];
    s->has = s->disk;
    s->promised_to = -1;
    s->lead = (struct sn_swap_lead){.phase = SN_SWAP_IDLE};
    s->nheld = 0;
}

static bool all_at(uint64_t mapping)
{
    for (int k = 0; k < MASTERS; k++)
        if (w.m[k].mapping != mapping || w.m[k].prepared)
            return false;
    return true;
}

static void act(int i)
{
    struct supervisor *s = &w.s[i];
    const struct sn_swap_entry *e = &s->has.entry;
    if (s->nheld)
        flush(i);
    else if (sn_swap_is_open(&s->has) && s->lead.phase == SN_SWAP_IDLE && (w.calm ? i == w.first : chance(6)))
        stand(i, false);
    else if (s->lead.phase == SN_SWAP_PREPARING && chance(5)) {
        sn_swap_decide(&s->lead, false); /* a master was too slow */
        propose(i);
    } else if (e->decided && !all_at(sn_swap_mapping(e).version))
        told_decided(i);
    else if (s->lead.phase == SN_SWAP_IDLE && !sn_swap_is_open(&s->has) && chance(15) &&
             all_at(sn_swap_mapping(e).version))
        stand(i, true);
    else if (s->lead.phase != SN_SWAP_IDLE && chance(3))
        s->lead.phase = SN_SWAP_IDLE; /* its round took too long */
}

static void check(void)
{
    for (int a = 0; a < MASTERS; a++)
        for (int b = 0; b < a; b++)
            for (uint64_t v = 1; v <= w.m[a].mapping && v <= w.m[b].mapping; v++)
                if (w.m[a].applied_by[v % ATTEMPTS] != w.m[b].applied_by[v % ATTEMPTS])
                    broken("two masters made another swap at one epoch of the mapping");
    for (int k = 0; k < MASTERS; k++)
        if (w.m[k].mapping && on_disk(w.m[k].applied_by[w.m[k].mapping % ATTEMPTS], SN_SWAP_COMMIT) < w.needed)
            broken("applied without a majority of records");
}

static void one_step(void)
{
    int i = (int)rng_below(&w.rng, (uint64_t)w.n);
    if (w.nqueue && !rng_below(&w.rng, 2))
        deliver();
    else if (chance(3))
        crash(i);
    else if (!rng_below(&w.rng, 3))
        act(i);
    else if (w.s[i].nheld)
        flush(i);
    check();
}

/* All is well again: whoever is first in rank ends what is open, and all come to one mapping. */
static bool settled(void)
{
    for (int i = 0; i < w.n; i++)
        if (sn_swap_is_open(&w.s[i].has) || !all_at(sn_swap_mapping(&w.s[i].has.entry).version))
            return false;
    return true;
}

static void round_over(int i)
{
    struct supervisor *s = &w.s[i];
    s->lead.phase = SN_SWAP_IDLE;
    if (s->has.accepted)
        to_others(i, TELL);
}

static bool settles(void)
{
    w.calm = true;
    for (int turn = 0; turn < 100 && !settled(); turn++) {
        w.first = turn % w.n;
        for (int k = 0; k < 400; k++)
            one_step();
        for (int i = 0; i < w.n; i++)
            round_over(i);
    }
    return settled();
}

static const char *run(uint64_t seed, int n, void (*plant)(void))
{
    memset(&w, 0, sizeof w);
    rng_seed(&w.rng, seed);
    w.n = n;
    w.needed = n / 2 + 1;
    for (int i = 0; i < n; i++)
        w.s[i].promised_to = -1;
    if (plant)
        plant();
    for (int turn = 0; turn < 1200 && !w.broken; turn++)
        one_step();
    if (!w.broken && !settles())
        broken(unsettled);
    return w.broken;
}

static void never_both_ways(void **state)
{
    (void)state;
    int commits = 0, aborts = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        const char *why = run(seed, seed % 2 ? 3 : 5, NULL);
        if (why)
            fail_msg("seed %d: %s", (int)seed, why);
        commits += w.commits;
        aborts += w.aborts;
    }
    print_message("%d commits, %d aborts\n", commits, aborts);
    assert_true(commits > 1000 && aborts > 1000);
}

static void plant_promises(void)
{
    w.forgets_promises = true;
}

static void plant_haste(void)
{
    w.hasty = true;
}

static void plant_guess(void)
{
    w.guesses = true;
}

static void planted_bugs_are_found(void **state)
{
    (void)state;
    static void (*const plants[])(void) = {plant_promises, plant_haste, plant_guess};
    for (size_t k = 0; k < sizeof plants / sizeof plants[0]; k++) {
        bool found = false;
        for (uint64_t seed = 1; seed <= 3000 && !found; seed++)
            found = run(seed, seed % 2 ? 3 : 5, plants[k]) != NULL && strcmp(w.broken, unsettled) != 0;
        if (!found)
            fail_msg("planted bug %d was not found", (int)k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_voter_keeps_its_promise),        cmocka_unit_test(what_is_decided_is_learned),
        cmocka_unit_test(a_leader_goes_on_from_the_latest), cmocka_unit_test(never_both_ways),
        cmocka_unit_test(planted_bugs_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
