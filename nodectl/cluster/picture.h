/* A cluster as its nodes tell it: each node is asked what it sees, and the picture is what they agree on, with what
 * they do not agree on beside it. Needs no supervisor; noded, redis-server and valkey-server answer it. */
#ifndef NODECTL_CLUSTER_PICTURE_H
#define NODECTL_CLUSTER_PICTURE_H

#include "nodectl/asking.h"
#include "sentineld/core/cluster_nodes.h"

struct picture_open {
    uint16_t slot;
    bool importing; /* else migrating */
    runid other;    /* the node at the other end */
};

struct picture_node {
    runid id;
    struct addr addr;
    struct fleet_member *member; /* its connection; member->error: why it does not answer. NULL: no address is known */
    bool answers;                /* its own view was read; the rest is its own word then, else that of the others */
    bool noded;                  /* it is ours: databases, leases and atomic migrations */
    bool valkey;                 /* it is Valkey's */
    bool master;
    bool fails;      /* most of those that answer flag it FAIL, or it does not answer and one of them does */
    runid master_id; /* of a replica; "" else */
    runid shard;     /* "": the node tells none */
    uint64_t epoch;  /* config epoch; of a replica that of its master */
    unsigned nslots;
    struct sn_nodes view; /* what it sees; empty when it does not answer */
    struct picture_open *open;
    size_t nopen;
    int64_t databases; /* that can be selected; 1: stock, or before 9 */
    char version[24];  /* "7.0.15", of Valkey its own; "" unknown */
};

struct picture {
    const struct asking *asking;
    struct fleet fleet; /* the connections to the nodes, logged in */
    struct picture_node *v;
    size_t n, cap;
    int16_t owner[SN_SLOTS]; /* index in v, by the highest config epoch; -1: nobody */
    size_t covered;          /* slots with an owner */
};

/* Looks: asks the seeds (or, with none, the supervisors for nodes), then every node that any of them names.
 * false: no node can be asked, and the reasons are appended to why, a line each. picture_free() either way. */
bool picture_take(struct picture *p, const struct asking *a, struct buf *why);
/* Looks again over the same connections; who was lost is connected again. */
bool picture_again(struct picture *p, struct buf *why);
void picture_free(struct picture *p);

/* The node that `text` names: host:port, an id, or the beginning of one that is unique (four characters at least).
 * NULL: there is none, or several; the reason is appended to why. */
struct picture_node *picture_find(const struct picture *p, const char *text, struct buf *why);
struct picture_node *picture_by_id(const struct picture *p, const char *id); /* or NULL */
/* How to ask it. NULL: the picture has no such node. */
struct fleet_member *picture_member(const struct picture *p, const char *id);
/* Whether it has atomic migrations (CLUSTER MIGRATESLOTS): noded, and Valkey since version 9. */
bool picture_migrates(const struct picture_node *n);
/* The number of replicas of a master that answer or are named. */
size_t picture_replicas(const struct picture *p, const struct picture_node *master);
bool picture_is_mine(const struct picture *p, size_t slot, const struct picture_node *n);
/* Its slots: bit s % 8 of byte s / 8. */
void picture_slots(const struct picture *p, const struct picture_node *n, uint8_t slots[SN_SLOTS / 8]);

/* Asks one node one thing, and returns its answer, which lives until the next question to anybody. NULL: it does not
 * answer, or the answer is an error; the reason is appended to why as "host:port: reason". For more at once, and to
 * many side by side: fleet_ask() to their members and fleet_run(&p->fleet). */
const redisReply *picture_ask_slices(struct picture *p, struct picture_node *n, struct buf *why, size_t argc,
                                     const struct slice *argv);
/* The same of a command line of at most 32 words that is split at spaces: for words of our own, not for names and
 * keys. */
const redisReply *picture_askf(struct picture *p, struct picture_node *n, struct buf *why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* picture_take()'s: the nodes of the cluster as the supervisors name them; the reasons are appended to why. */
bool picture_seeds(const struct asking *a, struct conf_addresses *out, struct buf *why);

#endif
