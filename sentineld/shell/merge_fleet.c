/* Clusters in the merge of file and state: merge.h has the rules. */
#include "sentineld/shell/merge_inner.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS "seeds"

void merge_list_cluster(struct merging *m, const struct config_cluster *k)
{
    struct buf key = {.n = 0}, seeds = {.n = 0};
    state_fleet_key(&key, k->name);
    for (size_t i = 0; i < k->seeds.n; i++) {
        char text[ADDR_TEXT_MAX];
        buf_printf(&seeds, "%s%s", i > 0 ? " " : "", addr_text(&k->seeds.v[i], text));
    }
    state_options_add(&m->out->image.file_values, buf_str(&key), SEEDS, buf_str(&seeds));
    m->group = buf_str(&key);
    sn_settings_each(&k->settings, merge_add_setting, m);
    m->group = NULL;
    buf_free(&key);
    buf_free(&seeds);
}

static struct state_fleet *add_fleet_row(struct merging *m, const char *name, const struct state_fleet *stored,
                                         bool monitored)
{
    struct state_fleet *f = state_image_add_fleet(&m->out->image, name);
    f->monitored = monitored;
    if (stored != NULL) {
        f->config_epoch = stored->config_epoch;
        f->vote_epoch = stored->vote_epoch;
        state_fleet_set_swap(f, &stored->swap, stored->swap_lists);
    }
    return f;
}

/* Its shards are those of the state, with their options over the cluster's settings. */
static void add_shards(struct merging *m, const char *name, const char *key, size_t fleet)
{
    struct merged *out = m->out;
    for (size_t i = 0; i < m->stored->ngroups; i++) {
        const struct state_group *stored = &m->stored->groups[i];
        if (stored->fleet == NULL || strcmp(stored->fleet, name) != 0 || !stored->monitored ||
            state_image_group(&out->image, stored->name) != NULL)
            continue;
        struct state_group *row = merge_add_row(m, stored->name, stored);
        merge_copy_members(row, stored);
        state_group_set_fleet(row, name);
        for (size_t k = 0; k < stored->nnodes; k++)
            state_group_add_node(row, stored->nodes[k].id, &stored->nodes[k].addr);
        struct merged_group *g = merge_add_supervised(m, &out->fleets[fleet].settings);
        g->fleet = fleet;
        merge_apply_options(m, stored->name, key, &g->settings);
    }
}

static size_t add_fleet(struct merging *m, const struct sn_settings *settings, const struct conf_addresses *seeds)
{
    struct merged *out = m->out;
    out->fleets = mem_array(out->fleets, out->nfleets + 1, sizeof *out->fleets);
    struct merged_fleet *f = &out->fleets[out->nfleets];
    *f = (struct merged_fleet){.row = out->image.nfleets - 1};
    sn_settings_copy(&f->settings, settings);
    if (seeds != NULL) {
        f->seeds = mem_array(NULL, seeds->n + 1, sizeof *f->seeds);
        for (; f->nseeds < seeds->n; f->nseeds++)
            f->seeds[f->nseeds] = seeds->v[f->nseeds];
    }
    return out->nfleets++;
}

static void add_file_fleet(struct merging *m, const struct config_cluster *k, const char *key)
{
    size_t fleet = add_fleet(m, &k->settings, &k->seeds);
    m->out->fleets[fleet].lease_ms = k->lease_ms;
    add_shards(m, k->name, key, fleet);
}

static void merge_file_cluster(struct merging *m, const struct config_cluster *k, const char *key)
{
    const struct state_fleet *stored = state_image_fleet(m->stored, k->name);
    bool released = stored != NULL && !stored->monitored && state_options_has_group(&m->stored->file_values, key) &&
                    merge_entry_unchanged(m, key);
    add_fleet_row(m, k->name, stored, !released);
    if (released)
        buf_printf(&m->out->notes,
                   "%s: stays released, as it was by SENTINEL CLUSTER RELEASE; a change of its entry brings it back\n",
                   k->name);
    else
        add_file_fleet(m, k, key);
}

