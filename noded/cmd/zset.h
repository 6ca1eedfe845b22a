/* What the files of the sorted set commands share: answers with scores, and the ends of ranges. */
#ifndef CMD_ZSET_H
#define CMD_ZSET_H

#include "noded/cmd/call.h"
#include "noded/store/zset.h"

/* An answer of n members, with scores when with_scores: RESP2 has member, score, member, score...; RESP3 has pairs. */
void nd_zset_reply_header(struct nd_call *c, size_t n, bool with_scores);
void nd_zset_reply_member(struct nd_call *c, struct slice member, double score, bool with_scores);
/* The same for the ranks [from, to) of v, from the high end when backwards. */
void nd_zset_reply_ranks(struct nd_call *c, const struct nd_value *v, size_t from, size_t to, bool backwards,
                         bool with_scores);

/* The ends of a range at arguments min and max; false: the error was answered. */
bool nd_zset_score_ends(struct nd_call *c, size_t min, size_t max, struct nd_zrange *out);
bool nd_zset_lex_ends(struct nd_call *c, size_t min, size_t max, struct nd_zlex *out);
/* Ranks as clients say them, negative ones from the high end, as [from, to) of `length`. */
void nd_zset_rank_ends(int64_t start, int64_t stop, size_t length, size_t *from, size_t *to);

/* n members were taken out of the sorted set at this key: counted, told, and the key goes when none is left. */
void nd_zset_removed(struct nd_call *c, struct slice key, struct nd_entry *e, size_t n, const char *event);

#define ND_ZSET_FAMILY .categories = ND_CAT_SORTEDSET, .group = "sorted-set"
#define ND_ZSET_KEY(f)                    \
    {                                     \
        .flags = f, .first = 1, .step = 1 \
    }

#endif
