#include "nodectl/apply/steps.h"

#include "nodectl/apply/restarts.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/node/drain.h"
#include "nodectl/node/grow.h"
#include "nodectl/slots/rebalance.h"

#include <stdlib.h>
#include <string.h>

#define SETTLED_MS 5000 /* what changed just now has settled by then */

static bool refuse(struct apply *a)
{
    change_failed(&a->work.change, "%s", buf_str(&a->work.why));
    return false;
}

/* ---- plan: nodes ---- */

static void put_add(struct apply *a, bool master, size_t of, const char *master_id)
{
    char text[ADDR_TEXT_MAX];
    size_t spare = a->nadds < a->spec.spare.n ? a->nadds : SIZE_MAX;
    const struct picture_node *known = picture_by_id(&a->work.picture, master_id);
    a->adds = mem_array(a->adds, a->nadds + 1, sizeof *a->adds);
    struct apply_add *one = &a->adds[a->nadds++];
    *one = (struct apply_add){.master = master, .of = of, .spare = spare};
    memcpy(one->join.master, master_id, strlen(master_id) + 1);
    struct buf what = {0};
    if (spare != SIZE_MAX)
        buf_printf(&what, "let %s join", addr_text(&a->spec.spare.v[spare], text));
    else
        buf_puts(&what, "start a node, let it join");
    if (master)
        buf_puts(&what, " as a master");
    else if (known != NULL)
        buf_printf(&what, " as a replica of %s", node_text(known, text));
    else
        buf_puts(&what, " as a replica of the new master");
    one->step = change_step(&a->work.change, "%s", buf_str(&what));
    buf_free(&what);
}

/* Each new master with its replicas behind it, then the replicas that shards lack. */
static bool plan_adds(struct apply *a)
{
    const struct difference *d = &a->difference;
    size_t needed = d->masters * (1 + (size_t)a->spec.replicas) + d->nreplicas;
    if (needed > a->spec.spare.n && !grow_can(&a->work, &a->work.why)) {
        buf_printf(&a->work.why, ". %zu more empty nodes are needed: list them as spare in the file",
                   needed - a->spec.spare.n);
        return refuse(a);
    }
    for (size_t i = 0; i < d->masters; i++) {
        size_t at = a->nadds;
        put_add(a, true, SIZE_MAX, "");
        for (int64_t r = 0; r < a->spec.replicas; r++)
            put_add(a, false, at, "");
    }
    for (size_t i = 0; i < d->nreplicas; i++)
        put_add(a, false, SIZE_MAX, d->replicas[i]);
    return true;
}

/* ---- plan: settings ---- */

static bool is_value(const char *is, const char *wished)
{
    uint64_t x, y;
    return strcmp(is, wished) == 0 || (text_size(slice_of(is), &x) && text_size(slice_of(wished), &y) && x == y);
}

static bool plan_option(struct apply *a, size_t option)
{
    struct node_work *w = &a->work;
    const struct spec_option *o = &a->spec.options[option];
    size_t others = a->nadds > 0;
    a->option_steps[option] = SIZE_MAX;
    if (fixed_row(o->name) != NULL)
        return true;
    for (size_t i = 0; i < w->picture.n; i++) {
        const redisReply *r = picture_askf(&w->picture, &w->picture.v[i], &w->why, "CONFIG GET %s", o->name);
        if (r == NULL)
            return refuse(a);
        if (r->elements != 2 || r->element[1]->type != REDIS_REPLY_STRING) {
            change_failed(&w->change, "options: %s is no setting of these nodes", o->name);
            return false;
        }
        others += !is_value(r->element[1]->str, o->value);
    }
    if (others > 0)
        a->option_steps[option] = change_step(&w->change, "set %s to %s at all nodes (CONFIG SET, CONFIG REWRITE)",
                                              o->name, o->value);
    return true;
}

/* ---- plan: what goes ---- */

static bool plan_leaves(struct apply *a)
{
    const struct difference *d = &a->difference;
    struct node_work *w = &a->work;
    if (d->ndrain > 0 && !drain_plan(w, &a->how, (const runid *)d->drain, d->ndrain, &a->drained, &a->drain_step))
        return refuse(a);
    a->leaves = mem_zalloc((d->nleave + 1) * sizeof *a->leaves);
    for (size_t i = 0; i < d->nleave; i++) {
        const struct picture_node *n = picture_by_id(&w->picture, d->leave[i]);
        if (!leave_check(w, n, false))
            return refuse(a);
        if (!leave_plan_forget(w, &a->leaves[a->nleaves++], n, false))
            return false;
    }
    for (size_t i = 0; i < a->nleaves; i++)
        leave_plan_end(w, &a->leaves[i]);
    return true;
}

static bool all_agree(struct node_work *w, void *unused, struct buf *why)
{
    (void)unused;
    return node_all_agree(&w->picture, why);
}

static bool is_whole(struct apply *a)
{
    const struct picture *p = &a->work.picture;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].answers)
            continue;
        change_failed(&a->work.change,
                      "%s is down: start it, or take it out (nodectl node remove), and then change the fleet",
                      node_text(&p->v[i], text));
        return false;
    }
    if (p->covered == SN_SLOTS)
        return node_wait(&a->work, SETTLED_MS, all_agree, NULL) || refuse(a);
    change_failed(&a->work.change, "%zu slots are nobody's: nodectl slots check says more", SN_SLOTS - p->covered);
    return false;
}

