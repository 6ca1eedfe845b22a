/* LCS: the longest common subsequence of two strings. */
#include "noded/cmd/call.h"
#include "noded/store/string.h"

#include "common/base/mem.h"

#include <stdlib.h>

/* Comparing is the product of both lengths. Above this many comparisons the command is refused, with the words with
 * which Redis, which keeps four bytes for each, runs out of memory. */
#define CELLS_MAX ((uint64_t)1 << 33)

struct lcs {
    struct slice a, b;
    uint32_t *row;  /* lengths of the row above, by the number of bytes of b */
    uint64_t *left; /* a bit for each pair of prefixes: dropping the last of a leaves more than dropping that of b */
    uint32_t length;
};

static size_t bit_of(const struct lcs *l, size_t i, size_t j)
{
    return i * (l->b.n + 1) + j;
}

/* Fills in lengths row by row; only the bits are kept of all rows, and none of them when the length alone is asked. */
static void measure(struct lcs *l)
{
    for (size_t i = 1; i <= l->a.n; i++) {
        uint32_t diagonal = 0;
        for (size_t j = 1; j <= l->b.n; j++) {
            uint32_t above = l->row[j], before = l->row[j - 1];
            if (l->a.p[i - 1] == l->b.p[j - 1]) {
                l->row[j] = diagonal + 1;
            } else if (above > before) {
                if (l->left != NULL)
                    l->left[bit_of(l, i, j) / 64] |= (uint64_t)1 << bit_of(l, i, j) % 64;
            } else {
                l->row[j] = before;
            }
            diagonal = above;
        }
    }
    l->length = l->row[l->b.n];
}

/* A run of bytes that both strings have, as far as the walk has come. n 0: none. */
struct run {
    size_t a, b, n;
};

struct walk {
    struct nd_call *c;
    const struct lcs *l;
    char *text; /* filled from its end; NULL: runs are answered */
    size_t shown;
    int64_t min_length;
    bool with_length;
};

static void show_run(struct walk *w, const struct run *r)
{
    struct reply *to = w->c->r;
    if (w->text != NULL || r->n == 0 || (w->min_length > 0 && r->n < (uint64_t)w->min_length))
        return;
    reply_array(to, w->with_length ? 3 : 2);
    reply_array(to, 2);
    reply_int(to, (int64_t)r->a);
    reply_int(to, (int64_t)(r->a + r->n - 1));
    reply_array(to, 2);
    reply_int(to, (int64_t)r->b);
    reply_int(to, (int64_t)(r->b + r->n - 1));
    if (w->with_length)
        reply_int(to, (int64_t)r->n);
    w->shown++;
}

/* From the ends of both strings to their beginnings. */
static void walk_back(struct walk *w)
{
    const struct lcs *l = w->l;
    size_t at = l->length;
    struct run run = {0};
    for (size_t i = l->a.n, j = l->b.n; i > 0 && j > 0;) {
        if (l->a.p[i - 1] == l->b.p[j - 1]) {
            i--;
            j--;
            run = (struct run){i, j, run.n + 1};
            if (w->text != NULL)
                w->text[--at] = l->a.p[i];
            continue;
        }
        show_run(w, &run);
        run.n = 0;
        if (l->left[bit_of(l, i, j) / 64] >> bit_of(l, i, j) % 64 & 1)
            i--;
        else
            j--;
    }
    show_run(w, &run);
}

struct options {
    bool length, runs, with_length;
    int64_t min_length;
};

static bool read_options(struct nd_call *c, struct options *o)
{
    *o = (struct options){.min_length = 0};
    for (size_t i = 3; i < c->argc; i++) {
        if (nd_arg_is(c, i, "idx")) {
            o->runs = true;
        } else if (nd_arg_is(c, i, "len")) {
            o->length = true;
        } else if (nd_arg_is(c, i, "withmatchlen")) {
            o->with_length = true;
        } else if (nd_arg_is(c, i, "minmatchlen") && i + 1 < c->argc) {
            if (!nd_arg_i64(c, ++i, &o->min_length))
                return false;
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    if (o->runs && o->length) {
        nd_error(c, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

static void answer(struct nd_call *c, const struct options *o, const struct lcs *l)
{
    struct walk w = {.c = c, .l = l, .min_length = o->min_length, .with_length = o->with_length};
    if (o->length) {
        reply_int(c->r, l->length);
    } else if (o->runs) {
        reply_map(c->r, 2);
        reply_bulks(c->r, "matches");
        size_t mark = reply_begin(c->r);
        walk_back(&w);
        reply_end_array(c->r, mark, w.shown);
        reply_bulks(c->r, "len");
        reply_int(c->r, l->length);
    } else {
        w.text = mem_alloc(l->length);
        walk_back(&w);
        reply_bulk(c->r, w.text, l->length);
        free(w.text);
    }
}

static void lcs(struct nd_call *c)
{
    struct nd_entry *a = nd_lookup(c, c->argv[1], ND_READ), *b = nd_lookup(c, c->argv[2], ND_READ);
    struct options o;
    char a_number[ND_INT_TEXT], b_number[ND_INT_TEXT];
    if ((a != NULL && a->v.type != ND_STRING) || (b != NULL && b->v.type != ND_STRING)) {
        nd_error(c, "ERR The specified keys must contain string values");
        return;
    }
    if (!read_options(c, &o))
        return;
    struct lcs l = {.a = a != NULL ? nd_string_slice(&a->v, a_number) : (struct slice){"", 0},
                    .b = b != NULL ? nd_string_slice(&b->v, b_number) : (struct slice){"", 0}};
    if (l.a.n + 1 > CELLS_MAX / (l.b.n + 1)) {
        nd_error(c, "ERR Insufficient memory, failed allocating transient memory for LCS");
        return;
    }
    l.row = mem_zalloc((l.b.n + 1) * sizeof *l.row);
    if (!o.length)
        l.left = mem_zalloc((bit_of(&l, l.a.n, l.b.n) / 64 + 1) * sizeof *l.left);
    measure(&l);
    answer(c, &o, &l);
    free(l.row);
    free(l.left);
}

const struct nd_command nd_string_lcs_commands[] = {
    {.name = "lcs",
     .arity = -3,
     .flags = ND_READONLY,
     .categories = ND_CAT_STRING,
     .run = lcs,
     .keys = {{.flags = "RO ACCESS", .first = 1, .last = 1, .step = 1}},
     .syntax = "key1 key2{#0} [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
     .summary =
         "Shows the longest row of bytes that two strings have in the same order, or how long it is, or where it "
         "stands.",
     .since = "7.0.0",
     .group = "string",
     .complexity = "O(N*M) for strings of N and M bytes"},
    {0},
};
