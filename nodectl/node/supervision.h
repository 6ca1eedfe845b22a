/* Who supervises the cluster of a picture, and what each of them says of its shards. A cluster that nobody supervises
 * has none: then its nodes decide by themselves. */
#ifndef NODECTL_NODE_SUPERVISION_H
#define NODECTL_NODE_SUPERVISION_H

#include "nodectl/cluster/picture.h"

#include <jansson.h>

struct supervision {
    const struct asking *asking;
    struct fleet fleet; /* the supervisors that were named, and those that they know */
    char *cluster;      /* its name there; NULL: nobody who was asked watches it */
    /* What SENTINEL CLUSTER says, by member of the fleet: the fields, all text, and "shards" [{..., "replicas" [{}]}];
     * null of who does not answer, or does not watch it. */
    json_t *views;
};

/* false: the nodes are supervised, and nobody who was named can be asked about it; why has what to do.
 * supervision_free() either way. */
bool supervision_find(struct supervision *s, const struct asking *a, struct picture *p, struct buf *why);
void supervision_again(struct supervision *s); /* asks all of them anew */
void supervision_free(struct supervision *s);

size_t supervision_watching(const struct supervision *s); /* how many answer and watch it; 0: unsupervised */
/* Who of them does not answer, "host:port (reason)", the next one behind ", ". Returns how many. */
size_t supervision_silent(const struct supervision *s, struct buf *who);
/* The shard with this node, as master or replica, by who knows the highest epoch. NULL: there is none. */
const json_t *supervision_shard(const struct supervision *s, const char *node_id);
/* The shard of this name, with or without the cluster's before the slash. */
const json_t *supervision_named(const struct supervision *s, const char *name);

/* Whether all who watch say so; who does not is appended to why. */
bool supervision_count(const struct supervision *s, size_t nodes, struct buf *why);
bool supervision_master(const struct supervision *s, const char *shard, const char *node_id, struct buf *why);
bool supervision_replica(const struct supervision *s, const char *node_id, const char *master_id, struct buf *why);
bool supervision_forgot(const struct supervision *s, const char *node_id, struct buf *why);

/* SENTINEL FAILOVER shard COORDINATED [TO node]; node_id NULL: they choose. false: why has the answer. */
bool supervision_switch(struct supervision *s, const char *shard, const char *node_id, struct buf *why);

#endif
