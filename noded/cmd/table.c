#include "noded/cmd/table.h"

#include "common/base/mem.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/extension.h"
#include "noded/cmd/families.h"
#include "noded/cmd/transaction.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 1024 /* a power of two, several times the number of rows */

struct nd_commands {
    struct nd_indexed *rows;
    size_t count;
    uint16_t slots[SLOTS];             /* number + 1 of a row; 0 free */
    const struct nd_indexed **by_name; /* rows without a parent, in order of name */
    size_t top;
};

static uint64_t load8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static uint64_t load4(const char *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Eight letters to lower case at once. A byte's high bit tells whether it is between 'A' and 'Z'. */
static uint64_t lower8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101U;
    uint64_t low7 = w & (0x7f * ones);
    uint64_t above_z = low7 + (0x7f - 'Z') * ones;
    uint64_t from_a = low7 + (0x80 - 'A') * ones;
    uint64_t upper = (from_a ^ above_z) & ~w & (0x80 * ones);
    return w | upper >> 2;
}

/* Reads the name in words that overlap, so that no loop over bytes is needed. n is at most ND_NAME_MAX. */
static struct nd_name name_of(struct slice s)
{
    struct nd_name name = {.word = {0, 0, 0}, .n = s.n};
    if (s.n >= 8) {
        name.word[0] = lower8(load8(s.p));
        name.word[1] = lower8(load8(s.p + s.n - 8));
        if (s.n > 16)
            name.word[2] = lower8(load8(s.p + 8));
    } else if (s.n >= 4) {
        name.word[0] = lower8(load4(s.p) | load4(s.p + s.n - 4) << 32);
    } else if (s.n > 0) {
        name.word[0] = lower8((uint64_t)(unsigned char)s.p[0] | (uint64_t)(unsigned char)s.p[s.n / 2] << 8 |
                              (uint64_t)(unsigned char)s.p[s.n - 1] << 16);
    }
    return name;
}

static size_t first_slot(const struct nd_name *name, uint32_t parent)
{
    uint64_t h = (name->word[0] + name->n) * 0x9e3779b97f4a7c15U;
    h ^= (name->word[1] + parent * 0x100000001b3U) * 0xc2b2ae3d27d4eb4fU;
    h ^= name->word[2] * 0x165667b19e3779f9U;
    return (size_t)(h >> 40) & (SLOTS - 1);
}

static bool same_name(const struct nd_name *a, const struct nd_name *b)
{
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->n == b->n && a->word[2] == b->word[2];
}

/* The slot of the row, or the free one where it would stand. */
static size_t slot_of(const struct nd_commands *x, const struct nd_name *name, const struct nd_indexed *parent)
{
    size_t at = first_slot(name, parent != NULL ? parent->number + 1 : 0);
    for (;; at = (at + 1) & (SLOTS - 1)) {
        if (x->slots[at] == 0)
            return at;
        const struct nd_indexed *row = &x->rows[x->slots[at] - 1];
        if (row->parent == parent && same_name(&row->name, name))
            return at;
    }
}

static size_t count_rows(const struct nd_command *rows)
{
    size_t n = 0;
    for (const struct nd_command *cmd = rows; cmd->name != NULL; cmd++)
        n += 1 + (cmd->subs != NULL ? count_rows(cmd->subs) : 0);
    return n;
}

static char *full_name(const struct nd_indexed *parent, const struct nd_command *cmd)
{
    struct buf b = {0};
    if (parent != NULL)
        buf_printf(&b, "%s|", parent->cmd->name);
    buf_puts(&b, cmd->name);
    buf_str(&b);
    return b.p;
}

static enum nd_keyed keyed(const struct nd_command *cmd)
{
    const struct nd_keyspec *spec = &cmd->keys[0];
    if (cmd->find_keys != NULL || cmd->run == nd_exec_command)
        return ND_KEYED_SOME;
    if (spec->flags == NULL)
        return ND_KEYED_NOT;
    bool one = spec->first == 1 && spec->last == 0 && spec->keynum == 0 && cmd->keys[1].flags == NULL;
    return one && strcmp(spec->flags, "NOT_KEY") != 0 ? ND_KEYED_FIRST : ND_KEYED_SOME;
}

static void add_rows(struct nd_commands *x, const struct nd_command *rows, const struct nd_indexed *parent)
{
    for (const struct nd_command *cmd = rows; cmd->name != NULL; cmd++) {
        assert(strlen(cmd->name) <= ND_NAME_MAX);
        struct nd_indexed *row = &x->rows[x->count];
        *row = (struct nd_indexed){
            .name = name_of(slice_of(cmd->name)),
            .cmd = cmd,
            .parent = parent,
            .flags = cmd->flags,
            .arity = cmd->arity,
            .number = (uint32_t)x->count,
            .has_subs = cmd->subs != NULL,
            .keyed = keyed(cmd),
            .full_name = full_name(parent, cmd),
        };
        size_t at = slot_of(x, &row->name, parent);
        assert(x->slots[at] == 0); /* two rows of one name */
        x->slots[at] = (uint16_t)++x->count;
        if (parent == NULL)
            x->by_name[x->top++] = row;
        if (cmd->subs != NULL)
            add_rows(x, cmd->subs, row);
    }
}

