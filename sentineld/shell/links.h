/* Links to nodes and peers: does CONNECT, DISCONNECT and SEND effects over hiredis (common/io/link.h), and turns what
 * comes back into events of the core. Keeps the last INFO text of each node for SENTINEL INFO-CACHE. */
#ifndef SHELL_LINKS_H
#define SHELL_LINKS_H

#include "common/base/bytes.h"
#include "sentineld/core/effect.h"

struct daemon;
struct links;
struct sn_node;

struct links *links_new(struct daemon *d);
void links_free(struct links *l);
void links_connect(struct links *l, const struct sn_effect *e);
void links_disconnect(struct links *l, const struct sn_effect *e);
void links_send(struct links *l, const struct sn_effect *e);

/* The last INFO of a node and when it came (io_now_us()); n = 0 when none has come. Valid until the next event. */
struct slice links_info(const struct links *l, const struct sn_node *node, int64_t *when_us);

#endif
