/* A cluster made of nodes that run, as redis-cli --cluster create makes one: slots to the masters, an epoch of its own
 * to each, all of them met, replicas sent to their masters. Each part looks first what is so already, so that one that
 * was cut short goes on when it is called again. noded, redis-server and valkey-server. */
#ifndef NODECTL_CLUSTER_FORM_H
#define NODECTL_CLUSTER_FORM_H

#include "nodectl/asking.h"
#include "sentineld/core/cluster_nodes.h"

struct form_node {
    struct addr addr;
    int bus_port;
    size_t shard; /* from 0 */
    bool master;
    /* The rest is form.c's. */
    struct fleet_member *member;
    struct sn_nodes view; /* what it says of the cluster */
    int64_t keys;         /* in all its databases */
    bool link_up;         /* of a replica to its master */
    bool state_ok;        /* cluster_state */
};

struct form {
    const struct asking *asking; /* logins and the time that an answer may take */
    size_t shards;
    struct form_node *v; /* masters may stand anywhere */
    size_t n;
    struct fleet fleet;
};

/* v: addr, bus_port, shard and master are set; form_free() frees it. */
void form_init(struct form *f, const struct asking *a, struct form_node *v, size_t n, size_t shards);
void form_free(struct form *f);

/* Asks all nodes what they are. false: somebody does not answer, or is no node of a cluster; the reasons are appended
 * to why, a line each. *waits: for one that only does not answer yet. */
bool form_look(struct form *f, bool *waits, struct buf *why);
/* Whether nothing stands in the way: every node is either empty and alone, or what this cluster wants of it already.
 * After form_look(). */
bool form_is_fit(const struct form *f, struct buf *why);
/* Whether the nodes are such a cluster already, and well. After form_look(). */
bool form_is_done(const struct form *f);

/* Whether each of these nodes, which may be some of the cluster's only, sees one of that many nodes where everybody has
 * slots or a master. After form_look(). */
bool form_sees_whole(const struct form *f, size_t nodes);

/* The parts. false: the reason is appended to why. A wait ends after limit_ms, or at Ctrl-C. */
bool form_give_slots(struct form *f, struct buf *why);
/* Until everybody knows everybody. */
bool form_meet(struct form *f, int limit_ms, struct buf *why);
/* Until every replica has its master's data, and all call the cluster ok. */
bool form_replicate(struct form *f, int limit_ms, struct buf *why);

/* The slots of a shard: first and one behind the last. */
size_t form_slot(size_t shard, size_t shards);

#endif
