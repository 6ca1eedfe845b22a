#include "noded/shell/config_rewrite.h"

#include "noded/shell/config_file.h"
#include "common/base/mem.h"
#include "common/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* ---- the places of settings in the text of a file ---- */

struct scanner {
    const char *at, *end;
};

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '*';
}

static void skip_line(struct scanner *s)
{
    const char *nl = memchr(s->at, '\n', (size_t)(s->end - s->at));
    s->at = nl != NULL ? nl + 1 : s->end;
}

static bool begins(const struct scanner *s, const char *mark)
{
    size_t n = strlen(mark);
    return (size_t)(s->end - s->at) >= n && memcmp(s->at, mark, n) == 0;
}

static void skip_past(struct scanner *s, const char *mark)
{
    while (s->at < s->end && !begins(s, mark))
        s->at++;
    s->at = s->at < s->end ? s->at + strlen(mark) : s->end;
}

/* White space and comments. */
static void skip_space(struct scanner *s)
{
    while (s->at < s->end) {
        if (*s->at == '#' || begins(s, "//"))
            skip_line(s);
        else if (begins(s, "/*"))
            skip_past(s, "*/");
        else if (*s->at == ' ' || (*s->at >= '\t' && *s->at <= '\r'))
            s->at++;
        else
            return;
    }
}

static void skip_string(struct scanner *s)
{
    for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
        if (*s->at == '\\' && s->end - s->at > 1)
            s->at++;
    }
    if (s->at < s->end)
        s->at++;
}

static bool opens(char c)
{
    return c == '(' || c == '[' || c == '{';
}

static bool closes(char c)
{
    return c == ')' || c == ']' || c == '}';
}

/* A scalar with the strings that follow it (libconfig puts them together), or everything to the closing bracket.
 * Returns where it ends. */
static const char *skip_value(struct scanner *s)
{
    const char *end = s->at;
    int depth = 0;
    while (s->at < s->end) {
        bool string = *s->at == '"';
        if (string) {
            skip_string(s);
        } else if (opens(*s->at) || closes(*s->at)) {
            depth += opens(*s->at) ? 1 : -1;
            s->at++;
        } else if (depth > 0) {
            s->at++;
        } else {
            while (s->at < s->end && (is_name_byte(*s->at) || *s->at == '+' || *s->at == '.'))
                s->at++;
            if (s->at == end) /* nothing that a value has: the parser has refused such a file */
                s->at++;
        }
        end = s->at;
        skip_space(s);
        if (depth == 0 && !(string && s->at < s->end && *s->at == '"'))
            break;
    }
    return end;
}

/* The next "name = value" at the top. false: there is none. */
static bool next_setting(struct scanner *s, struct slice *name, struct slice *value)
{
    for (;;) {
        skip_space(s);
        if (s->at >= s->end)
            return false;
        if (*s->at == '@') { /* @include: a line of its own */
            skip_line(s);
        } else if (is_name_byte(*s->at)) {
            break;
        } else {
            s->at++;
        }
    }
    name->p = s->at;
    while (s->at < s->end && is_name_byte(*s->at))
        s->at++;
    name->n = (size_t)(s->at - name->p);
    skip_space(s);
    if (s->at < s->end)
        s->at++; /* = or : */
    skip_space(s);
    value->p = s->at;
    value->n = (size_t)(skip_value(s) - value->p);
    return true;
}

/* ---- the new text ---- */

/* In a cluster the node's role is a matter of nodes.conf: what replicaof shows of it is not for the file, as in
 * redis-server. */
static bool is_for_the_file(const struct nd_setting *row, const struct nd_config *config)
{
    return !config->cluster_enabled || strcmp(nd_setting_name(row), "replicaof") != 0;
}

static bool same_value(const struct nd_setting *row, const struct nd_config *a, const struct nd_config *b)
{
    struct buf x = {0}, y = {0};
    nd_setting_get(row, a, &x);
    nd_setting_get(row, b, &y);
    bool same = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}

static bool has(const struct config_given *given, const struct nd_setting *row)
{
    for (size_t i = 0; i < given->n; i++) {
        if (given->v[i] == row)
            return true;
    }
    return false;
}

/* What goes with a setting that is taken out: the mark behind its value, and the line where it had one alone. */
static void take_out(struct scanner *s, const char *start, const char *from, struct slice name, struct buf *out)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t'))
        s->at++;
    if (s->at < s->end && (*s->at == ';' || *s->at == ','))
        s->at++;
    const char *line = name.p, *rest = s->at;
    while (line > start && (line[-1] == ' ' || line[-1] == '\t'))
        line--;
    while (rest < s->end && (*rest == ' ' || *rest == '\t' || *rest == '\r'))
        rest++;
    bool alone = (line == start || line[-1] == '\n') && (rest == s->end || *rest == '\n');
    if (alone)
        s->at = rest < s->end ? rest + 1 : rest;
    else
        line = name.p;
    buf_put(out, from, (size_t)(line - from));
}

