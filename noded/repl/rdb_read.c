#include "noded/repl/rdb_read.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/repl/rdb_extent.h"
#include "noded/repl/rdb_format.h"
#include "noded/store/dump.h"
#include "noded/store/dump_types.h"
#include "noded/store/little.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TAKEN_AT_ONCE 64          /* bytes taken behind a torn item whose length is not known yet */
#define HELD_KEPT ((size_t)65536) /* memory for torn items that is kept from one to the next */
#define KEY_SHOWN 64              /* bytes of a key in an error */

enum phase { PHASE_HEADER, PHASE_ITEMS, PHASE_CHECKSUM, PHASE_DONE, PHASE_BAD };

struct nd_rdb_reader {
    const struct nd_limits *limits;
    const struct nd_rdb_events *events;
    void *owner;
    const struct nd_keyspace *into;
    int version, db;
    int databases; /* of the file: its shadows begin behind them; 0: it has none */
    bool checksum;
    enum phase phase;
    struct buf held; /* an item whose end has not come yet */
    bool measuring;  /* it is an entry: its key ends at key_end, and extent goes on */
    size_t key_end;
    struct nd_extent extent;
    size_t need;             /* bytes that the item has at least */
    uint64_t taken, item_at; /* bytes of the file: so far, where the item begins */
    uint64_t sum, keys;
    struct nd_rdb_entry next; /* what was said of the next key */
    struct buf key_memory, value_memory, error;
};

struct nd_rdb_reader *nd_rdb_reader_new(const struct nd_limits *limits, const struct nd_keyspace *into, bool checksum,
                                        const struct nd_rdb_events *events, void *owner)
{
    struct nd_rdb_reader *r = mem_zalloc(sizeof *r);
    r->limits = limits;
    r->into = into;
    r->checksum = checksum;
    r->events = events;
    r->owner = owner;
    r->next = (struct nd_rdb_entry){.expire_ms = ND_NO_EXPIRE, .idle_s = -1, .freq = -1};
    return r;
}

void nd_rdb_reader_free(struct nd_rdb_reader *r)
{
    if (r == NULL)
        return;
    buf_free(&r->held);
    buf_free(&r->key_memory);
    buf_free(&r->value_memory);
    buf_free(&r->error);
    free(r);
}

const char *nd_rdb_error(const struct nd_rdb_reader *r)
{
    return buf_str((struct buf *)&r->error);
}

uint64_t nd_rdb_offset(const struct nd_rdb_reader *r)
{
    return r->taken;
}

uint64_t nd_rdb_keys(const struct nd_rdb_reader *r)
{
    return r->keys;
}

/* ---- errors ---- */

