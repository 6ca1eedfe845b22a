/* Which commands a user may run: rules in the order in which they were given, and the rows that they come to. */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "sentineld/shell/user.h"

#define UNKNOWN "Unknown command or category name in ACL"

typedef uint64_t bits[USER_COMMANDS_MAX / 64];

/* The place of a row among all rows, each table followed into its subcommands. */
static size_t index_of(const struct command *row)
{
    size_t at = 0;
    for (const struct command *top = command_table; top->name != NULL; top++) {
        if (top == row)
            return at;
        at++;
        size_t n = command_count(top->subs);
        uintptr_t from = (uintptr_t)top->subs; /* numbers: other tables are no part of this array */
        if ((uintptr_t)row >= from && (uintptr_t)row < from + n * sizeof *row)
            return at + (size_t)(row - top->subs);
        at += n;
    }
    assert(at < USER_COMMANDS_MAX);
    return at;
}

static void mark(bits b, size_t i, bool allowed)
{
    uint64_t bit = UINT64_C(1) << (i % 64);
    b[i / 64] = allowed ? b[i / 64] | bit : b[i / 64] & ~bit;
}

/* A command with all of its subcommands. */
static void mark_row(bits b, const struct command *row, bool allowed)
{
    size_t i = index_of(row), n = command_count(row->subs);
    for (size_t k = 0; k <= n; k++)
        mark(b, i + k, allowed);
}

static void mark_category(bits b, size_t category, bool allowed)
{
    for (const struct command *top = command_table; top->name != NULL; top++) {
        if (command_in_category(top, category))
            mark_row(b, top, allowed);
        for (const struct command *sub = top->subs; sub != NULL && sub->name != NULL; sub++)
            if (command_in_category(sub, category))
                mark(b, index_of(sub), allowed);
    }
}

static bool find_category(struct slice name, size_t *category)
{
    for (*category = 0; *category < command_category_count; ++*category)
        if (slice_ieq(name, command_categories[*category]))
            return true;
    return false;
}

/* false: there is nothing of that name. */
static bool mark_rule(bits b, struct slice rule)
{
    bool allowed = rule.p[0] == '+';
    struct slice name = {rule.p + 1, rule.n - 1};
    size_t category;
    if (name.n > 0 && name.p[0] == '@') {
        if (!find_category((struct slice){name.p + 1, name.n - 1}, &category))
            return false;
        mark_category(b, category, allowed);
        return true;
    }
    const struct command *row = command_by_full_name(name);
    if (row == NULL)
        return false;
    mark_row(b, row, allowed);
    return true;
}

/* What the rules come to, without rule number `without`. */
static void compute(const struct user *u, size_t without, bits out)
{
    memset(out, u->all_commands ? 0xff : 0, sizeof(bits));
    for (size_t i = 0; i < u->rules.n; i++)
        if (i != without)
            mark_rule(out, slice_of(u->rules.v[i]));
}

void user_all_commands(struct user *u, bool allowed)
{
    u->all_commands = allowed;
    user_words_free(&u->rules);
    compute(u, 0, u->allowed);
}

const char *user_apply_command(struct user *u, struct slice rule)
{
    struct slice name = {rule.p + 1, rule.n - 1};
    if (slice_ieq(name, "@all")) {
        user_all_commands(u, rule.p[0] == '+');
        return NULL;
    }
    if (!mark_rule(u->allowed, rule)) {
        struct slice rest = name, parent = slice_cut(&rest, '|'), sub = slice_cut(&rest, '|');
        const struct command *row = command_find(command_table, parent);
        bool deeper = row != NULL && rest.p != NULL && command_find(row->subs, sub) != NULL;
        return deeper ? "Allowing first-arg of a subcommand is not supported" : UNKNOWN;
    }
    char *text = slice_dup(rule);
    for (char *p = text; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    /* A later rule about the same name undoes an earlier one entirely. */
    for (size_t i = u->rules.n; i-- > 0;)
        if (strcmp(u->rules.v[i] + 1, text + 1) == 0)
            user_words_drop(&u->rules, i);
    user_words_add(&u->rules, text);
    return NULL;
}

void user_settle(struct user *u)
{
    compute(u, u->rules.n, u->allowed);
    for (size_t i = 0; i < u->rules.n;) {
        bits without;
        compute(u, i, without);
        if (memcmp(without, u->allowed, sizeof without) == 0)
            user_words_drop(&u->rules, i);
        else
            i++;
    }
}

bool user_may_run(const struct user *u, const struct command *row)
{
    size_t i = index_of(row);
    return u->allowed[i / 64] >> (i % 64) & 1;
}
