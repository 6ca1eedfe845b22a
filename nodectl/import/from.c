/* nodectl import from and nodectl import file: the steps of an import, and what is told of it. Files are read by a
 * noded of our own, which is then a source that nobody writes to. */
#include "nodectl/import/import.h"
#include "nodectl/import/stage.h"
#include "nodectl/import/verbs.h"
#include "nodectl/table.h"

#include "common/base/mem.h"
#include "nodectl/db/about.h"
#include "nodectl/reply_json.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORD "cut over"
#define FOLLOW_MS 200
#define BEHIND_BYTES 4096 /* less than that is caught up */

enum when { WHEN_NOW, WHEN_ASK, WHEN_NEVER };

struct from {
    const struct command_call *call;
    struct asking asking;
    struct change change;
    struct import import;
    struct import_check check;
    struct addr at;
    struct stage *stages; /* of files, one each */
    size_t nstages;
    enum when when;
    char *password; /* at the source, read from a file */
    int64_t target_keys, waited_ms;
    size_t step; /* the one that is next */
    struct buf go_on;
    bool checked, cut_over;
};

/* ---- the command line ---- */

static int read_when(struct from *f)
{
    static const char *const words[] = {"now", "ask", "never"};
    const char *text = command_value(f->call, "--cut-over");
    f->when = command_value(f->call, "--yes") == NULL && isatty(STDIN_FILENO) ? WHEN_ASK : WHEN_NOW;
    for (size_t i = 0; text != NULL && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i]) == 0) {
            f->when = (enum when)i;
            text = NULL;
        }
    if (text != NULL)
        return command_fail(f->call, EXIT_USAGE, "--cut-over is '%s', but must be now, ask or never", text);
    if (f->when == WHEN_ASK && !isatty(STDIN_FILENO))
        return command_fail(f->call, EXIT_USAGE,
                            "--cut-over ask: standard input is no terminal, so nobody can type it");
    return EXIT_OK;
}

static int read_password(struct from *f)
{
    const char *path = command_value(f->call, "--source-password-file"), *known = getenv("NODECTL_SOURCE_PASSWORD");
    f->password = path != NULL ? asking_password_file(f->call, path) : mem_strdup(known != NULL ? known : "");
    return f->password != NULL ? EXIT_OK : EXIT_USAGE;
}

/* --yes alone is soon said: whose keys are deleted has to be named too. */
static int check_confirmed(const struct from *f)
{
    char text[ADDR_TEXT_MAX];
    const char *given = command_value(f->call, "--confirm"), *name = about_name(&f->asking, text);
    if (given != NULL && strcmp(given, name) != 0)
        return command_fail(f->call, EXIT_USAGE, "--confirm is '%s', but the target is %s", given, name);
    bool yes = command_value(f->call, "--yes") != NULL && command_value(f->call, "--dry-run") == NULL;
    if (yes && command_value(f->call, "--replace") != NULL && given == NULL)
        return command_fail(f->call, EXIT_USAGE, "--yes --replace needs --confirm %s: it cannot be undone", name);
    return EXIT_OK;
}

static int read_files_line(struct from *f)
{
    f->import.asking = &f->asking;
    f->when = WHEN_NOW;
    int code = asking_read_nodes(f->call, &f->asking);
    return code == EXIT_OK ? check_confirmed(f) : code;
}

static int read_line(struct from *f)
{
    if (!addr_parse(slice_of(f->call->argv[0]), &f->at))
        return command_fail(f->call, EXIT_USAGE, "'%s' is not host:port", f->call->argv[0]);
    int code = read_when(f);
    if (code == EXIT_OK)
        code = asking_read_nodes(f->call, &f->asking);
    if (code == EXIT_OK)
        code = check_confirmed(f);
    if (code == EXIT_OK)
        code = read_password(f);
    const char *user = command_value(f->call, "--source-user");
    f->import.asking = &f->asking;
    f->import.source_asking = (struct asking){.timeout_ms = f->asking.timeout_ms,
                                              .user = "",
                                              .password = "",
                                              .node_user = user != NULL ? user : "",
                                              .node_password = f->password != NULL ? f->password : ""};
    return code;
}

/* ---- the plan ---- */

static bool look_at_target(struct from *f)
{
    struct buf why = {0};
    const struct picture_node *n;
    struct import *im = &f->import;
    if (im->target.covered != SN_SLOTS)
        buf_puts(&why, "the target does not cover all slots: see nodectl slots check");
    else
        (void)about_reachable(&im->target, 0, &why);
    im->databases = INT16_MAX;
    for (size_t i = 0; (n = about_next_master(&im->target, &i)) != NULL;)
        im->databases = n->databases < im->databases ? n->databases : im->databases;
    f->target_keys = why.n == 0 ? import_target_keys(im) : -1;
    if (f->target_keys > 0 && command_value(f->call, "--replace") == NULL)
        buf_printf(&why, "the target holds %lld keys: --replace deletes all of them first", (long long)f->target_keys);
    if (why.n > 0)
        change_failed(&f->change, "nothing was done: %s", buf_str(&why));
    else if (im->error.n > 0)
        change_failed(&f->change, "nothing was done: %s", buf_str(&im->error));
    buf_free(&why);
    return f->change.failure.n == 0;
}

