/* The ends of ranges of a sorted set, as clients say them. */
#include "noded/cmd/zset.h"

static bool score_end(struct slice s, double *out, bool *open)
{
    *open = s.n > 0 && s.p[0] == '(';
    if (*open)
        s = (struct slice){s.p + 1, s.n - 1};
    return nd_number_bound(s, out);
}

bool nd_zset_score_ends(struct nd_call *c, size_t min, size_t max, struct nd_zrange *out)
{
    if (score_end(c->argv[min], &out->min, &out->min_open) && score_end(c->argv[max], &out->max, &out->max_open))
        return true;
    nd_error(c, "ERR min or max is not a float");
    return false;
}

static bool lex_end(struct slice s, struct nd_zlex_end *out)
{
    *out = (struct nd_zlex_end){0};
    if (s.n == 0)
        return false;
    switch (s.p[0]) {
    case '-':
    case '+': out->side = s.p[0] == '-' ? -1 : 1; return s.n == 1;
    case '(':
    case '[':
        out->open = s.p[0] == '(';
        out->member = (struct slice){s.p + 1, s.n - 1};
        return true;
    default: return false;
    }
}

bool nd_zset_lex_ends(struct nd_call *c, size_t min, size_t max, struct nd_zlex *out)
{
    if (lex_end(c->argv[min], &out->min) && lex_end(c->argv[max], &out->max))
        return true;
    nd_error(c, "ERR min or max not valid string range item");
    return false;
}

void nd_zset_rank_ends(int64_t start, int64_t stop, size_t length, size_t *from, size_t *to)
{
    int64_t n = (int64_t)length;
    if (start < 0)
        start = start < -n ? 0 : start + n;
    if (stop < 0)
        stop = stop < -n ? -1 : stop + n;
    if (stop >= n)
        stop = n - 1;
    *from = *to = 0;
    if (start <= stop) {
        *from = (size_t)start;
        *to = (size_t)stop + 1;
    }
}
