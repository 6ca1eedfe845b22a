/* Blocked sessions: what they wait for, in which order they are served, and when they give up. */
#ifndef CMD_BLOCK_H
#define CMD_BLOCK_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"

struct nd_ready_key;

struct nd_waits {
    struct map keys;    /* of all databases -> struct nd_waited; empty while nobody waits */
    struct heap timers; /* of sessions with a timeout, mono us */
    struct nd_ready_key *ready;
    size_t ready_n, ready_cap;
    size_t blocked; /* sessions that wait: INFO blocked_clients */
    bool held;      /* somebody could have been served but for a locked key (pause.h) or what a cluster holds */
};

struct nd_waits *nd_waits_new(const uint64_t seed[2]);
void nd_waits_free(struct nd_waits *w);

void nd_wait_key_ready(struct nd_engine *e, struct nd_db *db, struct slice key);
/* The key was made or got more: who waits for it is served after the command. */
static inline void nd_wait_ready(struct nd_engine *e, struct nd_db *db, struct slice key)
{
    if (e->waits->keys.used > 0)
        nd_wait_key_ready(e, db, key);
}
/* The database has another content: all keys in it that somebody waits for are ready. */
void nd_wait_db_ready(struct nd_engine *e, struct nd_db *db);

/* Serves who waits for the keys that became ready, and whoever that makes ready. Not inside of a command. */
void nd_serve_ready(struct nd_engine *e);
/* Keys were unlocked, or are not held any more: serves who was held up by them. */
void nd_serve_held(struct nd_engine *e);
/* Ends the waiting of those whose time is over. */
void nd_serve_timeouts(struct nd_engine *e);
int64_t nd_waits_deadline(const struct nd_engine *e); /* mono us, or HEAP_NEVER */

/* CLIENT UNBLOCK, and a master that becomes a replica: ends the waiting with the answer of a timeout (error NULL) or
 * with this error. false: the session does not wait. */
bool nd_unblock(struct nd_session *s, const char *error);
/* false: it doesn't wait, or not for keys. Else what it wants to run again. */
bool nd_waits_for_keys(const struct nd_session *s, const struct nd_command **cmd, const struct slice **argv,
                       size_t *argc);
/* The session waits for something outside of the engine, without a timeout; CLIENT UNBLOCK does not end it. Where
 * nd_may_block() allows it. gone() is told when the session goes away before nd_wait_over(). */
void nd_block_outside(struct nd_call *c, void (*gone)(void *what), void *what);
/* It is over: the command runs again with c->ended = what and answers. */
void nd_wait_over(struct nd_session *s);
/* The session goes away: nothing is answered. */
void nd_wait_drop(struct nd_session *s);

#endif
