/* Inside of the source's data side: for export*.c only. */
#ifndef REPL_EXPORT_STATE_H
#define REPL_EXPORT_STATE_H

#include "noded/repl/export.h"
#include "noded/repl/persist.h"

enum nd_export_step {
    ND_EXPORT_CONNECTING,
    ND_EXPORT_GREETING, /* AUTH is to be answered */
    ND_EXPORT_ASKING,   /* ESTABLISH is */
    ND_EXPORT_WAITING,  /* for the child to be free */
    ND_EXPORT_SNAPSHOT, /* the child writes to the link; what is written meanwhile waits behind it */
    ND_EXPORT_STREAMING,
    ND_EXPORT_DRAINING, /* DRAIN was sent, and no client's write follows it; a grant comes next, or RESUME */
    ND_EXPORT_GRANTED
};

struct nd_export {
    struct nd_exports *all;
    struct nd_export *next, **link; /* in the order in which they began */
    void *wire;                     /* the host's link */
    struct cl_id job, source, target;
    uint8_t slots[CL_SLOT_BYTES];
    enum nd_export_step step;
    int stream_db;        /* selected on the link by what follows the snapshot; -1: to be said */
    uint64_t sent, acked; /* offsets: bytes behind ESTABLISH; those of the snapshot count once it is over */
    uint64_t snapshot_keys;
    int64_t ack_ms;      /* Unix; 0: none yet */
    int64_t heard_us;    /* since when an answer is due, or the last line */
    int64_t next_us;     /* not before: the next FLUSH, the next try to begin the snapshot */
    bool flushing;       /* FLUSH is to be answered */
    int64_t asked_us;    /* when FLUSH or DRAIN was said */
    uint64_t drain_from; /* the offset before DRAIN */
    bool drained;
    bool resuming; /* RESUME is to be answered: what answers DRAIN still is too late */
    /* The measure of little, and what makes it grow. */
    uint64_t near_bytes, least_bytes;
    int64_t look_us;
    int64_t near_us; /* when little was left for the first time; 0: not yet */
};

struct nd_exports {
    struct nd_repl *r;
    struct nd_export_host host;
    struct nd_export *first, **last;
    struct nd_export *writer; /* whose snapshot the child writes; NULL: nobody's, or of one that is gone */
    struct buf out;           /* scratch */
    struct nd_effect_row *rows;
    int *row_slots;
    size_t rows_cap, slots_cap;
};

/* export.c */
void nd_export_enter(struct nd_export *x, enum nd_export_step step);
/* It is over, by itself: the core is told. The job is freed. */
void nd_export_fail(struct nd_export *x, const char *why);
void nd_export_news(const struct nd_export *x, enum cl_job_news news, uint64_t seq, struct slice why);
bool nd_export_is_due(const struct nd_export *x); /* an answer is */
uint64_t nd_export_left(const struct nd_export *x);

/* export_link.c: what is said to the target, and what it says. */
void nd_export_send(struct nd_export *x, const char *p, size_t n);
void nd_export_request(struct nd_export *x, size_t argc, const struct slice *argv);
void nd_export_sync(struct nd_export *x, const char *verb, struct slice argument); /* CLUSTER SYNCSLOTS; p NULL: none */
void nd_export_greet(struct nd_export *x);
void nd_export_flush(struct nd_export *x);

/* export_stream.c */
/* The stream goes on behind the snapshot, or an answer has come: is little left? */
void nd_export_begin_stream(struct nd_export *x);
void nd_export_acked(struct nd_export *x, bool flushed);
/* The next time for nd_export_look(). */
int64_t nd_export_look_us(const struct nd_export *x);
void nd_export_look(struct nd_export *x);

#endif
