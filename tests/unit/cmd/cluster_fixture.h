/* An engine with a core of the bus behind it that was loaded from a file of nodes; its disk is done at once. */
#ifndef UNIT_CLUSTER_FIXTURE_H
#define UNIT_CLUSTER_FIXTURE_H

#include "noded/cluster/lease.h"
#include "noded/cmd/cluster.h"
#include "tests/unit/cmd/engine_fixture.h"

#define ME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define VARS "vars currentEpoch 2 lastVoteEpoch 0\n"

#define WORLD_MOVES 8

struct world {
    struct fixture *f;
    struct cl_core *core;
    struct cl_effects fx;
    struct nd_cluster *cl;
    struct cl_command asked; /* the last command that the engine handed on, its node and slots copied */
    cl_token token;          /* 0: none is under way */
    uint8_t slots[CL_SLOT_BYTES];
    struct cl_move moves[WORLD_MOVES];
    char nodes[WORLD_MOVES + 1][64]; /* what they name; the last one is the command's own */
    struct cl_lease_ask lease;       /* what a command of leases points to, and what that does */
    struct cl_takeover promotion;
    struct cl_speaker speaker;
    struct cl_id from[WORLD_MOVES];
    struct cl_grant grants[WORLD_MOVES];
    char list[CL_SUPERVISORS_TEXT];
    struct nd_job_progress progress; /* of every job */
    int64_t now_us;
    int published, flushed;
    bool shard;
};

struct world *world_new(const char *file); /* nodes.conf; the cluster is well when all its slots have an owner */
void world_free(struct world *w);
/* A step, its files on the disk at once, and its answers. */
void world_step(struct world *w, struct cl_event e);
/* A command that the core decides: the first client waits, and has its answer after the step. */
const char *world_ask(struct world *w, const char *command);

struct row {
    const char *command, *answer;
};
void world_check(struct world *w, const struct row *rows, size_t n);
#define CHECK(w, rows) world_check(w, rows, sizeof(rows) / sizeof *(rows))

#endif
