#include "nodectl/view/screen.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

void screen_begin(struct screen *s, int width, int height)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].text);
    s->n = 0;
    s->width = width;
    s->height = height;
}

void screen_free(struct screen *s)
{
    screen_begin(s, 0, 0);
    free(s->v);
    *s = (struct screen){.width = 0};
}

/* A character of UTF-8 takes one column, whatever its bytes are. */
static bool begins_a_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static int width_of(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += begins_a_character(*text);
    return n;
}

/* At most `room` columns of it, harmless. */
static void put_clean(struct buf *out, const char *text, int room)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
        bool c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f;
        room -= begins_a_character(*text);
        if (room < 0)
            return;
        buf_putc(out, c < ' ' || c == 0x7f || c1 ? '?' : *text);
        text += c1;
    }
}

int screen_put(struct screen *s, int row, int column, enum paint paint, const char *fmt, ...)
{
    struct buf text = {0}, clean = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    int end = column;
    if (row >= 0 && row < s->height && column >= 0 && column < s->width) {
        put_clean(&clean, buf_str(&text), s->width - column);
        end += width_of(buf_str(&clean));
        s->v = mem_grow(s->v, s->n, &s->cap, sizeof *s->v);
        s->v[s->n++] = (struct screen_piece){row, column, paint, mem_strdup(buf_str(&clean))};
    }
    buf_free(&text);
    buf_free(&clean);
    return end;
}

void screen_put_right(struct screen *s, int row, enum paint paint, const char *text)
{
    int column = s->width - width_of(text);
    screen_put(s, row, column > 0 ? column : 0, paint, "%s", text);
}

void screen_row(const struct screen *s, int row, struct buf *out)
{
    size_t bytes = (size_t)s->width * 4 + 1;
    char **at = mem_zalloc(((size_t)s->width + 1) * sizeof *at); /* the character in each column */
    size_t *n = mem_zalloc(((size_t)s->width + 1) * sizeof *n);
    struct buf line = {0};
    buf_reserve(&line, bytes);
    for (size_t i = 0; i < s->n; i++) {
        int column = s->v[i].column - 1;
        for (char *p = s->v[i].text; s->v[i].row == row && *p != '\0'; p++) {
            if (begins_a_character(*p)) {
                at[++column] = p;
                n[column] = 0;
            }
            if (column >= s->v[i].column) /* a text may begin with the rest of a character */
                n[column]++;
        }
    }
    for (int c = 0; c < s->width; c++) {
        if (at[c] != NULL)
            buf_put(&line, at[c], n[c]);
        else
            buf_putc(&line, ' ');
    }
    while (line.n > 0 && line.p[line.n - 1] == ' ')
        line.n--;
    buf_put(out, line.p, line.n);
    buf_free(&line);
    free(at);
    free(n);
}
