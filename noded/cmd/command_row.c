#include "noded/cmd/command_row.h"

#include <limits.h>

/* ---- flags and categories ---- */

static const struct {
    uint32_t flag;
    const char *name;
} flag_names[] = {
    {ND_WRITE, "write"},
    {ND_READONLY, "readonly"},
    {ND_DENYOOM, "denyoom"},
    {ND_ADMIN, "admin"},
    {ND_PUBSUB, "pubsub"},
    {ND_NOSCRIPT, "noscript"},
    {ND_BLOCKING, "blocking"},
    {ND_LOADING, "loading"},
    {ND_STALE, "stale"},
    {ND_SKIP_MONITOR, "skip_monitor"},
    {ND_SKIP_SLOWLOG, "skip_slowlog"},
    {ND_ASKING, "asking"},
    {ND_FAST, "fast"},
    {ND_NO_AUTH, "no_auth"},
    {ND_NO_ASYNC_LOADING, "no_async_loading"},
    {ND_NO_MULTI, "no_multi"},
    {ND_MOVABLE_KEYS, "movablekeys"},
    {ND_ALLOW_BUSY, "allow_busy"},
};
#define FLAGS (sizeof flag_names / sizeof flag_names[0])

/* A category is a command's by its row, or because it has (or, negative, has not) a flag. */
static const struct {
    const char *name;
    uint32_t category, flag, without;
} categories[] = {
    {"keyspace", ND_CAT_KEYSPACE, 0, 0},
    {"read", ND_CAT_READ, ND_READONLY, 0},
    {"write", ND_CAT_WRITE, ND_WRITE, 0},
    {"set", ND_CAT_SET, 0, 0},
    {"sortedset", ND_CAT_SORTEDSET, 0, 0},
    {"list", ND_CAT_LIST, 0, 0},
    {"hash", ND_CAT_HASH, 0, 0},
    {"string", ND_CAT_STRING, 0, 0},
    {"bitmap", ND_CAT_BITMAP, 0, 0},
    {"pubsub", 0, ND_PUBSUB, 0},
    {"admin", ND_CAT_ADMIN, ND_ADMIN, 0},
    {"fast", 0, ND_FAST, 0},
    {"slow", 0, 0, ND_FAST},
    {"blocking", 0, ND_BLOCKING, 0},
    {"dangerous", ND_CAT_DANGEROUS, ND_ADMIN, 0},
    {"connection", ND_CAT_CONNECTION, 0, 0},
    {"transaction", ND_CAT_TRANSACTION, 0, 0},
};
#define CATEGORIES (sizeof categories / sizeof categories[0])

const char *nd_command_category(const struct nd_command *cmd, size_t index)
{
    for (size_t i = 0; i < CATEGORIES; i++) {
        bool is = (cmd->categories & categories[i].category) != 0 || (cmd->flags & categories[i].flag) != 0 ||
                  (categories[i].without != 0 && (cmd->flags & categories[i].without) == 0);
        if (is && index-- == 0)
            return categories[i].name;
    }
    return NULL;
}

static void put_flags(struct nd_call *c, const struct nd_command *cmd)
{
    size_t n = 0, mark = reply_begin(c->r);
    for (size_t i = 0; i < FLAGS; i++) {
        if ((cmd->flags & flag_names[i].flag) == 0)
            continue;
        reply_status(c->r, flag_names[i].name);
        n++;
    }
    reply_end_set(c->r, mark, n);
}

static void put_categories(struct nd_call *c, const struct nd_command *cmd)
{
    size_t n = 0, mark = reply_begin(c->r);
    for (const char *name; (name = nd_command_category(cmd, n)) != NULL; n++) {
        struct buf text = {0};
        buf_printf(&text, "@%s", name);
        reply_status(c->r, buf_str(&text));
        buf_free(&text);
    }
    reply_end_set(c->r, mark, n);
}

static void put_tips(struct nd_call *c, const struct nd_command *cmd)
{
    size_t n = 0, mark = reply_begin(c->r);
    for (struct slice rest = slice_of(cmd->tips); rest.n > 0; n++) {
        struct slice tip = slice_cut(&rest, ' ');
        reply_bulk(c->r, tip.p, tip.n);
    }
    reply_end_array(c->r, mark, n);
}

/* ---- keys ---- */

static bool by_range(const struct nd_keyspec *k)
{
    return k->first > 0 && k->keynum == 0;
}

/* First, last and step as COMMAND has had them since before there were specs: of those ranges that follow one another.
 */
