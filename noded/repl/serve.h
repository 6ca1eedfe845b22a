/* The master's side of replication: who follows this node, how far each of them is, and what each gets next: a part of
 * the stream that it lacks, or a snapshot and the stream from there on. A replica that has replicas serves them the
 * same way, from the stream of its own master.
 *
 * Pure: what has to be sent stands in the session's own buffer, in a file, or in the backlog behind a cursor; the shell
 * (shell/replica_out.c) sends them in this order. */
#ifndef REPL_SERVE_H
#define REPL_SERVE_H

#include "noded/repl/persist.h"
#include "noded/repl/repl.h"

enum nd_replica_state {
    ND_REPLICA_NOT,     /* a client that has told something by REPLCONF */
    ND_REPLICA_WAITS,   /* for a snapshot to begin */
    ND_REPLICA_WRITTEN, /* a child writes the snapshot that it gets */
    ND_REPLICA_SENT,    /* the file is on its way */
    ND_REPLICA_ONLINE,  /* it gets the stream */
    ND_REPLICA_GONE     /* it is being closed */
};

/* REPLCONF capa. */
enum {
    ND_CAPA_EOF = 1 << 0,
    ND_CAPA_PSYNC2 = 1 << 1,
    ND_CAPA_DATABASES = 1 << 2 /* ours: it knows all databases in cluster mode too */
};

struct nd_replica {
    struct nd_session *s;
    struct nd_replica *next, *prev; /* of all that follow, in the order in which they came; not while it is NOT */
    enum nd_replica_state state;
    unsigned capa;
    int64_t port;            /* as it says; 0 unknown */
    char *ip;                /* as it says; NULL or "": that of its connection */
    bool one_database;       /* in cluster mode: it follows and knows database 0 only */
    bool rdb_only;           /* wants a snapshot and nothing else */
    bool old;                /* came with SYNC: it never acknowledges */
    bool lent;               /* the child writes to its socket */
    bool held;               /* online, but gets nothing before its first acknowledgement */
    bool acknowledged;       /* while the child wrote */
    int64_t since_us;        /* it waits; mono us */
    int64_t ack_us;          /* its last acknowledgement */
    int64_t ack;             /* the offset that it has */
    int64_t snapshot_offset; /* at which its snapshot begins */
    struct nd_backlog_cursor cursor;
};

/* What serving asks of the program. */
struct nd_serve_host {
    void *owner;
    /* What was written for the replica leaves now. false: not all of it could. */
    bool (*flush)(void *owner, struct nd_session *s);
    int (*socket)(void *owner, const struct nd_session *s);
    /* Until it is given back a child writes to the socket, and nobody else does. */
    void (*lend)(void *owner, struct nd_session *s, bool lent);
    /* Behind what was written for it: "$<length>" and the file. nd_serve_file_sent() is told later. false: the reason
     * is appended to why. */
    bool (*send_file)(void *owner, struct nd_session *s, const char *path, struct buf *why);
    void (*remove_file)(void *owner, const char *path);       /* those that send it go on */
    void (*delay_packets)(void *owner, struct nd_session *s); /* repl-disable-tcp-nodelay */
};

struct nd_ack_wait; /* serve_wait.c */
enum nd_failover_state { ND_FAILOVER_NONE, ND_FAILOVER_SYNCING, ND_FAILOVER_RUNNING };

struct nd_serving {
    struct nd_repl *r;
    struct nd_serve_host host;
    struct nd_replica *first, *last;
    size_t count;
    /* ---- the snapshot under way ---- */
    struct nd_replica **shared; /* whose sockets the child has, in their order; NULL: gone */
    int *fds;
    size_t shared_n;
    bool writing; /* a child of ours is at work */
    bool to_sockets;
    unsigned file_capa;           /* of the replica for which the file is written: who comes later must have them too */
    char file_id[ND_REPL_ID + 1]; /* the place in the history that the file has */
    int64_t file_offset;
    char *file_path; /* dbfilename may be another one when it is written */
    char mark[ND_REPL_ID + 1];
    /* ---- the stream ---- */
    int64_t told;    /* offset up to which the shell was told to send */
    bool ask;        /* REPLCONF GETACK goes out at the end of the turn */
    bool acked;      /* somebody acknowledged something in this turn */
    int64_t next_us; /* the look at everybody, each second */
    int64_t next_ping_us;
    int64_t alone_us; /* since when nobody follows */
    /* ---- WAIT ---- */
    struct nd_ack_wait *waits;
    size_t waits_n, waits_cap;
    /* ---- FAILOVER (failover.c) ---- */
    enum nd_failover_state failover;
    char *failover_host; /* NULL: whoever is first */
    int failover_port;
    bool failover_force;
    int64_t failover_until_us; /* HEAP_NEVER: for ever */
};

