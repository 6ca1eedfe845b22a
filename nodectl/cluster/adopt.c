#include "nodectl/cluster/adopt.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/change.h"
#include "nodectl/duration.h"
#include "nodectl/info.h"
#include "nodectl/local/conf_text.h"
#include "nodectl/local/layout.h"
#include "nodectl/local/registry_text.h"
#include "nodectl/local/replace_file.h"
#include "nodectl/local/well.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"

#include <stdlib.h>
#include <string.h>

#define DOWN_AFTER_MS 2000
#define LIMIT_MS 1800000
#define LIMIT_MAX_MS (INT64_C(86400000) * 7)
#define WELL_MS 60000
#define LOOK_MS 500
#define PATIENCE_MS 15000 /* of a supervisor's answer: it waits for its disk */
#define FILE_MAX ((size_t)1 << 20)

/* A supervisor that is to watch it. */
struct place {
    struct addr addr;
    char *file; /* its configuration, where nodectl made it on this host; NULL: elsewhere */
    enum adopt_entry entry;
    bool watches;
    size_t write, take; /* steps */
};

struct adopt {
    const struct command_call *call;
    const char *name;
    struct asking asking;
    struct change change;
    struct conf_addresses seeds;
    int64_t down_after_ms;
    int limit_ms;
    struct place *v;
    size_t n, well;  /* well: the last step */
    bool supervised; /* the nodes count a list of supervisors already */
    struct buf why;
};

/* ---- entries ---- */

void adopt_ask_entries(struct fleet *f, const char *cluster, enum adopt_entry *what)
{
    const char *argv[] = {"SENTINEL", "CLUSTER", "ENTRY", cluster};
    fleet_forget(f);
    for (size_t i = 0; i < f->n; i++)
        fleet_ask(f->members[i], 4, argv);
    fleet_run(f);
    for (size_t i = 0; i < f->n; i++) {
        const redisReply *r = fleet_answer(f->members[i]);
        what[i] = r == NULL                                                                         ? ADOPT_UNTOLD
                  : r->type == REDIS_REPLY_STATUS                                                   ? ADOPT_HAS
                  : r->type == REDIS_REPLY_ERROR && strstr(r->str, "names no such cluster") != NULL ? ADOPT_LACKS
                                                                                                    : ADOPT_UNTOLD;
    }
    fleet_forget(f);
}

/* The file of a supervisor of a fleet that nodectl made on this host. NULL: it is none. */
static char *file_of(const struct targets *fleets, size_t n, const struct addr *a)
{
    char *file = NULL;
    for (size_t i = 0; i < n && file == NULL; i++) {
        struct layout l;
        struct buf why = {0};
        if (fleets[i].dir == NULL || !layout_is_there(fleets[i].dir))
            continue;
        bool read = layout_load(&l, fleets[i].dir, &why);
        for (size_t k = 0; k < l.n && read && file == NULL; k++)
            if (l.v[k].supervisor && addr_eq(&l.v[k].addr, a) && layout_is_here(&l.v[k]))
                file = layout_conf(&l, &l.v[k]);
        layout_free(&l);
        buf_free(&why);
    }
    return file;
}

static void put_entry(const struct adopt *a, const char *password, struct buf *out)
{
    conf_text_cluster_entry(out, &(struct conf_text_cluster){.name = a->name,
                                                             .seeds = a->seeds.v,
                                                             .nseeds = a->seeds.n,
                                                             .down_after_ms = a->down_after_ms,
                                                             .user = a->asking.node_user,
                                                             .password = password});
}

static bool write_entry(struct adopt *a, const char *file)
{
    struct buf text = {0}, entry = {0}, out = {0};
    put_entry(a, a->asking.node_password, &entry);
    bool ok = io_file_read(file, FILE_MAX, &text, &a->why);
    if (ok && !registry_text_add_to(buf_slice(&text), "clusters", buf_slice(&entry), &out)) {
        buf_printf(&a->why,
                   "the setting clusters in %s cannot be added to: write the entry by hand, then give the "
                   "command again",
                   file);
        ok = false;
    }
    ok = ok && replace_file(file, buf_slice(&out), 0600, &a->why);
    buf_free(&text);
    buf_free(&entry);
    buf_free(&out);
    return ok;
}

