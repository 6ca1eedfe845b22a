/* What operators change at run time: settings, by SENTINEL SET or in the file and a reload; groups, which are removed
 * from one supervisor and given back to it; and the master that a file names. They know what the fleet tells them. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define OPTIONS 4

static int64_t *option_at(struct group_options *o, int i)
{
    int64_t *const fields[OPTIONS] = {&o->quorum, &o->down_after_ms, &o->failover_timeout_ms, &o->parallel_syncs};
    return fields[i];
}

static const char *const option_names[OPTIONS] = {"quorum", "down-after-milliseconds", "failover-timeout",
                                                  "parallel-syncs"};

struct group_options options_of_plan(const struct world *w, int group)
{
    const struct plan_group *p = &w->plan.group[group];
    return (struct group_options){p->quorum, p->down_after_ms, p->failover_timeout_ms, p->parallel_syncs};
}

void options_put(struct group_options *o, const char *option, const char *value)
{
    for (int i = 0; i < OPTIONS; i++)
        if (strcmp(option_names[i], option) == 0)
            text_i64(slice_of(value), option_at(o, i));
}

static void copy_to(struct sn_settings *set, const struct group_options *o)
{
    set->quorum = o->quorum;
    set->down_after_ms = o->down_after_ms;
    set->failover_timeout_ms = o->failover_timeout_ms;
    set->parallel_syncs = o->parallel_syncs;
}

/* --- the two ways: a command, or the file --- */

struct operation *operator_sets(struct world *w, struct super *s, int group, const char *option, const char *value)
{
    struct slice argv[] = {slice_of(option), slice_of(value)};
    struct sn_event e = {.kind = SN_EV_SET, .argv = argv, .count = 2};
    return super_operate_counted(w, s, &e, group, COUNT_SET, -1);
}

static void set_option(struct world *w, struct super *s, int group, int option, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    operator_sets(w, s, group, option_names[option], text);
}

static struct operation *submit(struct world *w, struct super *s, struct sn_reload *r, int done, int refused)
{
    struct sn_event e = {.kind = SN_EV_RELOAD, .reload = r};
    struct operation *o = super_operate_counted(w, s, &e, -1, done, refused);
    if (o == NULL)
        sn_reload_free(r);
    return o;
}

static void file_says(struct sn_reload *r, const char *group, const char *option, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    r->records = mem_array(r->records, r->nrecords + 1, sizeof *r->records);
    r->records[r->nrecords++] = (struct sn_record){
        .kind = SN_REC_FILE, .group = mem_strdup(group), .option = mem_strdup(option), .value = mem_strdup(text)};
}

static struct sn_reload *file_sets(const char *group, int option, int64_t value)
{
    struct sn_reload *r = mem_zalloc(sizeof *r);
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    r->set = mem_zalloc(sizeof *r->set);
    r->nset = 1;
    r->set[0].group = mem_strdup(group);
    r->set[0].words = mem_zalloc(sizeof *r->set[0].words);
    r->set[0].words[r->set[0].n++] = (struct sn_word){mem_strdup(option_names[option]), mem_strdup(text)};
    file_says(r, group, option_names[option], value);
    return r;
}

static struct sn_reload *file_adds(const struct world *w, int group, const struct addr *master)
{
    struct sn_reload *r = mem_zalloc(sizeof *r);
    struct group_options o = options_of_plan(w, group);
    r->add = mem_zalloc(sizeof *r->add);
    r->nadd = 1;
    r->add[0].name = mem_strdup(w->groups[group].name);
    r->add[0].master = *master;
    sn_settings_copy(&r->add[0].settings, &w->groups[group].set);
    copy_to(&r->add[0].settings, &o);
    for (int i = 0; i < OPTIONS; i++)
        file_says(r, w->groups[group].name, option_names[i], *option_at(&o, i));
    return r;
}

/* --- settings --- */

static int64_t draw_value(struct world *w, int group, int option)
{
    switch (option) {
    case 0: return rng_below(&w->rng, 3) == 0 ? rng_range(&w->rng, 1, w->plan.supers) : w->plan.supers / 2 + 1;
    case 1: {
        int64_t plan = w->plan.group[group].down_after_ms;
        return rng_range(&w->rng, plan / 2, plan * 2);
    }
    case 2: return rng_skewed(&w->rng, 1000, 10000);
    default: return rng_range(&w->rng, 1, 3);
    }
}

void operator_changes(struct world *w, struct super *s, int group, bool by_file)
{
    int option = (int)rng_below(&w->rng, OPTIONS);
    int64_t value = draw_value(w, group, option);
    if (by_file)
        submit(w, s, file_sets(w->groups[group].name, option, value), COUNT_RELOADED, -1);
    else
        set_option(w, s, group, option, value);
}

/* --- groups --- */

/* When it supervises the group again it learns of servers from the master: of one that does not follow it, from nobody.
 */
void operator_removes(struct world *w, struct super *s, int group, bool by_file)
{
    w->forgets = true;
    if (!by_file) {
        struct sn_event e = {.kind = SN_EV_REMOVE};
        super_operate_counted(w, s, &e, group, COUNT_REMOVED, -1);
        return;
    }
    struct sn_reload *r = mem_zalloc(sizeof *r);
    r->remove = mem_zalloc(sizeof *r->remove);
    r->remove[r->nremove++] = mem_strdup(w->groups[group].name);
    submit(w, s, r, COUNT_REMOVED, -1);
}

