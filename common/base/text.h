/* Numbers and names read from text. Nothing here accepts a prefix: the whole text must be the value. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "common/base/bytes.h"

/* Decimal, optional '-', no spaces, no leading '+', no leading zeros but "0" itself (as string2ll does). false: not a
 * number, or out of range; *out is then unchanged. */
bool text_i64(struct slice s, int64_t *out);
bool text_u64(struct slice s, uint64_t *out);
/* 1 to 16 hexadecimal digits, small letters. */
bool text_hex_u64(struct slice s, uint64_t *out);
/* As text_i64(), and min <= value <= max. */
bool text_range(struct slice s, int64_t min, int64_t max, int64_t *out);
/* "1024", "64kb" (1024), "256mb", "1gb", and "1k" (1000), "1m", "1g": redis.conf's memory units. */
bool text_size(struct slice s, uint64_t *bytes);
/* A double as Redis 7.0 writes scores: "%.17g", which always reads back the same; "inf", "-inf", "nan". Not terminated;
 * returns the length. */
#define TEXT_DOUBLE 32
size_t text_put_double(double v, char out[TEXT_DOUBLE]);
/* yes, no, true, false, on, off, 1, 0. */
bool text_bool(struct slice s, bool *out);

/* Glob as Redis has it: * ? [abc] [^a-z] and backslash. Linear in practice: runs of '*' count as one, and a failed
 * match never backtracks past the last '*'. */
bool text_glob(struct slice pattern, struct slice s, bool nocase);

/* The name among names[count] that is nearest to s by edit distance, or NULL when none is near enough to be meant. */
const char *text_nearest(const char *s, const char *const *names, size_t count);

/* Copies s with control bytes, quotes and backslashes made visible (\n, \x01), cut after `max` bytes of input with
 * "...". For messages that quote bytes from outside. Appends to out. */
void text_quote(struct buf *out, struct slice s, size_t max);
/* The same of all of it; apostrophes are made visible only when wanted (redis-cli shows keys without). */
void text_escape(struct buf *out, struct slice s, bool apostrophes);

#endif
