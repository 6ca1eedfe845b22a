/* A target of migrations with a program that does nothing by itself: the test is the sources, the core, the disk and
 * the replicas. */
#ifndef UNIT_IMPORT_WORLD_H
#define UNIT_IMPORT_WORLD_H

#include "noded/cmd/cluster.h"
#include "noded/cmd/extension.h"
#include "noded/repl/import.h"
#include "noded/repl/serve.h"
#include "tests/unit/cmd/engine_fixture.h"

/* Slots: x 16287, y 12222, z 8157, a 15495, b 3300, c 7365, n 1891. This node has 0-8191. */
#define TARGET "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SOURCE "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define JOB_1 "1111111111111111111111111111111111111111"
#define JOB_2 "2222222222222222222222222222222222222222"

struct target {
    struct fixture *f;
    struct nd_repl *r;
    struct cl_core *core;
    struct nd_cluster *cl;
    struct nd_extension of_copy;
    struct buf news; /* a line each: "<job's first digit> NAME seq why" */
    uint8_t asked[CL_SLOT_BYTES];
    uint64_t snapshot_keys; /* of the last snapshot that is over */
    bool has_log;
    int flushes; /* asked of the log */
};

struct target *target_new(void);
void target_free(struct target *t);
const char *target_news(struct target *t); /* since it was looked at last */
void target_forward_ms(struct target *t, int64_t ms);
/* The core accepts, or does not: why. */
void target_accepts(struct target *t, const char *job, const char *why);
void target_stops(struct target *t, const char *job, const char *why); /* NULL: all is well */
void target_shows(struct target *t, int from, int to);
void target_forgets(struct target *t, int from, int to);
/* One who follows, online, that has acknowledged what there is. */
struct client *target_replica(struct target *t);

/* A request of a source, with what was written for it in answer, also since the last one. */
const char *link_says(struct client *c, const char *request);
/* The same, and the node takes it without a word. */
void link_sends(struct client *c, const char *request);
/* A link with a job for the slots that has been accepted; the digits of its name. */
struct client *link_new(struct target *t, char digit, const char *ranges);
/* The dataset of the copy is that of the node, shadows too. */
void target_assert_copied(struct target *t);

#endif