/* As another supervisor tells it, or, when none runs, as the clients have it. */
static struct addr master_now(struct world *w, int group)
{
    for (int i = 0; i < w->plan.supers; i++) {
        const struct super *s = &w->supers[i];
        if (s->core != NULL && sn_group_find(s->core, slice_of(w->groups[group].name)) != NULL)
            return true_master(w, group)->addr;
    }
    return w->groups[group].believed;
}

void operator_monitors(struct world *w, struct super *s, int group, bool by_file)
{
    struct addr master = master_now(w, group);
    if (s->core == NULL || sn_group_find(s->core, slice_of(w->groups[group].name)) != NULL)
        return;
    if (by_file) {
        submit(w, s, file_adds(w, group, &master), COUNT_MONITORED, -1);
        return;
    }
    struct group_options o = options_of_plan(w, group);
    struct sn_event e = {.kind = SN_EV_MONITOR, .addr = master, .number = o.quorum};
    super_operate_counted(w, s, &e, group, COUNT_MONITORED, -1);
    for (int i = 1; i < OPTIONS && s->core != NULL; i++)
        set_option(w, s, group, i, *option_at(&o, i));
}

/* --- the master of the file --- */

/* An operator who moves a group's master by hand moves the servers first. */
static void move_servers(struct world *w, int group, struct node *to)
{
    const struct group *g = &w->groups[group];
    repl_promote(w, to);
    for (int i = g->first; i < g->first + g->count; i++)
        if (&w->nodes[i] != to)
            repl_follow(w, &w->nodes[i], to->index);
}

static bool all_in_step(const struct world *w, const struct group *g)
{
    for (int i = g->first; i < g->first + g->count; i++)
        if (!w->nodes[i].up || w->nodes[i].stopped || (w->nodes[i].master >= 0 && w->nodes[i].repl != REPL_UP))
            return false;
    return true;
}

struct operation *operator_names(struct world *w, struct super *s, int group, const struct node *master)
{
    s->disk.groups[group].replaced = w->plan.supers == 1;
    return submit(w, s, file_adds(w, group, &master->addr), COUNT_MOVED, COUNT_NOT_MOVED);
}

/* Where others supervise the group too, one file must not decide; a single supervisor obeys its own. */
void operator_moves(struct world *w, struct super *s, int group)
{
    const struct group *g = &w->groups[group];
    struct node *m = true_master(w, group);
    struct node *to = &w->nodes[g->first + (int)rng_below(&w->rng, (uint64_t)g->count)];
    const struct sn_group *known = sn_group_find(s->core, slice_of(g->name));
    if (to == m || known == NULL || known->fo.state != SN_FO_NONE || (w->plan.supers > 1 && known->nseats == 0))
        return;
    if (w->plan.supers == 1) {
        if (!all_in_step(w, g) || to->priority == 0)
            return;
        w->forgets = true;
        move_servers(w, group, to);
    }
    operator_names(w, s, group, to);
}

/* --- the end of it --- */

void operator_resets(struct world *w, struct super *s)
{
    struct sn_event e = {.kind = SN_EV_RESET, .text = slice_of("*")};
    w->counts[COUNT_FORGOTTEN]++;
    w->forgets = true;
    super_operate(w, s, &e, -1);
}

/* A supervisor that came back under a new id leaves a seat among the voters, until somebody says that it is gone. */
void operator_forgets_former(struct world *w)
{
    bool gone = false;
    for (int i = 0; i < w->plan.supers; i++)
        gone = gone || w->supers[i].nformer > 0;
    for (int i = 0; i < w->plan.supers && gone && !w->plan.declared; i++)
        operator_resets(w, &w->supers[i]);
}

/* Supervisors that were without the group when its master was reborn empty do not know it, and the others may be too
 * few for a failover: whether the replicas' older data is worth one is for an operator to say. This one says no. */
void operator_settles_rebirth(struct world *w, int group)
{
    int holding = 0;
    for (int i = 0; i < w->plan.supers; i++) {
        const struct super *s = &w->supers[i];
        const struct sn_group *g = s->core != NULL ? sn_group_find(s->core, slice_of(w->groups[group].name)) : NULL;
        holding += g != NULL && g->master->reborn_empty;
    }
    if (!w->forgets || holding == 0 || holding >= w->plan.group[group].quorum)
        return;
    for (int i = 0; i < w->plan.supers; i++)
        operator_sets(w, &w->supers[i], group, "reborn-empty", "follow");
}

void operator_restores(struct world *w)
{
    for (int i = 0; i < w->plan.supers; i++)
        for (int k = 0; k < w->plan.groups; k++) {
            struct super *s = &w->supers[i];
            const struct sn_group *g = s->core != NULL ? sn_group_find(s->core, slice_of(w->groups[k].name)) : NULL;
            struct group_options want = options_of_plan(w, k), is = want;
            if (g == NULL) {
                operator_monitors(w, s, k, false);
                continue;
            }
            is = (struct group_options){g->set.quorum, g->set.down_after_ms, g->set.failover_timeout_ms,
                                        g->set.parallel_syncs};
            for (int o = 0; o < OPTIONS && s->core != NULL; o++)
                if (*option_at(&is, o) != *option_at(&want, o))
                    set_option(w, s, k, o, *option_at(&want, o));
        }
}
