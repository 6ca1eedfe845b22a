/* nodectl backup restore: the keys of a backup go into a cluster, of whatever shards. */
#include "nodectl/backup/send.h"
#include "nodectl/backup/verbs.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/change.h"
#include "nodectl/db/about.h"
#include "nodectl/db/node_link.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct restore {
    const struct command_call *call;
    struct command_call to_call; /* with --to in the place of --fleet */
    struct asking asking;
    struct picture picture;
    struct change change;
    struct manifest manifest;
    struct send send;
    const char *folder;
    char name_text[ADDR_TEXT_MAX];
    const char *name; /* of the target */
    bool replace, flush;
    bool some; /* --databases was given: */
    uint8_t databases[CONTENT_DATABASES / 8];
    int64_t found; /* keys that the target has in the databases that are to be restored */
};

static bool is_wanted(const struct restore *r, size_t db)
{
    return !r->some || (r->databases[db / 8] >> db % 8 & 1) != 0;
}

/* ---- plan ---- */

static bool databases_fit(struct restore *r, struct buf *why)
{
    int64_t highest = -1;
    for (size_t db = 0; db < manifest_databases_used(&r->manifest); db++)
        if (is_wanted(r, db) && manifest_database(&r->manifest, db).keys > 0)
            highest = (int64_t)db;
    if (about_reachable(&r->picture, highest, why))
        return true;
    buf_puts(why, "; --databases restores only some of the backup's");
    return false;
}

static bool count_keys(struct restore *r, struct buf *why)
{
    struct picture_node *n;
    for (size_t i = 0; (n = about_next_master(&r->picture, &i)) != NULL;) {
        struct about_database_figures *v;
        size_t count;
        if (!about_figures(&r->picture, n, &v, &count, why))
            return false;
        for (size_t db = 0; db < count; db++)
            r->found += is_wanted(r, db) ? v[db].keys : 0;
        free(v);
    }
    return true;
}

static bool fits(struct restore *r, struct buf *why)
{
    if (r->picture.covered < SN_SLOTS) {
        buf_printf(why, "%zu slots of %s have no owner, so their keys cannot be restored",
                   SN_SLOTS - r->picture.covered, r->name);
        return false;
    }
    if (!databases_fit(r, why) || !count_keys(r, why))
        return false;
    if (r->found == 0 || r->replace || r->flush)
        return true;
    buf_printf(why,
               "%s is not empty: it has %lld keys there. --replace replaces keys of the same name and leaves the "
               "others, --flush deletes all of them first",
               r->name, (long long)r->found);
    return false;
}

/* Those of a file that are wanted. */
static int64_t wanted_of(const struct restore *r, const struct manifest_shard *s)
{
    int64_t keys = 0;
    for (size_t db = 0; db < s->ndatabases; db++)
        keys += is_wanted(r, db) ? s->databases[db].keys : 0;
    return keys;
}

static void plan(struct restore *r)
{
    struct buf why = {0};
    if (!fits(r, &why)) {
        change_failed(&r->change, "%s", buf_str(&why));
        buf_free(&why);
        return;
    }
    change_step(&r->change, "check the files of the backup: %.1f MB", (double)manifest_bytes(&r->manifest) / 1e6);
    if (r->flush)
        change_step(&r->change, "delete the %lld keys that %s has%s", (long long)r->found, r->name,
                    r->some ? " in these databases" : "");
    for (size_t i = 0; i < r->manifest.n; i++)
        change_step(&r->change, "restore %s into %s: %lld keys", r->manifest.v[i].file, r->name,
                    (long long)wanted_of(r, &r->manifest.v[i]));
    if (r->replace && r->found > 0)
        change_warn(&r->change, "keys of the same name are replaced; %s has %lld keys", r->name, (long long)r->found);
    buf_free(&why);
}

/* ---- deed ---- */

