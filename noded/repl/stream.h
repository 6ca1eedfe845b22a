/* The replication stream and the append-only file are made of the same bytes: requests of the protocol. */
#ifndef REPL_STREAM_H
#define REPL_STREAM_H

#include "noded/cmd/engine.h"

/* Appends one unit of effects: SELECT where the database differs from *db (-1: none was said yet; it is set), MULTI and
 * EXEC around it when there are several. Rows of no database (db < 0, messages) come without SELECT; messages false:
 * they are left out. */
void nd_stream_put(struct buf *out, int *db, const struct nd_effect_row *rows, size_t n, bool messages);
/* The error in an answer, without its sign and its line's end: of the request itself, or of one that EXEC ran. */
struct slice nd_stream_error(struct slice answer);
/* One request as it is. */
void nd_stream_request(struct buf *out, size_t argc, const struct slice *argv);

#endif
