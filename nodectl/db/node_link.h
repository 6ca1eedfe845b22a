/* One connection to a node for many requests: binary safe, sent ahead of their answers. It waits for answers, for as
 * long as was agreed on. */
#ifndef NODECTL_DB_NODE_LINK_H
#define NODECTL_DB_NODE_LINK_H

#include "common/base/addr.h"
#include "nodectl/asking.h"

#include <hiredis/hiredis.h>

struct node_link {
    struct addr addr;
    redisContext *c;  /* NULL: not connected */
    struct buf error; /* why it is not, a clause */
};

/* Connects and logs in. false: error says why. */
bool node_link_open(struct node_link *l, const struct asking *a, const struct addr *addr);
void node_link_close(struct node_link *l); /* error stays until it is opened again */
void node_link_free(struct node_link *l);
/* Puts a request; nothing is sent before an answer is asked for, or node_link_send(). */
void node_link_put(struct node_link *l, size_t argc, const struct slice *argv);
void node_link_put_ready(struct node_link *l, const char *request, size_t n); /* as redisFormatCommandArgv() makes it */
bool node_link_send(struct node_link *l);
/* The answer to the oldest request that has none; the caller frees it. NULL: the connection is closed now. */
redisReply *node_link_get(struct node_link *l);
/* One request and its answer. NULL: it is closed, or the answer is an error; the reason is appended to why. */
redisReply *node_link_call(struct node_link *l, struct buf *why, size_t argc, const struct slice *argv);
/* The same with words that a program text has; ends with NULL. */
redisReply *node_link_ask(struct node_link *l, struct buf *why, ...) __attribute__((sentinel));
bool node_link_select(struct node_link *l, int64_t db, struct buf *why);

#endif
