/* The rows, in order of name. */
#include "noded/cmd/settings_row.h"

#include <stddef.h>

/* The offset of a field that must have this type: anything else does not compile. */
#define PLACE(type, field) \
    (offsetof(struct nd_config, field) + 0 * sizeof(&((struct nd_config *)0)->field == (type *)0))
#define I64_MAX INT64_MAX
#define I32_MAX INT32_MAX
#define PORT_MAX 65535

#define FIXED ND_SETF_IMMUTABLE
#define SECRET ND_SETF_SENSITIVE
#define GUARDED ND_SETF_PROTECTED
#define UNUSED ND_SETF_UNUSED
#define GATHERS ND_SETF_GATHERS
#define ONLY_DEFAULT ND_SETF_ONLY_DEFAULT

/* clang-format off */
#define ROW(n, a, k, p, lo, hi, w, d, s, g, f, h) \
    {.name = n, .alias = a, .kind = k, .at = p, .min = lo, .max = hi, .words = w, .initial = d, .set = s, .get = g, \
     .flags = f, .help = h},
#define BOOL(n, a, field, d, f, h) ROW(n, a, ND_SET_BOOL, PLACE(bool, field), 0, 1, NULL, d, NULL, NULL, f, h)
#define NUMBER(n, a, field, lo, hi, d, f, h) \
    ROW(n, a, ND_SET_NUMBER, PLACE(int64_t, field), lo, hi, NULL, d, NULL, NULL, f, h)
#define MEMORY(n, a, field, lo, d, f, h) \
    ROW(n, a, ND_SET_MEMORY, PLACE(int64_t, field), lo, I64_MAX, NULL, d, NULL, NULL, f, h)
#define MEMORY_UP_TO(n, field, lo, hi, d, f, h) \
    ROW(n, NULL, ND_SET_MEMORY, PLACE(int64_t, field), lo, hi, NULL, d, NULL, NULL, f, h)
#define WORD(n, field, w, d, f, h) ROW(n, NULL, ND_SET_WORD, PLACE(int, field), 0, 0, w, d, NULL, NULL, f, h)
#define TEXT(n, a, field, d, f, h) ROW(n, a, ND_SET_TEXT, PLACE(char *, field), 0, 0, NULL, d, NULL, NULL, f, h)
/* Text with a check of its own. */
#define CHECKED(n, a, k, field, d, s, f, h) ROW(n, a, k, PLACE(char *, field), 0, 0, NULL, d, s, NULL, f, h)
/* Kept as text and shown; nothing here follows them. */
#define KEPT_BOOL(n, d, f, h) ROW(n, NULL, ND_SET_BOOL, ND_SETTING_KEPT, 0, 1, NULL, d, NULL, NULL, UNUSED | (f), h)
#define KEPT_NUMBER(n, lo, hi, d, f, h) \
    ROW(n, NULL, ND_SET_NUMBER, ND_SETTING_KEPT, lo, hi, NULL, d, NULL, NULL, UNUSED | (f), h)
#define KEPT_MEMORY(n, lo, d, f, h) \
    ROW(n, NULL, ND_SET_MEMORY, ND_SETTING_KEPT, lo, I64_MAX, NULL, d, NULL, NULL, UNUSED | (f), h)
#define KEPT_WORD(n, w, d, f, h) \
    ROW(n, NULL, ND_SET_WORD, ND_SETTING_KEPT, 0, 0, w, d, NULL, NULL, UNUSED | (f), h)
#define KEPT_TEXT(n, d, f, h) ROW(n, NULL, ND_SET_TEXT, ND_SETTING_KEPT, 0, 0, NULL, d, NULL, NULL, UNUSED | (f), h)

