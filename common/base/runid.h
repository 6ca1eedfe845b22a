/* The 40 hexadecimal digits by which servers and supervisors are known. */
#ifndef BASE_RUNID_H
#define BASE_RUNID_H

#include "common/base/bytes.h"
#include "common/base/rng.h"

#define RUNID_LEN 40

typedef char runid[RUNID_LEN + 1]; /* terminated; "" means unknown */

bool runid_parse(struct slice s, runid out); /* exactly 40 hex digits; stored in lower case */
void runid_draw(struct rng *r, runid out);
int runid_cmp(const char *a, const char *b); /* without regard to case; unknown ("") sorts last */

#endif
