#include "noded/cmd/settings.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/settings_row.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(struct buf *why, const char *text)
{
    buf_puts(why, text);
    return false;
}

static size_t index_of(const struct nd_setting *s)
{
    return (size_t)(s - nd_settings);
}

static bool is_text(const struct nd_setting *s)
{
    return s->at != ND_SETTING_KEPT && s->get == NULL && (s->kind == ND_SET_TEXT || s->kind == ND_SET_WORDS);
}

/* ---- places ---- */

void *nd_setting_place(const struct nd_setting *s, const struct nd_config *c)
{
    if (s->at == ND_SETTING_KEPT)
        return &c->kept[index_of(s)];
    return (char *)c + s->at;
}

void nd_setting_put_text(const struct nd_setting *s, struct nd_config *c, struct slice text)
{
    char **at = nd_setting_place(s, c), *copy = slice_dup(text);
    free(*at);
    *at = copy;
}

void nd_setting_put_words(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n)
{
    struct buf joined = {0};
    for (size_t i = 0; i < n; i++) {
        if (joined.n > 0)
            buf_putc(&joined, ' ');
        buf_put(&joined, words[i].p, words[i].n);
    }
    nd_setting_put_text(s, c, buf_slice(&joined));
    buf_free(&joined);
}

/* ---- what the kinds take ---- */

bool nd_setting_bytes(struct slice word, int64_t *out)
{
    uint64_t n = 0, unit = 1;
    size_t i = 0;
    for (; i < word.n && word.p[i] >= '0' && word.p[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(word.p[i] - '0');
        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
    }
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},           {"b", 1},
                 {"k", 1000},       {"kb", 1024},
                 {"m", 1000000},    {"mb", 1024 * 1024},
                 {"g", 1000000000}, {"gb", 1024 * 1024 * 1024}};
    struct slice rest = {word.p + i, word.n - i};
    bool known = false;
    for (size_t u = 0; u < sizeof units / sizeof *units && !known; u++) {
        known = slice_ieq(rest, units[u].name);
        unit = units[u].bytes;
    }
    if (!known)
        return false;
    *out = n > (uint64_t)INT64_MAX / unit ? INT64_MAX : (int64_t)(n * unit);
    return true;
}

static bool in_range(const struct nd_setting *s, int64_t v, struct buf *why)
{
    /* Bytes that do not fit into 63 bits came out as the greatest number. */
    bool fits = s->kind != ND_SET_MEMORY || v < INT64_MAX;
    if (v >= s->min && v <= s->max && fits)
        return true;
    bool octal = s->kind == ND_SET_OCTAL;
    buf_printf(why,
               octal ? "argument must be between %" PRIo64 " and %" PRIo64 " inclusive"
                     : "argument must be between %" PRId64 " and %" PRId64 " inclusive",
               s->min, s->max);
    return false;
}

bool nd_setting_number(const struct nd_setting *s, struct slice word, int64_t *out, struct buf *why)
{
    if (!text_i64(word, out))
        return refuse(why, "argument couldn't be parsed into an integer");
    return in_range(s, *out, why);
}

static bool octal(const struct nd_setting *s, struct slice word, int64_t *out, struct buf *why)
{
    int64_t v = 0;
    if (word.n == 0 || word.n > 20)
        return refuse(why, "argument couldn't be parsed as an octal number");
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '7')
            return refuse(why, "argument couldn't be parsed as an octal number");
        v = v * 8 + (word.p[i] - '0');
    }
    *out = v;
    return in_range(s, v, why);
}

