/* redis.conf to noded.conf: the settings that noded has, with underscores, values with their types. */
#include "nodectl/convert.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/conf.h"
#include "noded/cmd/settings.h"

#include <stdlib.h>
#include <string.h>

/* How the value of a setting is written. */
enum value_type {
    YES_NO,   /* true, false */
    NUMBER,   /* 16 */
    SIZE,     /* "256mb", as it was written */
    WORD,     /* "everysec" */
    WORDS,    /* the words of the line in one string: "127.0.0.1 6379" */
    LIST,     /* the words of the line, each a string: [ "127.0.0.1", "::1" ] */
    LINES,    /* a string for each line of this name: [ "normal 0 0 0", "replica 256mb 64mb 60" ] */
    APPENDED, /* the words of all lines of this name in one string */
    PATH,     /* made absolute from the working directory */
};

static enum value_type type_of(const struct nd_setting *s)
{
    struct slice name = slice_of(nd_setting_name(s));
    if (slice_is(name, "bind"))
        return LIST;
    if (slice_is(name, "dir"))
        return PATH;
    if (nd_setting_gathers(s))
        return slice_is(name, "save") ? APPENDED : LINES;
    switch (nd_setting_kind(s)) {
    case ND_SET_BOOL: return YES_NO;
    case ND_SET_NUMBER: return NUMBER;
    case ND_SET_MEMORY: return SIZE;
    case ND_SET_WORDS: return WORDS;
    default: return WORD;
    }
}

static void put_words(struct buf *joined, const struct directive *d)
{
    for (size_t i = 1; i < d->argc; i++) {
        if (joined->n > 0)
            buf_putc(joined, ' ');
        buf_put(joined, d->argv[i].p, d->argv[i].n);
    }
}

/* The value of a type that has one word. false: it is malformed, and that is told. */
static bool put_one(struct convert *c, const struct directive *d, enum value_type type, struct buf *out)
{
    struct slice v = d->argv[1];
    int64_t number;
    uint64_t bytes;
    bool yes;
    switch (type) {
    case YES_NO:
        yes = slice_ieq(v, "yes");
        if (!yes && !slice_ieq(v, "no")) {
            convert_error(c, d, "expected yes or no");
            return false;
        }
        buf_puts(out, yes ? "true" : "false");
        return true;
    case NUMBER:
        if (!text_i64(v, &number)) {
            convert_error(c, d, "expected a whole number");
            return false;
        }
        convert_put_int(out, number);
        return true;
    case SIZE:
        if (!text_size(v, &bytes)) {
            convert_error(c, d, "expected a size such as 256mb");
            return false;
        }
        conf_write_string(out, v);
        return true;
    default: conf_write_string(out, v); return true;
    }
}

static void put_path_value(struct buf *out, const struct directive *d)
{
    char *path = convert_path(NULL, d->argv[1].p);
    conf_write_string(out, slice_of(path));
    free(path);
}

static void put_list(struct buf *out, const struct directive *d)
{
    buf_puts(out, "[ ");
    for (size_t i = 1; i < d->argc; i++) {
        buf_puts(out, i > 1 ? ", " : "");
        conf_write_string(out, d->argv[i]);
    }
    buf_puts(out, " ]");
}

static bool words_ok(struct convert *c, const struct directive *d, enum value_type type)
{
    if (type != WORDS && type != LIST && type != LINES && type != APPENDED && d->argc != 2) {
        convert_error(c, d, "expected one value");
        return false;
    }
    if (d->argc < 2) {
        convert_error(c, d, "expected a value");
        return false;
    }
    for (size_t i = 1; i < d->argc; i++) {
        if (!convert_text_ok(c, d, d->argv[i]))
            return false;
    }
    return true;
}

/* Everything that the file says with one name: most names count by their last line, some by all. */
struct gathered {
    const struct nd_setting *setting;
    const struct directive *last;
    struct buf text; /* of LINES and APPENDED */
    bool any_line;
};

