/* A model of many small redis-servers in one process: pairs of a master and its replica that speak the real protocol
 * over sockets of 127.0.0.1, as far as supervisors use it. Made to measure supervisors with thousands of servers on a
 * small machine. It answers what redis-server 7.0.15 answers, and does what matters here as that does: a killed server
 * resets its connections and refuses new ones, a promotion ends the connections of clients, PUBLISH on a master reaches
 * the subscribers of its replica. */
#ifndef BENCH_MODEL_H
#define BENCH_MODEL_H

#include "common/base/rng.h"
#include "common/base/runid.h"
#include "common/resp/request.h"

#include <ev.h>

struct cluster;
struct model;
struct reply;
struct server;
struct conn;

#define MODEL_HOST "127.0.0.1"
#define MODEL_ARGS_MAX 64
#define MODEL_SUPERVISORS 7 /* on a list, where leases are modelled */

/* ---- servers ---- */

struct server {
    struct model *model;
    struct server *partner; /* the other one of the pair */
    size_t pair;
    int port;
    int fd; /* bound for the whole run, so that nobody else gets the port; listens while the server lives */
    ev_io accepting;
    bool alive;
    int64_t started_us;
    runid run_id, replid, replid2;
    int64_t offset;        /* as of the last event; of a linked replica its master's counts (server_offset()) */
    int64_t second_offset; /* -1: none */
    struct server *master; /* NULL: a master */
    int64_t link_up_us;    /* of a replica: when its link comes up, if its master lives then */
    int64_t link_lost_us;  /* ... and since when it is down otherwise */
    int64_t promoted_us;   /* since the last KILL of its pair, 0: not */
    struct conn *conns, *subscribers;
    size_t nconns, nsubscribers;
    uint64_t conns_seen, commands_seen, bytes_in, bytes_out;
    /* as a node of a cluster (cluster.c) */
    runid id;
    int64_t lag_us; /* after which it has heard of what happened elsewhere */
    uint64_t incarnation;
    int64_t list_version; /* 0: it is not supervised */
    int supervisors;
    int64_t until_us[MODEL_SUPERVISORS]; /* grants */
    bool leased;                         /* it had a lease when it was last spoken to */
};

bool server_linked(const struct server *s);                 /* a replica whose replication stream flows */
int64_t server_offset(const struct server *s);              /* master_repl_offset, of a replica slave_repl_offset */
void server_replicate(struct server *master, size_t bytes); /* so many bytes went into the stream */
void server_promote(struct server *s);
void server_follow(struct server *s, struct server *master);
void server_kill(struct server *s);
void server_revive(struct server *s, struct server *master); /* NULL: as a master. Empty handed: a new run id */

/* ---- connections ---- */

struct conn {
    struct model *model;
    struct server *server; /* NULL: of the control port */
    int fd;
    uint64_t id;
    ev_io reading, writing;
    struct resp_parser *parser;
    struct buf in, out; /* in: what is left of an incomplete request */
    bool subscribed;
    bool doomed;  /* closed at the end of the turn */
    bool leaving; /* ... when what is there is written */
    bool flushing;
    struct conn *next, **link; /* of its server */
    struct conn *next_subscriber, **subscriber_link;
    struct conn *next_flush; /* to be written at the end of the turn */
    struct queued *queue;    /* between MULTI and EXEC: the commands, in order */
    size_t nqueued;
    bool in_multi, multi_failed;
};

void conn_accept(struct model *m, struct server *s, int listener);
void conn_free(struct conn *c);
void conn_reply(struct conn *c); /* something was appended to out: it leaves at the end of the turn */
void conn_doom(struct conn *c);
void conn_subscribe(struct conn *c);
void conn_queue_clear(struct conn *c);
void conn_flush_all(struct model *m);

/* ---- commands ---- */

struct queued {
    struct slice argv[MODEL_ARGS_MAX]; /* into text */
    size_t argc;
    struct buf text;
};

void command_run(struct conn *c, const struct slice *argv, size_t argc);
void control_run(struct conn *c, const struct slice *argv, size_t argc);
void info_write(struct server *s, struct buf *out);

/* How often each command was served, for k = 0, 1, ...; false when there is no k-th. */
bool command_served(size_t k, const char **name, uint64_t *count);

/* ---- a cluster of all pairs, each a shard ---- */

void cluster_begin(struct model *m); /* when the servers are there */
void cluster_run(struct conn *c, const struct slice *argv, size_t argc, struct reply *r);
void cluster_forget_texts(struct model *m); /* somebody died */
/* [leases of live masters that ran out, the longest time without one in ms, live masters without one now, texts] */
void cluster_leases(const struct model *m, struct reply *r);
void cluster_agree(const struct model *m, struct reply *r); /* when the last live node knew the last promotion, in us */

/* ---- the whole ---- */

struct model {
    struct ev_loop *loop;
    ev_prepare turn_end;
    struct server *servers; /* 2 * npairs: masters at first, then their replicas */
    size_t npairs;
    int control_fd, control_port;
    ev_io control;
    struct conn *flush, *control_conns;
    uint64_t last_conn;
    struct rng rng;
    struct cluster *cluster; /* NULL: the pairs are groups of their own */
};

struct server *model_find(struct model *m, struct slice host, int64_t port); /* NULL: none of ours */
struct server *model_master(struct model *m, size_t pair); /* the living master of a pair, NULL when there is none */
int64_t model_now(void);                                   /* microseconds, CLOCK_MONOTONIC */

#endif
