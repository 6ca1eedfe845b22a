/* From Redis's configuration files to ours. A converter reads directives, writes the result to `out`, and names on
 * `left` what it cannot carry over. Lines that Redis itself would refuse are errors. */
#ifndef NODECTL_CONVERT_H
#define NODECTL_CONVERT_H

#include "nodectl/directives.h"

#include "common/base/addr.h"

struct convert {
    struct directives in;
    struct buf out;    /* the new file */
    struct buf left;   /* a line for each directive that is not in it, and why */
    struct buf errors; /* a line for each that is malformed; then out is of no use */
};

void convert_to_sentineld(struct convert *c);
void convert_to_noded(struct convert *c);
void convert_free(struct convert *c);

/* "file:line: words: text". Secrets are not shown. */
void convert_leave(struct convert *c, const struct directive *d, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void convert_error(struct convert *c, const struct directive *d, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The parts of a libconfig file. */
void convert_put_int(struct buf *out, int64_t v); /* with an L when it needs more than 32 bits */
void convert_put_address(struct buf *out, const struct addr *a);
/* path made absolute: relative ones count from `folder` (which may be NULL or relative itself) and then from the
 * working directory. The caller frees. */
char *convert_path(const char *folder, const char *path);
/* Whether the word can be a libconfig string: no NUL byte. Leaves the directive out otherwise. */
bool convert_text_ok(struct convert *c, const struct directive *d, struct slice word);

#endif
