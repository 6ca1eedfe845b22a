/* A node that is to be removed, and that no other node that answers lists: a removal that was cut short, or the last
 * one that is up. It may only go where it is sure that nothing goes with it. */
#ifndef NODECTL_NODE_UNLISTED_H
#define NODECTL_NODE_UNLISTED_H

#include "nodectl/node/work.h"

struct unlisted {
    struct addr addr;
    bool answers;
    bool keys;            /* it has some, in whatever database */
    struct sn_nodes view; /* its own; empty where it does not answer */
};

/* Asks it by its address. unlisted_free() either way. */
void unlisted_look(struct unlisted *u, struct node_work *w, const struct addr *addr);
void unlisted_free(struct unlisted *u);
/* Its id; NULL: it does not answer. */
const char *unlisted_id(const struct unlisted *u);
/* Whether it takes itself for a node of this cluster. */
bool unlisted_is_of(const struct unlisted *u, const struct picture *p);

/* Whether it may go: false, and the reason is appended to why. force: though it, or somebody it knows, may come back
 * and have another word. Slots, keys and the last node of a cluster are not a matter of force. */
bool unlisted_may_go(const struct unlisted *u, const struct picture *p, bool force, struct buf *why);

#endif
