/* COMMAND: what the command table says. */
#include "noded/cmd/call.h"
#include "noded/cmd/command_row.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/families.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>

static size_t count_rows(const struct nd_engine *e)
{
    size_t n = 0;
    while (nd_command_at(e, n) != NULL)
        n++;
    return n;
}

static void command_all(struct nd_call *c)
{
    size_t n = count_rows(c->e);
    reply_array(c->r, n);
    for (size_t i = 0; i < n; i++)
        nd_command_info(c, nd_command_at(c->e, i));
}

static void command_count(struct nd_call *c)
{
    reply_int(c->r, (int64_t)count_rows(c->e));
}

static void command_info(struct nd_call *c)
{
    if (c->argc == 2) {
        command_all(c);
        return;
    }
    reply_array(c->r, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++) {
        const struct nd_command *row = nd_command_named(c->e, c->argv[i]);
        if (row != NULL)
            nd_command_info(c, row);
        else
            reply_null_array(c->r);
    }
}

static void command_docs(struct nd_call *c)
{
    size_t n = 0, mark = reply_begin(c->r);
    const struct nd_command *row;
    for (size_t i = 0; c->argc == 2 && (row = nd_command_at(c->e, i)) != NULL; i++, n++) {
        reply_bulks(c->r, nd_command_full_name(c->e, row));
        nd_command_docs(c, row);
    }
    for (size_t i = 2; i < c->argc; i++) {
        row = nd_command_named(c->e, c->argv[i]);
        if (row == NULL)
            continue;
        reply_bulks(c->r, nd_command_full_name(c->e, row));
        nd_command_docs(c, row);
        n++;
    }
    reply_end_map(c->r, mark, n);
}

/* ---- keys of a command ---- */

/* The words behind COMMAND GETKEYS as a command, with its keys; false: answered. */
static bool keys_of(struct nd_call *c, int **keys, int *n)
{
    const struct slice *argv = c->argv + 2;
    size_t argc = c->argc - 2;
    const struct nd_command *row = nd_command_find(c->e, argv, argc, NULL);
    if (row == NULL) {
        nd_error(c, "ERR Invalid command specified");
        return false;
    }
    const char *first = row->keys[0].flags; /* channels stand where keys do, but are none */
    if ((first == NULL || slice_is(slice_of(first), "NOT_KEY")) && row->find_keys == NULL) {
        nd_error(c, "ERR The command has no key arguments");
        return false;
    }
    if (row->arity > 0 ? argc != (size_t)row->arity : argc < (size_t)-row->arity) {
        nd_error(c, "ERR Invalid number of arguments specified for command");
        return false;
    }
    *keys = mem_array(NULL, argc, sizeof **keys);
    *n = nd_command_keys(row, argv, argc, *keys, (int)argc);
    if (*n > 0)
        return true;
    free(*keys);
    nd_error(c, "ERR Invalid arguments specified for command");
    return false;
}

static void command_getkeys(struct nd_call *c)
{
    int *keys, n;
    if (!keys_of(c, &keys, &n))
        return;
    reply_array(c->r, (size_t)n);
    for (int i = 0; i < n; i++)
        reply_bulk(c->r, c->argv[2 + keys[i]].p, c->argv[2 + keys[i]].n);
    free(keys);
}

/* Which spec a key belongs to: the last whose range begins at or before it. */
static const char *flags_at(const struct nd_command *row, const struct slice *argv, size_t argc, int key)
{
    if (row->key_flags != NULL)
        return row->key_flags(argv, argc, key);
    const char *flags = row->keys[0].flags;
    for (size_t i = 1; i < ND_KEYSPECS_MAX && row->keys[i].flags != NULL; i++)
        if (row->keys[i].first > 0 && key >= row->keys[i].first)
            flags = row->keys[i].flags;
    return flags;
}

static void command_getkeysandflags(struct nd_call *c)
{
    int *keys, n;
    if (!keys_of(c, &keys, &n))
        return;
    const struct nd_command *row = nd_command_find(c->e, c->argv + 2, c->argc - 2, NULL);
    reply_array(c->r, (size_t)n);
    for (int i = 0; i < n; i++) {
        reply_array(c->r, 2);
        reply_bulk(c->r, c->argv[2 + keys[i]].p, c->argv[2 + keys[i]].n);
        nd_keyspec_flags(c, flags_at(row, c->argv + 2, c->argc - 2, keys[i]));
    }
    free(keys);
}

