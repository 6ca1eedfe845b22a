/* A screen of text before it is on any terminal: pieces at places, cut where it ends. Bytes from outside come as '?'
 * where a terminal would obey them. */
#ifndef NODECTL_VIEW_SCREEN_H
#define NODECTL_VIEW_SCREEN_H

#include "common/base/bytes.h"
#include "nodectl/table.h"

struct screen_piece {
    int row, column; /* from 0 */
    enum paint paint;
    char *text; /* owned; no wider than what is left of the row */
};

struct screen {
    int width, height;
    struct screen_piece *v;
    size_t n, cap;
};

void screen_begin(struct screen *s, int width, int height); /* of a zeroed screen, or of one that was drawn */
void screen_free(struct screen *s);

/* Nothing outside of the screen is kept. Returns the column behind it. */
int screen_put(struct screen *s, int row, int column, enum paint paint, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The same so that it ends at the right edge. */
void screen_put_right(struct screen *s, int row, enum paint paint, const char *text);

/* The row as plain text, without blanks at its end; for the tests. */
void screen_row(const struct screen *s, int row, struct buf *out);

#endif
