/* Incremental parser of client requests: RESP arrays of bulk strings, and inline commands with redis-cli's quoting.
 *
 * Nothing is copied: arguments are slices of the buffer that the caller keeps (the exception is an inline command with
 * quotes or escapes, whose arguments are unescaped into memory of the parser). The parser remembers how far it got, so
 * a request that arrives in any number of pieces is looked at once. Everything is bounded.
 *
 * Errors are worded as in Redis 7.0 and do not depend on how the bytes were split. Stricter than Redis in one thing:
 * what stands where a CRLF must be is looked at, because a client that lost count of its own bytes must not have the
 * rest executed. */
#ifndef RESP_REQUEST_H
#define RESP_REQUEST_H

#include "common/base/bytes.h"

struct resp_limits {
    size_t max_args;      /* arguments of one request */
    size_t max_bulk;      /* bytes of one argument */
    size_t max_query;     /* bytes of one request with its framing */
    size_t max_inline;    /* bytes of one inline line or of one length line */
    bool unauthenticated; /* errors say that max_args and max_bulk are those of a client that has not logged in */
};

/* 1,048,576 args; 512 MiB; 1 GiB; 64 KiB: Redis's own, but for the arguments, which Redis 7 does not bound. */
extern const struct resp_limits resp_limits_default;
/* For a control plane: 65,536 args; 1 MiB; 8 MiB; 64 KiB. */
extern const struct resp_limits resp_limits_control;

enum resp_status {
    RESP_MORE,  /* not whole yet: call again with more bytes behind the same start */
    RESP_READY, /* argv[0..argc) is a request; an empty line or empty array gives argc 0 */
    RESP_ERROR, /* the stream is beyond repair: send `error` and close */
};

struct resp_parser; /* opaque; one per connection */

struct resp_parser *resp_parser_new(const struct resp_limits *limits); /* limits must outlive it */
void resp_parser_free(struct resp_parser *p);

struct resp_request {
    const struct slice *argv; /* owned by the parser, valid until the next call; point into the caller's bytes */
    size_t argc;
    size_t consumed;   /* bytes of the buffer that this request took; the caller drops them after use */
    const char *error; /* with RESP_ERROR: e.g. "Protocol error: invalid multibulk length" (no "-ERR ") */
};

/* Other limits, from the next request on; between requests only (after READY, or before the first byte). */
void resp_parser_limit(struct resp_parser *p, const struct resp_limits *limits);
/* After MORE: bytes from the start of the request that are needed at least before calling again makes sense. */
size_t resp_wanted(const struct resp_parser *p);

/* data[0..n) starts at the first byte of a request. The start must be the same byte at each call until READY or ERROR;
 * the buffer may have moved in between. */
enum resp_status resp_parse(struct resp_parser *p, const char *data, size_t n, struct resp_request *out);
/* Looks ahead: whole requests from the front, at most max, each as resp_parse() would give it after the one before.
 * Their argv are valid together, until the next call. Returns how many; fewer than there are when their arguments are
 * many. 0: the first is not whole, not plain or not right, which resp_parse() finds out. */
size_t resp_parse_ahead(struct resp_parser *p, const char *data, size_t n, struct resp_request *out, size_t max);

#endif
