#include "noded/repl/aof_manifest.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/resp/inline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1023 /* with its end, as Redis reads it */
#define WORD_MAX 512        /* bytes of a value in a line that are quoted in a message */

/* ---- making ---- */

static size_t rank(enum nd_aof_kind kind)
{
    return kind == ND_AOF_BASE ? 0 : kind == ND_AOF_HISTORY ? 1 : 2;
}

/* Behind all of its kind. */
static void put(struct nd_aof_manifest *m, enum nd_aof_kind kind, int64_t seq, char *name)
{
    size_t at = m->n;
    m->files = mem_grow(m->files, m->n, &m->cap, sizeof *m->files);
    while (at > 0 && rank(m->files[at - 1].kind) > rank(kind)) {
        m->files[at] = m->files[at - 1];
        at--;
    }
    m->files[at] = (struct nd_aof_file){.kind = kind, .seq = seq, .name = name};
    m->n++;
    if (kind == ND_AOF_BASE && seq > m->base_seq)
        m->base_seq = seq;
    if (kind == ND_AOF_INCR && seq > m->incr_seq)
        m->incr_seq = seq;
}

static struct nd_aof_file take(struct nd_aof_manifest *m, size_t at)
{
    struct nd_aof_file file = m->files[at];
    memmove(m->files + at, m->files + at + 1, (m->n - at - 1) * sizeof *m->files);
    m->n--;
    return file;
}

void nd_aof_manifest_free(struct nd_aof_manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->files[i].name);
    free(m->files);
    *m = (struct nd_aof_manifest){0};
}

void nd_aof_manifest_copy(struct nd_aof_manifest *to, const struct nd_aof_manifest *from)
{
    for (size_t i = 0; i < from->n; i++)
        put(to, from->files[i].kind, from->files[i].seq, mem_strdup(from->files[i].name));
    to->base_seq = from->base_seq;
    to->incr_seq = from->incr_seq;
}

static char *name_of(const char *prefix, int64_t seq, const char *suffix)
{
    struct buf b = {0};
    buf_printf(&b, "%s.%" PRId64 "%s", prefix, seq, suffix);
    char *name = mem_strndup(b.p, b.n);
    buf_free(&b);
    return name;
}

char *nd_aof_next_base(const struct nd_aof_manifest *m, const char *prefix, bool rdb)
{
    return name_of(prefix, m->base_seq + 1, rdb ? ".base.rdb" : ".base.aof");
}

char *nd_aof_next_incr(const struct nd_aof_manifest *m, const char *prefix)
{
    return name_of(prefix, m->incr_seq + 1, ".incr.aof");
}

static void to_history(struct nd_aof_manifest *m, size_t at)
{
    struct nd_aof_file old = take(m, at);
    put(m, ND_AOF_HISTORY, old.seq, old.name);
}

void nd_aof_manifest_add_base(struct nd_aof_manifest *m, const char *name)
{
    if (nd_aof_manifest_base(m) != NULL)
        to_history(m, 0);
    put(m, ND_AOF_BASE, m->base_seq + 1, mem_strdup(name));
}

void nd_aof_manifest_add_incr(struct nd_aof_manifest *m, const char *name)
{
    put(m, ND_AOF_INCR, m->incr_seq + 1, mem_strdup(name));
}

void nd_aof_manifest_retire(struct nd_aof_manifest *m, size_t keep)
{
    size_t first = 0;
    while (first < m->n && m->files[first].kind != ND_AOF_INCR)
        first++;
    /* Each goes in front of those that are left, so the next one stands one place further. */
    for (; first < m->n && m->n - first > keep; first++)
        to_history(m, first);
}

void nd_aof_manifest_forget_history(struct nd_aof_manifest *m)
{
    for (size_t i = m->n; i > 0; i--) {
        if (m->files[i - 1].kind == ND_AOF_HISTORY)
            free(take(m, i - 1).name);
    }
}

/* ---- looking ---- */

const struct nd_aof_file *nd_aof_manifest_base(const struct nd_aof_manifest *m)
{
    return m->n > 0 && m->files[0].kind == ND_AOF_BASE ? &m->files[0] : NULL;
}

const struct nd_aof_file *nd_aof_manifest_last(const struct nd_aof_manifest *m)
{
    return m->n > 0 && m->files[m->n - 1].kind == ND_AOF_INCR ? &m->files[m->n - 1] : NULL;
}

bool nd_aof_manifest_has(const struct nd_aof_manifest *m, enum nd_aof_kind kind)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->files[i].kind == kind)
            return true;
    }
    return false;
}

bool nd_aof_manifest_empty(const struct nd_aof_manifest *m)
{
    return nd_aof_manifest_base(m) == NULL && nd_aof_manifest_last(m) == NULL;
}

/* ---- text ---- */

static bool is_plain(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\' || *p == '\'')
            return false;
    }
    return true;
}

