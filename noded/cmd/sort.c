/* SORT and SORT_RO. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/families.h"
#include "noded/cmd/notify.h"
#include "noded/store/hash.h"
#include "noded/store/list.h"
#include "noded/store/string.h"
#include "noded/store/zset.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sort_item {
    const struct sorting *of;
    struct slice element;
    double score;    /* without ALPHA */
    struct slice by; /* with ALPHA: what is compared; p is NULL when there is no such key */
};

struct sorting {
    struct nd_call *c;
    struct slice key, store; /* store.p NULL: answered */
    struct slice by;         /* pattern; p NULL: the element itself */
    bool keep_order;         /* BY a pattern without a star */
    bool descending, alpha;
    int64_t offset, count; /* count < 0: all */
    size_t *gets;          /* arguments that hold the GET patterns */
    size_t get_count;
    struct buf bytes; /* of elements and of what they are sorted by */
    struct sort_item *items;
    size_t n, cap;
};

/* ---- options ---- */

static bool has_star(struct slice s)
{
    return s.n > 0 && memchr(s.p, '*', s.n) != NULL;
}

static bool sort_option(struct sorting *s, size_t *i, bool may_store)
{
    struct nd_call *c = s->c;
    size_t left = c->argc - *i - 1;
    if (nd_arg_is(c, *i, "asc") || nd_arg_is(c, *i, "desc")) {
        s->descending = nd_arg_is(c, *i, "desc");
    } else if (nd_arg_is(c, *i, "alpha")) {
        s->alpha = true;
    } else if (nd_arg_is(c, *i, "limit") && left >= 2) {
        if (!nd_arg_i64(c, *i + 1, &s->offset) || !nd_arg_i64(c, *i + 2, &s->count))
            return false;
        *i += 2;
    } else if (nd_arg_is(c, *i, "store") && left >= 1 && may_store) {
        s->store = c->argv[++*i];
    } else if (nd_arg_is(c, *i, "by") && left >= 1) {
        s->by = c->argv[++*i];
        s->keep_order = !has_star(s->by);
        if (!s->keep_order && c->e->keys.slots) {
            nd_error(c, "ERR BY option of SORT denied in cluster mode.");
            return false;
        }
    } else if (nd_arg_is(c, *i, "get") && left >= 1) {
        if (c->e->keys.slots && !slice_is(c->argv[*i + 1], "#")) {
            nd_error(c, "ERR GET option of SORT denied in cluster mode.");
            return false;
        }
        s->gets[s->get_count++] = ++*i;
    } else {
        nd_syntax_error(c);
        return false;
    }
    return true;
}

/* ---- values of other keys ---- */

/* What stands behind a pattern with the element in the place of its first star: a string key, or with "key->field" a
 * field of a hash. The bytes are good until the next look; false: there is none. */
static bool referred(struct sorting *s, struct slice pattern, struct slice element, struct slice *out,
                     char tmp[ND_INT_TEXT])
{
    const char *star = pattern.n > 0 ? memchr(pattern.p, '*', pattern.n) : NULL;
    if (star == NULL)
        return false;
    size_t before = (size_t)(star - pattern.p), after = pattern.n - before - 1;
    struct slice field = {NULL, 0};
    for (size_t i = before + 1; i + 2 < pattern.n; i++) {
        if (pattern.p[i] == '-' && pattern.p[i + 1] == '>') {
            field = (struct slice){pattern.p + i + 2, pattern.n - i - 2};
            after = i - before - 1;
            break;
        }
    }
    struct buf name = {0};
    buf_put(&name, pattern.p, before);
    buf_put(&name, element.p, element.n);
    buf_put(&name, star + 1, after);
    struct nd_entry *e = nd_lookup(s->c, buf_slice(&name), ND_READ);
    buf_free(&name);
    if (e == NULL)
        return false;
    if (field.p != NULL)
        return e->v.type == ND_HASH && nd_hash_get(&e->v, field, out, tmp);
    if (e->v.type != ND_STRING)
        return false;
    *out = nd_string_slice(&e->v, tmp);
    return true;
}

/* ---- collecting ---- */

/* Where a slice is while the memory below it may still move: its offset stands in its pointer. */
static struct slice keep(struct sorting *s, struct slice of)
{
    struct slice kept = {(const char *)(uintptr_t)s->bytes.n, of.n};
    buf_put(&s->bytes, of.p, of.n);
    return kept;
}

static struct slice settled(const struct sorting *s, struct slice kept)
{
    return (struct slice){s->bytes.p + (uintptr_t)kept.p, kept.n};
}

static void collect_one(struct sorting *s, struct slice element)
{
    s->items = mem_grow(s->items, s->n, &s->cap, sizeof *s->items);
    s->items[s->n++] = (struct sort_item){.of = s, .element = keep(s, element)};
}

static bool collect(void *owner, struct slice a, struct slice b, double score)
{
    (void)b;
    (void)score;
    collect_one(owner, a);
    return true;
}

