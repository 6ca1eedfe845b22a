/* A cluster as the core sees it: nodes that answer PING, INFO and CLUSTER NODES in the words of Redis 7.0, and do what
 * they are told. Time passes in steps to the core's own deadlines; everything is answered 1 ms later. */
#ifndef TESTS_FLEET_LAB_H
#define TESTS_FLEET_LAB_H

#include "sentineld/core/fleet.h"

#define LAB_NODES 8 /* of the usual cluster: six, and two that may join */
#define LAB_NODES_MAX 40
#define LAB_CORES 3
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
    struct sn_core *cores[LAB_CORES]; /* of lab_begin_three(); core is the one that steps */
    size_t ncores;
    bool cut[LAB_CORES][LAB_NODES_MAX]; /* this supervisor does not reach that node, */
    bool apart[LAB_CORES][LAB_CORES];   /* or that other one */
    bool mute;                          /* supervisors do not hear each other's hellos */
    struct lab_node nodes[LAB_NODES_MAX];
    size_t n;
    struct buf events;        /* "+monitor orders/...\n" */
    struct buf sent;          /* "TAKEOVER 7004\n" */
    struct buf records;       /* "SHARD orders/...\n" of the last PERSIST */
    struct buf notes;         /* "agreed\n" */
    struct sn_effect *answer; /* last ANSWER or ANSWER_BALLOTS; owned */
    /* Of a test that has more in its world (lease_lab.h); NULL: nothing more. */
    bool (*on_send)(const struct sn_effect *fx); /* false: it is none of its own */
    bool (*is_there)(const struct addr *a);      /* somebody listens at this address, which is no node's */
    bool disk_holds, disk_fails;                 /* what PERSIST comes to: nothing yet; an error */
    uint64_t disk_seq;                           /* of the last PERSIST */
};

extern struct lab lab;

struct lab_options {
    bool declared;  /* two others are on the list of `supervisors` */
    int64_t quorum; /* 0: 1 */
    uint64_t epoch;
    bool empty_state;
    bool no_fleet;
    int64_t lease_ms;
    struct sn_list list;
    struct sn_swap swap;    /* what is stored of swaps of databases, */
    const char *swap_lists; /* and the lists that it is of; NULL: nothing is */
};

/* Three shards at the ports 7001-7003 with the replicas 7004-7006, a fleet "orders" with the seed 7001. */
void lab_begin(const struct lab_options *o);
int lab_end(void **state);
void lab_model(void); /* only the nodes */
/* Three supervisors on the list of each other, with a quorum of two, over a cluster of so many shards with a replica
 * each: the masters come first. */
void lab_begin_three(size_t shards);
uint64_t lab_hash(uint64_t x);
size_t lab_self(void); /* which of the three steps just now */
void lab_step(struct sn_event *e);
void lab_push(const struct sn_event *e, const char *text); /* arrives 1 ms later; what it points to must last */
void lab_put_nodes(struct buf *b, int teller);             /* its CLUSTER NODES */
void lab_run(int64_t ms);
void lab_kill(int node);
void lab_notice(size_t core, int node); /* that a node which is not alive is gone */
void lab_start(int node);
size_t lab_count(const struct buf *log, const char *part); /* lines that hold it */
void lab_forget_logs(void);
const struct sn_group *lab_shard(const char *digits); /* "orders/<digits>", or NULL */
int lab_master(const struct sn_group *g);             /* the port of its master */
bool lab_has(const struct sn_group *g, int port);
bool lab_is_down(const struct sn_group *g, int port);
struct sn_core *lab_new_core(const struct lab_options *o);

/* fleet_lab_peers.c: what supervisors say to each other. */
struct lab_letter {
    struct sn_core *to;
    struct sn_event e;
    char *text;
    struct sn_effect *asked; /* BALLOTS and OPINIONS: whose ballots it holds; owned */
    struct sn_opinion *opinions;
    int64_t at_us;
};
struct lab_letter *lab_post(struct sn_core *to, const struct sn_event *e, const char *text);
void lab_letter_free(struct lab_letter *l);
bool lab_peer_connect(const struct sn_effect *fx); /* false: it is no supervisor's address */
void lab_peer_send(struct sn_effect *fx, const struct sn_peer *p);
void lab_peer_answer(struct sn_effect *fx);
void lab_peers_end(void);

#endif
