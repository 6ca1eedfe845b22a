#include "nodectl/supervisor/list_text.h"

#include <ctype.h>
#include <string.h>

#define NAME "supervisors"

void list_text_value(struct buf *out, const struct addr *list, size_t n)
{
    char text[ADDR_TEXT_MAX];
    buf_puts(out, "[");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s\"%s\"", i > 0 ? ", " : " ", addr_text(&list[i], text));
    buf_puts(out, " ]");
}

/* Behind a comment or a string that begins at `at`; `at` itself where neither does. *open: it has no end, which
 * libconfig takes for the end of the file. */
static size_t skip(struct slice t, size_t at, bool *open)
{
    size_t left = t.n - at;
    const char *p = t.p + at, *end = NULL;
    if (*p == '#' || (left > 1 && p[0] == '/' && p[1] == '/')) {
        end = memchr(p, '\n', left);
        return end != NULL ? (size_t)(end - t.p) : t.n;
    } else if (left > 1 && p[0] == '/' && p[1] == '*') {
        for (size_t i = 2; i + 1 < left && end == NULL; i++)
            end = p[i] == '*' && p[i + 1] == '/' ? p + i + 2 : NULL;
    } else if (*p == '"') {
        for (size_t i = 1; i < left && end == NULL; i += p[i] == '\\' ? 2 : 1)
            end = p[i] == '"' ? p + i + 1 : NULL;
    } else {
        return at;
    }
    *open = *open || end == NULL;
    return end != NULL ? (size_t)(end - t.p) : t.n;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*';
}

/* The next byte that is neither blank nor in a comment. */
static size_t next_sign(struct slice t, size_t at)
{
    bool open = false;
    while (at < t.n) {
        size_t behind = t.p[at] == '"' ? at : skip(t, at, &open);
        if (behind == at && !isspace((unsigned char)t.p[at]))
            return at;
        at = behind > at ? behind : at + 1;
    }
    return t.n;
}

/* Where the setting's value stands at the top level. false: there is no such setting; *broken: there is, in another
 * form. */
static bool find_value(struct slice t, size_t *from, size_t *to, bool *broken)
{
    int depth = 0;
    *broken = false;
    for (size_t at = 0; at < t.n;) {
        size_t behind = skip(t, at, broken), end = at;
        if (behind > at) {
            at = behind;
            continue;
        }
        while (end < t.n && is_name(t.p[end]))
            end++;
        if (end == at) {
            depth += memchr("{([", t.p[at], 3) != NULL;
            depth -= memchr("})]", t.p[at], 3) != NULL;
            at++;
            continue;
        }
        bool ours = depth == 0 && end - at == strlen(NAME) && memcmp(t.p + at, NAME, end - at) == 0;
        at = end;
        if (!ours)
            continue;
        size_t sign = next_sign(t, end);
        *from = sign < t.n && memchr("=:", t.p[sign], 2) != NULL ? next_sign(t, sign + 1) : t.n;
        *broken = *from >= t.n || t.p[*from] != '[';
        for (*to = *from; !*broken && *to < t.n && t.p[*to] != ']';) {
            size_t over = skip(t, *to, broken);
            *to = over > *to ? over : *to + 1;
        }
        *broken = *broken || *to >= t.n;
        ++*to;
        return !*broken;
    }
    return false;
}

static bool includes(struct slice t)
{
    struct slice rest = t;
    while (rest.n > 0) {
        struct slice line = slice_trim(slice_cut_line(&rest));
        if (line.n > 8 && memcmp(line.p, "@include", 8) == 0)
            return true;
    }
    return false;
}

bool list_text_replace(struct slice text, const struct addr *list, size_t n, struct buf *out)
{
    size_t from, to;
    bool broken, found = find_value(text, &from, &to, &broken);
    if (broken || (!found && includes(text)))
        return false;
    buf_put(out, text.p, found ? from : text.n);
    if (!found)
        buf_printf(out, "%s" NAME " = ", text.n > 0 && text.p[text.n - 1] != '\n' ? "\n" : "");
    list_text_value(out, list, n);
    if (found)
        buf_put(out, text.p + to, text.n - to);
    else
        buf_puts(out, ";\n");
    return true;
}
