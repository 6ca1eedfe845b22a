/* The append-only file as a state: what of it is on disk and what waits, when something has to be written, flushed or
 * rewritten, and which answers must wait for it. The files themselves are the shell's (shell/aof.c), which asks here
 * what is to be done and tells what came of it.
 *
 * Effects become bytes of one endless stream, counted from the start of the program. A position in it is `put` (made),
 * `written` (the kernel has it) or `synced` (the disk has it); written bytes are always whole units. */
#ifndef REPL_AOF_STATE_H
#define REPL_AOF_STATE_H

#include "noded/cmd/engine.h"

enum nd_aof_mode {
    ND_AOF_OFF,
    ND_AOF_WAITS, /* switched on; a base is being made, until then nothing is promised */
    ND_AOF_ON
};

/* What the state asks of the program. */
struct nd_aof_host {
    void *owner;
    /* Begins a rewrite; nd_aof_rewrite_ended() is told later, never from inside. false: the reason is appended to why.
     */
    bool (*rewrite)(void *owner, struct buf *why);
    /* Ends the file: what waits is written and flushed, a rewrite under way is given up. */
    void (*close)(void *owner);
    /* DEBUG LOADAOF: in a later step of the loop, outside of every command: writes what waits, empties the dataset,
     * loads the files, and tells nd_aof_reloaded(). */
    void (*load)(void *owner);
};

struct nd_call;

struct nd_aof_state {
    struct nd_engine *e;
    struct nd_aof_host host;
    enum nd_aof_mode mode;
    bool recording;     /* effects become bytes */
    int db;             /* selected in the file; -1: to be said */
    int64_t stamp_s;    /* of the last annotation; 0: none in this file */
    struct buf pending; /* from `written` to `put` */
    uint64_t put, written, synced;
    /* ---- flushing ---- */
    bool exchanging;        /* one file takes the other's place: nothing is written meanwhile */
    bool syncing;           /* a flush is under way, */
    uint64_t sync_to;       /* up to here */
    int64_t sync_began_us;  /* of the last one */
    int64_t waits_since_us; /* bytes wait for the flush under way to end; 0: none do */
    bool delayed;           /* for so long that answers wait too */
    uint64_t delayed_count; /* aof_delayed_fsync */
    bool asked; /* somebody waits until all up to asked_to is on disk, whatever the settings say of flushing */
    uint64_t asked_to;
    bool write_failed;      /* the last write; */
    bool sync_failed;       /* what was written may not be on disk, ever: only a rewrite helps */
    int64_t retry_us;       /* when writing is tried again */
    int64_t failed_turn_us; /* the turn (engine's turn_us) in which it began to fail */
    /* ---- rewriting ---- */
    bool rewriting, scheduled;
    bool rewrite_is_first; /* the one under way was begun to switch the file on */
    uint64_t fork_at;      /* position of the base that is being made */
    int64_t try_after_us;  /* no rewrite by itself before */
    int64_t rewrite_since_ms;
    int64_t last_rewrite_s;      /* seconds that it took; -1: there was none */
    uint64_t rewrites, failures; /* failures: in a row */
    bool last_rewrite_ok;
    size_t last_cow_bytes;
    struct nd_session *reloads; /* who waits for DEBUG LOADAOF; NULL nobody */
    bool reload_ok;
    /* ---- sizes in bytes of all files that would be loaded ---- */
    uint64_t size, base_size; /* now; after the last rewrite or load */
};

struct nd_aof_state *nd_aof_new(struct nd_engine *e, const struct nd_aof_host *host);
void nd_aof_free(struct nd_aof_state *s); /* NULL is allowed */

/* CONFIG SET appendonly, and a replica's dataset that was replaced as a whole (off, then on). on: a rewrite begins, or
 * is scheduled when another child lives. false: the reason is appended to why. */
