#include "noded/cmd/info.h"

#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/connection.h"
#include "noded/cmd/histogram.h"
#include "noded/cmd/pubsub.h"
#include "noded/cmd/rates.h"

#include <inttypes.h>
#include <stdlib.h>

void nd_human_bytes(struct buf *out, size_t bytes)
{
    static const char units[] = "BKMGTP";
    double v = (double)bytes;
    size_t unit = 0;
    while (v >= 1024 && unit + 2 < sizeof units) {
        v /= 1024;
        unit++;
    }
    if (unit == 0)
        buf_printf(out, "%zuB", bytes);
    else
        buf_printf(out, "%.2f%c", v, units[unit]);
}

static void human(struct nd_info *i, const char *name, size_t bytes)
{
    buf_printf(i->out, "%s:", name);
    nd_human_bytes(i->out, bytes);
    buf_puts(i->out, "\r\n");
}

static double ratio(size_t a, size_t b)
{
    return b > 0 ? (double)a / (double)b : 0;
}

void nd_info_server(struct nd_info *i)
{
    const struct nd_engine *e = i->e;
    const struct nd_facts *f = &i->facts;
    buf_printf(i->out,
               "# Server\r\nredis_version:%s\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:0\r\n"
               "redis_mode:%s\r\nos:%s\r\narch_bits:%s\r\nmonotonic_clock:POSIX clock_gettime\r\n"
               "multiplexing_api:epoll\r\natomicvar_api:c11-builtin\r\ngcc_version:%s\r\nprocess_id:%" PRId64
               "\r\nprocess_supervised:no\r\nrun_id:%s\r\ntcp_port:%" PRId64 "\r\nserver_time_usec:%" PRId64
               "\r\nuptime_in_seconds:%" PRId64 "\r\nuptime_in_days:%" PRId64 "\r\nhz:%" PRId64
               "\r\nconfigured_hz:%" PRId64 "\r\nlru_clock:%u\r\nexecutable:%s\r\nconfig_file:%s\r\n"
               "io_threads_active:0\r\nserver_name:noded\r\n",
               ND_REDIS_VERSION, e->config.cluster_enabled ? "cluster" : "standalone", f->os, f->arch_bits,
               f->gcc_version, f->pid, e->run_id, e->config.port, e->now_ms * 1000, f->uptime_s, f->uptime_s / 86400,
               e->config.hz, e->config.hz, (unsigned)e->lru_clock, f->executable, f->config_file);
}

void nd_info_clients(struct nd_info *i)
{
    const struct nd_engine *e = i->e;
    size_t input = 0, output = 0;
    for (const struct nd_session *s = e->sessions; s != NULL; s = s->next) {
        struct nd_client_buffers b = {0};
        if (s->kind == ND_INNER)
            continue;
        e->host.client_buffers(e->host.owner, s, &b);
        if (b.query > input)
            input = b.query;
        if (b.output > output)
            output = b.output;
    }
    buf_printf(
        i->out,
        "# Clients\r\nconnected_clients:%zu\r\ncluster_connections:%zu\r\nmaxclients:%" PRId64
        "\r\nclient_recent_max_input_buffer:%zu\r\nclient_recent_max_output_buffer:%zu\r\nblocked_clients:%zu\r\n"
        "tracking_clients:0\r\nclients_in_timeout_table:%zu\r\n",
        e->session_count[ND_CLIENT], i->facts.cluster_links, e->config.maxclients, input, output,
        e->waits->blocked + e->postponed, e->waits->timers.n);
}

size_t nd_memory_overhead(const struct nd_engine *e, const struct nd_facts *f)
{
    size_t n = f->client_memory_normal + f->client_memory_replicas + f->backlog_memory + f->aof_buffer;
    for (int k = 0; k < e->keys.db_count; k++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, k);
        if (db != NULL && nd_db_count(db) > 0)
            n += nd_db_table_memory(db, false) + nd_db_table_memory(db, true);
    }
    return n;
}

