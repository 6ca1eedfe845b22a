/* A fleet of processes that nodectl or systemd starts: what is to be done for it, step by step. */
#include "nodectl/local/create.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/cluster/form.h"
#include "nodectl/local/conf_text.h"
#include "nodectl/local/fleet_commands.h"
#include "nodectl/local/members.h"
#include "nodectl/local/registry.h"
#include "nodectl/local/remove.h"
#include "nodectl/local/replace_file.h"
#include "nodectl/local/run.h"
#include "nodectl/local/units.h"
#include "nodectl/local/well.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int create_left_ms(const struct create *c)
{
    int64_t left = c->begun_ms + c->wish.limit_ms - fleet_now_ms();
    return left > 1000 ? (int)left : 1000;
}

/* ---- files ---- */

static bool give_to(const char *path, const char *user, struct buf *why)
{
    const struct passwd *p = user[0] != '\0' ? getpwnam(user) : NULL;
    if (user[0] == '\0' || (p != NULL && chown(path, p->pw_uid, p->pw_gid) == 0))
        return true;
    buf_printf(why, "%s cannot be given to user %s: %s", path, user,
               p != NULL ? strerror(errno) : "there is no such user");
    return false;
}

static bool write_member(const struct create *c, const struct layout_member *m, struct buf *why)
{
    const struct layout *l = &c->layout;
    char *folder = layout_path(l, m, ""), *state = layout_path(l, m, "state"), *conf = layout_conf(l, m);
    struct buf text = {0};
    if (m->supervisor)
        conf_text_supervisor(&text, l, m, c->asking.password, c->asking.node_password);
    else
        conf_text_node(&text, l, m, c->asking.node_password);
    bool there = access(conf, F_OK) == 0;
    bool ok = make_folders(m->supervisor ? state : folder, 0700, why) &&
              (there || replace_file(conf, buf_slice(&text), 0600, why)) && give_to(folder, l->run_as, why) &&
              (!m->supervisor || give_to(state, l->run_as, why)) && give_to(conf, l->run_as, why);
    buf_free(&text);
    free(folder);
    free(state);
    free(conf);
    return ok;
}

static bool write_files(const struct create *c, struct buf *why)
{
    const struct layout *l = &c->layout;
    bool ok = true;
    for (size_t i = 0; i < l->n && ok; i++)
        ok = write_member(c, &l->v[i], why);
    return ok && (l->runner == RUN_BY_NODECTL || units_install(l, why));
}

/* ---- the record ---- */

static void fill_targets(struct create *c)
{
    struct targets *t = &c->asking.targets;
    const struct layout *l = &c->layout;
    conf_addresses_free(&t->seeds);
    conf_addresses_free(&t->supervisors);
    t->seeds.v = mem_alloc((l->n + 1) * sizeof *t->seeds.v);
    t->supervisors.v = mem_alloc((l->n + 1) * sizeof *t->supervisors.v);
    for (size_t i = 0; i < l->n; i++) {
        struct conf_addresses *to = l->v[i].supervisor ? &t->supervisors : &t->seeds;
        to->v[to->n++] = l->v[i].addr;
    }
    free(t->fleet);
    free(t->dir);
    t->fleet = mem_strdup(l->name);
    t->dir = mem_strdup(l->dir);
}

static bool take_folder(struct create *c, struct buf *why)
{
    struct layout *l = &c->layout;
    if (!make_folders(l->dir, 0700, why))
        return false;
    char *real = realpath(l->dir, NULL);
    if (real == NULL) {
        buf_printf(why, "%s: %s", l->dir, strerror(errno));
        return false;
    }
    free(l->dir);
    l->dir = real;
    c->lock = layout_lock(l, why);
    if (c->lock >= 0 && c->planned && layout_is_there(l->dir))
        buf_printf(why, "another nodectl has begun a fleet in %s meanwhile", l->dir);
    return why->n == 0;
}

/* First of all comes what says that the folder is a fleet's, and where it is: so whatever follows can be taken away by
 * fleet destroy. */
static bool record(struct create *c, struct buf *why)
{
    struct layout *l = &c->layout;
    if (!take_folder(c, why))
        return false;
    bool ok = layout_save(l, why) && give_to(l->dir, l->run_as, why);
    fill_targets(c);
    ok = ok && (c->recorded || registry_add(c->registry, &c->asking.targets, why));
    if (!ok && c->planned)
        (void)remove_fleet(l, why);
    return ok;
}

/* ---- the cluster ---- */

static void begin_form(const struct create *c, struct form *f)
{
    const struct layout *l = &c->layout;
    struct form_node *v = mem_zalloc((l->n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].supervisor)
            v[n++] = (struct form_node){.addr = l->v[i].addr,
                                        .bus_port = l->v[i].bus_port,
                                        .shard = (size_t)l->v[i].shard - 1,
                                        .master = l->v[i].master};
    form_init(f, &c->asking, v, n, (size_t)l->shards);
}

/* Those of other hosts are started there; until then nothing can be made of them. */
static void tell_absent(const struct create *c, const struct buf *silent, struct buf *why)
{
    const struct layout *l = &c->layout;
    bool elsewhere = false;
    buf_put(why, silent->p, silent->n);
    for (size_t i = 0; i < l->n; i++)
        elsewhere = elsewhere || !layout_is_here(&l->v[i]);
    if (elsewhere)
        buf_printf(why,
                   "Copy %s with its permissions to the same path on the other hosts, and run there\n"
                   "  nodectl fleet start --dir %s\n"
                   "which waits for the cluster; meanwhile give this command again",
                   l->dir, l->dir);
}

