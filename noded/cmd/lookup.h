/* Keys that time takes: what the commands' side knows of expiry (lookup.c). */
#ifndef CMD_LOOKUP_H
#define CMD_LOOKUP_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"

/* The time of this expiry is over. */
static inline bool nd_time_is_over(int64_t now_ms, const struct nd_entry *e)
{
    return e->v.has_expire && now_ms > nd_entry_expire(e);
}

/* Keys whose time is over stay until somebody else says that they are gone: the master of a replica, or the node that a
 * slot comes from. */
static inline bool nd_outlives_its_time(const struct nd_call *c)
{
    return c->e->is_replica || nd_db_is_shadow(c->db);
}

/* Deletes without a word to anybody; lazy: a big value is freed by another thread. */
void nd_delete_entry(struct nd_engine *e, struct nd_db *db, struct nd_entry *entry, bool lazy);
/* Deletes a key because its time is over: event "expired", watchers, statistics, and the effect as DEL or UNLINK. */
void nd_expire_now(struct nd_engine *e, struct nd_db *db, struct nd_entry *entry);

#endif
