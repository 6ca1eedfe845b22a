#include "nodectl/node/leave.h"

#include "common/base/mem.h"
#include "nodectl/node/placement.h"
#include "nodectl/node/retire.h"

#include <stdlib.h>
#include <string.h>

#define FORGET_MS 50000 /* a node that was told to forget one learns of it again after 60 s */
#define SUPERVISORS_MS 120000
#define FOLLOW_MS 30000

/* ---- may it go ---- */

static size_t others_with_slots(const struct picture *p, const struct picture_node *but)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += &p->v[i] != but && p->v[i].master && p->v[i].nslots > 0;
    return n;
}

/* One that does not answer keeps the node in its own list, and tells the others of it when it is back. */
static const struct picture_node *absent(const struct picture *p, const struct picture_node *but)
{
    for (size_t i = 0; i < p->n; i++)
        if (&p->v[i] != but && !p->v[i].answers)
            return &p->v[i];
    return NULL;
}

bool leave_check(struct node_work *w, const struct picture_node *n, bool force)
{
    char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];
    const struct picture_node *away = absent(&w->picture, n);
    node_text(n, text);
    if (n->master && others_with_slots(&w->picture, n) == 0)
        buf_printf(&w->why, "%s is the only master with slots: without it there is no cluster", text);
    else if (n->nslots > 0 && !n->answers)
        buf_printf(
            &w->why,
            "%s does not answer and has %u slots: only its replicas have their keys. One of them is promoted first "
            "(nodectl failover); then it can be removed",
            text, n->nslots);
    else if (n->nopen > 0)
        buf_printf(&w->why, "%s has %zu slots that are being moved: nodectl slots fix", text, n->nopen);
    else if (away != NULL && !force)
        buf_printf(&w->why,
                   "%s does not answer (%s), so it could not be told to forget %s, and would bring it back into the "
                   "cluster later. Start it, or give --force when it never comes back",
                   node_text(away, other),
                   away->member != NULL && away->member->error != NULL ? away->member->error : "", text);
    return w->why.n == 0;
}

/* ---- plan ---- */

static bool plan_replicas(struct node_work *w, struct leave_plan *l, const struct picture_node *n)
{
    struct picture *p = &w->picture;
    char text[ADDR_TEXT_MAX], of[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *r = &p->v[i];
        if (r->master || runid_cmp(r->master_id, n->id) != 0)
            continue;
        const struct picture_node *to = placement_master(p, &r->addr, n);
        if (to == NULL || !r->answers) {
            change_failed(&w->change, "%s follows %s and %s: remove it first", node_text(r, text), node_text(n, of),
                          r->answers ? "there is no other master for it" : "does not answer");
            return false;
        }
        l->replicas = mem_array(l->replicas, l->nreplicas + 1, sizeof *l->replicas);
        struct leave_replica *one = &l->replicas[l->nreplicas++];
        memcpy(one->id, r->id, sizeof one->id);
        memcpy(one->to, to->id, sizeof one->to);
        one->step = change_step(&w->change, "make %s a replica of %s", node_text(r, text), node_text(to, of));
    }
    return true;
}

/* false: it is not ours to end. */
static bool plan_process(struct node_work *w, struct leave_plan *l)
{
    struct buf folder = {0};
    char text[ADDR_TEXT_MAX];
    bool ours = retire_is_ours(w, &l->leave.addr, &folder);
    if (ours) {
        l->retire = change_step(&w->change, "stop %s, and take it out of the fleet's record",
                                addr_text(&l->leave.addr, text));
        change_warn(&w->change, "its folder stays, with its data, until fleet destroy: %s", buf_str(&folder));
    }
    buf_free(&folder);
    return ours;
}

static void warn_of_silent(struct node_work *w)
{
    struct buf who = {0};
    if (supervision_silent(&w->by, &who) > 0)
        change_warn(
            &w->change,
            "not waited for, since they do not answer: %s. When they are back they learn from the nodes that it "
            "has left",
            buf_str(&who));
    buf_free(&who);
}

void leave_plan_end(struct node_work *w, struct leave_plan *l)
{
    size_t supervisors = supervision_watching(&w->by);
    char text[ADDR_TEXT_MAX];
    l->supervisors = l->reset = l->retire = SIZE_MAX;
    addr_text(&l->leave.addr, text);
    if (supervisors > 0)
        l->supervisors = change_step(&w->change, "wait until %zu supervisors have forgotten %s", supervisors, text);
    warn_of_silent(w);
    if (plan_process(w, l))
        return;
    if (l->leave.answered) {
        l->reset = change_step(&w->change, "make %s an empty node again (CLUSTER RESET HARD)", text);
        change_warn(&w->change, "%s is not run by this nodectl: it runs on, as an empty node", text);
    } else {
        change_warn(&w->change,
                    "%s does not answer. If it is ever started again it thinks that it belongs to this cluster, which "
                    "does not listen to it: say CLUSTER RESET HARD to it then, or delete its nodes.conf",
                    text);
    }
}

bool leave_plan_forget(struct node_work *w, struct leave_plan *l, const struct picture_node *n, bool replicas)
{
    char text[ADDR_TEXT_MAX];
    *l = (struct leave_plan){.leave = {.addr = n->addr, .answered = n->answers}};
    memcpy(l->leave.id, n->id, sizeof l->leave.id);
    if (replicas && !plan_replicas(w, l, n))
        return false;
    l->forget = change_step(&w->change, "have the other nodes forget %s, until none lists it (CLUSTER FORGET)",
                            node_text(n, text));
    return true;
}

bool leave_plan(struct node_work *w, struct leave_plan *l, const struct picture_node *n, bool replicas)
{
    if (!leave_plan_forget(w, l, n, replicas))
        return false;
    leave_plan_end(w, l);
    return true;
}