static bool check(struct restore *r)
{
    struct progress progress;
    struct buf why = {0};
    int64_t before = 0;
    bool ok = true;
    progress_begin(&progress, "checking", "bytes", manifest_bytes(&r->manifest));
    for (size_t i = 0; ok && i < r->manifest.n; i++) {
        struct folder_reading how = {.only_sum = true, .progress = &progress, .before = before};
        ok = folder_read(r->folder, &r->manifest.v[i], &how, &why);
        before += r->manifest.v[i].bytes;
    }
    progress_end(&progress);
    if (!ok)
        change_failed(&r->change, "%s", buf_str(&why));
    buf_free(&why);
    return ok;
}

static bool flush_master(struct restore *r, struct picture_node *n, struct buf *why)
{
    struct about_database_figures *v;
    struct node_link link = {0};
    size_t count;
    bool ok = about_figures(&r->picture, n, &v, &count, why);
    if (ok && !node_link_open(&link, &r->asking, &n->addr)) {
        buf_puts(why, buf_str(&link.error));
        ok = false;
    }
    for (size_t db = 0; ok && db < count; db++) {
        if (!is_wanted(r, db) || v[db].keys == 0)
            continue;
        redisReply *done = node_link_select(&link, (int64_t)db, why)
                               ? node_link_ask(&link, why, "FLUSHDB", "ASYNC", NULL)
                               : NULL;
        ok = done != NULL;
        if (ok)
            freeReplyObject(done);
    }
    node_link_free(&link);
    free(v);
    return ok;
}

static bool flush_all(struct restore *r)
{
    struct buf why = {0};
    struct picture_node *n;
    bool ok = true;
    for (size_t i = 0; ok && (n = about_next_master(&r->picture, &i)) != NULL;)
        ok = flush_master(r, n, &why);
    if (!ok)
        change_failed(&r->change, "%s", buf_str(&why));
    buf_free(&why);
    return ok;
}

static bool restore_files(struct restore *r, size_t step)
{
    struct progress progress;
    struct buf why = {0};
    int64_t before = 0;
    bool ok = true;
    r->send.picture = &r->picture;
    r->send.databases = r->some ? r->databases : NULL;
    r->send.replace = r->replace || r->flush;
    r->change.go_on = r->send.replace ? "the same command, given again, restores all of it anew"
                                      : "to begin anew give --replace or --flush";
    send_begin(&r->send);
    for (size_t i = 0; ok && i < r->manifest.n; i++) {
        if (!change_now(&r->change, step + i))
            break;
        progress_begin(&progress, "restoring", "bytes", manifest_bytes(&r->manifest));
        ok = send_file(&r->send, r->folder, &r->manifest.v[i], &progress, before, &why);
        progress_end(&progress);
        before += r->manifest.v[i].bytes;
        if (ok)
            change_did(&r->change, step + i);
        else
            change_failed(&r->change, "%s (%lld keys are restored)", buf_str(&why), (long long)r->send.restored);
    }
    send_free(&r->send);
    buf_free(&why);
    return ok;
}

static void act(struct restore *r)
{
    size_t step = 0;
    if (!change_now(&r->change, step) || !check(r))
        return;
    change_did(&r->change, step++);
    if (r->flush) {
        if (!change_now(&r->change, step) || !flush_all(r))
            return;
        change_did(&r->change, step++);
    }
    if (restore_files(r, step))
        fprintf(asking_people(&r->asking), "%lld keys restored, %lld had expired, %lld of other databases left out.\n",
                (long long)r->send.restored, (long long)r->send.expired, (long long)r->send.left_out);
}

static json_t *result(const struct restore *r)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I}", "backup", json_text(r->folder, strlen(r->folder)), "target",
                     json_text(r->name, strlen(r->name)), "restored", (json_int_t)r->send.restored, "expired",
                     (json_int_t)r->send.expired, "left_out", (json_int_t)r->send.left_out);
}

