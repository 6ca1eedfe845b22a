/* Requests that have to wait: CLIENT PAUSE, keys that a MIGRATE is moving away, slots and databases that are held
 * (cluster_gate.c). */
#ifndef CMD_PAUSE_H
#define CMD_PAUSE_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"

/* Writes (all: every request of a client) wait until then. A pause is never made shorter or weaker by another one. */
void nd_pause(struct nd_engine *e, int64_t until_ms, bool all);
void nd_unpause(struct nd_engine *e);
static inline bool nd_paused(const struct nd_engine *e)
{
    return e->pause_until_ms > e->now_ms || e->writes_held != 0;
}
/* The same without an end of its own: CLIENT UNPAUSE does not end it. Writes wait as long as anybody holds them. */
enum nd_holder { ND_HOLD_FAILOVER = 1 << 0, ND_HOLD_SHUTDOWN = 1 << 1, ND_HOLD_CLUSTER = 1 << 2 };
void nd_hold_writes(struct nd_engine *e, enum nd_holder who, bool held);

/* Requests with this key, in whatever database, wait until it is unlocked as often as it was locked. Requests that
 * write without naming keys (FLUSHALL, SWAPDB) wait for all locks. */
void nd_lock_key(struct nd_engine *e, struct slice key);
void nd_unlock_key(struct nd_engine *e, struct slice key);

/* The command with these arguments has to wait for a locked key. */
bool nd_names_locked_key(const struct nd_engine *e, const struct nd_command *cmd, const struct slice *argv,
                         size_t argc);

/* This request has to wait: it is marked and will be resumed. flags: those that count (gate.c). */
bool nd_must_wait(struct nd_call *c, uint32_t flags);
/* The request waits: nd_resume_postponed() lets it try again. */
void nd_postpone(struct nd_session *s);
/* The session is about to run a request, or goes away: it waits no longer. */
void nd_waits_no_longer(struct nd_session *s);
/* Something has changed: whoever has to wait on waits again. */
void nd_resume_postponed(struct nd_engine *e);

#endif
