#include "nodectl/supervisor/change_list.h"

#include "common/base/mem.h"
#include "nodectl/duration.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/supervisor/list_members.h"
#include "nodectl/supervisor/list_text.h"
#include "nodectl/supervisor/roll.h"
#include "nodectl/supervisor/verbs.h"
#include "nodectl/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 200
#define LOCAL_LIMIT_MS 20000
#define LIMIT_MS 1800000
#define LIMIT_MAX_MS (INT64_C(86400000) * 7)

/* ---- what there is ---- */

/* Of a fleet of this host those of fleet.json, in its order, which is that of the files; elsewhere those that count
 * each other. A new one comes last, or stays where it was before it began to be removed. */
static void read_wanted(struct change_list *c, const struct roll *r)
{
    struct conf_addresses all = {.n = 0};
    c->wanted.n = 0;
    for (size_t i = 0; c->local && i < c->layout.n; i++)
        if (c->layout.v[i].supervisor)
            list_members_add(&all, &c->layout.v[i].addr);
    if (!c->local)
        list_members_all(r->views, &all);
    for (size_t i = 0; i < all.n; i++)
        if (c->adds || !addr_eq(&all.v[i], &c->who))
            list_members_add(&c->wanted, &all.v[i]);
    if (c->adds)
        list_members_add(&c->wanted, &c->who);
    conf_addresses_free(&all);
}

static const json_t *entry_of(const struct roll *r, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    return json_find(r->list, "address", addr_text(a, text));
}

static bool answers(const json_t *s)
{
    return s != NULL && field_text(s, "error")[0] == '\0';
}

/* The process that runs, and the file that the next one reads. */
static bool has_list(const struct change_list *c, const struct roll *r, const struct addr *at)
{
    return list_members_are(r->views, at, c->wanted.v, c->wanted.n) && (!c->local || change_local_has(c, at));
}

static int64_t most_leases(const struct roll *r)
{
    int64_t most = 0;
    size_t i;
    const json_t *s;
    json_array_foreach(r->list, i, s)
    {
        most = json_int(s, "leases", 0) > most ? json_int(s, "leases", 0) : most;
    }
    return most;
}

static bool all_agree(const struct change_list *c, const struct roll *r, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    size_t before = why->n;
    for (size_t i = 0; i < c->wanted.n; i++) {
        const json_t *s = entry_of(r, &c->wanted.v[i]);
        addr_text(&c->wanted.v[i], text);
        if (!answers(s))
            buf_printf(why, "%s does not answer\n", text);
        else if (!has_list(c, r, &c->wanted.v[i]))
            buf_printf(why, "%s does not count just the %zu supervisors of the new list\n", text, c->wanted.n);
        else if (json_int(s, "list_version", 0) > 0 && !json_yes(s, "list_counted"))
            buf_printf(why, "no node counts the list of %s yet\n", text);
        else if (json_int(s, "leases", 0) < most_leases(r))
            buf_printf(why, "%s grants leases to fewer masters than others yet\n", text);
        else if (json_array_size(json_object_get(s, "disagrees")) > 0)
            buf_printf(why, "%s: %s\n", text, json_string_value(json_array_get(json_object_get(s, "disagrees"), 0)));
    }
    return why->n == before;
}

/* Whether the step is as it should be; what is missing is appended to why. */
static bool is_done(const struct change_list *c, size_t step, const struct roll *r, struct buf *why)
{
    const struct addr *at = &c->steps[step].at;
    char text[ADDR_TEXT_MAX];
    addr_text(at, text);
    switch (c->steps[step].what) {
    case LIST_START:
    case LIST_RESTART:
        if (has_list(c, r, at))
            return true;
        buf_printf(why,
                   answers(entry_of(r, at)) ? "%s does not count just the %zu supervisors of the new list"
                                            : "%s does not answer",
                   text, c->wanted.n);
        return false;
    case LIST_STOP:
        if (c->local ? !change_local_runs(c, at) : !answers(entry_of(r, at)))
            return true;
        buf_printf(why, "%s still runs", text);
        return false;
    case LIST_RECORD: return true;
    case LIST_AGREE: break;
    }
    return all_agree(c, r, why);
}

