#include "noded/cmd/syntax.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    const char *at;
};

static void free_parts(struct nd_syntax *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_parts(&s->parts[i]);
    free(s->parts);
}

void nd_syntax_free(struct nd_syntax *s)
{
    if (s == NULL)
        return;
    free_parts(s);
    free(s);
}

void nd_syntax_for_people(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t plain = strcspn(text, "{");
        buf_put(out, text, plain);
        text += plain;
        if (*text == '{')
            text += strcspn(text, "}") + 1;
    }
}

static void add(struct nd_syntax *to, struct nd_syntax part)
{
    to->parts = mem_array(to->parts, to->n + 1, sizeof part);
    to->parts[to->n++] = part;
}

/* ---- what is said in braces ---- */

/* s becomes the only part of a block, which has its token and its place. */
static void wrap(struct nd_syntax *s, bool several)
{
    struct nd_syntax block = {
        .kind = ND_SYNTAX_BLOCK, .name = s->name, .token = s->token, .optional = s->optional, .multiple = several};
    s->token = (struct slice){NULL, 0};
    s->optional = false;
    s->multiple = s->multiple && !several;
    add(&block, *s);
    *s = block;
}

static void note(struct nd_syntax *s, struct slice word)
{
    struct slice rest = {word.p + 1, word.n - 1};
    switch (word.p[0]) {
    case ':': s->type = rest; break;
    case '@': s->since = rest; break;
    case '-': s->deprecated_since = rest; break;
    case '#': s->key_spec = rest.p[0] - '0' + 1; break;
    case '=': wrap(s, slice_is(rest, "blocks")); break;
    default: s->name = word;
    }
}

static void read_notes(struct reading *r, struct nd_syntax *s)
{
    if (*r->at != '{')
        return;
    struct slice notes = {r->at + 1, strcspn(r->at + 1, "}")};
    r->at = notes.p + notes.n + 1;
    while (notes.n > 0)
        note(s, slice_cut(&notes, ' '));
}

/* ---- words ---- */

static void skip_space(struct reading *r)
{
    while (*r->at == ' ')
        r->at++;
}

/* The word that comes next, or nothing before a bracket, a bar or the end. */
static struct slice peek_word(struct reading *r)
{
    skip_space(r);
    size_t n = strcspn(r->at, " []<>|{");
    return (struct slice){r->at, n};
}

static bool is_token(struct slice w)
{
    bool letter = false;
    for (size_t i = 0; i < w.n; i++) {
        if (w.p[i] >= 'a' && w.p[i] <= 'z')
            return false;
        letter = letter || (w.p[i] >= 'A' && w.p[i] <= 'Z') || w.p[i] == '=' || w.p[i] == '~' || w.p[i] == '"';
    }
    return letter;
}

static bool is_more(struct slice w)
{
    return slice_is(w, "...");
}

static struct nd_syntax read_value(struct reading *r, struct slice word)
{
    struct nd_syntax s = {.kind = ND_SYNTAX_VALUE, .name = word};
    r->at += word.n;
    read_notes(r, &s);
    return s;
}

/* A token with the values behind it. */
static struct nd_syntax read_token(struct reading *r)
{
    struct nd_syntax s = {.kind = ND_SYNTAX_WORD, .token = peek_word(r)};
    r->at += s.token.n;
    s.name = s.token;
    if (slice_is(s.token, "\"\""))
        s.token.n = 0;
    read_notes(r, &s);
    struct nd_syntax block = {.kind = ND_SYNTAX_BLOCK, .token = s.token};
    for (struct slice w = peek_word(r); w.n > 0 && !is_token(w) && !is_more(w); w = peek_word(r))
        add(&block, read_value(r, w));
    if (block.n == 1) {
        s = block.parts[0];
        s.token = block.token;
        free(block.parts);
    }
    return block.n > 1 ? block : s;
}

/* ---- groups ---- */

static bool same(const struct nd_syntax *a, const struct nd_syntax *b)
{
    if (a->kind != b->kind || !slice_eq(a->name, b->name) || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!same(&a->parts[i], &b->parts[i]))
            return false;
    return true;
}

