#include "nodectl/import/written.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 64

struct written_command {
    bool writes;
    bool anywhere;             /* keys may be any of its arguments */
    int64_t first, last, step; /* as COMMAND tells them: a negative last counts from the end */
};

static bool has_flag(const redisReply *flags, const char *name)
{
    for (size_t i = 0; flags->type == REDIS_REPLY_ARRAY && i < flags->elements; i++)
        if (flags->element[i]->str != NULL && strcmp(flags->element[i]->str, name) == 0)
            return true;
    return false;
}

static void add(struct written *w, const redisReply *row)
{
    if (row->type != REDIS_REPLY_ARRAY || row->elements < 6 || row->element[0]->type != REDIS_REPLY_STRING ||
        row->element[0]->len > NAME_MAX_BYTES)
        return;
    const redisReply *const *e = (const redisReply *const *)row->element;
    struct written_command *c = mem_zalloc(sizeof *c);
    c->first = e[3]->integer;
    c->last = e[4]->integer;
    c->step = e[5]->integer > 0 && e[5]->integer <= INT32_MAX ? e[5]->integer : 1;
    c->writes = has_flag(e[2], "write");
    c->anywhere = has_flag(e[2], "movablekeys");
    if (!c->writes && c->first == 0 && row->elements >= 10 && e[9]->type == REDIS_REPLY_ARRAY && e[9]->elements > 0)
        c->writes = c->anywhere = true; /* its subcommands are what does something */
    free(map_puts(&w->commands, e[0]->str, c));
}

bool written_init(struct written *w, const redisReply *commands)
{
    map_init(&w->commands, 0, 0);
    for (size_t i = 0; commands->type == REDIS_REPLY_ARRAY && i < commands->elements; i++)
        add(w, commands->element[i]);
    return w->commands.used > 0;
}

void written_free(struct written *w)
{
    void *c;
    for (size_t it = 0; (c = map_next(&w->commands, &it, NULL)) != NULL;)
        free(c);
    map_free(&w->commands);
}

static const struct written_command *find(const struct written *w, struct slice name)
{
    char lower[NAME_MAX_BYTES];
    if (name.n > sizeof lower)
        return NULL;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + ('a' - 'A') : name.p[i]);
    return map_get(&w->commands, (struct slice){lower, name.n});
}

/* MOVE key db, and COPY source destination DB n: the key is written in that database too. */
static bool other_database(const struct slice *argv, size_t argc, int64_t *db)
{
    if (slice_ieq(argv[0], "move") && argc == 3)
        return text_range(argv[2], 0, INT32_MAX, db);
    for (size_t i = 3; slice_ieq(argv[0], "copy") && i + 1 < argc; i++)
        if (slice_ieq(argv[i], "db"))
            return text_range(argv[i + 1], 0, INT32_MAX, db);
    return false;
}

enum written_kind written_keys(const struct written *w, const struct slice *argv, size_t argc, int64_t *db,
                               void (*key)(void *owner, int64_t db, struct slice key), void *owner)
{
    int64_t other;
    if (argc == 2 && slice_ieq(argv[0], "select"))
        return text_range(argv[1], 0, INT32_MAX, db) ? WRITTEN_SELECT : WRITTEN_UNKNOWN;
    if (slice_ieq(argv[0], "flushall"))
        return WRITTEN_FLUSH_ALL;
    if (slice_ieq(argv[0], "flushdb"))
        return WRITTEN_FLUSH_DB;
    if (slice_ieq(argv[0], "swapdb"))
        return WRITTEN_SWAP;
    const struct written_command *c = find(w, argv[0]);
    if (c == NULL)
        return WRITTEN_UNKNOWN;
    if (!c->writes)
        return WRITTEN_KEYS;
    bool elsewhere = other_database(argv, argc, &other);
    int64_t count = (int64_t)argc, first = c->anywhere ? 1 : c->first, step = c->anywhere ? 1 : c->step;
    int64_t last = c->anywhere ? count - 1 : c->last < 0 ? count + c->last : c->last;
    for (int64_t i = first; i > 0 && i <= last && i < count; i += step) {
        key(owner, *db, argv[i]);
        if (elsewhere)
            key(owner, other, argv[i]);
    }
    return WRITTEN_KEYS;
}
