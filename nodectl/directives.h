/* A configuration file of Redis: lines of words, as Redis cuts them. */
#ifndef NODECTL_DIRECTIVES_H
#define NODECTL_DIRECTIVES_H

#include "common/base/bytes.h"

struct directive {
    int line;
    size_t argc;        /* >= 1 */
    struct slice *argv; /* without quotes and escapes; any byte may be in them, and a NUL follows each */
};

struct directives {
    const char *path;
    struct directive *v;
    size_t n;
};

/* Reads the file. Comments and empty lines are left out. false: it cannot be read, or a line has unbalanced quotes;
 * error has a line, with its newline, for each reason. path must outlive the result. */
bool directives_read(struct directives *d, const char *path, struct buf *error);
void directives_free(struct directives *d);

/* Whether word i is there and is this, letters of either case. */
bool directive_is(const struct directive *d, size_t i, const char *word);

#endif
