/* redis.conf to noded.conf: the names of Redis 7.0 with underscores, values with their types. */
#include "nodectl/convert.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/conf.h"

#include <stdlib.h>
#include <string.h>

/* What a value is, and with that how it is written. */
enum value_type {
    YES_NO,   /* true, false */
    NUMBER,   /* 16 */
    SIZE,     /* "256mb", as it was written */
    WORD,     /* "everysec" */
    WORDS,    /* the words of the line in one string: "3600 1 300 100" */
    LIST,     /* the words of the line, each a string: [ "127.0.0.1", "::1" ] */
    LINES,    /* a string for each line of this name: [ "normal 0 0 0", "replica 256mb 64mb 60" ] */
    APPENDED, /* the words of all lines of this name in one string */
    PATH,     /* made absolute from the working directory */
};

static const struct row {
    const char *name;
    enum value_type type;
} rows[] = {
    {"acl-pubsub-default", WORD},
    {"aclfile", WORD},
    {"acllog-max-len", NUMBER},
    {"active-defrag-cycle-max", NUMBER},
    {"active-defrag-cycle-min", NUMBER},
    {"active-defrag-ignore-bytes", SIZE},
    {"active-defrag-max-scan-fields", NUMBER},
    {"active-defrag-threshold-lower", NUMBER},
    {"active-defrag-threshold-upper", NUMBER},
    {"active-expire-effort", NUMBER},
    {"activedefrag", YES_NO},
    {"activerehashing", YES_NO},
    {"always-show-logo", YES_NO},
    {"aof-load-truncated", YES_NO},
    {"aof-rewrite-incremental-fsync", YES_NO},
    {"aof-timestamp-enabled", YES_NO},
    {"aof-use-rdb-preamble", YES_NO},
    {"aof_rewrite_cpulist", WORD},
    {"appenddirname", WORD},
    {"appendfilename", WORD},
    {"appendfsync", WORD},
    {"appendonly", YES_NO},
    {"auto-aof-rewrite-min-size", SIZE},
    {"auto-aof-rewrite-percentage", NUMBER},
    {"bgsave_cpulist", WORD},
    {"bind", LIST},
    {"bind-source-addr", WORD},
    {"bio_cpulist", WORD},
    {"busy-reply-threshold", NUMBER},
    {"client-output-buffer-limit", LINES},
    {"client-query-buffer-limit", SIZE},
    {"cluster-allow-pubsubshard-when-down", YES_NO},
    {"cluster-allow-reads-when-down", YES_NO},
    {"cluster-allow-replica-migration", YES_NO},
    {"cluster-announce-bus-port", NUMBER},
    {"cluster-announce-hostname", WORD},
    {"cluster-announce-ip", WORD},
    {"cluster-announce-port", NUMBER},
    {"cluster-announce-tls-port", NUMBER},
    {"cluster-config-file", WORD},
    {"cluster-enabled", YES_NO},
    {"cluster-link-sendbuf-limit", SIZE},
    {"cluster-migration-barrier", NUMBER},
    {"cluster-node-timeout", NUMBER},
    {"cluster-port", NUMBER},
    {"cluster-preferred-endpoint-type", WORD},
    {"cluster-replica-no-failover", YES_NO},
    {"cluster-replica-validity-factor", NUMBER},
    {"cluster-require-full-coverage", YES_NO},
    {"crash-log-enabled", YES_NO},
    {"crash-memcheck-enabled", YES_NO},
    {"daemonize", YES_NO},
    {"databases", NUMBER},
    {"dbfilename", WORD},
    {"dir", PATH},
    {"disable-thp", YES_NO},
    {"dynamic-hz", YES_NO},
    {"enable-debug-command", WORD},
    {"enable-module-command", WORD},
    {"enable-protected-configs", WORD},
    {"hash-max-listpack-entries", NUMBER},
    {"hash-max-listpack-value", NUMBER},
    {"hll-sparse-max-bytes", SIZE},
    {"hz", NUMBER},
    {"ignore-warnings", WORDS},
    {"io-threads", NUMBER},
    {"io-threads-do-reads", YES_NO},
    {"jemalloc-bg-thread", YES_NO},
    {"latency-monitor-threshold", NUMBER},
    {"latency-tracking", YES_NO},
    {"latency-tracking-info-percentiles", WORDS},
    {"lazyfree-lazy-eviction", YES_NO},
    {"lazyfree-lazy-expire", YES_NO},
    {"lazyfree-lazy-server-del", YES_NO},
    {"lazyfree-lazy-user-del", YES_NO},
    {"lazyfree-lazy-user-flush", YES_NO},
    {"lfu-decay-time", NUMBER},
    {"lfu-log-factor", NUMBER},
    {"list-compress-depth", NUMBER},
    {"list-max-listpack-size", NUMBER},
    {"logfile", WORD},
    {"loglevel", WORD},
    {"masterauth", WORD},
    {"masteruser", WORD},
    {"maxclients", NUMBER},
    {"maxmemory", SIZE},
    {"maxmemory-clients", WORD},
    {"maxmemory-eviction-tenacity", NUMBER},
    {"maxmemory-policy", WORD},
    {"maxmemory-samples", NUMBER},
    {"min-replicas-max-lag", NUMBER},
    {"min-replicas-to-write", NUMBER},
    {"no-appendfsync-on-rewrite", YES_NO},
    {"notify-keyspace-events", WORD},
    {"oom-score-adj", WORD},
    {"oom-score-adj-values", WORDS},
    {"pidfile", WORD},
    {"port", NUMBER},
    {"proc-title-template", WORD},
    {"propagation-error-behavior", WORD},
    {"protected-mode", YES_NO},
    {"proto-max-bulk-len", SIZE},
    {"rdb-del-sync-files", YES_NO},
    {"rdb-save-incremental-fsync", YES_NO},
    {"rdbchecksum", YES_NO},
    {"rdbcompression", YES_NO},
    {"repl-backlog-size", SIZE},
    {"repl-backlog-ttl", NUMBER},
    {"repl-disable-tcp-nodelay", YES_NO},
    {"repl-diskless-load", WORD},
    {"repl-diskless-sync", YES_NO},
    {"repl-diskless-sync-delay", NUMBER},
    {"repl-diskless-sync-max-replicas", NUMBER},
    {"repl-ping-replica-period", NUMBER},
    {"repl-timeout", NUMBER},
    {"replica-announce-ip", WORD},
    {"replica-announce-port", NUMBER},
    {"replica-announced", YES_NO},
    {"replica-ignore-disk-write-errors", YES_NO},
    {"replica-ignore-maxmemory", YES_NO},
    {"replica-lazy-flush", YES_NO},
    {"replica-priority", NUMBER},
    {"replica-read-only", YES_NO},
    {"replica-serve-stale-data", YES_NO},
    {"replicaof", WORDS},
    {"requirepass", WORD},
    {"sanitize-dump-payload", WORD},
    {"save", APPENDED},
    {"server_cpulist", WORD},
    {"set-max-intset-entries", NUMBER},
    {"set-proc-title", YES_NO},
    {"shutdown-on-sigint", WORDS},
    {"shutdown-on-sigterm", WORDS},
    {"shutdown-timeout", NUMBER},
    {"slowlog-log-slower-than", NUMBER},
    {"slowlog-max-len", NUMBER},
    {"socket-mark-id", NUMBER},
    {"stop-writes-on-bgsave-error", YES_NO},
    {"stream-node-max-bytes", SIZE},
    {"stream-node-max-entries", NUMBER},
    {"supervised", WORD},
    {"syslog-enabled", YES_NO},
    {"syslog-facility", WORD},
    {"syslog-ident", WORD},
    {"tcp-backlog", NUMBER},
    {"tcp-keepalive", NUMBER},
    {"timeout", NUMBER},
    {"tls-auth-clients", WORD},
    {"tls-ca-cert-dir", WORD},
    {"tls-ca-cert-file", WORD},
    {"tls-cert-file", WORD},
    {"tls-ciphers", WORD},
    {"tls-ciphersuites", WORD},
    {"tls-client-cert-file", WORD},
    {"tls-client-key-file", WORD},
    {"tls-client-key-file-pass", WORD},
    {"tls-cluster", YES_NO},
    {"tls-dh-params-file", WORD},
    {"tls-key-file", WORD},
    {"tls-key-file-pass", WORD},
    {"tls-port", NUMBER},
    {"tls-prefer-server-ciphers", YES_NO},
    {"tls-protocols", WORD},
    {"tls-replication", YES_NO},
    {"tls-session-cache-size", NUMBER},
    {"tls-session-cache-timeout", NUMBER},
    {"tls-session-caching", YES_NO},
    {"tracking-table-max-keys", NUMBER},
    {"unixsocket", WORD},
    {"unixsocketperm", WORD},
    {"zset-max-listpack-entries", NUMBER},
    {"zset-max-listpack-value", NUMBER},
};
#define ROWS (sizeof rows / sizeof *rows)

