#include "nodectl/table.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* ---- what is shown of it ---- */

/* Of the terminal that this file is; SIZE_MAX: it is none, or does not tell. */
static size_t screen_columns(FILE *out)
{
    struct winsize size;
    bool told = isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return told ? size.ws_col : SIZE_MAX;
}

/* Cells of the rows that are whole. */
static size_t whole_rows(const struct table *t)
{
    size_t n = 0;
    while (n + t->columns <= t->n)
        n += t->columns;
    return n;
}

static bool is_optional(const struct table *t, size_t column)
{
    return t->titles[column][0] == '~';
}

static const char *title_of(const struct table *t, size_t column)
{
    return t->titles[column] + is_optional(t, column);
}

static bool says_nothing(const struct table *t, size_t column)
{
    for (size_t i = column, rows = whole_rows(t); i < rows; i += t->columns)
        if (t->cells[i].text[0] != '\0' && strcmp(t->cells[i].text, "-") != 0)
            return false;
    return true;
}

/* As wide as the widest cell of each, with the space behind it. The caller frees. */
static size_t *column_widths(const struct table *t)
{
    size_t *widths = mem_zalloc(t->columns * sizeof *widths);
    for (size_t c = 0; c < t->columns; c++)
        widths[c] = width_of(title_of(t, c)) + 2;
    for (size_t i = 0, rows = whole_rows(t); i < rows; i += t->columns)
        for (size_t c = 0; c < t->columns; c++) {
            size_t w = width_of(t->cells[i + c].text) + 2;
            widths[c] = w > widths[c] ? w : widths[c];
        }
    return widths;
}

static size_t whole_width(const struct table *t, const size_t *widths)
{
    size_t all = 0;
    for (size_t c = 0; c < t->columns; c++)
        all += widths[c];
    return all - 2;
}

/* A column of width 0 is not shown: first go those in which nothing stands, then those that can be done without, from
 * the right. false: it does not fit even so, and all are shown. */
static bool fit(const struct table *t, size_t *widths, size_t room)
{
    size_t *all = mem_array(NULL, t->columns, sizeof *all);
    memcpy(all, widths, t->columns * sizeof *all);
    for (int round = 0; round < 2; round++)
        for (size_t c = t->columns; c-- > 1 && whole_width(t, widths) > room;)
            if (round == 0 ? says_nothing(t, c) : is_optional(t, c))
                widths[c] = 0;
    bool fits = whole_width(t, widths) <= room;
    if (!fits)
        memcpy(widths, all, t->columns * sizeof *all);
    free(all);
    return fits;
}

static void print_row(const struct table *t, const size_t *widths, size_t first, FILE *out, const char *indent,
                      bool colour)
{
    size_t space = 0;
    fputs(indent, out);
    for (size_t c = 0; c < t->columns; c++) {
        if (widths[c] == 0)
            continue;
        struct cell head = {(char *)(uintptr_t)title_of(t, c), PAINT_HEAD};
        const struct cell *cell = first == SIZE_MAX ? &head : &t->cells[first + c];
        fprintf(out, "%*s", (int)space, "");
        print_painted(out, colour, cell->paint, cell->text);
        space = widths[c] - width_of(cell->text);
    }
    fputc('\n', out);
}

/* A line for each cell that is not empty. */
static void print_block(const struct table *t, size_t first, FILE *out, const char *indent, bool colour)
{
    size_t width = 0;
    for (size_t c = 0; c < t->columns; c++)
        width = width_of(title_of(t, c)) > width ? width_of(title_of(t, c)) : width;
    for (size_t c = 0; c < t->columns; c++) {
        const struct cell *cell = &t->cells[first + c];
        if (cell->text[0] == '\0' || strcmp(cell->text, "-") == 0)
            continue;
        fputs(indent, out);
        print_painted(out, colour, PAINT_HEAD, title_of(t, c));
        fprintf(out, "%*s", (int)(width - width_of(title_of(t, c)) + 2), "");
        print_painted(out, colour, cell->paint, cell->text);
        fputc('\n', out);
    }
}

void table_print(const struct table *t, FILE *out, const char *indent, bool colour)
{
    size_t screen = screen_columns(out), *widths = column_widths(t);
    bool in_rows = fit(t, widths, screen == SIZE_MAX || screen <= strlen(indent) ? screen : screen - strlen(indent));
    if (in_rows)
        print_row(t, widths, SIZE_MAX, out, indent, colour);
    for (size_t i = 0, rows = whole_rows(t); i < rows; i += t->columns) {
        if (in_rows) {
            print_row(t, widths, i, out, indent, colour);
        } else {
            fputs(i > 0 ? "\n" : "", out);
            print_block(t, i, out, indent, colour);
        }
    }
    free(widths);
}
