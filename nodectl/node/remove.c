#include "nodectl/node/verbs.h"

#include "nodectl/node/drain.h"
#include "nodectl/node/retire.h"
#include "nodectl/reply_json.h"

#include <string.h>

/* Whether the node at this address takes itself for one of this cluster, though no node of the cluster lists it: a
 * removal that was cut short. */
static bool find_rest(struct node_work *w, const char *text, runid id, struct addr *addr)
{
    struct fleet f;
    bool added, found = false;
    struct sn_nodes view = {0};
    if (!addr_parse(slice_of(text), addr))
        return false;
    fleet_init(&f, w->asking.timeout_ms);
    struct fleet_member *m = fleet_add(&f, addr, true, &added);
    (void)asking_login_node(&w->asking, m);
    fleet_ask(m, 2, (const char *[]){"CLUSTER", "NODES"});
    fleet_run(&f);
    const redisReply *r = fleet_answer(m);
    if (r != NULL && r->type == REDIS_REPLY_STRING && sn_nodes_parse(&view, (struct slice){r->str, (size_t)r->len})) {
        memcpy(id, view.lines[view.self].id, sizeof(runid));
        for (size_t i = 0; i < w->picture.n && !found; i++)
            found = sn_nodes_find(&view, w->picture.v[i].id) != NULL;
    }
    sn_nodes_free(&view);
    fleet_free(&f);
    return found;
}

static bool is_listed(const struct picture *p, const struct picture_node *n)
{
    for (size_t i = 0; i < p->n; i++)
        if (&p->v[i] != n && p->v[i].answers && sn_nodes_find(&p->v[i].view, n->id) != NULL)
            return true;
    return false;
}

struct removal {
    struct leave_plan leave;
    struct mover how;
    struct slot_moves moves; /* of its slots to the others */
    size_t first_move;
};

static void plan(struct node_work *w, struct removal *r)
{
    const char *text = w->call->argv[0];
    const struct picture_node *n = picture_find(&w->picture, text, &w->why);
    struct addr addr;
    runid id;
    struct buf folder = {0};
    if (n != NULL && is_listed(&w->picture, n)) {
        if (leave_check(w, n, command_value(w->call, "--force") != NULL) &&
            (n->nslots == 0 || drain_plan(w, &r->how, &n->id, 1, &r->moves, &r->first_move)))
            (void)leave_plan(w, &r->leave, picture_find(&w->picture, text, &w->why), true);
    } else if (find_rest(w, text, id, &addr)) {
        buf_clear(&w->why);
        leave_plan_rest(w, &r->leave, id, &addr);
    } else if (addr_parse(slice_of(text), &addr) && retire_is_ours(w, &addr, &folder)) {
        buf_clear(&w->why);
        leave_plan_process(w, &r->leave, &addr);
    }
    buf_free(&folder);
    if (w->why.n > 0)
        change_failed(&w->change, "%s", buf_str(&w->why));
}

int node_remove(const struct command_call *call)
{
    struct node_work w;
    struct removal r = {.moves = {.n = 0}};
    int code = node_read(&w, call);
    if (code == EXIT_OK)
        code = mover_options(call, &r.how);
    if (code == EXIT_OK)
        code = node_begin(&w, true);
    if (code == EXIT_OK) {
        plan(&w, &r);
        if (change_agreed(&w.change, "Removal of a node", "Remove it now?") &&
            (r.moves.n == 0 || mover_run(&w.change, &w.picture, &r.moves, &r.how, r.first_move)))
            (void)leave_run(&w, &r.leave);
    }
    leave_free(&r.leave);
    slot_moves_free(&r.moves);
    json_t *extra = json_pack("{s:o, s:s}", "node", json_text(call->argv[0], strlen(call->argv[0])), "id",
                              r.leave.leave.id);
    return node_end(&w, code, extra);
}
