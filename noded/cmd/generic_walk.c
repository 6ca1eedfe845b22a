/* Commands that walk over the keys: KEYS, SCAN, RANDOMKEY. */
#include "common/base/text.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/scan.h"

#define TRIES_AMONG_EXPIRED 100 /* of RANDOMKEY where expired keys stay: on a replica, in a pause */

static void keys_command(struct nd_call *c)
{
    struct slice pattern = c->argv[1];
    bool all = slice_is(pattern, "*");
    size_t mark = reply_begin(c->r), n = 0;
    struct nd_db_iter it;
    nd_db_iterate(c->db, &it);
    for (const struct nd_entry *entry; (entry = nd_db_next(&it)) != NULL;) {
        struct slice key = nd_entry_key(entry);
        if ((!all && !text_glob(pattern, key, false)) || (!c->e->loading && nd_time_is_over(c->now_ms, entry)))
            continue;
        reply_bulk(c->r, key.p, key.n);
        n++;
    }
    reply_end_array(c->r, mark, n);
}

struct walk {
    struct nd_call *c;
    const struct nd_scan *args;
    struct nd_scan_found found;
};

static void show(void *owner, struct nd_entry *entry)
{
    struct walk *w = owner;
    struct slice key = nd_entry_key(entry);
    if (!nd_scan_fits(w->args, key) || (w->args->typed && entry->v.type != w->args->type))
        return;
    /* Looking it up lets an expired key go, as any other look at it does. */
    if (nd_time_is_over(w->c->now_ms, entry) && nd_lookup(w->c, key, ND_PEEK) == NULL)
        return;
    nd_scan_put(&w->found, key);
}

static void scan_command(struct nd_call *c)
{
    struct nd_scan args;
    if (!nd_scan_args(c, 1, &args))
        return;
    struct walk w = {.c = c, .args = &args};
    nd_scan_begin(c, &w.found);
    uint64_t cursor = args.cursor;
    /* A sparse table must not hold everybody up, and a pattern that fits little neither. */
    int64_t steps = args.count > INT64_MAX / 10 ? INT64_MAX : args.count * 10;
    do {
        cursor = nd_db_scan(c->db, cursor, show, &w);
    } while (cursor != 0 && --steps > 0 && (int64_t)w.found.n < args.count);
    nd_scan_end(c, &w.found, cursor);
}

static void randomkey_command(struct nd_call *c)
{
    for (int tries = 0; nd_db_count(c->db) > 0; tries++) {
        struct nd_entry *entry = nd_db_random(c->db, &c->e->rng);
        struct slice key = nd_entry_key(entry);
        bool over = nd_time_is_over(c->now_ms, entry);
        bool enough = tries >= TRIES_AMONG_EXPIRED && (c->e->is_replica || nd_paused(c->e));
        if (!over || enough || nd_lookup(c, key, ND_PEEK) != NULL) {
            reply_bulk(c->r, key.p, key.n);
            return;
        }
    }
    reply_null(c->r);
}

const struct nd_command nd_walk_commands[] = {
    {
        .name = "keys",
        .arity = 2,
        .flags = ND_READONLY,
        .categories = ND_CAT_KEYSPACE | ND_CAT_DANGEROUS,
        .run = keys_command,
        .syntax = "pattern",
        .summary = "Lists the keys that fit a pattern, all at once.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(N), N being the keys of the database",
        .tips = "request_policy:all_shards nondeterministic_output_order",
    },
    {
        .name = "scan",
        .arity = -2,
        .flags = ND_READONLY,
        .categories = ND_CAT_KEYSPACE,
        .run = scan_command,
        .syntax = "cursor [MATCH pattern] [COUNT count] [TYPE type]{@6.0.0}",
        .summary = "Walks over the keys of the database, some at each call.",
        .since = "2.8.0",
        .group = "generic",
        .complexity = "O(1) for a call, O(N) for a whole walk, N being the keys",
        .tips = "nondeterministic_output request_policy:special",
    },
    {
        .name = "randomkey",
        .arity = 1,
        .flags = ND_READONLY,
        .categories = ND_CAT_KEYSPACE,
        .run = randomkey_command,
        .syntax = "",
        .summary = "Shows one of the keys of the database.",
        .since = "1.0.0",
        .group = "generic",
        .complexity = "O(1)",
        .tips = "request_policy:all_shards nondeterministic_output",
    },
    {.name = NULL},
};
