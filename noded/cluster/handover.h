/* Atomic migration of slots, and the versioned mapping of databases: the node's half of SAFETY, sections 5 and 6.
 *
 * A migration is a job of two nodes, source and target, under one name. The data side of the source sends a snapshot of
 * the slots (all databases) and then the writes to them over a link of its own; the data side of the target keeps what
 * comes where nobody sees it. The core decides. A job at the source, with what happens to writes of its slots:
 *
 *   connecting, snapshotting, streaming   writes go on
 *   paused       NEAR: little is left. Writes wait; the target gets the rest, flushes it and has it acknowledged by its
 *                replicas (DRAIN, DRAINED). Where that or the record takes too long the job goes back to streaming
 *                (RESUME) and tries it again later, a few times and with a longer pause each time.
 *   recording    a record of the hand-over (job, slots, target, epoch) is made durable here and at all our replicas
 *   granted      the target was told to take the slots at that epoch: the point of no return. Writes wait, and are
 *                refused after a while, until the target claims the slots, or says that it never will.
 *   success, failed, cancelled
 *
 * and at the target: receiving, granted (taking; its replicas learn of it before anybody else), and the same ends. Up
 * to the grant every trouble ends the job at both ends; the source goes on as if nothing had been. From the grant on
 * only the target's durable word counts, asked for over the bus (CL_HANDOVER) when the link is gone:
 *
 *  - it has taken them: its claim at the epoch of the record (or above it, its successor's) wins them everywhere;
 *  - it has not, and never will: its current epoch is at or above that of the record on its disk, and no grant at an
 *    epoch that is not above that is ever taken. The source then claims its slots anew, above it.
 *
 * Where the target had begun to take them its replicas must have forgotten it before it says so, for they would go on
 * in its place. The answer is one of each slot: an operator may have given some to the target in another way.
 *
 * Slots in an open record are claimed by nobody: neither by a source that raises its epoch meanwhile, nor by a replica
 * that is elected in its place; that one inherits the question. A replica of the target that is elected takes what the
 * record says that its master was taking.
 *
 * The state of a shard that its next master must have (open records, the swap under way) has a version. A master counts
 * every replica that it would wait for, tells it so with its version, and replicas that lack it, or are not counted, do
 * not stand for election. */
#ifndef CLUSTER_HANDOVER_H
#define CLUSTER_HANDOVER_H

#include "noded/cluster/core.h"

enum cl_job_state {
    CL_JOB_CONNECTING,
    CL_JOB_SNAPSHOTTING,
    CL_JOB_STREAMING,
    CL_JOB_PAUSED,
    CL_JOB_RECORDING,
    CL_JOB_GRANTED,
    CL_JOB_RECEIVING, /* the target's only */
    CL_JOB_SUCCESS,   /* from here on: over */
    CL_JOB_FAILED,
    CL_JOB_CANCELLED
};

#define CL_JOBS_LIVE 64  /* at once, of either kind */
#define CL_JOBS_KEPT 128 /* that are over; the oldest is forgotten first */

struct cl_job_row {
    struct cl_id name, source, target;
    bool importing; /* else exporting */
    enum cl_job_state state;
    const uint8_t *slots;
    int64_t created_ms, updated_ms; /* Unix */
    int tries;                      /* how often writes have waited for the hand-over */
    uint64_t snapshot_keys;         /* of its snapshot, once that is over; 0 too behind a restart of this node */
    const char *message;            /* "" while all is well; good until the next step */
};
/* All that are live or kept, the newest first; *it from 0 on. */
bool cl_next_job(const struct cl_core *c, size_t *it, struct cl_job_row *out);
const char *cl_job_state_name(enum cl_job_state s); /* as CLUSTER GETSLOTMIGRATIONS has it */

/* What a write to a slot of this node has to do. */
enum cl_hold {
    CL_HOLD_NOT,
    CL_HOLD_WAIT,  /* until nd_cluster_changed(): a hand-over is under way, or our disk does not know the slot yet */
    CL_HOLD_REFUSE /* nobody knows for how long: the target does not answer, or the disk takes nothing */
};
enum cl_hold cl_slot_hold(const struct cl_core *c, int slot);
/* Some slot is held: writes that name no keys (FLUSHALL, FLUSHDB) wait until none is. */
bool cl_some_slot_held(const struct cl_core *c);
/* All replicas that may be elected are there, and know what they must. Else whoever takes slots would have to wait for
 * one that is gone, perhaps for long. */
bool cl_replicas_agree(const struct cl_core *c);
/* The slots of this job may be granted to us: under supervisors that takes a lease with a config epoch above the
 * source's, and no failover at the source. Asked before the source pauses its writes. */
bool cl_ready_to_take(const struct cl_core *c, const struct cl_id *job);
/* This replica may become the master: it has what its master wants it to have. */
bool cl_state_known(const struct cl_core *c);

/* ---- the mapping of databases ---- */

struct cl_swap_row {
    bool prepared; /* both databases wait for all requests of clients */
    int a, b;
    uint64_t epoch; /* that the mapping has once it is applied; 0: there never was one */
    bool aborted;
    uint64_t ballot; /* of the attempt at it, as its supervisors name it; 0: none */
    int64_t held_us; /* for how long it is prepared, as of the last step */
};
/* The last swap that this node heard of. */
void cl_swap(const struct cl_core *c, struct cl_swap_row *out);
/* Requests to these two databases wait. */
bool cl_databases_held(const struct cl_core *c, int *a, int *b);
/* It came after another master, and no majority of its supervisors has granted it anything since: they may know swaps
 * of databases that it lacks, and would tell it those first. All requests to databases wait (SAFETY W5). */
bool cl_mapping_doubted(const struct cl_core *c);
bool cl_supervised(const struct cl_core *c);

/* What clients of this node want of its supervisors (SWAPDB): a supervisor reads it in the answers to CLUSTER LEASE. */
struct cl_wish_row {
    uint64_t request; /* of the oldest that nobody has taken up; 0: none */
    int a, b;
    uint64_t waits; /* the lowest mapping that is here and for which a client waits until it is everywhere; 0: none */
};
void cl_wishes(const struct cl_core *c, struct cl_wish_row *out);

#endif
