/* nodectl db copy: the keys of one database into another one, key by key, by the nodes themselves. */
#include "nodectl/change.h"
#include "nodectl/db/about.h"
#include "nodectl/db/route.h"
#include "nodectl/db/verbs.h"
#include "nodectl/db/walk.h"
#include "nodectl/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 1000

struct copy {
    const struct command_call *call;
    struct asking asking;
    struct picture picture;
    struct change change;
    struct progress progress;
    struct walk walk;
    struct route route;
    int64_t from, to;
    char to_text[24];
    bool replace;
    int64_t source_keys, target_keys; /* before */
    int64_t copied, kept;
};

static bool answered(void *owner, struct slice key, int64_t db, const redisReply *reply, struct buf *why)
{
    struct copy *c = owner;
    (void)db;
    if (reply->type != REDIS_REPLY_INTEGER) {
        buf_puts(why, "COPY of ");
        about_put_key(why, key);
        buf_printf(why, " is refused: %s", reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer is none");
        return false;
    }
    c->copied += reply->integer == 1;
    c->kept += reply->integer != 1;
    progress_at(&c->progress, c->copied + c->kept);
    return true;
}

static bool on_key(void *owner, struct slice key, struct buf *why)
{
    struct copy *c = owner;
    struct slice words[] = {slice_of("COPY"), key, key, slice_of("DB"), slice_of(c->to_text), slice_of("REPLACE")};
    bool ok = !interrupted() && route_send(&c->route, c->from, 1, c->replace ? 6 : 5, words);
    if (!ok)
        buf_put(why, c->route.error.p, c->route.error.n);
    return ok;
}

/* ---- plan ---- */

static bool count_keys(struct copy *c)
{
    struct buf why = {0};
    struct picture_node *n;
    for (size_t i = 0; why.n == 0 && (n = about_next_master(&c->picture, &i)) != NULL;) {
        struct about_database_figures *v;
        size_t count;
        (void)about_figures(&c->picture, n, &v, &count, &why);
        c->source_keys += (size_t)c->from < count ? v[c->from].keys : 0;
        c->target_keys += (size_t)c->to < count ? v[c->to].keys : 0;
        free(v);
    }
    if (why.n > 0)
        change_failed(&c->change, "%s", buf_str(&why));
    buf_free(&why);
    return c->change.failure.n == 0;
}

static void plan(struct copy *c)
{
    struct buf why = {0};
    if (!about_reachable(&c->picture, c->from > c->to ? c->from : c->to, &why))
        change_failed(&c->change, "%s", buf_str(&why));
    else if (count_keys(c) && (c->source_keys > 0 || c->walk.match == NULL))
        change_step(&c->change, "copy %s%lld keys of database %lld into database %lld, which has %lld",
                    c->walk.match != NULL ? "those that match of " : "", (long long)c->source_keys, (long long)c->from,
                    (long long)c->to, (long long)c->target_keys);
    if (c->target_keys > 0)
        change_warn(&c->change, "keys that database %lld has already %s", (long long)c->to,
                    c->replace ? "are replaced" : "stay as they are (--replace replaces them)");
    change_warn(&c->change, "what is written meanwhile may be copied or not: it is no picture of one moment");
    buf_free(&why);
}

/* ---- deed ---- */

static void act(struct copy *c)
{
    if (!change_now(&c->change, 0))
        return;
    c->route = (struct route){.picture = &c->picture, .answered = answered, .owner = c};
    route_begin(&c->route);
    progress_begin(&c->progress, "copying", "keys", c->walk.match != NULL ? 0 : c->source_keys);
    bool walked = walk_run(&c->walk), flushed = route_flush(&c->route);
    progress_end(&c->progress);
    const struct buf *why = c->walk.error.n > 0 ? &c->walk.error : &c->route.error;
    if (why->n > 0)
        change_failed(&c->change, "%.*s (%lld keys are copied; given again it goes on)", (int)why->n, why->p,
                      (long long)c->copied);
    else if (!walked || !flushed)
        change_failed(&c->change, "interrupted: %lld keys are copied; given again it goes on", (long long)c->copied);
    else
        change_did(&c->change, 0);
    route_free(&c->route);
}

static json_t *result(const struct copy *c)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "from", (json_int_t)c->from, "to", (json_int_t)c->to, "copied",
                     (json_int_t)c->copied, "kept", (json_int_t)c->kept);
}

static int perform(struct copy *c)
{
    char title[96];
    int code = change_begin(&c->change, c->call, &c->asking);
    if (code != EXIT_OK)
        return code;
    code = about_look(c->call, &c->asking, &c->picture);
    if (code != EXIT_OK)
        change_failed(&c->change, "nothing was done: no node can be asked");
    else
        plan(c);
    snprintf(title, sizeof title, "Copy of database %lld into database %lld", (long long)c->from, (long long)c->to);
    if (change_agreed(&c->change, title, "Copy them now?")) {
        act(c);
        fprintf(asking_people(&c->asking), "%lld keys copied, %lld left as they were.\n", (long long)c->copied,
                (long long)c->kept);
    }
    int end = change_end(&c->change, result(c));
    picture_free(&c->picture);
    return code != EXIT_OK ? code : end;
}

static int read_arguments(struct copy *c)
{
    int code = about_database(c->call, c->call->argv[0], &c->from);
    if (code == EXIT_OK)
        code = about_database(c->call, c->call->argv[1], &c->to);
    if (code == EXIT_OK && c->from == c->to)
        code = command_fail(c->call, EXIT_USAGE, "a database can't be copied into itself");
    snprintf(c->to_text, sizeof c->to_text, "%lld", (long long)c->to);
    c->replace = command_value(c->call, "--replace") != NULL;
    c->walk = (struct walk){.picture = &c->picture,
                            .db = c->from,
                            .match = command_value(c->call, "--match"),
                            .count = COUNT,
                            .key = on_key,
                            .owner = c};
    return code;
}

int db_copy(const struct command_call *call)
{
    struct copy c = {.call = call};
    int code = asking_read_nodes(call, &c.asking);
    if (code == EXIT_OK)
        code = read_arguments(&c);
    if (code == EXIT_OK)
        code = perform(&c);
    buf_free(&c.walk.error);
    asking_free(&c.asking);
    return code;
}