bool nd_aof_switch(struct nd_aof_state *s, bool on, struct buf *why);
/* Another dataset has taken the place of the one that the file had (a replica's snapshot): the file begins anew with a
 * base of it. That is tried until it succeeds. */
void nd_aof_start_over(struct nd_aof_state *s);
/* The file as it was loaded or made at the start goes on from here. */
void nd_aof_begin(struct nd_aof_state *s, uint64_t size, uint64_t base_size);

/* host->effects() arrives here. */
void nd_aof_feed(struct nd_aof_state *s, const struct nd_effect_row *rows, size_t n);

/* ---- the turn ---- */
bool nd_aof_may_write(const struct nd_aof_state *s);
/* Bytes wait for a flush that does not end: called once a turn. */
void nd_aof_note_waiting(struct nd_aof_state *s);
void nd_aof_wrote(struct nd_aof_state *s, size_t n); /* the first n bytes of pending, which go from there */
/* None of pending was written; why: of the system. */
void nd_aof_write_failed(struct nd_aof_state *s, const char *why);
bool nd_aof_may_sync(const struct nd_aof_state *s);
void nd_aof_sync_began(struct nd_aof_state *s);                   /* of all that is written */
void nd_aof_sync_ended(struct nd_aof_state *s, const char *why);  /* why NULL: it is on disk */
void nd_aof_synced_to(struct nd_aof_state *s, uint64_t position); /* flushed in another way than these */

/* All that was put so far shall be on disk soon. false: there is no log that promises it. One who asks at a time. */
bool nd_aof_ask_flush(struct nd_aof_state *s);
/* What came of it. error: of FAILED, good until the state changes. Once it is over, nothing is asked any more. */
enum nd_aof_flushed { ND_AOF_NOT_YET, ND_AOF_FLUSHED, ND_AOF_FLUSH_FAILED };
enum nd_aof_flushed nd_aof_asked_flush(struct nd_aof_state *s, const char **error);

/* What the answers of this turn have to wait for. */
enum nd_aof_wait {
    ND_AOF_FREE,   /* nothing */
    ND_AOF_FLIGHT, /* the flush that is under way */
    ND_AOF_LATER,  /* one that has not begun */
    ND_AOF_UNSAVED /* it could not be written: they must not say that it was done */
};
/* wrote: of a session whose commands left effects in this turn. */
enum nd_aof_wait nd_aof_answers(const struct nd_aof_state *s, bool wrote);

/* ---- rewriting ---- */
/* BGREWRITEAOF: begins one. scheduled: it begins when the child that lives has ended. */
enum nd_aof_asked { ND_AOF_STARTED, ND_AOF_SCHEDULED, ND_AOF_IN_PROGRESS, ND_AOF_REFUSED };
enum nd_aof_asked nd_aof_ask_rewrite(struct nd_aof_state *s, bool in_transaction);
/* Slots have just become visible: what remains of their hand-over comes before a rewrite that begins by itself. */
void nd_aof_put_off(struct nd_aof_state *s);
/* From here on bytes belong behind the base that is made now. */
void nd_aof_rewrite_began(struct nd_aof_state *s);
/* ok: size is that of all files from now on. */
void nd_aof_rewrite_ended(struct nd_aof_state *s, bool ok, uint64_t size, size_t cow_bytes);

/* DEBUG LOADAOF. */
void nd_aof_reload(struct nd_call *c);
void nd_aof_reloaded(struct nd_aof_state *s, bool ok);

/* The next time (mono us) at which nd_aof_tick() has something to do; HEAP_NEVER: nothing. */
int64_t nd_aof_deadline(const struct nd_aof_state *s);
/* Rewrites that are due; the shell writes and flushes by itself after it. */
void nd_aof_tick(struct nd_aof_state *s);

/* The fields of INFO persistence from aof_enabled on. */
void nd_aof_info(const struct nd_engine *e, struct buf *out);
size_t nd_aof_memory(const struct nd_engine *e); /* bytes that wait */

#endif
