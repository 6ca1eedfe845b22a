/* What the slots commands begin with: the options that all have, and the cluster as its nodes tell it. */
#ifndef NODECTL_SLOTS_SESSION_H
#define NODECTL_SLOTS_SESSION_H

#include "nodectl/change.h"
#include "nodectl/cluster/picture.h"

struct session {
    const struct command_call *call;
    struct asking asking;
    struct picture picture;
    bool tells_strangers; /* set behind session_read(): that nodes are of two clusters is for the command to say */
};

/* Reads the options; asks nobody. EXIT_OK, or EXIT_USAGE with the reason on standard error. session_end() either
 * way. */
int session_read(struct session *s, const struct command_call *call);
/* Takes the picture. EXIT_OK, or EXIT_NOBODY, or EXIT_USAGE when the nodes are of two clusters, with the reason on
 * standard error. */
int session_look(struct session *s);
void session_end(struct session *s);
/* The master that the text names: a node, of a replica its master, or a shard by the name that the supervisors have for
 * it ("orders/1a2b3c4d" or "1a2b3c4d"). NULL: why is appended to. */
struct picture_node *session_master(struct session *s, const char *text, struct buf *why);

#endif
