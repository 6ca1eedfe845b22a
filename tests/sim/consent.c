/* The operator's hook of a supervisor, as the core sees it: it is asked before a promotion, and says yes or no after a
 * while, or nothing at all. A shell always answers in time; one that does not is the worst that the core may meet. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static void answer(struct world *w, struct happening *h)
{
    struct super *s = (struct super *)((char *)h - offsetof(struct super, consent.answer));
    struct sn_event e = {.kind = SN_EV_VERDICT,
                         .group = slice_of(s->consent.group),
                         .epoch = s->consent.epoch,
                         .ok = s->consent.policy == CONSENT_YES,
                         .text = slice_of(s->consent.policy == CONSENT_NO ? "the policy says no" : "")};
    super_step(w, s, &e);
}

void consent_policy(struct world *w, struct super *s, enum consent policy, int64_t after_us)
{
    s->consent.policy = policy;
    s->consent.after_us = after_us;
    struct sn_event e = {.kind = SN_EV_HOOKS, .ok = policy != CONSENT_NOT_ASKED};
    super_step(w, s, &e);
}

void consent_asked(struct world *w, struct super *s, const struct sn_effect *e)
{
    snprintf(s->consent.group, sizeof s->consent.group, "%s", e->group);
    s->consent.epoch = e->epoch;
    if (s->consent.policy != CONSENT_SILENT)
        happen(w, &s->consent.answer, w->now_us + s->consent.after_us, answer);
}
