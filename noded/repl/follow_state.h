/* The state of following, for follow*.c only. */
#ifndef REPL_FOLLOW_STATE_H
#define REPL_FOLLOW_STATE_H

#include "common/resp/request.h"
#include "noded/repl/follow.h"
#include "noded/repl/load.h"

#define ND_FOLLOW_LINE_MAX 1024 /* bytes of an answer of the greeting */
#define ND_FOLLOW_MARK 40       /* of a snapshot whose length the master did not know */
#define ND_FOLLOW_TAIL 8        /* an RDB file ends with its checksum */

/* How the bytes of a snapshot are taken. */
enum nd_take {
    ND_TAKE_FILE,  /* into a file, which is loaded then */
    ND_TAKE_HERE,  /* loaded as they come: there is nothing that could be lost */
    ND_TAKE_ASIDE, /* loaded as they come into another keyspace, which takes the place of ours at the end */
};

/* A snapshot on its way. */
struct nd_payload_in {
    enum nd_take take;
    bool head_seen; /* its first line */
    int64_t length; /* bytes; -1: the mark ends it */
    char mark[ND_FOLLOW_MARK];
    struct buf held; /* with a mark: it may begin in these last bytes */
    int64_t got;     /* bytes of the file so far */
    /* Of a file: its checksum is compared before anything of ours goes. */
    uint64_t crc;
    char tail[ND_FOLLOW_TAIL];
    size_t tail_n;
    bool verified;
    bool has_keys; /* one was seen */
    bool checking; /* the file is read once before anything of ours goes: it could not be loaded */
    /* Loading. */
    struct nd_rdb_reader *reader;
    struct nd_keyspace aside;
    bool aside_made;
    bool began;       /* ours is gone (not aside) */
    bool done;        /* the reader has seen its end */
    bool shown;       /* the engine says that it is loading */
    struct buf chunk; /* of the file, not yet read */
    size_t chunk_used;
    struct nd_load load;
};

struct nd_following {
    struct nd_repl *r;
    struct nd_follow_host host;
    enum nd_follow_state state;
    char *host_name; /* NULL: nobody */
    int port;
    bool failover;                 /* the next PSYNC says so */
    int failovers;                 /* how often it did */
    bool other_db;                 /* what was run and not yet counted wrote to a database other than 0 */
    bool ask_full;                 /* what we have is no place in a history that can be gone on from */
    bool by_file;                  /* the last snapshot could not be read as it came */
    char accepted[ND_REPL_ID + 1]; /* replica-guard: this history may come; "": none */
    char guarded[ND_REPL_ID + 1];  /* this one was refused last; "": none */
    struct buf stopped;            /* why it follows no more; empty: it does */
    /* ---- the link ---- */
    int64_t try_us;        /* when to connect */
    int64_t began_us;      /* when it was connected to last */
    int64_t heard_us;      /* when the last byte came; -1 none yet */
    int64_t say_us;        /* when to acknowledge, or to show that we live */
    int64_t down_since_ms; /* Unix time; 0 never up */
    struct buf line;       /* the beginning of an answer */
    struct buf out;        /* scratch */
    /* What answers are still to come in the greeting: 'P'ING, 'A'UTH, 'L'istening-port, 'I'P, 'C'apa, 'D'atabases. */
    char asked[5];
    size_t asked_n, asked_at;
    int databases; /* in the stream the shadows begin behind so many; 0: the master has none */
    /* ---- a snapshot ---- */
    char sync_id[ND_REPL_ID + 1];
    int64_t sync_offset;
    struct nd_payload_in in;
    /* ---- the stream ---- */
    struct nd_session *session;
    struct resp_parser *parser;
    struct resp_limits limits;
    struct buf held;                  /* of a transaction that has not ended: counted and relayed with its EXEC */
    int64_t unread;                   /* bytes that were shown and not taken */
    int64_t divergences, diverged_us; /* how often a request failed that the master could run; when last */
    int64_t syncs_full, syncs_partial;
};

void nd_follow_log(struct nd_following *f, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void nd_follow_send(struct nd_following *f, size_t argc, const char *const *words);
/* The link goes, and all that is on its way; the next try comes after wait_us. */
void nd_follow_retry(struct nd_following *f, int64_t wait_us);
/* The same after something that will be no better the next time: `why` is what the operator has to know. */
void nd_follow_stop(struct nd_following *f, const char *why);
void nd_follow_enter(struct nd_following *f, enum nd_follow_state state);

/* follow_handshake.c */
void nd_greet_begin(struct nd_following *f);
bool nd_greet_bytes(struct nd_following *f, struct slice *in);

/* follow_load.c */
void nd_payload_begin(struct nd_following *f);
/* Its first line was read: the file begins. false: it cannot be taken. */
bool nd_payload_open(struct nd_following *f);
void nd_payload_loaded(struct nd_following *f);                  /* all of it: it is the dataset from now on */
void nd_payload_failed(struct nd_following *f, const char *why); /* tried again */
/* The reader cannot go on. Bytes that are as they were sent will be the same the next time; others are taken by way of
 * a file then, so that it can be told. */
void nd_payload_unreadable(struct nd_following *f);
void nd_payload_step(struct nd_following *f);     /* a step of loading the file */
void nd_payload_progress(struct nd_following *f); /* the reader has come further, for INFO */
void nd_payload_drop(struct nd_following *f);     /* whatever there is of it */
/* The append-only file, where the settings want one: it goes on or not. */
void nd_follow_file(struct nd_following *f, bool on);

/* follow_payload.c: as nd_follow_bytes(). */
bool nd_payload_bytes(struct nd_following *f, struct slice *in, int64_t until_us);

/* follow_stream.c */
void nd_stream_begin(struct nd_following *f, int db);
bool nd_stream_bytes(struct nd_following *f, struct slice *in, int64_t until_us);
void nd_stream_acknowledge(struct nd_following *f);
void nd_stream_end(struct nd_following *f); /* the session goes; what it did not finish is forgotten */

#endif