/* ---- what there is ---- */

/* The answers of one seed to INFO server, CLUSTER INFO and, first, the login. */
static bool read_seed(struct adopt *a, const struct fleet_member *m, size_t login)
{
    char text[ADDR_TEXT_MAX];
    const redisReply *r = m->error == NULL && m->nreplies > login ? m->replies[login] : NULL;
    addr_text(&m->addr, text);
    if (r != NULL && r->type == REDIS_REPLY_STRING) {
        struct slice generation = slice_trim(info_field(reply_text(r), "cluster_supervised"));
        a->supervised = a->supervised || (generation.n > 0 && !slice_is(generation, "0"));
        if (slice_is(slice_trim(info_field(reply_text(r), "cluster_state")), "ok"))
            return true;
        buf_printf(&a->why, "%s: its cluster is not ok\n", text);
    } else {
        buf_printf(&a->why, "%s: %s\n", text, m->error != NULL ? m->error : r != NULL ? r->str : "no answer");
    }
    return false;
}

/* One that is well is enough: the others are found from it. */
static bool look_at_seeds(struct adopt *a)
{
    const char *info[] = {"CLUSTER", "INFO"};
    struct fleet f;
    bool added, well = false;
    size_t login = 0;
    fleet_init(&f, a->asking.timeout_ms);
    for (size_t i = 0; i < a->seeds.n; i++) {
        struct fleet_member *m = fleet_add(&f, &a->seeds.v[i], true, &added);
        if (!added)
            continue;
        login = asking_login_node(&a->asking, m);
        fleet_ask(m, 2, info);
    }
    fleet_run(&f);
    for (size_t i = 0; i < f.n; i++)
        well = read_seed(a, f.members[i], login) || well;
    fleet_free(&f);
    return well;
}

static void take_view(struct adopt *a, const json_t *view, const struct targets *fleets, size_t nfleets)
{
    a->v = mem_array(a->v, a->n + 1, sizeof *a->v);
    struct place *p = &a->v[a->n++];
    *p = (struct place){.watches = json_named(json_object_get(view, "clusters"), a->name) != NULL};
    (void)addr_parse(slice_of(field_text(view, "address")), &p->addr);
    p->file = file_of(fleets, nfleets, &p->addr);
    if (field_text(view, "error")[0] != '\0')
        buf_printf(&a->why, "%s: %s\n", field_text(view, "address"), field_text(view, "error"));
}

static int look_at_supervisors(struct adopt *a)
{
    struct fleet f;
    struct targets *fleets = NULL;
    size_t nfleets = 0, i;
    struct buf unread = {0};
    const json_t *view;
    struct status_query query = {
        .user = a->asking.user, .password = a->asking.password, .groups = &a->name, .ngroups = 1};
    (void)targets_all(command_value(a->call, "--config"), &fleets, &nfleets, &unread);
    asking_begin(&a->asking, &f);
    json_t *views = status_collect(&f, &query);
    int code = asking_nobody(a->call, &a->asking, &f) ? EXIT_NOBODY : EXIT_OK;
    json_array_foreach(views, i, view)
    {
        take_view(a, view, fleets, nfleets);
    }
    enum adopt_entry *entries = mem_zalloc((f.n + 1) * sizeof *entries);
    adopt_ask_entries(&f, a->name, entries);
    for (i = 0; i < f.n; i++)
        for (size_t k = 0; k < a->n; k++)
            if (addr_eq(&a->v[k].addr, &f.members[i]->addr))
                a->v[k].entry = a->v[k].watches ? ADOPT_HAS : entries[i];
    free(entries);
    json_decref(views);
    fleet_free(&f);
    targets_free_all(fleets, nfleets);
    buf_free(&unread);
    return code;
}

