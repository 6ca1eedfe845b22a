/* Commands for whole databases: SELECT, DBSIZE, SWAPDB, FLUSHDB, FLUSHALL. */
#include "noded/cmd/database.h"

#include "common/base/text.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/extension.h"
#include "noded/cmd/watch.h"

#include <inttypes.h>
#include <stdio.h>

static struct nd_db *database_below(struct nd_call *c, size_t i, int end, int add)
{
    int64_t n;
    if (!nd_arg_int(c, i, &n))
        return NULL;
    if (n < 0 || n >= end) {
        nd_error(c, "ERR DB index is out of range");
        return NULL;
    }
    return nd_keyspace_db(&c->e->keys, (int)n + add);
}

struct nd_db *nd_database_arg(struct nd_call *c, size_t i)
{
    int count = c->e->keys.db_count;
    return database_below(c, i, count, nd_db_is_shadow(c->db) ? count : 0);
}

/* A stream or a log names the shadows by their own numbers. */
static void select_command(struct nd_call *c)
{
    bool of_dataset = c->s->kind == ND_MASTER;
    struct nd_db *db = of_dataset ? database_below(c, 1, nd_keyspace_all(&c->e->keys), 0) : nd_database_arg(c, 1);
    if (db == NULL)
        return;
    c->s->db = db;
    nd_ok(c);
}

static void dbsize_command(struct nd_call *c)
{
    reply_int(c->r, (int64_t)nd_db_count(c->db));
}

/* Those who watch or wait for keys of the two are told. */
static void swap(struct nd_engine *e, int n, int m)
{
    if (n == m)
        return;
    struct nd_db *a = nd_keyspace_db(&e->keys, n), *b = nd_keyspace_db(&e->keys, m);
    nd_watch_db_changed(e, a, b);
    nd_watch_db_changed(e, b, a);
    nd_keyspace_swap(&e->keys, n, m);
    nd_wait_db_ready(e, a);
    nd_wait_db_ready(e, b);
}

enum swapped { SWAPPED, SWAPPED_BEFORE, NOT_THE_NEXT };

static enum swapped swap_at_epoch(struct nd_engine *e, int n, int m, uint64_t epoch)
{
    uint64_t now = e->keys.mapping_epoch;
    if (epoch <= now)
        return SWAPPED_BEFORE;
    if (epoch - now > 1)
        return NOT_THE_NEXT;
    swap(e, n, m);
    e->keys.mapping_epoch = epoch;
    return SWAPPED;
}

bool nd_swapdb_epoch(struct nd_engine *e, int a, int b, uint64_t epoch)
{
    char numbers[3][24];
    if (a < 0 || a >= e->keys.db_count || b < 0 || b >= e->keys.db_count)
        return false;
    enum swapped done = swap_at_epoch(e, a, b, epoch);
    if (done != SWAPPED)
        return done == SWAPPED_BEFORE;
    snprintf(numbers[0], sizeof numbers[0], "%d", a);
    snprintf(numbers[1], sizeof numbers[1], "%d", b);
    snprintf(numbers[2], sizeof numbers[2], "%" PRIu64, epoch);
    struct slice words[] = {slice_of("SWAPDB"), slice_of(numbers[0]), slice_of(numbers[1]), slice_of("EPOCH"),
                            slice_of(numbers[2])};
    e->changes++;
    nd_effects_copy(e->effects, 0, sizeof words / sizeof words[0], words);
    if (e->depth == 0) { /* else the command that this is part of does the rest */
        nd_effects_flush(e);
        nd_serve_ready(e);
    }
    return true;
}

void nd_swapdb_forget(struct nd_engine *e)
{
    static const char *const text[] = {"SWAPDB", "0", "0", "EPOCH", "0"};
    struct slice words[5];
    if (e->keys.mapping_epoch == 0)
        return;
    e->keys.mapping_epoch = 0;
    for (size_t i = 0; i < 5; i++)
        words[i] = slice_of(text[i]);
    nd_effects_copy(e->effects, 0, 5, words);
}

/* What a master of a cluster did, as its stream and the log have it. */
static void swap_of_stream(struct nd_call *c, int n, int m)
{
    uint64_t epoch;
    if (!text_u64(c->argv[4], &epoch)) {
        nd_error(c, "ERR invalid EPOCH");
        return;
    }
    if (epoch == 0 && n == m) { /* nd_swapdb_forget() */
        c->e->keys.mapping_epoch = 0;
        nd_dirty(c, 1);
        nd_ok(c);
        return;
    }
    switch (swap_at_epoch(c->e, n, m, epoch)) {
    case SWAPPED:
        nd_dirty(c, 1);
        nd_ok(c);
        break;
    case SWAPPED_BEFORE: nd_ok(c); break;
    case NOT_THE_NEXT:
        nd_error(c, "ERR the databases are mapped as of epoch %" PRIu64 ", and %" PRIu64 " is not the next",
                 c->e->keys.mapping_epoch, epoch);
        break;
    }
}

/* One node alone would leave the shards disagreeing about which database is which: its supervisors are told what the
 * client wants, and the client waits until all masters have it. */
static void swap_by_supervisors(struct nd_call *c, int a, int b)
{
    struct cl_command wish = {.verb = CL_SWAP_WISH, .database_a = a, .database_b = b};
    if ((c->s->flags & ND_S_IN_EXEC) != 0)
        nd_error(c, "ERR SWAPDB is not allowed inside a transaction in cluster mode: it waits for all masters");
    else if (a == b)
        nd_ok(c);
    else
        nd_cluster_ask(c, &wish);
}

static void swapdb_command(struct nd_call *c)
{
    static const char *const bad[] = {"first", "second"};
    int64_t n[2];
    bool cluster = c->e->config.cluster_enabled, of_dataset = cluster && c->s->kind == ND_MASTER;
    bool epoch = of_dataset && c->argc == 5 && nd_arg_is(c, 3, "epoch");
    if (c->argc != 3 && !epoch) {
        nd_arity_error(c);
        return;
    }
    bool of_cluster = cluster && c->s->kind == ND_CLIENT; /* a master's word stands */
    if (of_cluster && nd_cluster_reply(c))
        return;
    if (of_cluster && (c->e->cluster == NULL || !cl_supervised(c->e->cluster->core))) {
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
    if (epoch) {
        swap_of_stream(c, (int)n[0], (int)n[1]);
        return;
    }
    if (of_cluster) {
        swap_by_supervisors(c, (int)n[0], (int)n[1]);
        return;
    }
    swap(c->e, (int)n[0], (int)n[1]);
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
    struct nd_cluster *cl = c->e->cluster;
    nd_effect(c, c->argc, c->argv);
    nd_ok(c);
    if (cl != NULL && cl->host.flushed != NULL)
        cl->host.flushed(cl->host.owner);
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
        .flags = ND_WRITE | ND_FAST | ND_LONGER_IN_STREAM,
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
