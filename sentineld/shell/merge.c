#include "sentineld/shell/merge.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "sentineld/core/pause.h"
#include "sentineld/shell/merge_inner.h"
#include "sentineld/shell/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RENAME "rename-command"

/* ---- what the file says, as options ---- */

void merge_add_setting(void *arg, const char *option, const char *value)
{
    struct merging *m = arg;
    struct state_options *to = &m->out->image.file_values;
    if (strcmp(option, RENAME) != 0) {
        state_options_add(to, m->group, option, value);
        return;
    }
    /* "old new": one option per renamed command. */
    struct slice rest = slice_of(value);
    struct slice from = slice_cut(&rest, ' ');
    struct buf name = {.n = 0};
    buf_printf(&name, RENAME " %.*s", (int)from.n, from.p);
    char *to_name = slice_dup(rest);
    state_options_add(to, m->group, buf_str(&name), to_name);
    free(to_name);
    buf_free(&name);
}

/* Users are options of the daemon too. What the state keeps of a password is its hash. */
static void list_users(struct merging *m)
{
    struct buf name = {.n = 0}, rules = {.n = 0};
    for (size_t i = 0; i < m->file->user_count; i++) {
        buf_clear(&name);
        buf_clear(&rules);
        users_option_name(&name, m->file->users[i].name);
        users_file_rules(&rules, &m->file->users[i]);
        state_options_add(&m->out->image.file_values, "", buf_str(&name), buf_str(&rules));
    }
    buf_free(&name);
    buf_free(&rules);
}

static void list_globals(struct merging *m)
{
    const struct sentineld_config *f = m->file;
    struct state_options *to = &m->out->image.file_values;
    char port[24];
    snprintf(port, sizeof port, "%lld", (long long)f->announce.port);
    state_options_add(to, "", "announce-ip", f->announce.host);
    state_options_add(to, "", "announce-port", port);
    state_options_add(to, "", "resolve-hostnames", f->resolve_hostnames ? "yes" : "no");
    state_options_add(to, "", "announce-hostnames", f->announce_hostnames ? "yes" : "no");
    state_options_add(to, "", "sentinel-user", f->peer_auth.user);
    state_options_add(to, "", "sentinel-pass", f->peer_auth.password);
    state_options_add(to, "", "loglevel", io_log_level_name((enum io_log_level)f->log.level));
    list_users(m);
}

