/* DEBUG: what tests of clients and of servers need. Off unless enable-debug-command says otherwise, as in Redis 7. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/extension.h"
#include "noded/cmd/families.h"
#include "noded/store/digest.h"
#include "noded/store/dump.h"
#include "noded/store/list.h"
#include "noded/store/string.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void digest(struct nd_call *c)
{
    unsigned char bytes[ND_DIGEST_BYTES];
    char hex[2 * ND_DIGEST_BYTES + 1];
    nd_digest_keyspace(&c->e->keys, bytes);
    nd_digest_hex(bytes, hex);
    reply_status(c->r, hex);
}

static void digest_value(struct nd_call *c)
{
    reply_array(c->r, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++) {
        unsigned char bytes[ND_DIGEST_BYTES] = {0};
        char hex[2 * ND_DIGEST_BYTES + 1];
        const struct nd_entry *e = nd_lookup(c, c->argv[i], ND_PEEK);
        if (e != NULL)
            nd_digest_value(&e->v, nd_entry_expire(e), bytes);
        nd_digest_hex(bytes, hex);
        reply_status(c->r, hex);
    }
}

static void sleeps(struct nd_call *c)
{
    char text[64];
    size_t n = c->argv[2].n < sizeof text - 1 ? c->argv[2].n : sizeof text - 1;
    memcpy(text, c->argv[2].p, n);
    text[n] = '\0';
    double seconds = strtod(text, NULL); /* what is no number is 0, as in Redis */
    if (seconds > 0 && seconds < 1e9)
        c->e->host.sleep_us(c->e->host.owner, (int64_t)(seconds * 1e6));
    nd_ok(c);
}

static void set_active_expire(struct nd_call *c)
{
    int64_t v;
    c->e->active_expire = text_i64(c->argv[2], &v) && v != 0;
    nd_ok(c);
}

static void object(struct nd_call *c)
{
    const struct nd_entry *e = nd_lookup(c, c->argv[2], ND_PEEK);
    if (e == NULL) {
        nd_no_key(c);
        return;
    }
    struct buf body = {0}, text = {0};
    nd_dump_value(&body, &e->v, c->e->config.rdbcompression);
    buf_printf(&text, "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%u lru_seconds_idle:%" PRId64,
               (const void *)e, nd_encoding_name((enum nd_encoding)e->v.enc), body.n, (unsigned)e->v.age,
               nd_age_idle_s(c->e, &e->v));
    if (e->v.type == ND_LIST) {
        size_t nodes = nd_list_nodes(&e->v), bytes = 0;
        for (const struct nd_list_node *n = nd_list_node_first(&e->v); n != NULL; n = nd_list_node_next(n))
            bytes += nd_list_node_bytes(n, NULL).n;
        buf_printf(&text,
                   " ql_nodes:%zu ql_avg_node:%.2f ql_listpack_max:%" PRId64 " ql_compressed:0"
                   " ql_uncompressed_size:%zu",
                   nodes, (double)nd_value_length(&e->v) / (double)(nodes > 0 ? nodes : 1),
                   c->e->config.limits.list_max_listpack_size, bytes);
    }
    reply_status(c->r, buf_str(&text));
    buf_free(&text);
    buf_free(&body);
}

/* Keys that are there are left as they are. Nothing is told to replicas. */
static void populate(struct nd_call *c)
{
    int64_t count, size = 0;
    const char *error = "ERR value is out of range, must be positive";
    if (!nd_arg_range(c, 2, 0, INT64_MAX, &count, error) ||
        (c->argc > 4 && !nd_arg_range(c, 4, 0, INT64_MAX, &size, error)))
        return;
    struct slice prefix = c->argc > 3 ? c->argv[3] : slice_of("key");
    struct buf key = {0}, value = {0};
    for (int64_t i = 0; i < count; i++) {
        buf_clear(&key);
        buf_put(&key, prefix.p, prefix.n);
        buf_printf(&key, ":%" PRId64, i);
        if (nd_db_find(c->db, buf_slice(&key)) != NULL)
            continue;
        buf_clear(&value);
        buf_printf(&value, "value:%" PRId64, i);
        if (size > 0) {
            size_t whole = value.n;
            buf_reserve(&value, (size_t)size);
            if ((size_t)size > whole)
                memset(value.p + whole, 0, (size_t)size - whole);
            value.n = (size_t)size;
        }
        nd_add_key(c, buf_slice(&key), nd_string_make(buf_slice(&value), false));
        nd_changed(c, buf_slice(&key), 0);
    }
    buf_free(&key);
    buf_free(&value);
    nd_ok(c);
}

