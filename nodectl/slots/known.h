/* Who knows whom: a cluster whose nodes do not all know each other heals only in part by itself. Pure, but for
 * known_one_cluster(). */
#ifndef NODECTL_SLOTS_KNOWN_H
#define NODECTL_SLOTS_KNOWN_H

#include "nodectl/cluster/picture.h"

/* Whether `by` can reach `of` by what it has of it: not where it lists it without an address, or has lost it at an
 * address where it is no more. Of a node that does not answer, and of a node itself: true. */
bool known_by(const struct picture_node *by, const struct picture_node *of);
/* Those that do not know it, as "a:1, b:2" appended to who (may be NULL). Returns how many. */
size_t known_lacking(const struct picture *p, const struct picture_node *of, struct buf *who);
/* Where it is, by the word of a node that hears it, else by its own. false: nobody can tell. *bus_port 0: not told. */
bool known_address(const struct picture *p, const struct picture_node *n, struct addr *addr, uint16_t *bus_port);
/* A node that has no chain of knowledge, in whatever direction, to the first one: it is of another cluster. NULL: all
 * are of one. */
const struct picture_node *known_stranger(const struct picture *p);

/* Before a command of one cluster goes on: EXIT_OK, or EXIT_USAGE, which was said, when the nodes are of two. */
int known_one_cluster(const struct command_call *call, const struct picture *p);

#endif