static void memory_of_process(struct nd_info *i)
{
    const struct nd_facts *f = &i->facts;
    size_t peak = i->e->stats.peak_memory > i->used ? i->e->stats.peak_memory : i->used;
    size_t overhead = nd_memory_overhead(i->e, f), data = i->used > overhead ? i->used - overhead : 0;
    buf_printf(i->out, "# Memory\r\nused_memory:%zu\r\n", i->used);
    human(i, "used_memory_human", i->used);
    buf_printf(i->out, "used_memory_rss:%zu\r\n", f->rss);
    human(i, "used_memory_rss_human", f->rss);
    buf_printf(i->out, "used_memory_peak:%zu\r\n", peak);
    human(i, "used_memory_peak_human", peak);
    buf_printf(i->out,
               "used_memory_peak_perc:%.2f%%\r\nused_memory_overhead:%zu\r\nused_memory_startup:%zu\r\n"
               "used_memory_dataset:%zu\r\nused_memory_dataset_perc:%.2f%%\r\nallocator_allocated:%zu\r\n"
               "allocator_active:%zu\r\nallocator_resident:%zu\r\ntotal_system_memory:%zu\r\n",
               100 * ratio(i->used, peak), overhead, i->e->stats.startup_memory, data, 100 * ratio(data, i->used),
               f->allocated, f->active, f->resident, f->total_system);
    human(i, "total_system_memory_human", f->total_system);
}

void nd_info_memory(struct nd_info *i)
{
    const struct nd_engine *e = i->e;
    const struct nd_facts *f = &i->facts;
    struct buf policy = {0};
    memory_of_process(i);
    nd_setting_get(nd_setting_find(slice_of("maxmemory-policy")), &e->config, &policy);
    buf_printf(i->out, "maxmemory:%" PRId64 "\r\n", e->config.maxmemory);
    human(i, "maxmemory_human", (size_t)e->config.maxmemory);
    buf_printf(
        i->out,
        "maxmemory_policy:%s\r\nallocator_frag_ratio:%.2f\r\nallocator_frag_bytes:%zu\r\n"
        "allocator_rss_ratio:%.2f\r\nallocator_rss_bytes:%" PRId64 "\r\nrss_overhead_ratio:%.2f\r\n"
        "rss_overhead_bytes:%" PRId64 "\r\nmem_fragmentation_ratio:%.2f\r\nmem_fragmentation_bytes:%" PRId64
        "\r\nmem_not_counted_for_evict:%zu\r\nmem_replication_backlog:%zu\r\nmem_total_replication_buffers:%zu\r\n"
        "mem_clients_slaves:%zu\r\nmem_clients_normal:%zu\r\nmem_cluster_links:%zu\r\nmem_aof_buffer:%zu\r\n"
        "mem_allocator:%s\r\nactive_defrag_running:0\r\nlazyfree_pending_objects:%zu\r\nlazyfreed_objects:%zu\r\n",
        buf_str(&policy), ratio(f->active, f->allocated), f->active - f->allocated, ratio(f->resident, f->active),
        (int64_t)f->resident - (int64_t)f->active, ratio(f->rss, f->resident), (int64_t)f->rss - (int64_t)f->resident,
        ratio(f->rss, i->used), (int64_t)f->rss - (int64_t)i->used, e->not_evicted,
        f->backlog_memory - f->replication_stream_extra, f->backlog_memory, f->client_memory_replicas,
        f->client_memory_normal, f->cluster_links_memory, f->aof_buffer, f->allocator, f->lazyfree_pending,
        f->lazyfreed - e->stats.lazyfreed_before);
    buf_free(&policy);
}

void nd_info_persistence(struct nd_info *i)
{
    buf_printf(i->out,
               "# Persistence\r\nloading:%d\r\nasync_loading:0\r\nrdb_changes_since_last_save:%" PRId64
               "\r\nrdb_bgsave_in_progress:0\r\naof_enabled:0\r\naof_rewrite_in_progress:0\r\n",
               i->e->loading, nd_unsaved(i->e));
}

