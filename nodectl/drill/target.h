/* What a drill is about: chosen, or drawn, from the document of status_merge(); and whether the fleet is well enough
 * for one. Pure. */
#ifndef NODECTL_DRILL_TARGET_H
#define NODECTL_DRILL_TARGET_H

#include "common/base/addr.h"
#include "nodectl/drill/order.h"

#include <jansson.h>

#define TARGET_TAG_MAX 12

struct target_shard {
    char *name;         /* of the group; owned */
    struct addr *nodes; /* the master first; owned */
    size_t n;
    size_t drawn;             /* of the replicas in step, that a drill of replicas is about; 0: there is none */
    int64_t epoch;            /* of its configuration */
    char tag[TARGET_TAG_MAX]; /* "{tag}" in a key makes it one of the shard's; "" outside of a cluster */
};

struct drill_target {
    char *scope; /* the cluster, or the group; owned */
    bool cluster;
    struct target_shard shard, bystander; /* bystander.n 0: there is no other shard */
    struct addr *supervisors;             /* that answer; owned */
    size_t nsupervisors, drawn;           /* drawn: which of them a drill of supervisors is about */
    bool named;                           /* the order names the victim: */
    enum drill_part part;                 /* it is one of these, and the one that is drawn */
};
void target_free(struct drill_target *t);

/* The scope that is meant: the order's, or the only cluster that the document has. NULL: why says what to give. */
const char *target_scope(const json_t *document, const struct drill_order *o, struct buf *why);
/* shards: [{ name, slot-ranges }] as of SENTINEL CLUSTER; empty for a group. The same seed and fleet make the same
 * choice. false: the reason is appended to why. */
bool target_choose(const json_t *document, const json_t *shards, const struct drill_order *o, const char *scope,
                   uint64_t seed, struct drill_target *t, struct buf *why);
/* Appends a line for each reason why nothing should be done to this fleet now. Returns how many. */
size_t target_unfit(const json_t *document, const char *scope, struct buf *why);
/* Whether a replica of that group is held for down, or not known any more. */
bool target_misses(const json_t *document, const char *group, const struct addr *replica);
/* The kinds that a random drill tries, in this order. */
void target_draw_kinds(uint64_t seed, enum drill_kind kinds[DRILL_RANDOM]);
/* A word whose slot is in "0-5460 5462". false: there is none. */
bool target_tag(const char *ranges, char tag[TARGET_TAG_MAX]);

#endif
