/* What is drawn for one seed before its world begins: how many nodes and shards, their settings, and which faults may
 * happen. A scenario writes a plan by hand instead. */
#ifndef BUS_PLAN_H
#define BUS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/rng.h"

#define MAX_NODES 128

enum fault_kind {
    FAULT_KILL_MASTER,
    FAULT_KILL,
    FAULT_POWER,
    FAULT_STOP,
    FAULT_WIPE,
    FAULT_MOVE,
    FAULT_MASS,
    FAULT_DRIFT,
    FAULT_JUMP,
    FAULT_CUT_ONE_WAY,
    FAULT_CUT_TWO_WAY,
    FAULT_LOSS,
    FAULT_DELAY,
    FAULT_HANG,
    FAULT_DISK_SLOW,
    FAULT_DISK_FULL,
    FAULT_STREAM,
    FAULT_FORGET,
    FAULT_RESET,
    FAULT_REPLICATE,
    FAULT_FAILOVER,
    FAULT_MOVE_SLOT,
    FAULT_BUMP,
    FAULT_SETTINGS,
    FAULT_MIGRATE,
    FAULT_CANCEL,
    FAULT_FLUSH,
    FAULTS
};

struct plan {
    uint64_t seed;
    int nodes, masters; /* node i >= masters begins as a replica of node i % masters */
    int64_t timeout_ms, validity_factor, migration_barrier, repl_ping_ms;
    bool full_coverage, allow_migration;
    bool same_epochs;    /* nobody sets config epochs apart when the cluster is formed: they collide */
    bool volatile_data;  /* a node comes back empty */
    int64_t delay_us;    /* the network's ordinary delay */
    int64_t lateness_us; /* of every timer */
    int64_t write_ms;    /* between two writes */
    int64_t sync_ms;     /* longest transfer of a full synchronisation */
    int64_t lag_us;      /* of replicas behind their masters */
    bool keep_dead;      /* one master never comes back */
    int64_t flush_ms;    /* a crash loses what was written since the last flush; 0: nothing */
    int64_t migrate_ms;  /* mean time between migrations of slots; 0: only as a fault */
    int64_t swap_ms;     /* between swaps of databases: the world is supervised; 0: there are none */
    int64_t lease_ms;    /* of a lease: the world has supervisors, who promote; 0: nodes elect */
    bool fault[FAULTS];
    int64_t between_us; /* mean time between faults */
    int64_t faults_us;  /* how long they go on */
};

void plan_draw(struct plan *p, uint64_t seed);

#endif