static bool agreed(struct restore *r)
{
    struct buf title = {0};
    char time[MANIFEST_TIME];
    buf_printf(&title, "Restore of %s (%s, %s) into %s", r->folder,
               r->manifest.fleet[0] != '\0' ? r->manifest.fleet : "a cluster",
               manifest_time(r->manifest.created_ms, time), r->name);
    bool yes = r->flush && r->found > 0
                   ? change_agreed_by_word(&r->change, buf_str(&title), "What it holds is lost.", r->name)
                   : change_agreed(&r->change, buf_str(&title), "Restore it now?");
    buf_free(&title);
    return yes;
}

static int perform(struct restore *r)
{
    struct buf why = {0};
    int code = change_begin(&r->change, r->call, &r->asking);
    if (code != EXIT_OK)
        return code;
    if (!folder_manifest(r->folder, &r->manifest, &why)) {
        change_failed(&r->change, "%s: %s", r->folder, buf_str(&why));
    } else {
        code = about_look(r->call, &r->asking, &r->picture);
        if (code == EXIT_OK)
            plan(r);
        else
            change_failed(&r->change, "nothing was done: no node can be asked");
    }
    if (r->change.failure.n == 0 && agreed(r))
        act(r);
    int end = change_end(&r->change, result(r));
    picture_free(&r->picture);
    manifest_free(&r->manifest);
    buf_free(&why);
    return code != EXIT_OK ? code : end;
}

/* ---- options ---- */

static int read_databases(struct restore *r, const char *text)
{
    struct slice rest = slice_of(text);
    r->some = true;
    while (rest.p != NULL) {
        int64_t db;
        if (!text_range(slice_trim(slice_cut(&rest, ',')), 0, CONTENT_DATABASES - 1, &db))
            return command_fail(r->call, EXIT_USAGE, "--databases is '%s', but must be numbers with commas between",
                                text);
        r->databases[db / 8] |= (uint8_t)(1U << db % 8);
    }
    return EXIT_OK;
}

/* The target is a fleet like any other: --to is --fleet by the name that one looks for here. */
static int take_target(struct restore *r)
{
    const struct command_option *o = r->call->command->options;
    const char *to = command_value(r->call, "--to"), *fleet = command_value(r->call, "--fleet");
    r->to_call = *r->call;
    if (to != NULL && fleet != NULL && strcmp(to, fleet) != 0)
        return command_fail(r->call, EXIT_USAGE, "--to says %s and --fleet says %s", to, fleet);
    for (size_t i = 0; to != NULL && o[i].name != NULL; i++)
        if (strcmp(o[i].name, "--fleet") == 0)
            r->to_call.values[i] = to;
    return asking_read_nodes(&r->to_call, &r->asking);
}

static int check_confirmed(const struct restore *r)
{
    const char *given = command_value(r->call, "--confirm");
    if (given != NULL && strcmp(given, r->name) != 0)
        return command_fail(r->call, EXIT_USAGE, "--confirm is '%s', but the target is %s", given, r->name);
    bool yes = command_value(r->call, "--yes") != NULL && command_value(r->call, "--dry-run") == NULL;
    if (yes && r->flush && given == NULL)
        return command_fail(r->call, EXIT_USAGE, "--yes --flush needs --confirm %s: it cannot be undone", r->name);
    return EXIT_OK;
}

int backup_restore(const struct command_call *call)
{
    struct restore r = {.call = call,
                        .folder = call->argv[0],
                        .replace = command_value(call, "--replace") != NULL,
                        .flush = command_value(call, "--flush") != NULL};
    const char *databases = command_value(call, "--databases");
    int code = take_target(&r);
    if (code == EXIT_OK && r.replace && r.flush)
        code = command_fail(call, EXIT_USAGE, "--replace and --flush are two ways: give one of them");
    if (code == EXIT_OK && databases != NULL)
        code = read_databases(&r, databases);
    if (code == EXIT_OK) {
        r.name = about_name(&r.asking, r.name_text);
        code = check_confirmed(&r);
    }
    if (code == EXIT_OK)
        code = perform(&r);
    asking_free(&r.asking);
    return code;
}