static int look(struct adopt *a)
{
    bool ours = false;
    int code = look_at_supervisors(a);
    if (code != EXIT_OK)
        return code;
    if (a->why.n > 0) {
        command_fail(a->call, EXIT_FAILED,
                     "all supervisors have to answer; start these, or remove them from the list:");
        command_fail_lines(a->call, buf_slice(&a->why));
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < a->n; i++)
        ours = ours || a->v[i].watches;
    if (!look_at_seeds(a)) {
        command_fail(a->call, EXIT_FAILED, "none of the seeds is a node of a cluster that is well:");
        command_fail_lines(a->call, buf_slice(&a->why));
        return EXIT_FAILED;
    }
    buf_clear(&a->why);
    if (a->supervised && !ours)
        return command_fail(a->call, EXIT_FAILED,
                            "its nodes are supervised already, and not by these supervisors: release it there first "
                            "(nodectl cluster release)");
    return EXIT_OK;
}

/* ---- the plan ---- */

static void plan(struct adopt *a)
{
    struct buf entry = {0};
    char text[ADDR_TEXT_MAX];
    bool by_hand = false;
    put_entry(a, "", &entry);
    change_about(&a->change, "its entry: %s", buf_str(&entry));
    for (size_t i = 0; i < a->n; i++) {
        struct place *p = &a->v[i];
        addr_text(&p->addr, text);
        by_hand = by_hand || p->file == NULL;
        p->write = p->file != NULL
                       ? change_step(&a->change, "put its entry into %s", p->file)
                       : change_step(
                             &a->change,
                             "on the host of supervisor %s: put its entry into `clusters` of its sentineld.conf", text);
    }
    for (size_t i = 0; i < a->n; i++)
        a->v[i].take = change_step(&a->change, "have supervisor %s read its file and watch it",
                                   addr_text(&a->v[i].addr, text));
    a->well = change_step(&a->change, "wait until all %zu supervisors watch it, and all is well", a->n);
    change_warn(&a->change,
                "from then on the supervisors promote its masters; under leases these take writes only while a "
                "majority of them grants it");
    if (a->asking.node_password[0] != '\0')
        change_warn(&a->change, "the entry has `password` too, by which the supervisors log in at the nodes");
    if (by_hand)
        change_warn(&a->change, "not all of these supervisors are of a fleet that nodectl made on this host: you write "
                                "the entry, and this command follows");
    buf_free(&entry);
}

/* ---- the deed ---- */

/* Asks one supervisor; true: it says OK, else what it says, or why it does not, is appended to why. */
static bool ask_one(struct adopt *a, const struct addr *at, const char *what, int argc, int timeout_ms)
{
    const char *argv[] = {"SENTINEL", "CLUSTER", what, a->name, "ALONE"};
    struct fleet f;
    bool added;
    char text[ADDR_TEXT_MAX];
    fleet_init(&f, timeout_ms);
    struct fleet_member *m = fleet_add(&f, at, true, &added);
    (void)asking_login(&a->asking, m);
    fleet_ask(m, argc, argv);
    fleet_run(&f);
    const redisReply *r = fleet_answer(m);
    bool ok = r != NULL && r->type == REDIS_REPLY_STATUS;
    if (!ok)
        buf_printf(&a->why, "%s: %s", addr_text(at, text),
                   m->error != NULL                            ? m->error
                   : r != NULL && r->type == REDIS_REPLY_ERROR ? r->str
                                                               : "its answer is not understood");
    fleet_free(&f);
    return ok;
}

static bool has_entry(struct adopt *a, const struct place *p)
{
    buf_clear(&a->why);
    return ask_one(a, &p->addr, "ENTRY", 4, a->asking.timeout_ms);
}

static bool wait_for_entry(struct adopt *a, const struct place *p)
{
    int64_t end_ms = fleet_now_ms() + a->limit_ms;
    while (!has_entry(a, p))
        if (fleet_now_ms() >= end_ms || !interrupt_sleep(LOOK_MS))
            return false;
    return true;
}

static bool do_place(struct adopt *a, const struct place *p, size_t step)
{
    if (step == p->write)
        return p->file != NULL ? write_entry(a, p->file) && has_entry(a, p) : wait_for_entry(a, p);
    return ask_one(a, &p->addr, "ADOPT", 5, PATIENCE_MS);
}

