#include "nodectl/node/verbs.h"

#include "nodectl/node/functions.h"
#include "nodectl/node/grow.h"
#include "nodectl/node/join.h"
#include "nodectl/node/placement.h"
#include "nodectl/reply_json.h"

#include <string.h>

/* The master of the shard that the operator names: by the supervisors' name of it, or by any node of it. */
static const struct picture_node *master_of(struct node_work *w, const char *shard)
{
    const json_t *known = supervision_named(&w->by, shard);
    const struct picture_node *n = known != NULL ? picture_by_id(&w->picture, field_text(known, "node-id"))
                                                 : picture_find(&w->picture, shard, &w->why);
    if (n != NULL && !n->master)
        n = picture_by_id(&w->picture, n->master_id);
    if (n == NULL)
        change_failed(&w->change, "there is no shard '%s': give its name, or a node of it", shard);
    else if (n->nslots == 0)
        change_warn(&w->change, "that master has no slots: its replicas copy nothing yet");
    return n;
}

static bool choose_master(struct node_work *w, struct join *j)
{
    const char *shard = command_value(w->call, "--shard");
    const struct picture_node *me = j->member ? picture_by_id(&w->picture, j->id) : NULL;
    const struct picture_node *master = NULL;
    if (command_value(w->call, "--master") != NULL)
        return true;
    if (shard != NULL)
        master = master_of(w, shard);
    else if (me != NULL && !me->master)
        master = picture_by_id(&w->picture, me->master_id); /* where it is */
    else if ((master = placement_master(&w->picture, &j->addr, me)) == NULL)
        change_failed(&w->change, "no master with slots is well, so there is nothing that it could be a replica of; "
                                  "--master makes it a master");
    if (master == NULL)
        return false;
    memcpy(j->master, master->id, sizeof j->master);
    return true;
}

/* A node that knows database 0 only stops writes to the others in its shard. */
static void warn_of_databases(struct node_work *w, const struct join *j)
{
    const struct picture_node *master = picture_by_id(&w->picture, j->master);
    if (j->addr.port != 0 && master != NULL && master->noded && master->databases > 1 && !j->noded)
        change_warn(&w->change,
                    "it is redis-server %s, which knows database 0 only: while it is in the shard writes to other "
                    "databases are refused there",
                    j->version);
}

struct add_steps {
    size_t start, meet, functions, replicate, wait; /* SIZE_MAX: not needed */
};

/* A replica has those of its master. */
static size_t plan_functions(struct node_work *w, const struct join *j)
{
    char text[ADDR_TEXT_MAX];
    size_t count;
    const struct picture_node *from = functions_source(&w->picture, j->id, &count);
    bool noded = j->noded || w->call->argc == 0;
    if (from == NULL)
        return SIZE_MAX;
    if (!noded)
        return change_step(&w->change, "copy the %zu function libraries of %s to it (FUNCTION DUMP, RESTORE)", count,
                           node_text(from, text));
    change_warn(&w->change, "%s has %zu function libraries, and a noded has none: who calls one there gets an error",
                node_text(from, text), count);
    return SIZE_MAX;
}

static void plan(struct node_work *w, const struct join *j, struct add_steps *s)
{
    char text[ADDR_TEXT_MAX], of[ADDR_TEXT_MAX];
    const struct picture_node *master = picture_by_id(&w->picture, j->master);
    bool named = w->call->argc > 0;
    addr_text(&j->addr, text);
    s->start = named ? SIZE_MAX : change_step(&w->change, "start a node in %s", w->asking.targets.dir);
    s->meet = change_step(&w->change, "let %s meet the %zu nodes of the cluster (CLUSTER MEET)", named ? text : "it",
                          w->picture.n - (j->member ? 1 : 0));
    s->functions = master == NULL ? plan_functions(w, j) : SIZE_MAX;
    s->replicate = SIZE_MAX;
    if (master != NULL)
        s->replicate = change_step(&w->change, "make it a replica of %s (CLUSTER REPLICATE)", node_text(master, of));
    s->wait = change_step(&w->change, "wait until %sall nodes%s agree", master != NULL ? "it has the data, and " : "",
                          supervision_watching(&w->by) > 0 ? " and supervisors" : "");
    if (master == NULL)
        change_warn(&w->change, "it gets no slots by this: nodectl slots rebalance, or slots move, gives it some");
    warn_of_databases(w, j);
}

static bool start(struct node_work *w, void *what)
{
    struct join *j = what;
    struct addr addr;
    runid master;
    char text[ADDR_TEXT_MAX];
    static const struct fixed_settings none = {.n = 0};
    memcpy(master, j->master, sizeof master);
    bool ok = grow_node(w, &none, &addr, &w->why) && join_look(w, j, addr_text(&addr, text));
    memcpy(j->master, master, sizeof master);
    return ok;
}

static bool copy_functions(struct node_work *w, void *what)
{
    const struct join *j = what;
    size_t count;
    struct picture_node *from = functions_source(&w->picture, j->id, &count);
    struct picture_node *to = picture_by_id(&w->picture, j->id);
    return from == NULL || to == NULL || functions_copy(&w->picture, from, to, &w->why);
}

static bool fail(struct node_work *w)
{
    change_failed(&w->change, "%s", buf_str(&w->why));
    return false;
}

static bool look(struct node_work *w, struct join *j)
{
    if (w->call->argc == 0 ? !grow_can(w, &w->why) : !join_look(w, j, w->call->argv[0]))
        return fail(w);
    if (!choose_master(w, j))
        return false;
    buf_clear(&w->why);
    return join_fits(w, j) || fail(w);
}

static void add(struct node_work *w, struct join *j)
{
    struct add_steps s;
    if (!look(w, j))
        return;
    plan(w, j, &s);
    if (change_agreed(&w->change, "A node for the cluster", "Add it now?") &&
        (s.start == SIZE_MAX || node_step(w, s.start, start, j)) && node_step(w, s.meet, join_meet, j) &&
        (s.functions == SIZE_MAX || node_step(w, s.functions, copy_functions, j)) &&
        (s.replicate == SIZE_MAX || node_step(w, s.replicate, join_replicate, j)))
        (void)node_step(w, s.wait, join_wait, j);
}

int node_add(const struct command_call *call)
{
    struct node_work w;
    struct join j = {.id = ""};
    char text[ADDR_TEXT_MAX] = "";
    int code = node_read(&w, call);
    if (code == EXIT_OK && command_value(call, "--master") != NULL && command_value(call, "--shard") != NULL)
        code = command_fail(call, EXIT_USAGE, "--master and --shard exclude each other");
    if (code == EXIT_OK)
        code = node_begin(&w, true);
    if (code == EXIT_OK)
        add(&w, &j);
    if (j.addr.port != 0)
        addr_text(&j.addr, text);
    return node_end(&w, code, json_pack("{s:s, s:s, s:s}", "node", text, "id", j.id, "master", j.master));
}