/* ---- the plan ---- */

static void add_step(struct change_list *c, enum list_step what, const struct addr *at)
{
    c->steps = mem_array(c->steps, c->nsteps + 1, sizeof *c->steps);
    c->steps[c->nsteps].what = what;
    c->steps[c->nsteps++].at = *at;
}

static void tell_step(struct change_list *c, size_t i)
{
    char text[ADDR_TEXT_MAX];
    const char *at = addr_text(&c->steps[i].at, text);
    switch (c->steps[i].what) {
    case LIST_START:
        change_step(&c->change,
                    c->local
                        ? "start supervisor %s with the new list"
                        : "on its host: write a sentineld.conf for %s, as the others have it, with the new list, and "
                          "start it (systemctl start sentineld)",
                    at);
        break;
    case LIST_RESTART:
        change_step(&c->change,
                    c->local
                        ? "give supervisor %s the new list and restart it"
                        : "on its host: give %s the new list in its sentineld.conf and restart it (systemctl restart "
                          "sentineld)",
                    at);
        break;
    case LIST_STOP:
        change_step(&c->change,
                    c->local ? "end supervisor %s" : "on its host: end %s (systemctl disable --now sentineld)", at);
        break;
    case LIST_RECORD: change_step(&c->change, "record it in fleet.json and nodectl.conf"); break;
    case LIST_AGREE:
        change_step(&c->change, "wait until all %zu supervisors agree, and nodes count the new list", c->wanted.n);
        break;
    }
}

static void plan(struct change_list *c, const struct roll *r)
{
    struct buf list = {0};
    size_t i;
    const json_t *s;
    if (c->adds)
        add_step(c, LIST_START, &c->who);
    for (i = 0; i < c->wanted.n; i++)
        if (!addr_eq(&c->wanted.v[i], &c->who))
            add_step(c, LIST_RESTART, &c->wanted.v[i]);
    /* Whoever leaves grants and votes until nodes count the list without it. */
    add_step(c, LIST_AGREE, &c->who);
    if (!c->adds)
        add_step(c, LIST_STOP, &c->who);
    if (c->layout.dir != NULL)
        add_step(c, LIST_RECORD, &c->who);
    for (i = 0; i < c->nsteps; i++)
        tell_step(c, i);
    list_text_value(&list, c->wanted.v, c->wanted.n);
    change_warn(&c->change, "the new list: supervisors = %s;", buf_str(&list));
    change_warn(&c->change, "one at a time, and each restart shorter than a lease, or writes are refused for a moment");
    if (c->local && !c->adds)
        change_warn(&c->change, "its folder in %s stays, with what it has recorded", c->layout.dir);
    if (!c->local)
        change_warn(&c->change,
                    "these processes are not of a fleet that nodectl made on this host: you do each step, and this "
                    "command follows");
    if (c->wanted.n < 3)
        change_warn(&c->change, "%zu supervisor%s survive%s no loss: when one is lost, nothing is failed over",
                    c->wanted.n, c->wanted.n == 1 ? "" : "s", c->wanted.n == 1 ? "s" : "");
    json_array_foreach(r->list, i, s)
    {
        if (strcmp(field_text(s, "kind"), "redis-sentinel") == 0)
            change_warn(
                &c->change,
                "%s is a redis-sentinel, which has no list: it finds the others by itself; after one was ended, "
                "SENTINEL RESET * at it forgets that one",
                field_text(s, "address"));
    }
    buf_free(&list);
}

/* ---- the deed ---- */

static bool has_ended(const struct change_list *c, size_t step, struct buf *why)
{
    enum list_step what = c->steps[step].what;
    return c->local && (what == LIST_START || what == LIST_RESTART) && change_local_ended(c, &c->steps[step].at, why);
}

