/* A node joins a cluster: looked at first, then met, then made a replica, then waited for. Each step finds what is done
 * already, so that it may be given again. */
#ifndef NODECTL_NODE_JOIN_H
#define NODECTL_NODE_JOIN_H

#include "nodectl/node/work.h"

struct join {
    struct addr addr;
    runid id;
    int bus_port;
    bool noded;
    int64_t databases; /* of a noded: that can be selected; 0: not told */
    bool member;       /* it is of this cluster already */
    runid master;      /* whose replica it becomes; "": it stays a master */
    char version[24];
    int64_t met_ms; /* when nodes were last told to meet it */
    char ip[ADDR_HOST_MAX + 1];
};

/* Asks the node at the address. false: it can't join, and w->why has the reason and what to do. */
bool join_look(struct node_work *w, struct join *j, const char *address);
/* false when it holds slots, or follows another master (a member that is what it shall be already, or nothing yet, does
 * not), or has fewer databases than its master, whose writes to the others would end its link. */
bool join_fits(struct node_work *w, const struct join *j);

/* Steps; `what` is the struct join. */
bool join_meet(struct node_work *w, void *what);      /* ... until every node knows it */
bool join_replicate(struct node_work *w, void *what); /* ... until it follows */
bool join_wait(struct node_work *w, void *what); /* ... until it has the data, and all nodes and supervisors agree */

#endif
