/* Strings that are read and set whole. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/notify.h"
#include "noded/store/string.h"

#include <stdio.h>

/* ---- reading ---- */

/* The string of argument 1, answered. false: there is none (answered null), or it is no string (answered so). */
static bool reply_string(struct nd_call *c, struct nd_entry **e)
{
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_READ, e))
        return false;
    if (*e == NULL) {
        reply_null(c->r);
        return false;
    }
    nd_value_reply(c, &(*e)->v);
    return true;
}

static void get(struct nd_call *c)
{
    struct nd_entry *e;
    reply_string(c, &e);
}

#define AHEAD 16        /* keys that are asked for together before the first of them is looked up */
#define AHEAD_KEYS 4096 /* a database with fewer keys is in the processor's cache anyway */
_Static_assert(AHEAD <= ND_PREFETCH_MAX, "so many can be prefetched");

/* Brings the next keys near: argument i, and each `step`th behind it. */
static void look_ahead(struct nd_call *c, size_t i, size_t step)
{
    struct slice keys[AHEAD];
    size_t n = 0;
    if (nd_db_count(c->db) < AHEAD_KEYS)
        return;
    for (; i < c->argc && n < AHEAD; i += step)
        keys[n++] = c->argv[i];
    nd_db_prefetch_all(c->db, keys, n);
}

static void mget(struct nd_call *c)
{
    reply_array(c->r, c->argc - 1);
    for (size_t i = 1; i < c->argc; i++) {
        if (i % AHEAD == 1 && c->argc > 3)
            look_ahead(c, i, 1);
        struct nd_entry *e = nd_lookup(c, c->argv[i], ND_READ);
        if (e != NULL && e->v.type == ND_STRING)
            nd_value_reply(c, &e->v);
        else
            reply_null(c->r);
    }
}

static void strlen_command(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        reply_int(c->r, e != NULL ? (int64_t)nd_string_length(&e->v) : 0);
}

/* ---- options of SET and GETEX ---- */

/* What is said about the time to live. One of them, but the same may be said again: the last counts. */
enum ttl { TTL_NONE, TTL_EX, TTL_PX, TTL_EXAT, TTL_PXAT, TTL_KEEP, TTL_PERSIST };

struct options {
    enum ttl ttl;
    size_t at; /* argument with the time */
    bool nx, xx, get;
};

static enum ttl ttl_word(const struct nd_call *c, size_t i)
{
    static const char *const words[] = {NULL, "ex", "px", "exat", "pxat", "keepttl", "persist"};
    for (enum ttl t = TTL_EX; t <= TTL_PERSIST; t++)
        if (nd_arg_is(c, i, words[t]))
            return t;
    return TTL_NONE;
}