/* Looks until the step is done. */
static bool follow(struct change_list *c, size_t step)
{
    int64_t end = fleet_now_ms() + c->limit_ms;
    struct buf why = {0}, ended = {0};
    bool done = false;
    while (!done) {
        struct roll r;
        buf_clear(&why);
        done = roll_take(&r, c->call, &c->asking) == EXIT_OK && is_done(c, step, &r, &why);
        roll_free(&r);
        if (done || has_ended(c, step, &ended) || fleet_now_ms() >= end || !interrupt_sleep(LOOK_MS))
            break;
    }
    if (!done && interrupted())
        change_failed(&c->change, "interrupted; so far: %s", buf_str(&why));
    else if (!done && ended.n > 0)
        change_failed(&c->change, "%s", buf_str(&ended));
    else if (!done)
        change_failed(&c->change, "not within %d s: %s", c->limit_ms / 1000, buf_str(&why));
    buf_free(&why);
    buf_free(&ended);
    return done;
}

static bool is_so_already(struct change_list *c, size_t step)
{
    struct roll r;
    struct buf why = {0};
    bool done = roll_take(&r, c->call, &c->asking) == EXIT_OK && is_done(c, step, &r, &why);
    roll_free(&r);
    buf_free(&why);
    return done;
}

/* One that never ran with the others must not stay in the record: every later change would wait for it. */
static void take_back(struct change_list *c)
{
    struct buf why = {0};
    if (c->local && c->is_new && !interrupted() && change_local_undo(c, &why))
        buf_puts(&c->change.failure, "\nIt was taken out of fleet.json again; nothing else has changed");
    buf_free(&why);
}

static bool do_step(struct change_list *c, size_t i, struct buf *why)
{
    enum list_step what = c->steps[i].what;
    bool acts = what == LIST_RECORD || (c->local && what != LIST_AGREE);
    if (acts && !change_local_act(c, what, &c->steps[i].at, why)) {
        change_failed(&c->change, "%s", buf_str(why));
        return false;
    }
    return what == LIST_RECORD || follow(c, i);
}

static void act(struct change_list *c)
{
    struct buf why = {0};
    if (c->local && !change_local_begin(c, &why))
        change_failed(&c->change, "nothing was done: %s", buf_str(&why));
    for (size_t i = 0; i < c->nsteps && c->change.failure.n == 0; i++) {
        bool may_be_so = c->steps[i].what != LIST_AGREE && c->steps[i].what != LIST_RECORD;
        if (may_be_so && is_so_already(c, i)) {
            change_skipped(&c->change, i);
            continue;
        }
        if (!change_now(&c->change, i))
            break;
        if (do_step(c, i, &why))
            change_did(&c->change, i);
        else if (c->steps[i].what == LIST_START)
            take_back(c);
    }
    buf_free(&why);
}

/* ---- the command ---- */

static bool load_layout(struct change_list *c, struct buf *why)
{
    const char *dir = c->asking.targets.dir;
    if (dir == NULL || !layout_is_there(dir))
        return true;
    if (!layout_load(&c->layout, dir, why))
        return false;
    if (command_value(c->call, "--dry-run") != NULL)
        return true;
    /* Nobody else changes it between what is read here and the last step. */
    c->lock = layout_lock(&c->layout, why);
    layout_free(&c->layout);
    return c->lock >= 0 && layout_load(&c->layout, dir, why);
}

static bool is_in_layout(const struct change_list *c)
{
    for (size_t i = 0; i < c->layout.n; i++)
        if (c->layout.v[i].supervisor && addr_eq(&c->layout.v[i].addr, &c->who))
            return true;
    return false;
}

/* nodectl.conf may lack one that is half added, and name one that is half removed. */
static void name_all(struct change_list *c)
{
    for (size_t i = 0; i < c->layout.n; i++)
        if (c->layout.v[i].supervisor)
            list_members_add(&c->asking.targets.supervisors, &c->layout.v[i].addr);
}

/* What there is, and what is to be. r: taken anew once the address in question is asked too. */
static int look(struct change_list *c, struct roll *r)
{
    name_all(c);
    int code = roll_take(r, c->call, &c->asking);
    if (code != EXIT_OK)
        return code;
    c->local = c->layout.dir != NULL;
    read_wanted(c, r);
    c->local = c->local && change_local_can(c);
    if (!c->local)
        read_wanted(c, r);
    else
        c->limit_ms = LOCAL_LIMIT_MS;
    c->is_new = c->adds && (!is_in_layout(c) || c->layout.changing == LAYOUT_ADDS);
    list_members_add(&c->asking.targets.supervisors, &c->who);
    roll_free(r);
    return roll_take(r, c->call, &c->asking);
}

