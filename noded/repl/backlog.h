/* The newest bytes of the replication stream, in blocks that replicas read from where they are: each byte is kept once,
 * however many replicas there are. A block lives while it belongs to the backlog or a cursor still has to read it, so a
 * slow replica makes the backlog longer than its size; whoever sends bounds that (output limit of class replica). */
#ifndef REPL_BACKLOG_H
#define REPL_BACKLOG_H

#include "common/base/bytes.h"

struct nd_backlog;
struct nd_backlog_block;

/* Where a reader is. Zeroed memory reads nothing. */
struct nd_backlog_cursor {
    struct nd_backlog *of;
    struct nd_backlog_block *block;
    size_t at;      /* in the block */
    int64_t offset; /* of the stream: the next byte to be read */
};

/* size: bytes that are kept for those who come back. end: the offset of the stream at which it begins: the next byte
 * appended has offset end + 1, as Redis counts. */
struct nd_backlog *nd_backlog_new(size_t size, int64_t end);
void nd_backlog_free(struct nd_backlog *b); /* NULL is allowed; cursors are closed before */
void nd_backlog_append(struct nd_backlog *b, const char *p, size_t n);
void nd_backlog_resize(struct nd_backlog *b, size_t size);
int64_t nd_backlog_first(const struct nd_backlog *b); /* offset of the oldest byte kept; end + 1 when there is none */
int64_t nd_backlog_end(const struct nd_backlog *b);   /* offset of the newest byte */
size_t nd_backlog_memory(const struct nd_backlog *b);

/* The reader's next byte is that of `offset`, from first to end + 1; false: it is not kept. */
bool nd_backlog_open(struct nd_backlog *b, int64_t offset, struct nd_backlog_cursor *c);
void nd_backlog_close(struct nd_backlog_cursor *c); /* reads nothing from now on; may be closed already */
/* What can be read, in pieces that stay where they are until they are passed; returns how many pieces. */
size_t nd_backlog_peek(const struct nd_backlog_cursor *c, struct slice *pieces, size_t max);
void nd_backlog_pass(struct nd_backlog_cursor *c, size_t n);
size_t nd_backlog_unread(const struct nd_backlog_cursor *c);

#endif
