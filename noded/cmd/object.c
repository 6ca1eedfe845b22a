/* OBJECT: what is known of a value beside its contents. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/families.h"

#include <limits.h>

#define SHARED_NUMBERS 10000 /* Redis keeps one object for each of 0 to 9,999 */

static bool is_lfu(const struct nd_call *c)
{
    return c->e->config.maxmemory_policy == ND_ALLKEYS_LFU || c->e->config.maxmemory_policy == ND_VOLATILE_LFU;
}

static bool is_lru(const struct nd_call *c)
{
    return c->e->config.maxmemory_policy == ND_ALLKEYS_LRU || c->e->config.maxmemory_policy == ND_VOLATILE_LRU;
}

static struct nd_entry *find(struct nd_call *c)
{
    struct nd_entry *e = nd_lookup(c, c->argv[2], ND_PEEK);
    if (e == NULL)
        reply_null(c->r);
    return e;
}

static void encoding(struct nd_call *c)
{
    const struct nd_entry *e = find(c);
    if (e != NULL)
        reply_bulks(c->r, nd_encoding_name((enum nd_encoding)e->v.enc));
}

/* Nothing is shared here, but a client is told what it would be told by Redis: a small number has the count of an
 * object that lives for ever, unless eviction needs an age for each. */
static void refcount(struct nd_call *c)
{
    const struct nd_entry *e = find(c);
    if (e == NULL)
        return;
    bool shared = e->v.enc == ND_ENC_INT && e->v.num >= 0 && e->v.num < SHARED_NUMBERS &&
                  (c->e->config.maxmemory == 0 || (!is_lru(c) && !is_lfu(c)));
    reply_int(c->r, shared ? INT_MAX : 1);
}

static void idletime(struct nd_call *c)
{
    const struct nd_entry *e = find(c);
    if (e == NULL)
        return;
    if (is_lfu(c))
        nd_error(c, "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching "
                    "between policies at runtime LRU and LFU data will take some time to adjust.");
    else
        reply_int(c->r, nd_age_idle_s(c->e, &e->v));
}

static void freq(struct nd_call *c)
{
    const struct nd_entry *e = find(c);
    if (e == NULL)
        return;
    if (!is_lfu(c))
        nd_error(c, "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
                    "switching between policies at runtime LRU and LFU data will take some time to adjust.");
    else
        reply_int(c->r, nd_age_frequency(c->e, &e->v));
}

#define OF_KEY(word, does, text, first_version)                                                                     \
    {                                                                                                               \
        .name = word, .arity = 3, .flags = ND_READONLY, .categories = ND_CAT_KEYSPACE, .run = does,                 \
        .keys = {{.flags = "RO", .first = 2, .step = 1}}, .syntax = "key", .summary = text, .since = first_version, \
        .group = "generic", .complexity = "O(1)", .tips = "nondeterministic_output"                                 \
    }

static const struct nd_command object_subs[] = {
    OF_KEY("encoding", encoding, "Shows how the value of a key is encoded.", "2.2.3"),
    OF_KEY("freq", freq, "Shows how often a key is used, on a logarithmic scale (LFU policies).", "4.0.0"),
    {.name = "help",
     .arity = 2,
     .flags = ND_LOADING | ND_STALE,
     .categories = ND_CAT_KEYSPACE,
     .run = nd_help,
     .summary = "Shows what OBJECT can do.",
     .since = "6.2.0",
     .group = "generic",
     .complexity = "O(1)"},
    OF_KEY("idletime", idletime, "Shows the seconds since a key was last used.", "2.2.3"),
    OF_KEY("refcount", refcount, "Shows how many references a value has.", "2.2.3"),
    {0},
};

const struct nd_command nd_object_commands[] = {
    {.name = "object",
     .arity = -2,
     .categories = 0,
     .subs = object_subs,
     .summary = "Shows what is known of a value beside its contents.",
     .since = "2.2.3",
     .group = "generic",
     .complexity = "Depends on the subcommand."},
    {0},
};
