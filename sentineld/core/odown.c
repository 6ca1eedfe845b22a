/* O_DOWN: as many supervisors as the quorum hold S_DOWN for the master at this time. */
#include "sentineld/core/inner.h"

#define ALONE_TOLD MS(1000) /* S_DOWN for so long without the quorum is worth a note */
#define OPINION_LIFE(c) (5 * MS((c)->params.ask_period_ms))
#define STOCK_HURRY MS(2000)       /* a stock peer does not tell us when it finds the master down, */
#define STOCK_HURRY_PERIOD MS(100) /* so it is asked often at first */

/* To one of ours the question says as well that we hold S_DOWN: whoever finds out last completes the quorum for all. */
void sn_odown_began(struct sn_group *g)
{
    for (size_t k = 0; k < g->nseats; k++)
        g->seats[k]->asked_us = 0;
    g->suspect = true;
    sn_group_info_now(g);
}

/* Whoever asks in the meantime is told so by the answer; who has asked before is told by this. */
static void take_word_back(struct sn_group *g)
{
    for (size_t k = 0; k < g->nseats; k++) {
        struct sn_seat *s = g->seats[k];
        s->want_ask = false; /* it would say that we hold S_DOWN still */
        s->want_up = true;
        sn_want(s);
    }
}

void sn_odown_ended(struct sn_group *g)
{
    g->suspect = false;
    g->lost_rounds = 0;
    g->waiting_told = SN_WAITING_NOTHING;
    for (size_t k = 0; k < g->nseats; k++)
        g->seats[k]->down = g->seats[k]->failed = false;
    take_word_back(g);
}

void sn_odown_tilted(struct sn_group *g)
{
    if (!g->master->s_down)
        return;
    for (size_t k = 0; k < g->nseats; k++)
        g->seats[k]->asked_us = 0; /* when that is over they are told at once */
    take_word_back(g);
}

static int64_t ask(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    int64_t next = HEAP_NEVER;
    bool hurry = !g->o_down && c->now_us < g->master->s_down_us + STOCK_HURRY;
    for (size_t k = 0; k < g->nseats; k++) {
        struct sn_seat *s = g->seats[k];
        if (s->peer->cmd.state != SN_CONN_UP)
            continue;
        int64_t period = MS(c->params.ask_period_ms);
        if (hurry && s->peer->kind != SN_PEER_OURS && !s->down)
            period = STOCK_HURRY_PERIOD;
        if (!s->asked_us || c->now_us >= s->asked_us + period) {
            s->asked_us = c->now_us;
            s->want_ask = true;
            sn_want(s);
        }
        EARLIER(next, s->asked_us + period);
    }
    return next;
}

int64_t sn_odown_judge(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    int64_t next = g->master->s_down && !c->tilt ? ask(g) : HEAP_NEVER;
    int64_t count = 1;
    for (size_t k = 0; k < g->nseats; k++) {
        struct sn_seat *s = g->seats[k];
        if (!s->down)
            continue;
        if (c->now_us >= s->down_us + OPINION_LIFE(c)) {
            s->down = false;
            continue;
        }
        EARLIER(next, s->down_us + OPINION_LIFE(c));
        count++;
    }
    bool down = g->master->s_down && count >= g->set.quorum;
    if (g->master->s_down && !down && c->now_us >= g->master->s_down_us + ALONE_TOLD)
        sn_account_waiting(g, SN_WAITING_QUORUM, 0);
    if (down == g->o_down)
        return next;
    g->o_down = down;
    g->no_good_us = 0;
    g->stand_us = 0;
    if (down) {
        g->o_down_us = c->now_us;
        sn_publish_inst(g->master, SN_LOG_WARNING, "+odown", "#quorum %lld/%lld", (long long)count,
                        (long long)g->set.quorum);
        sn_account_odown(g);
    } else {
        sn_publish_inst(g->master, SN_LOG_WARNING, "-odown", NULL);
    }
    for (size_t k = 0; k < g->ninsts; k++)
        sn_touch_node(g->insts[k]->node); /* INFO is due more often, or less */
    return next;
}
