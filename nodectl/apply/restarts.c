#include "nodectl/apply/restarts.h"

#include "common/base/mem.h"
#include "nodectl/rolling/fewer.h"

#include <stdio.h>
#include <string.h>

#define MAX_LAG (1 << 20) /* as nodectl fleet restart has it */

/* ---- what is wished ---- */

static bool wish_databases(struct apply *a, struct buf *why)
{
    const struct picture *p = &a->work.picture;
    char text[ADDR_TEXT_MAX];
    if (a->spec.databases == 0)
        return true;
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].noded || a->spec.databases == 1)
            continue;
        buf_printf(why, "%s is redis-server %s, which knows database 0 only, and %lld are wished",
                   node_text(&p->v[i], text), p->v[i].version, (long long)a->spec.databases);
        return false;
    }
    snprintf(a->databases, sizeof a->databases, "%lld", (long long)a->spec.databases);
    return fixed_add(&a->fixed, fixed_row("cluster-databases"), a->databases, why);
}

bool restarts_wish(struct apply *a)
{
    struct buf why = {0};
    bool ok = wish_databases(a, &why);
    for (size_t i = 0; i < a->spec.noptions && ok; i++) {
        const struct spec_option *o = &a->spec.options[i];
        const struct nd_setting *row = fixed_row(o->name);
        ok = row == NULL || fixed_add(&a->fixed, row, o->value, &why);
        if (!ok)
            buf_printf(&why, " (options: %s = \"%s\")", o->name, o->value);
    }
    if (!ok)
        change_failed(&a->work.change, "%s", buf_str(&why));
    buf_free(&why);
    return ok;
}

/* ---- new nodes that run already ---- */

static void put_spare(struct apply *a, const struct addr *addr, const struct fleet_member *m, size_t first)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < a->fixed.n && m->error == NULL && first + i < m->nreplies; i++) {
        const struct fixed_setting *s = &a->fixed.v[i];
        const char *is = fixed_differs(s, m->replies[first + i]);
        if (is != NULL)
            change_failed(&a->work.change,
                          "the spare node %s has %s %s, and %s is wished. It reads that when it starts: change its "
                          "configuration file, start it again, and give the command again",
                          addr_text(addr, text), nd_setting_name(s->row), is, s->value);
    }
}

/* One that does not answer is told of when it is to join. */
static bool check_spares(struct apply *a)
{
    struct fleet f;
    fleet_init(&f, a->work.asking.timeout_ms);
    for (size_t i = 0; i < a->nadds; i++) {
        bool added;
        if (a->adds[i].spare == SIZE_MAX || a->fixed.n == 0)
            continue;
        struct fleet_member *m = fleet_add(&f, &a->spec.spare.v[a->adds[i].spare], true, &added);
        if (!added)
            continue;
        (void)asking_login_node(&a->work.asking, m);
        for (size_t k = 0; k < a->fixed.n; k++)
            fleet_ask(m, 3, (const char *[]){"CONFIG", "GET", nd_setting_name(a->fixed.v[k].row)});
    }
    fleet_run(&f);
    for (size_t i = 0; i < f.n; i++)
        put_spare(a, &f.members[i]->addr, f.members[i],
                  f.members[i]->nreplies >= a->fixed.n ? f.members[i]->nreplies - a->fixed.n : 0);
    fleet_free(&f);
    return a->work.change.failure.n == 0;
}

/* ---- nodes that are started again ---- */

static bool leaves(const struct apply *a, const struct picture_node *n)
{
    for (size_t i = 0; i < a->difference.nleave; i++)
        if (runid_cmp(a->difference.leave[i], n->id) == 0)
            return true;
    return false;
}

static bool gets_replica(const struct apply *a, const struct picture_node *n)
{
    for (size_t i = 0; i < a->difference.nreplicas; i++)
        if (runid_cmp(a->difference.replicas[i], n->id) == 0)
            return true;
    return false;
}

/* false: why, or what is to be done by hand, has the reason. */
static bool find_edits(struct apply *a, struct buf *hand, struct buf *why)
{
    struct node_work *w = &a->work;
    struct rolling *r = &a->rolling;
    r->edits = mem_zalloc((w->picture.n + 1) * sizeof *r->edits);
    for (size_t i = 0; i < w->picture.n && why->n == 0; i++) {
        struct picture_node *n = &w->picture.v[i];
        struct edit *e = &r->edits[r->nedits];
        if (leaves(a, n) || edit_find(e, w, n, &a->fixed, hand, why) != EDIT_FOUND)
            continue;
        e->gets_replica = gets_replica(a, n);
        r->nedits++;
    }
    return why->n == 0 && hand->n == 0;
}

static bool may_shrink(struct apply *a, struct buf *why)
{
    bool shrinks = false;
    for (size_t i = 0; i < a->rolling.nedits; i++)
        shrinks = shrinks || a->rolling.edits[i].shrinks;
    return !shrinks || fewer_can(&a->work, a->fixed.databases, why);
}

bool restarts_plan(struct apply *a)
{
    struct node_work *w = &a->work;
    struct rolling *r = &a->rolling;
    struct buf hand = {0}, why = {0};
    *r = (struct rolling){.work = w, .max_lag = MAX_LAG, .max_outage_ms = -1};
    /* The master of a shard is whom the plan counts as one when replicas that are too many go. */
    r->keep_masters = a->difference.nleave > 0;
    bool ok = a->fixed.n == 0 || (check_spares(a) && find_edits(a, &hand, &why) && may_shrink(a, &why) &&
                                  (r->nedits == 0 || rolling_plan(r, &why)));
    if (hand.n > 0 && why.n == 0)
        change_failed(
            &w->change,
            "some settings are read when a node starts, and these nodes' files can't be written from "
            "here:%s\nDo that, and then start them again one after the other: nodectl fleet restart --rolling, "
            "with --command for other hosts. Given again, this command goes on with the rest",
            buf_str(&hand));
    else if (!ok)
        change_failed(&w->change, "%s", buf_str(&why));
    buf_free(&hand);
    buf_free(&why);
    return ok;
}
