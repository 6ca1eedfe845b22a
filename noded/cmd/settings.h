/* Settings of the node: redis.conf's names, in one table. A row gives name, kind, place, default, range and whether
 * CONFIG SET may change it; the command line, the file, CONFIG GET/SET/REWRITE, help and `nodectl config convert` read this
 * table and nothing else (settings.c has the rows). */
#ifndef CMD_SETTINGS_H
#define CMD_SETTINGS_H

#include "noded/store/value.h"

enum nd_maxmemory_policy {
    ND_NOEVICTION,
    ND_ALLKEYS_LRU,
    ND_ALLKEYS_LFU,
    ND_ALLKEYS_RANDOM,
    ND_VOLATILE_LRU,
    ND_VOLATILE_LFU,
    ND_VOLATILE_RANDOM,
    ND_VOLATILE_TTL
};

enum { ND_CLASS_NORMAL, ND_CLASS_REPLICA, ND_CLASS_PUBSUB, ND_CLASSES };
struct nd_output_limit {
    int64_t hard_bytes, soft_bytes, soft_seconds;
};

#define ND_BINDS_MAX 16
struct nd_config {
    struct nd_limits limits;
    /* network */
    int64_t port, tcp_backlog, timeout_s, tcp_keepalive_s, maxclients, unixsocketperm;
    char *bind; /* addresses with spaces between, as CONFIG GET shows them */
    char *unixsocket, *requirepass, *masterauth, *masteruser;
    bool protected_mode;
    int64_t proto_max_bulk_len, client_query_buffer_limit, maxmemory_clients;
    struct nd_output_limit output[ND_CLASSES];
    /* general */
    char *dir, *logfile, *pidfile, *loglevel;
    int64_t databases, hz;
    bool daemonize;
    /* memory */
    int64_t maxmemory, maxmemory_samples, lfu_log_factor, lfu_decay_time, active_expire_effort,
        maxmemory_eviction_tenacity;
    enum nd_maxmemory_policy maxmemory_policy;
    bool lazyfree_lazy_eviction, lazyfree_lazy_expire, lazyfree_lazy_server_del, lazyfree_lazy_user_del,
        lazyfree_lazy_user_flush, replica_lazy_flush, activerehashing;
    /* watching */
    int64_t slowlog_log_slower_than_us, slowlog_max_len, latency_monitor_threshold_ms, latency_tracking;
    int notify_events; /* notify.h */
    /* persistence and replication, cluster: parsed, kept and shown; what uses them is there when the rows say so */
    char *save, *dbfilename, *appendfilename, *appenddirname, *appendfsync, *replicaof;
    bool appendonly, rdbcompression, rdbchecksum, cluster_enabled, replica_read_only;
    int64_t cluster_databases, replica_priority;
};

void nd_config_init(struct nd_config *c); /* every row's default */
void nd_config_free(struct nd_config *c);
void nd_config_copy(struct nd_config *to, const struct nd_config *from); /* deep */

struct nd_setting;                                           /* a row */
const struct nd_setting *nd_setting_find(struct slice name); /* redis.conf's spelling, either case; NULL unknown */
const struct nd_setting *nd_setting_at(size_t index);        /* in order of name; NULL behind the last */
const char *nd_setting_name(const struct nd_setting *s);     /* "maxmemory-policy" */
bool nd_setting_immutable(const struct nd_setting *s);       /* CONFIG SET refuses it */
bool nd_setting_sensitive(const struct nd_setting *s);       /* passwords: not logged */
/* Words as in redis.conf (one argument with spaces, or several). false: the reason is appended to why, as CONFIG SET words it
 * ("argument must be a memory value", ...). */
bool nd_setting_set(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                    struct buf *why);
void nd_setting_get(const struct nd_setting *s, const struct nd_config *c,
                    struct buf *out); /* as CONFIG GET shows it */
bool nd_setting_is_default(const struct nd_setting *s, const struct nd_config *c);
const char *nd_setting_nearest(struct slice name); /* for "did you mean"; NULL none */

#endif
