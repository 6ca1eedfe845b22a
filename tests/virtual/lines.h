/* A world written down: the last lines of what happened, or all of them as they happen. */
#ifndef VIRTUAL_LINES_H
#define VIRTUAL_LINES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

struct lines;

struct lines *lines_new(bool at_once); /* at once: printed as they come, and not kept */
void lines_free(struct lines *l);      /* NULL is allowed */
void lines_put(struct lines *l, int64_t now_us, const char *who, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));
void lines_print(const struct lines *l); /* those that are kept */

#endif
