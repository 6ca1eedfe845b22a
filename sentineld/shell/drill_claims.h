/* Claims of drills (nodectl drill): who does harm on purpose to what this supervisor watches. A drill begins when a
 * majority of the supervisors has its claim, so of two that concern the same only one does. A claim has an end, so
 * that one whose nodectl has died keeps nobody out for long. Kept in memory: of a supervisor that was restarted the
 * others have it. Pure: times are given, in microseconds of a clock that does not go back. */
#ifndef SHELL_DRILL_CLAIMS_H
#define SHELL_DRILL_CLAIMS_H

#include "common/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRILL_SCOPE_ALL "*"                   /* harm to a supervisor concerns all that it watches */
#define DRILL_CLAIM_MS_MAX INT64_C(604800000) /* a week */
#define DRILL_CLAIMS_MAX 64

struct drill_claim {
    char *id, *scope, *owner, *what; /* scope: of a cluster, or of a group; owned */
    int64_t began_us, until_us;
};

/* Zeroed is empty. */
struct drill_claims {
    struct drill_claim *v;
    size_t n;
};
void drill_claims_free(struct drill_claims *c);

/* Takes it, or a new end for the claim of that id. Otherwise: the claim that is in the way; where there is none there
 * are too many, and *full is set. */
const struct drill_claim *drill_claims_take(struct drill_claims *c, struct slice id, struct slice scope,
                                            struct slice owner, struct slice what, int64_t ms, int64_t now_us,
                                            bool *full);
bool drill_claims_end(struct drill_claims *c, struct slice id); /* false: there is none of that id */
void drill_claims_tidy(struct drill_claims *c, int64_t now_us); /* drops those that are over */

#endif