/* Reads the options from argument `from` on. of_set: those of SET, else of GETEX. false: answered. */
static bool read_options(struct nd_call *c, size_t from, bool of_set, struct options *o)
{
    *o = (struct options){.ttl = TTL_NONE};
    for (size_t i = from; i < c->argc; i++) {
        enum ttl t = ttl_word(c, i);
        bool with_time = t >= TTL_EX && t <= TTL_PXAT;
        if (t != TTL_NONE && (o->ttl == TTL_NONE || o->ttl == t) && (!with_time || i + 1 < c->argc) &&
            t != (of_set ? TTL_PERSIST : TTL_KEEP)) {
            o->ttl = t;
            if (with_time)
                o->at = ++i;
        } else if (of_set && nd_arg_is(c, i, "nx") && !o->xx) {
            o->nx = true;
        } else if (of_set && nd_arg_is(c, i, "xx") && !o->nx) {
            o->xx = true;
        } else if (of_set && nd_arg_is(c, i, "get")) {
            o->get = true;
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    return true;
}

/* The time of the options as Unix ms; what it is when none was given. false: answered. */
static bool read_expire(struct nd_call *c, const struct options *o, int64_t *expire_ms)
{
    if (o->at == 0)
        return true;
    bool seconds = o->ttl == TTL_EX || o->ttl == TTL_EXAT, absolute = o->ttl == TTL_EXAT || o->ttl == TTL_PXAT;
    return nd_arg_expire(c, o->at, seconds ? 1000 : 1, absolute, true, expire_ms);
}

/* ---- setting ---- */

/* SET of a key's value with an expiry, in words that mean the same at any time. */
static void effect_set(struct nd_call *c, struct slice value, int64_t expire_ms)
{
    char text[32];
    struct slice words[5] = {slice_of("SET"), c->argv[1], value, slice_of("PXAT"), {text, 0}};
    words[4].n = (size_t)snprintf(text, sizeof text, "%lld", (long long)expire_ms);
    nd_effect(c, expire_ms != ND_NO_EXPIRE ? 5 : 3, words);
}

/* The command without its GET: what it answers is no matter of those who follow. */
static void effect_without_get(struct nd_call *c, const struct options *o)
{
    struct slice words[5] = {slice_of("SET"), c->argv[1], c->argv[2]};
    size_t n = 3;
    if (o->nx || o->xx)
        words[n++] = slice_of(o->nx ? "NX" : "XX");
    if (o->ttl == TTL_KEEP)
        words[n++] = slice_of("KEEPTTL");
    nd_effect(c, n, words);
}

/* Sets a key to `value` whatever it was. keep: the time to live stays. */
static void put(struct nd_call *c, struct nd_entry *old, struct slice key, struct slice value, int64_t expire_ms,
                bool keep)
{
    if (keep && old != NULL)
        expire_ms = nd_entry_expire(old);
    nd_put_string(c, old, key, value, true, expire_ms);
    nd_changed(c, key, 1);
    nd_notify(c, ND_EV_STRING, "set", key);
}

/* Argument 1 gets a value that expires, which is said with the time itself. */
static void put_expiring(struct nd_call *c, struct nd_entry *old, struct slice value, int64_t expire_ms)
{
    put(c, old, c->argv[1], value, expire_ms, false);
    nd_notify(c, ND_EV_GENERIC, "expire", c->argv[1]);
    effect_set(c, value, expire_ms);
}

static void set_with_options(struct nd_call *c)
{
    struct options o;
    int64_t expire_ms = ND_NO_EXPIRE;
    struct nd_entry *old;
    if (!read_options(c, 3, true, &o) || !read_expire(c, &o, &expire_ms))
        return;
    if (o.get) {
        if (!nd_typed(c, c->argv[1], ND_STRING, ND_READ, &old))
            return;
        if (old != NULL)
            nd_value_reply(c, &old->v);
        else
            reply_null(c->r);
    }
    old = nd_lookup(c, c->argv[1], ND_CHANGE);
    if ((o.nx && old != NULL) || (o.xx && old == NULL)) {
        if (!o.get)
            reply_null(c->r);
        return;
    }
    if (o.at > 0)
        put_expiring(c, old, c->argv[2], expire_ms);
    else
        put(c, old, c->argv[1], c->argv[2], ND_NO_EXPIRE, o.ttl == TTL_KEEP);
    if (o.get && o.at == 0)
        effect_without_get(c, &o);
    if (!o.get)
        nd_ok(c);
}

static void set(struct nd_call *c)
{
    if (c->argc > 3) {
        set_with_options(c);
        return;
    }
    put(c, nd_lookup(c, c->argv[1], ND_CHANGE), c->argv[1], c->argv[2], ND_NO_EXPIRE, false);
    nd_ok(c);
}

static void setnx(struct nd_call *c)
{
    bool there = nd_lookup(c, c->argv[1], ND_CHANGE) != NULL;
    if (!there)
        put(c, NULL, c->argv[1], c->argv[2], ND_NO_EXPIRE, false);
    reply_int(c->r, !there);
}

static void set_for_a_time(struct nd_call *c, int64_t unit_ms)
{
    int64_t expire_ms;
    if (!nd_arg_expire(c, 2, unit_ms, false, true, &expire_ms))
        return;
    put_expiring(c, nd_lookup(c, c->argv[1], ND_CHANGE), c->argv[3], expire_ms);
    nd_ok(c);
}

static void setex(struct nd_call *c)
{
    set_for_a_time(c, 1000);
}

static void psetex(struct nd_call *c)
{
    set_for_a_time(c, 1);
}

static void set_many(struct nd_call *c)
{
    for (size_t i = 1; i < c->argc; i += 2) {
        if (i / 2 % AHEAD == 0 && c->argc > 5)
            look_ahead(c, i, 2);
        put(c, nd_lookup(c, c->argv[i], ND_CHANGE), c->argv[i], c->argv[i + 1], ND_NO_EXPIRE, false);
    }
}

static void mset(struct nd_call *c)
{
    if (c->argc % 2 == 0) {
        nd_arity_error(c);
        return;
    }
    set_many(c);
    nd_ok(c);
}

static void msetnx(struct nd_call *c)
{
    if (c->argc % 2 == 0) {
        nd_arity_error(c);
        return;
    }
    for (size_t i = 1; i < c->argc; i += 2) {
        if (nd_lookup(c, c->argv[i], ND_CHANGE) != NULL) {
            reply_int(c->r, 0);
            return;
        }
    }
    set_many(c);
    reply_int(c->r, 1);
}

/* ---- reading and changing at once ---- */

static void getset(struct nd_call *c)
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        return;
    if (e != NULL)
        nd_value_reply(c, &e->v);
    else
        reply_null(c->r);
    put(c, nd_lookup(c, c->argv[1], ND_CHANGE), c->argv[1], c->argv[2], ND_NO_EXPIRE, false);
    effect_set(c, c->argv[2], ND_NO_EXPIRE);
}

static void getdel(struct nd_call *c)
{
    struct nd_entry *e;
    if (!reply_string(c, &e))
        return;
    nd_delete(c, c->db, e, false);
    nd_changed(c, c->argv[1], 1);
    nd_notify(c, ND_EV_GENERIC, "del", c->argv[1]);
    nd_effect_key(c, "DEL", c->argv[1]);
}

static void expire_at(struct nd_call *c, struct nd_entry *e, int64_t expire_ms)
{
    char text[32];
    struct slice words[3] = {slice_of("PEXPIREAT"), c->argv[1], {text, 0}};
    words[2].n = (size_t)snprintf(text, sizeof text, "%lld", (long long)expire_ms);
    nd_db_set_expire(c->db, e, expire_ms);
    nd_changed(c, c->argv[1], 1);
    nd_effect(c, 3, words);
    nd_notify(c, ND_EV_GENERIC, "expire", c->argv[1]);
}

static void getex(struct nd_call *c)
{
    struct options o;
    int64_t expire_ms = ND_NO_EXPIRE;
    struct nd_entry *e;
    if (!read_options(c, 2, false, &o) || !nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        return;
    if (e == NULL) {
        reply_null(c->r);
        return;
    }
    if (!read_expire(c, &o, &expire_ms))
        return;
    nd_value_reply(c, &e->v);
    bool absolute = o.ttl == TTL_EXAT || o.ttl == TTL_PXAT;
    if (absolute && expire_ms <= c->now_ms && !c->e->loading && !nd_outlives_its_time(c)) {
        bool lazy = c->e->config.lazyfree_lazy_expire;
        nd_delete(c, c->db, e, lazy);
        nd_changed(c, c->argv[1], 1);
        nd_effect_key(c, lazy ? "UNLINK" : "DEL", c->argv[1]);
        nd_notify(c, ND_EV_GENERIC, "del", c->argv[1]);
    } else if (o.at > 0) {
        expire_at(c, e, expire_ms);
    } else if (o.ttl == TTL_PERSIST && e->v.has_expire) {
        nd_db_set_expire(c->db, e, ND_NO_EXPIRE);
        nd_changed(c, c->argv[1], 1);
        nd_effect_key(c, "PERSIST", c->argv[1]);
        nd_notify(c, ND_EV_GENERIC, "persist", c->argv[1]);
    }
}

/* SET only looks at what was there before when it is to show it. */
static const char *set_key_flags(const struct slice *argv, size_t argc, int key)
{
    (void)key;
    for (size_t i = 3; i < argc; i++)
        if (slice_ieq(argv[i], "get"))
            return "RW ACCESS UPDATE";
    return "OW UPDATE";
}

/* ---- rows ---- */

#define ROW(word, fn, args, bits, access, arguments, text, version, cost)                               \
    {                                                                                                   \
        .name = (word), .arity = (args), .flags = (bits), .categories = ND_CAT_STRING, .run = (fn),     \
        .keys = {{.flags = (access), .first = 1, .step = 1}}, .syntax = (arguments), .summary = (text), \
        .since = (version), .group = "string", .complexity = (cost)                                     \
    }
#define MANY(word, fn, args, bits, access, every, arguments, text, version, cost, hints)                \
    {                                                                                                   \
        .name = (word), .arity = (args), .flags = (bits), .categories = ND_CAT_STRING, .run = (fn),     \
        .keys = {{.flags = (access), .first = 1, .last = -1, .step = (every)}}, .syntax = (arguments),  \
        .summary = (text), .since = (version), .group = "string", .complexity = (cost), .tips = (hints) \
    }
#define TIMES "EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | "

const struct nd_command nd_string_commands[] = {
    ROW("get", get, 2, ND_READONLY | ND_FAST, "RO ACCESS", "key", "Shows the string that a key holds.", "1.0.0",
        "O(1)"),
    ROW("getdel", getdel, 2, ND_WRITE | ND_FAST, "RW ACCESS DELETE", "key",
        "Shows the string that a key holds and deletes the key.", "6.2.0", "O(1)"),
    ROW("getex", getex, -2, ND_WRITE | ND_FAST, "RW ACCESS UPDATE", "key [" TIMES "PERSIST]{expiration}",
        "Shows the string that a key holds, and may set or take away its time to live.", "6.2.0", "O(1)"),
    ROW("getset", getset, 3, ND_WRITE | ND_DENYOOM | ND_FAST, "RW ACCESS UPDATE", "key value",
        "Sets a string and shows the one before. SET with GET does the same.", "1.0.0", "O(1)"),
    MANY("mget", mget, -2, ND_READONLY | ND_FAST, "RO ACCESS", 1, "key [key ...]",
         "Shows the strings that several keys hold.", "1.0.0", "O(N) for N keys", "request_policy:multi_shard"),
    MANY("mset", mset, -3, ND_WRITE | ND_DENYOOM, "OW UPDATE", 2, "key value [key value ...]",
         "Sets several strings at once.", "1.0.1", "O(N) for N keys",
         "request_policy:multi_shard response_policy:all_succeeded"),
    MANY("msetnx", msetnx, -3, ND_WRITE | ND_DENYOOM, "OW INSERT", 2, "key value [key value ...]",
         "Sets several strings at once if none of the keys is there.", "1.0.1", "O(N) for N keys",
         "request_policy:multi_shard response_policy:agg_min"),
    ROW("psetex", psetex, 4, ND_WRITE | ND_DENYOOM, "OW UPDATE", "key milliseconds value",
        "Sets a string with a time to live in milliseconds.", "2.6.0", "O(1)"),
    {.name = "set",
     .arity = -3,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_STRING,
     .run = set,
     .keys = {{.flags = "RW ACCESS UPDATE VARIABLE_FLAGS", .first = 1, .step = 1}},
     .key_flags = set_key_flags,
     .syntax = "key value [NX | XX]{condition @2.6.12} [GET]{@6.2.0} [EX seconds{@2.6.12} | PX milliseconds{@2.6.12} "
               "| EXAT unix-time-seconds{@6.2.0} | PXAT unix-time-milliseconds{@6.2.0} | "
               "KEEPTTL{@6.0.0}]{expiration}",
     .summary = "Sets a string, whatever the key held before; with options only under a condition, or for a time.",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(1)"},
    ROW("setex", setex, 4, ND_WRITE | ND_DENYOOM, "OW UPDATE", "key seconds value",
        "Sets a string with a time to live in seconds.", "2.0.0", "O(1)"),
    ROW("setnx", setnx, 3, ND_WRITE | ND_DENYOOM | ND_FAST, "OW INSERT", "key value",
        "Sets a string unless the key is there.", "1.0.0", "O(1)"),
    ROW("strlen", strlen_command, 2, ND_READONLY | ND_FAST, "RO", "key", "Shows how many bytes a string has.", "2.2.0",
        "O(1)"),
    {0},
};
