#include "nodectl/rolling/order.h"

#include "common/base/mem.h"
#include "nodectl/local/notes.h"
#include "nodectl/node/answers.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WELL_MS 600000
#define FRESH_S 4       /* uptimes and times are whole seconds, and answers take their time: two of them, and two */
#define SETTLED_MS 3000 /* what changed just now has settled by then */
#define TURN_MS 30000   /* ... and nodes that joined just now are known to all supervisors */

/* ---- is it well ---- */

static const char *info_of(struct rolling *r, size_t node, const char *section, struct buf *why)
{
    const redisReply *a = picture_askf(&r->work->picture, &r->work->picture.v[node], why, "%s", section);
    return a != NULL && a->type == REDIS_REPLY_STRING ? a->str : NULL;
}

/* By what the replica and its master told, one behind the other. */
static bool is_in_step(struct rolling *r, size_t node, struct buf *why)
{
    struct picture *p = &r->work->picture;
    char link[16], text[ADDR_TEXT_MAX];
    const struct picture_node *master = picture_by_id(p, p->v[node].master_id);
    const char *info = info_of(r, node, "INFO replication", why);
    if (info == NULL || master == NULL)
        return false;
    (void)answer_field(info, "master_link_status", link, sizeof link);
    int64_t mine = answer_number(info, "slave_repl_offset", 0);
    info = strcmp(link, "up") == 0 ? info_of(r, (size_t)(master - p->v), "INFO replication", why) : NULL;
    int64_t lag = info != NULL ? answer_number(info, "master_repl_offset", 0) - mine : INT64_MAX;
    if (lag > r->max_lag)
        buf_printf(why, "%s is not in step with its master", node_text(&p->v[node], text));
    return lag <= r->max_lag;
}

/* A supervisor that was started again grants anew after a moment. */
static bool is_leased(struct rolling *r, size_t node, struct buf *why)
{
    struct picture *p = &r->work->picture;
    char text[ADDR_TEXT_MAX];
    if (!p->v[node].noded || p->v[node].nslots == 0)
        return true;
    const char *info = info_of(r, node, "CLUSTER INFO", why);
    if (info == NULL)
        return false;
    int64_t lists = answer_number(info, "cluster_supervisors", 0),
            grants = answer_number(info, "cluster_lease_grants", 0);
    bool leased = answer_number(info, "cluster_lease_ms", -1) < 0 || grants >= lists;
    if (!leased)
        buf_printf(why, "%s has grants of %lld of its %lld supervisors", node_text(&p->v[node], text),
                   (long long)grants, (long long)lists);
    return leased;
}

static bool supervisors_are_content(const struct supervision *s, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; s->cluster != NULL && i < s->fleet.n; i++) {
        const json_t *view = json_array_get(s->views, i);
        const char *state = json_is_object(view) ? field_text(view, "state") : "not answering about this cluster";
        if (strcmp(state, "ok") == 0)
            continue;
        buf_printf(why, "supervisor %s: %s%s", addr_text(&s->fleet.members[i]->addr, text),
                   json_is_object(view) ? "it finds the cluster " : "it is ", state);
        return false;
    }
    return true;
}

bool rolling_is_well(struct rolling *r, struct buf *why)
{
    struct picture *p = &r->work->picture;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].answers && !p->v[i].fails)
            continue;
        buf_printf(why, "%s is down", node_text(&p->v[i], text));
        return false;
    }
    if (!node_all_agree(p, why) || !supervisors_are_content(&r->work->by, why))
        return false;
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].master ? !is_leased(r, i, why) : !is_in_step(r, i, why))
            return false;
    return true;
}

/* ---- plan ---- */

/* Of a node that is to have another configuration; NULL: of one that has it. */
static struct edit *edit_of(const struct rolling *r, const char *id)
{
    for (size_t i = 0; i < r->nedits; i++)
        if (runid_cmp(r->edits[i].id, id) == 0)
            return &r->edits[i];
    return NULL;
}

