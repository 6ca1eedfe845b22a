#include "nodectl/local/registry_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- words of libconfig's language ---- */

enum kind { END, WORD, STRING, MARK, BROKEN };

struct token {
    enum kind kind;
    size_t at, n; /* where it is in the text */
};

struct scanner {
    struct slice text;
    size_t at;
    bool open; /* a comment has no end, which libconfig takes for the end of the file */
    struct token now;
};

static bool begins(const struct scanner *s, const char *what)
{
    size_t n = strlen(what);
    return s->text.n - s->at >= n && memcmp(s->text.p + s->at, what, n) == 0;
}

static void skip_line(struct scanner *s)
{
    const char *end = memchr(s->text.p + s->at, '\n', s->text.n - s->at);
    s->at = end != NULL ? (size_t)(end - s->text.p) + 1 : s->text.n;
}

static void skip_comment(struct scanner *s)
{
    for (s->at += 2; s->at < s->text.n && !begins(s, "*/"); s->at++)
        ;
    s->open = s->at >= s->text.n;
    s->at = s->open ? s->text.n : s->at + 2;
}

static void skip_space(struct scanner *s)
{
    while (s->at < s->text.n) {
        if (isspace((unsigned char)s->text.p[s->at]))
            s->at++;
        else if (begins(s, "#") || begins(s, "//") || begins(s, "@"))
            skip_line(s);
        else if (begins(s, "/*"))
            skip_comment(s);
        else
            return;
    }
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || strchr("_-+.*", c) != NULL;
}

static void next(struct scanner *s)
{
    skip_space(s);
    size_t from = s->at;
    enum kind kind = MARK;
    if (from == s->text.n) {
        kind = s->open ? BROKEN : END;
    } else if (s->text.p[from] == '"') {
        kind = STRING;
        for (s->at++; s->at < s->text.n && s->text.p[s->at] != '"'; s->at++)
            if (s->text.p[s->at] == '\\')
                s->at++;
        if (s->at >= s->text.n) {
            kind = BROKEN;
            s->at = s->text.n;
        } else {
            s->at++;
        }
    } else if (is_word(s->text.p[from])) {
        kind = WORD;
        while (s->at < s->text.n && is_word(s->text.p[s->at]))
            s->at++;
    } else {
        s->at++;
    }
    s->now = (struct token){kind, from, s->at - from};
}

static bool is(const struct scanner *s, char mark)
{
    return s->now.kind == MARK && s->text.p[s->now.at] == mark;
}

static bool is_named(const struct scanner *s, const char *name)
{
    return s->now.kind == WORD && slice_is((struct slice){s->text.p + s->now.at, s->now.n}, name);
}

static bool ended(const struct scanner *s)
{
    return s->now.kind == END || s->now.kind == BROKEN;
}

/* The text that the strings from here on stand for; goes on behind them. */
static void take_strings(struct scanner *s, struct buf *out)
{
    static const char from[] = "nrtf", to[] = "\n\r\t\f";
    for (; s->now.kind == STRING; next(s)) {
        const char *p = s->text.p + s->now.at + 1, *end = p + s->now.n - 2;
        for (; p < end; p++) {
            unsigned byte;
            char hex[3] = "";
            const char *known = *p == '\\' && p + 1 < end ? strchr(from, p[1]) : NULL;
            if (known != NULL) {
                buf_putc(out, to[known - from]);
                p++;
            } else if (*p == '\\' && end - p > 3 && p[1] == 'x' && isxdigit((unsigned char)p[2]) &&
                       isxdigit((unsigned char)p[3])) {
                memcpy(hex, p + 2, 2);
                byte = (unsigned)strtoul(hex, NULL, 16);
                buf_putc(out, (char)byte);
                p += 3;
            } else {
                p += *p == '\\' && p + 1 < end;
                buf_putc(out, *p);
            }
        }
    }
}

/* From an opening mark to what is behind the closing one, whatever is in between. */
static void skip_value(struct scanner *s)
{
    int depth = 0;
    while (!ended(s)) {
        depth += is(s, '(') || is(s, '[') || is(s, '{');
        depth -= is(s, ')') || is(s, ']') || is(s, '}');
        next(s);
        if (depth <= 0)
            return;
    }
}

/* ---- the list ---- */

/* Goes to the setting of that name in the group that we are in, and past its sign. false: it is not there; the scanner
 * stands at the group's end. */
static bool find_setting(struct scanner *s, const char *name)
{
    while (!ended(s) && !is(s, '}')) {
        bool found = is_named(s, name);
        next(s);
        if (found && (is(s, '=') || is(s, ':'))) {
            next(s);
            return true;
        }
        if (is(s, '(') || is(s, '[') || is(s, '{'))
            skip_value(s);
    }
    return false;
}

static struct scanner scanner_of(struct slice text)
{
    struct scanner s = {.text = text};
    next(&s);
    return s;
}

