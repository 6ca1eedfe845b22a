/* Settings of the node: redis.conf's names, in one table. A row gives name, kind, place, default, range and whether
 * CONFIG SET may change it; the command line, the file, CONFIG GET/SET/REWRITE, help and `nodectl config convert` read
 * this table and nothing else (settings_table.c has the rows). */
#ifndef CMD_SETTINGS_H
#define CMD_SETTINGS_H

#include "noded/store/value.h"

/* Fields of kind "one of these words" are int; the words stand in settings_table.c in the order of these numbers. */
enum nd_maxmemory_policy {
    ND_VOLATILE_LRU,
    ND_VOLATILE_LFU,
    ND_VOLATILE_RANDOM,
    ND_VOLATILE_TTL,
    ND_ALLKEYS_LRU,
    ND_ALLKEYS_LFU,
    ND_ALLKEYS_RANDOM,
    ND_NOEVICTION
};
enum { ND_NO, ND_YES, ND_LOCAL };                                     /* enable-*-command */
enum { ND_FSYNC_EVERYSEC, ND_FSYNC_ALWAYS, ND_FSYNC_NO };             /* appendfsync */
enum { ND_DISKLESS_DISABLED, ND_DISKLESS_EMPTY, ND_DISKLESS_SWAPDB }; /* repl-diskless-load */
enum { ND_SUPERVISED_UPSTART, ND_SUPERVISED_SYSTEMD, ND_SUPERVISED_AUTO, ND_SUPERVISED_NO };
enum { ND_ENDPOINT_IP, ND_ENDPOINT_HOSTNAME, ND_ENDPOINT_UNKNOWN }; /* cluster-preferred-endpoint-type */
enum { ND_SANITIZE_NO, ND_SANITIZE_YES, ND_SANITIZE_CLIENTS };      /* sanitize-dump-payload */

enum { ND_CLASS_NORMAL, ND_CLASS_REPLICA, ND_CLASS_PUBSUB, ND_CLASSES };
struct nd_output_limit {
    int64_t hard_bytes, soft_bytes, soft_seconds; /* 0: none */
};

#define ND_BINDS_MAX 16
struct nd_config {
    struct nd_limits limits;
    /* network */
    int64_t port, tcp_backlog, timeout_s, tcp_keepalive_s, maxclients, unixsocketperm;
    char *bind; /* addresses with spaces between, as CONFIG GET shows them; "-" before one that may be missing */
    char *bind_source_addr;
    char *unixsocket, *requirepass, *masterauth, *masteruser; /* "" is none, as for every text here */
    bool protected_mode;
    int64_t proto_max_bulk_len, client_query_buffer_limit;
    int64_t maxmemory_clients; /* bytes; below 0: percent of maxmemory */
    struct nd_output_limit output[ND_CLASSES];
    /* general */
    char *dir, *logfile, *pidfile;
    int loglevel; /* levels of common/io/log.h */
    int64_t databases, hz;
    bool daemonize, disable_thp;
    int supervised;
    int enable_debug_command, enable_protected_configs;
    int64_t shutdown_timeout_s;
    char *shutdown_on_sigterm, *shutdown_on_sigint;
    /* memory */
    int64_t maxmemory, maxmemory_samples, lfu_log_factor, lfu_decay_time, active_expire_effort,
        maxmemory_eviction_tenacity;
    int maxmemory_policy; /* enum nd_maxmemory_policy */
    bool lazyfree_lazy_eviction, lazyfree_lazy_expire, lazyfree_lazy_server_del, lazyfree_lazy_user_del,
        lazyfree_lazy_user_flush, replica_lazy_flush, activerehashing;
    /* watching */
    int64_t slowlog_log_slower_than_us, slowlog_max_len, latency_monitor_threshold_ms;
    bool latency_tracking;
    char *latency_percentiles; /* "50 99 99.9" */
    int notify_events;         /* notify.h */
    /* persistence */
    char *save, *dbfilename, *appendfilename, *appenddirname;
    int appendfsync, sanitize_dump_payload;
    bool appendonly, rdbcompression, rdbchecksum, rdb_del_sync_files, stop_writes_on_bgsave_error, aof_load_truncated,
        aof_use_rdb_preamble, aof_timestamp_enabled, no_appendfsync_on_rewrite;
    int64_t auto_aof_rewrite_percentage, auto_aof_rewrite_min_size;
    /* replication */
    char *replicaof, *replica_announce_ip;
    bool replica_guard, replica_read_only, replica_serve_stale_data, replica_announced, replica_ignore_maxmemory,
        repl_diskless_sync, repl_disable_tcp_nodelay;
    int repl_diskless_load;
    int64_t replica_priority, replica_announce_port, repl_diskless_sync_delay_s, repl_diskless_sync_max_replicas,
        repl_ping_replica_period_s, repl_timeout_s, repl_backlog_size, repl_backlog_ttl_s, min_replicas_to_write,
        min_replicas_max_lag_s;
    /* cluster */
    bool cluster_enabled, cluster_require_full_coverage, cluster_allow_reads_when_down,
        cluster_allow_pubsubshard_when_down, cluster_allow_replica_migration, cluster_replica_no_failover,
        cluster_slot_stats_enabled;
    char *cluster_config_file, *cluster_announce_ip, *cluster_announce_hostname;
    int cluster_preferred_endpoint_type;
    int64_t cluster_databases, cluster_node_timeout_ms, cluster_port, cluster_announce_port, cluster_announce_bus_port,
        cluster_replica_validity_factor, cluster_migration_barrier, cluster_link_sendbuf_limit,
        slot_migration_buffer_limit, slot_migration_near_bytes;
    /* Everything of redis.conf that has no meaning here: kept as it was written, and shown. By index of their row. */
    char **kept;
};