static bool add(struct rolling *r, enum order_kind kind, const struct addr *at, const char *id, struct buf *why)
{
    struct way way;
    if (!way_find(&way, &r->work->asking, at, kind == ORDER_SUPERVISOR, r->command, why))
        return false;
    if (r->since_s > 0 && (int64_t)time(NULL) - way.uptime_s >= r->since_s)
        return true; /* its turn was before */
    r->v = mem_grow(r->v, r->n, &r->cap, sizeof *r->v);
    struct order *o = &r->v[r->n++];
    *o = (struct order){.kind = kind, .way = way, .edit = edit_of(r, id), .outage_ms = -1};
    snprintf(o->id, sizeof o->id, "%s", id);
    return true;
}

static bool may_be_missed(struct rolling *r, const struct picture_node *master, struct buf *why)
{
    const struct edit *e = edit_of(r, master->id);
    if ((e != NULL && e->gets_replica) || turn_best(r->work, master) != NULL)
        return true;
    buf_printf(why, "%s, so its slots would be down while it is started again", buf_str(&r->work->why));
    return false;
}

static bool add_nodes(struct rolling *r, bool masters, struct buf *why)
{
    struct picture *p = &r->work->picture;
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        bool serves = n->master && n->nslots > 0;
        if (serves != masters || (r->edits != NULL && edit_of(r, n->id) == NULL))
            continue;
        if ((serves && !may_be_missed(r, n, why)) || !add(r, serves ? ORDER_MASTER : ORDER_NODE, &n->addr, n->id, why))
            return false;
    }
    return true;
}

static void put_step(struct rolling *r, struct order *o)
{
    struct buf what = {0};
    char text[ADDR_TEXT_MAX];
    addr_text(&o->way.addr, text);
    if (o->kind == ORDER_NODE)
        buf_printf(&what, "restart %s (%s)", text, o->way.how);
    else if (o->kind == ORDER_MASTER)
        buf_printf(&what, "switch from the master %s to a replica, and restart it (%s)", text, o->way.how);
    else
        buf_printf(&what, "restart supervisor %s (%s), and wait until it grants again", text, o->way.how);
    if (o->edit != NULL)
        buf_printf(&what, " with %s in %s", buf_str(&o->edit->what), o->edit->path);
    if (o->kind == ORDER_NODE)
        buf_puts(&what, ", and wait until it is in step");
    else if (o->kind == ORDER_MASTER && r->keep_masters)
        buf_puts(&what, "; then back");
    o->step = change_step(&r->work->change, "%s", buf_str(&what));
    buf_free(&what);
}

static bool is_well(struct node_work *w, void *what, struct buf *why)
{
    (void)w;
    return rolling_is_well(what, why);
}

bool rolling_plan(struct rolling *r, struct buf *why)
{
    const struct supervision *by = &r->work->by;
    if (!node_wait(r->work, SETTLED_MS, is_well, r)) {
        buf_puts(why, buf_str(&r->work->why));
        return false;
    }
    if (!add_nodes(r, false, why) || !add_nodes(r, true, why))
        return false;
    for (size_t i = 0; r->edits == NULL && by->cluster != NULL && i < by->fleet.n; i++)
        if (!add(r, ORDER_SUPERVISOR, &by->fleet.members[i]->addr, "", why))
            return false;
    for (size_t i = 0; i < r->n; i++)
        put_step(r, &r->v[i]);
    return true;
}

/* ---- doing it ---- */

static bool restart(struct rolling *r, struct order *o)
{
    struct node_work *w = r->work;
    buf_clear(&w->why);
    return (o->edit == NULL || edit_write(o->edit, w, &w->why)) && way_take(&o->way, &w->asking, r->command, &w->why) &&
           node_wait(w, WELL_MS, is_well, r);
}

static bool switch_to(struct node_work *w, struct picture_node *to)
{
    struct turn t;
    if (to == NULL) /* why has the reason */
        return false;
    buf_clear(&w->why);
    return turn_look(w, &t, to) && turn_run(w, &t);
}

