/* The node as commands see it: all of its state that is not the dataset itself, without any global. One engine to a
 * program; a test may have several.
 *
 * The engine calls nobody: what it wants from the program around it goes through struct nd_host, and time comes in with
 * nd_engine_time() before each turn's work. */
#ifndef CMD_ENGINE_H
#define CMD_ENGINE_H

#include "noded/cmd/session.h"
#include "noded/cmd/settings.h"
#include "noded/cmd/stats.h"

struct nd_effect_list; /* effects.c */
struct nd_pubsub;      /* pubsub.c */
struct nd_watches;     /* watch.c */
struct nd_waits;       /* block.c */
struct nd_slowlog;     /* slowlog.c */
struct nd_latency;     /* latency.c */
struct nd_commands;    /* table.c */
struct nd_expiry;      /* expire.c */
struct nd_eviction;    /* evict.c */
struct nd_migration;   /* migrate.c */
struct nd_migrate_spec;
struct nd_extension; /* extension.h */
struct nd_cluster;   /* cluster.h */
struct nd_repl;      /* noded/repl: replication */
struct nd_persist;   /* and persistence */

/* One effect: a command that makes a copy of the dataset follow. db < 0: it belongs to no database and changes nothing
 * (PUBLISH): replicas get it, a file does not. */
struct nd_effect_row {
    int db;
    size_t argc;
    const struct slice *argv;
};

/* Levels of host->log(), as common/io/log.h has them. */
enum { ND_LOG_DEBUG, ND_LOG_VERBOSE, ND_LOG_NOTICE, ND_LOG_WARNING };

/* Flags of host->shutdown(). */
enum {
    ND_SHUTDOWN_NOSAVE = 1 << 0,
    ND_SHUTDOWN_SAVE = 1 << 1,
    ND_SHUTDOWN_NOW = 1 << 2,
    ND_SHUTDOWN_FORCE = 1 << 3,
    ND_SHUTDOWN_ABORT = 1 << 4
};

enum nd_shutdown_answer {
    ND_SHUTDOWN_REFUSED,
    ND_SHUTDOWN_AGREED, /* the process ends after this turn; with ABORT: it does not end */
    ND_SHUTDOWN_WAITS   /* for replicas */
};

/* What stands in the way of writes, or of all that looks at the dataset (gate.c has the errors). Set and cleared by the
 * rooms that find out. */
enum {
    ND_GUARD_SNAPSHOT_FAILED = 1 << 0, /* stop-writes-on-bgsave-error: MISCONF */
    ND_GUARD_AOF_FAILED = 1 << 1,      /* the append-only file cannot be written: MISCONF, with guard_reason */
    ND_GUARD_FEW_REPLICAS = 1 << 2,    /* min-replicas-to-write: NOREPLICAS */
    ND_GUARD_STALE = 1 << 3            /* a replica without its master that may not show what it has: MASTERDOWN */
};

/* What the engine asks of the program. Every function is there; a test gives functions of its own. None of them calls
 * back into the engine before it returns, unless said so. */
struct nd_host {
    void *owner;
    const struct nd_extension *extension; /* NULL: the engine is alone */
    /* Time for SLOWLOG, latency, statistics and leases, in microseconds: monotonic, and suspended time counts. */
    int64_t (*clock_us)(void *owner);
    /* Something was written for a session outside of its own request: send it at the end of the turn. */
    void (*wake)(void *owner, struct nd_session *s);
    /* It is no longer blocked or postponed: give it its next (or kept) request, in a later step of the loop. */
    void (*resume)(void *owner, struct nd_session *s);
    /* CLIENT KILL, output limits: close it in a later step of the loop. */
    void (*kill)(void *owner, struct nd_session *s, const char *why);
    /* What one command, transaction, expiry or eviction did, in order: it is one unit (MULTI/EXEC around it when n >
     * 1). Called before the answer can leave. */
    void (*effects)(void *owner, const struct nd_effect_row *rows, size_t n);
    /* A setting was changed by CONFIG SET (its value is already in engine->config); false: it cannot be, the reason is
     * appended to why, and the old value comes back. */
    bool (*setting)(void *owner, const char *name, struct buf *why);
    bool (*rewrite)(void *owner, struct buf *why); /* CONFIG REWRITE */
    /* Bytes of memory that the program uses now, for maxmemory and INFO. */
    size_t (*memory_used)(void *owner);
    /* Facts about process and system for INFO, MEMORY STATS; see stats.h. */
    void (*facts)(void *owner, struct nd_facts *out);
    /* Memory given back elsewhere than in this thread. */
    void (*release)(void *owner, struct nd_value v);
    void (*release_content)(void *owner, struct nd_content *content);
    /* SHUTDOWN. REFUSED: or not possible, why has the reason. WAITS: nd_shutdown_given_up() is called when nothing
     * comes of it. */
    enum nd_shutdown_answer (*shutdown)(void *owner, uint32_t flags, struct buf *why);
    /* MIGRATE: sends; nd_migrate_ended() is called later (migrate.h). The session is blocked and the keys are locked.
     */
    void (*migrate)(void *owner, const struct nd_migrate_spec *spec);
    void (*purge_memory)(void *owner);                     /* MEMORY PURGE */
    void (*allocator_stats)(void *owner, struct buf *out); /* MEMORY MALLOC-STATS; appends */
    /* DEBUG SLEEP and what else tests need that stops the thread. */
    void (*sleep_us)(void *owner, int64_t us);
    void (*log)(void *owner, int level, const char *text); /* ND_LOG_* */
    /* Bytes not yet sent to the session, and what its buffers hold, for CLIENT LIST. */
    void (*client_buffers)(void *owner, const struct nd_session *s, struct nd_client_buffers *out);
};

