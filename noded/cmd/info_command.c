/* INFO. */
#include "noded/cmd/call.h"
#include "noded/cmd/extension.h"
#include "noded/cmd/families.h"
#include "noded/cmd/info.h"

static void persistence(struct nd_info *i)
{
    const struct nd_extension *more = i->e->host.extension;
    (more != NULL && more->info_persistence != NULL ? more->info_persistence : nd_info_persistence)(i);
}

static void replication(struct nd_info *i)
{
    const struct nd_extension *more = i->e->host.extension;
    (more != NULL && more->info_replication != NULL ? more->info_replication : nd_info_replication)(i);
}

/* In the order in which they are shown. */
static const struct {
    const char *name;
    void (*write)(struct nd_info *);
    bool usual; /* shown when no section is named */
} sections[] = {
    {"server", nd_info_server, true},
    {"clients", nd_info_clients, true},
    {"memory", nd_info_memory, true},
    {"persistence", persistence, true},
    {"stats", nd_info_stats, true},
    {"replication", replication, true},
    {"cpu", nd_info_cpu, true},
    {"modules", nd_info_modules, true},
    {"commandstats", nd_info_commandstats, false},
    {"errorstats", nd_info_errorstats, true},
    {"latencystats", nd_info_latencystats, false},
    {"cluster", nd_info_cluster, true},
    {"keyspace", nd_info_keyspace, true},
};
#define SECTIONS (sizeof sections / sizeof sections[0])

static bool wanted(const struct nd_call *c, size_t section)
{
    if (c->argc == 1)
        return sections[section].usual;
    for (size_t i = 1; i < c->argc; i++)
        if (nd_arg_is(c, i, sections[section].name) || nd_arg_is(c, i, "everything") || nd_arg_is(c, i, "all") ||
            (nd_arg_is(c, i, "default") && sections[section].usual))
            return true;
    return false;
}

static void info(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    struct buf text = {0};
    struct nd_info i = {.e = e, .out = &text, .used = e->host.memory_used(e->host.owner)};
    e->host.facts(e->host.owner, &i.facts);
    if (i.used > e->stats.peak_memory)
        e->stats.peak_memory = i.used;
    for (size_t n = 0; n < SECTIONS; n++) {
        if (!wanted(c, n))
            continue;
        if (text.n > 0)
            buf_puts(&text, "\r\n");
        sections[n].write(&i);
    }
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

const struct nd_command nd_info_commands[] = {
    {.name = "info",
     .arity = -1,
     .flags = ND_LOADING | ND_STALE,
     .categories = ND_CAT_DANGEROUS,
     .run = info,
     .syntax = "[section [section ...]]",
     .summary = "Shows what is known of the server, in sections.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1)",
     .tips = "nondeterministic_output request_policy:all_shards response_policy:special"},
    {0},
};