const struct nd_setting nd_settings[] = {
    KEPT_WORD("acl-pubsub-default", "allchannels resetchannels", "resetchannels", 0, "channels of a new user")
    KEPT_TEXT("aclfile", "", FIXED | ONLY_DEFAULT, "file of users; there are none but the default one here")
    KEPT_NUMBER("acllog-max-len", 0, I64_MAX, "128", 0, "entries of the log of refused accesses")
    KEPT_NUMBER("active-defrag-cycle-max", 1, 99, "25", 0, "most work of active defragmentation, percent")
    KEPT_NUMBER("active-defrag-cycle-min", 1, 99, "1", 0, "least work of active defragmentation, percent")
    KEPT_MEMORY("active-defrag-ignore-bytes", 1, "100mb", 0, "waste below which nothing is defragmented")
    KEPT_NUMBER("active-defrag-max-scan-fields", 1, I64_MAX, "1000", 0, "elements of one value looked at in one go")
    KEPT_NUMBER("active-defrag-threshold-lower", 0, 1000, "10", 0, "waste at which defragmentation begins, percent")
    KEPT_NUMBER("active-defrag-threshold-upper", 0, 1000, "100", 0, "waste at which it works hardest, percent")
    NUMBER("active-expire-effort", NULL, active_expire_effort, 1, 10, "1", 0, "work put into finding expired keys")
    KEPT_BOOL("activedefrag", "no", 0, "active defragmentation")
    BOOL("activerehashing", NULL, activerehashing, "yes", 0, "tables are resized in idle time too")
    KEPT_BOOL("always-show-logo", "no", FIXED, "a picture at the start of the log")
    KEPT_BOOL("aof-disable-auto-gc", "no", 0, "old append-only files stay")
    BOOL("aof-load-truncated", NULL, aof_load_truncated, "yes", 0, "a torn end of the append-only file is cut off")
    KEPT_BOOL("aof-rewrite-incremental-fsync", "yes", 0, "a rewrite is flushed as it goes")
    BOOL("aof-timestamp-enabled", NULL, aof_timestamp_enabled, "no", 0, "times in the append-only file")
    BOOL("aof-use-rdb-preamble", NULL, aof_use_rdb_preamble, "yes", 0, "a rewrite begins with a snapshot")
    KEPT_TEXT("aof_rewrite_cpulist", "", FIXED, "processors of a rewrite")
    CHECKED("appenddirname", NULL, ND_SET_TEXT, appenddirname, "appendonlydir", nd_set_file_name, FIXED,
            "folder of the append-only files, inside of dir")
    CHECKED("appendfilename", NULL, ND_SET_TEXT, appendfilename, "appendonly.aof", nd_set_file_name, FIXED,
            "first part of the names of the append-only files")
    WORD("appendfsync", appendfsync, "everysec always no", "everysec", 0, "when the append-only file is flushed")
    BOOL("appendonly", NULL, appendonly, "no", 0, "every write goes to the append-only file")
    MEMORY("auto-aof-rewrite-min-size", NULL, auto_aof_rewrite_min_size, 0, "64mb", 0,
           "size below which the append-only file is not rewritten")
    NUMBER("auto-aof-rewrite-percentage", NULL, auto_aof_rewrite_percentage, 0, I32_MAX, "100", 0,
           "growth at which the append-only file is rewritten, percent")
    KEPT_TEXT("bgsave_cpulist", "", FIXED, "processors of a snapshot")
    ROW("bind", NULL, ND_SET_WORDS, PLACE(char *, bind), 0, ND_BINDS_MAX, NULL, "* -::*", nd_set_bind, NULL, 0,
        "addresses to listen on; with - in front it may be missing; * is every address")
    TEXT("bind-source-addr", NULL, bind_source_addr, "", UNUSED, "address that outgoing connections come from")
    KEPT_TEXT("bio_cpulist", "", FIXED, "processors of background threads")
    ROW("busy-reply-threshold", "lua-time-limit", ND_SET_NUMBER, ND_SETTING_KEPT, 0, I64_MAX, NULL, "5000", NULL, NULL,
        UNUSED, "time after which a script counts as busy, ms")
    ROW("client-output-buffer-limit", NULL, ND_SET_WORDS, PLACE(struct nd_output_limit, output[0]), 0, 0, NULL,
        "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", nd_set_output_limit, nd_get_output_limit, GATHERS,
        "class, bytes at which it is closed at once, bytes and seconds at which it is closed after a while")
    MEMORY("client-query-buffer-limit", NULL, client_query_buffer_limit, 1048576, "1gb", 0, "bytes of one request")
    BOOL("cluster-allow-pubsubshard-when-down", NULL, cluster_allow_pubsubshard_when_down, "yes", 0,
         "shard channels work while the cluster is down")
    BOOL("cluster-allow-reads-when-down", NULL, cluster_allow_reads_when_down, "no", 0,
         "reads work while the cluster is down")
    BOOL("cluster-allow-replica-migration", NULL, cluster_allow_replica_migration, "yes", 0,
         "a replica goes over to a master that has none")
    NUMBER("cluster-announce-bus-port", NULL, cluster_announce_bus_port, 0, PORT_MAX, "0", 0,
           "port of the bus that others are told; 0: its own")
    CHECKED("cluster-announce-hostname", NULL, ND_SET_TEXT, cluster_announce_hostname, "", nd_set_hostname, 0,
            "name that others are told")
    TEXT("cluster-announce-ip", NULL, cluster_announce_ip, "", 0, "address that others are told")
    NUMBER("cluster-announce-port", NULL, cluster_announce_port, 0, PORT_MAX, "0", 0,
           "port that others are told; 0: its own")
    KEPT_NUMBER("cluster-announce-tls-port", 0, PORT_MAX, "0", 0, "TLS port that others are told")
    TEXT("cluster-config-file", NULL, cluster_config_file, "nodes.conf", FIXED,
         "what the node knows of its cluster")
    NUMBER("cluster-databases", NULL, cluster_databases, 1, 16384, "16", FIXED, "databases in cluster mode")
    BOOL("cluster-enabled", NULL, cluster_enabled, "no", FIXED, "the node is one of a cluster")
    MEMORY("cluster-link-sendbuf-limit", NULL, cluster_link_sendbuf_limit, 0, "0", 0,
           "bytes waiting on a link of the bus at which it is closed; 0: no limit")
    NUMBER("cluster-migration-barrier", NULL, cluster_migration_barrier, 0, I32_MAX, "1", 0,
           "replicas that a master keeps when one goes over to another")
    NUMBER("cluster-node-timeout", NULL, cluster_node_timeout_ms, 0, I64_MAX, "15000", 0,
           "silence after which a node may have failed, ms")
    NUMBER("cluster-port", NULL, cluster_port, 0, PORT_MAX, "0", FIXED, "port of the bus; 0: port + 10000")
    WORD("cluster-preferred-endpoint-type", cluster_preferred_endpoint_type, "ip hostname unknown-endpoint", "ip",
         0,
         "how clients are told where a slot is")
    BOOL("cluster-replica-no-failover", "cluster-slave-no-failover", cluster_replica_no_failover, "no", 0,
         "a replica never stands for election by itself")
    NUMBER("cluster-replica-validity-factor", "cluster-slave-validity-factor", cluster_replica_validity_factor, 0,
           I32_MAX,
           "10", 0, "how stale a replica may be to stand for election")
    BOOL("cluster-require-full-coverage", NULL, cluster_require_full_coverage, "yes", 0,
         "nothing works while a slot has no owner")
    BOOL("cluster-slot-stats-enabled", NULL, cluster_slot_stats_enabled, "yes", 0,
         "CLUSTER SLOT-STATS has processor time and traffic of each slot")
    KEPT_BOOL("crash-log-enabled", "yes", 0, "a report in the log after a crash")
    KEPT_BOOL("crash-memcheck-enabled", "yes", 0, "a test of memory after a crash")
    BOOL("daemonize", NULL, daemonize, "no", FIXED, "leave the terminal and go to the background")
    NUMBER("databases", NULL, databases, 1, I32_MAX, "16", FIXED, "how many databases there are")
    CHECKED("dbfilename", NULL, ND_SET_TEXT, dbfilename, "dump.rdb", nd_set_file_name, GUARDED,
            "file of snapshots, inside of dir")
    TEXT("dir", NULL, dir, ".", GUARDED, "working directory, in which all files are")
    BOOL("disable-thp", NULL, disable_thp, "yes", FIXED, "no huge pages for this process")
    KEPT_BOOL("dynamic-hz", "yes", 0, "hz grows with the number of clients")
    WORD("enable-debug-command", enable_debug_command, "no yes local", "no", FIXED, "who may use DEBUG")
    KEPT_WORD("enable-module-command", "no yes local", "no", FIXED, "who may use MODULE")
    WORD("enable-protected-configs", enable_protected_configs, "no yes local", "no", FIXED,
         "who may set dir and dbfilename by CONFIG SET")
    NUMBER("hash-max-listpack-entries", "hash-max-ziplist-entries", limits.hash_max_listpack_entries, 0, I64_MAX,
           "512", 0,
           "fields of a compact hash")
    MEMORY("hash-max-listpack-value", "hash-max-ziplist-value", limits.hash_max_listpack_value, 0, "64", 0,
           "bytes of a field or value of a compact hash")
    KEPT_MEMORY("hll-sparse-max-bytes", 0, "3000", 0, "bytes of a sparse hyperloglog")
    ROW("hz", NULL, ND_SET_NUMBER, PLACE(int64_t, hz), 0, I32_MAX, NULL, "10", nd_set_hz, NULL, 0,
        "rounds a second of work in the background, 1-500")
    KEPT_TEXT("ignore-warnings", "", 0, "warnings at the start that are left out")
    KEPT_NUMBER("io-threads", 1, 128, "1", FIXED, "threads that read and write")
    KEPT_BOOL("io-threads-do-reads", "no", FIXED, "those threads read too")
    KEPT_BOOL("jemalloc-bg-thread", "yes", 0, "a thread of the allocator gives memory back")
    NUMBER("latency-monitor-threshold", NULL, latency_monitor_threshold_ms, 0, I64_MAX, "0", 0,
           "what takes so long is remembered for LATENCY, ms; 0: nothing")
    BOOL("latency-tracking", NULL, latency_tracking, "yes", 0, "how long each command takes is counted")
    CHECKED("latency-tracking-info-percentiles", NULL, ND_SET_WORDS, latency_percentiles, "50 99 99.9",
            nd_set_percentiles,
            0, "percentiles that INFO latencystats shows")
    BOOL("lazyfree-lazy-eviction", NULL, lazyfree_lazy_eviction, "no", 0, "evicted values are freed in the background")
    BOOL("lazyfree-lazy-expire", NULL, lazyfree_lazy_expire, "no", 0, "expired values are freed in the background")
    BOOL("lazyfree-lazy-server-del", NULL, lazyfree_lazy_server_del, "no", 0,
         "values that a command replaces are freed in the background")
    BOOL("lazyfree-lazy-user-del", NULL, lazyfree_lazy_user_del, "no", 0, "DEL frees in the background, as UNLINK does")
    BOOL("lazyfree-lazy-user-flush", NULL, lazyfree_lazy_user_flush, "no", 0,
         "FLUSHDB and FLUSHALL are ASYNC unless told otherwise")
    NUMBER("lfu-decay-time", NULL, lfu_decay_time, 0, I32_MAX, "1", 0, "minutes after which a use counts less")
    NUMBER("lfu-log-factor", NULL, lfu_log_factor, 0, I32_MAX, "10", 0, "uses that it takes to count one more")
    NUMBER("list-compress-depth", NULL, limits.list_compress_depth, 0, I32_MAX, "0", UNUSED,
           "nodes at each end of a list that stay uncompressed; none is ever compressed here")
    NUMBER("list-max-listpack-size", "list-max-ziplist-size", limits.list_max_listpack_size, INT32_MIN, I32_MAX, "-2",
           0,
           "elements of a node of a list; -1 to -5: 4 to 64 KiB")
    TEXT("logfile", NULL, logfile, "", FIXED, "file of the log; empty: standard error")
    WORD("loglevel", loglevel, "debug verbose notice warning", "notice", 0, "least important lines that are logged")
    TEXT("masterauth", NULL, masterauth, "", SECRET, "password for the master")
    TEXT("masteruser", NULL, masteruser, "", SECRET, "user for the master")
    NUMBER("maxclients", NULL, maxclients, 1, UINT32_MAX, "10000", 0, "clients that may be connected at a time")
    MEMORY("maxmemory", NULL, maxmemory, 0, "0", 0, "bytes of memory in use at which keys are evicted; 0: no limit")
    ROW("maxmemory-clients", NULL, ND_SET_MEMORY_OR_PERCENT, PLACE(int64_t, maxmemory_clients), 0, I64_MAX, NULL, "0",
        nd_set_memory_or_percent, nd_get_memory_or_percent, 0,
        "bytes of all clients' buffers, or a share of maxmemory, at which clients are closed; 0: no limit")
    NUMBER("maxmemory-eviction-tenacity", NULL, maxmemory_eviction_tenacity, 0, 100, "10", 0,
           "time that eviction may take from commands")
    WORD("maxmemory-policy", maxmemory_policy,
         "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction",
         "noeviction", 0, "which keys are evicted")
    NUMBER("maxmemory-samples", NULL, maxmemory_samples, 1, I32_MAX, "5", 0, "keys that are compared for each eviction")
    NUMBER("min-replicas-max-lag", "min-slaves-max-lag", min_replicas_max_lag_s, 0, I32_MAX, "10", 0,
           "a replica that was silent for longer does not count, seconds")
    NUMBER("min-replicas-to-write", "min-slaves-to-write", min_replicas_to_write, 0, I32_MAX, "0", 0,
           "with fewer good replicas writes are refused")
    BOOL("no-appendfsync-on-rewrite", NULL, no_appendfsync_on_rewrite, "no", 0, "no flush while a child writes")
    ROW("notify-keyspace-events", NULL, ND_SET_TEXT, PLACE(int, notify_events), 0, 0, NULL, "", nd_set_notify,
        nd_get_notify, 0, "events that are published: K, E, and g $ l s h z x e t m d n, A")
    KEPT_WORD("oom-score-adj", "no yes relative absolute", "no", 0, "tell the kernel whom to kill first")
    ROW("oom-score-adj-values", NULL, ND_SET_WORDS, ND_SETTING_KEPT, 0, 0, NULL, "0 200 800", nd_set_oom_values, NULL,
        UNUSED,
        "scores of a master, a replica, a child")
    TEXT("pidfile", NULL, pidfile, "", FIXED, "file that gets the number of the process")
    NUMBER("port", NULL, port, 0, PORT_MAX, "6379", 0, "TCP port; 0: none")
    KEPT_TEXT("proc-title-template", "{title} {listen-addr} {server-mode}", 0, "how ps shows the process")
    KEPT_WORD("propagation-error-behavior", "ignore panic panic-on-replicas", "ignore", 0,
              "what follows when a command of the master fails")
    BOOL("protected-mode", NULL, protected_mode, "yes", 0, "without a password only this host is let in")
    /* A key, a member and a field are bounded by it: their lengths have 30 bits. */
    MEMORY_UP_TO("proto-max-bulk-len", proto_max_bulk_len, 1048576, 536870912, "512mb", 0, "bytes of one argument")
    BOOL("rdb-del-sync-files", NULL, rdb_del_sync_files, "no", 0,
         "snapshots that only served a replica are deleted")
    KEPT_BOOL("rdb-save-incremental-fsync", "yes", 0, "a snapshot is flushed as it goes")
    BOOL("rdbchecksum", NULL, rdbchecksum, "yes", FIXED, "snapshots end with a checksum")
    BOOL("rdbcompression", NULL, rdbcompression, "yes", 0, "strings are compressed in snapshots and by DUMP")
    ROW("repl-backlog-size", NULL, ND_SET_MEMORY, PLACE(int64_t, repl_backlog_size), 1, I64_MAX, NULL, "1mb",
        nd_set_backlog_size, NULL, 0, "bytes of the stream kept for replicas that come back")
    NUMBER("repl-backlog-ttl", NULL, repl_backlog_ttl_s, 0, I64_MAX, "3600", 0,
           "seconds without replicas after which the backlog goes; 0: never")
    BOOL("repl-disable-tcp-nodelay", NULL, repl_disable_tcp_nodelay, "no", 0, "fewer packets to replicas, later")
    WORD("repl-diskless-load", repl_diskless_load, "disabled on-empty-db swapdb", "disabled", 0,
         "a replica loads from the socket")
    BOOL("repl-diskless-sync", NULL, repl_diskless_sync, "yes", 0, "replicas get a snapshot without a file")
    NUMBER("repl-diskless-sync-delay", NULL, repl_diskless_sync_delay_s, 0, I32_MAX, "5", 0,
           "seconds that it waits for more replicas")
    NUMBER("repl-diskless-sync-max-replicas", NULL, repl_diskless_sync_max_replicas, 0, I32_MAX, "0", 0,
           "replicas with which it does not wait any longer; 0: it waits")
    NUMBER("repl-ping-replica-period", "repl-ping-slave-period", repl_ping_replica_period_s, 1, I32_MAX, "10", 0,
           "seconds between PINGs to replicas")
    NUMBER("repl-timeout", NULL, repl_timeout_s, 1, I32_MAX, "60", 0,
           "seconds of silence after which a link is closed")
    TEXT("replica-announce-ip", "slave-announce-ip", replica_announce_ip, "", 0, "address that the master shows")
    NUMBER("replica-announce-port", "slave-announce-port", replica_announce_port, 0, PORT_MAX, "0", 0,
           "port that the master shows")
    BOOL("replica-announced", NULL, replica_announced, "yes", UNUSED, "supervisors see this replica")
    BOOL("replica-guard", NULL, replica_guard, "yes", 0,
         "a replica with keys refuses an empty dataset of an unknown history")
    KEPT_BOOL("replica-ignore-disk-write-errors", "no", 0, "a replica goes on when it cannot write its log")
    BOOL("replica-ignore-maxmemory", "slave-ignore-maxmemory", replica_ignore_maxmemory, "yes", 0,
         "a replica evicts nothing by itself")
    BOOL("replica-lazy-flush", "slave-lazy-flush", replica_lazy_flush, "no", UNUSED,
         "a replica frees its old data in the background; here it always does")
    NUMBER("replica-priority", "slave-priority", replica_priority, 0, I32_MAX, "100", 0,
           "the lowest is promoted first; 0: never")
    BOOL("replica-read-only", "slave-read-only", replica_read_only, "yes", 0, "clients of a replica cannot write")
    BOOL("replica-serve-stale-data", "slave-serve-stale-data", replica_serve_stale_data, "yes", 0,
         "a replica answers while it has no master")
    ROW("replicaof", "slaveof", ND_SET_WORDS, PLACE(char *, replicaof), 0, 0, NULL, "", nd_set_replicaof, NULL,
        FIXED, "host and port of the master")
    TEXT("requirepass", NULL, requirepass, "", SECRET, "password of the default user")
    WORD("sanitize-dump-payload", sanitize_dump_payload, "no yes clients", "no", 0,
         "values from outside are looked at closely; they always are here")
    CHECKED("save", NULL, ND_SET_WORDS, save, "3600 1 300 100 60 10000", nd_set_save, GATHERS,
            "a snapshot after so many seconds with so many changes")
    KEPT_TEXT("server_cpulist", "", FIXED, "processors of the main thread")
    NUMBER("set-max-intset-entries", NULL, limits.set_max_intset_entries, 0, I64_MAX, "512", 0,
           "members of a compact set of numbers")
    KEPT_BOOL("set-proc-title", "yes", FIXED, "ps shows what the process does")
    CHECKED("shutdown-on-sigint", NULL, ND_SET_WORDS, shutdown_on_sigint, "default", nd_set_shutdown, 0,
            "how SIGINT ends the server: default, save, nosave, now, force")
    CHECKED("shutdown-on-sigterm", NULL, ND_SET_WORDS, shutdown_on_sigterm, "default", nd_set_shutdown, 0,
            "how SIGTERM ends the server: default, save, nosave, now, force")
    NUMBER("shutdown-timeout", NULL, shutdown_timeout_s, 0, I32_MAX, "10", 0,
           "seconds that replicas get at the end")
    MEMORY("slot-migration-buffer-limit", NULL, slot_migration_buffer_limit, 0, "256mb", 0,
           "bytes waiting on the link of an atomic migration at which it is given up; 0: no limit")
    MEMORY("slot-migration-max-failover-repl-bytes", NULL, slot_migration_near_bytes, 0, "1mb", 0,
           "bytes not yet acknowledged with which an atomic migration may let writes wait and hand over")
    NUMBER("slowlog-log-slower-than", NULL, slowlog_log_slower_than_us, -1, I64_MAX, "10000", 0,
           "commands that take longer are remembered, microseconds; -1: none")
    NUMBER("slowlog-max-len", NULL, slowlog_max_len, 0, I64_MAX, "128", 0, "how many of them")
    KEPT_NUMBER("socket-mark-id", 0, UINT32_MAX, "0", FIXED, "mark of the listening sockets")
    BOOL("stop-writes-on-bgsave-error", NULL, stop_writes_on_bgsave_error, "yes", 0,
         "writes are refused after a failed snapshot")
    KEPT_MEMORY("stream-node-max-bytes", 0, "4096", 0, "bytes of a node of a stream")
    KEPT_NUMBER("stream-node-max-entries", 0, I64_MAX, "100", 0, "entries of a node of a stream")
    WORD("supervised", supervised, "upstart systemd auto no", "no", FIXED, "who is told when the server is ready")
    KEPT_BOOL("syslog-enabled", "no", FIXED, "log to syslog")
    KEPT_WORD("syslog-facility", "user local0 local1 local2 local3 local4 local5 local6 local7", "local0", FIXED,
              "facility of syslog")
    KEPT_TEXT("syslog-ident", "redis", FIXED, "name in syslog")
    NUMBER("tcp-backlog", NULL, tcp_backlog, 0, I32_MAX, "511", FIXED, "connections that may wait to be accepted")
    NUMBER("tcp-keepalive", NULL, tcp_keepalive_s, 0, I32_MAX, "300", 0,
           "seconds of silence after which the kernel asks a client; 0: never")
    NUMBER("timeout", NULL, timeout_s, 0, I32_MAX, "0", 0, "seconds after which an idle client is closed; 0: never")
    KEPT_WORD("tls-auth-clients", "no yes optional", "yes", 0, "TLS: clients need a certificate")
    KEPT_TEXT("tls-ca-cert-dir", "", 0, "TLS: folder of authorities")
    KEPT_TEXT("tls-ca-cert-file", "", 0, "TLS: file of authorities")
    KEPT_TEXT("tls-cert-file", "", 0, "TLS: certificate")
    KEPT_TEXT("tls-ciphers", "", 0, "TLS: ciphers")
    KEPT_TEXT("tls-ciphersuites", "", 0, "TLS: ciphers of version 1.3")
    KEPT_TEXT("tls-client-cert-file", "", 0, "TLS: certificate towards others")
    KEPT_TEXT("tls-client-key-file", "", 0, "TLS: key towards others")
    KEPT_TEXT("tls-client-key-file-pass", "", SECRET, "TLS: password of that key")
    KEPT_BOOL("tls-cluster", "no", ONLY_DEFAULT, "TLS on the bus; not to be had here")
    KEPT_TEXT("tls-dh-params-file", "", 0, "TLS: parameters")
    KEPT_TEXT("tls-key-file", "", 0, "TLS: key")
    KEPT_TEXT("tls-key-file-pass", "", SECRET, "TLS: password of the key")
    KEPT_NUMBER("tls-port", 0, PORT_MAX, "0", ONLY_DEFAULT, "port with TLS; not to be had here")
    KEPT_BOOL("tls-prefer-server-ciphers", "no", 0, "TLS: our order of ciphers")
    KEPT_TEXT("tls-protocols", "", 0, "TLS: versions")
    KEPT_BOOL("tls-replication", "no", ONLY_DEFAULT, "TLS to the master; not to be had here")
    KEPT_NUMBER("tls-session-cache-size", 0, I32_MAX, "20480", 0, "TLS: sessions kept")
    KEPT_NUMBER("tls-session-cache-timeout", 0, I32_MAX, "300", 0, "TLS: seconds that they are kept")
    KEPT_BOOL("tls-session-caching", "yes", 0, "TLS: sessions are kept")
    KEPT_NUMBER("tracking-table-max-keys", 0, I64_MAX, "1000000", 0, "keys remembered for client-side caching")
    TEXT("unixsocket", NULL, unixsocket, "", FIXED, "path of a Unix socket to listen on")
    ROW("unixsocketperm", NULL, ND_SET_OCTAL, PLACE(int64_t, unixsocketperm), 0, 0777, NULL, "0", NULL, NULL, FIXED,
        "its permissions; 0: as umask says")
    NUMBER("zset-max-listpack-entries", "zset-max-ziplist-entries", limits.zset_max_listpack_entries, 0, I64_MAX,
           "128", 0,
           "members of a compact sorted set")
    MEMORY("zset-max-listpack-value", "zset-max-ziplist-value", limits.zset_max_listpack_value, 0, "64", 0,
           "bytes of a member of a compact sorted set")
};
/* clang-format on */
const size_t nd_setting_count = sizeof nd_settings / sizeof *nd_settings;