/* ---- names ---- */

enum list_filter { LIST_ALL, LIST_MODULE, LIST_CATEGORY, LIST_PATTERN };

static bool has_category(const struct nd_command *row, struct slice category)
{
    const char *name;
    for (size_t i = 0; (name = nd_command_category(row, i)) != NULL; i++)
        if (slice_ieq(category, name))
            return true;
    return false;
}

static void list_row(struct nd_call *c, const struct nd_command *row, enum list_filter filter, size_t *n)
{
    const char *name = nd_command_full_name(c->e, row);
    bool fits = filter == LIST_ALL || (filter == LIST_CATEGORY && has_category(row, c->argv[4])) ||
                (filter == LIST_PATTERN && text_glob(c->argv[4], slice_of(name), true));
    if (fits) {
        reply_bulks(c->r, name);
        ++*n;
    }
    for (size_t i = 0; row->subs != NULL && row->subs[i].name != NULL && filter != LIST_ALL; i++)
        list_row(c, &row->subs[i], filter, n);
}

static void command_list(struct nd_call *c)
{
    enum list_filter filter = LIST_ALL;
    if (c->argc == 5 && nd_arg_is(c, 2, "filterby")) {
        filter = nd_arg_is(c, 3, "module")    ? LIST_MODULE
                 : nd_arg_is(c, 3, "aclcat")  ? LIST_CATEGORY
                 : nd_arg_is(c, 3, "pattern") ? LIST_PATTERN
                                              : LIST_ALL;
    }
    if (filter == LIST_ALL && c->argc != 2) {
        nd_syntax_error(c);
        return;
    }
    size_t n = 0, mark = reply_begin(c->r);
    const struct nd_command *row;
    for (size_t i = 0; filter != LIST_MODULE && (row = nd_command_at(c->e, i)) != NULL; i++)
        list_row(c, row, filter, &n);
    reply_end_array(c->r, mark, n);
}

#define COMMAND_SUB(word, count, does, words, text, first_version, cost, tip)                                        \
    {                                                                                                                \
        .name = word, .arity = count, .flags = ND_LOADING | ND_STALE, .categories = ND_CAT_CONNECTION, .run = does,  \
        .syntax = words, .summary = text, .since = first_version, .group = "server", .complexity = cost, .tips = tip \
    }

#define ANY_ORDER "nondeterministic_output_order"

static const struct nd_command command_subs[] = {
    COMMAND_SUB("count", 2, command_count, "", "Counts the commands.", "2.8.13", "O(1)", NULL),
    COMMAND_SUB("docs", -2, command_docs, "[command-name [command-name ...]]", "Shows what is to be read of commands.",
                "7.0.0", "O(N) for N commands.", ANY_ORDER),
    COMMAND_SUB("getkeys", -4, command_getkeys, "command [arg ...]", "Shows which arguments of a command are keys.",
                "2.8.13", "O(N) for N arguments.", NULL),
    COMMAND_SUB("getkeysandflags", -4, command_getkeysandflags, "command [arg ...]",
                "Shows which arguments of a command are keys, and what it does to them.", "7.0.0",
                "O(N) for N arguments.", NULL),
    COMMAND_SUB("help", 2, nd_help, "", "Shows what COMMAND can do.", "5.0.0", "O(1)", NULL),
    COMMAND_SUB("info", -2, command_info, "[command-name [command-name ...]]", "Shows the rows of commands.", "2.8.13",
                "O(N) for N commands.", ANY_ORDER),
    COMMAND_SUB("list", -2, command_list,
                "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>{filterby}]",
                "Shows the names of commands.", "7.0.0", "O(N) for N commands.", ANY_ORDER),
    {0},
};

const struct nd_command nd_command_commands[] = {
    {.name = "command",
     .arity = -1,
     .flags = ND_LOADING | ND_STALE,
     .categories = ND_CAT_CONNECTION,
     .run = command_all,
     .subs = command_subs,
     .syntax = "",
     .summary = "Shows the rows of all commands.",
     .since = "2.8.13",
     .group = "server",
     .complexity = "O(N) for N commands.",
     .tips = "nondeterministic_output_order"},
    {0},
};
