/* Replication: the history of writes that this node has, and its two ends, who follows it (serve.h) and whom it follows
 * (follow.h). Stock PSYNC2, so that redis-server can stand at either end.
 *
 * A history is an id and an offset, the number of bytes of its stream so far. A master writes the stream from its
 * effects; a replica relays its master's byte for byte, so the offset is one number along a chain. */
#ifndef REPL_REPL_H
#define REPL_REPL_H

#include "noded/cmd/engine.h"
#include "noded/repl/backlog.h"

#define ND_REPL_ID 40

struct nd_serving;   /* serve.h */
struct nd_following; /* follow.h */
struct nd_exports;   /* export.h */
struct nd_imports;   /* import.h */
struct nd_rdb_facts;

struct nd_repl {
    struct nd_engine *e;
    char id[ND_REPL_ID + 1];
    char id2[ND_REPL_ID + 1];   /* the history that ours went on from; zeros: none */
    int64_t offset;             /* master_repl_offset */
    int64_t id2_offset;         /* second_repl_offset: from here on id2 is not ours any more; -1: there is no id2 */
    int64_t other_db_offset;    /* up to here the stream has writes to databases other than 0 */
    int stream_db;              /* selected in the stream; -1: to be said with the next unit */
    struct nd_backlog *backlog; /* NULL: nobody follows, and nobody has for repl-backlog-ttl */
    bool ahead;                 /* the dataset has more than `offset` says: a file of it says no place */
    struct buf unit;            /* scratch */
    struct nd_serving *serving;
    struct nd_following *following;
    struct nd_exports *exports; /* NULL outside of cluster mode */
    bool exporting;             /* some job wants to know of writes (nd_exports_feed) */
    struct nd_imports *imports; /* import.h; NULL outside of cluster mode */
};

/* A history of its own, with nothing in it. The engine's `repl` points to it from now on. */
struct nd_repl *nd_repl_new(struct nd_engine *e);
void nd_repl_free(struct nd_repl *r); /* before the engine */

/* host->effects() of an engine that is a master arrives here: the stream gets them. A replica's are not told on: its
 * stream is its master's. */
void nd_repl_feed(struct nd_repl *r, const struct nd_effect_row *rows, size_t n);
/* Bytes of the stream as they are: relayed, PING, REPLCONF GETACK. */
void nd_repl_feed_bytes(struct nd_repl *r, const char *p, size_t n);

/* The backlog is there from now on: before the first replica is served, and for a node that follows a master. A history
 * of which nothing was kept cannot be gone on with: `fresh` gives it a new name. Nothing happens when there is one. */
void nd_repl_open_backlog(struct nd_repl *r, bool fresh);
/* Nobody follows any more (nd_serve_drop_all()): what was kept is forgotten. */
void nd_repl_close_backlog(struct nd_repl *r);

/* The history becomes one that nobody knows: replicas have to be synchronized in full. */
void nd_repl_new_history(struct nd_repl *r);
/* The master's history ends here for us and goes on as ours: replicas of the same master can follow without a full
 * synchronization. */
void nd_repl_fork_history(struct nd_repl *r);
/* The dataset stands at this place of another's history. */
void nd_repl_adopt_history(struct nd_repl *r, const char *id, int64_t offset);

/* The dataset is loaded from a file that was written at this place of a history. A replica goes on there with its
 * master. A master begins a history of its own, and those who have followed the old one up to there can go on with it:
 * the backlog is open from now on. */
void nd_repl_resume(struct nd_repl *r, const char *id, int64_t offset, int stream_db);

/* FLUSHALL has run (extension.flushed), and the offset does not know of it yet. */
bool nd_repl_flushed(struct nd_engine *e);

/* What an RDB file says of the place where the dataset stands (repl_id, repl_offset, repl_stream_db). No repl_id:
 * nowhere, because a part of a unit has been run, or one that the master ran otherwise. */
void nd_repl_facts(const struct nd_repl *r, struct nd_rdb_facts *out);

/* The next time (mono us) at which nd_repl_tick() has something to do; HEAP_NEVER: nothing. */
int64_t nd_repl_deadline(const struct nd_repl *r);
void nd_repl_tick(struct nd_repl *r);

#endif
