/* The source's data side of an atomic slot migration: a snapshot of some slots, all databases, and then the writes to
 * them, over a link of its own to the target (import.h). What is to happen decides the core (cluster/handover.h).
 *
 * Pure: links and the child that writes the snapshot are the program's. On the link stand requests, as in the
 * replication stream; those of CLUSTER SYNCSLOTS steer it (import.h has them). Several jobs may be under way; snapshots
 * are written one after the other, as there is one child at a time. */
#ifndef REPL_EXPORT_H
#define REPL_EXPORT_H

#include "noded/cluster/handover.h"
#include "noded/repl/repl.h"

struct nd_export;  /* one job */
struct nd_exports; /* r->exports: all of them; NULL outside of cluster mode */

struct nd_export_host {
    void *owner;
    /* A link for this job: nd_export_connected() or nd_export_lost() comes later. */
    void (*connect)(void *owner, struct nd_export *x, const char *ip, int port);
    void (*send)(void *owner, struct nd_export *x, const char *p, size_t n); /* kept until it can be sent */
    size_t (*unsent)(void *owner, const struct nd_export *x);                /* bytes that it keeps */
    /* Its descriptor, for the child; while it is lent nothing is sent from here. */
    int (*lend)(void *owner, struct nd_export *x, bool lent);
    /* Closed, once what was sent has left (soon: not later than that). No call comes from this link any more. */
    void (*close)(void *owner, struct nd_export *x, bool soon);
    /* For the core. seq and why as the event has them. */
    void (*news)(void *owner, const struct cl_id *job, enum cl_job_news news, uint64_t seq, struct slice why);
};

struct nd_exports *nd_exports_new(struct nd_repl *r, const struct nd_export_host *host); /* r->exports is set */
void nd_exports_free(struct nd_repl *r); /* the host is not called any more */

/* ---- what the core wants (effects of the same names) ---- */
void nd_export_begin(struct nd_repl *r, const struct cl_id *job, const char *ip, int port, const uint8_t *slots,
                     const struct cl_id *source);
void nd_export_drain(struct nd_repl *r, const struct cl_id *job);
void nd_export_grant(struct nd_repl *r, const struct cl_id *job, uint64_t epoch);
void nd_export_stop(struct nd_repl *r, const struct cl_id *job, bool ok, struct slice why);

/* ---- told by the rooms below and beside ---- */
/* What one unit did (host->effects() of a master): writes to the slots of jobs go to their links. */
void nd_exports_feed(struct nd_repl *r, const struct nd_effect_row *rows, size_t n);
/* A whole database is emptied or exchanged: a snapshot of it and what follows would not be the dataset. All jobs that
 * are not yet granted end (JOB_IS_LOST with this reason). */
void nd_exports_upset(struct nd_repl *r, const char *why);

/* ---- told by the shell ---- */
void nd_export_connected(struct nd_export *x);
void nd_export_lost(struct nd_export *x, const char *why);
void nd_export_bytes(struct nd_export *x, struct slice *in); /* lines of the target: what was taken is cut off */
/* The next time (mono us) for nd_exports_tick(): timeouts, child that could not begin, little left. */
int64_t nd_exports_deadline(const struct nd_repl *r);
void nd_exports_tick(struct nd_repl *r);

/* ---- for CLUSTER GETSLOTMIGRATIONS ---- */
struct nd_export_progress {
    int64_t ack_ms;                  /* Unix: the target's last acknowledgement; 0 none */
    uint64_t snapshot_keys;          /* written so far */
    uint64_t sent_bytes, left_bytes; /* of the stream: sent or waiting, and not yet acknowledged */
};
bool nd_export_progress(const struct nd_repl *r, const struct cl_id *job, struct nd_export_progress *out);

#endif
