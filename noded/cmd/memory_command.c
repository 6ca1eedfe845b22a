/* MEMORY: where the bytes are. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/families.h"
#include "noded/cmd/info.h"

#include "common/base/text.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>

size_t nd_key_memory(const struct nd_entry *e, size_t samples)
{
    size_t places = sizeof(void *) * (e->v.has_expire ? 2u : 1u);
    return malloc_usable_size((void *)(uintptr_t)e) + nd_value_memory(&e->v, samples) + places;
}

static void memory_usage(struct nd_call *c)
{
    int64_t samples = 5;
    for (size_t i = 3; i < c->argc; i++) {
        if (!nd_arg_is(c, i, "samples") || i + 1 >= c->argc) {
            nd_syntax_error(c);
            return;
        }
        if (!nd_arg_i64(c, ++i, &samples))
            return;
        if (samples < 0) {
            nd_syntax_error(c);
            return;
        }
    }
    const struct nd_entry *e = nd_lookup(c, c->argv[2], ND_PEEK);
    if (e == NULL) {
        reply_null(c->r);
        return;
    }
    reply_int(c->r, (int64_t)nd_key_memory(e, (size_t)samples));
}

struct stat_row {
    const char *name;
    int64_t number;
    double ratio; /* when it is not a number */
    bool is_ratio;
};

static double share(size_t a, size_t b)
{
    return b > 0 ? (double)a / (double)b : 0;
}

/* nd_arg texts of Redis: a ratio is a bulk string in RESP2 and a double in RESP3. */
static void put_rows(struct nd_call *c, const struct stat_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        reply_bulks(c->r, rows[i].name);
        if (rows[i].is_ratio)
            reply_double(c->r, rows[i].ratio);
        else
            reply_int(c->r, rows[i].number);
    }
}

static size_t put_databases(struct nd_call *c)
{
    size_t n = 0;
    for (int k = 0; k < c->e->keys.db_count; k++) {
        const struct nd_db *db = nd_keyspace_peek(&c->e->keys, k);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        reply_bulkf(c->r, "db.%d", k);
        reply_map(c->r, 2);
        reply_bulks(c->r, "overhead.hashtable.main");
        reply_int(c->r, (int64_t)nd_db_table_memory(db, false));
        reply_bulks(c->r, "overhead.hashtable.expires");
        reply_int(c->r, (int64_t)nd_db_table_memory(db, true));
        n++;
    }
    return n;
}

static void memory_stats(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    struct nd_facts f = {0};
    e->host.facts(e->host.owner, &f);
    size_t used = e->host.memory_used(e->host.owner), keys = 0;
    size_t overhead = nd_memory_overhead(e, &f), data = used > overhead ? used - overhead : 0;
    size_t peak = e->stats.peak_memory > used ? e->stats.peak_memory : used;
    size_t startup = e->stats.startup_memory, own = used > startup ? used - startup : 0;
    for (int k = 0; k < e->keys.db_count; k++)
        keys += nd_keyspace_peek(&e->keys, k) != NULL ? nd_db_count(nd_keyspace_peek(&e->keys, k)) : 0;
    const struct stat_row first[] = {
        {.name = "peak.allocated", .number = (int64_t)peak},
        {.name = "total.allocated", .number = (int64_t)used},
        {.name = "startup.allocated", .number = (int64_t)startup},
        {.name = "replication.backlog", .number = (int64_t)f.backlog_memory},
        {.name = "clients.slaves", .number = (int64_t)f.client_memory_replicas},
        {.name = "clients.normal", .number = (int64_t)f.client_memory_normal},
        {.name = "cluster.links", .number = (int64_t)f.cluster_links_memory},
        {.name = "aof.buffer", .number = (int64_t)f.aof_buffer},
    };
    const struct stat_row rest[] = {
        {.name = "overhead.total", .number = (int64_t)overhead},
        {.name = "keys.count", .number = (int64_t)keys},
        {.name = "keys.bytes-per-key", .number = keys > 0 ? (int64_t)(own / keys) : 0},
        {.name = "dataset.bytes", .number = (int64_t)data},
        {.name = "dataset.percentage", .ratio = 100 * share(data, own), .is_ratio = true},
        {.name = "peak.percentage", .ratio = 100 * share(used, peak), .is_ratio = true},
        {.name = "allocator.allocated", .number = (int64_t)f.allocated},
        {.name = "allocator.active", .number = (int64_t)f.active},
        {.name = "allocator.resident", .number = (int64_t)f.resident},
        {.name = "allocator-fragmentation.ratio", .ratio = share(f.active, f.allocated), .is_ratio = true},
        {.name = "allocator-fragmentation.bytes", .number = (int64_t)f.active - (int64_t)f.allocated},
        {.name = "allocator-rss.ratio", .ratio = share(f.resident, f.active), .is_ratio = true},
        {.name = "allocator-rss.bytes", .number = (int64_t)f.resident - (int64_t)f.active},
        {.name = "rss-overhead.ratio", .ratio = share(f.rss, f.resident), .is_ratio = true},
        {.name = "rss-overhead.bytes", .number = (int64_t)f.rss - (int64_t)f.resident},
        {.name = "fragmentation", .ratio = share(f.rss, used), .is_ratio = true},
        {.name = "fragmentation.bytes", .number = (int64_t)f.rss - (int64_t)used},
    };
    const size_t fixed = sizeof first / sizeof first[0] + sizeof rest / sizeof rest[0];
    size_t mark = reply_begin(c->r);
    put_rows(c, first, sizeof first / sizeof first[0]);
    size_t databases = put_databases(c);
    put_rows(c, rest, sizeof rest / sizeof rest[0]);
    reply_end_map(c->r, mark, fixed + databases);
}