static int compare_names(const void *a, const void *b)
{
    const struct nd_indexed *const *left = a, *const *right = b;
    return strcmp((*left)->cmd->name, (*right)->cmd->name);
}

struct nd_commands *nd_commands_new(const struct nd_extension *more)
{
#define FAMILY(rows) rows,
    const struct nd_command *const families[] = {ND_FAMILIES(FAMILY) NULL};
#undef FAMILY
    const struct nd_command *const none[] = {NULL}, *const * sets[] = {families, more != NULL ? more->families : none};
    size_t n = 0;
    for (size_t i = 0; i < 2; i++)
        for (const struct nd_command *const *family = sets[i]; *family != NULL; family++)
            n += count_rows(*family);
    assert(n < SLOTS / 2);
    struct nd_commands *x = mem_zalloc(sizeof *x);
    x->rows = mem_array(NULL, n, sizeof *x->rows);
    x->by_name = mem_array(NULL, n, sizeof *x->by_name);
    for (size_t i = 0; i < 2; i++)
        for (const struct nd_command *const *family = sets[i]; *family != NULL; family++)
            add_rows(x, *family, NULL);
    qsort(x->by_name, x->top, sizeof *x->by_name, compare_names);
    return x;
}

void nd_commands_free(struct nd_commands *x)
{
    for (size_t i = 0; i < x->count; i++)
        free(x->rows[i].full_name);
    free(x->rows);
    free(x->by_name);
    free(x);
}

static const struct nd_indexed *find_name(const struct nd_commands *x, struct slice word,
                                          const struct nd_indexed *parent)
{
    if (word.n > ND_NAME_MAX)
        return NULL;
    struct nd_name name = name_of(word);
    size_t slot = x->slots[slot_of(x, &name, parent)];
    return slot != 0 ? &x->rows[slot - 1] : NULL;
}

const struct nd_indexed *nd_commands_find(const struct nd_commands *x, const struct slice *argv, size_t argc,
                                          const struct nd_indexed **parent)
{
    const struct nd_indexed *row = find_name(x, argv[0], NULL);
    if (parent != NULL)
        *parent = NULL;
    if (row == NULL || !row->has_subs || argc == 1)
        return row;
    if (parent != NULL)
        *parent = row;
    return find_name(x, argv[1], row);
}

const struct nd_indexed *nd_commands_row(const struct nd_commands *x, const struct nd_command *cmd)
{
    for (size_t i = 0; i < x->count; i++)
        if (x->rows[i].cmd == cmd)
            return &x->rows[i];
    return NULL;
}

const struct nd_command *nd_command_find(const struct nd_engine *e, const struct slice *argv, size_t argc,
                                         const struct nd_command **parent)
{
    const struct nd_indexed *above;
    const struct nd_indexed *row = nd_commands_find(e->commands, argv, argc, &above);
    if (parent != NULL)
        *parent = above != NULL ? above->cmd : NULL;
    return row != NULL ? row->cmd : NULL;
}

const struct nd_command *nd_command_named(const struct nd_engine *e, struct slice name)
{
    struct slice words[2], rest = name;
    words[0] = slice_cut(&rest, '|');
    words[1] = rest;
    bool sub = rest.p != NULL;
    const struct nd_command *parent = NULL;
    const struct nd_command *row = nd_command_find(e, words, sub ? 2 : 1, &parent);
    return sub && parent == NULL ? NULL : row;
}

const struct nd_command *nd_command_at(const struct nd_engine *e, size_t index)
{
    return index < e->commands->top ? e->commands->by_name[index]->cmd : NULL;
}

size_t nd_command_number(const struct nd_engine *e, const struct nd_command *cmd)
{
    const struct nd_indexed *row = nd_commands_row(e->commands, cmd);
    assert(row != NULL);
    return row->number;
}

size_t nd_command_numbers(const struct nd_engine *e)
{
    return e->commands->count;
}

const struct nd_command *nd_command_numbered(const struct nd_engine *e, size_t number)
{
    assert(number < e->commands->count);
    return e->commands->rows[number].cmd;
}

const char *nd_command_full_name(const struct nd_engine *e, const struct nd_command *cmd)
{
    const struct nd_indexed *row = nd_commands_row(e->commands, cmd);
    assert(row != NULL);
    return row->full_name;
}
