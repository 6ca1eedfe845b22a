/* Keys that time takes: what the commands' side knows of expiry (lookup.c). */
#ifndef CMD_LOOKUP_H
#define CMD_LOOKUP_H

#include "noded/cmd/call.h"

/* The time of this expiry is over. */
static inline bool nd_time_is_over(int64_t now_ms, const struct nd_entry *e)
{
    return e->v.has_expire && now_ms > nd_entry_expire(e);
}

/* Deletes without a word to anybody; lazy: a big value is freed by another thread. */
void nd_delete_entry(struct nd_engine *e, struct nd_db *db, struct nd_entry *entry, bool lazy);
/* Deletes a key because its time is over: event "expired", watchers, statistics, and the effect as DEL or UNLINK. */
void nd_expire_now(struct nd_engine *e, struct nd_db *db, struct nd_entry *entry);

#endif