static void memory_purge(struct nd_call *c)
{
    c->e->host.purge_memory(c->e->host.owner);
    nd_ok(c);
}

static void memory_malloc_stats(struct nd_call *c)
{
    struct buf text = {0};
    c->e->host.allocator_stats(c->e->host.owner, &text);
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

/* One sentence on each thing that an operator can do something about. */
static void memory_doctor(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    struct nd_facts f = {0};
    struct buf text = {0};
    e->host.facts(e->host.owner, &f);
    size_t used = e->host.memory_used(e->host.owner);
    const size_t enough = (size_t)5 << 20;
    if (used < enough)
        buf_puts(&text, "There is too little data for a judgement: less than 5 MB are used.\n");
    if (used >= enough && e->stats.peak_memory > used / 2 * 3)
        buf_puts(&text, "At its peak the server used more than 1.5 times of what it uses now; the process may still "
                        "hold that memory. MEMORY PURGE gives back what can be given back.\n");
    if (used >= enough && share(f.active, f.allocated) > 1.4)
        buf_puts(&text, "The allocator's pages are filled badly (fragmentation above 1.4): many values were deleted or "
                        "changed their size. A restart, or a failover to a replica, brings the memory together.\n");
    if (used >= enough && share(f.resident, f.active) > 1.1 && f.resident - f.active > ((size_t)10 << 20))
        buf_puts(&text, "The allocator holds pages that it does not use (above 1.1 times). MEMORY PURGE gives them "
                        "back.\n");
    if (e->session_count[ND_CLIENT] > 0 && f.client_memory_normal / e->session_count[ND_CLIENT] > 200 * 1024)
        buf_puts(&text, "Clients hold more than 200 KB each on average: large pipelines, or clients that do not read "
                        "their answers. CLIENT LIST shows them (tot-mem).\n");
    if (text.n == 0)
        buf_puts(&text, "Nothing is wrong with the memory of this server.\n");
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

static const struct nd_command memory_subs[] = {
    {.name = "doctor",
     .arity = 2,
     .run = memory_doctor,
     .syntax = "",
     .summary = "Says what an operator could do about the memory.",
     .since = "4.0.0",
     .group = "server",
     .complexity = "O(1)",
     .tips = "nondeterministic_output request_policy:all_shards response_policy:special"},
    {.name = "help",
     .arity = 2,
     .flags = ND_LOADING | ND_STALE,
     .run = nd_help,
     .syntax = "",
     .summary = "Shows what MEMORY can do.",
     .since = "4.0.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "malloc-stats",
     .arity = 2,
     .run = memory_malloc_stats,
     .syntax = "",
     .summary = "Shows the allocator's own figures.",
     .since = "4.0.0",
     .group = "server",
     .complexity = "Depends on how much memory is allocated.",
     .tips = "nondeterministic_output request_policy:all_shards response_policy:special"},
    {.name = "purge",
     .arity = 2,
     .run = memory_purge,
     .syntax = "",
     .summary = "Lets the allocator give back the pages that it does not use.",
     .since = "4.0.0",
     .group = "server",
     .complexity = "Depends on how much memory is allocated.",
     .tips = "request_policy:all_shards response_policy:all_succeeded"},
    {.name = "stats",
     .arity = 2,
     .run = memory_stats,
     .syntax = "",
     .summary = "Shows where the memory is.",
     .since = "4.0.0",
     .group = "server",
     .complexity = "O(1)",
     .tips = "nondeterministic_output request_policy:all_shards response_policy:special"},
    {.name = "usage",
     .arity = -3,
     .flags = ND_READONLY,
     .run = memory_usage,
     .keys = {{.flags = "RO", .first = 2, .step = 1}},
     .syntax = "key [SAMPLES count]",
     .summary = "Estimates the memory that a key and its value take.",
     .since = "4.0.0",
     .group = "server",
     .complexity = "O(N) for N samples."},
    {0},
};

const struct nd_command nd_memory_commands[] = {
    {.name = "memory",
     .arity = -2,
     .subs = memory_subs,
     .summary = "Where the bytes are.",
     .since = "4.0.0",
     .group = "server",
     .complexity = "Depends on the subcommand."},
    {0},
};
