/* Random elements of an aggregate: what SRANDMEMBER, ZRANDMEMBER and HRANDFIELD have in common. */
#ifndef CMD_SAMPLE_H
#define CMD_SAMPLE_H

#include "noded/cmd/call.h"

/* When fewer than one in so many are wanted, drawing and looking for repetitions is cheaper than going through all. */
#define ND_SAMPLE_SPARSE 4

/* The count at argument i, from min to INT64_MAX; the error says between what. */
bool nd_sample_count(struct nd_call *c, size_t i, int64_t min, int64_t *out);

/* Whether the next of *left elements is one of the *wanted: each choice is as likely as any other. Both are counted
 * down. */
bool nd_sample_takes(struct rng *rng, size_t *wanted, size_t *left);

/* An answer with repetitions is as long as the client says, so it is bounded: beyond proto-max-bulk-len it
 * becomes an error.
 *     nd_sample_begin(c, count, &reply); ... write the header ...
 *     while (nd_sample_more(c, &reply)) ... write one element ... */
struct nd_sample_reply {
    size_t mark;
    uint64_t left;
};
void nd_sample_begin(struct nd_call *c, uint64_t count, struct nd_sample_reply *reply);
bool nd_sample_more(struct nd_call *c, struct nd_sample_reply *reply);

#endif
