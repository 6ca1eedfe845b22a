/* The small sorted set: a listpack of member, score, member, score... lowest first. zset.c decides which of the two
 * encodings a sorted set has and asks here for this one. */
#ifndef STORE_ZSET_PACK_H
#define STORE_ZSET_PACK_H

#include "noded/store/zset.h"

double zpack_score(nd_pack_at score); /* of the element that is a score */
/* The element of the member, or NULL. */
nd_pack_at zpack_find(const struct nd_pack *p, struct slice member);
/* A member that is not there yet. */
struct nd_pack *zpack_insert(struct nd_pack *p, struct slice member, double score);
/* Another score for the member at `at`. */
struct nd_pack *zpack_change(struct nd_pack *p, nd_pack_at at, struct slice member, double score);
struct nd_pack *zpack_append(struct nd_pack *p, struct slice member, double score); /* the highest of all */
struct nd_pack *zpack_remove_range(struct nd_pack *p, size_t from, size_t to);
size_t zpack_rank(const struct nd_pack *p, nd_pack_at at);
void zpack_find_scores(const struct nd_pack *p, const struct nd_zrange *range, size_t *from, size_t *to);
void zpack_find_lex(const struct nd_pack *p, const struct nd_zlex *range, bool backwards, size_t *from, size_t *to);
/* From outside: pairs, scores that are numbers, in order. */
bool zpack_is_sorted(const struct nd_pack *p);

#endif
