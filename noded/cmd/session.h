/* A client as commands see it: pure state. The shell (noded/shell/client.c) owns the socket, gives the session a buffer
 * for its answers, and feeds it requests. */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H

#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/resp/reply.h"
#include "noded/cmd/command.h"
#include "noded/store/keyspace.h"

struct nd_engine;
struct nd_multi;   /* multi.c: queued commands */
struct nd_watch;   /* watch.c: one watched key */
struct nd_waiting; /* block.c: what a blocked session waits for */

enum nd_session_kind {
    ND_CLIENT,
    ND_REPLICA, /* of ours */
    ND_MASTER,  /* of ours: its stream; answers go nowhere, errors are logged */
    ND_INNER    /* the node itself: expiry, eviction, loading */
};

enum {
    ND_S_MULTI = 1 << 0,
    ND_S_DIRTY_CAS = 1 << 1,  /* a watched key changed */
    ND_S_DIRTY_EXEC = 1 << 2, /* a command was refused while queueing */
    ND_S_MONITOR = 1 << 3,
    ND_S_AUTHENTICATED = 1 << 4,
    ND_S_CLOSING = 1 << 5, /* after what is written: QUIT, protocol errors, CLIENT KILL of oneself */
    ND_S_REPLY_OFF = 1 << 6,
    ND_S_REPLY_SKIP = 1 << 7,      /* this answer is dropped */
    ND_S_REPLY_SKIP_NEXT = 1 << 8, /* the next one's is */
    ND_S_READONLY = 1 << 9,        /* cluster: READONLY */
    ND_S_ASKING = 1 << 10,
    ND_S_NO_EVICT = 1 << 11,
    ND_S_UNIX = 1 << 12,
    ND_S_IN_EXEC = 1 << 13,
    ND_S_POSTPONED = 1 << 14,  /* its request waits for the end of a pause or for a locked key */
    ND_S_SUBSCRIBED = 1 << 15, /* to a channel, pattern or shard channel */
    ND_S_IMPORT = 1 << 16,     /* slots come here on it: works in shadow databases, unanswered (noded/repl/import.h) */
    ND_S_SUPERVISOR = 1 << 17  /* has said CLUSTER LEASE: neither pauses nor limits of clients hold it up */
};

struct nd_session {
    struct nd_engine *e;
    uint64_t id;
    enum nd_session_kind kind;
    uint32_t flags;
    struct nd_db *db;                              /* selected */
    struct reply r;                                /* r.out: the shell's buffer; r.proto 2 or 3 */
    const struct nd_command *last;                 /* for CLIENT LIST, and for a quick lookup of the next */
    char *name;                                    /* CLIENT SETNAME; NULL none */
    char *lib_name, *lib_ver;                      /* CLIENT SETINFO */
    char addr[64], laddr[64];                      /* "host:port", or "path:0" */
    int fd;                                        /* to be shown only */
    int64_t created_ms, active_ms;                 /* Unix time, for age= and idle= */
    struct nd_multi *multi;                        /* NULL: none queued */
    struct nd_waiting *waiting;                    /* NULL: not blocked */
    struct nd_watch *watches;                      /* watch.c; NULL: none */
    size_t watched;                                /* keys in it */
    struct map channels, patterns, shard_channels; /* subscriptions (pubsub.c); lazily initialised: cap 0 while empty */
    struct nd_replica *replica;                    /* what it said of itself as one (noded/repl/serve.h); NULL */
    struct nd_import *import;                      /* what it brings (noded/repl/import.h); NULL */
    uint64_t input;                                /* bytes of its requests so far, with the one that runs */
    uint64_t mapping_meant;          /* epoch + 1 of the mapping of databases that RESTOREs mean; 0: ours */
    int64_t stream_offset;           /* of the replication stream behind its last command, for WAIT */
    void *shell;                     /* the shell's client */
    struct nd_session *next, *prev;  /* of all sessions, by id */
    struct nd_session *next_monitor; /* of those that see all commands */
};

/* The session joins the engine's list; the shell fills addr, laddr, fd, r. Freed sessions leave subscriptions, watches,
 * waits. */
struct nd_session *nd_session_new(struct nd_engine *e, enum nd_session_kind kind, struct buf *out, void *shell);
void nd_session_free(struct nd_session *s);
/* A client turns out to be a replica. */
void nd_session_become(struct nd_session *s, enum nd_session_kind kind);

enum nd_ran {
    ND_RAN,       /* answered (or the answer is suppressed); take the next request */
    ND_BLOCKED,   /* consumed; give it no request until host->resume() */
    ND_POSTPONED, /* not consumed: keep it and try again after host->resume() */
    ND_CLOSE      /* close when what is in the buffer is sent */
};
/* Runs one request. argc is 1 or more; the slices stay the caller's. */
enum nd_ran nd_session_run(struct nd_session *s, size_t argc, const struct slice *argv);

static inline bool nd_session_subscribed(const struct nd_session *s)
{
    return (s->flags & ND_S_SUBSCRIBED) != 0;
}

#endif