/* Older names that Redis 7.0 still takes. */
static const struct {
    const char *old, *now;
} aliases[] = {
    {"cluster-slave-no-failover", "cluster-replica-no-failover"},
    {"cluster-slave-validity-factor", "cluster-replica-validity-factor"},
    {"hash-max-ziplist-entries", "hash-max-listpack-entries"},
    {"hash-max-ziplist-value", "hash-max-listpack-value"},
    {"list-max-ziplist-size", "list-max-listpack-size"},
    {"lua-time-limit", "busy-reply-threshold"},
    {"min-slaves-max-lag", "min-replicas-max-lag"},
    {"min-slaves-to-write", "min-replicas-to-write"},
    {"repl-ping-slave-period", "repl-ping-replica-period"},
    {"slave-announce-ip", "replica-announce-ip"},
    {"slave-announce-port", "replica-announce-port"},
    {"slave-announced", "replica-announced"},
    {"slave-ignore-maxmemory", "replica-ignore-maxmemory"},
    {"slave-lazy-flush", "replica-lazy-flush"},
    {"slave-priority", "replica-priority"},
    {"slave-read-only", "replica-read-only"},
    {"slave-serve-stale-data", "replica-serve-stale-data"},
    {"slaveof", "replicaof"},
    {"zset-max-ziplist-entries", "zset-max-listpack-entries"},
    {"zset-max-ziplist-value", "zset-max-listpack-value"},
};

