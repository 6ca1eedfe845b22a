/* SENTINEL DRILL BEGIN, END and CLAIMS: of drills that are under way one at a time concerns a cluster
 * (drill_claims.h). */
#include "sentineld/shell/cmd_sentinel.h"

#include "common/base/text.h"
#include "common/io/clock.h"
#include "sentineld/core/pause.h"
#include "sentineld/shell/map_out.h"
#include "sentineld/shell/user.h"

#define NAME_MAX_BYTES 255
#define ID_MAX_BYTES 64

/* Whoever may do what drills do. */
bool cmd_may_drill(struct call *call)
{
    const struct command *failover = command_by_full_name(slice_of("sentinel|failover"));
    if (user_may_run(call->c->user, failover))
        return true;
    reply_error(call->r, "NOPERM this user has no permissions to run the '%s' command", failover->full);
    return false;
}

static void begin(struct call *call)
{
    const struct slice *w = call->argv + 3; /* id, scope, milliseconds, owner, what */
    int64_t ms, now_us = io_now_us();
    bool full;
    if (!sn_pause_word_ok(w[0], ID_MAX_BYTES, false) || !sn_pause_word_ok(w[1], NAME_MAX_BYTES, true) ||
        !sn_pause_word_ok(w[3], NAME_MAX_BYTES, true) || !sn_pause_word_ok(w[4], NAME_MAX_BYTES, true) ||
        !text_range(w[2], 1, DRILL_CLAIM_MS_MAX, &ms)) {
        reply_error(call->r,
                    "ERR BEGIN needs an id, a cluster or group or *, milliseconds from 1 to %lld, an owner and "
                    "what is done, each a line of text",
                    (long long)DRILL_CLAIM_MS_MAX);
        return;
    }
    const struct drill_claim *k = drill_claims_take(&call->d->drills, w[0], w[1], w[3], w[4], ms, now_us, &full);
    if (k != NULL)
        reply_error(
            call->r,
            "DRILLBUSY drill %s (%s) by %s runs since %lld s, and has %lld s left at most; SENTINEL DRILL END %s "
            "ends its claim",
            k->id, k->what, k->owner, (long long)((now_us - k->began_us) / 1000000),
            (long long)((k->until_us - now_us + 999999) / 1000000), k->id);
    else if (full)
        reply_error(call->r, "ERR %d drills are under way, and no more are", DRILL_CLAIMS_MAX);
    else
        reply_status(call->r, "OK");
}

static void show(struct call *call)
{
    struct drill_claims *c = &call->d->drills;
    int64_t now_us = io_now_us();
    drill_claims_tidy(c, now_us);
    reply_array(call->r, c->n);
    for (size_t i = 0; i < c->n; i++) {
        struct map_out m = map_begin(call->r);
        map_text(&m, "id", c->v[i].id);
        map_text(&m, "scope", c->v[i].scope);
        map_text(&m, "owner", c->v[i].owner);
        map_text(&m, "what", c->v[i].what);
        map_number(&m, "age-ms", (now_us - c->v[i].began_us) / 1000);
        map_number(&m, "left-ms", (c->v[i].until_us - now_us) / 1000);
        map_end(&m);
    }
}

bool cmd_drill_claims(struct call *call)
{
    bool begins = slice_ieq(call->argv[2], "begin") && call->argc == 8;
    bool ends = slice_ieq(call->argv[2], "end") && call->argc == 4;
    bool shows = slice_ieq(call->argv[2], "claims") && call->argc == 3;
    if (shows)
        show(call);
    if ((!begins && !ends) || !cmd_may_drill(call))
        return begins || ends || shows;
    if (begins)
        begin(call);
    else
        reply_int(call->r, drill_claims_end(&call->d->drills, call->argv[3]));
    return true;
}
