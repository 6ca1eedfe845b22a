/* CONFIG: the settings while the server runs. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/evict.h"

#include <stdlib.h>
#include <string.h>

/* ---- GET ---- */

static bool fits(struct slice pattern, const char *name)
{
    return name != NULL && text_glob(pattern, slice_of(name), true);
}

static bool asked_for(const struct nd_call *c, const char *name)
{
    for (size_t i = 2; i < c->argc; i++) {
        if (fits(c->argv[i], name))
            return true;
    }
    return false;
}

static void put_pair(struct nd_call *c, const char *name, const struct nd_setting *s, struct buf *value)
{
    buf_clear(value);
    nd_setting_get(s, &c->e->config, value);
    reply_bulks(c->r, name);
    reply_bulk(c->r, value->p, value->n);
}

static void config_get(struct nd_call *c)
{
    struct buf value = {0};
    size_t mark = reply_begin(c->r), pairs = 0;
    const struct nd_setting *s;
    for (size_t i = 0; (s = nd_setting_at(i)) != NULL; i++) {
        const char *names[] = {nd_setting_name(s), nd_setting_alias(s)};
        for (size_t k = 0; k < 2; k++) {
            if (!asked_for(c, names[k]))
                continue;
            put_pair(c, names[k], s, &value);
            pairs++;
        }
    }
    reply_end_map(c->r, mark, pairs);
    buf_free(&value);
}

/* ---- SET ---- */

static bool is_local(const struct nd_session *s)
{
    return s->flags & ND_S_UNIX || strncmp(s->addr, "127.", 4) == 0 || strncmp(s->addr, "[::1]", 5) == 0;
}

static bool may_set_protected(const struct nd_call *c)
{
    int who = c->e->config.enable_protected_configs;
    return who == ND_YES || (who == ND_LOCAL && is_local(c->s));
}

static void failed(struct nd_call *c, struct slice name, const char *why)
{
    nd_error(c, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s", (int)name.n, name.p, why);
}

static bool same_name(struct slice a, struct slice b)
{
    char *text = slice_dup(b);
    bool same = slice_ieq(a, text);
    free(text);
    return same;
}

/* The rows of all names, one to a pair, or NULL: the error is answered. The caller frees. */
static const struct nd_setting **rows_of(struct nd_call *c)
{
    size_t n = (c->argc - 2) / 2;
    const struct nd_setting **rows = mem_array(NULL, n, sizeof *rows);
    struct slice name = {NULL, 0};
    const char *why = NULL;
    for (size_t i = 0; i < n && why == NULL; i++) {
        name = c->argv[2 + 2 * i];
        rows[i] = nd_setting_find(name);
        if (rows[i] == NULL) {
            nd_error(c, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'", (int)name.n, name.p);
            free(rows);
            return NULL;
        }
        if (nd_setting_immutable(rows[i]))
            why = "can't set immutable config";
        else if (nd_setting_protected(rows[i]) && !may_set_protected(c))
            why = "can't set protected config";
        for (size_t k = 0; k < i && why == NULL; k++) {
            if (rows[k] == rows[i] && same_name(c->argv[2 + 2 * k], name))
                why = "duplicate parameter";
        }
    }
    if (why == NULL)
        return rows;
    failed(c, name, why);
    free(rows);
    return NULL;
}

/* Sets all, then has the program follow each. false: why says what is wrong, *at which pair, *followed how many the
 * program had followed. */
static bool set_all(struct nd_call *c, const struct nd_setting **rows, size_t n, size_t *at, size_t *followed,
                    struct buf *why)
{
    struct nd_engine *e = c->e;
    *followed = 0;
    for (*at = 0; *at < n; ++*at) {
        if (!nd_setting_set(rows[*at], &e->config, &c->argv[3 + 2 * *at], 1, why))
            return false;
    }
    for (*at = 0; *at < n; ++*at) {
        if (!e->host.setting(e->host.owner, nd_setting_name(rows[*at]), why))
            return false;
        ++*followed;
    }
    return true;
}

/* What the engine has to do at once when settings change. */
static void follow_inside(struct nd_engine *e)
{
    nd_evict_soon(e);
}

static void redact(struct nd_call *c)
{
    for (size_t i = 2; i + 1 < c->argc; i += 2) {
        const struct nd_setting *row = nd_setting_find(c->argv[i]);
        if (row != NULL && nd_setting_sensitive(row))
            nd_redact(&c->redacted, i + 1);
    }
}

/* All or nothing: what the program had already followed it follows back. */
static void config_set(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    if (c->argc % 2 != 0) {
        nd_syntax_error(c);
        return;
    }
    redact(c);
    const struct nd_setting **rows = rows_of(c);
    if (rows == NULL)
        return;
    struct nd_config before;
    struct buf why = {0};
    size_t at, followed;
    nd_config_copy(&before, &e->config);
    if (set_all(c, rows, (c->argc - 2) / 2, &at, &followed, &why)) {
        nd_config_free(&before);
        follow_inside(e);
        nd_ok(c);
    } else {
        nd_config_free(&e->config);
        e->config = before;
        failed(c, c->argv[2 + 2 * at], buf_str(&why));
        buf_clear(&why);
        for (size_t i = 0; i < followed; i++)
            e->host.setting(e->host.owner, nd_setting_name(rows[i]), &why);
    }
    buf_free(&why);
    free(rows);
}

/* ---- the rest ---- */

static void config_resetstat(struct nd_call *c)
{
    nd_stats_reset(c->e);
    nd_ok(c);
}

static void config_rewrite(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    struct buf why = {0};
    if (e->host.rewrite(e->host.owner, &why))
        nd_ok(c);
    else
        nd_error(c, "ERR %s", buf_str(&why));
    buf_free(&why);
}

#define CONFIG_FLAGS (ND_ADMIN | ND_NOSCRIPT | ND_LOADING | ND_STALE)

static const struct nd_command config_subs[] = {
    {.name = "get",
     .arity = -3,
     .flags = CONFIG_FLAGS,
     .run = config_get,
     .syntax = "parameter [parameter ...]{=blocks}",
     .summary = "Shows the settings whose names match one of the patterns",
     .since = "2.0.0",
     .group = "server",
     .complexity = "O(N) with N patterns"},
    {.name = "help",
     .arity = 2,
     .flags = ND_LOADING | ND_STALE,
     .run = nd_help,
     .syntax = "",
     .summary = "Shows the subcommands",
     .since = "5.0.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "resetstat",
     .arity = 2,
     .flags = CONFIG_FLAGS,
     .run = config_resetstat,
     .syntax = "",
     .summary = "Sets the counters of INFO back to zero",
     .since = "2.0.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "rewrite",
     .arity = 2,
     .flags = CONFIG_FLAGS,
     .run = config_rewrite,
     .syntax = "",
     .summary = "Writes the settings as they are now into the configuration file",
     .since = "2.8.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "set",
     .arity = -4,
     .flags = CONFIG_FLAGS,
     .run = config_set,
     .syntax = "parameter value [parameter value ...]",
     .summary = "Changes settings, all of them or none",
     .since = "2.0.0",
     .group = "server",
     .complexity = "O(N) with N settings",
     .tips = "request_policy:all_nodes response_policy:all_succeeded"},
    {.name = NULL},
};

const struct nd_command nd_config_commands[] = {
    {.name = "config",
     .arity = -2,
     .subs = config_subs,
     .syntax = "",
     .summary = "Settings of the server",
     .since = "2.0.0",
     .group = "server",
     .complexity = "Depends on subcommand."},
    {.name = NULL},
};
