#include "nodectl/directives.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "common/resp/inline.h"

#include <stdlib.h>

#define FILE_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* false: unbalanced quotes. */
static bool cut_words(struct slice line, struct directive *d)
{
    for (;;) {
        struct buf word = {0};
        enum inline_status status = inline_next_quoted(&line, &word);
        if (status == INLINE_WORD) {
            buf_str(&word); /* the NUL */
            d->argv = mem_array(d->argv, d->argc + 1, sizeof *d->argv);
            d->argv[d->argc++] = (struct slice){word.p, word.n};
            continue;
        }
        buf_free(&word);
        return status == INLINE_END;
    }
}

static void directive_free(struct directive *d)
{
    for (size_t i = 0; i < d->argc; i++)
        free((char *)(uintptr_t)d->argv[i].p);
    free(d->argv);
}

static void read_line(struct directives *d, struct slice line, int number, size_t *cap, struct buf *error)
{
    line = slice_trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return;
    struct directive one = {.line = number};
    if (!cut_words(line, &one))
        buf_printf(error, "%s:%d: the quotes do not match\n", d->path, number);
    if (one.argc == 0) {
        directive_free(&one);
        return;
    }
    d->v = mem_grow(d->v, d->n, cap, sizeof *d->v);
    d->v[d->n++] = one;
}

bool directives_read(struct directives *d, const char *path, struct buf *error)
{
    struct buf text = {0};
    size_t cap = 0, before = error->n;
    *d = (struct directives){.path = path};
    if (!io_file_read(path, FILE_BYTES_MAX, &text, error)) {
        buf_putc(error, '\n');
        buf_free(&text);
        return false;
    }
    struct slice rest = buf_slice(&text);
    for (int number = 1; rest.n > 0; number++)
        read_line(d, slice_cut(&rest, '\n'), number, &cap, error);
    buf_free(&text);
    return error->n == before;
}

void directives_free(struct directives *d)
{
    for (size_t i = 0; i < d->n; i++)
        directive_free(&d->v[i]);
    free(d->v);
    *d = (struct directives){0};
}

bool directive_is(const struct directive *d, size_t i, const char *word)
{
    return i < d->argc && slice_ieq(d->argv[i], word);
}
