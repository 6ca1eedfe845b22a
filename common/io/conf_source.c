#include "common/io/conf_source.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 10
#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define LINES_MAX 65000 /* libconfig keeps the line in 16 bits */

/* One file while it is read. */
struct reading {
    struct conf_source *out;
    struct conf_problems *problems;
    struct slice rest;
    size_t file;
    int line, depth;
    bool at_line_start;
};

static void expand_file(struct conf_source *s, const char *name, struct slice text, int depth,
                        struct conf_problems *problems);

static void vproblem(struct reading *r, const char *fmt, va_list ap)
{
    struct buf *b = &r->problems->text;
    buf_printf(b, "%s:%d: ", r->out->files[r->file], r->line);
    buf_vprintf(b, fmt, ap);
    buf_putc(b, '\n');
    r->problems->count++;
}

__attribute__((format(printf, 2, 3))) static void problem(struct reading *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vproblem(r, fmt, ap);
    va_end(ap);
}

/* A problem that leaves no text to be parsed. */
__attribute__((format(printf, 2, 3))) static void broken(struct reading *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vproblem(r, fmt, ap);
    va_end(ap);
    r->out->broken = true;
}

static void begin_line(struct reading *r)
{
    struct conf_source *s = r->out;
    s->lines = mem_grow(s->lines, s->line_count, &s->line_cap, sizeof *s->lines);
    s->lines[s->line_count++] = (struct conf_line){r->file, r->line};
    r->at_line_start = true;
}

/* Takes n bytes over into the text. */
static void take(struct reading *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = r->rest.p[i];
        buf_putc(&r->out->text, c);
        if (c == '\n') {
            r->line++;
            begin_line(r);
        } else if (c != ' ' && c != '\t') {
            r->at_line_start = false;
        }
    }
    r->rest.p += n;
    r->rest.n -= n;
}

static bool starts(const struct reading *r, const char *s)
{
    size_t n = strlen(s);
    return r->rest.n >= n && memcmp(r->rest.p, s, n) == 0;
}

static void take_line(struct reading *r)
{
    const char *end = memchr(r->rest.p, '\n', r->rest.n);
    take(r, end != NULL ? (size_t)(end - r->rest.p) : r->rest.n);
}

static void take_comment(struct reading *r)
{
    int start = r->line;
    take(r, 2);
    while (r->rest.n > 0 && !starts(r, "*/"))
        take(r, 1);
    if (r->rest.n == 0) {
        r->line = start;
        broken(r, "the comment that begins here has no end");
        return;
    }
    take(r, 2);
}

static void take_string(struct reading *r)
{
    int start = r->line;
    take(r, 1);
    while (r->rest.n > 0 && r->rest.p[0] != '"')
        take(r, r->rest.p[0] == '\\' && r->rest.n > 1 ? 2 : 1);
    if (r->rest.n == 0) {
        r->line = start;
        broken(r, "the string that begins here has no closing quote");
        return;
    }
    take(r, 1);
}

/* libconfig reads 4294967296 as 0 and 0xffffffff as -1, without an error. */
static void check_number(struct reading *r, struct slice digits, bool hex, bool is_long)
{
    char *copy = slice_dup(digits);
    const char *p = copy + (*copy == '-' || *copy == '+');
    bool negative = *copy == '-', over = false;
    uint64_t v = 0, limit = (is_long ? (uint64_t)INT64_MAX : INT32_MAX) + (negative && !hex ? 1 : 0);
    for (p += hex ? 2 : 0; *p != '\0'; p++) {
        unsigned d = (unsigned)(isdigit((unsigned char)*p) ? *p - '0' : tolower((unsigned char)*p) - 'a' + 10);
        over = over || v > (limit - d) / (hex ? 16 : 10);
        v = v * (hex ? 16 : 10) + d;
    }
    if (over && is_long)
        problem(r, "%s is too large: integers end at %lld", copy, (long long)INT64_MAX);
    else if (over)
        problem(r, "%s does not fit into 32 bits: write %sL, or, for a size, a string with a unit (\"256mb\")", copy,
                copy);
    free(copy);
}

static void take_number(struct reading *r)
{
    const char *p = r->rest.p;
    size_t n = r->rest.n, i = (p[0] == '-' || p[0] == '+') ? 1 : 0;
    bool hex = i == 0 && n > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    if (hex)
        i = 2;
    size_t first = i;
    while (i < n && (hex ? isxdigit((unsigned char)p[i]) : isdigit((unsigned char)p[i])))
        i++;
    bool floating = !hex && i < n && (p[i] == '.' || p[i] == 'e' || p[i] == 'E');
    if (i > first && !floating)
        check_number(r, (struct slice){p, i}, hex, i < n && p[i] == 'L');
    /* The rest of the word, so that "12ab" is not looked at twice; what it may mean is libconfig's to say. */
    while (i < n && (isalnum((unsigned char)p[i]) || p[i] == '.' || ((p[i] == '-' || p[i] == '+') && floating)))
        i++;
    take(r, i > 0 ? i : 1);
}

