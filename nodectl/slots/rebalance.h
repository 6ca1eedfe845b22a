/* What `slots rebalance` moves; also for those who take a node out or have added some. */
#ifndef NODECTL_SLOTS_REBALANCE_H
#define NODECTL_SLOTS_REBALANCE_H

#include "nodectl/slots/move.h"

enum rebalance_by { REBALANCE_SLOTS, REBALANCE_KEYS, REBALANCE_MEMORY, REBALANCE_OPS };

struct rebalance_weight {
    runid id;
    double weight; /* 1 where none is given; 0: the master gives all of its slots away */
};

struct rebalance {
    enum rebalance_by by;
    const struct rebalance_weight *weights; /* of some masters */
    size_t nweights;
    double threshold;        /* percent: when nobody is further off than that nothing is moved */
    bool skip_empty_masters; /* those without slots get none */
    int ops_ms;              /* of REBALANCE_OPS: for how long the commands are watched */
    struct buf *note;        /* NULL, or what was gone by is appended to it, for people */
};

/* The moves that make it even. out stays empty where nothing is to be moved. false: the nodes do not tell what is
 * needed, and the reason is appended to why. The picture must be one on which the nodes agree; slots of nobody stay
 * so. */
bool rebalance_moves(struct picture *p, const struct rebalance *r, struct slot_moves *out, struct buf *why);

#endif