void nd_config_init(struct nd_config *c); /* every row's default */
void nd_config_free(struct nd_config *c);
void nd_config_copy(struct nd_config *to, const struct nd_config *from); /* deep; `to` is as after nd_config_free() */

enum nd_setting_kind {
    ND_SET_BOOL,              /* yes, no */
    ND_SET_NUMBER,            /* a whole number */
    ND_SET_MEMORY,            /* bytes: 1048576, 1mb */
    ND_SET_MEMORY_OR_PERCENT, /* 100mb, 5% */
    ND_SET_OCTAL,             /* 700 */
    ND_SET_WORD,              /* one of a list */
    ND_SET_TEXT,              /* one argument */
    ND_SET_WORDS,             /* several arguments, or one with spaces */
};

struct nd_setting;                                           /* a row */
const struct nd_setting *nd_setting_find(struct slice name); /* redis.conf's spelling, either case; NULL unknown */
const struct nd_setting *nd_setting_at(size_t index);        /* in order of name; NULL behind the last */
const char *nd_setting_name(const struct nd_setting *s);     /* "maxmemory-policy" */
const char *nd_setting_alias(const struct nd_setting *s);    /* the older name that CONFIG GET shows too; NULL none */
const char *nd_setting_help(const struct nd_setting *s);     /* one line: meaning and unit */
enum nd_setting_kind nd_setting_kind(const struct nd_setting *s);
void nd_setting_range(const struct nd_setting *s, struct buf *out); /* "yes, no", "0-65535", ... for help */
bool nd_setting_immutable(const struct nd_setting *s);              /* CONFIG SET refuses it */
bool nd_setting_protected(
    const struct nd_setting *s); /* CONFIG SET refuses it unless enable-protected-configs says so */
bool nd_setting_sensitive(const struct nd_setting *s);    /* passwords: not logged */
bool nd_setting_unused(const struct nd_setting *s);       /* kept and shown, but nothing here follows it */
bool nd_setting_only_default(const struct nd_setting *s); /* what else it could be is not to be had here */
bool nd_setting_gathers(const struct nd_setting *s);      /* several lines of a file count together (save) */
/* Words as in redis.conf (one argument with spaces, or several). false: the reason is appended to why, as CONFIG SET
 * words it
 * ("argument must be a memory value", ...), and nothing has changed. */
bool nd_setting_set(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                    struct buf *why);
void nd_setting_get(const struct nd_setting *s, const struct nd_config *c,
                    struct buf *out); /* as CONFIG GET shows it */
bool nd_setting_is_default(const struct nd_setting *s, const struct nd_config *c);
const char *nd_setting_nearest(struct slice name); /* for "did you mean"; NULL none */

#endif