static enum nd_extent_status bad(struct nd_rdb_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static enum nd_extent_status bad(struct nd_rdb_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_printf(&r->error, "byte %" PRIu64 ": ", r->item_at);
    buf_vprintf(&r->error, fmt, ap);
    va_end(ap);
    r->phase = PHASE_BAD;
    return ND_EXTENT_BAD;
}

static enum nd_extent_status bad_key(struct nd_rdb_reader *r, struct slice key, const char *why)
{
    struct buf name = {0};
    text_quote(&name, key, KEY_SHOWN);
    bad(r, "key %s of database %d: %s", buf_str(&name), r->db, why);
    buf_free(&name);
    return ND_EXTENT_BAD;
}

static enum nd_extent_status damaged(struct nd_rdb_reader *r)
{
    return bad(r, "the data is damaged: a length makes no sense");
}

/* ---- items: each is looked at from its first byte; *used is its length when it is whole ---- */

static enum nd_extent_status lengths(struct nd_rdb_reader *r, const char *p, size_t n, uint64_t *out, size_t count,
                                     size_t *used)
{
    size_t at = 1;
    for (size_t i = 0; i < count; i++) {
        enum nd_extent_status s = nd_extent_length(p, n, &at, &out[i]);
        if (s != ND_EXTENT_DONE)
            return s == ND_EXTENT_BAD ? damaged(r) : s;
    }
    *used = at;
    return ND_EXTENT_DONE;
}

static enum nd_extent_status fixed(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    const unsigned char *b = (const unsigned char *)p + 1;
    size_t whole = 1 + (size_t)(p[0] == (char)RDB_OP_EXPIRE_MS ? 8 : p[0] == (char)RDB_OP_EXPIRE_S ? 4 : 1);
    if (n < whole)
        return ND_EXTENT_MORE;
    if (p[0] == (char)RDB_OP_EXPIRE_MS)
        r->next.expire_ms = (int64_t)nd_load64(b);
    else if (p[0] == (char)RDB_OP_EXPIRE_S)
        r->next.expire_ms = (int64_t)(int32_t)nd_load32(b) * 1000;
    else
        r->next.freq = b[0];
    *used = whole;
    return ND_EXTENT_DONE;
}

static enum nd_extent_status idle(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    uint64_t seconds;
    enum nd_extent_status s = lengths(r, p, n, &seconds, 1, used);
    if (s == ND_EXTENT_DONE)
        r->next.idle_s = seconds < INT32_MAX ? (int64_t)seconds : INT32_MAX;
    return s;
}

static enum nd_extent_status select_db(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    uint64_t db;
    enum nd_extent_status s = lengths(r, p, n, &db, 1, used);
    if (s != ND_EXTENT_DONE)
        return s;
    int here = nd_keyspace_number(r->into, db, r->databases);
    if (here < 0)
        return bad(r, "database %" PRIu64 ", but there are only %d (setting databases)", db, r->into->db_count);
    r->db = here;
    return s;
}

/* false: the callee does not want the file. */
static enum nd_extent_status told(struct nd_rdb_reader *r, bool ok, struct buf *why)
{
    enum nd_extent_status s = ok ? ND_EXTENT_DONE : bad(r, "%s", buf_str(why));
    buf_free(why);
    return s;
}

static enum nd_extent_status resize(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    uint64_t counts[2];
    struct buf why = {0};
    enum nd_extent_status s = lengths(r, p, n, counts, 2, used);
    if (s != ND_EXTENT_DONE || r->events->resize == NULL)
        return s;
    return told(r, r->events->resize(r->owner, r->db, counts[0], counts[1], &why), &why);
}

static enum nd_extent_status aux(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    size_t at = 1;
    for (int i = 0; i < 2; i++) {
        enum nd_extent_status s = at > n ? ND_EXTENT_MORE : nd_extent_string(p, n, &at);
        r->need = at;
        if (s != ND_EXTENT_DONE)
            return s == ND_EXTENT_BAD ? damaged(r) : s;
    }
    if (at > n)
        return ND_EXTENT_MORE;
    struct slice in = {p + 1, at - 1}, key, value;
    if (!nd_load_view(&in, &r->key_memory, &key) || !nd_load_view(&in, &r->value_memory, &value))
        return bad(r, "the data is damaged: a field of the file itself cannot be read");
    *used = at;
    struct buf why = {0};
    int64_t databases;
    if (slice_is(key, RDB_AUX_DATABASES) && text_range(value, 1, INT32_MAX, &databases))
        r->databases = (int)databases;
    return r->events->aux == NULL ? ND_EXTENT_DONE : told(r, r->events->aux(r->owner, key, value, &why), &why);
}

/* ---- entries ---- */

static enum nd_extent_status deliver(struct nd_rdb_reader *r, const char *p, size_t whole)
{
    struct slice in = {p + 1, r->key_end - 1};
    struct nd_rdb_entry *e = &r->next;
    struct buf why = {0};
    if (!nd_load_view(&in, &r->key_memory, &e->key))
        return bad(r, "the data is damaged: a key cannot be read");
    int type = (unsigned char)p[0];
    in = (struct slice){p + r->key_end, whole - r->key_end};
    e->db = r->db;
    e->is_text = type == RDB_STRING;
    bool ok;
    if (e->is_text) {
        ok = nd_load_view(&in, &r->value_memory, &e->text);
        if (!ok)
            buf_puts(&why, "its data is damaged");
    } else {
        ok = nd_load_value(&in, type, r->limits, &e->value, &why);
    }
    ok = ok && r->events->entry(r->owner, e, &why);
    enum nd_extent_status s = ok ? ND_EXTENT_DONE : bad_key(r, e->key, buf_str(&why));
    buf_free(&why);
    r->keys += ok;
    r->next = (struct nd_rdb_entry){.expire_ms = ND_NO_EXPIRE, .idle_s = -1, .freq = -1};
    return s;
}

/* Nobody knows how far it reaches, so what follows cannot be read either. */
static enum nd_extent_status unknown(struct nd_rdb_reader *r, const char *p, size_t key_end)
{
    int type = (unsigned char)p[0];
    struct slice in = {p + 1, key_end - 1}, key;
    struct buf why = {0};
    const char *name = nd_load_unknown(type);
    if (name == NULL || !nd_load_view(&in, &r->key_memory, &key))
        return bad(r, "there is no type %d of values: the data is damaged", type);
    buf_printf(&why, "it is %s (RDB type %d), which this server does not have", name, type);
    bad_key(r, key, buf_str(&why));
    buf_free(&why);
    return ND_EXTENT_BAD;
}

static enum nd_extent_status entry(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    enum nd_extent_status s;
    if (!r->measuring) {
        size_t at = 1;
        int type = (unsigned char)p[0];
        s = nd_extent_string(p, n, &at);
        r->need = at;
        if (s != ND_EXTENT_DONE || at > n)
            return s == ND_EXTENT_BAD ? damaged(r) : ND_EXTENT_MORE;
        if (!nd_extent_begin(&r->extent, type, at))
            return unknown(r, p, at);
        r->key_end = at;
        r->measuring = true;
    }
    s = nd_extent_go_on(&r->extent, p, n);
    r->need = r->extent.at;
    if (s != ND_EXTENT_DONE)
        return s == ND_EXTENT_BAD ? damaged(r) : s;
    r->measuring = false;
    *used = r->extent.at;
    return deliver(r, p, *used);
}

static enum nd_extent_status item(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    uint64_t unused[3];
    switch ((unsigned char)p[0]) {
    case RDB_OP_EXPIRE_MS:
    case RDB_OP_EXPIRE_S:
    case RDB_OP_FREQ: return fixed(r, p, n, used);
    case RDB_OP_IDLE: return idle(r, p, n, used);
    case RDB_OP_SELECT: return select_db(r, p, n, used);
    case RDB_OP_RESIZE: return resize(r, p, n, used);
    case RDB_OP_AUX: return aux(r, p, n, used);
    case RDB_OP_SLOT_INFO: return lengths(r, p, n, unused, 3, used);
    case RDB_OP_END:
        *used = 1;
        r->phase = r->version >= RDB_CHECKSUM_SINCE ? PHASE_CHECKSUM : PHASE_DONE;
        return ND_EXTENT_DONE;
    case RDB_OP_FUNCTION_2:
    case RDB_OP_FUNCTION_OLD: return bad(r, "it has functions (FUNCTION LOAD), which this server does not have");
    case RDB_OP_MODULE_AUX: return bad(r, "it has data of a module, which this server does not have");
    default: return entry(r, p, n, used);
    }
}

/* ---- the frame ---- */

static bool begins_with(struct slice head, const char *magic)
{
    size_t n = strlen(magic);
    return head.n == 0 || memcmp(head.p, magic, head.n < n ? head.n : n) == 0;
}

bool nd_rdb_begins(struct slice head)
{
    return begins_with(head, RDB_MAGIC) || begins_with(head, RDB_MAGIC_VALKEY);
}

static enum nd_extent_status header(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    struct slice head = {p, n};
    if (!nd_rdb_begins(head))
        return bad(r, "it is no RDB file: it begins with neither " RDB_MAGIC " nor " RDB_MAGIC_VALKEY);
    r->need = RDB_HEADER_BYTES;
    if (n < RDB_HEADER_BYTES)
        return ND_EXTENT_MORE;
    int64_t version = 0;
    for (size_t i = strlen(begins_with(head, RDB_MAGIC) ? RDB_MAGIC : RDB_MAGIC_VALKEY); i < RDB_HEADER_BYTES; i++) {
        if (p[i] < '0' || p[i] > '9')
            return bad(r, "its version is no number");
        version = 10 * version + (p[i] - '0');
    }
    if (version < 1 || !nd_rdb_version_is_known((uint64_t)version))
        return bad(r, "its RDB version is %" PRId64 ", and this server reads those up to %d and Valkey's %d", version,
                   ND_RDB_VERSION_MAX, ND_RDB_VERSION_VALKEY);
    r->version = (int)version;
    r->phase = PHASE_ITEMS;
    *used = RDB_HEADER_BYTES;
    return ND_EXTENT_DONE;
}

static enum nd_extent_status checksum(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    r->need = RDB_CHECKSUM_BYTES;
    if (n < RDB_CHECKSUM_BYTES)
        return ND_EXTENT_MORE;
    uint64_t said = nd_load64((const unsigned char *)p);
    if (r->checksum && said != 0 && said != r->sum)
        return bad(r, "the checksum is wrong: the file is damaged");
    r->phase = PHASE_DONE;
    *used = RDB_CHECKSUM_BYTES;
    return ND_EXTENT_DONE;
}

static enum nd_extent_status step(struct nd_rdb_reader *r, const char *p, size_t n, size_t *used)
{
    r->need = 0;
    if (r->phase == PHASE_HEADER)
        return header(r, p, n, used);
    if (r->phase == PHASE_CHECKSUM)
        return checksum(r, p, n, used);
    return item(r, p, n, used);
}

/* ---- feeding ---- */

static void take(struct nd_rdb_reader *r, struct slice *in, size_t n)
{
    in->p += n;
    in->n -= n;
    r->taken += n;
}

/* One item, from the input itself when it is there whole. */
static enum nd_extent_status from_input(struct nd_rdb_reader *r, struct slice *in)
{
    size_t used = 0;
    r->item_at = r->taken;
    enum nd_extent_status s = step(r, in->p, in->n, &used);
    if (s == ND_EXTENT_MORE) {
        buf_put(&r->held, in->p, in->n);
        used = in->n;
    }
    if (s != ND_EXTENT_BAD)
        take(r, in, used);
    return s;
}

/* One item whose beginning came earlier: no more is taken than it has, as far as that is known. */
static enum nd_extent_status from_held(struct nd_rdb_reader *r, struct slice *in)
{
    size_t used = 0, before = r->held.n;
    size_t more = r->need > before ? r->need - before : TAKEN_AT_ONCE;
    if (more > in->n)
        more = in->n;
    buf_put(&r->held, in->p, more);
    enum nd_extent_status s = step(r, r->held.p, r->held.n, &used);
    if (s == ND_EXTENT_BAD)
        return s;
    if (s == ND_EXTENT_DONE) {
        more = used - before;
        buf_clear(&r->held);
        if (r->held.cap > HELD_KEPT)
            buf_free(&r->held);
    }
    take(r, in, more);
    return s;
}

enum nd_rdb_status nd_rdb_feed(struct nd_rdb_reader *r, struct slice *in, size_t budget)
{
    const char *from = in->p, *summed = in->p;
    while (in->n > 0 && r->phase < PHASE_DONE && (budget == 0 || (size_t)(in->p - from) < budget)) {
        enum phase before = r->phase;
        enum nd_extent_status s = r->held.n > 0 ? from_held(r, in) : from_input(r, in);
        if (s == ND_EXTENT_BAD)
            return ND_RDB_BAD;
        /* All bytes that came before the checksum count, wherever they are kept. */
        if (r->checksum && before < PHASE_CHECKSUM && r->phase != before) {
            r->sum = nd_crc64(r->sum, summed, (size_t)(in->p - summed));
            summed = in->p;
        }
    }
    if (r->checksum && r->phase < PHASE_CHECKSUM)
        r->sum = nd_crc64(r->sum, summed, (size_t)(in->p - summed));
    return r->phase == PHASE_DONE ? ND_RDB_DONE : r->phase == PHASE_BAD ? ND_RDB_BAD : ND_RDB_MORE;
}
