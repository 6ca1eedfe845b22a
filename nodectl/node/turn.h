/* A shard gets another master on purpose, and no write is lost: by its supervisors where it has some, else by the
 * replica itself (CLUSTER FAILOVER). Over when all nodes and supervisors agree. */
#ifndef NODECTL_NODE_TURN_H
#define NODECTL_NODE_TURN_H

#include "nodectl/node/work.h"

struct turn {
    runid from, to;    /* the master; the replica that takes its place */
    char shard[128];   /* its name at the supervisors; "": nobody supervises it */
    int64_t again_ms;  /* when it is asked for again */
    int attempts;      /* that were taken on */
    char refusal[256]; /* of the last attempt */
};

/* to: a replica. false: it can't take over, and w->why has the reason. */
bool turn_look(struct node_work *w, struct turn *t, struct picture_node *to);
/* The replica of a master that is best to take its place: in step, a candidate, the furthest by its offset. NULL: there
 * is none, and w->why has the reason. */
struct picture_node *turn_best(struct node_work *w, const struct picture_node *master);
/* A step; `what` is the struct turn. Done already: nothing happens. */
bool turn_run(struct node_work *w, void *what);

#endif
