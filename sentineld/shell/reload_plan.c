#include "sentineld/shell/reload_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "sentineld/core/fleet.h"
#include "sentineld/shell/merge.h"

#define RENAME "rename-command"

/* ---- the state as it is now ---- */

static void copy_options(struct state_options *to, const struct state_options *from)
{
    for (size_t i = 0; i < from->n; i++)
        state_options_add(to, from->v[i].group, from->v[i].option, from->v[i].value);
}

/* A shard's nodes are the core's business: no file changes them. */
static void fleets_now(const struct sn_core *c, struct state_image *out)
{
    for (size_t i = 0; i < c->nfleets; i++) {
        const struct sn_fleet *from = c->fleets[i];
        struct state_fleet *f = state_image_add_fleet(out, from->name);
        f->monitored = from->state == SN_FLEET_WATCHED;
        f->config_epoch = from->epoch;
        f->vote_epoch = from->vote_epoch;
    }
}

/* What the file named and is not supervised was removed or released at run time: merge() finds it by its row. */
static void removed_now(const struct state_options *file, struct state_image *out)
{
    for (size_t i = 0; i < file->n; i++) {
        const char *group = file->v[i].group, *fleet = state_fleet_of_key(group);
        if (fleet != NULL && state_image_fleet(out, fleet) == NULL)
            state_image_add_fleet(out, fleet);
        else if (fleet == NULL && group[0] != '\0' && state_image_group(out, group) == NULL)
            state_image_add(out, group);
    }
}

static void image_now(const struct sn_core *c, const struct state_options *options, const struct state_options *file,
                      struct state_image *out)
{
    *out = (struct state_image){.epoch = c->current_epoch, .joined = c->joined};
    memcpy(out->id, c->id, sizeof out->id);
    for (size_t i = 0; i < c->ngroups; i++) {
        const struct sn_group *from = c->groups[i];
        struct state_group *g = state_image_add(out, from->name);
        g->monitored = true;
        g->master = from->master->node->addr;
        g->config_epoch = from->config_epoch;
        g->vote_epoch = from->vote_epoch;
        memcpy(g->vote_leader, from->vote_leader, sizeof g->vote_leader);
        for (size_t k = 0; k < from->nseats; k++)
            state_group_add_peer(g, &from->seats[k]->peer->addr, from->seats[k]->peer->id);
        if (from->fleet != NULL)
            state_group_set_fleet(g, from->fleet->name);
    }
    fleets_now(c, out);
    removed_now(file, out);
    copy_options(&out->options, options);
    copy_options(&out->file_values, file);
}

/* ---- settings ---- */

static struct sn_reload_set *set_of(struct sn_reload *r, const char *group)
{
    if (r->nset > 0 && strcmp(r->set[r->nset - 1].group, group) == 0)
        return &r->set[r->nset - 1];
    r->set = mem_array(r->set, r->nset + 1, sizeof *r->set);
    r->set[r->nset] = (struct sn_reload_set){.group = mem_strdup(group)};
    return &r->set[r->nset++];
}

static void add_word(struct sn_reload *r, const char *group, const char *option, const char *value)
{
    struct sn_reload_set *s = set_of(r, group);
    s->words = mem_array(s->words, s->n + 1, sizeof *s->words);
    s->words[s->n++] = (struct sn_word){mem_strdup(option), mem_strdup(value)};
}

static void list_setting(void *arg, const char *option, const char *value)
{
    struct state_options *to = arg;
    if (strcmp(option, RENAME) != 0) {
        state_options_add(to, "", option, value);
        return;
    }
    struct slice rest = slice_of(value), from = slice_cut(&rest, ' ');
    struct buf name = {.n = 0};
    char *to_name = slice_dup(rest);
    buf_printf(&name, RENAME " %.*s", (int)from.n, from.p);
    state_options_add(to, "", buf_str(&name), to_name);
    free(to_name);
    buf_free(&name);
}

static bool same_seeds(const struct sn_fleet *f, const struct merged_fleet *wanted)
{
    bool same = f->nseeds == wanted->nseeds;
    for (size_t i = 0; same && i < f->nseeds; i++)
        same = addr_eq(&f->seeds[i], &wanted->seeds[i]);
    return same;
}

static void compare_settings(struct sn_reload *r, const char *group, const struct sn_settings *is,
                             const struct sn_settings *wanted)
{
    struct state_options a = {.n = 0}, b = {.n = 0};
    sn_settings_each(is, list_setting, &a);
    sn_settings_each(wanted, list_setting, &b);
    for (size_t i = 0; i < b.n; i++) {
        const char *value = state_options_get(&a, "", b.v[i].option);
        if (value == NULL || strcmp(value, b.v[i].value) != 0)
            add_word(r, group, b.v[i].option, b.v[i].value);
    }
    /* A command that is renamed no longer is renamed to itself. */
    for (size_t i = 0; i < a.n; i++)
        if (state_options_get(&b, "", a.v[i].option) == NULL)
            add_word(r, group, a.v[i].option, a.v[i].option + strlen(RENAME " "));
    state_options_free(&a);
    state_options_free(&b);
}

