/* A digest of what one node of a cluster knows: which nodes there are, who is a master or follows whom, at which config
 * epoch and with which slots. The node says it along with what it is asked often, and whoever has read a text of
 * CLUSTER NODES with the same digest need not read this node's: thousands of nodes that agree are one text. Who sees
 * whom as failing, addresses and times are not in it. It finds accidents, not forgers. */
#ifndef BASE_VIEW_H
#define BASE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

/* Of one slot, 0-16383: those of a node's slots are XORed. */
uint64_t view_slot(unsigned slot);

struct view_node {
    uint64_t id, follows; /* the first 16 of the 40 hexadecimal digits, as a number; follows 0: nobody */
    bool master;
    uint64_t epoch; /* config epoch, of a replica that of its master: as CLUSTER NODES tells it */
    uint64_t slots; /* of view_slot() */
};
/* Of one node: those of all nodes are added. */
uint64_t view_of_node(const struct view_node *n);
/* Of all nodes, of the sum; never 0, which stands for "not told". */
uint64_t view_end(uint64_t sum);

#endif