/* What the file said of it last, for the login at its nodes. It is kept until they are released, without the seeds: so
 * an entry like it is a new one. */
static void settings_of_last_time(struct merging *m, const char *key, struct sn_settings *out)
{
    char error[160];
    sn_settings_init(out);
    for (size_t i = 0; i < m->stored->file_values.n; i++) {
        const struct state_option *o = &m->stored->file_values.v[i];
        bool is_seeds = strcmp(o->option, SEEDS) == 0;
        struct slice argv[2] = {slice_of(o->option), slice_of(o->value)};
        if (strcmp(o->group, key) != 0)
            continue;
        if (!is_seeds)
            sn_settings_set(out, argv, 2, error, sizeof error); /* was accepted before */
        state_options_add(&m->out->image.file_values, key, o->option, is_seeds ? "" : o->value);
    }
}

static void merge_state_fleet(struct merging *m, const struct state_fleet *stored, const char *key)
{
    struct sn_settings settings;
    add_fleet_row(m, stored->name, stored, stored->monitored);
    if (!stored->monitored)
        return;
    settings_of_last_time(m, key, &settings);
    size_t fleet = add_fleet(m, &settings, NULL);
    m->out->fleets[fleet].release = true;
    add_shards(m, stored->name, key, fleet);
    sn_settings_free(&settings);
    buf_printf(&m->out->notes, "%s: is no longer in the configuration file, so its nodes are released\n", stored->name);
}

static bool in_file(const struct sentineld_config *file, const char *name)
{
    for (size_t i = 0; i < file->cluster_count; i++)
        if (strcmp(file->clusters[i].name, name) == 0)
            return true;
    return false;
}

void merge_fleets(struct merging *m)
{
    struct buf key = {.n = 0};
    for (size_t i = 0; i < m->file->cluster_count; i++) {
        state_fleet_key(&key, m->file->clusters[i].name);
        merge_file_cluster(m, &m->file->clusters[i], buf_str(&key));
    }
    for (size_t i = 0; i < m->stored->nfleets; i++) {
        if (in_file(m->file, m->stored->fleets[i].name))
            continue;
        state_fleet_key(&key, m->stored->fleets[i].name);
        merge_state_fleet(m, &m->stored->fleets[i], buf_str(&key));
    }
    for (size_t i = 0; i < m->out->image.nfleets; i++)
        if (m->out->image.epoch < m->out->image.fleets[i].vote_epoch)
            m->out->image.epoch = m->out->image.fleets[i].vote_epoch;
    buf_free(&key);
}

static size_t count_shards(const struct merged *m, size_t fleet)
{
    size_t n = 0;
    for (size_t i = 0; i < m->ngroups; i++)
        n += m->groups[i].fleet == fleet;
    return n;
}

struct sn_core_fleet merged_core_fleet(const struct merged *m, size_t i)
{
    const struct merged_fleet *from = &m->fleets[i];
    const struct state_fleet *row = &m->image.fleets[from->row];
    struct sn_core_shard *shards = mem_array(NULL, count_shards(m, i) + 1, sizeof *shards);
    struct sn_core_fleet f = {
        .name = row->name,
        .settings = &from->settings,
        .lease_ms = from->lease_ms,
        .seeds = from->seeds,
        .nseeds = from->nseeds,
        .config_epoch = row->config_epoch,
        .vote_epoch = row->vote_epoch,
        .swap = row->swap,
        .swap_lists = row->swap_lists,
        .shards = shards,
    };
    for (size_t k = 0; k < m->ngroups; k++) {
        if (m->groups[k].fleet != i)
            continue;
        const struct state_group *g = &m->image.groups[m->groups[k].row];
        shards[f.nshards++] = (struct sn_core_shard){
            .group = merged_core_group(m, k), .nodes = g->nodes, .nnodes = g->nnodes};
    }
    return f;
}