static void compare_text(struct sn_reload *r, const char *option, const char *is, const char *wanted)
{
    if (strcmp(is, wanted) != 0)
        add_word(r, "", option, wanted);
}

static void compare_bool(struct sn_reload *r, const char *option, bool is, bool wanted)
{
    if (is != wanted)
        add_word(r, "", option, wanted ? "yes" : "no");
}

static void compare_globals(struct sn_reload *r, const struct sn_globals *is, const struct sn_globals *wanted)
{
    char port[24];
    snprintf(port, sizeof port, "%" PRId64, wanted->announce_port);
    compare_text(r, "announce-ip", is->announce_ip, wanted->announce_ip);
    if (is->announce_port != wanted->announce_port)
        add_word(r, "", "announce-port", port);
    compare_bool(r, "resolve-hostnames", is->resolve_hostnames, wanted->resolve_hostnames);
    compare_bool(r, "announce-hostnames", is->announce_hostnames, wanted->announce_hostnames);
    compare_text(r, "sentinel-user", is->user, wanted->user);
    compare_text(r, "sentinel-pass", is->pass, wanted->pass);
    compare_text(r, "loglevel", is->loglevel, wanted->loglevel);
}

/* ---- groups ---- */

static void add_group(struct reload_plan *p, const struct sn_core_group *g)
{
    struct sn_reload *r = p->change;
    r->add = mem_array(r->add, r->nadd + 1, sizeof *r->add);
    struct sn_reload_add *a = &r->add[r->nadd++];
    *a = (struct sn_reload_add){.name = mem_strdup(g->name), .master = g->master, .config_epoch = g->config_epoch};
    a->vote_epoch = g->vote_epoch;
    sn_settings_copy(&a->settings, g->settings);
    a->replicas = mem_array(NULL, g->nreplicas + 1, sizeof *a->replicas);
    for (; a->nreplicas < g->nreplicas; a->nreplicas++)
        a->replicas[a->nreplicas] = g->replicas[a->nreplicas];
    a->peers = mem_array(NULL, g->npeers + 1, sizeof *a->peers);
    for (; a->npeers < g->npeers; a->npeers++)
        a->peers[a->npeers] = g->peers[a->npeers];
    p->added++;
}

static void remove_group(struct reload_plan *p, const char *name)
{
    struct sn_reload *r = p->change;
    r->remove = mem_array(r->remove, r->nremove + 1, sizeof(char *));
    r->remove[r->nremove++] = mem_strdup(name);
    p->removed++;
}

static bool same_settings(const struct sn_settings *a, const struct sn_settings *b)
{
    struct state_options x = {.n = 0}, y = {.n = 0};
    sn_settings_each(a, list_setting, &x);
    sn_settings_each(b, list_setting, &y);
    bool same = x.n == y.n;
    for (size_t i = 0; same && i < x.n; i++)
        same = strcmp(x.v[i].option, y.v[i].option) == 0 && strcmp(x.v[i].value, y.v[i].value) == 0;
    state_options_free(&x);
    state_options_free(&y);
    return same;
}

/* The settings of a cluster are those of shards to come; of its shards each is compared by itself. */
static void compare_fleet(const struct sn_core *core, const struct merged *m, size_t i, struct reload_plan *p)
{
    const struct merged_fleet *wanted = &m->fleets[i];
    const char *name = m->image.fleets[wanted->row].name;
    const struct sn_fleet *f = sn_fleet_find(core, slice_of(name));
    struct sn_reload *r = p->change;
    if (wanted->release) {
        r->release = mem_array(r->release, r->nrelease + 1, sizeof(char *));
        r->release[r->nrelease++] = mem_strdup(name);
        p->fleets_released++;
        return;
    }
    bool is_new = f == NULL || f->state != SN_FLEET_WATCHED;
    if (!is_new && same_settings(&f->set, &wanted->settings) && same_seeds(f, wanted) &&
        f->lease_us == wanted->lease_ms * 1000)
        return;
    r->fleets = mem_array(r->fleets, r->nfleets + 1, sizeof *r->fleets);
    struct sn_reload_fleet *to = &r->fleets[r->nfleets++];
    *to = (struct sn_reload_fleet){.name = mem_strdup(name), .lease_ms = wanted->lease_ms};
    sn_settings_copy(&to->settings, &wanted->settings);
    to->seeds = mem_array(NULL, wanted->nseeds + 1, sizeof *to->seeds);
    for (; to->nseeds < wanted->nseeds; to->nseeds++)
        to->seeds[to->nseeds] = wanted->seeds[to->nseeds];
    p->fleets_added += is_new;
    p->fleets_changed += !is_new;
}

