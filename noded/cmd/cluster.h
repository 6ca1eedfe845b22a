/* Cluster mode as commands see it: which requests this node serves itself and where the others belong (CLUSTER, the
 * checks before a command), and what happens to sessions when a slot moves. The bus itself is noded/cluster; the
 * program around the engine (shell/bus.c) steps it and owns it. Outside of cluster mode there is no struct nd_cluster,
 * and nobody pays for it. Reference: cluster-bus, sections 3 and 4; multi-db; SAFETY, section 7. */
#ifndef CMD_CLUSTER_H
#define CMD_CLUSTER_H

#include "noded/cluster/redirect.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/run.h"
#include "noded/cmd/table.h"

struct nd_info;
struct nd_slot_stats;
struct nd_cluster_ask; /* cluster_ask.c: a session that waits for the answer of the core */
struct nd_cluster_exec;

/* What the data side knows of a migration (CLUSTER GETSLOTMIGRATIONS). */
struct nd_job_progress {
    int64_t ack_ms;      /* Unix: when the other end was last heard of; 0: not yet */
    uint64_t left_bytes; /* of the stream that the target has not acknowledged; 0 at the target */
    uint64_t keys;       /* of the snapshot, so far; 0 at the target, and when it is over */
};

/* What the data side knows of the replication of this node (CLUSTER LEASE). */
struct nd_cluster_data {
    const char *replid; /* good until the next turn */
    bool link_up;       /* of a replica: to its master, and in sync */
    int64_t link_ms;    /* for how long it is so already */
};

/* What cluster mode asks of the program. None of them calls back before it returns. */
struct nd_cluster_host {
    void *owner;
    /* The core is stepped with this command in a later part of the turn; what it points to is copied. Exactly one
     * nd_cluster_answered() follows. */
    void (*command)(void *owner, cl_token token, const struct cl_command *command);
    /* A client's message, to be spread over the bus; local subscribers have it. */
    void (*publish)(void *owner, struct slice channel, struct slice message, bool shard);
    /* Bytes that wait to be sent on a link, and what its buffers hold; false: no such link. */
    bool (*link_buffers)(void *owner, cl_link link, size_t *used, size_t *allocated);
    uint64_t (*links_over_limit)(void *owner); /* closed because of cluster-link-sendbuf-limit */
    /* false: it knows nothing of this job (any more). */
    bool (*job_progress)(void *owner, const struct cl_id *job, struct nd_job_progress *out);
    void (*data)(void *owner, struct nd_cluster_data *out);
    /* FLUSHALL or FLUSHDB has run: no migration can go on that this node is an end of. */
    void (*flushed)(void *owner);
};

/* An answer that is made once and kept until something changes (cluster_describe.c). */
struct nd_cluster_text {
    struct buf bytes;
    uint64_t version; /* of the core when it was made */
    int64_t made_ms;
    int endpoint; /* cluster-preferred-endpoint-type then */
    bool made;
};

struct nd_cluster {
    struct nd_engine *e;
    struct cl_core *core; /* the program's */
    struct nd_cluster_host host;
    /* Slots whose requests run here without a closer look: ours, not open, the cluster is well. */
    uint8_t plain[CL_SLOT_BYTES];
    bool started;    /* the program steps the core: set by it when the dataset is loaded */
    bool leased;     /* a master with a lease, or without need of one, when the core was last looked at */
    bool lease_told; /* a lease is there, or none is needed: as the log was told last */
    bool holds;      /* something is held, slots or databases: */
    bool holds_all;  /* all databases are */
    bool has_stock;  /* a member of this shard knows database 0 only: */
    struct cl_id stock;
    size_t stock_replicas;        /* connections that follow this node and know database 0 only, members or not; */
    char stock_address[80];       /* the last one of them that came */
    uint64_t version;             /* of the core, as of the last nd_cluster_look() */
    struct cl_held_slots held;    /* slots whose writes wait, or are refused, */
    int held_dbs[2];              /* and databases whose requests wait; -1: none */
    struct nd_cluster_ask *asks;  /* under way */
    struct nd_cluster_exec *exec; /* that runs now and has asked the core, */
    struct buf *exec_out;         /* where the answer of the last one went, */
    size_t exec_from;             /* and where in it that began */
    cl_token last_token;
    struct nd_cluster_text slots[2], shards[2]; /* by protocol: RESP2, RESP3 */
    struct nd_slot_stats *slot_stats;           /* slot_stats.h */
};

/* e->cluster is set. The core outlives it. */
struct nd_cluster *nd_cluster_new(struct nd_engine *e, struct cl_core *core, const struct nd_cluster_host *host);
void nd_cluster_free(
    struct nd_cluster *cl); /* NULL is allowed; sessions that wait for an answer of the core get none */

/* ---- told by the program ---- */
/* After a step of the core, before anything else of its effects is done: what depends on slots and roles follows.
 * Sessions that wait for keys of slots that went away, and subscribers of their shard channels, are told; requests that
 * waited for what is held try again. Nothing happens when nothing has changed. */
void nd_cluster_changed(struct nd_cluster *cl);
/* The answer to host.command(): the text of a status or of an error. */
void nd_cluster_answered(struct nd_cluster *cl, cl_token token, bool ok, struct slice text);
/* Keys of these slots are deleted in all databases, here and on the replicas. Returns how many. */
size_t nd_cluster_drop_slots(struct nd_engine *e, const uint8_t *slots);
/* All databases are emptied, and the epoch of their mapping is 0. */
void nd_cluster_empty(struct nd_engine *e);
bool nd_cluster_has_keys(const struct nd_engine *e);
/* Slots in which some database holds a key: bits are set in out, which is cleared first. */
void nd_cluster_key_slots(const struct nd_engine *e, uint8_t out[CL_SLOT_BYTES]);
size_t nd_cluster_slot_keys(const struct nd_engine *e, int slot); /* in all databases */

