/* Time to live: EXPIRE and its relatives, TTL and its relatives, PERSIST. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/notify.h"

#include <stdio.h>

/* ---- setting it ---- */

enum { NX = 1 << 0, XX = 1 << 1, GT = 1 << 2, LT = 1 << 3 };

static bool condition_args(struct nd_call *c, unsigned *out)
{
    static const char *const words[] = {"nx", "xx", "gt", "lt"};
    unsigned set = 0;
    for (size_t i = 3; i < c->argc; i++) {
        unsigned bit = 0;
        for (unsigned w = 0; w < 4; w++)
            if (nd_arg_is(c, i, words[w]))
                bit = 1U << w;
        if (bit == 0) {
            nd_error(c, "ERR Unsupported option %.*s", (int)c->argv[i].n, c->argv[i].p);
            return false;
        }
        set |= bit;
    }
    if ((set & NX) != 0 && (set & (XX | GT | LT)) != 0) {
        nd_error(c, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((set & GT) != 0 && (set & LT) != 0) {
        nd_error(c, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    *out = set;
    return true;
}

/* A key without an expiry lives for ever: nothing is later than that. */
static bool condition_holds(unsigned condition, int64_t now_has, int64_t at_ms)
{
    bool has = now_has != ND_NO_EXPIRE;
    if ((condition & NX) != 0 && has)
        return false;
    if ((condition & XX) != 0 && !has)
        return false;
    if ((condition & GT) != 0 && (!has || at_ms <= now_has))
        return false;
    return (condition & LT) == 0 || !has || at_ms < now_has;
}

/* The time is over already: the key goes at once. */
static void delete_now(struct nd_call *c, struct nd_entry *entry)
{
    struct slice key = c->argv[1];
    bool lazy = c->e->config.lazyfree_lazy_expire;
    nd_delete(c, c->db, entry, lazy);
    nd_changed(c, key, 1);
    nd_notify(c, ND_EV_GENERIC, "del", key);
    nd_effect_key(c, lazy ? "UNLINK" : "DEL", key);
}

/* Replicas get the point in time, whatever the client said. */
static void effect_of(struct nd_call *c, int64_t at_ms, bool as_it_came)
{
    if (as_it_came)
        return;
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)at_ms);
    struct slice words[7] = {slice_of("PEXPIREAT"), c->argv[1], {text, (size_t)n}};
    size_t argc = 3;
    for (size_t i = 3; i < c->argc && argc < 7; i++)
        words[argc++] = c->argv[i];
    nd_effect(c, argc, words);
}

static void set_expire(struct nd_call *c, int64_t unit_ms, bool absolute)
{
    unsigned condition;
    int64_t at_ms;
    if (!condition_args(c, &condition) || !nd_arg_expire(c, 2, unit_ms, absolute, false, &at_ms))
        return;
    struct nd_entry *entry = nd_lookup(c, c->argv[1], ND_CHANGE);
    if (entry == NULL || !condition_holds(condition, nd_entry_expire(entry), at_ms)) {
        reply_int(c->r, 0);
        return;
    }
    if (at_ms <= c->now_ms && !c->e->loading && !nd_outlives_its_time(c)) {
        delete_now(c, entry);
    } else {
        nd_db_set_expire(c->db, entry, at_ms);
        nd_changed(c, c->argv[1], 1);
        nd_notify(c, ND_EV_GENERIC, "expire", c->argv[1]);
        effect_of(c, at_ms, absolute && unit_ms == 1);
    }
    reply_int(c->r, 1);
}

static void expire_command(struct nd_call *c)
{
    set_expire(c, 1000, false);
}

static void pexpire_command(struct nd_call *c)
{
    set_expire(c, 1, false);
}

static void expireat_command(struct nd_call *c)
{
    set_expire(c, 1000, true);
}

static void pexpireat_command(struct nd_call *c)
{
    set_expire(c, 1, true);
}

static void persist_command(struct nd_call *c)
{
    struct nd_entry *entry = nd_lookup(c, c->argv[1], ND_CHANGE);
    if (entry == NULL || !entry->v.has_expire) {
        reply_int(c->r, 0);
        return;
    }
    nd_db_set_expire(c->db, entry, ND_NO_EXPIRE);
    nd_changed(c, c->argv[1], 1);
    nd_notify(c, ND_EV_GENERIC, "persist", c->argv[1]);
    reply_int(c->r, 1);
}

/* ---- asking for it ---- */

static void tell_expire(struct nd_call *c, int64_t unit_ms, bool absolute)
{
    const struct nd_entry *entry = nd_lookup(c, c->argv[1], ND_LOOK);
    if (entry == NULL || !entry->v.has_expire) {
        reply_int(c->r, entry == NULL ? -2 : -1);
        return;
    }
    int64_t ms = nd_entry_expire(entry) - (absolute ? 0 : c->now_ms);
    if (ms < 0)
        ms = 0;
    reply_int(c->r, unit_ms == 1 ? ms : ms / 1000 + (ms % 1000 >= 500));
}

static void ttl_command(struct nd_call *c)
{
    tell_expire(c, 1000, false);
}

static void pttl_command(struct nd_call *c)
{
    tell_expire(c, 1, false);
}

static void expiretime_command(struct nd_call *c)
{
    tell_expire(c, 1000, true);
}

static void pexpiretime_command(struct nd_call *c)
{
    tell_expire(c, 1, true);
}

#define SETS_EXPIRE(command_name, function, unit, first_version, what)                                           \
    {                                                                                                            \
        .name = command_name, .arity = -3, .flags = ND_WRITE | ND_FAST, .categories = ND_CAT_KEYSPACE,           \
        .run = function, .keys = {{.flags = "RW UPDATE", .first = 1, .last = 0, .step = 1}},                     \
        .syntax = "key " unit " [NX | XX | GT | LT]{condition @7.0.0}", .summary = what, .since = first_version, \
        .group = "generic", .complexity = "O(1)"                                                                 \
    }
#define TELLS_EXPIRE(command_name, function, first_version, what, tip)                                        \
    {                                                                                                         \
        .name = command_name, .arity = 2, .flags = ND_READONLY | ND_FAST, .categories = ND_CAT_KEYSPACE,      \
        .run = function, .keys = {{.flags = "RO ACCESS", .first = 1, .last = 0, .step = 1}}, .syntax = "key", \
        .summary = what, .since = first_version, .group = "generic", .complexity = "O(1)", .tips = tip        \
    }

const struct nd_command nd_expire_commands[] = {
    SETS_EXPIRE("expire", expire_command, "seconds", "1.0.0", "Lets a key live for so many seconds from now."),
    SETS_EXPIRE("pexpire", pexpire_command, "milliseconds", "2.6.0", "Lets a key live for so many milliseconds."),
    SETS_EXPIRE("expireat", expireat_command, "unix-time-seconds", "1.2.0", "Lets a key live until a Unix time."),
    SETS_EXPIRE("pexpireat", pexpireat_command, "unix-time-milliseconds", "2.6.0",
                "Lets a key live until a Unix time in milliseconds."),
    {
        .name = "persist",
        .arity = 2,
        .flags = ND_WRITE | ND_FAST,
        .categories = ND_CAT_KEYSPACE,
        .run = persist_command,
        .keys = {{.flags = "RW UPDATE", .first = 1, .last = 0, .step = 1}},
        .syntax = "key",
        .summary = "Takes the expiry from a key: it lives until it is deleted.",
        .since = "2.2.0",
        .group = "generic",
        .complexity = "O(1)",
    },
    TELLS_EXPIRE("ttl", ttl_command, "1.0.0", "Tells how many seconds a key has left.", "nondeterministic_output"),
    TELLS_EXPIRE("pttl", pttl_command, "2.6.0", "Tells how many milliseconds a key has left.",
                 "nondeterministic_output"),
    TELLS_EXPIRE("expiretime", expiretime_command, "7.0.0", "Tells the Unix time at which a key expires.", NULL),
    TELLS_EXPIRE("pexpiretime", pexpiretime_command, "7.0.0",
                 "Tells the Unix time in milliseconds at which a key expires.", NULL),
    {.name = NULL},
};
