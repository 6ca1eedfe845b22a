#include "nodectl/drill/settle.h"

#include "nodectl/drill/report.h"

#include "common/io/clock.h"
#include "nodectl/drill/survey.h"

#include <stdlib.h>
#include <string.h>

#define LAST_MS 5000
#define TRIES 20
#define AGAIN_MS 250

bool wait_last_writes(struct canaries *c)
{
    struct canary_sight sight;
    int64_t from_us = io_now_us();
    canaries_mark(c);
    do {
        drill_pause(AGAIN_MS / 10);
        canaries_look(c, &sight);
    } while (sight.silent > 0 && io_now_us() - from_us < (int64_t)LAST_MS * 1000);
    return sight.silent == 0;
}

/* At the shard's master now; tried again, as the shard may be about to change. */
static bool settle_lane(struct drill_run *r, struct lane *l, struct buf *why)
{
    const struct drill_target *t = &r->target;
    const struct target_shard *shard = l->bystander ? &t->bystander : &t->shard;
    for (int i = 0; i < TRIES; i++) {
        struct addr master = shard->nodes[0];
        int64_t *numbers = NULL;
        size_t count = 0;
        (void)survey_master(&r->asking, t->supervisors, t->nsupervisors, shard->name, &master);
        buf_clear(why);
        bool ok = survey_rows(&r->asking, &r->order, &master, l->database, l->key, true, &numbers, &count, why);
        if (ok)
            lane_settle(l, numbers, count);
        free(numbers);
        if (ok)
            return true;
        drill_pause(AGAIN_MS);
    }
    return false;
}

void drill_settle(struct drill_run *r)
{
    struct buf why = {0};
    size_t n;
    struct lane *lanes = canaries_lanes(r->canaries, &n);
    r->settled = true;
    for (size_t i = 0; i < n && r->settled; i++)
        if (!settle_lane(r, &lanes[i], &why)) {
            r->settled = false;
            report_reason(r->reasons, "what was written in database %d could not be read back: %s", lanes[i].database,
                          buf_str(&why));
        }
    buf_free(&why);
}
