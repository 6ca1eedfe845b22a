#include "nodectl/local/conf_text.h"

#include "common/base/mem.h"
#include "common/io/conf.h"

#include <stdlib.h>
#include <string.h>

static void put_text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "%s = ", key);
    conf_write_string(out, slice_of(value));
    buf_puts(out, ";\n");
}

static void put_address(struct buf *out, const struct addr *a, bool first)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(out, "%s\"%s\"", first ? "" : ", ", addr_text(a, text));
}

bool conf_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

void conf_text_node(struct buf *out, const struct layout *l, const struct layout_member *m, const char *node_password)
{
    char *folder = layout_path(l, m, "");
    buf_printf(out,
               "# A node of fleet %s, made by nodectl fleet create. noded --help shows every setting; a change counts\n"
               "# from the next start on. This file has to stay where it is: its path tells the process from others.\n",
               l->name);
    buf_puts(out, "bind = [ ");
    conf_write_string(out, slice_of(m->addr.host));
    buf_printf(out, " ];\nport = %d;\ncluster_enabled = true;\ncluster_port = %d;\n", m->addr.port, m->bus_port);
    buf_puts(out, "# Others are told this address, whichever one its connections come from.\n");
    put_text(out, "cluster_announce_ip", m->addr.host);
    put_text(out, "replica_announce_ip", m->addr.host);
    put_text(out, "dir", folder);
    buf_puts(out, "# What was acknowledged is on the disk a second later at most; no other snapshots are needed.\n"
                  "appendonly = true;\nsave = [ ];\n"
                  "# A replica that connects gets its data at once.\nrepl_diskless_sync_delay = 0;\n");
    if (node_password[0] != '\0') {
        put_text(out, "requirepass", node_password);
        put_text(out, "masterauth", node_password);
    } else if (!conf_is_loopback(m->addr.host)) {
        buf_puts(out, "# There is no password: who reaches this address may do everything.\nprotected_mode = false;\n");
    }
    free(folder);
}

void conf_text_cluster_entry(struct buf *out, const struct conf_text_cluster *c)
{
    buf_puts(out, "{ name = ");
    conf_write_string(out, slice_of(c->name));
    buf_puts(out, "; seeds = [ ");
    for (size_t i = 0; i < c->nseeds; i++)
        put_address(out, &c->seeds[i], i == 0);
    buf_printf(out, " ]; down_after_ms = %lld;", (long long)c->down_after_ms);
    if (c->user[0] != '\0') {
        buf_puts(out, " user = ");
        conf_write_string(out, slice_of(c->user));
        buf_putc(out, ';');
    }
    if (c->password[0] != '\0') {
        buf_puts(out, " password = ");
        conf_write_string(out, slice_of(c->password));
        buf_putc(out, ';');
    }
    buf_puts(out, " }");
}

void conf_text_cluster(struct buf *out, const char *name, const struct addr *seeds, size_t nseeds,
                       int64_t down_after_ms, const char *node_password)
{
    buf_puts(out, "clusters = (\n  ");
    conf_text_cluster_entry(out, &(struct conf_text_cluster){.name = name,
                                                             .seeds = seeds,
                                                             .nseeds = nseeds,
                                                             .down_after_ms = down_after_ms,
                                                             .user = "",
                                                             .password = node_password});
    buf_puts(out, "\n);\n");
}

static void put_users(struct buf *out, const char *password)
{
    if (password[0] == '\0')
        return;
    buf_puts(out, "users = ( { name = \"default\"; password = ");
    conf_write_string(out, slice_of(password));
    buf_puts(out, "; access = \"all\"; } );\npeer_auth = { user = \"\"; password = ");
    conf_write_string(out, slice_of(password));
    buf_puts(out, "; };\n");
}

