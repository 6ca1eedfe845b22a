/* Commands for keys of every type: there or not, gone, renamed, moved, copied. */
#include "noded/cmd/call.h"
#include "noded/cmd/database.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"

static void delete_keys(struct nd_call *c, bool lazy)
{
    int64_t deleted = 0;
    for (size_t i = 1; i < c->argc; i++) {
        struct nd_entry *entry = nd_lookup(c, c->argv[i], ND_CHANGE);
        if (entry == NULL)
            continue;
        nd_delete(c, c->db, entry, lazy);
        nd_changed(c, c->argv[i], 1);
        nd_notify(c, ND_EV_GENERIC, "del", c->argv[i]);
        deleted++;
    }
    reply_int(c->r, deleted);
}

static void del_command(struct nd_call *c)
{
    delete_keys(c, c->e->config.lazyfree_lazy_user_del);
}

static void unlink_command(struct nd_call *c)
{
    delete_keys(c, true);
}

static void count_keys(struct nd_call *c, enum nd_access access)
{
    int64_t there = 0;
    for (size_t i = 1; i < c->argc; i++)
        there += nd_lookup(c, c->argv[i], access) != NULL;
    reply_int(c->r, there);
}

static void exists_command(struct nd_call *c)
{
    count_keys(c, ND_LOOK);
}

static void touch_command(struct nd_call *c)
{
    count_keys(c, ND_READ);
}

static void type_command(struct nd_call *c)
{
    const struct nd_entry *entry = nd_lookup(c, c->argv[1], ND_LOOK);
    reply_status(c->r, entry != NULL ? nd_type_name((enum nd_type)entry->v.type) : "none");
}

/* Moves the value to a place where no key is. Its age goes along. */
static void carry(struct nd_call *c, struct nd_db *from, struct nd_entry *entry, struct nd_db *to, struct slice key)
{
    int64_t expire_ms = nd_entry_expire(entry);
    uint32_t age = entry->v.age;
    struct nd_value value = nd_db_take(from, entry);
    nd_add_key_in(c, to, key, value, expire_ms)->v.age = age;
}

static void rename_key(struct nd_call *c, bool only_new)
{
    struct slice from = c->argv[1], to = c->argv[2];
    struct nd_entry *entry = nd_lookup(c, from, ND_CHANGE);
    if (entry == NULL) {
        nd_no_key(c);
        return;
    }
    bool same = slice_eq(from, to);
    struct nd_entry *there = same ? entry : nd_lookup(c, to, ND_CHANGE);
    if (only_new && there != NULL) {
        reply_int(c->r, 0);
        return;
    }
    if (!same) {
        if (there != NULL)
            nd_delete(c, c->db, there, c->e->config.lazyfree_lazy_server_del);
        entry = nd_lookup(c, from, ND_PEEK);
        carry(c, c->db, entry, c->db, to);
        nd_changed(c, from, 1);
        nd_changed(c, to, 0);
        nd_notify(c, ND_EV_GENERIC, "rename_from", from);
        nd_notify(c, ND_EV_GENERIC, "rename_to", to);
    }
    if (only_new)
        reply_int(c->r, 1);
    else
        nd_ok(c);
}

static void rename_command(struct nd_call *c)
{
    rename_key(c, false);
}

static void renamenx_command(struct nd_call *c)
{
    rename_key(c, true);
}

static void same_object(struct nd_call *c)
{
    nd_error(c, "ERR source and destination objects are the same");
}

static void move_command(struct nd_call *c)
{
    struct slice key = c->argv[1];
    struct nd_db *to = nd_database_arg(c, 2);
    if (to == NULL)
        return;
    if (to == c->db) {
        same_object(c);
        return;
    }
    struct nd_entry *entry = nd_lookup(c, key, ND_CHANGE);
    if (entry == NULL || nd_lookup_in(c, to, key, ND_CHANGE) != NULL) {
        reply_int(c->r, 0);
        return;
    }
    carry(c, c->db, entry, to, key);
    nd_changed(c, key, 1);
    nd_changed_in(c, to, key, 0);
    nd_notify(c, ND_EV_GENERIC, "move_from", key);
    nd_notify_in(c, ND_EV_GENERIC, "move_to", key, to);
    reply_int(c->r, 1);
}

