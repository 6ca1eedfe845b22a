#include "nodectl/node/verbs.h"

#include "nodectl/node/join.h"
#include "nodectl/node/leave.h"
#include "nodectl/node/turn.h"
#include "nodectl/reply_json.h"

#include <string.h>

struct replacement {
    struct join join;
    struct turn turn;
    struct leave_plan leave;
    bool turns; /* OLD is the master, and NEW takes its place */
    size_t meet, replicate, wait, turn_step;
};

static bool refuse(struct node_work *w)
{
    change_failed(&w->change, "%s", buf_str(&w->why));
    return false;
}

/* Whose replica NEW becomes. */
static bool look(struct node_work *w, struct replacement *r, const struct picture_node *old)
{
    char text[ADDR_TEXT_MAX];
    const struct picture_node *master = old->master ? old : picture_by_id(&w->picture, old->master_id);
    if (!join_look(w, &r->join, w->call->argv[1]))
        return refuse(w);
    if (runid_cmp(r->join.id, old->id) == 0) {
        change_failed(&w->change, "a node can't replace itself");
        return false;
    }
    if (master == NULL || !master->answers) {
        change_failed(&w->change,
                      "%s does not answer, so nothing can be copied from it. Where it has replicas one of them has to "
                      "be promoted first (nodectl failover)",
                      master != NULL ? node_text(master, text) : "the master of that shard");
        return false;
    }
    memcpy(r->join.master, master->id, sizeof r->join.master);
    r->turns = old->master;
    return (join_fits(w, &r->join) && leave_check(w, old, command_value(w->call, "--force") != NULL)) || refuse(w);
}

static bool plan(struct node_work *w, struct replacement *r, const struct picture_node *old)
{
    char text[ADDR_TEXT_MAX], of[ADDR_TEXT_MAX];
    const struct picture_node *master = picture_by_id(&w->picture, r->join.master);
    addr_text(&r->join.addr, text);
    r->meet = change_step(&w->change, "let %s meet the nodes of the cluster (CLUSTER MEET)", text);
    r->replicate = change_step(&w->change, "make it a replica of %s", node_text(master, of));
    r->wait = change_step(&w->change, "wait until it has the data, and all agree");
    if (r->turns)
        r->turn_step = change_step(&w->change, "switch from %s to %s without losing a write", of, text);
    /* Its replicas follow the new master by themselves: none has to be given to another one. */
    return leave_plan(w, &r->leave, old, false);
}

static bool switch_over(struct node_work *w, void *what)
{
    struct replacement *r = what;
    struct picture_node *to = picture_by_id(&w->picture, r->join.id);
    if (to != NULL && to->answers && to->master)
        return true;
    return to != NULL && turn_look(w, &r->turn, to) && turn_run(w, &r->turn);
}

static void replace(struct node_work *w, struct replacement *r)
{
    struct picture_node *old = node_named(w, w->call->argv[0]);
    if (old == NULL || !look(w, r, old) || !plan(w, r, old) ||
        !change_agreed(&w->change, "Replacement of a node", "Replace it now?"))
        return;
    if (node_step(w, r->meet, join_meet, &r->join) && node_step(w, r->replicate, join_replicate, &r->join) &&
        node_step(w, r->wait, join_wait, &r->join) && (!r->turns || node_step(w, r->turn_step, switch_over, r)))
        (void)leave_run(w, &r->leave);
}

int node_replace(const struct command_call *call)
{
    struct node_work w;
    struct replacement r = {.turns = false};
    int code = node_read(&w, call);
    if (code == EXIT_OK)
        code = node_begin(&w, true);
    if (code == EXIT_OK)
        replace(&w, &r);
    leave_free(&r.leave);
    json_t *extra = json_pack("{s:o, s:o, s:s}", "old", json_text(call->argv[0], strlen(call->argv[0])), "new",
                              json_text(call->argv[1], strlen(call->argv[1])), "id", r.join.id);
    return node_end(&w, code, extra);
}