/* ---- for commands ---- */
/* The core is asked; the session is blocked until it answers. Where it may not block the error is answered. */
void nd_cluster_ask(struct nd_call *c, const struct cl_command *command);
/* What was answered, when c->ended is set: to be called first by every function that asks. true: it is done. */
bool nd_cluster_reply(struct nd_call *c);
/* The same for a command with an answer of its own: it is written when the core has said yes. */
enum nd_cluster_answer { ND_CLUSTER_NOT_YET, ND_CLUSTER_YES, ND_CLUSTER_NO /* the error was answered */ };
enum nd_cluster_answer nd_cluster_take_answer(struct nd_call *c);
/* Around the commands of EXEC, its answer included. When one of them has asked the core, EXEC waits as if it had
 * itself, and has answered nothing yet; the core sees them one right after the other. Nothing happens outside of
 * cluster mode. */
void nd_cluster_exec_begins(struct nd_call *c);
void nd_cluster_exec_ends(struct nd_call *c);
/* As nd_cluster_reply(), for EXEC itself. */
bool nd_cluster_exec_reply(struct nd_call *c);
/* A slot number as argument; else the error is answered. */
bool nd_cluster_slot_arg(struct nd_call *c, size_t i, int *slot);
/* false: cluster mode is off, and the error was answered. */
bool nd_cluster_on(struct nd_call *c);

/* ---- for cluster*.c ---- */
void nd_cluster_asks_free(struct nd_cluster *cl);

/* ---- the checks before a command (cluster_gate.c) ---- */
/* What the fast checks need is found anew. false: nothing has changed since the last time. */
bool nd_cluster_look(struct nd_cluster *cl);
bool nd_cluster_shard_has(struct nd_cluster *cl, int slot); /* the slot is of this node's shard */
static inline bool nd_cluster_one_database(const struct nd_cluster *cl)
{
    return cl->has_stock || cl->stock_replicas > 0;
}
static inline bool nd_cluster_concerned(const struct nd_call *c)
{
    const struct nd_cluster *cl = c->e->cluster;
    return cl != NULL && (c->row->keyed != ND_KEYED_NOT || cl->holds || nd_cluster_one_database(cl));
}
/* REFUSED: this node does not run the request: the answer says why, and a transaction is spoiled by it. POSTPONED: it
 * has to wait for a slot that is being handed over, or for databases that are about to be exchanged; it is marked, and
 * resumed by nd_cluster_changed(). Otherwise OPEN. */
enum nd_gate nd_cluster_gate(struct nd_call *c);
/* The key may not be changed by what began before it was held (MIGRATE): its slot or its database is. */
bool nd_cluster_holds_key(const struct nd_engine *e, const struct nd_db *db, struct slice key);
/* As the program answers a request that is not run: a transaction is spoiled by it. */
void nd_cluster_refuse(struct nd_call *c, const char *error);
/* A request of a session that has said ASKING is over: it was for one only. */
void nd_cluster_asked(struct nd_session *s, const struct nd_command *cmd);
/* The session waits for keys: the redirect that it gets if they are not served here any more is appended to out. */
bool nd_cluster_moved_away(struct nd_session *s, const struct nd_command *cmd, const struct slice *argv, size_t argc,
                           struct buf *out);

void nd_asking_command(struct nd_call *c);
void nd_cluster_lease(struct nd_call *c); /* CLUSTER LEASE */

/* ---- leases (cluster_lease.c; SAFETY L4) ---- */
/* A request that may write, of a client of a supervised node, and the clock has to be read, or a refusal answered. That
 * is the last of all checks. In a pipeline the clock has just been read, for the end of the command before this one: a
 * process that is stopped between the two could as well be stopped between a check and its command, and what is then
 * executed is found out before its answer leaves. */
static inline bool nd_lease_concerns(const struct nd_call *c)
{
    const struct nd_engine *e = c->e;
    return e->lease_until_us != INT64_MAX && c->s->kind == ND_CLIENT &&
           (c->row->flags & (ND_WRITE | ND_RUNS_IN_MULTI)) != 0 &&
           (e->stopwatch != c->s || e->now_us >= e->lease_until_us);
}
/* REFUSED: it writes, this node holds no lease now, and that was answered. POSTPONED: the lease was given back a moment
 * ago, so that another node takes over: it waits for that. Otherwise OPEN. */
enum nd_gate nd_lease_gate(struct nd_call *c);
void nd_lease_grace_ends(struct nd_engine *e); /* whoever waits for that tries again, and is refused */
/* What the node writes by itself (expiry, eviction, waiting clients) may be written now, by a fresh clock. */
bool nd_lease_lasts(const struct nd_engine *e);
static inline bool nd_leased(const struct nd_engine *e)
{
    return e->lease_until_us == INT64_MAX || nd_lease_lasts(e);
}
/* After a step of the core, and when a lease has ended: what the core says of leases counts, and is told in the log.
 * true: one has begun. */
bool nd_lease_look(struct nd_cluster *cl);
void nd_lease_info(const struct nd_engine *e,
                   struct buf *out); /* its lines of INFO and CLUSTER INFO; in cluster mode */

#endif