static bool do_well(struct adopt *a)
{
    struct well_wish wish = {.cluster = a->name, .supervisors = a->n};
    conf_addresses_free(&a->asking.targets.supervisors);
    struct conf_addresses *all = &a->asking.targets.supervisors;
    all->v = mem_alloc((a->n + 1) * sizeof *all->v);
    for (size_t i = 0; i < a->n; i++)
        all->v[all->n++] = a->v[i].addr;
    return well_wait(&a->asking, &wish, WELL_MS, &a->why);
}

static void act(struct adopt *a)
{
    for (size_t step = 0; step <= a->well && a->change.failure.n == 0; step++) {
        const struct place *p = step < a->well ? &a->v[step % a->n] : NULL;
        if (p != NULL && (step == p->write ? p->entry == ADOPT_HAS : p->watches)) {
            change_skipped(&a->change, step);
            continue;
        }
        if (!change_now(&a->change, step))
            break;
        buf_clear(&a->why);
        if (p != NULL ? do_place(a, p, step) : do_well(a))
            change_did(&a->change, step);
        else
            change_failed(&a->change, "%s%s", interrupted() ? "interrupted; so far: " : "", buf_str(&a->why));
    }
}

/* ---- the command ---- */

static int read_options(struct adopt *a)
{
    const char *down = command_value(a->call, "--down-after"), *wait = command_value(a->call, "--wait");
    struct slice rest = slice_of(command_value(a->call, "--seeds"));
    int64_t limit_ms = LIMIT_MS;
    a->down_after_ms = DOWN_AFTER_MS;
    if (!layout_name_is_good(a->name))
        return command_fail(a->call, EXIT_USAGE,
                            "'%s' is no name for a cluster: letters and digits, with - _ . inside, 64 at most",
                            a->name);
    if (down != NULL && !duration_parse(down, 100, 3600000, &a->down_after_ms))
        return command_fail(a->call, EXIT_USAGE,
                            "--down-after is '%s', but must be a time from 100ms to 1h, as 500ms or 2s", down);
    if (wait != NULL && !duration_parse(wait, 1, LIMIT_MAX_MS, &limit_ms))
        return command_fail(a->call, EXIT_USAGE, "--wait is '%s', but must be a time such as 90s or 30m", wait);
    a->limit_ms = (int)limit_ms;
    while (rest.p != NULL) {
        struct slice part = slice_trim(slice_cut(&rest, ','));
        a->seeds.v = mem_array(a->seeds.v, a->seeds.n + 1, sizeof *a->seeds.v);
        if (!addr_parse(part, &a->seeds.v[a->seeds.n++]))
            return command_fail(a->call, EXIT_USAGE, "--seeds: '%.*s' is not host:port", (int)part.n,
                                part.n > 0 ? part.p : "");
    }
    return EXIT_OK;
}

static int perform(struct adopt *a)
{
    struct buf title = {0};
    int code = look(a);
    if (code == EXIT_OK)
        code = change_begin(&a->change, a->call, &a->asking);
    if (code != EXIT_OK)
        return code;
    plan(a);
    buf_printf(&title, "Adoption of cluster %s", a->name);
    if (change_agreed(&a->change, buf_str(&title), "Adopt it now?"))
        act(a);
    buf_free(&title);
    return change_end(&a->change, json_pack("{s:s, s:s}", "action", "adopt", "cluster", a->name));
}

int adopt_with_seeds(const struct command_call *call)
{
    struct adopt a = {.call = call, .name = call->argv[0]};
    int code = asking_read(call, &a.asking);
    if (code == EXIT_OK)
        code = read_options(&a);
    if (code == EXIT_OK)
        code = perform(&a);
    for (size_t i = 0; i < a.n; i++)
        free(a.v[i].file);
    free(a.v);
    conf_addresses_free(&a.seeds);
    buf_free(&a.why);
    asking_free(&a.asking);
    return code;
}
