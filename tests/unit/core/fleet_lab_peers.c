/* Supervisors of the lab among themselves: their links stand, and every question is answered by the other core. */
#include "tests/unit/core/fleet_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

#define ASKED_MAX 512

/* A question that a core has not answered yet. */
static struct asked {
    struct sn_core *by;
    sn_link link;
    struct sn_effect *fx; /* with its ballots */
} asked[ASKED_MAX];
static size_t turn;

static struct sn_core *core_at(const struct addr *a)
{
    if (strncmp(a->host, "10.0.0.", 7) != 0)
        return NULL;
    size_t k = (size_t)(a->host[7] - '7');
    return k < lab.ncores ? lab.cores[k] : NULL;
}

static bool is_apart(const struct sn_core *other)
{
    for (size_t k = 0; k < lab.ncores; k++)
        if (lab.cores[k] == other)
            return lab.apart[lab_self()][k];
    return false;
}

bool lab_peer_connect(const struct sn_effect *fx)
{
    struct sn_event e = {.kind = SN_EV_LINK_UP, .link = fx->link, .ip = fx->addr.host, .local_ip = "10.0.0.1"};
    if (!core_at(&fx->addr))
        return false;
    e.ip = NULL;
    if (is_apart(core_at(&fx->addr))) {
        e.kind = SN_EV_LINK_DOWN;
        e.why = SN_WHY_TIMEOUT;
    }
    lab_post(lab.core, &e, NULL);
    return true;
}

void lab_peer_send(struct sn_effect *fx, const struct sn_peer *p)
{
    struct sn_core *to = core_at(&p->addr);
    struct sn_event e = {.link = fx->link};
    if (!to || is_apart(to))
        return;
    switch (fx->command) {
    case SN_CMD_PING:
        e.kind = SN_EV_PONG;
        lab_post(lab.core, &e, NULL);
        break;
    case SN_CMD_PROBE:
        e.kind = SN_EV_PROBED;
        e.ok = true;
        e.epoch = to->told_epoch;
        lab_post(lab.core, &e, to->id);
        break;
    case SN_CMD_HELLO:
        buf_printf(&lab.sent, "HELLO %s %s\n", p->addr.host, fx->text);
        e = (struct sn_event){.kind = SN_EV_HELLO};
        if (!lab.mute)
            lab_post(to, &e, fx->text);
        e = (struct sn_event){.kind = SN_EV_ACK, .link = fx->link, .command = SN_CMD_HELLO, .ok = true};
        lab_post(lab.core, &e, NULL);
        break;
    case SN_CMD_BALLOT: {
        size_t k = turn++ % ASKED_MAX;
        assert_null(asked[k].fx);
        asked[k] = (struct asked){.by = lab.core, .link = fx->link, .fx = mem_alloc(sizeof *fx)};
        *asked[k].fx = *fx;
        memset(fx, 0, sizeof *fx);
        e = (struct sn_event){.kind = SN_EV_BALLOTS, .token = k + 1, .epoch = asked[k].fx->epoch};
        e.ballots = asked[k].fx->ballots;
        e.count = asked[k].fx->count;
        lab_post(to, &e, asked[k].fx->text);
        break;
    }
    default: break;
    }
}

void lab_peer_answer(struct sn_effect *fx)
{
    if (fx->kind != SN_FX_ANSWER_BALLOTS)
        return;
    struct asked *a = &asked[fx->token - 1];
    assert_non_null(a->fx);
    assert_int_equal(a->fx->count, fx->count);
    struct sn_event e = {.kind = SN_EV_OPINIONS, .link = a->link, .count = fx->count};
    struct lab_letter *l = lab_post(a->by, &e, NULL);
    l->asked = a->fx;
    l->opinions = mem_zalloc((fx->count + 1) * sizeof *l->opinions);
    for (size_t k = 0; k < fx->count; k++) {
        const struct sn_ballot *b = &a->fx->ballots[k];
        l->opinions[k] = fx->opinions[k];
        l->opinions[k].group = b->group;
        l->opinions[k].master = b->master;
        l->opinions[k].asked_epoch = b->verb == SN_BALLOT_VOTE ? b->epoch : 0;
        l->opinions[k].asked_us = b->asked_us;
    }
    l->e.opinions = l->opinions;
    a->fx = NULL;
}

void lab_peers_end(void)
{
    for (size_t k = 0; k < ASKED_MAX; k++) {
        if (asked[k].fx)
            sn_effect_free(asked[k].fx);
        free(asked[k].fx);
        asked[k].fx = NULL;
    }
    turn = 0;
}
