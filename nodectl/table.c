#include "nodectl/table.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cell {
    char *text;
    enum paint paint;
};

struct table {
    const char *const *titles;
    size_t columns;
    struct cell *cells;
    size_t n, cap;
};

struct table *table_new(const char *const *titles)
{
    struct table *t = mem_zalloc(sizeof *t);
    t->titles = titles;
    while (titles[t->columns] != NULL)
        t->columns++;
    assert(t->columns > 0);
    return t;
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}

void table_cell(struct table *t, enum paint paint, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    t->cells = mem_grow(t->cells, t->n, &t->cap, sizeof *t->cells);
    t->cells[t->n++] = (struct cell){.text = slice_dup(buf_slice(&text)), .paint = paint};
    buf_free(&text);
}

bool colour_wanted(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && (no_colour == NULL || no_colour[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

/* Places on the screen: a character of UTF-8 has one, whatever its bytes are. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void print_painted(FILE *out, bool colour, enum paint paint, const char *text)
{
    static const char *const codes[] = {
        [PAINT_NONE] = "", [PAINT_GOOD] = "32", [PAINT_WARN] = "33", [PAINT_BAD] = "31", [PAINT_HEAD] = "1",
    };
    bool painted = colour && paint != PAINT_NONE;
    if (painted)
        fprintf(out, "\033[%sm", codes[paint]);
    for (const char *p = text; *p != '\0'; p++) {
        /* 0x80-0x9f as a character of its own (c2 80 - c2 9f) is a control character too. */
        bool c1 = (unsigned char)*p == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] <= 0x9f;
        bool control = (unsigned char)*p < ' ' || *p == 0x7f || c1;
        fputc(control ? '?' : *p, out);
        p += c1;
    }
    if (painted)
        fputs("\033[0m", out);
}

void print_line(FILE *out, bool colour, enum paint paint, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    print_painted(out, colour, paint, buf_str(&text));
    fputc('\n', out);
    buf_free(&text);
}

void print_lines(FILE *out, const char *indent, struct slice text)
{
    while (text.n > 0) {
        char *line = slice_dup(slice_cut(&text, '\n'));
        fputs(indent, out);
        print_painted(out, false, PAINT_NONE, line);
        fputc('\n', out);
        free(line);
    }
}

static void print_row(const struct table *t, const size_t *widths, size_t first, FILE *out, const char *indent,
                      bool colour)
{
    fputs(indent, out);
    for (size_t c = 0; c < t->columns; c++) {
        struct cell head = {(char *)(uintptr_t)t->titles[c], PAINT_HEAD};
        const struct cell *cell = first == SIZE_MAX ? &head : &t->cells[first + c];
        print_painted(out, colour, cell->paint, cell->text);
        if (c + 1 < t->columns)
            fprintf(out, "%*s", (int)(widths[c] - width_of(cell->text) + 2), "");
    }
    fputc('\n', out);
}

void table_print(const struct table *t, FILE *out, const char *indent, bool colour)
{
    size_t *widths = mem_zalloc(t->columns * sizeof *widths);
    for (size_t c = 0; c < t->columns; c++)
        widths[c] = width_of(t->titles[c]);
    for (size_t i = 0; i + t->columns <= t->n; i += t->columns) {
        for (size_t c = 0; c < t->columns; c++) {
            size_t w = width_of(t->cells[i + c].text);
            if (w > widths[c])
                widths[c] = w;
        }
    }
    print_row(t, widths, SIZE_MAX, out, indent, colour);
    for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
        print_row(t, widths, i, out, indent, colour);
    free(widths);
}
