/* Persistence: when a snapshot is made, what came of the last one, and the one child process that writes the dataset as
 * it was when it began: to the RDB file, to replicas, or as the base of the append-only file. At most one child lives.
 */
#ifndef REPL_PERSIST_H
#define REPL_PERSIST_H

#include "noded/cmd/engine.h"

enum nd_child_kind {
    ND_CHILD_NONE,
    ND_CHILD_SAVE,    /* BGSAVE: to dbfilename */
    ND_CHILD_SYNC,    /* for replicas: to their sockets, or to a file that is sent to them */
    ND_CHILD_REWRITE, /* the base of the append-only file */
    ND_CHILD_SLOTS    /* the keys of some slots, as requests, to the one descriptor: for an atomic migration */
};

struct nd_child_spec {
    enum nd_child_kind kind;
    const char *path; /* the file is made whole, flushed and put there; NULL: to the descriptors */
    const int *fds;   /* sockets, each gets the whole file, then `tail`; one that fails or stands still for repl-timeout
                         is left out */
    size_t fd_count;
    struct slice head, tail; /* before and behind the file ("$EOF:<mark>\r\n", "<mark>") */
    bool as_requests;        /* the file is not an RDB file but requests that make the dataset (aof_base.h) */
    const uint8_t *slots;    /* of ND_CHILD_SLOTS: a bitmap (aof_base.h) */
};

struct nd_child_end {
    bool ok;         /* with descriptors: at least one got it all */
    const char *why; /* not ok */
    const bool *got; /* for each descriptor; NULL with a path */
    uint64_t keys;   /* written */
    uint64_t bytes;  /* that each descriptor got */
    size_t cow_bytes;
};
typedef void nd_child_ended_fn(void *owner, const struct nd_child_end *end);

/* What persistence asks of the program (shell/child.c, shell/aof.c). */
struct nd_persist_host {
    void *owner;
    /* Begins the child; nd_persist_child_ended() is told later, never from inside of this call. fork_us: how long the
     * fork took. false: the reason is appended to why. */
    bool (*start)(void *owner, const struct nd_child_spec *spec, int64_t *fork_us, struct buf *why);
    void (*stop)(void *owner); /* kills it; its end is told as any other */
    /* SAVE: writes the RDB file here and now. */
    bool (*save)(void *owner, const char *path, struct buf *why);
    /* DEBUG RELOAD: loads the RDB file here and now. What is there stays, and is replaced where the file has it too. */
    bool (*load)(void *owner, const char *path, bool replace, struct buf *why);
};

/* A point of `save`: after so many seconds when there were so many changes. */
struct nd_save_point {
    int64_t seconds, changes;
};

/* A file that is being loaded, as INFO tells. */
struct nd_loading {
    int64_t since_ms;
    uint64_t total_bytes, loaded_bytes; /* total 0: unknown */
    size_t rdb_used_memory;             /* of the server that wrote the file, as the file says */
    bool async;                         /* the old dataset answers meanwhile */
};

struct nd_persist {
    struct nd_engine *e;
    struct nd_persist_host host;
    struct nd_save_point *points;
    size_t point_count;
    struct nd_loading loading; /* while e->loading, or while async */
    /* ---- the child ---- */
    enum nd_child_kind child;
    bool child_is_stopped; /* by us */
    nd_child_ended_fn *ended;
    void *ended_owner;
    int64_t child_since_ms, child_keys, child_keys_done;
    int64_t child_cow_bytes, child_cow_peak, child_cow_ms; /* as last told, the most, when it was told */
    int64_t fork_us;                                       /* of the last fork */
    uint64_t forks;
    /* ---- RDB, as INFO tells ---- */
    int64_t last_save_s, last_try_ms, last_duration_s;
    int64_t changes_at_start; /* e->changes when the child began */
    bool last_ok;
    bool save_scheduled; /* BGSAVE SCHEDULE: when the child that lives has ended */
    size_t last_cow_bytes;
    uint64_t saves;
    int64_t loaded_keys, loaded_expired;
    struct nd_aof_state *aof; /* aof_state.h */
};

struct nd_persist *nd_persist_new(struct nd_engine *e, const struct nd_persist_host *host);
void nd_persist_free(struct nd_persist *p);
/* `save` or stop-writes-on-bgsave-error is another one. */
void nd_persist_settings(struct nd_persist *p);

/* Begins a child, for whoever wants one; false: one lives already (ND_CHILD_NONE is not the child), or it cannot be. */
bool nd_persist_start(struct nd_persist *p, const struct nd_child_spec *spec, nd_child_ended_fn *ended, void *owner,
                      struct buf *why);
void nd_persist_stop(struct nd_persist *p); /* kills the child, if there is one */
/* The shell tells: keys written so far (for INFO), and the end. */
void nd_persist_child_progress(struct nd_persist *p, int64_t keys, size_t cow_bytes);
void nd_persist_child_ended(struct nd_persist *p, const struct nd_child_end *end);

/* BGSAVE; SAVE. */
bool nd_persist_bgsave(struct nd_persist *p, struct buf *why);
bool nd_persist_save(struct nd_persist *p, struct buf *why);
/* All is gone (FLUSHALL): a child that saves what was is stopped, and where snapshots are wanted the file is emptied:
 * true. */
bool nd_persist_flushed(struct nd_engine *e);
/* The dataset was loaded: it counts as saved. */
void nd_persist_loaded(struct nd_persist *p, int64_t loaded, int64_t expired);

/* Points of `save`, retries, what was scheduled, automatic rewrites of the append-only file. */
int64_t nd_persist_deadline(const struct nd_persist *p);
void nd_persist_tick(struct nd_persist *p);

#endif
