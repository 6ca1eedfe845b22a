/* The sorted set type: a listpack of member, score, member, score... in order while it is within
 * zset-max-listpack-entries and -value, else a counting tree (ztree.h) with a table of its members.
 *
 * Every range is a range of ranks: those of scores and of members are turned into one first. Ranks count from 0 at the
 * lowest score; a range [from, to) has not `to`. */
#ifndef STORE_ZSET_H
#define STORE_ZSET_H

#include "noded/store/number.h"
#include "noded/store/pack.h"
#include "noded/store/table.h"
#include "noded/store/value.h"
#include "noded/store/ztree.h"

/* ptr of ND_ENC_SKIPLIST. */
struct nd_zset {
    struct nd_table table; /* of struct nd_zmember, which it owns */
    struct nd_ztree tree;
};

/* An empty sorted set whose encoding suits this first member. limits->seed must outlive it. */
struct nd_value nd_zset_new(struct slice first, const struct nd_limits *limits);
/* An empty one in the large encoding, with room for so many members: for what is made member by member, then settled.
 */
struct nd_value nd_zset_new_tree(const uint64_t seed[2], size_t reserve);
/* Takes a listpack from outside over: pairs, scores, order and duplicates are checked; it is converted when it is
 * beyond the limits. false: refused and freed. */
bool nd_zset_from_pack(struct nd_pack *pack, const struct nd_limits *limits, struct nd_value *out);
/* What was made member by member gets the encoding that its final size deserves. */
void nd_zset_settle(struct nd_value *v, const struct nd_limits *limits);
/* A member behind all that are there. */
void nd_zset_append(struct nd_value *v, struct slice member, double score, const struct nd_limits *limits);
/* Made of members that are all different, which are taken over; the array is the caller's and is put in order. */
struct nd_value nd_zset_from_members(struct nd_zmember **members, size_t n, const struct nd_limits *limits);
struct nd_zmember *nd_zmember_new(struct slice member, double score); /* free() frees it */
void nd_zmember_sort(struct nd_zmember **members, size_t n);

enum {
    ND_Z_NX = 1 << 0,  /* only when it is not there */
    ND_Z_XX = 1 << 1,  /* only when it is there */
    ND_Z_GT = 1 << 2,  /* a score is only changed to a greater one */
    ND_Z_LT = 1 << 3,  /* to a lesser one */
    ND_Z_INCR = 1 << 4 /* the score is added to the one that is there */
};
enum nd_zput {
    ND_ZPUT_ADDED,
    ND_ZPUT_CHANGED,
    ND_ZPUT_SAME, /* had this score already */
    ND_ZPUT_HELD, /* a flag forbids it */
    ND_ZPUT_NAN   /* the sum is not a number; nothing was done */
};
/* *score becomes the score that the member has (ADDED, CHANGED, SAME). */
enum nd_zput nd_zset_put(struct nd_value *v, struct slice member, double *score, unsigned flags,
                         const struct nd_limits *limits);
bool nd_zset_remove(struct nd_value *v, struct slice member);
void nd_zset_remove_range(struct nd_value *v, size_t from, size_t to); /* from <= to <= length */
bool nd_zset_score(const struct nd_value *v, struct slice member, double *score);
bool nd_zset_rank(const struct nd_value *v, struct slice member, size_t *rank, double *score);

struct nd_zrange { /* of scores */
    double min, max;
    bool min_open, max_open; /* the end itself is not in it */
};
struct nd_zlex_end {
    int side; /* -1 below all members, 1 above all, 0: `member` */
    bool open;
    struct slice member;
};
struct nd_zlex { /* of members of one score */
    struct nd_zlex_end min, max;
};
/* from == to: nothing is in it. */
void nd_zset_find_scores(const struct nd_value *v, const struct nd_zrange *range, size_t *from, size_t *to);
/* When scores differ there is no right answer; a listpack then answers as Redis does. backwards: what a walk from the
 * high end finds. */
void nd_zset_find_lex(const struct nd_value *v, const struct nd_zlex *range, bool backwards, size_t *from, size_t *to);

/* A walk from a rank on. The sorted set must not change meanwhile. */
struct nd_zset_iter {
    const struct nd_pack *pack; /* NULL: at is used */
    nd_pack_at element;
    struct nd_ztree_at at;
    bool backwards;
    char text[ND_PACK_INT_TEXT];
};
void nd_zset_iterate(const struct nd_value *v, size_t rank, bool backwards, struct nd_zset_iter *it);
/* false: past the end. The member is good until the next call. score may be NULL. */
bool nd_zset_next(struct nd_zset_iter *it, struct slice *member, double *score);

/* ZSCAN: a listpack is shown whole at once. */
typedef void nd_zset_scan_fn(void *owner, struct slice member, double score);
uint64_t nd_zset_scan(const struct nd_value *v, uint64_t cursor, nd_zset_scan_fn *fn, void *owner);

/* For value.c. */
void nd_zset_free(struct nd_value *v);
struct nd_value nd_zset_dup(const struct nd_value *v);
size_t nd_zset_length(const struct nd_value *v);
size_t nd_zset_memory(const struct nd_value *v, size_t samples);
size_t nd_zset_effort(const struct nd_value *v);
void nd_zset_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner);

#endif
