/* The string type: a number (ND_ENC_INT), bytes in the entry (embedded), or bytes of its own (struct nd_str).
 *
 * ND_ENC_EMBSTR and ND_ENC_RAW are what OBJECT ENCODING says and follow Redis 7's rules; where the bytes stand is our
 * own matter (`embedded`). */
#ifndef STORE_STRING_H
#define STORE_STRING_H

#include "noded/store/entry.h"

#define ND_INT_TEXT 24 /* bytes for any number as text */

struct nd_str {
    size_t n, cap;
    char p[];
};

/* The bytes. A number is written into tmp. Good until the value changes. `v` stands in its entry when embedded. */
struct slice nd_string_slice(const struct nd_value *v, char tmp[ND_INT_TEXT]);
size_t nd_string_length(const struct nd_value *v);
/* A value that stands alone (never embedded). try_number: text that string2ll would take back unchanged becomes
 * ND_ENC_INT; else EMBSTR up to 44 bytes, RAW above. */
struct nd_value nd_string_make(struct slice s, bool try_number);
/* Bytes to be changed in place: the value becomes RAW with memory of its own and room for `cap` bytes at least; what is
 * beyond the old length is zero. Sets the length to max(length, n). */
char *nd_string_writable(struct nd_value *v, size_t n, size_t cap);
/* The same with room for more when it must get other memory: twice as much, above 1 MiB that much more. */
char *nd_string_grow(struct nd_value *v, size_t n);
void nd_string_append(struct nd_value *v, struct slice s); /* makes it RAW */
/* A number as Redis stores it: string2ll's rules, at most 20 bytes. */
bool nd_string_number(const struct nd_value *v, int64_t *out);

/* A string's value without its bytes: type and encoding, and num when it is a number. */
struct nd_value nd_string_header(struct slice s, bool try_number);
struct nd_value nd_string_dup(const struct nd_value *v); /* stands alone, keeps encoding and age */
size_t nd_string_memory(const struct nd_value *v);       /* bytes beside the entry */
void nd_string_free(struct nd_value *v);

#endif
