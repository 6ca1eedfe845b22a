#include "nodectl/convert.h"

#include "common/base/text.h"
#include "common/io/conf.h"
#include "common/io/file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How many words of a directive may be shown before the first secret. */
static size_t words_to_show(const struct directive *d)
{
    static const char *const secret_from_1[] = {"requirepass", "masterauth", "tls-key-file-pass",
                                                "tls-client-key-file-pass"};
    for (size_t i = 0; i < sizeof secret_from_1 / sizeof *secret_from_1; i++) {
        if (directive_is(d, 0, secret_from_1[i]))
            return 1;
    }
    if (directive_is(d, 0, "user") || (directive_is(d, 0, "sentinel") && directive_is(d, 1, "sentinel-pass")))
        return 2;
    if (directive_is(d, 0, "sentinel") && directive_is(d, 1, "auth-pass"))
        return 3;
    return d->argc;
}

static void put_where(struct convert *c, const struct directive *d, struct buf *out)
{
    size_t show = words_to_show(d);
    buf_printf(out, "%s:%d: ", c->in.path, d->line);
    for (size_t i = 0; i < d->argc && i < show; i++) {
        if (i > 0)
            buf_putc(out, ' ');
        if (d->argv[i].n == 0)
            buf_puts(out, "\"\"");
        text_quote(out, d->argv[i], 60);
    }
    buf_puts(out, show < d->argc ? " ...: " : ": ");
}

void convert_leave(struct convert *c, const struct directive *d, const char *fmt, ...)
{
    va_list ap;
    put_where(c, d, &c->left);
    va_start(ap, fmt);
    buf_vprintf(&c->left, fmt, ap);
    va_end(ap);
    buf_putc(&c->left, '\n');
}

void convert_error(struct convert *c, const struct directive *d, const char *fmt, ...)
{
    va_list ap;
    put_where(c, d, &c->errors);
    va_start(ap, fmt);
    buf_vprintf(&c->errors, fmt, ap);
    va_end(ap);
    buf_putc(&c->errors, '\n');
}

void convert_free(struct convert *c)
{
    directives_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->left);
    buf_free(&c->errors);
}

void convert_put_int(struct buf *out, int64_t v)
{
    buf_printf(out, "%" PRId64 "%s", v, v > INT32_MAX || v < INT32_MIN ? "L" : "");
}

void convert_put_address(struct buf *out, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    conf_write_string(out, slice_of(addr_text(a, text)));
}

char *convert_path(const char *folder, const char *path)
{
    struct buf whole = {0};
    if (*path != '/' && folder != NULL)
        buf_printf(&whole, "%s/", folder);
    buf_puts(&whole, path);
    char *absolute = io_path_absolute(buf_str(&whole));
    buf_free(&whole);
    return absolute;
}

bool convert_text_ok(struct convert *c, const struct directive *d, struct slice word)
{
    if (word.n == 0 || memchr(word.p, '\0', word.n) == NULL)
        return true;
    convert_leave(c, d, "not carried over: a NUL byte cannot be written");
    return false;
}