static bool make_cluster(struct create *c, struct buf *why)
{
    struct form f;
    struct buf silent = {0};
    bool waits, ok;
    begin_form(c, &f);
    ok = form_look(&f, &waits, &silent);
    if (!ok)
        tell_absent(c, &silent, why);
    if (ok && !form_is_done(&f))
        ok = form_is_fit(&f, why) && form_give_slots(&f, why) && form_meet(&f, create_left_ms(c), why) &&
             form_replicate(&f, create_left_ms(c), why);
    form_free(&f);
    buf_free(&silent);
    return ok;
}

static bool wait_well(struct create *c, struct buf *why)
{
    struct layout *l = &c->layout;
    struct well_wish wish = {.cluster = l->name,
                             .supervisors = layout_count(l, true),
                             .shards = l->complete ? 0 : (size_t)l->shards,
                             .nodes = l->complete ? 0 : layout_count(l, false),
                             .leases = true};
    fill_targets(c);
    if (wish.supervisors > 0 && !well_wait(&c->asking, &wish, create_left_ms(c), why))
        return false;
    l->complete = true;
    return layout_save(l, why) && give_to(l->dir, l->run_as, why);
}

/* ---- its steps ---- */

enum step { RECORD, FILES, NODES, CLUSTER, SUPERVISORS, WELL, STEPS }; /* create_tell_plan() has them in this order */

static bool do_step(struct create *c, enum step step, struct buf *why)
{
    struct layout *l = &c->layout;
    switch (step) {
    case FILES: return write_files(c, why);
    case RECORD: return record(c, why);
    case NODES: return run_start(l, &c->asking, RUN_NODES, create_left_ms(c), why);
    case CLUSTER: ports_free(&c->ports); return l->complete || make_cluster(c, why);
    case SUPERVISORS: return run_start(l, &c->asking, RUN_SUPERVISORS, create_left_ms(c), why);
    case WELL:
    case STEPS: break;
    }
    /* Other hosts may start theirs out of the same folder meanwhile. */
    close(c->lock);
    c->lock = -1;
    return wait_well(c, why);
}

static void do_steps(struct create *c)
{
    struct buf why = {0};
    for (int step = RECORD; step < STEPS; step++) {
        if (!change_now(&c->change, (size_t)step))
            break;
        if (!do_step(c, (enum step)step, &why)) {
            change_failed(&c->change, "%s", buf_str(&why));
            break;
        }
        change_did(&c->change, (size_t)step);
    }
    buf_free(&why);
}

/* ---- afterwards ---- */

static json_t *document(const struct create *c)
{
    const struct layout *l = &c->layout;
    json_t *nodes = json_array(), *supervisors = json_array();
    for (size_t i = 0; i < l->n; i++) {
        const struct layout_member *m = &l->v[i];
        if (m->supervisor)
            json_array_append_new(supervisors, json_addr(&m->addr));
        else
            json_array_append_new(nodes, json_pack("{s:o, s:i, s:s, s:o}", "address", json_addr(&m->addr), "shard",
                                                   m->shard, "role", m->master ? "master" : "replica", "zone",
                                                   json_text(m->zone, strlen(m->zone))));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:i, s:I}", "fleet", l->name, "dir", json_text(l->dir, strlen(l->dir)),
                     "nodes", nodes, "supervisors", supervisors, "shards", l->shards, "took_ms",
                     (json_int_t)(fleet_now_ms() - c->begun_ms));
}

static void tell_ready(const struct create *c)
{
    const struct layout *l = &c->layout;
    if (c->asking.document || c->change.failure.n > 0 || !c->change.agreed)
        return;
    print_line(stdout, colour_wanted(stdout), PAINT_GOOD,
               "Fleet %s is well after %.1f s: %d shard%s, %zu node%s, %zu supervisor%s.", l->name,
               (double)(fleet_now_ms() - c->begun_ms) / 1000, l->shards, PLURAL(l->shards), layout_count(l, false),
               PLURAL(layout_count(l, false)), layout_count(l, true), PLURAL(layout_count(l, true)));
    print_line(stdout, false, PAINT_NONE, "  redis-cli -c -h %s -p %d", l->v[0].addr.host, l->v[0].addr.port);
    print_line(stdout, false, PAINT_NONE, "  nodectl --fleet %s %s", l->name,
               layout_count(l, true) > 0 ? "fleet status" : "node list");
}

int create_fleet(struct create *c)
{
    struct buf title = {0};
    int code = change_begin(&c->change, c->call, &c->asking);
    if (code != EXIT_OK)
        return code;
    create_tell_plan(c);
    buf_printf(&title, "%s of fleet %s", layout_is_there(c->layout.dir) ? "Completion" : "Creation", c->layout.name);
    if (change_agreed(&c->change, buf_str(&title), "Make it now?")) {
        c->begun_ms = fleet_now_ms();
        do_steps(c);
    }
    buf_free(&title);
    tell_ready(c);
    return change_end(&c->change, document(c));
}