static size_t end_of(struct token t)
{
    return t.at + t.n;
}

/* Where a part that is to go in before `at` begins: at the beginning of the line, when there is only space before. */
static size_t line_before(struct slice text, size_t at)
{
    size_t from = at;
    while (from > 0 && (text.p[from - 1] == ' ' || text.p[from - 1] == '\t'))
        from--;
    return from == 0 || text.p[from - 1] == '\n' ? from : at;
}

static void put_part(struct buf *out, struct slice text, size_t from, size_t to)
{
    buf_put(out, text.p + from, to - from);
}

static void put_entry(struct buf *out, struct slice entry)
{
    buf_puts(out, "  ");
    buf_put(out, entry.p, entry.n);
    buf_putc(out, '\n');
}

bool registry_text_add(struct slice text, struct slice entry, struct buf *out)
{
    return registry_text_add_to(text, "fleets", entry, out);
}

bool registry_text_add_to(struct slice text, const char *list, struct slice entry, struct buf *out)
{
    struct scanner s = scanner_of(text);
    if (!find_setting(&s, list)) {
        if (s.now.kind != END)
            return false;
        buf_put(out, text.p, text.n);
        if (text.n > 0 && text.p[text.n - 1] != '\n')
            buf_putc(out, '\n');
        buf_printf(out, "%s = (\n", list);
        put_entry(out, entry);
        buf_puts(out, ");\n");
        return true;
    }
    if (!is(&s, '('))
        return false;
    size_t comma = 0; /* where one is missing */
    for (next(&s); !ended(&s) && !is(&s, ')');) {
        if (is(&s, ',')) {
            comma = 0;
            next(&s);
            continue;
        }
        struct token last = s.now;
        struct scanner before = s;
        skip_value(&s);
        /* The last byte of the value: the scanner is one token ahead of it. */
        for (; before.now.at < s.now.at && !ended(&before); next(&before))
            last = before.now;
        comma = end_of(last);
    }
    if (ended(&s))
        return false;
    size_t at = line_before(text, s.now.at);
    put_part(out, text, 0, comma);
    if (comma > 0)
        buf_putc(out, ',');
    put_part(out, text, comma, at);
    if (at > 0 && text.p[at - 1] != '\n')
        buf_putc(out, '\n');
    put_entry(out, entry);
    put_part(out, text, at, text.n);
    return true;
}

/* ---- taking out ---- */

struct place {
    size_t from, to;      /* of the group, without a comma */
    size_t before, after; /* just behind the comma in front of it, and behind it; 0: there is none */
};

static bool is_name(struct scanner s, const char *name)
{
    struct buf text = {0};
    next(&s); /* past the brace */
    if (find_setting(&s, "name"))
        take_strings(&s, &text);
    bool same = slice_is(buf_slice(&text), name);
    buf_free(&text);
    return same;
}

static bool find_entry(struct slice text, const char *list, const char *name, struct place *p)
{
    struct scanner s = scanner_of(text);
    size_t comma = 0;
    if (!find_setting(&s, list) || !is(&s, '('))
        return false;
    for (next(&s); !ended(&s) && !is(&s, ')');) {
        struct scanner before = s;
        if (is(&s, ',')) {
            comma = end_of(s.now);
            next(&s);
            continue;
        }
        skip_value(&s);
        if (!is_name(before, name))
            continue;
        p->from = before.now.at;
        for (; before.now.at < s.now.at && !ended(&before); next(&before))
            p->to = end_of(before.now);
        p->before = comma;
        p->after = is(&s, ',') ? end_of(s.now) : 0;
        return true;
    }
    return false;
}

/* The whole lines, when nothing else stands on them. */
static void widen(struct slice text, size_t *from, size_t *to)
{
    size_t begin = line_before(text, *from), end = *to;
    while (end < text.n && (text.p[end] == ' ' || text.p[end] == '\t' || text.p[end] == '\r'))
        end++;
    bool whole = (begin == 0 || text.p[begin - 1] == '\n') && (end == text.n || text.p[end] == '\n');
    if (!whole)
        return;
    *from = begin;
    *to = end < text.n ? end + 1 : end;
}

bool registry_text_remove(struct slice text, const char *name, struct buf *out)
{
    struct place p = {0};
    if (!find_entry(text, "fleets", name, &p))
        return false;
    size_t from = p.from, to = p.after > 0 ? p.after : p.to, kept = 0;
    widen(text, &from, &to);
    /* The comma in front of a last entry goes too. */
    if (p.after == 0 && p.before > 0) {
        put_part(out, text, 0, p.before - 1);
        kept = p.before;
    }
    put_part(out, text, kept, from > kept ? from : kept);
    put_part(out, text, to, text.n);
    return true;
}

bool registry_text_entry(struct slice text, const char *list, const char *name, struct buf *out)
{
    struct place p = {0};
    if (!find_entry(text, list, name, &p))
        return false;
    put_part(out, text, p.from, p.to);
    return true;
}
