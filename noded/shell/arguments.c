#include "noded/shell/arguments.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2] != '\0';
}

/* What is about the program itself, not about its settings. */
static bool take_own(struct arguments *a, const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        a->help = true;
    else if (strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0)
        a->version = true;
    else if (strcmp(word, "--check") == 0)
        a->check = true;
    else
        return false;
    return true;
}

static void add(struct arguments *a, struct argument option)
{
    a->options = mem_array(a->options, a->count + 1, sizeof *a->options);
    a->options[a->count++] = option;
}

bool arguments_read(int argc, char **argv, struct arguments *out, struct buf *error)
{
    *out = (struct arguments){.argv = argv};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (take_own(out, word))
            continue;
        if (is_option(word)) {
            const char *equals = strchr(word, '=');
            struct argument option = {.name = slice_of(word + 2), .first = (size_t)i + 1};
            if (equals != NULL)
                option = (struct argument){{word + 2, (size_t)(equals - word) - 2}, (size_t)i, 1, true};
            add(out, option);
        } else if (out->count > 0 && !out->options[out->count - 1].inline_value &&
                   out->options[out->count - 1].first + out->options[out->count - 1].n == (size_t)i) {
            out->options[out->count - 1].n++;
        } else if (out->file == NULL && (word[0] != '-' || word[1] == '\0') && word[0] != '\0') {
            out->file = word;
        } else {
            buf_printf(error, "unexpected argument '%s'", word);
            return false;
        }
    }
    return true;
}

/* ---- into the settings ---- */

static struct slice value_at(const struct arguments *a, const struct argument *o, size_t i)
{
    if (o->inline_value)
        return slice_of(strchr(a->argv[o->first], '=') + 1);
    return slice_of(a->argv[o->first + i]);
}

struct words {
    struct slice *v;
    size_t n, cap;
};

static void put_words(struct words *w, const struct arguments *a, const struct argument *o)
{
    for (size_t i = 0; i < o->n; i++) {
        w->v = mem_grow(w->v, w->n, &w->cap, sizeof *w->v);
        w->v[w->n++] = value_at(a, o, i);
    }
}

/* The words of one value may stand in one argument. */
static void put_split(struct words *w, struct slice value)
{
    for (struct slice rest = slice_trim(value); rest.n > 0; rest = slice_trim(rest)) {
        w->v = mem_grow(w->v, w->n, &w->cap, sizeof *w->v);
        w->v[w->n++] = slice_cut(&rest, ' ');
    }
}

/* All that is said of a setting whose lines count together: an empty value takes back what stood before. */
static void gather(struct words *w, const struct arguments *a, const struct nd_setting *row)
{
    for (size_t k = 0; k < a->count; k++) {
        const struct argument *o = &a->options[k];
        if (nd_setting_find(o->name) != row)
            continue;
        if (o->n == 1 && value_at(a, o, 0).n == 0)
            w->n = 0;
        for (size_t i = 0; i < o->n; i++)
            put_split(w, value_at(a, o, i));
    }
}

static void complain(const struct argument *o, const char *text, struct buf *error)
{
    buf_printf(error, "--%.*s: %s\n", (int)o->name.n, o->name.p, text);
}

static void apply_one(const struct arguments *a, const struct argument *o, struct nd_config *config, struct buf *error)
{
    const struct nd_setting *row = nd_setting_find(o->name);
    if (row == NULL) {
        struct buf text = {0};
        const char *near = nd_setting_nearest(o->name);
        buf_puts(&text, "unknown option");
        if (near != NULL)
            buf_printf(&text, " (did you mean '--%s'?)", near);
        complain(o, buf_str(&text), error);
        buf_free(&text);
        return;
    }
    struct words words = {0};
    struct buf why = {0};
    if (o->n > 0 && nd_setting_gathers(row))
        gather(&words, a, row);
    else
        put_words(&words, a, o);
    bool empty = words.n == 0 && o->n > 0; /* save "" */
    struct slice nothing = {"", 0};
    bool ok = words.n > 0 || empty ? nd_setting_set(row, config, empty ? &nothing : words.v, empty ? 1 : words.n, &why)
                                   : false;
    if (words.n == 0 && !empty)
        buf_puts(&why, "wrong number of arguments");
    if (!ok)
        complain(o, buf_str(&why), error);
    buf_free(&why);
    free(words.v);
}

bool arguments_apply(const struct arguments *a, struct nd_config *config, struct buf *error)
{
    size_t before = error->n;
    for (size_t i = 0; i < a->count; i++)
        apply_one(a, &a->options[i], config, error);
    return error->n == before;
}

void arguments_free(struct arguments *a)
{
    free(a->options);
    *a = (struct arguments){0};
}

/* ---- help ---- */

static const char usage[] =
    "usage: noded [FILE] [--option value ...]\n"
    "       noded --version | --help\n"
    "\n"
    "A server of keys and values in memory for Redis clients. FILE is its configuration (noded.conf; - reads standard\n"
    "input; nodectl config convert makes one of a redis.conf); options count after it.\n"
    "\n"
    "  --check        read and check the settings, start nothing\n"
    "  -v, --version  print the version\n"
    "  -h, --help     print this\n"
    "\n"
    "SIGTERM and SIGINT end it; SIGHUP opens the log file again.\n"
    "Exit status: 0 ended as asked, 1 could not start, 2 wrong arguments or configuration.\n"
    "\n"
    "Options, with what they take and [what they are when nothing is said]. In a file their names have underscores.\n"
    "Those marked * are kept and shown, but nothing here follows them.\n"
    "\n";

void arguments_help(struct buf *out)
{
    struct nd_config initial;
    const struct nd_setting *s;
    nd_config_init(&initial);
    buf_puts(out, usage);
    for (size_t i = 0; (s = nd_setting_at(i)) != NULL; i++) {
        struct buf value = {0};
        nd_setting_get(s, &initial, &value);
        buf_printf(out, "  --%s ", nd_setting_name(s));
        nd_setting_range(s, out);
        buf_printf(out, " [%s]%s\n        %s\n", buf_str(&value), nd_setting_unused(s) ? " *" : "", nd_setting_help(s));
        buf_free(&value);
    }
    nd_config_free(&initial);
}
