/* WATCH: who is to be told that a key was touched before its EXEC. */
#ifndef CMD_WATCH_H
#define CMD_WATCH_H

#include "noded/cmd/engine.h"

struct nd_watches {
    struct map keys; /* of all databases -> struct nd_watched */
};

struct nd_watches *nd_watches_new(const uint64_t seed[2]);
void nd_watches_free(struct nd_watches *w);

/* Watching a key twice counts once. now_ms decides whether the key is there. */
void nd_watch(struct nd_session *s, struct slice key);
void nd_unwatch_all(struct nd_session *s);
/* A watched key has run out of time since. */
bool nd_watch_expired(const struct nd_session *s);

void nd_watch_key_changed(struct nd_engine *e, struct nd_db *db, struct slice key);
/* db is about to be emptied, or to get what `with` holds. */
void nd_watch_db_changed(struct nd_engine *e, struct nd_db *db, struct nd_db *with);
/* The same of the slots (a bitmap of them) in which `with` holds keys; NULL: of all of them. */
void nd_watch_slots_changed(struct nd_engine *e, struct nd_db *db, struct nd_db *with, const uint8_t *slots);

static inline void nd_watch_touched(struct nd_engine *e, struct nd_db *db, struct slice key)
{
    if (e->watches->keys.used > 0)
        nd_watch_key_changed(e, db, key);
}

#endif