static bool restart_master(struct rolling *r, struct order *o)
{
    struct node_work *w = r->work;
    struct picture_node *n = picture_by_id(&w->picture, o->id);
    if (n != NULL && n->master && !switch_to(w, turn_best(w, n)))
        return false;
    if (!restart(r, o))
        return false;
    n = picture_by_id(&w->picture, o->id);
    return !r->keep_masters || (n != NULL && n->master) || (switch_to(w, n) && node_wait(w, WELL_MS, is_well, r));
}

struct turn_of {
    struct rolling *rolling;
    struct order *order;
};

static bool measured(struct rolling *r, struct order *o)
{
    struct node_work *w = r->work;
    struct outage outage;
    const struct picture_node *n = picture_by_id(&w->picture, o->id);
    bool measure = r->max_outage_ms >= 0 && n != NULL && n->master;
    if (measure && !outage_begin(&outage, w, n, &w->why))
        return false;
    bool ok = restart_master(r, o);
    if (measure)
        o->outage_ms = outage_end(&outage);
    if (ok && measure && o->outage_ms > r->max_outage_ms) {
        buf_clear(&w->why);
        buf_printf(&w->why, "for %lld ms no write of its shard was acknowledged, and %lld are allowed",
                   (long long)o->outage_ms, (long long)r->max_outage_ms);
        ok = false;
    }
    return ok;
}

static bool take_turn(struct node_work *w, void *what)
{
    struct turn_of *t = what;
    struct rolling *r = t->rolling;
    bool ok = node_wait(w, TURN_MS, is_well, r) &&
              (t->order->kind == ORDER_MASTER ? measured(r, t->order) : restart(r, t->order));
    if (!ok && (r->edits != NULL || r->dir != NULL))
        buf_puts(&w->why, ". It halts here; the same command goes on with the rest");
    else if (!ok)
        buf_printf(&w->why, ". It halts here; nodectl fleet restart --rolling --since %lld goes on with the rest",
                   (long long)r->began_s);
    return ok;
}

/* Uptimes have whole seconds: who was started just before must not be taken for one of those that were restarted. Other
 * settings tell the two apart by themselves. */
static void begin(struct rolling *r)
{
    int64_t youngest_s = FRESH_S;
    for (size_t i = 0; i < r->n; i++)
        youngest_s = r->v[i].way.uptime_s < youngest_s ? r->v[i].way.uptime_s : youngest_s;
    if (r->since_s > 0 || r->edits != NULL)
        return;
    if (youngest_s < FRESH_S)
        (void)interrupt_sleep((int)(FRESH_S - youngest_s) * 1000);
    r->began_s = (int64_t)time(NULL);
}

/* Where the folder does not take it, the operator has to keep the time. */
static void record(struct rolling *r)
{
    struct buf why = {0};
    if (r->dir != NULL && !notes_set(r->dir, ROLLING_NOTE, r->began_s, &why))
        r->dir = NULL;
    buf_free(&why);
    if (r->dir != NULL)
        return;
    snprintf(r->go_on, sizeof r->go_on, "the same command with --since %lld goes on with the rest",
             (long long)r->began_s);
    r->work->change.go_on = r->go_on;
}

void rolling_forget(const struct rolling *r)
{
    struct buf ignored = {0};
    if (r->dir != NULL)
        (void)notes_set(r->dir, ROLLING_NOTE, 0, &ignored);
    buf_free(&ignored);
}

bool rolling_run(struct rolling *r)
{
    begin(r);
    if (r->edits == NULL)
        record(r);
    for (size_t i = 0; i < r->n; i++) {
        struct turn_of t = {r, &r->v[i]};
        if (!node_step(r->work, r->v[i].step, take_turn, &t))
            return false;
    }
    rolling_forget(r);
    return true;
}

void rolling_free(struct rolling *r)
{
    for (size_t i = 0; i < r->nedits; i++)
        edit_free(&r->edits[i]);
    free(r->edits);
    free(r->v);
}
