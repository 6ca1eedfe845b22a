/* The node's end of the cluster bus: its listener, its links, the file nodes.conf, and what the core (noded/cluster)
 * wants done. Only there in cluster mode. */
#ifndef SHELL_BUS_H
#define SHELL_BUS_H

#include "noded/cluster/event.h"
#include "noded/shell/node.h"

struct bus;

/* Reads and locks nodes.conf and opens the port. NULL: it cannot be (the file is torn or in use, the port is taken);
 * the reason is appended to error. */
struct bus *bus_open(struct node *n, struct buf *error);
/* Before the dataset is loaded: a replica loads as one. It keeps what has expired, and goes on where its file stands in
 * its master's history. */
void bus_take_role(struct bus *b);
/* The dataset is loaded: the first step is taken. Until then the node is silent, so that a replica may take its place,
 * and commands for the cluster wait. NULL is allowed, here and below. */
void bus_start(struct bus *b);
/* The file on the disk is as the core last wanted it. */
void bus_close(struct bus *b);
/* What commands have asked of the core is decided now, and not at the end of the turn. */
void bus_decide(struct bus *b);
/* The end of a turn: the core is told when the data side has changed. */
void bus_turn(struct bus *b);
/* Fills cluster_links and cluster_links_memory. */
void bus_count_links(const struct bus *b, struct nd_facts *out);
/* A setting has changed. false: it cannot be, the reason is appended to why. */
bool bus_setting(struct bus *b, struct buf *why);

/* Told by the data sides of migrations (news and greatest_epoch of their hosts), with the bus as owner: the core learns
 * of it in a step of its own, later in the turn. node and slots may be NULL. */
void bus_export_news(void *bus, const struct cl_id *job, enum cl_job_news news, uint64_t seq, struct slice why);
void bus_import_news(void *bus, const struct cl_id *job, enum cl_job_news news, const struct cl_id *node,
                     const uint8_t *slots, uint64_t seq, struct slice why);
uint64_t bus_greatest_epoch(void *bus);

#endif
