#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/conf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64

static void *place(const struct conf_key *k, void *target)
{
    return (char *)target + k->at;
}

static const char *what_it_is(const config_setting_t *s)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: return "a whole number";
    case CONFIG_TYPE_FLOAT: return "a number with a fraction";
    case CONFIG_TYPE_STRING: return "a string";
    case CONFIG_TYPE_BOOL: return "true or false";
    case CONFIG_TYPE_ARRAY: return "an array [...]";
    case CONFIG_TYPE_LIST: return "a list (...)";
    default: return "a group {...}";
    }
}

static void wrong_type(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, const char *expected)
{
    conf_problem(r->problems, s, NULL, "expected %s (%s), found %s", expected, k->help, what_it_is(s));
}

static void read_int(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    int type = config_setting_type(s);
    int64_t v = config_setting_get_int64(s);
    if (type == CONFIG_TYPE_INT)
        v = config_setting_get_int(s);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
        wrong_type(r, k, s, "a whole number without quotes");
    else if (v < k->min || v > k->max)
        conf_problem(r->problems, s, NULL, "expected %" PRId64 " to %" PRId64 " (%s), found %" PRId64, k->min, k->max,
                     k->help, v);
    else
        *(int64_t *)place(k, target) = v;
}

static void read_bool(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    if (config_setting_type(s) != CONFIG_TYPE_BOOL)
        wrong_type(r, k, s, "true or false without quotes");
    else
        *(bool *)place(k, target) = config_setting_get_bool(s) != 0;
}

/* NULL: not a string, and that is reported. */
static const char *string_of(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s)
{
    if (config_setting_type(s) == CONFIG_TYPE_STRING)
        return config_setting_get_string(s);
    wrong_type(r, k, s, "a string in quotes");
    return NULL;
}

static void read_string(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    const char *text = string_of(r, k, s);
    if (text == NULL)
        return;
    size_t n = strlen(text);
    if (n < (size_t)k->min) {
        conf_problem(r->problems, s, NULL, "must not be empty (%s)", k->help);
    } else if (k->max > 0 && n > (size_t)k->max) {
        conf_problem(r->problems, s, NULL, "has %zu bytes; at most %" PRId64 " are allowed (%s)", n, k->max, k->help);
    } else {
        char **at = place(k, target);
        free(*at);
        *at = mem_strdup(text);
    }
}

static void read_size(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    uint64_t v;
    const char *text = config_setting_type(s) == CONFIG_TYPE_STRING ? config_setting_get_string(s) : NULL;
    if (text == NULL)
        wrong_type(r, k, s, "a size as a string with a unit, such as \"256mb\"");
    else if (!text_size(slice_of(text), &v))
        conf_problem(r->problems, s, NULL,
                     "\"%s\" is not a size: expected a number and one of b, k, kb, m, mb, g, gb (%s)", text, k->help);
    else if (v < (uint64_t)k->min || v > (uint64_t)k->max)
        conf_problem(r->problems, s, NULL, "expected %" PRId64 " to %" PRId64 " bytes (%s), found %" PRIu64, k->min,
                     k->max, k->help, v);
    else
        *(uint64_t *)place(k, target) = v;
}

static bool parse_address(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, struct addr *out)
{
    const char *text = string_of(r, k, s);
    if (text == NULL)
        return false;
    if (addr_parse(slice_of(text), out))
        return true;
    conf_problem(r->problems, s, NULL,
                 "\"%s\" is not an address: expected \"host:port\" with a port from 1 to 65535 (%s)", text, k->help);
    return false;
}

static void read_word(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    const char *text = string_of(r, k, s);
    if (text == NULL)
        return;
    struct buf known = {0};
    for (int i = 0; k->words[i] != NULL; i++) {
        if (strcmp(text, k->words[i]) == 0) {
            *(int *)place(k, target) = i;
            buf_free(&known);
            return;
        }
        buf_printf(&known, "%s\"%s\"", i == 0 ? "" : ", ", k->words[i]);
    }
    conf_problem(r->problems, s, NULL, "expected one of %s (%s), found \"%s\"", buf_str(&known), k->help, text);
    buf_free(&known);
}

static bool is_sequence(const config_setting_t *s)
{
    return config_setting_type(s) == CONFIG_TYPE_ARRAY || config_setting_type(s) == CONFIG_TYPE_LIST;
}

static void too_few(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, size_t n)
{
    if (n < (size_t)k->min && config_setting_length(s) < k->min)
        conf_problem(r->problems, s, NULL, "expected at least %" PRId64 " (%s), found %zu", k->min, k->help, n);
}