static void copy_command(struct nd_call *c)
{
    struct slice from = c->argv[1], key = c->argv[2];
    struct nd_db *to = c->db;
    bool replace = false;
    for (size_t i = 3; i < c->argc; i++) {
        if (nd_arg_is(c, i, "replace")) {
            replace = true;
        } else if (nd_arg_is(c, i, "db") && i + 1 < c->argc) {
            to = nd_database_arg(c, ++i);
            if (to == NULL)
                return;
        } else {
            nd_syntax_error(c);
            return;
        }
    }
    if (to == c->db && slice_eq(from, key)) {
        same_object(c);
        return;
    }
    if (nd_lookup(c, from, ND_READ) == NULL) {
        reply_int(c->r, 0);
        return;
    }
    struct nd_entry *there = nd_lookup_in(c, to, key, ND_CHANGE);
    if (there != NULL && !replace) {
        reply_int(c->r, 0);
        return;
    }
    if (there != NULL)
        nd_delete(c, to, there, c->e->config.lazyfree_lazy_server_del);
    const struct nd_entry *entry = nd_lookup(c, from, ND_PEEK);
    nd_add_key_in(c, to, key, nd_value_dup(&entry->v), nd_entry_expire(entry));
    nd_changed_in(c, to, key, 1);
    nd_notify_in(c, ND_EV_GENERIC, "copy_to", key, to);
    reply_int(c->r, 1);
}

#define ALL_KEYS(how)                                       \
    {                                                       \
        {                                                   \
            .flags = how, .first = 1, .last = -1, .step = 1 \
        }                                                   \
    }
#define ONE_KEY(how)                                       \
    {                                                      \
        {                                                  \
            .flags = how, .first = 1, .last = 0, .step = 1 \
        }                                                  \
    }
#define TWO_KEYS(first_how, second_how)                           \
    {                                                             \
        {.flags = first_how, .first = 1, .last = 0, .step = 1},   \
        {                                                         \
            .flags = second_how, .first = 2, .last = 0, .step = 1 \
        }                                                         \
    }

const struct nd_command nd_generic_commands[] = {
    {
        .name = "del",
        .arity = -2,
        .flags = ND_WRITE,
        .categories = ND_CAT_KEYSPACE,
        .run = del_command,
        .keys = ALL_KEYS("RM DELETE"),
        .syntax = "key [key ...]",
        .summary = "Deletes keys and tells how many there were.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(N), N being the keys, and for aggregates their elements",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
    },
    {
        .name = "unlink",
        .arity = -2,
        .flags = ND_WRITE | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = unlink_command,
        .keys = ALL_KEYS("RM DELETE"),
        .syntax = "key [key ...]",
        .summary = "Deletes keys; the memory of big ones is given back in the background.",
        .since = "4.0.0",
        .group = "generic",
        .complexity = "O(1) for each key; freeing goes on in another thread",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
    },
    {
        .name = "exists",
        .arity = -2,
        .flags = ND_READONLY | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = exists_command,
        .keys = ALL_KEYS("RO"),
        .syntax = "key [key ...]",
        .summary = "Counts those of the keys that are there; a key named twice counts twice.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(N), N being the keys",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
    },
    {
        .name = "touch",
        .arity = -2,
        .flags = ND_READONLY | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = touch_command,
        .keys = ALL_KEYS("RO"),
        .syntax = "key [key ...]",
        .summary = "Makes keys count as just used and tells how many are there.",
        .since = "3.2.1",
        .group = "generic",
        .complexity = "O(N), N being the keys",
        .tips = "request_policy:multi_shard response_policy:agg_sum",
    },
    {
        .name = "type",
        .arity = 2,
        .flags = ND_READONLY | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = type_command,
        .keys = ONE_KEY("RO"),
        .syntax = "key",
        .summary = "Tells the type of a key's value.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(1)",
    },
    {
        .name = "rename",
        .arity = 3,
        .flags = ND_WRITE,
        .categories = ND_CAT_KEYSPACE,
        .run = rename_command,
        .keys = TWO_KEYS("RW ACCESS DELETE", "OW UPDATE"),
        .syntax = "key newkey",
        .summary = "Gives a key another name; what had that name is gone.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(1), beside freeing what is overwritten",
    },
    {
        .name = "renamenx",
        .arity = 3,
        .flags = ND_WRITE | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = renamenx_command,
        .keys = TWO_KEYS("RW ACCESS DELETE", "OW INSERT"),
        .syntax = "key newkey",
        .summary = "Gives a key another name, unless there is a key of that name.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(1)",
    },
    {
        .name = "move",
        .arity = 3,
        .flags = ND_WRITE | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = move_command,
        .keys = ONE_KEY("RW ACCESS UPDATE"),
        .syntax = "key db",
        .summary = "Moves a key to another database, unless it has one of that name.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(1)",
    },
    {
        .name = "copy",
        .arity = -3,
        .flags = ND_WRITE | ND_DENYOOM,
        .categories = ND_CAT_KEYSPACE,
        .run = copy_command,
        .keys = TWO_KEYS("RO ACCESS", "OW UPDATE"),
        .syntax = "source destination [DB destination-db] [REPLACE]",
        .summary = "Copies a key's value and expiry to another key, also in another database.",
        .since = "6.2.0",
        .group = "generic",
        .complexity = "O(N), N being the elements",
    },
    {.name = NULL},
};
