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

static void add(struct nd_syntax *to, struct nd_syntax part)
{
    to->parts = mem_array(to->parts, to->n + 1, sizeof part);
    to->parts[to->n++] = part;
}

static void skip_space(struct reading *r)
{
    while (*r->at == ' ')
        r->at++;
}

/* The word that comes next, or nothing before a bracket, a bar or the end. */
static struct slice peek_word(struct reading *r)
{
    skip_space(r);
    size_t n = strcspn(r->at, " []<>|");
    return (struct slice){r->at, n};
}

static bool is_token(struct slice w)
{
    bool letter = false;
    for (size_t i = 0; i < w.n; i++) {
        if (w.p[i] >= 'a' && w.p[i] <= 'z')
            return false;
        letter = letter || (w.p[i] >= 'A' && w.p[i] <= 'Z') || w.p[i] == '=' || w.p[i] == '~';
    }
    return letter;
}

static bool is_more(struct slice w)
{
    return slice_is(w, "...");
}

static struct nd_syntax read_token(struct reading *r)
{
    struct nd_syntax s = {.kind = ND_SYNTAX_BLOCK, .token = peek_word(r)};
    s.name = s.token;
    r->at += s.token.n;
    for (struct slice w = peek_word(r); w.n > 0 && !is_token(w) && !is_more(w); w = peek_word(r)) {
        add(&s, (struct nd_syntax){.kind = ND_SYNTAX_VALUE, .name = w});
        r->at += w.n;
    }
    if (s.n == 0) {
        s.kind = ND_SYNTAX_WORD;
    } else if (s.n == 1) {
        s.kind = ND_SYNTAX_VALUE;
        s.name = s.parts[0].name;
        free_parts(&s);
        s.parts = NULL;
        s.n = 0;
    }
    return s;
}

static bool same(const struct nd_syntax *a, const struct nd_syntax *b)
{
    return a->kind == b->kind && slice_eq(a->name, b->name) && a->n == b->n;
}

/* "x y [x y ...]": the last of `to` are what the brackets repeat. */
static bool repeats(struct nd_syntax *to, struct nd_syntax *inner)
{
    if (!inner->multiple || inner->n == 0 || inner->n > to->n)
        return false;
    struct nd_syntax *first = &to->parts[to->n - inner->n];
    for (size_t i = 0; i < inner->n; i++)
        if (!same(&first[i], &inner->parts[i]))
            return false;
    if (inner->n == 1) {
        first->multiple = true;
        return true;
    }
    struct nd_syntax block = {.kind = ND_SYNTAX_BLOCK, .name = slice_of("data"), .multiple = true, .n = inner->n};
    block.parts = mem_array(NULL, inner->n, sizeof *first);
    memcpy(block.parts, first, inner->n * sizeof *first);
    to->n -= inner->n;
    add(to, block);
    return true;
}

static void read_alternatives(struct reading *r, struct nd_syntax *out);

static void read_brackets(struct reading *r, struct nd_syntax *to)
{
    struct nd_syntax inner = {.kind = ND_SYNTAX_BLOCK};
    bool optional = *r->at == '[';
    r->at++;
    read_alternatives(r, &inner);
    if (*r->at == (optional ? ']' : '>'))
        r->at++;
    if (repeats(to, &inner)) {
        free_parts(&inner);
        return;
    }
    if (inner.kind == ND_SYNTAX_BLOCK && inner.n == 1) {
        struct nd_syntax only = inner.parts[0];
        only.multiple = only.multiple || inner.multiple;
        free(inner.parts);
        inner = only;
    } else if (inner.n > 0 && inner.name.n == 0) {
        inner.name = inner.parts[0].name;
    }
    inner.optional = optional;
    add(to, inner);
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
            add(out, read_token(r));
        } else if (w.n > 0) {
            add(out, (struct nd_syntax){.kind = ND_SYNTAX_VALUE, .name = w});
            r->at += w.n;
        } else if (*r->at == '[' || *r->at == '<') {
            read_brackets(r, out);
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
        if (out->n == 1) {
            add(&choice, out->parts[0]);
            free(out->parts);
        } else {
            out->name = out->n > 0 ? out->parts[0].name : slice_of("");
            add(&choice, *out);
        }
        *out = (struct nd_syntax){.kind = ND_SYNTAX_BLOCK};
        if (*r->at != '|')
            break;
        r->at++;
        read_sequence(r, out);
        skip_space(r);
    }
    choice.name = choice.parts[0].name;
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
