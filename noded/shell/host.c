/* What the engine asks of the program. */
#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/repl/extension.h"
#include "noded/repl/repl.h"
#include "noded/repl/serve.h"
#include "noded/shell/aof.h"
#include "noded/shell/bus.h"
#include "noded/shell/clients.h"
#include "noded/shell/config_rewrite.h"
#include "noded/shell/facts.h"
#include "noded/shell/master_link.h"
#include "noded/shell/memory.h"
#include "noded/shell/migrate.h"
#include "noded/shell/node.h"
#include "noded/shell/reclaim.h"
#include "noded/shell/slot_link.h"

#include <errno.h>
#include <time.h>

static int64_t host_clock_us(void *owner)
{
    (void)owner;
    return io_now_us();
}

static void host_wake(void *owner, struct nd_session *s)
{
    struct node *n = owner;
    clients_wake(n->clients, s);
}

static void host_resume(void *owner, struct nd_session *s)
{
    struct node *n = owner;
    clients_resume(n->clients, s);
}

static void host_kill(void *owner, struct nd_session *s, const char *why)
{
    struct node *n = owner;
    if (s->kind == ND_MASTER)
        master_link_kill(n->master, why);
    else
        clients_kill(n->clients, s, why);
}

/* What was done goes to the replicas and into the append-only file. A replica's file gets what its master's commands
 * did. */
static void host_effects(void *owner, const struct nd_effect_row *rows, size_t count)
{
    struct node *n = owner;
    if (n->engine->loading)
        return; /* what is loaded stands in the files already, and replicas get it whole */
    n->units++;
    nd_repl_feed(n->repl, rows, count);
    aof_feed(n->aof, rows, count);
}

static bool host_setting(void *owner, const char *name, struct buf *why)
{
    return node_follow_setting(owner, name, why);
}

static bool host_rewrite(void *owner, struct buf *why)
{
    struct node *n = owner;
    if (n->config_path == NULL) {
        buf_puts(why, "The server is running without a config file");
        return false;
    }
    struct buf reason = {0};
    bool ok = config_rewrite(n->config_path, &n->engine->config, &reason);
    if (ok)
        io_log(IO_WARNING, "CONFIG REWRITE has written %s", n->config_path);
    else
        buf_printf(why, "Rewriting config file: %s", buf_str(&reason));
    if (!ok)
        io_log(IO_WARNING, "CONFIG REWRITE failed: %s", buf_str(&reason));
    buf_free(&reason);
    return ok;
}

static size_t host_memory_used(void *owner)
{
    (void)owner;
    return memory_used();
}

static void host_facts(void *owner, struct nd_facts *out)
{
    struct node *n = owner;
    facts_collect(out);
    out->uptime_s = (io_now_us() - n->start_us) / 1000000;
    out->executable = n->executable;
    out->config_file = n->config_path != NULL ? n->config_path : "";
    out->client_memory_normal = clients_memory(n->clients);
    out->lazyfree_pending = reclaim_pending(n->reclaim);
    out->lazyfreed = reclaim_done(n->reclaim);
    bus_count_links(n->bus, out);
    out->migrate_cached = migrate_cached(n->migrator);
    out->aof_buffer = nd_aof_memory(n->engine);
    out->client_memory_replicas = clients_memory_replicas(n->clients) + slot_links_memory(n->slot_links);
    nd_serve_facts(n->repl, out);
}

static void host_release(void *owner, struct nd_value v)
{
    struct node *n = owner;
    reclaim_value(n->reclaim, v);
}

static void host_release_content(void *owner, struct nd_content *content)
{
    struct node *n = owner;
    reclaim_content(n->reclaim, content);
}

static void host_migrate(void *owner, const struct nd_migrate_spec *spec)
{
    struct node *n = owner;
    migrate_start(n->migrator, spec);
}

static void host_purge_memory(void *owner)
{
    (void)owner;
    memory_purge();
}

static void host_allocator_stats(void *owner, struct buf *out)
{
    (void)owner;
    memory_allocator_stats(out);
}

static void host_sleep_us(void *owner, int64_t us)
{
    (void)owner;
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

static void host_log(void *owner, int level, const char *text)
{
    (void)owner;
    io_log((enum io_log_level)level, "%s", text);
}

static void host_client_buffers(void *owner, const struct nd_session *s, struct nd_client_buffers *out)
{
    struct node *n = owner;
    if (s->kind == ND_MASTER)
        *out = (struct nd_client_buffers){.total = master_link_memory(n->master), .events = "r"};
    else
        clients_buffers(n->clients, s, out);
}

struct nd_host node_host(struct node *n)
{
    return (struct nd_host){
        .owner = n,
        .extension = &nd_repl_extension,
        .clock_us = host_clock_us,
        .wake = host_wake,
        .resume = host_resume,
        .kill = host_kill,
        .effects = host_effects,
        .setting = host_setting,
        .rewrite = host_rewrite,
        .memory_used = host_memory_used,
        .facts = host_facts,
        .release = host_release,
        .release_content = host_release_content,
        .shutdown = shutdown_ask,
        .migrate = host_migrate,
        .purge_memory = host_purge_memory,
        .allocator_stats = host_allocator_stats,
        .sleep_us = host_sleep_us,
        .log = host_log,
        .client_buffers = host_client_buffers,
    };
}
