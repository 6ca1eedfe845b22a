/* Commands for whole databases: SELECT, DBSIZE, SWAPDB, FLUSHDB, FLUSHALL. */
#include "common/base/text.h"
#include "noded/cmd/block.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/extension.h"
#include "noded/cmd/watch.h"

static void select_command(struct nd_call *c)
{
    int64_t n;
    if (!nd_arg_int(c, 1, &n))
        return;
    if (n < 0 || n >= c->e->keys.db_count) {
        nd_error(c, "ERR DB index is out of range");
        return;
    }
    c->s->db = nd_keyspace_db(&c->e->keys, (int)n);
    nd_ok(c);
}

static void dbsize_command(struct nd_call *c)
{
    reply_int(c->r, (int64_t)nd_db_count(c->db));
}

static void swapdb_command(struct nd_call *c)
{
    static const char *const bad[] = {"first", "second"};
    int64_t n[2];
    /* One node alone would leave the shards disagreeing about which database is which. A master's word stands. */
    if (c->e->config.cluster_enabled && c->s->kind == ND_CLIENT) {
        nd_error(c, "ERR SWAPDB is not allowed in cluster mode");
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        if (!text_range(c->argv[i + 1], INT32_MIN, INT32_MAX, &n[i])) {
            nd_error(c, "ERR invalid %s DB index", bad[i]);
            return;
        }
    }
    struct nd_keyspace *keys = &c->e->keys;
    if (n[0] < 0 || n[0] >= keys->db_count || n[1] < 0 || n[1] >= keys->db_count) {
        nd_error(c, "ERR DB index is out of range");
        return;
    }
    if (n[0] != n[1]) {
        struct nd_db *a = nd_keyspace_db(keys, (int)n[0]), *b = nd_keyspace_db(keys, (int)n[1]);
        nd_watch_db_changed(c->e, a, b);
        nd_watch_db_changed(c->e, b, a);
        nd_keyspace_swap(keys, (int)n[0], (int)n[1]);
        nd_wait_db_ready(c->e, a);
        nd_wait_db_ready(c->e, b);
    }
    nd_dirty(c, 1);
    nd_ok(c);
}

/* SYNC, ASYNC, or what lazyfree-lazy-user-flush says. */
static bool flush_args(struct nd_call *c, bool *async)
{
    *async = c->e->config.lazyfree_lazy_user_flush;
    if (c->argc == 1)
        return true;
    bool is_async = nd_arg_is(c, 1, "async");
    if (c->argc > 2 || (!is_async && !nd_arg_is(c, 1, "sync"))) {
        nd_syntax_error(c);
        return false;
    }
    *async = is_async;
    return true;
}

static void flush(struct nd_call *c, struct nd_db *db, bool async)
{
    nd_watch_db_changed(c->e, db, NULL);
    nd_dirty(c, (int64_t)nd_db_count(db));
    if (!async) {
        nd_db_clear(db);
        return;
    }
    struct nd_content *content = nd_db_detach(db);
    if (content != NULL)
        c->e->host.release_content(c->e->host.owner, content);
}

/* Replicas are told even when there was nothing: they may hold what the node has not. */
static void end_flush(struct nd_call *c)
{
    nd_effect(c, c->argc, c->argv);
    nd_ok(c);
}

static void flushdb_command(struct nd_call *c)
{
    bool async;
    if (!flush_args(c, &async))
        return;
    flush(c, c->db, async);
    end_flush(c);
}

static void flushall_command(struct nd_call *c)
{
    bool async;
    if (!flush_args(c, &async))
        return;
    for (int i = 0; i < c->e->keys.db_count; i++) {
        struct nd_db *db = nd_keyspace_peek(&c->e->keys, i);
        if (db != NULL)
            flush(c, db, async);
    }
    const struct nd_extension *more = c->e->host.extension;
    if (more != NULL && more->flushed != NULL && more->flushed(c->e))
        c->dirty = 0;
    end_flush(c);
}

const struct nd_command nd_database_commands[] = {
    {
        .name = "select",
        .arity = 2,
        .flags = ND_LOADING | ND_STALE | ND_FAST,
        .categories = ND_CAT_CONNECTION,
        .run = select_command,
        .syntax = "index",
        .summary = "Chooses the database of this connection.",
        .since = "1.0.0",
        .group = "connection",
        .complexity = "O(1)",
    },
    {
        .name = "dbsize",
        .arity = 1,
        .flags = ND_READONLY | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = dbsize_command,
        .syntax = "",
        .summary = "Counts the keys of the database.",
        .since = "1.0.0",
        .group = "server",
        .complexity = "O(1)",
        .tips = "request_policy:all_shards response_policy:agg_sum",
    },
    {
        .name = "swapdb",
        .arity = 3,
        .flags = ND_WRITE | ND_FAST,
        .categories = ND_CAT_KEYSPACE | ND_CAT_DANGEROUS,
        .run = swapdb_command,
        .syntax = "index1 index2",
        .summary = "Exchanges the contents of two databases.",
        .since = "4.0.0",
        .group = "server",
        .complexity = "O(N), N being the clients that watch or wait for keys of the two",
    },
    {
        .name = "flushdb",
        .arity = -1,
        .flags = ND_WRITE,
        .categories = ND_CAT_KEYSPACE | ND_CAT_DANGEROUS,
        .run = flushdb_command,
        .syntax = "[ASYNC{@4.0.0} | SYNC{@6.2.0}]{async}",
        .summary = "Empties the database.",
        .since = "1.0.0",
        .group = "server",
        .complexity = "O(N), N being its keys; with ASYNC O(1)",
        .tips = "request_policy:all_shards response_policy:all_succeeded",
    },
    {
        .name = "flushall",
        .arity = -1,
        .flags = ND_WRITE,
        .categories = ND_CAT_KEYSPACE | ND_CAT_DANGEROUS,
        .run = flushall_command,
        .syntax = "[ASYNC{@4.0.0} | SYNC{@6.2.0}]{async}",
        .summary = "Empties all databases.",
        .since = "1.0.0",
        .group = "server",
        .complexity = "O(N), N being all keys; with ASYNC O(1) for each database",
        .tips = "request_policy:all_shards response_policy:all_succeeded",
    },
    {.name = NULL},
};
