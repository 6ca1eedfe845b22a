/* What the core has to know of the data side, and its settings. */
#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/cmd/migrate.h"
#include "noded/repl/follow.h"
#include "noded/shell/bus_inner.h"

#include <stdio.h>
#include <string.h>

uint16_t bus_port(const struct nd_config *config)
{
    int64_t port = config->cluster_port != 0 ? config->cluster_port : config->port + BUS_PORT_OFFSET;
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

void bus_facts(struct bus *b, struct cl_facts *out, int64_t now_us)
{
    const struct nd_engine *e = b->node->engine;
    const struct nd_repl *r = b->node->repl;
    bool up = b->follows && nd_follow_is_up(r);
    if (up != b->link_up)
        b->link_since_us = now_us;
    b->link_up = up;
    if (up) {
        b->had_data = true;
        b->fresh_us = now_us;
    }
    *out = (struct cl_facts){
        .offset = r->offset,
        .old_since_us = b->had_data ? b->fresh_us : -1,
        .link_up = up,
        .loading = e->loading,
        .has_keys = nd_cluster_has_keys(e),
        .sends_keys = nd_migrations_move(e),
        .mapping_epoch = e->keys.mapping_epoch,
        .databases = e->keys.db_count,
        .boot_us = now_us, /* io_now_us() is the boot clock already */
    };
}

void bus_data(void *bus, struct nd_cluster_data *out)
{
    struct bus *b = bus;
    struct cl_facts now;
    int64_t now_us = io_now_us();
    bus_facts(b, &now, now_us);
    *out = (struct nd_cluster_data){
        .replid = b->node->repl->id,
        .link_up = now.link_up,
        .link_ms = (now_us - b->link_since_us) / 1000,
    };
}

static void copy_text(char *out, size_t room, const char *text)
{
    snprintf(out, room, "%s", text != NULL ? text : "");
}

void bus_settings(const struct bus *b, struct cl_settings *out)
{
    const struct nd_config *c = &b->node->engine->config;
    *out = (struct cl_settings){
        .node_timeout_ms = c->cluster_node_timeout_ms > 0 ? c->cluster_node_timeout_ms : 1,
        .validity_factor = c->cluster_replica_validity_factor,
        .migration_barrier = c->cluster_migration_barrier,
        .repl_ping_ms = c->repl_ping_replica_period_s * 1000,
        .full_coverage = c->cluster_require_full_coverage,
        .no_failover = c->cluster_replica_no_failover,
        .reads_when_down = c->cluster_allow_reads_when_down,
        .pubsub_when_down = c->cluster_allow_pubsubshard_when_down,
        .allow_migration = c->cluster_allow_replica_migration,
        .endpoint = (enum cl_endpoint)c->cluster_preferred_endpoint_type,
        .port = (uint16_t)c->port,
        .bus_port = bus_port(c),
        .announce_port = (uint16_t)c->cluster_announce_port,
        .announce_bus_port = (uint16_t)c->cluster_announce_bus_port,
    };
    copy_text(out->announce_ip, sizeof out->announce_ip, c->cluster_announce_ip);
    copy_text(out->hostname, sizeof out->hostname, c->cluster_announce_hostname);
}

bool bus_setting(struct bus *b, struct buf *why)
{
    if (b == NULL)
        return true;
    const struct nd_config *c = &b->node->engine->config;
    if (strlen(c->cluster_announce_ip) >= CL_IP_MAX) {
        buf_puts(why, "cluster-announce-ip has more bytes than an address has");
        return false;
    }
    struct cl_settings settings;
    bus_settings(b, &settings);
    struct cl_event e = {.kind = CL_EV_SETTINGS, .settings = &settings};
    bus_step_later(b, &e);
    return true;
}