static void list_file_values(struct merging *m)
{
    list_globals(m);
    for (size_t i = 0; i < m->file->group_count; i++) {
        const struct config_group *g = &m->file->groups[i];
        char text[ADDR_TEXT_MAX];
        m->group = g->name;
        state_options_add(&m->out->image.file_values, g->name, MERGE_MASTER, addr_text(&g->master, text));
        sn_settings_each(&g->settings, merge_add_setting, m);
    }
    for (size_t i = 0; i < m->file->cluster_count; i++)
        merge_list_cluster(m, &m->file->clusters[i]);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Whether the file says of an option what it said last time. An option it named neither time counts as unchanged. */
bool merge_unchanged(const struct merging *m, const char *group, const char *option)
{
    return same_text(state_options_get(&m->stored->file_values, group, option),
                     state_options_get(&m->out->image.file_values, group, option));
}

bool merge_entry_unchanged(const struct merging *m, const char *group)
{
    const struct state_options *lists[] = {&m->stored->file_values, &m->out->image.file_values};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            if (strcmp(lists[l]->v[i].group, group) == 0 && !merge_unchanged(m, group, lists[l]->v[i].option))
                return false;
    return true;
}

/* ---- options changed at run time ---- */

static bool is_user(const char *option)
{
    return strncmp(option, USERS_OPTION, strlen(USERS_OPTION)) == 0;
}

static bool is_secret(const char *option)
{
    return strcasecmp(option, "auth-pass") == 0 || strcasecmp(option, "sentinel-pass") == 0 || is_user(option);
}

static bool apply_to_group(struct sn_settings *s, const struct state_option *o)
{
    char error[160];
    struct slice argv[3] = {slice_of(o->option), slice_of(o->value), {NULL, 0}};
    size_t argc = 2;
    size_t prefix = strlen(RENAME " ");
    if (strncasecmp(o->option, RENAME " ", prefix) == 0) {
        argv[0] = slice_of(RENAME);
        argv[1] = slice_of(o->option + prefix);
        argv[2] = slice_of(o->value);
        argc = 3;
    }
    return sn_settings_set(s, argv, argc, error, sizeof error) == argc;
}

static bool set_text(char **field, const char *value)
{
    free(*field);
    *field = mem_strdup(value);
    return true;
}

static bool apply_to_daemon(struct merged *out, const struct state_option *o)
{
    struct sn_globals *g = &out->globals;
    struct slice value = slice_of(o->value);
    int64_t *timer = sn_params_find(&out->params, slice_of(o->option));
    if (is_user(o->option))
        return true; /* read by users.c */
    if (strcmp(o->option, SN_PAUSE_OPTION) == 0) {
        struct sn_pauses pauses;
        bool sane = sn_pauses_read(&pauses, value, 0, 0); /* the core takes them (daemon_open.c) */
        sn_pauses_free(&pauses);
        return sane;
    }
    if (timer != NULL)
        return text_range(value, 1, INT64_MAX / 1000000, timer);
    if (strcmp(o->option, "announce-ip") == 0)
        return set_text(&g->announce_ip, o->value);
    if (strcmp(o->option, "announce-port") == 0)
        return text_range(value, 0, 65535, &g->announce_port);
    if (strcmp(o->option, "resolve-hostnames") == 0)
        return text_bool(value, &g->resolve_hostnames);
    if (strcmp(o->option, "announce-hostnames") == 0)
        return text_bool(value, &g->announce_hostnames);
    if (strcmp(o->option, "sentinel-user") == 0)
        return set_text(&g->user, o->value);
    if (strcmp(o->option, "sentinel-pass") == 0)
        return set_text(&g->pass, o->value);
    if (strcmp(o->option, "loglevel") == 0)
        return set_text(&g->loglevel, o->value);
    return false;
}

/* A user was removed at run time, and the file does not name him any more either. */
static bool removal_is_over(const struct merging *m, const struct state_option *o)
{
    return is_user(o->option) && strcmp(o->value, USERS_REMOVED) == 0 &&
           state_options_get(&m->out->image.file_values, "", o->option) == NULL;
}

void merge_apply_options(struct merging *m, const char *group, const char *file_group, struct sn_settings *settings)
{
    for (size_t i = 0; i < m->stored->options.n; i++) {
        const struct state_option *o = &m->stored->options.v[i];
        if (strcmp(o->group, group) != 0 || removal_is_over(m, o))
            continue;
        const char *whose = group[0] != '\0' ? group : "sentineld";
        if (!merge_unchanged(m, file_group, o->option)) {
            buf_printf(
                &m->out->notes,
                "%s: %s was changed in the configuration file since, so the value set at run time (%s) is dropped\n",
                whose, o->option, is_secret(o->option) ? "******" : o->value);
        } else if (!(settings != NULL ? apply_to_group(settings, o) : apply_to_daemon(m->out, o))) {
            buf_printf(&m->out->notes,
                       "%s: the state directory has a value for %s that this version can't use; it is dropped\n", whose,
                       o->option);
        } else {
            state_options_add(&m->out->image.options, group, o->option, o->value);
        }
    }
}

/* ---- groups ---- */

struct merged_group *merge_add_supervised(struct merging *m, const struct sn_settings *settings)
{
    struct merged *out = m->out;
    out->groups = mem_array(out->groups, out->ngroups + 1, sizeof *out->groups);
    struct merged_group *g = &out->groups[out->ngroups++];
    g->row = out->image.ngroups - 1;
    g->fleet = SIZE_MAX;
    sn_settings_copy(&g->settings, settings);
    return g;
}

struct state_group *merge_add_row(struct merging *m, const char *name, const struct state_group *stored)
{
    struct state_group *g = state_image_add(&m->out->image, name);
    if (stored == NULL)
        return g;
    g->monitored = stored->monitored;
    g->master = stored->master;
    g->config_epoch = stored->config_epoch;
    g->vote_epoch = stored->vote_epoch;
    memcpy(g->vote_leader, stored->vote_leader, sizeof g->vote_leader);
    memcpy(g->lease_grantee, stored->lease_grantee, sizeof g->lease_grantee);
    g->lease_max_us = stored->lease_max_us;
    g->lease_settled = stored->lease_settled;
    return g;
}

void merge_copy_members(struct state_group *to, const struct state_group *from)
{
    for (size_t i = 0; i < from->nreplicas; i++)
        if (!addr_eq(&from->replicas[i], &to->master))
            state_group_add_replica(to, &from->replicas[i]);
    for (size_t i = 0; i < from->npeers; i++)
        state_group_add_peer(to, &from->peers[i].addr, from->peers[i].id);
}

static bool replica_known(const struct state_group *g, const struct addr *a)
{
    for (size_t i = 0; i < g->nreplicas; i++)
        if (addr_eq(&g->replicas[i], a))
            return true;
    return false;
}

/* A group that the state does not know, or that comes back after it was removed: everything is the file's but the vote.
 */
static void take_from_file(struct merging *m, const struct config_group *f, struct state_group *g)
{
    g->monitored = true;
    g->master = f->master;
    g->config_epoch = (uint64_t)f->config_epoch;
    if (g->vote_epoch < (uint64_t)f->leader_epoch) {
        g->vote_epoch = (uint64_t)f->leader_epoch;
        g->vote_leader[0] = '\0';
    }
    for (size_t i = 0; i < f->known_replicas.n; i++)
        if (!addr_eq(&f->known_replicas.v[i], &g->master) && !replica_known(g, &f->known_replicas.v[i]))
            state_group_add_replica(g, &f->known_replicas.v[i]);
    for (size_t i = 0; i < f->known_sentinel_count; i++)
        if (runid_cmp(f->known_sentinels[i].id, m->out->image.id) != 0)
            state_group_add_peer(g, &f->known_sentinels[i].address, f->known_sentinels[i].id);
}

/* The file begins to name another master. Whether it is taken. */
static bool move_master(struct merging *m, const struct config_group *f, const struct state_group *stored,
                        struct state_group *g)
{
    char before[ADDR_TEXT_MAX], now[ADDR_TEXT_MAX];
    bool alone = stored->npeers == 0 && m->file->supervisors.n <= 1;
    addr_text(&f->master, now);
    addr_text(&stored->master, before);
    if (!alone) {
        buf_printf(&m->out->notes,
                   "%s: the configuration file names another master, %s, but this group has more than one supervisor, "
                   "and they have agreed on %s, which stays. SENTINEL FAILOVER moves it to a replica. For any other "
                   "server: SENTINEL REMOVE at every supervisor, then SENTINEL MONITOR at every one\n",
                   f->name, now, before);
        return false;
    }
    g->master = f->master;
    g->config_epoch = g->vote_epoch = m->out->image.epoch + 1;
    g->vote_leader[0] = '\0';
    buf_printf(&m->out->notes, "%s: the configuration file names another master, %s; it was %s\n", f->name, now,
               before);
    return true;
}

static void merge_known_group(struct merging *m, const struct config_group *f, const struct state_group *stored,
                              struct state_group *g)
{
    bool named = state_options_has_group(&m->stored->file_values, f->name) &&
                 !merge_unchanged(m, f->name, MERGE_MASTER) && !addr_eq(&stored->master, &f->master);
    bool moved = named && move_master(m, f, stored, g);
    merge_copy_members(g, stored);
    if (moved) {
        free(g->replicas);
        g->replicas = NULL;
        g->nreplicas = 0;
    }
    merge_apply_options(m, f->name, f->name, &merge_add_supervised(m, &f->settings)->settings);
}

static void merge_file_group(struct merging *m, const struct config_group *f)
{
    const struct state_group *stored = state_image_group(m->stored, f->name);
    struct state_group *g = merge_add_row(m, f->name, stored);
    if (stored != NULL && stored->monitored && stored->fleet == NULL) {
        merge_known_group(m, f, stored, g);
    } else if (stored != NULL && state_options_has_group(&m->stored->file_values, f->name) &&
               merge_entry_unchanged(m, f->name)) {
        buf_printf(&m->out->notes,
                   "%s: stays removed, as it was by SENTINEL REMOVE; SENTINEL MONITOR or a change of its entry brings "
                   "it back\n",
                   f->name);
    } else {
        take_from_file(m, f, g);
        merge_add_supervised(m, &f->settings);
    }
}

static void merge_state_group(struct merging *m, const struct state_group *stored)
{
    struct state_group *g = merge_add_row(m, stored->name, stored);
    if (!stored->monitored)
        return;
    if (state_options_has_group(&m->stored->file_values, stored->name)) {
        g->monitored = false;
        buf_printf(&m->out->notes, "%s: is no longer in the configuration file, so it is not supervised any more\n",
                   g->name);
        return;
    }
    merge_copy_members(g, stored);
    struct sn_settings defaults;
    sn_settings_init(&defaults);
    defaults.down_after_ms = m->out->params.default_down_after_ms;
    defaults.failover_timeout_ms = m->out->params.default_failover_timeout_ms;
    merge_apply_options(m, stored->name, stored->name, &merge_add_supervised(m, &defaults)->settings);
    sn_settings_free(&defaults);
}

static bool in_file(const struct sentineld_config *file, const char *name)
{
    for (size_t i = 0; i < file->group_count; i++)
        if (strcmp(file->groups[i].name, name) == 0)
            return true;
    return false;
}

/* ---- the daemon's own ---- */

static void choose_id(struct merging *m, const char *new_id)
{
    const char *stored = m->stored->id, *file = m->file->id;
    const char *id = stored[0] != '\0' ? stored : file[0] != '\0' ? file : new_id;
    memcpy(m->out->image.id, id, RUNID_LEN + 1);
    if (stored[0] != '\0' && file[0] != '\0' && runid_cmp(stored, file) != 0)
        buf_printf(&m->out->notes,
                   "id: the state directory's, %s, is used; the configuration file's counts for a new one only\n",
                   stored);
}

static void raise_epoch(uint64_t *epoch, uint64_t to)
{
    if (*epoch < to)
        *epoch = to;
}

static void merge_globals(struct merging *m)
{
    const struct sentineld_config *f = m->file;
    m->out->globals = (struct sn_globals){
        .announce_ip = mem_strdup(f->announce.host),
        .announce_port = f->announce.port,
        .resolve_hostnames = f->resolve_hostnames,
        .announce_hostnames = f->announce_hostnames,
        .user = mem_strdup(f->peer_auth.user),
        .pass = mem_strdup(f->peer_auth.password),
        .loglevel = mem_strdup(io_log_level_name((enum io_log_level)f->log.level)),
    };
    sn_params_default(&m->out->params);
    m->out->params.default_down_after_ms = f->defaults.down_after_ms;
    m->out->params.default_failover_timeout_ms = f->defaults.failover_timeout_ms;
    merge_apply_options(m, "", "", NULL);
}

/* The list of supervisors as nodes are told of it: one that differs from the last one is a version above it. */
static void merge_list(struct merging *m)
{
    struct state_image *out = &m->out->image;
    const struct conf_addresses *all = &m->file->supervisors;
    struct buf list = {.n = 0};
    for (size_t i = 0; i < all->n; i++) {
        char text[ADDR_TEXT_MAX];
        buf_printf(&list, "%s%s", i > 0 ? "," : "", addr_text(&all->v[i], text));
    }
    bool same = m->stored->list != NULL && strcmp(m->stored->list, buf_str(&list)) == 0;
    out->list = mem_strdup(buf_str(&list));
    out->list_version = m->stored->list_version + !same;
    out->list_counted = same && m->stored->list_counted;
    buf_free(&list);
}

void merge(const struct sentineld_config *file, const struct state_image *stored, const char *new_id,
           struct merged *out)
{
    *out = (struct merged){.ngroups = 0};
    struct merging m = {.file = file, .stored = stored, .out = out};
    choose_id(&m, new_id);
    out->image.joined = stored->joined;
    out->image.epoch = stored->id[0] != '\0' ? stored->epoch : (uint64_t)file->current_epoch;
    merge_list(&m);
    list_file_values(&m);
    merge_globals(&m);
    for (size_t i = 0; i < file->group_count; i++)
        merge_file_group(&m, &file->groups[i]);
    for (size_t i = 0; i < stored->ngroups; i++)
        if (stored->groups[i].fleet == NULL && !in_file(file, stored->groups[i].name))
            merge_state_group(&m, &stored->groups[i]);
    merge_fleets(&m);
    for (size_t i = 0; i < out->image.ngroups; i++) {
        raise_epoch(&out->image.epoch, out->image.groups[i].config_epoch);
        raise_epoch(&out->image.epoch, out->image.groups[i].vote_epoch);
    }
}

void merged_free(struct merged *m)
{
    for (size_t i = 0; i < m->ngroups; i++)
        sn_settings_free(&m->groups[i].settings);
    for (size_t i = 0; i < m->nfleets; i++) {
        sn_settings_free(&m->fleets[i].settings);
        free(m->fleets[i].seeds);
    }
    free(m->groups);
    free(m->fleets);
    state_image_free(&m->image);
    free(m->globals.announce_ip);
    free(m->globals.user);
    free(m->globals.pass);
    free(m->globals.loglevel);
    buf_free(&m->notes);
    *m = (struct merged){.ngroups = 0};
}

struct sn_core_group merged_core_group(const struct merged *m, size_t i)
{
    const struct state_group *row = &m->image.groups[m->groups[i].row];
    struct sn_core_group g = {
        .name = row->name,
        .master = row->master,
        .settings = &m->groups[i].settings,
        .config_epoch = row->config_epoch,
        .vote_epoch = row->vote_epoch,
        .replicas = row->replicas,
        .nreplicas = row->nreplicas,
        .peers = row->peers,
        .npeers = row->npeers,
    };
    memcpy(g.vote_leader, row->vote_leader, sizeof g.vote_leader);
    memcpy(g.lease_grantee, row->lease_grantee, sizeof g.lease_grantee);
    g.lease_max_us = row->lease_max_us;
    g.lease_settled = row->lease_settled;
    return g;
}
