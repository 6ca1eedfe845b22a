/* The syntax of a command, read from the words that its row has for people:
 *     key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]
 * Small letters: a value. Capitals: a word as it stands, which takes the values behind it. [x] may be left out, x | y
 * is one of both, <x | y> one of both that must be there, and "key [key ...]" is one or more. */
#ifndef CMD_SYNTAX_H
#define CMD_SYNTAX_H

#include "common/base/bytes.h"

enum nd_syntax_kind {
    ND_SYNTAX_VALUE, /* a value of its own, or behind a token */
    ND_SYNTAX_WORD,  /* a token alone */
    ND_SYNTAX_ONE_OF,
    ND_SYNTAX_BLOCK /* several that belong together */
};

struct nd_syntax {
    enum nd_syntax_kind kind;
    struct slice name;  /* as in the text; of a word the word itself */
    struct slice token; /* n is 0: none */
    bool optional, multiple;
    struct nd_syntax *parts; /* of ONE_OF and BLOCK */
    size_t n;
};

/* A block without a token that holds all arguments. The slices point into the text. The caller frees. */
struct nd_syntax *nd_syntax_read(const char *text);
void nd_syntax_free(struct nd_syntax *s); /* NULL is fine */

#endif
