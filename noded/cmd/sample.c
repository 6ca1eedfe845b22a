#include "noded/cmd/sample.h"

#include "noded/cmd/engine.h"

#include <inttypes.h>

bool nd_sample_count(struct nd_call *c, size_t i, int64_t min, int64_t *out)
{
    if (!nd_arg_i64(c, i, out))
        return false;
    if (*out >= min)
        return true;
    nd_error(c, "ERR value is out of range, value must between %" PRId64 " and %" PRId64, min, INT64_MAX);
    return false;
}

bool nd_sample_takes(struct rng *rng, size_t *wanted, size_t *left)
{
    bool takes = *wanted > 0 && rng_below(rng, (*left)--) < *wanted;
    *wanted -= takes;
    return takes;
}

void nd_sample_begin(struct nd_call *c, uint64_t count, struct nd_sample_reply *reply)
{
    reply->mark = c->r->out->n;
    reply->left = count;
}

bool nd_sample_more(struct nd_call *c, struct nd_sample_reply *reply)
{
    if (c->r->out->n - reply->mark > (uint64_t)c->e->config.proto_max_bulk_len) {
        c->r->out->n = reply->mark;
        nd_error(c, "ERR the answer would be longer than proto-max-bulk-len");
        return false;
    }
    return reply->left-- > 0;
}