static int row_of(const struct directive *d)
{
    const char *name = NULL;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (directive_is(d, 0, aliases[i].old))
            name = aliases[i].now;
    }
    for (size_t i = 0; i < ROWS; i++) {
        if (name != NULL ? strcmp(rows[i].name, name) == 0 : directive_is(d, 0, rows[i].name))
            return (int)i;
    }
    return -1;
}

static void put_words(struct buf *joined, const struct directive *d)
{
    for (size_t i = 1; i < d->argc; i++) {
        if (joined->n > 0)
            buf_putc(joined, ' ');
        buf_put(joined, d->argv[i].p, d->argv[i].n);
    }
}

/* The value of a type that has one word. false: it is malformed, and that is told. */
static bool put_one(struct convert *c, const struct directive *d, enum value_type type, struct buf *out)
{
    struct slice v = d->argv[1];
    int64_t number;
    uint64_t bytes;
    bool yes;
    switch (type) {
    case YES_NO:
        yes = slice_ieq(v, "yes");
        if (!yes && !slice_ieq(v, "no")) {
            convert_error(c, d, "expected yes or no");
            return false;
        }
        buf_puts(out, yes ? "true" : "false");
        return true;
    case NUMBER:
        if (!text_i64(v, &number)) {
            convert_error(c, d, "expected a whole number");
            return false;
        }
        convert_put_int(out, number);
        return true;
    case SIZE:
        if (!text_size(v, &bytes)) {
            convert_error(c, d, "expected a size such as 256mb");
            return false;
        }
        conf_write_string(out, v);
        return true;
    default: conf_write_string(out, v); return true;
    }
}

static void put_path_value(struct buf *out, const struct directive *d)
{
    char *path = convert_path(NULL, d->argv[1].p);
    conf_write_string(out, slice_of(path));
    free(path);
}

