/* nodectl backup create: a snapshot of every shard, with a manifest. Nothing of the cluster is changed, so nobody is
 * asked for a yes. */
#include "nodectl/backup/snapshots.h"
#include "nodectl/backup/verbs.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/version.h"
#include "common/io/clock.h"
#include "nodectl/db/about.h"
#include "nodectl/interrupt.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 3 /* slots may move while snapshots are taken */
#define PARALLEL 4
#define PAUSE_MS 1000

struct create {
    const struct command_call *call;
    struct asking asking;
    struct picture picture;
    struct snapshots snapshots;
    struct folder folder;
    struct manifest manifest;
    int64_t parallel;
    bool dry;
    struct buf failure, warned; /* warned: lines */
};

/* ---- plan ---- */

static void show_plan(const struct create *c)
{
    static const char *const titles[] = {"FILE", "SLOTS", "FROM", "", NULL};
    FILE *out = asking_people(&c->asking);
    char text[ADDR_TEXT_MAX];
    struct table *t = table_new(titles);
    for (size_t i = 0; i < c->snapshots.n; i++) {
        const struct snapshot *s = &c->snapshots.v[i];
        struct buf slots = {0};
        content_put_slots(&slots, s->slots);
        table_cell(t, PAINT_NONE, "%s", s->file);
        table_cell(t, PAINT_NONE, slots.n > 40 ? "%.37s..." : "%s", buf_str(&slots));
        table_cell(t, PAINT_NONE, "%s", addr_text(&s->sources[0].addr, text));
        table_cell(t, PAINT_NONE, s->sources[0].replica ? "replica" : "master");
        buf_free(&slots);
    }
    table_print(t, out, "  ", colour_wanted(out));
    fflush(out);
    table_free(t);
}

static json_t *plan_of(const struct create *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->snapshots.n; i++) {
        const struct snapshot *s = &c->snapshots.v[i];
        struct buf slots = {0};
        content_put_slots(&slots, s->slots);
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:b}", "file", s->file, "slots", buf_str(&slots), "from",
                                              json_addr(&s->sources[0].addr), "from_replica", s->sources[0].replica));
        buf_free(&slots);
    }
    return list;
}

static void warn_of_slots(struct create *c)
{
    int64_t foreign = 0;
    for (size_t i = 0; i < c->snapshots.n; i++)
        foreign += c->snapshots.v[i].fetch.content.foreign;
    if (c->snapshots.unowned > 0)
        buf_printf(&c->warned, "%zu slots have no owner, so nothing of them is in the backup\n", c->snapshots.unowned);
    if (foreign > 0)
        buf_printf(&c->warned,
                   "%lld keys lie at masters that do not own their slots; they are left out when the "
                   "backup is restored\n",
                   (long long)foreign);
}

/* ---- deed ---- */

/* One try. true: it is over, one way or the other; false: the cluster has changed meanwhile. */
static bool try_once(struct create *c, bool last)
{
    struct buf changed = {0};
    bool over = true;
    if (snapshots_take(&c->snapshots, &c->asking, &c->folder, (size_t)c->parallel, &c->failure) &&
        picture_again(&c->picture, &c->failure)) {
        over = snapshots_still_true(&c->snapshots, &c->picture, &changed);
        if (!over && last)
            buf_printf(&c->failure, "%s; %d tries were made", buf_str(&changed), TRIES);
        else if (!over)
            print_line(stderr, false, PAINT_WARN, "nodectl backup create: %s: the snapshots are taken again",
                       buf_str(&changed));
    }
    buf_put(&c->warned, c->snapshots.notes.p, c->snapshots.notes.n);
    buf_free(&changed);
    return over;
}

static void take_all(struct create *c)
{
    for (int i = 1; c->failure.n == 0 && !try_once(c, i == TRIES) && i < TRIES; i++) {
        if (!interrupt_sleep(PAUSE_MS) || !picture_again(&c->picture, &c->failure)) {
            buf_puts(&c->failure, c->failure.n == 0 ? "interrupted" : "");
            return;
        }
        snapshots_free(&c->snapshots);
        (void)snapshots_plan(&c->snapshots, &c->picture, &c->failure);
    }
}

static void act(struct create *c)
{
    const char *to = command_value(c->call, "--to"), *fleet = c->asking.targets.fleet;
    char *parent = mem_strdup(to != NULL ? to : ".");
    if (folder_make(&c->folder, parent, fleet != NULL ? fleet : "", io_wall_ms(), &c->failure))
        take_all(c);
    if (c->failure.n == 0) {
        c->manifest.fleet = mem_strdup(fleet != NULL ? fleet : "");
        c->manifest.tool = mem_strdup(SENTINELD_VERSION);
        c->manifest.created_ms = io_wall_ms();
        snapshots_describe(&c->snapshots, &c->manifest);
        warn_of_slots(c);
        (void)folder_finish(&c->folder, &c->manifest, &c->failure);
    }
    if (c->failure.n > 0)
        folder_drop(&c->folder);
    free(parent);
}

/* ---- end ---- */

static int finish(struct create *c)
{
    bool ok = c->failure.n == 0, made = ok && !c->dry;
    while (c->failure.n > 0 && c->failure.p[c->failure.n - 1] == '\n')
        c->failure.n--;
    if (c->asking.document) {
        json_t *o = json_pack("{s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "ok", ok, "dry_run", c->dry, "plan", plan_of(c),
                              "backup", made ? json_text(c->folder.whole, strlen(c->folder.whole)) : json_null(),
                              "manifest", made ? manifest_json(&c->manifest) : json_null(), "warnings",
                              output_lines(buf_slice(&c->warned)), "failure",
                              ok ? json_null() : json_text(c->failure.p, c->failure.n));
        output_document(c->asking.format, o);
        json_decref(o);
    } else if (made) {
        printf("%lld keys, %.1f MB: ", (long long)manifest_keys(&c->manifest),
               (double)manifest_bytes(&c->manifest) / 1e6);
        print_line(stdout, false, PAINT_NONE, "%s", c->folder.whole);
    } else if (ok) {
        puts("Nothing was done: --dry-run.");
    }
    fflush(stdout);
    print_lines(stderr, "nodectl backup create: ", buf_slice(&c->warned));
    if (!ok)
        command_fail_lines(c->call, buf_slice(&c->failure));
    return ok ? EXIT_OK : interrupted() ? EXIT_INTERRUPTED : EXIT_FAILED;
}

static int perform(struct create *c)
{
    int code = about_look(c->call, &c->asking, &c->picture);
    interrupt_catch();
    if (code != EXIT_OK)
        return code;
    if (snapshots_plan(&c->snapshots, &c->picture, &c->failure)) {
        show_plan(c);
        if (!c->dry)
            act(c);
    }
    return finish(c);
}

int backup_create(const struct command_call *call)
{
    const char *parallel = command_value(call, "--parallel");
    struct create c = {.call = call, .parallel = PARALLEL, .dry = command_value(call, "--dry-run") != NULL};
    int code = asking_read_nodes(call, &c.asking);
    if (code == EXIT_OK && parallel != NULL && !text_range(slice_of(parallel), 1, 1000, &c.parallel))
        code = command_fail(call, EXIT_USAGE, "--parallel is '%s', but must be a number from 1 to 1000", parallel);
    if (code == EXIT_OK)
        code = perform(&c);
    snapshots_free(&c.snapshots);
    picture_free(&c.picture);
    manifest_free(&c.manifest);
    folder_free(&c.folder);
    buf_free(&c.failure);
    buf_free(&c.warned);
    asking_free(&c.asking);
    return code;
}
