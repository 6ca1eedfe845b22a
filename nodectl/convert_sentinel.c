#include "nodectl/convert_sentinel.h"

#include "common/base/mem.h"
#include "common/io/conf.h"

#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 26379

/* --- what can be judged only when all is known ------------------------------------------------------------------- */

static void check_host(struct convert *c, const struct found_sentinel *f, const struct directive *d,
                       const struct addr *a)
{
    if (a->host[0] != '\0' && !addr_is_ip(a->host) && f->resolve_hostnames != 1)
        convert_error(c, d, "%s is a name, and 'sentinel resolve-hostnames yes' is missing: Redis refuses it too",
                      a->host);
}

static void drop_master_from_replicas(struct found_group *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->replica_count; i++) {
        if (!addr_eq(&g->replicas[i], &g->master))
            g->replicas[n++] = g->replicas[i];
    }
    g->replica_count = n;
}

static void check_group(struct convert *c, struct found_sentinel *f, struct found_group *g)
{
    check_host(c, f, g->master_at, &g->master);
    for (size_t i = 0; i < g->replica_count; i++)
        check_host(c, f, g->master_at, &g->replicas[i]);
    for (size_t i = 0; i < g->peer_count; i++)
        check_host(c, f, g->master_at, &g->peers[i].address);
    if (g->user_at != NULL && g->password.n == 0) {
        convert_leave(c, g->user_at,
                      "not carried over: there is no auth-pass for it, so it has no effect in Redis either");
        g->user.n = 0;
    }
    drop_master_from_replicas(g);
    /* Redis keeps the current epoch at least at the epochs of its masters. */
    if (g->config_epoch > f->current_epoch)
        f->current_epoch = g->config_epoch;
    if (g->leader_epoch > f->current_epoch)
        f->current_epoch = g->leader_epoch;
}

static void add_default(struct found_sentinel *f, struct slice password, bool read_only)
{
    f->users = mem_array(f->users, f->user_count + 1, sizeof *f->users);
    f->users[f->user_count++] = (struct found_user){slice_of("default"), password, read_only};
}

/* Never opens what was closed: where a password is known only by its hash, the text of the hash becomes the password,
 * which nobody knows who could not read the old file. */
static void settle_default_user(struct convert *c, struct found_sentinel *f)
{
    switch (f->default_user) {
    case DEFAULT_UNSAID:
        if (f->requirepass.n > 0 || f->user_count > 0)
            add_default(f, f->requirepass, false);
        break;
    case DEFAULT_IN_USERS: break;
    case DEFAULT_HASHED:
        if (f->requirepass.n == 0)
            convert_leave(c, f->default_at,
                          "the password is known only by its hash: the text of the hash is the password "
                          "now; write the real one into users");
        add_default(f, f->requirepass.n > 0 ? f->requirepass : f->default_password, false);
        break;
    case DEFAULT_RESTRICTED:
        convert_leave(c, f->default_at, "carried over as a user who may only read: look whether that is right");
        add_default(f, f->default_password, true);
        break;
    case DEFAULT_OFF:
        if (f->user_count > 0)
            break; /* who is not listed may not come in */
        convert_leave(c, f->default_at, "nobody could log in at all: carried over as a user who may only read");
        add_default(f, f->requirepass, true);
        break;
    }
}

void found_check(struct convert *c, struct found_sentinel *f)
{
    settle_default_user(c, f);
    struct addr a;
    for (size_t i = 0; i < f->group_count; i++) {
        if (!f->groups[i].left_out)
            check_group(c, f, &f->groups[i]);
    }
    if (f->announce_ip.n > 0 && !addr_set(&a, f->announce_ip, 1)) {
        convert_error(c, f->announce_at, "expected a host");
    } else if (f->announce_ip.n > 0 && !addr_is_ip(a.host) && f->resolve_hostnames != 1) {
        convert_leave(c, f->announce_at, "not carried over: a name is announced only with resolve_hostnames = true");
        f->announce_ip.n = 0;
    }
    /* As Redis has it: without a password of its own for peers a sentinel uses the one that it asks for. */
    if (f->peer_password.n == 0) {
        if (f->peer_user_at != NULL)
            convert_leave(c, f->peer_user_at, "not carried over: there is no sentinel-pass for it");
        f->peer_user.n = 0;
        f->peer_password = f->requirepass;
    }
}

