#include "nodectl/node/verbs.h"

#include "nodectl/node/turn.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <string.h>

static void promote(struct node_work *w, struct turn *t)
{
    char text[ADDR_TEXT_MAX], of[ADDR_TEXT_MAX], title[ADDR_TEXT_MAX + 64];
    struct picture_node *to = node_named(w, w->call->argv[0]);
    if (to == NULL)
        return;
    if (to->master && to->nslots > 0) {
        snprintf(title, sizeof title, "%s is the master of its shard already", node_text(to, text));
        (void)change_agreed(&w->change, title, ""); /* without a step it says that nothing is to be done */
        return;
    }
    if (!turn_look(w, t, to)) {
        change_failed(&w->change, "%s", buf_str(&w->why));
        return;
    }
    const struct picture_node *from = picture_by_id(&w->picture, t->from);
    size_t step = change_step(&w->change, "switch from %s to %s without losing a write (%s)",
                              from != NULL ? node_text(from, of) : t->from, node_text(to, text),
                              t->shard[0] != '\0' ? "SENTINEL FAILOVER COORDINATED" : "CLUSTER FAILOVER");
    if (change_agreed(&w->change, "A planned switch", "Switch now?"))
        (void)node_step(w, step, turn_run, t);
}

int node_promote(const struct command_call *call)
{
    struct node_work w;
    struct turn t = {.attempts = 0};
    int code = node_read(&w, call);
    if (code == EXIT_OK)
        code = node_begin(&w, true);
    if (code == EXIT_OK)
        promote(&w, &t);
    json_t *extra = json_pack("{s:o, s:s, s:s, s:s}", "node", json_text(call->argv[0], strlen(call->argv[0])), "shard",
                              t.shard, "from", t.from, "to", t.to);
    return node_end(&w, code, extra);
}