static void put_name(struct buf *out, const char *name)
{
    if (is_plain(name)) {
        buf_puts(out, name);
        return;
    }
    buf_putc(out, '"');
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if (*p < ' ' || *p > '~')
            buf_printf(out, "\\x%02x", *p);
        else
            buf_putc(out, (char)*p);
    }
    buf_putc(out, '"');
}

void nd_aof_manifest_write(const struct nd_aof_manifest *m, struct buf *out)
{
    for (size_t i = 0; i < m->n; i++) {
        buf_puts(out, "file ");
        put_name(out, m->files[i].name);
        buf_printf(out, " seq %" PRId64 " type %c\n", m->files[i].seq, (char)m->files[i].kind);
    }
}

struct line {
    char *name;
    int64_t seq;
    struct buf kind;
};

/* A name that stays in the folder of the manifest, and that a file can have. */
static const char *name_error(const struct buf *name)
{
    struct slice s = buf_slice(name);
    if (s.n == 0)
        return "a file without a name";
    if (memchr(s.p, '/', s.n) != NULL || slice_is(s, ".") || slice_is(s, ".."))
        return "a file name with a folder";
    if (memchr(s.p, '\0', s.n) != NULL)
        return "a file name with a zero byte";
    return NULL;
}

/* What this version does not know is left to those that do. */
static const char *take_pair(struct line *line, const struct buf *key, const struct buf *value)
{
    const char *error = NULL;
    if (slice_ieq(buf_slice(key), "file")) {
        error = name_error(value);
        if (error == NULL && line->name == NULL)
            line->name = slice_dup(buf_slice(value));
    } else if (slice_ieq(buf_slice(key), "seq")) {
        if (!text_range(buf_slice(value), 1, INT64_MAX - 1, &line->seq))
            error = "a number (seq) that is none";
    } else if (slice_ieq(buf_slice(key), "type")) {
        buf_clear(&line->kind);
        buf_put(&line->kind, value->p, value->n);
    }
    return error;
}

static const char *read_pairs(struct slice text, struct line *line)
{
    struct buf key = {0}, value = {0};
    const char *error = NULL;
    while (error == NULL) {
        buf_clear(&key);
        buf_clear(&value);
        enum inline_status st = inline_next_quoted(&text, &key);
        if (st == INLINE_END)
            break;
        if (st == INLINE_WORD)
            st = inline_next_quoted(&text, &value);
        if (st == INLINE_END)
            error = "a word without a value";
        else if (st == INLINE_UNBALANCED)
            error = "a quote that is not closed";
        else
            error = take_pair(line, &key, &value);
    }
    buf_free(&key);
    buf_free(&value);
    if (error == NULL && (line->name == NULL || line->seq == 0 || line->kind.n == 0))
        error = "file, seq or type is missing";
    return error;
}

static const char *add_line(struct nd_aof_manifest *m, struct line *line)
{
    enum nd_aof_kind kind = line->kind.n == 1 ? (enum nd_aof_kind)line->kind.p[0] : (enum nd_aof_kind)0;
    if (kind != ND_AOF_BASE && kind != ND_AOF_HISTORY && kind != ND_AOF_INCR)
        return "a type that is neither b nor h nor i";
    if (kind == ND_AOF_BASE && nd_aof_manifest_base(m) != NULL)
        return "a second base";
    if (kind == ND_AOF_INCR && line->seq <= m->incr_seq)
        return "increments that are not in rising order";
    put(m, kind, line->seq, line->name);
    line->name = NULL;
    return NULL;
}

static const char *read_line(struct nd_aof_manifest *m, struct slice text)
{
    if (text.n > 0 && text.p[0] == '#')
        return NULL;
    text = slice_trim(text);
    if (text.n == 0)
        return "an empty line";
    struct line line = {0};
    const char *error = read_pairs(text, &line);
    if (error == NULL)
        error = add_line(m, &line);
    free(line.name);
    buf_free(&line.kind);
    return error;
}

bool nd_aof_manifest_parse(struct nd_aof_manifest *m, struct slice text, struct buf *why)
{
    *m = (struct nd_aof_manifest){0};
    const char *error = text.n == 0 ? "nothing at all" : NULL;
    size_t number = 0;
    while (error == NULL && text.n > 0) {
        number++;
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
        if (end == NULL)
            error = "a line without an end";
        else if (n >= LINE_MAX_BYTES)
            error = "a line that is too long";
        else
            error = read_line(m, (struct slice){text.p, n});
        if (error == NULL)
            text = (struct slice){text.p + n + 1, text.n - n - 1};
    }
    if (error == NULL)
        return true;
    buf_printf(why, "line %zu has %s", number > 0 ? number : 1, error);
    if (number > 0) {
        struct slice shown = slice_cut(&text, '\n');
        buf_puts(why, ": \"");
        text_quote(why, shown, WORD_MAX);
        buf_putc(why, '"');
    }
    nd_aof_manifest_free(m);
    return false;
}
