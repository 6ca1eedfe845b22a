/* The words of an inline command, cut as redis-cli and Redis cut them: white space between words, "..." with \n \r \t
 * \b \a \xHH (any other byte after a backslash stands for itself), '...' with \' only. A quote may open inside of a
 * word; one that closes must be followed by white space or the end of the line. */
#ifndef RESP_INLINE_H
#define RESP_INLINE_H

#include "common/base/bytes.h"

enum inline_status {
    INLINE_WORD,
    INLINE_END,        /* no more words */
    INLINE_UNBALANCED, /* a quote that never closes, or closes within a word */
};

/* The next word of *line, which holds no quotes; *word is a slice of the line. *line becomes what follows. */
enum inline_status inline_next_plain(struct slice *line, struct slice *word);
/* The same for any line; the word's bytes are appended to out. */
enum inline_status inline_next_quoted(struct slice *line, struct buf *out);

#endif
