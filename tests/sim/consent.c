/* The operator's hook of a supervisor, as the core sees it: it is asked before a promotion, and says yes or no after a
 * while, or nothing at all. A shell always answers in time; one that does not is the worst that the core may meet. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static void answer(struct world *w, struct happening *h)
{
    struct question *q = (struct question *)h;
    struct super *s = &w->supers[q->super];
    if (s->stopped) {
        inbox_put(&s->inbox, h);
        return;
    }
    q->verdict = q->will;
    w->counts[q->verdict == CONSENT_YES ? COUNT_CONSENTED : COUNT_VETOED]++;
    struct sn_event e = {.kind = SN_EV_VERDICT,
                         .group = slice_of(w->groups[q->group].name),
                         .epoch = q->epoch,
                         .ok = q->verdict == CONSENT_YES,
                         .text = slice_of(q->verdict == CONSENT_NO ? "the policy says no" : "")};
    super_step(w, s, &e);
}

void consent_policy(struct world *w, struct super *s, enum consent policy, int64_t after_us)
{
    static const char *const names[] = {"nothing", "yes", "no", "nothing, and is asked"};
    RECORD(w, end_name(w, s->index), "its hook says %s from now on, after %lld ms", names[policy],
           (long long)(after_us / 1000));
    s->consent.policy = policy;
    s->consent.after_us = after_us;
    s->consent.since_us = w->now_us;
    struct sn_event e = {.kind = SN_EV_HOOKS, .ok = policy != CONSENT_NOT_ASKED};
    super_step(w, s, &e);
}

void consent_asked(struct world *w, struct super *s, const struct sn_effect *e)
{
    for (int i = 0; i < w->plan.groups; i++) {
        struct question *q = &s->consent.questions[i];
        if (strcmp(w->groups[i].name, e->group) != 0)
            continue;
        q->super = s->index;
        q->group = i;
        q->epoch = e->epoch;
        q->will = s->consent.policy;
        q->verdict = CONSENT_NOT_ASKED;
        if (q->will == CONSENT_YES || q->will == CONSENT_NO)
            happen(w, &q->answer, w->now_us + s->consent.after_us, answer);
        else
            happen_not(w, &q->answer);
    }
}

void consent_forget(struct world *w, struct super *s)
{
    for (int i = 0; i < w->plan.groups; i++)
        happen_not(w, &s->consent.questions[i].answer);
}
