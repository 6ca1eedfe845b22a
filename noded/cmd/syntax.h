/* The syntax of a command, read from the words that its row has for people:
 *     key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]
 * Small letters: a value. Capitals: a word as it stands, which takes the values behind it, or the choice behind it in
 * <>. "" is an empty argument. [x] may be left out, x | y is one of both, <x | y> one of both that must be there, and
 * "key [key ...]" is one or more.
 *
 * What people need not read but programs ask for (COMMAND DOCS) stands in braces right behind the argument that it is
 * said of, "[GET]{@6.2.0}": words between spaces, of which
 *     name        what the argument is called; without it a group is called by the names of its parts, "offset_count"
 *     :double     the type of its values; without it the type that its name suggests
 *     @6.2.0      it is there since this version; -2.8.12 it should not be used since this one
 *     #1          it belongs to this key spec
 *     =block      it is a block of its own, which takes its token; =blocks: of which there may be several
 */
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
    struct slice name;  /* as in the text, of a word the word itself; n is 0: its parts' */
    struct slice token; /* p is NULL: none */
    struct slice type;  /* these are empty when the text does not say */
    struct slice since, deprecated_since;
    int key_spec; /* + 1; 0: the text does not say */
    bool optional, multiple, multiple_token;
    struct nd_syntax *parts; /* of ONE_OF and BLOCK */
    size_t n;
};

/* A block without a token that holds all arguments. The slices point into the text. The caller frees. */
struct nd_syntax *nd_syntax_read(const char *text);
void nd_syntax_free(struct nd_syntax *s); /* NULL is fine */
/* Appends the text without what is in braces. */
void nd_syntax_for_people(struct buf *out, const char *text);

#endif