/* The node itself will read it: what it will not take is told now. */
static bool node_takes(struct convert *c, const struct directive *d, const struct nd_setting *s, enum value_type type)
{
    struct nd_config scratch;
    struct buf why = {0}, joined = {0};
    if (type == PATH)
        return true;
    nd_config_init(&scratch);
    put_words(&joined, d);
    bool one = nd_setting_kind(s) != ND_SET_WORDS;
    struct slice word = one ? d->argv[1] : (struct slice){joined.p != NULL ? joined.p : "", joined.n};
    bool ok = nd_setting_set(s, &scratch, &word, 1, &why);
    if (!ok && nd_setting_only_default(s))
        convert_leave(c, d, "not carried over: noded cannot do that");
    else if (!ok)
        convert_error(c, d, "%s", buf_str(&why));
    nd_config_free(&scratch);
    buf_free(&why);
    buf_free(&joined);
    return ok;
}

static void gather(struct convert *c, const struct directive *d, const struct nd_setting *s, struct gathered *g)
{
    struct buf joined = {0}, one = {0};
    enum value_type type = type_of(s);
    bool single = type == YES_NO || type == NUMBER || type == SIZE;
    bool ok = words_ok(c, d, type) && (!single || put_one(c, d, type, &one)) && node_takes(c, d, s, type);
    buf_free(&one);
    if (!ok)
        return;
    g->setting = s;
    g->last = d;
    put_words(&joined, d);
    if (type == LINES) {
        buf_puts(&g->text, g->any_line ? ", " : "");
        conf_write_string(&g->text, buf_slice(&joined));
        g->any_line = true;
    } else if (type == APPENDED && joined.n == 0) {
        buf_clear(&g->text); /* save "" takes back what stood before */
    } else if (type == APPENDED) {
        buf_puts(&g->text, g->text.n > 0 ? " " : "");
        buf_put(&g->text, joined.p, joined.n);
    }
    buf_free(&joined);
}

static void put_value(struct convert *c, const struct gathered *g, struct buf *out)
{
    struct buf joined = {0};
    enum value_type type = type_of(g->setting);
    switch (type) {
    case WORDS:
        put_words(&joined, g->last);
        conf_write_string(out, buf_slice(&joined));
        break;
    case LIST: put_list(out, g->last); break;
    case LINES: buf_printf(out, "[ %.*s ]", (int)g->text.n, g->text.n > 0 ? g->text.p : ""); break;
    case APPENDED: conf_write_string(out, buf_slice(&g->text)); break;
    case PATH: put_path_value(out, g->last); break;
    default: put_one(c, g->last, type, out); break;
    }
    buf_free(&joined);
}

static void put_key(struct buf *out, const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        buf_putc(out, *p == '-' ? '_' : *p);
}

static const char *reason_left(const struct directive *d)
{
    if (directive_is(d, 0, "include"))
        return "convert that file too, and put the two together";
    if (directive_is(d, 0, "loadmodule"))
        return "noded has no modules";
    if (directive_is(d, 0, "rename-command"))
        return "noded renames no commands; take the right to use it from users";
    if (directive_is(d, 0, "user"))
        return "write users by hand";
    if (directive_is(d, 0, "sentinel"))
        return "this is for a supervisor: --to sentineld";
    return "not a directive of Redis 7.0";
}

static struct gathered *place_of(struct gathered *all, size_t n, const struct nd_setting *s)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i].setting == s)
            return &all[i];
    }
    return &all[n];
}

/* The new file keeps the order of the old one. */
void convert_to_noded(struct convert *c)
{
    struct gathered *all = mem_zalloc((c->in.n + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < c->in.n; i++) {
        const struct directive *d = &c->in.v[i];
        const struct nd_setting *s = nd_setting_find(d->argv[0]);
        if (s == NULL) {
            convert_leave(c, d, "not carried over: %s", reason_left(d));
            continue;
        }
        struct gathered *g = place_of(all, n, s);
        gather(c, d, s, g);
        n += g == &all[n] && g->setting != NULL;
    }
    for (size_t i = 0; i < n; i++) {
        put_key(&c->out, nd_setting_name(all[i].setting));
        buf_puts(&c->out, " = ");
        put_value(c, &all[i], &c->out);
        buf_puts(&c->out, ";\n");
        buf_free(&all[i].text);
    }
    free(all);
}
