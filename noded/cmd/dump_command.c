/* DUMP and RESTORE. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/families.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/notify.h"
#include "noded/store/dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void dump(struct nd_call *c)
{
    struct nd_entry *e = nd_lookup(c, c->argv[1], ND_READ);
    if (e == NULL) {
        reply_null(c->r);
        return;
    }
    struct buf payload = {0};
    nd_dump_payload(&payload, &e->v, c->e->config.rdbcompression);
    reply_bulk(c->r, payload.p, payload.n);
    buf_free(&payload);
}

struct restore_options {
    int64_t ttl_ms; /* as given: relative unless absolute; 0 none */
    bool replace, absolute;
    int64_t idle_s, frequency; /* -1: not given */
};

static bool restore_options(struct nd_call *c, struct restore_options *o)
{
    *o = (struct restore_options){.idle_s = -1, .frequency = -1};
    for (size_t i = 4; i < c->argc; i++) {
        if (nd_arg_is(c, i, "replace")) {
            o->replace = true;
        } else if (nd_arg_is(c, i, "absttl")) {
            o->absolute = true;
        } else if (nd_arg_is(c, i, "idletime") && i + 1 < c->argc && o->frequency < 0) {
            if (!nd_arg_i64(c, ++i, &o->idle_s))
                return false;
            if (o->idle_s < 0) {
                nd_error(c, "ERR Invalid IDLETIME value, must be >= 0");
                return false;
            }
        } else if (nd_arg_is(c, i, "freq") && i + 1 < c->argc && o->idle_s < 0) {
            if (!nd_arg_i64(c, ++i, &o->frequency))
                return false;
            if (o->frequency < 0 || o->frequency > 255) {
                nd_error(c, "ERR Invalid FREQ value, must be >= 0 and <= 255");
                return false;
            }
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    return true;
}

/* The command as replicas get it: its time to live must not begin again when it arrives there. */
static void restore_effect(struct nd_call *c, int64_t expire_ms)
{
    struct slice argv[16];
    char at[24];
    size_t n = c->argc < 15 ? c->argc : 15;
    for (size_t i = 0; i < n; i++)
        argv[i] = c->argv[i];
    int length = snprintf(at, sizeof at, "%" PRId64, expire_ms);
    argv[2] = (struct slice){at, (size_t)length};
    argv[n++] = slice_of("ABSTTL");
    nd_effect(c, n, argv);
}

/* The database that was selected is another one than the node that sends the key took it for (SAFETY H4). */
static bool is_misplaced(struct nd_call *c)
{
    uint64_t here = c->e->keys.mapping_epoch, meant = c->s->mapping_meant;
    if (meant == 0 || meant - 1 == here)
        return false;
    nd_error(c,
             "TRYAGAIN The mapping of databases has epoch %" PRIu64 " here, and epoch %" PRIu64
             " where the key comes from: their swap is not over yet",
             here, meant - 1);
    return true;
}

static void restore(struct nd_call *c)
{
    struct restore_options o;
    if (!restore_options(c, &o) || is_misplaced(c))
        return;
    struct slice key = c->argv[1];
    struct nd_entry *old = nd_lookup(c, key, ND_CHANGE);
    if (old != NULL && !o.replace) {
        nd_error(c, "BUSYKEY Target key name already exists.");
        return;
    }
    if (!nd_arg_i64(c, 2, &o.ttl_ms))
        return;
    if (o.ttl_ms < 0) {
        nd_error(c, "ERR Invalid TTL value, must be >= 0");
        return;
    }
    struct nd_value value;
    struct buf why = {0};
    enum nd_payload loaded = nd_load_payload(c->argv[3], &c->e->config.limits, &value, &why);
    buf_free(&why);
    if (loaded != ND_PAYLOAD_OK) {
        nd_error(c, loaded == ND_PAYLOAD_VERSION ? "ERR DUMP payload version or checksum are wrong"
                                                 : "ERR Bad data format");
        return;
    }
    int64_t expire_ms = ND_NO_EXPIRE;
    if (o.ttl_ms > 0)
        expire_ms = o.absolute ? o.ttl_ms : o.ttl_ms > INT64_MAX - c->now_ms ? INT64_MAX : o.ttl_ms + c->now_ms;
    if (old != NULL)
        nd_delete(c, c->db, old, c->e->config.lazyfree_lazy_server_del);
    if (expire_ms != ND_NO_EXPIRE && expire_ms <= c->now_ms && !nd_outlives_its_time(c)) {
        /* It is over already: nothing is stored, and only what was there before is gone. */
        nd_value_free(&value);
        if (old != NULL) {
            nd_effect_key(c, c->e->config.lazyfree_lazy_server_del ? "UNLINK" : "DEL", key);
            nd_notify(c, ND_EV_GENERIC, "del", key);
            nd_changed(c, key, 1);
        }
        nd_ok(c);
        return;
    }
    struct nd_entry *e = nd_add_key_in(c, c->db, key, value, expire_ms);
    if (o.idle_s >= 0)
        e->v.age = nd_age_of_idle(c->e, o.idle_s) & 0xffffff;
    if (o.frequency >= 0)
        e->v.age = nd_age_of_frequency(c->e, (unsigned)o.frequency) & 0xffffff;
    if (o.ttl_ms > 0 && !o.absolute)
        restore_effect(c, expire_ms);
    nd_notify(c, ND_EV_GENERIC, "restore", key);
    nd_changed(c, key, 1);
    nd_ok(c);
}

const struct nd_command nd_dump_commands[] = {
    {.name = "dump",
     .arity = 2,
     .flags = ND_READONLY,
     .categories = ND_CAT_KEYSPACE,
     .run = dump,
     .keys = {{.flags = "RO ACCESS", .first = 1, .step = 1}},
     .syntax = "key",
     .summary = "Gives the value of a key in a form that RESTORE takes.",
     .since = "2.6.0",
     .group = "generic",
     .complexity = "O(1) to find the key, and O(N) for a value of N bytes.",
     .tips = "nondeterministic_output"},
    {.name = "restore",
     .arity = -4,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_KEYSPACE | ND_CAT_DANGEROUS,
     .run = restore,
     .keys = {{.flags = "OW UPDATE", .first = 1, .step = 1}},
     .syntax = "key ttl serialized-value [REPLACE]{@3.0.0} [ABSTTL]{@5.0.0} [IDLETIME seconds]{@5.0.0} "
               "[FREQ frequency]{@5.0.0}",
     .summary = "Makes a key from what DUMP gave.",
     .since = "2.6.0",
     .group = "generic",
     .complexity = "O(N) for a value of N bytes; O(N*log(N)) for a sorted set of N members."},
    {.name = "restore-asking",
     .arity = -4,
     .flags = ND_WRITE | ND_DENYOOM | ND_ASKING,
     .categories = ND_CAT_KEYSPACE | ND_CAT_DANGEROUS,
     .run = restore,
     .keys = {{.flags = "OW UPDATE", .first = 1, .step = 1}},
     .syntax = "key ttl serialized-value [REPLACE]{@3.0.0} [ABSTTL]{@5.0.0} [IDLETIME seconds]{@5.0.0} "
               "[FREQ frequency]{@5.0.0}",
     .summary = "RESTORE into a slot that is being imported; MIGRATE sends it.",
     .since = "3.0.0",
     .group = "server",
     .complexity = "O(N) for a value of N bytes; O(N*log(N)) for a sorted set of N members."},
    {0},
};
