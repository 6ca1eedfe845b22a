/* Between links.c (connections) and links_wire.c (what is said over them). */
#ifndef SHELL_LINKS_INNER_H
#define SHELL_LINKS_INNER_H

#include "common/base/idmap.h"
#include "common/io/link.h"
#include "sentineld/shell/daemon.h"
#include "sentineld/shell/info_cache.h"
#include "sentineld/shell/links.h"
#include "sentineld/shell/wire.h"

struct links {
    struct daemon *d;
    struct idmap by_id;          /* sn_link -> link */
    struct info_cache *infos;    /* by "host:port" */
    struct wire_request request; /* being put together; its memory is used again and again */
    size_t infos_sweep;          /* when there are so many, those of nodes that are gone are dropped */
};

struct link {
    struct links *all;
    sn_link id;
    struct io_link *io;
    bool subscribe;
    char *user, *pass; /* only where AUTH has another name there, which io_link cannot know; else NULL */
};

/* Settings of the group that a link's node belongs to: its renamed commands. NULL: a peer, a node of a cluster (where
 * nothing is renamed), or the link is gone. */
const struct sn_settings *link_settings(const struct link *l);
void link_keep_info(struct link *l, struct slice text);

/* Sends the command of a SEND effect; what cannot be sent is dropped. */
void link_say(struct link *l, const struct sn_effect *e);
/* Sends AUTH under the name that it has there. */
void link_login(struct link *l);

#endif
