/* A snapshot of one node, got as a replica gets it (PSYNC): what the node's dataset is at one offset of its history,
 * written to a file while it is read and checked; and, where that is wanted, the stream of writes behind it. It never
 * waits: whoever owns it polls its descriptor. */
#ifndef NODECTL_BACKUP_FETCH_H
#define NODECTL_BACKUP_FETCH_H

#include "common/base/addr.h"
#include "common/base/sha256.h"
#include "nodectl/asking.h"
#include "nodectl/backup/content.h"

#define FETCH_MARK 40 /* bytes of the mark behind a snapshot whose length is not known before */

enum fetch_state {
    FETCH_CONNECTING,
    FETCH_GREETING, /* requests are answered by a line */
    FETCH_HEAD,     /* the node makes its snapshot */
    FETCH_BODY,
    FETCH_MARKED, /* the snapshot is whole, and its mark is to come */
    FETCH_DONE,
    FETCH_FAILED,
};

struct fetch {
    enum fetch_state state;
    struct addr from;
    runid replid; /* the place in the node's history at which the snapshot stands */
    int64_t offset;
    int64_t bytes;               /* of the file, so far */
    int64_t length;              /* as the node says; -1: it does not know before */
    char sha256[SHA256_HEX + 1]; /* when it is DONE */
    struct content content;
    struct buf error; /* a clause, when it has FAILED */
    bool of_disk;     /* this side's disk failed it: no other node would help */
    /* Set behind fetch_begin(): the connection stays when the snapshot is DONE, and what comes is appended to stream.
     */
    bool follows;
    struct buf stream;
    /* fetch.c's */
    int fd, file; /* file: the caller's */
    const struct asking *asking;
    bool resumes;
    size_t request;
    struct buf out, line, piece;
    struct sha256 sum;
    char mark[FETCH_MARK];
    int64_t since_ms; /* the last byte came, or the last step was taken */
};

/* Begins to connect. The snapshot is written to `file`, unless that is -1. slots: of the shard, NULL for all; they and
 * `a` must outlive it. */
void fetch_begin(struct fetch *f, const struct asking *a, const struct addr *from, int file, const uint8_t *slots);
/* Follows, from behind a place in the node's history, without a snapshot: DONE at once when the node still has it. A
 * node that would have to send one has FAILED it. */
void fetch_resume(struct fetch *f, const struct asking *a, const struct addr *from, const char *replid, int64_t offset);
/* Tells the node how far its stream has been worked on, as replicas do every second. */
void fetch_acknowledge(struct fetch *f, int64_t offset);
void fetch_free(struct fetch *f);
static inline bool fetch_is_over(const struct fetch *f)
{
    return f->state >= FETCH_DONE;
}
/* Its descriptor is to be polled. */
static inline bool fetch_is_open(const struct fetch *f)
{
    return !fetch_is_over(f) || (f->state == FETCH_DONE && f->follows);
}
short fetch_events(const struct fetch *f); /* for poll() of f->fd */
/* After poll(), and some times a second: connects, sends, receives, and gives up a node that is silent. */
void fetch_serve(struct fetch *f, short events);

#endif
