#include "nodectl/node/verbs.h"

#include "common/base/text.h"
#include "nodectl/local/layout.h"
#include "nodectl/local/notes.h"
#include "nodectl/node/answers.h"
#include "nodectl/node/turn.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PRIORITY_DEFAULT 100

struct maintenance {
    bool on;
    runid id;
    int64_t priority;  /* that it gets; of off 0 until it is known */
    int64_t before;    /* that it has when maintenance begins, which is noted; 0: it is in maintenance already */
    const char *dir;   /* the fleet's folder, where that is noted; NULL: nowhere */
    bool own_election; /* nobody supervises it: the cluster's election has to be told too */
    bool has_file;
    struct turn turn;
    size_t candidate, turn_step, kept;
};

/* ---- what is so now ---- */

static bool look(struct node_work *w, struct maintenance *m, struct picture_node *n, int64_t *priority)
{
    char file[8];
    const redisReply *r = picture_askf(&w->picture, n, &w->why, "INFO");
    if (r == NULL || r->str == NULL)
        return false;
    m->has_file = answer_field(r->str, "config_file", file, sizeof file) && file[0] != '\0';
    r = picture_askf(&w->picture, n, &w->why, "CONFIG GET replica-priority");
    if (r == NULL || r->elements != 2 || !text_i64(slice_of(r->element[1]->str), priority)) {
        buf_puts(&w->why, "it does not tell its replica-priority");
        return false;
    }
    return true;
}

/* ---- what it was before ---- */

#define NOTE_MAX (sizeof "priority-" + sizeof(runid))

static const char *note_of(const struct maintenance *m, char name[NOTE_MAX])
{
    snprintf(name, NOTE_MAX, "priority-%s", m->id);
    return name;
}

static const char *folder_of(const struct node_work *w)
{
    const char *dir = w->asking.targets.dir;
    return dir != NULL && layout_is_there(dir) && access(dir, W_OK) == 0 ? dir : NULL;
}

/* The priority that the end of maintenance gives it, where the operator names none. */
static void find_before(struct node_work *w, struct maintenance *m, int64_t now)
{
    char name[NOTE_MAX];
    int64_t noted = m->dir != NULL ? notes_get(m->dir, note_of(m, name)) : 0;
    m->priority = now != 0 ? now : noted > 0 ? noted : PRIORITY_DEFAULT;
    if (now == 0 && noted == 0)
        change_warn(&w->change,
                    "what its replica-priority was before is not known here; --priority gives it another "
                    "one than %d",
                    PRIORITY_DEFAULT);
}

/* ---- steps ---- */

static bool set_candidate(struct node_work *w, void *what)
{
    const struct maintenance *m = what;
    char name[NOTE_MAX];
    struct picture_node *n = picture_by_id(&w->picture, m->id);
    if (m->before > 0 && m->dir != NULL && !notes_set(m->dir, note_of(m, name), m->before, &w->why))
        return false;
    return n != NULL &&
           picture_askf(&w->picture, n, &w->why, "CONFIG SET replica-priority %lld", (long long)m->priority) != NULL &&
           (!m->own_election || picture_askf(&w->picture, n, &w->why, "CONFIG SET cluster-replica-no-failover %s",
                                             m->on ? "yes" : "no") != NULL);
}

static bool keep(struct node_work *w, void *what)
{
    const struct maintenance *m = what;
    struct picture_node *n = picture_by_id(&w->picture, m->id);
    return n != NULL && picture_askf(&w->picture, n, &w->why, "CONFIG REWRITE") != NULL;
}

static void forget_before(const struct maintenance *m)
{
    struct buf ignored = {0};
    char name[NOTE_MAX];
    if (m->dir != NULL)
        (void)notes_set(m->dir, note_of(m, name), 0, &ignored);
    buf_free(&ignored);
}

/* ---- plan ---- */

static void plan_candidate(struct node_work *w, struct maintenance *m, const char *text)
{
    m->candidate = change_step(
        &w->change,
        m->on ? "%s is no candidate any more (replica-priority %lld%s)"
              : "%s is a candidate again (replica-priority %lld%s)",
        text, (long long)m->priority,
        m->own_election ? m->on ? ", cluster-replica-no-failover yes" : ", cluster-replica-no-failover no" : "");
    if (m->has_file)
        m->kept = change_step(&w->change, "write that to its configuration file (CONFIG REWRITE)");
    else
        change_warn(&w->change, "%s runs without a configuration file: this lasts until it is started again", text);
}