static bool is_removed(const struct merged *m, const struct sn_group *g)
{
    const struct state_group *row = state_image_group(&m->image, g->name);
    return g->fleet == NULL && (row == NULL || !row->monitored || row->fleet != NULL);
}

static void compare_groups(const struct sn_core *core, const struct merged *m, struct reload_plan *p)
{
    for (size_t i = 0; i < m->ngroups; i++) {
        struct sn_core_group wanted = merged_core_group(m, i);
        const struct sn_group *g = sn_group_find(core, slice_of(wanted.name));
        bool shard = m->groups[i].fleet != SIZE_MAX;
        if (shard && (g == NULL || m->fleets[m->groups[i].fleet].release))
            continue;
        if (!shard && (g == NULL || !addr_eq(&g->master->node->addr, &wanted.master))) {
            if (g == NULL || g->fo.state == SN_FO_NONE) {
                add_group(p, &wanted);
                continue;
            }
            buf_printf(&p->notes,
                       "%s: fails over just now, so the master that the file names is not taken: reload again\n",
                       g->name);
        }
        size_t before = p->change->nset;
        compare_settings(p->change, wanted.name, &g->set, wanted.settings);
        p->changed += p->change->nset - before;
    }
    for (size_t i = 0; i < core->ngroups; i++)
        if (is_removed(m, core->groups[i]))
            remove_group(p, core->groups[i]->name);
    for (size_t i = 0; i < m->nfleets; i++)
        compare_fleet(core, m, i, p);
}

/* ---- what is stored with it ---- */

static void add_record(struct sn_reload *r, enum sn_record_kind kind, const struct state_option *o, bool gone)
{
    r->records = mem_array(r->records, r->nrecords + 1, sizeof *r->records);
    r->records[r->nrecords++] = (struct sn_record){.kind = kind,
                                                   .group = mem_strdup(o->group),
                                                   .option = mem_strdup(o->option),
                                                   .value = gone ? NULL : mem_strdup(o->value)};
}

/* Its master is not taken from the file while it fails over: the next reload sees the difference again. */
static bool is_put_off(const struct sn_core *core, const struct state_option *o)
{
    const struct sn_group *g = sn_group_find(core, slice_of(o->group));
    return g != NULL && g->fo.state != SN_FO_NONE && strcmp(o->option, "master") == 0;
}

/* Records that make the stored list what it should be. */
static void compare_lists(const struct sn_core *core, struct sn_reload *r, enum sn_record_kind kind,
                          const struct state_options *is, const struct state_options *wanted)
{
    for (size_t i = 0; i < wanted->n; i++) {
        const struct state_option *o = &wanted->v[i];
        const char *value = state_options_get(is, o->group, o->option);
        if (value != NULL && is_put_off(core, o))
            continue;
        if (value == NULL || strcmp(value, o->value) != 0)
            add_record(r, kind, o, false);
    }
    for (size_t i = 0; i < is->n; i++)
        if (state_options_get(wanted, is->v[i].group, is->v[i].option) == NULL)
            add_record(r, kind, &is->v[i], true);
}

void reload_plan(const struct sn_core *core, const struct sentineld_config *before, const struct sentineld_config *now,
                 const struct state_options *options, const struct state_options *file, struct reload_plan *out)
{
    struct state_image image;
    struct merged m;
    *out = (struct reload_plan){.change = mem_zalloc(sizeof *out->change)};
    image_now(core, options, file, &image);
    merge(now, &image, core->id, &m);
    compare_globals(out->change, &core->globals, &m.globals);
    out->changed += out->change->nset;
    compare_groups(core, &m, out);
    if (now->defaults.down_after_ms != before->defaults.down_after_ms)
        out->change->default_down_after_ms = now->defaults.down_after_ms;
    if (now->defaults.failover_timeout_ms != before->defaults.failover_timeout_ms)
        out->change->default_failover_timeout_ms = now->defaults.failover_timeout_ms;
    compare_lists(core, out->change, SN_REC_FILE, file, &m.image.file_values);
    compare_lists(core, out->change, SN_REC_OPTION, options, &m.image.options);
    copy_options(&out->options, &m.image.options);
    buf_put(&out->notes, m.notes.p, m.notes.n);
    merged_free(&m);
    state_image_free(&image);
}

void reload_plan_free(struct reload_plan *p)
{
    sn_reload_free(p->change);
    state_options_free(&p->options);
    buf_free(&p->notes);
}
