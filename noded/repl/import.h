/* The target's data side of an atomic slot migration. What arrives goes into shadow databases (store/keyspace.h), where
 * no command of a client sees it: a job's requests run in a session that has them selected. So they take the way of all
 * writes, to our replicas and into the log, and a snapshot of the dataset has them; SLOTS SHOW moves whole slots over
 * to where they are seen.
 *
 * The link, opened by the source as a client (AUTH before, as its masteruser and masterauth say):
 *
 *   CLUSTER SYNCSLOTS ESTABLISH <job> <source-id> <target-id> <mapping-epoch> <databases>
 *                     SLOTSRANGE <s> <e> [<s> <e> ...]
 *                        -> +OK when the core accepts it (asked for over the host), or an error; then it is closed.
 *                           A node that is not the target named refuses: an address may lead to another node
 *   then, without answers, SELECT and the requests that make the keys of those slots;
 *   CLUSTER SYNCSLOTS SNAPSHOT-END;  then the writes to the slots, as in a replication stream;
 *   CLUSTER SYNCSLOTS FLUSH  -> +FLUSHED <offset>          once all before it is on disk (as far as the log is on: to
 *   CLUSTER SYNCSLOTS DRAIN  -> +DRAINED <offset> <epoch>  the disk) and acknowledged by our replicas; epoch: the
 *                                                          greatest that our core knows
 *   CLUSTER SYNCSLOTS RESUME -> +RESUMED <offset>          at once: DRAIN is taken back, answered or not, and the
 *                                                          stream goes on
 *   CLUSTER SYNCSLOTS GRANT <epoch>      the core decides; no answer: the claim is told over the bus
 *   CLUSTER SYNCSLOTS ABORT <why>        the source gives it up; the link is closed behind it
 *
 * Our replicas are all that the cluster knows of: one that does not follow just now, or has failed and may still be
 * elected, keeps both questions unanswered, and after repl-timeout (DRAIN: seconds) ends the job.
 *
 * The offset counts bytes behind the request ESTABLISH, up to the end of the last one that was taken; that of FLUSHED,
 * DRAINED and RESUMED with the question itself. +ACK <offset> comes about ten times a second while bytes arrive. DRAIN
 * needs SNAPSHOT-END before it, and GRANT an answered DRAIN; nothing follows GRANT. Databases are numbered as the
 * source has them, also in what MOVE and COPY name; PING is taken as a sign of life. Whatever is not as it should be (a
 * key of another slot, a request that fails, an unknown one) is answered by an error and ends the link.
 *
 * In our own stream and log, and of a master's stream as a replica runs it: SELECT of shadow databases (their numbers
 * are those above the last database), the requests themselves, and CLUSTER SYNCSLOTS SHOW|FORGET|DROP <s> <e> [<s> <e>
 * ...] for what becomes of slots. */
#ifndef REPL_IMPORT_H
#define REPL_IMPORT_H

#include "noded/cluster/handover.h"
#include "noded/repl/repl.h"

struct nd_import;  /* one job */
struct nd_imports; /* r->imports: all of them; NULL outside of cluster mode */

struct nd_import_host {
    void *owner;
    /* For the core (CL_EV_JOB), in a later step: ASKED with node, slots and seq; the others as handover.h says. What is
     * pointed to is copied. */
    void (*news)(void *owner, const struct cl_id *job, enum cl_job_news news, const struct cl_id *node,
                 const uint8_t *slots, uint64_t seq, struct slice why);
    uint64_t (*greatest_epoch)(void *owner);
    /* All that was logged so far: nd_import_flushed() is told once it is on disk, later and not from inside. false:
     * there is no log, nothing will be told. Not asked again before it was told. */
    bool (*flush)(void *owner);
};

struct nd_imports *nd_imports_new(struct nd_repl *r, const struct nd_import_host *host); /* r->imports is set */
void nd_imports_free(struct nd_repl *r); /* before the sessions; the host is not called any more */

/* ---- what the core wants ---- */
/* The answer to ASKED. Nothing happens when the link has gone meanwhile. why: of a refusal, without a code. */
void nd_import_accept(struct nd_repl *r, const struct cl_id *job, bool ok, struct slice why);
/* It is over: the link is closed, with an error before it when not ok. No news follows. */
void nd_import_stop(struct nd_repl *r, const struct cl_id *job, bool ok, struct slice why);
/* Slots (CL_SLOT_BYTES) whose shadows become visible, or are deleted; those without any are skipped quickly, nothing is
 * streamed when none had any. What a database that is seen still holds of slots that are shown is deleted first. A
 * master's. */
void nd_import_show(struct nd_repl *r, const uint8_t *slots);
void nd_import_forget(struct nd_repl *r, const uint8_t *slots);
/* The other end's: slots that are another's now. What clients saw of them goes at once, however many keys it is, and is
 * freed beside; one unit of the stream and of the log says so. Where a replica knows database 0 only, and so not the
 * word, key by key. Returns how many it were. */
size_t nd_slots_drop(struct nd_repl *r, const uint8_t *slots);

/* ---- told by others ---- */
/* A request of a session with ND_S_IMPORT, instead of nd_session_run(). s->input counts it already; of a postponed one
 * that is taken back. */
enum nd_ran nd_import_run(struct nd_session *s, size_t argc, const struct slice *argv);
/* Before maxmemory would evict or refuse for a request of a job, after FLUSHALL or FLUSHDB, when this node becomes a
 * replica: all jobs end. Nothing happens when there are none. */
void nd_imports_upset(struct nd_repl *r, const char *why);
void nd_import_flushed(struct nd_repl *r, const char *error); /* NULL: it is on disk */
void nd_imports_turn_end(struct nd_repl *r);                  /* replicas may have acknowledged */
/* The next time (mono us) for nd_imports_tick(). */
int64_t nd_imports_deadline(const struct nd_repl *r);
void nd_imports_tick(struct nd_repl *r);
bool nd_import_ack_ms(const struct nd_repl *r, const struct cl_id *job, int64_t *out); /* Unix; for GETSLOTMIGRATIONS */
/* The session goes away (extension.session_gone). */
void nd_import_gone(struct nd_session *s);

/* CLUSTER SYNCSLOTS (extension.syncslots). */
void nd_syncslots_command(struct nd_call *c);

#endif
