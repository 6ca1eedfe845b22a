/* One pair of masters at work, as the mover drives it: in each turn a pair puts its questions, those of all pairs are
 * asked at once, and each takes its answers. Only move.c and pair_*.c include it. */
#ifndef NODECTL_SLOTS_PAIR_H
#define NODECTL_SLOTS_PAIR_H

#include "nodectl/slots/keys.h"
#include "nodectl/slots/move.h"
#include "nodectl/slots/open.h"

#define PAIR_WINDOW 16 /* slots that are open at once when they go key by key */

enum pair_phase {
    PAIR_STANDS,   /* not begun: one of its nodes is busy with another pair */
    PAIR_WAITS,    /* until until_ms, then it looks */
    PAIR_LOOKS,    /* who has which slots, and what is under way? */
    PAIR_BEGINS,   /* an atomic migration */
    PAIR_CANCELS,  /* one that does not come to its end when it is interrupted */
    PAIR_IMPORTS,  /* the rest is of the classic flow, for the slots of the window */
    PAIR_PROBES,   /* has the target keys of slots that were not open? */
    PAIR_MIGRATES, /* SETSLOT MIGRATING */
    PAIR_READS,    /* which keys are left? */
    PAIR_SENDS,    /* MIGRATE */
    PAIR_COMPARES, /* keys that are at both ends */
    PAIR_DROPS,    /* those that their slot's owner has too are deleted at the source */
    PAIR_CLAIMS,   /* SETSLOT NODE at the target */
    PAIR_YIELDS,   /* SETSLOT NODE at the source, then at the others */
    PAIR_UNDOES,   /* SETSLOT STABLE at both: slots that could not be opened at one of them, or are not to go */
    PAIR_LOST,     /* an end is no master any more, or does not answer */
    PAIR_DONE,
    PAIR_FAILED,
    PAIR_STOPPED, /* interrupted, or another pair has failed */
};

/* Keys of one slot and database on their way in one MIGRATE. The reply that names them is kept. */
struct pair_batch {
    unsigned slot;
    int database;
    redisReply *keys;
    size_t place; /* of the answer */
};

struct pair {
    const struct slot_move *move;
    const struct mover *how;
    struct picture *p;
    const struct key_counts *counts; /* of the source, at the beginning */
    size_t step;
    bool looked; /* left is known */
    bool shown;  /* its step has begun, as people were told */
    bool told;   /* ... and what came of it */
    int64_t began_ms;
    enum pair_phase phase;
    int64_t until_ms;
    runid from, to;   /* the ends of now: successors of the move's */
    unsigned to_slot; /* one that the target had at the beginning: who has it now is its successor; SN_SLOTS: none */
    bool in_pieces;   /* key by key */
    struct slot_set left;  /* at the source yet */
    struct slot_set chunk; /* what is under way, for the rate */
    int64_t in_job;        /* keys that the job under way has sent */
    int64_t job_bytes;     /* ... and that are not acknowledged */
    char job_state[24];
    int64_t moved_ms;      /* when the job under way was last seen to go on */
    struct buf waits;      /* why it does not; empty: it goes on */
    struct buf waits_told; /* ... as people were told */
    int64_t cancel_ms;     /* it is cancelled then; 0: it is not to be */
    bool cancelled;        /* by us */
    int failures;          /* since something went on */
    struct buf why;        /* the last failure */
    size_t place[4];       /* of the turn's answers */
    /* The classic flow. */
    unsigned window[PAIR_WINDOW];
    size_t nwindow;
    bool fresh;   /* none of the window was open before */
    bool probing; /* the batches are keys that the target has before anything moves */
    struct pair_batch *batches;
    size_t nbatches, cap_batches;
    int batch_keys; /* in one MIGRATE; follows how long they take */
    int64_t asked_ms;
    int64_t sent;              /* keys of the window */
    struct pair_batch compare; /* a batch of which a key is at the target already; keys NULL: none */
    struct slot_set stuck;     /* slots with a key that has two values: they are left as they are */
    struct slot_set unmoved;   /* of these, those that nothing was moved of: they are closed again */
    struct buf stuck_why;      /* the first such key */
    bool replace;              /* ... and what is there was found to be the same */
};

struct picture_node *pair_from(const struct pair *l); /* NULL: it is gone */
struct picture_node *pair_to(const struct pair *l);
void pair_batch_add(struct pair *l, const struct pair_batch *b); /* takes its keys */
void pair_free(struct pair *l);

/* The turn's first half puts questions; the second takes the answers. `stopping`: nothing new is begun. budget: how
 * many slots may be begun now (the rate); those that are begun are taken from it. */
void pair_ask(struct pair *l);
void pair_take(struct pair *l, bool stopping, unsigned *budget);

/* Something went wrong that may be over in a second: it looks again then, up to five times. */
void pair_again(struct pair *l);
void pair_fail(struct pair *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* pair_look.c */
void look_ask(struct pair *l);
void look_take(struct pair *l, bool stopping, unsigned *budget);
/* pair_pieces.c: the classic flow; from PAIR_IMPORTS on. */
/* The first of these slots. fresh: they were not open. */
void pieces_begin(struct pair *l, const struct slot_set *slots, bool fresh);
/* The first of the slots that nothing was moved of are closed again. */
void pieces_close(struct pair *l);
void pieces_ask(struct pair *l);
void pieces_take(struct pair *l);
/* pair_same.c: keys that are at both ends already. */
void same_ask(struct pair *l);
void same_take(struct pair *l);
/* The next of the keys that a probe has found; when all are compared the window's slots are opened at the source. */
void same_next(struct pair *l);
void drop_ask(struct pair *l);
void drop_take(struct pair *l);

#endif