static int perform(struct change_list *c)
{
    struct roll r = {.list = NULL};
    struct buf title = {0}, why = {0};
    int code = load_layout(c, &why) ? look(c, &r) : command_fail(c->call, EXIT_FAILED, "%s", buf_str(&why));
    if (code == EXIT_OK)
        code = change_list_check(c, &r);
    if (code == EXIT_OK)
        code = change_begin(&c->change, c->call, &c->asking);
    if (code == EXIT_OK) {
        plan(c, &r);
        buf_printf(&title, "%s supervisor %s", c->adds ? "Addition of" : "Removal of", c->call->argv[0]);
        if (change_agreed(&c->change, buf_str(&title), c->local ? "Do it now?" : "Follow it now?"))
            act(c);
        code = change_end(&c->change, NULL);
    }
    buf_free(&title);
    buf_free(&why);
    roll_free(&r);
    return code;
}

static int run(const struct command_call *call, bool adds)
{
    struct change_list c = {.call = call, .adds = adds, .limit_ms = LIMIT_MS, .lock = -1};
    const char *wait = command_value(call, "--wait");
    int64_t ms = LIMIT_MS;
    int code = asking_read(call, &c.asking);
    if (code == EXIT_OK && !addr_parse(slice_of(call->argv[0]), &c.who))
        code = command_fail(call, EXIT_USAGE, "'%s' is not host:port", call->argv[0]);
    if (code == EXIT_OK && wait != NULL && !duration_parse(wait, 1, LIMIT_MAX_MS, &ms))
        code = command_fail(call, EXIT_USAGE, "--wait is '%s', but must be a time such as 90s or 30m", wait);
    if (code == EXIT_OK) {
        c.limit_ms = (int)ms;
        code = perform(&c);
    }
    if (c.lock >= 0)
        close(c.lock);
    free(c.steps);
    conf_addresses_free(&c.wanted);
    layout_free(&c.layout);
    asking_free(&c.asking);
    return code;
}

static int run_add(const struct command_call *call)
{
    return run(call, true);
}

static int run_remove(const struct command_call *call)
{
    return run(call, false);
}

static const struct command_option options[] = {
    ASKING_OPTIONS,
    {"--wait", NULL, "TIME", "how long each step is waited for that you do yourself (default 30m)"},
    CHANGE_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

#define LIST_TEXT                                                                                                      \
    "The list `supervisors` is the same in every file, and nodes count one version of it: it changes when a "          \
    "majority\n"                                                                                                       \
    "of the old and of the new list has it. For a fleet that nodectl made on this host (--fleet) the files are "       \
    "written\n"                                                                                                        \
    "and the processes restarted, in the right order. For another one the steps are shown, and the command follows\n"  \
    "until you have done them. Given again it goes on with what is not done yet; while one is half done no other can " \
    "be\n"                                                                                                             \
    "begun, and the opposite (remove for add, add for remove) takes it back.\n"

#define LIST_STATUS                                                                                                   \
    "Exit status: 0 all supervisors agree on the new list; 1 a step failed, or was not done in time, or it was not\n" \
    "confirmed; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not "      \
    "given;\n"                                                                                                        \
    "3 no supervisor can be reached; 130 interrupted."

const struct command supervisor_add = {
    .name = "add",
    .arguments = "ADDRESS",
    .summary = "Add a supervisor to the list, which it and all others then have.",
    .text = ASKING_TEXT "\n" LIST_TEXT "\n"
                        "Example:\n"
                        "  nodectl supervisor add 127.0.0.1:26382 --fleet orders\n"
                        "\n" LIST_STATUS,
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_add,
};

const struct command supervisor_remove = {
    .name = "remove",
    .arguments = "ADDRESS",
    .summary = "Take a supervisor from the list of all others, and end it.",
    .text = ASKING_TEXT "\n" LIST_TEXT "\n"
                        "Example:\n"
                        "  nodectl supervisor remove 127.0.0.1:26382 --fleet orders\n"
                        "\n" LIST_STATUS,
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_remove,
};
