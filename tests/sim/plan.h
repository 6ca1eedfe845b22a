/* What is drawn for one seed before its world begins: how many supervisors, groups and servers, their settings, and
 * which faults may happen. A scenario writes a plan by hand instead. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_SUPERS 7
#define MAX_GROUPS 4
#define MAX_NODES_PER_GROUP 5

enum fault_kind {
    FAULT_MASTER_KILL,
    FAULT_REPLICA_KILL,
    FAULT_NODE_POWER,
    FAULT_NODE_STOP,
    FAULT_NODE_BUSY,
    FAULT_REBORN,
    FAULT_ROGUE,
    FAULT_SUPER_CRASH,
    FAULT_SUPER_POWER,
    FAULT_SUPER_STOP,
    FAULT_SIMULATE,
    FAULT_DISK_FULL,
    FAULT_DISK_SLOW,
    FAULT_DRIFT,
    FAULT_JUMP,
    FAULT_CUT_ONE_WAY,
    FAULT_CUT_TWO_WAY,
    FAULT_LOSS,
    FAULT_DELAY,
    FAULT_DOUBLE,
    FAULT_MANUAL,
    FAULT_COORDINATED,
    FAULT_RESET,
    FAULT_VETO,
    FAULT_SET,
    FAULT_REMOVE,
    FAULT_MOVE,
    FAULT_WIPE,
    FAULTS
};

struct plan_node {
    bool persistent, keeps_id, rewrites, has_failover, no_stale;
    int priority;
    int loading_ms;   /* after a restart */
    char runid_digit; /* of its run id, 0: drawn */
};

struct plan_group {
    int quorum;
    int64_t down_after_ms, failover_timeout_ms;
    int parallel_syncs;
    bool reborn_follow;
    int replicas;
    int keys;                                    /* writes that are there from the start */
    int write_ms;                                /* between two writes */
    struct plan_node nodes[MAX_NODES_PER_GROUP]; /* the first is the master */
};

struct plan {
    uint64_t seed;
    int supers, groups;
    bool declared;  /* `supervisors` in the configuration; otherwise they discover each other */
    bool ids_drawn; /* ids are in no configuration: who loses his state directory draws a new one */
    bool as_stock[MAX_SUPERS];
    bool ordered;          /* the id of s1 is all 1, that of s2 all 2: who stands first is known */
    bool announce;         /* supervisors announce their address; otherwise they find it out from their links */
    int64_t delay_us;      /* the network's ordinary delay */
    int64_t lateness_us;   /* of every timer */
    int64_t sync_delay_ms; /* repl-diskless-sync-delay */
    int64_t repl_timeout_ms;
    int64_t sync_ms;        /* longest transfer of a full synchronisation */
    int64_t info_period_ms; /* 0: the default */
    bool relays_hello;      /* masters pass PUBLISH on to their replicas, as servers do */
    struct plan_group group[MAX_GROUPS];
    bool calm_switch;  /* a coordinated failover before the first fault, and after the last */
    bool reborn_alone; /* one master is reborn empty while nothing else is wrong */
    bool keep_dead;    /* one server never comes back */
    bool fault[FAULTS];
    int64_t between_us; /* mean time between faults */
    int64_t faults_us;  /* how long they go on */
};

void plan_draw(struct plan *p, uint64_t seed);

#endif
