/* The claim of a drill at the supervisors: of two drills that concern the same only one begins. It is taken with a
 * majority of them, ends by itself, and is given up by whoever does the way back. */
#ifndef NODECTL_DRILL_CLAIM_H
#define NODECTL_DRILL_CLAIM_H

#include "nodectl/asking.h"
#include "nodectl/drill/target.h"

struct drill_claim_order {
    const struct asking *asking;
    const struct drill_target *target;
    const char *id;
    bool of_supervisor; /* it concerns all that the supervisors watch */
    const char *what;   /* "kill-master of orders/1a2b3c4d" */
};

enum claim_result {
    CLAIM_TAKEN,
    CLAIM_UNKNOWN, /* too few of these supervisors know of claims (redis-sentinel, an older sentineld) */
    CLAIM_REFUSED,
};

/* For so long from now on. Not CLAIM_TAKEN: why is appended, a line for each supervisor, and nothing of it stays. */
enum claim_result claim_take(const struct drill_claim_order *c, int64_t ms, struct buf *why);
void claim_renew(const struct drill_claim_order *c, int64_t ms); /* a new end, with whoever answers */
void claim_end(const struct drill_claim_order *c);
/* Appends a line for each drill that the supervisors know to be under way: what, by whom, since when. */
void claim_tell(const struct asking *a, struct buf *out);

#endif
