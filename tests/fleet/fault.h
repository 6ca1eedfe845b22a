/* Faults that are under way, for those who draw them (fault.c) and those who aim them at a moment (fault_aimed.c). */
#ifndef FLEET_FAULT_H
#define FLEET_FAULT_H

#include "tests/fleet/world.h"

#define ACTIVE_MAX 24

struct fault {
    struct happening over; /* first */
    bool active;
    enum fault_kind kind;
    int end;                  /* of the process; -1: several, or none */
    bool side[NET_ENDS_MAX];  /* of a partition, or who died */
    bool other[NET_ENDS_MAX]; /* whom they are cut off from */
    bool one_way, back;       /* back: only what goes to `side` is cut */
    struct conn *conn;
};

/* A switch while the master hears of it from no node, and restarts of all supervisors before it and behind it: all
 * within a lease, so nothing but what they keep on their disks tells the two masters apart. */
struct hidden_switch {
    struct happening next; /* first */
    int shard, tries;
    bool restart_then;
};

struct faults {
    struct happening next;   /* first */
    struct happening strike; /* at an end of a hand-over that was just granted */
    struct hidden_switch hidden;
    struct fault active[ACTIVE_MAX];
    bool any, ended; /* ended: before they begin too */
};

/* One that is over after a while; NULL: there are enough. */
struct fault *fault_new(struct world *w, enum fault_kind kind, int end);
void fault_cut(struct world *w, const struct fault *f, bool cut); /* or mends; between its two sides */
/* A fault of a process that is down or stopped already waits for another time. */
bool fault_taken(const struct world *w, int end);
void fault_kill(struct world *w, struct node *n, enum fault_kind kind);

/* fault_aimed.c */
void fault_hidden_switch(struct world *w);

#endif