/* strtod()'s idea of a number, which is Redis's here; but for what is out of its range. */
static bool sort_score(struct slice s, double *out)
{
    char text[128];
    if (s.n >= sizeof text)
        return false;
    if (s.n > 0)
        memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    char *end;
    *out = strtod(text, &end);
    bool says_infinite = strchr(text, 'i') != NULL || strchr(text, 'I') != NULL;
    return *end == '\0' && (size_t)(end - text) == s.n && !isnan(*out) && (!isinf(*out) || says_infinite);
}

/* Gives each item what it is compared by. false: something is no number. */
static bool weigh(struct sorting *s)
{
    /* Numbers need no memory; for ALPHA the texts are kept, and elements settle when all are there. */
    for (size_t i = 0; i < s->n; i++) {
        struct sort_item *item = &s->items[i];
        struct slice own = settled(s, item->element), value = own;
        char tmp[ND_INT_TEXT];
        bool there = true, ok = true;
        if (s->by.p != NULL)
            there = referred(s, s->by, own, &value, tmp);
        if (!s->alpha)
            ok = !there || sort_score(value, &item->score);
        else if (s->by.p == NULL)
            item->by = item->element;
        else if (there)
            item->by = keep(s, value);
        else
            item->by = (struct slice){(const char *)UINTPTR_MAX, 0};
        if (!ok)
            return false;
    }
    for (size_t i = 0; i < s->n; i++) {
        struct sort_item *item = &s->items[i];
        item->element = settled(s, item->element);
        if (s->alpha)
            item->by = item->by.p == (const char *)UINTPTR_MAX ? (struct slice){NULL, 0} : settled(s, item->by);
    }
    return true;
}

