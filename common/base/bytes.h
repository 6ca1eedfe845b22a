/* A run of bytes that somebody else owns (slice), and a growable one of our own (buf). Neither is NUL-terminated
 * unless said so; both may hold any byte. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *p; /* NULL only when n is 0 */
    size_t n;
};

struct slice slice_of(const char *s);          /* of a C string; NULL gives an empty slice */
bool slice_eq(struct slice a, struct slice b); /* byte for byte */
bool slice_ieq(struct slice a, const char *s); /* ASCII letters of either case */
bool slice_is(struct slice a, const char *s);  /* byte for byte against a C string */
/* Cuts the first part before `sep` off *rest and returns it; *rest becomes what follows, n = 0 and p = NULL at
 * the end. */
struct slice slice_cut(struct slice *rest, char sep);
/* The same with the next line of a text, without its line end (LF or CR LF). */
struct slice slice_cut_line(struct slice *rest);
struct slice slice_trim(struct slice s); /* without ASCII white space at both ends */
char *slice_dup(struct slice s);         /* terminated copy; the caller frees */

struct buf {
    char *p;
    size_t n, cap;
};

/* A zeroed struct buf is an empty one. */
void buf_free(struct buf *b);
void buf_clear(struct buf *b);                /* keeps the memory */
void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes beyond n */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
void buf_drop(struct buf *b, size_t n); /* forgets the first n bytes */
const char *buf_str(struct buf *b);     /* terminates (outside of n) and returns p */
struct slice buf_slice(const struct buf *b);

#endif
