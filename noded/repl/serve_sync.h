/* Inside of serving: how a replica comes in, and the snapshots made for them. */
#ifndef REPL_SERVE_SYNC_H
#define REPL_SERVE_SYNC_H

#include "noded/repl/serve.h"

/* ---- serve.c ---- */
void nd_serve_join(struct nd_serving *v, struct nd_replica *p); /* its state is set by the caller */
void nd_serve_drop(struct nd_serving *v, struct nd_replica *p, const char *why);
void nd_serve_online(struct nd_serving *v, struct nd_replica *p);

/* ---- serve_sync.c ---- */
/* Begins the snapshot that somebody waits for, if it is due and no other child lives. */
void nd_serve_look_for_snapshot(struct nd_serving *v);
int64_t nd_serve_snapshot_due_us(const struct nd_serving *v); /* HEAP_NEVER: not because of the time */
/* It takes no part in the snapshot under way any more. */
void nd_serve_unshare(struct nd_serving *v, struct nd_replica *p);

#endif