static void put_changed(struct slice old, const struct nd_config *config, const struct nd_config *was, struct buf *out,
                        struct config_given *placed)
{
    struct scanner s = {old.p, old.p + old.n};
    struct slice name, value;
    const char *from = old.p;
    while (next_setting(&s, &name, &value)) {
        const struct nd_setting *row = config_file_row(name);
        if (row == NULL)
            continue;
        placed->v = mem_array(placed->v, placed->n + 1, sizeof *placed->v);
        placed->v[placed->n++] = row;
        if (!is_for_the_file(row, config)) {
            s.at = value.p + value.n;
            take_out(&s, old.p, from, name, out);
            from = s.at;
            continue;
        }
        if (same_value(row, config, was))
            continue;
        buf_put(out, from, (size_t)(value.p - from));
        config_file_put_value(row, config, out);
        from = value.p + value.n;
    }
    buf_put(out, from, (size_t)(old.p + old.n - from));
}

static const char heading[] = "\n# Written by CONFIG REWRITE:\n";

static void put_new(const struct nd_config *config, const struct nd_config *initial, const struct config_given *given,
                    struct buf *out)
{
    const struct nd_setting *row;
    bool any = out->n > 0 && memmem(out->p, out->n, heading + 1, sizeof heading - 2) != NULL;
    if (out->n > 0 && out->p[out->n - 1] != '\n')
        buf_putc(out, '\n');
    for (size_t i = 0; (row = nd_setting_at(i)) != NULL; i++) {
        if (has(given, row) || same_value(row, config, initial) || !is_for_the_file(row, config))
            continue;
        if (!any)
            buf_puts(out, heading);
        any = true;
        config_file_put_key(row, out);
        buf_puts(out, " = ");
        config_file_put_value(row, config, out);
        buf_puts(out, ";\n");
    }
}

static bool included_changed(const struct config_given *given, const struct config_given *placed,
                             const struct nd_config *config, const struct nd_config *was, struct buf *why)
{
    for (size_t i = 0; i < given->n; i++) {
        if (has(placed, given->v[i]) || same_value(given->v[i], config, was) || !is_for_the_file(given->v[i], config))
            continue;
        buf_printf(why, "%s is set in an included file, which is not rewritten: change it there",
                   nd_setting_name(given->v[i]));
        return true;
    }
    return false;
}

/* The new text says exactly what the node does now. */
static bool says(const char *path, struct slice text, const struct nd_config *config, struct buf *why)
{
    struct nd_config read;
    struct conf_problems problems = {.count = 0};
    nd_config_init(&read);
    bool ok = config_text_read(path, text, &read, NULL, &problems);
    const struct nd_setting *row;
    for (size_t i = 0; ok && (row = nd_setting_at(i)) != NULL; i++) {
        ok = !is_for_the_file(row, config) || same_value(row, config, &read);
        if (!ok)
            buf_printf(why, "%s cannot be put into the file as it is now", nd_setting_name(row));
    }
    if (problems.count > 0)
        buf_printf(why, "the new file would not be understood: %s", buf_str(&problems.text));
    buf_free(&problems.text);
    nd_config_free(&read);
    return ok;
}

bool config_rewrite_text(const char *path, struct slice old, const struct nd_config *config, struct buf *out,
                         struct buf *why)
{
    struct nd_config was, initial;
    struct config_given given = {0}, placed = {0};
    struct conf_problems problems = {.count = 0};
    nd_config_init(&was);
    nd_config_init(&initial);
    bool ok = config_text_read(path, old, &was, &given, &problems);
    if (!ok)
        buf_printf(why, "the file is not good any more: %s", buf_str(&problems.text));
    if (ok) {
        put_changed(old, config, &was, out, &placed);
        ok = !included_changed(&given, &placed, config, &was, why);
    }
    if (ok) {
        put_new(config, &initial, &given, out);
        ok = says(path, buf_slice(out), config, why);
    }
    buf_free(&problems.text);
    config_given_free(&given);
    config_given_free(&placed);
    nd_config_free(&was);
    nd_config_free(&initial);
    return ok;
}

/* ---- the file ---- */

/* Beside it first, then in its place: a full disk or a crash leaves one of the two, whole. */
static bool replace(const char *path, struct slice text, struct buf *why)
{
    struct buf name = {0};
    struct stat st;
    buf_printf(&name, "%s.%ld.new", path, (long)getpid());
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 07777 : 0644;
    const char *temporary = buf_str(&name);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool ok = fd >= 0 && io_write_all(fd, text) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        number = errno;
        ok = false;
    }
    if (ok && rename(temporary, path) != 0) {
        number = errno;
        ok = false;
    }
    if (ok) {
        (void)io_name_flush(path); /* the text is in place, whether or not that lasts */
    } else {
        buf_puts(why, strerror(number));
        if (fd >= 0)
            unlink(temporary);
    }
    buf_free(&name);
    return ok;
}

bool config_rewrite(const char *path, const struct nd_config *config, struct buf *why)
{
    struct buf old = {0}, text = {0};
    bool ok = io_file_read(path, FILE_BYTES_MAX, &old, why) &&
              config_rewrite_text(path, buf_slice(&old), config, &text, why);
    if (ok && !slice_eq(buf_slice(&old), buf_slice(&text)))
        ok = replace(path, buf_slice(&text), why);
    buf_free(&old);
    buf_free(&text);
    return ok;
}