/* --- the new file ------------------------------------------------------------------------------------------------ */

static void put_string(struct buf *out, const char *before, struct slice s, const char *after)
{
    buf_puts(out, before);
    conf_write_string(out, s);
    buf_puts(out, after);
}

static void put_flag(struct buf *out, const char *key, int v)
{
    if (v >= 0)
        buf_printf(out, "%s = %s;\n", key, v != 0 ? "true" : "false");
}

static void put_listen(struct buf *out, const struct found_sentinel *f)
{
    struct addr any;
    /* Without a bind Redis listens on all addresses. */
    addr_set(&any, slice_of(f->bind_given ? "127.0.0.1" : "0.0.0.0"), PORT_DEFAULT);
    const struct addr *v = f->bind_count > 0 ? f->binds : &any;
    size_t n = f->bind_count > 0 ? f->bind_count : 1, put = 0;
    buf_puts(out, "listen = [ ");
    for (size_t i = 0; i < n; i++) {
        struct addr a = v[i];
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = addr_eq(&v[j], &a);
        if (again)
            continue;
        a.port = f->port > 0 ? (int)f->port : PORT_DEFAULT;
        buf_puts(out, put++ > 0 ? ", " : "");
        convert_put_address(out, &a);
    }
    buf_puts(out, " ];\n");
}

static void put_paths(struct buf *out, const struct found_sentinel *f)
{
    if (f->dir.n > 0) {
        char *path = convert_path(NULL, f->dir.p);
        put_string(out, "state_dir = ", slice_of(path), ";\n");
        free(path);
    }
    if (f->logfile.n == 0 && f->loglevel.n == 0)
        return;
    buf_puts(out, "log = {");
    if (f->loglevel.n > 0)
        put_string(out, " level = ", f->loglevel, ";");
    if (f->logfile.n > 0) {
        char *path = convert_path(f->dir.n > 0 ? f->dir.p : NULL,
                                  f->logfile.p); /* Redis opens it after changing into dir */
        put_string(out, " file = ", slice_of(path), ";");
        free(path);
    }
    buf_puts(out, " };\n");
}

static void put_users(struct buf *out, const struct found_sentinel *f)
{
    for (size_t i = 0; i < f->user_count; i++) {
        const struct found_user *u = &f->users[i];
        put_string(out, i == 0 ? "users = (\n  { name = " : ",\n  { name = ", u->name, "; password = ");
        put_string(out, "", u->password, u->read_only ? "; access = \"read\"; }" : "; access = \"all\"; }");
    }
    if (f->user_count > 0)
        buf_puts(out, "\n);\n");
}

static void put_own(struct buf *out, const struct found_sentinel *f)
{
    put_listen(out, f);
    put_paths(out, f);
    if (f->announce_ip.n > 0 || f->announce_port > 0) {
        put_string(out, "announce = { host = ", f->announce_ip, "; port = ");
        convert_put_int(out, f->announce_port > 0 ? f->announce_port : 0);
        buf_puts(out, "; };\n");
    }
    put_users(out, f);
    if (f->peer_password.n > 0) {
        put_string(out, "peer_auth = { user = ", f->peer_user, "; password = ");
        put_string(out, "", f->peer_password, "; };\n");
    }
    put_flag(out, "deny_scripts_reconfig", f->deny_scripts_reconfig);
    put_flag(out, "resolve_hostnames", f->resolve_hostnames);
    put_flag(out, "announce_hostnames", f->announce_hostnames);
    if (f->id[0] != '\0')
        put_string(out, "id = ", slice_of(f->id), ";\n");
    if (f->current_epoch >= 0) {
        buf_puts(out, "current_epoch = ");
        convert_put_int(out, f->current_epoch);
        buf_puts(out, ";\n");
    }
}