void leave_plan_rest(struct node_work *w, struct leave_plan *l, const char *id, const struct addr *addr)
{
    *l = (struct leave_plan){.leave = {.addr = *addr, .answered = true}, .forget = SIZE_MAX};
    memcpy(l->leave.id, id, sizeof l->leave.id);
    leave_plan_end(w, l);
}

void leave_plan_process(struct node_work *w, struct leave_plan *l, const struct addr *addr)
{
    *l = (struct leave_plan){
        .leave = {.addr = *addr}, .forget = SIZE_MAX, .supervisors = SIZE_MAX, .reset = SIZE_MAX, .retire = SIZE_MAX};
    (void)plan_process(w, l);
}

void leave_free(struct leave_plan *l)
{
    free(l->replicas);
    l->replicas = NULL;
}

/* ---- steps ---- */

static bool replica_follows(struct node_work *w, void *what, struct buf *why)
{
    const struct leave_replica *r = what;
    struct picture_node *n = picture_by_id(&w->picture, r->id);
    if (n == NULL || !n->answers) {
        buf_puts(why, "the replica does not answer");
        return false;
    }
    if (!n->master && runid_cmp(n->master_id, r->to) == 0)
        return node_all_agree(&w->picture, why);
    (void)picture_askf(&w->picture, n, why, "CLUSTER REPLICATE %s", r->to);
    return false;
}

static bool attach(struct node_work *w, void *what)
{
    return node_wait(w, FOLLOW_MS, replica_follows, what);
}

/* One that all others have forgotten already leaves too: it is reset later, and keeps its own list until then, with its
 * master, which it cannot forget. */
static bool has_left(const struct picture *p, const struct picture_node *n, const char *leaving)
{
    size_t others = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *m = &p->v[i];
        if (m == n || !m->answers || runid_cmp(m->id, leaving) == 0)
            continue;
        if (sn_nodes_find(&m->view, n->id) != NULL)
            return false;
        others++;
    }
    return others > 0;
}

/* Told anew at every look: who has heard of it from a node that was told later is told again. */
static bool nobody_lists(struct node_work *w, void *what, struct buf *why)
{
    const struct leave *l = what;
    struct picture *p = &w->picture;
    size_t listing = 0;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        struct picture_node *n = &p->v[i];
        if (!n->answers || runid_cmp(n->id, l->id) == 0 || sn_nodes_find(&n->view, l->id) == NULL ||
            has_left(p, n, l->id))
            continue;
        buf_clear(why);
        if (picture_askf(p, n, why, "CLUSTER FORGET %s", l->id) != NULL)
            buf_printf(why, "%s has not forgotten it yet", node_text(n, text));
        listing++;
    }
    return listing == 0;
}

/* Its slots would be nobody's. */
static bool has_slots(struct node_work *w, const struct leave *l)
{
    char text[ADDR_TEXT_MAX];
    const struct picture_node *n = picture_by_id(&w->picture, l->id);
    if (n == NULL || n->nslots == 0)
        return false;
    buf_printf(&w->why, "%s has %u slots: it is not forgotten before they are elsewhere", node_text(n, text),
               n->nslots);
    return true;
}

static bool forget(struct node_work *w, void *what)
{
    if (!picture_again(&w->picture, &w->why) || has_slots(w, what))
        return false;
    return node_wait(w, FORGET_MS, nobody_lists, what);
}

static bool supervisors_forgot(struct node_work *w, void *what, struct buf *why)
{
    const struct leave *l = what;
    return supervision_forgot(&w->by, l->id, why);
}

static bool wait_supervisors(struct node_work *w, void *what)
{
    if (node_wait(w, SUPERVISORS_MS, supervisors_forgot, what))
        return true;
    if (!interrupted())
        buf_puts(&w->why, ". The node has left the cluster and runs on, so that this one does not take its end for a "
                          "fault: see nodectl supervisor list, and what its log says");
    return false;
}

/* Nobody names it any more, so it is asked by its address. */
static bool reset(struct node_work *w, void *what)
{
    const struct leave *l = what;
    struct fleet f;
    bool added;
    char text[ADDR_TEXT_MAX];
    fleet_init(&f, w->asking.timeout_ms);
    struct fleet_member *m = fleet_add(&f, &l->addr, true, &added);
    (void)asking_login_node(&w->asking, m);
    fleet_ask(m, 3, (const char *[]){"CLUSTER", "RESET", "HARD"});
    fleet_run(&f);
    const redisReply *r = fleet_answer(m);
    bool done = r != NULL && r->type != REDIS_REPLY_ERROR;
    if (!done)
        buf_printf(&w->why, "%s: %s. No node of the cluster knows it any more", addr_text(&l->addr, text),
                   r != NULL ? r->str : m->error);
    fleet_free(&f);
    return done;
}

bool leave_run_forget(struct node_work *w, struct leave_plan *l)
{
    for (size_t i = 0; i < l->nreplicas; i++)
        if (!node_step(w, l->replicas[i].step, attach, &l->replicas[i]))
            return false;
    return l->forget == SIZE_MAX || node_step(w, l->forget, forget, &l->leave);
}

bool leave_run_end(struct node_work *w, struct leave_plan *l)
{
    return (l->supervisors == SIZE_MAX || node_step(w, l->supervisors, wait_supervisors, &l->leave)) &&
           (l->reset == SIZE_MAX || node_step(w, l->reset, reset, &l->leave)) &&
           (l->retire == SIZE_MAX || node_step(w, l->retire, retire, &l->leave));
}

bool leave_run(struct node_work *w, struct leave_plan *l)
{
    return leave_run_forget(w, l) && leave_run_end(w, l);
}
