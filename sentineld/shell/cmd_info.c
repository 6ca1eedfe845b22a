#include "sentineld/shell/command.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/base/version.h"
#include "common/io/clock.h"
#include "sentineld/shell/client.h"
#include "sentineld/shell/cmd_sentinel.h"
#include "sentineld/shell/pubsub.h"
#include "sentineld/shell/scripts.h"

static void put_server(struct buf *b, const struct call *call)
{
    const struct daemon *d = call->d;
    struct utsname os = {.sysname = "?"};
    uname(&os);
    int64_t up_s = (io_now_us() - d->started_us) / 1000000;
    buf_printf(b, "redis_version:7.0.15\r\nsentineld_version:%s\r\nredis_mode:sentinel\r\n", SENTINELD_VERSION);
    buf_printf(b, "os:%s %s %s\r\narch_bits:%d\r\nmonotonic_clock:POSIX clock_gettime\r\n", os.sysname, os.release,
               os.machine, (int)sizeof(void *) * 8);
    buf_printf(b, "multiplexing_api:%s\r\n", ev_backend(io_loop_ev(d->loop)) == EVBACKEND_EPOLL ? "epoll" : "other");
    buf_printf(b, "process_id:%d\r\nprocess_supervised:no\r\nrun_id:%s\r\ntcp_port:%d\r\n", (int)getpid(), d->core->id,
               d->port);
    buf_printf(b, "server_time_usec:%lld\r\nuptime_in_seconds:%lld\r\nuptime_in_days:%lld\r\n",
               (long long)io_wall_ms() * 1000, (long long)up_s, (long long)(up_s / 86400));
    buf_printf(b, "executable:%s\r\nconfig_file:%s\r\n", d->executable, d->config_path);
}

static void put_clients(struct buf *b, const struct call *call)
{
    const struct clients *all = call->c->all;
    size_t tracking = 0, held = 0;
    for (const struct client *c = all->first; c != NULL; c = c->next) {
        tracking += c->tracking.on;
        held += c->held;
    }
    buf_printf(b,
               "connected_clients:%zu\r\ncluster_connections:0\r\nmaxclients:%zu\r\nblocked_clients:%zu\r\n"
               "tracking_clients:%zu\r\n",
               all->count, all->max, held, tracking);
}

static void put_stats(struct buf *b, const struct call *call)
{
    const struct clients *all = call->c->all;
    buf_printf(b,
               "total_connections_received:%lld\r\ntotal_commands_processed:%lld\r\ninstantaneous_ops_per_sec:%lld\r\n",
               (long long)all->total_connections, (long long)all->total_commands, (long long)all->rate_commands);
    buf_printf(b,
               "total_net_input_bytes:%lld\r\ntotal_net_output_bytes:%lld\r\ninstantaneous_input_kbps:%.2f\r\n"
               "instantaneous_output_kbps:%.2f\r\nrejected_connections:%lld\r\n",
               (long long)all->net_input, (long long)all->net_output, (double)all->rate_input / 1024.,
               (double)all->rate_output / 1024., (long long)all->rejected_connections);
    buf_printf(b, "pubsub_channels:%zu\r\npubsub_patterns:%zu\r\ntotal_error_replies:%lld\r\n",
               pubsub_channels(all->pubsub), pubsub_patterns(all->pubsub), (long long)all->total_errors);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void put_cpu(struct buf *b, const struct call *call)
{
    (void)call;
    struct rusage self = {0}, children = {0}, thread = {0};
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_THREAD, &thread);
    buf_printf(b, "used_cpu_sys:%f\r\nused_cpu_user:%f\r\n", seconds(self.ru_stime), seconds(self.ru_utime));
    buf_printf(b, "used_cpu_sys_children:%f\r\nused_cpu_user_children:%f\r\n", seconds(children.ru_stime),
               seconds(children.ru_utime));
    buf_printf(b, "used_cpu_sys_main_thread:%f\r\nused_cpu_user_main_thread:%f\r\n", seconds(thread.ru_stime),
               seconds(thread.ru_utime));
}

static void put_sentinel(struct buf *b, const struct call *call)
{
    const struct sn_core *core = call->d->core;
    buf_printf(b, "sentinel_masters:%zu\r\nsentinel_tilt:%d\r\nsentinel_tilt_since_seconds:%lld\r\n", core->ngroups,
               core->tilt, core->tilt ? (long long)((io_now_us() - core->tilt_us) / 1000000) : -1LL);
    buf_printf(b,
               "sentinel_total_tilt:%llu\r\nsentinel_running_scripts:%zu\r\nsentinel_scripts_queue_length:%zu\r\n"
               "sentinel_simulate_failure_flags:%u\r\n",
               (unsigned long long)core->tilts, scripts_running(call->d->scripts), scripts_waiting(call->d->scripts),
               core->crash);
    for (size_t k = 0; k < core->pauses.n; k++) {
        const struct sn_pause *p = &core->pauses.v[k];
        buf_printf(b, "sentinel_failover_paused%zu:name=%s,until=%lld,by=%s\r\n", k, p->target, (long long)p->until_ms,
                   p->owner);
    }
    for (size_t k = 0; k < core->ngroups; k++) {
        const struct sn_group *g = core->groups[k];
        struct addr a = sn_shown_addr(core, g->master->node);
        char text[ADDR_TEXT_MAX];
        buf_printf(b, "master%zu:name=%s,status=%s,address=%s,slaves=%zu,sentinels=%zu\r\n", k, g->name,
                   g->o_down           ? "odown"
                   : g->master->s_down ? "sdown"
                                       : "ok",
                   addr_text(&a, text), cmd_count_replicas(g), cmd_count_sentinels(g) + 1);
    }
}

static const struct section {
    const char *name, *title;
    void (*put)(struct buf *b, const struct call *call);
} sections[] = {
    {"server", "Server", put_server}, {"clients", "Clients", put_clients},    {"stats", "Stats", put_stats},
    {"cpu", "CPU", put_cpu},          {"sentinel", "Sentinel", put_sentinel},
};

static bool is_wanted(const struct call *call, const char *name)
{
    bool wanted = call->argc == 1;
    for (size_t i = 1; i < call->argc && !wanted; i++)
        wanted = slice_ieq(call->argv[i], name) || slice_ieq(call->argv[i], "all") ||
                 slice_ieq(call->argv[i], "default") || slice_ieq(call->argv[i], "everything");
    return wanted;
}

void cmd_info(struct call *call)
{
    struct buf text = {0};
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (!is_wanted(call, sections[i].name))
            continue;
        buf_printf(&text, "%s# %s\r\n", text.n > 0 ? "\r\n" : "", sections[i].title);
        sections[i].put(&text, call);
    }
    reply_bulk(call->r, text.p != NULL ? text.p : "", text.n);
    buf_free(&text);
}
