/* One drill from the plan to the report. */
#ifndef NODECTL_DRILL_RUN_H
#define NODECTL_DRILL_RUN_H

#include "nodectl/asking.h"
#include "nodectl/drill/canary.h"
#include "nodectl/drill/harm.h"

#include <jansson.h>

struct drill_run {
    const struct command_call *call;
    struct asking asking;
    struct drill_order order;
    struct drill_target target;
    struct harm harm;
    char id[48];
    char what[300]; /* "kill-master of orders/1a2b3c4d" */
    struct drill_claim_order claim;
    uint64_t seed;
    struct canary_setup setup;
    struct canaries *canaries;
    int64_t began_ms;         /* wall time of the harm; 0: none was done */
    int64_t start_us, end_us; /* of the harm, and when all was over */
    json_t *steps;            /* [{ ms, text }] since the harm */
    json_t *reasons;          /* why it failed; empty: it did not */
    struct buf aborted;       /* why it was ended early; empty: it was not */
    struct addr to;           /* the new master; not set: there was none */
    bool back;                /* all is as it was */
    bool settled;             /* the writes were looked for at the end */
};

/* What would be done: target, harm, canaries. EXIT_OK, or another exit status with the reason on standard error. */
int drill_prepare(struct drill_run *r);
void drill_show_plan(const struct drill_run *r, FILE *out);
json_t *drill_plan_document(const struct drill_run *r);
/* EXIT_OK: it was done, well or not, and all but the report is known. EXIT_USAGE: nothing was done, and why was said.
 */
int drill_perform(struct drill_run *r);
void drill_run_free(struct drill_run *r);

void drill_pause(int ms);

#endif
