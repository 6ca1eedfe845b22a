#include "nodectl/node/turn.h"

#include "nodectl/node/answers.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <string.h>

#define AGREE_MS 30000
#define ATTEMPT_MS 6000 /* a planned switch that has not happened by then is over at the nodes and the supervisors */
#define ATTEMPTS_MAX 3
#define REFUSED_MS 500 /* a replica that was started again is a candidate when its master has counted it */

/* ---- who may ---- */

static bool is_linked(struct node_work *w, struct picture_node *n, int64_t *offset, int64_t *priority)
{
    char link[16] = "";
    const redisReply *r = n->answers ? picture_askf(&w->picture, n, &w->why, "INFO replication") : NULL;
    if (r == NULL || r->str == NULL)
        return false;
    (void)answer_field(r->str, "master_link_status", link, sizeof link);
    *offset = answer_number(r->str, "slave_repl_offset", 0);
    *priority = answer_number(r->str, "slave_priority", 100);
    return strcmp(link, "up") == 0;
}

static bool fits(struct node_work *w, struct picture_node *to)
{
    char text[ADDR_TEXT_MAX], of[ADDR_TEXT_MAX];
    int64_t offset, priority;
    const struct picture_node *master = picture_by_id(&w->picture, to->master_id);
    node_text(to, text);
    if (to->master)
        buf_printf(&w->why, "%s is a master already", text);
    else if (!to->answers)
        buf_printf(&w->why, "%s does not answer: %s", text,
                   to->member != NULL && to->member->error != NULL ? to->member->error : "no answer");
    else if (master == NULL || !master->answers)
        buf_printf(&w->why,
                   "the master %s does not answer, so there is nothing to switch without loss. When it is down its "
                   "supervisors, or the cluster, replace it (nodectl failover); CLUSTER FAILOVER FORCE or TAKEOVER at "
                   "%s does it at the price of what it has not got",
                   master != NULL ? node_text(master, of) : "of that shard", text);
    else if (!is_linked(w, to, &offset, &priority)) {
        if (w->why.n == 0)
            buf_printf(&w->why,
                       "%s is not in step with its master %s: its link to it is down, or a dataset is on its way", text,
                       node_text(master, of));
    } else if (priority == 0 && supervision_watching(&w->by) > 0)
        buf_printf(&w->why, "%s has replica-priority 0: it is in maintenance. nodectl node maintenance off %s", text,
                   text);
    return w->why.n == 0;
}

bool turn_look(struct node_work *w, struct turn *t, struct picture_node *to)
{
    char text[ADDR_TEXT_MAX];
    *t = (struct turn){.attempts = 0};
    if (!fits(w, to))
        return false;
    memcpy(t->to, to->id, sizeof t->to);
    memcpy(t->from, to->master_id, sizeof t->from);
    if (supervision_watching(&w->by) == 0)
        return true;
    const json_t *shard = supervision_shard(&w->by, to->id);
    if (shard == NULL)
        buf_printf(&w->why, "the supervisors do not know %s yet, and they alone switch masters here",
                   node_text(to, text));
    else
        snprintf(t->shard, sizeof t->shard, "%s", field_text(shard, "name"));
    return shard != NULL;
}

struct picture_node *turn_best(struct node_work *w, const struct picture_node *master)
{
    struct picture *p = &w->picture;
    struct picture_node *best = NULL;
    int64_t best_offset = -1;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        int64_t offset = 0, priority = 0;
        struct picture_node *n = &p->v[i];
        if (n->master || runid_cmp(n->master_id, master->id) != 0 || n->fails || !is_linked(w, n, &offset, &priority))
            continue;
        if (priority > 0 && offset > best_offset) {
            best = n;
            best_offset = offset;
        }
    }
    buf_clear(&w->why);
    if (best == NULL)
        buf_printf(&w->why, "%s has no replica that is in step and may be promoted", node_text(master, text));
    return best;
}

/* ---- the switch ---- */

static void ask_for_it(struct node_work *w, struct turn *t)
{
    struct picture_node *to = picture_by_id(&w->picture, t->to);
    struct buf why = {0};
    bool taken;
    if (t->shard[0] != '\0')
        taken = supervision_switch(&w->by, t->shard, t->to, &why);
    else
        taken = to != NULL && picture_askf(&w->picture, to, &why, "CLUSTER FAILOVER") != NULL;
    t->attempts += taken;
    t->again_ms = fleet_now_ms() + (taken ? ATTEMPT_MS : REFUSED_MS);
    snprintf(t->refusal, sizeof t->refusal, "%s", why.n > 0 ? buf_str(&why) : "");
    buf_free(&why);
}

static bool is_over(struct node_work *w, void *what, struct buf *why)
{
    struct turn *t = what;
    const struct picture_node *to = picture_by_id(&w->picture, t->to);
    if (to != NULL && to->answers && to->master)
        return node_all_agree(&w->picture, why) &&
               (t->shard[0] == '\0' || supervision_master(&w->by, t->shard, t->to, why));
    if (fleet_now_ms() >= t->again_ms && t->attempts < ATTEMPTS_MAX)
        ask_for_it(w, t);
    buf_printf(why, "it is not the master yet%s%s", t->refusal[0] != '\0' ? ": " : "", t->refusal);
    return false;
}

bool turn_run(struct node_work *w, void *what)
{
    struct turn *t = what;
    if (node_wait(w, (int64_t)ATTEMPT_MS * ATTEMPTS_MAX + AGREE_MS, is_over, what))
        return true;
    if (t->shard[0] != '\0')
        buf_printf(&w->why, ". nodectl explain %s has the reasons of the supervisors", t->shard);
    return false;
}
