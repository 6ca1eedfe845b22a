/* A buffered connection that was accepted.
 *
 * Input collects until the consumer drops it. Output is appended to io_stream_out() and leaves in one write at the end
 * of the turn. Both are bounded: a client that goes past a bound is closed, with the reason. */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "common/base/bytes.h"
#include "common/io/loop.h"

struct io_stream;

enum io_stream_end {
    IO_STREAM_EOF,          /* the other side closed */
    IO_STREAM_FAILED,       /* reading or writing failed: reset, timed out */
    IO_STREAM_INPUT_LIMIT,  /* unused input reached in_max */
    IO_STREAM_OUTPUT_LIMIT, /* unsent output passed out_max */
    IO_STREAM_CLOSED,       /* io_stream_close_written() has written everything */
};

struct io_stream_limits {
    size_t in_max;  /* bytes read and not dropped; 0 means 1 MiB */
    size_t out_max; /* bytes not yet taken by the kernel; 0 means 64 MiB */
};

struct io_stream_events {
    /* New bytes are in io_stream_in(). What the consumer used it drops; the rest is shown again with the next bytes. */
    void (*data)(void *owner, struct io_stream *s);
    /* The connection is over; text says why, for a log. The stream is freed when this returns; the owner forgets it.
     * Never called by io_stream_free(), and never from inside another call of the owner: it comes from the loop. */
    void (*closed)(void *owner, struct io_stream *s, enum io_stream_end why, const char *text);
};

/* Takes fd over (made nonblocking). limits may be NULL; events must outlive the stream. */
struct io_stream *io_stream_new(struct io_loop *loop, int fd, const struct io_stream_limits *limits,
                                const struct io_stream_events *events, void *owner);
/* Closes at once and drops unsent output. Allowed in every callback, the stream's own too. No callback comes any more.
 */
void io_stream_free(struct io_stream *s);

/* All unused input. Valid until the next io_stream_drop() or the return to the loop. */
struct slice io_stream_in(const struct io_stream *s);
/* Forgets the first n bytes. Costs O(1) each (the rest is moved at most once per read). */
void io_stream_drop(struct io_stream *s, size_t n);

/* The output buffer: append to it; it is sent at the end of this turn. Do not keep the pointer past the callback, and
 * do not take bytes out of it. */
struct buf *io_stream_out(struct io_stream *s);
size_t io_stream_unsent(const struct io_stream *s);
/* More than 1 MiB is unsent: the consumer leaves the rest of its input where it is. Nothing more is read, and data()
 * comes again once the output has drained. So a client that sends requests without reading answers costs bounded
 * memory. */
bool io_stream_behind(const struct io_stream *s);

/* Stops reading, writes what is there, then ends with IO_STREAM_CLOSED. When the other side does not read, the stream
 * ends after linger_ms (0 means 10,000). */
void io_stream_close_written(struct io_stream *s, int64_t linger_ms);
/* Reading can be held back, for instance while a command waits for the disk. */
void io_stream_pause(struct io_stream *s, bool paused);
/* From now on it is read with the links, before other streams. */
void io_stream_first(struct io_stream *s);
int io_stream_fd(const struct io_stream *s);

#endif