void conf_text_supervisor(struct buf *out, const struct layout *l, const struct layout_member *m, const char *password,
                          const char *node_password)
{
    char *state = layout_path(l, m, "state");
    struct addr *nodes = mem_alloc((l->n + 1) * sizeof *nodes);
    size_t n = 0, supervisors = 0;
    buf_printf(
        out,
        "# A supervisor of fleet %s, made by nodectl fleet create. See sentineld.conf(5); SIGHUP reads it again.\n"
        "# This file has to stay where it is: its path tells the process from others.\n",
        l->name);
    buf_puts(out, "listen = [ ");
    put_address(out, &m->addr, true);
    buf_puts(out,
             " ];\n# Others are told this address, whichever one its connections come from.\nannounce = { host = ");
    conf_write_string(out, slice_of(m->addr.host));
    buf_puts(out, "; };\n");
    put_text(out, "state_dir", state);
    buf_puts(out, "supervisors = [ ");
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].supervisor)
            put_address(out, &l->v[i].addr, supervisors++ == 0);
        else
            nodes[n++] = l->v[i].addr;
    }
    buf_puts(out, " ];\n");
    put_users(out, password);
    conf_text_cluster(out, l->name, nodes, n, l->down_after_ms, node_password);
    free(nodes);
    free(state);
}

/* ---- units ---- */

/* A word of a setting: quoted, as systemd reads C strings, and without its specifiers. */
static void put_word(struct buf *out, const char *word)
{
    buf_putc(out, '"');
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\')
            buf_putc(out, '\\');
        if (*word == '%')
            buf_putc(out, '%');
        buf_putc(out, *word);
    }
    buf_putc(out, '"');
}

/* A path that is all of a setting. */
static void put_path(struct buf *out, const char *path)
{
    for (; *path != '\0'; path++) {
        if (*path == '%')
            buf_putc(out, '%');
        buf_putc(out, *path);
    }
    buf_putc(out, '\n');
}

static void put_system_part(struct buf *out, const struct layout *l)
{
    buf_printf(out, "User=%s\n", l->run_as);
    buf_puts(out,
             "NoNewPrivileges=yes\nCapabilityBoundingSet=\nProtectSystem=strict\nPrivateTmp=yes\nPrivateDevices=yes\n"
             "ProtectControlGroups=yes\nProtectKernelModules=yes\nProtectKernelTunables=yes\nLockPersonality=yes\n"
             "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\nReadWritePaths=");
    put_word(out, l->dir);
    buf_putc(out, '\n');
}

void conf_text_unit(struct buf *out, const struct layout *l, const struct layout_member *m)
{
    char address[ADDR_TEXT_MAX], *conf = layout_conf(l, m), *log = layout_path(l, m, "log");
    bool system = l->runner == RUN_BY_SYSTEMD;
    buf_printf(out,
               "# Made by nodectl fleet create; nodectl fleet destroy takes it away.\n[Unit]\n"
               "Description=%s %s of fleet %s\n%s"
               "# However often it ended, it is started again, unless its configuration is wrong.\n"
               "StartLimitIntervalSec=0\n\n[Service]\nType=notify\n# The colon: a $ is a $.\nExecStart=:",
               m->supervisor ? "Supervisor" : "Node", addr_text(&m->addr, address), l->name,
               system ? "After=network-online.target\nWants=network-online.target\n" : "");
    put_word(out, layout_program(l, m));
    buf_puts(out, m->supervisor ? " -c " : " ");
    put_word(out, conf);
    buf_puts(out, "\nExecReload=/bin/kill -HUP $MAINPID\n");
    buf_puts(out, m->supervisor ? "WatchdogSec=10\nTimeoutStopSec=60\n"
                                : "# A node may save its data before it ends; when the system runs out of memory and "
                                  "ends its snapshot, it goes on.\nTimeoutStopSec=15min\nOOMPolicy=continue\n");
    buf_puts(out,
             "Restart=on-failure\nRestartPreventExitStatus=2\nRestartSec=1\nTimeoutStartSec=infinity\nKillMode=mixed\n"
             "UMask=0077\nLimitNOFILE=65536\nStandardOutput=append:");
    put_path(out, log);
    buf_puts(out, "StandardError=inherit\n");
    if (system)
        put_system_part(out, l);
    buf_printf(out, "\n[Install]\nWantedBy=%s\n", system ? "multi-user.target" : "default.target");
    free(conf);
    free(log);
}