static void put_list(struct buf *out, const struct directive *d)
{
    buf_puts(out, "[ ");
    for (size_t i = 1; i < d->argc; i++) {
        buf_puts(out, i > 1 ? ", " : "");
        conf_write_string(out, d->argv[i]);
    }
    buf_puts(out, " ]");
}

static bool words_ok(struct convert *c, const struct directive *d, enum value_type type)
{
    if (type != WORDS && type != LIST && type != LINES && type != APPENDED && d->argc != 2) {
        convert_error(c, d, "expected one value");
        return false;
    }
    if (d->argc < 2) {
        convert_error(c, d, "expected a value");
        return false;
    }
    for (size_t i = 1; i < d->argc; i++) {
        if (!convert_text_ok(c, d, d->argv[i]))
            return false;
    }
    return true;
}

/* Everything that the file says with one name: most names count by their last line, some by all. */
struct gathered {
    const struct directive *last;
    struct buf text; /* of LINES and APPENDED */
    bool any_line;
};

static void gather(struct convert *c, const struct directive *d, const struct row *row, struct gathered *g)
{
    struct buf joined = {0};
    if (!words_ok(c, d, row->type))
        return;
    g->last = d;
    put_words(&joined, d);
    if (row->type == LINES) {
        buf_puts(&g->text, g->any_line ? ", " : "");
        conf_write_string(&g->text, buf_slice(&joined));
        g->any_line = true;
    } else if (row->type == APPENDED && joined.n == 0) {
        buf_clear(&g->text); /* save "" takes back what stood before */
    } else if (row->type == APPENDED) {
        buf_puts(&g->text, g->text.n > 0 ? " " : "");
        buf_put(&g->text, joined.p, joined.n);
    }
    buf_free(&joined);
}

static void put_value(struct convert *c, const struct row *row, const struct gathered *g, struct buf *out)
{
    struct buf joined = {0};
    switch (row->type) {
    case WORDS:
        put_words(&joined, g->last);
        conf_write_string(out, buf_slice(&joined));
        break;
    case LIST: put_list(out, g->last); break;
    case LINES: buf_printf(out, "[ %.*s ]", (int)g->text.n, g->text.n > 0 ? g->text.p : ""); break;
    case APPENDED: conf_write_string(out, buf_slice(&g->text)); break;
    case PATH: put_path_value(out, g->last); break;
    default: put_one(c, g->last, row->type, out); break;
    }
    buf_free(&joined);
}

static void put_key(struct buf *out, const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        buf_putc(out, *p == '-' ? '_' : *p);
}

static const char *reason_left(const struct directive *d)
{
    if (directive_is(d, 0, "include"))
        return "convert that file too, and put the two together";
    if (directive_is(d, 0, "loadmodule"))
        return "noded has no modules";
    if (directive_is(d, 0, "rename-command"))
        return "noded renames no commands; take the right to use it from users";
    if (directive_is(d, 0, "user"))
        return "write users by hand";
    if (directive_is(d, 0, "sentinel"))
        return "this is for a supervisor: --to sentineld";
    return "not a directive of Redis 7.0";
}

void convert_to_noded(struct convert *c)
{
    struct gathered *all = mem_zalloc(ROWS * sizeof *all);
    size_t *order = mem_array(NULL, ROWS, sizeof *order), n = 0;
    for (size_t i = 0; i < c->in.n; i++) {
        const struct directive *d = &c->in.v[i];
        int row = row_of(d);
        if (row < 0) {
            convert_leave(c, d, "not carried over: %s", reason_left(d));
            continue;
        }
        bool first = all[row].last == NULL;
        gather(c, d, &rows[row], &all[row]);
        if (first && all[row].last != NULL)
            order[n++] = (size_t)row; /* the new file keeps the order of the old one */
    }
    for (size_t i = 0; i < n; i++) {
        put_key(&c->out, rows[order[i]].name);
        buf_puts(&c->out, " = ");
        put_value(c, &rows[order[i]], &all[order[i]], &c->out);
        buf_puts(&c->out, ";\n");
    }
    for (size_t i = 0; i < ROWS; i++)
        buf_free(&all[i].text);
    free(order);
    free(all);
}