static void take_name(struct reading *r)
{
    size_t i = 0;
    while (i < r->rest.n && (isalnum((unsigned char)r->rest.p[i]) || strchr("-_*", r->rest.p[i]) != NULL))
        i++;
    take(r, i);
}

static void include(struct reading *r, struct slice name)
{
    char *given = slice_dup(name);
    struct buf path = {0}, text = {0}, error = {0};
    if (*given != '/') {
        char *folder = io_path_folder(r->out->files[r->file]);
        buf_printf(&path, "%s/", folder);
        free(folder);
    }
    buf_puts(&path, given);
    if (r->depth == DEPTH_MAX)
        broken(r, "@include: more than %d files inside each other; does one of them include itself?", DEPTH_MAX);
    else if (!io_file_read(buf_str(&path), FILE_BYTES_MAX, &text, &error))
        broken(r, "@include: %s", buf_str(&error));
    else {
        expand_file(r->out, buf_str(&path), buf_slice(&text), r->depth + 1, r->problems);
        begin_line(r); /* what follows is this file's again */
    }
    buf_free(&path);
    buf_free(&text);
    buf_free(&error);
    free(given);
}

/* The line is `@include "name"` and nothing else, as libconfig has it. */
static void take_include(struct reading *r)
{
    const char *end = memchr(r->rest.p, '\n', r->rest.n);
    size_t n = end != NULL ? (size_t)(end - r->rest.p) : r->rest.n;
    struct slice name = slice_trim((struct slice){r->rest.p + strlen("@include"), n - strlen("@include")});
    if (name.n < 3 || name.p[0] != '"' || memchr(name.p + 1, '"', name.n - 1) != name.p + name.n - 1) {
        broken(r, "@include: expected a file name in quotes and nothing behind it");
        take_line(r);
        return;
    }
    r->rest.p += n;
    r->rest.n -= n;
    include(r, (struct slice){name.p + 1, name.n - 2});
}

static void take_token(struct reading *r)
{
    unsigned char c = (unsigned char)r->rest.p[0];
    if (c == '#' || starts(r, "//"))
        take_line(r);
    else if (starts(r, "/*"))
        take_comment(r);
    else if (c == '"')
        take_string(r);
    else if (r->at_line_start && starts(r, "@include"))
        take_include(r);
    else if (isdigit(c) || c == '-' || c == '+' || c == '.')
        take_number(r);
    else if (isalpha(c) || c == '*')
        take_name(r);
    else
        take(r, 1);
}

static void expand_file(struct conf_source *s, const char *name, struct slice text, int depth,
                        struct conf_problems *problems)
{
    struct reading r = {.out = s, .problems = problems, .rest = text, .file = s->file_count, .line = 1, .depth = depth};
    s->files = mem_array(s->files, s->file_count + 1, sizeof *s->files);
    s->files[s->file_count++] = mem_strdup(name);
    if (depth > 0)
        buf_putc(&s->text, '\n'); /* the line of the @include ends before the first of the file */
    begin_line(&r);
    if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL) {
        broken(&r, "the file holds a NUL byte: this is not a configuration file");
        r.rest.n = 0;
    }
    while (r.rest.n > 0 && s->line_count <= LINES_MAX)
        take_token(&r);
    if (r.rest.n > 0 && depth == 0)
        broken(&r, "more than %d lines with what is included", LINES_MAX);
    if (depth > 0)
        buf_putc(&s->text, '\n');
}

void conf_source_expand(struct conf_source *s, const char *name, struct slice text, struct conf_problems *problems)
{
    expand_file(s, name, text, 0, problems);
}

void conf_source_free(struct conf_source *s)
{
    for (size_t i = 0; i < s->file_count; i++)
        free(s->files[i]);
    free(s->files);
    free(s->lines);
    buf_free(&s->text);
}

void conf_source_where(const struct conf_source *s, int line, struct buf *out)
{
    if (line < 1 || (size_t)line > s->line_count)
        buf_printf(out, "%s: ", s->files[0]);
    else
        buf_printf(out, "%s:%d: ", s->files[s->lines[line - 1].file], s->lines[line - 1].line);
}
