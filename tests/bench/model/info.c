/* INFO: all sections and lines of redis-server 7.0.15, because reading them is part of what a supervisor costs. What a
 * supervisor decides by is the model's truth; the rest stands still or counts. */
#include "tests/bench/model/model.h"

#include <inttypes.h>

#define SECOND INT64_C(1000000)
#define NO_RUN_ID "0000000000000000000000000000000000000000"

static void write_server(const struct server *s, int64_t up_s, struct buf *out)
{
    buf_printf(out,
               "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\n"
               "redis_build_id:ae4d7c971a948f0\r\nredis_mode:standalone\r\nos:Linux 6.1.0-18-amd64 x86_64\r\n"
               "arch_bits:64\r\nmonotonic_clock:POSIX clock_gettime\r\nmultiplexing_api:epoll\r\n"
               "atomicvar_api:c11-builtin\r\ngcc_version:12.2.0\r\nprocess_id:%d\r\nprocess_supervised:no\r\n",
               2000 + s->port);
    buf_printf(out,
               "run_id:%s\r\ntcp_port:%d\r\nserver_time_usec:%" PRId64 "\r\nuptime_in_seconds:%" PRId64
               "\r\nuptime_in_days:%" PRId64 "\r\nhz:10\r\nconfigured_hz:10\r\nlru_clock:%" PRId64
               "\r\nexecutable:/usr/bin/redis-server\r\nconfig_file:/etc/redis/redis.conf\r\nio_threads_active:0\r\n",
               s->run_id, s->port, model_now(), up_s, up_s / 86400, model_now() / SECOND);
}

static void write_clients(const struct server *s, struct buf *out)
{
    buf_printf(out,
               "\r\n# Clients\r\nconnected_clients:%zu\r\ncluster_connections:0\r\nmaxclients:10000\r\n"
               "client_recent_max_input_buffer:20480\r\nclient_recent_max_output_buffer:0\r\nblocked_clients:0\r\n"
               "tracking_clients:0\r\nclients_in_timeout_table:0\r\n",
               s->nconns);
}

static void write_memory(struct buf *out)
{
    buf_puts(out,
             "\r\n# Memory\r\nused_memory:1059184\r\nused_memory_human:1.01M\r\nused_memory_rss:12550144\r\n"
             "used_memory_rss_human:11.97M\r\nused_memory_peak:1059184\r\nused_memory_peak_human:1.01M\r\n"
             "used_memory_peak_perc:100.23%\r\nused_memory_overhead:896956\r\nused_memory_startup:876176\r\n"
             "used_memory_dataset:162228\r\nused_memory_dataset_perc:88.65%\r\nallocator_allocated:1785056\r\n"
             "allocator_active:1937408\r\nallocator_resident:4608000\r\ntotal_system_memory:25276510208\r\n"
             "total_system_memory_human:23.54G\r\nused_memory_lua:32768\r\nused_memory_vm_eval:32768\r\n"
             "used_memory_lua_human:32.00K\r\nused_memory_scripts_eval:0\r\nnumber_of_cached_scripts:0\r\n"
             "number_of_functions:0\r\nnumber_of_libraries:0\r\nused_memory_vm_functions:33792\r\n"
             "used_memory_vm_total:66560\r\nused_memory_vm_total_human:65.00K\r\nused_memory_functions:200\r\n"
             "used_memory_scripts:200\r\nused_memory_scripts_human:200B\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\n"
             "maxmemory_policy:noeviction\r\nallocator_frag_ratio:1.09\r\nallocator_frag_bytes:152352\r\n"
             "allocator_rss_ratio:2.38\r\nallocator_rss_bytes:2670592\r\nrss_overhead_ratio:2.72\r\n"
             "rss_overhead_bytes:7942144\r\nmem_fragmentation_ratio:13.78\r\nmem_fragmentation_bytes:11233144\r\n"
             "mem_not_counted_for_evict:0\r\nmem_replication_backlog:20508\r\nmem_total_replication_buffers:20504\r\n"
             "mem_clients_slaves:0\r\nmem_clients_normal:1800\r\nmem_cluster_links:0\r\nmem_aof_buffer:0\r\n"
             "mem_allocator:jemalloc-5.3.0\r\nactive_defrag_running:0\r\nlazyfree_pending_objects:0\r\n"
             "lazyfreed_objects:0\r\n");
}

static void write_persistence(int64_t up_s, struct buf *out)
{
    buf_printf(out,
               "\r\n# Persistence\r\nloading:0\r\nasync_loading:0\r\ncurrent_cow_peak:0\r\ncurrent_cow_size:0\r\n"
               "current_cow_size_age:0\r\ncurrent_fork_perc:0.00\r\ncurrent_save_keys_processed:0\r\n"
               "current_save_keys_total:0\r\nrdb_changes_since_last_save:1\r\nrdb_bgsave_in_progress:0\r\n"
               "rdb_last_save_time:%" PRId64
               "\r\nrdb_last_bgsave_status:ok\r\nrdb_last_bgsave_time_sec:-1\r\nrdb_current_bgsave_time_sec:-1\r\n"
               "rdb_saves:0\r\nrdb_last_cow_size:0\r\nrdb_last_load_keys_expired:0\r\nrdb_last_load_keys_loaded:0\r\n"
               "aof_enabled:0\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\n"
               "aof_last_rewrite_time_sec:-1\r\naof_current_rewrite_time_sec:-1\r\naof_last_bgrewrite_status:ok\r\n"
               "aof_rewrites:0\r\naof_rewrites_consecutive_failures:0\r\naof_last_write_status:ok\r\n"
               "aof_last_cow_size:0\r\nmodule_fork_in_progress:0\r\nmodule_fork_last_cow_size:0\r\n",
               1700000000 + up_s);
}

