/* Strings that are read and changed in parts. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/string_edit.h"
#include "noded/store/string.h"

bool nd_length_allowed(struct nd_call *c, uint64_t n)
{
    /* What the master has accepted must be accepted here. */
    if (n <= (uint64_t)c->e->config.proto_max_bulk_len || c->s->kind == ND_MASTER)
        return true;
    nd_error(c, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

char *nd_string_edit(struct nd_call *c, struct slice key, struct nd_entry **e, size_t n)
{
    if (*e == NULL) {
        struct nd_value v = nd_string_make((struct slice){NULL, 0}, false);
        nd_string_writable(&v, n, n);
        *e = nd_add_key(c, key, v);
    }
    struct nd_value *v = &(*e)->v;
    if (v->embedded && v->len >= n) {
        v->enc = ND_ENC_RAW;
        return nd_entry_embedded(*e);
    }
    *e = nd_db_unembed(c->db, *e);
    return nd_string_grow(&(*e)->v, n);
}

static void append(struct nd_call *c)
{
    struct nd_entry *e;
    struct slice s = c->argv[2];
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_CHANGE, &e))
        return;
    size_t n = s.n;
    if (e == NULL) {
        nd_put_string(c, NULL, c->argv[1], s, true, ND_NO_EXPIRE);
    } else {
        size_t before = nd_string_length(&e->v);
        n += before;
        if (!nd_length_allowed(c, n))
            return;
        char *p = nd_string_edit(c, c->argv[1], &e, n);
        if (s.n > 0)
            memcpy(p + before, s.p, s.n);
    }
    nd_changed(c, c->argv[1], 1);
    nd_notify(c, ND_EV_STRING, "append", c->argv[1]);
    reply_int(c->r, (int64_t)n);
}

static void setrange(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t offset;
    struct slice s = c->argv[3];
    if (!nd_arg_i64(c, 2, &offset))
        return;
    if (offset < 0) {
        nd_error(c, "ERR offset is out of range");
        return;
    }
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_CHANGE, &e))
        return;
    if (s.n == 0) {
        reply_int(c->r, e != NULL ? (int64_t)nd_string_length(&e->v) : 0);
        return;
    }
    if (!nd_length_allowed(c, (uint64_t)offset + s.n))
        return;
    char *p = nd_string_edit(c, c->argv[1], &e, (size_t)offset + s.n);
    memcpy(p + offset, s.p, s.n);
    nd_changed(c, c->argv[1], 1);
    nd_notify(c, ND_EV_STRING, "setrange", c->argv[1]);
    reply_int(c->r, (int64_t)nd_string_length(&e->v));
}

static void getrange(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t start, end;
    char tmp[ND_INT_TEXT];
    if (!nd_arg_i64(c, 2, &start) || !nd_arg_i64(c, 3, &end) || !nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        return;
    struct slice s = e != NULL ? nd_string_slice(&e->v, tmp) : (struct slice){NULL, 0};
    int64_t n = (int64_t)s.n;
    bool backwards = start < 0 && end < 0 && start > end;
    start = start < 0 ? start + n : start;
    end = end < 0 ? end + n : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end >= n ? n - 1 : end;
    if (backwards || start > end || n == 0)
        reply_bulk(c->r, "", 0);
    else
        reply_bulk(c->r, s.p + start, (size_t)(end - start + 1));
}

#define ROW(word, fn, args, bits, access, arguments, text, version, cost)                               \
    {                                                                                                   \
        .name = (word), .arity = (args), .flags = (bits), .categories = ND_CAT_STRING, .run = (fn),     \
        .keys = {{.flags = (access), .first = 1, .step = 1}}, .syntax = (arguments), .summary = (text), \
        .since = (version), .group = "string", .complexity = (cost)                                     \
    }

const struct nd_command nd_string_range_commands[] = {
    ROW("append", append, 3, ND_WRITE | ND_DENYOOM | ND_FAST, "RW INSERT", "key value",
        "Puts bytes behind a string; makes the key when it is not there.", "2.0.0",
        "O(1) in the mean, as room for more is kept"),
    ROW("getrange", getrange, 4, ND_READONLY, "RO ACCESS", "key start end", "Shows a part of a string.", "2.4.0",
        "O(N) for N bytes shown"),
    ROW("setrange", setrange, 4, ND_WRITE | ND_DENYOOM, "RW UPDATE", "key offset value",
        "Writes bytes over a part of a string, which grows by zeros as far as needed.", "2.2.0",
        "O(N) for N bytes written, and for those that are added"),
    ROW("substr", getrange, 4, ND_READONLY, "RO ACCESS", "key start end",
        "Shows a part of a string: the old name of GETRANGE.", "1.0.0", "O(N) for N bytes shown"),
    {0},
};