/* A stage for each file, all with one password. */
static bool open_files(struct from *f)
{
    struct import *im = &f->import;
    f->stages = mem_zalloc((size_t)f->call->argc * sizeof *f->stages);
    f->nstages = (size_t)f->call->argc;
    bool ok = true;
    for (size_t i = 0; i < f->nstages && ok; i++) {
        memcpy(f->stages[i].password, f->stages[0].password, sizeof f->stages[i].password);
        ok = stage_begin(&f->stages[i], f->call->argv[i], &im->error);
        im->source_asking = (struct asking){.timeout_ms = f->asking.timeout_ms,
                                            .user = "",
                                            .password = "",
                                            .node_user = "",
                                            .node_password = f->stages[0].password};
        ok = ok && import_open(im, &f->stages[i].addr);
    }
    if (!ok)
        change_failed(&f->change, "nothing was done: %s", buf_str(&im->error));
    return ok;
}

static void plan_deletion(struct from *f)
{
    if (f->target_keys > 0)
        change_step(&f->change, "delete all %lld keys of the target", (long long)f->target_keys);
}

static void plan_delays(struct from *f)
{
    char text[ADDR_TEXT_MAX];
    import_delays_look(&f->import);
    for (size_t i = 0; i < f->import.ndelays; i++)
        change_about(&f->change,
                     "%s makes its snapshots at once meanwhile: repl-diskless-sync-delay is 0, then %lld again",
                     addr_text(&f->import.delays[i].addr, text), (long long)f->import.delays[i].before_s);
}

static void plan_files(struct from *f)
{
    if (!look_at_target(f) || !open_files(f))
        return;
    plan_delays(f);
    plan_deletion(f);
    change_step(&f->change, "copy %lld keys of %s%s", (long long)f->import.snapshot_keys, f->call->argv[0],
                f->nstages > 1 ? " and the other files" : "");
    if (command_value(f->call, "--no-check") == NULL)
        change_step(&f->change, "compare keys and digests of all databases");
}

static void plan(struct from *f)
{
    struct import *im = &f->import;
    char text[ADDR_TEXT_MAX];
    if (!look_at_target(f))
        return;
    if (!import_open(im, &f->at)) {
        change_failed(&f->change, "nothing was done: the source: %s", buf_str(&im->error));
        return;
    }
    plan_delays(f);
    if (f->target_keys > 0)
        change_step(&f->change, "read the source's data once, to its end: nothing is deleted for what cannot be read");
    plan_deletion(f);
    change_step(&f->change, "copy %lld keys of %s%s", (long long)im->snapshot_keys, addr_text(&im->v[0].addr, text),
                im->n > 1 ? " and the other masters of its cluster" : "");
    change_step(&f->change, "follow what is written there meanwhile%s",
                f->when == WHEN_NEVER ? ", until Ctrl-C"
                : f->when == WHEN_ASK ? ", until '" WORD "' is typed"
                                      : "");
    if (f->when != WHEN_NEVER)
        change_step(&f->change, "cut over: writers wait%s, then the source %s",
                    command_value(f->call, "--no-check") != NULL ? "" : ", both sides are compared",
                    command_value(f->call, "--leave-source") != NULL ? "takes writes again" : "refuses writes");
}

/* ---- the deed ---- */

/* Answers to what was put into the target. */
static bool on_answer(void *owner, struct slice key, int64_t db, const redisReply *reply, struct buf *why)
{
    (void)owner;
    if (reply->type != REDIS_REPLY_ERROR)
        return true;
    buf_puts(why, "key ");
    about_put_key(why, key);
    buf_printf(why, " of database %lld is refused: %s", (long long)db, reply->str);
    return false;
}

static bool ended(struct from *f)
{
    if (f->import.error.n > 0)
        change_failed(&f->change, "%s", buf_str(&f->import.error));
    else
        change_failed(&f->change, "interrupted; %s as before", f->nstages > 0 ? "the files are" : "the source is");
    return false;
}

/* One step that is one call. */
static bool do_step(struct from *f, bool (*work)(struct import *im))
{
    if (!change_now(&f->change, f->step))
        return false;
    if (!work(&f->import))
        return ended(f);
    change_did(&f->change, f->step++);
    return true;
}

