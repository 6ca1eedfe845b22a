#include "sentineld/shell/info_cache.h"

#include "common/base/map.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)256 * 1024)
#define ROOM 64 /* memory for values comes in steps of so many bytes: numbers get longer and shorter */

/* A text without its values: what follows the first colon of each line up to the line's end is cut out. `cuts` are the
 * places in it at which the values were. */
struct form {
    struct buf text;
    uint32_t *cuts;
    size_t ncuts, users;
};

struct entry {
    struct form *form;
    char *values; /* in order, each ended by a line feed, which no value contains */
    size_t n, cap;
    int64_t when_us;
};

struct info_cache {
    struct map forms;              /* a form's text -> form */
    struct map entries;            /* node -> entry */
    struct buf form, values, text; /* being taken apart and put together */
    uint32_t *cuts;
    size_t ncuts, cap_cuts;
};

struct info_cache *info_cache_new(const uint64_t seed[2])
{
    struct info_cache *c = mem_zalloc(sizeof *c);
    map_init(&c->forms, seed[0], seed[1]);
    map_init(&c->entries, seed[1], seed[0]);
    return c;
}

static void leave_form(struct info_cache *c, struct form *f)
{
    if (f == NULL || --f->users > 0)
        return;
    map_del(&c->forms, buf_slice(&f->text));
    buf_free(&f->text);
    free(f->cuts);
    free(f);
}

static void free_entry(struct info_cache *c, struct entry *e)
{
    leave_form(c, e->form);
    free(e->values);
    free(e);
}

void info_cache_free(struct info_cache *c)
{
    if (c == NULL)
        return;
    struct entry *e;
    for (size_t it = 0; (e = map_next(&c->entries, &it, NULL)) != NULL;)
        free_entry(c, e);
    map_free(&c->entries);
    map_free(&c->forms);
    buf_free(&c->form);
    buf_free(&c->values);
    buf_free(&c->text);
    free(c->cuts);
    free(c);
}

/* Into c->form, c->cuts and c->values. */
static void take_apart(struct info_cache *c, struct slice text)
{
    const char *p = text.p, *end = text.p + text.n;
    buf_clear(&c->form);
    buf_clear(&c->values);
    c->ncuts = 0;
    buf_reserve(&c->form, text.n + 1);
    buf_reserve(&c->values, text.n + 1);
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *stop = lf == NULL ? end : lf, *next = lf == NULL ? end : lf + 1;
        if (lf != NULL && lf > p && lf[-1] == '\r')
            stop--;
        const char *colon = memchr(p, ':', (size_t)(stop - p));
        if (colon == NULL) {
            buf_put(&c->form, p, (size_t)(next - p));
        } else {
            buf_put(&c->form, p, (size_t)(colon + 1 - p));
            c->cuts = mem_grow(c->cuts, c->ncuts, &c->cap_cuts, sizeof *c->cuts);
            c->cuts[c->ncuts++] = (uint32_t)c->form.n;
            buf_put(&c->form, stop, (size_t)(next - stop));
            buf_put(&c->values, colon + 1, (size_t)(stop - colon - 1));
            buf_putc(&c->values, '\n');
        }
        p = next;
    }
}

/* The same, at a third of the cost, for a text that has this form, as nearly all have that of the last one: into
 * c->values. false: it has not. */
static bool take_values(struct info_cache *c, const struct form *f, struct slice text)
{
    if (text.n == 0 || f->text.n == 0)
        return false;
    const char *p = text.p, *end = text.p + text.n, *literal = f->text.p;
    buf_clear(&c->values);
    buf_reserve(&c->values, text.n + f->ncuts);
    char *out = c->values.p;
    for (size_t i = 0;; i++) {
        const char *cut = f->text.p + (i < f->ncuts ? f->cuts[i] : f->text.n);
        size_t n = (size_t)(cut - literal);
        if ((size_t)(end - p) < n || memcmp(p, literal, n) != 0)
            return false;
        p += n;
        literal = cut;
        if (i == f->ncuts)
            break;
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *stop = lf == NULL ? end : lf > p && lf[-1] == '\r' ? lf - 1 : lf;
        memcpy(out, p, (size_t)(stop - p));
        out += stop - p;
        *out++ = '\n';
        p = stop;
    }
    c->values.n = (size_t)(out - c->values.p);
    return p == end;
}

static void put_together(struct info_cache *c, const struct entry *e)
{
    struct slice values = {e->values, e->n};
    const struct form *f = e->form;
    size_t at = 0;
    buf_clear(&c->text);
    for (size_t i = 0; i < f->ncuts; i++) {
        struct slice value = slice_cut(&values, '\n');
        buf_put(&c->text, f->text.p + at, f->cuts[i] - at);
        buf_put(&c->text, value.p, value.n);
        at = f->cuts[i];
    }
    buf_put(&c->text, f->text.p + at, f->text.n - at);
}

static struct form *find_form(struct info_cache *c)
{
    struct form *f = map_get(&c->forms, buf_slice(&c->form));
    if (f == NULL) {
        f = mem_zalloc(sizeof *f);
        buf_put(&f->text, c->form.p, c->form.n);
        f->ncuts = c->ncuts;
        f->cuts = mem_array(NULL, c->ncuts, sizeof *f->cuts);
        if (c->ncuts > 0)
            memcpy(f->cuts, c->cuts, c->ncuts * sizeof *f->cuts);
        map_put(&c->forms, buf_slice(&f->text), f);
    }
    f->users++;
    return f;
}

void info_cache_put(struct info_cache *c, const char *node, struct slice text, int64_t when_us)
{
    if (text.n > TEXT_MAX)
        text.n = TEXT_MAX;
    struct entry *e = map_gets(&c->entries, node);
    if (e == NULL) {
        e = mem_zalloc(sizeof *e);
        map_puts(&c->entries, node, e);
    }
    if (e->form == NULL || !take_values(c, e->form, text)) {
        struct form *before = e->form;
        take_apart(c, text);
        e->form = find_form(c);
        leave_form(c, before);
    }
    size_t room = (c->values.n / ROOM + 1) * ROOM;
    if (room != e->cap) {
        free(e->values);
        e->values = mem_alloc(room);
        e->cap = room;
    }
    if (c->values.n > 0)
        memcpy(e->values, c->values.p, c->values.n);
    e->n = c->values.n;
    e->when_us = when_us;
}

struct slice info_cache_get(struct info_cache *c, const char *node, int64_t *when_us)
{
    const struct entry *e = map_gets(&c->entries, node);
    *when_us = e == NULL ? 0 : e->when_us;
    if (e == NULL)
        return (struct slice){NULL, 0};
    put_together(c, e);
    return buf_slice(&c->text);
}

size_t info_cache_count(const struct info_cache *c)
{
    return c->entries.used;
}

void info_cache_sweep(struct info_cache *c, bool (*wanted)(void *arg, struct slice node), void *arg)
{
    struct map kept;
    struct slice node;
    struct entry *e;
    map_init(&kept, c->entries.seed[0], c->entries.seed[1]);
    for (size_t it = 0; (e = map_next(&c->entries, &it, &node)) != NULL;) {
        if (wanted(arg, node))
            map_put(&kept, node, e);
        else
            free_entry(c, e);
    }
    map_free(&c->entries);
    c->entries = kept;
}
