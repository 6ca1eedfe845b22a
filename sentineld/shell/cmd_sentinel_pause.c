/* SENTINEL PAUSE, RESUME and PAUSES: automatic failovers off and on (core/pause.h). */
#include "sentineld/shell/cmd_sentinel.h"

#include "common/base/text.h"
#include "common/io/clock.h"
#include "sentineld/core/fleet.h"
#include "sentineld/shell/map_out.h"

static void submit(struct call *call, struct sn_event *e)
{
    e->token = client_defer(call, CLIENT_ANSWER_PLAIN);
    daemon_step(call->d, e);
}

void cmd_sentinel_pause(struct call *call)
{
    struct sn_event e = {
        .kind = SN_EV_PAUSE, .group = call->argv[2], .argv = call->argv + 4, .count = 2, .wall_ms = io_wall_ms()};
    if (!text_range(call->argv[3], 1, SN_PAUSE_MS_MAX, &e.number))
        reply_error(call->r, "ERR Invalid time: expected milliseconds from 1 to %lld", (long long)SN_PAUSE_MS_MAX);
    else if (!sn_pause_word_ok(call->argv[4], SN_PAUSE_OWNER_MAX, false))
        reply_error(call->r, "ERR Invalid owner: expected a word of at most %d bytes", SN_PAUSE_OWNER_MAX);
    else if (!sn_pause_word_ok(call->argv[5], SN_PAUSE_REASON_MAX, true))
        reply_error(call->r, "ERR Invalid reason: expected a line of text of at most %d bytes", SN_PAUSE_REASON_MAX);
    else
        submit(call, &e);
}

void cmd_sentinel_resume(struct call *call)
{
    struct sn_event e = {.kind = SN_EV_RESUME, .group = call->argv[2]};
    submit(call, &e);
}

void cmd_sentinel_pauses(struct call *call)
{
    const struct sn_pauses *p = &call->d->core->pauses;
    reply_array(call->r, p->n);
    for (size_t k = 0; k < p->n; k++) {
        struct map_out m = map_begin(call->r);
        cmd_put_pause(&m, &p->v[k]);
        map_end(&m);
    }
}