/* What is said once the target is not as it was. */
static void say_how_to_go_on(struct from *f)
{
    char text[ADDR_TEXT_MAX];
    if (command_value(f->call, "--replace") != NULL) {
        f->change.go_on = "the same command, given again, begins anew";
        return;
    }
    buf_puts(&f->go_on, "to begin anew give the same command with --replace");
    if (command_value(f->call, "--yes") != NULL)
        buf_printf(&f->go_on, " --confirm %s", about_name(&f->asking, text));
    f->change.go_on = buf_str(&f->go_on);
}

static bool copy(struct from *f)
{
    bool replaces = f->target_keys > 0;
    if (replaces && f->nstages == 0 && !do_step(f, import_read_once))
        return false;
    say_how_to_go_on(f);
    return (!replaces || do_step(f, import_flush_target)) && do_step(f, import_copy);
}

/* Whether the word was typed. */
static bool typed(void)
{
    char line[64] = "";
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, 0) > 0 && fgets(line, sizeof line, stdin) != NULL && slice_is(slice_trim(slice_of(line)), WORD);
}

static bool follow(struct from *f)
{
    FILE *out = asking_people(&f->asking);
    bool told = false, over = false;
    if (!change_now(&f->change, f->step))
        return false;
    while (!over) {
        if (!import_follow(&f->import, FOLLOW_MS))
            return ended(f);
        int64_t behind = import_behind_bytes(&f->import);
        bool near = behind >= 0 && behind < BEHIND_BYTES && import_behind_keys(&f->import) == 0;
        if (near && !told && f->when != WHEN_NOW) {
            fprintf(out, "All is copied, and what is written is followed. %s\n",
                    f->when == WHEN_ASK ? "Type '" WORD "' to cut over, or Ctrl-C to end." : "Ctrl-C ends it.");
            fflush(out);
            told = true;
        }
        over = f->when == WHEN_NOW ? near : f->when == WHEN_ASK && typed();
    }
    change_did(&f->change, f->step++);
    return true;
}

static bool compare(struct from *f)
{
    if (command_value(f->call, "--no-check") != NULL)
        return true;
    if (!import_compare(&f->import, &f->check))
        return ended(f);
    f->checked = true;
    if (f->check.different > 0)
        change_failed(&f->change, "%zu databases differ between the source and the target (-o json tells which)%s",
                      f->check.different, f->nstages > 0 ? "" : "; the source takes writes again");
    return f->check.different == 0;
}

static void cut_over(struct from *f)
{
    if (!change_now(&f->change, f->step))
        return;
    int64_t from_ms = fleet_now_ms();
    bool leave = command_value(f->call, "--leave-source") != NULL;
    bool ok = import_stop_writers(&f->import) || ended(f);
    ok = ok && compare(f);
    if (ok && !leave && !import_refuse_writes(&f->import))
        ok = ended(f);
    import_let_writers(&f->import);
    f->waited_ms = fleet_now_ms() - from_ms;
    f->cut_over = ok;
    if (ok)
        change_did(&f->change, f->step++);
}

static void finish_files(struct from *f)
{
    bool check = command_value(f->call, "--no-check") == NULL;
    if (check && !change_now(&f->change, f->step))
        return;
    f->cut_over = compare(f);
    if (check && f->cut_over)
        change_did(&f->change, f->step++);
}

static void act(struct from *f)
{
    f->import.route = (struct route){.picture = &f->import.target, .repeatable = true, .answered = on_answer};
    route_begin(&f->import.route);
    import_delays_drop(&f->import);
    bool copied = copy(f);
    if (copied && f->nstages > 0)
        finish_files(f);
    else if (copied && follow(f))
        cut_over(f);
    import_delays_put_back(&f->import);
    route_free(&f->import.route);
}

/* ---- what came of it ---- */

static json_t *databases_of(const struct from *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->check.n; i++) {
        char a[2 * ND_DIGEST_BYTES + 1], b[2 * ND_DIGEST_BYTES + 1];
        const struct import_tally *s = &f->check.source[i], *t = &f->check.target[i];
        nd_digest_hex(s->digest, a);
        nd_digest_hex(t->digest, b);
        if (s->keys + t->keys > 0)
            json_array_append_new(list,
                                  json_pack("{s:i, s:I, s:I, s:s, s:s}", "db", (int)i, "keys", (json_int_t)s->keys,
                                            "target_keys", (json_int_t)t->keys, "digest", a, "target_digest", b));
    }
    return list;
}

/* What was changed at nodes, as it was and as it is now. before: null where it is not known. */
static json_t *settings_of(const struct from *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->import.n; i++) {
        const struct source *s = &f->import.v[i];
        if (s->refuses)
            json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:i}", "address", json_addr(&s->addr), "setting",
                                                  "min-replicas-to-write", "before",
                                                  s->min_replicas >= 0 ? json_integer(s->min_replicas) : json_null(),
                                                  "now", IMPORT_REFUSES));
    }
    for (size_t i = 0; i < f->import.ndelays; i++) {
        const struct import_delay *d = &f->import.delays[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:I, s:I}", "address", json_addr(&d->addr), "setting",
                                              "repl-diskless-sync-delay", "before", (json_int_t)d->before_s, "now",
                                              (json_int_t)(d->changed ? 0 : d->before_s)));
    }
    return list;
}