static void put_legacy_range(struct nd_call *c, const struct nd_command *cmd)
{
    int first = INT_MAX, last = 0, step = 0, previous = 0;
    size_t specs = 0;
    while (specs < ND_KEYSPECS_MAX && cmd->keys[specs].flags != NULL)
        specs++;
    for (size_t i = 0; i < specs; i++) {
        const struct nd_keyspec *k = &cmd->keys[i];
        if (!by_range(k) || (specs > 1 && k->step != 1) || (previous != 0 && previous != k->first - 1))
            continue;
        int end = k->last < 0 ? k->last : k->first + k->last;
        first = k->first < first ? k->first : first;
        if (end < 0 || end > last || last == 0)
            last = end;
        step = k->step;
        previous = end;
    }
    reply_int(c->r, first == INT_MAX ? 0 : first);
    reply_int(c->r, last);
    reply_int(c->r, step);
}

void nd_keyspec_flags(struct nd_call *c, const char *flags)
{
    size_t n = 0, mark = reply_begin(c->r);
    for (struct slice rest = slice_of(flags); rest.n > 0; n++) {
        struct slice word = slice_cut(&rest, ' ');
        char text[32];
        size_t length = word.n < sizeof text - 1 ? word.n : sizeof text - 1;
        bool kind = n == 0 && word.n == 2; /* RO, RW, OW, RM stay in capitals */
        for (size_t i = 0; i < length; i++)
            text[i] = !kind && word.p[i] >= 'A' && word.p[i] <= 'Z' ? (char)(word.p[i] + ('a' - 'A')) : word.p[i];
        text[length] = '\0';
        reply_status(c->r, text);
    }
    reply_end_set(c->r, mark, n);
}

static void put_pair(struct nd_call *c, const char *name, int64_t value)
{
    reply_bulks(c->r, name);
    reply_int(c->r, value);
}

static void put_begin(struct nd_call *c, const struct nd_keyspec *k)
{
    reply_bulks(c->r, "begin_search");
    reply_map(c->r, 2);
    reply_bulks(c->r, "type");
    reply_bulks(c->r, k->first > 0 ? "index" : k->word != NULL ? "keyword" : "unknown");
    reply_bulks(c->r, "spec");
    if (k->first > 0) {
        reply_map(c->r, 1);
        put_pair(c, "index", k->first);
    } else if (k->word != NULL) {
        reply_map(c->r, 2);
        reply_bulks(c->r, "keyword");
        reply_bulks(c->r, k->word);
        put_pair(c, "startfrom", k->first_from);
    } else {
        reply_map(c->r, 0);
    }
}

static void put_find(struct nd_call *c, const struct nd_keyspec *k)
{
    bool unknown = k->first == 0 && k->word == NULL;
    reply_bulks(c->r, "find_keys");
    reply_map(c->r, 2);
    reply_bulks(c->r, "type");
    reply_bulks(c->r, unknown ? "unknown" : k->keynum > 0 ? "keynum" : "range");
    reply_bulks(c->r, "spec");
    if (unknown) {
        reply_map(c->r, 0);
    } else if (k->keynum > 0) {
        reply_map(c->r, 3);
        put_pair(c, "keynumidx", k->keynum - 1);
        put_pair(c, "firstkey", k->keynum);
        put_pair(c, "keystep", k->step);
    } else {
        reply_map(c->r, 3);
        put_pair(c, "lastkey", k->last);
        put_pair(c, "keystep", k->step);
        put_pair(c, "limit", k->limit);
    }
}

static void put_specs(struct nd_call *c, const struct nd_command *cmd)
{
    size_t n = 0, mark = reply_begin(c->r);
    for (; n < ND_KEYSPECS_MAX && cmd->keys[n].flags != NULL; n++) {
        reply_map(c->r, 3);
        reply_bulks(c->r, "flags");
        nd_keyspec_flags(c, cmd->keys[n].flags);
        put_begin(c, &cmd->keys[n]);
        put_find(c, &cmd->keys[n]);
    }
    reply_end_array(c->r, mark, n);
}

void nd_command_info(struct nd_call *c, const struct nd_command *cmd)
{
    size_t subs = 0;
    while (cmd->subs != NULL && cmd->subs[subs].name != NULL)
        subs++;
    reply_array(c->r, 10);
    reply_bulks(c->r, nd_command_full_name(c->e, cmd));
    reply_int(c->r, cmd->arity);
    put_flags(c, cmd);
    put_legacy_range(c, cmd);
    put_categories(c, cmd);
    put_tips(c, cmd);
    put_specs(c, cmd);
    reply_array(c->r, subs);
    for (size_t i = 0; i < subs; i++)
        nd_command_info(c, &cmd->subs[i]);
}
