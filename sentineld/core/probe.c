/* Silence. One variable decides: silent_us, since when no valid answer is to be had.
 *
 * It is set when a PING leaves and none is open, and when a link breaks while none is open; only a valid answer clears
 * it. So it never lies before the moment at which the process was last known to be well: a process that is killed is
 * silent from the moment its connection breaks (every supervisor sees that at the same time), one that hangs from the
 * first PING that it does not answer. down-after is a floor: neither a refused connection nor a reconnect moves the
 * base, in either direction. */
#include "sentineld/core/inner.h"

void sn_probe_init(struct sn_probe *p, int64_t now)
{
    memset(p, 0, sizeof *p);
    p->silent_us = now; /* never heard: silent from the start */
    p->last = SN_PONG_ERROR;
}

void sn_probe_sent(struct sn_probe *p, int64_t now)
{
    p->sent_us = now;
    if (!p->pending_us)
        p->pending_us = now;
    if (!p->silent_us)
        p->silent_us = now;
}

void sn_probe_answered(struct sn_probe *p, enum sn_pong pong, int64_t now)
{
    p->answer_us = now;
    p->last = pong;
    if (pong != SN_PONG_OK && pong != SN_PONG_LOADING && pong != SN_PONG_MASTERDOWN)
        return;
    if (p->pending_us)
        p->rtt_us = now - p->pending_us;
    p->valid_us = now;
    p->pending_us = 0;
    p->silent_us = 0;
}

void sn_probe_lost(struct sn_probe *p, int64_t now)
{
    if (!p->silent_us)
        p->silent_us = now;
}

bool sn_probe_silent_for(const struct sn_probe *p, int64_t span_us, int64_t now)
{
    return p->silent_us && now - p->silent_us >= span_us;
}

static void shift(struct sn_probe *p, int64_t late, int64_t now)
{
    if (p->silent_us)
        p->silent_us = p->silent_us + late < now ? p->silent_us + late : now;
    if (p->pending_us)
        p->pending_us = p->pending_us + late < now ? p->pending_us + late : now;
}

/* A daemon that was stopped, or starved, has unread answers in its sockets. The time in which it did not run counts for
 * nobody's silence; what it had seen before stays. */
void sn_stall(struct sn_core *c, int64_t late)
{
    for (size_t i = 0; i < c->ngroups; i++)
        for (size_t k = 0; k < c->groups[i]->ninsts; k++) {
            struct sn_inst *in = c->groups[i]->insts[k];
            if (in->node->insts == in && !in->s_down)
                shift(&in->node->probe, late, c->now_us); /* once per node */
            sn_touch_node(in->node);
        }
    for (size_t i = 0; i < c->npeers; i++) {
        if (!c->peers[i]->ndown)
            shift(&c->peers[i]->probe, late, c->now_us);
        sn_touch_peer(c->peers[i]);
    }
    if (late < MS(c->params.tilt_trigger_ms))
        return;
    c->tilts++;
    if (!c->tilt)
        sn_publish_core(c, SN_LOG_WARNING, "+tilt", "#tilt mode entered");
    c->tilt = true;
    c->tilt_us = c->now_us;
    for (size_t i = 0; i < c->ngroups; i++)
        sn_odown_tilted(c->groups[i]);
}