static json_t *result(const struct from *f)
{
    json_t *sources = json_array();
    for (size_t i = 0; i < f->import.n && f->nstages == 0; i++)
        json_array_append_new(sources, json_addr(&f->import.v[i].addr));
    for (size_t i = 0; i < f->nstages; i++)
        json_array_append_new(sources, json_text(f->call->argv[i], strlen(f->call->argv[i])));
    return json_pack("{s:o, s:I, s:I, s:i, s:b, s:b, s:I, s:o, s:o}", "sources", sources, "copied",
                     (json_int_t)f->import.put, "copied_again", (json_int_t)f->import.recopied, "restarts",
                     f->import.restarts, "checked", f->checked, "cut_over", f->cut_over, "writers_waited_ms",
                     (json_int_t)f->waited_ms, "databases", databases_of(f), "settings", settings_of(f));
}

static void tell_source(const struct from *f, const struct source *s)
{
    char text[ADDR_TEXT_MAX];
    FILE *out = asking_people(&f->asking);
    addr_text(&s->addr, text);
    if (s->refuses && s->min_replicas >= 0)
        print_line(out, false, PAINT_NONE,
                   "%s refuses writes now (min-replicas-to-write %d; it was %lld). Point its clients at the target.",
                   text, IMPORT_REFUSES, (long long)s->min_replicas);
    else if (s->refuses)
        print_line(
            out, false, PAINT_NONE,
            "%s refused writes before (min-replicas-to-write %d): what it was, the output of the import that set "
            "it tells. Point its clients at the target.",
            text, IMPORT_REFUSES);
}

static void tell_delays(const struct from *f)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < f->import.ndelays; i++)
        if (f->import.delays[i].changed)
            print_line(asking_people(&f->asking), false, PAINT_NONE,
                       "%s was not reached to put repl-diskless-sync-delay back: it is 0, and was %lld.",
                       addr_text(&f->import.delays[i].addr, text), (long long)f->import.delays[i].before_s);
}

static void tell(const struct from *f)
{
    FILE *out = asking_people(&f->asking);
    tell_delays(f);
    if (!f->cut_over)
        return;
    const char *equal = f->checked ? " Keys and digests of all databases are equal." : "";
    if (f->nstages > 0)
        print_line(out, colour_wanted(out), PAINT_GOOD, "%lld keys copied.%s", (long long)f->import.put, equal);
    else
        print_line(out, colour_wanted(out), PAINT_GOOD,
                   "%lld keys copied, %lld of them again; writers waited %lld ms.%s", (long long)f->import.put,
                   (long long)f->import.recopied, (long long)f->waited_ms, equal);
    for (size_t i = 0; i < f->import.n; i++)
        tell_source(f, &f->import.v[i]);
}

static int perform(struct from *f)
{
    char title[256], text[ADDR_TEXT_MAX], name[ADDR_TEXT_MAX];
    bool files = f->at.port == 0;
    int code = change_begin(&f->change, f->call, &f->asking);
    if (code != EXIT_OK)
        return code;
    code = about_look(f->call, &f->asking, &f->import.target);
    if (code != EXIT_OK)
        change_failed(&f->change, "nothing was done: no node can be asked");
    else if (files)
        plan_files(f);
    else
        plan(f);
    snprintf(title, sizeof title, "Import from %s into %s", files ? f->call->argv[0] : addr_text(&f->at, text),
             about_name(&f->asking, name));
    bool agreed = f->target_keys > 0 ? change_agreed_by_word(&f->change, title, "All keys of the target are deleted.",
                                                             about_name(&f->asking, name))
                                     : change_agreed(&f->change, title, "Begin now?");
    if (agreed)
        act(f);
    tell(f);
    int end = change_end(&f->change, result(f));
    return code != EXIT_OK ? code : end;
}

static int run(struct from *f, int code)
{
    if (code == EXIT_OK)
        code = perform(f);
    for (size_t i = 0; i < f->nstages; i++)
        stage_end(&f->stages[i]);
    free(f->stages);
    import_check_free(&f->check);
    import_free(&f->import);
    picture_free(&f->import.target);
    asking_free(&f->asking);
    buf_free(&f->go_on);
    free(f->password);
    return code;
}

int import_from(const struct command_call *call)
{
    struct from f = {.call = call};
    return run(&f, read_line(&f));
}

int import_file(const struct command_call *call)
{
    struct from f = {.call = call};
    return run(&f, read_files_line(&f));
}
