/* Counters and facts that INFO, LATENCY, MEMORY and CLIENT LIST show. */
#ifndef CMD_STATS_H
#define CMD_STATS_H

#include "common/base/map.h"

#define ND_RATE_SAMPLES 16

struct nd_histogram; /* histogram.h */
struct nd_command_stats {
    uint64_t calls, usec, rejected, failed;
    struct nd_histogram *latency; /* NULL: never run with latency-tracking */
};

struct nd_stats {
    uint64_t connections, commands, net_input, net_output, rejected_connections;
    uint64_t expired, expired_stale_permille, expire_time_cap, evicted, evicted_clients, hits, misses;
    uint64_t errors, unexpected_errors, reads_processed, writes_processed, output_limit_closed, query_limit_closed;
    uint64_t pubsub_clients;
    size_t lazyfreed_before;                               /* of facts' lazyfreed: before CONFIG RESETSTAT */
    uint64_t sync_full, sync_partial_ok, sync_partial_err; /* replicas that were served */
    uint64_t repl_input, repl_output;                      /* bytes of streams and snapshots */
    size_t peak_memory, startup_memory;                    /* startup: of the program before its first client */
    struct nd_command_stats *by_command;                   /* nd_command_number() indexes it */
    struct map errors_by_code;                             /* "WRONGTYPE" -> uint64_t count */
    /* instantaneous_*: samples ten times a second while there is traffic */
    struct nd_rate {
        uint64_t last_count;
        int64_t last_us;
        uint64_t samples[ND_RATE_SAMPLES];
        unsigned next;
    } ops, input, output;
};

/* What the program knows and the engine does not. */
struct nd_facts {
    size_t rss, total_system, allocated, active, resident, retained;
    double cpu_sys, cpu_user, cpu_sys_children, cpu_user_children, cpu_sys_main, cpu_user_main;
    int64_t pid, uptime_s;
    const char *os, *arch_bits, *gcc_version, *allocator, *executable, *config_file;
    int64_t fds_max;
    size_t client_memory_normal; /* bytes of buffers of all clients */
    size_t lazyfree_pending, lazyfreed;
    size_t migrate_cached;                           /* connections kept for the next MIGRATE */
    size_t aof_buffer;                               /* bytes of memory for the append-only file */
    size_t client_memory_replicas;                   /* of their buffers, without the stream */
    size_t backlog_memory, replication_stream_extra; /* all of it; of that, kept only for slow replicas */
    size_t cluster_links, cluster_links_memory;      /* of the bus, both ways; bytes of their buffers */
    uint64_t forks;
    int64_t fork_us; /* of the last */
};

struct nd_client_buffers {
    size_t query, query_free, output, output_list, total;
    const char *events; /* "r", "rw" */
};

struct nd_engine;
/* CONFIG RESETSTAT: all counters but those of what is there now (rates.c). */
void nd_stats_reset(struct nd_engine *e);
void nd_stats_free(struct nd_engine *e);
void nd_stats_forget_errors(struct nd_engine *e);

#endif
