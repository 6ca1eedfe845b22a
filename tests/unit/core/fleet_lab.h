/* A cluster as the core sees it: nodes that answer PING, INFO and CLUSTER NODES in the words of Redis 7.0, and do what
 * they are told. Time passes in steps to the core's own deadlines; everything is answered 1 ms later. */
#ifndef TESTS_FLEET_LAB_H
#define TESTS_FLEET_LAB_H

#include "sentineld/core/fleet.h"

#define LAB_NODES 8
#define LAB_ID "0123456789abcdef0123456789abcdef01234567"
#define LAB_MS(ms) ((int64_t)(ms)*1000)

struct lab_node {
    const char *id;
    int port;
    bool alive;
    bool listed;     /* in the others' texts */
    bool alone;      /* it was reset: lists itself only */
    int master;      /* of a replica; -1: it is a master */
    int first, last; /* its slots; first -1: none */
    uint64_t epoch;
    bool failed;          /* the others hold it for failed */
    bool stubborn;        /* does not hear of takeovers */
    bool refuses;         /* TAKEOVER and CLUSTER FAILOVER */
    uint64_t takes_epoch; /* that it gets by TAKEOVER; 0: one above all */
    const char *says;     /* instead of what the model has */
    bool no_failover;     /* was told so last */
    int reads_as;         /* which node answers at its address, itself if it is its own index */
    long offset;
};

struct lab {
    struct sn_core *core;
    struct sn_effects fx;
    int64_t now_us;
    struct lab_node nodes[LAB_NODES];
    size_t n;
    struct buf events;        /* "+monitor orders/...\n" */
    struct buf sent;          /* "TAKEOVER 7004\n" */
    struct buf records;       /* "SHARD orders/...\n" of the last PERSIST */
    struct buf notes;         /* "agreed\n" */
    struct sn_effect *answer; /* last ANSWER or ANSWER_BALLOTS; owned */
    void *queue;
};

extern struct lab lab;

struct lab_options {
    bool declared;  /* two others are on the list of `supervisors` */
    int64_t quorum; /* 0: 1 */
    uint64_t epoch;
    bool empty_state;
    bool no_fleet;
};

/* Three shards at the ports 7001-7003 with the replicas 7004-7006, a fleet "orders" with the seed 7001. */
void lab_begin(const struct lab_options *o);
int lab_end(void **state);
void lab_model(void); /* only the nodes */
void lab_step(struct sn_event *e);
void lab_run(int64_t ms);
void lab_kill(int node);
void lab_start(int node);
size_t lab_count(const struct buf *log, const char *part); /* lines that hold it */
void lab_forget_logs(void);
const struct sn_group *lab_shard(const char *digits); /* "orders/<digits>", or NULL */
int lab_master(const struct sn_group *g);             /* the port of its master */
bool lab_has(const struct sn_group *g, int port);
bool lab_is_down(const struct sn_group *g, int port);
struct sn_core *lab_new_core(const struct lab_options *o);

#endif
