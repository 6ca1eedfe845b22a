#include "noded/cmd/slowlog.h"

#include "common/base/mem.h"
#include "noded/cmd/families.h"

#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 32   /* of which the last says how many more there were */
#define BYTES_MAX 128 /* of one argument */

struct slow {
    struct slow *next; /* the one before it */
    int64_t id, unix_s, us;
    size_t argc;
    struct buf args[ARGS_MAX];
    char *addr, *name;
};

struct nd_slowlog {
    struct slow *newest;
    size_t n;
    int64_t next_id;
};

struct nd_slowlog *nd_slowlog_new(void)
{
    return mem_zalloc(sizeof(struct nd_slowlog));
}

static void free_entries(struct slow *s)
{
    while (s != NULL) {
        struct slow *next = s->next;
        for (size_t i = 0; i < s->argc; i++)
            buf_free(&s->args[i]);
        free(s->addr);
        free(s->name);
        free(s);
        s = next;
    }
}

static void keep_newest(struct nd_slowlog *l, size_t keep)
{
    struct slow **place = &l->newest;
    for (size_t i = 0; i < keep && *place != NULL; i++)
        place = &(*place)->next;
    free_entries(*place);
    *place = NULL;
    if (l->n > keep)
        l->n = keep;
}

void nd_slowlog_free(struct nd_slowlog *l)
{
    keep_newest(l, 0);
    free(l);
}

static void copy_args(struct slow *s, const struct nd_call *c)
{
    s->argc = c->argc < ARGS_MAX ? c->argc : ARGS_MAX;
    for (size_t i = 0; i < s->argc; i++) {
        struct slice arg = c->argv[i];
        if (nd_is_redacted(c->redacted, i))
            arg = slice_of("(redacted)");
        if (c->argc > ARGS_MAX && i == ARGS_MAX - 1) {
            buf_printf(&s->args[i], "... (%zu more arguments)", c->argc - ARGS_MAX + 1);
        } else if (arg.n > BYTES_MAX) {
            buf_put(&s->args[i], arg.p, BYTES_MAX);
            buf_printf(&s->args[i], "... (%zu more bytes)", arg.n - BYTES_MAX);
        } else {
            buf_put(&s->args[i], arg.p, arg.n);
        }
    }
}

void nd_slowlog_add(const struct nd_call *c, int64_t us)
{
    struct nd_slowlog *l = c->e->slowlog;
    int64_t max = c->e->config.slowlog_max_len;
    if ((c->cmd->flags & ND_SKIP_SLOWLOG) != 0 || max <= 0)
        return;
    struct slow *s = mem_zalloc(sizeof *s);
    *s = (struct slow){.next = l->newest, .id = l->next_id++, .unix_s = c->e->now_ms / 1000, .us = us};
    copy_args(s, c);
    s->addr = mem_strdup(c->s->addr);
    s->name = mem_strdup(c->s->name != NULL ? c->s->name : "");
    l->newest = s;
    l->n++;
    keep_newest(l, (size_t)max);
}

/* ---- the command ---- */

static void slowlog_get(struct nd_call *c)
{
    int64_t count = 10;
    const struct nd_slowlog *l = c->e->slowlog;
    if (c->argc > 3) {
        nd_subcommand_syntax(c);
        return;
    }
    if (c->argc == 3 && !nd_arg_range(c, 2, -1, INT64_MAX, &count, "ERR count should be greater than or equal to -1"))
        return;
    size_t n = count < 0 || (uint64_t)count > l->n ? l->n : (size_t)count;
    reply_array(c->r, n);
    for (const struct slow *s = l->newest; n > 0; s = s->next, n--) {
        reply_array(c->r, 6);
        reply_int(c->r, s->id);
        reply_int(c->r, s->unix_s);
        reply_int(c->r, s->us);
        reply_array(c->r, s->argc);
        for (size_t i = 0; i < s->argc; i++)
            reply_bulk(c->r, s->args[i].p, s->args[i].n);
        reply_bulks(c->r, s->addr);
        reply_bulks(c->r, s->name);
    }
}

static void slowlog_len(struct nd_call *c)
{
    reply_int(c->r, (int64_t)c->e->slowlog->n);
}

static void slowlog_reset(struct nd_call *c)
{
    keep_newest(c->e->slowlog, 0);
    nd_ok(c);
}

static const struct nd_command slowlog_subs[] = {
    {.name = "get",
     .arity = -2,
     .flags = ND_ADMIN | ND_LOADING | ND_STALE,
     .run = slowlog_get,
     .syntax = "[count]",
     .summary = "Shows the last commands that took long.",
     .since = "2.2.12",
     .group = "server",
     .complexity = "O(N) for N entries.",
     .tips = "request_policy:all_nodes nondeterministic_output"},
    {.name = "help",
     .arity = 2,
     .flags = ND_LOADING | ND_STALE,
     .run = nd_help,
     .syntax = "",
     .summary = "Shows what SLOWLOG can do.",
     .since = "6.2.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "len",
     .arity = 2,
     .flags = ND_ADMIN | ND_LOADING | ND_STALE,
     .run = slowlog_len,
     .syntax = "",
     .summary = "Counts the entries.",
     .since = "2.2.12",
     .group = "server",
     .complexity = "O(1)",
     .tips = "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"},
    {.name = "reset",
     .arity = 2,
     .flags = ND_ADMIN | ND_LOADING | ND_STALE,
     .run = slowlog_reset,
     .syntax = "",
     .summary = "Forgets the entries.",
     .since = "2.2.12",
     .group = "server",
     .complexity = "O(N) for N entries.",
     .tips = "request_policy:all_nodes response_policy:all_succeeded"},
    {0},
};

const struct nd_command nd_slowlog_commands[] = {
    {.name = "slowlog",
     .arity = -2,
     .subs = slowlog_subs,
     .summary = "The commands that took long.",
     .since = "2.2.12",
     .group = "server",
     .complexity = "Depends on the subcommand."},
    {0},
};
