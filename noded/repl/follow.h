/* Whom this node follows: the replica's side of PSYNC2, so that redis-server can be the master.
 *
 * The machine is pure: it is told of bytes that have come, of a link that is up or lost and of the time, and asks for
 * links and files through struct nd_follow_host. A master's requests run as those of a session of kind ND_MASTER; the
 * bytes of what was run are relayed as they came, so offsets are one number along a chain.
 *
 * Nothing diverges silently. A request of the stream that this node does not know, or that fails here though it did not
 * fail at the master, ends the following until an operator says REPLICAOF again, or the master's history changes; so
 * does a snapshot that has a value of an unknown type. */
#ifndef REPL_FOLLOW_H
#define REPL_FOLLOW_H

#include "noded/repl/repl.h"

/* What following asks of the program (shell/master_link.c). None of them calls back before it returns. */
struct nd_follow_host {
    void *owner;
    /* Begins to connect; nd_follow_connected() or nd_follow_lost() comes later. */
    void (*connect)(void *owner, const char *host, int port);
    void (*send)(void *owner, const char *p, size_t n); /* kept until it can be sent */
    void (*close)(void *owner);                         /* no call comes from this link any more */
    /* The file into which a snapshot is taken before it is loaded. false: the reason is appended to why. */
    bool (*file_open)(void *owner, struct buf *why);
    bool (*file_write)(void *owner, const char *p, size_t n, struct buf *why);
    void (*file_flush)(void *owner); /* to the disk, elsewhere; nd_follow_flushed() comes later */
    /* Reads on from the beginning; 0: the end; -1: it cannot be read. */
    ptrdiff_t (*file_read)(void *owner, char *p, size_t n);
    void (*file_rewind)(void *owner); /* to the beginning */
    void (*file_keep)(void *owner);   /* it was loaded: it becomes dbfilename, or is deleted (rdb-del-sync-files) */
    void (*file_drop)(void *owner);   /* closes and deletes it, if there is one */
};

/* What the link to the master is doing. */
enum nd_follow_state {
    ND_FOLLOW_NOBODY,  /* this node is a master */
    ND_FOLLOW_WAITING, /* for the next try */
    ND_FOLLOW_CONNECTING,
    ND_FOLLOW_GREETING,  /* PING, AUTH, REPLCONF */
    ND_FOLLOW_ASKING,    /* PSYNC was sent */
    ND_FOLLOW_RECEIVING, /* a snapshot; into a file, or loaded as it comes */
    ND_FOLLOW_FLUSHING,  /* the file */
    ND_FOLLOW_LOADING,   /* the file */
    ND_FOLLOW_STREAMING, /* in step with the master */
    ND_FOLLOW_STOPPED    /* something came that this node cannot follow; only REPLICAOF goes on */
};

struct nd_following *nd_follow_new(struct nd_repl *r, const struct nd_follow_host *host); /* r->following is set */
void nd_follow_free(struct nd_repl *r); /* the host is not called any more */

/* REPLICAOF host port: from now on a replica; what it was following is left. `failover`: the master asked for it
 * (FAILOVER TO): PSYNC says so. false: it follows this master already, and nothing changed. */
bool nd_follow_set(struct nd_repl *r, const char *host, int port, bool failover);
/* REPLICAOF NO ONE: a master whose history goes on from its master's. Nothing happens when it is one. */
void nd_follow_none(struct nd_repl *r);
/* REPLICAOF ACCEPT: the dataset of this history may replace ours even if it is empty (replica-guard). */
void nd_follow_accept(struct nd_repl *r, const char *id);
/* After CONFIG SET of a setting of following (replica-guard, replica-serve-stale-data, masterauth ...). */
void nd_follow_settings(struct nd_repl *r);

/* NULL: it follows nobody. */
const char *nd_follow_host_name(const struct nd_repl *r);
int nd_follow_port(const struct nd_repl *r);
enum nd_follow_state nd_follow_state(const struct nd_repl *r);
/* As ROLE names it: "connect", "connecting", "handshake", "sync", "connected". */
const char *nd_follow_state_name(const struct nd_repl *r);
/* The link to the master is up; a master has none. What -NOMASTERLINK is about: following somebody and not up. */
bool nd_follow_is_up(const struct nd_repl *r);
static inline bool nd_follow_is_down(const struct nd_repl *r)
{
    return nd_follow_host_name(r) != NULL && !nd_follow_is_up(r);
}
/* The dataset is no place in the master's history: a request of it could not be run, or a part of it only. */
bool nd_follow_has_strayed(const struct nd_repl *r);
/* A snapshot is being loaded into a keyspace beside the one that is read (swapdb). */
bool nd_follow_loads_aside(const struct nd_repl *r);

/* ---- told by the shell ---- */
void nd_follow_connected(struct nd_repl *r);
void nd_follow_lost(struct nd_repl *r, const char *why);
/* Takes bytes from the front of *in, which becomes what was not taken. Not all may be taken although more could be
 * done: at most about `budget_us` of work are done in one call (0: no bound); and none are while a file is loaded.
 * true: call again with what is left in the next turn; false: with the next bytes, or after nd_follow_wants_bytes()
 * says so. */
bool nd_follow_bytes(struct nd_repl *r, struct slice *in, int64_t budget_us);
bool nd_follow_wants_bytes(const struct nd_repl *r);
void nd_follow_flushed(struct nd_repl *r, const char *error); /* the file; NULL: it is on the disk */
/* The next time (mono us) for nd_follow_tick(): tries, timeouts, acknowledgements, and at once while a file is loaded.
 */
int64_t nd_follow_deadline(const struct nd_repl *r);
void nd_follow_tick(struct nd_repl *r);

/* ---- follow_info.c ---- */
/* The replica's fields of INFO replication, master_host to slave_read_only; nothing on a master. */
void nd_follow_info(const struct nd_repl *r, struct buf *out);
/* ROLE of a replica. */
void nd_follow_role(const struct nd_repl *r, struct reply *reply);

#endif
