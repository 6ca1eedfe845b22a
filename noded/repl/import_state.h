/* Inside of the target's data side: for import*.c only. */
#ifndef REPL_IMPORT_STATE_H
#define REPL_IMPORT_STATE_H

#include "noded/repl/import.h"

#define ND_IMPORT_QUESTIONS 16 /* FLUSH and DRAIN that may wait at once */

enum nd_import_step {
    ND_IMPORT_ASKED,     /* the core is to answer; the session is blocked */
    ND_IMPORT_ANSWERED,  /* it has, and the session is about to be told */
    ND_IMPORT_SNAPSHOT,  /* keys as they were when it began */
    ND_IMPORT_STREAMING, /* writes */
    ND_IMPORT_DRAINED,   /* we have told that we have all */
    ND_IMPORT_GRANTED
};

/* FLUSH or DRAIN. */
struct nd_import_question {
    bool drain, on_disk;
    uint64_t round;      /* of flushes: the one that brings it to the disk */
    uint64_t offset;     /* of the link */
    int64_t repl_offset; /* of our stream: what replicas must have */
    int64_t until_us;
};

struct nd_import {
    struct nd_imports *all;
    struct nd_import *next, **place;
    struct nd_session *s;
    struct cl_id job, source;
    uint8_t slots[CL_SLOT_BYTES];
    int databases; /* of the source */
    enum nd_import_step step;
    bool refused; /* ANSWERED: why says it. ASKED: whatever the core answers. */
    struct buf why;
    uint64_t began;                                           /* s->input behind ESTABLISH */
    uint64_t acked;                                           /* offset that was told last */
    int64_t acked_ms;                                         /* Unix: when; 0 not yet */
    int64_t ack_us;                                           /* when +ACK is due; HEAP_NEVER: nothing has come since */
    struct nd_import_question questions[ND_IMPORT_QUESTIONS]; /* in their order */
    size_t nquestions;
};

struct nd_imports {
    struct nd_repl *r;
    struct nd_import_host host;
    struct nd_import *first;
    bool flushing;  /* the host was asked, and has not told yet */
    uint64_t round; /* of the flush under way, or of the last one */
};

/* import.c */
struct nd_import *nd_import_find(const struct nd_imports *all, const struct cl_id *job);
struct nd_import *nd_import_new(struct nd_imports *all, struct nd_session *s, const struct cl_id *job);
void nd_import_drop(struct nd_import *m); /* it is forgotten; the session has nothing to do with it any more */
void nd_import_news(const struct nd_import *m, enum cl_job_news news, uint64_t seq, struct slice why);
/* It ends by itself: the source is told why and the link is closed; the core is told that it is lost. */
void nd_import_fail(struct nd_import *m, const char *why);
uint64_t nd_import_offset(const struct nd_import *m);

/* import_flush.c: what the source asks */
bool nd_import_ask(struct nd_import *m, bool drain); /* false: too many wait already */
void nd_import_resume(struct nd_import *m);          /* DRAIN is asked no more */
void nd_import_look(struct nd_import *m);            /* answers what can be answered */
void nd_import_say(struct nd_import *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* import_slots.c: SHOW, FORGET and DROP as requests. map: of slots. Returns how many keys they had. */
size_t nd_import_show_here(struct nd_engine *e, const uint8_t *slots);
size_t nd_import_forget_here(struct nd_engine *e, const uint8_t *slots);
size_t nd_import_keys(struct nd_engine *e, const uint8_t *slots); /* that have come, and are not shown */
size_t nd_slots_drop_here(struct nd_engine *e, const uint8_t *slots);

#endif