static void put_number(struct buf *out, const char *key, int64_t v)
{
    if (v < 0)
        return;
    buf_printf(out, "    %s = ", key);
    convert_put_int(out, v);
    buf_puts(out, ";\n");
}

static void put_text(struct buf *out, const char *key, struct slice v)
{
    if (v.n == 0)
        return;
    buf_printf(out, "    %s = ", key);
    put_string(out, "", v, ";\n");
}

static void put_lists(struct buf *out, const struct found_group *g)
{
    for (size_t i = 0; i < g->rename_count; i++) {
        put_string(out, i == 0 ? "    rename_commands = (\n      { from = " : ",\n      { from = ", g->renames[i].from,
                   "; to = ");
        put_string(out, "", g->renames[i].to, "; }");
    }
    if (g->rename_count > 0)
        buf_puts(out, "\n    );\n");
    for (size_t i = 0; i < g->replica_count; i++) {
        buf_puts(out, i == 0 ? "    known_replicas = [ " : ", ");
        convert_put_address(out, &g->replicas[i]);
    }
    if (g->replica_count > 0)
        buf_puts(out, " ];\n");
    for (size_t i = 0; i < g->peer_count; i++) {
        buf_puts(out, i == 0 ? "    known_sentinels = (\n      { address = " : ",\n      { address = ");
        convert_put_address(out, &g->peers[i].address);
        put_string(out, "; id = ", slice_of(g->peers[i].id), "; }");
    }
    if (g->peer_count > 0)
        buf_puts(out, "\n    );\n");
}

static void put_group(struct buf *out, const struct found_group *g)
{
    put_string(out, "  {\n    name = ", g->name, ";\n    master = ");
    convert_put_address(out, &g->master);
    buf_puts(out, ";\n");
    put_number(out, "quorum", g->quorum);
    put_number(out, "down_after_ms", g->down_after_ms);
    put_number(out, "failover_timeout_ms", g->failover_timeout_ms);
    put_number(out, "parallel_syncs", g->parallel_syncs);
    put_number(out, "master_reboot_down_after_ms", g->reboot_down_after_ms);
    put_text(out, "user", g->user);
    put_text(out, "password", g->password);
    put_text(out, "notification_script", g->notification_script);
    put_text(out, "client_reconfig_script", g->client_reconfig_script);
    put_number(out, "config_epoch", g->config_epoch);
    put_number(out, "leader_epoch", g->leader_epoch);
    put_lists(out, g);
    buf_puts(out, "  }");
}

static void put_groups(struct buf *out, const struct found_sentinel *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->group_count; i++) {
        if (f->groups[i].left_out)
            continue;
        buf_puts(out, n++ == 0 ? "groups = (\n" : ",\n");
        put_group(out, &f->groups[i]);
    }
    if (n > 0)
        buf_puts(out, "\n);\n");
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

void found_free(struct found_sentinel *f)
{
    for (size_t i = 0; i < f->group_count; i++) {
        free(f->groups[i].renames);
        free(f->groups[i].replicas);
        free(f->groups[i].peers);
    }
    free(f->groups);
    free(f->users);
    free(f->binds);
}

void convert_to_sentineld(struct convert *c)
{
    struct found_sentinel f = {
        .port = -1,
        .announce_port = -1,
        .deny_scripts_reconfig = -1,
        .resolve_hostnames = -1,
        .announce_hostnames = -1,
        .current_epoch = -1,
    };
    for (size_t i = 0; i < c->in.n; i++) {
        if (directive_is(&c->in.v[i], 0, "sentinel") && directive_is(&c->in.v[i], 1, "monitor"))
            found_monitor_line(c, &f, &c->in.v[i]);
    }
    for (size_t i = 0; i < c->in.n; i++) {
        const struct directive *d = &c->in.v[i];
        if (!directive_is(d, 0, "sentinel"))
            found_server_line(c, &f, d);
        else if (d->argc < 2)
            convert_error(c, d, "expected an option behind it");
        else if (!directive_is(d, 1, "monitor"))
            found_sentinel_line(c, &f, d);
    }
    found_check(c, &f);
    put_own(&c->out, &f);
    put_groups(&c->out, &f);
    found_free(&f);
}
