#include "common/resp/inline.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Vertical tab and form feed separate words only in front of one, as in Redis. */
static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip(struct slice *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static void skip_space(struct slice *line)
{
    while (line->n > 0 && is_space(line->p[0]))
        skip(line, 1);
}

enum inline_status inline_next_plain(struct slice *line, struct slice *word)
{
    skip_space(line);
    if (line->n == 0)
        return INLINE_END;
    *word = (struct slice){line->p, 0};
    while (line->n > 0 && !ends_word(line->p[0])) {
        skip(line, 1);
        word->n++;
    }
    return INLINE_WORD;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A backslash inside of double quotes; s holds at least one byte behind it. */
static void escape(struct slice *s, struct buf *out)
{
    char c = s->p[1];
    if (c == 'x' && s->n >= 4 && hex_value(s->p[2]) >= 0 && hex_value(s->p[3]) >= 0) {
        buf_putc(out, (char)(hex_value(s->p[2]) * 16 + hex_value(s->p[3])));
        skip(s, 4);
        return;
    }
    switch (c) {
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 't': c = '\t'; break;
    case 'b': c = '\b'; break;
    case 'a': c = '\a'; break;
    default: break;
    }
    buf_putc(out, c);
    skip(s, 2);
}

/* From behind the opening quote to behind the closing one. false: there is none, or a word goes on right after it. */
static bool quoted(struct slice *s, char quote, struct buf *out)
{
    while (s->n > 0 && s->p[0] != quote) {
        if (quote == '"' && s->p[0] == '\\' && s->n >= 2) {
            escape(s, out);
        } else if (quote == '\'' && s->p[0] == '\\' && s->n >= 2 && s->p[1] == '\'') {
            buf_putc(out, '\'');
            skip(s, 2);
        } else {
            buf_putc(out, s->p[0]);
            skip(s, 1);
        }
    }
    if (s->n == 0)
        return false;
    skip(s, 1);
    return s->n == 0 || is_space(s->p[0]);
}

enum inline_status inline_next_quoted(struct slice *line, struct buf *out)
{
    skip_space(line);
    if (line->n == 0)
        return INLINE_END;
    while (line->n > 0 && !ends_word(line->p[0])) {
        char c = line->p[0];
        skip(line, 1);
        if (c != '"' && c != '\'') {
            buf_putc(out, c);
        } else {
            /* A closing quote ends the word, also in front of the white space that does not end an unquoted one. */
            return quoted(line, c, out) ? INLINE_WORD : INLINE_UNBALANCED;
        }
    }
    return INLINE_WORD;
}
