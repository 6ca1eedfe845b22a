#include "common/io/conf.h"

#include "common/base/mem.h"
#include "common/io/conf_source.h"
#include "common/io/file.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* libconfig loses a few bytes of a text that it cannot parse. Its loss must not hide ours from the leak checker, nor
 * change the exit status of a program that was built with it. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAK_CHECKER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_CHECKER 1
#endif
#endif
#ifdef LEAK_CHECKER
const char *__lsan_default_suppressions(void); /* NOLINT: the checker's own name */
const char *__lsan_default_suppressions(void)  /* NOLINT */
{
    return "leak:libconfig.so";
}
const char *__lsan_default_options(void); /* NOLINT */
const char *__lsan_default_options(void)  /* NOLINT */
{
    return "print_suppressions=0";
}
#endif

struct conf_file {
    config_t config;
    struct conf_source source;
};

/* The file that a setting belongs to: the root's hook. */
static const struct conf_file *file_of(const config_setting_t *s)
{
    return config_setting_get_hook(s->config->root);
}

static void put_path(struct buf *out, const config_setting_t *s)
{
    if (s == NULL || s->parent == NULL)
        return;
    put_path(out, s->parent);
    if (s->name == NULL)
        buf_printf(out, "[%d]", config_setting_index(s));
    else
        buf_printf(out, "%s%s", s->parent->parent != NULL ? "." : "", s->name);
}

void conf_problem(struct conf_problems *p, const config_setting_t *at, const char *key, const char *fmt, ...)
{
    struct buf path = {0};
    if (at == NULL)
        buf_printf(&p->text, "%s: ", p->path);
    else
        conf_source_where(&file_of(at)->source, (int)config_setting_source_line(at), &p->text);
    put_path(&path, at);
    if (key != NULL && *key != '\0')
        buf_printf(&path, "%s%s", path.n > 0 ? "." : "", key);
    if (path.n > 0)
        buf_printf(&p->text, "%s: ", buf_str(&path));
    buf_free(&path);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&p->text, fmt, ap);
    va_end(ap);
    buf_putc(&p->text, '\n');
    p->count++;
}

/* libconfig says "syntax error" and a line; the line itself tells people more. */
static void put_parse_error(struct conf_file *f, struct conf_problems *problems)
{
    int line = config_error_line(&f->config);
    struct slice rest = buf_slice(&f->source.text), shown = {0};
    for (int i = 0; i < line && rest.n > 0; i++)
        shown = slice_cut(&rest, '\n');
    shown = slice_trim(shown);
    conf_source_where(&f->source, line, &problems->text);
    buf_puts(&problems->text, config_error_text(&f->config));
    if (shown.n > 0) {
        buf_puts(&problems->text, " at or before: ");
        buf_put(&problems->text, shown.p, shown.n < 80 ? shown.n : 80);
    }
    buf_putc(&problems->text, '\n');
    problems->count++;
}

struct conf_file *conf_parse(const char *name, struct slice text, struct conf_problems *problems)
{
    struct conf_file *f = mem_zalloc(sizeof *f);
    problems->path = name;
    config_init(&f->config);
    conf_source_expand(&f->source, name, text, problems);
    bool ok = !f->source.broken;
    if (ok && config_read_string(&f->config, buf_str(&f->source.text)) != CONFIG_TRUE) {
        put_parse_error(f, problems);
        ok = false;
    }
    if (!ok) {
        conf_free(f);
        return NULL;
    }
    config_setting_set_hook(config_root_setting(&f->config), f);
    return f;
}

struct conf_file *conf_load(const char *path, struct conf_problems *problems)
{
    struct buf text = {0}, error = {0};
    struct conf_file *f = NULL;
    problems->path = path;
    if (io_file_read(path, FILE_BYTES_MAX, &text, &error)) {
        f = conf_parse(path, buf_slice(&text), problems);
    } else {
        buf_printf(&problems->text, "%s\n", buf_str(&error));
        problems->count++;
    }
    buf_free(&text);
    buf_free(&error);
    return f;
}

void conf_free(struct conf_file *f)
{
    if (f == NULL)
        return;
    config_destroy(&f->config);
    conf_source_free(&f->source);
    free(f);
}

const config_setting_t *conf_root(const struct conf_file *f)
{
    return config_root_setting(&f->config);
}

void conf_strings_free(struct conf_strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct conf_strings){0};
}

void conf_addresses_free(struct conf_addresses *a)
{
    free(a->v);
    *a = (struct conf_addresses){0};
}

void conf_write_string(struct buf *out, struct slice s)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < ' ' || c >= 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_putc(out, (char)c);
    }
    buf_putc(out, '"');
}