static bool plan_switch(struct node_work *w, struct maintenance *m, const struct picture_node *n)
{
    char text[ADDR_TEXT_MAX], of[ADDR_TEXT_MAX];
    struct picture_node *to = turn_best(w, n);
    if (to == NULL || !turn_look(w, &m->turn, to)) {
        change_failed(&w->change, "it can't be switched away: %s", buf_str(&w->why));
        return false;
    }
    m->turn_step = change_step(&w->change, "switch from %s to %s without losing a write", node_text(n, text),
                               node_text(to, of));
    return true;
}

static void warn_of_the_last(struct node_work *w, const struct picture_node *n)
{
    const char *master = n->master ? n->id : n->master_id;
    size_t replicas = 0;
    for (size_t i = 0; i < w->picture.n; i++)
        replicas += &w->picture.v[i] != n && runid_cmp(w->picture.v[i].master_id, master) == 0 &&
                    !w->picture.v[i].fails;
    if (n->master ? replicas == 1 : replicas == 0)
        change_warn(&w->change,
                    "nobody is left then who could take its master's place: when that dies, its slots are down");
}

static void plan(struct node_work *w, struct maintenance *m, struct picture_node *n)
{
    char text[ADDR_TEXT_MAX];
    int64_t now = 0;
    memcpy(m->id, n->id, sizeof m->id);
    m->turn_step = m->kept = m->candidate = SIZE_MAX;
    m->own_election = supervision_watching(&w->by) == 0;
    node_text(n, text);
    if (!look(w, m, n, &now)) {
        change_failed(&w->change, "%s", buf_str(&w->why));
        return;
    }
    m->dir = folder_of(w);
    m->before = m->on ? now : 0;
    if (!m->on && m->priority == 0)
        find_before(w, m, now);
    if (now != m->priority)
        plan_candidate(w, m, text);
    if (m->dir == NULL && m->before > 0 && now != PRIORITY_DEFAULT)
        change_warn(&w->change, "its replica-priority is %lld now: say maintenance off with --priority %lld",
                    (long long)now, (long long)now);
    if (m->on && n->master && n->nslots > 0 && !plan_switch(w, m, n))
        return;
    if (m->on)
        warn_of_the_last(w, n);
}

static void perform(struct node_work *w, struct maintenance *m)
{
    struct picture_node *n = node_named(w, w->call->argv[1]);
    if (n == NULL)
        return;
    plan(w, m, n);
    if (!change_agreed(&w->change, m->on ? "Maintenance of a node" : "End of the maintenance of a node",
                       m->on ? "Begin it now?" : "End it now?"))
        return;
    if ((m->candidate != SIZE_MAX && !node_step(w, m->candidate, set_candidate, m)) ||
        (m->kept != SIZE_MAX && !node_step(w, m->kept, keep, m)))
        return;
    if (m->turn_step != SIZE_MAX)
        (void)node_step(w, m->turn_step, turn_run, &m->turn);
    if (!m->on)
        forget_before(m);
}

int node_maintenance(const struct command_call *call)
{
    struct node_work w;
    struct maintenance m = {.on = strcmp(call->argv[0], "on") == 0};
    const char *priority = command_value(call, "--priority");
    int code = node_read(&w, call);
    if (code == EXIT_OK && !m.on && strcmp(call->argv[0], "off") != 0)
        code = command_fail(call, EXIT_USAGE, "say on or off, and then the node");
    if (code == EXIT_OK && priority != NULL && (m.on || !text_range(slice_of(priority), 1, INT32_MAX, &m.priority)))
        code = command_fail(call, EXIT_USAGE, "--priority is for off, and is a number from 1 on");
    if (code == EXIT_OK)
        code = node_begin(&w, true);
    if (code == EXIT_OK)
        perform(&w, &m);
    json_t *extra = json_pack("{s:o, s:b}", "node", json_text(call->argv[1], strlen(call->argv[1])), "maintenance",
                              m.on);
    return node_end(&w, code, extra);
}