static void write_stats(const struct server *s, struct buf *out)
{
    buf_printf(out,
               "\r\n# Stats\r\ntotal_connections_received:%" PRIu64 "\r\ntotal_commands_processed:%" PRIu64
               "\r\ninstantaneous_ops_per_sec:0\r\ntotal_net_input_bytes:%" PRIu64 "\r\ntotal_net_output_bytes:%" PRIu64
               "\r\ntotal_net_repl_input_bytes:0\r\ntotal_net_repl_output_bytes:309\r\n"
               "instantaneous_input_kbps:0.02\r\ninstantaneous_output_kbps:0.00\r\n"
               "instantaneous_input_repl_kbps:0.00\r\ninstantaneous_output_repl_kbps:0.00\r\n"
               "rejected_connections:0\r\nsync_full:1\r\nsync_partial_ok:0\r\nsync_partial_err:0\r\n",
               s->conns_seen, s->commands_seen, s->bytes_in, s->bytes_out);
    buf_printf(out,
               "expired_keys:0\r\nexpired_stale_perc:0.00\r\nexpired_time_cap_reached_count:0\r\n"
               "expire_cycle_cpu_milliseconds:0\r\nevicted_keys:0\r\nevicted_clients:0\r\n"
               "total_eviction_exceeded_time:0\r\ncurrent_eviction_exceeded_time:0\r\nkeyspace_hits:0\r\n"
               "keyspace_misses:0\r\npubsub_channels:%d\r\npubsub_patterns:0\r\npubsubshard_channels:0\r\n"
               "latest_fork_usec:543\r\ntotal_forks:1\r\nmigrate_cached_sockets:0\r\n"
               "slave_expires_tracked_keys:0\r\nactive_defrag_hits:0\r\nactive_defrag_misses:0\r\n"
               "active_defrag_key_hits:0\r\nactive_defrag_key_misses:0\r\ntotal_active_defrag_time:0\r\n"
               "current_active_defrag_time:0\r\ntracking_total_keys:0\r\ntracking_total_items:0\r\n"
               "tracking_total_prefixes:0\r\nunexpected_error_replies:0\r\ntotal_error_replies:0\r\n"
               "dump_payload_sanitizations:0\r\ntotal_reads_processed:%" PRIu64 "\r\ntotal_writes_processed:%" PRIu64
               "\r\nio_threaded_reads_processed:0\r\nio_threaded_writes_processed:0\r\nreply_buffer_shrinks:1\r\n"
               "reply_buffer_expands:0\r\n",
               s->nsubscribers > 0, s->commands_seen, s->commands_seen);
}

static void write_as_replica(const struct server *s, struct buf *out)
{
    bool up = server_linked(s);
    int64_t offset = server_offset(s);
    buf_printf(out,
               "role:slave\r\nmaster_host:%s\r\nmaster_port:%d\r\nmaster_link_status:%s\r\n"
               "master_last_io_seconds_ago:%d\r\nmaster_sync_in_progress:0\r\nslave_read_repl_offset:%" PRId64
               "\r\nslave_repl_offset:%" PRId64 "\r\n",
               MODEL_HOST, s->master->port, up ? "up" : "down", up ? 0 : -1, offset, offset);
    if (!up)
        buf_printf(out, "master_link_down_since_seconds:%" PRId64 "\r\n", (model_now() - s->link_lost_us) / SECOND);
    buf_puts(out, "slave_priority:100\r\nslave_read_only:1\r\nreplica_announced:1\r\nconnected_slaves:0\r\n");
}

static void write_as_master(const struct server *s, struct buf *out)
{
    const struct server *p = s->partner;
    bool linked = p->alive && p->master == s && server_linked(p);
    buf_printf(out, "role:master\r\nconnected_slaves:%d\r\n", linked);
    if (linked)
        buf_printf(out, "slave0:ip=%s,port=%d,state=online,offset=%" PRId64 ",lag=%d\r\n", MODEL_HOST, p->port,
                   s->offset, (int)(model_now() / SECOND % 2));
}

static void write_replication(const struct server *s, struct buf *out)
{
    buf_puts(out, "\r\n# Replication\r\n");
    if (s->master != NULL)
        write_as_replica(s, out);
    else
        write_as_master(s, out);
    const char *replid = s->master != NULL && server_linked(s) ? s->master->replid : s->replid;
    int64_t offset = server_offset(s);
    buf_printf(out,
               "master_failover_state:no-failover\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
               "master_repl_offset:%" PRId64 "\r\nsecond_repl_offset:%" PRId64
               "\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1048576\r\nrepl_backlog_first_byte_offset:1\r\n"
               "repl_backlog_histlen:%" PRId64 "\r\n",
               replid, s->replid2[0] == '\0' ? NO_RUN_ID : s->replid2, offset, s->second_offset, offset);
}

void info_write(struct server *s, struct buf *out)
{
    int64_t up_s = (model_now() - s->started_us) / SECOND;
    write_server(s, up_s, out);
    write_clients(s, out);
    write_memory(out);
    write_persistence(up_s, out);
    write_stats(s, out);
    write_replication(s, out);
    buf_puts(out, "\r\n# CPU\r\nused_cpu_sys:0.022653\r\nused_cpu_user:0.018907\r\nused_cpu_sys_children:0.000000\r\n"
                  "used_cpu_user_children:0.001245\r\nused_cpu_sys_main_thread:0.022600\r\n"
                  "used_cpu_user_main_thread:0.017175\r\n\r\n# Modules\r\n\r\n# Errorstats\r\n\r\n# Cluster\r\n"
                  "cluster_enabled:0\r\n\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n");
}
