/* Swaps of databases over a cluster: SENTINEL SWAPDB of an operator, SENTINEL MAPPING of another supervisor. */
#include "sentineld/shell/cmd_sentinel.h"

#include "common/base/text.h"
#include "sentineld/core/fleet.h"
#include "sentineld/shell/map_out.h"
#include "sentineld/shell/wire_swap.h"

static bool database_arg(struct call *call, size_t i, const char *which, int *out)
{
    int64_t n;
    if (!text_range(call->argv[i], INT32_MIN, INT32_MAX, &n)) {
        reply_error(call->r, "ERR invalid %s DB index", which);
        return false;
    }
    *out = (int)n;
    return true;
}

void cmd_sentinel_swapdb(struct call *call)
{
    struct sn_event e = {.kind = SN_EV_SWAPDB, .group = call->argv[2]};
    if (cmd_fleet(call, e.group) == NULL || !database_arg(call, 3, "first", &e.databases[0]) ||
        !database_arg(call, 4, "second", &e.databases[1]))
        return;
    e.token = client_defer(call, CLIENT_ANSWER_PLAIN);
    daemon_step(call->d, &e);
}

void cmd_sentinel_mapping(struct call *call)
{
    struct wire_swap asked;
    const char *wrong = wire_swap_decode(call->argv + 2, call->argc - 2, &asked);
    if (wrong != NULL) {
        reply_error(call->r, "ERR %s", wrong);
        return;
    }
    struct sn_event e = {
        .kind = SN_EV_SWAP,
        .text = slice_of(asked.id),
        .epoch = asked.epoch,
        .group = asked.fleet,
        .swap = &asked.word,
    };
    e.token = client_defer(call, CLIENT_ANSWER_PLAIN);
    daemon_step(call->d, &e);
}

static const char *state_of(const struct sn_swapping *s)
{
    const struct sn_swap_entry *e = &s->has.entry;
    if (e->value == SN_SWAP_NONE)
        return "none";
    if (!e->decided)
        return "open";
    if (e->value == SN_SWAP_ABORT)
        return "aborted";
    return s->done >= e->step.version ? "done" : "committed";
}

void cmd_put_mapping(struct map_out *m, const struct sn_fleet *f)
{
    const struct sn_swap_entry *e = &f->swap.has.entry;
    char text[SN_SWAP_WHY];
    const char *why = sn_swap_hindered(f, text);
    map_number(m, "mapping-epoch", (int64_t)sn_swap_mapping(e).version);
    map_number(m, "mapping-known", sn_swap_may_decide(f));
    map_text(m, "swapdb-state", state_of(&f->swap));
    map_number(m, "swapdb-first", e->step.a);
    map_number(m, "swapdb-second", e->step.b);
    map_number(m, "swapdb-ballot", (int64_t)e->step.begun);
    map_text(m, "swapdb-hindered-by", why != NULL ? why : "");
}