/* "x y [x y ...]": the last of `to` are what the brackets repeat. */
static bool repeats(struct nd_syntax *to, struct nd_syntax *inner)
{
    if (inner->kind != ND_SYNTAX_BLOCK || !inner->multiple || inner->n == 0 || inner->n > to->n)
        return false;
    struct nd_syntax *first = &to->parts[to->n - inner->n];
    for (size_t i = 0; i < inner->n; i++)
        if (!same(&first[i], &inner->parts[i]))
            return false;
    if (inner->n == 1) {
        first->multiple = true;
        first->multiple_token = inner->parts[0].token.p != NULL;
        return true;
    }
    struct nd_syntax block = {.kind = ND_SYNTAX_BLOCK, .multiple = true, .n = inner->n};
    block.parts = mem_array(NULL, inner->n, sizeof *first);
    memcpy(block.parts, first, inner->n * sizeof *first);
    to->n -= inner->n;
    add(to, block);
    return true;
}

static void read_alternatives(struct reading *r, struct nd_syntax *out);

/* token: of the word before, which belongs to this choice; p NULL: none. */
static void read_brackets(struct reading *r, struct nd_syntax *to, struct slice token)
{
    struct nd_syntax inner = {.kind = ND_SYNTAX_BLOCK};
    bool optional = *r->at == '[';
    r->at++;
    read_alternatives(r, &inner);
    if (*r->at == (optional ? ']' : '>'))
        r->at++;
    if (repeats(to, &inner)) {
        free_parts(&inner);
    } else {
        if (inner.kind == ND_SYNTAX_BLOCK && inner.n == 1) {
            struct nd_syntax only = inner.parts[0];
            only.multiple = only.multiple || inner.multiple;
            free(inner.parts);
            inner = only;
        }
        inner.optional = inner.optional || optional;
        if (token.p != NULL)
            inner.token = token;
        add(to, inner);
    }
    read_notes(r, &to->parts[to->n - 1]);
}

/* Words and brackets until a bar, a closing bracket or the end. */
static void read_sequence(struct reading *r, struct nd_syntax *out)
{
    for (;;) {
        struct slice w = peek_word(r);
        if (w.n > 0 && is_more(w)) {
            out->multiple = true;
            r->at += w.n;
        } else if (w.n > 0 && is_token(w)) {
            struct nd_syntax s = read_token(r);
            skip_space(r);
            if (s.kind == ND_SYNTAX_WORD && *r->at == '<')
                read_brackets(r, out, s.token);
            else
                add(out, s);
        } else if (w.n > 0) {
            add(out, read_value(r, w));
        } else if (*r->at == '[' || *r->at == '<') {
            read_brackets(r, out, (struct slice){NULL, 0});
        } else {
            return;
        }
    }
}

static void read_alternatives(struct reading *r, struct nd_syntax *out)
{
    read_sequence(r, out);
    skip_space(r);
    if (*r->at != '|')
        return;
    struct nd_syntax choice = {.kind = ND_SYNTAX_ONE_OF};
    for (;;) {
        choice.multiple = choice.multiple || out->multiple; /* "x | y ...": either, again and again */
        out->multiple = false;
        if (out->n == 1) {
            add(&choice, out->parts[0]);
            free(out->parts);
        } else {
            add(&choice, *out);
        }
        *out = (struct nd_syntax){.kind = ND_SYNTAX_BLOCK};
        if (*r->at != '|')
            break;
        r->at++;
        read_sequence(r, out);
        skip_space(r);
    }
    *out = choice;
}

struct nd_syntax *nd_syntax_read(const char *text)
{
    struct reading r = {text};
    struct nd_syntax *s = mem_zalloc(sizeof *s);
    s->kind = ND_SYNTAX_BLOCK;
    read_alternatives(&r, s);
    if (s->kind == ND_SYNTAX_ONE_OF) { /* bars at the top: one argument that is a choice */
        struct nd_syntax choice = *s;
        *s = (struct nd_syntax){.kind = ND_SYNTAX_BLOCK};
        add(s, choice);
    }
    return s;
}