void nd_info_stats(struct nd_info *i)
{
    const struct nd_stats *s = &i->e->stats;
    const struct nd_pubsub *p = i->e->pubsub;
    buf_printf(i->out,
               "# Stats\r\ntotal_connections_received:%" PRIu64 "\r\ntotal_commands_processed:%" PRIu64
               "\r\ninstantaneous_ops_per_sec:%" PRIu64 "\r\ntotal_net_input_bytes:%" PRIu64
               "\r\ntotal_net_output_bytes:%" PRIu64 "\r\ntotal_net_repl_input_bytes:%" PRIu64
               "\r\ntotal_net_repl_output_bytes:%" PRIu64 "\r\n"
               "instantaneous_input_kbps:%.2f\r\ninstantaneous_output_kbps:%.2f\r\nrejected_connections:%" PRIu64
               "\r\nsync_full:%" PRIu64 "\r\nsync_partial_ok:%" PRIu64 "\r\nsync_partial_err:%" PRIu64 "\r\n",
               s->connections, s->commands, nd_rate(&s->ops), s->net_input, s->net_output, s->repl_input,
               s->repl_output, (double)nd_rate(&s->input) / 1024, (double)nd_rate(&s->output) / 1024,
               s->rejected_connections, s->sync_full, s->sync_partial_ok, s->sync_partial_err);
    buf_printf(i->out,
               "expired_keys:%" PRIu64 "\r\nexpired_stale_perc:%.2f\r\nexpired_time_cap_reached_count:%" PRIu64
               "\r\nevicted_keys:%" PRIu64 "\r\nevicted_clients:%" PRIu64 "\r\nkeyspace_hits:%" PRIu64
               "\r\nkeyspace_misses:%" PRIu64 "\r\npubsub_channels:%zu\r\npubsub_patterns:%zu\r\n"
               "pubsubshard_channels:%zu\r\nlatest_fork_usec:%" PRId64 "\r\ntotal_forks:%" PRIu64
               "\r\nmigrate_cached_sockets:%zu\r\n"
               "slave_expires_tracked_keys:0\r\nunexpected_error_replies:%" PRIu64 "\r\ntotal_error_replies:%" PRIu64
               "\r\ntotal_reads_processed:%" PRIu64 "\r\ntotal_writes_processed:%" PRIu64
               "\r\nclient_query_buffer_limit_disconnections:%" PRIu64
               "\r\nclient_output_buffer_limit_disconnections:%" PRIu64 "\r\n",
               s->expired, (double)s->expired_stale_permille / 10, s->expire_time_cap, s->evicted, s->evicted_clients,
               s->hits, s->misses, p->by_name[ND_CHANNEL].used, p->by_name[ND_PATTERN].used,
               p->by_name[ND_SHARD_CHANNEL].used, i->facts.fork_us, i->facts.forks, i->facts.migrate_cached,
               s->unexpected_errors, s->errors, s->reads_processed, s->writes_processed, s->query_limit_closed,
               s->output_limit_closed);
}

void nd_info_replication(struct nd_info *i)
{
    buf_printf(i->out,
               "# Replication\r\nrole:%s\r\nconnected_slaves:%zu\r\nmaster_failover_state:no-failover\r\n"
               "master_replid:%s\r\nmaster_replid2:%040d\r\nmaster_repl_offset:0\r\nsecond_repl_offset:-1\r\n"
               "repl_backlog_active:0\r\n",
               i->e->is_replica ? "slave" : "master", i->e->session_count[ND_REPLICA], i->e->run_id, 0);
}

