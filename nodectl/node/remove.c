#include "nodectl/node/verbs.h"

#include "nodectl/node/drain.h"
#include "nodectl/node/retire.h"
#include "nodectl/node/unlisted.h"
#include "nodectl/reply_json.h"

#include <string.h>

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

static void plan_listed(struct node_work *w, struct removal *r, const struct picture_node *n)
{
    if (leave_check(w, n, command_value(w->call, "--force") != NULL) &&
        (n->nslots == 0 || drain_plan(w, &r->how, &n->id, 1, &r->moves, &r->first_move)))
        (void)leave_plan(w, &r->leave, picture_find(&w->picture, w->call->argv[0], &w->why), true);
}

/* A removal that was cut short, by its node's own word; or all that is left of it is its process and the record. */
static void plan_unlisted(struct node_work *w, struct removal *r, const struct addr *addr)
{
    struct unlisted u;
    struct buf folder = {0};
    unlisted_look(&u, w, addr);
    bool rest = unlisted_is_of(&u, &w->picture), ours = retire_is_ours(w, addr, &folder),
         last = u.answers && w->why.n == 0;
    if (rest || ours || last) {
        buf_clear(&w->why);
        if (!unlisted_may_go(&u, &w->picture, command_value(w->call, "--force") != NULL, &w->why))
            ;
        else if (rest)
            leave_plan_rest(w, &r->leave, unlisted_id(&u), addr);
        else if (ours)
            leave_plan_process(w, &r->leave, addr);
        else
            buf_printf(&w->why, "%s is in no cluster with the other nodes: there is nothing to be done",
                       w->call->argv[0]);
    }
    buf_free(&folder);
    unlisted_free(&u);
}

static void plan(struct node_work *w, struct removal *r)
{
    const char *text = w->call->argv[0];
    const struct picture_node *n = picture_find(&w->picture, text, &w->why);
    struct addr addr;
    if (n != NULL && is_listed(&w->picture, n))
        plan_listed(w, r, n);
    else if (n != NULL)
        plan_unlisted(w, r, &n->addr);
    else if (addr_parse(slice_of(text), &addr))
        plan_unlisted(w, r, &addr);
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
        w.change.go_on = "the same command, given again, goes on";
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