/* Where a deleted value is freed: values of effort may go to host->release. */
enum nd_freeing { ND_FREE_AS_SET, ND_FREE_NOW, ND_FREE_LAZILY }; /* as set: by lazyfree-lazy-server-del */

struct nd_engine {
    struct nd_host host;
    struct nd_keyspace keys;
    struct nd_config config; /* settings.h */
    struct nd_stats stats;   /* stats.h */
    struct rng rng;
    char run_id[41];
    int64_t now_ms, now_us;            /* Unix ms, monotonic us: of the last command or of nd_engine_time() */
    int64_t turn_ms, turn_us, edge_us; /* as nd_engine_time() said; when now_ms is to be reckoned anew */
    int64_t start_ms;
    uint32_t lru_clock; /* seconds, 24 bits (evict.h) */
    struct nd_session *sessions, *sessions_last;
    size_t session_count[4]; /* by kind */
    uint64_t next_session;
    struct nd_session *inner; /* runs expiry and eviction */
    struct nd_effect_list *effects;
    struct nd_pubsub *pubsub;
    struct nd_watches *watches;
    struct nd_waits *waits;
    struct nd_slowlog *slowlog;
    struct nd_latency *latency;
    struct nd_commands *commands;
    struct nd_expiry *expiry;
    struct nd_eviction *eviction;
    struct nd_migration *migrations; /* under way */
    struct buf dropped;              /* answers that nobody gets, */
    struct reply nowhere;            /* and the way there */
    struct nd_session *stopwatch; /* whose command ended last: now_us is where its next begins; NULL: read the clock */
    struct nd_session *monitors;  /* sessions with ND_S_MONITOR (next_monitor); NULL: none */
    size_t postponed;             /* sessions with ND_S_POSTPONED */
    enum nd_freeing freeing;      /* of the deletion under way */
    struct nd_repl *repl;         /* NULL without noded/repl */
    const int64_t *stream_offset; /* of the replication stream; NULL without noded/repl */
    struct nd_persist *persist;   /* NULL without noded/repl */
    struct nd_cluster *cluster;   /* NULL outside of cluster mode */
    bool is_replica;              /* does not expire, refuses writes of clients */
    bool loading;
    bool async_loading;     /* into a keyspace beside the one that is read: what ND_NO_ASYNC_LOADING says waits */
    uint32_t guards;        /* ND_GUARD_* */
    char guard_reason[128]; /* of ND_GUARD_AOF_FAILED: what the system said */
    /* A supervised node executes writes of clients before this time of host->clock_us(), which is the boot clock
     * (SAFETY L4; cluster.h has the checks). INT64_MAX: it is not supervised. The term counts leases that began when
     * none was there, so that whoever wrote under an earlier one can be told. */
    int64_t lease_until_us;
    uint64_t lease_term;
    int64_t lease_grace_us; /* it was given back: until then writes wait for the next master, and get no error; 0: no */
    int64_t pause_until_ms; /* CLIENT PAUSE; 0: none */
    bool pause_all;
    uint32_t writes_held; /* as in a pause of writes: by whom (enum nd_holder, pause.h) */
    struct map locked;    /* keys of a MIGRATE under way, of whatever database (pause.h); cap 0 while there are none */
    int64_t changes;      /* ever made: it never goes back, so that an equal number says that nothing was changed */
    int64_t saved;        /* so many of them are in the last RDB file */
    size_t not_evicted;   /* memory that grows by what eviction tells replicas: maxmemory does not count it */
    int64_t house_changes, house_us; /* changes when the tables were in order; when they are looked at next */
    int depth;                       /* > 0: inside a command; EXEC runs others */
    bool active_expire;              /* DEBUG SET-ACTIVE-EXPIRE */
};

static inline int64_t nd_unsaved(const struct nd_engine *e)
{
    return e->changes - e->saved;
}

/* seed: for hashes and chance. The host is copied. */
struct nd_engine *nd_engine_new(const struct nd_host *host, const struct nd_config *config, uint64_t seed);
void nd_engine_free(struct nd_engine *e); /* sessions are freed too */

/* At the start of each turn, and again as often as the shell likes; neither clock goes back. */
void nd_engine_time(struct nd_engine *e, int64_t unix_ms, int64_t mono_us);
/* Within a turn time goes on with the clock that is read after each command. */
void nd_engine_moved_on(struct nd_engine *e);
/* Something in the state of the node may stand in the way of a command (gate.c looks closer). */
static inline bool nd_engine_guarded(const struct nd_engine *e)
{
    return e->config.maxmemory != 0 || e->is_replica || e->loading || e->async_loading || e->guards != 0 ||
           e->pause_until_ms != 0 || e->writes_held != 0 || e->locked.used > 0;
}
/* The end that SHUTDOWN asked for does not come: those who wait for it get an error (server_command.c). */
void nd_shutdown_given_up(struct nd_engine *e);
/* The next time (mono us) at which nd_engine_tick() has something to do: timeouts of blocked clients, end of a pause,
 * expiry cycle while there are keys to expire. HEAP_NEVER: nothing, an idle node sleeps. */
int64_t nd_engine_deadline(const struct nd_engine *e);
/* Timeouts, end of a pause, expiry (bounded to about 1 ms of work), resizing of tables, eviction. */
void nd_engine_tick(struct nd_engine *e);

#endif