static int compare_bytes(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare(const void *x, const void *y)
{
    const struct sort_item *a = x, *b = y;
    int order;
    if (a->of->alpha && (a->by.p == NULL || b->by.p == NULL))
        order = (a->by.p != NULL) - (b->by.p != NULL);
    else if (a->of->alpha)
        order = compare_bytes(a->by, b->by);
    else if (a->score != b->score)
        order = a->score < b->score ? -1 : 1;
    else
        order = compare_bytes(a->element, b->element); /* so that equal weights have one order */
    return a->of->descending ? -order : order;
}

/* ---- answering ---- */

static void answer(struct sorting *s, size_t from, size_t to)
{
    struct nd_call *c = s->c;
    reply_array(c->r, (to - from) * (s->get_count > 0 ? s->get_count : 1));
    for (size_t i = from; i < to; i++) {
        struct slice element = s->items[i].element, value;
        char tmp[ND_INT_TEXT];
        if (s->get_count == 0)
            reply_bulk(c->r, element.p, element.n);
        for (size_t g = 0; g < s->get_count; g++) {
            struct slice pattern = c->argv[s->gets[g]];
            if (slice_is(pattern, "#"))
                reply_bulk(c->r, element.p, element.n);
            else if (referred(s, pattern, element, &value, tmp))
                reply_bulk(c->r, value.p, value.n);
            else
                reply_null(c->r);
        }
    }
}

static void store(struct sorting *s, size_t from, size_t to)
{
    struct nd_call *c = s->c;
    struct nd_value list = nd_list_new(&c->e->config.limits);
    for (size_t i = from; i < to; i++) {
        struct slice element = s->items[i].element, value;
        char tmp[ND_INT_TEXT];
        if (s->get_count == 0)
            nd_list_push(&list, false, element);
        for (size_t g = 0; g < s->get_count; g++) {
            struct slice pattern = c->argv[s->gets[g]];
            if (slice_is(pattern, "#"))
                value = element;
            else if (!referred(s, pattern, element, &value, tmp))
                value = (struct slice){NULL, 0};
            nd_list_push(&list, false, value);
        }
    }
    size_t n = nd_list_length(&list);
    struct nd_entry *old = nd_lookup(c, s->store, ND_CHANGE);
    if (n > 0) {
        if (old != NULL)
            nd_db_set_value(c->db, old, list, ND_NO_EXPIRE);
        else
            nd_add_key(c, s->store, list);
        nd_notify(c, ND_EV_LIST, "sortstore", s->store);
        nd_changed(c, s->store, (int64_t)n);
    } else {
        nd_value_free(&list);
        if (old != NULL) {
            nd_delete(c, c->db, old, c->e->config.lazyfree_lazy_server_del);
            nd_notify(c, ND_EV_GENERIC, "del", s->store);
            nd_changed(c, s->store, 1);
        }
    }
    reply_int(c->r, (int64_t)n);
}

/* ---- the command ---- */

static void gather(struct sorting *s, const struct nd_value *v)
{
    if (v->type == ND_ZSET && s->keep_order && nd_zset_length(v) > 0) {
        struct nd_zset_iter it;
        struct slice member;
        for (nd_zset_iterate(v, s->descending ? nd_zset_length(v) - 1 : 0, s->descending, &it);
             nd_zset_next(&it, &member, NULL);)
            collect_one(s, member);
        return;
    }
    nd_value_visit(v, collect, s);
}

static void window(const struct sorting *s, size_t *from, size_t *to)
{
    uint64_t n = s->n, offset = s->offset < 0 ? 0 : (uint64_t)s->offset;
    *from = offset < n ? (size_t)offset : s->n;
    *to = s->count < 0 || (uint64_t)s->count >= n - *from ? s->n : *from + (size_t)s->count;
}

static void run_sort(struct sorting *s)
{
    struct nd_call *c = s->c;
    struct nd_entry *e = nd_lookup(c, s->key, ND_READ);
    if (e != NULL && e->v.type != ND_LIST && e->v.type != ND_SET && e->v.type != ND_ZSET) {
        nd_wrong_type(c);
        return;
    }
    if (e != NULL && e->v.type == ND_SET && s->keep_order && s->store.p != NULL) {
        /* The order of a set is not the same on a replica, and what is stored has to be. */
        s->keep_order = false;
        s->alpha = true;
        s->by = (struct slice){NULL, 0};
    }
    if (e != NULL)
        gather(s, &e->v);
    if (s->keep_order) {
        for (size_t i = 0; i < s->n; i++)
            s->items[i].element = settled(s, s->items[i].element);
    } else {
        if (!weigh(s)) {
            nd_error(c, "ERR One or more scores can't be converted into double");
            return;
        }
        if (s->n > 1)
            qsort(s->items, s->n, sizeof *s->items, compare);
    }
    size_t from, to;
    window(s, &from, &to);
    if (s->store.p != NULL)
        store(s, from, to);
    else
        answer(s, from, to);
}

static void sort_with(struct nd_call *c, bool may_store)
{
    struct sorting s = {.c = c, .key = c->argv[1], .count = -1};
    s.gets = mem_array(NULL, c->argc, sizeof *s.gets);
    bool ok = true;
    for (size_t i = 2; ok && i < c->argc; i++)
        ok = sort_option(&s, &i, may_store);
    if (ok)
        run_sort(&s);
    free(s.gets);
    free(s.items);
    buf_free(&s.bytes);
}

static void sort(struct nd_call *c)
{
    sort_with(c, true);
}

static void sort_ro(struct nd_call *c)
{
    sort_with(c, false);
}

/* The key, and the one behind the last STORE. */
static int sort_keys(const struct slice *argv, size_t argc, int *out, int max)
{
    int n = 0, at = 0;
    if (n < max)
        out[n++] = 1;
    for (size_t i = 2; i + 1 < argc; i++) {
        if (slice_ieq(argv[i], "limit"))
            i += 2;
        else if (slice_ieq(argv[i], "get") || slice_ieq(argv[i], "by"))
            i++;
        else if (slice_ieq(argv[i], "store"))
            at = (int)i + 1; /* the last one counts, whatever stands between */
    }
    if (at > 0 && n < max)
        out[n++] = at;
    return n;
}

#define SORT_SYNTAX                                                                                      \
    "key [BY pattern{#1}] [LIMIT offset count] [GET pattern{#1} [GET pattern ...]] [ASC | DESC]{order} " \
    "[ALPHA]{sorting}"
#define SORT_CATEGORIES (ND_CAT_SET | ND_CAT_SORTEDSET | ND_CAT_LIST | ND_CAT_DANGEROUS)
#define SORT_COMPLEXITY "O(N+M*log(M)) for N elements of which M are answered; O(N) when they are not sorted."

static const char *sort_key_flags(const struct slice *argv, size_t argc, int key)
{
    (void)argv, (void)argc;
    return key == 1 ? "RO ACCESS" : "OW UPDATE";
}

/* BY and GET name keys by what the elements are, and STORE may stand anywhere: specs without a place. */
const struct nd_command nd_sort_commands[] = {
    {.name = "sort",
     .arity = -2,
     .flags = ND_WRITE | ND_DENYOOM | ND_MOVABLE_KEYS,
     .categories = SORT_CATEGORIES,
     .run = sort,
     .keys = {{.flags = "RO ACCESS", .first = 1, .step = 1}, {.flags = "RO ACCESS"}, {.flags = "OW UPDATE"}},
     .find_keys = sort_keys,
     .key_flags = sort_key_flags,
     .syntax = SORT_SYNTAX " [STORE destination{#2}]",
     .summary = "Sorts a list, set or sorted set, and answers or stores what comes of it.",
     .since = "1.0.0",
     .group = "generic",
     .complexity = SORT_COMPLEXITY},
    {.name = "sort_ro",
     .arity = -2,
     .flags = ND_READONLY | ND_MOVABLE_KEYS,
     .categories = SORT_CATEGORIES,
     .run = sort_ro,
     .keys = {{.flags = "RO ACCESS", .first = 1, .step = 1}, {.flags = "RO ACCESS"}},
     .syntax = SORT_SYNTAX,
     .summary = "Sorts a list, set or sorted set, and answers what comes of it.",
     .since = "7.0.0",
     .group = "generic",
     .complexity = SORT_COMPLEXITY},
    {0},
};