static bool memory(const struct nd_setting *s, struct slice word, int64_t *out, struct buf *why)
{
    if (!nd_setting_bytes(word, out))
        return refuse(why, "argument must be a memory value");
    return in_range(s, *out, why);
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool same_word(struct slice a, struct slice b)
{
    size_t i = 0;
    while (a.n == b.n && i < a.n && lower(a.p[i]) == lower(b.p[i]))
        i++;
    return a.n == b.n && i == a.n;
}

/* The word's place in the row's list; -1: it is none of them. */
static int word_index(const struct nd_setting *s, struct slice word)
{
    struct slice rest = slice_of(s->words);
    for (int i = 0; rest.n > 0; i++) {
        struct slice known = slice_cut(&rest, ' ');
        if (same_word(known, word))
            return i;
    }
    return -1;
}

static struct slice word_at(const struct nd_setting *s, int index)
{
    struct slice rest = slice_of(s->words), word = slice_cut(&rest, ' ');
    while (index-- > 0)
        word = slice_cut(&rest, ' ');
    return word;
}

static bool choice(const struct nd_setting *s, struct slice word, int *out, struct buf *why)
{
    *out = word_index(s, word);
    if (*out >= 0)
        return true;
    buf_puts(why, "argument(s) must be one of the following: ");
    for (struct slice rest = slice_of(s->words); rest.n > 0;) {
        struct slice known = slice_cut(&rest, ' ');
        buf_put(why, known.p, known.n);
        buf_puts(why, rest.n > 0 ? ", " : "");
    }
    return false;
}

static bool yes_no(struct slice word, bool *out, struct buf *why)
{
    *out = slice_ieq(word, "yes");
    return *out || slice_ieq(word, "no") || refuse(why, "argument must be 'yes' or 'no'");
}

/* A row that is kept as text: checked as its kind asks, and written as CONFIG GET shows it. */
static bool set_kept(const struct nd_setting *s, struct nd_config *c, struct slice word, struct buf *why)
{
    struct buf text = {0};
    int64_t v;
    int at;
    bool yes, ok = true;
    switch (s->kind) {
    case ND_SET_BOOL:
        ok = yes_no(word, &yes, why);
        buf_puts(&text, ok && yes ? "yes" : "no");
        break;
    case ND_SET_NUMBER:
        ok = nd_setting_number(s, word, &v, why);
        buf_printf(&text, "%" PRId64, ok ? v : 0);
        break;
    case ND_SET_MEMORY:
        ok = memory(s, word, &v, why);
        buf_printf(&text, "%" PRId64, ok ? v : 0);
        break;
    case ND_SET_WORD:
        ok = choice(s, word, &at, why);
        if (ok)
            buf_put(&text, word_at(s, at).p, word_at(s, at).n);
        break;
    default: buf_put(&text, word.p, word.n); break;
    }
    if (ok)
        nd_setting_put_text(s, c, buf_slice(&text));
    buf_free(&text);
    return ok;
}

static bool set_one(const struct nd_setting *s, struct nd_config *c, struct slice word, struct buf *why)
{
    int64_t v;
    int at;
    bool yes;
    if (s->at == ND_SETTING_KEPT)
        return set_kept(s, c, word, why);
    void *place = nd_setting_place(s, c);
    switch (s->kind) {
    case ND_SET_BOOL:
        if (!yes_no(word, &yes, why))
            return false;
        *(bool *)place = yes;
        return true;
    case ND_SET_NUMBER:
        if (!nd_setting_number(s, word, &v, why))
            return false;
        break;
    case ND_SET_MEMORY:
        if (!memory(s, word, &v, why))
            return false;
        break;
    case ND_SET_OCTAL:
        if (!octal(s, word, &v, why))
            return false;
        break;
    case ND_SET_WORD:
        if (!choice(s, word, &at, why))
            return false;
        *(int *)place = at;
        return true;
    default: nd_setting_put_text(s, c, word); return true;
    }
    *(int64_t *)place = v;
    return true;
}

/* One argument with spaces stands for several. An empty one stays one. The caller frees. */
static struct slice *split(const struct slice *words, size_t *n)
{
    struct slice rest = slice_trim(words[0]), *out = NULL;
    size_t cap = 0, got = 0;
    do {
        struct slice word = slice_cut(&rest, ' ');
        rest = slice_trim(rest);
        out = mem_grow(out, got, &cap, sizeof *out);
        out[got++] = word;
    } while (rest.n > 0);
    *n = got;
    return out;
}

static bool set(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n, struct buf *why)
{
    if (s->kind == ND_SET_WORDS) {
        struct slice *cut = n == 1 ? split(words, &n) : NULL;
        bool ok = s->set(s, c, cut != NULL ? cut : words, n, why);
        free(cut);
        return ok;
    }
    if (n != 1)
        return refuse(why, "wrong number of arguments");
    return s->set != NULL ? s->set(s, c, words, n, why) : set_one(s, c, words[0], why);
}

bool nd_setting_set(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                    struct buf *why)
{
    if (s->flags & ND_SETF_ONLY_DEFAULT && (n != 1 || !slice_ieq(words[0], s->initial)))
        return refuse(why, "this server cannot do that: only the default is taken");
    return set(s, c, words, n, why);
}

/* ---- what they show ---- */

void nd_setting_get(const struct nd_setting *s, const struct nd_config *c, struct buf *out)
{
    void *place = nd_setting_place(s, c);
    if (s->get != NULL) {
        s->get(s, c, out);
    } else if (s->at == ND_SETTING_KEPT || is_text(s)) {
        const char *text = *(char **)place;
        buf_puts(out, text != NULL ? text : "");
    } else if (s->kind == ND_SET_BOOL) {
        buf_puts(out, *(bool *)place ? "yes" : "no");
    } else if (s->kind == ND_SET_WORD) {
        struct slice word = word_at(s, *(int *)place);
        buf_put(out, word.p, word.n);
    } else {
        buf_printf(out, s->kind == ND_SET_OCTAL ? "%" PRIo64 : "%" PRId64, *(int64_t *)place);
    }
}

bool nd_setting_is_default(const struct nd_setting *s, const struct nd_config *c)
{
    struct nd_config initial;
    struct buf now = {0}, then = {0};
    nd_config_init(&initial);
    nd_setting_get(s, c, &now);
    nd_setting_get(s, &initial, &then);
    bool same = slice_eq(buf_slice(&now), buf_slice(&then));
    buf_free(&now);
    buf_free(&then);
    nd_config_free(&initial);
    return same;
}

/* ---- the whole ---- */

void nd_config_init(struct nd_config *c)
{
    struct buf why = {0};
    *c = (struct nd_config){.kept = mem_zalloc(nd_setting_count * sizeof(char *))};
    for (size_t i = 0; i < nd_setting_count; i++) {
        struct slice word = slice_of(nd_settings[i].initial);
        bool ok = set(&nd_settings[i], c, &word, 1, &why);
        assert(ok);
        (void)ok;
    }
    buf_free(&why);
}

void nd_config_free(struct nd_config *c)
{
    for (size_t i = 0; i < nd_setting_count; i++) {
        const struct nd_setting *s = &nd_settings[i];
        if (s->at == ND_SETTING_KEPT || is_text(s))
            free(*(char **)nd_setting_place(s, c));
    }
    free(c->kept);
    *c = (struct nd_config){.kept = NULL};
}

void nd_config_copy(struct nd_config *to, const struct nd_config *from)
{
    *to = *from;
    to->kept = mem_zalloc(nd_setting_count * sizeof(char *));
    for (size_t i = 0; i < nd_setting_count; i++) {
        const struct nd_setting *s = &nd_settings[i];
        if (s->at != ND_SETTING_KEPT && !is_text(s))
            continue;
        const char *text = *(char **)nd_setting_place(s, from);
        *(char **)nd_setting_place(s, to) = text != NULL ? mem_strdup(text) : NULL;
    }
}

/* ---- rows ---- */

const struct nd_setting *nd_setting_find(struct slice name)
{
    for (size_t i = 0; i < nd_setting_count; i++) {
        const struct nd_setting *s = &nd_settings[i];
        if (slice_ieq(name, s->name) || (s->alias != NULL && slice_ieq(name, s->alias)))
            return s;
    }
    return NULL;
}

const struct nd_setting *nd_setting_at(size_t index)
{
    return index < nd_setting_count ? &nd_settings[index] : NULL;
}

const char *nd_setting_name(const struct nd_setting *s)
{
    return s->name;
}

const char *nd_setting_alias(const struct nd_setting *s)
{
    return s->alias;
}

const char *nd_setting_help(const struct nd_setting *s)
{
    return s->help;
}

enum nd_setting_kind nd_setting_kind(const struct nd_setting *s)
{
    return s->kind;
}

void nd_setting_range(const struct nd_setting *s, struct buf *out)
{
    switch (s->kind) {
    case ND_SET_BOOL: buf_puts(out, "yes, no"); break;
    case ND_SET_NUMBER:
        if (s->max >= INT32_MAX)
            buf_printf(out, s->min > INT32_MIN ? "%" PRId64 " or more" : "number", s->min);
        else
            buf_printf(out, "%" PRId64 "-%" PRId64, s->min, s->max);
        break;
    case ND_SET_MEMORY: buf_puts(out, "bytes"); break;
    case ND_SET_MEMORY_OR_PERCENT: buf_puts(out, "bytes or percent"); break;
    case ND_SET_OCTAL: buf_printf(out, "%" PRIo64 "-%" PRIo64, s->min, s->max); break;
    case ND_SET_WORD: buf_puts(out, s->words); break;
    case ND_SET_TEXT: buf_puts(out, "text"); break;
    case ND_SET_WORDS: buf_puts(out, "words"); break;
    }
}

bool nd_setting_immutable(const struct nd_setting *s)
{
    return s->flags & ND_SETF_IMMUTABLE;
}

bool nd_setting_protected(const struct nd_setting *s)
{
    return s->flags & ND_SETF_PROTECTED;
}

bool nd_setting_sensitive(const struct nd_setting *s)
{
    return s->flags & ND_SETF_SENSITIVE;
}

bool nd_setting_unused(const struct nd_setting *s)
{
    return s->flags & ND_SETF_UNUSED;
}

bool nd_setting_only_default(const struct nd_setting *s)
{
    return s->flags & ND_SETF_ONLY_DEFAULT;
}

bool nd_setting_gathers(const struct nd_setting *s)
{
    return s->flags & ND_SETF_GATHERS;
}

const char *nd_setting_nearest(struct slice name)
{
    size_t n = 0;
    const char **names = mem_array(NULL, nd_setting_count * 2, sizeof *names);
    for (size_t i = 0; i < nd_setting_count; i++) {
        names[n++] = nd_settings[i].name;
        if (nd_settings[i].alias != NULL)
            names[n++] = nd_settings[i].alias;
    }
    char *asked = slice_dup(name);
    const char *near = text_nearest(asked, names, n);
    free(asked);
    free(names);
    return near;
}