bool apply_plan(struct apply *a)
{
    struct node_work *w = &a->work;
    if (w->by.cluster != NULL && strcmp(w->by.cluster, a->spec.name) != 0) {
        change_failed(&w->change, "the file is about fleet %s, and this is %s", a->spec.name, w->by.cluster);
        return false;
    }
    a->rebalance = SIZE_MAX;
    a->option_steps = mem_zalloc((a->spec.noptions + 1) * sizeof *a->option_steps);
    a->rolling.work = w;
    if (!is_whole(a) || !restarts_wish(a))
        return false;
    difference_find(&a->difference, &w->picture, (size_t)a->spec.shards, (size_t)a->spec.replicas);
    if (!plan_adds(a) || !restarts_plan(a))
        return false;
    for (size_t i = 0; i < a->spec.noptions; i++)
        if (!plan_option(a, i))
            return false;
    if (a->difference.masters > 0 || a->difference.uneven)
        a->rebalance = change_step(&w->change, "give the masters without slots their share of them (slots rebalance)");
    return plan_leaves(a);
}

/* ---- doing it ---- */

static bool add_one(struct apply *a, struct apply_add *one)
{
    struct node_work *w = &a->work;
    struct addr addr;
    runid master;
    char text[ADDR_TEXT_MAX];
    memcpy(master, one->of != SIZE_MAX ? a->adds[one->of].join.id : one->join.master, sizeof master);
    if (one->spare != SIZE_MAX)
        addr = a->spec.spare.v[one->spare];
    else if (!grow_node(w, &a->fixed, &addr, &w->why))
        return false;
    if (!join_look(w, &one->join, addr_text(&addr, text)))
        return false;
    memcpy(one->join.master, master, sizeof master);
    return join_fits(w, &one->join) && join_meet(w, &one->join) && (one->master || join_replicate(w, &one->join)) &&
           join_wait(w, &one->join);
}

struct one_of {
    struct apply *apply;
    size_t i;
};

static bool run_add(struct node_work *w, void *what)
{
    struct one_of *o = what;
    (void)w;
    return add_one(o->apply, &o->apply->adds[o->i]);
}

static bool run_option(struct node_work *w, void *what)
{
    const struct one_of *o = what;
    const struct spec_option *option = &o->apply->spec.options[o->i];
    struct buf ignored = {0};
    for (size_t i = 0; i < w->picture.n; i++) {
        struct picture_node *n = &w->picture.v[i];
        struct slice words[] = {slice_of("CONFIG"), slice_of("SET"), slice_of(option->name), slice_of(option->value)};
        if (picture_ask_slices(&w->picture, n, &w->why, 4, words) == NULL)
            return false;
        (void)picture_askf(&w->picture, n, &ignored, "CONFIG REWRITE"); /* one without a file keeps it while it runs */
    }
    buf_free(&ignored);
    return true;
}

/* Which slots go where is known when the new masters are there. */
static bool run_rebalance(struct apply *a)
{
    struct node_work *w = &a->work;
    struct rebalance even = {.by = REBALANCE_SLOTS};
    struct rebalance_weight *none = mem_zalloc((a->difference.nleave + 1) * sizeof *none);
    struct slot_moves moves = {.n = 0};
    size_t first = 0;
    for (size_t i = 0; i < a->difference.ndrain; i++)
        memcpy(none[even.nweights++].id, a->difference.drain[i], sizeof(runid));
    even.weights = none;
    buf_clear(&w->why);
    bool ok = picture_again(&w->picture, &w->why) && rebalance_moves(&w->picture, &even, &moves, &w->why);
    if (!ok)
        (void)refuse(a);
    ok = ok && (moves.n == 0 || (mover_plan(&w->change, &w->picture, &moves, &a->how, &first) &&
                                 mover_run(&w->change, &w->picture, &moves, &a->how, first)));
    slot_moves_free(&moves);
    free(none);
    return ok;
}

static bool run_growth(struct apply *a)
{
    struct node_work *w = &a->work;
    for (size_t i = 0; i < a->nadds; i++) {
        struct one_of one = {a, i};
        if (!node_step(w, a->adds[i].step, run_add, &one))
            return false;
    }
    if (!rolling_run(&a->rolling))
        return false;
    for (size_t i = 0; i < a->spec.noptions; i++) {
        struct one_of one = {a, i};
        if (a->option_steps[i] != SIZE_MAX && !node_step(w, a->option_steps[i], run_option, &one))
            return false;
    }
    if (a->rebalance == SIZE_MAX)
        return true;
    if (!change_now(&w->change, a->rebalance) || !run_rebalance(a))
        return false;
    change_did(&w->change, a->rebalance);
    return true;
}

bool apply_run(struct apply *a)
{
    struct node_work *w = &a->work;
    if (!run_growth(a) ||
        (a->drained.n > 0 && !mover_run(&w->change, &w->picture, &a->drained, &a->how, a->drain_step)))
        return false;
    for (size_t i = 0; i < a->nleaves; i++)
        if (!leave_run_forget(w, &a->leaves[i]))
            return false;
    for (size_t i = 0; i < a->nleaves; i++)
        if (!leave_run_end(w, &a->leaves[i]))
            return false;
    return true;
}

void apply_free(struct apply *a)
{
    for (size_t i = 0; i < a->nleaves; i++)
        leave_free(&a->leaves[i]);
    free(a->leaves);
    free(a->adds);
    free(a->option_steps);
    slot_moves_free(&a->drained);
    rolling_free(&a->rolling);
    free(a->fixed.v);
    difference_free(&a->difference);
    spec_free(&a->spec);
}