static void read_strings(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    struct conf_strings list = {0};
    if (!is_sequence(s)) {
        wrong_type(r, k, s, "a list of strings [ \"...\" ]");
        return;
    }
    for (int i = 0; i < config_setting_length(s); i++) {
        const char *text = string_of(r, k, config_setting_get_elem(s, (unsigned)i));
        if (text == NULL)
            continue;
        list.v = mem_array(list.v, list.n + 1, sizeof *list.v);
        list.v[list.n++] = mem_strdup(text);
    }
    too_few(r, k, s, list.n);
    conf_strings_free(place(k, target));
    *(struct conf_strings *)place(k, target) = list;
}

static void read_addresses(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    struct conf_addresses list = {0};
    if (!is_sequence(s)) {
        wrong_type(r, k, s, "a list of addresses [ \"host:port\" ]");
        return;
    }
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
        struct addr a;
        if (!parse_address(r, k, e, &a))
            continue;
        bool twice = false;
        for (size_t j = 0; j < list.n && !twice; j++)
            twice = addr_eq(&list.v[j], &a);
        if (twice)
            conf_problem(r->problems, e, NULL, "\"%s\" is listed twice", config_setting_get_string(e));
        list.v = mem_array(list.v, list.n + 1, sizeof *list.v);
        list.v[list.n++] = a;
    }
    too_few(r, k, s, list.n);
    conf_addresses_free(place(k, target));
    *(struct conf_addresses *)place(k, target) = list;
}

static void read_list(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    if (!is_sequence(s)) {
        wrong_type(r, k, s, "a list of groups ( { ... } )");
        return;
    }
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
        if (config_setting_type(e) == CONFIG_TYPE_GROUP)
            k->each(r, e, target);
        else
            wrong_type(r, k, e, "a group { key = value; }");
    }
}

static void read_row(struct conf_reader *r, const struct conf_key *k, const config_setting_t *s, void *target)
{
    struct addr a;
    switch (k->type) {
    case CONF_INT: read_int(r, k, s, target); break;
    case CONF_BOOL: read_bool(r, k, s, target); break;
    case CONF_STRING: read_string(r, k, s, target); break;
    case CONF_SIZE: read_size(r, k, s, target); break;
    case CONF_ADDRESS:
        if (parse_address(r, k, s, &a))
            *(struct addr *)place(k, target) = a;
        break;
    case CONF_WORD: read_word(r, k, s, target); break;
    case CONF_STRINGS: read_strings(r, k, s, target); break;
    case CONF_ADDRESSES: read_addresses(r, k, s, target); break;
    case CONF_GROUP:
        if (config_setting_type(s) == CONFIG_TYPE_GROUP)
            conf_read(r, s, k->keys, place(k, target));
        else
            wrong_type(r, k, s, "a group { key = value; }");
        break;
    case CONF_LIST: read_list(r, k, s, target); break;
    case CONF_OTHER: k->each(r, s, target); break;
    }
}

static void unknown_key(struct conf_reader *r, const config_setting_t *s, const struct conf_key *keys)
{
    const char *names[ROWS_MAX] = {NULL};
    size_t n = 0;
    while (n < ROWS_MAX && keys[n].name != NULL) {
        names[n] = keys[n].name;
        n++;
    }
    const char *near = text_nearest(s->name, names, n);
    if (near != NULL) {
        conf_problem(r->problems, s, NULL, "unknown key (did you mean '%s'?)", near);
        return;
    }
    struct buf known = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&known, "%s%s", i == 0 ? "" : ", ", names[i]);
    conf_problem(r->problems, s, NULL, "unknown key; known here: %s", buf_str(&known));
    buf_free(&known);
}

uint64_t conf_read(struct conf_reader *r, const config_setting_t *group, const struct conf_key *keys, void *target)
{
    uint64_t given = 0;
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        size_t row = 0;
        while (keys[row].name != NULL && strcmp(keys[row].name, s->name) != 0)
            row++;
        if (keys[row].name == NULL)
            unknown_key(r, s, keys);
    }
    for (size_t row = 0; keys[row].name != NULL; row++) {
        assert(row < ROWS_MAX);
        const config_setting_t *s = config_setting_get_member(group, keys[row].name);
        if (s == NULL)
            continue;
        given |= UINT64_C(1) << row;
        read_row(r, &keys[row], s, target);
    }
    return given;
}