void nd_info_cpu(struct nd_info *i)
{
    const struct nd_facts *f = &i->facts;
    buf_printf(i->out,
               "# CPU\r\nused_cpu_sys:%f\r\nused_cpu_user:%f\r\nused_cpu_sys_children:%f\r\n"
               "used_cpu_user_children:%f\r\nused_cpu_sys_main_thread:%f\r\nused_cpu_user_main_thread:%f\r\n",
               f->cpu_sys, f->cpu_user, f->cpu_sys_children, f->cpu_user_children, f->cpu_sys_main, f->cpu_user_main);
}

void nd_info_modules(struct nd_info *i)
{
    buf_puts(i->out, "# Modules\r\n");
}

void nd_info_commandstats(struct nd_info *i)
{
    buf_puts(i->out, "# Commandstats\r\n");
    for (size_t n = 0; n < nd_command_numbers(i->e); n++) {
        const struct nd_command_stats *s = &i->e->stats.by_command[n];
        if (s->calls == 0 && s->rejected == 0 && s->failed == 0)
            continue;
        buf_printf(i->out,
                   "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f,rejected_calls=%" PRIu64
                   ",failed_calls=%" PRIu64 "\r\n",
                   nd_command_full_name(i->e, nd_command_numbered(i->e, n)), s->calls, s->usec,
                   s->calls > 0 ? (double)s->usec / (double)s->calls : 0, s->rejected, s->failed);
    }
}

void nd_info_errorstats(struct nd_info *i)
{
    struct slice code;
    const uint64_t *count;
    buf_puts(i->out, "# Errorstats\r\n");
    for (size_t it = 0; (count = map_next(&i->e->stats.errors_by_code, &it, &code)) != NULL;)
        buf_printf(i->out, "errorstat_%.*s:count=%" PRIu64 "\r\n", (int)code.n, code.p, *count);
}

static void put_percentiles(struct buf *out, const struct nd_histogram *h, const char *percentiles)
{
    const char *between = "";
    for (struct slice rest = slice_of(percentiles); rest.n > 0; between = ",") {
        struct slice word = slice_cut(&rest, ' ');
        double percent = strtod(word.p, NULL);
        buf_printf(out, "%sp%.*s=%.3f", between, (int)word.n, word.p,
                   (double)nd_histogram_percentile(h, percent) / 1000);
    }
}

void nd_info_latencystats(struct nd_info *i)
{
    buf_puts(i->out, "# Latencystats\r\n");
    for (size_t n = 0; i->e->config.latency_tracking && n < nd_command_numbers(i->e); n++) {
        const struct nd_histogram *h = i->e->stats.by_command[n].latency;
        if (h == NULL)
            continue;
        buf_printf(i->out, "latency_percentiles_usec_%s:", nd_command_full_name(i->e, nd_command_numbered(i->e, n)));
        put_percentiles(i->out, h, i->e->config.latency_percentiles);
        buf_puts(i->out, "\r\n");
    }
}

void nd_info_cluster(struct nd_info *i)
{
    buf_printf(i->out, "# Cluster\r\ncluster_enabled:%d\r\n", i->e->config.cluster_enabled);
    /* Where databases were never swapped the section is Redis's. */
    if (i->e->config.cluster_enabled && i->e->keys.mapping_epoch > 0)
        buf_printf(i->out, "db_mapping_epoch:%" PRIu64 "\r\n", i->e->keys.mapping_epoch);
    /* And where it is not supervised. */
    if (i->e->lease_until_us != INT64_MAX)
        nd_lease_info(i->e, i->out);
}

void nd_info_keyspace(struct nd_info *i)
{
    buf_puts(i->out, "# Keyspace\r\n");
    for (int n = 0; n < i->e->keys.db_count; n++) {
        const struct nd_db *db = nd_keyspace_peek(&i->e->keys, n);
        if (db != NULL && nd_db_count(db) > 0)
            buf_printf(i->out, "db%d:keys=%zu,expires=%zu,avg_ttl=%" PRId64 "\r\n", n, nd_db_count(db),
                       nd_db_expires(db), nd_db_average_ttl(db));
    }
}
