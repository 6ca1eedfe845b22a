/* What is drawn for one seed before its fleet begins: how many shards, replicas and supervisors, their settings, and
 * which faults may happen. */
#ifndef FLEET_PLAN_H
#define FLEET_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/rng.h"

#define SUPERS_MAX 7
#define SHARDS_MAX 6
#define NODES_MAX 24

enum fault_kind {
    FAULT_KILL_MASTER,
    FAULT_KILL,
    FAULT_POWER,
    FAULT_STOP,
    FAULT_STOP_MASTER,
    FAULT_MASS,
    FAULT_WIPE,
    FAULT_KILL_SUPER,
    FAULT_STOP_SUPER,
    FAULT_WIPE_SUPER,
    FAULT_ALL_SUPERS,
    FAULT_SUSPEND,
    FAULT_DRIFT,
    FAULT_CUT_SUPERS_NODES,
    FAULT_CUT_MASTER,
    FAULT_CUT,
    FAULT_LOSS,
    FAULT_DELAY,
    FAULT_DOUBLE,
    FAULT_HANG,
    FAULT_DISK_SLOW,
    FAULT_DISK_FULL,
    FAULT_SWITCH,
    FAULT_HIDDEN_SWITCH,
    FAULT_MEMBERS,
    FAULTS
};

struct plan {
    uint64_t seed;
    bool modelled; /* the supervisors are those of model.c: they lease by the book of the shipped core, and vote */
    int supers, shards, replicas; /* replicas of each shard; node i belongs to shard i % shards, as its first master
                                     when i < shards */
    int64_t down_after_ms, lease_ms, node_timeout_ms;
    /* of supervisors with the shipped core */
    int quorum;
    bool declared; /* each knows the others from its file; else they find each other */
    bool leased;   /* they lease; modelled ones always do */
    int64_t failover_timeout_ms, info_period_ms;
    int64_t delay_us;    /* the network's ordinary delay */
    int64_t lateness_us; /* of every timer, at most */
    int64_t write_ms;    /* between two writes of a client */
    int64_t sync_ms;     /* longest transfer of a full synchronisation */
    int64_t lag_us;      /* of replicas behind their masters */
    bool drifts;         /* every clock runs at its own rate from the beginning */
    bool fault[FAULTS];
    int64_t between_us; /* mean time between faults */
    int64_t faults_us;  /* how long they go on */
    bool keep_dead;     /* at the end one more master dies for good */
    bool release;       /* when all is well an operator releases the cluster, and adopts it again */
    int64_t migrate_ms; /* mean time between two who want slots migrated; 0: nobody does */
    int64_t swap_ms;    /* mean time between two who want databases swapped; 0: nobody does */
};

void plan_draw(struct plan *p, uint64_t seed);

#endif