struct nd_serving *nd_serve_new(struct nd_repl *r, const struct nd_serve_host *host); /* r->serving is set */
void nd_serve_free(struct nd_repl *r);

/* The record of a session, made when there is none. */
struct nd_replica *nd_serve_replica(struct nd_repl *r, struct nd_session *s);
/* The session goes away (extension.session_gone). */
void nd_serve_gone(struct nd_session *s);

/* ---- how far they are ---- */
/* Online replicas that have everything up to this offset. */
size_t nd_serve_count_acked(const struct nd_serving *v, int64_t offset);
/* Online replicas that were heard of within min-replicas-max-lag. */
size_t nd_serve_count_good(const struct nd_serving *v);
/* All that are online have the whole stream; true when there are none. */
bool nd_serve_caught_up(const struct nd_repl *r);
int64_t nd_serve_lag_s(const struct nd_replica *p);                 /* of one that is online */
void nd_serve_address(const struct nd_replica *p, struct buf *out); /* where others reach it, without the port */
const char *nd_serve_state_name(const struct nd_replica *p);        /* as INFO has it */
struct nd_replica *nd_serve_find(const struct nd_serving *v, const char *host, int port); /* NULL: none */

/* ---- asked by commands ---- */
/* PSYNC and SYNC (id NULL): the session becomes a replica. */
void nd_serve_begin(struct nd_call *c, const char *id, int64_t offset);
/* In cluster mode a replica that has not said REPLCONF capa databases is not served while others than 0 hold keys. */
const char *nd_serve_knows_too_little(struct nd_call *c);
bool nd_serve_knows_one_database(const struct nd_engine *e, const struct nd_replica *p);
void nd_serve_ack(struct nd_replica *p, int64_t offset);
void nd_serve_wait_command(struct nd_call *c); /* serve_wait.c */
void nd_serve_waits_look(struct nd_serving *v);
void nd_serve_waits_forget(struct nd_serving *v, const struct nd_session *s);

/* ---- asked by the replica's side ---- */
/* Everybody has to synchronize again: with whatever he lacks, if the history allows it. The connections are closed in a
 * later step; nothing more is sent. Also when the history has got another name. */
void nd_serve_drop_all(struct nd_repl *r, const char *why);
void nd_serve_history_changed(struct nd_repl *r);
/* The stream is about to write to a database that some who follow do not know: they are disconnected before it. */
void nd_serve_leave_database_0(struct nd_repl *r);

/* ---- told by the shell ---- */
/* What of the stream it may be sent; NULL: nothing now. */
struct nd_backlog_cursor *nd_serve_cursor(const struct nd_session *s);
/* Bytes of the stream that it has not taken, whether or not it may be sent them now. */
size_t nd_serve_unread(const struct nd_session *s);
void nd_serve_file_sent(struct nd_session *s);
/* What INFO and MEMORY STATS tell of memory and forks. */
void nd_serve_facts(const struct nd_repl *r, struct nd_facts *out);
/* Settings have changed. */
void nd_serve_settings(struct nd_repl *r);
/* Before what was written leaves: questions for acknowledgements, snapshots that are due, who waits for
 * acknowledgements, and the shell is told who has something to be sent. */
void nd_serve_turn_end(struct nd_repl *r);
int64_t nd_serve_deadline(const struct nd_repl *r);
void nd_serve_tick(struct nd_repl *r);

#endif
