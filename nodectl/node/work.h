/* What every verb of a node has: whom it asks, the cluster as its nodes and its supervisors tell it, the change that it
 * makes, and waiting until all agree. */
#ifndef NODECTL_NODE_WORK_H
#define NODECTL_NODE_WORK_H

#include "nodectl/change.h"
#include "nodectl/node/supervision.h"

struct node_work {
    const struct command_call *call;
    struct asking asking;
    struct picture picture;
    struct supervision by;
    struct change change;
    bool changing; /* change_end() is owed */
    struct buf why;
};

/* Reads the options of ASKING_NODES_OPTIONS. EXIT_OK, or EXIT_USAGE with the reason said. node_end() either way. */
int node_read(struct node_work *w, const struct command_call *call);
/* Then, after the verb's own options: looks at everything. changes: the verb changes something. EXIT_OK, or the exit
 * code with all of it said. */
int node_begin(struct node_work *w, bool changes);
/* code: what node_begin() returned, or of a verb that changes nothing its own. extra: see change_end(). */
int node_end(struct node_work *w, int code, json_t *extra);

/* The node that the text names; NULL: the change has failed for it. */
struct picture_node *node_named(struct node_work *w, const char *text);
/* "the replica 127.0.0.1:7003"; returns text. */
const char *node_text(const struct picture_node *n, char text[ADDR_TEXT_MAX]);

/* Looks again and again until `there` says so. false: not within timeout_ms, or Ctrl-C; why has the last reason. */
typedef bool node_wait_fn(struct node_work *w, void *what, struct buf *why);
bool node_wait(struct node_work *w, int64_t timeout_ms, node_wait_fn *there, void *what);

/* Runs one step of the plan: `work` appends to w->why why it failed. false: the change has failed, or was interrupted.
 */
typedef bool node_step_fn(struct node_work *w, void *what);
bool node_step(struct node_work *w, size_t step, node_step_fn *work, void *what);

/* All nodes that answer have the same view of roles, epochs and slots, and see nobody in handshake. */
bool node_all_agree(const struct picture *p, struct buf *why);

#endif
