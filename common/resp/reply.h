/* Writes replies in RESP2 or RESP3 into a buffer. One call per element; aggregates announce their count first.
 * What RESP2 lacks is written as clients of it expect: a map as a flat array, a null as a null bulk, a double as a
 * bulk, a push as an array. */
#ifndef RESP_REPLY_H
#define RESP_REPLY_H

#include "common/base/bytes.h"

struct reply {
    struct buf *out; /* the caller's */
    int proto;       /* 2 or 3 */
};

void reply_status(struct reply *r, const char *s); /* +OK */
/* -CODE message. CR and LF in the text become spaces, so that no argument can break the framing. */
void reply_error(struct reply *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The end of a status or an error that was written to out[from..] by hand, framed as these two are. */
void reply_end_line(struct buf *out, size_t from);
void reply_int(struct reply *r, int64_t v);
void reply_bulk(struct reply *r, const void *p, size_t n);
void reply_bulks(struct reply *r, const char *s); /* of a C string */
void reply_bulkf(struct reply *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void reply_bulk_int(struct reply *r, int64_t v);               /* the number as a bulk string */
void reply_verbatim(struct reply *r, const char *p, size_t n); /* RESP3 =txt:, RESP2 bulk */
void reply_null(struct reply *r);                              /* RESP2 $-1, RESP3 _ */
void reply_null_array(struct reply *r);                        /* RESP2 *-1, RESP3 _ */
void reply_array(struct reply *r, size_t n);
void reply_map(struct reply *r, size_t pairs);
void reply_set(struct reply *r, size_t n);
void reply_push(struct reply *r, size_t n);
void reply_double(struct reply *r, double v); /* inf, -inf, nan; 17 digits (text_put_double) */
void reply_bool(struct reply *r, bool v);     /* RESP2 :1 :0 */

/* An aggregate whose length is known only when it is written: reply_begin() marks the place, reply_end_*() puts the
 * header in. */
size_t reply_begin(struct reply *r);
void reply_end_array(struct reply *r, size_t mark, size_t n);
void reply_end_set(struct reply *r, size_t mark, size_t n);
void reply_end_map(struct reply *r, size_t mark, size_t pairs);

#endif
