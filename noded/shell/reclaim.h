/* Frees what takes long in a thread of its own, so that UNLINK and FLUSHALL ASYNC answer at once. The thread is started
 * when it is first needed. */
#ifndef SHELL_RECLAIM_H
#define SHELL_RECLAIM_H

#include "noded/store/keyspace.h"

struct reclaim;

struct reclaim *reclaim_new(void);
void reclaim_free(struct reclaim *r); /* waits until all is freed */

/* Takes the memory over. */
void reclaim_value(struct reclaim *r, struct nd_value v);
void reclaim_content(struct reclaim *r, struct nd_content *content);

size_t reclaim_pending(struct reclaim *r); /* values not freed yet */
size_t reclaim_done(struct reclaim *r);    /* values freed since the start */

#endif
