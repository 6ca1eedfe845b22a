#include "noded/shell/config_file.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 128

/* ---- names ---- */

const struct nd_setting *config_file_row(struct slice key)
{
    char name[KEY_MAX];
    const struct nd_setting *s = nd_setting_find(key); /* a few of redis.conf's own names have underscores */
    if (s != NULL || key.n >= sizeof name)
        return s;
    for (size_t i = 0; i < key.n; i++)
        name[i] = key.p[i] == '_' ? '-' : key.p[i];
    return nd_setting_find((struct slice){name, key.n});
}

void config_file_put_key(const struct nd_setting *s, struct buf *out)
{
    for (const char *p = nd_setting_name(s); *p != '\0'; p++)
        buf_putc(out, *p == '-' ? '_' : *p);
}

static void unknown_key(struct conf_problems *p, const config_setting_t *at)
{
    char name[KEY_MAX];
    size_t n = strlen(at->name);
    if (n >= sizeof name)
        n = sizeof name - 1;
    for (size_t i = 0; i < n; i++)
        name[i] = at->name[i] == '_' ? '-' : at->name[i];
    const char *near = nd_setting_nearest((struct slice){name, n});
    if (near == NULL) {
        conf_problem(p, at, NULL, "unknown key; noded --help shows those that there are");
        return;
    }
    struct buf key = {0};
    config_file_put_key(nd_setting_find(slice_of(near)), &key);
    conf_problem(p, at, NULL, "unknown key (did you mean '%s'?)", buf_str(&key));
    buf_free(&key);
}

/* ---- values ---- */

/* A scalar as redis.conf would have it. false: it is no scalar. */
static bool put_scalar(const config_setting_t *s, struct buf *out)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT: buf_printf(out, "%d", config_setting_get_int(s)); return true;
    case CONFIG_TYPE_INT64: buf_printf(out, "%lld", config_setting_get_int64(s)); return true;
    case CONFIG_TYPE_BOOL: buf_puts(out, config_setting_get_bool(s) ? "yes" : "no"); return true;
    case CONFIG_TYPE_STRING: buf_puts(out, config_setting_get_string(s)); return true;
    default: return false;
    }
}

/* The elements of a list count like the words of a line, and so do the words of each element. */
static bool put_list(const config_setting_t *s, struct buf *out)
{
    int type = config_setting_type(s);
    if (type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST)
        return false;
    for (int i = 0; i < config_setting_length(s); i++) {
        if (i > 0)
            buf_putc(out, ' ');
        if (!put_scalar(config_setting_get_elem(s, (unsigned)i), out))
            return false;
    }
    return true;
}

static void read_one(const config_setting_t *at, const struct nd_setting *row, struct nd_config *config,
                     struct conf_problems *p)
{
    struct buf value = {0}, why = {0};
    bool list_ok = nd_setting_kind(row) == ND_SET_WORDS;
    if (!put_scalar(at, &value) && !(list_ok && put_list(at, &value))) {
        buf_clear(&value);
        nd_setting_range(row, &value);
        conf_problem(p, at, NULL, "expected one value: %s (%s)", buf_str(&value), nd_setting_help(row));
    } else {
        struct slice word = buf_slice(&value);
        if (word.p == NULL)
            word.p = "";
        if (!nd_setting_set(row, config, &word, 1, &why))
            conf_problem(p, at, NULL, "%s", buf_str(&why));
    }
    buf_free(&value);
    buf_free(&why);
}

static bool was_given(const struct config_given *given, const struct nd_setting *row)
{
    for (size_t i = 0; i < given->n; i++) {
        if (given->v[i] == row)
            return true;
    }
    return false;
}

static void read_all(const config_setting_t *root, struct nd_config *config, struct config_given *given,
                     struct conf_problems *p)
{
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *at = config_setting_get_elem(root, (unsigned)i);
        const struct nd_setting *row = config_file_row(slice_of(at->name));
        if (row == NULL) {
            unknown_key(p, at);
        } else if (was_given(given, row)) { /* under its older name, or with dashes */
            conf_problem(p, at, NULL, "given twice: %s is the same setting", nd_setting_name(row));
        } else {
            given->v = mem_array(given->v, given->n + 1, sizeof *given->v);
            given->v[given->n++] = row;
            read_one(at, row, config, p);
        }
    }
}

static bool read_file(struct conf_file *f, struct nd_config *config, struct config_given *given,
                      struct conf_problems *p)
{
    struct config_given own = {0};
    if (f == NULL)
        return false;
    read_all(conf_root(f), config, given != NULL ? given : &own, p);
    config_given_free(&own);
    conf_free(f);
    return p->count == 0;
}

bool config_file_read(const char *path, struct nd_config *config, struct config_given *given,
                      struct conf_problems *problems)
{
    return read_file(conf_load(path, problems), config, given, problems);
}

bool config_text_read(const char *name, struct slice text, struct nd_config *config, struct config_given *given,
                      struct conf_problems *problems)
{
    return read_file(conf_parse(name, text, problems), config, given, problems);
}

void config_given_free(struct config_given *given)
{
    free(given->v);
    *given = (struct config_given){0};
}

/* ---- writing ---- */

static void put_size(int64_t bytes, struct buf *out)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (bytes > 0 && bytes % units[i].bytes == 0) {
            buf_printf(out, "\"%" PRId64 "%s\"", bytes / units[i].bytes, units[i].unit);
            return;
        }
    }
    buf_printf(out, "\"%" PRId64 "\"", bytes);
}

/* So many words to an element of a list; 0: all in one string. */
static size_t words_of_element(const struct nd_setting *s)
{
    struct slice name = slice_of(nd_setting_name(s));
    return slice_is(name, "bind") ? 1 : slice_is(name, "client-output-buffer-limit") ? 4 : 0;
}

static void put_elements(struct slice words, size_t each, struct buf *out)
{
    const char *between = "[ ";
    while (words.n > 0) {
        const char *from = words.p;
        struct slice word = {words.p, 0};
        for (size_t i = 0; i < each && words.n > 0; i++)
            word = slice_cut(&words, ' ');
        buf_puts(out, between);
        conf_write_string(out, (struct slice){from, (size_t)(word.p + word.n - from)});
        between = ", ";
    }
    buf_puts(out, *between == '[' ? "[ ]" : " ]");
}

void config_file_put_value(const struct nd_setting *s, const struct nd_config *config, struct buf *out)
{
    struct buf text = {0};
    nd_setting_get(s, config, &text);
    int64_t number;
    switch (nd_setting_kind(s)) {
    case ND_SET_BOOL: buf_puts(out, slice_is(buf_slice(&text), "yes") ? "true" : "false"); break;
    case ND_SET_NUMBER:
        if (!text_i64(buf_slice(&text), &number))
            number = 0;
        buf_printf(out, number >= INT32_MIN && number <= INT32_MAX ? "%" PRId64 : "%" PRId64 "L", number);
        break;
    case ND_SET_MEMORY:
        if (!text_i64(buf_slice(&text), &number))
            number = 0;
        put_size(number, out);
        break;
    default:
        if (words_of_element(s) > 0)
            put_elements(buf_slice(&text), words_of_element(s), out);
        else
            conf_write_string(out, buf_slice(&text));
        break;
    }
    buf_free(&text);
}