static void log_line(struct nd_call *c)
{
    struct buf text = {0};
    buf_puts(&text, "DEBUG LOG: ");
    text_quote(&text, c->argv[2], 1024);
    c->e->host.log(c->e->host.owner, ND_LOG_WARNING, buf_str(&text));
    buf_free(&text);
    nd_ok(c);
}

static void error_reply(struct nd_call *c)
{
    nd_error(c, "%.*s", (int)c->argv[2].n, c->argv[2].p);
}

static void table_stats(struct nd_call *c)
{
    int64_t n;
    if (!nd_arg_i64(c, 2, &n))
        return;
    if (n < 0 || n >= c->e->keys.db_count) {
        nd_error(c, "ERR Out of range database");
        return;
    }
    struct buf text = {0};
    struct nd_db *db = nd_keyspace_peek(&c->e->keys, (int)n);
    for (int expires = 0; expires < 2; expires++) {
        struct nd_table_stats s = {0};
        if (db != NULL)
            nd_db_table_stats(db, expires, &s);
        buf_printf(&text,
                   "[%s HT]\n buckets: %zu\n buckets in chains: %zu\n elements: %zu\n longest chain: %zu\n"
                   " bytes: %zu\n",
                   expires ? "Expires" : "Dictionary", s.buckets, s.chained, s.elements, s.longest,
                   db != NULL ? nd_db_table_memory(db, expires) : 0);
    }
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

static void protocol_aggregate(struct nd_call *c, void (*header)(struct reply *, size_t))
{
    header(c->r, 3);
    for (int i = 0; i < 3; i++) {
        reply_int(c->r, i);
        if (header == reply_map)
            reply_bool(c->r, i == 1);
    }
}

static void protocol_attribute(struct nd_call *c)
{
    if (c->r->proto >= 3) {
        buf_puts(c->r->out, "|1\r\n");
        reply_bulks(c->r, "key-popularity");
        reply_array(c->r, 2);
        reply_bulks(c->r, "key:123");
        reply_int(c->r, 90);
    }
    reply_bulks(c->r, "Some real reply following the attribute");
}

static void protocol_push(struct nd_call *c)
{
    if (c->r->proto < 3) {
        nd_error(c, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_push(c->r, 2);
    reply_bulks(c->r, "server-cpu-usage");
    reply_int(c->r, 42);
    reply_bulks(c->r, "Some real reply following the push reply");
}

static void protocol(struct nd_call *c)
{
    static const char number[] = "1234567999999999999999999999999999999";
    static const char verbatim[] = "This is a verbatim\nstring";
    if (nd_arg_is(c, 2, "string"))
        reply_bulks(c->r, "Hello World");
    else if (nd_arg_is(c, 2, "integer"))
        reply_int(c->r, 12345);
    else if (nd_arg_is(c, 2, "double") && c->r->proto < 3)
        reply_bulks(c->r, "3.141");
    else if (nd_arg_is(c, 2, "double"))
        buf_puts(c->r->out, ",3.141\r\n");
    else if (nd_arg_is(c, 2, "bignum") && c->r->proto < 3)
        reply_bulks(c->r, number);
    else if (nd_arg_is(c, 2, "bignum"))
        buf_printf(c->r->out, "(%s\r\n", number);
    else if (nd_arg_is(c, 2, "null"))
        reply_null(c->r);
    else if (nd_arg_is(c, 2, "array"))
        protocol_aggregate(c, reply_array);
    else if (nd_arg_is(c, 2, "set"))
        protocol_aggregate(c, reply_set);
    else if (nd_arg_is(c, 2, "map"))
        protocol_aggregate(c, reply_map);
    else if (nd_arg_is(c, 2, "attrib"))
        protocol_attribute(c);
    else if (nd_arg_is(c, 2, "push"))
        protocol_push(c);
    else if (nd_arg_is(c, 2, "verbatim"))
        reply_verbatim(c->r, verbatim, sizeof verbatim - 1);
    else if (nd_arg_is(c, 2, "true") || nd_arg_is(c, 2, "false"))
        reply_bool(c->r, nd_arg_is(c, 2, "true"));
    else
        nd_error(c, "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|"
                    "array|set|map|attrib|push|verbatim|true|false");
}

static void help(struct nd_call *c);

static const struct nd_debug_row rows[] = {
    {"digest", "", "Shows a sum over the whole dataset, equal to Redis's over the same data.", 2, 2, digest},
    {"digest-value", "<key> [<key> ...]", "Shows the sum over each of the values.", 2, 0, digest_value},
    {"error", "<string>", "Answers an error with this text.", 3, 3, error_reply},
    {"help", "", "Shows this.", 2, 2, help},
    {"htstats", "<dbid>", "Shows the tables of a database.", 3, 3, table_stats},
    {"log", "<message>", "Writes a line to the log.", 3, 3, log_line},
    {"object", "<key>", "Shows how a value is kept.", 3, 3, object},
    {"populate", "<count> [<prefix>] [<size>]", "Makes string keys named <prefix>:<number>; replicas are not told.", 3,
     5, populate},
    {"protocol", "<type>", "Answers with a value of this type of RESP.", 3, 3, protocol},
    {"set-active-expire", "<0|1>", "Whether expired keys are deleted before anybody looks at them.", 3, 3,
     set_active_expire},
    {"sleep", "<seconds>", "Stops the whole server for so long; a fraction is allowed.", 3, 3, sleeps},
    {0},
};

/* What replication and persistence have to show. */
static const struct nd_debug_row *more_rows(const struct nd_call *c)
{
    const struct nd_extension *more = c->e->host.extension;
    return more != NULL && more->debug != NULL ? more->debug : &rows[sizeof rows / sizeof rows[0] - 1];
}

static void help_rows(struct nd_call *c, const struct nd_debug_row *row)
{
    for (; row->name != NULL; row++) {
        struct buf line = {0};
        for (const char *p = row->name; *p != '\0'; p++)
            buf_putc(&line, *p >= 'a' && *p <= 'z' ? (char)(*p - ('a' - 'A')) : *p);
        buf_printf(&line, "%s%s", row->syntax[0] != '\0' ? " " : "", row->syntax);
        reply_status(c->r, buf_str(&line));
        buf_clear(&line);
        buf_printf(&line, "    %s", row->text);
        reply_status(c->r, buf_str(&line));
        buf_free(&line);
    }
}

static size_t count_rows(const struct nd_debug_row *row)
{
    size_t n = 0;
    while (row[n].name != NULL)
        n++;
    return n;
}

static void help(struct nd_call *c)
{
    reply_array(c->r, 1 + 2 * (count_rows(rows) + count_rows(more_rows(c))));
    reply_status(c->r, "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    help_rows(c, rows);
    help_rows(c, more_rows(c));
}

/* false: none has this name and so many arguments. */
static bool run_row(struct nd_call *c, const struct nd_debug_row *row)
{
    for (; row->name != NULL; row++) {
        if (nd_arg_is(c, 1, row->name) && c->argc >= row->min && (row->max == 0 || c->argc <= row->max)) {
            row->run(c);
            return true;
        }
    }
    return false;
}

static bool allowed(const struct nd_call *c)
{
    switch (c->e->config.enable_debug_command) {
    case ND_YES: return true;
    case ND_LOCAL:
        return (c->s->flags & ND_S_UNIX) != 0 || strncmp(c->s->addr, "127.", 4) == 0 ||
               strncmp(c->s->addr, "[::1]", 5) == 0;
    default: break;
    }
    return false;
}

static void debug(struct nd_call *c)
{
    if (!allowed(c)) {
        nd_error(c,
                 "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run "
                 "it from a local connection, otherwise you need to set this option in the configuration file, and "
                 "then restart the server.");
        return;
    }
    if (run_row(c, rows) || run_row(c, more_rows(c)))
        return;
    nd_error(c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
             (int)(c->argv[1].n < 128 ? c->argv[1].n : 128), c->argv[1].p);
}

const struct nd_command nd_debug_commands[] = {
    {.name = "debug",
     .arity = -2,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_LOADING | ND_STALE,
     .run = debug,
     .syntax = "subcommand [arg ...]",
     .summary = "Looks into the server, and makes it behave badly, for tests.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "Depends on the subcommand."},
    {0},
};
