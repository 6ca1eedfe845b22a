/* The source's data side of an atomic slot migration: a snapshot of some slots, all databases, and then the writes to
 * them, over a link of its own to the target (import.h). What is to happen decides the core (cluster/handover.h).
 *
 * Pure: links and the child that writes the snapshot are the program's. On the link stand requests, as in the
 * replication stream; those of CLUSTER SYNCSLOTS steer it (import.h has them). Several jobs may be under way; snapshots
 * are written one after the other, as there is one child at a time.
 *
 * A job comes near its end by rounds: FLUSH is asked for when little is unacknowledged, and when its answer comes soon
 * and there still is little, the core is told. How little is slot-migration-max-failover-repl-bytes; a load that keeps
 * more than that on the way all the time gets a greater measure from round to round, so that it gets through too; and
 * how soon, too, is looked at less strictly the longer it takes. */
#ifndef REPL_EXPORT_H
#define REPL_EXPORT_H

#include "noded/cluster/handover.h"
#include "noded/repl/repl.h"

struct nd_export;  /* one job */
struct nd_exports; /* r->exports: all of them; NULL outside of cluster mode */

/* None of them calls back before it returns. */
struct nd_export_host {
    void *owner;
    /* Begins a link for this job and returns it: nd_export_connected() or nd_export_lost() comes later. NULL: it cannot
     * be, the reason is appended to why. */
    void *(*connect)(void *owner, struct nd_export *x, const char *ip, int port, struct buf *why);
    void (*send)(void *owner, void *link, const char *p, size_t n); /* kept until it can be sent */
    bool (*flush)(void *owner, void *link);          /* what is kept leaves now. false: not all of it could */
    size_t (*unsent)(void *owner, const void *link); /* bytes that it keeps */
    /* Its descriptor, for the child; while it is lent nothing is sent from here. */
    int (*lend)(void *owner, void *link, bool lent);
    /* Closed: at once, with a child that writes to it, or gently: what it keeps may leave before, which takes a second
     * at most. No call comes from this link any more. */
    void (*close)(void *owner, void *link, bool gently);
    /* For the core, which learns of it in a later step; the owner is another one. seq and why as the event has them;
     * they are copied. */
    void *news_owner;
    void (*news)(void *owner, const struct cl_id *job, enum cl_job_news news, uint64_t seq, struct slice why);
};

struct nd_exports *nd_exports_new(struct nd_repl *r, const struct nd_export_host *host); /* r->exports is set */
void nd_exports_free(struct nd_repl *r); /* the host is not called any more; nothing happens when there are none */

/* ---- what the core wants (effects of the same names) ---- */
/* ip and port: where the target serves clients. slots: CL_SLOT_BYTES, copied. source: this node. target is named to
 * whoever answers there: another node refuses, and the job is lost. */
void nd_export_begin(struct nd_repl *r, const struct cl_id *job, const char *ip, int port, const uint8_t *slots,
                     const struct cl_id *source, const struct cl_id *target);
void nd_export_drain(struct nd_repl *r, const struct cl_id *job);
/* DRAIN has taken too long: writes follow again, and what the target has said to it counts no more. JOB_IS_NEAR comes
 * anew once it has heard of that. */
void nd_export_resume(struct nd_repl *r, const struct cl_id *job);
void nd_export_grant(struct nd_repl *r, const struct cl_id *job, uint64_t epoch);
void nd_export_stop(struct nd_repl *r, const struct cl_id *job, bool ok, struct slice why);

/* ---- told by the rooms below and beside ---- */
/* What one unit did (host->effects() of a master), told while r->exporting: writes to the slots of jobs go to their
 * links. A database that is emptied or exchanged ends them: see nd_exports_upset(). */
void nd_exports_feed(struct nd_repl *r, const struct nd_effect_row *rows, size_t n);
/* The dataset changes otherwise than by writes to keys, so that a snapshot and what follows would not be it. All jobs
 * that are not yet granted end (JOB_IS_LOST with this reason). */
void nd_exports_upset(struct nd_repl *r, const char *why);
/* Bytes that wait for their links. */
size_t nd_exports_memory(const struct nd_repl *r);

/* ---- told by the shell ---- */
void nd_export_connected(struct nd_export *x);
void nd_export_lost(struct nd_export *x, const char *why);
void nd_export_bytes(struct nd_export *x, struct slice *in); /* lines of the target: what was taken is cut off */
/* The next time (mono us) for nd_exports_tick(): timeouts, a snapshot whose turn it is, little left. */
int64_t nd_exports_deadline(const struct nd_repl *r);
void nd_exports_tick(struct nd_repl *r);

/* ---- for CLUSTER GETSLOTMIGRATIONS ---- */
struct nd_export_progress {
    int64_t ack_ms;         /* Unix: the target's last acknowledgement; 0 none */
    uint64_t snapshot_keys; /* written so far */
    uint64_t sent_bytes;    /* that the target has, or that are on their way; those of a snapshot once it is over */
    uint64_t left_bytes;    /* of them, not yet acknowledged */
};
bool nd_export_progress(const struct nd_repl *r, const struct cl_id *job, struct nd_export_progress *out);

#endif
